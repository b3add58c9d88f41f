// SPDX-License-Identifier: Apache-2.0
/*
 * A connection as fields, for another process to go on with. What is here has names that must not
 * change: a successor of another version reads them.
 *
 * Records that the kernel seals and opens stay there: keys and sequence numbers go with the socket,
 * and the secrets of the fields are for later KeyUpdates.
 */
#include "tls_record.h"

#include <errno.h>

#define OUT_MAX	     (256 << 10) /* what waits to be sent: two reads' answers and two writes */
#define SKIP_MAX     0xffffff	 /* of a handshake message that is passed over */
#define LAYER_USER   "user"
#define LAYER_KERNEL "kernel"

static bool can_move(const struct tls *t)
{
	return t->record && t->is_established && !t->is_broken && !t->is_write_broken &&
	       !t->is_closing && !t->was_truncated && t->reason == TLS_REASON_NONE && t->peer &&
	       !t->record->has_ended && !t->record->is_end_untold;
}

/* --- to fields */

static void put_held(struct fields_out *o, const char *name, const struct tls_held *h)
{
	fields_put(o, name, h->data ? h->data + h->at : NULL, h->len - h->at);
}

static void put_record(const struct tls_record *r, struct fields_out *o)
{
	fields_put_text(o, "tls.layer", r->kernel ? LAYER_KERNEL : LAYER_USER);
	fields_put_number(o, "tls.suite", r->suite->id);
	fields_put(o, "tls.in-secret", r->in_secret, sizeof(r->in_secret));
	fields_put_number(o, "tls.in-sequence", r->user ? r->user->in.sequence : 0);
	fields_put(o, "tls.out-secret", r->out_secret, sizeof(r->out_secret));
	fields_put_number(o, "tls.out-sequence", r->user ? r->user->out.sequence : 0);
	fields_put(o, "tls.exporter", r->exporter, sizeof(r->exporter));
	put_held(o, "tls.plain", &r->plain);
	put_held(o, "tls.raw", &r->raw);
	fields_put_number(o, "tls.empty-records", r->empty);
	fields_put(o, "tls.message", r->message, r->message_len);
	fields_put_number(o, "tls.message-left", r->message_left);
}

static void put_kernel(const struct tls_kernel *k, struct fields_out *o)
{
	fields_put_number(o, "tls.kernel-position", k->position);
	fields_put_number(o, "tls.kernel-records", k->records);
	fields_put_number(o, "tls.kernel-bytes", k->bytes);
	fields_put(o, "tls.kernel-alert", k->alert, sizeof(k->alert));
	fields_put_number(o, "tls.kernel-has-alert", k->has_alert);
	fields_put_number(o, "tls.kernel-has-key-update", k->has_key_update);
	fields_put_number(o, "tls.kernel-key-update-is-request", k->key_update_is_request);
}

static void put_peer(const struct tls_peer *peer, struct fields_out *o)
{
	fields_put_text(o, "tls.peer-subject", peer->subject);
	fields_put_text(o, "tls.peer-issuer", peer->issuer);
	fields_put_text(o, "tls.peer-san", peer->san);
	fields_put(o, "tls.peer-pin", peer->pin, sizeof(peer->pin));
	fields_put_number(o, "tls.peer-not-after", peer->not_after);
}

int tls_export_state(const struct tls *t, struct fields_out *o)
{
	if (!can_move(t) || tls_out_pending(&t->out) > OUT_MAX)
		return -ENOTSUP;
	fields_put_number(o, "tls.is-server", t->side == TLS_SERVER);
	fields_put_text(o, "tls.group", t->group);
	put_record(t->record, o);
	if (t->record->kernel)
		put_kernel(t->record->kernel, o);
	if (t->why_user)
		fields_put_text(o, "tls.why-user", t->why_user);
	fields_put_number(o, "tls.why-user-error", t->why_user_error);
	put_peer(t->peer, o);
	fields_put(o, "tls.out", t->out.data ? t->out.data + t->out.at : NULL,
		   tls_out_pending(&t->out));
	fields_put_number(o, "tls.written", t->written);
	fields_put_number(o, "tls.has-read", t->has_read);
	fields_put_number(o, "tls.key-update-records", t->key_update_records);
	fields_put_number(o, "tls.records-in", t->records_in);
	fields_put_number(o, "tls.records-out", t->records_out);
	fields_put_number(o, "tls.records-since-update", t->records_since_update);
	fields_put_number(o, "tls.key-updates-sent", t->key_updates_sent);
	fields_put_number(o, "tls.key-updates-received", t->key_updates_received);
	return 0;
}

