/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an old worker and its successor say to each other (handover.h): messages of named fields
 * (lib/fields.h) with up to two descriptors, over a SOCK_SEQPACKET pair, cut into packets.
 *
 * The other end may be of another version, and is trusted with nothing but its descriptors: lengths
 * are bounded, one message is looked at in a turn of the loop, and what breaks the rules is its
 * end. Bodies hold keys; they are kept in memory for secrets.
 */
#ifndef BOTLS_HANDOVER_CHANNEL_H
#define BOTLS_HANDOVER_CHANNEL_H

#include "fields.h"
#include "loop.h"

#define CHANNEL_FDS_MAX	  2
#define CHANNEL_QUEUE_MAX 32 /* messages that wait; nobody has a reason to have more */

struct channel;

struct channel_message {
	uint32_t type;
	struct fields_in f;
	int fds[CHANNEL_FDS_MAX]; /* those that the callback does not take (sets to -1) are closed
				   */
	size_t n_fds;
};

struct channel_callbacks {
	void (*on_message)(void *arg, struct channel_message *m);
	/* Nobody holds the other end any more (-EPIPE), or it broke the rules: -EMSGSIZE, a message
	 * was too long; -E2BIG, or had too many fields; -EBADMSG; -ETIME, see channel_limit_work().
	 * Or -ENOMEM. Called once. */
	void (*on_gone)(void *arg, int error);
	/* Bytes that a message of this type may have. NULL: FIELDS_MAX. */
	size_t (*max_of)(uint32_t type);
};

/* Takes `fd` over, also when it fails. Both callbacks may free the channel. 0 or -ENOMEM. */
int channel_new(struct loop *loop, int fd, const struct channel_callbacks *cb, void *arg,
		struct channel **ret);
void channel_free(struct channel *c); /* NULL is fine */
/* What comes from now on may take that much time in all, on_message included. */
void channel_limit_work(struct channel *c, uint64_t ms);

/* Takes the body over (NULL: an empty one), and copies of the descriptors. What cannot leave at
 * once waits. 0, or what prevents it: -ENOMEM, -EMSGSIZE, -EPIPE; nothing was sent then. */
int channel_send(struct channel *c, uint32_t type, struct fields_out *body, const int *fds,
		 size_t n_fds);
/* What waits is not sent any more. */
void channel_drop(struct channel *c);

#endif
