// SPDX-License-Identifier: Apache-2.0
/* steering = route between real sockets in two namespaces. Needs root and bpffs; every test has a
 * fresh pair of them. */
#include "route_world.h"
#include "steering.h"
#include "botls/botls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SOON	 20000 /* ms: what must come */
#define NOT_SOON 300   /* ms: what must not come; a SYN is sent at once */
#define NOBODY	 65534
#define SHOW_ALL                                                                                   \
	"for f in -4 -6; do ip $f rule; ip $f route show table 8179; ip $f route show table "      \
	"8180; done 2>/dev/null"

struct fixture {
	struct world w;
	struct config config;
	char *users[1];
	struct steering *s;
	unsigned n_items;
	char bad[2048];
	char pins[64];
};

static void start(struct fixture *f)
{
	struct errtext e = {};

	if (steering_new(&f->config, &f->s, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(steering_name(f->s), "route");
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	world_make(&f->w);
	snprintf(f->pins, sizeof(f->pins), BOTLS_BPFFS_PATH "/botls/%llu", netns_cookie());
	f->users[0] = (char *)"root";
	f->config = (struct config){
		.steering = STEERING_ROUTE,
		.tls_port = BOTLS_PORT_TLS,
		.inner_port = BOTLS_PORT_INNER,
		.daemon_users = f->users,
		.n_daemon_users = 1,
		.user = (char *)"nobody",
		.bpffs = (char *)BOTLS_BPFFS_PATH,
	};
	start(f);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct errtext e = {};

	if (f->s) {
		if (steering_remove(f->s, &e) < 0)
			print_error("teardown: %s\n", e.text);
		steering_free(f->s);
	}
	world_done(&f->w);
	free(f);
	return 0;
}

static struct steering_entry entry(const char *neighbor, const char *own)
{
	struct steering_entry e = {
		.neighbor = parse(neighbor), .is_required = true, .may_connect = true};

	if (own)
		e.own = parse(own);
	return e;
}

static int try_apply(struct fixture *f, const struct steering_entry *entries, size_t n)
{
	struct errtext e = {};

	return steering_apply(f->s, entries, n, &e);
}

static void apply(struct fixture *f, const struct steering_entry *entries, size_t n)
{
	struct errtext e = {};

	if (steering_apply(f->s, entries, n, &e) < 0)
		fail_msg("steering_apply: %s", e.text);
}

/* The pair's usual three neighbors, of which `changed` replaces the one of the same address. */
static void apply_usual(struct fixture *f, const struct steering_entry *changed)
{
	struct steering_entry e[] = {
		entry("192.0.2.2", "192.0.2.1"),
		entry("2001:db8::2", "2001:db8::1"),
		entry("fe80::2%eth0", "fe80::1%eth0"),
	};

	for (size_t i = 0; changed && i < ARRAY_SIZE(e); i++)
		if (addr_equal(&e[i].neighbor, &changed->neighbor))
			e[i] = *changed;
	apply(f, e, ARRAY_SIZE(e));
}

static const struct {
	const char *own, *neighbor;
	int family;
} pairs[] = {
	{"192.0.2.1", "192.0.2.2", AF_INET},
	{"2001:db8::1", "2001:db8::2", AF_INET6},
	{"fe80::1%eth0", "fe80::2%eth0", AF_INET6},
};

static void on_item(void *arg, const struct steering_item *item)
{
	struct fixture *f = arg;
	size_t used = strlen(f->bad);

	f->n_items++;
	if (item->state != STEERING_OK)
		snprintf(f->bad + used, sizeof(f->bad) - used, "%s %s: %s, %s\n", item->kind,
			 item->name, steering_state_name(item->state), item->detail);
}

static int check(struct fixture *f)
{
	struct steering_counters counters;

	f->n_items = 0;
	f->bad[0] = '\0';
	return steering_check(f->s, on_item, f, &counters);
}

static void expect_sound(struct fixture *f)
{
	if (check(f) != 0)
		fail_msg("steering_check:\n%s%s", f->bad, output_of(SHOW_ALL));
}

static struct steering_counters counters(struct fixture *f)
{
	struct steering_counters c = {};

	steering_check(f->s, NULL, NULL, &c);
	return c;
}

static int accept_steered(struct fixture *f, int ms)
{
	size_t n;
	const int *fds = steering_listeners(f->s, &n);
	int fd;

	for (int waited = 0; waited <= ms; waited += 10)
		for (size_t i = 0; i < n; i++) {
			fd = accept_within(fds[i], i == 0 ? 10 : 0);
			if (fd >= 0)
				return fd;
		}
	return -ETIMEDOUT;
}

static void expect_steered_to(struct fixture *f, const char *neighbor, const char *own,
			      const struct endpoint *p)
{
	int daemon = connect_to(&f->w, neighbor, 179, p, SOON), shim;

	if (daemon < 0)
		fail_msg("connect to %s: %s\n%s", neighbor, strerror(-daemon), output_of(SHOW_ALL));
	shim = accept_steered(f, SOON);
	assert_true(shim >= 0);
	expect_name(shim, getsockname, neighbor, 179);
	expect_name(shim, getpeername, own, 0);
	expect_name(daemon, getpeername, neighbor, 179);
	expect_name(daemon, getsockname, own, 0);
	expect_talk(daemon, shim);
	close(daemon);
	close(shim);
	assert_int_equal(wire_packets(&f->w), 0);
}

/* Neither steered nor on the wire, nor at the daemon's own listener. */
static void expect_closed(struct fixture *f, const char *neighbor, const struct endpoint *p)
{
	int family = parse(neighbor).family;
	int own = listen_at(&f->w, family, 179, &(struct endpoint){});
	int r = connect_to(&f->w, neighbor, 179, p, NOT_SOON);

	if (r >= 0)
		fail_msg("connect to %s was successful", neighbor);
	assert_int_equal(accept_steered(f, 0), -ETIMEDOUT);
	assert_int_equal(accept_within(own, 0), -ETIMEDOUT);
	close(own);
	assert_int_equal(wire_packets(&f->w), 0);
}

static void expect_inner_to(struct fixture *f, const char *neighbor, const char *own,
			    const struct endpoint *listener)
{
	struct addr from = parse(neighbor), to = parse(own);
	struct errtext e = {};
	int family = from.family, l = listen_at(&f->w, family, 179, listener), shim, daemon;

	if (steering_connect_inner(f->s, &to, &from, &shim, &e) < 0)
		fail_msg("connect_inner to %s: %s", own, e.text);
	daemon = accept_within(l, SOON);
	if (daemon < 0)
		fail_msg("no connection from %s at the daemon", neighbor);
	expect_name(daemon, getpeername, neighbor, 0);
	expect_name(daemon, getsockname, own, 179);
	expect_talk(daemon, shim);
	close(daemon);
	close(shim);
	close(l);
	assert_int_equal(wire_packets(&f->w), 0);
}

/* The trap itself: without steering it must catch. */
static void test_trap_catches(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		int l = listen_at(&f->w, pairs[i].family, 179, &(struct endpoint){.at_peer = 1});
		int fd = connect_to(&f->w, pairs[i].neighbor, 179, &(struct endpoint){}, SOON);

		assert_true(fd >= 0);
		assert_true(wire_packets(&f->w) > 0);
		close(fd);
		close(l);
		wire_packets(&f->w);
	}
	assert_int_equal(accept_steered(f, 0), -ETIMEDOUT);
}

static void test_connect(void **state)
{
	struct fixture *f = *state;

	apply_usual(f, NULL);
	expect_sound(f);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own,
				  &(struct endpoint){.device = "eth0"});
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own,
				  &(struct endpoint){.from = pairs[i].own});
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own,
				  &(struct endpoint){.from = pairs[i].own, .device = "eth0"});
	}
	assert_int_equal(counters(f).connects_steered, 12);
	assert_int_equal(counters(f).connects_refused_closed, 0);
}

