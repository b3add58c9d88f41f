// SPDX-License-Identifier: Apache-2.0
/* Who is let in and who is not, and what both ends say about it. */
#include "tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

static const char plain_open[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				 "\x00\x1d\x01\x04\xfb\xf0\x00\xb4"
				 "\xc0\x00\x02\x02\x00";
static const char plain_notification[] =
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x15\x03\x01\x01";

static void test_good(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	struct tls_info info;
	char pin[48];
	struct errtext e;
	struct tls_blob pem = cert_blob("r2.pem", pki.server.pem);
	struct pair p;

	(void)state;
	pair_open(&p, &c, &s);
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	assert_int_equal(p.want[TLS_SERVER], TLS_DONE);

	tls_get_info(p.t[TLS_CLIENT], &info);
	assert_string_equal(info.version, "TLSv1.3");
	assert_string_equal(info.cipher, "TLS_AES_128_GCM_SHA256");
	assert_string_equal(info.group, "x25519");
	assert_string_equal(info.peer_subject, "CN=r2");
	assert_string_equal(info.peer_issuer, "CN=Lab CA");
	assert_string_equal(info.peer_san, "IP:192.0.2.2");
	assert_in_range(info.peer_not_after, time(NULL) + 364 * 86400, time(NULL) + 366 * 86400);
	assert_int_equal(tls_pin_of_pem(&pem, pin, &e), 0);
	assert_string_equal(info.peer_pin, pin);
	assert_true(info.records_in > 0 && info.records_out > 0);
	assert_false(info.is_past_key_limit);
	tls_get_info(p.t[TLS_SERVER], &info);
	assert_string_equal(info.peer_subject, "CN=r1");
	pair_close(&p);
}

static void test_tls12(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	struct tls_info info;
	struct pair p;

	(void)state;
	c.allow_tls12 = s.allow_tls12 = true;
	pair_open(&p, &c, NULL);
	pair_raw(&p, TLS_SERVER,
		 &(struct raw_options){
			 .version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.server});
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	tls_get_info(p.t[TLS_CLIENT], &info);
	assert_string_equal(info.version, "TLSv1.2");
	assert_string_equal(info.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
	pair_close(&p);

	pair_open(&p, NULL, &s);
	pair_raw(&p, TLS_CLIENT,
		 &(struct raw_options){
			 .version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.client});
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_SERVER], TLS_DONE);
	pair_close(&p);
}

/* One of our ends against a raw one that is good except for what `o` says. */
static void against(enum tls_side raw_side, struct raw_options o, bool allow_tls12, struct pair *p)
{
	struct tls_params ours = good_params(raw_side == TLS_CLIENT ? &pki.server : &pki.client);

	ours.allow_tls12 = allow_tls12;
	pair_open(p, raw_side == TLS_SERVER ? &ours : NULL, raw_side == TLS_CLIENT ? &ours : NULL);
	pair_raw(p, raw_side, &o);
	pair_handshake(p);
}

static void test_versions(void **state)
{
	const struct raw_options tls12 = {
		.version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.client};
	struct raw_options tls11 = tls12;
	struct pair p;

	(void)state;
	tls11.version = TLS1_1_VERSION;
	against(TLS_CLIENT, tls12, false, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_VERSION, "ours: 1.3 only");
	assert_int_equal(p.raw_alert_received[TLS_CLIENT], SSL_AD_PROTOCOL_VERSION);
	pair_close(&p);
	against(TLS_CLIENT, tls11, true, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_VERSION, "ours: 1.2 and 1.3");
	assert_int_equal(p.raw_alert_received[TLS_CLIENT], SSL_AD_PROTOCOL_VERSION);
	pair_close(&p);
	against(TLS_SERVER, tls12, false, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_PEER_ALERT,
		       "the peer refused the connection: alert protocol_version (70)");
	pair_close(&p);
}

static void test_tls12_needs_aead_and_ems(void **state)
{
	struct raw_options o = {.version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.client};
	struct pair p;

	(void)state;
	o.ciphers = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA";
	against(TLS_CLIENT, o, true, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NO_CIPHER, "no shared cipher");
	pair_close(&p);

	o.ciphers = NULL;
	o.options = SSL_OP_NO_EXTENDED_MASTER_SECRET;
	for (enum tls_side raw = TLS_CLIENT; raw <= TLS_SERVER; raw++) {
		o.cert = raw == TLS_CLIENT ? &pki.client : &pki.server;
		against(raw, o, true, &p);
		assert_failure(&p, !raw, TLS_REASON_PROTOCOL, "without extended master secret");
		pair_close(&p);
	}
}

