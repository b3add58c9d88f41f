// SPDX-License-Identifier: Apache-2.0
/* The record layer of TLS 1.3 against OpenSSL's, and against records that OpenSSL would not send.
 */
#include "tls_pair.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <sys/socket.h>

#define SECRET_LEN 32 /* SHA-256 */
#define KEY_LEN	   16

/* What seals as the raw peer would. */
struct wire {
	uint8_t secret[SECRET_LEN], key[KEY_LEN], iv[12];
	uint64_t sequence;
	uint8_t out[70000];
	size_t len;
};

static void on_keylog(const char *line, void *arg)
{
	struct wire *w = arg;
	const char *label =
		w->iv[0] == TLS_CLIENT ? "CLIENT_TRAFFIC_SECRET_0 " : "SERVER_TRAFFIC_SECRET_0 ";

	if (strncmp(line, label, strlen(label)) != 0)
		return;
	line = strrchr(line, ' ') + 1;
	for (size_t i = 0; i < SECRET_LEN; i++)
		assert_int_equal(sscanf(line + 2 * i, "%2hhx", &w->secret[i]), 1);
}

static void expand(const uint8_t *secret, const char *label, uint8_t *out, size_t len)
{
	uint8_t info[64] = {0, len, strlen(label) + 6};
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, SECRET_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info,
						  3 + 6 + strlen(label) + 1),
		OSSL_PARAM_construct_end(),
	};

	sprintf((char *)info + 3, "tls13 %s", label);
	assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void wire_rekey(struct wire *w)
{
	expand(w->secret, "key", w->key, sizeof(w->key));
	expand(w->secret, "iv", w->iv, sizeof(w->iv));
	w->sequence = 0;
}

static void wire_next_key(struct wire *w)
{
	uint8_t next[SECRET_LEN];

	expand(w->secret, "traffic upd", next, sizeof(next));
	memcpy(w->secret, next, sizeof(next));
	wire_rekey(w);
}

/* Appends a record; `text` ends with the type inside. */
static void wire_seal(struct wire *w, const void *text, size_t len)
{
	uint8_t *to = w->out + w->len, nonce[12];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	memcpy(nonce, w->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= w->sequence >> 8 * i;
	w->sequence++;
	memcpy(to, (uint8_t[]){23, 3, 3, (len + 16) >> 8, len + 16}, 5);
	assert_true(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, w->key, nonce));
	assert_true(EVP_EncryptUpdate(c, NULL, &n, to, 5));
	assert_true(EVP_EncryptUpdate(c, to + 5, &n, text, len));
	assert_true(EVP_EncryptFinal_ex(c, to + 5 + len, &n));
	assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, to + 5 + len));
	EVP_CIPHER_CTX_free(c);
	w->len += 5 + len + 16;
}
#define SEAL(w, text) wire_seal(w, text, sizeof(text) - 1)

static void wire_raw(struct wire *w, const void *bytes, size_t len)
{
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void wire_send(struct wire *w, struct pair *p, int from)
{
	assert_int_equal(send(p->fd[from], w->out, w->len, 0), w->len);
	w->len = 0;
}

/* The struct tls is at the other side of `raw`. */
static void open_wire(struct pair *p, enum tls_side raw, struct wire *w)
{
	struct tls_params params = good_params(raw == TLS_CLIENT ? &pki.server : &pki.client);
	const struct raw_options options = {
		.version = TLS1_3_VERSION,
		.alpn = ALPN_BOTLS,
		.cert = raw == TLS_CLIENT ? &pki.client : &pki.server,
		.ciphersuites = "TLS_AES_128_GCM_SHA256",
		.options = SSL_OP_NO_TICKET,
	};

	memset(w, 0, sizeof(*w));
	w->iv[0] = raw;
	params.keylog = on_keylog;
	params.keylog_arg = w;
	pair_open(p, raw == TLS_CLIENT ? NULL : &params, raw == TLS_CLIENT ? &params : NULL);
	pair_raw(p, raw, &options);
	if (raw == TLS_SERVER)
		SSL_set_num_tickets(p->raw[raw], 0);
	pair_handshake(p);
	assert_int_equal(p->want[!raw], TLS_DONE);
	wire_rekey(w);
}

static void test_refused_records(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool is_clear;
		const char *failure;
	} cases[] = {
#define CASE(text, is_clear, failure) {text, sizeof(text) - 1, is_clear, failure}
		CASE("\x04\0\0\x05tickt\x16", false, "unexpected handshake message"),
		CASE("\x0d\0\0\x02xx\x16", false, "unexpected handshake message"),
		CASE("\x18\0\0\x01\x02\x16", false, "neither 0 nor 1"),
		CASE("\x18\0\0\x02\0\0\x16", false, "KeyUpdate of the wrong length"),
		CASE("\x18\0\0\x01\0\x18\x16", false, "not on record boundary"),
		CASE("\x16", false, "empty handshake record"),
		CASE("\x01\x15", false, "alert of the wrong length"),
		CASE("data\x14", false, "unknown type"),
		CASE("data\x55", false, "unknown type"),
		CASE("\0\0\0\0", false, "without a type"),
		CASE("\x16\x03\x03\0\x04\0\0\0\0", true, "not encrypted"),
		CASE("\x15\x03\x03\0\x02\x02\x28", true, "not encrypted"),
		CASE("\x14\x03\x03\0\x01\x01", true, "not encrypted"),
		CASE("\x17\x02\x03\0\x20", true, "another version"),
		CASE("\x17\x03\x03\x41\x01", true, "length too long"),
		CASE("\x17\x03\x03\0\x10", true, "too short"),
		CASE("\x17\x03\x03\0\0", true, "too short"),
	};
	static struct wire w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pair p;
		char buf[16];
		size_t n;

		open_wire(&p, TLS_CLIENT, &w);
		(cases[i].is_clear ? wire_raw : wire_seal)(&w, cases[i].text, cases[i].len);
		wire_send(&w, &p, TLS_CLIENT);
		p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
		assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL, cases[i].failure);
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
	open_wire(&p, TLS_CLIENT, &w);
	wire_seal(&w, text, 16385);
	wire_send(&w, &p, TLS_CLIENT);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 16384);
	text[16384] = 'x';
	text[16385] = 23;
	wire_seal(&w, text, 16386);
	wire_send(&w, &p, TLS_CLIENT);
	p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
	assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL, "data length too long");
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
	open_wire(&p, TLS_CLIENT, &w);
	for (int i = 0; i < 32; i++)
		SEAL(&w, "\x17");
	SEAL(&w, "data\x17\0\0\0");
	wire_send(&w, &p, TLS_CLIENT);
	reads(&p, TLS_SERVER, "data");
	for (int i = 0; i < 33; i++)
		SEAL(&w, "\x17");
	wire_send(&w, &p, TLS_CLIENT);
	p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
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
	open_wire(&p, TLS_CLIENT, &w);
	SEAL(&w, "\x18\0\x16");
	SEAL(&w, "data\x17");
	wire_send(&w, &p, TLS_CLIENT);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_true(tls_has_pending(p.t[TLS_SERVER]));
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
	open_wire(&p, TLS_SERVER, &w);
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
	open_wire(&p, TLS_CLIENT, &w);
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

		open_wire(&p, TLS_CLIENT, &w);
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

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
