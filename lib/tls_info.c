// SPDX-License-Identifier: Apache-2.0
/* What a connection is and has counted, for a status. */
#include "tls_record.h"

/* TLS 1.2 cannot change its keys, so that only a new session helps. */
bool tls_is_past_key_limit(const struct tls *t)
{
	return t->is_established && t->key_update_records && strcmp(t->version, "TLSv1.2") == 0 &&
	       (t->records_out >= t->key_update_records || t->records_in >= t->key_update_records);
}

/* Where the records are, and why. */
static void describe_records(const struct tls *t, struct tls_info *info)
{
	info->is_in_kernel = tls_is_in_kernel(t);
	if (!t->why_user || !t->is_established)
		return;
	snprintf(info->why_user, sizeof(info->why_user), "%s%s%s", t->why_user,
		 t->why_user_error ? ": " : "",
		 t->why_user_error ? strerror(t->why_user_error) : "");
}

void tls_get_info(const struct tls *t, struct tls_info *ret)
{
	struct tls_counters n = {};
	struct tls_info info = {
		.version = t->is_established ? t->version : "",
		.cipher = t->is_established ? t->cipher : "",
		.group = t->is_established ? t->group : "",
		.is_past_key_limit = tls_is_past_key_limit(t),
	};

	tls_add_counters(t, &n);
	info.records_in = n.records_in;
	info.records_out = n.records_out;
	info.key_updates_sent = n.key_updates_sent;
	info.key_updates_received = n.key_updates_received;
	describe_records(t, &info);
	if (t->peer) {
		snprintf(info.peer_subject, sizeof(info.peer_subject), "%s", t->peer->subject);
		snprintf(info.peer_issuer, sizeof(info.peer_issuer), "%s", t->peer->issuer);
		snprintf(info.peer_san, sizeof(info.peer_san), "%s", t->peer->san);
		tls_pin_print(t->peer->pin, info.peer_pin);
		info.peer_not_after = t->peer->not_after;
	}
	*ret = info;
}

void tls_add_counters(const struct tls *t, struct tls_counters *sum)
{
	uint64_t in = 0, out = 0;

	if (tls_is_in_kernel(t))
		tls_ktls_count(t, &in, &out);
	sum->records_in += t->records_in + in;
	sum->records_out += t->records_out + out;
	sum->key_updates_sent += t->key_updates_sent;
	sum->key_updates_received += t->key_updates_received;
}

void tls_leave_counters(struct tls *t, struct tls_counters *where)
{
	t->left = where;
}

time_t tls_peer_not_after(const struct tls *t)
{
	return t->peer ? t->peer->not_after : 0;
}
