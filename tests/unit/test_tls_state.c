// SPDX-License-Identifier: Apache-2.0
/* A connection goes on in another struct tls, as in another process: in mid-record, with keys that
 * have changed, with bytes on their way. */
#include "tls_pair.h"
#include "tls_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
				     "TLS_CHACHA20_POLY1305_SHA256"};

static void open_pair(struct pair *p)
{
	struct tls_params client = good_params(&pki.client), server = good_params(&pki.server);

	pair_open(p, &client, &server);
	pair_handshake(p);
	assert_true(p->t[TLS_CLIENT]->is_established && p->t[TLS_SERVER]->is_established);
}

/* Against OpenSSL, which is the judge. */
static void open_raw(struct pair *p, const char *suite)
{
	struct tls_params server = good_params(&pki.server);
	const struct raw_options client = {
		.alpn = ALPN_BOTLS, .cert = &pki.client, .ciphersuites = suite};

	pair_open(p, NULL, &server);
	pair_raw(p, TLS_CLIENT, &client);
	pair_handshake(p);
	assert_string_equal(p->t[TLS_SERVER]->cipher, suite);
}

/* As if handed over: the struct tls at `side` is another one from now on. */
static void move(struct pair *p, enum tls_side side)
{
	struct tls *old = p->t[side];
	struct fields_out o = {};
	struct tls_info was, is;
	struct fields_in f;

	tls_get_info(old, &was);
	assert_int_equal(tls_export_state(old, &o), 0);
	assert_int_equal(fields_out_error(&o), 0);
	assert_int_equal(fields_read(&f, o.data, o.len), 0);
	assert_int_equal(tls_import_state(&f, NULL, p->fd[side], &p->t[side]), 0);
	assert_int_equal(fields_error(&f, NULL), 0);
	tls_get_info(p->t[side], &is);
	assert_string_equal(was.version, is.version);
	assert_string_equal(was.cipher, is.cipher);
	assert_string_equal(was.group, is.group);
	was.version = is.version;
	was.cipher = is.cipher;
	was.group = is.group;
	assert_string_equal(was.peer_subject, is.peer_subject);
	assert_string_equal(was.peer_san, is.peer_san);
	assert_string_equal(was.peer_issuer, is.peer_issuer);
	assert_string_equal(was.peer_pin, is.peer_pin);
	assert_int_equal(was.peer_not_after, is.peer_not_after);
	assert_int_equal(was.records_in, is.records_in);
	assert_int_equal(was.records_out, is.records_out);
	assert_int_equal(was.key_updates_sent, is.key_updates_sent);
	assert_int_equal(was.key_updates_received, is.key_updates_received);
	tls_free(old);
	fields_out_done(&o);
}

static void writes(struct pair *p, enum tls_side side, const char *text)
{
	size_t n = 0;

	if (p->raw[side]) {
		assert_int_equal(SSL_write(p->raw[side], text, strlen(text)), strlen(text));
		return;
	}
	assert_int_equal(tls_write(p->t[side], text, strlen(text), &n), TLS_DONE);
	assert_int_equal(n, strlen(text));
}

/* A KeyUpdate on the way is a turn without data. */
static void reads(struct pair *p, enum tls_side side, const char *text)
{
	size_t want = strlen(text), have = 0;
	char buf[256];

	for (int turns = 0; have < want; turns++) {
		size_t n = 0;

		assert_in_range(turns, 0, 20);
		if (p->raw[side])
			assert_int_equal(SSL_read_ex(p->raw[side], buf + have, want - have, &n), 1);
		else if (tls_read(p->t[side], buf + have, want - have, &n) != TLS_DONE)
			continue;
		have += n;
	}
	assert_memory_equal(buf, text, want);
}

static void test_every_suite(void **state)
{
	struct pair p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		open_raw(&p, suites[i]);
		for (int round = 0; round < 4; round++) {
			writes(&p, TLS_CLIENT, "hello");
			writes(&p, TLS_SERVER, "how are you");
			move(&p, TLS_SERVER);
			reads(&p, TLS_SERVER, "hello");
			reads(&p, TLS_CLIENT, "how are you");
		}
		pair_close(&p);
	}
}

/* Keys change on both sides, before and after. */
static void test_key_updates(void **state)
{
	struct pair p;

	(void)state;
	open_raw(&p, suites[1]);
	tls_set_key_update_records(p.t[TLS_SERVER], 2);
	for (int round = 0; round < 8; round++) {
		assert_true(SSL_key_update(p.raw[TLS_CLIENT], SSL_KEY_UPDATE_REQUESTED));
		writes(&p, TLS_CLIENT, "question");
		reads(&p, TLS_SERVER, "question");
		move(&p, TLS_SERVER);
		writes(&p, TLS_SERVER, "answer");
		reads(&p, TLS_CLIENT, "answer");
	}
	assert_in_range(p.t[TLS_SERVER]->key_updates_received, 8, 16);
	assert_in_range(p.t[TLS_SERVER]->key_updates_sent, 8, 32);
	pair_close(&p);
}

