// SPDX-License-Identifier: Apache-2.0
/*
 * ALPN (RFC 7301): the client offers exactly one name, the server takes exactly that one.
 *
 * OpenSSL calls the server's ALPN callback only when the client sent the extension at all, so a
 * client without it would be let in. The ClientHello callback sees every hello and decides alone.
 */
#include "tls_internal.h"

#include <errno.h>

/* Writes `"a", "b"` for the names of a ProtocolNameList; returns their number, -1 when malformed.
 */
static int print_names(const uint8_t *list, size_t list_len, char *buf, size_t len)
{
	size_t used = 0;
	int count = 0;

	buf[0] = '\0';
	for (size_t at = 0; at < list_len; at += 1 + list[at], count++) {
		char name[32];
		int n;

		if (!list[at] || at + 1 + list[at] > list_len)
			return -1;
		tls_text_print(list + at + 1, list[at], name, sizeof(name));
		n = snprintf(buf + used, len - used, "%s\"%s\"", used ? ", " : "", name);
		if ((size_t)n < len - used)
			used += n;
	}
	return count;
}

static bool is_ours(const struct tls_ctx *c, const uint8_t *name, size_t len)
{
	return len == strlen(c->alpn) && !memcmp(name, c->alpn, len);
}

static int refuse_hello(struct tls *t, int *alert, const uint8_t *ext, size_t len)
{
	char names[128];
	int count = -1;

	if (len >= 2 && (size_t)(ext[0] << 8 | ext[1]) == len - 2)
		count = print_names(ext + 2, len - 2, names, sizeof(names));
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	if (count < 1) {
		*alert = SSL_AD_DECODE_ERROR;
		tls_set_failure(t, TLS_REASON_PROTOCOL, "the peer's ALPN extension is malformed");
	} else if (count > 1) {
		tls_set_failure(t, TLS_REASON_WRONG_ALPN, "the peer offers more than %s: %s",
				t->ctx->alpn, names);
	} else {
		tls_set_failure(t, TLS_REASON_WRONG_ALPN, "the peer offers ALPN %s, not \"%s\"",
				names, t->ctx->alpn);
	}
	return SSL_CLIENT_HELLO_ERROR;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls *t = tls_of_ssl(ssl);
	const uint8_t *ext;
	size_t len;

	(void)arg;
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
				       &ext, &len)) {
		*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
		tls_set_failure(t, TLS_REASON_NO_ALPN,
				"the peer offers no ALPN, it must offer \"%s\"", t->ctx->alpn);
		return SSL_CLIENT_HELLO_ERROR;
	}
	/* list length, name length, name: nothing else may be there */
	if (len > 3 && ext[0] == 0 && ext[1] == len - 2 && ext[2] == len - 3 &&
	    is_ours(t->ctx, ext + 3, len - 3))
		return SSL_CLIENT_HELLO_SUCCESS;
	return refuse_hello(t, alert, ext, len);
}

/* Only reached with an offer that on_client_hello() has let through. */
static int on_select(SSL *ssl, const uint8_t **ret, uint8_t *ret_len, const uint8_t *offer,
		     unsigned offer_len, void *arg)
{
	(void)ssl;
	(void)arg;
	if (offer_len < 2)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = offer + 1;
	*ret_len = offer[0];
	return SSL_TLSEXT_ERR_OK;
}

bool tls_alpn_is_selected(struct tls *t)
{
	const uint8_t *name;
	char text[32];
	unsigned len;

	SSL_get0_alpn_selected(t->ssl, &name, &len);
	if (is_ours(t->ctx, name, len))
		return true;
	if (!len) {
		tls_set_failure(t, TLS_REASON_NO_ALPN, "the peer did not select ALPN \"%s\"",
				t->ctx->alpn);
	} else {
		tls_text_print(name, len, text, sizeof(text));
		tls_set_failure(t, TLS_REASON_WRONG_ALPN,
				"the peer selected ALPN \"%s\", not \"%s\"", text, t->ctx->alpn);
	}
	return false;
}

int tls_alpn_init(struct tls_ctx *c)
{
	size_t len = strlen(c->alpn);
	uint8_t list[256];

	list[0] = len;
	memcpy(list + 1, c->alpn, len);
	if (SSL_CTX_set_alpn_protos(c->ssl, list, len + 1))
		return -ENOMEM;
	SSL_CTX_set_client_hello_cb(c->ssl, on_client_hello, NULL);
	SSL_CTX_set_alpn_select_cb(c->ssl, on_select, NULL);
	return 0;
}
