/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepts connections on a socket that control made: a few per wake-up, none while paused, and a
 * pause of its own when descriptors run out.
 *
 * Where a connection begins what takes long (a handshake), newcomers get their turn as the steps of
 * those before do (loop_may_take_long()), one at a time while these wait: else a machine that is
 * too slow for all at once would have all of them run out of time, again and again. The others
 * wait in the listen queue.
 */
#ifndef BOTLS_LISTENER_H
#define BOTLS_LISTENER_H

#include "addr.h"
#include "loop.h"

struct listener;

/* `on_accept` owns the connection: `peer` is its getpeername(), `own` its getsockname(). */
typedef void listener_accept_fn(void *arg, int fd, const struct addr *peer, uint16_t peer_port,
				const struct addr *own, uint16_t own_port);

/* Takes `fd` over, also when it fails. */
int listener_new(struct loop *loop, int fd, listener_accept_fn *on_accept, void *arg,
		 struct listener **ret);
void listener_begins_long(struct listener *l); /* see above */
void listener_free(struct listener *l);
void listener_set_paused(struct listener *l, bool is_paused);

#endif
