/* SPDX-License-Identifier: Apache-2.0 */
/* Every verdict of the guard's programs, packet by packet, with BPF_PROG_TEST_RUN. */
#include "netlab.h"
#include "botls/bpf.h"
#include "botls/botls.h"
#include "guard.h"
#include "steering_table.h"

#include "guard.skel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#define TLS_PORT   8179
#define INNER_PORT 979
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static struct guard_bpf *bpf;
static int trie;

enum shape {
	PLAIN,
	OPTIONS, /* IPv4 options; IPv6 hop-by-hop and destination options */
	FIRST_FRAGMENT,
	LATER_FRAGMENT,
	NO_TCP_HEADER, /* ends before the ports */
	TOO_MANY,      /* IPv6: nine extension headers */
	UDP,
	AUTHENTICATED, /* IPv6: authentication header */
};

struct packet {
	const char *from, *to;
	uint16_t from_port, to_port;
	uint8_t hop_limit;
	enum shape shape;
};

static size_t tcp_put(uint8_t *p, const struct packet *k)
{
	struct tcphdr tcp = {
		.source = htons(k->from_port), .dest = htons(k->to_port), .doff = 5, .syn = 1};

	memcpy(p, &tcp, sizeof(tcp));
	return k->shape == NO_TCP_HEADER ? 3 : sizeof(tcp);
}

static size_t packet_put4(uint8_t *p, const struct packet *k)
{
	struct iphdr ip = {.version = 4, .ihl = k->shape == OPTIONS ? 8 : 5, .ttl = k->hop_limit};
	size_t len = ip.ihl * 4;

	ip.protocol = k->shape == UDP ? IPPROTO_UDP : IPPROTO_TCP;
	ip.frag_off = htons(k->shape == FIRST_FRAGMENT	 ? IP_MF
			    : k->shape == LATER_FRAGMENT ? 100
							 : 0);
	inet_pton(AF_INET, k->from, &ip.saddr);
	inet_pton(AF_INET, k->to, &ip.daddr);
	memset(p + sizeof(ip), 1, 12);
	len += tcp_put(p + len, k);
	ip.tot_len = htons(len);
	memcpy(p, &ip, sizeof(ip));
	return len;
}

static size_t extensions_put(uint8_t *p, const struct packet *k, uint8_t *first)
{
	size_t len = 0;

	switch (k->shape) {
	case OPTIONS:
		*first = IPPROTO_HOPOPTS;
		p[0] = IPPROTO_DSTOPTS;
		p[1] = 1;
		p[16] = IPPROTO_TCP;
		return 24;
	case TOO_MANY:
		*first = IPPROTO_DSTOPTS;
		for (; len < 9 * 8; len += 8)
			p[len] = len == 8 * 8 ? IPPROTO_TCP : IPPROTO_DSTOPTS;
		return len;
	case AUTHENTICATED:
		*first = IPPROTO_AH;
		p[0] = IPPROTO_TCP;
		p[1] = 4;
		return 24;
	case FIRST_FRAGMENT:
	case LATER_FRAGMENT:
		*first = IPPROTO_FRAGMENT;
		p[0] = IPPROTO_TCP;
		p[2] = k->shape == LATER_FRAGMENT;
		p[3] = k->shape == FIRST_FRAGMENT;
		return 8;
	case UDP: *first = IPPROTO_UDP; return 0;
	case PLAIN:
	case NO_TCP_HEADER: break;
	}
	*first = IPPROTO_TCP;
	return 0;
}

static size_t packet_put6(uint8_t *p, const struct packet *k)
{
	struct ip6_hdr ip = {.ip6_flow = htonl(6U << 28), .ip6_hlim = k->hop_limit};
	size_t len = sizeof(ip);

	inet_pton(AF_INET6, k->from, &ip.ip6_src);
	inet_pton(AF_INET6, k->to, &ip.ip6_dst);
	len += extensions_put(p + len, k, &ip.ip6_nxt);
	len += tcp_put(p + len, k);
	ip.ip6_plen = htons(len - sizeof(ip));
	memcpy(p, &ip, sizeof(ip));
	return len;
}