/* It moves after each byte of a record that comes in. */
static void test_in_mid_record(void **state)
{
	uint8_t wire[128];
	struct pair p;
	ssize_t len;
	char c;

	(void)state;
	open_pair(&p);
	writes(&p, TLS_CLIENT, "piecemeal");
	len = recv(p.fd[TLS_SERVER], wire, sizeof(wire), MSG_DONTWAIT);
	assert_true(len > 20);
	for (ssize_t i = 0; i < len; i++) {
		size_t n;

		assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &n), TLS_WANT_READ);
		assert_int_equal(send(p.fd[TLS_CLIENT], wire + i, 1, 0), 1);
		/* Half of the times the byte is with the struct tls, half of them in the socket. */
		if (i % 2 && i + 1 < len)
			assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &n), TLS_WANT_READ);
		move(&p, TLS_SERVER);
	}
	reads(&p, TLS_SERVER, "piecemeal");
	pair_close(&p);
}

/* Decrypted, and not read yet; several records in one read. */
static void test_decrypted(void **state)
{
	struct pair p;
	char buf[3];
	size_t n;

	(void)state;
	open_pair(&p);
	writes(&p, TLS_CLIENT, "abcdefghij");
	writes(&p, TLS_CLIENT, "klm");
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 3);
	assert_true(tls_has_pending(p.t[TLS_SERVER]));
	move(&p, TLS_SERVER);
	assert_true(tls_has_pending(p.t[TLS_SERVER]));
	reads(&p, TLS_SERVER, "defghij");
	move(&p, TLS_SERVER);
	reads(&p, TLS_SERVER, "klm");
	pair_close(&p);
}

/* The socket has taken a part of a record: the rest goes out from there. */
static void test_half_sent(void **state)
{
	static uint8_t data[TLS_WRITE_MAX], seen[TLS_WRITE_MAX];
	int size = 4096;
	uint64_t sent = 0, received = 0;
	bool was_stuck = false;
	struct pair p;

	(void)state;
	open_pair(&p);
	setsockopt(p.fd[TLS_CLIENT], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	for (int round = 0; round < 200; round++) {
		size_t n = 0;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (sent + i) * 7;
		if (tls_write(p.t[TLS_CLIENT], data, sizeof(data), &n) == TLS_WANT_WRITE) {
			was_stuck = true;
			assert_true(tls_out_pending(&p.t[TLS_CLIENT]->out) > 0);
		}
		sent += n;
		move(&p, TLS_CLIENT);
		while (tls_read(p.t[TLS_SERVER], seen, sizeof(seen), &n) == TLS_DONE) {
			for (size_t i = 0; i < n; i++)
				assert_int_equal(seen[i], (uint8_t)((received + i) * 7));
			received += n;
		}
		move(&p, TLS_SERVER);
	}
	assert_true(was_stuck);
	assert_true(received > 200000);
	pair_close(&p);
}

/* Both ends still derive the same (RFC 8446, 7.5). */
static void test_exporter(void **state)
{
	uint8_t before[32], after[32], other[32];
	struct pair p;

	(void)state;
	open_pair(&p);
	assert_int_equal(tls_export(p.t[TLS_CLIENT], "tcp-ao", "ctx", 3, before, 32), 0);
	move(&p, TLS_CLIENT);
	assert_int_equal(tls_export(p.t[TLS_CLIENT], "tcp-ao", "ctx", 3, after, 32), 0);
	assert_int_equal(tls_export(p.t[TLS_SERVER], "tcp-ao", "ctx", 3, other, 32), 0);
	assert_memory_equal(before, after, 32);
	assert_memory_equal(before, other, 32);
	pair_close(&p);
}

/* An end is passed on by the one who saw it. */
static void test_what_cannot_move(void **state)
{
	struct tls_params client = good_params(&pki.client), server = good_params(&pki.server);
	struct fields_out o = {};
	struct pair p;
	char c;
	size_t n;

	(void)state;
	open_pair(&p);
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_DONE);
	assert_int_equal(tls_export_state(p.t[TLS_CLIENT], &o), -ENOTSUP);
	assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &n), TLS_EOF);
	assert_int_equal(tls_export_state(p.t[TLS_SERVER], &o), -ENOTSUP);
	pair_close(&p);

	open_pair(&p);
	assert_int_equal(send(p.fd[TLS_CLIENT], "nonsense", 8, 0), 8);
	assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &n), TLS_FAILED);
	assert_int_equal(tls_export_state(p.t[TLS_SERVER], &o), -ENOTSUP);
	pair_close(&p);

	client.allow_tls12 = server.allow_tls12 = true;
	pair_open(&p, &client, NULL);
	pair_raw(&p, TLS_SERVER,
		 &(struct raw_options){
			 .version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.server});
	pair_handshake(&p);
	assert_int_equal(tls_export_state(p.t[TLS_CLIENT], &o), -ENOTSUP);
	pair_close(&p);
	assert_int_equal(o.len, 0);

	pair_open(&p, &client, &server);
	assert_int_equal(tls_export_state(p.t[TLS_CLIENT], &o), -ENOTSUP);
	pair_close(&p);
}

