// SPDX-License-Identifier: Apache-2.0
#include "gather.h"
#include "text.h"

#include <errno.h>

/* The records of one server, before they are judged. */
struct listed {
	struct records records;
	struct unreadable unreadable;
	struct server_report report;
	unsigned n_missing;
};

/* Sessions of one server that are asked for one by one in a run; the others wait for the next. */
#define MISSING_MAX 100

struct gathering {
	struct world *world;
	struct gathered *out;
	struct listed *lists; /* as the servers */
	size_t room;	      /* for judgements */
	int error;
};

/* ---- judgements ---- */

static struct judgement *add_judgement(struct gathering *g)
{
	struct gathered *out = g->out;

	if (out->n_judgements == g->room) {
		size_t room = g->room ? g->room * 2 : 64;
		struct judgement *more = reallocarray(out->judgements, room, sizeof(*more));

		if (!more) {
			g->error = -ENOMEM;
			return NULL;
		}
		out->judgements = more;
		g->room = room;
	}
	out->judgements[out->n_judgements] = (struct judgement){};
	return &out->judgements[out->n_judgements++];
}

static void judge(struct gathering *g, const struct server_settings *s, const struct record *r)
{
	struct state *state = &g->world->state;
	struct asked *asked = state_asked(state, s->name, r);
	char neighbor[ADDR_STRLEN];
	struct owned *owned;
	struct judgement *j = add_judgement(g);
	struct policy_background b = {};

	if (!j)
		return;
	owned = state_owned(state, addr_format(&record_theirs(r, s->side)->ip, neighbor));
	if (owned && strcmp(jv_get_string(owned->mapping, "server", ""), s->name) != 0)
		owned = NULL;
	b.is_requested = (asked && !asked->is_extra) || (owned && owned->was_asked);
	b.is_accepted = (asked && asked->is_accepted) || owned;
	b.secret = asked && *asked->record.secret ? asked->record.secret : NULL;
	b.mapping = owned ? owned->mapping : NULL;
	if (policy_judge(g->world->settings, s, r, g->world->registry, &b, j) < 0) {
		g->out->n_judgements--;
		g->error = -ENOMEM;
	}
}

/* A judgement about a session of ours that no record is there for. */
static void decide(struct gathering *g, const struct server_settings *s, const struct owned *o,
		   enum verdict verdict, const char *reason)
{
	struct judgement *j = add_judgement(g);

	if (!j)
		return;
	j->server = s;
	j->verdict = verdict;
	snprintf(j->neighbor, sizeof(j->neighbor), "%s", jv_get_string(o->mapping, "neighbor", ""));
	snprintf(j->record.session_id, sizeof(j->record.session_id), "%s",
		 jv_get_string(o->mapping, "session_id", ""));
	snprintf(j->reason, sizeof(j->reason), "%s", reason);
}

/* ---- asking the servers ---- */

/* Of several records about one session the most alive one counts: a server may go on listing those
 * that it has deleted. */
static int liveliness(const struct record *r)
{
	switch (r->admin) {
	case ADMIN_APPROVED: return 5;
	case ADMIN_REQUESTED: return 4;
	case ADMIN_UNKNOWN: return 3;
	case ADMIN_DELETING: return 2;
	case ADMIN_REJECTED: return 1;
	case ADMIN_DELETED: return 0;
	}
	return 0;
}

static int by_session(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	int r = memcmp(x->receiver.ip.bytes, y->receiver.ip.bytes, sizeof(x->receiver.ip.bytes));

	if (!r)
		r = memcmp(x->initiator.ip.bytes, y->initiator.ip.bytes,
			   sizeof(x->initiator.ip.bytes));
	if (!r)
		r = liveliness(y) - liveliness(x);
	return r ? r : strcmp(x->session_id, y->session_id);
}

static void keep_liveliest(struct records *r)
{
	size_t n = 0;

	if (r->n)
		qsort(r->items, r->n, sizeof(*r->items), by_session);
	for (size_t i = 0; i < r->n; i++)
		if (!n || !record_same_session(&r->items[n - 1], &r->items[i]))
			r->items[n++] = r->items[i];
	r->n = n;
}

