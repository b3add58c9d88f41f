// SPDX-License-Identifier: Apache-2.0
/* The life of control: how it starts, what kernel and clock tell it, how it stops. */
#include "control_rig.h"

#include "log.h"
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NEIGHBORS                                                                                  \
	"neighbor \"127.0.0.2\" { }\n"                                                             \
	"neighbor \"127.0.0.3\" { mode = preferred }\n"

static int setup(void **state)
{
	struct rig *r;

	crig_setup(state);
	r = *state;
	crig_write(r, NEIGHBORS);
	crig_start(r);
	return 0;
}

/* --- start
 * ----------------------------------------------------------------------------------------------------------------
 */

static void what_steering_is_told(void **state)
{
	const struct steering_entry *e;
	struct rig *r = *state;
	char text[ADDR_STRLEN];

	crig_write(r, "neighbor \"127.0.0.2\" { }\n"
		      "neighbor \"127.0.0.3\" { mode = preferred ttl-security = 3 }\n"
		      "neighbor \"127.0.0.4\" { mode = off }\n"
		      "neighbor \"127.0.0.5\" { role = accept local-address = \"127.0.0.77\" }\n"
		      "neighbor \"127.0.0.6\" { role = connect inner-tcp-md5 = \"secret\" }\n"
		      "neighbor \"127.0.7.0/24\" { }\n"
		      "neighbor \"fe80::2%%nosuchif\" { }\n");
	crig_start(r);
	assert_int_equal(r->steering.n_entries, 6);
	assert_null(crig_entry(r, "127.0.0.4"));
	e = crig_entry(r, "127.0.0.2");
	assert_true(e->is_required && e->may_connect && !e->allow_clear && !e->min_ttl);
	assert_null(e->inner_tcp_md5);
	assert_string_equal(addr_format(&e->own, text), "127.0.0.1");
	e = crig_entry(r, "127.0.0.3");
	assert_true(!e->is_required && e->may_connect && !e->allow_clear);
	assert_int_equal(e->min_ttl, 253);
	e = crig_entry(r, "127.0.0.5");
	assert_false(e->may_connect);
	assert_string_equal(addr_format(&e->own, text), "127.0.0.77");
	e = crig_entry(r, "127.0.0.6");
	assert_true(e->may_connect);
	assert_string_equal(e->inner_tcp_md5, "secret");
	e = crig_entry(r, "127.0.7.0/24");
	assert_false(e->may_connect);
	assert_int_equal(e->own.family, AF_UNSPEC);
	e = crig_entry(r, "fe80::2%nosuchif");
	assert_int_equal(e->own.family, AF_UNSPEC);
	assert_false(crig_logged(r, "secret"));
}

/* Fail closed: the kernel is programmed before anything else is even looked at. */
static void a_bad_certificate_is_its_neighbors_trouble(void **state)
{
	struct rig *r = *state;

	crig_write(
		r,
		"neighbor \"127.0.0.2\" { key = \"other.key\" }\n"
		"neighbor \"127.0.0.3\" { certificate = \"none.pem\" }\n"
		"neighbor \"127.0.0.4\" { certificate = \"expired.pem\" key = \"expired.key\" }\n"
		"neighbor \"127.0.0.5\" { }\n");
	crig_start(r);
	assert_int_equal(r->steering.n_entries, 4);
	assert_true(crig_logged(r, "other.key"));
	assert_true(crig_logged(r, "none.pem"));
	assert_true(crig_logged(r, "expired.pem"));
	assert_true(crig_logged(r, "sessions live on, new ones fail"));
	assert_int_equal(r->workers[0].config->n_neighbors, 4);
}

static void busy_steering(struct rig *r)
{
	r->steering.n_busy = 1000;
}

static void no_steering(struct rig *r)
{
	r->steering.new_error = -EOPNOTSUPP;
}

static void no_apply(struct rig *r)
{
	r->steering.apply_error = -EPERM;
}

static int listening = -1;

static void busy_port(struct rig *r)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(r->tls_port)};

	listening = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listening, 1), 0);
}

static void busy_control_socket(struct rig *r)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	listening = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(sun.sun_path, r->socket);
	assert_int_equal(bind(listening, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listening, 1), 0);
}

