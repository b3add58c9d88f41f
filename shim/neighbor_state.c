// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions of a neighbor that go to another process or come from one (handover.h), and what was
 * counted with them. The names of fields must not change: a successor of another version reads
 * them.
 */
#include "neighbor_internal.h"

#include "fields.h"

#include <errno.h>

/* What sessions that have ended had counted: name, place, how many of a kind. */
static const struct {
	const char *name;
	size_t at, n;
} ended[] = {
	{"bytes-in", BM_BYTES_IN, 1},
	{"bytes-out", BM_BYTES_OUT, 1},
	{"messages-in", BM_MESSAGES_IN, BOTLS_METRICS_TYPES},
	{"messages-out", BM_MESSAGES_OUT, BOTLS_METRICS_TYPES},
	{"records-in", BM_RECORDS_IN, 1},
	{"records-out", BM_RECORDS_OUT, 1},
	{"key-updates-in", BM_KEY_UPDATES_IN, 1},
	{"key-updates-out", BM_KEY_UPDATES_OUT, 1},
	{"ao-good", BM_AO_GOOD, 1},
	{"ao-bad", BM_AO_BAD, 1},
	{"ao-key-not-found", BM_AO_KEY_NOT_FOUND, 1},
	{"ao-required", BM_AO_REQUIRED, 1},
};

/* --- what was counted */

static const char *ended_name(size_t i, size_t k, char buf[static FIELDS_NAME_MAX])
{
	if (ended[i].n == 1)
		return ended[i].name;
	snprintf(buf, FIELDS_NAME_MAX, "%s-%zu", ended[i].name, k);
	return buf;
}

static void export_counts(const struct neighbor *n, struct fields_out *o)
{
	char name[FIELDS_NAME_MAX];

	fields_put_number(o, "sessions", n->n_sessions);
	fields_put_number(o, "established", n->n_established);
	fields_put_number(o, "handshakes", n->n_handshakes);
	o->prefix = "failures";
	for (size_t i = 0; i < TLS_REASONS; i++)
		if (n->failures[i])
			fields_put_number(o, tls_reason_name(i), n->failures[i]);
	o->prefix = "ended";
	for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
		for (size_t k = 0; k < ended[i].n; k++)
			fields_put_number(o, ended_name(i, k, name),
					  n->ended[ended[i].at - BM_SESSION_FIRST + k]);
	o->prefix = NULL;
}

void neighbor_export_counters(const struct neighbor *n, struct fields_out *o)
{
	const struct failure *f = &n->last_failure;
	const struct bgp_notification *b = &n->last_notification;

	export_counts(n, o);
	if (f->time) {
		fields_put_number(o, "failure-time", f->time);
		fields_put_text(o, "failure-reason", tls_reason_name(f->reason));
		fields_put_number(o, "failure-is-inbound", f->direction == SESSION_IN);
		fields_put_text(o, "failure-text", f->text);
	}
	if (n->last_notification_time) {
		fields_put_number(o, "notification-time", n->last_notification_time);
		fields_put_number(o, "notification-is-inbound", n->last_notification_in);
		fields_put_number(o, "notification-code", b->code);
		fields_put_number(o, "notification-subcode", b->subcode);
		fields_put_text(o, "notification-text", b->text);
	}
}

void neighbor_forget_counters(struct neighbor *n)
{
	n->n_sessions = n->n_established = n->n_handshakes = 0;
	memset(n->failures, 0, sizeof(n->failures));
	memset(n->ended, 0, sizeof(n->ended));
}

static void import_counts(struct neighbor *n, struct fields_in *f)
{
	char name[FIELDS_NAME_MAX];

	n->n_sessions += fields_number_or(f, "sessions", UINT64_MAX, 0);
	n->n_established += fields_number_or(f, "established", UINT64_MAX, 0);
	n->n_handshakes += fields_number_or(f, "handshakes", UINT64_MAX, 0);
	f->prefix = "failures";
	for (size_t i = 0; i < TLS_REASONS; i++)
		n->failures[i] += fields_number_or(f, tls_reason_name(i), UINT64_MAX, 0);
	f->prefix = "ended";
	for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
		for (size_t k = 0; k < ended[i].n; k++)
			n->ended[ended[i].at - BM_SESSION_FIRST + k] +=
				fields_number_or(f, ended_name(i, k, name), UINT64_MAX, 0);
	f->prefix = NULL;
}

