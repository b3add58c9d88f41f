// SPDX-License-Identifier: Apache-2.0
/*
 * The record layer of TLS 1.3 (RFC 8446 5) after the handshake, in place of OpenSSL's.
 *
 * An SSL object and the certificates that it never lets go of are 19 kB per session, for as long as
 * a BGP session lasts. What a session needs once the peer is verified is two keys. So the traffic
 * secrets are taken from the key log callback, which is OpenSSL's way to tell them, and the SSL is
 * freed. Encryption stays OpenSSL's (EVP). What is here: framing, key updates, alerts.
 *
 * Records are read by as many as one recv() brings and sent by as many as one send() takes, through
 * buffers that all connections share; a connection has memory of its own only for what is
 * incomplete or was not taken yet.
 */
#include "tls_record.h"

#include <errno.h>
#include <sys/socket.h>

#define HEADER_LEN     TLS_HEADER_LEN
#define TAG_LEN	       16
#define CIPHERTEXT_MAX TLS_CIPHERTEXT_MAX
#define OVERHEAD       (HEADER_LEN + 1 + TAG_LEN)

/* With each record of a write may go a KeyUpdate. */
#define SEALED_MAX                                                                                 \
	(TLS_WRITE_MAX + (TLS_WRITE_MAX / TLS_PLAIN_MAX) * (2 * OVERHEAD + TLS_KEY_UPDATE_LEN))

uint8_t tls_incoming[TLS_READ_MAX];
static uint8_t sealed[SEALED_MAX];

/* --- keys */

static int set_keys(struct tls_record *r, bool is_out)
{
	struct tls_cipher *c = is_out ? &r->user->out : &r->user->in;
	uint8_t key[KTLS_KEY_MAX];
	int ok = 0;

	if (tls_derive_keys(r->suite, is_out ? r->out_secret : r->in_secret, key, c->iv) == 0)
		ok = EVP_CipherInit_ex(c->ctx, NULL, NULL, key, NULL, is_out);
	OPENSSL_cleanse(key, sizeof(key));
	c->sequence = 0;
	return ok ? 0 : -ENOMEM;
}

static int start_direction(struct tls_record *r, bool is_out)
{
	struct tls_cipher *c = is_out ? &r->user->out : &r->user->in;

	c->ctx = EVP_CIPHER_CTX_new();
	if (!c->ctx || !EVP_CipherInit_ex(c->ctx, r->suite->cipher(), NULL, NULL, NULL, is_out))
		return -ENOMEM;
	return set_keys(r, is_out);
}

int tls_record_next_keys(struct tls_record *r, bool is_out)
{
	int err = tls_next_secret(r->suite, is_out ? r->out_secret : r->in_secret);

	return err < 0 ? -ENOMEM : set_keys(r, is_out);
}

/* --- one record */

static bool set_nonce(struct tls_cipher *c, bool is_out)
{
	uint8_t nonce[TLS_NONCE_LEN];

	memcpy(nonce, c->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[TLS_NONCE_LEN - 1 - i] ^= c->sequence >> 8 * i;
	c->sequence++;
	return EVP_CipherInit_ex(c->ctx, NULL, NULL, NULL, nonce, is_out);
}

/* Writes one record to `to`; returns its length, 0 when out of memory. */
static size_t seal(struct tls *t, uint8_t type, const void *data, size_t len, uint8_t *to)
{
	struct tls_cipher *c = &t->record->user->out;
	size_t inner = len + 1 + TAG_LEN;
	uint8_t *body = to + HEADER_LEN;
	int n;

	to[0] = SSL3_RT_APPLICATION_DATA;
	to[1] = TLS1_2_VERSION >> 8;
	to[2] = TLS1_2_VERSION & 0xff;
	to[3] = inner >> 8;
	to[4] = inner;
	if (!set_nonce(c, true) || !EVP_EncryptUpdate(c->ctx, NULL, &n, to, HEADER_LEN) ||
	    !EVP_EncryptUpdate(c->ctx, body, &n, data, len) ||
	    !EVP_EncryptUpdate(c->ctx, body + len, &n, &type, 1) ||
	    !EVP_EncryptFinal_ex(c->ctx, body + len + 1, &n) ||
	    !EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + len + 1))
		return 0;
	t->records_out++;
	t->records_since_update++;
	return HEADER_LEN + inner;
}

/* Decrypts in place; false when it was altered. */
static bool open_record(struct tls_cipher *c, const uint8_t *header, uint8_t *body, size_t len)
{
	size_t text = len - TAG_LEN;
	int n;

	return set_nonce(c, false) && EVP_DecryptUpdate(c->ctx, NULL, &n, header, HEADER_LEN) &&
	       EVP_DecryptUpdate(c->ctx, body, &n, body, text) &&
	       EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, body + text) &&
	       EVP_DecryptFinal_ex(c->ctx, body + text, &n);
}