static void test_no_common_cipher_or_group(void **state)
{
	struct raw_options o = {.version = TLS1_3_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.client};
	struct pair p;

	(void)state;
	o.ciphersuites = "TLS_AES_128_CCM_SHA256";
	against(TLS_CLIENT, o, false, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NO_CIPHER, "no shared cipher");
	assert_int_equal(p.raw_alert_received[TLS_CLIENT], SSL_AD_HANDSHAKE_FAILURE);
	pair_close(&p);
	o.ciphersuites = NULL;
	o.groups = "X448";
	against(TLS_CLIENT, o, false, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NO_CIPHER, "no suitable key share");
	pair_close(&p);
	o.cert = &pki.server;
	against(TLS_SERVER, o, false, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_PEER_ALERT,
		       "alert handshake_failure (40): no common cipher");
	pair_close(&p);
}

/* TLS 1.3 and 1.2: all that the alert needs is decided before a key exists. */
static void test_alpn_of_client(void **state)
{
	static const struct {
		const char *alpn;
		enum tls_reason reason;
		const char *text;
	} cases[] = {
		{NULL, TLS_REASON_NO_ALPN, "the peer offers no ALPN, it must offer \"botls\""},
		{"\2h2", TLS_REASON_WRONG_ALPN, "the peer offers ALPN \"h2\", not \"botls\""},
		{"\5BOTLS", TLS_REASON_WRONG_ALPN, "\"BOTLS\", not"},
		{"\4botl", TLS_REASON_WRONG_ALPN, "\"botl\", not"},
		{"\2h2\5botls", TLS_REASON_WRONG_ALPN, "offers more than botls: \"h2\", \"botls\""},
		{"\5botls\2h2", TLS_REASON_WRONG_ALPN, "offers more than botls: \"botls\", \"h2\""},
		{"\5botls\5botls", TLS_REASON_WRONG_ALPN, "offers more than botls"},
		{"\3a\nb", TLS_REASON_WRONG_ALPN, "\"a?b\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		struct raw_options o = {.alpn = cases[i / 2].alpn, .cert = &pki.client};
		struct pair p;

		o.version = i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION;
		against(TLS_CLIENT, o, true, &p);
		assert_failure(&p, TLS_SERVER, cases[i / 2].reason, cases[i / 2].text);
		assert_int_equal(p.raw_alert_received[TLS_CLIENT], 120);
		pair_close(&p);
	}
}

static void test_alpn_of_server(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct raw_options o = {.cert = &pki.server};
		struct pair p;

		(void)state;
		o.version = i ? TLS1_2_VERSION : TLS1_3_VERSION;
		against(TLS_SERVER, o, true, &p);
		assert_failure(&p, TLS_CLIENT, TLS_REASON_NO_ALPN, "did not select ALPN \"botls\"");
		assert_int_equal(p.raw_alert_received[TLS_SERVER], SSL_AD_HANDSHAKE_FAILURE);
		/* the refusal came before our certificate went out */
		assert_null(SSL_get0_peer_certificate(p.raw[TLS_SERVER]));
		pair_close(&p);
		o.alpn = ALPN_BOTLS;
		o.select_other_alpn = true;
		against(TLS_SERVER, o, true, &p);
		assert_failure(&p, TLS_CLIENT, TLS_REASON_WRONG_ALPN, "the peer selected a");
		pair_close(&p);
	}
}

static void test_our_alpn_offer(void **state)
{
	struct tls_params c = good_params(&pki.client);
	uint8_t hello[2048];
	struct pair p;
	ssize_t n;

	(void)state;
	pair_open(&p, &c, NULL);
	assert_int_equal(tls_handshake(p.t[TLS_CLIENT]), TLS_WANT_READ);
	n = recv(p.fd[TLS_SERVER], hello, sizeof(hello), 0);
	assert_true(n > 0);
	/* type 16, 8 bytes: list of 6 bytes with one name of 5 */
	assert_non_null(memmem(hello, n,
			       "\x00\x10\x00\x08\x00\x06\x05"
			       "botls",
			       12));
	pair_close(&p);
}

