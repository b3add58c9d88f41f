// SPDX-License-Identifier: Apache-2.0
/* TCP-AO keys that follow from TLS: known answers, and two ends over a kernel that is made here. */
#include "ao_exporter.h"

#include "fields.h"
#include "tls_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define DEADLINE_MS 10000
#define NEVER_MS    100000000

/* ---- a connection with TCP-AO ---- */

struct fake_key {
	struct tcp_ao_key key;
	struct addr peer;
	char secret[TCP_AO_SECRET_MAX];
	uint64_t good;
};

static struct end {
	struct fake_key keys[4];
	size_t n;
	uint8_t current, rnext;
	uint64_t good, bad, not_found;
	int fail_add;
	struct ao_exporter *exporter;
	unsigned failures;
	char text[256];
} ends[2]; /* by descriptor */

static struct loop *loop;
static struct addr hosts[2], anybody;

static struct fake_key *find(struct end *e, uint8_t id)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->keys[i].key.recv_id == id)
			return &e->keys[i];
	return NULL;
}

static int fake_add(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	struct end *e = &ends[fd];
	struct fake_key *k = &e->keys[e->n];

	if (e->fail_add)
		return e->fail_add;
	assert_true(e->n < ARRAY_SIZE(e->keys));
	assert_null(find(e, key->recv_id));
	*k = (struct fake_key){.key = *key, .peer = *peer};
	memcpy(k->secret, key->secret, key->secret_len);
	e->n++;
	return 0;
}

static int fake_delete(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	struct end *e = &ends[fd];
	struct fake_key *k = find(e, key->recv_id);

	if (!k || !addr_equal(&k->peer, peer))
		return -ENOENT;
	if (key->send_id == e->current || key->recv_id == e->rnext)
		return -EBUSY;
	*k = e->keys[--e->n];
	return 0;
}

static int fake_rnext(int fd, uint8_t id)
{
	if (!find(&ends[fd], id))
		return -ENOENT;
	ends[fd].rnext = id;
	return 0;
}

static int fake_status(int fd, struct tcp_ao_status *ret)
{
	const struct end *e = &ends[fd];

	*ret = (struct tcp_ao_status){.send_id = e->current,
				      .recv_id = e->rnext,
				      .good = e->good,
				      .bad = e->bad,
				      .key_not_found = e->not_found};
	return 0;
}

static int fake_counts(int fd, const struct addr *peer, const struct tcp_ao_key *key,
		       uint64_t *good, uint64_t *bad)
{
	struct fake_key *k = find(&ends[fd], key->recv_id);

	if (!k || !addr_equal(&k->peer, peer))
		return -ENOENT;
	*good = k->good;
	*bad = 0;
	return 0;
}

static const struct ao_socket_ops fake = {fake_add, fake_delete, fake_rnext, fake_status,
					  fake_counts};

/* A segment, as Linux takes it. True: it arrived. */
static bool segment(int from)
{
	struct end *a = &ends[from], *b = &ends[!from];
	struct fake_key *ours = find(a, a->current), *theirs = find(b, a->current);

	if (!theirs) {
		b->not_found++;
		return false;
	}
	if (memcmp(ours->secret, theirs->secret, sizeof(ours->secret)) != 0) {
		b->bad++;
		return false;
	}
	theirs->good++;
	b->good++;
	if (find(b, a->rnext))
		b->current = a->rnext;
	return true;
}