/* The kernel tells PACKET_HOST by it. Not from /sys: that shows the namespace that mounted it. */
static void device_address(const char *device, uint8_t ret[6])
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = {0};

	strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
	memcpy(ret, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

static int run_to(const struct bpf_program *program, const struct packet *k, const char *device,
		  bool other_machine)
{
	uint8_t frame[256] = {0};
	struct __sk_buff skb = {.ifindex = if_nametoindex(device)};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb));
	bool is_ip6 = strchr(k->from, ':');
	struct ethhdr eth = {.h_proto = htons(is_ip6 ? ETH_P_IPV6 : ETH_P_IP)};

	device_address(device, eth.h_dest);
	eth.h_dest[5] ^= other_machine;
	memcpy(frame, &eth, sizeof(eth));
	opts.data_size_in = sizeof(eth);
	opts.data_size_in +=
		is_ip6 ? packet_put6(frame + sizeof(eth), k) : packet_put4(frame + sizeof(eth), k);
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &opts) < 0)
		fail_msg("test run: %s", strerror(errno));
	return (int)opts.retval;
}

static int run(const struct bpf_program *program, const struct packet *k, const char *device)
{
	return run_to(program, k, device, false);
}

static uint64_t counted(uint32_t which)
{
	int n = libbpf_num_possible_cpus();
	uint64_t values[n], sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(bpf->maps.counters), &which, values), 0);
	for (int i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

static void set_entries(const struct steering_entry *entries, size_t n)
{
	struct table *t;
	uint32_t zero = 0;

	assert_int_equal(steering_table_new(entries, n, &t, NULL), 0);
	if (trie >= 0)
		close(trie);
	assert_int_equal(table_write(t, NULL, NULL, &trie, NULL), 0);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(bpf->maps.neighbors), &zero, &trie, BPF_ANY), 0);
	steering_table_free(t);
}

static void set_standard(void)
{
	struct steering_entry e[7] = {
		{.neighbor = netlab_addr("192.0.2.2"), .is_required = true, .min_ttl = 254},
		{.neighbor = netlab_addr("2001:db8::2"), .is_required = true, .min_ttl = 254},
		{.neighbor = netlab_addr("fe80::2%r0"), .is_required = true},
		{.neighbor = netlab_addr("198.51.100.0/28"), .is_required = true},
		{.neighbor = netlab_addr("198.51.100.9"), .allow_clear = true},
		{.neighbor = netlab_addr("198.51.100.8")}, /* preferred */
		{.neighbor = netlab_addr("2001:db8:1::/64"), .is_required = true},
	};

	e[0].own = netlab_addr("192.0.2.1");
	set_entries(e, 7);
}

#define NOT_COUNTED BOTLS_COUNTERS

struct verdict {
	struct packet packet;
	const char *device;
	enum botls_counter dropped; /* NOT_COUNTED: passes */
};

static void check_all(const struct verdict *all, size_t n, const struct bpf_program *at_cgroup,
		      const struct bpf_program *at_interface)
{
	for (size_t i = 0; i < n; i++) {
		const struct verdict *v = &all[i];
		bool drops = v->dropped != NOT_COUNTED;
		uint64_t before = drops ? counted(v->dropped) : 0;
		int cgroup = run(at_cgroup, &v->packet, v->device),
		    tc = run(at_interface, &v->packet, v->device);

		if (cgroup != !drops)
			fail_msg("cgroup, line %zu: %s %u -> %s %u: %d", i, v->packet.from,
				 v->packet.from_port, v->packet.to, v->packet.to_port, cgroup);
		if (tc != (drops ? TC_ACT_SHOT : TC_ACT_UNSPEC))
			fail_msg("tc, line %zu: %s %u -> %s %u: %d", i, v->packet.from,
				 v->packet.from_port, v->packet.to, v->packet.to_port, tc);
		if (drops)
			assert_int_equal(counted(v->dropped), before + 2);
	}
}

