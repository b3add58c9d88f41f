/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steering = cgroup through its API, with real sockets: sock_addr and sockops programs have no
 * BPF_PROG_TEST_RUN. netlab.h has the network. The peers listen on port 179 in clear all the time,
 * so whatever leaks is met by somebody.
 */
#include "netlab.h"
#include "botls/bpf.h"
#include "botls/botls.h"
#include "guard.h"
#include "pins.h"
#include "steering.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define INNER_PORT 979
#define TLS_PORT   8179
#define NOBODY	   65534

static struct steering *steering;
static int clear_listeners[4];	/* at the peers: 4 and 6 at PEER, 4 and 6 at THIRD */
static int daemon_listeners[2]; /* ours, port 179 */
static char folder[PATH_MAX];
static pid_t child, prober; /* of the test that runs; a failed one leaves them to tear_down() */

static char root_user[] = "root";
static char *users[] = {root_user};
static struct config config = {
	.steering = STEERING_CGROUP,
	.tls_port = TLS_PORT,
	.inner_port = INNER_PORT,
	.daemon_users = users,
	.n_daemon_users = 1,
	.bpffs = (char *)BOTLS_BPFFS_PATH,
};

static struct steering_entry entry(const char *neighbor, const char *own)
{
	struct steering_entry e = {.is_required = true, .may_connect = true};

	e.neighbor = netlab_addr(neighbor);
	if (own)
		e.own = netlab_addr(own);
	return e;
}

static size_t standard_entries(struct steering_entry *e)
{
	e[0] = entry("192.0.2.2", "192.0.2.1");
	e[1] = entry("2001:db8::2", "2001:db8::1");
	e[2] = entry("fe80::2%r0", "fe80::1%r0");
	return 3;
}

static void apply(const struct steering_entry *entries, size_t n)
{
	struct errtext e = {""};

	if (steering_apply(steering, entries, n, &e) < 0)
		fail_msg("steering_apply: %s", e.text);
	assert_string_equal(e.text, "");
}

static struct steering *start(void)
{
	struct steering *s = NULL;
	struct errtext e = {""};

	if (steering_new(&config, &s, &e) < 0)
		fail_msg("steering_new: %s", e.text);
	return s;
}

static void assert_connected(int fd)
{
	if (fd < 0)
		fail_msg("not connected: %s", strerror(-fd));
}

static int crossings(void)
{
	struct botls_crossing_key key, *previous = NULL;
	char path[PATH_MAX];
	int fd, n = 0;

	snprintf(path, sizeof(path), "%.4000s/%s", folder, BOTLS_MAP_CROSSINGS);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	while (bpf_map_get_next_key(fd, previous, &key) == 0) {
		n++;
		previous = &key;
	}
	close(fd);
	return n;
}

static bool no_crossings(void *arg)
{
	(void)arg;
	return crossings() == 0;
}

static struct steering_counters counters(void)
{
	struct steering_counters c;

	assert_true(steering_check(steering, NULL, NULL, &c) >= 0);
	return c;
}

/* A connection that the shim gets; NULL when none. */
static int shim_accept(sa_family_t family)
{
	size_t n;
	const int *listeners = steering_listeners(steering, &n);

	assert_int_equal(n, 2);
	return netlab_accept(listeners[family == AF_INET ? 0 : 1]);
}

static void assert_nothing_in_clear(void)
{
	struct pollfd p[4];

	for (int i = 0; i < 4; i++)
		p[i] = (struct pollfd){.fd = clear_listeners[i], .events = POLLIN};
	assert_int_equal(poll(p, 4, 0), 0);
	assert_int_equal(netlab_seen(179), 0);
	assert_int_equal(netlab_seen(INNER_PORT), 0);
}

/* What was let through on purpose is no finding of what comes next. */
static void forget_clear(void)
{
	/* Reset: a FIN that the guard holds back would be sent again in a later test. */
	const struct linger reset = {.l_onoff = 1};
	int fd;

	netlab_forget();
	for (int i = 0; i < 4; i++) {
		fcntl(clear_listeners[i], F_SETFL, O_NONBLOCK);
		while ((fd = accept(clear_listeners[i], NULL, NULL)) >= 0) {
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
			close(fd);
		}
		fcntl(clear_listeners[i], F_SETFL, 0);
	}
	netlab_forget();
}

static int set_up(void **state)
{
	struct errtext e = {""};
	struct pins *pins;

	(void)state;
	/* Where the pins are. */
	if (pins_open(config.bpffs, &pins, &e) < 0)
		fail_msg("%s", e.text);
	snprintf(folder, sizeof(folder), "%s", pins_folder(pins));
	pins_free(pins);
	steering = start();
	netlab_forget();
	return 0;
}

