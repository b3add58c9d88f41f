// SPDX-License-Identifier: Apache-2.0
#include "apply_internal.h"

#include <errno.h>

/* ---- the audit log ---- */

void apply_audit(struct apply_run *run, const char *event, struct jv *members)
{
	struct errtext e = {};

	if (audit_write(run->a->audit, run->a->now(run->a->arg), event, members, &e) < 0 &&
	    !run->audit_problem.text[0])
		run->audit_problem = e;
}

/* A mark that still has to be told is one whose server has not confirmed. */
static bool is_told(const struct apply_run *run, const char *neighbor)
{
	const struct owned *o = state_owned(run->a->state, neighbor);

	return !o || !o->tell;
}

static const char *result_of(const struct apply_run *run, const struct plan_step *s, bool is_done)
{
	if (!plan_action_changes(s->action))
		return "no change";
	if (!is_done)
		return "not done";
	return s->action != PLAN_TELL || is_told(run, s->neighbor) ? "done" : "not confirmed";
}

static void audit_step(struct apply_run *run, const struct plan_step *s, bool is_done)
{
	struct jv *o = jv_object_new();
	int r;

	r = jv_set_string(o, "plan", run->plan->hash);
	r |= jv_set_string(o, "action", plan_step_name(s->action));
	r |= jv_set_string(o, "neighbor", s->neighbor);
	r |= jv_set_string(o, "server", s->server[0] ? s->server : NULL);
	r |= jv_set_string(o, "text", s->text);
	r |= jv_set_string(o, "result", result_of(run, s, is_done));
	if (!r) {
		apply_audit(run, "step", o);
		return;
	}
	jv_free(o);
	errtext_set(&run->audit_problem, 0, "out of memory");
}

static void audit_whole(struct apply_run *run, const struct apply_result *result)
{
	struct jv *o = jv_object_new();
	int r;

	for (size_t i = 0; i < run->plan->n_steps; i++)
		audit_step(run, &run->plan->steps[i], result->is_done);
	r = jv_set_string(o, "plan", run->plan->hash);
	r |= jv_set_string(o, "result",
			   result->is_broken	    ? "broken"
			   : result->is_rolled_back ? "rolled back"
			   : result->is_done	    ? "done"
						    : "not begun");
	r |= jv_set_uint(o, "generation", run->a->state->generation);
	r |= jv_set_string(o, "text", result->text[0] ? result->text : NULL);
	if (!r) {
		apply_audit(run, "apply", o);
		return;
	}
	jv_free(o);
	errtext_set(&run->audit_problem, 0, "out of memory");
}

/* ---- the targets ---- */

static bool is_written_to(const struct apply_place *x)
{
	const char *texts[] = {x->texts.reset, x->texts.all, x->texts.shut, x->texts.after};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i] && apply_needs(x, texts[i]))
			return true;
	return false;
}

/* A daemon that is loaded while the shim is down would speak in clear. */
static int check_running(struct apply_run *run, struct errtext *e)
{
	bool any = false;

	for (size_t i = run->a->n_targets; i-- > 0;) {
		const struct apply_place *x = &run->places[i];

		any |= is_written_to(x);
		if (!x->seen->is_running && (is_written_to(x) || (i == 0 && any)))
			return errtext_set(e, -ENOTCONN,
					   "%s does not run or does not answer: start it (%.120s)",
					   target_name(x->target), x->seen->problem);
	}
	return 0;
}

typedef const char *text_fn(const struct apply_place *x, const struct apply_run *run,
			    const struct apply_sessions **ret_sessions);

static int put_daemons(struct apply_run *run, text_fn *text_of, struct errtext *e)
{
	int r = 0;

	for (size_t i = 1; !r && i < run->a->n_targets; i++) {
		const struct apply_sessions *sessions;
		const char *text = text_of(&run->places[i], run, &sessions);

		if (text)
			r = apply_put(run, i, text, sessions, e);
	}
	return r;
}

static const char *reset_of(const struct apply_place *x, const struct apply_run *run,
			    const struct apply_sessions **ret_sessions)
{
	(void)run;
	*ret_sessions = &x->texts.reset_sessions;
	return x->texts.reset;
}

static const char *shut_of(const struct apply_place *x, const struct apply_run *run,
			   const struct apply_sessions **ret_sessions)
{
	(void)run;
	*ret_sessions = &x->texts.shut_sessions;
	return x->texts.shut;
}