static void test_client_without_certificate(void **state)
{
	struct pair p;

	(void)state;
	against(TLS_CLIENT, (struct raw_options){.version = TLS1_3_VERSION, .alpn = ALPN_BOTLS},
		false, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NO_CERTIFICATE, "sent no certificate");
	assert_int_equal(p.raw_alert_received[TLS_CLIENT], 116);
	pair_close(&p);
	against(TLS_CLIENT, (struct raw_options){.version = TLS1_2_VERSION, .alpn = ALPN_BOTLS},
		true, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NO_CERTIFICATE, "sent no certificate");
	assert_int_equal(p.raw_alert_received[TLS_CLIENT], SSL_AD_HANDSHAKE_FAILURE);
	pair_close(&p);
}

struct verdict {
	struct cert_spec spec;
	const struct cert *issuer; /* NULL: self-signed */
	enum tls_reason reason;
	const char *text;  /* of the end that refuses */
	const char *alert; /* in the words of the end that is refused */
};

/* Presents a certificate from each side to an end that checks with `checks`; both must say the
 * right thing. */
static void refuse(const struct verdict *v, const struct tls_params *checks, bool allow_tls12)
{
	struct cert bad;

	cert_make(&bad, &v->spec, v->issuer);
	for (enum tls_side side = TLS_CLIENT; side <= TLS_SERVER; side++) {
		struct tls_params refused =
			good_params(side == TLS_CLIENT ? &pki.client : &pki.server);
		struct tls_params judge = *checks;
		struct pair p;

		refused.certificate = cert_blob("bad.pem", bad.pem);
		refused.key = cert_blob("bad.key", bad.key_pem);
		refused.allow_tls12 = judge.allow_tls12 = allow_tls12;
		pair_open(&p, side == TLS_CLIENT ? &refused : &judge,
			  side == TLS_CLIENT ? &judge : &refused);
		pair_handshake(&p);
		assert_failure(&p, !side, v->reason, v->text);
		assert_failure(&p, side, TLS_REASON_PEER_ALERT, v->alert);
		pair_close(&p);
	}
	cert_done(&bad);
}

/* The judge knows the peer as 192.0.2.1 or .2 by side: a certificate that is good on both sides
 * names both. */
#define BOTH "IP:192.0.2.1,IP:192.0.2.2"

static void test_chain(void **state)
{
	const struct verdict verdicts[] = {
		{{.cn = "x", .san = BOTH},
		 &pki.other_ca,
		 TLS_REASON_UNTRUSTED,
		 "certificate is signed by CN=Other CA, which is not in ca.pem",
		 "the peer refused our certificate: alert unknown_ca (48): it does not trust the "
		 "CA that "
		 "signed ours"},
		{{.cn = "x", .san = BOTH},
		 NULL,
		 TLS_REASON_UNTRUSTED,
		 "certificate CN=x is self-signed and not in ca.pem",
		 "unknown_ca (48)"},
		{{.cn = "x", .san = BOTH, .eku = "codeSigning"},
		 &pki.ca,
		 TLS_REASON_UNTRUSTED,
		 "the extended key usage of the certificate does not allow a TLS",
		 "refused our certificate: alert unsupported_certificate (43)"},
	};
	const struct tls_params checks = good_params(&pki.server);
	struct tls_params both = checks;
	struct cert own;

	(void)state;
	cert_make(&own, &(struct cert_spec){.cn = "judge", .san = BOTH}, &pki.ca);
	both.certificate = cert_blob("judge.pem", own.pem);
	both.key = cert_blob("judge.key", own.key_pem);
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		refuse(&verdicts[i], &both, false);
		refuse(&verdicts[i], &both, true);
	}
	cert_done(&own);
}

/* Ours would not load such certificates, so the other end is a raw one. */
static void test_dates(void **state)
{
	struct cert expired, future;
	struct tm tm;
	time_t at = time(NULL) - 2 * 86400;
	char text[64];

	(void)state;
	cert_make(&expired,
		  &(struct cert_spec){.cn = "old", .san = BOTH, .from_days = -9, .to_days = -2},
		  &pki.ca);
	cert_make(&future,
		  &(struct cert_spec){.cn = "new", .san = BOTH, .from_days = 3, .to_days = 9},
		  &pki.ca);
	strftime(text, sizeof(text), "certificate expired on %Y-%m-%d", gmtime_r(&at, &tm));
	for (enum tls_side raw = TLS_CLIENT; raw <= TLS_SERVER; raw++) {
		struct raw_options o = {.alpn = ALPN_BOTLS, .cert = &expired};
		struct pair p;

		against(raw, o, false, &p);
		assert_failure(&p, !raw, TLS_REASON_EXPIRED, text);
		assert_int_equal(p.raw_alert_received[raw], SSL_AD_CERTIFICATE_EXPIRED);
		pair_close(&p);
		o.cert = &future;
		against(raw, o, false, &p);
		assert_failure(&p, !raw, TLS_REASON_NOT_YET_VALID,
			       "certificate is not valid before 20");
		assert_int_equal(p.raw_alert_received[raw], SSL_AD_BAD_CERTIFICATE);
		pair_close(&p);
	}
	cert_done(&expired);
	cert_done(&future);
}