/* The description with one field replaced, or taken out. */
static void change(const struct fields_out *from, const char *field, const void *value, size_t len,
		   struct fields_out *ret)
{
	for (size_t at = 0; at < from->len;) {
		const uint8_t *p = from->data + at;
		char name[FIELDS_NAME_MAX + 1] = {};
		size_t value_len;

		memcpy(name, p + 1, p[0]);
		p += 1 + p[0];
		value_len = (size_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
		at = p + 4 + value_len - from->data;
		if (strcmp(name, field) != 0)
			fields_put(ret, name, p + 4, value_len);
		else if (value)
			fields_put(ret, name, value, len);
	}
}

static void test_malformed(void **state)
{
	static const uint8_t zeros[TLS_PLAIN_MAX + TLS_READ_MAX + 1];
	static const uint8_t too_long[5] = {23, 3, 3, 0xff, 0xff};
#define NUMBER(n) "\0\0\0\0\0\0\0" n, 8
	static const struct {
		const char *field;
		const void *value; /* NULL: it is not there */
		size_t len;
		int error;
	} cases[] = {
		{"tls.layer", "other", 5, -ENOTSUP},
		{"tls.layer", "kernel", 6, -ENOENT}, /* what is only said there */
		{"tls.layer", NULL, 0, -ENOENT},
		{"tls.suite", NUMBER("\1"), -ENOTSUP},
		{"tls.suite", zeros, 7, -EBADMSG},
		{"tls.in-secret", zeros, 47, -EBADMSG},
		{"tls.out-secret", NULL, 0, -ENOENT},
		{"tls.in-sequence", NULL, 0, -ENOENT},
		{"tls.exporter", zeros, 49, -EBADMSG},
		{"tls.raw", zeros, TLS_READ_MAX + 1, -ERANGE},
		{"tls.raw", too_long, 5, -ERANGE},
		{"tls.plain", zeros, sizeof(zeros), -ERANGE},
		{"tls.message", zeros, 5, -ERANGE},
		{"tls.message-left", "\0\0\0\0\1\0\0\0", 8, -ERANGE},
		{"tls.empty-records", "\0\0\0\0\0\0\1\0", 8, -ERANGE},
		{"tls.is-server", NUMBER("\2"), -ERANGE},
		{"tls.has-read", NUMBER("\2"), -ERANGE},
		{"tls.written", "\0\0\0\0\0\1\0\0", 8, -ERANGE},
		{"tls.group", zeros, 32, -ERANGE},
		{"tls.peer-san", zeros, 256, -ERANGE},
		{"tls.peer-san", zeros, 1, -EBADMSG},
		{"tls.peer-pin", zeros, 31, -EBADMSG},
		{"tls.peer-not-after", "\377\377\377\377\377\377\377\377", 8, -ERANGE},
	};
	struct fields_out good = {};
	struct pair p;

	(void)state;
	open_pair(&p);
	assert_int_equal(tls_export_state(p.t[TLS_CLIENT], &good), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fields_out o = {};
		struct fields_in f;
		const char *field;
		struct tls *t = NULL;

		change(&good, cases[i].field, cases[i].value, cases[i].len, &o);
		assert_int_equal(fields_read(&f, o.data, o.len), 0);
		assert_int_equal(tls_import_state(&f, NULL, p.fd[TLS_CLIENT], &t), cases[i].error);
		assert_null(t);
		assert_int_equal(fields_error(&f, &field), cases[i].error);
		if (cases[i].error != -ENOENT)
			assert_string_equal(field, cases[i].field);
		fields_out_done(&o);
	}
	fields_out_done(&good);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_suite),	 cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_in_mid_record),	 cmocka_unit_test(test_decrypted),
		cmocka_unit_test(test_half_sent),	 cmocka_unit_test(test_exporter),
		cmocka_unit_test(test_what_cannot_move), cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
