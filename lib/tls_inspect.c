// SPDX-License-Identifier: Apache-2.0
#include "tls_inspect.h"

#include "tls_internal.h"

#include <errno.h>

struct tls_certificates {
	STACK_OF(X509) * list;
};

int tls_certificates_new(const struct tls_blob *pem, struct tls_certificates **ret,
			 struct errtext *e)
{
	STACK_OF(X509) *list = NULL;
	int r = tls_pem_certificates(pem, &list, e);

	if (r < 0)
		return r;
	*ret = malloc(sizeof(**ret));
	if (!*ret) {
		sk_X509_pop_free(list, X509_free);
		return errtext_set(e, -ENOMEM, "out of memory");
	}
	(*ret)->list = list;
	return 0;
}

void tls_certificates_free(struct tls_certificates *c)
{
	if (!c)
		return;
	sk_X509_pop_free(c->list, X509_free);
	free(c);
}

size_t tls_certificates_count(const struct tls_certificates *c)
{
	return sk_X509_num(c->list);
}

void tls_certificates_get(const struct tls_certificates *c, size_t at, struct tls_certificate *ret)
{
	X509 *x = sk_X509_value(c->list, at);
	uint32_t usage = X509_get_extended_key_usage(x); /* UINT32_MAX without the extension */

	*ret = (struct tls_certificate){
		.is_for_client = usage & (XKU_SSL_CLIENT | XKU_ANYEKU),
		.is_for_server = usage & (XKU_SSL_SERVER | XKU_ANYEKU),
	};
	tls_name_print(X509_get_subject_name(x), ret->subject, sizeof(ret->subject));
	tls_name_print(X509_get_issuer_name(x), ret->issuer, sizeof(ret->issuer));
	tls_san_print(x, ret->san, sizeof(ret->san));
	tls_time(X509_get0_notBefore(x), &ret->not_before);
	tls_time(X509_get0_notAfter(x), &ret->not_after);
}

bool tls_certificates_have_address(const struct tls_certificates *c, const struct addr *address)
{
	size_t len = address->family == AF_INET ? 4 : 16;

	return X509_check_ip(sk_X509_value(c->list, 0), address->bytes, len, 0) == 1;
}

static bool is_issued_by(X509 *x, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool ok = X509_check_issued(issuer, x) == X509_V_OK && key && X509_verify(x, key) == 1;

	ERR_clear_error();
	return ok;
}

int tls_certificates_gap(const struct tls_certificates *c)
{
	for (int i = 0; i + 1 < sk_X509_num(c->list); i++)
		if (!is_issued_by(sk_X509_value(c->list, i), sk_X509_value(c->list, i + 1)))
			return i;
	return -1;
}

bool tls_certificates_lead_to(const struct tls_certificates *c,
			      const struct tls_certificates *anchors)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = store && ctx;

	for (int i = 0; ok && i < sk_X509_num(anchors->list); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(anchors->list, i)) == 1;
	ok = ok && X509_STORE_CTX_init(ctx, store, sk_X509_value(c->list, 0), c->list) == 1;
	if (ok) {
		X509_STORE_CTX_set_flags(ctx,
					 X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
		ok = X509_verify_cert(ctx) == 1;
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

int tls_crl_next_update(const struct tls_blob *pem, time_t *ret, struct errtext *e)
{
	_cleanup_crls_ STACK_OF(X509_CRL) *crls = NULL;
	int r = tls_pem_crls(pem, &crls, e);
	time_t first = 0, at;

	if (r < 0)
		return r;
	for (int i = 0; i < sk_X509_CRL_num(crls); i++)
		if (tls_time(X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, i)), &at) == 0 &&
		    (!first || at < first))
			first = at;
	*ret = first;
	return 0;
}