static void test_connect_from_another_address(void **state)
{
	struct fixture *f = *state;

	run("ip addr add 203.0.113.1/32 dev lo && ip addr add 2001:db8:1::1/128 dev lo");
	apply_usual(f, NULL);
	expect_steered_to(f, "192.0.2.2", "203.0.113.1", &(struct endpoint){.from = "203.0.113.1"});
	expect_steered_to(f, "2001:db8::2", "2001:db8:1::1",
			  &(struct endpoint){.from = "2001:db8:1::1"});
	/* An address that the configuration names goes before what the main table would say. */
	apply(f,
	      (struct steering_entry[]){entry("192.0.2.2", "203.0.113.1"),
					entry("2001:db8::2", "2001:db8:1::1")},
	      2);
	expect_steered_to(f, "192.0.2.2", "203.0.113.1", &(struct endpoint){});
	expect_steered_to(f, "2001:db8::2", "2001:db8:1::1", &(struct endpoint){});
	expect_sound(f);
}

static void test_multihop(void **state)
{
	struct fixture *f = *state;

	run("ip route add 198.51.100.0/24 via 192.0.2.2 && ip route add 2001:db8:2::/48 via "
	    "2001:db8::2");
	apply(f,
	      (struct steering_entry[]){entry("198.51.100.9", "192.0.2.1"),
					entry("2001:db8:2::9", "2001:db8::1")},
	      2);
	expect_steered_to(f, "198.51.100.9", "192.0.2.1", &(struct endpoint){});
	expect_steered_to(f, "2001:db8:2::9", "2001:db8::1", &(struct endpoint){});
	/* Other neighbors are none of our business. */
	assert_int_equal(connect_to(&f->w, "192.0.2.2", 179, &(struct endpoint){}, SOON),
			 -ECONNREFUSED);
	assert_true(wire_packets(&f->w) > 0);
}

