// SPDX-License-Identifier: Apache-2.0
#include "plan_internal.h"

#include <errno.h>

static const char *owned_member(const struct owned *o, const char *key)
{
	return jv_get_string(o->mapping, key, "");
}

static int compare_owned(const void *a, const void *b)
{
	return strcmp(owned_member(*(const struct owned *const *)a, "neighbor"),
		      owned_member(*(const struct owned *const *)b, "neighbor"));
}

static int compare_mappings(const struct jv *a, const struct jv *b)
{
	_cleanup_free_ char *x = a ? jv_dump_line(a, NULL) : NULL;
	_cleanup_free_ char *y = b ? jv_dump_line(b, NULL) : NULL;

	return strcmp(x ? x : "", y ? y : "");
}

/* A server may tell two sessions without ids: then what it says of them decides, so that the order
 * in which they came does not. */
static int compare_judgements(const void *a, const void *b)
{
	const struct judgement *x = *(const struct judgement *const *)a;
	const struct judgement *y = *(const struct judgement *const *)b;
	int r = strcmp(x->neighbor, y->neighbor);

	if (!r)
		r = strcmp(x->server->name, y->server->name);
	if (!r)
		r = strcmp(x->record.session_id, y->record.session_id);
	if (!r)
		r = strcmp(x->record.request_id, y->record.request_id);
	if (!r)
		r = (int)x->verdict - (int)y->verdict;
	if (!r)
		r = strcmp(x->reason, y->reason);
	if (!r)
		r = (int)x->is_extra - (int)y->is_extra;
	if (!r)
		r = (x->record.time_window > y->record.time_window) -
		    (x->record.time_window < y->record.time_window);
	return r ? r : compare_mappings(x->mapping, y->mapping);
}

static int compare_observed(const void *a, const void *b)
{
	const struct observed *x = *(const struct observed *const *)a;
	const struct observed *y = *(const struct observed *const *)b;
	int r = strcmp(x->neighbor, y->neighbor);

	return r ? r : (int)y->is_ours - (int)x->is_ours;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ---- what the programs know ---- */

int plan_seen_make(const struct plan_target *t, struct plan_seen *ret)
{
	const struct observed **items = calloc(t->seen->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < t->seen->n; i++)
		items[i] = &t->seen->items[i];
	qsort(items, t->seen->n, sizeof(*items), compare_observed);
	*ret = (struct plan_seen){.target = target_name(t->target),
				  .is_shim = target_is_shim(t->target),
				  .is_running = t->seen->is_running,
				  .items = items,
				  .n = t->seen->is_running ? t->seen->n : 0};
	return 0;
}

void plan_seen_done(struct plan_seen *s)
{
	free(s->items);
	s->items = NULL;
}

const struct observed *const *plan_seen_find(const struct plan_seen *s, const char *neighbor,
					     size_t *ret_n)
{
	size_t low = 0, high = s->n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(s->items[middle]->neighbor, neighbor) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < s->n && !strcmp(s->items[low + n]->neighbor, neighbor))
		n++;
	*ret_n = n;
	return s->items + low;
}

static bool is_of(const struct plan_seen *target, const struct jv *mapping)
{
	return target->is_shim || !strcmp(jv_get_string(mapping, "daemon", ""), target->target);
}

bool plan_belongs(const struct plan_seen *target, const struct owned *o)
{
	return o->phase != PHASE_GONE && is_of(target, o->mapping);
}

/* What the programs tell of a session; `mapping` says which of them would have it. */
static void look(const struct plan_gathered *g, const struct jv *mapping, struct plan_session *s)
{
	bool has_daemon = jv_get_string(mapping, "daemon", NULL);
	bool is_off = !strcmp(jv_get_string(mapping, "mode", ""), "off");

	s->daemon_runs = !has_daemon;
	for (size_t i = 0; i < g->in->n_targets; i++) {
		const struct plan_seen *seen = &g->seen[i];
		const struct observed *const *items;
		size_t n;

		if (!seen->is_running)
			continue;
		items = plan_seen_find(seen, s->neighbor, &n);
		/* a daemon that is not this session's, but has the same neighbor */
		for (size_t j = 0; j < n && (seen->is_shim || has_daemon); j++)
			if (!items[j]->is_ours && !s->foreign) {
				s->foreign = items[j];
				s->foreign_at = seen->target;
			}
		if (!is_of(seen, mapping))
			continue;
		for (size_t j = 0; j < n; j++)
			s->is_up |= items[j]->is_ours && items[j]->is_established;
		if (!seen->is_shim)
			s->daemon_runs = true;
		/* the shim does not see sessions that it is to leave alone */
		s->can_know |= !seen->is_shim || !is_off;
	}
}

