/* SPDX-License-Identifier: Apache-2.0 */
#include "netlab.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <time.h>

#define PLACES 3
#define PORTS  8

struct seen {
	uint16_t port;
	unsigned packets, data;
};

static int namespaces[PLACES], home = -1, captures[2];
static struct seen seen[PORTS];

static void fatal(const char *what)
{
	perror(what);
	exit(1);
}

void netlab_enter(enum netlab_place place)
{
	if (setns(namespaces[place], CLONE_NEWNET) < 0)
		fatal("setns");
}

void netlab_run(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0) {
		fprintf(stderr, "failed: %s\n", command);
		exit(1);
	}
}

static void namespace_make(enum netlab_place place)
{
	if (unshare(CLONE_NEWNET) < 0)
		fatal("unshare");
	namespaces[place] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (namespaces[place] < 0)
		fatal("/proc/self/ns/net");
	netlab_run("ip link set lo up && sysctl -qw net.ipv6.conf.default.accept_dad=0 "
		   "net.ipv6.conf.default.addr_gen_mode=1 net.ipv6.conf.all.forwarding=%d "
		   "net.ipv4.ip_forward=%d",
		   place == ROUTER, place == ROUTER);
}

static void link_make(const char *here, const char *there, enum netlab_place place,
		      const char *net4, const char *net6)
{
	netlab_enter(ROUTER);
	netlab_run("ip link add %s type veth peer name %s netns /proc/%d/fd/%d", here, there,
		   getpid(), namespaces[place]);
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? here : there;

		if (i == 1)
			netlab_enter(place);
		netlab_run("ip addr add %s.%d/24 dev %s && ip addr add %s::%d/64 dev %s nodad && "
			   "ip addr add fe80::%d/64 dev %s nodad && ip link set %s up",
			   net4, i + 1, name, net6, i + 1, name, i + 1, name, name);
	}
	netlab_run("ip route add default via %s.1 && ip -6 route add default via %s::1", net4,
		   net6);
}

/* The kernel readies IPv6 addresses from a work queue, late on a busy machine: until then neighbor
 * discovery has no answer. A refused connection says that both ends are there. */
static void reach(enum netlab_place place, const char *to)
{
	for (int i = 0; i < 40; i++) {
		if (netlab_connect(place, NULL, to, 1, NULL) == -ECONNREFUSED)
			return;
	}
	fprintf(stderr, "%s cannot be reached\n", to);
	exit(1);
}

static int capture_open(enum netlab_place place)
{
	int fd, size = 4 << 20;

	netlab_enter(place);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (fd < 0)
		fatal("AF_PACKET");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

void netlab_start(void)
{
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	namespace_make(PEER);
	namespace_make(THIRD);
	namespace_make(ROUTER);
	link_make("r0", "p0", PEER, "192.0.2", "2001:db8");
	link_make("r1", "t0", THIRD, "198.51.100", "2001:db8:1");
	captures[0] = capture_open(PEER);
	captures[1] = capture_open(THIRD);
	reach(ROUTER, "192.0.2.2");
	reach(ROUTER, "2001:db8::2");
	reach(ROUTER, "fe80::2%r0");
	reach(ROUTER, "198.51.100.2");
	reach(ROUTER, "2001:db8:1::2");
	reach(ROUTER, "fe80::2%r1");
	reach(PEER, "2001:db8:1::2");
	reach(PEER, "fe80::1%p0");
	netlab_forget();
	netlab_enter(ROUTER);
}

void netlab_stop(void)
{
	setns(home, CLONE_NEWNET);
	for (int i = 0; i < PLACES; i++)
		close(namespaces[i]);
	close(captures[0]);
	close(captures[1]);
}

struct addr netlab_addr(const char *text)
{
	struct errtext e;
	struct addr a;

	if (addr_parse(text, &a, &e) < 0) {
		fprintf(stderr, "%s: %s\n", text, e.text);
		exit(1);
	}
	return a;
}

static socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct addr a = netlab_addr(text);
	int len = addr_to_sockaddr(&a, port, ret);

	if (len < 0)
		fatal(text);
	return len;
}

