// SPDX-License-Identifier: Apache-2.0
#include "plan_internal.h"

#include <errno.h>

const char *plan_step_name(enum plan_action a)
{
	switch (a) {
	case PLAN_ADD: return "add";
	case PLAN_CHANGE: return "change";
	case PLAN_RESTORE: return "restore";
	case PLAN_DRAIN: return "drain";
	case PLAN_REMOVE: return "remove";
	case PLAN_TELL: return "tell";
	case PLAN_FORGET: return "forget";
	case PLAN_LOAD: return "load";
	case PLAN_WAITING: return "waiting";
	case PLAN_HELD: return "held";
	case PLAN_REFUSED: return "refused";
	case PLAN_BLOCKED: break;
	}
	return "blocked";
}

bool plan_action_changes(enum plan_action a)
{
	switch (a) {
	case PLAN_ADD:
	case PLAN_CHANGE:
	case PLAN_RESTORE:
	case PLAN_DRAIN:
	case PLAN_REMOVE:
	case PLAN_TELL:
	case PLAN_FORGET:
	case PLAN_LOAD: return true;
	case PLAN_WAITING:
	case PLAN_HELD:
	case PLAN_REFUSED:
	case PLAN_BLOCKED: break;
	}
	return false;
}

/* It writes to a target, and with it takes a stray away that is in the same file. */
static bool writes(enum plan_action a)
{
	return plan_action_changes(a) && a != PLAN_TELL && a != PLAN_FORGET;
}

/* A plan that is being made. */
struct draft {
	const struct plan_input *in;
	struct plan_gathered g;
	struct plan_decision *decisions; /* one for each session */
	size_t n_strays, n_held_strays, n_room;
	bool is_over;  /* too many deletions: those that are counted are blocked */
	bool is_stuck; /* a stray may not go: all that writes is blocked */
	struct plan plan;
};

