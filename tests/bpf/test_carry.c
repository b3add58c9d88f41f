// SPDX-License-Identifier: Apache-2.0
/* mode = tcp-ao: how a carried neighbor's own connections reach us, and nobody else's do, with
 * either mechanism. The keys are the listeners' matter, so this needs no TCP-AO in the kernel. */
#include "botls/botls.h"
#include "pins.h"
#include "route_world.h"
#include "steering.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SOON	 20000 /* ms: what must come */
#define NOT_SOON 300   /* ms: what must not come; a SYN is sent at once */

struct fixture {
	struct world w;
	struct config config;
	char *users[1];
	struct steering *s;
	int daemon[2], carriers[2]; /* listeners: IPv4, IPv6 */
	char bad[2048];
};

static const struct {
	const char *own, *neighbor;
	int family;
} pairs[] = {
	{"192.0.2.1", "192.0.2.2", AF_INET},
	{"2001:db8::1", "2001:db8::2", AF_INET6},
	{"fe80::1%eth0", "fe80::2%eth0", AF_INET6},
};

static void start(struct fixture *f)
{
	struct errtext e = {};

	if (steering_new(&f->config, &f->s, &e) < 0)
		fail_msg("%s", e.text);
}

static void set_carriers(struct fixture *f, size_t n)
{
	struct errtext e = {};

	if (steering_set_carriers(f->s, f->carriers, n, &e) < 0)
		fail_msg("%s", e.text);
}

static void open_carriers(struct fixture *f)
{
	f->carriers[0] = listen_at(&f->w, AF_INET, BOTLS_PORT_TLS, &(struct endpoint){});
	f->carriers[1] = listen_at(&f->w, AF_INET6, BOTLS_PORT_TLS, &(struct endpoint){});
	set_carriers(f, 2);
}

static void close_carriers(struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->carriers); i++) {
		if (f->carriers[i] >= 0)
			close(f->carriers[i]);
		f->carriers[i] = -1;
	}
}

static int setup_with(void **state, enum steering_kind kind)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	world_make(&f->w);
	f->users[0] = (char *)"root";
	f->config = (struct config){
		.steering = kind,
		.tls_port = BOTLS_PORT_TLS,
		.inner_port = BOTLS_PORT_INNER,
		.daemon_users = f->users,
		.n_daemon_users = 1,
		.user = (char *)"nobody",
		.bpffs = (char *)BOTLS_BPFFS_PATH,
	};
	f->daemon[0] = listen_at(&f->w, AF_INET, BOTLS_PORT_BGP, &(struct endpoint){});
	f->daemon[1] = listen_at(&f->w, AF_INET6, BOTLS_PORT_BGP, &(struct endpoint){});
	start(f);
	open_carriers(f);
	return 0;
}

static int setup_cgroup(void **state)
{
	return setup_with(state, STEERING_CGROUP);
}

static int setup_route(void **state)
{
	return setup_with(state, STEERING_ROUTE);
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
	close_carriers(f);
	close(f->daemon[0]);
	close(f->daemon[1]);
	world_done(&f->w);
	free(f);
	return 0;
}

/* All pairs alike. */
static void apply(struct fixture *f, bool is_carried, bool may_accept)
{
	struct steering_entry all[ARRAY_SIZE(pairs)];
	struct errtext e = {};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		all[i] = (struct steering_entry){.neighbor = parse(pairs[i].neighbor),
						 .own = parse(pairs[i].own),
						 .is_required = true,
						 .may_connect = true,
						 .is_carried = is_carried,
						 .may_accept = may_accept};
	if (steering_apply(f->s, all, ARRAY_SIZE(all), &e) < 0)
		fail_msg("steering_apply: %s", e.text);
}

static void on_item(void *arg, const struct steering_item *item)
{
	struct fixture *f = arg;
	size_t len = strlen(f->bad);

	if (item->state != STEERING_OK)
		snprintf(f->bad + len, sizeof(f->bad) - len, "%s %s: %s; ", item->kind, item->name,
			 item->detail);
}

static void expect_sound(struct fixture *f)
{
	f->bad[0] = '\0';
	if (steering_check(f->s, on_item, f, NULL) != 0)
		fail_msg("%s", f->bad);
}

static int is_v6(size_t pair)
{
	return pairs[pair].family == AF_INET6;
}

/* The neighbor connects; what it meets, or -ETIMEDOUT. */
static int knock(struct fixture *f, size_t pair, int ms)
{
	return connect_to(&f->w, pairs[pair].own, BOTLS_PORT_BGP,
			  &(struct endpoint){.from = pairs[pair].neighbor, .at_peer = 1}, ms);
}

