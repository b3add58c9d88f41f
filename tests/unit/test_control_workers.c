// SPDX-License-Identifier: Apache-2.0
/* What workers ask for and may have; how they come, go and come again. */
#include "control_rig.h"

#include "botls/botls.h"
#include "log.h"
#include "sock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NEIGHBORS                                                                                  \
	"neighbor \"127.0.0.2\" { }\n"                                                             \
	"neighbor \"127.0.0.3\" { mode = preferred }\n"                                            \
	"neighbor \"127.0.0.4\" { mode = off }\n"                                                  \
	"neighbor \"127.0.0.5\" { mode = tcp-ao tcp-ao = static tcp-ao-key = own }\n"              \
	"neighbor \"127.0.7.0/24\" { }\n"                                                          \
	"neighbor \"::2\" { local-address = \"::1\" }\n"

static int setup_with(void **state, unsigned workers)
{
	struct rig *r;

	crig_setup(state);
	r = *state;
	crig_write(r, "workers = %u\n" NEIGHBORS, workers);
	crig_start(r);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 1);
}

static int setup_three(void **state)
{
	return setup_with(state, 3);
}

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static struct message_want want(const char *neighbor, const char *own, const char *peer)
{
	struct message_want m = {.own = address(own), .peer = address(peer)};

	strcpy(m.neighbor, neighbor);
	return m;
}

/* Asks, and returns the answer with its descriptor. */
static const struct message_socket *ask(struct rig *r, uint32_t type, const void *m, size_t len,
					int *ret_fd)
{
	static uint32_t id = 100;
	struct fake_worker *w = &r->workers[0];
	static struct message_socket answer;
	size_t before = crig_count(w, MSG_SOCKET);
	const struct rig_message *got;

	crig_reply(w, type, ++id, m, len);
	crig_until(r, crig_count(w, MSG_SOCKET) == before + 1);
	got = crig_last(w, MSG_SOCKET);
	assert_int_equal(got->id, id);
	assert_int_equal(got->len, sizeof(answer));
	memcpy(&answer, got->payload, sizeof(answer));
	assert_int_equal(got->fd >= 0, answer.error == 0);
	*ret_fd = got->fd;
	return &answer;
}

/* --- sockets
 * -------------------------------------------------------------------------------------------------------------
 */

static void an_inner_socket(void **state)
{
	struct message_want m = want("127.0.7.0/24", "127.0.0.1", "127.0.7.9");
	struct rig *r = *state;
	char buf[4];
	int fd;

	ask(r, MSG_WANT_INNER, &m, sizeof(m), &fd);
	assert_true(addr_equal(&r->steering.own, &m.own));
	assert_true(addr_equal(&r->steering.peer, &m.peer));
	/* It is the one that steering made, and control keeps no copy. */
	assert_int_equal(send(fd, "abc", 3, MSG_NOSIGNAL), 3);
	assert_int_equal(recv(r->steering.inner_peer, buf, sizeof(buf), MSG_DONTWAIT), 3);
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	assert_int_equal(recv(r->steering.inner_peer, buf, sizeof(buf), MSG_DONTWAIT), 0);
	r->steering.inner_error = -ECONNREFUSED;
	assert_int_equal(ask(r, MSG_WANT_INNER, &m, sizeof(m), &fd)->error, -ECONNREFUSED);
	assert_string_equal(ask(r, MSG_WANT_INNER, &m, sizeof(m), &fd)->text, "nobody listens");
}

static void an_outer_socket(void **state)
{
	struct message_want m = want("127.0.0.2", "127.0.0.1", "127.0.0.2");
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pollfd p = {.events = POLLOUT};
	struct rig *r = *state;
	struct addr own;
	uint16_t port;
	int fd;

	/* The TLS port of the neighbor is ours as well here: 127.0.0.2 is this machine. */
	assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, 0);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &own, &port), 0);
	assert_true(addr_equal(&own, &m.peer));
	assert_int_equal(port, r->tls_port);
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &own, &port), 0);
	assert_true(addr_equal(&own, &m.own));
	m.own = address("192.0.2.99");
	ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd);
	assert_non_null(strstr(crig_last(&r->workers[0], MSG_SOCKET)->payload + sizeof(int32_t),
			       "192.0.2.99"));
}