/* --- and back */

/* The same few texts come again and again, and live as long as the process. */
static const char *kept_text(const char *text)
{
	static char known[16][160];

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!known[i][0])
			snprintf(known[i], sizeof(known[i]), "%s", text);
		if (strcmp(known[i], text) == 0)
			return known[i];
	}
	return "";
}

static int get_held(struct fields_in *f, const char *name, size_t max, struct tls_held *ret)
{
	size_t len;
	const uint8_t *data = fields_bytes(f, name, max, &len);

	return tls_hold(ret, data, len);
}

/* What was read ahead is a whole record, or one that has room for its rest. */
static void check_raw(struct fields_in *f, const struct tls_held *raw, bool is_kernel)
{
	if (raw->len && is_kernel)
		fields_refuse(f, "tls.raw", -EBADMSG);
	if (raw->len >= TLS_HEADER_LEN && (raw->data[3] << 8 | raw->data[4]) > TLS_CIPHERTEXT_MAX)
		fields_refuse(f, "tls.raw", -ERANGE);
}

static int get_record(struct fields_in *f, struct tls_record *r, bool is_kernel)
{
	const uint8_t *message;
	size_t len;
	int err;

	r->suite = tls_suite_of_id(fields_number(f, "tls.suite", UINT16_MAX));
	if (!r->suite)
		fields_refuse(f, "tls.suite", -ENOTSUP);
	fields_exact(f, "tls.in-secret", r->in_secret, sizeof(r->in_secret));
	fields_exact(f, "tls.out-secret", r->out_secret, sizeof(r->out_secret));
	fields_exact(f, "tls.exporter", r->exporter, sizeof(r->exporter));
	err = get_held(f, "tls.plain", TLS_PLAIN_MAX + TLS_READ_MAX, &r->plain);
	if (err == 0)
		err = get_held(f, "tls.raw", TLS_READ_MAX, &r->raw);
	if (err < 0)
		return err;
	check_raw(f, &r->raw, is_kernel);
	r->empty = fields_number(f, "tls.empty-records", UINT8_MAX);
	message = fields_bytes(f, "tls.message", TLS_KEY_UPDATE_LEN - 1, &len);
	if (len)
		memcpy(r->message, message, len);
	r->message_len = len;
	r->message_left = fields_number(f, "tls.message-left", SKIP_MAX);
	return 0;
}

static int get_user(struct fields_in *f, struct tls_record *r)
{
	uint64_t in = fields_number(f, "tls.in-sequence", UINT64_MAX);
	uint64_t out = fields_number(f, "tls.out-sequence", UINT64_MAX);
	int err = fields_error(f, NULL);

	if (err == 0)
		err = tls_record_start(r);
	if (err < 0)
		return err;
	r->user->in.sequence = in;
	r->user->out.sequence = out;
	return 0;
}

static int get_kernel(struct fields_in *f, struct tls *t)
{
	struct tls_kernel *k = calloc(1, sizeof(*k));
	uint64_t sequence;

	t->record->kernel = k;
	if (!k)
		return -ENOMEM;
	k->position = fields_number(f, "tls.kernel-position", UINT64_MAX);
	k->records = fields_number(f, "tls.kernel-records", UINT64_MAX);
	k->bytes = fields_number(f, "tls.kernel-bytes", UINT64_MAX);
	fields_exact(f, "tls.kernel-alert", k->alert, sizeof(k->alert));
	k->has_alert = fields_number(f, "tls.kernel-has-alert", 1);
	k->has_key_update = fields_number(f, "tls.kernel-has-key-update", 1);
	k->key_update_is_request = fields_number(f, "tls.kernel-key-update-is-request", 1);
	/* Else what we send would go out as it is. */
	if (ktls_get_sequence(t->fd, KTLS_IN, &sequence) < 0 ||
	    ktls_get_sequence(t->fd, KTLS_OUT, &sequence) < 0)
		fields_refuse(f, "tls.layer", -EPROTO);
	return fields_error(f, NULL);
}