static void test_same_linklocal_at_two_interfaces(void **state)
{
	struct fixture *f = *state;

	apply(f,
	      (struct steering_entry[]){entry("fe80::2%eth0", "fe80::1%eth0"),
					entry("fe80::2%eth1", "fe80::1%eth1")},
	      2);
	expect_sound(f);
	expect_steered_to(f, "fe80::2%eth0", "fe80::1%eth0", &(struct endpoint){});
	expect_steered_to(f, "fe80::2%eth1", "fe80::1%eth1", &(struct endpoint){.device = "eth1"});
	expect_inner_to(f, "fe80::2%eth1", "fe80::1%eth1", &(struct endpoint){});
	apply(f, (struct steering_entry[]){entry("fe80::2%eth1", "fe80::1%eth1")}, 1);
	expect_sound(f);
	expect_steered_to(f, "fe80::2%eth1", "fe80::1%eth1", &(struct endpoint){});
	assert_int_equal(connect_to(&f->w, "fe80::2%eth0", 179, &(struct endpoint){}, SOON),
			 -ECONNREFUSED);
	assert_true(wire_packets(&f->w) > 0);
}

static void test_other_users(void **state)
{
	struct fixture *f = *state;

	apply_usual(f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){.uid = NOBODY});
		expect_closed(f, pairs[i].neighbor,
			      &(struct endpoint){.uid = NOBODY, .device = "eth0"});
	}
	steering_free(f->s);
	f->users[0] = (char *)"nobody";
	start(f);
	apply_usual(f, NULL);
	expect_sound(f);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own,
				  &(struct endpoint){.uid = NOBODY});
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){});
	}
}

static void test_closed(void **state)
{
	struct fixture *f = *state;
	struct steering_entry e[ARRAY_SIZE(pairs)];

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		e[i] = entry(pairs[i].neighbor, pairs[i].own);
		e[i].may_connect = false;
	}
	apply(f, e, ARRAY_SIZE(e));
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){});
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){.device = "eth0"});
		expect_inner_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
	}
	assert_true(counters(f).connects_refused_closed >= 6);

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		e[i] = entry(pairs[i].neighbor, NULL);
	apply(f, e, ARRAY_SIZE(e));
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){});
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){.device = "eth0"});
	}
	expect_sound(f);
}

static void test_inner(void **state)
{
	struct fixture *f = *state;

	apply_usual(f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_inner_to(f, pairs[i].neighbor, pairs[i].own,
				&(struct endpoint){.min_ttl = 255});
		expect_inner_to(f, pairs[i].neighbor, pairs[i].own,
				&(struct endpoint){.from = pairs[i].own});
		expect_inner_to(f, pairs[i].neighbor, pairs[i].own,
				&(struct endpoint){.device = "eth0"});
	}
	assert_int_equal(counters(f).accepts_mapped, 9);
}

static void test_inner_refused(void **state)
{
	struct fixture *f = *state;

	apply_usual(f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct addr from = parse(pairs[i].neighbor), to = parse(pairs[i].own);
		int fd = -1, error = 0;
		socklen_t len = sizeof(error);
		struct errtext e;
		int r = steering_connect_inner(f->s, &to, &from, &fd, &e);

		if (r == 0) {
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
			r = -error;
			close(fd);
		}
		assert_int_equal(r, -ECONNREFUSED);
	}
	assert_int_equal(wire_packets(&f->w), 0);
}

