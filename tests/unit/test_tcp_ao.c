// SPDX-License-Identifier: Apache-2.0
/* On a kernel without TCP-AO the one thing to test is that it says so; tests/vm has the others. */
#include "tcp_ao.h"

#include "needs_ao.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <time.h>

#define DEADLINE_MS 10000

static const struct tcp_ao_key usual = {.send_id = 7,
					.recv_id = 7,
					.covers_options = true,
					.secret = "correct horse",
					.secret_len = 13};

static struct addr parsed(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static int listener(const char *at, uint16_t *ret_port)
{
	struct addr a = parsed(at);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	assert_int_equal(sock_listener(&a, 0, 8, &fd), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &a, ret_port), 0);
	return fd;
}

/* Begins to connect, with the key if there is one. */
static int dial(const char *from, const char *to, uint16_t port, const struct tcp_ao_key *key)
{
	struct addr own = parsed(from), peer = parsed(to);
	struct sockaddr_storage ss;
	int fd, len = addr_to_sockaddr(&peer, port, &ss);

	assert_int_equal(sock_bound(&own, 0, &fd), 0);
	if (key)
		assert_int_equal(tcp_ao_add_key(fd, &peer, key), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static bool is_connected(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, ms) == 1 && sock_error(fd) == 0;
}

static int accepted(int l)
{
	struct pollfd p = {.fd = l, .events = POLLIN};
	int fd;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	fd = accept(l, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static struct tcp_ao_status status(int fd)
{
	struct tcp_ao_status s = {};

	assert_int_equal(tcp_ao_get_status(fd, &s), 0);
	return s;
}

/* Waits for the counter of a listener to say that a SYN was dropped, then sees that it was. */
#define ASSERT_DROPPED(fd, l, counter)                                                             \
	do {                                                                                       \
		for (int n = 0; n < DEADLINE_MS / 10 && !status(l).counter; n++)                   \
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);                  \
		assert_true(status(l).counter > 0);                                                \
		assert_false(is_connected(fd, 0));                                                 \
	} while (0)

static void without_it_the_kernel_says_so(void **state)
{
	struct addr peer = parsed("127.0.0.1");
	struct tcp_ao_status s = {.good = 42};
	uint64_t good = 42, bad = 42;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), none;

	(void)state;
	none = has_ao() ? -ENOENT : -ENOPROTOOPT;
	assert_int_equal(tcp_ao_get_status(fd, &s), none);
	assert_int_equal(tcp_ao_get_counts(fd, &peer, &usual, &good, &bad), none);
	assert_int_equal(tcp_ao_delete_key(fd, &peer, &usual), none);
	assert_true(s.good == 42 && good == 42 && bad == 42);
	if (!has_ao())
		assert_int_equal(tcp_ao_add_key(fd, &peer, &usual), -ENOPROTOOPT);
	close(fd);
	assert_int_equal(tcp_ao_probe(fd), -EBADF);
}

/* One byte each way over a connection that both ends sign. */
static void assert_works(const char *client, const char *server, const struct tcp_ao_key *ours,
			 const struct tcp_ao_key *theirs)
{
	struct addr peer = parsed(client);
	uint64_t good = 0, bad = 0;
	uint16_t port;
	int l = listener(server, &port), fd, other;
	char byte = 'x';

	assert_int_equal(tcp_ao_add_key(l, &peer, theirs), 0);
	fd = dial(client, server, port, ours);
	assert_true(is_connected(fd, DEADLINE_MS));
	other = accepted(l);
	assert_int_equal(send(other, &byte, 1, 0), 1);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, DEADLINE_MS), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	assert_int_equal(status(fd).send_id, ours->send_id);
	assert_int_equal(status(fd).recv_id, ours->recv_id);
	assert_int_equal(status(other).send_id, theirs->send_id);
	assert_true(status(fd).good >= 2 && !status(fd).bad && !status(fd).required);
	peer = parsed(server);
	assert_int_equal(tcp_ao_get_counts(fd, &peer, ours, &good, &bad), 0);
	assert_true(good >= 2 && !bad);
	close(other);
	close(fd);
	close(l);
}

static void equal_keys(void **state)
{
	static const enum tcp_ao_algorithm all[] = {TCP_AO_AES_128_CMAC_96, TCP_AO_HMAC_SHA1_96,
						    TCP_AO_HMAC_SHA256_96};
	static char longest[TCP_AO_SECRET_MAX + 1];

	(void)state;
	NEEDS_AO();
	memset(longest, 'k', TCP_AO_SECRET_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct tcp_ao_key key = {
			.algorithm = all[i], .secret = longest, .secret_len = TCP_AO_SECRET_MAX};

		assert_works("127.0.0.2", "127.0.0.1", &key, &key);
		key.covers_options = true;
		key.secret_len = 1;
		assert_works("::1", "::1", &key, &key);
	}
}

/* What one side sends with is what the other one receives with. */
static void ids_of_both_directions(void **state)
{
	struct tcp_ao_key ours = usual, theirs = usual;

	(void)state;
	NEEDS_AO();
	ours.send_id = theirs.recv_id = 255;
	ours.recv_id = theirs.send_id = 0;
	assert_works("127.0.0.2", "127.0.0.1", &ours, &theirs);
}

