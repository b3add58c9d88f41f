// SPDX-License-Identifier: Apache-2.0
/*
 * tcp-ao = capability: TCP-AO is turned on in a running connection, which takes CAP_NET_ADMIN.
 *
 * A worker that was taken over can show what it likes, as in control_ao.c: only what is a TCP
 * connection with a neighbor that is configured so gets a key, and the key is its own worker's.
 */
#include "control_internal.h"

#include "ao.h"
#include "messages.h"

#include <errno.h>
#include <sys/socket.h>

static int explain(int r, struct errtext *e)
{
	switch (-r) {
	case ENOPROTOOPT: return errtext_set(e, r, "this kernel has no TCP-AO");
	case ENOENT: return errtext_set(e, r, "the kernel lacks the algorithm");
	case ENOMEM: return errtext_set(e, r, "out of memory (raise sysctl net.core.optmem_max)");
	case EPERM: return errtext_set(e, r, "the kernel refuses TCP_REPAIR (CAP_NET_ADMIN)");
	}
	return errtext_set(e, r, "the kernel refuses it: %s", strerror(-r));
}

/* The peer of a connection: the neighbor may be a prefix. */
static int peer_of(int fd, struct addr *ret)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	uint16_t port;

	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sockaddr(&ss, ret, &port);
}

static int turn_on(struct control *c, const struct message_want_ao *want, int fd, struct errtext *e)
{
	const struct neighbor_config *n = NULL;
	struct tcp_ao_key key = {.send_id = 1, .recv_id = 1};
	struct addr peer;
	int r;

	if (want->algorithm > TCP_AO_HMAC_SHA256_96)
		return -EINVAL;
	if (want->until_ms < loop_now_ms())
		return errtext_set(e, -ETIMEDOUT, "control was busy for too long");
	if (memchr(want->neighbor, '\0', sizeof(want->neighbor)))
		n = config_neighbor(c->now.config, want->neighbor);
	if (!n || !ao_is_capability(n))
		return errtext_set(e, -EPERM, "not configured");
	if (!c->tls.has_ao)
		return explain(-ENOPROTOOPT, e);
	if (fd < 0 || !control_ao_is_connection(c, fd, n) || peer_of(fd, &peer) < 0)
		return errtext_set(e, -ENOTCONN, "the connection has ended");
	key.algorithm = want->algorithm;
	key.covers_options = want->covers_options;
	key.secret = (const char *)want->secret;
	key.secret_len = sizeof(want->secret);
	r = want->is_trial ? tcp_ao_may_turn_on(fd, &peer, &key)
			   : tcp_ao_turn_on(fd, &peer, &key, want->send_isn, want->recv_isn);
	return r < 0 ? explain(r, e) : 0;
}

void control_on_want_ao(struct control *c, struct child *child, const struct ipc_message *m)
{
	struct message_ao answer = {.error = -EINVAL};
	struct message_want_ao want;
	struct errtext e = {};

	if (m->len == sizeof(want)) {
		memcpy(&want, m->payload, sizeof(want));
		answer.error = turn_on(c, &want, m->fd, &e);
		explicit_bzero(&want, sizeof(want));
	}
	memcpy(answer.text, e.text, sizeof(answer.text));
	child_send(child, MSG_AO, m->id, &answer, sizeof(answer), -1);
}