static void no_group(struct rig *r)
{
	strcpy(r->group, "no-such-group");
	crig_write(r, NEIGHBORS);
}

static void no_process(struct rig *r)
{
	r->start_error = -EAGAIN;
}

static void no_key_log(struct rig *r)
{
	r->keylog = "/nonexistent/keylog";
}

static const struct failure {
	const char *name;
	void (*spoil)(struct rig *r);
	const char *error;
	bool is_programmed; /* before it failed */
} failures[] = {
	{"no key log", no_key_log, "cannot open the key log /nonexistent/keylog", false},
	{"no steering", no_steering, "no steering here", false},
	{"a predecessor does not go", busy_steering, "a predecessor is still there", false},
	{"steering refuses", no_apply, "the kernel does not want to", false},
	{"the TLS port is taken", busy_port, "is another botlsd running? see tls-port", true},
	{"the control socket is taken", busy_control_socket, "is botlsd already running?", true},
	{"no control group", no_group, "there is no group 'no-such-group'", true},
	{"no worker", no_process, "cannot start worker 0: Resource temporarily unavailable", true},
};

/* What is programmed stays: required neighbors are closed, not open. */
static void it_does_not_start(void **state)
{
	struct rig *r = *state;
	const struct failure *f = r->parameter;
	struct errtext e = {};

	crig_write(r, NEIGHBORS);
	f->spoil(r);
	assert_true(crig_try(r, &e) < 0);
	assert_null(r->c);
	if (!strstr(e.text, f->error))
		fail_msg("says '%s'", e.text);
	assert_int_equal(r->steering.n_entries, f->is_programmed ? 2 : 0);
	assert_int_equal(r->steering.n_removed, 0);
	if (f->spoil == no_steering)
		assert_int_equal(r->steering.n_new, 1); /* waiting would not help */
	assert_int_equal(r->steering.n_freed, f->spoil == no_apply || f->is_programmed);
	if (listening >= 0) {
		close(listening);
		listening = -1;
	}
	unlink(r->socket);
}

/* Killed, a predecessor takes its sockets with it, but not at once. */
static void a_predecessor_goes(void **state)
{
	struct rig *r = *state;

	r->steering.n_busy = 3;
	r->steering.n_bad = 1;
	r->steering.not_the_first = "no cgroup here";
	crig_write(r, NEIGHBORS);
	crig_start(r);
	assert_int_equal(r->steering.n_new, 4);
	assert_true(crig_logged(r, "steering by fake, because: no cgroup here"));
	assert_true(crig_logged(r, "kernel, something: lacks it"));
	assert_false(crig_logged(r, "as it was")); /* what is lost is the audit's */
}

/* --- what the clock tells
 * ---------------------------------------------------------------------------------------------------
 */

static void expiry(void **state)
{
	struct rig *r = *state;

	crig_write(r, NEIGHBORS);
	crig_start(r);
	assert_false(crig_logged(r, "expires"));
	assert_true(timer_is_set(r->c->expiry));
	crig_write(r,
		   "expiry-warning-days = 365\nneighbor \"127.0.0.1\" { mode = off }\n" NEIGHBORS);
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	assert_true(crig_logged(r, "neighbor 127.0.0.2: our certificate "));
	assert_true(crig_logged(r, "/own.pem expires in "));
	assert_false(crig_logged(r, "neighbor 127.0.0.3")); /* one line for all that share it */
	crig_log_forget(r);
	timer_set_ms(r->c->expiry, 0);
	crig_settle(r);
	assert_true(crig_logged(r, "expires in "));
	assert_true(timer_is_set(r->c->expiry));
}

static void what_is_lost_is_put_back(void **state)
{
	struct rig *r = *state;
	unsigned n = r->steering.n_applied;

	assert_true(timer_is_set(r->c->audit));
	timer_set_ms(r->c->audit, 0);
	crig_settle(r);
	assert_int_equal(r->steering.n_repaired, 0);
	r->steering.n_bad = 2;
	r->steering.repair_error = -EIO;
	timer_set_ms(r->c->audit, 0);
	crig_settle(r);
	assert_true(crig_logged(r, "does not agree with 2 of the things"));
	assert_true(crig_logged(r, "steering cannot be repaired: beyond repair"));
	r->steering.repair_error = 0;
	assert_true(timer_is_set(r->c->audit));
	timer_set_ms(r->c->audit, 0);
	crig_settle(r);
	assert_int_equal(r->steering.n_repaired, 1);
	assert_int_equal(r->steering.n_bad, 0);
	assert_int_equal(r->steering.n_applied, n); /* no address has changed */
}

