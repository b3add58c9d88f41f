// SPDX-License-Identifier: Apache-2.0
/*
 * Is the peer who it should be? One pass inside the handshake, so that the peer gets the alert that
 * fits (OpenSSL makes it from the X509_V_ERR_* left in the store context) and we get the words.
 * RFC 5280 for the chain, RFC 9525 for the names.
 */
#include "tls_internal.h"

#include <arpa/inet.h>

static void set_chain_failure(struct tls *t, X509_STORE_CTX *store)
{
	const char *ca = t->ctx->ca_path, *crl = t->ctx->crl_path;
	int error = X509_STORE_CTX_get_error(store);
	X509 *x = X509_STORE_CTX_get_current_cert(store);
	char subject[96], issuer[96], date[TLS_DATE_STRLEN], what[128] = "certificate";

	if (!x)
		x = X509_STORE_CTX_get0_cert(store);
	tls_name_print(X509_get_subject_name(x), subject, sizeof(subject));
	tls_name_print(X509_get_issuer_name(x), issuer, sizeof(issuer));
	if (X509_STORE_CTX_get_error_depth(store) > 0)
		snprintf(what, sizeof(what), "CA certificate %s", subject);

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		tls_set_failure(t, TLS_REASON_EXPIRED, "%s expired on %s", what,
				tls_date_print(X509_get0_notAfter(x), date));
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		tls_set_failure(t, TLS_REASON_NOT_YET_VALID,
				"%s is not valid before %s (is our clock right?)", what,
				tls_date_print(X509_get0_notBefore(x), date));
		break;
	case X509_V_ERR_CERT_REVOKED:
		tls_set_failure(t, TLS_REASON_REVOKED, "%s is revoked in %s", what, crl);
		break;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		tls_set_failure(t, TLS_REASON_UNTRUSTED, "%s has no CRL of %s", crl, issuer);
		break;
	case X509_V_ERR_CRL_HAS_EXPIRED:
		tls_set_failure(t, TLS_REASON_UNTRUSTED, "the CRL of %s in %s is out of date",
				issuer, crl);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		tls_set_failure(t, TLS_REASON_UNTRUSTED, "%s is signed by %s, which is not in %s",
				what, issuer, ca);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		tls_set_failure(t, TLS_REASON_UNTRUSTED,
				"certificate %s is self-signed and not in %s", subject, ca);
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		tls_set_failure(t, TLS_REASON_UNTRUSTED, "the peer's CA %s is not in %s", subject,
				ca);
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		tls_set_failure(t, TLS_REASON_UNTRUSTED,
				"the extended key usage of the %s does not allow a TLS %s", what,
				t->side == TLS_CLIENT ? "server (serverAuth)"
						      : "client (clientAuth)");
		break;
	default:
		tls_set_failure(t, TLS_REASON_UNTRUSTED, "%s: %s", what,
				X509_verify_cert_error_string(error));
	}
}

static bool check_chain(struct tls *t, X509_STORE_CTX *store)
{
	/* OpenSSL has set the purpose by side already; it covers key usage and every CA of the
	 * chain. */
	if (!t->ctx->check_eku)
		X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), X509_PURPOSE_ANY);
	if (X509_verify_cert(store) > 0)
		return true;
	set_chain_failure(t, store);
	if (X509_STORE_CTX_get_error(store) == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
	return false;
}

/* Without a CA nothing else looks at the dates. */
static bool check_dates(struct tls *t, X509_STORE_CTX *store, X509 *leaf)
{
	int error = X509_V_OK;

	if (X509_cmp_current_time(X509_get0_notBefore(leaf)) >= 0)
		error = X509_V_ERR_CERT_NOT_YET_VALID;
	else if (X509_cmp_current_time(X509_get0_notAfter(leaf)) <= 0)
		error = X509_V_ERR_CERT_HAS_EXPIRED;
	if (error == X509_V_OK)
		return true;
	X509_STORE_CTX_set_error(store, error);
	set_chain_failure(t, store);
	return false;
}

static void set_name_failure(struct tls *t, const char *expected)
{
	if (t->peer->san[0])
		tls_set_failure(t, TLS_REASON_NAME, "certificate names %.120s, expected %s",
				t->peer->san, expected);
	else
		tls_set_failure(
			t, TLS_REASON_NAME,
			"certificate has no subjectAltName (its CN does not count), expected %s",
			expected);
}

static bool check_address(struct tls *t, X509_STORE_CTX *store, X509 *leaf)
{
	const struct addr *a = &t->address;
	size_t len = a->family == AF_INET ? 4 : 16;
	char text[INET6_ADDRSTRLEN], expected[INET6_ADDRSTRLEN + 3];

	if (!t->ctx->check_address ||
	    (a->family != AF_UNSPEC && X509_check_ip(leaf, a->bytes, len, 0) == 1))
		return true;
	if (a->family == AF_UNSPEC || !inet_ntop(a->family, a->bytes, text, sizeof(text)))
		strcpy(text, "(unknown)");
	snprintf(expected, sizeof(expected), "IP:%s", text);
	set_name_failure(t, expected);
	X509_STORE_CTX_set_error(store, X509_V_ERR_IP_ADDRESS_MISMATCH);
	return false;
}

static bool check_dns_names(struct tls *t, X509_STORE_CTX *store, X509 *leaf)
{
	const unsigned flags = X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
	const struct tls_ctx *c = t->ctx;
	char expected[96];

	for (size_t i = 0; i < c->n_dns_names; i++)
		if (X509_check_host(leaf, c->dns_names[i], 0, flags, NULL) == 1)
			return true;
	if (!c->n_dns_names)
		return true;
	snprintf(expected, sizeof(expected), "DNS:%.64s%s", c->dns_names[0],
		 c->n_dns_names > 1 ? " or another configured name" : "");
	set_name_failure(t, expected);
	X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	return false;
}

static bool check_pins(struct tls *t, X509_STORE_CTX *store)
{
	const struct tls_ctx *c = t->ctx;
	char seen[48];

	for (size_t i = 0; i < c->n_pins; i++)
		if (!memcmp(c->pins[i], t->peer->pin, TLS_PIN_LEN))
			return true;
	if (!c->n_pins)
		return true;
	tls_pin_print(t->peer->pin, seen);
	tls_set_failure(t, TLS_REASON_PIN,
			"the peer's key has pin sha256/%s, which is not configured", seen);
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return false;
}

int tls_verify_peer(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = tls_of_ssl(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	(void)arg;
	tls_peer_free(t->peer);
	t->peer = tls_peer_new(leaf);
	if (!t->peer) {
		tls_set_failure(t, TLS_REASON_MEMORY, "out of memory");
		X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
		return 0;
	}
	/* The server's choice is known by now and our own certificate is not sent yet. */
	if (t->side == TLS_CLIENT && !tls_alpn_is_selected(t)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	if (!(t->ctx->ca_path ? check_chain(t, store) : check_dates(t, store, leaf)))
		return 0;
	return check_address(t, store, leaf) && check_dns_names(t, store, leaf) &&
	       check_pins(t, store);
}
