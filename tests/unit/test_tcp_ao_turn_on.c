// SPDX-License-Identifier: Apache-2.0
/* TCP-AO in the middle of a connection: make check-vm. Without it, nothing may change. */
#include "tcp_ao.h"

#include "needs_ao.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <time.h>

#define DEADLINE_MS 20000
#define SIZE	    200000 /* each way */

static const struct tcp_ao_key usual = {.send_id = 1,
					.recv_id = 1,
					.covers_options = true,
					.secret = "derived somewhere",
					.secret_len = 17};

struct end {
	int fd;
	struct addr peer;
	size_t sent, got;
};

static struct end ends[2];

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void set(int fd, int name, uint32_t value)
{
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)), 0);
}

/* ends[0] connected from 127.0.0.2, ends[1] was accepted at 127.0.0.1. */
static void connected(const char *from, const char *to)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct pollfd p = {.events = POLLIN};

	memset(ends, 0, sizeof(ends));
	assert_int_equal(addr_parse(to, &ends[0].peer, NULL), 0);
	assert_int_equal(addr_parse(from, &ends[1].peer, NULL), 0);
	assert_int_equal(sock_listener(&ends[0].peer, 0, 8, &p.fd), 0);
	assert_int_equal(getsockname(p.fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(sock_bound(&ends[1].peer, 0, &ends[0].fd), 0);
	if (connect(ends[0].fd, (struct sockaddr *)&ss, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	ends[1].fd = accept4(p.fd, NULL, NULL, SOCK_NONBLOCK);
	assert_true(ends[1].fd >= 0);
	close(p.fd);
}

/* The same between two sockets that are told where their numbers stand. */
static void connected_at(const uint32_t seq[2])
{
	struct sockaddr_storage ss[2];
	socklen_t len[2] = {sizeof(ss[0]), sizeof(ss[1])};

	memset(ends, 0, sizeof(ends));
	assert_int_equal(addr_parse("127.0.0.1", &ends[0].peer, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.2", &ends[1].peer, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sock_bound(&ends[!i].peer, 0, &ends[i].fd), 0);
		set(ends[i].fd, TCP_REPAIR, TCP_REPAIR_ON);
		assert_int_equal(getsockname(ends[i].fd, (struct sockaddr *)&ss[i], &len[i]), 0);
		set(ends[i].fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
		set(ends[i].fd, TCP_QUEUE_SEQ, seq[i]);
		set(ends[i].fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
		set(ends[i].fd, TCP_QUEUE_SEQ, seq[!i]);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(connect(ends[i].fd, (struct sockaddr *)&ss[!i], len[!i]), 0);
	for (int i = 0; i < 2; i++)
		set(ends[i].fd, TCP_REPAIR, TCP_REPAIR_OFF);
}

static void close_both(void)
{
	for (int i = 0; i < 2; i++)
		close(ends[i].fd);
}

static uint8_t byte_at(int from, size_t position)
{
	return position * 7 + position / 251 + from;
}

/* Sends and takes what may be sent and taken now. */
static void move(int from, size_t until)
{
	struct end *a = &ends[from], *b = &ends[!from];
	uint8_t buf[5000];
	size_t n = until - a->sent < sizeof(buf) ? until - a->sent : sizeof(buf);
	ssize_t r;

	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(from, a->sent + i);
	r = n ? send(a->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	assert_true(r >= 0 || errno == EAGAIN);
	a->sent += r > 0 ? r : 0;
	r = recv(b->fd, buf, sizeof(buf), MSG_DONTWAIT);
	assert_true(r > 0 || (r < 0 && errno == EAGAIN));
	for (ssize_t i = 0; i < r; i++)
		assert_int_equal(buf[i], byte_at(from, b->got + i));
	b->got += r > 0 ? r : 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

/* Both ways, until each end has so much. */
static void exchange(size_t until)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;

	while (ends[0].got < until || ends[1].got < until) {
		assert_true(now_ms() < deadline);
		move(0, until);
		move(1, until);
	}
}

static int turn_on(int end)
{
	return tcp_ao_turn_on(ends[end].fd, &ends[end].peer, &usual, end ? 11 : 22, end ? 22 : 11);
}

static void assert_signed(void)
{
	for (int i = 0; i < 2; i++) {
		struct tcp_ao_status s;

		assert_int_equal(tcp_ao_get_status(ends[i].fd, &s), 0);
		assert_true(s.good > 0);
		/* An acknowledgment that the kernel sends of itself between the key and its
		 * sequence numbers is signed with other ones; under load there may be one or two.
		 */
		assert_in_range(s.bad, 0, 4);
		assert_int_equal(s.send_id, 1);
		assert_int_equal(s.recv_id, 1);
	}
}

static void without_it_nothing_changes(void **state)
{
	(void)state;
	if (has_ao())
		skip();
	connected("127.0.0.2", "127.0.0.1");
	exchange(1000);
	assert_int_equal(tcp_ao_may_turn_on(ends[0].fd, &ends[0].peer, &usual), -ENOPROTOOPT);
	assert_int_equal(turn_on(0), -ENOPROTOOPT);
	assert_int_equal(option(ends[0].fd, IPPROTO_TCP, TCP_REPAIR), 0);
	assert_int_equal(option(ends[0].fd, SOL_SOCKET, SO_REUSEADDR), 1);
	exchange(SIZE);
	close_both();
}

static void under_load(void **state)
{
	static const char *const pairs[][2] = {{"127.0.0.2", "127.0.0.1"}, {"::1", "::1"}};

	(void)state;
	NEEDS_AO();
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		uint64_t apart;

		connected(pairs[i][0], pairs[i][1]);
		exchange(1000);
		for (int end = 0; end < 2; end++)
			assert_int_equal(tcp_ao_may_turn_on(ends[end].fd, &ends[end].peer, &usual),
					 0);
		exchange(2000);
		move(0, SIZE);
		move(1, SIZE);
		assert_int_equal(turn_on(i), 0);
		assert_int_equal(option(ends[i].fd, SOL_SOCKET, SO_REUSEADDR), 1);
		for (apart = now_ms() + 500; now_ms() < apart;) {
			move(0, SIZE);
			move(1, SIZE);
		}
		assert_true(ends[0].got < SIZE && ends[1].got < SIZE);
		assert_int_equal(turn_on(!i), 0);
		exchange(SIZE);
		assert_signed();
		close_both();
	}
}

/* Numbers go round before, or after. */
static void numbers_go_round(void **state)
{
	static const uint32_t begin[][2] = {
		{-1000, 5}, {5, -100000}, {-100000, -1000}, {-1, 0}, {0, -150000}};

	(void)state;
	NEEDS_AO();
	for (size_t i = 0; i < ARRAY_SIZE(begin); i++) {
		connected_at(begin[i]);
		exchange(4000);
		assert_int_equal(turn_on(0), 0);
		assert_int_equal(turn_on(1), 0);
		exchange(SIZE);
		assert_signed();
		close_both();
	}
}

static void refused(void **state)
{
	struct tcp_ao_key key = usual;
	struct addr stranger;

	(void)state;
	NEEDS_AO();
	connected("127.0.0.2", "127.0.0.1");
	assert_int_equal(addr_parse("127.0.0.9", &stranger, NULL), 0);
	assert_int_equal(tcp_ao_turn_on(ends[0].fd, &stranger, &usual, 1, 2), -EINVAL);
	key.secret_len = 0;
	assert_int_equal(tcp_ao_turn_on(ends[0].fd, &ends[0].peer, &key, 1, 2), -EINVAL);
	exchange(SIZE);
	assert_int_equal(option(ends[0].fd, IPPROTO_TCP, TCP_REPAIR), 0);
	close_both();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_it_nothing_changes),
		cmocka_unit_test(under_load),
		cmocka_unit_test(numbers_go_round),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
