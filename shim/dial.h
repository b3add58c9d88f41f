/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets towards neighbors that need privilege: connections from our own address with the TCP
 * options of the neighbor, and the TLS listeners. Made by control, used by workers.
 */
#ifndef BOTLS_DIAL_H
#define BOTLS_DIAL_H

#include "ao_select.h"
#include "botls/bpf.h"
#include "config.h"
#include "messages.h"
#include "steering.h"
#include "tcp_ao.h"

#include <stdint.h>

/* A connection towards neighbor `n` from want->own: TLS port, or port 179 in clear; with the TCP-AO
 * keys of `now`, seconds since the epoch. *ret_fd is connecting. */
int dial_outer(struct steering *s, const struct neighbor_config *n, const struct message_want *want,
	       uint64_t now, int *ret_fd, struct errtext *e);

/* The listeners of the TLS port: one per family that this machine has, with the keys that are a
 * neighbor's own; then, for neighbors whose keys follow from TLS, one per family and kind of
 * default key, which has that key for everybody (dial_ao.c). */
#define TLS_LISTENERS_MAX (2 * BOTLS_AO_LISTENERS)
struct tls_listeners {
	int fds[TLS_LISTENERS_MAX];
	struct tls_listener {
		sa_family_t family;
		unsigned kind; /* of the default key; 0: none */
	} what[TLS_LISTENERS_MAX];
	size_t n;
	struct ao_select *select; /* who comes to which; NULL: not needed so far */
	bool has_ao;		  /* the kernel knows TCP-AO */
	uint64_t keys_at;	  /* the moment whose TCP-AO keys are set */
};
int tls_listeners_open(uint16_t port, struct tls_listeners *ret, struct errtext *e);
void tls_listeners_close(struct tls_listeners *l);

/* Sets the TCP-MD5 keys that `new` has, and the TCP-AO keys that it has `now`, with a listener for
 * each default one, and takes away those that only `old` (may be NULL; may be `new` when time has
 * passed) had when this was called last. On error those are in force again. Without TCP-AO in the
 * kernel its keys are left out: see ao_refusal(). */
int tls_listeners_set_keys(struct tls_listeners *l, const struct config *old,
			   const struct config *new, uint64_t now, struct errtext *e);

/* Segments without a connection yet that came to the listener: good and bad ones for this
 * neighbor's TCP-AO keys (the default key is that of all who derive theirs); key_not_found and
 * required those of all neighbors of its family. -ENOENT: it has no key. */
int tls_listeners_get_ao(const struct tls_listeners *l, const struct neighbor_config *n,
			 struct tcp_ao_status *ret);

#endif
