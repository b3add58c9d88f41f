/* SPDX-License-Identifier: Apache-2.0 */
/* For what needs libevent's own base: lib/http_server.c, and nobody else. */
#ifndef BOTLS_LOOP_INTERNAL_H
#define BOTLS_LOOP_INTERNAL_H

struct loop;
struct event_base;

struct event_base *loop_base(struct loop *l);

#endif
