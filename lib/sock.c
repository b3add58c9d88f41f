// SPDX-License-Identifier: Apache-2.0
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* AF_INET, AF_INET6, or -errno. */
static int family_of(int fd)
{
	int family;
	socklen_t len = sizeof(family);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ? -errno : family;
}

int sock_set_nonblock_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int sock_set_nodelay(int fd)
{
	return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int sock_set_keepalive(int fd, unsigned idle, unsigned interval, unsigned count)
{
	int r;

	if (!idle)
		return set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
	r = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
	if (r == 0)
		r = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval);
	if (r == 0)
		r = set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
	if (r == 0)
		r = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	return r;
}

int sock_set_user_timeout(int fd, unsigned seconds)
{
	if (seconds > INT32_MAX / 1000)
		return -EINVAL;
	return set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
}

int sock_set_ttl(int fd, uint8_t ttl)
{
	int family = family_of(fd);

	if (family < 0)
		return family;
	if (family == AF_INET6)
		return set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl ? ttl : -1);
	return set_int(fd, IPPROTO_IP, IP_TTL, ttl ? ttl : -1);
}

int sock_set_min_ttl(int fd, uint8_t ttl)
{
	int family = family_of(fd);

	if (family < 0)
		return family;
	if (family == AF_INET6)
		return set_int(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl);
	return set_int(fd, IPPROTO_IP, IP_MINTTL, ttl);
}

int sock_set_tcp_md5(int fd, const struct addr *peer, const char *key)
{
	struct tcp_md5sig md5 = {};
	size_t len = key ? strlen(key) : 0;
	int option = TCP_MD5SIG;
	int r;

	if ((key && !len) || len > TCP_MD5SIG_MAXKEYLEN)
		return -EINVAL;
	if (addr_is_prefix(peer)) {
		option = TCP_MD5SIG_EXT;
		md5.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
		md5.tcpm_prefixlen = peer->prefixlen;
	}
	/* Not addr_to_sockaddr(): the kernel compares the address alone, and it may be no single
	 * host. */
	if (peer->family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&md5.tcpm_addr;

		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, peer->bytes, 16);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&md5.tcpm_addr;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, peer->bytes, 4);
	}
	md5.tcpm_keylen = len;
	if (len)
		memcpy(md5.tcpm_key, key, len);
	r = setsockopt(fd, IPPROTO_TCP, option, &md5, sizeof(md5)) < 0 ? -errno : 0;
	explicit_bzero(&md5, sizeof(md5));
	return r;
}

int sock_bind_device(int fd, const char *ifname)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, strlen(ifname)) < 0 ? -errno : 0;
}

int sock_set_notsent_lowat(int fd, unsigned bytes)
{
	return set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

int sock_set_buffers(int fd, int send, int receive)
{
	int r = 0;

	if (send)
		r = set_int(fd, SOL_SOCKET, SO_SNDBUF, send);
	if (r == 0 && receive)
		r = set_int(fd, SOL_SOCKET, SO_RCVBUF, receive);
	return r;
}

int sock_set_reset_on_close(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ? -errno : 0;
}

int sock_set_no_wait_on_close(int fd)
{
	struct linger linger;
	socklen_t len = sizeof(linger);

	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) < 0)
		return -errno;
	/* A reset does not wait; another holder may be about to cause one. */
	return linger.l_onoff && linger.l_linger ? sock_set_reset_on_close(fd) : 0;
}

int sock_error(int fd)
{
	int error;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

size_t sock_unacked(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int n;

	/* A reset connection keeps its counters: what they call unacknowledged will never be
	 * acknowledged. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE)
		return 0;
	return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? n : 0;
}

/* What Debian 12's netinet/tcp.h does not know of struct tcp_info. */
struct longer_tcp_info {
	struct tcp_info known;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
};
_Static_assert(offsetof(struct longer_tcp_info, bytes_acked) == 120, "kernel's layout");

int sock_get_progress(int fd, uint64_t *ret_acked, uint64_t *ret_received)
{
	struct longer_tcp_info info = {};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*ret_acked = info.bytes_acked;
	*ret_received = info.bytes_received;
	return 0;
}

int sock_get_connection(int fd, struct sock_connection *ret)
{
	struct sock_connection c = {};
	struct sockaddr_storage local, peer;
	socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int r;

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	if ((r = addr_from_socket(fd, &local, &c.local, &c.local_port)) < 0 ||
	    (r = addr_from_socket(fd, &peer, &c.peer, &c.peer_port)) < 0)
		return r;
	c.rtt_us = info.tcpi_rtt;
	c.retransmits = info.tcpi_total_retrans;
	c.mss = info.tcpi_snd_mss;
	c.unacked = sock_unacked(fd);
	*ret = c;
	return 0;
}

int sock_set_shared(int fd)
{
	return set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

static int make_bound(const struct addr *at, uint16_t port, bool is_shared, int *ret_fd)
{
	struct sockaddr_storage ss;
	int len = addr_to_sockaddr(at, port, &ss);
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (len < 0)
		return len;
	fd = socket(at->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	if (at->family == AF_INET6)
		r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && is_shared)
		r = sock_set_shared(fd);
	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int sock_bound(const struct addr *at, uint16_t port, int *ret_fd)
{
	return make_bound(at, port, false, ret_fd);
}

int sock_bound_beside(const struct addr *at, uint16_t port, int *ret_fd)
{
	return make_bound(at, port, true, ret_fd);
}

int sock_listener(const struct addr *at, uint16_t port, int backlog, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int r = sock_bound(at, port, &fd);

	if (r < 0)
		return r;
	if (listen(fd, backlog) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

union control {
	char space[CMSG_SPACE(SOCK_FDS_MAX * sizeof(int))];
	struct cmsghdr head;
};

ssize_t sock_send_fds(int fd, const struct iovec *parts, size_t n_parts, const int *fds,
		      size_t n_fds)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts};
	union control control = {};
	ssize_t n;

	if (n_fds > SOCK_FDS_MAX)
		return -EINVAL;
	if (n_fds) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* All that came, also what nobody asked for. Returns how many. */
static size_t take_fds(struct msghdr *msg, int fds[static SOCK_FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t in_this = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < in_this && n < SOCK_FDS_MAX; i++, n++)
			memcpy(&fds[n], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return n;
}

ssize_t sock_receive_fds(int fd, void *buf, size_t len, int *ret_fds, size_t max, size_t *ret_n)
{
	struct iovec part = {buf, len};
	union control control;
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	int fds[SOCK_FDS_MAX];
	size_t n_fds;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	n_fds = take_fds(&msg, fds);
	if (n_fds > max || msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		close_all(fds, n_fds);
		return -EMSGSIZE;
	}
	memcpy(ret_fds, fds, n_fds * sizeof(int));
	*ret_n = n_fds;
	return n;
}
