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
#include "tls_internal.h"

#include <errno.h>
#include <sys/socket.h>

#define HEADER_LEN     5
#define TAG_LEN	       16
#define NONCE_LEN      12
#define PLAIN_MAX      16384
#define CIPHERTEXT_MAX (PLAIN_MAX + 256) /* RFC 8446 5.2 */
#define KEY_UPDATE_LEN 5
#define OVERHEAD       (HEADER_LEN + 1 + TAG_LEN)
#define TICKET_MAX     65536 /* a NewSessionTicket, which is thrown away */
#define EMPTY_MAX      32    /* records without data, one after the other */
#define MAC_MAX	       EVP_MAX_MD_SIZE

/* With each record of a write may go a KeyUpdate. */
#define SEALED_MAX (TLS_WRITE_MAX + (TLS_WRITE_MAX / PLAIN_MAX) * (2 * OVERHEAD + KEY_UPDATE_LEN))

struct direction {
	EVP_CIPHER_CTX *cipher;
	uint8_t iv[NONCE_LEN];
	uint64_t sequence;
	uint8_t secret[TLS_SECRET_MAX];
};

struct held {
	uint8_t *data; /* `at` to `len`; NULL: nothing */
	size_t at, len;
};

struct tls_record {
	const struct suite *suite;
	struct direction in, out;
	uint8_t exporter[TLS_SECRET_MAX];
	struct held plain;		 /* decrypted, not read yet */
	struct held raw;		 /* came, not decrypted yet */
	bool has_ended;			 /* close_notify came */
	bool is_end_untold;		 /* data came with the end, and was told first */
	bool is_drained;		 /* the socket had no more than was taken */
	uint8_t empty;			 /* records without data so far */
	uint8_t message[KEY_UPDATE_LEN]; /* the beginning of a handshake message */
	uint8_t message_len;
	uint32_t message_left; /* of a ticket, to be skipped */
};

static const struct suite {
	uint16_t id; /* RFC 8446 B.4 */
	uint8_t key_len;
	const EVP_CIPHER *(*cipher)(void);
	const EVP_MD *(*hash)(void);
} suites[] = {
	{0x1301, 16, EVP_aes_128_gcm, EVP_sha256},
	{0x1302, 32, EVP_aes_256_gcm, EVP_sha384},
	{0x1303, 32, EVP_chacha20_poly1305, EVP_sha256},
};

/* One thread: what a call leaves in these is of no use to the next. */
static uint8_t incoming[TLS_READ_MAX];
static uint8_t sealed[SEALED_MAX];

/* --- keys: RFC 8446 7.1 to 7.3, RFC 5869 */

static size_t hash_len(const struct tls_record *r)
{
	return EVP_MD_get_size(r->suite->hash());
}

/* HKDF-Expand-Label */
static int expand(const struct tls_record *r, const uint8_t *secret, const char *label,
		  const uint8_t *context, size_t context_len, uint8_t *out, size_t len)
{
	uint8_t info[TLS_HKDF_INFO_MAX], *end = info;
	size_t label_len = strlen("tls13 ") + strlen(label);

	if (label_len > 255 || context_len > MAC_MAX)
		return -EIO;
	*end++ = len >> 8;
	*end++ = len;
	*end++ = label_len;
	end = (uint8_t *)stpcpy(stpcpy((char *)end, "tls13 "), label);
	*end++ = context_len;
	if (context_len)
		memcpy(end, context, context_len);
	end += context_len;
	return tls_hkdf(r->suite->hash(), secret, hash_len(r), info, end - info, out, len);
}

static int set_keys(const struct tls_record *r, struct direction *d, bool is_out)
{
	uint8_t key[32];
	int ok = 0;

	if (expand(r, d->secret, "key", NULL, 0, key, r->suite->key_len) == 0 &&
	    expand(r, d->secret, "iv", NULL, 0, d->iv, sizeof(d->iv)) == 0)
		ok = EVP_CipherInit_ex(d->cipher, NULL, NULL, key, NULL, is_out);
	OPENSSL_cleanse(key, sizeof(key));
	d->sequence = 0;
	return ok ? 0 : -ENOMEM;
}