static int socket_open(const struct sockaddr_storage *ss)
{
	struct timeval limit = {.tv_usec = 250000};
	int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fatal("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

/* What addr_parse() refuses: "::ffff:..." asks for a dual-stack socket, "fe80::2" leaves the scope
 * to the device. */
static socklen_t target_of(const char *to, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	if (strncmp(to, "::ffff:", 7) != 0 && (strncmp(to, "fe80:", 5) != 0 || strchr(to, '%')))
		return sockaddr_of(to, port, ret);
	memset(ret, 0, sizeof(*ret));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	inet_pton(AF_INET6, to, &in6->sin6_addr);
	return sizeof(*in6);
}

int netlab_connect(enum netlab_place place, const char *from, const char *to, uint16_t port,
		   const char *device)
{
	struct sockaddr_storage ss, source;
	int fd, yes = 1, r = 0;
	socklen_t len;

	netlab_enter(place);
	len = target_of(to, port, &ss);
	fd = socket_open(&ss);
	if (device && (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)) < 0 ||
		       setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &yes, sizeof(yes)) < 0))
		fatal(device);
	if (from && bind(fd, (struct sockaddr *)&source, target_of(from, 0, &source)) < 0)
		fatal(from);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		r = -errno;
	netlab_enter(ROUTER);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int netlab_listen(enum netlab_place place, const char *at, uint16_t port)
{
	struct sockaddr_storage ss;
	int fd, yes = 1, no = 0;
	socklen_t len;

	netlab_enter(place);
	len = target_of(at, port, &ss);
	fd = socket_open(&ss);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, strcmp(at, "::") == 0 ? &yes : &no,
			   sizeof(no));
	if (strcmp(at, "::ffff:0.0.0.0") == 0)
		memset(&((struct sockaddr_in6 *)&ss)->sin6_addr, 0, 16);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 64) < 0)
		fatal("listen");
	netlab_enter(ROUTER);
	return fd;
}

int netlab_accept(int listener)
{
	struct timeval limit = {.tv_usec = 250000};
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static const char *name_of(const struct sockaddr_storage *ss)
{
	static char texts[8][ADDR_STRLEN + 8];
	static unsigned next;
	char *text = texts[next++ % 8], host[ADDR_STRLEN];
	struct addr a;
	uint16_t port;

	if (addr_from_sockaddr(ss, &a, &port) < 0)
		return "?";
	snprintf(text, sizeof(texts[0]), "%s %u", addr_format(&a, host), port);
	return text;
}

const char *netlab_local(int fd)
{
	struct sockaddr_storage ss = {};
	socklen_t len = sizeof(ss);

	return getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ? strerror(errno) : name_of(&ss);
}

const char *netlab_remote(int fd)
{
	struct sockaddr_storage ss = {};
	socklen_t len = sizeof(ss);

	return getpeername(fd, (struct sockaddr *)&ss, &len) < 0 ? strerror(errno) : name_of(&ss);
}

static void see_port(uint16_t port, bool has_data)
{
	for (int i = 0; i < PORTS; i++) {
		if (seen[i].port == port || !seen[i].port) {
			seen[i].port = port;
			seen[i].packets++;
			seen[i].data += has_data;
			return;
		}
	}
}

static void see(const uint8_t *p, size_t len)
{
	size_t head = 0, total = len;
	struct tcphdr tcp;

	if (len >= 20 && p[0] >> 4 == 4 && p[9] == IPPROTO_TCP) {
		head = (p[0] & 15) * 4;
		total = p[2] << 8 | p[3];
	} else if (len >= 40 && p[0] >> 4 == 6 && p[6] == IPPROTO_TCP) {
		head = 40;
		total = 40 + (p[4] << 8 | p[5]);
	}
	if (!head || len < head + sizeof(tcp))
		return;
	memcpy(&tcp, p + head, sizeof(tcp));
	/* The well-known end only: eight slots are enough for the ports of the tests. */
	if (ntohs(tcp.dest) < 10000)
		see_port(ntohs(tcp.dest), total > head + tcp.doff * 4u);
	else if (ntohs(tcp.source) < 10000)
		see_port(ntohs(tcp.source), total > head + tcp.doff * 4u);
}

static void look(void)
{
	uint8_t packet[65536];

	for (int i = 0; i < 2; i++) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t n;

		while ((n = recvfrom(captures[i], packet, sizeof(packet), 0,
				     (struct sockaddr *)&from, &len)) >= 0) {
			/* Only what came to them: what they send themselves is no leak of the
			 * router's. */
			if (from.sll_pkttype != PACKET_OUTGOING)
				see(packet, n);
		}
	}
}

unsigned netlab_seen(uint16_t port)
{
	look();
	for (int i = 0; i < PORTS; i++) {
		if (seen[i].port == port)
			return seen[i].packets;
	}
	return 0;
}

unsigned netlab_seen_data(uint16_t port)
{
	look();
	for (int i = 0; i < PORTS; i++) {
		if (seen[i].port == port)
			return seen[i].data;
	}
	return 0;
}

/* Also what is still on its way: until nothing has come for 20 ms. */
void netlab_forget(void)
{
	struct pollfd p[2] = {{.fd = captures[0], .events = POLLIN},
			      {.fd = captures[1], .events = POLLIN}};

	for (int i = 0; i < 50; i++) {
		look();
		if (poll(p, 2, 20) == 0)
			break;
	}
	memset(seen, 0, sizeof(seen));
}

bool netlab_wait(bool (*is_done)(void *arg), void *arg)
{
	const struct timespec step = {.tv_nsec = 10000000};

	for (int i = 0; i < 200; i++) {
		if (is_done(arg))
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}
