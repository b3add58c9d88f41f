// SPDX-License-Identifier: Apache-2.0
/*
 * What may come in records after the handshake besides data: alerts, KeyUpdates, session tickets
 * (which are thrown away). Whoever opened the record, the answers are the same.
 */
#include "tls_record.h"

#include <errno.h>

#define TICKET_MAX 65536 /* a NewSessionTicket */
#define EMPTY_MAX  32	 /* records without data, one after the other */

void tls_send_alert(struct tls *t, uint8_t level, uint8_t alert)
{
	const uint8_t message[] = {level, alert};

	if (t->is_closing || t->is_write_broken)
		return;
	if (t->record->kernel)
		tls_ktls_queue_alert(t, message);
	else
		tls_record_queue(t, SSL3_RT_ALERT, message, sizeof(message));
}

enum tls_want tls_refuse(struct tls *t, uint8_t alert, const char *what)
{
	t->is_broken = true;
	tls_set_failure(t, TLS_REASON_PROTOCOL, "TLS protocol error: %s", what);
	tls_send_alert(t, SSL3_AL_FATAL, alert);
	return TLS_FAILED;
}

enum tls_want tls_out_of_memory(struct tls *t)
{
	t->is_broken = true;
	tls_set_failure(t, TLS_REASON_MEMORY, "out of memory");
	return TLS_FAILED;
}

static enum tls_want on_alert(struct tls *t, const uint8_t *b, size_t len)
{
	char text[192];

	if (len != 2)
		return tls_refuse(t, SSL_AD_DECODE_ERROR, "an alert of the wrong length");
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

static int next_keys_in(struct tls *t)
{
	return t->record->kernel ? tls_ktls_next_keys_in(t)
				 : tls_record_next_keys(t->record, false);
}

static enum tls_want on_key_update(struct tls *t, uint8_t request, bool is_last)
{
	int err;

	if (request > 1)
		return tls_refuse(t, SSL_AD_ILLEGAL_PARAMETER,
				  "a KeyUpdate that is neither 0 nor 1");
	if (!is_last)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE,
				  "a KeyUpdate is not on record boundary");
	t->key_updates_received++;
	err = next_keys_in(t);
	if (err == -ENOMEM)
		return tls_out_of_memory(t);
	if (err < 0)
		return tls_refuse(t, SSL_AD_INTERNAL_ERROR, "the kernel refuses the next key");
	if (!request || t->is_closing || t->is_write_broken)
		return TLS_WANT_READ;
	if (t->record->kernel)
		tls_ktls_queue_key_update(t, false);
	else if (tls_record_queue_key_update(t) < 0)
		return tls_out_of_memory(t);
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
		return tls_refuse(t, SSL_AD_DECODE_ERROR, "a KeyUpdate of the wrong length");
	if (r->message[0] != SSL3_MT_NEWSESSION_TICKET || t->side != TLS_CLIENT)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE,
				  "an unexpected handshake message in the session");
	if (len > TICKET_MAX)
		return tls_refuse(t, SSL_AD_DECODE_ERROR, "a session ticket that is too long");
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
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "an empty handshake record");
	for (; len && want == TLS_WANT_READ; b++, len--) {
		if (r->message_left) {
			size_t part = len < r->message_left ? len : r->message_left;

			r->message_left -= part;
			b += part - 1;
			len -= part - 1;
			continue;
		}
		r->message[r->message_len++] = *b;
		if (r->message_len == TLS_KEY_UPDATE_LEN - 1) {
			want = on_message_header(t);
		} else if (r->message_len == TLS_KEY_UPDATE_LEN) {
			r->message_len = 0;
			want = on_key_update(t, *b, len == 1);
		}
	}
	return want;
}

enum tls_want tls_on_content(struct tls *t, uint8_t type, const uint8_t *b, size_t len)
{
	struct tls_record *r = t->record;

	if (r->message_len + r->message_left && type != SSL3_RT_HANDSHAKE)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE,
				  "a handshake message was interrupted");
	switch (type) {
	case SSL3_RT_APPLICATION_DATA: break;
	case SSL3_RT_ALERT: return on_alert(t, b, len);
	case SSL3_RT_HANDSHAKE: return on_handshake(t, b, len);
	default: return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a record of an unknown type");
	}
	r->empty = len ? 0 : r->empty + 1;
	if (r->empty > EMPTY_MAX)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "too many empty records");
	return TLS_DONE;
}

int tls_hold(struct tls_held *h, const uint8_t *data, size_t len)
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

void tls_drop_held(struct tls_held *h)
{
	free(TAKE(h->data));
	h->at = h->len = 0;
}

size_t tls_take_held(struct tls_held *h, uint8_t *to, size_t len)
{
	size_t n = h->len - h->at < len ? h->len - h->at : len;

	if (n)
		memcpy(to, h->data + h->at, n);
	h->at += n;
	if (h->at == h->len)
		tls_drop_held(h);
	return n;
}
