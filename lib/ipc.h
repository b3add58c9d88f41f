/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between control and a worker: SOCK_SEQPACKET, one message per packet, at most one
 * descriptor with it (SCM_RIGHTS). What cannot be sent at once is queued, in order.
 */
#ifndef BOTLS_IPC_H
#define BOTLS_IPC_H

#include "util.h"

#include <stdint.h>

#define IPC_PAYLOAD_MAX 32768 /* bytes */
#define IPC_QUEUE_MAX                                                                              \
	(64 << 20) /* bytes waiting for a peer that does not read: then it counts as gone */

struct loop;
struct ipc;

struct ipc_message {
	uint32_t type;
	uint32_t id;
	const void *payload; /* valid during the callback, then wiped; a NUL follows it */
	size_t len;
	int fd; /* -1, or the callback's: set it to -1 when taking it over, else it is closed */
};

struct ipc_callbacks {
	void (*on_message)(void *arg, struct ipc_message *m);
	void (*on_gone)(void *arg); /* the other end closed, or broke the protocol; called once;
				       ipc_free() is allowed in it */
};

/* Makes the two ends; both close-on-exec. */
int ipc_pair(int ret_fds[2]);

/* Takes `fd` over. */
int ipc_new(struct loop *loop, int fd, const struct ipc_callbacks *cb, void *arg, struct ipc **ret);
void ipc_free(struct ipc *c);

/* `fd` (or -1) is duplicated when the message has to wait: it stays the caller's. 0, -ENOMEM,
 * -EMSGSIZE, or -EPIPE when the other end is gone (on_gone follows, or has been called). */
int ipc_send(struct ipc *c, uint32_t type, uint32_t id, const void *payload, size_t len, int fd);

#endif