static void test_names(void **state)
{
	static const struct {
		const char *cn, *san;
		bool check_address;
		const char *dns;
		const char *text; /* NULL: is let in */
	} cases[] = {
		{"x", "IP:192.0.2.9", true, NULL,
		 "certificate names IP:192.0.2.9, expected IP:192.0.2."},
		{"x", "IP:2001:db8::9", true, NULL,
		 "certificate names IP:2001:db8::9, expected IP:192.0.2."},
		{"192.0.2.2", NULL, true, NULL,
		 "has no subjectAltName (its CN does not count), expected IP:"},
		{"192.0.2.1", "DNS:192.0.2.1,DNS:192.0.2.2", true, NULL,
		 "names DNS:192.0.2.1, DNS:192.0.2.2,"},
		{"x", BOTH, false, "r2.example",
		 "certificate names IP:192.0.2.1, IP:192.0.2.2, expected DNS:"},
		{"r2.example", NULL, false, "r2.example", "no subjectAltName"},
		{"r2.example", "DNS:r3.example", false, "r2.example",
		 "names DNS:r3.example, expected DNS:r2.ex"},
		{"x", "DNS:*.lab.example", false, "r2.lab.example",
		 "names DNS:*.lab.example, expected"},
		{"x", "DNS:x.r2.example", false, "r2.example", "expected DNS:r2.example"},
		{"x", "DNS:r2.example", true, "r2.example", "names DNS:r2.example, expected IP:"},
		{"x", "DNS:r2.example", false, "r2.example", NULL},
		{"x", "DNS:R2.Example", false, "r2.example", NULL},
		{"x", BOTH ",DNS:r2.example", true, "r2.example", NULL},
		{"x", "IP:192.0.2.9," BOTH, true, NULL, NULL},
		{"x", NULL, false, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
		const char *const dns[] = {"r1.example", cases[i].dns};
		struct cert cert;
		struct pair p;

		cert_make(&cert, &(struct cert_spec){.cn = cases[i].cn, .san = cases[i].san},
			  &pki.ca);
		s.certificate = cert_blob("x.pem", cert.pem);
		s.key = cert_blob("x.key", cert.key_pem);
		c.check_address = cases[i].check_address;
		c.dns_names = dns;
		c.n_dns_names = cases[i].dns ? 2 : 0;
		if (cases[i].dns && cases[i].text) {
			c.dns_names = dns + 1;
			c.n_dns_names = 1;
		}
		pair_open(&p, &c, &s);
		pair_handshake(&p);
		if (cases[i].text) {
			assert_failure(&p, TLS_CLIENT, TLS_REASON_NAME, cases[i].text);
			assert_failure(&p, TLS_SERVER, TLS_REASON_PEER_ALERT,
				       "refused our certificate: alert bad_certificate (42)");
		} else {
			assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
		}
		pair_close(&p);
		cert_done(&cert);
	}
}

/* The peer's address is the caller's: IPv6, link-local and none at all. */
static void test_address_families(void **state)
{
	static const struct {
		const char *peer; /* NULL: unknown */
		const char *text; /* NULL: is let in */
	} cases[] = {
		{"2001:db8::2", NULL},
		{"fe80::2%eth0", NULL},
		{"2001:db8::3", "expected IP:2001:db8::3"},
		{"192.0.2.2", "names IP:2001:db8::2, IP:fe80::2, IP:::, expected IP:192.0.2.2"},
		{NULL, "IP:::, expected IP:(unknown)"},
	};
	struct cert v6;

	(void)state;
	cert_make(&v6, &(struct cert_spec){.cn = "v6", .san = "IP:2001:db8::2,IP:fe80::2,IP:::"},
		  &pki.ca);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_params c = good_params(&pki.client), s = good_params(&v6);
		struct addr peer = {};
		struct tls_ctx *ctx;
		struct pair p;

		if (cases[i].peer)
			peer = address(cases[i].peer);
		pair_open(&p, NULL, &s);
		assert_int_equal(tls_ctx_new(&c, &ctx, NULL), 0);
		assert_int_equal(tls_new(ctx, TLS_CLIENT, p.fd[0], &peer, &p.t[TLS_CLIENT]), 0);
		tls_ctx_unref(ctx);
		pair_handshake(&p);
		if (cases[i].text)
			assert_failure(&p, TLS_CLIENT, TLS_REASON_NAME, cases[i].text);
		else
			assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
		pair_close(&p);
	}
	cert_done(&v6);
}