static int start_direction(const struct tls_record *r, struct direction *d, bool is_out,
			   const uint8_t *secret)
{
	memcpy(d->secret, secret, sizeof(d->secret));
	d->cipher = EVP_CIPHER_CTX_new();
	if (!d->cipher ||
	    !EVP_CipherInit_ex(d->cipher, r->suite->cipher(), NULL, NULL, NULL, is_out))
		return -ENOMEM;
	return set_keys(r, d, is_out);
}

static int next_keys(const struct tls_record *r, struct direction *d, bool is_out)
{
	uint8_t next[TLS_SECRET_MAX] = {};
	int err = expand(r, d->secret, "traffic upd", NULL, 0, next, hash_len(r));

	memcpy(d->secret, next, sizeof(next));
	OPENSSL_cleanse(next, sizeof(next));
	return err < 0 ? err : set_keys(r, d, is_out);
}

static int digest(const struct tls_record *r, const void *data, size_t len, uint8_t *ret)
{
	return EVP_Digest(data, len, ret, NULL, r->suite->hash(), NULL) ? 0 : -ENOMEM;
}

/* RFC 8446 7.5 */
int tls_record_export(struct tls_record *r, const char *label, const void *context,
		      size_t context_len, void *out, size_t len)
{
	uint8_t derived[MAC_MAX], hash[MAC_MAX];
	int err = digest(r, "", 0, hash);

	if (err == 0)
		err = expand(r, r->exporter, label, hash, hash_len(r), derived, hash_len(r));
	if (err == 0)
		err = digest(r, context ? context : "", context ? context_len : 0, hash);
	if (err == 0)
		err = expand(r, derived, "exporter", hash, hash_len(r), out, len);
	OPENSSL_cleanse(derived, sizeof(derived));
	return err;
}

/* --- one record */