static void the_watchdog(void **state)
{
	struct rig *r = *state;

	setenv("WATCHDOG_USEC", "20000", 1);
	unsetenv("WATCHDOG_PID");
	crig_write(r, NEIGHBORS);
	crig_start(r);
	for (int i = 0; i < 3; i++)
		crig_until(r, strstr(crig_notified(r), "WATCHDOG=1"));
	unsetenv("WATCHDOG_USEC");
}

/* --- what the network tells
 * -------------------------------------------------------------------------------------------------
 */

static void change_lo(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(ifr->ifr_name, "lo");
	assert_int_equal(ioctl(fd, request, ifr), 0);
	close(fd);
}

static bool has_own(struct rig *r, const char *neighbor)
{
	return crig_entry(r, neighbor)->own.family == AF_INET;
}

/* Our address comes with an interface, and goes with it. */
static void addresses_come_and_go(void **state)
{
	struct rig *r = *state;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	unsigned n;

	if (unshare(CLONE_NEWNET) < 0) {
		close(home);
		skip();
	}
	crig_write(r, NEIGHBORS "neighbor \"192.0.2.2\" { }\n");
	crig_start(r);
	assert_false(has_own(r, "127.0.0.2"));
	n = r->steering.n_applied;
	change_lo(SIOCSIFFLAGS, &(struct ifreq){.ifr_flags = IFF_UP});
	crig_until(r, has_own(r, "127.0.0.2"));
	/* Once more when the burst is over, whatever it was: the table holds interface indexes. */
	crig_until(r, !timer_is_set(r->c->network_changed));
	assert_true(r->steering.n_applied >= n + 2);
	/* A route tells nobody: the audit looks. */
	assert_int_equal(system("ip route add 192.0.2.2/32 dev lo src 127.0.0.1"), 0);
	crig_settle(r);
	assert_false(has_own(r, "192.0.2.2"));
	timer_set_ms(r->c->audit, 0);
	crig_until(r, has_own(r, "192.0.2.2"));
	/* What the kernel does not take now is not forgotten. */
	r->steering.apply_error = -ENOBUFS;
	change_lo(SIOCSIFADDR, &(struct ifreq){.ifr_addr.sa_family = AF_INET});
	crig_until(r, crig_logged(r, "steering cannot follow a change of addresses or routes"));
	assert_true(has_own(r, "127.0.0.2"));
	r->steering.apply_error = 0;
	crig_until(r, !has_own(r, "127.0.0.2"));
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
}

/* --- the end
 * -------------------------------------------------------------------------------------------------------------
 */

static void it_runs(struct rig *r, int signo)
{
	crig_log_forget(r);
	crig_notified(r);
	raise(signo);
}

static void an_orderly_stop(void **state)
{
	struct rig *r = *state;

	it_runs(r, SIGTERM);
	assert_int_equal(control_run(r->c), 0);
	assert_true(crig_logged(r, "botlsd runs: 2 neighbors, steering fake, TLS port "));
	assert_string_equal(crig_notified(r), "READY=1 STOPPING=1 ");
	assert_true(crig_logged(r, "stopping: removing all that was programmed"));
	assert_int_equal(r->steering.n_removed, 1);
	crig_stop(r);
	assert_int_equal(r->steering.n_freed, 1);
	assert_int_equal(kill(r->workers[0].pid, 0), -1);
	assert_int_equal(access(r->socket, F_OK), -1);
}

static void an_interrupt(void **state)
{
	struct rig *r = *state;

	it_runs(r, SIGINT);
	r->steering.remove_error = -EBUSY;
	assert_int_equal(control_run(r->c), -EIO);
	assert_int_equal(r->steering.n_removed, 1);
	assert_true(crig_logged(r, "cannot remove all that was programmed: it stays"));
}

