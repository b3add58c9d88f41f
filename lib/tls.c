// SPDX-License-Identifier: Apache-2.0
/*
 * A TLS connection: RFC 8446, or RFC 5246 with the restrictions of tls_ctx.c. OpenSSL does the
 * handshake; what follows it in TLS 1.3 is tls_record.c's.
 *
 * Every call into OpenSSL goes with an empty error queue and is judged by tls_outcome().
 */
#include "tls_record.h"

#include <errno.h>
#include <sys/socket.h>

#define RECORD_DATA_MAX	   16384
#define KEY_UPDATE_DEFAULT (1ULL << 23) /* AES-GCM: at most 2^24.5 full records, RFC 8446 5.5 */
#define OUT_MAX		   65536 /* a peer that reads nothing but asks for KeyUpdates is read no further */

struct tls *tls_of_ssl(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

static void on_message(int is_sent, int version, int type, const void *buf, size_t len, SSL *ssl,
		       void *arg)
{
	struct tls *t = arg;
	bool is_key_update = type == SSL3_RT_HANDSHAKE && version == TLS1_3_VERSION && len > 0 &&
			     *(const uint8_t *)buf == SSL3_MT_KEY_UPDATE;

	(void)ssl;
	if (type == SSL3_RT_HEADER && is_sent) {
		t->records_out++;
		t->records_since_update++;
	} else if (type == SSL3_RT_HEADER) {
		t->records_in++;
	} else if (is_key_update && is_sent) {
		t->key_updates_sent++;
		t->records_since_update = 0;
	} else if (is_key_update) {
		t->key_updates_received++;
	}
}

static int set_bios(struct tls *t)
{
	BIO *out = tls_out_bio(&t->out);

	if (!out)
		return -ENOMEM;
	SSL_set0_wbio(t->ssl, out);
	return SSL_set_rfd(t->ssl, t->fd) ? 0 : -ENOMEM;
}

int tls_new(struct tls_ctx *ctx, enum tls_side side, int fd, const struct addr *peer,
	    struct tls **ret)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	ERR_clear_error();
	t->ctx = tls_ctx_ref(ctx);
	t->side = side;
	t->fd = fd;
	t->key_update_records = KEY_UPDATE_DEFAULT;
	if (peer)
		t->address = *peer;
	t->ssl = SSL_new(ctx->ssl);
	if (!t->ssl || !SSL_set_app_data(t->ssl, t) || set_bios(t) < 0) {
		tls_free(t);
		ERR_clear_error();
		return -ENOMEM;
	}
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_msg_callback_arg(t->ssl, t);
	if (side == TLS_CLIENT)
		SSL_set_connect_state(t->ssl);
	else
		SSL_set_accept_state(t->ssl);
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	if (t->left)
		tls_add_counters(t, t->left);
	SSL_free(t->ssl);
	tls_record_free(t->record);
	tls_secrets_free(t->secrets);
	tls_out_done(&t->out);
	tls_ctx_unref(t->ctx);
	tls_peer_free(t->peer);
	free(t->text);
	free(t);
}

/* Which plaintext BGP message begins with these bytes (RFC 4271 4.1)? */
static const char *bgp_message(const uint8_t *b, size_t len)
{
	static const char *const names[] = {"message",	    "OPEN",	 "UPDATE",
					    "NOTIFICATION", "KEEPALIVE", "ROUTE-REFRESH"};

	for (size_t i = 0; i < 16 && i < len; i++)
		if (b[i] != 0xff)
			return NULL;
	return names[len > 18 && b[18] < ARRAY_SIZE(names) ? b[18] : 0];
}

static enum tls_want set_not_tls(struct tls *t, const uint8_t *b, size_t len)
{
	const char *bgp = bgp_message(b, len);
	char text[17];

