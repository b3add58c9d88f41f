/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures as a worker has them: copies of one neighbor's decrypted BGP, sent as records
 * (botls/capture.h) to whoever holds the other end of a descriptor that control passed.
 *
 * A session is never held up: what the socket does not take at once is dropped and counted, and the
 * next record that gets through says how many. In each direction a capture begins, and begins again
 * after a drop, with a whole BGP message as far as the framing is known. A neighbor without a
 * capture costs its sessions the look at one pointer.
 */
#ifndef BOTLS_SHIM_CAPTURE_H
#define BOTLS_SHIM_CAPTURE_H

#include "addr.h"
#include "bgp.h"
#include "loop.h"

struct capture;

/* Of which session the bytes are. Made up for each call; in_step belongs to the session and is
 * 0, 0 in a new one. */
struct capture_flow {
	uint64_t session;
	const struct addr *neighbor, *daemon;
	uint16_t neighbor_port, daemon_port; /* as BGP sees them */
	bool daemon_connected;
	const struct bgp_stream *in, *out; /* from the neighbor, from the daemon, so far */
	uint8_t *in_step;		   /* [2], by "inbound"; bit per slot */
};

/* Takes `fd` over; puts the capture into the list at `list`, where it stays until capture_stop() or
 * capture_detach_all(). `slot` is below BOTLS_CAPTURES_MAX and in no other capture of that list. 0
 * or -ENOMEM. */
int capture_new(struct loop *loop, int fd, unsigned slot, unsigned worker, struct capture **list,
		struct capture **ret);
/* Nothing more is captured. It frees itself when the last drops have been told, or after a while;
 * then *owner, which is where the caller keeps it, becomes NULL. */
void capture_stop(struct capture *c, struct capture **owner);
void capture_free(struct capture *c); /* at once; NULL is fine */
/* The list's owner goes; the captures stay with nothing to capture. */
void capture_detach_all(struct capture **list);
unsigned capture_slot(const struct capture *c);

/* For every capture of the list. `data` is what comes next, not fed to the stream yet. */
void captures_bytes(struct capture *list, const struct capture_flow *f, bool inbound,
		    const void *data, size_t len);
void captures_begin(struct capture *list, const struct capture_flow *f);
void captures_end(struct capture *list, const struct capture_flow *f, bool by_neighbor, bool reset,
		  const char *why);

#endif