static size_t seal_key_update(struct tls *t, bool is_request, uint8_t *to)
{
	uint8_t message[TLS_KEY_UPDATE_LEN] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, is_request};
	size_t len = seal(t, SSL3_RT_HANDSHAKE, message, sizeof(message), to);

	if (!len || tls_record_next_keys(t->record, true) < 0)
		return 0;
	t->key_updates_sent++;
	t->records_since_update = 0;
	return len;
}

int tls_record_queue(struct tls *t, uint8_t type, const void *message, size_t len)
{
	size_t n = seal(t, type, message, len, sealed);

	return n ? tls_out_append(&t->out, sealed, n) : -ENOMEM;
}

int tls_record_queue_key_update(struct tls *t)
{
	size_t n = seal_key_update(t, false, sealed);

	return n ? tls_out_append(&t->out, sealed, n) : -ENOMEM;
}

/* --- what comes in */

static size_t body_len(const uint8_t *header)
{
	return header[3] << 8 | header[4];
}

static bool is_complete(const uint8_t *b, size_t len)
{
	return len >= HEADER_LEN && len >= HEADER_LEN + body_len(b);
}

/* What makes it pointless to wait for the rest of a record. */
static enum tls_want check_header(struct tls *t, const uint8_t *b, size_t len)
{
	if (len < HEADER_LEN)
		return TLS_DONE;
	if (b[0] != SSL3_RT_APPLICATION_DATA)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a record that is not encrypted");
	if (b[1] != TLS1_2_VERSION >> 8)
		return tls_refuse(t, SSL_AD_PROTOCOL_VERSION, "a record of another version");
	if (body_len(b) > CIPHERTEXT_MAX)
		return tls_refuse(t, SSL_AD_RECORD_OVERFLOW, "encrypted length too long");
	if (body_len(b) <= TAG_LEN)
		return tls_refuse(t, SSL_AD_BAD_RECORD_MAC, "a record that is too short");
	return TLS_DONE;
}

/* A whole record: TLS_DONE with data of the application at `b` + HEADER_LEN, or what came of it. */
static enum tls_want on_record(struct tls *t, uint8_t *b, size_t *ret_len)
{
	size_t len = body_len(b);
	uint8_t *body = b + HEADER_LEN;

	if (!open_record(&t->record->user->in, b, body, len)) {
		ERR_clear_error();
		return tls_refuse(t, SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac");
	}
	t->records_in++;
	for (len -= TAG_LEN; len && !body[len - 1]; len--)
		;
	if (!len)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a record without a type");
	len--;
	if (len > TLS_PLAIN_MAX)
		return tls_refuse(t, SSL_AD_RECORD_OVERFLOW, "data length too long");
	*ret_len = len;
	return tls_on_content(t, body[len], body, len);
}

/* Decrypts what of `incoming` fits into `buf`, at least one record. Whatever is no data ends it: a
 * peer that sends nothing else gets one answer per call. */
static enum tls_want open_all(struct tls *t, size_t have, uint8_t *buf, size_t len, size_t *ret_n)
{
	size_t at = 0, done = 0;
	enum tls_want want = TLS_DONE;

	for (;;) {
		uint8_t *b = tls_incoming + at;
		size_t n = 0;

		want = check_header(t, b, have - at);
		if (want != TLS_DONE)
			break;
		want = TLS_WANT_READ;
		if (!is_complete(b, have - at) || (done && body_len(b) > len - done))
			break;
		at += HEADER_LEN + body_len(b);
		want = on_record(t, b, &n);
		if (want != TLS_DONE)
			break;
		memcpy(buf + done, b + HEADER_LEN, n < len - done ? n : len - done);
		if (n > len - done) {
			want = tls_hold(&t->record->plain, b + HEADER_LEN + len - done,
					n - (len - done));
			done = len;
			if (want)
				want = tls_out_of_memory(t);
			break;
		}
		done += n;
	}
	if (!t->is_broken && !t->record->has_ended &&
	    tls_hold(&t->record->raw, tls_incoming + at, have - at) < 0)
		want = tls_out_of_memory(t);
	*ret_n = done;
	t->record->is_end_untold = done && (t->record->has_ended || t->is_broken);
	return done ? TLS_DONE : want;
}

static enum tls_want receive(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	struct tls_record *r = t->record;
	size_t have;
	ssize_t n;

	/* What is held is either complete or shorter than a record, so that there is room. */
	have = tls_take_held(&r->raw, tls_incoming, sizeof(tls_incoming));
	if (!is_complete(tls_incoming, have)) {
		do
			n = recv(t->fd, tls_incoming + have, TLS_READ_MAX - have, MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n == 0)
			return tls_set_closed(t);
		if (n < 0 && errno != EAGAIN) {
			t->is_broken = true;
			tls_set_system_failure(t, errno);
			return TLS_FAILED;
		}
		if (n < 0) {
			if (tls_hold(&r->raw, tls_incoming, have) < 0)
				return tls_out_of_memory(t);
			return TLS_WANT_READ;
		}
		r->is_drained = n < (ssize_t)(TLS_READ_MAX - have);
		have += n;
	}
	return open_all(t, have, buf, len, ret_n);
}

enum tls_want tls_record_read(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	struct tls_record *r = t->record;

	if (r->plain.data) {
		*ret_n = tls_take_held(&r->plain, buf, len);
		return TLS_DONE;
	}
	r->is_end_untold = false;
	if (t->is_broken)
		return t->was_truncated ? TLS_TRUNCATED : TLS_FAILED;
	if (r->has_ended)
		return TLS_EOF;
	return r->kernel ? tls_ktls_read(t, buf, len, ret_n) : receive(t, buf, len, ret_n);
}

enum tls_want tls_record_peek(struct tls *t)
{
	uint8_t none;
	size_t n;