	t->is_broken = true;
	if (bgp) {
		tls_set_failure(
			t, TLS_REASON_NOT_TLS,
			"received plaintext BGP (%s) instead of TLS: the peer has TLS off for us?",
			bgp);
	} else {
		tls_text_print(b, len < 16 ? len : 16, text, sizeof(text));
		tls_set_failure(t, TLS_REASON_NOT_TLS,
				"received \"%s\" (first byte 0x%02x) instead of TLS", text, b[0]);
	}
	tls_drain(t);
	return TLS_FAILED;
}

/* OpenSSL would answer plaintext with an alert and tell us "wrong version number": look before it
 * does. */
static enum tls_want check_first_bytes(struct tls *t)
{
	uint8_t b[24];
	ssize_t n = recv(t->fd, b, sizeof(b), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		/* Reported here or never: the socket tells an error only once. */
		t->is_broken = true;
		tls_set_system_failure(t, errno);
		return TLS_FAILED;
	}
	if (n <= 0)
		return TLS_DONE;
	t->first_bytes_seen = true;
	if (b[0] == SSL3_RT_HANDSHAKE || (b[0] == SSL3_RT_ALERT && t->side == TLS_CLIENT))
		return TLS_DONE;
	return set_not_tls(t, b, n);
}

static const char *group_name(SSL *ssl)
{
	int id = SSL_get_negotiated_group(ssl);
	const char *name = id > 0 ? SSL_group_to_name(ssl, id) : NULL;

	return name ? name : "";
}

/* The SSL has done its work where the record layer is ours. */
static enum tls_want change_record_layer(struct tls *t)
{
	int r = SSL_version(t->ssl) == TLS1_3_VERSION ? tls_record_new(t) : -ENOTSUP;

	tls_secrets_free(TAKE(t->secrets));
	if (r == 0)
		SSL_free(TAKE(t->ssl));
	if (r == 0 || r == -ENOTSUP)
		return TLS_DONE;
	t->is_broken = true;
	tls_set_system_failure(t, -r);
	return TLS_FAILED;
}

static enum tls_want finish_handshake(struct tls *t)
{
	bool is_tls12 = SSL_version(t->ssl) == TLS1_2_VERSION;

	/* None of these can happen with the context as it is; a hole there must not become one
	 * here. */
	if (SSL_session_reused(t->ssl) || SSL_get_verify_result(t->ssl) != X509_V_OK || !t->peer)
		tls_set_failure(t, TLS_REASON_PROTOCOL,
				"the peer was not verified in this handshake");
	else if (is_tls12 && SSL_get_extms_support(t->ssl) != 1)
		tls_set_failure(
			t, TLS_REASON_PROTOCOL,
			"TLS 1.2 without extended master secret (RFC 7627) is not accepted");
	else
		tls_alpn_is_selected(t);
	if (t->reason != TLS_REASON_NONE) {
		t->is_broken = true;
		return TLS_FAILED;
	}
	t->is_established = true;
	t->records_since_update = 0;
	t->version = SSL_get_version(t->ssl);
	t->cipher = SSL_get_cipher_name(t->ssl);
	t->group = group_name(t->ssl);
	return change_record_layer(t);
}

/* The socket takes no more. In TLS 1.3 a server may have refused us while we were writing already:
 * its alert is then waiting to be read, and tells more than EPIPE. */
static enum tls_want set_write_failure(struct tls *t, int error)
{
	size_t n;
	char c;
	int r;

	t->is_write_broken = true;
	t->write_error = error;
	tls_out_discard(&t->out);
	if ((error == ECONNRESET || error == EPIPE) && t->record) {
		tls_record_peek(t);
	} else if (error == ECONNRESET || error == EPIPE) {
		ERR_clear_error();
		errno = 0;
		r = SSL_peek_ex(t->ssl, &c, 1, &n);
		if (r != 1 && SSL_get_error(t->ssl, r) == SSL_ERROR_SSL)
			tls_outcome(t, r, errno);
	}
	tls_set_system_failure(t, error);
	return TLS_FAILED;
}

