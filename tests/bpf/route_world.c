// SPDX-License-Identifier: Apache-2.0
#include "route_world.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <cmocka.h>

void run(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("%s", command);
}

const char *output_of(const char *fmt, ...)
{
	static char buf[4096];
	char command[1024];
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	f = popen(command, "r");
	assert_non_null(f);
	buf[fread(buf, 1, sizeof(buf) - 1, f)] = '\0';
	pclose(f);
	return buf;
}

struct addr parse(const char *text)
{
	struct errtext e;
	struct addr a;

	if (addr_parse(text, &a, &e) < 0)
		fail_msg("%s", e.text);
	return a;
}

static int this_netns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void enter(int netns)
{
	assert_int_equal(setns(netns, CLONE_NEWNET), 0);
}

static int trap_open(const char *ifname)
{
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(ifname),
	};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

static void addresses(int which)
{
	run("ip addr add 192.0.2.%d/24 dev eth0 && ip addr add 2001:db8::%d/64 dev eth0 nodad && "
	    "ip addr add fe80::%d/64 dev eth0 nodad && ip addr add fe80::%d/64 dev eth1 nodad",
	    which, which, which, which);
}

void world_make(struct world *w)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	w->peer = this_netns();
	run("ip link set lo up");
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	w->router = this_netns();
	run("ip link set lo up");
	for (int i = 0; i < 2; i++) {
		run("ip link add eth%d type veth peer name eth%d netns /proc/%d/fd/%d", i, i,
		    getpid(), w->peer);
		run("ip link set eth%d addrgenmode none && ip link set eth%d up", i, i);
		enter(w->peer);
		run("ip link set eth%d addrgenmode none && ip link set eth%d up", i, i);
		enter(w->router);
	}
	addresses(1);
	enter(w->peer);
	addresses(2);
	w->trap[0] = trap_open("eth0");
	w->trap[1] = trap_open("eth1");
	enter(w->router);
	/* IPv6 routes come with the carrier. */
	run("for i in $(seq 1500); do ip -6 route get fe80::2 oif eth0 && ip -6 route get fe80::2 "
	    "oif eth1 && "
	    "ip -6 route get 2001:db8::2 && exit 0; sleep 0.02; done >/dev/null 2>&1; exit 1");
}

void world_done(struct world *w)
{
	close(w->trap[0]);
	close(w->trap[1]);
	close(w->router);
	close(w->peer);
}

static bool is_bgp(const uint8_t *p, ssize_t n)
{
	const struct iphdr *ip = (const struct iphdr *)p;
	uint16_t ports[2];
	ssize_t offset;

	if (n < (ssize_t)sizeof(*ip))
		return false;
	offset = ip->version == 4 ? ip->ihl * 4 : (ssize_t)sizeof(struct ip6_hdr);
	if ((ip->version == 4 ? ip->protocol : p[6]) != IPPROTO_TCP || n < offset + 4)
		return false;
	memcpy(ports, p + offset, sizeof(ports));
	return ports[0] == htons(179) || ports[1] == htons(179);
}

unsigned wire_packets(struct world *w)
{
	unsigned n = 0;

	for (int i = 0; i < 2; i++) {
		uint8_t buf[256] __attribute__((aligned(8)));
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t got;

		while ((got = recvfrom(w->trap[i], buf, sizeof(buf), 0, (struct sockaddr *)&from,
				       &len)) >= 0) {
			n += from.sll_pkttype != PACKET_OUTGOING && is_bgp(buf, got);
			len = sizeof(from);
		}
	}
	return n;
}

static int socket_for(int family, const struct endpoint *p, const char *peer)
{
	int on = 1, fd;

	setfsuid(p->uid);
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setfsuid(0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (p->device) {
		assert_int_equal(
			setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, p->device, strlen(p->device)),
			0);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &on, sizeof(on)), 0);
	}
	if (p->min_ttl && family == AF_INET)
		assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MINTTL, &p->min_ttl, sizeof(int)),
				 0);
	if (p->min_ttl && family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */,
					    &p->min_ttl, sizeof(int)),
				 0);
	if (p->password) {
		struct addr a = parse(p->password_peer ? p->password_peer : peer);
		struct tcp_md5sig sig = {.tcpm_keylen = strlen(p->password)};
		struct sockaddr_storage ss;

		assert_true(addr_to_sockaddr(&a, 0, &ss) > 0);
		memcpy(&sig.tcpm_addr, &ss, sizeof(ss));
		memcpy(sig.tcpm_key, p->password, sig.tcpm_keylen);
		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof(sig)), 0);
	}
	return fd;
}

static void bind_to(int fd, const char *from, uint16_t port)
{
	struct addr a = parse(from);
	struct sockaddr_storage ss;
	int len = addr_to_sockaddr(&a, port, &ss);

	assert_true(len > 0);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		fail_msg("bind %s port %u: %s", from, port, strerror(errno));
}

int listen_at(struct world *w, int family, uint16_t port, const struct endpoint *p)
{
	int fd;

	if (p->at_peer)
		enter(w->peer);
	fd = socket_for(family, p, NULL);
	bind_to(fd, p->from ? p->from : family == AF_INET ? "0.0.0.0" : "::", port);
	assert_int_equal(listen(fd, 16), 0);
	enter(w->router);
	return fd;
}

int connect_to(struct world *w, const char *to, uint16_t port, const struct endpoint *p, int ms)
{
	struct addr a = parse(to);
	struct sockaddr_storage ss;
	struct pollfd wait = {.events = POLLOUT};
	socklen_t len = sizeof(int);
	int fd, r, error = 0;

	if (p->at_peer)
		enter(w->peer);
	fd = socket_for(a.family, p, to);
	if (p->from)
		bind_to(fd, p->from, p->from_port);
	r = addr_to_sockaddr(&a, port, &ss);
	assert_true(r > 0);
	r = connect(fd, (struct sockaddr *)&ss, r) < 0 ? -errno : 0;
	enter(w->router);
	if (r == -EINPROGRESS) {
		wait.fd = fd;
		if (poll(&wait, 1, ms) == 0) {
			r = -ETIMEDOUT;
		} else {
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
			r = -error;
		}
	}
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int accept_within(int fd, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int got;

	if (poll(&wait, 1, ms) == 0)
		return -ETIMEDOUT;
	got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return got < 0 ? -errno : got;
}

void expect_name(int fd, int (*get)(int, struct sockaddr *, socklen_t *), const char *addr,
		 int port)
{
	struct addr want = parse(addr), got;
	struct sockaddr_storage ss = {};
	socklen_t len = sizeof(ss);
	char buf[ADDR_STRLEN];
	uint16_t got_port;

	assert_int_equal(get(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &got, &got_port), 0);
	if (!addr_equal(&got, &want))
		fail_msg("address %s instead of %s", addr_format(&got, buf), addr);
	if (port)
		assert_int_equal(got_port, port);
}

static void expect_bytes(int from, int to)
{
	struct pollfd wait = {.fd = to, .events = POLLIN};
	char buf[16] = {};

	assert_int_equal(send(from, "hello", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(poll(&wait, 1, 2000), 1);
	assert_int_equal(recv(to, buf, sizeof(buf), 0), 5);
	assert_string_equal(buf, "hello");
}

void expect_talk(int a, int b)
{
	expect_bytes(a, b);
	expect_bytes(b, a);
}

unsigned long long netns_cookie(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &cookie, &len), 0);
	return cookie;
}
