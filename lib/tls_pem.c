// SPDX-License-Identifier: Apache-2.0
/*
 * PEM text that an operator wrote to a file. Every error names the path and says what to look for.
 * The text is read where it lies; no copy of a key is kept but the one inside the EVP_PKEY.
 */
#include "tls_internal.h"

#include <errno.h>
#include <openssl/pem.h>

#define PEM_LEN_MAX (16 << 20)

/* OpenSSL's own word for a file without its end is "no start line" or "unsupported". */
static int check_frame(const struct tls_blob *b, struct errtext *e)
{
	const char *p = b->data, *begin = NULL, *end;
	const char *path = b->path ? b->path : "(no path)";

	if (!b->len)
		return errtext_set(e, -EINVAL, "%s: the file is empty: write it anew", path);
	if (b->len > PEM_LEN_MAX)
		return errtext_set(e, -EINVAL,
				   "%s: the file is too large: it should hold some PEM text", path);
	end = p + b->len;
	while ((p = memmem(p, end - p, "-----BEGIN ", 11)))
		begin = p++;
	if (!begin)
		return errtext_set(e, -EINVAL,
				   "%s: not a PEM file (no -----BEGIN line): openssl converts from "
				   "DER (-inform DER)",
				   path);
	if (!memmem(begin, end - begin, "-----END ", 9))
		return errtext_set(e, -EINVAL,
				   "%s: the file is cut short (no -----END line): copy all of it",
				   path);
	return 0;
}

static int open_pem(const struct tls_blob *b, BIO **ret, struct errtext *e)
{
	int r = check_frame(b, e);

	if (r < 0)
		return r;
	ERR_clear_error();
	*ret = BIO_new_mem_buf(b->data, b->len);
	return *ret ? 0 : -ENOMEM;
}

/* The end of a file shows as "no start line"; anything else means that an object is damaged. */
static int pem_end(const struct tls_blob *b, int count, const char *what, struct errtext *e)
{
	unsigned long code = ERR_peek_last_error();
	bool at_end =
		ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
	unsigned long cause = ERR_peek_error();
	int r = 0;

	if (ERR_GET_REASON(cause) == ERR_R_MALLOC_FAILURE)
		r = -ENOMEM;
	else if (at_end && !count)
		r = errtext_set(e, -EINVAL, "%s: no %s in it", b->path, what);
	else if (!at_end)
		r = errtext_set(e, -EINVAL, "%s: %s %d is damaged: %s", b->path, what, count + 1,
				tls_error_text(cause));
	ERR_clear_error();
	return r;
}

int tls_pem_certificates(const struct tls_blob *b, STACK_OF(X509) * *ret, struct errtext *e)
{
	_cleanup_certs_ STACK_OF(X509) *certs = sk_X509_new_null();
	_cleanup_bio_ BIO *bio = NULL;
	X509 *x;
	int r = open_pem(b, &bio, e);

	if (r < 0)
		return r;
	if (!certs)
		return -ENOMEM;
	while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (!sk_X509_push(certs, x)) {
			X509_free(x);
			return -ENOMEM;
		}
	}
	r = pem_end(b, sk_X509_num(certs), "certificate", e);
	if (r < 0)
		return r;
	*ret = TAKE(certs);
	return 0;
}

int tls_pem_crls(const struct tls_blob *b, STACK_OF(X509_CRL) * *ret, struct errtext *e)
{
	_cleanup_crls_ STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	_cleanup_bio_ BIO *bio = NULL;
	X509_CRL *crl;
	int r = open_pem(b, &bio, e);

	if (r < 0)
		return r;
	if (!crls)
		return -ENOMEM;
	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		if (!sk_X509_CRL_push(crls, crl)) {
			X509_CRL_free(crl);
			return -ENOMEM;
		}
	}
	r = pem_end(b, sk_X509_CRL_num(crls), "CRL", e);
	if (r < 0)
		return r;
	*ret = TAKE(crls);
	return 0;
}

/* OpenSSL's default would ask on the terminal. */
static int on_password(char *buf, int size, int rwflag, void *arg)
{
	bool *was_asked = arg;

	(void)buf;
	(void)size;
	(void)rwflag;
	*was_asked = true;
	return -1;
}

int tls_pem_key(const struct tls_blob *b, EVP_PKEY **ret, struct errtext *e)
{
	_cleanup_bio_ BIO *bio = NULL;
	bool was_asked = false;
	unsigned long cause;
	EVP_PKEY *key;
	int r = open_pem(b, &bio, e);

	if (r < 0)
		return r;
	tls_wipe_freed(true);
	key = PEM_read_bio_PrivateKey(bio, NULL, on_password, &was_asked);
	tls_wipe_freed(false);
	cause = ERR_peek_error();
	ERR_clear_error();
	if (key) {
		*ret = key;
		return 0;
	}
	if (ERR_GET_REASON(cause) == ERR_R_MALLOC_FAILURE)
		return -ENOMEM;
	if (was_asked)
		return errtext_set(
			e, -EINVAL,
			"%s: the key is encrypted and nobody is there to type a pass phrase "
			"(openssl pkey -in %s -out NEW writes it in clear)",
			b->path, b->path);
	if (!memmem(b->data, b->len, "PRIVATE KEY-----", 16))
		return errtext_set(e, -EINVAL,
				   "%s: no private key in it: name the file that has it", b->path);
	return errtext_set(e, -EINVAL, "%s: the private key is damaged: %s", b->path,
			   tls_error_text(cause));
}

int tls_pin_of_pem(const struct tls_blob *pem, char ret[48], struct errtext *e)
{
	_cleanup_certs_ STACK_OF(X509) *certs = NULL;
	uint8_t pin[TLS_PIN_LEN];
	int r = tls_pem_certificates(pem, &certs, e);

	if (r < 0)
		return r;
	r = tls_pin_of_cert(sk_X509_value(certs, 0), pin);
	if (r < 0)
		return errtext_set(e, r, "%s: the public key cannot be read", pem->path);
	tls_pin_print(pin, ret);
	return 0;
}