/* Control trusts no worker: what is not a configured neighbor's is not given. */
static void what_is_refused(void **state)
{
	static const struct {
		const char *neighbor, *own, *peer;
	} bad[] = {
		{"127.0.0.9", "127.0.0.1", "127.0.0.9"},       /* not configured */
		{"", "127.0.0.1", "127.0.0.2"},		       /* nobody */
		{"127.0.0.4", "127.0.0.1", "127.0.0.4"},       /* off */
		{"127.0.0.2", "127.0.0.1", "127.0.0.3"},       /* another neighbor's address */
		{"127.0.7.0/24", "127.0.0.1", "127.0.8.1"},    /* beside the prefix */
		{"127.0.7.0/24", "127.0.0.1", "127.0.7.0/25"}, /* no host */
		{"127.0.0.2", "::1", "127.0.0.2"},	       /* two families */
		{"127.0.0.2", "127.0.0.1", "::2"},
	};
	struct rig *r = *state;
	struct message_want m;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		m = want(bad[i].neighbor, bad[i].own, bad[i].peer);
		for (unsigned k = 0; k < 2; k++) {
			const struct message_socket *answer =
				ask(r, k ? MSG_WANT_INNER : MSG_WANT_OUTER, &m, sizeof(m), &fd);

			if (answer->error != -EPERM)
				fail_msg("%zu: given", i);
			assert_string_equal(answer->text, "not configured");
		}
	}
	assert_int_equal(r->steering.inner_peer, -1);
}

static void what_is_no_request(void **state)
{
	struct message_want good = want("127.0.0.2", "127.0.0.1", "127.0.0.2"), m = good;
	struct rig *r = *state;
	int fd;

	assert_int_equal(ask(r, MSG_WANT_INNER, &good, sizeof(good), &fd)->error, 0);
	assert_int_equal(ask(r, MSG_WANT_INNER, &good, sizeof(good) - 1, &fd)->error, -EPERM);
	assert_int_equal(ask(r, MSG_WANT_INNER, NULL, 0, &fd)->error, -EPERM);
	/* Names without an end. */
	memset(m.neighbor, '1', sizeof(m.neighbor));
	assert_int_equal(ask(r, MSG_WANT_INNER, &m, sizeof(m), &fd)->error, -EPERM);
	m = good;
	memset(m.own.ifname, 'x', IFNAMSIZ);
	assert_int_equal(ask(r, MSG_WANT_INNER, &m, sizeof(m), &fd)->error, -EPERM);
	m = good;
	memset(m.peer.ifname, 'x', IFNAMSIZ);
	assert_int_equal(ask(r, MSG_WANT_INNER, &m, sizeof(m), &fd)->error, -EPERM);
}

static void vote(struct rig *r, unsigned worker, const char *neighbor, uint8_t allow)
{
	struct message_fallback m = {.allow_clear = allow};

	strcpy(m.neighbor, neighbor);
	crig_reply(&r->workers[worker], MSG_FALLBACK, 0, &m, sizeof(m));
	crig_settle(r);
}

/* Clear text only while it is allowed, whatever is said by "true". */
static void clear_text(void **state)
{
	struct message_want m = want("127.0.0.3", "127.0.0.1", "127.0.0.3");
	struct rig *r = *state;
	int fd;

	for (unsigned clear = 1; clear < 256; clear *= 2) {
		m.clear = clear;
		assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, -EPERM);
	}
	vote(r, 0, "127.0.0.3", 1);
	assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, 0);
	vote(r, 0, "127.0.0.3", 0);
	assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, -EPERM);
	/* TLS is given all the time. */
	m.clear = 0;
	assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, 0);
	m = want("127.0.0.2", "127.0.0.1", "127.0.0.2");
	m.clear = 1;
	assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, -EPERM);
}

/* mode = tcp-ao has nothing but its keys: never without them. */
static void clear_text_without_keys(void **state)
{
	struct message_want m = want("127.0.0.5", "127.0.0.1", "127.0.0.5");
	struct rig *r = *state;
	int fd;

	m.clear = 1;
	m.without_ao = 1;
	assert_int_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, -EPERM);
	m.without_ao = 0;
	assert_int_not_equal(ask(r, MSG_WANT_OUTER, &m, sizeof(m), &fd)->error, -EPERM);
}