/* More connections at once than one random port would do. */
static void test_inner_many(void **state)
{
	struct addr from = parse("192.0.2.2"), to = parse("192.0.2.1");
	struct fixture *f = *state;
	int l, fds[128];

	apply_usual(f, NULL);
	l = listen_at(&f->w, AF_INET, 179, &(struct endpoint){});
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct errtext e = {};
		int daemon;

		if (steering_connect_inner(f->s, &to, &from, &fds[i], &e) < 0)
			fail_msg("connection %zu: %s", i, e.text);
		daemon = accept_within(l, SOON);
		assert_true(daemon >= 0);
		/* Our end closes first and keeps the port for a while. */
		close(fds[i]);
		close(daemon);
	}
	close(l);
}

static void test_password(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct steering_entry e = entry(pairs[i].neighbor, pairs[i].own);
		struct endpoint right = {.password = "secret", .device = "eth0"},
				wrong = {.password = "other"};
		struct endpoint listener = {
			.password = "secret", .password_peer = pairs[i].neighbor, .min_ttl = 255};

		e.inner_tcp_md5 = "secret";
		apply_usual(f, &e);
		expect_sound(f);
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &right);
		expect_closed(f, pairs[i].neighbor, &wrong);
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){});
		expect_inner_to(f, pairs[i].neighbor, pairs[i].own, &listener);

		e.inner_tcp_md5 = "other";
		apply_usual(f, &e);
		expect_sound(f);
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &wrong);
		expect_closed(f, pairs[i].neighbor, &right);

		apply_usual(f, NULL);
		expect_sound(f);
		expect_closed(f, pairs[i].neighbor, &right);
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
	}
}