static void end_process(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static int tear_down(void **state)
{
	struct errtext e = {""};
	int fd;

	(void)state;
	end_process(&child);
	end_process(&prober);
	forget_clear();
	for (int i = 0; i < 2; i++) {
		fcntl(daemon_listeners[i], F_SETFL, O_NONBLOCK);
		while ((fd = accept(daemon_listeners[i], NULL, NULL)) >= 0)
			close(fd);
		fcntl(daemon_listeners[i], F_SETFL, 0);
	}
	if (steering && steering_remove(steering, &e) < 0)
		fail_msg("steering_remove: %s", e.text);
	steering_free(steering);
	steering = NULL;
	return 0;
}

struct steered {
	const char *from, *to, *device;
	const char *neighbor; /* as shown */
	const char *own;
};

static void check_steered(const struct steered *s)
{
	sa_family_t family = strchr(s->neighbor, ':') ? AF_INET6 : AF_INET;
	int fd, shim;

	fd = netlab_connect(ROUTER, s->from, s->to, 179, s->device);
	if (fd < 0)
		fail_msg("%s: %s", s->to, strerror(-fd));
	shim = shim_accept(family);
	if (shim < 0)
		fail_msg("%s: the shim got nothing", s->to);
	assert_string_equal(netlab_remote(fd), s->neighbor);
	assert_string_equal(netlab_local(shim), s->neighbor);
	/* Our own address, as the daemon has it, and the same port. */
	assert_memory_equal(netlab_local(fd), s->own, strlen(s->own));
	assert_string_equal(netlab_remote(shim), netlab_local(fd));
	assert_int_equal(crossings(), 1);
	close(fd);
	close(shim);
	assert_true(netlab_wait(no_crossings, NULL));
	assert_nothing_in_clear();
}

static void test_connect_is_steered(void **state)
{
	static const struct steered all[] = {
		{NULL, "192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "},
		{"192.0.2.1", "192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "},
		{NULL, "192.0.2.2", "r0", "192.0.2.2 179", "192.0.2.1 "},
		{"192.0.2.1", "192.0.2.2", "r0", "192.0.2.2 179", "192.0.2.1 "},
		{"198.51.100.1", "192.0.2.2", NULL, "192.0.2.2 179", "198.51.100.1 "},
		/* Our address towards it is not on this device: the one that the socket is bound to
		   is. */
		{"198.51.100.1", "192.0.2.2", "r1", "192.0.2.2 179", "198.51.100.1 "},
		{NULL, "::ffff:192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "},
		{NULL, "2001:db8::2", NULL, "2001:db8::2 179", "2001:db8::1 "},
		{"2001:db8::1", "2001:db8::2", "r0", "2001:db8::2 179", "2001:db8::1 "},
		{NULL, "fe80::2%r0", NULL, "fe80::2%r0 179", "fe80::1%r0 "},
		{NULL, "fe80::2%r0", "r0", "fe80::2%r0 179", "fe80::1%r0 "},
		{NULL, "fe80::2", "r0", "fe80::2%r0 179", "fe80::1%r0 "},
		{"fe80::1%r0", "fe80::2%r0", "r0", "fe80::2%r0 179", "fe80::1%r0 "},
	};
	struct steering_entry e[3];

	(void)state;
	apply(e, standard_entries(e));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check_steered(&all[i]);
	assert_int_equal(counters().connects_steered, sizeof(all) / sizeof(all[0]));
}

static int connect_from_port(const char *from, const char *to, uint16_t port)
{
	struct addr a = netlab_addr(from), b = netlab_addr(to);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), len;
	struct sockaddr_storage ss;

	len = addr_to_sockaddr(&a, port, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	len = addr_to_sockaddr(&b, 179, &ss);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

/* The same link-local address on two interfaces: two neighbors, and own addresses that are equal,
 * too. */
static void test_linklocal_scopes_are_kept_apart(void **state)
{
	struct steering_entry e[2] = {entry("fe80::2%r0", "fe80::1%r0"),
				      entry("fe80::2%r1", "fe80::1%r1")};
	int fd0, fd1, shim0, shim1;

	(void)state;
	apply(e, 2);
	/* Source address and port are equal, too. */
	fd1 = connect_from_port("fe80::1%r1", "fe80::2%r1", 31179);
	fd0 = connect_from_port("fe80::1%r0", "fe80::2%r0", 31179);
	shim1 = shim_accept(AF_INET6);
	shim0 = shim_accept(AF_INET6);
	assert_true(fd0 >= 0 && fd1 >= 0 && shim0 >= 0 && shim1 >= 0);
	assert_string_equal(netlab_local(shim1), "fe80::2%r1 179");
	assert_string_equal(netlab_local(shim0), "fe80::2%r0 179");
	assert_int_equal(crossings(), 2);
	assert_nothing_in_clear();
	close(fd0);
	close(fd1);
	close(shim0);
	close(shim1);

	/* Only one of them is a neighbor: the other is none of our business. */
	apply(e, 1);
	fd1 = netlab_connect(ROUTER, NULL, "fe80::2%r1", 179, NULL);
	assert_true(fd1 >= 0);
	assert_string_equal(netlab_remote(fd1), "fe80::2%r1 179");
	assert_int_equal(shim_accept(AF_INET6), -EAGAIN);
	close(fd1);
}

/* The programs are on every socket of the machine. */
static void test_other_namespaces_are_left_alone(void **state)
{
	static const char *const neighbors[] = {"192.0.2.2", "2001:db8::2"};
	struct steering_entry e[3];

	(void)state;
	apply(e, standard_entries(e));
	for (int i = 0; i < 2; i++) {
		int third = netlab_connect(THIRD, NULL, neighbors[i], 179, NULL);

		assert_connected(third);
		assert_memory_equal(netlab_remote(third), neighbors[i], strlen(neighbors[i]));
		close(third);
	}
	assert_int_equal(counters().connects_steered, 0);
}

static void test_others_are_left_alone(void **state)
{
	struct steering_entry e[3];
	int fd;

	(void)state;
	apply(e, standard_entries(e));
	fd = netlab_connect(ROUTER, NULL, "198.51.100.2", 179, NULL);
	assert_true(fd >= 0);
	assert_string_equal(netlab_remote(fd), "198.51.100.2 179");
	close(fd);
	/* Another port of the neighbor. */
	assert_int_equal(netlab_connect(ROUTER, NULL, "192.0.2.2", 180, NULL), -ECONNREFUSED);
	/* Nobody was steered: the worker sees an address that is no neighbor's. */
	fd = netlab_connect(ROUTER, NULL, "192.0.2.1", INNER_PORT, NULL);
	assert_true(fd >= 0);
	close(fd);
	fd = shim_accept(AF_INET);
	assert_true(fd >= 0);
	assert_string_equal(netlab_local(fd), "192.0.2.1 979");
	close(fd);
}

static int as_nobody(const char *to)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct sockaddr_storage ss;
		struct addr a = netlab_addr(to);
		int len = addr_to_sockaddr(&a, 179, &ss), fd = socket(ss.ss_family, SOCK_STREAM, 0);

		if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(255);
		_exit(connect(fd, (struct sockaddr *)&ss, len) < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_refusals(void **state)
{
	struct steering_entry e[4];

	(void)state;
	standard_entries(e);
	e[1].may_connect = false;
	memset(&e[2].own, 0, sizeof(e[2].own));
	e[3] = entry("198.51.100.0/24", "198.51.100.1");
	apply(e, 4);
	assert_int_equal(as_nobody("192.0.2.2"), EPERM);
	assert_int_equal(counters().connects_refused_uid, 1);
	assert_int_equal(netlab_connect(ROUTER, NULL, "2001:db8::2", 179, NULL), -ECONNREFUSED);
	assert_int_equal(netlab_connect(ROUTER, NULL, "fe80::2%r0", 179, NULL), -EHOSTUNREACH);
	assert_int_equal(netlab_connect(ROUTER, NULL, "198.51.100.2", 179, NULL), -ECONNREFUSED);
	assert_int_equal(counters().connects_refused_closed, 3);
	assert_nothing_in_clear();
}

/* The shim is away: nobody listens on the inner port. */
static void test_connect_without_shim_is_refused(void **state)
{
	struct steering_entry e[3];

	(void)state;
	apply(e, standard_entries(e));
	steering_free(steering);
	assert_int_equal(netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL), -ECONNREFUSED);
	assert_int_equal(netlab_connect(ROUTER, NULL, "2001:db8::2", 179, NULL), -ECONNREFUSED);
	assert_int_equal(crossings(), 0);
	assert_nothing_in_clear();
	steering = start();
}

static void check_inner(const char *own, const char *peer, int listener)
{
	struct addr own_addr = netlab_addr(own), peer_addr = netlab_addr(peer);
	struct sockaddr_storage ss = {};
	socklen_t len = sizeof(ss);
	struct errtext e = {""};
	struct addr shown;
	int fd, accepted, value = 0;
	uint16_t port;

	if (steering_connect_inner(steering, &own_addr, &peer_addr, &fd, &e) < 0)
		fail_msg("steering_connect_inner: %s", e.text);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	accepted = accept(listener, (struct sockaddr *)&ss, &len);
	assert_true(accepted >= 0);
	/* accept() itself says it, too. */
	assert_int_equal(addr_from_sockaddr(&ss, &shown, &port), 0);
	assert_true(addr_equal(&shown, &peer_addr));
	assert_memory_equal(netlab_remote(accepted), peer, strlen(peer));
	assert_memory_equal(netlab_local(accepted), own, strlen(own));
	assert_string_equal(strchr(netlab_remote(accepted), ' '), strchr(netlab_local(fd), ' '));
	len = sizeof(value);
	if (own_addr.family == AF_INET)
		getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &len);
	else
		getsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &value, &len);
	assert_int_equal(value, 255);
	assert_int_equal(crossings(), 1);
	close(fd);
	assert_true(netlab_wait(no_crossings, NULL));
	/* The daemon's end still knows. */
	assert_memory_equal(netlab_remote(accepted), peer, strlen(peer));
	close(accepted);
}