static int send_waiting(struct tls *t)
{
	return tls_is_in_kernel(t) ? tls_ktls_flush(t) : tls_out_flush(&t->out, t->fd);
}

static enum tls_want flush(struct tls *t)
{
	int r = send_waiting(t);

	if (r == -EAGAIN)
		return TLS_WANT_WRITE;
	return r < 0 ? set_write_failure(t, -r) : TLS_DONE;
}

/* For alerts and answers to KeyUpdates: what does not leave now goes with the next call. */
static void try_to_flush(struct tls *t)
{
	int r = send_waiting(t);

	if (r < 0 && r != -EAGAIN) {
		t->is_write_broken = true;
		t->write_error = -r;
		tls_out_discard(&t->out);
	}
}

/* Nothing can be written. Found while flushing, it had no failure of its own yet: what can still be
 * read may say more. */
static enum tls_want write_refused(struct tls *t)
{
	if (t->is_write_broken)
		tls_set_system_failure(t, t->write_error);
	return TLS_FAILED;
}

enum tls_want tls_handshake(struct tls *t)
{
	enum tls_want want, flushed;
	int r;

	if (t->is_established)
		return TLS_DONE;
	if (t->is_broken || t->is_write_broken)
		return write_refused(t);
	if (!t->first_bytes_seen && check_first_bytes(t) == TLS_FAILED)
		return TLS_FAILED;
	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(t->ssl);
	want = r == 1 ? TLS_DONE : tls_outcome(t, r, errno);
	if (want == TLS_FAILED) {
		try_to_flush(t);
		return want;
	}
	flushed = flush(t);
	if (flushed != TLS_DONE)
		return flushed;
	return want == TLS_DONE ? finish_handshake(t) : want;
}

typedef enum tls_want read_fn(struct tls *t, void *buf, size_t len, size_t *ret_n);

static enum tls_want ssl_read(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(t->ssl, buf, len, ret_n);
	return r == 1 ? TLS_DONE : tls_outcome(t, r, errno);
}

static enum tls_want peek(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	int r;

	if (t->record)
		return tls_record_peek(t);
	ERR_clear_error();
	errno = 0;
	r = SSL_peek_ex(t->ssl, buf, len, ret_n);
	return r == 1 ? TLS_DONE : tls_outcome(t, r, errno);
}

static enum tls_want read_with(struct tls *t, read_fn *read, void *buf, size_t len, size_t *ret_n)
{
	enum tls_want want;

	if (!t->is_established || (t->is_broken && !t->record))
		return t->was_truncated ? TLS_TRUNCATED : TLS_FAILED;
	if (tls_out_pending(&t->out) > OUT_MAX) {
		try_to_flush(t);
		if (tls_out_pending(&t->out) > OUT_MAX)
			return TLS_WANT_WRITE;
	}
	want = read(t, buf, len, ret_n);
	try_to_flush(t);
	if (want == TLS_DONE)
		t->has_read = true;
	return want;
}

enum tls_want tls_read(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	enum tls_want want;
	size_t n = 0;

	want = read_with(t, t->record ? tls_record_read : ssl_read, buf, len, &n);
	if (want == TLS_DONE)
		*ret_n = n;
	return want;
}

enum tls_want tls_peek(struct tls *t)
{
	size_t n;
	char c;

	return read_with(t, peek, &c, 1, &n);
}

/* Not SSL_has_pending(): it counts the beginning of a record, whose rest the socket will announce.
 */
bool tls_has_pending(const struct tls *t)
{
	if (t->record)
		return tls_record_has_pending(t->record);
	return t->is_established && !t->is_broken && SSL_pending(t->ssl) > 0;
}

bool tls_may_have_more(const struct tls *t)
{
	return !t->record || tls_record_may_have_more(t->record);
}

