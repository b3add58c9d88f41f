// SPDX-License-Identifier: Apache-2.0
/*
 * What connections with the same identity share: certificate, key, trust anchors and the rules of
 * the protocol. One SSL_CTX serves both sides. RFC 9325 for what is switched off.
 */
#include "tls_internal.h"

#include <ctype.h>
#include <errno.h>

#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_TLS12                                                                              \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

#define SECURITY_LEVEL	   2 /* 112 bits: RSA 2048, no SHA-1 */
#define PEER_CHAIN_LEN_MAX 32768
#define PEER_CHAIN_DEPTH   8

static void ctx_free(struct tls_ctx *c)
{
	SSL_CTX_free(c->ssl);
	for (size_t i = 0; i < c->n_dns_names; i++)
		free(c->dns_names[i]);
	free(c->dns_names);
	free(c->pins);
	free(c->alpn);
	free(c->ca_path);
	free(c->crl_path);
	free(c);
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
	c->refs++;
	return c;
}

void tls_ctx_unref(struct tls_ctx *c)
{
	if (c && !--c->refs)
		ctx_free(c);
}

static void cleanup_ctx(struct tls_ctx **c)
{
	tls_ctx_unref(*c);
}

time_t tls_ctx_not_after(const struct tls_ctx *c)
{
	return c->not_after;
}

const uint8_t *tls_ctx_pin(const struct tls_ctx *c)
{
	return c->pin;
}

/* A leading dot would make X509_check_host() accept every name below it. */
static bool is_dns_name(const char *name)
{
	if (!*name || *name == '.')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

static int copy_identity(struct tls_ctx *c, const struct tls_params *p, struct errtext *e)
{
	if (!p->alpn || !*p->alpn || strlen(p->alpn) > 255)
		return errtext_set(e, -EINVAL, "the ALPN name must have 1 to 255 bytes");
	if (!p->ca.len && !p->n_pins)
		return errtext_set(e, -EINVAL,
				   "neither a CA nor a pin: there is nothing to know the peer by");
	if (p->crl.len && !p->ca.len)
		return errtext_set(e, -EINVAL, "%s: a CRL is of no use without a CA", p->crl.path);

	c->alpn = strdup(p->alpn);
	c->pins = calloc(p->n_pins + 1, sizeof(*c->pins));
	c->dns_names = calloc(p->n_dns_names + 1, sizeof(*c->dns_names));
	if (!c->alpn || !c->pins || !c->dns_names)
		return -ENOMEM;
	if (p->n_pins)
		memcpy(c->pins, p->pins, p->n_pins * sizeof(*c->pins));
	c->n_pins = p->n_pins;
	for (size_t i = 0; i < p->n_dns_names; i++) {
		if (!is_dns_name(p->dns_names[i]))
			return errtext_set(e, -EINVAL,
					   "'%.64s' is not a DNS name (no wildcards here)",
					   p->dns_names[i]);
		c->dns_names[i] = strdup(p->dns_names[i]);
		if (!c->dns_names[i])
			return -ENOMEM;
		c->n_dns_names++;
	}
	c->allow_tls12 = p->allow_tls12;
	c->check_eku = p->check_eku;
	c->check_address = p->check_address;
	c->keylog = p->keylog;
	c->keylog_arg = p->keylog_arg;
	return 0;
}

static void on_keylog(const SSL *ssl, const char *line)
{
	struct tls *t = tls_of_ssl(ssl);

	tls_secrets_add(&t->secrets, line);
	if (t->ctx->keylog)
		t->ctx->keylog(line, t->ctx->keylog_arg);
}

static void set_options(SSL_CTX *ssl)
{
	uint64_t on = SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
		      SSL_OP_CIPHER_SERVER_PREFERENCE;
	/* openssl.cnf of the machine may have turned these on for everybody. */
	uint64_t off = SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
		       SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_CLIENT_RENEGOTIATION |
		       SSL_OP_ALLOW_NO_DHE_KEX | SSL_OP_NO_EXTENDED_MASTER_SECRET |
		       SSL_OP_NO_SSL_MASK;

#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION /* OpenSSL 3.2 */
	on |= SSL_OP_NO_RX_CERTIFICATE_COMPRESSION | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION;
#endif
	SSL_CTX_clear_options(ssl, off);
	SSL_CTX_set_options(ssl, on);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ssl, 0);
	SSL_CTX_set_max_early_data(ssl, 0);
	SSL_CTX_set_recv_max_early_data(ssl, 0);
	SSL_CTX_set_post_handshake_auth(ssl, 0);
	SSL_CTX_set_max_cert_list(ssl, PEER_CHAIN_LEN_MAX);
	SSL_CTX_set_verify_depth(ssl, PEER_CHAIN_DEPTH);
	SSL_CTX_set_read_ahead(ssl, 0);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	/* With auto-retry one call would go on for as long as a peer sends KeyUpdates. */
	SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
}

