// SPDX-License-Identifier: Apache-2.0
/* What a tool says about files before a handshake does. */
#include "tls_inspect.h"
#include "tls_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct tls_certificates *load(const char *path, const char *pem)
{
	struct tls_blob blob = cert_blob(path, pem);
	struct tls_certificates *c = NULL;
	struct errtext e = {};

	if (tls_certificates_new(&blob, &c, &e) < 0)
		fail_msg("%s", e.text);
	return c;
}

static void test_words(void **state)
{
	struct tls_certificates *c = load("r1.pem", pki.client.pem);
	struct addr own = address(CLIENT_ADDRESS), other = address(SERVER_ADDRESS);
	struct tls_certificate x;

	(void)state;
	assert_int_equal(tls_certificates_count(c), 1);
	tls_certificates_get(c, 0, &x);
	assert_string_equal(x.subject, "CN=r1");
	assert_string_equal(x.issuer, "CN=Lab CA");
	assert_string_equal(x.san, "IP:" CLIENT_ADDRESS);
	assert_true(x.not_before < time(NULL) && x.not_after > time(NULL));
	assert_true(x.is_for_client && x.is_for_server);
	assert_true(tls_certificates_have_address(c, &own));
	assert_false(tls_certificates_have_address(c, &other));
	tls_certificates_free(c);
}

static void test_usage(void **state)
{
	struct tls_certificates *c;
	struct tls_certificate x;
	struct cert cert;

	(void)state;
	cert_make(&cert, &(struct cert_spec){.cn = "s", .eku = "serverAuth"}, &pki.ca);
	c = load("s.pem", cert.pem);
	tls_certificates_get(c, 0, &x);
	assert_true(x.is_for_server && !x.is_for_client);
	tls_certificates_free(c);
	cert_done(&cert);
}

/* Leaf, intermediate, root: in order, with one missing, and the wrong way round. */
static void test_chains(void **state)
{
	struct tls_certificates *whole, *leaf, *turned, *root, *stranger;
	_cleanup_free_ char *in_order = NULL, *reverse = NULL;
	struct cert middle, end;

	(void)state;
	cert_make(&middle, &(struct cert_spec){.cn = "m", .is_ca = true}, &pki.ca);
	/* Dates are another question. */
	cert_make(&end, &(struct cert_spec){.cn = "e", .from_days = -9, .to_days = -2}, &middle);
	assert_true(asprintf(&in_order, "%s%s", end.pem, middle.pem) > 0);
	assert_true(asprintf(&reverse, "%s%s", middle.pem, end.pem) > 0);
	whole = load("whole.pem", in_order);
	leaf = load("leaf.pem", end.pem);
	turned = load("turned.pem", reverse);
	root = load("ca.pem", pki.ca.pem);
	stranger = load("other.pem", pki.other_ca.pem);
	assert_int_equal(tls_certificates_gap(whole), -1);
	assert_int_equal(tls_certificates_gap(leaf), -1);
	assert_int_equal(tls_certificates_gap(turned), 0);
	assert_true(tls_certificates_lead_to(whole, root));
	assert_false(tls_certificates_lead_to(leaf, root));
	assert_false(tls_certificates_lead_to(whole, stranger));
	tls_certificates_free(whole);
	tls_certificates_free(leaf);
	tls_certificates_free(turned);
	tls_certificates_free(root);
	tls_certificates_free(stranger);
	cert_done(&middle);
	cert_done(&end);
}

static void test_crl(void **state)
{
	_cleanup_free_ char *old = cert_crl(&pki.ca, NULL, -9, -2);
	_cleanup_free_ char *new = cert_crl(&pki.ca, NULL, -1, 9), *both = NULL;
	struct tls_blob blob;
	struct errtext e;
	time_t next = 0;

	(void)state;
	assert_true(asprintf(&both, "%s%s", new, old) > 0);
	blob = cert_blob("both.pem", both);
	assert_int_equal(tls_crl_next_update(&blob, &next, &e), 0);
	assert_true(next > time(NULL) - 3 * 86400 && next < time(NULL) - 86400);
	blob = cert_blob("ca.pem", pki.ca.pem);
	assert_int_equal(tls_crl_next_update(&blob, &next, &e), -EINVAL);
	assert_non_null(strstr(e.text, "ca.pem: no CRL in it"));
}

static void test_not_a_certificate(void **state)
{
	struct tls_blob blob = cert_blob("own.key", pki.client.key_pem);
	struct tls_certificates *c = NULL;
	struct errtext e;

	(void)state;
	assert_int_equal(tls_certificates_new(&blob, &c, &e), -EINVAL);
	assert_string_equal(e.text, "own.key: no certificate in it");
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_crl),
		cmocka_unit_test(test_not_a_certificate),
	};

	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
