// SPDX-License-Identifier: Apache-2.0
#include "ipc.h"
#include "loop.h"
#include "memory_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct end {
	struct ipc *ipc;
	unsigned n, last_id, gone;
	size_t last_len;
	char last[64];
	const char *where; /* it was */
	int kept_fd;
	bool keep, free_in_callback;
};

static void on_message(void *arg, struct ipc_message *m)
{
	struct end *e = arg;

	assert_int_equal(((const char *)m->payload)[m->len], '\0');
	e->n++;
	e->last_id = m->id;
	e->last_len = m->len;
	snprintf(e->last, sizeof(e->last), "%s", (const char *)m->payload);
	e->where = m->payload;
	if (e->keep)
		e->kept_fd = TAKE_FD(m->fd);
	if (e->free_in_callback)
		ipc_free(TAKE(e->ipc));
}

static void on_gone(void *arg)
{
	struct end *e = arg;

	e->gone++;
}

static const struct ipc_callbacks callbacks = {.on_message = on_message, .on_gone = on_gone};

struct fixture {
	struct loop *loop;
	struct end a, b;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(ipc_pair(fds), 0);
	assert_int_equal(ipc_new(f->loop, fds[0], &callbacks, &f->a, &f->a.ipc), 0);
	assert_int_equal(ipc_new(f->loop, fds[1], &callbacks, &f->b, &f->b.ipc), 0);
	f->a.kept_fd = f->b.kept_fd = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ipc_free(f->a.ipc);
	ipc_free(f->b.ipc);
	cleanup_close(&f->b.kept_fd);
	loop_free(f->loop);
	free(f);
	return 0;
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_message_with_a_descriptor(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	f->b.keep = true;
	assert_int_equal(ipc_send(f->a.ipc, 7, 42, "hello", 5, fd), 0);
	while (!f->b.n)
		loop_turn(f->loop, true);
	assert_string_equal(f->b.last, "hello");
	assert_memory_equal(f->b.where, "\0\0\0\0\0", 5); /* there could be a key in it */
	assert_int_equal(f->b.last_id, 42);
	assert_true(f->b.kept_fd >= 0 && f->b.kept_fd != fd);
	assert_int_equal(fcntl(f->b.kept_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
}

/* More than the socket takes: queued, in order, with their descriptors, and no descriptor is lost
 * or kept. */
static void a_burst(void **state)
{
	struct fixture *f = *state;
	char payload[4000] = "x";
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), before = count_fds();

	for (unsigned i = 1; i <= 3000; i++)
		assert_int_equal(
			ipc_send(f->a.ipc, 1, i, payload, sizeof(payload), i % 10 ? -1 : fd), 0);
	assert_true(count_fds() > before); /* what waits holds a copy */
	while (f->b.n < 3000) {
		unsigned seen = f->b.n;

		loop_turn(f->loop, true);
		if (f->b.n > seen)
			assert_int_equal(f->b.last_id, f->b.n);
	}
	assert_int_equal(f->b.last_len, sizeof(payload));
	assert_int_equal(count_fds(), before);
	assert_int_equal(f->a.gone + f->b.gone, 0);
	close(fd);
}

/* What was copied to wait, and then cannot: there is no descriptor left for the copy of its own. */
static void a_secret_that_cannot_wait(void **state)
{
	struct fixture *f = *state;
	char payload[4000] = "x", *secret;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit limit, none;
	size_t len;

	if (MEMORY_IS_SANITIZED)
		skip();
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(ipc_send(f->a.ipc, 1, i, payload, sizeof(payload), -1), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = limit.rlim_max};
	secret = memory_secret();
	len = strlen(secret);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ipc_send(f->a.ipc, 1, 1, secret, len, fd), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	explicit_bzero(secret, len);
	free(secret);
	assert_false(memory_has_secret());
	close(fd);
}

static void limits(void **state)
{
	struct fixture *f = *state;
	static char payload[IPC_PAYLOAD_MAX + 1];
	int r = 0;

	assert_int_equal(ipc_send(f->a.ipc, 1, 1, payload, sizeof(payload), -1), -EMSGSIZE);
	for (size_t i = 0; r == 0 && i < 2 * (size_t)IPC_QUEUE_MAX / IPC_PAYLOAD_MAX; i++)
		r = ipc_send(f->a.ipc, 1, 1, payload, IPC_PAYLOAD_MAX, -1);
	assert_int_equal(r,
			 -EPIPE); /* a peer that does not read costs a bounded amount of memory */
}

static void the_other_end_goes(void **state)
{
	struct fixture *f = *state;

	ipc_send(f->a.ipc, 1, 1, "last words", 10, -1);
	ipc_free(TAKE(f->a.ipc));
	while (!f->b.gone)
		loop_turn(f->loop, true);
	assert_int_equal(f->b.n, 1);
	assert_string_equal(f->b.last, "last words");
	assert_int_equal(ipc_send(f->b.ipc, 1, 1, NULL, 0, -1), -EPIPE);
	assert_int_equal(f->b.gone, 1);
}

/* A compromised worker may send anything. */
static void nonsense(void **state)
{
	struct fixture *f = *state;
	int fds[2];
	struct end e = {};

	assert_int_equal(ipc_pair(fds), 0);
	assert_int_equal(ipc_new(f->loop, fds[0], &callbacks, &e, &e.ipc), 0);
	assert_int_equal(send(fds[1], "abc", 3, 0), 3);
	while (!e.gone)
		loop_turn(f->loop, true);
	assert_int_equal(e.n, 0);
	ipc_free(e.ipc);
	close(fds[1]);
}

/* Two descriptors where one is the most: the peer is gone, and neither stays open. */
static void too_many_descriptors(void **state)
{
	struct fixture *f = *state;
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr head;
	} control = {};
	struct iovec iov = {(char[16]){0}, 16};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct end e = {};
	int fds[2], before;

	assert_int_equal(ipc_pair(fds), 0);
	assert_int_equal(ipc_new(f->loop, fds[0], &callbacks, &e, &e.ipc), 0);
	control.head = (struct cmsghdr){CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memset(CMSG_DATA(&control.head), 0, 2 * sizeof(int)); /* standard input, twice */
	before = count_fds();
	assert_int_equal(sendmsg(fds[1], &msg, 0), 16);
	while (!e.gone)
		loop_turn(f->loop, true);
	assert_int_equal(e.n, 0);
	assert_int_equal(count_fds(), before);
	ipc_free(e.ipc);
	close(fds[1]);
}

static void freed_in_its_callback(void **state)
{
	struct fixture *f = *state;

	f->b.free_in_callback = true;
	ipc_send(f->a.ipc, 1, 1, "one", 3, -1);
	ipc_send(f->a.ipc, 1, 2, "two", 3, -1);
	while (!f->a.gone)
		loop_turn(f->loop, true);
	assert_int_equal(f->b.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_message_with_a_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(a_burst, setup, teardown),
		cmocka_unit_test_setup_teardown(a_secret_that_cannot_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(the_other_end_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_in_its_callback, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