static int make_ssl_ctx(struct tls_ctx *c, struct errtext *e)
{
	int lowest = c->allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	ERR_clear_error();
	c->ssl = SSL_CTX_new(TLS_method());
	if (!c->ssl)
		return -ENOMEM;
	SSL_CTX_set_security_level(c->ssl, SECURITY_LEVEL);
	set_options(c->ssl);
	if (!SSL_CTX_set_min_proto_version(c->ssl, lowest) ||
	    !SSL_CTX_set_max_proto_version(c->ssl, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(c->ssl, CIPHERS_TLS13) ||
	    !SSL_CTX_set_cipher_list(c->ssl, CIPHERS_TLS12) ||
	    !SSL_CTX_set1_groups_list(c->ssl, GROUPS))
		return errtext_set(e, -EINVAL, "OpenSSL of this machine lacks what TLS needs: %s",
				   tls_error_text(ERR_peek_error()));
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(c->ssl, tls_verify_peer, NULL);
	SSL_CTX_set_keylog_callback(c->ssl, on_keylog);
	return tls_alpn_init(c);
}

/* Not "not yet valid": a router without a clock battery starts in 1970 and learns the time later.
 */
static int check_own_dates(struct tls_ctx *c, const char *path, STACK_OF(X509) * chain,
			   struct errtext *e)
{
	time_t now = time(NULL);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		const ASN1_TIME *end = X509_get0_notAfter(sk_X509_value(chain, i));
		char date[TLS_DATE_STRLEN];
		time_t at;

		if (tls_time(end, &at) < 0)
			return errtext_set(e, -EINVAL,
					   "%s: certificate %d has no readable end date", path,
					   i + 1);
		if (at <= now)
			return errtext_set(e, -EKEYEXPIRED,
					   "%s: certificate %d expired on %s: put a new one there",
					   path, i + 1, tls_date_print(end, date));
		if (!i || at < c->not_after)
			c->not_after = at;
	}
	return 0;
}

static int check_own_key(const struct tls_params *p, STACK_OF(X509) * chain, EVP_PKEY *key,
			 struct errtext *e)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		if (X509_check_private_key(sk_X509_value(chain, i), key) != 1)
			continue;
		if (!i)
			return 0;
		return errtext_set(e, -EINVAL,
				   "%s: our own certificate is number %d in it and must come first",
				   p->certificate.path, i + 1);
	}
	return errtext_set(e, -EINVAL,
			   "%s is not the key of the certificate in %s: put a pair there",
			   p->key.path, p->certificate.path);
}

static int load_own(struct tls_ctx *c, const struct tls_params *p, struct errtext *e)
{
	_cleanup_certs_ STACK_OF(X509) *chain = NULL;
	_cleanup_key_ EVP_PKEY *key = NULL;
	X509 *leaf;
	int r;

	r = tls_pem_certificates(&p->certificate, &chain, e);
	if (r < 0)
		return r;
	r = tls_pem_key(&p->key, &key, e);
	if (r < 0)
		return r;
	r = check_own_key(p, chain, key, e);
	if (r < 0)
		return r;
	r = check_own_dates(c, p->certificate.path, chain, e);
	if (r < 0)
		return r;
	leaf = sk_X509_shift(chain);
	r = tls_pin_of_cert(leaf, c->pin);
	if (r == 0 &&
	    (SSL_CTX_use_certificate(c->ssl, leaf) != 1 ||
	     SSL_CTX_use_PrivateKey(c->ssl, key) != 1 || !SSL_CTX_set1_chain(c->ssl, chain)))
		r = errtext_set(e, -EINVAL, "%s: cannot be used: %s", p->certificate.path,
				tls_error_text(ERR_peek_error()));
	X509_free(leaf);
	return r;
}

static int load_crls(struct tls_ctx *c, const struct tls_blob *b, X509_STORE *store,
		     struct errtext *e)
{
	_cleanup_crls_ STACK_OF(X509_CRL) *crls = NULL;
	char date[TLS_DATE_STRLEN];
	int r = tls_pem_crls(b, &crls, e);

	if (r < 0)
		return r;
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(crls, i);
		const ASN1_TIME *end = X509_CRL_get0_nextUpdate(crl);

		if (end && X509_cmp_current_time(end) <= 0)
			return errtext_set(
				e, -EINVAL,
				"%s: CRL %d ended on %s: with it every peer would be refused",
				b->path, i + 1, tls_date_print(end, date));
		if (!X509_STORE_add_crl(store, crl))
			return -ENOMEM;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	c->crl_path = strdup(b->path);
	return c->crl_path ? 0 : -ENOMEM;
}

static int load_trust(struct tls_ctx *c, const struct tls_params *p, struct errtext *e)
{
	_cleanup_certs_ STACK_OF(X509) *anchors = NULL;
	X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
	int r;

	if (!p->ca.len)
		return 0;
	r = tls_pem_certificates(&p->ca, &anchors, e);
	if (r < 0)
		return r;
	for (int i = 0; i < sk_X509_num(anchors); i++)
		if (!X509_STORE_add_cert(store, sk_X509_value(anchors, i)))
			return -ENOMEM;
	/* Whatever is in the file is an anchor, an intermediate or a self-signed leaf too. */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	c->ca_path = strdup(p->ca.path);
	if (!c->ca_path)
		return -ENOMEM;
	return p->crl.len ? load_crls(c, &p->crl, store, e) : 0;
}

int tls_ctx_new(const struct tls_params *p, struct tls_ctx **ret, struct errtext *e)
{
	__attribute__((cleanup(cleanup_ctx))) struct tls_ctx *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->refs = 1;
	r = copy_identity(c, p, e);
	if (r == 0)
		r = make_ssl_ctx(c, e);
	if (r == 0)
		r = load_own(c, p, e);
	if (r == 0)
		r = load_trust(c, p, e);
	ERR_clear_error();
	if (r < 0)
		return r == -ENOMEM ? errtext_set(e, r, "out of memory") : r;
	*ret = TAKE(c);
	return 0;
}