/* --- preferred: all workers must have gone without TLS
 * -------------------------------------------------------------------------- */

static void votes(void **state)
{
	struct rig *r = *state;
	unsigned n = r->steering.n_applied;

	vote(r, 0, "127.0.0.3", 1);
	vote(r, 2, "127.0.0.3", 1);
	vote(r, 2, "127.0.0.3", 1);
	assert_false(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_int_equal(r->steering.n_applied, n);
	vote(r, 1, "127.0.0.3", 1);
	assert_true(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_int_equal(r->steering.n_applied, n + 1);
	assert_true(timer_is_set(r->c->poll_clear));
	/* One that has TLS again is enough to close. */
	vote(r, 0, "127.0.0.3", 0);
	assert_false(crig_entry(r, "127.0.0.3")->allow_clear);
	vote(r, 1, "127.0.0.3", 0);
	assert_int_equal(r->steering.n_applied, n + 2);
	vote(r, 1, "127.0.0.3", 1);
	vote(r, 0, "127.0.0.3", 255);
	assert_true(crig_entry(r, "127.0.0.3")->allow_clear);
}

static void votes_for_nobody(void **state)
{
	struct message_fallback two[2] = {{.neighbor = "127.0.0.3", .allow_clear = 1}}, m = two[0];
	struct rig *r = *state;
	unsigned n = r->steering.n_applied;

	vote(r, 0, "127.0.0.2", 1); /* required */
	vote(r, 0, "127.0.0.4", 1); /* off */
	vote(r, 0, "127.0.0.9", 1);
	vote(r, 0, "", 1);
	crig_reply(&r->workers[0], MSG_FALLBACK, 0, &m, sizeof(m) - 1);
	crig_reply(&r->workers[0], MSG_FALLBACK, 0, two, sizeof(m) + 1);
	memset(m.neighbor, '1', sizeof(m.neighbor));
	crig_reply(&r->workers[0], MSG_FALLBACK, 0, &m, sizeof(m));
	crig_settle(r);
	assert_int_equal(r->steering.n_applied, n);
	for (size_t i = 0; i < r->steering.n_entries; i++)
		assert_false(r->steering.entries[i].allow_clear);
}

static void sixty_four_votes(void **state)
{
	struct rig *r = *state;

	/* Nobody reads what a manager is told before all have started, and it would be too much. */
	unsetenv("NOTIFY_SOCKET");
	crig_write(r, "workers = 64\n" NEIGHBORS);
	crig_start(r);
	for (unsigned i = 0; i < 63; i++)
		vote(r, i, "127.0.0.3", 1);
	assert_false(crig_entry(r, "127.0.0.3")->allow_clear);
	vote(r, 63, "127.0.0.3", 1);
	assert_true(crig_entry(r, "127.0.0.3")->allow_clear);
}

/* The kernel refuses: what was decided stands and is tried again, closing as well as opening. */
static void a_guard_that_does_not_move(void **state)
{
	struct rig *r = *state;
	unsigned n;

	for (uint8_t allow = 1;; allow = 0) {
		r->steering.apply_error = -ENOMEM;
		vote(r, 0, "127.0.0.3", allow);
		assert_true(crig_logged(r, "127.0.0.3: cannot change the guard, trying again"));
		crig_log_forget(r);
		assert_int_equal(crig_entry(r, "127.0.0.3")->allow_clear, !allow);
		assert_true(timer_is_set(r->c->network_changed));
		/* Not yet. */
		timer_set_ms(r->c->network_changed, 0);
		crig_until(r, crig_logged(r, "the kernel does not want to"));
		assert_true(timer_is_set(r->c->network_changed));
		r->steering.apply_error = 0;
		timer_set_ms(r->c->network_changed, 0);
		crig_until(r, crig_entry(r, "127.0.0.3")->allow_clear == allow);
		/* And that was it. */
		n = r->steering.n_applied;
		timer_set_ms(r->c->audit, 0);
		crig_settle(r);
		assert_int_equal(r->steering.n_applied, n);
		if (!allow)
			break;
	}
}

/* When the last session in clear has gone, the workers' time starts anew. */
static void clear_sessions_come_and_go(void **state)
{
	struct rig *r = *state;

	vote(r, 0, "127.0.0.3", 1);
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_false(crig_logged(r, "CLEAR TEXT"));
	assert_true(timer_is_set(r->c->poll_clear));
	r->steering.clear_count = 2;
	for (int i = 0; i < 2; i++) {
		timer_set_ms(r->c->poll_clear, 0);
		crig_settle(r);
	}
	assert_true(crig_logged(r, "neighbor 127.0.0.3: a session in CLEAR TEXT is up"));
	crig_log_forget(r);
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_false(crig_logged(r, "CLEAR TEXT")); /* said once */
	assert_int_equal(crig_count(&r->workers[0], MSG_FALLBACK_END), 0);
	r->steering.clear_count = 0;
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_int_equal(crig_count(&r->workers[0], MSG_FALLBACK_END), 1);
	assert_string_equal(crig_last(&r->workers[0], MSG_FALLBACK_END)->payload, "127.0.0.3");
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_int_equal(crig_count(&r->workers[0], MSG_FALLBACK_END), 1);
	/* The worker takes its vote back; nothing is left to watch. */
	vote(r, 0, "127.0.0.3", 0);
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_false(timer_is_set(r->c->poll_clear));
	/* The next time is a new one. */
	r->steering.clear_count = 1;
	vote(r, 0, "127.0.0.3", 1);
	assert_true(timer_is_set(r->c->poll_clear));
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_true(crig_logged(r, "CLEAR TEXT"));
	crig_log_forget(r);
	vote(r, 0, "127.0.0.3", 0);
	vote(r, 0, "127.0.0.3", 1);
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	assert_true(crig_logged(r, "CLEAR TEXT"));
}

/* --- life and death
 * --------------------------------------------------------------------------------------------------------
 */

static void what_a_worker_gets(void **state)
{
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];
	_cleanup_free_ char *want_text = crig_config_text(r->c->now.config);
	_cleanup_free_ char *have = crig_config_text(w->config);

	assert_string_equal(have, want_text);
	assert_int_equal(w->n_files, 3);
	assert_int_equal(w->n_tls, r->c->tls.n);
	assert_int_equal(w->n_inner, 1);
	assert_int_equal(w->batch_id, 0);
	assert_int_equal(crig_last(w, MSG_LOG_LEVEL)->id, LOG_LEVEL_INFO);
	assert_false(w->has_keylog);
	assert_int_equal(crig_count(w, MSG_FALLBACK_BEGIN), 0);
}

static void a_key_log(void **state)
{
	struct rig *r = *state;
	char path[80];
	struct stat st;

	snprintf(path, sizeof(path), "%s/keylog", r->dir);
	r->keylog = path;
	crig_write(r, NEIGHBORS);
	crig_start(r);
	assert_true(r->workers[0].has_keylog);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(crig_logged(r, "DEBUGGING: TLS secrets"));
}

/* Killed, it comes again with what is in force now, and with what its predecessor had decided. */
static void it_is_started_again(void **state)
{
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[1];
	pid_t pid = w->pid;

	for (unsigned i = 0; i < 3; i++)
		vote(r, i, "127.0.0.3", 1);
	crig_write(r, "workers = 3\n" NEIGHBORS "neighbor \"127.0.0.6\" { }\n");
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	log_set_level(LOG_LEVEL_DEBUG);
	kill(pid, SIGKILL);
	crig_until(r, w->n_started == 2 && w->n_batches == 1);
	crig_settle(r);
	assert_true(crig_logged(r, "was killed by signal 9"));
	assert_int_not_equal(w->pid, pid);
	assert_int_equal(child_pid(r->c->children[1]), w->pid);
	assert_int_equal(child_restarts(r->c->children[1]), 1);
	assert_int_equal(w->config->n_neighbors, 7);
	assert_int_equal(w->batch_id, 0);
	assert_int_equal(crig_last(w, MSG_LOG_LEVEL)->id, LOG_LEVEL_DEBUG);
	assert_int_equal(crig_count(w, MSG_FALLBACK_BEGIN), 1);
	assert_string_equal(crig_last(w, MSG_FALLBACK_BEGIN)->payload, "127.0.0.3");
	assert_true(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_int_equal(r->workers[0].n_started, 1);
	assert_int_equal(r->workers[0].n_batches, 2);
}

/* Its socket breaks, or what it says is no message: it is of no use any more. */
static void a_broken_socket(void **state)
{
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];
	pid_t pid = w->pid;
	char big[IPC_PAYLOAD_MAX + 100] = "";

	r->is_stubborn = true;
	assert_int_equal(send(w->fd, "abc", 3, MSG_NOSIGNAL), 3);
	crig_until(r, w->n_started == 2 && w->n_batches == 1);
	assert_int_not_equal(w->pid, pid);
	/* This one does not go by itself. */
	r->is_stubborn = false;
	assert_int_equal(send(w->fd, big, sizeof(big), MSG_NOSIGNAL), sizeof(big));
	crig_until(r, w->n_started == 3 && w->n_batches == 1);
	crig_reply_text(w, 4711, 0, "");
	crig_until(r, crig_logged(r, "worker 0 sent an unknown message (4711)"));
}

/* One that keeps dying is started again more and more slowly: each wait is twice the last one, give
 * or take a quarter. */
static void it_backs_off(void **state)
{
	uint64_t least_ms = 50 / 2;
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];

	for (unsigned i = 1; i <= 5; i++) {
		uint64_t from = loop_now_ms();

		kill(w->pid, SIGKILL);
		crig_until(r, w->n_started == i + 1 && w->n_batches);
		/* At least: that does not depend on how busy the machine is. */
		assert_true(loop_now_ms() - from >= least_ms);
		least_ms *= 2;
	}
	assert_int_equal(child_restarts(r->c->children[0]), 5);
	/* That it cannot be started at all counts the same, and does not end it. */
	r->start_error = -EAGAIN;
	kill(w->pid, SIGKILL);
	crig_until(r, r->n_start_errors == 1);
	assert_true(crig_logged(r, "worker 0 cannot be started: Resource temporarily unavailable"));
	r->start_error = 0;
	crig_until(r, w->n_started == 7 && w->n_batches == 1);
	assert_int_equal(child_restarts(r->c->children[0]), 6);
}