/* The descriptors that a worker holds stay good when other neighbors change. */
static void test_listeners_stay(void **state)
{
	struct fixture *f = *state;
	struct steering_entry e[] = {entry("192.0.2.2", "192.0.2.1"),
				     entry("2001:db8::2", "2001:db8::1")};
	int before[8];
	const int *fds;
	size_t n;

	e[0].inner_tcp_md5 = "secret";
	apply(f, e, 1);
	fds = steering_listeners(f->s, &n);
	assert_int_equal(n, 3);
	memcpy(before, fds, n * sizeof(int));
	e[1].inner_tcp_md5 = "other";
	apply(f, e, 2);
	fds = steering_listeners(f->s, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(fds, before, 3 * sizeof(int));
	apply(f, e + 1, 1);
	fds = steering_listeners(f->s, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(fds, before, 2 * sizeof(int));
}

static void enter_peer_address(struct fixture *f, const char *address)
{
	run("nsenter --net=/proc/%d/fd/%d ip addr add %s dev eth0", getpid(), f->w.peer, address);
}

static void test_prefix(void **state)
{
	struct fixture *f = *state;
	struct steering_entry e[] = {
		entry("192.0.2.0/25", NULL),
		entry("2001:db8::/64", NULL),
		entry("192.0.2.7", "192.0.2.1"),
	};

	int l, fd;

	e[0].may_connect = e[1].may_connect = false;
	apply(f, e, ARRAY_SIZE(e));
	expect_sound(f);
	expect_inner_to(f, "192.0.2.2", "192.0.2.1", &(struct endpoint){});
	expect_inner_to(f, "192.0.2.99", "192.0.2.1", &(struct endpoint){});
	expect_inner_to(f, "2001:db8::abcd", "2001:db8::1", &(struct endpoint){});
	expect_closed(f, "192.0.2.2", &(struct endpoint){});
	expect_closed(f, "2001:db8::2", &(struct endpoint){});
	expect_steered_to(f, "192.0.2.7", "192.0.2.1", &(struct endpoint){});
	/* Our own address is in the prefix, and neighbors outside of it still reach the daemon
	 * there. */
	enter_peer_address(f, "192.0.2.200/24");
	l = listen_at(&f->w, AF_INET, 179, &(struct endpoint){});
	fd = connect_to(&f->w, "192.0.2.1", 179,
			&(struct endpoint){.at_peer = 1, .from = "192.0.2.200"}, SOON);
	assert_true(fd >= 0);
	close(fd);
	close(l);
}

/* The shim is gone, or the rules, or all but the guard: nothing leaves. */
static void test_fail_closed(void **state)
{
	static const char *const losses[] = {
		"for i in 1 2 3 4 5; do ip rule del pref 180; ip -6 rule del pref 180; done "
		"2>/dev/null; true",
		"ip route flush table 8179 && ip -6 route flush table 8179",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		apply_usual(f, NULL);
		expect_sound(f);
		run("%s", losses[i]);
		for (size_t j = 0; j < ARRAY_SIZE(pairs); j++) {
			expect_closed(f, pairs[j].neighbor, &(struct endpoint){});
			expect_closed(f, pairs[j].neighbor, &(struct endpoint){.device = "eth0"});
		}
		assert_true(check(f) > 0);
	}
	apply_usual(f, NULL);
	expect_sound(f);
	steering_free(f->s);
	f->s = NULL;
	for (size_t j = 0; j < ARRAY_SIZE(pairs); j++) {
		int own = listen_at(&f->w, pairs[j].family, 179, &(struct endpoint){});

		assert_true(connect_to(&f->w, pairs[j].neighbor, 179, &(struct endpoint){},
				       NOT_SOON) < 0);
		assert_int_equal(accept_within(own, 0), -ETIMEDOUT);
		close(own);
	}
	assert_int_equal(wire_packets(&f->w), 0);
	start(f);
}

static void test_restart(void **state)
{
	struct fixture *f = *state;

	apply_usual(f, NULL);
	steering_free(f->s);
	/* What a predecessor may have left behind, and what is not ours although it looks like it.
	 */
	run("ip route add local 198.51.100.9 dev eth0 table 8179 proto 179 && "
	    "ip -6 route add local 2001:db8:9::9 dev lo metric 2000 table 8179 proto 179 && "
	    "ip route add unreachable 198.51.100.10 table 8179 proto 179 && "
	    "ip rule add pref 77 iif lo ipproto tcp dport 179 uidrange 7-9 lookup 8179 proto 179 "
	    "&& "
	    "ip rule add pref 180 to 198.51.100.0/24 lookup 55 proto 179 && "
	    "ip -6 rule add pref 181 from 2001:db8::/32 lookup 55 proto 179 && "
	    "ip rule del pref 180 sport 179 && "
	    "ip rule add pref 180 from 10.0.0.0/8 iif lo ipproto tcp sport 179 lookup 8179 proto "
	    "179 && "
	    "ip rule del pref 180 dport 179 uidrange 0-0 && "
	    "ip rule add pref 180 fwmark 7 iif lo ipproto tcp dport 179 uidrange 0-0 lookup 8179 "
	    "proto 179 && "
	    "ip route del local 192.0.2.2 dev eth0 table 8179 && "
	    "ip route add 192.0.2.2 dev eth0 scope host src 192.0.2.1 metric 1000 table 8179 proto "
	    "179 && "
	    "ip rule add pref 180 iif lo ipproto tcp dport 180 lookup 8179 && "
	    "ip route add local 198.51.100.11 dev lo table 8179 && "
	    "ip route add local 198.51.100.9 dev eth0 table 8190 proto 179");
	start(f);
	apply(f,
	      (struct steering_entry[]){entry("192.0.2.2", "192.0.2.1"),
					entry("192.0.2.3", "192.0.2.1")},
	      2);
	expect_sound(f);
	assert_string_equal(
		output_of("ip rule | grep -v 'lookup \\(local\\|main\\|default\\)' | sed 's/[ "
			  "\t]*$//' | sort"),
		"180:\tfrom all iif lo ipproto tcp dport 180 lookup 8179\n"
		"180:\tfrom all iif lo ipproto tcp sport 179 lookup 8179 proto 179\n"
		"180:\tfrom all iif lo uidrange 0-0 ipproto tcp dport 179 lookup 8179 proto 179\n"
		"181:\tfrom all iif lo ipproto tcp nop proto 179\n");
	assert_string_equal(
		output_of("ip route show table 8179 | sed 's/[ \t]*$//'"),
		"local 192.0.2.2 dev eth0 proto 179 scope host src 192.0.2.1 metric 1000\n"
		"local 192.0.2.2 dev lo proto 179 scope host src 192.0.2.1 metric 2000\n"
		"local 192.0.2.3 dev eth0 proto 179 scope host src 192.0.2.1 metric 1000\n"
		"local 192.0.2.3 dev lo proto 179 scope host src 192.0.2.1 metric 2000\n"
		"local 198.51.100.11 dev lo scope host\n");
	assert_string_equal(output_of("ip -6 rule; ip -6 route show table 8179"),
			    "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n");
	expect_steered_to(f, "192.0.2.2", "192.0.2.1", &(struct endpoint){});
	expect_steered_to(f, "192.0.2.3", "192.0.2.1", &(struct endpoint){.device = "eth0"});
	assert_non_null(strstr(output_of("ip route show table 8190"), "198.51.100.9"));
}

#define FLAP                                                                                       \
	"ip link set eth0 down && ip link set eth0 up && ip addr add 2001:db8::1/64 dev eth0 "     \
	"nodad && "                                                                                \
	"ip addr add fe80::1/64 dev eth0 nodad"
#define WAIT_FOR_CARRIER                                                                           \
	"for i in $(seq 1500); do ip -6 route get fe80::2 oif eth0 && exit 0; sleep 0.02; done "   \
	">/dev/null 2>&1; exit 1"

static void test_repair(void **state)
{
	static const char *const harm[] = {
		"ip rule del pref 180", /* %s is the folder of pins */
		"ip -6 rule del pref 181",
		"ip route flush table 8179",
		"ip -6 route flush table 8179",
		FLAP,
		"ip addr del 192.0.2.1/24 dev eth0 && ip addr add 192.0.2.1/24 dev eth0",
		"ip addr del 2001:db8::1/64 dev eth0 && ip addr add 2001:db8::1/64 dev eth0 nodad",
		"rm %s/lookup",
		"ip rule add pref 5 iif lo ipproto tcp sport 179 lookup 8179 proto 179",
	};
	struct fixture *f = *state;

	apply_usual(f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(harm); i++) {
		struct errtext e = {};

		run(harm[i], f->pins);
		if (check(f) == 0)
			fail_msg("steering_check does not see: %s", harm[i]);
		if (steering_repair(f->s, &e) < 0)
			fail_msg("steering_repair: %s", e.text);
		if (check(f) != 0)
			fail_msg("after '%s' and the repair:\n%s", harm[i], f->bad);
		run(WAIT_FOR_CARRIER);
		for (size_t j = 0; j < ARRAY_SIZE(pairs); j++)
			expect_steered_to(f, pairs[j].neighbor, pairs[j].own,
					  &(struct endpoint){.device = "eth0"});
	}
}

/* The interface is down when the configuration is loaded: no error, closed, and good after the
 * repair. */
static void test_link_down_at_start(void **state)
{
	struct fixture *f = *state;
	struct errtext e = {};

	run("ip link set eth0 down");
	apply_usual(f, NULL);
	assert_true(check(f) > 0);
	run(FLAP);
	run(WAIT_FOR_CARRIER);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_closed(f, pairs[i].neighbor, &(struct endpoint){.device = "eth0"});
	if (steering_repair(f->s, &e) < 0)
		fail_msg("%s", e.text);
	expect_sound(f);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own,
				  &(struct endpoint){.device = "eth0"});
}

/* IPv6 forgets the routes of an interface that goes down: what is not bound to it is still steered.
 */
static void test_interface_comes_and_goes(void **state)
{
	struct fixture *f = *state;

	run("ip addr add 2001:db8:1::1/128 dev lo");
	apply(f, (struct steering_entry[]){entry("2001:db8::2", "2001:db8:1::1")}, 1);
	run(FLAP);
	run(WAIT_FOR_CARRIER);
	assert_int_equal(check(f), 1);
	assert_non_null(strstr(f->bad, "dev eth0"));
	expect_steered_to(f, "2001:db8::2", "2001:db8:1::1", &(struct endpoint){});
	expect_closed(f, "2001:db8::2", &(struct endpoint){.device = "eth0"});
}

/* A route of somebody else is in the way: refused, and the state before goes on. */
static void test_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct steering_entry good[] = {entry("192.0.2.2", "192.0.2.1"),
					entry("192.0.2.3", "192.0.2.1")};
	struct steering_entry bad[] = {entry("192.0.2.2", "192.0.2.1"),
				       entry("192.0.2.4", "192.0.2.1")};
	char *before;

	good[0].inner_tcp_md5 = "secret";
	bad[0].inner_tcp_md5 = "changed";
	apply(f, good, 2);
	run("ip route add local 192.0.2.4 dev lo metric 2000 table 8179");
	before = strdup(output_of(SHOW_ALL));
	assert_int_equal(try_apply(f, bad, 2), -EEXIST);
	assert_string_equal(output_of(SHOW_ALL), before);
	free(before);
	expect_sound(f);
	expect_steered_to(f, "192.0.2.2", "192.0.2.1", &(struct endpoint){.password = "secret"});
	expect_steered_to(f, "192.0.2.3", "192.0.2.1", &(struct endpoint){});
	/* Not guarded either: refused by the neighbor itself. */
	run("ip route del local 192.0.2.4 dev lo metric 2000 table 8179");
	wire_packets(&f->w);
	assert_int_equal(
		connect_to(&f->w, "192.0.2.4", 179, &(struct endpoint){.device = "eth0"}, 50),
		-ETIMEDOUT);
	apply(f, bad, 2);
	expect_sound(f);
	expect_steered_to(f, "192.0.2.2", "192.0.2.1", &(struct endpoint){.password = "changed"});
	expect_steered_to(f, "192.0.2.4", "192.0.2.1", &(struct endpoint){});
}