static const char *after_of(const struct apply_place *x, const struct apply_run *run,
			    const struct apply_sessions **ret_sessions)
{
	*ret_sessions = &run->after;
	return x->texts.after;
}

/* The shim is the first to learn of a session and the last to forget it. */
static int put_all(struct apply_run *run, struct errtext *e)
{
	int r = put_daemons(run, reset_of, e);

	if (!r)
		r = apply_put(run, 0, run->places[0].texts.all, &run->all, e);
	if (!r)
		r = put_daemons(run, shut_of, e);
	if (!r)
		r = put_daemons(run, after_of, e);
	if (!r)
		r = apply_put(run, 0, run->places[0].texts.after, &run->after, e);
	return r;
}

/* ---- the servers ---- */

static const char *server_of(const struct owned *o)
{
	return jv_get_string(o->mapping, "server", "");
}

static bool is_to_be_told(const struct owned *o)
{
	return o->phase == PHASE_GONE && o->tell;
}

/* All of one server's, from the one at `first` on. */
static int tell_server(struct apply_run *run, size_t first, bool *is_asked, struct errtext *e)
{
	_cleanup_free_ const char **ids = calloc(run->n_next, sizeof(*ids));
	_cleanup_free_ size_t *which = calloc(run->n_next, sizeof(*which));
	_cleanup_free_ bool *confirmed = calloc(run->n_next, sizeof(*confirmed));
	const char *server = server_of(&run->next[first]);
	size_t n = 0;

	if (!ids || !which || !confirmed)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = first; i < run->n_next; i++) {
		if (!is_to_be_told(&run->next[i]) || strcmp(server_of(&run->next[i]), server))
			continue;
		is_asked[i] = true;
		which[n] = i;
		ids[n++] = jv_get_string(run->next[i].mapping, "session_id", "");
	}
	apply_progress(run, "%s: telling it of %zu session%s", server, n, n == 1 ? "" : "s");
	run->a->tell(run->a->arg, server, ids, n, confirmed);
	for (size_t i = 0; i < n; i++) {
		struct owned *o = &run->next[which[i]];

		run->n_untold += !confirmed[i];
		o->tell = !confirmed[i];
		if (confirmed[i])
			o->since = run->a->now(run->a->arg);
	}
	return 0;
}

static int tell_all(struct apply_run *run, struct errtext *e)
{
	_cleanup_free_ bool *is_asked = calloc(run->n_next + 1, sizeof(*is_asked));
	int r = 0;

	if (!is_asked)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; !r && i < run->n_next; i++)
		if (is_to_be_told(&run->next[i]) && !is_asked[i])
			r = tell_server(run, i, is_asked, e);
	return r;
}

/* ---- the state ---- */

static int copy_after(struct apply_run *run)
{
	run->next = calloc(run->plan->n_after + 1, sizeof(*run->next));
	if (!run->next)
		return -ENOMEM;
	for (size_t i = 0; i < run->plan->n_after; i++) {
		int r = owned_copy(&run->plan->after[i], &run->next[i]);

		if (r < 0)
			return r;
		run->n_next++;
	}
	return 0;
}

static void swap_owned(struct apply_run *run)
{
	struct state *s = run->a->state;
	struct owned *owned = s->owned;
	size_t n = s->n_owned;

	s->owned = run->next;
	s->n_owned = run->n_next;
	run->next = owned;
	run->n_next = n;
}

/* The state has the new sessions only if the file has them. */
static int save_next(struct apply_run *run, uint64_t generation, struct errtext *e)
{
	struct state *s = run->a->state;
	uint64_t last = s->generation;
	bool was_unfinished = s->is_unfinished;
	int r;

	swap_owned(run);
	s->generation = generation;
	s->is_unfinished = false;
	r = state_save(run->a->store, s, e);
	if (r < 0) {
		swap_owned(run);
		s->generation = last;
		s->is_unfinished = was_unfinished;
	}
	return r;
}

/* Before the first write, and when all is as it was. */
static int save_mark(struct apply_run *run, bool is_unfinished, struct errtext *e)
{
	struct state *s = run->a->state;
	bool was = s->is_unfinished;
	int r;

	s->is_unfinished = is_unfinished;
	r = state_save(run->a->store, s, e);
	if (r < 0)
		s->is_unfinished = was;
	return r;
}

