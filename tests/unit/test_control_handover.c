// SPDX-License-Identifier: Apache-2.0
/* Control with predecessors that it never meets: ends that a service manager passes on. */
#include "control_rig.h"

#include "sock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define PASSED 3 /* where descriptors are passed from, kept free by main() */

static int setup(void **state)
{
	struct rig *r;

	crig_setup(state);
	r = *state;
	crig_write(r, "neighbor \"127.0.0.2\" { }\nneighbor \"127.0.0.3\" { mode = preferred }\n"
		      "neighbor \"127.0.0.4\" { mode = preferred }\n");
	return 0;
}

/* The worker's end of a pair whose other end is passed. */
static int pass_pair(unsigned i)
{
	int fds[2];

	assert_int_equal(ipc_pair(fds), 0);
	assert_int_equal(dup2(fds[0], PASSED + i), PASSED + i);
	close(fds[0]);
	return fds[1];
}

static void start(struct rig *r, unsigned n, const char *names)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%u", n);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	crig_start(r);
	for (unsigned i = 0; i < 2; i++)
		if (fcntl(PASSED + i, F_GETFD) < 0)
			assert_int_equal(dup2(STDERR_FILENO, PASSED + i), PASSED + i);
}

/* True when `fd`, the old worker's end, hears that nobody is left. */
static bool is_alone(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* Each worker gets an end; a worker that is started again another one, and an orderly stop tells.
 */
static void an_end_for_each_worker(void **state)
{
	struct rig *r = *state;
	int heir; /* the next message moves the list of them */

	start(r, 0, "");
	crig_until(r, crig_count(&r->workers[0], MSG_HEIR) == 1);
	heir = crig_last(&r->workers[0], MSG_HEIR)->fd;
	assert_true(heir >= 0);
	assert_false(is_alone(heir));
	crig_kill(&r->workers[0]);
	crig_until(r, r->workers[0].n_started == 2 && crig_count(&r->workers[0], MSG_HEIR) == 1);
	heir = crig_last(&r->workers[0], MSG_HEIR)->fd;
	assert_int_equal(crig_count(&r->workers[0], MSG_STOP), 0);
	control_handover_stop(r->c);
	crig_until(r, crig_count(&r->workers[0], MSG_STOP) == 1);
	crig_notified(r); /* the manager's copies, on their way */
	assert_true(is_alone(heir));
}

/* Two predecessors, one worker: it is given both, and what it tells of them is added up. */
static void predecessors(void **state)
{
	struct rig *r = *state;
	int a = pass_pair(0), b = pass_pair(1);
	struct message_taken taken = {.moved = 2, .drain_ms = 50000};
	struct fake_worker *w = &r->workers[0];
	struct jv *answer;

	start(r, 2, "worker-0-77:worker-1-78");
	crig_until(r, crig_count(w, MSG_TAKE_OVER) == 2);
	/* What a worker that was taken over may say. */
	crig_reply(w, MSG_TAKEN, 1, &taken, sizeof(taken) - 1);
	crig_reply(w, MSG_TAKEN, 9, &taken, sizeof(taken));
	crig_reply(w, MSG_TAKEN, 1, &taken, sizeof(taken));
	crig_settle(r);
	assert_false(crig_logged(r, "were taken over"));
	taken = (struct message_taken){
		.moved = 1, .stayed = 3, .ended = 1, .left = 3, .drain_ms = 60000, .until = 1234};
	crig_reply(w, MSG_TAKEN, 2, &taken, sizeof(taken));
	crig_until(r,
		   crig_logged(r, "3 sessions were taken over from the botlsd before; 3 stay with "
				  "its workers until they end, at most 60 s"));
	assert_true(crig_logged(r, "1 of its sessions had to end"));
	answer = crig_ask(r, "{\"command\": \"show\"}");
	assert_int_equal(jv_size(jv_get(answer, "draining")), 1);
	assert_string_equal(jv_get_string(jv_at(jv_get(answer, "draining"), 0), "worker", ""),
			    "1-78");
	assert_int_equal(jv_get_int(jv_at(jv_get(answer, "draining"), 0), "until", 0), 1234);
	jv_free(answer);
	/* The worker dies: the next one asks again, of those that still live. */
	close(a);
	crig_settle(r);
	crig_kill(w);
	crig_until(r, w->n_started == 2 && crig_count(w, MSG_TAKE_OVER) == 1);
	assert_int_equal(crig_last(w, MSG_TAKE_OVER)->id, 2);
	close(b);
	crig_settle(r);
	answer = crig_ask(r, "{\"command\": \"show\"}");
	assert_int_equal(jv_size(jv_get(answer, "draining")), 0);
	jv_free(answer);
}

/* One that ends before its numbers are known is told of all the same. */
static void a_predecessor_that_is_done(void **state)
{
	struct rig *r = *state;
	struct message_taken taken = {.moved = 5};
	int a = pass_pair(0);

	start(r, 1, "worker-0-77");
	crig_until(r, crig_count(&r->workers[0], MSG_TAKE_OVER) == 1);
	close(a);
	crig_settle(r);
	crig_reply(&r->workers[0], MSG_TAKEN, 1, &taken, sizeof(taken));
	crig_until(r, crig_logged(r, "5 sessions were taken over from the botlsd before"));
}

/* It ended, and so did the worker that had asked it: the others are told of all the same. */
static void one_that_nobody_tells_of(void **state)
{
	struct rig *r = *state;
	struct message_taken taken = {.moved = 5};
	struct fake_worker *w = &r->workers[0];
	int a = pass_pair(0), b = pass_pair(1);

	start(r, 2, "worker-0-77:worker-1-78");
	crig_until(r, crig_count(w, MSG_TAKE_OVER) == 2);
	close(a);
	crig_settle(r);
	crig_kill(w);
	crig_until(r, w->n_started == 2 && crig_count(w, MSG_TAKE_OVER) == 1);
	assert_false(crig_logged(r, "were taken over"));
	crig_reply(w, MSG_TAKEN, 2, &taken, sizeof(taken));
	crig_until(r, crig_logged(r, "5 sessions were taken over from the botlsd before"));
	close(b);
}

/* Neighbors that were in clear text are so from the beginning; what the file says is not believed
 * of others. */
static void fallback(void **state)
{
	struct rig *r = *state;
	int fd = memfd_create("fallback", 0);

	assert_true(dprintf(fd, "127.0.0.2\n127.0.0.3\nnobody\n127.0.0.99\n") > 0);
	assert_int_equal(dup2(fd, PASSED), PASSED);
	close(fd);
	start(r, 1, "fallback");
	assert_true(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_false(crig_entry(r, "127.0.0.4")->allow_clear);
	assert_true(crig_entry(r, "127.0.0.2")->is_required);
	assert_false(crig_entry(r, "127.0.0.2")->allow_clear);
	crig_until(r, crig_count(&r->workers[0], MSG_FALLBACK_BEGIN) == 1);
	assert_string_equal(crig_last(&r->workers[0], MSG_FALLBACK_BEGIN)->payload, "127.0.0.3");
}

/* Does the manager keep the names of those in clear text? */
static bool has_fallback(struct rig *r, bool had)
{
	char text[128];
	ssize_t n;

	while ((n = recv(r->notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
		text[n] = '\0';
		if (strstr(text, "FDNAME=fallback"))
			had = strncmp(text, "FDSTORE=1", 9) == 0;
	}
	return had;
}

/* A neighbor that was in clear text and must use TLS now, is not in clear text when it prefers TLS
 * again. */
static void fallback_is_forgotten(void **state)
{
	struct message_fallback vote = {.neighbor = "127.0.0.3", .allow_clear = 1};
	struct rig *r = *state;

	start(r, 0, "");
	crig_reply(&r->workers[0], MSG_FALLBACK, 0, &vote, sizeof(vote));
	crig_settle(r);
	assert_true(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_true(has_fallback(r, false));
	crig_write(r, "neighbor \"127.0.0.3\" { }\n");
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	assert_false(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_false(has_fallback(r, true));
}

/* Names that are not ours, or that say nothing. */
static void strangers(void **state)
{
	struct rig *r = *state;
	int a = pass_pair(0), b = pass_pair(1);

	start(r, 2, "stranger:");
	crig_settle(r);
	assert_int_equal(crig_count(&r->workers[0], MSG_TAKE_OVER), 0);
	assert_true(is_alone(a));
	assert_true(is_alone(b));
	close(a);
	close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, crig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_end_for_each_worker),
		TEST(predecessors),
		TEST(a_predecessor_that_is_done),
		TEST(one_that_nobody_tells_of),
		TEST(fallback),
		TEST(fallback_is_forgotten),
		TEST(strangers),
	};

	for (int i = 0; i < 2; i++)
		dup2(STDERR_FILENO, PASSED + i);
	return cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
}
