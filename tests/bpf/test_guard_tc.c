/* SPDX-License-Identifier: Apache-2.0 */
/* The guard at the interfaces, alone: no hook, no cgroup. netlab.h has the network. */
#include "netlab.h"
#include "botls/botls.h"
#include "guard.h"
#include "guard_tc.h"
#include "steering_internal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#define INNER_PORT 979

static const struct guard_settings settings = {
	.place = GUARD_TC, .cgroup_fd = -1, .tls_port = 8179, .inner_port = INNER_PORT};
static struct pins *pins;
static struct guard *guard;
static int peer_listeners[2], third_listener, our_listeners[2];

static void commit(size_t n)
{
	_cleanup_guard_staged_ struct guard_staged *staged = NULL;
	struct errtext e = {""};
	struct steering_entry entries[3] = {
		{.neighbor = netlab_addr("192.0.2.2"),
		 .own = netlab_addr("192.0.2.1"),
		 .is_required = true},
		{.neighbor = netlab_addr("2001:db8::2"), .is_required = true},
		{.neighbor = netlab_addr("fe80::2%r0"), .is_required = true},
	};

	if (guard_stage(guard, entries, n, &staged, &e) < 0 || guard_commit(guard, staged, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(e.text, "");
}

static void open_guard(void)
{
	struct errtext e = {""};

	if (pins_open(BOTLS_BPFFS_PATH, &pins, &e) < 0 ||
	    guard_open(pins, &settings, &guard, &e) < 0)
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	(void)state;
	open_guard();
	netlab_forget();
	return 0;
}

static int tear_down(void **state)
{
	struct errtext e = {""};

	(void)state;
	if (!guard)
		return 0;
	assert_int_equal(guard_clear(guard, &e), 0);
	assert_int_equal(guard_remove(guard, &e), 0);
	guard_free(guard);
	guard = NULL;
	assert_int_equal(pins_remove(pins, &e), 0);
	pins_free(pins);
	return 0;
}

static struct steering_counters counters(void)
{
	struct steering_counters c;

	assert_int_equal(guard_counters(guard, &c), 0);
	return c;
}

static void check_closed(void)
{
	static const char *const neighbors[] = {"192.0.2.2", "2001:db8::2", "fe80::2%r0"};
	static const char *const owns[] = {"192.0.2.1", "2001:db8::1", "fe80::1%p0"};

	netlab_forget();
	for (int i = 0; i < 3; i++) {
		assert_true(netlab_connect(ROUTER, NULL, neighbors[i], 179, NULL) < 0);
		assert_true(netlab_connect(ROUTER, NULL, neighbors[i], 179, "r0") < 0);
		assert_int_equal(netlab_connect(PEER, NULL, owns[i], 179, NULL), -EINPROGRESS);
	}
	assert_int_equal(netlab_seen(179), 0);
}

static void test_closed(void **state)
{
	struct steering_counters c;

	(void)state;
	commit(3);
	check_closed();
	c = counters();
	assert_true(c.guard_out >= 6);
	assert_true(c.guard_in >= 3);
	assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", INNER_PORT, NULL), -EINPROGRESS);
	assert_int_equal(counters().guard_inner > 0, 1);
}

static void test_others_pass(void **state)
{
	int fd;

	(void)state;
	commit(3);
	fd = netlab_connect(ROUTER, NULL, "198.51.100.2", 179, NULL);
	assert_true(fd >= 0);
	close(fd);
	close(netlab_accept(third_listener));
	assert_int_equal(netlab_connect(ROUTER, NULL, "192.0.2.2", 180, NULL), -ECONNREFUSED);
}

/* The protected neighbor's session with somebody behind us is routed through, both ways, though a
 * wildcard listener of ours would take it. */
static void test_transit_passes(void **state)
{
	int fd, accepted;
	char byte;

	(void)state;
	commit(3);
	fd = netlab_connect(PEER, NULL, "198.51.100.2", 179, NULL);
	assert_true(fd >= 0);
	accepted = netlab_accept(third_listener);
	assert_true(accepted >= 0);
	assert_int_equal(send(accepted, "x", 1, 0), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	close(fd);
	close(accepted);
	assert_int_equal(counters().guard_in, 0);
	assert_int_equal(counters().guard_out, 0);
}

static void test_new_interface(void **state)
{
	struct steering_report report = {0};
	struct errtext e = {""};

	(void)state;
	commit(3);
	guard_check(guard, &report);
	assert_int_equal(report.n_bad, 0);
	netlab_run("ip link add r9 type veth peer name p9");
	guard_check(guard, &report);
	assert_int_equal(report.n_bad, 2);
	assert_int_equal(guard_sync_interfaces(guard, &e), 0);
	memset(&report, 0, sizeof(report));
	guard_check(guard, &report);
	assert_int_equal(report.n_bad, 0);
	/* Lost, then repaired. */
	netlab_run("tc qdisc del dev r0 clsact");
	guard_check(guard, &report);
	assert_int_equal(report.n_bad, 1);
	assert_int_equal(guard_repair(guard, &e), 0);
	check_closed();
	netlab_run("ip link del r9");
}

/* Killed: the filters and the table stay; the next one takes them over. */
static void test_outlives_its_process(void **state)
{
	(void)state;
	commit(3);
	guard_free(guard);
	pins_free(pins);
	check_closed();
	open_guard();
	check_closed();
}

static void operator_drops(const char *device)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_SHOT},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "operator", "GPL", insns, 2, NULL);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(device),
		    .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 50, .prog_fd = fd);

	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	close(fd);
}