static enum tls_reason reason_named(const char *name)
{
	for (size_t i = 0; i < TLS_REASONS; i++)
		if (strcmp(name, tls_reason_name(i)) == 0)
			return i;
	return TLS_REASON_NONE;
}

/* Of several workers the latest is the last. */
static void import_last(struct neighbor *n, struct fields_in *f)
{
	struct bgp_notification b = {.seen = true};
	struct failure l = {};
	int64_t notified;
	char reason[32];

	l.time = fields_number_or(f, "failure-time", INT64_MAX, 0);
	if (l.time > n->last_failure.time) {
		fields_text(f, "failure-reason", reason, sizeof(reason));
		l.reason = reason_named(reason);
		l.direction = fields_number(f, "failure-is-inbound", 1) ? SESSION_IN : SESSION_OUT;
		fields_text(f, "failure-text", l.text, sizeof(l.text));
		if (fields_error(f, NULL) == 0)
			n->last_failure = l;
	}
	notified = fields_number_or(f, "notification-time", INT64_MAX, 0);
	if (notified > n->last_notification_time) {
		bool inbound = fields_number(f, "notification-is-inbound", 1);

		b.code = fields_number(f, "notification-code", UINT8_MAX);
		b.subcode = fields_number(f, "notification-subcode", UINT8_MAX);
		fields_text(f, "notification-text", b.text, sizeof(b.text));
		if (fields_error(f, NULL) < 0)
			return;
		n->last_notification = b;
		n->last_notification_in = inbound;
		n->last_notification_time = notified;
	}
}

void neighbor_import_counters(struct neighbor *n, struct fields_in *f)
{
	import_counts(n, f);
	import_last(n, f);
}

/* --- sessions that go */

struct session *neighbor_session(const struct neighbor *n, uint64_t id)
{
	for (struct link *l = n->links; l; l = l->next)
		if (session_id(l->session) == id)
			return l->session;
	return NULL;
}

size_t neighbor_session_ids(const struct neighbor *n, uint64_t *ret, size_t max)
{
	size_t count = 0;

	for (const struct link *l = n->links; l && count < max; l = l->next)
		ret[count++] = session_id(l->session);
	return count;
}

struct session *neighbor_next_session(struct neighbor *n, unsigned round)
{
	for (struct link *l = n->links; l; l = l->next) {
		if (l->round == round)
			continue;
		l->round = round;
		return l->session;
	}
	return NULL;
}

void neighbor_leave(struct neighbor *n, struct session *s)
{
	for (struct link *l = n->links; l; l = l->next) {
		if (l->session != s)
			continue;
		session_leave(s);
		neighbor_remove_link(l);
		return;
	}
}

void neighbor_end_unready(struct neighbor *n, const char *why)
{
	n->is_orphan = true;
	timer_stop(n->fallback);
	for (struct link *l = n->links, *next; l; l = next) {
		next = l->next;
		session_end_unready(l->session, why);
	}
}

/* --- sessions that come */

int neighbor_import(struct neighbor *n, uint64_t id, struct fields_in *f, int inner_fd,
		    int outer_fd, struct session **ret)
{
	struct link *l = calloc(1, sizeof(*l));
	const struct session_params p = {
		.loop = n->loop,
		.ops = &neighbor_session_ops,
		.host = l,
		.id = id,
		.config = n->config,
		.ctx = n->ctx,
		.captures = &n->captures,
	};
	int r;

	if (!l || n->n_links >= n->config->max_sessions) {
		close(inner_fd);
		close(outer_fd);
		free(l);
		return l ? -ENOSPC : -ENOMEM;
	}
	r = session_import(&p, f, inner_fd, outer_fd, ret);
	if (r < 0) {
		free(l);
		return r;
	}
	l->session = *ret;
	l->direction = session_direction(*ret);
	l->was_verified = true;
	l->was_established = session_bgp(*ret) >= SBGP_ESTABLISHED;
	return 0;
}

void neighbor_take(struct neighbor *n, struct session *s)
{
	struct link *l = session_host(s);
	struct session_info info;

	l->neighbor = n;
	/* Since it was made the configuration may have become another one. */
	session_set_config(s, n->config, n->ctx);
	session_get_info(s, &info);
	neighbor_add_link(l);
	if (n->n_links == 1)
		n->since = info.since;
	if (session_thaw(s) < 0)
		session_close(s, "out of memory");
	else
		neighbor_show_ao(n);
}

void neighbor_discard(struct session *s, bool reset)
{
	struct link *l = session_host(s);

	if (reset)
		session_free(s);
	else
		session_leave(s);
	free(l);
}
