// SPDX-License-Identifier: Apache-2.0
#include "apply_internal.h"
#include "wipe.h"

#include <errno.h>

#define POLL_MS 250

bool apply_needs(const struct apply_place *x, const char *text)
{
	return !x->follows || strcmp(x->text ? x->text : x->texts.none, text);
}

void apply_progress(const struct apply_run *run, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!run->a->progress)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	run->a->progress(run->a->arg, text);
}

/* ---- is it in the running program? ---- */

/* Shut ones must be down before they are taken out. */
static const char *still_up(const struct plan_seen *seen, const struct apply_sessions *sessions)
{
	for (size_t i = 0; i < sessions->n; i++) {
		const char *neighbor = jv_get_string(sessions->items[i]->mapping, "neighbor", "");
		const struct observed *const *items;
		size_t n;

		if (sessions->items[i]->phase != PHASE_SHUT ||
		    !plan_belongs(seen, sessions->items[i]))
			continue;
		items = plan_seen_find(seen, neighbor, &n);
		if (n && items[0]->is_established && !items[0]->is_shut)
			return neighbor;
	}
	return NULL;
}

static size_t count_foreign(const struct plan_seen *seen, const char *neighbor)
{
	size_t n, foreign = 0;
	const struct observed *const *items = plan_seen_find(seen, neighbor, &n);

	for (size_t i = 0; i < n; i++)
		foreign += !items[i]->is_ours;
	return foreign;
}

/* Once a session is not in the file any more, what a program goes on with does not look like ours:
 * what counts is whether there is more of that address than somebody else made. */
static const char *still_there(const struct apply_place *x, const struct plan_seen *now,
			       const struct apply_sessions *sessions)
{
	for (size_t i = 0; i < x->then.n; i++) {
		const char *neighbor = x->then.items[i]->neighbor;
		const struct owned *o = apply_find(sessions, neighbor);
		size_t n;

		if (!x->then.items[i]->is_ours || (o && plan_belongs(now, o)))
			continue;
		plan_seen_find(now, neighbor, &n);
		if (n > count_foreign(&x->then, neighbor))
			return neighbor;
	}
	return NULL;
}

/* 0, or -EAGAIN with what is not so yet. */
static int look(const struct apply_place *x, const struct apply_sessions *sessions,
		struct errtext *e)
{
	struct observation o = {};
	struct plan_target t = {.target = x->target, .seen = &o};
	struct plan_seen seen;
	const char *up, *there;
	char differs[160];
	int r = target_observe(x->target, &o);

	if (!r)
		r = plan_seen_make(&t, &seen);
	if (r < 0) {
		observation_done(&o);
		return errtext_set(e, r, "out of memory");
	}
	up = target_is_shim(x->target) ? NULL : still_up(&seen, sessions);
	there = still_there(x, &seen, sessions);
	if (!o.is_running)
		r = errtext_set(e, -EAGAIN, "it cannot be asked: %.160s", o.problem);
	else if (!plan_target_follows(&seen, sessions->items, sessions->n, differs,
				      sizeof(differs)))
		r = errtext_set(e, -EAGAIN, "it %s", differs);
	else if (there)
		r = errtext_set(e, -EAGAIN, "it still knows %s", there);
	else if (up)
		r = errtext_set(e, -EAGAIN, "%s is still established", up);
	plan_seen_done(&seen);
	observation_done(&o);
	return r;
}

static int verify(struct apply_run *run, const struct apply_place *x,
		  const struct apply_sessions *sessions, struct errtext *e)
{
	unsigned timeout = run->a->settings->verify_timeout;
	int64_t end = run->a->now(run->a->arg) + timeout;
	struct errtext why = {};
	uint64_t waited = 0;
	int r;

	for (;;) {
		r = look(x, sessions, &why);
		if (r != -EAGAIN)
			break;
		if (waited >= (uint64_t)timeout * 1000 || run->a->now(run->a->arg) > end)
			return errtext_set(e, -ETIMEDOUT, "after %u s %.200s", timeout, why.text);
		r = run->a->wait_ms(run->a->arg, POLL_MS);
		if (r < 0)
			return errtext_set(e, r, "given up");
		waited += POLL_MS;
	}
	if (r < 0)
		*e = why;
	return r;
}