static void test_operator_filters_stay(void **state)
{
	struct errtext e = {""};
	int fd;

	(void)state;
	commit(3);
	/* Ours leave what they do not drop to the operator's: here one that drops all. */
	operator_drops("r1");
	assert_true(netlab_connect(ROUTER, NULL, "198.51.100.2", 179, NULL) < 0);
	assert_int_equal(guard_remove(guard, &e), 0);
	netlab_run("tc filter show dev r1 egress | grep -q 'pref 50 '");
	netlab_run("! tc filter show dev r1 egress | grep -q botls");
	netlab_run("! tc filter show dev r0 ingress | grep -q botls");
	netlab_run("tc qdisc del dev r1 clsact");
	fd = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	assert_true(fd >= 0);
	close(fd);
}

static void test_sessions_in_clear_end(void **state)
{
	int ours, peer, accepted;
	char byte;

	(void)state;
	ours = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	peer = netlab_connect(PEER, NULL, "2001:db8::1", 179, NULL);
	accepted = netlab_accept(our_listeners[1]);
	assert_true(ours >= 0 && peer >= 0 && accepted >= 0);
	commit(3);
	assert_int_equal(recv(accepted, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(peer, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(ours, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	close(ours);
	close(peer);
	close(accepted);
}

/* Both ends are here: the shim's own loop, and not in clear on any wire. */
static void test_local_connections_live(void **state)
{
	_cleanup_guard_staged_ struct guard_staged *staged = NULL;
	struct steering_entry entry = {.neighbor = netlab_addr("192.0.2.1"), .is_required = true};
	struct errtext e = {""};
	int fd, accepted;
	char byte;

	(void)state;
	fd = netlab_connect(ROUTER, NULL, "192.0.2.1", 179, NULL);
	accepted = netlab_accept(our_listeners[0]);
	assert_true(fd >= 0 && accepted >= 0);
	assert_int_equal(guard_stage(guard, &entry, 1, &staged, &e), 0);
	assert_int_equal(guard_commit(guard, staged, &e), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(recv(accepted, &byte, 1, 0), 1);
	assert_int_equal(guard_count_clear(guard, &entry.neighbor), 0);
	close(fd);
	close(accepted);
}

static void test_own_socket_passes(void **state)
{
	struct addr neighbor = netlab_addr("192.0.2.2");
	struct sockaddr_storage ss;
	int fd, len;

	(void)state;
	commit(3);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(guard_pass_socket(guard, fd), 0);
	len = addr_to_sockaddr(&neighbor, 179, &ss);
	netlab_forget();
	/* Out it goes; an answer has no socket yet at the interface and is dropped until the table
	 * allows clear text. */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), -1);
	assert_int_equal(errno, EINPROGRESS);
	assert_true(netlab_seen(179) > 0);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static int group_start(void **state)
{
	(void)state;
	libbpf_set_print(NULL);
	netlab_start();
	peer_listeners[0] = netlab_listen(PEER, "0.0.0.0", 179);
	peer_listeners[1] = netlab_listen(PEER, "::", 179);
	third_listener = netlab_listen(THIRD, "0.0.0.0", 179);
	our_listeners[0] = netlab_listen(ROUTER, "0.0.0.0", 179);
	our_listeners[1] = netlab_listen(ROUTER, "::", 179);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	netlab_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_closed),
		TEST(test_others_pass),
		TEST(test_transit_passes),
		TEST(test_new_interface),
		TEST(test_outlives_its_process),
		TEST(test_operator_filters_stay),
		TEST(test_sessions_in_clear_end),
		TEST(test_local_connections_live),
		TEST(test_own_socket_passes),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