static bool set_nonce(struct direction *d, bool is_out)
{
	uint8_t nonce[NONCE_LEN];

	memcpy(nonce, d->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[NONCE_LEN - 1 - i] ^= d->sequence >> 8 * i;
	d->sequence++;
	return EVP_CipherInit_ex(d->cipher, NULL, NULL, NULL, nonce, is_out);
}

/* Writes one record to `to`; returns its length, 0 when out of memory. */
static size_t seal(struct tls *t, uint8_t type, const void *data, size_t len, uint8_t *to)
{
	struct direction *d = &t->record->out;
	size_t inner = len + 1 + TAG_LEN;
	uint8_t *body = to + HEADER_LEN;
	int n;

	to[0] = SSL3_RT_APPLICATION_DATA;
	to[1] = TLS1_2_VERSION >> 8;
	to[2] = TLS1_2_VERSION & 0xff;
	to[3] = inner >> 8;
	to[4] = inner;
	if (!set_nonce(d, true) || !EVP_EncryptUpdate(d->cipher, NULL, &n, to, HEADER_LEN) ||
	    !EVP_EncryptUpdate(d->cipher, body, &n, data, len) ||
	    !EVP_EncryptUpdate(d->cipher, body + len, &n, &type, 1) ||
	    !EVP_EncryptFinal_ex(d->cipher, body + len + 1, &n) ||
	    !EVP_CIPHER_CTX_ctrl(d->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + len + 1))
		return 0;
	t->records_out++;
	t->records_since_update++;
	return HEADER_LEN + inner;
}

/* Decrypts in place; false when it was altered. */
static bool open_record(struct direction *d, const uint8_t *header, uint8_t *body, size_t len)
{
	size_t text = len - TAG_LEN;
	int n;

	return set_nonce(d, false) && EVP_DecryptUpdate(d->cipher, NULL, &n, header, HEADER_LEN) &&
	       EVP_DecryptUpdate(d->cipher, body, &n, body, text) &&
	       EVP_CIPHER_CTX_ctrl(d->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, body + text) &&
	       EVP_DecryptFinal_ex(d->cipher, body + text, &n);
}

static size_t seal_key_update(struct tls *t, bool is_request, uint8_t *to)
{
	uint8_t message[KEY_UPDATE_LEN] = {SSL3_MT_KEY_UPDATE, 0, 0, 1, is_request};
	size_t len = seal(t, SSL3_RT_HANDSHAKE, message, sizeof(message), to);

	if (!len || next_keys(t->record, &t->record->out, true) < 0)
		return 0;
	t->key_updates_sent++;
	t->records_since_update = 0;
	return len;
}

/* --- what comes in */

static void send_alert(struct tls *t, uint8_t level, uint8_t alert)
{
	const uint8_t message[] = {level, alert};
	size_t len = t->is_closing || t->is_write_broken
			     ? 0
			     : seal(t, SSL3_RT_ALERT, message, sizeof(message), sealed);

	tls_out_append(&t->out, sealed, len);
}

static enum tls_want refuse(struct tls *t, uint8_t alert, const char *what)
{
	t->is_broken = true;
	tls_set_failure(t, TLS_REASON_PROTOCOL, "TLS protocol error: %s", what);
	send_alert(t, SSL3_AL_FATAL, alert);
	return TLS_FAILED;
}

static enum tls_want out_of_memory(struct tls *t)
{
	t->is_broken = true;
	tls_set_failure(t, TLS_REASON_MEMORY, "out of memory");
	return TLS_FAILED;
}

static enum tls_want on_alert(struct tls *t, const uint8_t *b, size_t len)
{
	char text[192];

	if (len != 2)
		return refuse(t, SSL_AD_DECODE_ERROR, "an alert of the wrong length");
	if (b[1] == SSL_AD_CLOSE_NOTIFY) {
		t->record->has_ended = true;
		return TLS_EOF;
	}
	if (b[1] == SSL_AD_USER_CANCELLED) /* close_notify follows */
		return TLS_WANT_READ;
	t->is_broken = true;
	tls_alert_print(b[1], t->has_read, text, sizeof(text));
	tls_set_failure(t, TLS_REASON_PEER_ALERT, "%s", text);
	return TLS_FAILED;
}

static enum tls_want on_key_update(struct tls *t, uint8_t request, bool is_last)
{
	size_t len;

	if (request > 1)
		return refuse(t, SSL_AD_ILLEGAL_PARAMETER, "a KeyUpdate that is neither 0 nor 1");
	if (!is_last)
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE,
			      "a KeyUpdate is not on record boundary");
	t->key_updates_received++;
	if (next_keys(t->record, &t->record->in, false) < 0)
		return out_of_memory(t);
	if (!request || t->is_closing || t->is_write_broken)
		return TLS_WANT_READ;
	len = seal_key_update(t, false, sealed);
	if (!len || tls_out_append(&t->out, sealed, len) < 0)
		return out_of_memory(t);
	return TLS_WANT_READ;
}

/* The first four bytes of a message are there: may it come? */
static enum tls_want on_message_header(struct tls *t)
{
	struct tls_record *r = t->record;
	uint32_t len = r->message[1] << 16 | r->message[2] << 8 | r->message[3];

	if (r->message[0] == SSL3_MT_KEY_UPDATE && len == 1)
		return TLS_WANT_READ;
	if (r->message[0] == SSL3_MT_KEY_UPDATE)
		return refuse(t, SSL_AD_DECODE_ERROR, "a KeyUpdate of the wrong length");
	if (r->message[0] != SSL3_MT_NEWSESSION_TICKET || t->side != TLS_CLIENT)
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE,
			      "an unexpected handshake message in the session");
	if (len > TICKET_MAX)
		return refuse(t, SSL_AD_DECODE_ERROR, "a session ticket that is too long");
	r->message_len = 0;
	r->message_left = len;
	return TLS_WANT_READ;
}

