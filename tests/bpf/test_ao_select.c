// SPDX-License-Identifier: Apache-2.0
/*
 * Which listener of one port a connection comes to: whole handshakes, segment by segment, from
 * behind a tunnel device. For a kernel without TCP-AO, which ignores the option; one that has it
 * judges the keys as well, and is for tests/unit/test_ao.c. Needs root.
 */
#include "ao.h"
#include "ao_select.h"
#include "sock.h"
#include "botls/bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/ioctl.h>

#define PORT	8179
#define KIND	2 /* the listener with a key, of those that there may be */
#define AO_LEN	16
#define SOON_MS 5000
#define TRIES	5

/* What a SYN has behind its header, padded to words by the test. */
static const uint8_t without[] = {2, 4, 5, 0xb4, 4, 2, 1, 1};
static const uint8_t with[] = {2, 4, 5, 0xb4, 29, AO_LEN, 0, 0,	 1,  2,
			       3, 4, 5, 6,    7,  8,	  9, 10, 11, 12};
static const uint8_t padded[] = {1, 1, 1, 1, 29, AO_LEN, 0, 0,	1,  2,
				 3, 4, 5, 6, 7,	 8,	 9, 10, 11, 12};
/* 40 bytes, as many as there can be. */
static const uint8_t last[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,  0,  1,      0, 0,
			       0, 0, 1, 3,    3, 7, 1, 1,  1, 1,  29, AO_LEN, 0, 0,
			       1, 2, 3, 4,    5, 6, 7, 8,  9, 10, 11, 12};
static const uint8_t behind_end[] = {0, 29, AO_LEN, 0};
static const uint8_t in_other[] = {253, 6, 29, AO_LEN, 0, 0, 1, 1};
static const uint8_t no_length[] = {253, 0, 29, AO_LEN};
static const uint8_t too_long[] = {253, 200, 29, AO_LEN};
static const uint8_t cut[] = {1, 1, 1, 253};

static int tun = -1;
static struct ao_select *chooser;
static int plain[2], keyed[2];

static const struct place {
	sa_family_t family;
	const char *own, *peer, *prefix, *elsewhere;
} places[2] = {
	{AF_INET, "198.51.100.1", "198.51.100.2", "198.51.100.0/25", "198.51.100.130"},
	{AF_INET6, "2001:db8:5::1", "2001:db8:5::2", "2001:db8:5::/112", "2001:db8:5::1:2"},
};

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

/* --- segments
 * -----------------------------------------------------------------------------------------------------
 */

static uint32_t sum_of(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : p[i] << 8;
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static size_t put_ip(uint8_t *packet, const struct addr *from, const struct addr *to, size_t len)
{
	struct iphdr ip4 = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	struct ip6_hdr ip6 = {.ip6_vfc = 6 << 4};

	if (from->family == AF_INET) {
		ip4.tot_len = htons(sizeof(ip4) + len);
		memcpy(&ip4.saddr, from->bytes, 4);
		memcpy(&ip4.daddr, to->bytes, 4);
		ip4.check = checksum(sum_of(&ip4, sizeof(ip4), 0));
		memcpy(packet, &ip4, sizeof(ip4));
		return sizeof(ip4);
	}
	ip6.ip6_plen = htons(len);
	ip6.ip6_nxt = IPPROTO_TCP;
	ip6.ip6_hlim = 64;
	memcpy(&ip6.ip6_src, from->bytes, 16);
	memcpy(&ip6.ip6_dst, to->bytes, 16);
	memcpy(packet, &ip6, sizeof(ip6));
	return sizeof(ip6);
}

struct segment {
	struct addr from, to;
	uint16_t port;
	uint32_t seq, ack;
	bool is_ack; /* else SYN */
	const uint8_t *options;
	size_t options_len;
};

static void send_segment(const struct segment *s)
{
	size_t len = sizeof(struct tcphdr) + s->options_len,
	       address = s->from.family == AF_INET ? 4 : 16;
	struct tcphdr tcp = {
		.source = htons(s->port),
		.dest = htons(PORT),
		.seq = htonl(s->seq),
		.ack_seq = htonl(s->ack),
		.doff = len / 4,
		.syn = !s->is_ack,
		.ack = s->is_ack,
		.window = htons(65535),
	};
	uint8_t packet[128];
	size_t at = put_ip(packet, &s->from, &s->to, len);
	uint32_t sum = IPPROTO_TCP + len;

	assert_int_equal(s->options_len % 4, 0);
	memcpy(packet + at + sizeof(tcp), s->options, s->options_len);
	sum = sum_of(s->from.bytes, address, sum_of(s->to.bytes, address, sum));
	sum = sum_of(packet + at + sizeof(tcp), s->options_len, sum_of(&tcp, sizeof(tcp), sum));
	tcp.check = checksum(sum);
	memcpy(packet + at, &tcp, sizeof(tcp));
	assert_int_equal(write(tun, packet, at + len), at + len);
}

/* What the router says to that port: 1 SYN-ACK, 0 RST, -1 nothing. */
static int read_answer(uint16_t port, int ms, struct tcphdr *ret)
{
	struct pollfd p = {.fd = tun, .events = POLLIN};
	uint8_t packet[2048];

	while (poll(&p, 1, ms) > 0) {
		ssize_t n = read(tun, packet, sizeof(packet));
		bool is_v4 = packet[0] >> 4 == 4;
		size_t at = is_v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);

		if (n < (ssize_t)(at + sizeof(*ret)) || packet[is_v4 ? 9 : 6] != IPPROTO_TCP)
			continue;
		memcpy(ret, packet + at, sizeof(*ret));
		if (ntohs(ret->dest) == port)
			return ret->syn && ret->ack;
	}
	return -1;
}

