// SPDX-License-Identifier: Apache-2.0
#include "listener.h"

#include "sock.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/resource.h>

struct fixture {
	struct loop *loop;
	struct listener *listener;
	struct sockaddr_storage at;
	socklen_t at_len;
	unsigned n;
	struct addr peer, own;
	uint16_t own_port;
	bool pause_after_one;
};

static void on_accept(void *arg, int fd, const struct addr *peer, uint16_t peer_port,
		      const struct addr *own, uint16_t own_port)
{
	struct fixture *f = arg;

	assert_true(peer_port > 0);
	f->n++;
	f->peer = *peer;
	f->own = *own;
	f->own_port = own_port;
	close(fd);
	if (f->pause_after_one)
		listener_set_paused(f->listener, true);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct addr lo;
	int fd;

	assert_int_equal(addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(sock_listener(&lo, 0, 64, &fd), 0);
	f->at_len = sizeof(f->at);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f->at, &f->at_len), 0);
	assert_int_equal(listener_new(f->loop, fd, on_accept, f, &f->listener), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	listener_free(f->listener);
	loop_free(f->loop);
	free(f);
	return 0;
}

static int connect_to(struct fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&f->at, f->at_len), 0);
	return fd;
}

static void turns(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++) {
		loop_turn(f->loop, false);
		usleep(1000);
	}
}

static void addresses(void **state)
{
	struct fixture *f = *state;
	char text[ADDR_STRLEN];
	int fd = connect_to(f);

	turns(f, 20);
	assert_int_equal(f->n, 1);
	assert_string_equal(addr_format(&f->peer, text), "127.0.0.1");
	assert_string_equal(addr_format(&f->own, text), "127.0.0.1");
	assert_int_equal(f->own_port, ntohs(((struct sockaddr_in *)&f->at)->sin_port));
	close(fd);
}

static void paused(void **state)
{
	struct fixture *f = *state;
	int fds[3];

	f->pause_after_one = true;
	for (int i = 0; i < 3; i++)
		fds[i] = connect_to(f);
	turns(f, 20);
	assert_int_equal(f->n, 1); /* the others wait in the queue */
	f->pause_after_one = false;
	listener_set_paused(f->listener, false);
	turns(f, 20);
	assert_int_equal(f->n, 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* Without descriptors it waits, without spinning, and then goes on. */
static void out_of_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	int fd = connect_to(f), spins = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turns(f, 20);
	assert_int_equal(f->n, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (; f->n == 0 && spins < 50; spins++)
		loop_turn(f->loop, true);
	assert_int_equal(f->n, 1);
	assert_in_range(spins, 1, 10);
	close(fd);
}

static void on_busy(void *arg, unsigned events)
{
	(void)events;
	loop_may_take_long(arg);
}

/* While steps of handshakes wait, newcomers come one at a time; and they do come. */
static void others_wait(void **state)
{
	struct fixture *f = *state;
	struct io *busy[10];
	int fds[10], pairs[10][2];
	unsigned turns_taken = 0;

	listener_begins_long(f->listener);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
		assert_int_equal(io_add(f->loop, pairs[i][0], on_busy, f->loop, &busy[i]), 0);
		assert_int_equal(io_set(busy[i], IO_READ), 0);
		assert_int_equal(write(pairs[i][1], "x", 1), 1);
	}
	turns(f, 2);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_to(f);
	for (unsigned before = 0; f->n < 3; before = f->n) {
		assert_true(++turns_taken < 20);
		turns(f, 1);
		assert_in_range(f->n, before, before + 1);
	}
	assert_true(turns_taken > 3);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		io_free(busy[i]);
	turns(f, 3);
	assert_int_equal(f->n, ARRAY_SIZE(fds));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(paused, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(others_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