static void pin_of(const struct cert *c, uint8_t ret[TLS_PIN_LEN])
{
	struct tls_params params = good_params(c);
	struct tls_ctx *ctx;

	assert_int_equal(tls_ctx_new(&params, &ctx, NULL), 0);
	memcpy(ret, tls_ctx_pin(ctx), TLS_PIN_LEN);
	tls_ctx_unref(ctx);
}

static void test_pins(void **state)
{
	static const struct {
		bool has_ca, is_self_signed, right_pin, is_expired;
		const char *san;
		enum tls_reason reason; /* NONE: is let in */
	} cases[] = {
		{false, true, true, false, NULL, TLS_REASON_NONE},
		{false, false, true, false, NULL, TLS_REASON_NONE},
		{false, true, false, false, NULL, TLS_REASON_PIN},
		{false, true, true, true, NULL, TLS_REASON_EXPIRED},
		{true, false, true, false, BOTH, TLS_REASON_NONE},
		{true, false, false, false, BOTH, TLS_REASON_PIN},
		{true, true, true, false, BOTH, TLS_REASON_UNTRUSTED},
		{true, false, true, false, "IP:192.0.2.9", TLS_REASON_NAME},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_params c = good_params(&pki.client);
		uint8_t pins[2][TLS_PIN_LEN] = {{0}, {1}};
		struct cert_spec spec = {.cn = "pinned", .san = cases[i].san, .from_days = -9};
		struct cert cert;
		struct pair p;

		spec.to_days = cases[i].is_expired ? -2 : 9;
		cert_make(&cert, &spec, cases[i].is_self_signed ? NULL : &pki.ca);
		if (cases[i].right_pin) {
			uint8_t *der = NULL;
			int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert.x509), &der);

			assert_true(EVP_Digest(der, len, pins[1], NULL, EVP_sha256(), NULL));
			OPENSSL_free(der);
		}
		c.pins = pins;
		c.n_pins = 2;
		c.check_address = cases[i].has_ca;
		if (!cases[i].has_ca)
			c.ca = (struct tls_blob){};
		pair_open(&p, &c, NULL);
		pair_raw(&p, TLS_SERVER, &(struct raw_options){.alpn = ALPN_BOTLS, .cert = &cert});
		pair_handshake(&p);
		if (cases[i].reason == TLS_REASON_NONE)
			assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
		else
			assert_failure(&p, TLS_CLIENT, cases[i].reason,
				       cases[i].reason == TLS_REASON_PIN ? "has pin sha256/"
									 : "certificate");
		pair_close(&p);
		cert_done(&cert);
	}
}

static void test_own_pin(void **state)
{
	struct tls_blob pem = cert_blob("r1.pem", pki.client.pem);
	uint8_t pin[TLS_PIN_LEN], decoded[TLS_PIN_LEN + 1];
	struct errtext e;
	char text[48];

	(void)state;
	pin_of(&pki.client, pin);
	assert_int_equal(tls_pin_of_pem(&pem, text, &e), 0);
	assert_int_equal(EVP_DecodeBlock(decoded, (uint8_t *)text, strlen(text)), TLS_PIN_LEN + 1);
	assert_memory_equal(decoded, pin, TLS_PIN_LEN);
}