static bool has_connection(int listener, int ms)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int fd;

	if (poll(&p, 1, ms) <= 0)
		return false;
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	sock_set_reset_on_close(fd);
	close(fd);
	return true;
}

enum where { NOWHERE, PLAIN, KEYED };

/* Where a connection with these options ends up. */
static enum where comes_to(int at, const char *from, const uint8_t *options, size_t len)
{
	static uint16_t port = 20000;
	struct segment s = {
		.from = addr(from),
		.to = addr(places[at].own),
		.port = ++port,
		.seq = 1000,
		.options = options,
		.options_len = len,
	};
	struct pollfd both[2] = {{.fd = plain[at], .events = POLLIN},
				 {.fd = keyed[at], .events = POLLIN}};
	struct tcphdr answer;
	int r = -1;

	/* As a TCP would, when one is lost. */
	for (int i = 0; i < TRIES && r < 0; i++) {
		send_segment(&s);
		r = read_answer(port, SOON_MS / TRIES, &answer);
	}
	if (r <= 0)
		return NOWHERE;
	s.is_ack = true;
	s.seq++;
	s.ack = ntohl(answer.seq) + 1;
	send_segment(&s);
	assert_int_equal(poll(both, 2, SOON_MS), 1);
	return has_connection(plain[at], 0)   ? PLAIN
	       : has_connection(keyed[at], 0) ? KEYED
					      : NOWHERE;
}

/* --- the stage
 * ----------------------------------------------------------------------------------------------------
 */

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int make_listener(int at, bool is_first)
{
	struct addr any = {.family = places[at].family, .prefixlen = at ? 128 : 32};
	int fd;

	assert_int_equal((is_first ? sock_bound : sock_bound_beside)(&any, PORT, &fd), 0);
	assert_int_equal(sock_set_shared(fd), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int setup(void **state)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	struct errtext e;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(tun >= 0);
	strcpy(ifr.ifr_name, "t0");
	assert_int_equal(ioctl(tun, TUNSETIFF, &ifr), 0);
	run("ip address add 198.51.100.1/24 dev t0 && ip address add 2001:db8:5::1/64 dev t0 nodad "
	    "&& "
	    "ip link set lo up && ip link set t0 up");
	if (ao_select_new(&chooser, &e) < 0)
		fail_msg("%s", e.text);
	for (int i = 0; i < 2; i++) {
		plain[i] = make_listener(i, true);
		assert_int_equal(ao_select_attach(chooser, places[i].family, plain[i]), 0);
		keyed[i] = make_listener(i, false);
		assert_int_equal(ao_select_add(chooser, places[i].family, KIND, keyed[i]), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		close(plain[i]);
		cleanup_close(&keyed[i]);
	}
	ao_select_free(TAKE(chooser));
	close(tun);
	return 0;
}

static void set(const char *const *sources, size_t n, bool may_go_without)
{
	struct addr addrs[4];
	struct ao_select_entry entries[4];

	for (size_t i = 0; i < n; i++) {
		addrs[i] = addr(sources[i]);
		entries[i] = (struct ao_select_entry){&addrs[i], KIND, may_go_without};
	}
	assert_int_equal(ao_select_set(chooser, entries, n), 0);
}

#define COMES(at, from, options) comes_to(at, from, options, sizeof(options))

/* --- tests
 * ----------------------------------------------------------------------------------------------------------
 */

static void who_is_not_listed_comes_to_the_first(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(COMES(i, places[i].peer, without), PLAIN);
		assert_int_equal(COMES(i, places[i].peer, with), PLAIN);
	}
}

static void the_option_decides_where_it_may_be_missing(void **state)
{
	(void)state;
	set((const char *[]){places[0].peer, places[1].peer}, 2, true);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(COMES(i, places[i].peer, with), KEYED);
		assert_int_equal(COMES(i, places[i].peer, without), PLAIN);
		assert_int_equal(COMES(i, places[i].elsewhere, with), PLAIN);
	}
}

