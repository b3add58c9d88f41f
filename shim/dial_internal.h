/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by dial.c (sockets, and the keys of single neighbors) and dial_ao.c (listeners with a
 * default key), and by nobody else. */
#ifndef BOTLS_DIAL_INTERNAL_H
#define BOTLS_DIAL_INTERNAL_H

#include "dial.h"

#define LISTEN_BACKLOG 4096

/* The listener of a family with this kind of default key (0: none), or -1. */
int dial_listener(const struct tls_listeners *l, sa_family_t family, unsigned kind);
/* What every listener has and its connections inherit. */
int dial_prepare_listener(int fd);
/* Takes the descriptor over, also when it fails (-ENOSPC). */
int dial_add_listener(struct tls_listeners *l, int fd, sa_family_t family, unsigned kind);

/* Which listener has the neighbor's keys; 0: the one without a default key. */
unsigned dial_ao_kind(const struct neighbor_config *n);
/* Opens what `config` (may be NULL) needs and sends its neighbors there; what it does not need
 * stays open until dial_ao_close(). On error *ret_failed is the neighbor for which, NULL: all of
 * them, and *e may say more. */
int dial_ao_open(struct tls_listeners *l, const struct config *config,
		 const struct neighbor_config **ret_failed, struct errtext *e);
void dial_ao_close(struct tls_listeners *l, const struct config *config);

#endif