static void on_failed(void *arg, const char *text)
{
	struct end *e = arg;

	e->failures++;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

static struct tcp_ao_key default_key(void)
{
	return (struct tcp_ao_key){.secret = AO_DEFAULT_SECRET,
				   .secret_len = strlen(AO_DEFAULT_SECRET)};
}

static const uint8_t k1[AO_DERIVED_LEN] = "the secret that TLS gave to both";

static struct ao_exporter_params params(int fd, uint64_t rekey_ms, uint64_t switch_ms)
{
	return (struct ao_exporter_params){
		.loop = loop,
		.fd = fd,
		.peer = hosts[!fd],
		.default_peer = fd ? anybody : hosts[!fd],
		.rekey_ms = rekey_ms,
		.switch_ms = switch_ms,
		.on_failed = on_failed,
		.arg = &ends[fd],
		.ops = &fake,
	};
}

static int start(int fd, const uint8_t *secret, uint64_t rekey_ms, uint64_t switch_ms)
{
	struct ao_exporter_params p = params(fd, rekey_ms, switch_ms);

	return ao_exporter_new(&p, secret, &ends[fd].exporter);
}

static int setup(void **state)
{
	struct tcp_ao_key key = default_key();

	(void)state;
	memset(ends, 0, sizeof(ends));
	hosts[0] = address("192.0.2.1");
	hosts[1] = address("192.0.2.2");
	anybody = address("192.0.2.0/24");
	assert_int_equal(loop_new(&loop), 0);
	fake_add(0, &hosts[1], &key);
	fake_add(1, &anybody, &key);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		ao_exporter_free(ends[i].exporter);
	loop_free(loop);
	return 0;
}

/* Traffic both ways, all of which must arrive, until it is so. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		uint64_t until_ = loop_now_ms() + DEADLINE_MS;                                     \
		while (!(condition)) {                                                             \
			assert_true(loop_now_ms() < until_);                                       \
			assert_true(segment(0) && segment(1));                                     \
			assert_int_equal(loop_turn(loop, true), 0);                                \
		}                                                                                  \
	} while (0)

static bool both_derived(void)
{
	return ao_exporter_is_derived(ends[0].exporter) && ao_exporter_is_derived(ends[1].exporter);
}

static void from_the_default_key_to_the_first(void **state)
{
	(void)state;
	assert_int_equal(start(0, k1, 0, AO_SWITCH_MS), 0);
	/* Only one end has the key: nothing changes, nothing is lost. */
	for (int i = 0; i < 5; i++) {
		assert_true(segment(0) && segment(1));
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_false(ao_exporter_is_derived(ends[0].exporter));
	assert_int_equal(ends[0].current, 0);
	assert_int_equal(start(1, k1, 0, AO_SWITCH_MS), 0);
	WAIT_FOR(both_derived());
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ends[i].n, 1);
		assert_true(ends[i].current == 1 && ends[i].rnext == 1);
		assert_memory_equal(ends[i].keys[0].secret, k1, sizeof(k1));
		assert_int_equal(ends[i].keys[0].key.secret_len, AO_DERIVED_LEN);
		assert_int_equal(ends[i].not_found + ends[i].bad + ends[i].failures, 0);
		assert_int_equal(ao_exporter_generation(ends[i].exporter), 1);
	}
}

/* Each end by its own clock, over the end of the ids. */
static void from_key_to_key(void **state)
{
	uint8_t secret[AO_DERIVED_LEN];

	(void)state;
	assert_int_equal(start(0, k1, 2, AO_SWITCH_MS), 0);
	assert_int_equal(start(1, k1, 5, AO_SWITCH_MS), 0);
	WAIT_FOR(ao_exporter_generation(ends[1].exporter) > 5);
	memcpy(secret, k1, sizeof(secret));
	for (uint8_t id = 1; id < ends[1].current; id++)
		assert_int_equal(ao_exporter_next(secret), 0);
	assert_memory_equal(find(&ends[1], ends[1].current)->secret, secret, sizeof(secret));
	for (int i = 0; i < 2; i++) {
		assert_true(ends[i].n <= 2);
		assert_int_equal(ends[i].not_found + ends[i].bad + ends[i].failures, 0);
	}
}

/* In another process, whose configuration names another algorithm by now: the connection goes on
 * with its own. */
static void a_successor(void **state)
{
	struct fields_out o = {};
	struct fields_in in = {};
	struct end *e = &ends[0];
	struct ao_exporter_params p = params(0, 5, AO_SWITCH_MS);

	(void)state;
	assert_int_equal(start(0, k1, 0, AO_SWITCH_MS), 0);
	assert_int_equal(start(1, k1, 0, AO_SWITCH_MS), 0);
	WAIT_FOR(both_derived());
	ao_exporter_freeze(e->exporter);
	ao_exporter_export(e->exporter, &o);
	ao_exporter_free(TAKE(e->exporter));
	p.algorithm = TCP_AO_HMAC_SHA1_96;
	p.covers_options = true;
	assert_int_equal(fields_out_error(&o), 0);
	assert_int_equal(fields_read(&in, o.data, o.len), 0);
	assert_int_equal(ao_exporter_import(&p, &in, &e->exporter), 0);
	fields_out_done(&o);
	assert_int_equal(ao_exporter_thaw(e->exporter), 0);
	WAIT_FOR(ao_exporter_generation(e->exporter) == 2);
	assert_int_equal(find(e, 2)->key.algorithm, TCP_AO_AES_128_CMAC_96);
	assert_false(find(e, 2)->key.covers_options);
}