/* Handshake messages may begin and end anywhere in records of their type. */
static enum tls_want on_handshake(struct tls *t, const uint8_t *b, size_t len)
{
	struct tls_record *r = t->record;
	enum tls_want want = TLS_WANT_READ;

	if (!len)
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "an empty handshake record");
	for (; len && want == TLS_WANT_READ; b++, len--) {
		if (r->message_left) {
			size_t part = len < r->message_left ? len : r->message_left;

			r->message_left -= part;
			b += part - 1;
			len -= part - 1;
			continue;
		}
		r->message[r->message_len++] = *b;
		if (r->message_len == KEY_UPDATE_LEN - 1) {
			want = on_message_header(t);
		} else if (r->message_len == KEY_UPDATE_LEN) {
			r->message_len = 0;
			want = on_key_update(t, *b, len == 1);
		}
	}
	return want;
}

static int hold(struct held *h, const uint8_t *data, size_t len)
{
	h->at = 0;
	h->len = len;
	if (!len)
		return 0;
	h->data = malloc(len);
	if (!h->data)
		return -ENOMEM;
	memcpy(h->data, data, len);
	return 0;
}

static void drop_held(struct held *h)
{
	free(TAKE(h->data));
	h->at = h->len = 0;
}

/* Moves up to `len` held bytes to `to`. */
static size_t take_held(struct held *h, uint8_t *to, size_t len)
{
	size_t n = h->len - h->at < len ? h->len - h->at : len;

	if (n)
		memcpy(to, h->data + h->at, n);
	h->at += n;
	if (h->at == h->len)
		drop_held(h);
	return n;
}

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
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a record that is not encrypted");
	if (b[1] != TLS1_2_VERSION >> 8)
		return refuse(t, SSL_AD_PROTOCOL_VERSION, "a record of another version");
	if (body_len(b) > CIPHERTEXT_MAX)
		return refuse(t, SSL_AD_RECORD_OVERFLOW, "encrypted length too long");
	if (body_len(b) <= TAG_LEN)
		return refuse(t, SSL_AD_BAD_RECORD_MAC, "a record that is too short");
	return TLS_DONE;
}

/* A whole record: TLS_DONE with data of the application at `b` + HEADER_LEN, or what came of it. */
static enum tls_want on_record(struct tls *t, uint8_t *b, size_t *ret_len)
{
	size_t len = body_len(b);
	uint8_t *body = b + HEADER_LEN;

	if (!open_record(&t->record->in, b, body, len)) {
		ERR_clear_error();
		return refuse(t, SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac");
	}
	t->records_in++;
	for (len -= TAG_LEN; len && !body[len - 1]; len--)
		;
	if (!len)
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a record without a type");
	len--;
	if (len > PLAIN_MAX)
		return refuse(t, SSL_AD_RECORD_OVERFLOW, "data length too long");
	if (t->record->message_len + t->record->message_left && body[len] != SSL3_RT_HANDSHAKE)
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a handshake message was interrupted");
	switch (body[len]) {
	case SSL3_RT_APPLICATION_DATA: break;
	case SSL3_RT_ALERT: return on_alert(t, body, len);
	case SSL3_RT_HANDSHAKE: return on_handshake(t, body, len);
	default: return refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a record of an unknown type");
	}
	t->record->empty = len ? 0 : t->record->empty + 1;
	if (t->record->empty > EMPTY_MAX)
		return refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "too many empty records");
	*ret_len = len;
	return TLS_DONE;
}

/* Decrypts what of `incoming` fits into `buf`, at least one record. Whatever is no data ends it: a
 * peer that sends nothing else gets one answer per call. */
static enum tls_want open_all(struct tls *t, size_t have, uint8_t *buf, size_t len, size_t *ret_n)
{
	size_t at = 0, done = 0;
	enum tls_want want = TLS_DONE;

