// SPDX-License-Identifier: Apache-2.0
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

static struct loop *loop;

struct seen {
	struct io *io;
	struct timer *timer;
	unsigned calls, events;
	bool free_io;
	struct seen *also_free;
	char *order;
	char mark;
};

static void on_io(void *arg, unsigned events)
{
	struct seen *s = arg;

	s->calls++;
	s->events |= events;
	if (s->order)
		s->order[strlen(s->order)] = s->mark;
	if (s->free_io)
		io_free(TAKE(s->io));
	if (s->also_free) {
		io_free(TAKE(s->also_free->io));
		timer_free(TAKE(s->also_free->timer));
	}
}

static void on_timer(void *arg)
{
	struct seen *s = arg;

	s->calls++;
	if (s->order)
		s->order[strlen(s->order)] = s->mark;
	if (s->free_io)
		timer_free(TAKE(s->timer));
	if (s->also_free)
		io_free(TAKE(s->also_free->io));
}

static void pair(int ret[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret),
			 0);
}

/* [0] is the end that connected. */
static void tcp_pair(int ret[2])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	ret[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(ret[0], (struct sockaddr *)&in, len), 0);
	ret[1] = accept(listener, NULL, NULL);
	assert_true(ret[1] >= 0);
	close(listener);
}

static void reset(int fd)
{
	struct linger linger = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

static void watch(int fd, struct seen *s, unsigned want)
{
	assert_int_equal(io_add(loop, fd, on_io, s, &s->io), 0);
	assert_int_equal(io_set(s->io, want), 0);
	assert_int_equal(io_wanted(s->io), want);
}

static void turn(void)
{
	assert_int_equal(loop_turn(loop, false), 0);
}

/* Nothing wakes the loop: the first turn that waits brings the timer. */
static void assert_silent(void)
{
	struct seen s = {};

	assert_int_equal(timer_new(loop, on_timer, &s, &s.timer), 0);
	assert_int_equal(timer_set_ms(s.timer, 20), 0);
	assert_int_equal(loop_turn(loop, true), 0);
	assert_int_equal(s.calls, 1);
	timer_free(s.timer);
}

static int setup(void **state)
{
	(void)state;
	return loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void test_level_triggered(void **state)
{
	struct seen s = {};
	int fds[2];

	(void)state;
	pair(fds);
	watch(fds[0], &s, IO_READ);
	turn();
	assert_int_equal(s.calls, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	for (unsigned i = 1; i <= 3; i++) {
		turn();
		assert_int_equal(s.calls, i);
	}
	assert_int_equal(s.events, IO_READ);

	assert_int_equal(io_set(s.io, 0), 0);
	turn();
	assert_int_equal(s.calls, 3);
	assert_int_equal(io_set(s.io, IO_WRITE), 0);
	turn();
	assert_int_equal(s.events, IO_READ | IO_WRITE);
	assert_int_equal(s.calls, 4);
	assert_int_equal(io_set(s.io, IO_WRITE | IO_READ), 0);
	turn();
	assert_int_equal(s.calls, 6);
	assert_int_equal(io_set(s.io, 0), 0);
	turn();
	assert_int_equal(s.calls, 6);
	assert_int_equal(io_set(s.io, IO_WRITE | IO_READ), 0);
	turn();
	assert_int_equal(s.calls, 8);
	io_free(s.io);
	close(fds[0]);
	close(fds[1]);
}

/* The FIN is told once, though bytes before it are unread, and never again. */
static void test_hangup_while_not_reading(void **state)
{
	struct seen s = {};
	int fds[2];

	(void)state;
	tcp_pair(fds);
	watch(fds[0], &s, IO_HUP);
	assert_int_equal(write(fds[1], "unread", 6), 6);
	turn();
	assert_int_equal(s.calls, 0);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	while (!s.calls)
		assert_int_equal(loop_turn(loop, true), 0);
	assert_int_equal(s.events, IO_HUP);
	assert_silent();
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(io_set(s.io, 0), 0);
	assert_int_equal(io_set(s.io, IO_HUP), 0);
	turn();
	assert_int_equal(s.calls, 1);
	io_free(s.io);
	close(fds[0]);
	close(fds[1]);
}

static void test_reset_while_not_reading(void **state)
{
	struct seen s = {};
	int error, fds[2];
	socklen_t len = sizeof(error);

	(void)state;
	tcp_pair(fds);
	watch(fds[0], &s, IO_HUP);
	reset(fds[1]);
	while (!s.calls)
		assert_int_equal(loop_turn(loop, true), 0);
	assert_int_equal(s.events, IO_HUP | IO_ERROR);
	assert_silent();
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(s.calls, 1);
	assert_int_equal(getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, ECONNRESET);
	io_free(s.io);
	close(fds[0]);
}

static void test_reset_while_reading_or_writing(void **state)
{
	static const unsigned wants[] = {IO_READ, IO_WRITE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		struct seen s = {};
		int fds[2];

		tcp_pair(fds);
		reset(fds[1]);
		watch(fds[0], &s, wants[i]);
		turn();
		assert_int_equal(s.events, wants[i]);
		io_free(s.io);
		close(fds[0]);
	}
}

/* Each callback frees the other io, whichever of the two is called first, or itself. */
static void test_free_inside(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct seen a = {}, b = {};
		unsigned want = kind < 2 ? IO_READ : IO_HUP;
		int fds[2][2];

		tcp_pair(fds[0]);
		tcp_pair(fds[1]);
		watch(fds[0][0], &a, want);
		watch(fds[1][0], &b, want);
		if (kind % 2) {
			a.free_io = b.free_io = true;
		} else {
			a.also_free = &b;
			b.also_free = &a;
		}
		reset(fds[0][1]);
		reset(fds[1][1]);
		turn();
		turn();
		if (kind % 2)
			assert_true(a.calls == 1 && b.calls == 1);
		else
			assert_true(!a.calls != !b.calls);
		io_free(a.io);
		io_free(b.io);
		close(fds[0][0]);
		close(fds[1][0]);
	}
}

/* Reading and writing are ready together, and the first call frees the io. */
static void test_free_between_read_and_write(void **state)
{
	struct seen s = {.free_io = true};
	int fds[2];

	(void)state;
	pair(fds);
	assert_int_equal(write(fds[1], "x", 1), 1);
	watch(fds[0], &s, IO_READ | IO_WRITE);
	turn();
	assert_int_equal(s.calls, 1);
	close(fds[0]);
	close(fds[1]);
}

static void test_timers(void **state)
{
	struct seen s = {};
	uint64_t before = loop_now_ms();

	(void)state;
	assert_int_equal(timer_new(loop, on_timer, &s, &s.timer), 0);
	assert_false(timer_is_set(s.timer));
	assert_int_equal(timer_set_ms(s.timer, 60000), 0);
	assert_int_equal(timer_set_ms(s.timer, 40), 0);
	assert_true(timer_is_set(s.timer));
	while (!s.calls)
		assert_int_equal(loop_turn(loop, true), 0);
	assert_in_range(loop_now_ms() - before, 35, 5000);
	assert_false(timer_is_set(s.timer));
	turn();
	assert_int_equal(s.calls, 1);

	assert_int_equal(timer_set_ms(s.timer, 0), 0);
	timer_stop(s.timer);
	turn();
	assert_int_equal(s.calls, 1);
	s.free_io = true;
	assert_int_equal(timer_set_ms(s.timer, 0), 0);
	turn();
	assert_int_equal(s.calls, 2);
	assert_null(s.timer);
}

/* A continuation that goes on for ever lets descriptors have their turn, first. */
static void on_endless(void *arg)
{
	struct seen *s = arg;

	s->calls++;
	s->order[strlen(s->order)] = s->mark;
	timer_defer(s->timer);
}

static void test_continuation_yields(void **state)
{
	char order[64] = "";
	struct seen endless = {.order = order, .mark = 't'}, io = {.order = order, .mark = 'i'};
	int fds[2];

	(void)state;
	pair(fds);
	assert_int_equal(timer_new(loop, on_endless, &endless, &endless.timer), 0);
	assert_int_equal(timer_defer(endless.timer), 0);
	watch(fds[0], &io, IO_READ);
	turn();
	assert_string_equal(order, "t");
	assert_int_equal(write(fds[1], "x", 1), 1);
	turn();
	turn();
	assert_string_equal(order, "titit");
	timer_free(endless.timer);
	io_free(io.io);
	close(fds[0]);
	close(fds[1]);
}

static void on_long(void *arg, unsigned events)
{
	struct seen *s = arg;
	char c;

	(void)events;
	s->calls++;
	if (loop_may_take_long(loop)) {
		s->events++;
		recv(s->order[0], &c, 1, 0);
	}
}

/* Of many descriptors whose work takes long a few get their turn at a time, and every one in the
 * end; what is quick is not kept waiting by the others. */
static void test_long_callbacks(void **state)
{
	struct seen slow[20] = {}, quick = {};
	char fd_of[20][2];
	int fds[21][2];
	unsigned done = 0, most = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		struct seen *s = i < ARRAY_SIZE(slow) ? &slow[i] : &quick;

		pair(fds[i]);
		if (s != &quick) {
			fd_of[i][0] = fds[i][0];
			s->order = fd_of[i];
		}
		assert_int_equal(io_add(loop, fds[i][0], s == &quick ? on_io : on_long, s, &s->io),
				 0);
		assert_int_equal(io_set(s->io, IO_READ), 0);
		assert_int_equal(write(fds[i][1], "x", 1), 1);
	}
	for (unsigned turns = 1; done < ARRAY_SIZE(slow); turns++) {
		unsigned before = done;

		assert_true(turns <= ARRAY_SIZE(slow));
		assert_int_equal(loop_turn(loop, false), 0);
		done = 0;
		for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
			done += slow[i].events;
		if (done - before > most)
			most = done - before;
		assert_int_equal(quick.calls, turns);
	}
	assert_in_range(most, 1, ARRAY_SIZE(slow) / 2);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		io_free(i < ARRAY_SIZE(slow) ? slow[i].io : quick.io);
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

static void on_endless_long(void *arg, unsigned events)
{
	struct seen *s = arg;

	(void)events;
	s->events += loop_may_take_long(loop);
}

/* Those who always have something to do keep nobody from it. */
static void test_long_callbacks_that_never_end(void **state)
{
	struct seen endless[9] = {}, slow[6] = {};
	char fd_of[6][2];
	int fds[15][2];

	(void)state;
	assert_false(loop_is_behind(loop));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		bool is_endless = i < ARRAY_SIZE(endless);
		struct seen *s = is_endless ? &endless[i] : &slow[i - ARRAY_SIZE(endless)];

		pair(fds[i]);
		if (!is_endless) {
			s->order = fd_of[i - ARRAY_SIZE(endless)];
			s->order[0] = fds[i][0];
		}
		assert_int_equal(
			io_add(loop, fds[i][0], is_endless ? on_endless_long : on_long, s, &s->io),
			0);
		assert_int_equal(io_set(s->io, IO_READ), 0);
		assert_int_equal(write(fds[i][1], "x", 1), 1);
		if (i == ARRAY_SIZE(endless) - 1) { /* they are there first */
			turn();
			turn();
		}
	}
	for (int i = 0; i < 10; i++) {
		turn();
		assert_true(loop_is_behind(loop));
	}
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		assert_int_equal(slow[i].events, 1);
	for (size_t i = 0; i < ARRAY_SIZE(endless); i++) {
		assert_in_range(endless[i].events, 3, 8);
		io_free(endless[i].io);
	}
	turn();
	turn();
	assert_false(loop_is_behind(loop));
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		io_free(slow[i].io);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

static void on_stop(void *arg)
{
	struct seen *s = arg;

	s->calls++;
	loop_stop(loop);
}

static void on_signal(void *arg, int signo)
{
	assert_int_equal(signo, SIGUSR1);
	on_stop(arg);
}

static void test_signal_and_stop(void **state)
{
	struct seen s = {}, t = {};

	(void)state;
	assert_int_equal(loop_on_signal(loop, SIGUSR1, on_signal, &s), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(s.calls, 0); /* not in the handler */
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(s.calls, 1);

	assert_int_equal(timer_new(loop, on_stop, &t, &t.timer), 0);
	assert_int_equal(timer_set_ms(t.timer, 1), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(t.calls, 1);
	timer_free(t.timer);
}

static void test_bad_descriptor(void **state)
{
	struct seen s = {};
	char path[] = "/tmp/botls-test-loop-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	unlink(path);
	assert_int_equal(io_add(loop, fd, on_io, &s, &s.io), 0);
	assert_int_equal(io_set(s.io, IO_READ), -EPERM);
	assert_int_equal(io_set(s.io, IO_HUP), -EPERM);
	assert_int_equal(io_wanted(s.io), 0);
	io_free(s.io);
	close(fd);
}

static void test_jitter(void **state)
{
	uint64_t low = UINT64_MAX, high = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		uint64_t ms = jitter_ms(1000);

		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
	}
	assert_in_range(low, 750, 760);
	assert_in_range(high, 1240, 1250);
	assert_int_equal(jitter_ms(0), 0);
	assert_int_equal(jitter_ms(3), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_level_triggered),
		TEST(test_hangup_while_not_reading),
		TEST(test_reset_while_not_reading),
		TEST(test_reset_while_reading_or_writing),
		TEST(test_free_inside),
		TEST(test_free_between_read_and_write),
		TEST(test_timers),
		TEST(test_continuation_yields),
		TEST(test_long_callbacks),
		TEST(test_long_callbacks_that_never_end),
		TEST(test_signal_and_stop),
		TEST(test_bad_descriptor),
		TEST(test_jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