/* preferred: both ends may speak in clear while it is allowed, and steering goes on beside it. */
static void test_clear(void **state)
{
	struct fixture *f = *state;
	struct steering_entry e[] = {entry("192.0.2.2", "192.0.2.1"),
				     entry("2001:db8::2", "2001:db8::1")};

	run("for i in all eth0; do sysctl -qw net.ipv4.conf.$i.rp_filter=1; done");
	for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
		struct addr own = parse(pairs[i].own), neighbor = parse(pairs[i].neighbor);
		int l = listen_at(&f->w, pairs[i].family, 179, &(struct endpoint){});
		int theirs, ours, pl, r;
		struct sockaddr_storage ss;

		e[i].is_required = false;
		apply(f, e, ARRAY_SIZE(e));
		theirs = connect_to(&f->w, pairs[i].own, 179, &(struct endpoint){.at_peer = 1},
				    NOT_SOON);
		assert_true(theirs < 0);
		e[i].allow_clear = true;
		apply(f, e, ARRAY_SIZE(e));
		expect_sound(f);
		theirs = connect_to(&f->w, pairs[i].own, 179, &(struct endpoint){.at_peer = 1},
				    SOON);
		if (theirs < 0)
			fail_msg("from %s in clear: %s\n%s", pairs[i].neighbor, strerror(-theirs),
				 output_of(SHOW_ALL));
		ours = accept_within(l, SOON);
		assert_true(ours >= 0);
		expect_talk(theirs, ours);
		assert_int_equal(steering_clear_count(f->s, &neighbor), 1);
		close(theirs);
		close(ours);
		close(l);
		wire_packets(&f->w);

		/* Our own socket, with the daemon's uid; the daemon's is still steered. */
		pl = listen_at(&f->w, pairs[i].family, 179, &(struct endpoint){.at_peer = 1});
		ours = socket(pairs[i].family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		r = addr_to_sockaddr(&own, 0, &ss);
		assert_int_equal(bind(ours, (struct sockaddr *)&ss, r), 0);
		r = steering_connect_clear(f->s, ours, &neighbor);
		if (r < 0 && r != -EINPROGRESS)
			fail_msg("connect_clear: %s", strerror(-r));
		theirs = accept_within(pl, SOON);
		assert_true(theirs >= 0);
		expect_talk(theirs, ours);
		assert_true(wire_packets(&f->w) > 0);
		close(theirs);
		close(ours);
		close(pl);
		wire_packets(&f->w);
		expect_sound(f);
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
		expect_inner_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
		e[i].allow_clear = false;
		e[i].is_required = true;
	}
	apply(f, e, ARRAY_SIZE(e));
	expect_sound(f);
	for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
		int l = listen_at(&f->w, pairs[i].family, 179, &(struct endpoint){});

		assert_true(connect_to(&f->w, pairs[i].own, 179, &(struct endpoint){.at_peer = 1},
				       NOT_SOON) < 0);
		assert_int_equal(accept_within(l, 0), -ETIMEDOUT);
		close(l);
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
	}
	assert_string_equal(output_of("ip rule show pref 179; ip -6 rule show pref 179"), "");
}