	for (;;) {
		uint8_t *b = incoming + at;
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
			want = hold(&t->record->plain, b + HEADER_LEN + len - done,
				    n - (len - done));
			done = len;
			if (want)
				want = out_of_memory(t);
			break;
		}
		done += n;
	}
	if (!t->is_broken && !t->record->has_ended &&
	    hold(&t->record->raw, incoming + at, have - at) < 0)
		want = out_of_memory(t);
	*ret_n = done;
	t->record->is_end_untold = done && (t->record->has_ended || t->is_broken);
	return done ? TLS_DONE : want;
}

enum tls_want tls_record_read(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	struct tls_record *r = t->record;
	size_t have;
	ssize_t n;

	if (r->plain.data) {
		*ret_n = take_held(&r->plain, buf, len);
		return TLS_DONE;
	}
	r->is_end_untold = false;
	if (t->is_broken)
		return t->was_truncated ? TLS_TRUNCATED : TLS_FAILED;
	if (r->has_ended)
		return TLS_EOF;
	/* What is held is either complete or shorter than a record, so that there is room. */
	have = take_held(&r->raw, incoming, sizeof(incoming));
	if (!is_complete(incoming, have)) {
		do
			n = recv(t->fd, incoming + have, TLS_READ_MAX - have, MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n == 0)
			return tls_set_closed(t);
		if (n < 0 && errno != EAGAIN) {
			t->is_broken = true;
			tls_set_system_failure(t, errno);
			return TLS_FAILED;
		}
		if (n < 0) {
			if (hold(&r->raw, incoming, have) < 0)
				return out_of_memory(t);
			return TLS_WANT_READ;
		}
		r->is_drained = n < (ssize_t)(TLS_READ_MAX - have);
		have += n;
	}
	return open_all(t, have, buf, len, ret_n);
}

enum tls_want tls_record_peek(struct tls *t)
{
	uint8_t none;
	size_t n;

	/* With no room at all everything that comes is held. */
	return t->record->plain.data ? TLS_DONE : tls_record_read(t, &none, 0, &n);
}

bool tls_record_has_pending(const struct tls_record *r)
{
	return r->plain.data || r->is_end_untold ||
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

	if (len > TLS_WRITE_MAX)
		len = TLS_WRITE_MAX;
	while (at < len) {
		size_t part = len - at < PLAIN_MAX ? len - at : PLAIN_MAX, n = 1;

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
	send_alert(t, SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY);
}

/* --- life */

static const struct suite *suite_of(const SSL *ssl)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

	for (size_t i = 0; cipher && i < ARRAY_SIZE(suites); i++)
		if (SSL_CIPHER_get_protocol_id(cipher) == suites[i].id)
			return &suites[i];
	return NULL;
}

int tls_record_new(struct tls *t)
{
	const struct tls_secrets *s = t->secrets;
	enum tls_secret own = t->side == TLS_CLIENT ? TLS_SECRET_CLIENT : TLS_SECRET_SERVER;
	enum tls_secret theirs = t->side == TLS_CLIENT ? TLS_SECRET_SERVER : TLS_SECRET_CLIENT;
	const struct suite *suite = suite_of(t->ssl);
	struct tls_record *r;

	/* Bytes that OpenSSL has read ahead, which it never does, would be lost. */
	if (!s || s->seen != TLS_SECRETS_ALL || SSL_has_pending(t->ssl) || !suite)
		return -ENOTSUP;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->suite = suite;
	memcpy(r->exporter, s->each[TLS_SECRET_EXPORTER], sizeof(r->exporter));
	if (start_direction(r, &r->in, false, s->each[theirs]) < 0 ||
	    start_direction(r, &r->out, true, s->each[own]) < 0) {
		tls_record_free(r);
		return -ENOMEM;
	}
	t->record = r;
	return 0;
}

void tls_record_free(struct tls_record *r)
{
	if (!r)
		return;
	EVP_CIPHER_CTX_free(r->in.cipher);
	EVP_CIPHER_CTX_free(r->out.cipher);
	drop_held(&r->plain);
	drop_held(&r->raw);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
}
