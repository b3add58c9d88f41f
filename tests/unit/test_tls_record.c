// SPDX-License-Identifier: Apache-2.0
/* The record layer of TLS 1.3 against OpenSSL's, and against records that OpenSSL would not send.
 */
#include "tls_wire.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

#define SEAL(w, text) wire_seal(w, text, sizeof(text) - 1)

static void test_refused_records(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool is_clear;
		const char *failure;
		const char *of_kernel; /* NULL: the same */
	} cases[] = {
#define CASE(text, is_clear, failure, of_kernel)                                                   \
	{text, sizeof(text) - 1, is_clear, failure, of_kernel}
		CASE("\x04\0\0\x05tickt\x16", false, "unexpected handshake message", NULL),
		CASE("\x0d\0\0\x02xx\x16", false, "unexpected handshake message", NULL),
		CASE("\x18\0\0\x01\x02\x16", false, "neither 0 nor 1", NULL),
		CASE("\x18\0\0\x02\0\0\x16", false, "KeyUpdate of the wrong length", NULL),
		CASE("\x18\0\0\x01\0\x18\x16", false, "not on record boundary", NULL),
		CASE("\x16", false, "empty handshake record", NULL),
		CASE("\x01\x15", false, "alert of the wrong length", NULL),
		CASE("data\x14", false, "unknown type", NULL),
		CASE("data\x55", false, "unknown type", NULL),
		CASE("\0\0\0\0", false, "without a type", "bad record mac"),
		CASE("\x16\x03\x03\0\x04\0\0\0\0", true, "not encrypted", "bad record mac"),
		CASE("\x15\x03\x03\0\x02\x02\x28", true, "not encrypted", "bad record mac"),
		CASE("\x14\x03\x03\0\x01\x01", true, "not encrypted", "bad record mac"),
		CASE("\x17\x02\x03\0\x20", true, "another version", NULL),
		CASE("\x17\x03\x03\x41\x01", true, "length too long", NULL),
		CASE("\x17\x03\x03\0\x10"
		     "0123456789abcdef",
		     true, "too short", "bad record mac"),
		CASE("\x17\x03\x03\0\0", true, "too short", "bad record mac"),
	};
	static struct wire w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pair p;
		char buf[16];
		size_t n;

		wire_open(&w, &p, TLS_CLIENT);
		(cases[i].is_clear ? wire_raw : wire_seal)(&w, cases[i].text, cases[i].len);
		wire_send(&w, &p, TLS_CLIENT);
		p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
		assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL,
			       pair_in_kernel && cases[i].of_kernel ? cases[i].of_kernel
								    : cases[i].failure);
		assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_FAILED);
		/* the peer is told */
		assert_true(SSL_read(p.raw[TLS_CLIENT], buf, sizeof(buf)) <= 0);
		assert_true(p.raw_alert_received[TLS_CLIENT] > 0);
		pair_close(&p);
	}
}

static void test_data_too_long(void **state)
{
	static uint8_t text[16384 + 2], buf[20000];
	static struct wire w;
	struct pair p;
	size_t n;

	(void)state;
	text[16384] = 23;
	wire_open(&w, &p, TLS_CLIENT);
	wire_seal(&w, text, 16385);
	wire_send(&w, &p, TLS_CLIENT);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 16384);
	text[16384] = 'x';
	text[16385] = 23;
	wire_seal(&w, text, 16386);
	wire_send(&w, &p, TLS_CLIENT);
	p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
	assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL,
		       pair_in_kernel ? "encrypted length too long" : "data length too long");
	pair_close(&p);
}

static void reads(struct pair *p, int side, const char *text)
{
	char buf[64];
	size_t n;

	for (int i = 0; i < 8; i++) {
		enum tls_want want = tls_read(p->t[side], buf, sizeof(buf), &n);

		if (want == TLS_WANT_READ)
			continue;
		assert_int_equal(want, TLS_DONE);
		assert_int_equal(n, strlen(text));
		assert_memory_equal(buf, text, n);
		return;
	}
	fail_msg("'%s' never came", text);
}

static void test_empty_records(void **state)
{
	static struct wire w;
	struct pair p;
	char buf[16];
	size_t n;

	(void)state;
	wire_open(&w, &p, TLS_CLIENT);
	for (int i = 0; i < 32; i++)
		SEAL(&w, "\x17");
	SEAL(&w, "data\x17\0\0\0");
	wire_send(&w, &p, TLS_CLIENT);
	reads(&p, TLS_SERVER, "data");
	for (int i = 0; i < 33; i++)
		SEAL(&w, "\x17");
	wire_send(&w, &p, TLS_CLIENT);
	p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
	/* The kernel passes them over and tells nobody. */
	if (pair_in_kernel)
		assert_int_equal(p.want[TLS_SERVER], TLS_WANT_READ);
	else
		assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL, "too many empty records");
	pair_close(&p);
}

static void test_interrupted_message(void **state)
{
	static struct wire w;
	struct pair p;
	char buf[16];
	size_t n;

	(void)state;
	wire_open(&w, &p, TLS_CLIENT);
	SEAL(&w, "\x18\0\x16");
	SEAL(&w, "data\x17");
	wire_send(&w, &p, TLS_CLIENT);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_int_equal(tls_has_pending(p.t[TLS_SERVER]), !pair_in_kernel);
	p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
	assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL, "was interrupted");
	pair_close(&p);
}