static void look_for_stray(const struct plan_gathered *g, struct plan_session *s)
{
	for (size_t i = 0; i < g->in->n_targets && !s->stray_at; i++) {
		size_t n;
		const struct observed *const *items = plan_seen_find(&g->seen[i], s->neighbor, &n);

		if (n && items[0]->is_ours)
			s->stray_at = g->seen[i].target;
	}
}

/* ---- which judgement counts ---- */

/* Both are told, and they are not the same. */
static bool differ(const char *a, const char *b)
{
	return *a && *b && strcmp(a, b);
}

/* Era A has no ids of sessions, only of requests. */
bool plan_is_new_session(const struct owned *o, const struct judgement *j)
{
	const struct record *r = &j->record;

	if (strcmp(owned_member(o, "server"), j->server->name))
		return true;
	if (r->session_id[0])
		return strcmp(owned_member(o, "session_id"), r->session_id);
	return differ(owned_member(o, "request_id"), r->request_id);
}

bool plan_can_tell(const struct plan_input *in, const struct owned *o)
{
	const struct server_settings *server =
		settings_server(in->settings, owned_member(o, "server"));

	return server && server->era == ERA_B && owned_member(o, "session_id")[0];
}

bool plan_must_tell(const struct plan_input *in, const struct owned *o)
{
	return o->phase == PHASE_GONE && o->tell && plan_can_tell(in, o);
}

/* The more of it stays as it is, the lower. */
static int boldness(enum verdict v)
{
	switch (v) {
	case VERDICT_WANT: return 0;
	case VERDICT_HOLD: return 1;
	case VERDICT_REFUSE: return 2;
	case VERDICT_WAIT: return 3;
	case VERDICT_FORBID: return 4;
	case VERDICT_GONE: break;
	}
	return 5;
}

/* What the owner's server says of it, for the word of another one to count. */
struct owner_view {
	bool is_configured;
	bool wants;	 /* this session, or another one of the same neighbor */
	bool has_let_go; /* deleted, rejected, forbidden */
};

static bool is_of_owner(const struct plan_session *s, const struct judgement *j)
{
	return !strcmp(owned_member(s->owned, "server"), j->server->name);
}

static struct owner_view view_of_owner(const struct plan_input *in, const struct plan_session *s)
{
	struct owner_view v = {
		.is_configured = settings_server(in->settings, owned_member(s->owned, "server")),
	};

	for (size_t i = 0; i < s->n_judgements; i++) {
		enum verdict verdict = s->judgements[i]->verdict;

		if (!is_of_owner(s, s->judgements[i]))
			continue;
		v.wants |= verdict == VERDICT_WANT;
		v.has_let_go |= verdict == VERDICT_GONE || verdict == VERDICT_FORBID;
	}
	return v;
}

/* Another server may take it over when nobody else has it, or it is on its way out. */
static bool may_be_taken_over(const struct owned *o, const struct owner_view *v)
{
	bool is_going = o->phase != PHASE_ACTIVE && o->leaving != LEAVING_PEER;

	return !v->wants && (!v->is_configured || v->has_let_go || is_going);
}

/*
 * Of several judgements about a session that is owned, the lowest counts, and -1 never: one that
 * wants it; the one about this very session; the one that changes least. When the session is gone
 * here and its server knows that, a new one goes before all.
 */
static int rank(const struct plan_input *in, const struct plan_session *s,
		const struct owner_view *v, const struct judgement *j)
{
	const struct owned *o = s->owned;
	bool is_want = j->verdict == VERDICT_WANT;
	bool is_same = !strcmp(owned_member(o, "session_id"), j->record.session_id);

	if (is_want && plan_is_new_session(o, j) && o->phase == PHASE_GONE &&
	    !plan_must_tell(in, o))
		return 0;
	if (!is_of_owner(s, j))
		return is_want && may_be_taken_over(o, v) ? 1 : -1;
	if (is_want)
		return is_same ? 2 : 3;
	return is_same && j->record.session_id[0] ? 4 : 5 + boldness(j->verdict);
}