/* The key then drops what comes without; here there is none. */
static void who_must_have_it_never_comes_to_the_first(void **state)
{
	(void)state;
	set((const char *[]){places[0].prefix, places[1].prefix}, 2, false);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(COMES(i, places[i].peer, with), KEYED);
		assert_int_equal(COMES(i, places[i].peer, without), KEYED);
		assert_int_equal(COMES(i, places[i].elsewhere, without), PLAIN);
	}
}

static void cookies(void **state)
{
	run("sysctl -qw net.ipv4.tcp_syncookies=2");
	the_option_decides_where_it_may_be_missing(state);
	who_must_have_it_never_comes_to_the_first(state);
}

static void options_of_every_shape(void **state)
{
	const char *peer = places[0].peer;

	(void)state;
	set(&peer, 1, true);
	assert_int_equal(COMES(0, peer, padded), KEYED);
	assert_int_equal(COMES(0, peer, last), KEYED);
	assert_int_equal(comes_to(0, peer, NULL, 0), PLAIN);
	assert_int_equal(COMES(0, peer, behind_end), PLAIN);
	assert_int_equal(COMES(0, peer, in_other), PLAIN);
	assert_int_equal(COMES(0, peer, no_length), PLAIN);
	assert_int_equal(COMES(0, peer, too_long), PLAIN);
	assert_int_equal(COMES(0, peer, cut), PLAIN);
}

static void a_new_table_takes_the_place_of_the_old_one(void **state)
{
	const char *const two[] = {places[0].peer, places[1].peer};

	(void)state;
	set(two, 2, true);
	set(two + 1, 1, true);
	assert_int_equal(COMES(0, places[0].peer, with), PLAIN);
	assert_int_equal(COMES(1, places[1].peer, with), KEYED);
	set(two + 1, 1, false);
	assert_int_equal(COMES(1, places[1].peer, without), KEYED);
	set(two, 0, true);
	assert_int_equal(COMES(1, places[1].peer, with), PLAIN);
}

/* Not to any other one that happens to be there. */
static void a_listener_that_is_gone_refuses(void **state)
{
	const char *peer = places[0].peer;

	(void)state;
	set(&peer, 1, true);
	close(TAKE_FD(keyed[0]));
	assert_int_equal(COMES(0, peer, with), NOWHERE);
	assert_int_equal(COMES(0, peer, without), PLAIN);
	keyed[0] = make_listener(0, false);
	assert_int_equal(ao_select_add(chooser, AF_INET, KIND, keyed[0]), 0);
	assert_int_equal(COMES(0, peer, with), KEYED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_not_listed_comes_to_the_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_option_decides_where_it_may_be_missing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_must_have_it_never_comes_to_the_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(cookies, setup, teardown),
		cmocka_unit_test_setup_teardown(options_of_every_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_table_takes_the_place_of_the_old_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_listener_that_is_gone_refuses, setup, teardown),
	};

	if (ao_probe()) {
		print_message("skipped: this kernel has TCP-AO, and there are no keys here\n");
		return 77;
	}
	if (access("/dev/net/tun", R_OK | W_OK) < 0 &&
	    (system("modprobe -q tun") != 0 || access("/dev/net/tun", R_OK | W_OK) < 0)) {
		print_message("skipped: no tunnel device here (/dev/net/tun)\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
