// SPDX-License-Identifier: Apache-2.0
/* What an operator's files can be like, and what is said about it. */
#include "tls_pair.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/pem.h>

static void assert_refused_as(int error, const struct tls_params *p, const char *text)
{
	struct errtext e = {};
	struct tls_ctx *ctx = NULL;

	assert_int_equal(tls_ctx_new(p, &ctx, &e), error);
	assert_null(ctx);
	if (!strstr(e.text, text))
		fail_msg("expected ...%s...\nbut got  %s", text, e.text);
}

static void assert_refused(const struct tls_params *p, const char *text)
{
	assert_refused_as(-EINVAL, p, text);
}

static void assert_good(const struct tls_params *p)
{
	struct errtext e = {};
	struct tls_ctx *ctx = NULL;

	if (tls_ctx_new(p, &ctx, &e) < 0)
		fail_msg("%s", e.text);
	tls_ctx_unref(ctx);
}

/* The first `len` bytes of a text, so that the rest is really not there. */
static struct tls_blob cut(const char *path, const char *text, size_t len, char **ret_copy)
{
	*ret_copy = strndup(text, len);
	return cert_blob(path, *ret_copy);
}

static void test_empty_and_foreign_files(void **state)
{
	static const char *const fields[] = {"certificate", "key", "ca", "crl"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct tls_params p = good_params(&pki.client);
		struct tls_blob *blobs[] = {&p.certificate, &p.key, &p.ca, &p.crl};

		*blobs[i] = cert_blob("/etc/botls/x.pem", "\x30\x82 binary");
		assert_refused(&p, "/etc/botls/x.pem: not a PEM file (no -----BEGIN line)");
		if (i >= 2)
			continue; /* no CA and no CRL are no error */
		*blobs[i] = (struct tls_blob){.path = "/etc/botls/x.pem"};
		assert_refused(&p, "/etc/botls/x.pem: the file is empty");
	}
}

static void test_truncated_files(void **state)
{
	char *crl = cert_crl(&pki.ca, NULL, -1, 9);

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct tls_params p = good_params(&pki.client);
		struct tls_blob *blobs[] = {&p.certificate, &p.key, &p.ca, &p.crl};
		const char *text = i == 3 ? crl : blobs[i]->data;
		char *copy;

		*blobs[i] = cut("t.pem", text, strlen(text) / 2, &copy);
		assert_refused(&p, "t.pem: the file is cut short (no -----END line)");
		free(copy);
	}
	free(crl);
}

static char *damaged(const char *text)
{
	char *copy = strdup(text), *p = copy + strlen(copy) / 2;

	for (int i = 0; i < 12; i++)
		if (p[i] != '\n')
			p[i] = 'A';
	return copy;
}

static void test_damaged_files(void **state)
{
	struct tls_params p = good_params(&pki.client);
	char *chain, *bad = damaged(pki.client.pem), *bad_key = damaged(pki.client.key_pem);

	(void)state;
	assert_true(asprintf(&chain,
			     "%s-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
			     pki.client.pem) > 0);
	p.certificate = cert_blob("chain.pem", chain);
	assert_refused(&p, "chain.pem: certificate 2 is damaged: ");
	free(chain);

	p = good_params(&pki.client);
	p.key = cert_blob("d.key", bad_key);
	assert_refused(&p, "d.key");
	p = good_params(&pki.client);
	p.certificate = cert_blob("d.pem", bad); /* whatever was hit, it names the file */
	assert_refused(&p, "d.pem");
	free(bad);
	free(bad_key);
}

static void test_wrong_kind_of_file(void **state)
{
	struct tls_params p = good_params(&pki.client);

	(void)state;
	p.key = cert_blob("swapped.pem", pki.client.pem);
	assert_refused(&p, "swapped.pem: no private key in it");
	p = good_params(&pki.client);
	p.certificate = cert_blob("swapped.key", pki.client.key_pem);
	assert_refused(&p, "swapped.key: no certificate in it");
	p = good_params(&pki.client);
	p.crl = cert_blob("notcrl.pem", pki.ca.pem);
	assert_refused(&p, "notcrl.pem: no CRL in it");
}

/* Nothing may wait at a prompt: the test would hang. */
static void test_encrypted_key(void **state)
{
	struct tls_params p = good_params(&pki.client);
	char *key = cert_encrypted_key(&pki.client);

	(void)state;
	p.key = cert_blob("enc.key", key);
	assert_refused(&p, "enc.key: the key is encrypted");
	free(key);
}

static void test_key_and_certificate(void **state)
{
	struct tls_params p = good_params(&pki.client);
	char *chain;

	(void)state;
	p.key = cert_blob("r2.key", pki.server.key_pem);
	assert_refused(&p, "r2.key is not the key of the certificate in r1.pem");
	assert_true(asprintf(&chain, "%s%s", pki.ca.pem, pki.client.pem) > 0);
	p = good_params(&pki.client);
	p.certificate = cert_blob("chain.pem", chain);
	assert_refused(&p, "chain.pem: our own certificate is number 2 in it and must come first");
	free(chain);
}

static void test_key_types(void **state)
{
	static const char *const types[] = {NULL, "ED25519", "RSA2048"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types) + 1; i++) {
		const char *type = i < ARRAY_SIZE(types) ? types[i] : "RSA1024";
		struct cert c;
		struct tls_params p;

		cert_make(&c, &(struct cert_spec){.cn = "k", .san = "IP:192.0.2.1", .key = type},
			  &pki.ca);
		p = good_params(&c);
		if (i < ARRAY_SIZE(types))
			assert_good(&p);
		else
			assert_refused(&p, "k.pem: cannot be used: ee key too small");
		cert_done(&c);
	}
}