static void a_stop_for_a_restart(void **state)
{
	struct rig *r = *state;

	it_runs(r, SIGUSR1);
	assert_int_equal(control_run(r->c), 0);
	assert_int_equal(r->steering.n_removed, 0);
	assert_true(crig_logged(r, "stopping for a restart: what is programmed stays"));
	crig_stop(r);
	assert_int_equal(r->steering.n_removed, 0);
	assert_int_equal(r->steering.n_freed, 1);
}

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

/* Whatever ends it that is no signal, and freed without having run: closed, too. */
static void an_end_without_a_signal(void **state)
{
	struct rig *r = *state;
	struct timer *t;

	assert_int_equal(timer_new(r->c->loop, stop_loop, r->c->loop, &t), 0);
	timer_set_ms(t, 0);
	assert_int_equal(control_run(r->c), 0);
	assert_int_equal(r->steering.n_removed, 0);
	timer_free(t);
	crig_stop(r);
	assert_int_equal(r->steering.n_removed, 0);
	assert_int_equal(r->steering.n_freed, 1);
}

/* --- botlsd -n
 * -----------------------------------------------------------------------------------------------------------
 */

struct problems {
	unsigned n;
	char text[2048];
};

static void on_problem(void *arg, const char *where, const char *text)
{
	struct problems *p = arg;
	size_t len = strlen(p->text);

	p->n++;
	snprintf(p->text + len, sizeof(p->text) - len, "%s: %s\n", where, text);
}

static int check(struct rig *r, struct problems *p)
{
	struct config *config;
	int status;

	*p = (struct problems){};
	assert_int_equal(config_load(r->path, on_problem, p, &config), 0);
	status = control_check(config, on_problem, p);
	config_free(config);
	return status;
}

static void checking(void **state)
{
	const struct passwd *user = getpwuid(geteuid());
	struct rig *r = *state;
	struct problems p;

	assert_non_null(user);
	crig_write(r, "user = \"%s\"\n" NEIGHBORS, user->pw_name);
	assert_int_equal(check(r, &p), 0);
	assert_string_equal(p.text, "");
	strcpy(r->group, "no-such-group");
	crig_write(
		r,
		"user = \"no-such-user\"\n"
		"neighbor \"127.0.0.2\" { key = \"other.key\" }\n"
		"neighbor \"127.0.0.4\" { certificate = \"expired.pem\" key = \"expired.key\" }\n"
		"neighbor \"127.0.0.5\" { mode = off key = \"none.key\" }\n");
	assert_int_equal(check(r, &p), -EINVAL);
	assert_int_equal(p.n, 4);
	assert_non_null(strstr(p.text, "user: there is no user 'no-such-user' (useradd"));
	assert_non_null(strstr(p.text, "control-group: there is no group 'no-such-group'"));
	assert_non_null(strstr(p.text, "botlsd.conf:"));
	assert_non_null(strstr(p.text, "other.key"));
	assert_non_null(strstr(p.text, "expired.pem"));
	strcpy(r->group, getgrgid(getegid())->gr_name);
	crig_write(r, "user = \"%s\"\nneighbor \"127.0.0.2\" { crl = \"none.crl\" }\n",
		   user->pw_name);
	assert_int_equal(check(r, &p), -EINVAL);
	assert_int_equal(p.n, 1);
	assert_non_null(strstr(p.text, "none.crl"));
}

int main(void)
{
#define T0(f) cmocka_unit_test_setup_teardown(f, crig_setup, crig_teardown)
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, crig_teardown)
	const struct CMUnitTest tests[] = {
		T0(what_steering_is_told),
		T0(a_bad_certificate_is_its_neighbors_trouble),
		T0(a_predecessor_goes),
		T0(expiry),
		T1(what_is_lost_is_put_back),
		T0(the_watchdog),
		T0(addresses_come_and_go),
		T1(an_orderly_stop),
		T1(an_interrupt),
		T1(a_stop_for_a_restart),
		T1(an_end_without_a_signal),
		T0(checking),
	};
	struct CMUnitTest each[ARRAY_SIZE(failures)];
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		each[i] = (struct CMUnitTest){failures[i].name, it_does_not_start, crig_setup,
					      crig_teardown, (void *)&failures[i]};
	failed = cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
	return failed + cmocka_run_group_tests(each, crig_group_setup, crig_group_teardown);
}