static int push(struct draft *d, const struct plan_step *step)
{
	struct plan *p = &d->plan;
	struct plan_step *more;

	if (p->n_steps == d->n_room) {
		size_t room = d->n_room ? 2 * d->n_room : 64;

		more = realloc(p->steps, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		p->steps = more;
		d->n_room = room;
	}
	p->steps[p->n_steps++] = *step;
	return 0;
}

static void decide_all(struct draft *d)
{
	size_t allowed = d->in->allowed_deletions, room = STATE_OWNED_MAX;

	room -= d->in->n_owned < room ? d->in->n_owned : room;
	for (size_t i = 0; i < d->g.n_sessions; i++) {
		const struct plan_session *s = &d->g.sessions[i];
		struct plan_decision *decision = &d->decisions[i];

		plan_decide(d->in, s, decision);
		d->plan.n_deletions += decision->is_counted;
		d->n_strays += decision->is_stray;
		d->n_held_strays += decision->is_stray && !decision->may_go;
		if (decision->step.action == PLAN_ADD && !s->owned && room-- == 0) {
			room = 0;
			plan_say(&decision->step, PLAN_REFUSED,
				 "not configured: %d sessions are owned, and more cannot be",
				 STATE_OWNED_MAX);
			decision->step.is_alarm = true;
		}
	}
	d->is_over = d->plan.n_deletions > allowed;
	d->is_stuck = d->n_held_strays || (d->is_over && d->n_strays);
}

static void block(struct draft *d, struct plan_step *step, const char *why)
{
	char was[sizeof(step->text)];

	snprintf(was, sizeof(was), "%s (%s)", plan_step_name(step->action), step->text);
	plan_say(step, PLAN_BLOCKED, "%s: %s", why, was);
	step->is_alarm = true;
	d->plan.is_blocked = true;
}

/* All deletions that would begin, not some of them: which ones, nobody could foresee. */
static void block_if_needed(struct draft *d, struct plan_decision *decision)
{
	char why[160];

	if (!writes(decision->step.action))
		return;
	if (d->is_over && decision->is_counted) {
		snprintf(
			why, sizeof(why),
			"%zu sessions would begin to go and %zu may: if that is right, --force %zu",
			d->plan.n_deletions, d->in->allowed_deletions, d->plan.n_deletions);
		block(d, &decision->step, why);
	} else if (d->is_stuck) {
		block(d, &decision->step, "nothing is written while a stray would be taken away");
	}
}

static int push_other_reports(struct draft *d, const struct plan_session *s)
{
	struct plan_step step;
	int r = 0;

	for (size_t i = 0; !r && i < s->n_judgements; i++)
		if (s->judgements[i] != s->judgement &&
		    plan_report_other(s, s->judgements[i], &step))
			r = push(d, &step);
	return r;
}

static int push_tell(struct draft *d, const struct plan_step *removal)
{
	struct plan_step step = *removal;

	plan_say(&step, PLAN_TELL, "then DELETE at %s", step.server);
	step.is_alarm = false;
	return push(d, &step);
}

static int add_session(struct draft *d, const struct plan_session *s,
		       struct plan_decision *decision)
{
	struct plan *p = &d->plan;
	int r;

	if (decision->is_step)
		block_if_needed(d, decision);
	r = plan_after(d->in, s, decision, &p->after[p->n_after]);
	if (r < 0)
		return r;
	p->n_after += !!p->after[p->n_after].mapping;
	if (decision->is_step)
		r = push(d, &decision->step);
	if (!r && decision->step.action == PLAN_REMOVE && decision->tell)
		r = push_tell(d, &decision->step);
	return r ? r : push_other_reports(d, s);
}

static int add_target(struct draft *d, size_t target, struct errtext *e)
{
	struct plan_step steps[2];
	size_t n = 0;
	int r = plan_check_target(&d->g, target, d->plan.after, d->plan.n_after, steps, &n, e);

	for (size_t i = 0; !r && i < n; i++) {
		if (d->is_stuck && writes(steps[i].action))
			block(d, &steps[i], "nothing is written while a stray would be taken away");
		r = push(d, &steps[i]);
	}
	return r;
}

static int compare_steps(const void *a, const void *b)
{
	const struct plan_step *x = a, *y = b;
	int r = strcmp(x->neighbor, y->neighbor);

	if (!r)
		r = (int)x->action - (int)y->action;
	if (!r)
		r = strcmp(x->server, y->server);
	if (!r)
		r = strcmp(x->text, y->text);
	return r ? r : (int)x->is_alarm - (int)y->is_alarm;
}

static void finish(struct plan *p)
{
	if (p->n_steps)
		qsort(p->steps, p->n_steps, sizeof(*p->steps), compare_steps);
	for (size_t i = 0; i < p->n_steps; i++) {
		p->n_changes += plan_action_changes(p->steps[i].action);
		p->n_alarms += p->steps[i].is_alarm;
	}
}

static int draft_plan(struct draft *d, struct errtext *e)
{
	int r = 0;

	d->decisions = calloc(d->g.n_sessions + 1, sizeof(*d->decisions));
	d->plan.after = calloc(d->g.n_sessions + 1, sizeof(*d->plan.after));
	if (!d->decisions || !d->plan.after)
		return -ENOMEM;
	decide_all(d);
	for (size_t i = 0; !r && i < d->g.n_sessions; i++)
		r = add_session(d, &d->g.sessions[i], &d->decisions[i]);
	for (size_t i = 0; !r && i < d->in->n_targets; i++)
		r = add_target(d, i, e);
	if (r < 0)
		return r;
	finish(&d->plan);
	return plan_hash(&d->plan);
}

int plan_prepare(const struct plan_input *in, struct plan *ret, struct errtext *e)
{
	struct draft d = {.in = in};
	int r = plan_gather(in, &d.g);

	if (r < 0)
		return errtext_set(e, r, "out of memory");
	r = draft_plan(&d, e);
	if (r == -ENOMEM)
		errtext_set(e, r, "out of memory");
	free(d.decisions);
	plan_gathered_done(&d.g);
	if (r < 0) {
		plan_done(&d.plan);
		return r;
	}
	*ret = d.plan;
	return 0;
}

void plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->n_after; i++)
		owned_done(&p->after[i]);
	free(p->after);
	free(p->steps);
	*p = (struct plan){};
}