static void test_own_dates(void **state)
{
	struct cert old, middle, later;
	struct tls_params p;
	struct tls_ctx *ctx;
	struct errtext e;
	char *chain;

	(void)state;
	cert_make(&old, &(struct cert_spec){.cn = "old", .from_days = -9, .to_days = -2}, &pki.ca);
	p = good_params(&old);
	assert_refused_as(-EKEYEXPIRED, &p, "old.pem: certificate 1 expired on 20");

	cert_make(&middle,
		  &(struct cert_spec){.cn = "m", .is_ca = true, .from_days = -1, .to_days = 20},
		  &pki.ca);
	cert_make(&later, &(struct cert_spec){.cn = "later", .from_days = 3, .to_days = 90},
		  &middle);
	assert_true(asprintf(&chain, "%s%s", later.pem, middle.pem) > 0);
	p = good_params(&later);
	p.certificate = cert_blob("chain.pem", chain);
	assert_int_equal(tls_ctx_new(&p, &ctx, &e),
			 0); /* not valid yet, but our clock may be wrong */
	assert_in_range(tls_ctx_not_after(ctx), time(NULL) + 19 * 86400, time(NULL) + 21 * 86400);
	tls_ctx_unref(ctx);
	free(chain);

	assert_true(asprintf(&chain, "%s%s", later.pem, old.pem) > 0);
	p.certificate = cert_blob("chain.pem", chain);
	assert_refused_as(-EKEYEXPIRED, &p, "chain.pem: certificate 2 expired on 20");
	free(chain);
	cert_done(&old);
	cert_done(&middle);
	cert_done(&later);
}

static void test_crl(void **state)
{
	struct tls_params p = good_params(&pki.client);
	char *stale = cert_crl(&pki.ca, NULL, -9, -2), *good = cert_crl(&pki.ca, NULL, -1, 9);
	const uint8_t pin[1][TLS_PIN_LEN] = {{0}};

	(void)state;
	p.crl = cert_blob("crl.pem", good);
	assert_good(&p);
	p.crl = cert_blob("crl.pem", stale);
	assert_refused(&p, "crl.pem: CRL 1 ended on 20");
	p.crl = cert_blob("crl.pem", good);
	p.ca = (struct tls_blob){};
	p.pins = pin;
	p.n_pins = 1;
	assert_refused(&p, "crl.pem: a CRL is of no use without a CA");
	free(stale);
	free(good);
}

static void test_identity(void **state)
{
	static const char *const bad[] = {"*.example", ".example", "", "r1 example", "r1/example"};
	struct tls_params p = good_params(&pki.client);

	(void)state;
	p.ca = (struct tls_blob){};
	assert_refused(&p, "neither a CA nor a pin");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		p = good_params(&pki.client);
		p.dns_names = &bad[i];
		p.n_dns_names = 1;
		assert_refused(&p, "is not a DNS name (no wildcards here)");
	}
	p = good_params(&pki.client);
	p.alpn = "";
	assert_refused(&p, "ALPN");
}

/* A reload drops the context at once; connections made from it go on. */
static void test_context_outlives_its_maker(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	char *ca = strdup(pki.ca.pem), *dns = strdup("r2.example");
	const char *names[] = {dns};
	struct pair p;
	struct cert named;

	(void)state;
	cert_make(&named, &(struct cert_spec){.cn = "n", .san = "DNS:r2.example,IP:192.0.2.2"},
		  &pki.ca);
	s = good_params(&named);
	c.ca = cert_blob("ca.pem", ca);
	c.dns_names = names;
	c.n_dns_names = 1;
	pair_open(&p, &c, &s); /* it drops its own references */
	memset(ca, 'x', strlen(ca));
	memset(dns, 'x', strlen(dns));
	free(ca);
	free(dns);
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	pair_close(&p);
	cert_done(&named);
}

static void on_keylog(const char *line, void *arg)
{
	char *seen = arg;

	strncat(seen, line, 4000 - strlen(seen));
}

static void test_keylog(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	static char seen[4096];
	struct pair p;

	(void)state;
	c.keylog = on_keylog;
	c.keylog_arg = seen;
	pair_open(&p, &c, &s);
	pair_handshake(&p);
	assert_non_null(strstr(seen, "CLIENT_TRAFFIC_SECRET_0 "));
	pair_close(&p);
}

static void test_pin_of_pem(void **state)
{
	struct tls_blob key = cert_blob("k.key", pki.client.key_pem);
	struct errtext e;
	char pin[48];

	(void)state;
	assert_int_equal(tls_pin_of_pem(&key, pin, &e), -EINVAL);
	assert_string_equal(e.text, "k.key: no certificate in it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_and_foreign_files),
		cmocka_unit_test(test_truncated_files),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_wrong_kind_of_file),
		cmocka_unit_test(test_encrypted_key),
		cmocka_unit_test(test_key_and_certificate),
		cmocka_unit_test(test_key_types),
		cmocka_unit_test(test_own_dates),
		cmocka_unit_test(test_crl),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_context_outlives_its_maker),
		cmocka_unit_test(test_keylog),
		cmocka_unit_test(test_pin_of_pem),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