/* tcp-ao = capability: K_1 is the connection's first key, so no default one is ever seen or
 * deleted. */
static void a_first_key_that_is_there(void **state)
{
	const struct tcp_ao_key first = {
		.send_id = 1, .recv_id = 1, .secret = (const char *)k1, .secret_len = sizeof(k1)};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ao_exporter_params p = params(i, 20, UINT64_MAX);

		ends[i] = (struct end){.current = 1, .rnext = 1};
		assert_int_equal(fake_add(i, &hosts[!i], &first), 0);
		p.is_installed = true;
		assert_int_equal(ao_exporter_new(&p, k1, &ends[i].exporter), 0);
		assert_int_equal(ends[i].n, 1);
		assert_int_equal(ao_exporter_generation(ends[i].exporter), 1);
		assert_true(ao_exporter_is_derived(ends[i].exporter));
	}
	WAIT_FOR(ao_exporter_generation(ends[0].exporter) > 3 &&
		 ao_exporter_generation(ends[1].exporter) > 3);
	for (int i = 0; i < 2; i++) {
		assert_true(ends[i].n <= 2);
		assert_null(find(&ends[i], 1));
		assert_int_equal(ends[i].not_found + ends[i].bad + ends[i].failures, 0);
	}
}

/* One end keeps its first key: the other asks in vain, and nothing is lost. */
static void one_end_that_does_not_renew(void **state)
{
	(void)state;
	assert_int_equal(start(0, k1, 5, AO_SWITCH_MS), 0);
	assert_int_equal(start(1, k1, 0, AO_SWITCH_MS), 0);
	WAIT_FOR(both_derived() && ao_exporter_generation(ends[0].exporter) == 2);
	for (int i = 0; i < 20; i++) {
		assert_true(segment(0) && segment(1));
		assert_int_equal(loop_turn(loop, i < 3), 0);
	}
	assert_int_equal(ao_exporter_generation(ends[0].exporter), 2);
	assert_int_equal(ends[0].n, 2);
	assert_true(ends[0].current == 1 && ends[0].rnext == 2 && ends[1].current == 1);
}