static void test_out(void **state)
{
	static const enum botls_counter OUT = BOTLS_COUNT_GUARD_OUT,
					INNER = BOTLS_COUNT_GUARD_INNER;
	const struct verdict all[] = {
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, PLAIN}, "r0", OUT},
		{{"192.0.2.1", "192.0.2.2", 179, 40000, 64, PLAIN}, "r0", OUT},
		{{"192.0.2.1", "192.0.2.2", 179, 179, 64, PLAIN}, "r1", OUT},
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, OPTIONS}, "r0", OUT},
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, FIRST_FRAGMENT}, "r0", OUT},
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, LATER_FRAGMENT}, "r0", NOT_COUNTED},
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, NO_TCP_HEADER}, "r0", OUT},
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, UDP}, "r0", NOT_COUNTED},
		{{"192.0.2.1", "192.0.2.2", 40000, 179, 64, PLAIN}, "lo", NOT_COUNTED},
		{{"192.0.2.1", "192.0.2.2", 40000, TLS_PORT, 64, PLAIN}, "r0", NOT_COUNTED},
		/* What we send from our TLS port with a hop limit of our own choice. */
		{{"192.0.2.1", "192.0.2.2", TLS_PORT, 40000, 1, PLAIN}, "r0", NOT_COUNTED},
		{{"192.0.2.1", "192.0.2.2", 40000, 80, 64, PLAIN}, "r0", NOT_COUNTED},
		{{"192.0.2.1", "192.0.2.3", 40000, 179, 64, PLAIN}, "r0", NOT_COUNTED},
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 64, PLAIN}, "r0", NOT_COUNTED},
		{{"192.0.2.1", "198.51.100.3", 40000, 179, 64, PLAIN}, "r1", OUT},
		{{"192.0.2.1", "198.51.100.8", 40000, 179, 64, PLAIN}, "r1", OUT},
		{{"192.0.2.1", "198.51.100.9", 40000, 179, 64, PLAIN}, "r1", NOT_COUNTED},
		{{"192.0.2.1", "198.51.100.16", 40000, 179, 64, PLAIN}, "r1", NOT_COUNTED},
		{{"2001:db8::1", "2001:db8::2", 40000, 179, 64, PLAIN}, "r0", OUT},
		{{"2001:db8::1", "2001:db8::2", 179, 40000, 64, PLAIN}, "r0", OUT},
		{{"2001:db8::1", "2001:db8::2", 40000, 179, 64, OPTIONS}, "r0", OUT},
		{{"2001:db8::1", "2001:db8::2", 40000, 179, 64, AUTHENTICATED}, "r0", OUT},
		{{"2001:db8::1", "2001:db8::2", 40000, 179, 64, FIRST_FRAGMENT}, "r0", OUT},
		{{"2001:db8::1", "2001:db8::2", 40000, 179, 64, LATER_FRAGMENT}, "r0", NOT_COUNTED},
		{{"2001:db8::1", "2001:db8::2", 40000, 80, 64, TOO_MANY}, "r0", OUT},
		{{"2001:db8::1", "2001:db8::3", 40000, 179, 64, TOO_MANY}, "r0", NOT_COUNTED},
		{{"2001:db8::1", "2001:db8::2", 40000, 80, 64, OPTIONS}, "r0", NOT_COUNTED},
		{{"2001:db8::1", "2001:db8:1::77", 40000, 179, 64, PLAIN}, "r1", OUT},
		{{"2001:db8::1", "2001:db8:2::77", 40000, 179, 64, PLAIN}, "r1", NOT_COUNTED},
		{{"fe80::1", "fe80::2", 40000, 179, 64, PLAIN}, "r0", OUT},
		{{"fe80::1", "fe80::2", 40000, 179, 64, PLAIN}, "r1", NOT_COUNTED},
		{{"192.0.2.1", "203.0.113.1", INNER_PORT, 40000, 64, PLAIN}, "r0", INNER},
		/* Somebody else's port 979 elsewhere; a steered socket is tried by test_steering.
		 */
		{{"192.0.2.1", "203.0.113.1", 40000, INNER_PORT, 64, PLAIN}, "r0", NOT_COUNTED},
	};

	(void)state;
	set_standard();
	check_all(all, sizeof(all) / sizeof(all[0]), bpf->progs.botls_guard_out,
		  bpf->progs.botls_tc_out);
}