/* ---- forward ---- */

static int remember(struct apply_run *run, size_t place)
{
	const char *text = run->places[place].text;
	char *copy = text ? strdup(text) : NULL;
	struct apply_undo *more;

	if (text && !copy)
		return -ENOMEM;
	more = realloc(run->undo, (run->n_undo + 1) * sizeof(*more));
	if (!more) {
		free(copy);
		return -ENOMEM;
	}
	run->undo = more;
	run->undo[run->n_undo++] = (struct apply_undo){.place = place, .text = copy};
	return 0;
}

/* A write that failed may have had its effect; NULL: whatever comes next is written. */
static void reread(struct apply_place *x)
{
	char *text = NULL;

	wipe_free(x->text);
	x->text = target_read(x->target, &text, NULL) < 0 ? NULL : text;
}

static int write_text(struct apply_place *x, const char *text, struct errtext *e)
{
	char *copy = strdup(text);
	int r;

	if (!copy)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = target_write(x->target, text, e);
	if (r < 0) {
		wipe_free(copy);
		reread(x);
		return r;
	}
	wipe_free(x->text);
	x->text = copy;
	return 0;
}

/* The program follows `x->text` from here on, or nobody knows what it follows. */
static int bring(struct apply_place *x, const char *text, struct errtext *e)
{
	char *before = x->follows && x->text ? strdup(x->text) : NULL;
	int r = x->follows && x->text && !before ? -ENOMEM : 0;
	bool is_same = x->text && !strcmp(x->text, text);

	if (!r && !is_same)
		r = write_text(x, text, e);
	x->follows = false;
	if (!r)
		r = target_check(x->target, e);
	if (!r)
		r = target_load(x->target, before, text, e);
	x->follows = !r;
	wipe_free(before);
	return r;
}

int apply_put(struct apply_run *run, size_t place, const char *text,
	      const struct apply_sessions *sessions, struct errtext *e)
{
	struct apply_place *x = &run->places[place];
	struct errtext why = {};
	int r;

	if (!apply_needs(x, text))
		return 0;
	apply_progress(run, "%s: %s", target_name(x->target), "writing, checking, loading");
	r = remember(run, place);
	if (!r)
		r = bring(x, text, &why);
	if (!r) {
		r = verify(run, x, sessions, &why);
		x->follows = !r;
	}
	if (r < 0)
		errtext_set(e, r, "%s: %s", target_name(x->target),
			    why.text[0] ? why.text : "out of memory");
	return r;
}

/* ---- back ---- */

/* Between two texts of the shim nobody depends on the texts in between. */
static bool is_passed_over(const struct apply_run *run, size_t i)
{
	for (size_t j = i; j-- > 0 && run->undo[j].place != 0;)
		if (run->undo[j].place == run->undo[i].place)
			return run->undo[i].place != 0;
	return false;
}

static void audit_back(struct apply_run *run, const struct apply_place *x, const char *problem)
{
	struct jv *o = jv_object_new();
	int r;

	r = jv_set_string(o, "target", target_name(x->target));
	r |= jv_set_string(o, "result", problem ? "failed" : "done");
	r |= jv_set_string(o, "text", problem);
	if (!r) {
		apply_audit(run, "rollback", o);
		return;
	}
	jv_free(o);
}

static int go_back_one(struct apply_run *run, const struct apply_undo *u, struct errtext *e)
{
	struct apply_place *x = &run->places[u->place];
	struct errtext why = {};
	int r;

	apply_progress(run, "%s: going back", target_name(x->target));
	r = bring(x, u->text ? u->text : x->texts.none, &why);
	if (r < 0)
		errtext_set(e, r, "%s: %s", target_name(x->target),
			    why.text[0] ? why.text : "out of memory");
	audit_back(run, x, r < 0 ? e->text : NULL);
	return r;
}

/* When one fails the rest stays as it is, as after a crash, for the next run to put right: the shim
 * must keep what a daemon may still have. */
bool apply_go_back(struct apply_run *run, struct errtext *e)
{
	for (size_t i = run->n_undo; i-- > 0;)
		if (!is_passed_over(run, i) && go_back_one(run, &run->undo[i], e) < 0)
			return false;
	return true;
}
