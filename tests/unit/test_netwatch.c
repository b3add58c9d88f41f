// SPDX-License-Identifier: Apache-2.0
/* Real links and addresses in a network namespace of this process' own; needs root. */
#include "netwatch.h"
#include "botls/botls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <cmocka.h>

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* Links come up in their own time. /sys shows the namespace that mounted it, so the command gets
 * its own. */
static void wait_for(const char *condition)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "unshare -m sh -c 'mount -t sysfs sysfs /sys; for i in $(seq 1500); do { %s; } "
		 ">/dev/null 2>&1 && "
		 "exit 0; sleep 0.02; done; exit 1'",
		 condition);
	run(command);
}

static struct addr parse(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static int setup(void **state)
{
	struct netwatch *w;
	struct errtext e;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	run("ip link set lo up && ip link add veth0 type veth peer name veth1 && "
	    "ip link set veth0 addrgenmode none && ip link set veth1 addrgenmode none && "
	    "ip link set veth0 up && ip link set veth1 up && "
	    "ip addr add 192.0.2.1/24 dev veth0 && "
	    "ip -6 addr add 2001:db8::1/64 dev veth0 nodad && "
	    "ip -6 addr add fe80::1/64 dev veth0 nodad");
	wait_for("[ $(cat /sys/class/net/veth0/operstate) = up ] && [ $(cat "
		 "/sys/class/net/veth1/operstate) = up ] && "
		 "ip -6 route get fe80::2 oif veth0");
	if (netwatch_new(&w, &e) < 0)
		fail_msg("%s", e.text);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	netwatch_free(*state);
	return 0;
}

static void expect_change(struct netwatch *w, const char *command)
{
	struct pollfd p = {.fd = netwatch_fd(w), .events = POLLIN};

	while (netwatch_read(w) != 0)
		;
	assert_int_equal(poll(&p, 1, 0), 0);
	run(command);
	if (poll(&p, 1, 0) != 1)
		fail_msg("the descriptor is not readable after: %s", command);
	if (netwatch_read(w) != 1)
		fail_msg("not seen as a change: %s", command);
}

static void expect_silence(struct netwatch *w, const char *command)
{
	while (netwatch_read(w) != 0)
		;
	run(command);
	if (netwatch_read(w) != 0)
		fail_msg("seen as a change: %s", command);
}

static void test_changes(void **state)
{
	struct netwatch *w = *state;

	expect_change(w, "ip link add veth2 type veth peer name veth3");
	expect_change(w, "ip link set veth2 name port2");
	expect_change(w, "ip link set port2 up");
	run("ip link add veth4 type veth peer name veth5");
	expect_change(w, "ip link del veth4");
	expect_change(w, "ip addr add 198.51.100.1/24 dev veth0");
	expect_change(w, "ip addr del 198.51.100.1/24 dev veth0");
	expect_change(w, "ip -6 addr add 2001:db8:1::1/64 dev veth0 nodad");
	expect_change(w, "ip -6 addr del 2001:db8:1::1/64 dev veth0");
	expect_change(w, "ip link set veth1 down");
	expect_change(w, "ip link add br0 type bridge");
	expect_change(w, "ip link set port2 master br0");
	expect_change(w, "ip link del veth0");
}

static void test_rules_and_routes(void **state)
{
	struct netwatch *w = *state;
	char command[256];

	expect_silence(w, "ip rule add pref 500 lookup 77");
	expect_change(w, "ip rule del pref 500");
	expect_silence(w, "ip route add 198.51.100.0/24 via 192.0.2.2");
	expect_silence(w, "ip route del 198.51.100.0/24");
	expect_silence(w, "ip -6 route add 2001:db8:77::/48 via 2001:db8::2");
	expect_silence(w, "ip -6 route del 2001:db8:77::/48");
	for (int family = 4; family <= 6; family += 2) {
		const char *to = family == 4 ? "198.51.100.2" : "2001:db8:2::2";

		snprintf(command, sizeof(command),
			 "ip -%d route add local %s dev lo table %d proto %d", family, to,
			 BOTLS_ROUTE_TABLE, BOTLS_ROUTE_PROTOCOL);
		expect_silence(w, command);
		snprintf(command, sizeof(command), "ip -%d route del local %s dev lo table %d",
			 family, to, BOTLS_ROUTE_TABLE);
		expect_change(w, command);
	}
}

/* More messages than the socket holds: the kernel reports ENOBUFS, and that is a change. */
static void test_overrun(void **state)
{
	struct netwatch *w = *state;
	int small = 1, r, sum = 0;

	while (netwatch_read(w) != 0)
		;
	setsockopt(netwatch_fd(w), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	run("for i in 1 2 3 4 5 6 7 8 9; do ip addr add 203.0.113.$i/32 dev veth0; done");
	while ((r = netwatch_read(w)) == 1)
		sum++;
	assert_int_equal(r, 0);
	assert_int_equal(sum, 1);
	expect_change(w, "ip addr del 192.0.2.1/24 dev veth0");
}

static void expect_source(struct netwatch *w, const char *to, int result, const char *own)
{
	struct addr a = parse(to), got = {}, want;
	char buf[ADDR_STRLEN];
	int r = netwatch_source(w, &a, &got);

	if (r != result)
		fail_msg("source towards %s: %s instead of %s", to, strerror(-r),
			 strerror(-result));
	if (!own) {
		assert_int_equal(got.family, AF_UNSPEC);
		return;
	}
	want = parse(own);
	if (!addr_equal(&got, &want))
		fail_msg("source towards %s is %s instead of %s", to, addr_format(&got, buf), own);
}

static void test_source(void **state)
{
	struct netwatch *w = *state;

	expect_source(w, "192.0.2.2", 0, "192.0.2.1");
	expect_source(w, "2001:db8::2", 0, "2001:db8::1");
	expect_source(w, "fe80::2%veth0", 0, "fe80::1%veth0");

	expect_source(w, "198.51.100.2", -ENETUNREACH, NULL);
	expect_source(w, "2001:db8:2::2", -ENETUNREACH, NULL);
	run("ip route add 198.51.100.0/24 via 192.0.2.254 && "
	    "ip -6 route add 2001:db8:2::/48 via 2001:db8::ff");
	expect_source(w, "198.51.100.2", 0, "192.0.2.1");
	expect_source(w, "2001:db8:2::2", 0, "2001:db8::1");
	run("ip addr add 203.0.113.7/32 dev lo && ip -6 addr add 2001:db8:7::7/128 dev lo && "
	    "ip route change 198.51.100.0/24 via 192.0.2.254 src 203.0.113.7 && "
	    "ip -6 route change 2001:db8:2::/48 via 2001:db8::ff src 2001:db8:7::7");
	expect_source(w, "198.51.100.2", 0, "203.0.113.7");
	expect_source(w, "2001:db8:2::2", 0, "2001:db8:7::7");

	run("ip route add unreachable 198.51.100.9 && ip route add prohibit 198.51.100.10 && "
	    "ip route add blackhole 198.51.100.11 && ip -6 route add blackhole 2001:db8:2::9");
	expect_source(w, "198.51.100.9", -ENETUNREACH, NULL);
	expect_source(w, "198.51.100.10", -ENETUNREACH, NULL);
	expect_source(w, "198.51.100.11", -ENETUNREACH, NULL);
	expect_source(w, "2001:db8:2::9", -ENETUNREACH, NULL);
}

static void test_source_of_linklocal(void **state)
{
	struct netwatch *w = *state;

	expect_source(w, "fe80::2%nosuch0", -ENODEV, NULL);
	run("ip -6 addr add fe80::7/64 dev veth1 nodad");
	expect_source(w, "fe80::2%veth1", 0, "fe80::7%veth1");
	expect_source(w, "fe80::2%veth0", 0, "fe80::1%veth0");
	run("ip -6 addr del fe80::1/64 dev veth0 && ip -6 route add fe80::/64 dev veth0");
	expect_source(w, "fe80::2%veth0", -EADDRNOTAVAIL, NULL);
	/* Still to be checked for duplicates: not usable yet. */
	run("sysctl -qw net.ipv6.conf.veth0.dad_transmits=50 && ip -6 addr add fe80::5/64 dev "
	    "veth0");
	expect_source(w, "fe80::2%veth0", -EADDRNOTAVAIL, NULL);
	run("ip -6 addr del fe80::5/64 dev veth0 && ip -6 addr add fe80::6/64 dev veth0 nodad");
	expect_source(w, "fe80::2%veth0", 0, "fe80::6%veth0");
	run("ip link set veth0 down");
	expect_source(w, "fe80::2%veth0", -ENETUNREACH, NULL);
	/* A global neighbor over an interface with nothing but link-local addresses. */
	run("ip -6 addr flush dev veth0 && ip link set veth0 up && "
	    "ip -6 addr add fe80::6/64 dev veth0 nodad && ip -6 route add 2001:db8:3::/48 dev "
	    "veth0");
	wait_for("ip -6 route get 2001:db8:3::1");
	expect_source(w, "2001:db8:3::1", -EADDRNOTAVAIL, NULL);
}

/* With our own rules and routes in place the answer is still that of the router's tables. */
static void test_source_past_our_table(void **state)
{
	struct netwatch *w = *state;
	char command[512];

	run("ip addr add 203.0.113.7/32 dev lo && ip -6 addr add 2001:db8:7::7/128 dev lo");
	snprintf(command, sizeof(command),
		 "ip rule add pref %d iif lo ipproto tcp dport 179 lookup %d && "
		 "ip -6 rule add pref %d iif lo ipproto tcp dport 179 lookup %d && "
		 "ip route add local 192.0.2.2 dev veth0 src 203.0.113.7 table %d && "
		 "ip -6 route add local 2001:db8::2 dev veth0 src 2001:db8:7::7 table %d",
		 BOTLS_RULE_PRIORITY, BOTLS_ROUTE_TABLE, BOTLS_RULE_PRIORITY, BOTLS_ROUTE_TABLE,
		 BOTLS_ROUTE_TABLE, BOTLS_ROUTE_TABLE);
	run(command);
	expect_source(w, "192.0.2.2", 0, "192.0.2.1");
	expect_source(w, "2001:db8::2", 0, "2001:db8::1");
	/* Somebody's rule that sends everything there. */
	snprintf(command, sizeof(command), "ip rule add pref 100 lookup %d", BOTLS_ROUTE_TABLE);
	run(command);
	expect_source(w, "192.0.2.2", -ENETUNREACH, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules_and_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overrun, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_of_linklocal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source_past_our_table, setup, teardown),
	};

	if (geteuid() != 0) {
		print_message("skipped: needs root for a network namespace\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