static int get_layer(struct fields_in *f, struct tls *t)
{
	bool is_kernel;
	char layer[16];
	int err;

	t->record = calloc(1, sizeof(*t->record));
	if (!t->record)
		return -ENOMEM;
	fields_text(f, "tls.layer", layer, sizeof(layer));
	is_kernel = strcmp(layer, LAYER_KERNEL) == 0;
	if (!is_kernel && strcmp(layer, LAYER_USER) != 0)
		fields_refuse(f, "tls.layer", -ENOTSUP);
	err = get_record(f, t->record, is_kernel);
	if (err < 0)
		return err;
	t->wants_kernel = is_kernel || fields_has(f, "tls.why-user");
	return is_kernel ? get_kernel(f, t) : get_user(f, t->record);
}

static int get_peer(struct fields_in *f, struct tls *t)
{
	struct tls_info info; /* only for the sizes of its fields */
	struct tls_peer *p;

	fields_text(f, "tls.peer-subject", info.peer_subject, sizeof(info.peer_subject));
	fields_text(f, "tls.peer-issuer", info.peer_issuer, sizeof(info.peer_issuer));
	fields_text(f, "tls.peer-san", info.peer_san, sizeof(info.peer_san));
	p = tls_peer_make(info.peer_subject, info.peer_issuer, info.peer_san);
	t->peer = p;
	if (!p)
		return -ENOMEM;
	fields_exact(f, "tls.peer-pin", p->pin, sizeof(p->pin));
	p->not_after = fields_number(f, "tls.peer-not-after", INT64_MAX);
	return 0;
}

static int get_out(struct fields_in *f, struct tls *t)
{
	size_t len;
	const uint8_t *data = fields_bytes(f, "tls.out", OUT_MAX, &len);

	t->written = fields_number(f, "tls.written", TLS_WRITE_MAX);
	return tls_out_append(&t->out, data, len);
}

static void get_texts(struct fields_in *f, struct tls *t)
{
	char group[32], why[160];

	t->version = "TLSv1.3";
	fields_text(f, "tls.group", group, sizeof(group));
	t->group = kept_text(group);
	t->why_user_error = fields_number(f, "tls.why-user-error", INT32_MAX);
	if (!fields_has(f, "tls.why-user"))
		return;
	fields_text(f, "tls.why-user", why, sizeof(why));
	t->why_user = kept_text(why);
}

static int get_connection(struct fields_in *f, struct tls *t)
{
	int r;

	t->side = fields_number(f, "tls.is-server", 1) ? TLS_SERVER : TLS_CLIENT;
	get_texts(f, t);
	t->is_established = t->first_bytes_seen = true;
	t->has_read = fields_number(f, "tls.has-read", 1);
	t->key_update_records = fields_number(f, "tls.key-update-records", UINT64_MAX);
	t->records_in = fields_number(f, "tls.records-in", UINT64_MAX);
	t->records_out = fields_number(f, "tls.records-out", UINT64_MAX);
	t->records_since_update = fields_number(f, "tls.records-since-update", UINT64_MAX);
	t->key_updates_sent = fields_number(f, "tls.key-updates-sent", UINT64_MAX);
	t->key_updates_received = fields_number(f, "tls.key-updates-received", UINT64_MAX);
	r = get_peer(f, t);
	if (r == 0)
		r = get_out(f, t);
	return r < 0 ? r : get_layer(f, t);
}

int tls_import_state(struct fields_in *f, struct tls_ctx *ctx, int fd, struct tls **ret)
{
	struct tls *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->ctx = ctx ? tls_ctx_ref(ctx) : NULL;
	t->fd = fd;
	r = get_connection(f, t);
	if (r == 0)
		r = fields_error(f, NULL);
	if (r < 0) {
		tls_free(t);
		return r;
	}
	t->cipher = t->record->suite->name;
	*ret = t;
	return 0;
}
