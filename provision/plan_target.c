// SPDX-License-Identifier: Apache-2.0
/* Does a target's file say, and does its program know, what is owned? */
#include "plan_internal.h"
#include "wipe.h"

#include <errno.h>

#define NAMED_MAX 3

/* A sentence with a few neighbors in it. */
struct complaint {
	size_t n;
	char names[NAMED_MAX * (ADDR_STRLEN + 2)];
};

static void add_name(struct complaint *c, const char *neighbor)
{
	size_t used = strlen(c->names);

	if (c->n++ < NAMED_MAX)
		snprintf(c->names + used, sizeof(c->names) - used, "%s%s", used ? ", " : "",
			 neighbor);
}

static void complain(const struct complaint *c, const char *what, char *buf, size_t size)
{
	size_t used = strlen(buf);

	if (!c->n || used >= size - 1)
		return;
	used += snprintf(buf + used, size - used, "%s%s %s", used ? "; " : "", what, c->names);
	if (c->n > NAMED_MAX && used < size)
		snprintf(buf + used, size - used, " and %zu more", c->n - NAMED_MAX);
}

static int compare_owned(const void *key, const void *item)
{
	return strcmp(key,
		      jv_get_string((*(const struct owned *const *)item)->mapping, "neighbor", ""));
}

/* `foreign`: found, but not ours; loading would not help there. */
static void compare_session(const struct plan_seen *seen, const struct owned *o,
			    struct complaint *lacking, struct complaint *other_mode,
			    struct complaint *foreign)
{
	const char *neighbor = jv_get_string(o->mapping, "neighbor", "");
	size_t n;
	const struct observed *const *items = plan_seen_find(seen, neighbor, &n);

	if (!n)
		add_name(lacking, neighbor);
	else if (!items[0]->is_ours)
		add_name(foreign, neighbor);
	else if (seen->is_shim && strcmp(items[0]->mode, jv_get_string(o->mapping, "mode", "")))
		add_name(other_mode, neighbor);
}

bool plan_target_has_foreign(const struct plan_seen *seen, const struct owned *const *sessions,
			     size_t n, char *buf, size_t size)
{
	struct complaint lacking = {}, other_mode = {}, foreign = {};

	for (size_t i = 0; i < n; i++)
		if (plan_belongs(seen, sessions[i]))
			compare_session(seen, sessions[i], &lacking, &other_mode, &foreign);
	buf[0] = '\0';
	complain(&foreign, "knows, but not from the file of botls-provision:", buf, size);
	return foreign.n;
}

bool plan_target_follows(const struct plan_seen *seen, const struct owned *const *sessions,
			 size_t n, char *buf, size_t size)
{
	struct complaint lacking = {}, other_mode = {}, foreign = {}, surplus = {};

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (plan_belongs(seen, sessions[i]))
			compare_session(seen, sessions[i], &lacking, &other_mode, &foreign);
	for (size_t i = 0; i < seen->n; i++) {
		const char *neighbor = seen->items[i]->neighbor;
		const struct owned *const *o =
			n ? bsearch(neighbor, sessions, n, sizeof(*sessions), compare_owned) : NULL;

		if (seen->items[i]->is_ours && (!o || !plan_belongs(seen, *o)))
			add_name(&surplus, neighbor);
	}
	complain(&lacking, "does not know", buf, size);
	complain(&other_mode, "has another mode for", buf, size);
	complain(&surplus, "still knows", buf, size);
	return !buf[0];
}

/* ---- for the plan ---- */

struct view {
	const struct plan_target *target;
	const struct plan_seen *seen;
	const struct owned **after; /* by neighbor */
	size_t n_after;
};

static bool has_any(const struct plan_seen *seen, const struct owned *const *sessions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (plan_belongs(seen, sessions[i]))
			return true;
	return false;
}

static void start_step(const struct view *v, struct plan_step *step)
{
	*step = (struct plan_step){};
	snprintf(step->neighbor, sizeof(step->neighbor), "%s", v->seen->target);
}

/* Words for a target that has to be loaded; "": none. */
static int find_trouble(const struct plan_gathered *g, const struct view *v, char *buf, size_t size,
			struct errtext *e)
{
	_cleanup_wiped_ char *before = NULL, *after = NULL;
	size_t n = g->in->n_owned;
	int r;

	buf[0] = '\0';
	r = target_render(v->target->target, g->owned, n, &before, e);
	if (!r)
		r = target_render(v->target->target, v->after, v->n_after, &after, e);
	if (r != 0 || strcmp(before, after))
		return r; /* other steps change it */
	if (!v->target->text && has_any(v->seen, g->owned, n))
		snprintf(buf, size, "its file %s is missing", target_file(v->target->target));
	else if (v->target->text && strcmp(v->target->text, before))
		snprintf(buf, size, "its file %s does not say what is owned: written anew",
			 target_file(v->target->target));
	else if (v->seen->is_running && g->in->is_unfinished)
		snprintf(buf, size, "the last run did not come to its end");
	else if (v->seen->is_running)
		plan_target_follows(v->seen, g->owned, n, buf, size);
	return 0;
}

static int check(const struct plan_gathered *g, const struct view *v, struct plan_step *ret,
		 size_t *ret_n, struct errtext *e)
{
	char text[sizeof(ret->text) - 32];
	size_t n = 0;
	int r;

	start_step(v, &ret[n]);
	if (!v->seen->is_running && (has_any(v->seen, v->after, v->n_after) ||
				     has_any(v->seen, g->owned, g->in->n_owned))) {
		plan_say(&ret[n], PLAN_HELD, "cannot be asked: %s", v->target->seen->problem);
		ret[n++].is_alarm = true;
	}
	/* What is ours in a program is known by our file: without it nothing is foreign. */
	if (v->target->text && v->seen->is_running &&
	    plan_target_has_foreign(v->seen, v->after, v->n_after, text, sizeof(text))) {
		plan_say(&ret[n], PLAN_HELD, "%s", text);
		ret[n++].is_alarm = true;
	}
	r = find_trouble(g, v, text, sizeof(text), e);
	if (r < 0)
		return r;
	if (text[0]) {
		start_step(v, &ret[n]);
		plan_say(&ret[n++], PLAN_LOAD, "%s", text);
	}
	*ret_n = n;
	return 0;
}

int plan_check_target(const struct plan_gathered *g, size_t target, const struct owned *after,
		      size_t n_after, struct plan_step ret[static 2], size_t *ret_n,
		      struct errtext *e)
{
	_cleanup_free_ const struct owned **list = calloc(n_after + 1, sizeof(*list));
	struct view v = {.target = &g->in->targets[target],
			 .seen = &g->seen[target],
			 .after = list,
			 .n_after = n_after};

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n_after; i++)
		list[i] = &after[i];
	return check(g, &v, ret, ret_n, e);
}