static void test_in(void **state)
{
	static const enum botls_counter IN = BOTLS_COUNT_GUARD_IN, INNER = BOTLS_COUNT_GUARD_INNER;
	static const enum botls_counter TTL = BOTLS_COUNT_GUARD_TTL;
	const struct verdict all[] = {
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 255, PLAIN}, "r0", IN},
		{{"192.0.2.2", "192.0.2.1", 179, 40000, 255, PLAIN}, "r0", IN},
		{{"192.0.2.2", "198.51.100.1", 179, 40000, 255, PLAIN}, "r1", IN},
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 255, OPTIONS}, "r0", IN},
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 255, FIRST_FRAGMENT}, "r0", IN},
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 255, LATER_FRAGMENT}, "r0", NOT_COUNTED},
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 255, PLAIN}, "lo", NOT_COUNTED},
		{{"192.0.2.2", "192.0.2.1", 40000, 179, 255, UDP}, "r0", NOT_COUNTED},
		{{"192.0.2.3", "192.0.2.1", 40000, 179, 255, PLAIN}, "r0", NOT_COUNTED},
		{{"198.51.100.9", "192.0.2.1", 40000, 179, 255, PLAIN}, "r1", NOT_COUNTED},
		{{"198.51.100.8", "192.0.2.1", 40000, 179, 255, PLAIN}, "r1", IN},
		{{"2001:db8::2", "2001:db8::1", 40000, 179, 255, PLAIN}, "r0", IN},
		{{"2001:db8::2", "2001:db8::1", 179, 40000, 255, OPTIONS}, "r0", IN},
		{{"fe80::2", "fe80::1", 40000, 179, 255, PLAIN}, "r0", IN},
		{{"fe80::2", "fe80::1", 40000, 179, 255, PLAIN}, "r1", NOT_COUNTED},
		{{"192.0.2.2", "192.0.2.1", 40000, TLS_PORT, 255, PLAIN}, "r0", NOT_COUNTED},
		{{"192.0.2.2", "192.0.2.1", 40000, TLS_PORT, 254, PLAIN}, "r0", NOT_COUNTED},
		{{"192.0.2.2", "192.0.2.1", 40000, TLS_PORT, 253, PLAIN}, "r0", TTL},
		{{"192.0.2.2", "192.0.2.1", TLS_PORT, 40000, 253, PLAIN}, "r0", NOT_COUNTED},
		{{"2001:db8::2", "2001:db8::1", 40000, TLS_PORT, 253, PLAIN}, "r0", TTL},
		{{"2001:db8::2", "2001:db8::1", 40000, TLS_PORT, 254, OPTIONS}, "r0", NOT_COUNTED},
		{{"fe80::2", "fe80::1", 40000, TLS_PORT, 1, PLAIN}, "r0", NOT_COUNTED},
		{{"203.0.113.1", "192.0.2.1", 40000, INNER_PORT, 255, PLAIN}, "r0", INNER},
		{{"192.0.2.2", "192.0.2.1", 40000, INNER_PORT, 255, PLAIN}, "lo", NOT_COUNTED},
	};

	(void)state;
	set_standard();
	check_all(all, sizeof(all) / sizeof(all[0]), bpf->progs.botls_guard_in,
		  bpf->progs.botls_tc_in);
}

/* Routed through, from a protected neighbor to somebody behind us: not ours at an interface. */
static void test_transit_passes(void **state)
{
	const struct packet transit[] = {
		{"192.0.2.2", "198.51.100.2", 40000, 179, 64, PLAIN},
		{"192.0.2.2", "198.51.100.2", 40000, TLS_PORT, 64, PLAIN},
		{"203.0.113.1", "198.51.100.2", 40000, INNER_PORT, 64, PLAIN},
		{"2001:db8::2", "2001:db8:1::2", 40000, 179, 64, PLAIN},
		{"2001:db8::2", "2001:db8:1::2", 179, 40000, 64, OPTIONS},
	};

	(void)state;
	set_standard();
	for (size_t i = 0; i < sizeof(transit) / sizeof(transit[0]); i++)
		assert_int_equal(run(bpf->progs.botls_tc_in, &transit[i], "r0"), TC_ACT_UNSPEC);
	/* A host that does not forward has no transit: what comes is its own. */
	netlab_run("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0");
	assert_int_equal(run(bpf->progs.botls_tc_in, &transit[0], "r0"), TC_ACT_SHOT);
	assert_int_equal(run(bpf->progs.botls_tc_in, &transit[3], "r0"), TC_ACT_SHOT);
	/* Except what a bridge or a macvlan takes on to another machine. */
	assert_int_equal(run_to(bpf->progs.botls_tc_in, &transit[0], "r0", true), TC_ACT_UNSPEC);
	netlab_run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
}