static void test_key_usage(void **state)
{
	struct cert only_server;
	struct pair p;

	(void)state;
	cert_make(&only_server, &(struct cert_spec){.cn = "web", .san = BOTH, .eku = "serverAuth"},
		  &pki.ca);
	for (int check = 0; check < 2; check++) {
		struct tls_params c = good_params(&only_server), s = good_params(&pki.server);

		c.check_eku = s.check_eku = check;
		pair_open(&p, &c, &s);
		pair_handshake(&p);
		if (check)
			assert_failure(&p, TLS_SERVER, TLS_REASON_UNTRUSTED,
				       "a TLS client (clientAuth)");
		else
			assert_int_equal(p.want[TLS_SERVER], TLS_DONE);
		pair_close(&p);
	}
	/* the same certificate as server, and one without the extension, are good */
	against(TLS_SERVER, (struct raw_options){.alpn = ALPN_BOTLS, .cert = &only_server}, false,
		&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	pair_close(&p);
	cert_done(&only_server);
	cert_make(&only_server, &(struct cert_spec){.cn = "any", .san = BOTH, .eku = ""}, &pki.ca);
	against(TLS_CLIENT, (struct raw_options){.alpn = ALPN_BOTLS, .cert = &only_server}, false,
		&p);
	assert_int_equal(p.want[TLS_SERVER], TLS_DONE);
	pair_close(&p);
	cert_done(&only_server);
}

static void test_weak_key(void **state)
{
	struct cert weak;
	struct pair p;

	(void)state;
	cert_make(&weak, &(struct cert_spec){.cn = "weak", .san = BOTH, .key = "RSA1024"}, &pki.ca);
	against(TLS_SERVER, (struct raw_options){.alpn = ALPN_BOTLS, .cert = &weak}, false, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_UNTRUSTED, "key too weak");
	pair_close(&p);
	cert_done(&weak);
}

static void test_revocation(void **state)
{
	char *crl = cert_crl(&pki.ca, &pki.server, -1, 9), *empty = cert_crl(&pki.ca, NULL, -1, 9);
	char *foreign = cert_crl(&pki.other_ca, NULL, -1, 9);
	const struct {
		const char *crl;
		enum tls_reason reason;
		const char *text;
	} cases[] = {
		{crl, TLS_REASON_REVOKED, "certificate is revoked in crl.pem"},
		{foreign, TLS_REASON_UNTRUSTED, "crl.pem has no CRL of CN=Lab CA"},
		{empty, TLS_REASON_NONE, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
		struct pair p;

		c.crl = cert_blob("crl.pem", cases[i].crl);
		pair_open(&p, &c, &s);
		pair_handshake(&p);
		if (cases[i].text)
			assert_failure(&p, TLS_CLIENT, cases[i].reason, cases[i].text);
		else
			assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
		if (cases[i].reason == TLS_REASON_REVOKED)
			assert_failure(&p, TLS_SERVER, TLS_REASON_PEER_ALERT,
				       "certificate_revoked (44)");
		pair_close(&p);
	}
	free(crl);
	free(empty);
	free(foreign);
}

static void test_intermediate_ca(void **state)
{
	struct tls_params c = good_params(&pki.client), s;
	struct cert middle, leaf;
	struct pair p;
	char *chain;

	(void)state;
	cert_make(&middle, &(struct cert_spec){.cn = "Middle", .is_ca = true}, &pki.ca);
	cert_make(&leaf, &(struct cert_spec){.cn = "leaf", .san = BOTH}, &middle);
	assert_true(asprintf(&chain, "%s%s", leaf.pem, middle.pem) > 0);

	s = good_params(&leaf); /* without the intermediate */
	pair_open(&p, &c, &s);
	pair_handshake(&p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_UNTRUSTED,
		       "signed by CN=Middle, which is not in ca.pem");
	pair_close(&p);

	s.certificate = cert_blob("chain.pem", chain);
	pair_open(&p, &c, &s);
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	pair_close(&p);

	s = good_params(&leaf);
	c.ca = cert_blob("middle.pem", middle.pem); /* an intermediate is an anchor too */
	pair_open(&p, &c, &s);
	p.want[TLS_SERVER] = TLS_DONE;
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	pair_close(&p);
	free(chain);
	cert_done(&middle);
	cert_done(&leaf);
}

static void feed(enum tls_side side, const void *bytes, size_t len, struct pair *p)
{
	struct tls_params ours = good_params(side == TLS_SERVER ? &pki.server : &pki.client);

	pair_open(p, side == TLS_CLIENT ? &ours : NULL, side == TLS_SERVER ? &ours : NULL);
	assert_int_equal(write(p->fd[!side], bytes, len), len);
	pair_handshake(p);
}

static void test_not_tls(void **state)
{
	char answer;
	struct pair p;

	(void)state;
	feed(TLS_SERVER, plain_open, sizeof(plain_open) - 1, &p);
	assert_failure(
		&p, TLS_SERVER, TLS_REASON_NOT_TLS,
		"received plaintext BGP (OPEN) instead of TLS: the peer has TLS off for us?");
	assert_int_equal(recv(p.fd[TLS_CLIENT], &answer, 1, 0),
			 0); /* no alert into a BGP session */
	pair_close(&p);
	feed(TLS_CLIENT, plain_notification, sizeof(plain_notification) - 1, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_NOT_TLS, "plaintext BGP (NOTIFICATION)");
	pair_close(&p);
	feed(TLS_SERVER, "\xff", 1, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NOT_TLS, "plaintext BGP (message)");
	pair_close(&p);
	feed(TLS_SERVER, "GET / HTTP/1.1\r\n\r\n", 18, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_NOT_TLS,
		       "received \"GET / HTTP/1.1??\" (first byte 0x47)");
	pair_close(&p);
	feed(TLS_CLIENT, "SSH-2.0-OpenSSH\r\n", 17, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_NOT_TLS, "SSH-2.0-OpenSSH");
	pair_close(&p);
}

static void test_malformed(void **state)
{
	struct pair p;

	(void)state;
	feed(TLS_SERVER, "\x16\x03\x01\x00\x05zzzzz", 10, &p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL, "TLS protocol error: ");
	pair_close(&p);
	feed(TLS_CLIENT, "\x16\x03\x03\x00\x05zzzzz", 10, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_PROTOCOL, "TLS protocol error: ");
	pair_close(&p);
	feed(TLS_CLIENT, "\x15\x03\x03\x00\x02\x02\x28", 7, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_PEER_ALERT, "handshake_failure (40)");
	pair_close(&p);
	feed(TLS_CLIENT, "\x15\x03\x03\x00\x02\x02\xc8", 7, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_PEER_ALERT,
		       "the peer refused the connection: alert 200");
	pair_close(&p);
}

static void test_closed_in_handshake(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	struct pair p;

	(void)state;
	pair_open(&p, NULL, &s);
	shutdown(p.fd[TLS_CLIENT], SHUT_WR);
	pair_handshake(&p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_CLOSED,
		       "closed the connection during the handshake");
	pair_close(&p);
	pair_open(&p, &c, NULL);
	shutdown(p.fd[TLS_SERVER], SHUT_WR);
	pair_handshake(&p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_CLOSED,
		       "closed the connection during the handshake");
	pair_close(&p);
	/* an alert close_notify in the place of a ServerHello */
	feed(TLS_CLIENT, "\x15\x03\x03\x00\x02\x01\x00", 7, &p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_CLOSED, "closed the connection");
	pair_close(&p);
}

static void test_system_errors(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct pair p;

	(void)state;
	/* closing with unread bytes resets a UNIX socket */
	pair_open(&p, &c, NULL);
	assert_int_equal(tls_handshake(p.t[TLS_CLIENT]), TLS_WANT_READ);
	close(p.fd[TLS_SERVER]);
	p.fd[TLS_SERVER] = -1;
	pair_handshake(&p);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_RESET,
		       "reset the connection during the handshake");
	pair_close(&p);

	pair_open(&p, NULL, &s);
	dup2(null, p.fd[TLS_SERVER]);
	pair_handshake(&p);
	assert_failure(&p, TLS_SERVER, TLS_REASON_IO,
		       "the connection broke during the handshake: ");
	pair_close(&p);
	close(null);
}

/* Every connection is validated in full. */
static void test_no_resumption(void **state)
{
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct raw_options o = {
			.version = version, .alpn = ALPN_BOTLS, .cert = &pki.client};
		struct pair p;
		char buf[8];

		(void)state;
		against(TLS_CLIENT, o, true, &p);
		assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
		assert_int_equal(SSL_read(p.raw[TLS_CLIENT], buf, sizeof(buf)), -1);
		assert_int_equal(p.raw_tickets[TLS_CLIENT], 0);
		o.session = SSL_get1_session(p.raw[TLS_CLIENT]);
		SSL_shutdown(p.raw[TLS_CLIENT]);
		pair_close(&p);

		against(TLS_CLIENT, o, true, &p);
		assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
		assert_int_equal(SSL_session_reused(p.raw[TLS_CLIENT]), 0);
		pair_close(&p);
		SSL_SESSION_free(o.session);
	}
}

