// SPDX-License-Identifier: Apache-2.0
/*
 * Why a connection failed. tls_outcome() is the one place where what OpenSSL answers becomes ours.
 */
#include "tls_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>

#define DRAIN_MAX 16 /* kilobytes thrown away after a failed handshake */

void tls_set_failure(struct tls *t, enum tls_reason reason, const char *fmt, ...)
{
	va_list ap;

	if (t->reason != TLS_REASON_NONE)
		return;
	t->reason = reason;
	va_start(ap, fmt);
	if (vasprintf(&t->text, fmt, ap) < 0)
		t->text = NULL;
	va_end(ap);
}

enum tls_reason tls_failure(const struct tls *t, const char **ret_text)
{
	if (ret_text)
		*ret_text = t->text ? t->text : t->reason == TLS_REASON_NONE ? "" : "out of memory";
	return t->reason;
}

void tls_set_system_failure(struct tls *t, int error)
{
	const char *when = t->is_established ? "" : " during the handshake";

	if (error == ECONNRESET || error == EPIPE)
		tls_set_failure(t, TLS_REASON_RESET, "the peer reset the connection%s", when);
	else if (error == ENOMEM || error == ENOBUFS)
		tls_set_failure(t, TLS_REASON_MEMORY, "out of memory");
	else
		tls_set_failure(t, TLS_REASON_IO, "the connection broke%s: %s", when,
				strerror(error));
}

enum tls_want tls_set_closed(struct tls *t)
{
	t->is_broken = true;
	if (!t->is_established) {
		tls_set_failure(t, TLS_REASON_CLOSED,
				"the peer closed the connection during the handshake");
		return TLS_FAILED;
	}
	t->was_truncated = true;
	tls_set_failure(t, TLS_REASON_CLOSED, "the peer closed TCP without close_notify");
	return TLS_TRUNCATED;
}

static void set_ssl_failure(struct tls *t, enum tls_reason reason, unsigned long code)
{
	const char *versions = t->ctx->allow_tls12 ? "1.2 and 1.3" : "1.3 only";
	int alert = tls_alert_of_error(code);
	char text[192];

	if (alert >= 0) {
		tls_alert_print(alert, t->has_read, text, sizeof(text));
		tls_set_failure(t, TLS_REASON_PEER_ALERT, "%s", text);
		return;
	}
	switch (reason) {
	case TLS_REASON_VERSION:
		tls_set_failure(t, reason, "no TLS version in common with the peer (ours: %s)",
				versions);
		break;
	case TLS_REASON_NO_CIPHER:
		tls_set_failure(t, reason, "no cipher, group or signature algorithm in common: %s",
				tls_error_text(code));
		break;
	case TLS_REASON_NO_CERTIFICATE:
		tls_set_failure(t, reason, "the peer sent no certificate");
		break;
	case TLS_REASON_WRONG_ALPN:
		tls_set_failure(t, reason, "the peer selected an ALPN other than \"%s\"",
				t->ctx->alpn);
		break;
	case TLS_REASON_MEMORY: tls_set_failure(t, reason, "out of memory"); break;
	default: tls_set_failure(t, reason, "TLS protocol error: %s", tls_error_text(code));
	}
}

void tls_drain(struct tls *t)
{
	char buf[1024];

	for (int i = 0; i < DRAIN_MAX; i++)
		if (recv(t->fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
			break;
}

enum tls_want tls_outcome(struct tls *t, int ret, int error)
{
	const char *function;
	enum tls_reason reason;
	unsigned long code;

	switch (SSL_get_error(t->ssl, ret)) {
	case SSL_ERROR_NONE: return TLS_DONE;
	case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN: return t->is_established ? TLS_EOF : tls_set_closed(t);
	case SSL_ERROR_SYSCALL:
		if (!error)
			return tls_set_closed(t);
		t->is_broken = true;
		tls_set_system_failure(t, error);
		return TLS_FAILED;
	}
	code = ERR_peek_error_func(&function);
	reason = tls_reason_of_error(code, function);
	ERR_clear_error();
	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return tls_set_closed(t);
	t->is_broken = true;
	set_ssl_failure(t, reason, code);
	if (!t->is_established)
		tls_drain(t);
	return TLS_FAILED;
}