/* All that there may be of us in this namespace. */
static char *traces(struct fixture *f)
{
	char *text = strdup(output_of(
		SHOW_ALL
		"; ls %s 2>/dev/null; bpftool link | grep netns_ino.$(stat -Lc %%i "
		"/proc/self/ns/net);"
		"tc qdisc show; tc filter show dev eth0 ingress; tc filter show dev eth0 egress;"
		"ss -Hltn",
		f->pins));

	assert_non_null(text);
	return text;
}

/* Every attempt in clear has a rule of its own; old ones make room. */
static void test_clear_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct steering_entry e = entry("192.0.2.2", "192.0.2.1");
	struct sockaddr_storage ss;
	int fd = -1, len;

	e.is_required = false;
	apply(f, &e, 1);
	len = addr_to_sockaddr(&e.own, 0, &ss);
	for (int i = 0; i < 12; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
		assert_int_equal(steering_connect_clear(f->s, fd, &e.neighbor), -EINPROGRESS);
		if (i < 11)
			close(fd);
	}
	assert_string_equal(output_of("ip rule show pref 179 | wc -l"), "8\n");
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, (socklen_t *)&len), 0);
	assert_string_equal(output_of("ip rule show pref 179 | grep -c 'sport %u '",
				      ntohs(((struct sockaddr_in *)&ss)->sin_port)),
			    "1\n");
	close(fd);
	expect_sound(f);
	e.is_required = true;
	apply(f, &e, 1);
	assert_string_equal(output_of("ip rule show pref 179"), "");
	e.is_required = false;
	apply(f, &e, 1);
	assert_string_equal(output_of("ip rule show pref 179"), "");
	e.is_required = true;
	apply(f, &e, 1);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	len = addr_to_sockaddr(&e.own, 0, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(steering_connect_clear(f->s, fd, &e.neighbor), -EPERM);
	close(fd);
}

