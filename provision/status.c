// SPDX-License-Identifier: Apache-2.0
#include "status.h"
#include "json.h"

#include <errno.h>

const char *status_state_name(enum status_state s)
{
	switch (s) {
	case STATUS_UP: return "up";
	case STATUS_DOWN: return "down";
	case STATUS_COMING: return "coming";
	case STATUS_OVERDUE: return "overdue";
	case STATUS_DRAINING: return "draining";
	case STATUS_LEAVING: return "leaving";
	case STATUS_GONE: return "gone";
	case STATUS_APPROVED: return "approved";
	case STATUS_PENDING: return "pending";
	case STATUS_REJECTED: return "rejected";
	case STATUS_PARKED: return "parked";
	case STATUS_PROPOSED: return "proposed";
	case STATUS_UNKNOWN: return "unknown";
	}
	return "unknown";
}

struct jv *status_describe(const struct status_row *r)
{
	struct jv *o = jv_object_new();
	int bad = jv_set_string(o, "neighbor", r->neighbor);

	bad |= jv_set_int(o, "asn", r->asn);
	bad |= jv_set_string(o, "server", r->server);
	bad |= jv_set_string(o, "state", status_state_name(r->state));
	bad |= jv_set_string(o, "info", *r->info ? r->info : NULL);
	bad |= jv_set_bool(o, "configured", r->is_owned);
	bad |= jv_set_bool(o, "asked", r->is_asked);
	if (r->since)
		bad |= jv_set_int(o, "since", r->since);
	if (!bad)
		return o;
	jv_free(o);
	return NULL;
}

void status_done(struct status *s)
{
	free(s->rows);
	*s = (struct status){};
}

struct looking {
	struct world *world;
	struct observation *seen; /* the shim, then the daemons */
	size_t n_seen;
	int64_t now;
};

/* What the programs say of it: established in all that know it, in at least one. */
static bool is_up(const struct looking *l, const char *neighbor, const char **ret_word)
{
	bool is_known = false, up = true;

	for (size_t i = 0; i < l->n_seen; i++) {
		const struct observed *o = observation_find(&l->seen[i], neighbor);

		/* In mode off the shim has nothing to do with the session. */
		if (!o || strcmp(o->mode, "off") == 0)
			continue;
		is_known = true;
		up &= o->is_established;
		*ret_word = o->state;
	}
	return is_known && up;
}

static void explain_active(const struct looking *l, const struct owned *o, struct status_row *r)
{
	int64_t window =
		o->time_window >= 0 ? o->time_window : (int64_t)l->world->settings->time_window;
	int64_t left = o->created + window - l->now;
	const char *word = "";

	if (is_up(l, r->neighbor, &word)) {
		r->state = STATUS_UP;
		r->since = o->established;
		snprintf(r->info, sizeof(r->info), "%s, %s", jv_get_string(o->mapping, "mode", ""),
			 jv_get_string(o->mapping, "location", "location not told"));
		return;
	}
	r->state = o->established ? STATUS_DOWN : left > 0 ? STATUS_COMING : STATUS_OVERDUE;
	r->is_open = r->state == STATUS_COMING;
	r->since = o->created;
	if (r->state == STATUS_COMING)
		snprintf(r->info, sizeof(r->info), "%s%s%lld s left to come up", word,
			 *word ? "; " : "", (long long)left);
	else if (r->state == STATUS_OVERDUE)
		snprintf(r->info, sizeof(r->info), "%s%s", word,
			 o->is_held	? "; held"
			 : o->was_asked ? "; the next run of apply withdraws it"
					: "; not asked for by us: kept");
	else
		snprintf(r->info, sizeof(r->info), "%s", word);
}

