// SPDX-License-Identifier: Apache-2.0
/* When records move into the kernel and when not, and what is only so there. What every record
 * layer does is in test_tls_record, test_tls_stream and test_relay_tls, which run over both. */
#include "ktls.h"
#include "tls_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

#define ALL ((1U << KTLS_CIPHERS) - 1)
#define US  TLS_SERVER
#define RAW TLS_CLIENT

static void expect_user_space(struct pair *p, const char *why)
{
	struct tls_info info;
	char buf[8];
	size_t n;

	pair_handshake(p);
	assert_int_equal(p->want[US], TLS_DONE);
	tls_get_info(p->t[US], &info);
	assert_false(info.is_in_kernel);
	assert_false(tls_is_in_kernel(p->t[US]));
	assert_false(tls_can_splice(p->t[US]));
	if (!strstr(info.why_user, why))
		fail_msg("'%s', not '%s'", info.why_user, why);
	/* whoever does it, it works */
	assert_int_equal(tls_write(p->t[US], "ours", 4, &n), TLS_DONE);
	assert_int_equal(SSL_read(p->raw[RAW], buf, sizeof(buf)), 4);
	assert_int_equal(SSL_write(p->raw[RAW], "theirs", 6), 6);
	assert_int_equal(tls_read(p->t[US], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 6);
	pair_close(p);
}

static void open_wanting(struct pair *p, int version, const struct ktls_support *support)
{
	struct tls_params params = good_params(&pki.server);
	const struct raw_options options = {.version = version,
					    .alpn = ALPN_BOTLS,
					    .cert = &pki.client,
					    .options = SSL_OP_NO_TICKET};

	params.allow_tls12 = true;
	tls_ktls_set_support(support);
	pair_open(p, NULL, &params);
	pair_raw(p, RAW, &options);
	tls_want_kernel(p->t[US]);
}

static void test_stays_in_user_space(void **state)
{
	const struct ktls_support none = {.why_not = "this kernel is made of wood"},
				  all = {.ciphers = ALL},
				  chacha = {.ciphers = 1U << KTLS_CHACHA20_POLY1305};
	struct pair p;

	(void)state;
	open_wanting(&p, TLS1_3_VERSION, &none);
	expect_user_space(&p, "this kernel is made of wood");
	open_wanting(&p, TLS1_3_VERSION, &chacha);
	expect_user_space(&p, "does not have the cipher");
	open_wanting(&p, TLS1_2_VERSION, &all);
	expect_user_space(&p, "TLS 1.2");
	/* a local socket has no kTLS at all: refused in the middle of it */
	open_wanting(&p, TLS1_3_VERSION, &all);
	expect_user_space(&p, "the kernel refused: ");
}

/* Nobody asked: no reason is told. */
static void test_not_wanted(void **state)
{
	struct tls_info info;
	static struct wire w;
	struct pair p;

	(void)state;
	wire_open(&w, &p, RAW);
	tls_get_info(p.t[US], &info);
	assert_false(info.is_in_kernel);
	assert_string_equal(info.why_user, "");
	pair_close(&p);
}

/* --- only where this kernel can */

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* The kernel opens what follows data, and keeps a KeyUpdate to itself. */
static void test_key_update_behind_data(void **state)
{
	static struct wire w;
	struct pair p;
	char buf[64];
	size_t n;

	(void)state;
	wire_open(&w, &p, RAW);
	assert_true(tls_is_in_kernel(p.t[US]));
	wire_seal(&w, "data\x17", 5);
	wire_seal(&w, "\x18\0\0\1\0\x16", 6);
	wire_next_key(&w);
	wire_seal(&w, "more\x17", 5);
	wire_send(&w, &p, RAW);
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 4);
	if (!is_readable(p.fd[US]))
		assert_true(tls_has_pending(p.t[US]));
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_true(is_readable(p.fd[US]) || tls_has_pending(p.t[US]));
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_DONE);
	assert_memory_equal(buf, "more", 4);
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_false(tls_has_pending(p.t[US]));
	pair_close(&p);
}

/* Half a record is nothing to read: a loop would spin. It would when our own half is closed, which
 * the relay knows (test_relay_tls). */
static void test_half_a_record_is_silent(void **state)
{
	static struct wire w;
	struct pair p;
	char buf[64];
	size_t n, len;

	(void)state;
	for (int is_closed = 0; is_closed < 2; is_closed++) {
		wire_open(&w, &p, RAW);
		if (is_closed) {
			assert_int_equal(tls_close_notify(p.t[US]), TLS_DONE);
			assert_int_equal(shutdown(p.fd[US], SHUT_WR), 0);
		}
		wire_seal(&w, "data\x17", 5);
		len = w.len;
		assert_int_equal(send(p.fd[RAW], w.out, 9, 0), 9);
		assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_WANT_READ);
		assert_false(tls_has_pending(p.t[US]));
		if (!is_closed)
			assert_false(is_readable(p.fd[US]));
		assert_int_equal(send(p.fd[RAW], w.out + 9, len - 9, 0), len - 9);
		assert_true(is_readable(p.fd[US]));
		assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_DONE);
		assert_int_equal(n, 4);
		pair_close(&p);
	}
}

