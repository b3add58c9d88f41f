/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three throw-away network namespaces for the tests of this folder, in one process:
 *
 *     peer  p0 192.0.2.2 ---- r0 192.0.2.1  router  r1 198.51.100.1 ---- t0 198.51.100.2  third
 *              2001:db8::2       2001:db8::1           2001:db8:1::1        2001:db8:1::2
 *              fe80::2           fe80::1               fe80::1              fe80::2
 *
 * The process is in `router` unless a function says otherwise. peer and third see every packet that
 * comes to them.
 */
#ifndef BOTLS_TESTS_NETLAB_H
#define BOTLS_TESTS_NETLAB_H

#include "addr.h"

#include <stdbool.h>
#include <stdint.h>

enum netlab_place { ROUTER, PEER, THIRD };

/* Ends the program with a message when namespaces cannot be had. */
void netlab_start(void);
void netlab_stop(void);

void netlab_enter(enum netlab_place place);
void netlab_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct addr netlab_addr(const char *text);

/* All sockets are blocking with a time limit of 250 ms. `from` (may be NULL) is bound to; `device`
 * (may be NULL) too, with SO_DONTROUTE as BIRD does. Returns the descriptor, or -errno of
 * connect(). */
int netlab_connect(enum netlab_place place, const char *from, const char *to, uint16_t port,
		   const char *device);
int netlab_listen(enum netlab_place place, const char *at, uint16_t port);
/* -EAGAIN when nobody comes. */
int netlab_accept(int listener);

/* "192.0.2.2 179" of either end. */
const char *netlab_local(int fd);
const char *netlab_remote(int fd);

/* TCP packets with `port` at either end that peer and third have seen since the last call of
 * netlab_forget(). */
unsigned netlab_seen(uint16_t port);
/* Of those the ones with data. */
unsigned netlab_seen_data(uint16_t port);
void netlab_forget(void);

/* Waits up to two seconds. */
bool netlab_wait(bool (*is_done)(void *arg), void *arg);

#endif