static void another_secret(void **state)
{
	struct addr peer = parsed("127.0.0.2");
	struct tcp_ao_key wrong = usual;
	uint64_t good = 0, bad = 0;
	uint16_t port;
	int l, fd;

	(void)state;
	NEEDS_AO();
	wrong.secret = "correct horsf";
	l = listener("127.0.0.1", &port);
	assert_int_equal(tcp_ao_add_key(l, &peer, &usual), 0);
	fd = dial("127.0.0.2", "127.0.0.1", port, &wrong);
	ASSERT_DROPPED(fd, l, bad);
	assert_int_equal(tcp_ao_get_counts(l, &peer, &usual, &good, &bad), 0);
	assert_true(bad > 0 && good == 0);
	close(fd);
	close(l);
}

static void options_covered_on_one_side_alone(void **state)
{
	struct addr peer = parsed("127.0.0.2");
	struct tcp_ao_key wrong = usual;
	uint16_t port;
	int l, fd;

	(void)state;
	NEEDS_AO();
	wrong.covers_options = false;
	l = listener("127.0.0.1", &port);
	assert_int_equal(tcp_ao_add_key(l, &peer, &usual), 0);
	fd = dial("127.0.0.2", "127.0.0.1", port, &wrong);
	ASSERT_DROPPED(fd, l, bad);
	close(fd);
	close(l);
}

static void another_id(void **state)
{
	struct addr peer = parsed("127.0.0.2");
	struct tcp_ao_key wrong = usual;
	uint16_t port;
	int l, fd;

	(void)state;
	NEEDS_AO();
	wrong.send_id = 8;
	l = listener("127.0.0.1", &port);
	assert_int_equal(tcp_ao_add_key(l, &peer, &usual), 0);
	fd = dial("127.0.0.2", "127.0.0.1", port, &wrong);
	ASSERT_DROPPED(fd, l, key_not_found);
	close(fd);
	close(l);
}

/* A key makes it mandatory for its peer, a host or a prefix, and for nobody else. */
static void no_key(void **state)
{
	static const char *const peers[] = {"127.0.0.2", "127.0.0.0/29"};

	(void)state;
	NEEDS_AO();
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		struct addr peer = parsed(peers[i]);
		struct tcp_ao_status s;
		uint16_t port;
		int l = listener("127.0.0.1", &port), fd, other;

		assert_int_equal(tcp_ao_add_key(l, &peer, &usual), 0);
		fd = dial("127.0.0.2", "127.0.0.1", port, NULL);
		ASSERT_DROPPED(fd, l, required);
		close(fd);
		fd = dial("127.0.0.9", "127.0.0.1", port, NULL);
		assert_true(is_connected(fd, DEADLINE_MS));
		other = accepted(l);
		assert_int_equal(tcp_ao_get_status(other, &s), -ENOENT);
		close(other);
		close(fd);
		/* Without the key everybody gets in again. */
		assert_int_equal(tcp_ao_delete_key(l, &peer, &usual), 0);
		assert_int_equal(tcp_ao_delete_key(l, &peer, &usual), -ENOENT);
		fd = dial("127.0.0.2", "127.0.0.1", port, NULL);
		assert_true(is_connected(fd, DEADLINE_MS));
		close(fd);
		close(l);
	}
}

static void errors(void **state)
{
	static char too_long[TCP_AO_SECRET_MAX + 2];
	struct addr peer = parsed("127.0.0.2"), around = parsed("127.0.0.0/8");
	struct tcp_ao_key key = usual;
	uint16_t port;
	int l;

	(void)state;
	NEEDS_AO();
	l = listener("127.0.0.1", &port);
	key.secret_len = 0;
	assert_int_equal(tcp_ao_add_key(l, &peer, &key), -EINVAL);
	memset(too_long, 'k', sizeof(too_long) - 1);
	key.secret = too_long;
	key.secret_len = TCP_AO_SECRET_MAX + 1;
	assert_int_equal(tcp_ao_add_key(l, &peer, &key), -EINVAL);
	assert_int_equal(tcp_ao_add_key(l, &peer, &usual), 0);
	assert_int_equal(tcp_ao_add_key(l, &peer, &usual), -EEXIST);
	assert_int_equal(tcp_ao_add_key(l, &around, &usual), -EEXIST);
	assert_int_equal(sock_set_tcp_md5(l, &peer, "key"), -EKEYREJECTED);
	assert_int_equal(tcp_ao_delete_key(l, &peer, &usual), 0);
	assert_int_equal(sock_set_tcp_md5(l, &peer, "key"), 0);
	assert_int_equal(tcp_ao_add_key(l, &peer, &usual), -EKEYREJECTED);
	close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_it_the_kernel_says_so),
		cmocka_unit_test(equal_keys),
		cmocka_unit_test(ids_of_both_directions),
		cmocka_unit_test(another_secret),
		cmocka_unit_test(options_covered_on_one_side_alone),
		cmocka_unit_test(another_id),
		cmocka_unit_test(no_key),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