/* The socket is full: what the kernel has sealed is waited for before TCP is ended. */
static void test_no_tail_is_lost(void **state)
{
	static uint8_t block[16384];
	size_t n = 0, written = 0, received = 0;
	static struct wire w;
	enum tls_want want;
	struct pair p;
	int small = 4096, r;

	(void)state;
	wire_open(&w, &p, RAW);
	setsockopt(p.fd[US], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (tls_write(p.t[US], block, sizeof(block), &n) == TLS_DONE)
		written += n;
	for (int i = 0; (want = tls_close_notify(p.t[US])) == TLS_WANT_WRITE; i++) {
		assert_true(i < 5000);
		r = SSL_read(p.raw[RAW], block, sizeof(block));
		received += r > 0 ? r : 0;
		poll(NULL, 0, r > 0 ? 0 : 1);
	}
	assert_int_equal(want, TLS_DONE);
	assert_false(tls_has_unsent(p.t[US]));
	assert_int_equal(shutdown(p.fd[US], SHUT_WR), 0);
	for (int i = 0; !(SSL_get_shutdown(p.raw[RAW]) & SSL_RECEIVED_SHUTDOWN); i++) {
		assert_true(i < 5000);
		r = SSL_read(p.raw[RAW], block, sizeof(block));
		received += r > 0 ? r : 0;
		poll(NULL, 0, r > 0 ? 0 : 1);
	}
	assert_int_equal(received, written);
	assert_true(written > 0);
	pair_close(&p);
}

/* By the kernel's sequence numbers, through several keys. */
static void test_records_are_counted(void **state)
{
	static struct wire w;
	struct tls_info before, after;
	struct tls_counters left = {};
	struct pair p;
	char buf[64];
	size_t n;

	(void)state;
	wire_open(&w, &p, RAW);
	tls_leave_counters(p.t[US], &left);
	tls_set_key_update_records(p.t[US], 4);
	tls_get_info(p.t[US], &before);
	assert_true(before.is_in_kernel);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(tls_write(p.t[US], "x", 1, &n), TLS_DONE);
		assert_int_equal(SSL_read(p.raw[RAW], buf, sizeof(buf)), 1);
		assert_int_equal(SSL_write(p.raw[RAW], "y", 1), 1);
		while (tls_read(p.t[US], buf, sizeof(buf), &n) == TLS_WANT_READ)
			;
	}
	tls_get_info(p.t[US], &after);
	assert_int_equal(after.key_updates_sent, 2);
	assert_int_equal(after.key_updates_received, 2);
	assert_int_equal(after.records_out - before.records_out, 12);
	assert_int_equal(after.records_in - before.records_in, 12);
	pair_close(&p);
	assert_int_equal(left.records_in, after.records_in);
	assert_int_equal(left.records_out, after.records_out);
}

/* To the peer from a pipe, with new keys on the way. */
static void test_splice_out(void **state)
{
	static struct wire w;
	struct tls_info info;
	struct pair p;
	int pipes[2];
	char buf[64];
	size_t n;

	(void)state;
	assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
	wire_open(&w, &p, RAW);
	tls_set_key_update_records(p.t[US], 2);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(write(pipes[1], "data", 4), 4);
		assert_int_equal(tls_splice_out(p.t[US], pipes[0], 4, &n), TLS_DONE);
		assert_int_equal(n, 4);
		assert_int_equal(SSL_read(p.raw[RAW], buf, sizeof(buf)), 4);
		assert_memory_equal(buf, "data", 4);
	}
	tls_get_info(p.t[US], &info);
	assert_int_equal(info.key_updates_sent, 2);
	pair_close(&p);
	close(pipes[0]);
	close(pipes[1]);
}

/* What is no data is read() to tell. */
static void test_splice_in(void **state)
{
	static struct wire w;
	struct pair p;
	int pipes[2];
	char buf[64];
	size_t n;

	(void)state;
	assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
	wire_open(&w, &p, RAW);
	assert_true(tls_can_splice(p.t[US]));
	assert_int_equal(tls_splice_in(p.t[US], pipes[1], 100), -EAGAIN);
	wire_seal(&w, "data\x17", 5);
	wire_send(&w, &p, RAW);
	assert_int_equal(tls_splice_in(p.t[US], pipes[1], 100), 4);
	wire_seal(&w, "\x18\0\x16", 3);
	wire_send(&w, &p, RAW);
	assert_true(tls_splice_in(p.t[US], pipes[1], 100) < 1);
	assert_true(tls_has_pending(p.t[US]));
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_false(tls_can_splice(p.t[US])); /* in the middle of a message */
	wire_seal(&w, "\0\1\0\x16", 4);
	wire_next_key(&w);
	wire_seal(&w, "\1\0\x15", 3);
	wire_send(&w, &p, RAW);
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_true(tls_can_splice(p.t[US]));
	assert_true(tls_splice_in(p.t[US], pipes[1], 100) < 1);
	assert_int_equal(tls_read(p.t[US], buf, sizeof(buf), &n), TLS_EOF);
	assert_false(tls_can_splice(p.t[US]));
	pair_close(&p);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest anywhere[] = {
		cmocka_unit_test(test_stays_in_user_space),
		cmocka_unit_test(test_not_wanted),
	};
	const struct CMUnitTest in_kernel[] = {
		cmocka_unit_test(test_key_update_behind_data),
		cmocka_unit_test(test_half_a_record_is_silent),
		cmocka_unit_test(test_no_tail_is_lost),
		cmocka_unit_test(test_records_are_counted),
		cmocka_unit_test(test_splice_out),
		cmocka_unit_test(test_splice_in),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("any kernel", anywhere, pki_setup, pki_teardown);
	if (pair_can_be_in_kernel()) {
		pair_in_kernel = true;
		failed += cmocka_run_group_tests_name("kernel", in_kernel, pki_setup, pki_teardown);
	}
	return failed;
}
