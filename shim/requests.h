/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that a worker has asked control for, and the sessions that wait for them. A zeroed struct
 * requests is empty; sessions take theirs out before they go.
 */
#ifndef BOTLS_REQUESTS_H
#define BOTLS_REQUESTS_H

#include "ipc.h"
#include "messages.h"

struct session;

struct requests {
	void *by_id; /* tsearch(3) of struct request */
	uint32_t last;
};

/* Asks for a socket. The id that comes back with it, 0 when it cannot be asked. */
uint32_t requests_send(struct requests *r, struct ipc *ipc, uint32_t type,
		       const struct message_want *want, struct session *session);
/* The same for TCP-AO on a connection, which is borrowed. */
uint32_t requests_send_ao(struct requests *r, struct ipc *ipc, const struct message_want_ao *want,
			  int fd, struct session *session);
/* The session that waits, which from now on does not any more; or NULL. */
struct session *requests_take(struct requests *r, uint32_t id);

#endif