static void expect_carried(struct fixture *f, size_t pair)
{
	int theirs = knock(f, pair, SOON), ours;

	if (theirs < 0)
		fail_msg("from %s: %s", pairs[pair].neighbor, strerror(-theirs));
	ours = accept_within(f->carriers[is_v6(pair)], SOON);
	assert_true(ours >= 0);
	expect_name(ours, getsockname, pairs[pair].own, BOTLS_PORT_BGP);
	expect_name(ours, getpeername, pairs[pair].neighbor, 0);
	expect_talk(theirs, ours);
	assert_int_equal(accept_within(f->daemon[is_v6(pair)], 0), -ETIMEDOUT);
	close(theirs);
	close(ours);
}

/* At most a reset answers: where there is no socket, a guard at the cgroup has no say. */
static void expect_nobody(struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		int r;

		wire_packets(&f->w);
		r = knock(f, i, NOT_SOON);
		if (r != -ECONNREFUSED) {
			assert_int_equal(r, -ETIMEDOUT);
			assert_int_equal(wire_packets(&f->w), 0);
		}
		assert_int_equal(accept_within(f->daemon[is_v6(i)], 0), -ETIMEDOUT);
		assert_int_equal(accept_within(f->carriers[is_v6(i)], 0), -ETIMEDOUT);
	}
}

static void test_neighbor_connects(void **state)
{
	struct fixture *f = *state;

	run("for i in all eth0; do sysctl -qw net.ipv4.conf.$i.rp_filter=1; done");
	apply(f, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_carried(f, i);
	expect_sound(f);
}

static void test_we_connect(void **state)
{
	struct fixture *f = *state;

	apply(f, true, false);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		int l = listen_at(&f->w, pairs[i].family, BOTLS_PORT_BGP,
				  &(struct endpoint){.at_peer = 1});
		int ours = socket(pairs[i].family, SOCK_STREAM | SOCK_CLOEXEC, 0), theirs, r;
		struct addr own = parse(pairs[i].own), neighbor = parse(pairs[i].neighbor);
		struct sockaddr_storage ss;

		r = addr_to_sockaddr(&own, 0, &ss);
		assert_int_equal(bind(ours, (struct sockaddr *)&ss, r), 0);
		r = steering_connect_clear(f->s, ours, &neighbor);
		if (r < 0 && r != -EINPROGRESS)
			fail_msg("to %s: %s", pairs[i].neighbor, strerror(-r));
		theirs = accept_within(l, SOON);
		assert_true(theirs >= 0);
		expect_talk(theirs, ours);
		close(theirs);
		close(ours);
		close(l);
	}
	expect_nobody(f);
	expect_sound(f);
}

static void expect_way_to_the_daemon(struct fixture *f, size_t pair)
{
	struct addr own = parse(pairs[pair].own), neighbor = parse(pairs[pair].neighbor);
	struct errtext e = {};
	int ours, daemon;

	if (steering_connect_inner(f->s, &own, &neighbor, &ours, &e) < 0)
		fail_msg("%s", e.text);
	daemon = accept_within(f->daemon[is_v6(pair)], SOON);
	assert_true(daemon >= 0);
	expect_name(daemon, getpeername, pairs[pair].neighbor, 0);
	assert_int_equal(accept_within(f->carriers[is_v6(pair)], 0), -ETIMEDOUT);
	close(ours);
	close(daemon);
}

/* The neighbor's session goes on to the daemon, which sees the neighbor. */
static void test_way_to_the_daemon(void **state)
{
	struct fixture *f = *state;

	apply(f, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_way_to_the_daemon(f, i);
}

/* Our own address is in it, too. */
static void test_prefix(void **state)
{
	const struct steering_entry entries[] = {{.neighbor = parse("192.0.2.0/24"),
						  .is_required = true,
						  .is_carried = true,
						  .may_accept = true},
						 {.neighbor = parse("2001:db8::/64"),
						  .is_required = true,
						  .is_carried = true,
						  .may_accept = true}};
	struct fixture *f = *state;
	struct errtext e = {};

	if (steering_apply(f->s, entries, ARRAY_SIZE(entries), &e) < 0)
		fail_msg("steering_apply: %s", e.text);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		expect_carried(f, i);
		expect_way_to_the_daemon(f, i);
	}
}

static int accept_ours(struct fixture *f, int ms)
{
	size_t n;
	const int *fds = steering_listeners(f->s, &n);

	for (int waited = 0; waited <= ms; waited++)
		for (size_t i = 0; i < n; i++) {
			int fd = accept_within(fds[i], i == 0 && waited < ms);

			if (fd >= 0)
				return fd;
		}
	return -ETIMEDOUT;
}

/* A neighbor of its own in a prefix that is carried: the daemon's way to it is the usual one, which
 * ever of the programs of `route` the kernel asks first. */