static void test_inner_shows_the_neighbor(void **state)
{
	struct steering_entry e[3];

	(void)state;
	apply(e, standard_entries(e));
	check_inner("192.0.2.1", "192.0.2.2", daemon_listeners[0]);
	check_inner("2001:db8::1", "2001:db8::2", daemon_listeners[1]);
	check_inner("fe80::1%r0", "fe80::2%r0", daemon_listeners[1]);
	assert_int_equal(counters().accepts_mapped, 3);
	assert_nothing_in_clear();
}

/* A daemon with one dual-stack listener sees ::ffff:192.0.2.2. */
static void test_inner_shows_mapped_address(void **state)
{
	struct steering_entry e[3];
	int dual;

	(void)state;
	apply(e, standard_entries(e));
	close(daemon_listeners[0]);
	close(daemon_listeners[1]);
	dual = netlab_listen(ROUTER, "::ffff:0.0.0.0", 179);
	check_inner("192.0.2.1", "192.0.2.2", dual);
	close(dual);
	daemon_listeners[0] = netlab_listen(ROUTER, "0.0.0.0", 179);
	daemon_listeners[1] = netlab_listen(ROUTER, "::", 179);
}

/* A process that is killed leaves no entry, whether its connection was accepted or not. */
static void test_killed_process_leaves_nothing(void **state)
{
	struct steering_entry e[3];
	int ready[2], shim;
	char byte;

	(void)state;
	apply(e, standard_entries(e));
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
		netlab_connect(ROUTER, NULL, "fe80::2%r0", 179, NULL);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(crossings(), 2);
	shim = shim_accept(AF_INET);
	/* Unread data: its end is a reset, not a FIN. */
	assert_int_equal(send(shim, "x", 1, 0), 1);
	end_process(&child);
	assert_int_equal(recv(shim, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(shim);
	shim = shim_accept(AF_INET6);
	assert_int_equal(recv(shim, &byte, 1, 0), 0);
	close(shim);
	assert_true(netlab_wait(no_crossings, NULL));
	close(ready[0]);
}

/* The connecting end closes first and waits in TIME_WAIT: the entry is gone. */
static void test_time_wait_leaves_nothing(void **state)
{
	struct steering_entry e[3];
	int fd, shim;
	char byte;

	(void)state;
	apply(e, standard_entries(e));
	fd = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	shim = shim_accept(AF_INET);
	close(fd);
	assert_int_equal(recv(shim, &byte, 1, 0), 0);
	close(shim);
	assert_true(netlab_wait(no_crossings, NULL));
}

/* One socket, first to a neighbor and refused, then elsewhere: nothing of the first connect()
 * sticks to it. */
static void test_socket_can_be_used_again(void **state)
{
	struct steering_entry e[3];
	struct sockaddr_in none = {.sin_family = AF_UNSPEC};
	struct sockaddr_storage ss;
	struct addr other = netlab_addr("198.51.100.2");
	int fd, shim;

	(void)state;
	apply(e, standard_entries(e));
	fd = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	shim = shim_accept(AF_INET);
	assert_int_equal(connect(fd, (struct sockaddr *)&none, sizeof(none)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, addr_to_sockaddr(&other, 179, &ss)),
			 0);
	assert_string_equal(netlab_remote(fd), "198.51.100.2 179");
	assert_int_equal(crossings(), 0);
	close(fd);
	close(shim);
}

static void drop_link(const char *pin)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.4000s/%s", folder, pin);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_link_detach(fd), 0);
	close(fd);
	unlink(path);
}

static void drop_hooks(void)
{
	drop_link("link_connect4");
	drop_link("link_connect6");
	drop_link("link_sockops");
	drop_link("link_getpeername4");
	drop_link("link_getpeername6");
	drop_link("link_getsockname4");
	drop_link("link_getsockname6");
}

/* At the cgroup v2 root, or at the interfaces where the kernel cannot do that (before Linux 6.13).
 */
static void drop_guard(void)
{
	if (guard_can_cgroup()) {
		drop_link("link_guard_in");
		drop_link("link_guard_out");
		return;
	}
	netlab_run("tc qdisc del dev r0 clsact && tc qdisc del dev r1 clsact");
}

/* What comes over the wire as a protected neighbor, were the guard not there, is nobody that the
 * daemon knows. */
static void test_wire_peer_is_hidden(void **state)
{
	static const char *const owns[] = {"192.0.2.1", "2001:db8::1", "fe80::1%p0"};
	struct steering_entry e[3];
	struct errtext text = {""};

	(void)state;
	apply(e, standard_entries(e));
	drop_guard();
	for (int i = 0; i < 3; i++) {
		int peer = netlab_connect(PEER, NULL, owns[i], 179, NULL);
		int accepted = netlab_accept(daemon_listeners[i > 0]);

		assert_connected(peer);
		assert_connected(accepted);
		assert_memory_equal(netlab_remote(accepted), i ? ":: " : "0.0.0.0 ", i ? 3 : 8);
		close(peer);
		close(accepted);
	}
	assert_int_equal(counters().accepts_hidden, 3);
	/* Others are seen. */
	{
		int third = netlab_connect(THIRD, NULL, "198.51.100.1", 179, NULL);
		int accepted = netlab_accept(daemon_listeners[0]);

		assert_connected(third);
		assert_memory_equal(netlab_remote(accepted), "198.51.100.2 ", 13);
		close(third);
		close(accepted);
	}
	assert_int_equal(steering_repair(steering, &text), 0);
}

static void check_guard_closes(void)
{
	static const char *const neighbors[] = {"192.0.2.2", "2001:db8::2", "fe80::2%r0"};
	static const char *const owns[] = {"192.0.2.1", "2001:db8::1", "fe80::1%p0"};

	for (int i = 0; i < 3; i++) {
		assert_true(netlab_connect(ROUTER, NULL, neighbors[i], 179, NULL) < 0);
		assert_true(netlab_connect(ROUTER, NULL, neighbors[i], 179, "r0") < 0);
	}
	assert_nothing_in_clear();
	/* Port 179 of the neighbor as the source, too: BGP speakers may connect from it. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(netlab_connect(PEER, NULL, owns[i], 179, NULL), -EINPROGRESS);
	/* Nothing was answered: SYN without SYN-ACK. */
	assert_int_equal(netlab_seen(179), 0);
}

/* No daemon: the kernel itself answers, from a socket of its own. With IPv6 that reset is nobody's
 * and passes by the cgroup; it carries nothing. At an interface the SYN does not arrive. */
static void test_guard_and_the_kernels_resets(void **state)
{
	int answer = guard_can_cgroup() ? -ECONNREFUSED : -EINPROGRESS;
	struct steering_entry e[3];

	(void)state;
	apply(e, standard_entries(e));
	close(daemon_listeners[0]);
	close(daemon_listeners[1]);
	assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", 179, NULL), -EINPROGRESS);
	assert_int_equal(netlab_seen(179), 0);
	assert_int_equal(netlab_connect(PEER, NULL, "2001:db8::1", 179, NULL), answer);
	assert_int_equal(netlab_connect(PEER, NULL, "fe80::1%p0", 179, NULL), answer);
	assert_int_equal(netlab_seen_data(179), 0);
	daemon_listeners[0] = netlab_listen(ROUTER, "0.0.0.0", 179);
	daemon_listeners[1] = netlab_listen(ROUTER, "::", 179);
}

static void test_guard_alone(void **state)
{
	struct steering_counters before, after;
	struct steering_entry e[3];
	struct errtext text = {""};

	(void)state;
	apply(e, standard_entries(e));
	before = counters();
	drop_hooks();
	check_guard_closes();
	after = counters();
	assert_true(after.guard_out >= before.guard_out + 6);
	assert_true(after.guard_in >= before.guard_in + 3);
	assert_int_equal(after.connects_steered, before.connects_steered);
	/* The hooks are missed, and put back. */
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 7);
	assert_int_equal(steering_repair(steering, &text), 0);
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
	check_steered(&(struct steered){NULL, "192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "});
}