static void explain_owned(const struct looking *l, const struct owned *o, struct status_row *r)
{
	int64_t left = o->since + l->world->settings->drain_time - l->now;

	snprintf(r->neighbor, sizeof(r->neighbor), "%s", jv_get_string(o->mapping, "neighbor", ""));
	snprintf(r->server, sizeof(r->server), "%s", jv_get_string(o->mapping, "server", ""));
	r->asn = jv_get_int(o->mapping, "remote_as", 0);
	r->is_owned = true;
	r->is_asked = o->was_asked;
	r->since = o->since;
	switch (o->phase) {
	case PHASE_ACTIVE:
		if (o->leaving == LEAVING_NOT) {
			explain_active(l, o, r);
			return;
		}
		r->state = STATUS_LEAVING;
		break;
	case PHASE_DRAINING:
		r->state = STATUS_DRAINING;
		snprintf(r->info, sizeof(r->info), "%s; %lld s left", leaving_name(o->leaving),
			 (long long)(left > 0 ? left : 0));
		return;
	case PHASE_SHUT: r->state = STATUS_LEAVING; break;
	case PHASE_GONE: r->state = STATUS_GONE; break;
	}
	snprintf(r->info, sizeof(r->info), "%s", leaving_name(o->leaving));
}

static void explain_asked(const struct looking *l, const struct asked *a, struct status_row *r)
{
	const struct server_settings *s = settings_server(l->world->settings, a->server);
	const struct record_end *end = record_theirs(&a->record, s ? s->side : SIDE_INITIATOR);

	addr_format(&end->ip, r->neighbor);
	snprintf(r->server, sizeof(r->server), "%s", a->server);
	r->asn = end->asn;
	r->is_asked = !a->is_extra;
	r->since = a->when;
	snprintf(r->info, sizeof(r->info), "%s%s%s", a->record.location.id,
		 *a->record.location.id && *a->reason ? ": " : "", a->reason);
	if (a->is_extra && !a->is_accepted) {
		r->state = STATUS_PROPOSED;
		return;
	}
	switch (a->outcome) {
	case OUTCOME_APPROVED: r->state = STATUS_APPROVED; break;
	case OUTCOME_PENDING: r->state = a->is_extra ? STATUS_APPROVED : STATUS_PENDING; break;
	case OUTCOME_REJECTED: r->state = STATUS_REJECTED; break;
	case OUTCOME_HUMAN: r->state = STATUS_PARKED; break;
	case OUTCOME_UNKNOWN: r->state = STATUS_UNKNOWN; break;
	}
	r->is_open = r->state == STATUS_APPROVED || r->state == STATUS_PENDING ||
		     r->state == STATUS_UNKNOWN;
}

static int look_at(struct looking *l, struct target *t)
{
	int r = target_observe(t, &l->seen[l->n_seen]);

	target_free(t);
	l->n_seen += r == 0;
	return r;
}

static int look_at_programs(struct looking *l, struct errtext *e)
{
	const struct settings *s = l->world->settings;
	struct target *t;
	int r;

	l->seen = calloc(s->n_daemons + 1, sizeof(*l->seen));
	if (!l->seen)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = target_new_shim(s, &t);
	if (r == 0)
		r = look_at(l, t);
	if (r < 0)
		errtext_set(e, r, "%s", strerror(-r));
	for (size_t i = 0; r == 0 && i < s->n_daemons; i++) {
		r = target_new_daemon(s, &s->daemons[i], &t, e);
		if (r == 0)
			r = look_at(l, t);
	}
	return r;
}

int status_look(struct world *w, struct status *ret, struct errtext *e)
{
	struct looking l = {.world = w, .now = world_now(w)};
	struct status s = {};
	int r = look_at_programs(&l, e);

	s.rows = calloc(w->state.n_owned + w->state.n_asked + 1, sizeof(*s.rows));
	if (!s.rows) {
		errtext_set(e, -ENOMEM, "out of memory");
		r = -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < w->state.n_owned; i++)
		explain_owned(&l, &w->state.owned[i], &s.rows[s.n++]);
	for (size_t i = 0; r == 0 && i < w->state.n_asked; i++) {
		struct status_row row = {};

		explain_asked(&l, &w->state.asked[i], &row);
		if (!state_owned(&w->state, row.neighbor))
			s.rows[s.n++] = row;
	}
	for (size_t i = 0; i < l.n_seen; i++)
		observation_done(&l.seen[i]);
	free(l.seen);
	if (r < 0)
		status_done(&s);
	else
		*ret = s;
	return r;
}
