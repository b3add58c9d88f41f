// SPDX-License-Identifier: Apache-2.0
/* child.c executes the running binary again, so this program is also the worker: see main(). */
#include "child.h"

#include "messages.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct fixture {
	struct loop *loop;
	struct child *child;
	unsigned started, died, messages;
	uint32_t last_type, last_id;
	char last[64];
};

static void on_started(void *arg, struct child *c)
{
	struct fixture *f = arg;

	assert_ptr_equal(c, f->child);
	f->started++;
}

static void on_message(void *arg, struct child *c, struct ipc_message *m)
{
	struct fixture *f = arg;

	(void)c;
	f->messages++;
	f->last_type = m->type;
	f->last_id = m->id;
	snprintf(f->last, sizeof(f->last), "%s", (const char *)m->payload);
}

static void on_died(void *arg, struct child *c)
{
	struct fixture *f = arg;

	assert_int_equal(child_pid(c), 0);
	f->died++;
}

static const struct child_callbacks callbacks = {
	.on_started = on_started,
	.on_message = on_message,
	.on_died = on_died,
};

static void on_sigchld(void *arg, int signo)
{
	struct fixture *f = arg;
	int status;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		child_reaped(f->child, pid, status);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *user = strdup("nobody");

	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(loop_on_signal(f->loop, SIGCHLD, on_sigchld, f), 0);
	/* The name's owner (a configuration) may go before the child does. */
	assert_int_equal(child_new(f->loop, 3, user, &callbacks, f, &f->child), 0);
	strcpy(user, "gone");
	free(user);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	pid_t pid = child_pid(f->child);

	child_free(f->child);
	if (pid)
		assert_int_equal(kill(pid, 0), -1); /* nothing is left running */
	loop_free(f->loop);
	free(f);
	return 0;
}

#define until(f, condition)                                                                        \
	do {                                                                                       \
		for (int i_ = 0; !(condition); i_++) {                                             \
			assert_true(i_ < 10000);                                                   \
			loop_turn((f)->loop, false);                                               \
			usleep(1000);                                                              \
		}                                                                                  \
	} while (0)

static void it_answers(void **state)
{
	struct fixture *f = *state;

	assert_true(child_pid(f->child) > 0);
	assert_int_equal(child_number(f->child), 3);
	assert_int_equal(child_send(f->child, MSG_QUERY, 5, "hello", 5, -1), 0);
	until(f, f->messages == 1);
	assert_int_equal(f->last_type, MSG_QUERY);
	assert_int_equal(f->last_id, 5);
	assert_string_equal(f->last, "3 nobody hello");
}

static void it_is_started_again(void **state)
{
	struct fixture *f = *state;
	pid_t first = child_pid(f->child);

	for (unsigned i = 1; i <= 3; i++) {
		pid_t pid = child_pid(f->child);

		kill(pid, SIGKILL);
		until(f, f->died == i && f->started == i);
		assert_true(child_pid(f->child) > 0 && child_pid(f->child) != pid);
		assert_int_equal(child_restarts(f->child), i);
	}
	assert_int_not_equal(child_pid(f->child), first);
	assert_int_equal(child_send(f->child, MSG_QUERY, 6, "again", 5, -1), 0);
	until(f, f->messages == 1);
	assert_string_equal(f->last, "3 nobody again");
}

static void sending_to_the_dead(void **state)
{
	struct fixture *f = *state;

	kill(child_pid(f->child), SIGKILL);
	until(f, f->died == 1);
	assert_int_equal(child_send(f->child, MSG_QUERY, 1, NULL, 0, -1), -EPIPE);
}

/* The worker: says who it is, with what it was sent. Ends with its socket. */
static int be_a_worker(char **args)
{
	int fd = atoi(args[0]);
	char in[256], out[512];

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;
		int len;

		poll(&p, 1, -1);
		n = recv(fd, in, sizeof(in) - 1, 0);
		if (n == 0)
			return 0;
		if (n < 8)
			continue;
		in[n] = '\0';
		memcpy(out, in, 8);
		len = snprintf(out + 8, sizeof(out) - 8, "%s %s %s", args[1], args[2], in + 8);
		if (send(fd, out, 8 + len, 0) < 0)
			return 1;
	}
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(it_answers), T(it_is_started_again),
					   T(sending_to_the_dead)};

	if (argc == 5 && strcmp(argv[1], "--worker") == 0)
		return be_a_worker(argv + 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