static void test_settling_passes(void **state)
{
	struct botls_neighbor_key key = {.prefixlen = BOTLS_NEIGHBOR_KEY_BITS};
	const struct packet reset = {"192.0.2.1", "192.0.2.2", 40000, 179, 64, PLAIN};
	struct addr neighbor = netlab_addr("192.0.2.2");
	struct botls_neighbor value;

	(void)state;
	set_standard();
	botls_addr_from(&neighbor, &key.addr);
	assert_int_equal(bpf_map_lookup_elem(trie, &key, &value), 0);
	value.flags |= BOTLS_NEIGHBOR_SETTLING;
	assert_int_equal(bpf_map_update_elem(trie, &key, &value, BPF_ANY), 0);
	assert_int_equal(run(bpf->progs.botls_guard_out, &reset, "r0"), 1);
	assert_int_equal(run(bpf->progs.botls_tc_out, &reset, "r0"), TC_ACT_UNSPEC);
}

static void test_pending_interface(void **state)
{
	struct steering_entry e = {.neighbor = netlab_addr("fe80::2%r0"), .is_required = true};
	const struct packet out = {"fe80::1", "fe80::2", 40000, 179, 64, PLAIN};

	(void)state;
	strcpy(e.neighbor.ifname, "later0");
	set_entries(&e, 1);
	assert_int_equal(run(bpf->progs.botls_guard_out, &out, "r0"), 1);
	netlab_run("ip link add later1 type veth peer name later2");
	assert_int_equal(run(bpf->progs.botls_guard_out, &out, "later1"), 0);
	netlab_run("ip link del later1");
}

static void test_no_table_passes(void **state)
{
	const struct packet out = {"192.0.2.1", "192.0.2.2", 40000, 179, 64, PLAIN};

	(void)state;
	set_entries(NULL, 0);
	assert_int_equal(run(bpf->progs.botls_guard_out, &out, "r0"), 1);
}

/* Another namespace's packet is not ours, whatever it carries. */
static void test_other_namespace_passes(void **state)
{
	const struct packet out = {"192.0.2.1", "192.0.2.2", 40000, 179, 64, PLAIN};
	const struct packet in = {"192.0.2.2", "192.0.2.1", 40000, 179, 64, PLAIN};

	(void)state;
	set_standard();
	netlab_enter(PEER);
	assert_int_equal(run(bpf->progs.botls_guard_out, &out, "p0"), 1);
	assert_int_equal(run(bpf->progs.botls_guard_in, &in, "p0"), 1);
	netlab_enter(ROUTER);
	assert_int_equal(run(bpf->progs.botls_guard_out, &out, "r0"), 0);
}

static int group_start(void **state)
{
	socklen_t len = sizeof(uint64_t);
	int fd;

	(void)state;
	trie = -1;
	netlab_start();
	bpf = guard_bpf__open();
	assert_non_null(bpf);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE,
				    (void *)&bpf->rodata->netns_cookie, &len),
			 0);
	close(fd);
	bpf->rodata->tls_port = TLS_PORT;
	bpf->rodata->inner_port = INNER_PORT;
	assert_int_equal(guard_bpf__load(bpf), 0);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	guard_bpf__destroy(bpf);
	netlab_stop();
	return 0;
}

int main(void)
{
	if (!guard_can_cgroup()) {
		puts("SKIPPED: this kernel cannot tell network namespaces at the cgroup (Linux "
		     "6.13), so "
		     "there the guard is test_guard_tc's");
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_in),
		cmocka_unit_test(test_transit_passes),
		cmocka_unit_test(test_settling_passes),
		cmocka_unit_test(test_pending_interface),
		cmocka_unit_test(test_no_table_passes),
		cmocka_unit_test(test_other_namespace_passes),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