	if (t->record->plain.data)
		return TLS_DONE;
	if (t->record->kernel)
		return tls_ktls_peek(t);
	/* With no room at all everything that comes is held. */
	return tls_record_read(t, &none, 0, &n);
}

bool tls_record_has_pending(const struct tls_record *r)
{
	return r->plain.data || r->is_end_untold || (r->kernel && r->kernel->may_be_silent) ||
	       (r->raw.data && is_complete(r->raw.data, r->raw.len));
}

bool tls_record_may_have_more(const struct tls_record *r)
{
	return !r->is_drained || tls_record_has_pending(r);
}

/* --- what goes out */

int tls_record_write(struct tls *t, const uint8_t *data, size_t len, size_t *ret_n)
{
	size_t used = 0, at = 0;
	int err;

	if (t->record->kernel)
		return tls_ktls_write(t, data, len, ret_n);
	if (len > TLS_WRITE_MAX)
		len = TLS_WRITE_MAX;
	while (at < len) {
		size_t part = len - at < TLS_PLAIN_MAX ? len - at : TLS_PLAIN_MAX, n = 1;

		if (t->key_update_records && t->records_since_update >= t->key_update_records) {
			n = seal_key_update(t, true, sealed + used);
			used += n;
		}
		n = n ? seal(t, SSL3_RT_APPLICATION_DATA, data + at, part, sealed + used) : 0;
		if (!n)
			return -ENOMEM;
		used += n;
		at += part;
	}
	err = tls_out_send(&t->out, t->fd, sealed, used);
	if (err < 0)
		return err;
	*ret_n = at;
	return 0;
}

void tls_record_close_notify(struct tls *t)
{
	tls_send_alert(t, SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY);
}

/* --- life */

int tls_record_start(struct tls_record *r)
{
	int err;

	r->user = calloc(1, sizeof(*r->user));
	if (!r->user)
		return -ENOMEM;
	err = start_direction(r, false);
	return err < 0 ? err : start_direction(r, true);
}

int tls_record_new(struct tls *t)
{
	const struct tls_secrets *s = t->secrets;
	enum tls_secret own = t->side == TLS_CLIENT ? TLS_SECRET_CLIENT : TLS_SECRET_SERVER;
	enum tls_secret theirs = t->side == TLS_CLIENT ? TLS_SECRET_SERVER : TLS_SECRET_CLIENT;
	const struct tls_suite *suite = tls_suite_of(t->ssl);
	struct tls_record *r;
	int err;

	/* Bytes that OpenSSL has read ahead, which it never does, would be lost. */
	if (!s || s->seen != TLS_SECRETS_ALL || SSL_has_pending(t->ssl) || !suite)
		return -ENOTSUP;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->suite = suite;
	memcpy(r->exporter, s->each[TLS_SECRET_EXPORTER], sizeof(r->exporter));
	memcpy(r->in_secret, s->each[theirs], sizeof(r->in_secret));
	memcpy(r->out_secret, s->each[own], sizeof(r->out_secret));
	t->record = r;
	err = t->wants_kernel ? tls_ktls_begin(t) : -ENOTSUP;
	if (err == -ENOTSUP)
		err = tls_record_start(r);
	if (err < 0)
		tls_record_free(TAKE(t->record));
	return err;
}

static void free_user(struct tls_user *u)
{
	if (!u)
		return;
	EVP_CIPHER_CTX_free(u->in.ctx);
	EVP_CIPHER_CTX_free(u->out.ctx);
	OPENSSL_cleanse(u, sizeof(*u));
	free(u);
}

void tls_record_free(struct tls_record *r)
{
	if (!r)
		return;
	free_user(r->user);
	tls_ktls_free(r->kernel);
	tls_drop_held(&r->plain);
	tls_drop_held(&r->raw);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
}