static void test_guard_opens_when_clear_is_allowed(void **state)
{
	struct addr neighbor = netlab_addr("192.0.2.2");
	struct steering_entry e[3];
	int fd, accepted, peer;

	(void)state;
	standard_entries(e);
	e[0].is_required = false;
	apply(e, 3);
	assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", 179, NULL), -EINPROGRESS);
	e[0].allow_clear = true;
	apply(e, 3);
	peer = netlab_connect(PEER, NULL, "192.0.2.1", 179, NULL);
	assert_true(peer >= 0);
	accepted = netlab_accept(daemon_listeners[0]);
	assert_memory_equal(netlab_remote(accepted), "192.0.2.2 ", 10);
	assert_int_equal(steering_clear_count(steering, &neighbor), 1);

	forget_clear();
	/* The daemon's own connect() still goes to the shim, and only the shim's own goes out. */
	check_steered(&(struct steered){NULL, "192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "});
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	netlab_forget();
	assert_int_equal(steering_connect_clear(steering, fd, &neighbor), 0);
	assert_string_equal(netlab_remote(fd), "192.0.2.2 179");
	assert_true(netlab_seen(179) > 0);
	close(fd);

	/* Closed again: what lives in clear ends at once, at both ends. */
	e[0].allow_clear = false;
	apply(e, 3);
	assert_int_equal(recv(accepted, &fd, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(peer, &fd, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(steering_clear_count(steering, &neighbor), 0);
	close(accepted);
	close(peer);
}

/* mode = tcp-ao: the shim's own socket speaks in clear with the neighbor and lives through what is
 * programmed later; everybody else's is refused, and what was there before has ended. */
static void test_what_is_carried_lives(void **state)
{
	struct addr neighbor = netlab_addr("192.0.2.2");
	struct errtext text = {""};
	struct steering_entry e[3];
	int before, fd;
	char byte;

	(void)state;
	before = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	assert_connected(before);
	standard_entries(e);
	e[0].is_carried = true;
	apply(e, 3);
	assert_int_equal(send(before, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, ECONNABORTED);
	close(before);
	forget_clear();
	check_steered(&(struct steered){NULL, "192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "});
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(steering_connect_clear(steering, fd, &neighbor), 0);
	assert_string_equal(netlab_remote(fd), "192.0.2.2 179");
	apply(e, 3);
	assert_int_equal(steering_repair(steering, &text), 0);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", 179, NULL), -EINPROGRESS);
	e[0].is_carried = false;
	apply(e, 3);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	close(fd);
}

static void test_sessions_in_clear_end_when_newly_protected(void **state)
{
	struct steering_entry e[3];
	int daemon, peer, other, accepted;
	char byte;

	(void)state;
	daemon = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	other = netlab_connect(ROUTER, NULL, "198.51.100.2", 179, NULL);
	peer = netlab_connect(PEER, NULL, "fe80::1%p0", 179, NULL);
	accepted = netlab_accept(daemon_listeners[1]);
	assert_true(daemon >= 0 && other >= 0 && peer >= 0 && accepted >= 0);
	apply(e, standard_entries(e));
	assert_int_equal(send(daemon, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(accepted, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(peer, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(send(other, "x", 1, MSG_NOSIGNAL), 1);
	close(daemon);
	close(other);
	close(peer);
	close(accepted);
}

/* Everything of ours was torn off while the neighbors stayed protected: the session that came up
 * then ends, whether we are told to repair or to apply the same again. */
static void test_sessions_of_a_gap_end(void **state)
{
	struct steering_entry e[3];
	struct errtext text = {""};
	int fd;
	char byte;

	(void)state;
	apply(e, standard_entries(e));
	for (int i = 0; i < 2; i++) {
		drop_hooks();
		drop_guard();
		fd = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
		assert_connected(fd);
		if (i == 0)
			apply(e, 3);
		else
			assert_int_equal(steering_repair(steering, &text), 0);
		assert_int_equal(recv(fd, &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNABORTED);
		close(fd);
		assert_int_equal(steering_repair(steering, &text), 0);
		assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
	}
}

/* A link-local neighbor on an interface that comes later is closed from its first packet on. */
static void test_interface_that_comes_later(void **state)
{
	struct steering_entry e[1];
	int listener;

	(void)state;
	e[0] = entry("fe80::2%r0", "fe80::1%r0");
	memcpy(e[0].neighbor.ifname, "r9", 3);
	memcpy(e[0].own.ifname, "r9", 3);
	apply(e, 1);
	/* On those that are there already it is somebody else. */
	listener = netlab_connect(ROUTER, NULL, "fe80::2%r0", 179, NULL);
	assert_true(listener >= 0);
	close(listener);
	forget_clear();
	netlab_run("ip link add r9 type veth peer name p9 && ip link set p9 up && ip link set r9 "
		   "up && "
		   "ip addr add fe80::1/64 dev r9 nodad");
	assert_int_equal(netlab_connect(ROUTER, NULL, "fe80::2%r9", 179, NULL), -ECONNREFUSED);
	apply(e, 1);
	check_steered(&(struct steered){NULL, "fe80::2%r9", NULL, "fe80::2%r9 179", "fe80::1%r9 "});
	netlab_run("ip link del r9");
}

static bool inner_is_counted(void *arg)
{
	(void)arg;
	return counters().guard_inner > 0;
}

/* Our address moves to the neighbor: a steered SYN would leave. */
static void test_steered_never_leaves(void **state)
{
	struct steering_entry e[1] = {entry("192.0.2.2", "192.0.2.77")};

	(void)state;
	apply(e, 1);
	assert_true(netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL) < 0);
	assert_nothing_in_clear();
	netlab_enter(PEER);
	netlab_run("ip addr add 192.0.2.77/24 dev p0");
	netlab_enter(ROUTER);
	assert_true(netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL) < 0);
	/* An interface sees it only when the new holder of the address has been found. */
	assert_true(netlab_wait(inner_is_counted, NULL));
	assert_int_equal(netlab_seen(INNER_PORT), 0);
	netlab_enter(PEER);
	netlab_run("ip addr del 192.0.2.77/24 dev p0");
	netlab_enter(ROUTER);
}

static void test_inner_port_is_closed_outside(void **state)
{
	struct steering_entry e[3];

	(void)state;
	apply(e, standard_entries(e));
	assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", INNER_PORT, NULL), -EINPROGRESS);
	assert_int_equal(netlab_connect(THIRD, NULL, "2001:db8:1::1", INNER_PORT, NULL),
			 -EINPROGRESS);
	assert_int_equal(netlab_seen(INNER_PORT), 0);
	assert_true(counters().guard_inner >= 2);
}

static void test_one_per_namespace(void **state)
{
	struct steering *second = NULL;
	struct errtext e = {""};
	int status;
	pid_t pid;

	(void)state;
	/* A POSIX lock does not stop its own process. */
	pid = fork();
	if (pid == 0)
		_exit(-steering_new(&config, &second, &e));
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EBUSY);
}

/* Tries to get through in clear without a pause, as a daemon that retries would, and counts into
 * shared memory. */
static pid_t prober_start(volatile unsigned *tries)
{
	pid_t pid = fork();

	while (pid == 0) {
		const struct timespec pause = {.tv_nsec = 200000};
		struct sockaddr_storage ss;
		struct addr a = netlab_addr("192.0.2.2");
		int len = addr_to_sockaddr(&a, 179, &ss),
		    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		connect(fd, (struct sockaddr *)&ss, len);
		close(fd);
		(*tries)++;
		nanosleep(&pause, NULL);
	}
	return pid;
}

/* No assertions here: one that failed would go on with the next test in this process, too. */
static void predecessor_run(int ready)
{
	struct steering_entry e[3];
	struct steering *s;

	if (steering_new(&config, &s, NULL) == 0 &&
	    steering_apply(s, e, standard_entries(e), NULL) == 0 && write(ready, "", 1) == 1)
		pause();
	_exit(1);
}

static uint32_t link_id(const char *pin)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.4000s/%s", folder, pin);
	fd = bpf_obj_get(path);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static void test_crash_and_takeover(void **state)
{
	volatile unsigned *tries =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct steering_entry e[3];
	struct errtext text = {""};
	const int *listeners;
	int ready[2], fd;
	unsigned before;
	uint32_t id;
	size_t n;
	char byte;

	(void)state;
	assert_int_equal(steering_remove(steering, &text), 0);
	steering_free(steering);
	steering = NULL;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0)
		predecessor_run(ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	id = link_id("link_connect4");
	netlab_forget();
	prober = prober_start(tries);
	end_process(&child);
	for (int i = 0; i < 5; i++) {
		steering = start();
		before = *tries;
		/* Before the first steering_apply() the predecessor's table holds. */
		assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", 179, NULL), -EINPROGRESS);
		assert_true(*tries > before);
		apply(e, standard_entries(e));
		assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
		if (i < 4) {
			steering_free(steering);
			steering = NULL;
		}
	}
	end_process(&prober);
	assert_true(*tries > 100);
	assert_nothing_in_clear();
	/* The link is the predecessor's, with another program: never detached. */
	assert_int_equal(link_id("link_connect4"), id);
	listeners = steering_listeners(steering, &n);
	while ((fd = accept(listeners[0], NULL, NULL)) >= 0)
		close(fd);
	assert_true(netlab_wait(no_crossings, NULL));
	check_steered(&(struct steered){NULL, "192.0.2.2", NULL, "192.0.2.2 179", "192.0.2.1 "});
	munmap((void *)tries, 4096);
	close(ready[0]);
}

static uint32_t map_id(const char *pin)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.4000s/%s", folder, pin);
	fd = bpf_obj_get(path);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static void restart(void)
{
	steering_free(steering);
	steering = start();
}

/* The table in force is found by its pin, under both names that it has in turn. */
static void test_table_is_found_again(void **state)
{
	char table[PATH_MAX], next[PATH_MAX];
	struct steering_entry e[3];
	uint32_t id;

	(void)state;
	snprintf(table, sizeof(table), "%.4000s/table", folder);
	snprintf(next, sizeof(next), "%.4000s/table_next", folder);
	apply(e, standard_entries(e));
	assert_int_equal(access(next, F_OK), -1);
	id = map_id(BOTLS_MAP_NEIGHBORS);
	restart();
	assert_int_equal(map_id(BOTLS_MAP_NEIGHBORS), id);
	/* Killed before the one had taken the place of the other, whatever that was. */
	assert_int_equal(rename(table, next), 0);
	apply(e, 1);
	assert_int_equal(rename(table, next), 0);
	restart();
	assert_int_equal(map_id(BOTLS_MAP_NEIGHBORS), id);
	apply(e, standard_entries(e));
	/* A pin of another table is none. */
	assert_int_equal(unlink(table), 0);
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 1);
	assert_int_equal(steering_repair(steering, NULL), 0);
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
	assert_int_equal(access(table, F_OK), 0);
	/* Without any: closed, also for whom the table would let pass, until there is another. */
	apply(e, 0);
	assert_int_equal(unlink(table), 0);
	restart();
	assert_int_not_equal(map_id(BOTLS_MAP_NEIGHBORS), id);
	assert_int_equal(netlab_connect(PEER, NULL, "192.0.2.1", 179, NULL), -EINPROGRESS);
	assert_nothing_in_clear();
}

static bool links_are_gone(void *arg)
{
	const uint32_t *ids = arg;

	for (int i = 0; ids[i]; i++) {
		int fd = bpf_link_get_fd_by_id(ids[i]);

		if (fd >= 0) {
			close(fd);
			return false;
		}
	}
	return true;
}

static void test_remove_leaves_nothing(void **state)
{
	static const char *const names[] = {
		"link_connect4",     "link_connect6",	  "link_sockops",
		"link_getpeername4", "link_getpeername6", "link_getsockname4",
		"link_getsockname6", "link_guard_out",	  "link_guard_in"};
	size_t n_names = ARRAY_SIZE(names) - (guard_can_cgroup() ? 0 : 2);
	uint32_t ids[10] = {0}, maps[2] = {0};
	struct bpf_link_info link = {};
	__u32 link_len = sizeof(link);
	struct errtext text = {""};
	struct steering_entry e[3];
	char path[PATH_MAX];
	int fd, inherited;

	(void)state;
	apply(e, standard_entries(e));
	for (size_t i = 0; i < n_names; i++)
		ids[i] = link_id(names[i]);
	snprintf(path, sizeof(path), "%.4000s/%s", folder, BOTLS_MAP_CROSSINGS);
	fd = bpf_obj_get(path);
	{
		struct bpf_map_info info = {};
		__u32 len = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		maps[0] = info.id;
	}
	close(fd);
	/* A descriptor of a hook that somebody else still has does not keep it attached. */
	snprintf(path, sizeof(path), "%.4000s/link_connect4", folder);
	inherited = bpf_obj_get(path);
	assert_int_equal(steering_remove(steering, &text), 0);
	fd = netlab_connect(ROUTER, NULL, "192.0.2.2", 179, NULL);
	assert_connected(fd);
	assert_string_equal(netlab_remote(fd), "192.0.2.2 179");
	close(fd);
	assert_int_equal(bpf_obj_get_info_by_fd(inherited, &link, &link_len), 0);
	assert_int_equal(link.cgroup.cgroup_id, 0);
	close(inherited);
	steering_free(steering);
	steering = NULL;
	assert_int_equal(access(folder, F_OK), -1);
	assert_true(netlab_wait(links_are_gone, ids));
	for (int i = 0; i < 100 && maps[0]; i++) {
		fd = bpf_map_get_fd_by_id(maps[0]);
		if (fd < 0)
			maps[0] = 0;
		else
			close(fd);
		usleep(10000);
	}
	assert_int_equal(maps[0], 0);
}

struct differences {
	unsigned missing, differs, foreign;
};

static void on_item(void *arg, const struct steering_item *item)
{
	struct differences *d = arg;

	switch (item->state) {
	case STEERING_OK: break;
	case STEERING_MISSING: d->missing++; break;
	case STEERING_DIFFERS: d->differs++; break;
	case STEERING_FOREIGN: d->foreign++; break;
	}
}

static void test_check_finds_what_was_changed(void **state)
{
	struct botls_neighbor_key key, strange = {.prefixlen = BOTLS_NEIGHBOR_KEY_BITS};
	struct botls_neighbor value;
	struct differences d = {0};
	struct steering_entry e[3];
	struct errtext text = {""};
	__u32 zero = 0, id;
	char path[PATH_MAX];
	int outer, trie;

	(void)state;
	/* Not in the order of the table. */
	standard_entries(e);
	e[0] = entry("fe80::2%r0", "fe80::1%r0");
	e[2] = entry("192.0.2.2", "192.0.2.1");
	apply(e, 3);
	assert_int_equal(steering_check(steering, on_item, &d, NULL), 0);

	snprintf(path, sizeof(path), "%.4000s/%s", folder, BOTLS_MAP_NEIGHBORS);
	outer = bpf_obj_get(path);
	assert_int_equal(bpf_map_lookup_elem(outer, &zero, &id), 0);
	trie = bpf_map_get_fd_by_id(id);
	assert_int_equal(bpf_map_get_next_key(trie, NULL, &key), 0);
	assert_int_equal(bpf_map_delete_elem(trie, &key), 0);
	assert_int_equal(bpf_map_get_next_key(trie, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(trie, &key, &value), 0);
	value.flags = 0;
	assert_int_equal(bpf_map_update_elem(trie, &key, &value, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(trie, &strange, &value, BPF_ANY), 0);
	unlink(path);
	assert_int_equal(steering_check(steering, on_item, &d, NULL), 4);
	assert_int_equal(d.missing, 2); /* the neighbor and the pin */
	assert_int_equal(d.differs, 1);
	assert_int_equal(d.foreign, 1);
	assert_int_equal(steering_repair(steering, &text), 0);
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
	close(trie);
	close(outer);
}

static void test_many_neighbors(void **state)
{
	struct steering_entry *e = calloc(BOTLS_NEIGHBORS_MAX + 1, sizeof(*e));
	struct errtext text = {""};
	char name[64];

	(void)state;
	for (unsigned i = 0; i <= BOTLS_NEIGHBORS_MAX; i++) {
		snprintf(name, sizeof(name), "10.%u.%u.1", i >> 8, i & 255);
		e[i] = entry(name, "192.0.2.1");
	}
	apply(e, BOTLS_NEIGHBORS_MAX);
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
	check_steered(&(struct steered){NULL, "10.78.31.1", NULL, "10.78.31.1 179", "192.0.2.1 "});
	assert_int_equal(steering_apply(steering, e, BOTLS_NEIGHBORS_MAX + 1, &text), -E2BIG);
	assert_int_equal(steering_check(steering, NULL, NULL, NULL), 0);
	free(e);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static int group_start(void **state)
{
	(void)state;
	netlab_start();
	clear_listeners[0] = netlab_listen(PEER, "0.0.0.0", 179);
	clear_listeners[1] = netlab_listen(PEER, "::", 179);
	clear_listeners[2] = netlab_listen(THIRD, "0.0.0.0", 179);
	clear_listeners[3] = netlab_listen(THIRD, "::", 179);
	daemon_listeners[0] = netlab_listen(ROUTER, "0.0.0.0", 179);
	daemon_listeners[1] = netlab_listen(ROUTER, "::", 179);
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
		TEST(test_connect_is_steered),
		TEST(test_linklocal_scopes_are_kept_apart),
		TEST(test_others_are_left_alone),
		TEST(test_other_namespaces_are_left_alone),
		TEST(test_refusals),
		TEST(test_connect_without_shim_is_refused),
		TEST(test_inner_shows_the_neighbor),
		TEST(test_inner_shows_mapped_address),
		TEST(test_killed_process_leaves_nothing),
		TEST(test_time_wait_leaves_nothing),
		TEST(test_socket_can_be_used_again),
		TEST(test_wire_peer_is_hidden),
		TEST(test_guard_and_the_kernels_resets),
		TEST(test_guard_alone),
		TEST(test_guard_opens_when_clear_is_allowed),
		TEST(test_what_is_carried_lives),
		TEST(test_sessions_in_clear_end_when_newly_protected),
		TEST(test_sessions_of_a_gap_end),
		TEST(test_interface_that_comes_later),
		TEST(test_steered_never_leaves),
		TEST(test_inner_port_is_closed_outside),
		TEST(test_one_per_namespace),
		TEST(test_crash_and_takeover),
		TEST(test_table_is_found_again),
		TEST(test_remove_leaves_nothing),
		TEST(test_check_finds_what_was_changed),
		TEST(test_many_neighbors),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