static const struct judgement *pick(const struct plan_input *in, const struct plan_session *s)
{
	const struct judgement *best = NULL;
	struct owner_view v;
	int best_rank = 0;

	if (!s->owned) {
		for (size_t i = 0; i < s->n_judgements; i++)
			if (s->judgements[i]->verdict == VERDICT_WANT)
				return s->judgements[i];
		return s->n_judgements == 1 ? s->judgements[0] : NULL;
	}
	v = view_of_owner(in, s);
	for (size_t i = 0; i < s->n_judgements; i++) {
		int r = rank(in, s, &v, s->judgements[i]);

		if (r >= 0 && (!best || r < best_rank)) {
			best = s->judgements[i];
			best_rank = r;
		}
	}
	return best;
}

/* ---- all together ---- */

static size_t count_names(const struct plan_input *in)
{
	size_t n = in->n_owned + in->n_judgements;

	for (size_t i = 0; i < in->n_targets; i++)
		n += in->targets[i].seen->n;
	return n;
}

/* All neighbors that are owned, judged, or known to a program as ours; sorted, each once. */
static size_t list_names(const struct plan_gathered *g, const char **names)
{
	const struct plan_input *in = g->in;
	size_t n = 0, unique = 0;

	for (size_t i = 0; i < in->n_owned; i++)
		names[n++] = owned_member(&in->owned[i], "neighbor");
	for (size_t i = 0; i < g->n_judgements; i++)
		names[n++] = g->judgements[i]->neighbor;
	for (size_t i = 0; i < in->n_targets; i++)
		for (size_t j = 0; j < g->seen[i].n; j++)
			if (g->seen[i].items[j]->is_ours)
				names[n++] = g->seen[i].items[j]->neighbor;
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 0; i < n; i++)
		if (!unique || strcmp(names[unique - 1], names[i]))
			names[unique++] = names[i];
	return unique;
}

static void fill_session(const struct plan_gathered *g, struct plan_session *s)
{
	const struct jv *mapping = NULL;

	s->judgement = pick(g->in, s);
	if (s->judgement && s->judgement->verdict == VERDICT_WANT)
		mapping = s->judgement->mapping;
	else if (s->owned)
		mapping = s->owned->mapping;
	if (mapping)
		look(g, mapping, s);
	if (!s->owned)
		look_for_stray(g, s);
}

static int gather(struct plan_gathered *g)
{
	const struct plan_input *in = g->in;
	_cleanup_free_ const char **names = calloc(count_names(in) + 1, sizeof(*names));
	size_t n, owned = 0, judged = 0;

	g->owned = calloc(in->n_owned + 1, sizeof(*g->owned));
	g->judgements = calloc(in->n_judgements + 1, sizeof(*g->judgements));
	if (!names || !g->owned || !g->judgements)
		return -ENOMEM;
	for (size_t i = 0; i < in->n_owned; i++)
		g->owned[i] = &in->owned[i];
	/* one of a server that is not configured any more says nothing that is not known */
	for (size_t i = 0; i < in->n_judgements; i++)
		if (in->judgements[i].server)
			g->judgements[g->n_judgements++] = &in->judgements[i];
	qsort(g->owned, in->n_owned, sizeof(*g->owned), compare_owned);
	qsort(g->judgements, g->n_judgements, sizeof(*g->judgements), compare_judgements);
	n = list_names(g, names);
	g->sessions = calloc(n + 1, sizeof(*g->sessions));
	if (!g->sessions)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct plan_session *s = &g->sessions[g->n_sessions++];

		s->neighbor = names[i];
		if (owned < in->n_owned &&
		    !strcmp(owned_member(g->owned[owned], "neighbor"), names[i]))
			s->owned = g->owned[owned++];
		s->judgements = g->judgements + judged;
		while (judged < g->n_judgements &&
		       !strcmp(g->judgements[judged]->neighbor, names[i])) {
			judged++;
			s->n_judgements++;
		}
		fill_session(g, s);
	}
	return 0;
}

int plan_gather(const struct plan_input *in, struct plan_gathered *ret)
{
	struct plan_gathered g = {.in = in, .seen = calloc(in->n_targets + 1, sizeof(*g.seen))};
	int r = g.seen ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < in->n_targets; i++)
		r = plan_seen_make(&in->targets[i], &g.seen[i]);
	if (!r)
		r = gather(&g);
	if (r < 0) {
		plan_gathered_done(&g);
		return r;
	}
	*ret = g;
	return 0;
}

void plan_gathered_done(struct plan_gathered *g)
{
	for (size_t i = 0; g->seen && i < g->in->n_targets; i++)
		plan_seen_done(&g->seen[i]);
	free(g->seen);
	free(g->owned);
	free(g->judgements);
	free(g->sessions);
}
