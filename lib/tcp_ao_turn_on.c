// SPDX-License-Identifier: Apache-2.0
/* TCP-AO for a connection that began without it. */
#include "tcp_ao.h"
#include "botls/tcp_ao.h"
#include "sock.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* The connection goes on while it is looked at. */
#define LOOKS_MAX 100

_Static_assert(sizeof(struct kernel_tcp_ao_repair) == 16, "kernel's layout");

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int read_queue(int fd, int queue, uint32_t *ret_seq)
{
	socklen_t len = sizeof(*ret_seq);
	int r = set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	if (r == 0 && getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, ret_seq, &len) < 0)
		r = -errno;
	/* What is written to the send queue would not leave. */
	set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	return r;
}

/* How often the numbers have gone round since the connection began, which both ends must see alike
 * whenever they look: so it is counted from its real beginning. (By one byte that may be wrong, for
 * the SYN; that makes a difference for a connection whose first number is 0.) */
static int find_extensions(int fd, struct kernel_tcp_ao_repair *ret)
{
	for (int i = 0; i < LOOKS_MAX; i++) {
		uint64_t acked[2], received[2];
		uint32_t written = 0, next = 0, unacked;
		int r = sock_get_progress(fd, &acked[0], &received[0]);

		if (r == 0)
			r = read_queue(fd, TCP_SEND_QUEUE, &written);
		if (r == 0)
			r = read_queue(fd, TCP_RECV_QUEUE, &next);
		unacked = sock_unacked(fd);
		if (r == 0)
			r = sock_get_progress(fd, &acked[1], &received[1]);
		if (r < 0)
			return r;
		if (acked[0] != acked[1] || received[0] != received[1])
			continue;
		ret->snd_sne = ((uint32_t)(written - unacked - acked[0]) + acked[0]) >> 32;
		ret->rcv_sne = ((uint32_t)(next - received[0]) + received[0]) >> 32;
		return 0;
	}
	return -EAGAIN;
}

static int set_extensions(int fd, struct kernel_tcp_ao_repair *repair)
{
	for (int i = 0; i < LOOKS_MAX; i++) {
		struct kernel_tcp_ao_repair now = *repair;
		int r = setsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_REPAIR, repair, sizeof(*repair));

		r = r < 0 ? -errno : find_extensions(fd, &now);
		if (r < 0)
			return r;
		/* From here on the kernel counts. */
		if (now.snd_sne == repair->snd_sne && now.rcv_sne == repair->rcv_sne)
			return 0;
		*repair = now;
	}
	return -EAGAIN;
}

static int give_key(int fd, const struct addr *peer, const struct tcp_ao_key *key,
		    struct kernel_tcp_ao_repair *repair)
{
	int r = find_extensions(fd, repair);

	if (r == 0)
		r = tcp_ao_add_first_key(fd, peer, key);
	if (r < 0)
		return r;
	/* What the kernel acknowledges between these two calls, has a MAC that is wrong. And a
	 * connection cannot lose its TCP-AO again. */
	return set_extensions(fd, repair) < 0 ? -ENOTRECOVERABLE : 0;
}

/* Leaving repair makes the port nobody else's, as if SO_REUSEADDR had been switched off. */
static int begin_repair(int fd, int *ret_reuse)
{
	socklen_t len = sizeof(*ret_reuse);

	if (getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ret_reuse, &len) < 0)
		return -errno;
	return set(fd, IPPROTO_TCP, TCP_REPAIR, 1);
}

static int end_repair(int fd, int reuse)
{
	int r = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);

	set(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
	return r;
}

int tcp_ao_turn_on(int fd, const struct addr *peer, const struct tcp_ao_key *key, uint32_t send_isn,
		   uint32_t recv_isn)
{
	struct kernel_tcp_ao_repair repair = {.snt_isn = htonl(send_isn),
					      .rcv_isn = htonl(recv_isn)};
	int reuse, r = begin_repair(fd, &reuse);

	if (r < 0)
		return r;
	r = give_key(fd, peer, key, &repair);
	return end_repair(fd, reuse) < 0 ? -ENOTRECOVERABLE : r;
}

int tcp_ao_may_turn_on(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	_cleanup_close_ int other = socket(peer->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct kernel_tcp_ao_repair repair = {};
	int reuse, r = other < 0 ? -errno : tcp_ao_add_key(other, peer, key);

	if (r < 0)
		return r;
	r = begin_repair(fd, &reuse);
	if (r < 0)
		return r;
	r = find_extensions(fd, &repair);
	return end_repair(fd, reuse) < 0 ? -ENOTRECOVERABLE : r;
}