void tls_set_key_update_records(struct tls *t, uint64_t records)
{
	t->key_update_records = records;
}

static bool key_update_is_due(const struct tls *t)
{
	return t->key_update_records && t->records_since_update >= t->key_update_records &&
	       SSL_version(t->ssl) == TLS1_3_VERSION &&
	       SSL_get_key_update_type(t->ssl) == SSL_KEY_UPDATE_NONE;
}

static enum tls_want ssl_write(struct tls *t, const void *buf, size_t len)
{
	int r;

	ERR_clear_error();
	if (key_update_is_due(t))
		SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED);
	errno = 0;
	r = SSL_write_ex(t->ssl, buf, len < RECORD_DATA_MAX ? len : RECORD_DATA_MAX, &t->written);
	if (r == 1)
		return TLS_DONE;
	t->written = 0;
	return tls_outcome(t, r, errno);
}

static enum tls_want result_of_write(struct tls *t, int r)
{
	if (r == 0)
		return TLS_DONE;
	if (r == -EAGAIN)
		return TLS_WANT_WRITE;
	if (r != -ENOMEM)
		return set_write_failure(t, -r);
	t->is_broken = true;
	tls_set_failure(t, TLS_REASON_MEMORY, "out of memory");
	return TLS_FAILED;
}

enum tls_want tls_write(struct tls *t, const void *buf, size_t len, size_t *ret_n)
{
	enum tls_want want;

	if (!t->is_established || t->is_broken || t->is_write_broken || t->is_closing)
		return write_refused(t);
	if (!t->written) {
		want = t->record ? result_of_write(t, tls_record_write(t, buf, len, &t->written))
				 : ssl_write(t, buf, len);
		if (want != TLS_DONE)
			return want;
	}
	want = flush(t);
	if (want == TLS_DONE) {
		*ret_n = t->written;
		t->written = 0;
	}
	return want;
}

enum tls_want tls_splice_out(struct tls *t, int pipe, size_t len, size_t *ret_n)
{
	if (t->is_broken || t->is_write_broken || t->is_closing)
		return write_refused(t);
	return result_of_write(t, tls_ktls_splice_out(t, pipe, len, ret_n));
}

static enum tls_want ssl_shutdown(struct tls *t)
{
	int r;

	ERR_clear_error();
	errno = 0;
	/* In the middle of a KeyUpdate OpenSSL refuses to shut down: finish it first. */
	r = SSL_in_init(t->ssl) ? SSL_do_handshake(t->ssl) : 1;
	if (r != 1)
		return tls_outcome(t, r, errno);
	r = SSL_shutdown(t->ssl);
	return r < 0 ? tls_outcome(t, r, errno) : TLS_DONE;
}

enum tls_want tls_close_notify(struct tls *t)
{
	enum tls_want want;

	if (!t->is_established || t->is_broken || t->is_write_broken)
		return write_refused(t);
	if (!t->is_closing && t->record) {
		tls_record_close_notify(t);
	} else if (!t->is_closing) {
		want = ssl_shutdown(t);
		if (want != TLS_DONE)
			return want;
	}
	t->is_closing = true;
	want = flush(t);
	return want == TLS_DONE && tls_has_unsent(t) ? TLS_WANT_WRITE : want;
}

bool tls_has_unsent(const struct tls *t)
{
	return tls_is_in_kernel(t) && tls_ktls_has_unsent(t);
}

int tls_export(struct tls *t, const char *label, const void *context, size_t context_len, void *out,
	       size_t len)
{
	int ok;

	if (!t->is_established || t->is_broken)
		return -ENOTCONN;
	if (t->record)
		return tls_record_export(t->record, label, context, context_len, out, len);
	ERR_clear_error();
	ok = SSL_export_keying_material(t->ssl, out, len, label, strlen(label), context,
					context_len, context != NULL);
	ERR_clear_error();
	return ok == 1 ? 0 : -EIO;
}