static int keep_and_save(struct apply_run *run, struct errtext *e)
{
	uint64_t generation = run->a->state->generation + 1;
	int r = 0;

	for (size_t i = 0; !r && i < run->a->n_targets; i++)
		r = state_keep_text(run->a->store, generation, target_name(run->places[i].target),
				    run->places[i].texts.after, e);
	return r ? r : save_next(run, generation, e);
}

static bool is_same_owned(const struct owned *a, const struct owned *b)
{
	return a->phase == b->phase && a->leaving == b->leaving && a->since == b->since &&
	       a->created == b->created && a->established == b->established &&
	       a->time_window == b->time_window && a->was_asked == b->was_asked &&
	       a->is_held == b->is_held && a->tell == b->tell &&
	       mapping_equal(a->mapping, b->mapping);
}

/* What was only seen, such as that a session is up. */
static int save_what_was_seen(struct apply_run *run, struct errtext *e)
{
	const struct state *s = run->a->state;
	bool is_same = s->n_owned == run->n_next;

	for (size_t i = 0; is_same && i < run->n_next; i++)
		is_same = is_same_owned(&s->owned[i], &run->next[i]);
	return is_same ? 0 : save_next(run, s->generation, e);
}

/* ---- the whole ---- */

static int forward(struct apply_run *run, struct errtext *e)
{
	int r = put_all(run, e);

	if (!r)
		r = tell_all(run, e);
	return r ? r : keep_and_save(run, e);
}

/* That the state can be saved is known before anything depends on it. */
static int prepare(struct apply_run *run, struct errtext *e)
{
	int r = copy_after(run);

	if (!r)
		r = apply_make_texts(run, e);
	if (r == -ENOMEM)
		errtext_set(e, r, "out of memory");
	if (r < 0)
		return r;
	r = check_running(run, e);
	return r < 0 ? r : save_mark(run, true, e);
}

static void describe_success(struct apply_run *run, struct apply_result *ret)
{
	ret->is_done = true;
	if (run->n_untold)
		snprintf(ret->text, sizeof(ret->text),
			 "all is configured, but %zu session%s could not be deleted at the server: "
			 "tried again with the next run",
			 run->n_untold, run->n_untold == 1 ? "" : "s");
}

static void describe_failure(struct apply_run *run, const struct errtext *why,
			     struct apply_result *ret)
{
	struct errtext back = {};

	snprintf(ret->text, sizeof(ret->text), "%s", why->text);
	ret->is_broken = !apply_go_back(run, &back);
	ret->is_rolled_back = run->n_undo && !ret->is_broken;
	/* if that is not saved, the next run loads once more than it has to */
	if (!ret->is_broken && run->a->state->is_unfinished != run->was_unfinished)
		save_mark(run, run->was_unfinished, NULL);
	if (ret->is_broken)
		snprintf(ret->text, sizeof(ret->text),
			 "%s; going back failed too: %.160s; the next run puts it right, until "
			 "then the shim keeps its sessions closed or encrypted",
			 why->text, back.text);
}

static int apply_changes(struct apply_run *run, struct apply_result *ret)
{
	struct errtext e = {};
	int r = prepare(run, &e);

	if (!r)
		r = forward(run, &e);
	if (!r)
		describe_success(run, ret);
	else
		describe_failure(run, &e, ret);
	audit_whole(run, ret);
	if (run->audit_problem.text[0]) {
		size_t n = strlen(ret->text);

		snprintf(ret->text + n, sizeof(ret->text) - n, "%sthe audit log is incomplete: %s",
			 n ? "; " : "", run->audit_problem.text);
		r = r ? r : -EIO;
	}
	return r;
}

int apply_plan(struct apply *a, const struct plan *p, struct apply_result *ret)
{
	struct apply_run run = {.a = a, .plan = p, .was_unfinished = a->state->is_unfinished};
	struct errtext e = {};
	int r;

	*ret = (struct apply_result){};
	if (p->n_changes || run.was_unfinished) {
		r = apply_changes(&run, ret);
	} else {
		r = copy_after(&run);
		if (!r)
			r = save_what_was_seen(&run, &e);
		ret->is_done = !r;
		snprintf(ret->text, sizeof(ret->text), "%s", e.text);
	}
	for (size_t i = 0; i < run.n_next; i++)
		owned_done(&run.next[i]);
	free(run.next);
	apply_texts_done(&run);
	return r;
}