static void test_in_a_prefix(void **state)
{
	const struct steering_entry entries[] = {{.neighbor = parse("192.0.2.0/24"),
						  .is_required = true,
						  .is_carried = true,
						  .may_accept = true},
						 {.neighbor = parse("192.0.2.2"),
						  .own = parse("192.0.2.1"),
						  .is_required = true,
						  .may_connect = true}};
	struct fixture *f = *state;
	struct errtext e = {};

	if (steering_apply(f->s, entries, ARRAY_SIZE(entries), &e) < 0)
		fail_msg("steering_apply: %s", e.text);
	for (int i = 0; i < 2; i++) {
		int daemon = connect_to(&f->w, "192.0.2.2", BOTLS_PORT_BGP, &(struct endpoint){},
					SOON),
		    ours;

		if (daemon < 0)
			fail_msg("%s", strerror(-daemon));
		ours = accept_ours(f, SOON);
		assert_true(ours >= 0);
		expect_talk(daemon, ours);
		assert_int_equal(accept_within(f->carriers[0], 0), -ETIMEDOUT);
		close(daemon);
		close(ours);
		run("rm -f " BOTLS_BPFFS_PATH "/botls/%llu/lookup", netns_cookie());
		if (steering_repair(f->s, &e) < 0)
			fail_msg("%s", e.text);
	}
}

/* Whom no key protects is none of the carriers' business, nor is who has no configuration. */
static void test_others(void **state)
{
	struct fixture *f = *state;
	int theirs, ours;

	apply(f, false, true);
	expect_nobody(f);
	apply(f, true, true);
	run("ip addr add 192.0.2.77/24 dev eth0"); /* so that a neighbor is not all that there is */
	theirs = connect_to(&f->w, "192.0.2.77", BOTLS_PORT_TLS,
			    &(struct endpoint){.from = "192.0.2.2", .at_peer = 1}, SOON);
	assert_true(theirs >= 0);
	ours = accept_within(f->carriers[0], SOON);
	assert_true(ours >= 0);
	expect_name(ours, getsockname, "192.0.2.77", BOTLS_PORT_TLS);
	close(theirs);
	close(ours);
}

/* Whoever holds the listeners has died; what is pinned keeps the neighbor out until the next start.
 */
static void test_fail_closed(void **state)
{
	struct fixture *f = *state;

	apply(f, true, true);
	expect_carried(f, 0);
	close_carriers(f);
	expect_nobody(f);
	steering_free(TAKE(f->s));
	expect_nobody(f);
	start(f);
	expect_nobody(f);
	open_carriers(f);
	apply(f, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect_carried(f, i);
	set_carriers(f, 0);
	expect_nobody(f);
}

/* What was carried before is carried on: a worker has kept it. */
static void test_successor(void **state)
{
	struct fixture *f = *state;
	int theirs[ARRAY_SIZE(pairs)], ours[ARRAY_SIZE(pairs)];

	apply(f, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		theirs[i] = knock(f, i, SOON);
		ours[i] = accept_within(f->carriers[is_v6(i)], SOON);
		assert_true(theirs[i] >= 0 && ours[i] >= 0);
	}
	close_carriers(f);
	steering_free(TAKE(f->s));
	start(f);
	open_carriers(f);
	apply(f, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		expect_talk(theirs[i], ours[i]);
		close(theirs[i]);
		close(ours[i]);
	}
}

static void test_repair_and_remove(void **state)
{
	struct fixture *f = *state;
	const char *links = "bpftool link | grep -c netns_ino.$(stat -Lc %i /proc/self/ns/net)";
	char before[16];
	struct errtext e = {};

	snprintf(before, sizeof(before), "%s", output_of("%s", links));
	apply(f, true, true);
	assert_string_not_equal(output_of("%s", links), before);
	run("rm " BOTLS_BPFFS_PATH "/botls/%llu/carry", netns_cookie());
	if (steering_repair(f->s, &e) < 0)
		fail_msg("%s", e.text);
	expect_sound(f);
	expect_carried(f, 0);
	apply(f, false, true);
	assert_string_equal(output_of("%s", links), before);
	expect_nobody(f);
}

#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, setup_cgroup, teardown),                             \
		cmocka_unit_test_setup_teardown(name, setup_route, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_neighbor_connects), TEST(test_we_connect),
		TEST(test_way_to_the_daemon), TEST(test_prefix),
		TEST(test_in_a_prefix),	      TEST(test_others),
		TEST(test_fail_closed),	      TEST(test_successor),
		TEST(test_repair_and_remove),
	};

	return cmocka_run_group_tests_name("carry", tests, NULL, NULL);
}