static int append_records(struct records *to, struct records *from)
{
	struct record *more = reallocarray(to->items, to->n + from->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	to->items = more;
	if (from->n)
		memcpy(more + to->n, from->items, from->n * sizeof(*more));
	to->n += from->n;
	return 0;
}

static int list_as(struct gathering *g, const struct server_settings *server, struct listed *l,
		   uint32_t asn)
{
	_cleanup_records_ struct records page = {};
	struct unreadable unreadable = {};

	if (api_sessions(world_api(g->world, server), asn, NULL, &page, &unreadable,
			 &l->report.error) < 0)
		return l->report.error.failure == API_CANCELLED ? -ECANCELED : -EIO;
	if (append_records(&l->records, &page) < 0)
		return -ENOMEM;
	if (!l->unreadable.n)
		l->unreadable = unreadable;
	else
		l->unreadable.n += unreadable.n;
	return 0;
}

static void list_server(struct gathering *g, const struct server_settings *server, struct listed *l)
{
	const struct settings *s = g->world->settings;
	int r = 0;

	l->report.server = server;

	if (server->side == SIDE_INITIATOR)
		r = list_as(g, server, l, s->asn);
	for (size_t i = 0; server->side == SIDE_RECEIVER && r == 0 && i < s->n_peers; i++)
		r = list_as(g, server, l, s->peers[i].asn);
	if (r == -ENOMEM || r == -ECANCELED)
		g->error = r;
	l->report.is_complete = r == 0;
	l->report.n_records = l->records.n;
	if (r < 0) {
		snprintf(l->report.alarm, sizeof(l->report.alarm), "%s", l->report.error.text);
		return;
	}
	if (l->unreadable.n)
		snprintf(l->report.alarm, sizeof(l->report.alarm),
			 "%s: %zu sessions cannot be read: %s", server->name, l->unreadable.n,
			 l->unreadable.first);
	keep_liveliest(&l->records);
}

/* ---- the registry ---- */

static int add_asn(uint32_t **asns, size_t *n, uint32_t asn)
{
	uint32_t *more;

	for (size_t i = 0; i < *n; i++)
		if ((*asns)[i] == asn)
			return 0;
	more = reallocarray(*asns, *n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*asns = more;
	more[(*n)++] = asn;
	return 0;
}

/* Only networks that policy knows: a server cannot make us ask for others. */
static void load_registry(struct gathering *g)
{
	struct world *w = g->world;
	_cleanup_free_ uint32_t *asns = NULL;
	struct errtext e;
	size_t n = 0;
	int r = add_asn(&asns, &n, w->settings->asn);

	for (size_t i = 0; i < w->settings->n_servers; i++)
		for (size_t k = 0; k < g->lists[i].records.n; k++) {
			const struct record *rec = &g->lists[i].records.items[k];
			uint32_t asn = record_theirs(rec, w->settings->servers[i].side)->asn;

			if (settings_peer(w->settings, asn))
				r |= add_asn(&asns, &n, asn);
		}
	if (r < 0)
		g->error = -ENOMEM;
	else if (peeringdb_load(w->registry, asns, n, world_now(w), &e) < 0)
		snprintf(g->out->registry, sizeof(g->out->registry), "%s", e.text);
	else
		snprintf(g->out->registry, sizeof(g->out->registry), "%s",
			 peeringdb_notice(w->registry));
}

/* ---- what is missing from the listings ---- */

static bool is_listed(const struct server_settings *server, const struct records *r,
		      const char *neighbor)
{
	struct addr a;

	if (addr_parse(neighbor, &a, NULL) < 0)
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (addr_equal(&record_theirs(&r->items[i], server->side)->ip, &a))
			return true;
	return false;
}

static void ask_for_one(struct gathering *g, const struct server_settings *server,
			const struct owned *o)
{
	const char *id = jv_get_string(o->mapping, "session_id", "");
	char reason[RECORD_TEXT_MAX];
	struct api_error e;
	struct record r;

	if (api_session(world_api(g->world, server), id, &r, &e) == 0) {
		/* It may not say again whose it is. */
		if (r.initiator.ip.family == AF_UNSPEC || r.receiver.ip.family == AF_UNSPEC)
			decide(g, server, o, VERDICT_HOLD,
			       "the server lists it no more, and does not say why");
		else
			judge(g, server, &r);
		record_wipe(&r);
		return;
	}
	if (e.failure == API_CANCELLED)
		g->error = -ECANCELED;
	if (e.failure == API_NOT_FOUND)
		decide(g, server, o, VERDICT_GONE, "the server does not know it any more");
	else {
		snprintf(reason, sizeof(reason), "not listed any more, and asked for: %.200s",
			 e.text);
		decide(g, server, o, VERDICT_HOLD, reason);
	}
}

/* Era A cannot be asked for one session, but for the sessions of one request. */
static void ask_for_request(struct gathering *g, const struct server_settings *server,
			    const struct listed *l, const struct owned *o)
{
	const char *id = jv_get_string(o->mapping, "request_id",
				       jv_get_string(o->mapping, "session_id", ""));
	struct listed again = {};
	char reason[RECORD_TEXT_MAX];
	struct api_error e;

	if (api_sessions(world_api(g->world, server), g->world->settings->asn, id, &again.records,
			 &again.unreadable, &e) < 0) {
		if (e.failure == API_CANCELLED)
			g->error = -ECANCELED;
		snprintf(reason, sizeof(reason), "not listed any more, and asked for: %.200s",
			 e.text);
		decide(g, server, o, VERDICT_HOLD, reason);
	} else if (is_listed(server, &again.records, jv_get_string(o->mapping, "neighbor", "")) ||
		   again.unreadable.n || l->unreadable.n) {
		decide(g, server, o, VERDICT_HOLD,
		       "the server lists it for its request, but not among all sessions");
	} else {
		decide(g, server, o, VERDICT_GONE,
		       "the server lists it neither among all sessions nor for its request");
	}
	records_done(&again.records);
}

static void decide_missing(struct gathering *g, const struct server_settings *server,
			   struct listed *l, const struct owned *o)
{
	char reason[RECORD_TEXT_MAX];

	if (!l->report.is_complete) {
		snprintf(reason, sizeof(reason), "the server's answer is not to be had: %s",
			 l->report.error.text);
		decide(g, server, o, VERDICT_HOLD, reason);
	} else if (l->records.n == 0 && o->phase != PHASE_GONE) {
		decide(g, server, o, VERDICT_HOLD,
		       "the server lists no session at all: nothing is taken away because of that");
	} else if (l->n_missing++ >= MISSING_MAX) {
		decide(g, server, o, VERDICT_HOLD,
		       "not listed any more; too many are missing to ask for each in one run");
	} else if (server->era == ERA_B) {
		ask_for_one(g, server, o);
	} else {
		ask_for_request(g, server, l, o);
	}
}

static void judge_missing(struct gathering *g)
{
	struct world *w = g->world;

	for (size_t i = 0; i < w->state.n_owned && !g->error; i++) {
		const struct owned *o = &w->state.owned[i];
		const struct server_settings *s =
			settings_server(w->settings, jv_get_string(o->mapping, "server", ""));
		struct listed *l = s ? &g->lists[s - w->settings->servers] : NULL;

		if (!s)
			decide(g, NULL, o, VERDICT_HOLD,
			       "its server is not configured any more; `delete` takes it away");
		else if (!l->report.is_complete ||
			 !is_listed(s, &l->records, jv_get_string(o->mapping, "neighbor", "")))
			decide_missing(g, s, l, o);
	}
}

static void judge_listed(struct gathering *g)
{
	struct world *w = g->world;

	for (size_t i = 0; i < w->settings->n_servers; i++)
		for (size_t k = 0;
		     g->lists[i].report.is_complete && !g->error && k < g->lists[i].records.n; k++)
			judge(g, &w->settings->servers[i], &g->lists[i].records.items[k]);
}

static void warn_of_empty(struct gathering *g)
{
	struct world *w = g->world;

	for (size_t i = 0; i < w->settings->n_servers; i++) {
		struct listed *l = &g->lists[i];
		size_t n = 0;

		for (size_t k = 0; k < w->state.n_owned; k++)
			n += w->state.owned[k].phase != PHASE_GONE &&
			     strcmp(jv_get_string(w->state.owned[k].mapping, "server", ""),
				    w->settings->servers[i].name) == 0;
		if (l->report.is_complete && !l->records.n && n)
			snprintf(
				l->report.alarm, sizeof(l->report.alarm),
				"%s lists no session at all, but %zu are configured: kept. If they "
				"are to go: botls-provision delete",
				w->settings->servers[i].name, n);
	}
}

/* ---- the programs ---- */

static int add_target(struct gathered *g, struct target *t, struct errtext *e)
{
	size_t i = g->n_targets++;
	int r;

	g->targets[i] = (struct plan_target){.target = t, .seen = &g->observations[i]};
	r = target_read(t, &g->texts[i], e);
	if (r < 0)
		return r;
	g->targets[i].text = g->texts[i];
	return target_observe(t, &g->observations[i]);
}

static int look_at_programs(struct gathering *g, struct errtext *e)
{
	const struct settings *s = g->world->settings;
	struct gathered *out = g->out;
	size_t n = s->n_daemons + 1;
	struct target *t;
	int r;

	out->targets = calloc(n, sizeof(*out->targets));
	out->observations = calloc(n, sizeof(*out->observations));
	out->texts = calloc(n, sizeof(*out->texts));
	if (!out->targets || !out->observations || !out->texts)
		return -ENOMEM;
	r = target_new_shim(s, &t);
	if (r == 0)
		r = add_target(out, t, e);
	for (size_t i = 0; r == 0 && i < s->n_daemons; i++) {
		r = target_new_daemon(s, &s->daemons[i], &t, e);
		if (r == 0)
			r = add_target(out, t, e);
	}
	return r;
}

/* ---- all of it ---- */

static int begin_lists(struct gathering *g)
{
	size_t n = g->world->settings->n_servers;

	g->out->servers = calloc(n + 1, sizeof(*g->out->servers));
	g->lists = calloc(n + 1, sizeof(*g->lists));
	if (!g->out->servers || !g->lists)
		return -ENOMEM;
	return 0;
}

/* Servers, registry, judgements; g->error says how it went. */
static void ask(struct gathering *g)
{
	struct world *w = g->world;

	for (size_t i = 0; i < w->settings->n_servers && !g->error; i++)
		list_server(g, &w->settings->servers[i], &g->lists[i]);
	if (!g->error && w->registry)
		load_registry(g);
	if (!g->error)
		judge_listed(g);
	if (!g->error)
		judge_missing(g);
	if (!g->error)
		warn_of_empty(g);
}

int gather(struct world *w, struct gathered *ret, struct errtext *e)
{
	_cleanup_gathered_ struct gathered out = {};
	struct gathering g = {.world = w, .out = &out};
	int r;

	e->text[0] = '\0';
	r = begin_lists(&g);
	if (r == 0)
		r = look_at_programs(&g, e);
	if (r == 0) {
		ask(&g);
		r = g.error;
	}
	for (size_t i = 0; g.lists && i < w->settings->n_servers; i++) {
		if (out.servers)
			out.servers[i] = g.lists[i].report;
		records_done(&g.lists[i].records);
	}
	free(g.lists);
	if (r < 0)
		return *e->text ? r : errtext_set(e, r, "%s", strerror(-r));
	*ret = out;
	out = (struct gathered){};
	return 0;
}

void gathered_done(struct gathered *g)
{
	for (size_t i = 0; i < g->n_judgements; i++)
		judgement_done(&g->judgements[i]);
	for (size_t i = 0; i < g->n_targets; i++) {
		if (g->texts[i])
			explicit_bzero(g->texts[i], strlen(g->texts[i]));
		free(g->texts[i]);
		observation_done(&g->observations[i]);
		target_free(g->targets[i].target);
	}
	free(g->judgements);
	free(g->servers);
	free(g->targets);
	free(g->observations);
	free(g->texts);
	*g = (struct gathered){};
}

static enum outcome_kind outcome_of(const struct record *r, enum outcome_kind known)
{
	switch (r->admin) {
	case ADMIN_APPROVED: return OUTCOME_APPROVED;
	case ADMIN_REQUESTED: return known == OUTCOME_HUMAN ? known : OUTCOME_PENDING;
	case ADMIN_REJECTED:
	case ADMIN_DELETING:
	case ADMIN_DELETED: return OUTCOME_REJECTED;
	case ADMIN_UNKNOWN: break;
	}
	return known;
}

bool gathered_remember(struct world *w, const struct gathered *g)
{
	bool has_changed = false;

	for (size_t i = 0; i < g->n_judgements; i++) {
		const struct record *r = &g->judgements[i].record;
		struct asked *a = g->judgements[i].server
					  ? state_asked(&w->state, g->judgements[i].server->name, r)
					  : NULL;
		enum outcome_kind now;

		if (!a || !*r->status_raw)
			continue;
		now = outcome_of(r, a->outcome);
		if (now == a->outcome && strcmp(a->record.session_id, r->session_id) == 0)
			continue;
		a->outcome = now;
		snprintf(a->reason, sizeof(a->reason), "%s", r->reason);
		if (*r->session_id)
			strcpy(a->record.session_id, r->session_id);
		has_changed = true;
	}
	return has_changed;
}

int gathered_plan(struct world *w, const struct gathered *g, int64_t force, struct plan *ret,
		  struct errtext *e)
{
	struct plan_input in = {.settings = w->settings,
				.now = world_now(w),
				.owned = w->state.owned,
				.n_owned = w->state.n_owned,
				.judgements = g->judgements,
				.n_judgements = g->n_judgements,
				.targets = g->targets,
				.n_targets = g->n_targets,
				.allowed_deletions =
					force >= 0 ? (size_t)force : w->settings->max_deletions,
				.is_forced = force >= 0,
				.is_unfinished = w->state.is_unfinished};

	return plan_prepare(&in, ret, e);
}