/* A server that insists on tickets gets nothing for them. */
static void test_tickets_from_server_are_not_used(void **state)
{
	struct raw_options o = {.version = TLS1_3_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.server};
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	against(TLS_SERVER, o, true, &p);
	assert_int_equal(SSL_write(p.raw[TLS_SERVER], "after", 5), 5);
	while (tls_read(p.t[TLS_CLIENT], buf, sizeof(buf), &n) == TLS_WANT_READ)
		;
	assert_int_equal(n, 5);
	pair_close(&p);
	against(TLS_SERVER, o, true, &p);
	assert_int_equal(SSL_session_reused(p.raw[TLS_SERVER]), 0);
	pair_close(&p);
}

static void test_no_renegotiation(void **state)
{
	struct raw_options o = {.version = TLS1_2_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.client};
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	for (enum tls_side raw = TLS_CLIENT; raw <= TLS_SERVER; raw++) {
		o.cert = raw == TLS_CLIENT ? &pki.client : &pki.server;
		against(raw, o, true, &p);
		assert_int_equal(p.want[raw], TLS_DONE);
		assert_true(SSL_renegotiate(p.raw[raw]));
		SSL_do_handshake(p.raw[raw]);
		assert_int_equal(tls_read(p.t[!raw], buf, sizeof(buf), &n), TLS_WANT_READ);
		ERR_clear_error();
		SSL_do_handshake(p.raw[raw]);
		SSL_read(p.raw[raw], buf, sizeof(buf));
		assert_int_equal(p.raw_alert_received[raw], SSL_AD_NO_RENEGOTIATION);
		/* and our end is still good for data */
		assert_int_equal(tls_write(p.t[!raw], "x", 1, &n), TLS_DONE);
		pair_close(&p);
	}
}