static void test_remove(void **state)
{
	struct fixture *f = *state;
	char *before, *during, *after;
	struct errtext e = {};

	assert_int_equal(steering_remove(f->s, &e), 0);
	steering_free(f->s);
	before = traces(f);
	start(f);
	apply_usual(f, NULL);
	during = traces(f);
	assert_non_null(strstr(during, "lookup 8179"));
	assert_non_null(strstr(during, "local 192.0.2.2"));
	assert_non_null(strstr(during, "sk_lookup"));
	if (steering_remove(f->s, &e) < 0)
		fail_msg("%s", e.text);
	after = traces(f);
	assert_null(strstr(after, "sk_lookup"));
	free(after);
	steering_free(f->s);
	f->s = NULL;
	after = traces(f);
	assert_string_equal(after, before);
	free(before);
	free(during);
	free(after);
	assert_int_equal(connect_to(&f->w, "192.0.2.2", 179, &(struct endpoint){}, SOON),
			 -ECONNREFUSED);
	assert_true(wire_packets(&f->w) > 0);
}

/* From one mechanism to the other and back: what the first one programmed goes. */
static void test_change_of_mechanism(void **state)
{
	struct fixture *f = *state;
	struct errtext e = {};

	apply_usual(f, NULL);
	steering_free(f->s);
	f->config.steering = STEERING_CGROUP;
	if (steering_new(&f->config, &f->s, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(steering_name(f->s), "cgroup");
	assert_string_equal(output_of("for f in -4 -6; do ip $f rule; ip $f route show table 8179; "
				      "done 2>/dev/null | grep 179"),
			    "");
	assert_string_equal(output_of("ls %s/lookup 2>/dev/null", f->pins), "");
	steering_free(f->s);
	f->config.steering = STEERING_ROUTE;
	start(f);
	apply_usual(f, NULL);
	expect_sound(f);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_steered_to(f, pairs[i].neighbor, pairs[i].own, &(struct endpoint){});
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_trap_catches),
		TEST(test_connect),
		TEST(test_connect_from_another_address),
		TEST(test_multihop),
		TEST(test_same_linklocal_at_two_interfaces),
		TEST(test_other_users),
		TEST(test_closed),
		TEST(test_inner),
		TEST(test_inner_refused),
		TEST(test_inner_many),
		TEST(test_password),
		TEST(test_listeners_stay),
		TEST(test_prefix),
		TEST(test_fail_closed),
		TEST(test_restart),
		TEST(test_repair),
		TEST(test_link_down_at_start),
		TEST(test_interface_comes_and_goes),
		TEST(test_all_or_nothing),
		TEST(test_clear),
		TEST(test_clear_is_bounded),
		TEST(test_remove),
		TEST(test_change_of_mechanism),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root for network namespaces and BPF\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