/* A worker without its configuration serves nobody: it is not left like that. */
static void it_cannot_be_given_anything(void **state)
{
	struct rlimit limit = {.rlim_max = RLIM_INFINITY};
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	kill(w->pid, SIGKILL);
	crig_until(r, w->n_started >= 3);
	assert_true(crig_logged(r, "worker 0 cannot be given its configuration (File too large): "
				   "starting another"));
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_DFL);
	crig_until(r, w->n_batches == 1);
	assert_non_null(w->config);
}

static void it_refuses_what_is_in_force(void **state)
{
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];

	crig_reply_text(w, MSG_APPLIED, 0, "");
	crig_settle(r);
	assert_int_equal(w->n_started, 1);
	crig_reply_text(w, MSG_APPLIED, 0, "no memory here");
	crig_until(r, w->n_started == 2 || crig_count(w, MSG_STOP) == 1);
	assert_int_equal(w->n_started, 1); /* it does not wait for a successor of control */
	crig_until(r, w->n_started == 2 && w->n_batches == 1);
	assert_true(crig_logged(
		r, "worker 0 refuses its configuration, starting another: no memory here"));
}

int main(void)
{
#define T0(f) cmocka_unit_test_setup_teardown(f, crig_setup, crig_teardown)
#define T1(f) cmocka_unit_test_setup_teardown(f, setup, crig_teardown)
#define T3(f) cmocka_unit_test_setup_teardown(f, setup_three, crig_teardown)
	const struct CMUnitTest tests[] = {
		T1(an_inner_socket),
		T1(an_outer_socket),
		T1(what_is_refused),
		T1(what_is_no_request),
		T1(clear_text),
		T1(clear_text_without_keys),
		T3(votes),
		T1(votes_for_nobody),
		T0(sixty_four_votes),
		T1(a_guard_that_does_not_move),
		T1(clear_sessions_come_and_go),
		T1(what_a_worker_gets),
		T0(a_key_log),
		T3(it_is_started_again),
		T1(a_broken_socket),
		T1(it_backs_off),
		T1(it_cannot_be_given_anything),
		T1(it_refuses_what_is_in_force),
	};

	return cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
}