static void test_no_post_handshake_auth(void **state)
{
	struct raw_options o = {.version = TLS1_3_VERSION, .alpn = ALPN_BOTLS, .cert = &pki.server};
	struct pair p;

	(void)state;
	against(TLS_SERVER, o, false, &p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	ERR_clear_error();
	SSL_set_verify(p.raw[TLS_SERVER], SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, NULL);
	assert_int_equal(SSL_verify_client_post_handshake(p.raw[TLS_SERVER]), 0);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_EXTENSION_NOT_RECEIVED);
	pair_close(&p);
}

static void test_exporter(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	uint8_t a[32], b[32];
	struct pair p;

	(void)state;
	pair_open(&p, &c, &s);
	assert_int_equal(tls_export(p.t[0], "tcp-ao", "ctx", 3, a, sizeof(a)), -ENOTCONN);
	pair_handshake(&p);
	assert_int_equal(tls_export(p.t[TLS_CLIENT], "tcp-ao", "ctx", 3, a, sizeof(a)), 0);
	assert_int_equal(tls_export(p.t[TLS_SERVER], "tcp-ao", "ctx", 3, b, sizeof(b)), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(tls_export(p.t[TLS_SERVER], "tcp-ao", "other", 5, b, sizeof(b)), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	pair_close(&p);
}

static void test_reason_names(void **state)
{
	(void)state;
	for (int r = 0; r < TLS_REASONS; r++) {
		assert_string_not_equal(tls_reason_name(r), "unknown");
		for (int other = 0; other < r; other++)
			assert_string_not_equal(tls_reason_name(r), tls_reason_name(other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_tls12),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_tls12_needs_aead_and_ems),
		cmocka_unit_test(test_no_common_cipher_or_group),
		cmocka_unit_test(test_alpn_of_client),
		cmocka_unit_test(test_alpn_of_server),
		cmocka_unit_test(test_our_alpn_offer),
		cmocka_unit_test(test_client_without_certificate),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_address_families),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_own_pin),
		cmocka_unit_test(test_key_usage),
		cmocka_unit_test(test_weak_key),
		cmocka_unit_test(test_revocation),
		cmocka_unit_test(test_intermediate_ca),
		cmocka_unit_test(test_not_tls),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_closed_in_handshake),
		cmocka_unit_test(test_system_errors),
		cmocka_unit_test(test_no_resumption),
		cmocka_unit_test(test_tickets_from_server_are_not_used),
		cmocka_unit_test(test_no_renegotiation),
		cmocka_unit_test(test_no_post_handshake_auth),
		cmocka_unit_test(test_exporter),
		cmocka_unit_test(test_reason_names),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
