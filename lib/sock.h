/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket options by name. All return 0 or -errno, and none owns a descriptor unless it says so.
 */
#ifndef BOTLS_SOCK_H
#define BOTLS_SOCK_H

#include "addr.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;

int sock_set_nonblock_cloexec(int fd);
int sock_set_nodelay(int fd);
/* Seconds; idle 0: no keepalive. */
int sock_set_keepalive(int fd, unsigned idle, unsigned interval, unsigned count);
/* Seconds that sent bytes may stay unacknowledged, 0: the system's default (TCP_USER_TIMEOUT, RFC
 * 5482). */
int sock_set_user_timeout(int fd, unsigned seconds);

/* TTL or hop limit sent, and the lowest one accepted (RFC 5082); 0: the system's default, no check.
 * Of the socket's own family only: a dual-stack IPv6 socket would let IPv4 pass unchecked. Both are
 * inherited by accept(). */
int sock_set_ttl(int fd, uint8_t ttl);
int sock_set_min_ttl(int fd, uint8_t ttl);

/* RFC 2385: segments from and to `peer`, a host or a prefix, must carry the digest. A NULL key
 * takes it away again. -EINVAL: the key is longer than 80 bytes or empty. */
int sock_set_tcp_md5(int fd, const struct addr *peer, const char *key);

int sock_bind_device(int fd, const char *ifname); /* an interface or a VRF; "": none */
/* Bytes that may wait unsent before the socket stops being writable (TCP_NOTSENT_LOWAT). */
int sock_set_notsent_lowat(int fd, unsigned bytes);
int sock_set_buffers(int fd, int send, int receive); /* 0: leave it to the system's tuning */
/* close() sends RST and drops what was not sent. */
int sock_set_reset_on_close(int fd);
/* close() does not wait, whatever its other holders have made of the socket (SO_LINGER). */
int sock_set_no_wait_on_close(int fd);

/* The pending error as -errno, 0 when there is none. Asking clears it. */
int sock_error(int fd);
/* Bytes sent that the other end's TCP has not acknowledged (the FIN counts as one); nothing once
 * the connection is gone. */
size_t sock_unacked(int fd);

/* Bytes of the stream that the other end's TCP has acknowledged, and that have come from it, since
 * the connection began (the SYN of who connected counts as one). */
int sock_get_progress(int fd, uint64_t *ret_acked, uint64_t *ret_received);

/* What the kernel says about a connection. -ENOTCONN: there is none. */
struct sock_connection {
	struct addr local, peer;
	uint16_t local_port, peer_port;
	uint32_t rtt_us;      /* smoothed; 0: not measured yet */
	uint32_t retransmits; /* segments, since the beginning */
	uint32_t mss;	      /* of what we send */
	size_t unacked;	      /* sock_unacked() */
};
int sock_get_connection(int fd, struct sock_connection *ret);

/* A TCP socket bound to `at` (an address of zeros: any) and `port`: non-blocking, close-on-exec,
 * SO_REUSEADDR, IPv6 without IPv4. The second one also listens. *ret_fd is the caller's. */
int sock_bound(const struct addr *at, uint16_t port, int *ret_fd);
int sock_listener(const struct addr *at, uint16_t port, int backlog, int *ret_fd);
/* Others may be bound where this one is, if they say so as well: SO_REUSEPORT. */
int sock_set_shared(int fd);
/* As sock_bound(), beside those that share the place. */
int sock_bound_beside(const struct addr *at, uint16_t port, int *ret_fd);

/* Descriptors that go with one message over a Unix socket (SCM_RIGHTS). */
#define SOCK_FDS_MAX 4
/* sendmsg() that never waits: how many bytes left, or -errno. The descriptors, if any, went with
 * the first of them, and stay the caller's. */
ssize_t sock_send_fds(int fd, const struct iovec *parts, size_t n_parts, const int *fds,
		      size_t n_fds);
/* recvmsg() that never waits: how many bytes came (0: the end), or -errno; -EMSGSIZE when the
 * message is longer than `len` or had more than `max` descriptors. Those that came, close-on-exec,
 * are the caller's; on failure none is left open. */
ssize_t sock_receive_fds(int fd, void *buf, size_t len, int *ret_fds, size_t max, size_t *ret_n);

#endif
