// SPDX-License-Identifier: Apache-2.0
#include "certs.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAY 86400L

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #expr);          \
			ERR_print_errors_fp(stderr);                                               \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static EVP_PKEY *make_key(const char *type)
{
	if (!type)
		return EVP_EC_gen("P-256");
	if (!strcmp(type, "RSA1024"))
		return EVP_RSA_gen(1024);
	if (!strcmp(type, "RSA2048"))
		return EVP_RSA_gen(2048);
	return EVP_PKEY_Q_keygen(NULL, NULL, type);
}

/* Everything written into the memory BIO, as a string; closes it. */
static char *take_text(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	MUST(text = strndup(data, len));
	BIO_free(bio);
	return text;
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	MUST(ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value));
	MUST(X509_add_ext(x, ext, -1));
	X509_EXTENSION_free(ext);
}

static const EVP_MD *digest_for(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

static void add_extensions(X509 *x, X509 *issuer, const struct cert_spec *spec)
{
	const char *eku = spec->eku ? spec->eku : "clientAuth,serverAuth";

	add_extension(x, issuer, NID_basic_constraints,
		      spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
	add_extension(x, issuer, NID_subject_key_identifier, "hash");
	add_extension(x, issuer, NID_key_usage,
		      spec->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
	if (spec->san)
		add_extension(x, issuer, NID_subject_alt_name, spec->san);
	if (!spec->is_ca && *eku)
		add_extension(x, issuer, NID_ext_key_usage, eku);
}

static X509 *make_x509(EVP_PKEY *key, const struct cert_spec *spec, const struct cert *issuer)
{
	bool is_default = !spec->from_days && !spec->to_days;
	static long serial = 1000;
	X509_NAME *name;
	X509 *x;

	MUST(x = X509_new());
	MUST(X509_set_version(x, X509_VERSION_3));
	MUST(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++));
	MUST(X509_gmtime_adj(X509_getm_notBefore(x), (is_default ? -1 : spec->from_days) * DAY));
	MUST(X509_gmtime_adj(X509_getm_notAfter(x), (is_default ? 365 : spec->to_days) * DAY));
	MUST(X509_set_pubkey(x, key));
	name = X509_get_subject_name(x);
	MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)spec->cn, -1,
					-1, 0));
	MUST(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer->x509) : name));
	add_extensions(x, issuer ? issuer->x509 : x, spec);
	key = issuer ? issuer->key : key;
	MUST(X509_sign(x, key, digest_for(key)));
	return x;
}

void cert_make(struct cert *ret, const struct cert_spec *spec, const struct cert *issuer)
{
	BIO *bio;

	MUST(ret->key = make_key(spec->key));
	ret->x509 = make_x509(ret->key, spec, issuer);
	MUST(bio = BIO_new(BIO_s_mem()));
	MUST(PEM_write_bio_X509(bio, ret->x509));
	ret->pem = take_text(bio);
	MUST(bio = BIO_new(BIO_s_mem()));
	MUST(PEM_write_bio_PKCS8PrivateKey(bio, ret->key, NULL, NULL, 0, NULL, NULL));
	ret->key_pem = take_text(bio);
	snprintf(ret->path, sizeof(ret->path), "%.40s.pem", spec->cn);
}

void cert_done(struct cert *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->x509);
	free(c->pem);
	free(c->key_pem);
	*c = (struct cert){};
}

char *cert_crl(const struct cert *ca, const struct cert *revoked, int from_days, int to_days)
{
	ASN1_TIME *from, *to;
	X509_CRL *crl;
	BIO *bio;

	MUST(crl = X509_CRL_new());
	MUST(from = X509_gmtime_adj(NULL, from_days * DAY));
	MUST(to = X509_gmtime_adj(NULL, to_days * DAY));
	MUST(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x509)));
	MUST(X509_CRL_set1_lastUpdate(crl, from));
	MUST(X509_CRL_set1_nextUpdate(crl, to));
	if (revoked) {
		X509_REVOKED *entry;

		MUST(entry = X509_REVOKED_new());
		MUST(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x509)));
		MUST(X509_REVOKED_set_revocationDate(entry, from));
		MUST(X509_CRL_add0_revoked(crl, entry));
	}
	MUST(X509_CRL_sort(crl));
	MUST(X509_CRL_sign(crl, ca->key, digest_for(ca->key)));
	MUST(bio = BIO_new(BIO_s_mem()));
	MUST(PEM_write_bio_X509_CRL(bio, crl));
	X509_CRL_free(crl);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return take_text(bio);
}

char *cert_encrypted_key(const struct cert *c)
{
	BIO *bio;

	MUST(bio = BIO_new(BIO_s_mem()));
	MUST(PEM_write_bio_PKCS8PrivateKey(bio, c->key, EVP_aes_256_cbc(), "secret", 6, NULL,
					   NULL));
	return take_text(bio);
}

struct tls_blob cert_blob(const char *path, const char *text)
{
	return (struct tls_blob){.path = path, .data = text, .len = text ? strlen(text) : 0};
}