/* Two tickets and a KeyUpdate, cut anywhere: nothing of it reaches the application. */
static void test_messages_in_pieces(void **state)
{
	static struct wire w;
	struct tls_info info;
	struct pair p;

	(void)state;
	wire_open(&w, &p, TLS_SERVER);
	SEAL(&w, "\x04\0\x16");
	SEAL(&w, "\0\x05"
		 "tic\x16");
	SEAL(&w, "kt\x04\0\0\x03xyz\x18\x16");
	SEAL(&w, "\0\0\x01\x16");
	SEAL(&w, "\x01\x16");
	wire_next_key(&w);
	SEAL(&w, "data\x17");
	wire_send(&w, &p, TLS_SERVER);
	reads(&p, TLS_CLIENT, "data");
	tls_get_info(p.t[TLS_CLIENT], &info);
	assert_int_equal(info.key_updates_received, 1);
	assert_int_equal(info.key_updates_sent, 1);
	pair_close(&p);
}

static void test_user_canceled(void **state)
{
	static struct wire w;
	struct pair p;

	(void)state;
	wire_open(&w, &p, TLS_CLIENT);
	SEAL(&w, "\x01\x5a\x15");
	SEAL(&w, "data\x17");
	wire_send(&w, &p, TLS_CLIENT);
	reads(&p, TLS_SERVER, "data");
	pair_close(&p);
}

/* What comes in one segment with the end is read before it, and no event of the socket is needed
 * for the end. */
static void test_data_and_end_together(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		enum tls_want want;
	} ends[] = {
		{"\x01\0\x15", 3, TLS_EOF},	 /* close_notify */
		{"\x02\x28\x15", 3, TLS_FAILED}, /* handshake_failure */
		{"data\x55", 5, TLS_FAILED},
	};
	static struct wire w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct pair p;
		char c;
		size_t n;

		wire_open(&w, &p, TLS_CLIENT);
		SEAL(&w, "ab\x17");
		wire_seal(&w, ends[i].text, ends[i].len);
		wire_send(&w, &p, TLS_CLIENT);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &n), TLS_DONE);
			assert_int_equal(c, "ab"[k]);
			assert_true(tls_has_pending(p.t[TLS_SERVER]));
		}
		assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &n), ends[i].want);
		assert_false(tls_has_pending(p.t[TLS_SERVER]));
		pair_close(&p);
	}
}

static void open_suite(struct pair *p, enum tls_side raw, const char *suite)
{
	struct tls_params params = good_params(raw == TLS_CLIENT ? &pki.server : &pki.client);
	const struct raw_options options = {.version = TLS1_3_VERSION,
					    .alpn = ALPN_BOTLS,
					    .cert = raw == TLS_CLIENT ? &pki.client : &pki.server,
					    .ciphersuites = suite};

	pair_open(p, raw == TLS_CLIENT ? NULL : &params, raw == TLS_CLIENT ? &params : NULL);
	pair_raw(p, raw, &options);
	pair_handshake(p);
	assert_int_equal(p->want[!raw], TLS_DONE);
}

static void check_exporter(struct pair *p, enum tls_side raw)
{
	static const struct {
		const char *context;
		size_t len;
	} uses[] = {{NULL, 32}, {"", 20}, {"context", 200}};
	uint8_t ours[200], theirs[200];

	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		const char *c = uses[i].context;
		size_t context_len = c ? strlen(c) : 0;

		assert_int_equal(
			tls_export(p->t[!raw], "tcp-ao", c, context_len, ours, uses[i].len), 0);
		assert_int_equal(SSL_export_keying_material(p->raw[raw], theirs, uses[i].len,
							    "tcp-ao", 6, (const uint8_t *)c,
							    context_len, c != NULL),
				 1);
		assert_memory_equal(ours, theirs, uses[i].len);
	}
}

/* Every suite, in both roles, through several keys, and with the same exported secrets. */
static void test_suites(void **state)
{
	static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
					     "TLS_CHACHA20_POLY1305_SHA256"};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(suites); i++) {
		enum tls_side raw = i % 2 ? TLS_SERVER : TLS_CLIENT;
		struct tls_info info;
		struct pair p;
		char buf[8];
		size_t n;

		open_suite(&p, raw, suites[i / 2]);
		tls_set_key_update_records(p.t[!raw], 3);
		tls_get_info(p.t[!raw], &info);
		assert_string_equal(info.cipher, suites[i / 2]);
		for (int k = 0; k < 10; k++) {
			assert_int_equal(tls_write(p.t[!raw], "ours", 4, &n), TLS_DONE);
			assert_int_equal(SSL_read(p.raw[raw], buf, sizeof(buf)), 4);
			assert_int_equal(SSL_write(p.raw[raw], "theirs", 6), 6);
			reads(&p, !raw, "theirs");
		}
		tls_get_info(p.t[!raw], &info);
		assert_int_equal(info.key_updates_sent, 3);
		assert_int_equal(info.key_updates_received, 3);
		check_exporter(&p, raw);
		pair_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_records),
		cmocka_unit_test(test_data_too_long),
		cmocka_unit_test(test_empty_records),
		cmocka_unit_test(test_interrupted_message),
		cmocka_unit_test(test_messages_in_pieces),
		cmocka_unit_test(test_user_canceled),
		cmocka_unit_test(test_data_and_end_together),
		cmocka_unit_test(test_suites),
	};

	int failed;

	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("user space", tests, pki_setup, pki_teardown);
	if (pair_can_be_in_kernel()) {
		pair_in_kernel = true;
		failed += cmocka_run_group_tests_name("kernel", tests, pki_setup, pki_teardown);
	}
	return failed;
}