/* The peer went on to K_2 and signs with it before we have it: as soon as that is noticed. */
static void a_peer_that_is_ahead(void **state)
{
	uint8_t next[AO_DERIVED_LEN];
	struct tcp_ao_key k2 = {.send_id = 2, .recv_id = 2, .secret_len = sizeof(next)};

	(void)state;
	assert_int_equal(start(0, k1, 100, AO_SWITCH_MS), 0);
	assert_int_equal(start(1, k1, 0, AO_SWITCH_MS), 0);
	WAIT_FOR(both_derived());
	memcpy(next, k1, sizeof(next));
	assert_int_equal(ao_exporter_next(next), 0);
	k2.secret = (const char *)next;
	assert_int_equal(fake_add(1, &hosts[0], &k2), 0);
	ends[1].current = ends[1].rnext = 2;
	assert_false(segment(1));
	assert_int_equal(ends[0].not_found, 1);
	for (uint64_t until = loop_now_ms() + DEADLINE_MS; ends[0].n < 2;) {
		assert_true(loop_now_ms() < until);
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_true(segment(1) && segment(0));
}

static void a_peer_that_derives_nothing(void **state)
{
	(void)state;
	assert_int_equal(start(0, k1, NEVER_MS, 20), 0);
	WAIT_FOR(ends[0].failures);
	assert_non_null(strstr(ends[0].text, "did not take the TCP-AO key"));
	assert_int_equal(ends[0].failures, 1);
	assert_true(find(&ends[0], 0) && ends[0].current == 0);
}

/* Somebody between the two: other secrets. */
static void another_secret(void **state)
{
	static const uint8_t other[AO_DERIVED_LEN] = "what another TLS connection has.";

	(void)state;
	assert_int_equal(start(0, k1, 0, 20), 0);
	assert_int_equal(start(1, other, 0, 20), 0);
	for (uint64_t until = loop_now_ms() + DEADLINE_MS;
	     !ends[0].failures || !ends[1].failures;) {
		assert_true(loop_now_ms() < until);
		segment(0);
		segment(1);
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_false(ao_exporter_is_derived(ends[0].exporter));
	assert_false(ao_exporter_is_derived(ends[1].exporter));
}

static void a_kernel_that_refuses(void **state)
{
	(void)state;
	ends[0].fail_add = -ENOMEM;
	assert_int_equal(start(0, k1, 0, AO_SWITCH_MS), -ENOMEM);
	assert_null(ends[0].exporter);
	ends[0].fail_add = 0;
	assert_int_equal(start(0, k1, 5, AO_SWITCH_MS), 0);
	assert_int_equal(start(1, k1, 5, AO_SWITCH_MS), 0);
	WAIT_FOR(both_derived());
	ends[0].fail_add = -ENOMEM;
	WAIT_FOR(ends[0].failures);
	assert_non_null(strstr(ends[0].text, "no new key could be set"));
	assert_int_equal(ends[0].failures, 1);
}

/* ---- known answers ---- */

static void unhex(const char *hex, uint8_t *out)
{
	for (size_t i = 0; hex[2 * i]; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
}

/* HKDF-Expand-Label of RFC 8446, 7.1, by itself. */
static void expand_label(const uint8_t secret[32], const char *label, const void *context,
			 size_t context_len, uint8_t *out, size_t len)
{
	uint8_t info[128];
	int n = snprintf((char *)info, sizeof(info), "%c%c%ctls13 %s%c", (int)(len >> 8), (int)len,
			 (int)(6 + strlen(label)), label, (int)context_len);

	memcpy(info + n, context, context_len);
	assert_int_equal(tls_hkdf_expand(secret, 32, info, n + context_len, out, len), 0);
}

/* RFC 5869, A.1; RFC 8448, 3: keys of the server's handshake and of the client's data. */
static void hkdf(void **state)
{
	static const struct {
		const char *secret, *key, *iv;
	} rfc8448[] = {
		{"b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38",
		 "3fce516009c21727d0f2e4e86ee403bc", "5d313eb2671276ee13000b30"},
		{"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
		 "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
	};
	uint8_t key[42], info[10], out[42], expected[42];

	(void)state;
	unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", key);
	unhex("f0f1f2f3f4f5f6f7f8f9", info);
	unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b88718586"
	      "5",
	      expected);
	assert_int_equal(tls_hkdf_expand(key, 32, info, sizeof(info), out, sizeof(out)), 0);
	assert_memory_equal(out, expected, sizeof(out));
	for (size_t i = 0; i < ARRAY_SIZE(rfc8448); i++) {
		unhex(rfc8448[i].secret, key);
		unhex(rfc8448[i].key, expected);
		expand_label(key, "key", "", 0, out, 16);
		assert_memory_equal(out, expected, 16);
		unhex(rfc8448[i].iv, expected);
		expand_label(key, "iv", "", 0, out, 12);
		assert_memory_equal(out, expected, 12);
	}
}

static void context_bytes(void **state)
{
	uint8_t c[4] = {9, 9, 9, 9};

	(void)state;
	assert_int_equal(ao_exporter_context(TCP_AO_AES_128_CMAC_96, false, 1, c), 0);
	assert_memory_equal(c, "\0\1\1\1", 4);
	assert_int_equal(ao_exporter_context(TCP_AO_HMAC_SHA1_96, true, 254, c), 0);
	assert_memory_equal(c, "\1\0\0\376", 4);
	assert_int_equal(ao_exporter_context(TCP_AO_HMAC_SHA256_96, true, 1, c), -ENOTSUP);
	assert_memory_equal(c, "\1\0\0\376", 4);
}

/* K_2 and K_3 from a K_1 of 32 times 0x0b, by Python's hmac: HMAC(K, "tcp-ao-rekey" || 1). */
static void ratchet(void **state)
{
	uint8_t k[AO_DERIVED_LEN], expected[AO_DERIVED_LEN];

	(void)state;
	memset(k, 0x0b, sizeof(k));
	assert_int_equal(ao_exporter_next(k), 0);
	unhex("798b0a117326a1f71c455dd4147de9ac1218a2d2865dc5a913e75e74c6a8901c", expected);
	assert_memory_equal(k, expected, sizeof(k));
	assert_int_equal(ao_exporter_next(k), 0);
	unhex("e7c5ebe11f8a3ac8e2763a5d29af8fac1505e5d394cd3bd2e9b408973ae38621", expected);
	assert_memory_equal(k, expected, sizeof(k));
}

static char keylog[8][256];
static size_t n_keylog;

static void on_keylog(const char *line, void *arg)
{
	(void)arg;
	if (n_keylog < ARRAY_SIZE(keylog))
		snprintf(keylog[n_keylog++], sizeof(keylog[0]), "%s", line);
}

/* RFC 8446, 7.5, from the secret that OpenSSL logs. */
static void exported(const char *context, uint8_t ret[AO_DERIVED_LEN])
{
	uint8_t secret[32], derived[32], hash[TLS_SHA256_LEN];
	const char *hex = NULL;

	for (size_t i = 0; i < n_keylog; i++)
		if (strncmp(keylog[i], "EXPORTER_SECRET ", 16) == 0)
			hex = strrchr(keylog[i], ' ') + 1;
	assert_non_null(hex);
	assert_int_equal(strlen(hex), 64);
	unhex(hex, secret);
	tls_sha256("", 0, hash);
	expand_label(secret, "tcp-ao", hash, sizeof(hash), derived, sizeof(derived));
	tls_sha256(context, 4, hash);
	expand_label(derived, "exporter", hash, sizeof(hash), ret, AO_DERIVED_LEN);
}

static void first_key_of_a_connection(void **state)
{
	struct tls_params client = good_params(&pki.client), server = good_params(&pki.server);
	uint8_t a[AO_DERIVED_LEN], b[AO_DERIVED_LEN], expected[AO_DERIVED_LEN];
	struct pair p;

	(void)state;
	n_keylog = 0;
	client.keylog = on_keylog;
	pair_open(&p, &client, &server);
	assert_int_equal(ao_exporter_derive(p.t[0], TCP_AO_AES_128_CMAC_96, false, a), -ENOTCONN);
	pair_handshake(&p);
	assert_int_equal(ao_exporter_derive(p.t[0], TCP_AO_AES_128_CMAC_96, false, a), 0);
	assert_int_equal(ao_exporter_derive(p.t[1], TCP_AO_AES_128_CMAC_96, false, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	exported("\0\1\1\1", expected);
	assert_memory_equal(a, expected, sizeof(a));
	assert_int_equal(ao_exporter_derive(p.t[1], TCP_AO_HMAC_SHA1_96, true, b), 0);
	exported("\1\0\0\1", expected);
	assert_memory_equal(b, expected, sizeof(b));
	assert_int_equal(ao_exporter_derive(p.t[1], TCP_AO_HMAC_SHA256_96, true, b), -ENOTSUP);
	pair_close(&p);
}

static void below_tls_1_3(void **state)
{
	struct tls_params client = good_params(&pki.client);
	uint8_t secret[AO_DERIVED_LEN];
	struct pair p;

	(void)state;
	client.allow_tls12 = true;
	pair_open(&p, &client, NULL);
	pair_raw(&p, TLS_SERVER,
		 &(struct raw_options){
			 .version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.server});
	pair_handshake(&p);
	assert_int_equal(ao_exporter_derive(p.t[TLS_CLIENT], TCP_AO_AES_128_CMAC_96, false, secret),
			 -EPROTONOSUPPORT);
	pair_close(&p);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(from_the_default_key_to_the_first),
		T(from_key_to_key),
		T(a_successor),
		T(a_first_key_that_is_there),
		T(one_end_that_does_not_renew),
		T(a_peer_that_is_ahead),
		T(a_peer_that_derives_nothing),
		T(another_secret),
		T(a_kernel_that_refuses),
		cmocka_unit_test(hkdf),
		cmocka_unit_test(context_bytes),
		cmocka_unit_test(ratchet),
		cmocka_unit_test(first_key_of_a_connection),
		cmocka_unit_test(below_tls_1_3),
	};

	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
