/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys, certificates and CRLs for tests, made in memory. Any failure aborts the test program.
 */
#ifndef BOTLS_TEST_CERTS_H
#define BOTLS_TEST_CERTS_H

#include "tls.h"

#include <openssl/ssl.h>

struct cert_spec {
	const char *cn;
	const char *san;	/* "IP:192.0.2.2,DNS:r2.example"; NULL: no such extension */
	const char *eku;	/* NULL: clientAuth and serverAuth; "": no such extension */
	int from_days, to_days; /* from today; both 0: -1 and 365 */
	bool is_ca;
	const char *key; /* NULL: P-256; "ED25519", "RSA1024", "RSA2048" */
};

struct cert {
	EVP_PKEY *key;
	X509 *x509;
	char *pem;
	char *key_pem;
	char path[64]; /* "<cn>.pem", only for messages */
};

/* Signed by `issuer`, by itself when NULL. cert_done() frees what is inside. */
void cert_make(struct cert *ret, const struct cert_spec *spec, const struct cert *issuer);
void cert_done(struct cert *c);

/* A CRL of `ca` that revokes `revoked` (NULL: nothing); free with free(). */
char *cert_crl(const struct cert *ca, const struct cert *revoked, int from_days, int to_days);

/* The key in PEM, encrypted with "secret"; free with free(). */
char *cert_encrypted_key(const struct cert *c);

struct tls_blob cert_blob(const char *path, const char *text);

#endif
