// SPDX-License-Identifier: Apache-2.0
#include "plan_internal.h"

#include <errno.h>
#include <time.h>

/* How far the removal of an owned session is. */
enum stage {
	STAGE_ACTIVE,
	STAGE_DELETED, /* the operator has just said so */
	STAGE_LEFT_BY_PEER,
	STAGE_LEFT_BY_POLICY,
	STAGE_LEFT_NEVER_UP,
	STAGE_LEFT_BY_OPERATOR,
	STAGE_UNTOLD, /* gone here; the server is to be told */
	STAGE_TOLD,   /* gone here; the server has been told, or cannot be told */
	N_STAGES
};

/* What its server and the policy say of it now. */
enum says {
	SAYS_WANT,
	SAYS_GONE,
	SAYS_FORBID,
	SAYS_WAIT,
	SAYS_REFUSE,
	SAYS_HOLD,
	SAYS_NOTHING, /* no judgement: its server was not asked, or could not be */
	N_SAYS
};

enum course {
	KEEP,	 /* as the server says it now; the garbage collector may look at it */
	STAY,	 /* as it is, with an alarm */
	BEGIN,	 /* begin to leave */
	GO_ON,	 /* leaving: the next part when it is time */
	PAUSE,	 /* leaving, but nothing more is done: the reason is no longer certain */
	RESTORE, /* leaving, and wanted again */
	TELL,
	FORGET,
	TOLD, /* wait until the server does not list it any more */
};

/*
 * Everything that can become of a session that is owned. A server that fails, or says what nobody
 * understands, makes nothing begin and completes nothing that its own word began; what the operator
 * or the policy began needs no server.
 */
/* clang-format off */
static const enum course courses[N_STAGES][N_SAYS] = {
				  /* WANT     GONE    FORBID  WAIT    REFUSE  HOLD    NOTHING */
	[STAGE_ACTIVE]		= { KEEP,    BEGIN,  BEGIN,  STAY,   STAY,   STAY,   STAY   },
	[STAGE_DELETED]		= { BEGIN,   BEGIN,  BEGIN,  BEGIN,  BEGIN,  BEGIN,  BEGIN  },
	[STAGE_LEFT_BY_PEER]	= { RESTORE, GO_ON,  GO_ON,  PAUSE,  PAUSE,  PAUSE,  PAUSE  },
	[STAGE_LEFT_BY_POLICY]	= { RESTORE, GO_ON,  GO_ON,  GO_ON,  GO_ON,  GO_ON,  GO_ON  },
	[STAGE_LEFT_NEVER_UP]	= { RESTORE, GO_ON,  GO_ON,  GO_ON,  GO_ON,  GO_ON,  GO_ON  },
	[STAGE_LEFT_BY_OPERATOR]= { GO_ON,   GO_ON,  GO_ON,  GO_ON,  GO_ON,  GO_ON,  GO_ON  },
	[STAGE_UNTOLD]		= { TELL,    FORGET, TELL,   TELL,   TELL,   TELL,   TELL   },
	[STAGE_TOLD]		= { TOLD,    FORGET, TOLD,   TOLD,   TOLD,   TOLD,   TOLD   },
};
/* clang-format on */

static enum stage stage_of(const struct plan_input *in, const struct owned *o)
{
	switch (o->phase) {
	case PHASE_ACTIVE: return o->leaving == LEAVING_OPERATOR ? STAGE_DELETED : STAGE_ACTIVE;
	case PHASE_DRAINING:
	case PHASE_SHUT: break;
	case PHASE_GONE: return plan_must_tell(in, o) ? STAGE_UNTOLD : STAGE_TOLD;
	}
	switch (o->leaving) {
	case LEAVING_NOT:
	case LEAVING_PEER: break;
	case LEAVING_OPERATOR: return STAGE_LEFT_BY_OPERATOR;
	case LEAVING_POLICY: return STAGE_LEFT_BY_POLICY;
	case LEAVING_NEVER_UP: return STAGE_LEFT_NEVER_UP;
	}
	return STAGE_LEFT_BY_PEER;
}

static enum says says_of(const struct judgement *j)
{
	if (!j)
		return SAYS_NOTHING;
	switch (j->verdict) {
	case VERDICT_WANT: return SAYS_WANT;
	case VERDICT_GONE: return SAYS_GONE;
	case VERDICT_FORBID: return SAYS_FORBID;
	case VERDICT_WAIT: return SAYS_WAIT;
	case VERDICT_REFUSE: return SAYS_REFUSE;
	case VERDICT_HOLD: break;
	}
	return SAYS_HOLD;
}

/* ---- words ---- */

void plan_say(struct plan_step *step, enum plan_action action, const char *fmt, ...)
{
	va_list ap;

	step->action = action;
	va_start(ap, fmt);
	vsnprintf(step->text, sizeof(step->text), fmt, ap);
	va_end(ap);
}

static void also_say(struct plan_step *step, const char *text)
{
	size_t n = strlen(step->text);

	snprintf(step->text + n, sizeof(step->text) - n, "%s", text);
}

const char *plan_time(int64_t t, char buf[static PLAN_TIME_LEN])
{
	time_t when = t;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(buf, PLAN_TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(buf, PLAN_TIME_LEN, "-");
	return buf;
}

static void set_server(struct plan_step *step, const char *name)
{
	snprintf(step->server, sizeof(step->server), "%s", name);
}

static const char *owner(const struct plan_session *s)
{
	return jv_get_string(s->owned->mapping, "server", "");
}

static const char *why_leaving(enum leaving l)
{
	switch (l) {
	case LEAVING_PEER: return "its server took it away";
	case LEAVING_OPERATOR: return "the operator deleted it";
	case LEAVING_POLICY: return "local policy does not allow it";
	case LEAVING_NEVER_UP: return "it was never established within its time window";
	case LEAVING_NOT: break;
	}
	return "nobody knows why";
}

/* Why nothing certain is known of an owned session. */
static void describe_doubt(const struct plan_input *in, const struct plan_session *s, char *buf,
			   size_t size)
{
	if (s->judgement)
		snprintf(buf, size, "%s%s",
			 s->judgement->verdict == VERDICT_WAIT ? "it was approved before, but now "
							       : "",
			 s->judgement->reason);
	else if (settings_server(in->settings, owner(s)))
		snprintf(buf, size, "server %s was not asked, or gave no answer that can be used",
			 owner(s));
	else
		snprintf(buf, size,
			 "server %s is not configured any more: configure it again, or delete the "
			 "session",
			 owner(s));
}

/* ---- courses ---- */

static bool has_passed(int64_t since, int64_t seconds, int64_t now)
{
	return now >= since && now - since >= seconds;
}

static void remove_now(const struct plan_input *in, const struct plan_session *s, enum leaving why,
		       const char *how, struct plan_decision *d)
{
	bool was_own_wish = why == LEAVING_OPERATOR || why == LEAVING_NEVER_UP;

	plan_say(&d->step, PLAN_REMOVE, "%s: %s", why_leaving(why), how);
	/* Without a mark the next listing, which may still have it, would bring it back. */
	d->leaves_mark = was_own_wish && says_of(s->judgement) != SAYS_GONE;
	d->tell = d->leaves_mark && plan_can_tell(in, s->owned);
	if (d->leaves_mark && !d->tell)
		also_say(&d->step, "; its server cannot be told, ask its operator");
	if (!jv_get_string(s->owned->mapping, "daemon", NULL) &&
	    strcmp(jv_get_string(s->owned->mapping, "mode", ""), "off")) {
		also_say(&d->step,
			 "; its BGP daemon is not configured from here: take the neighbor "
			 "out there as well, or it goes on in clear text");
		d->step.is_alarm = true;
	}
}

static void begin(const struct plan_input *in, const struct plan_session *s, enum leaving why,
		  struct plan_decision *d)
{
	const char *reason = why == LEAVING_PEER || why == LEAVING_POLICY ? s->judgement->reason
									  : why_leaving(why);

	d->step.leaving = why;
	d->is_counted = why != LEAVING_OPERATOR;
	if (s->is_up && s->daemon_runs && in->settings->drain_time)
		plan_say(&d->step, PLAN_DRAIN, "%s: graceful shutdown for %u s", reason,
			 in->settings->drain_time);
	else
		remove_now(in, s, why,
			   s->is_up ? "taken out at once" : "it is not up, taken out at once", d);
	if (d->step.action == PLAN_REMOVE && why != LEAVING_OPERATOR && why != LEAVING_NEVER_UP) {
		also_say(&d->step, "; ");
		also_say(&d->step, reason);
	}
}

static void go_on(const struct plan_input *in, const struct plan_session *s,
		  struct plan_decision *d)
{
	const struct owned *o = s->owned;
	int64_t drain = in->settings->drain_time;
	char since[PLAN_TIME_LEN], until[PLAN_TIME_LEN], how[80];

	d->step.leaving = o->leaving;
	plan_time(o->since, since);
	if (o->phase == PHASE_DRAINING && !has_passed(o->since, drain, in->now)) {
		plan_say(&d->step, PLAN_WAITING, "%s: drains until %s", why_leaving(o->leaving),
			 plan_time(o->since + drain, until));
		return;
	}
	snprintf(how, sizeof(how), "drained since %s, taken out", since);
	remove_now(in, s, o->leaving, how, d);
}

static void pause_leaving(const struct plan_input *in, const struct plan_session *s,
			  struct plan_decision *d)
{
	char doubt[400], since[PLAN_TIME_LEN];

	describe_doubt(in, s, doubt, sizeof(doubt));
	plan_say(&d->step, PLAN_HELD, "drains since %s and is not taken out: %s",
		 plan_time(s->owned->since, since), doubt);
	d->step.is_alarm = true;
	d->step.leaving = s->owned->leaving;
}

/* Our own request, never established, nobody holds it, and we would know. A window of no time is
 * none. */
static bool is_garbage(const struct plan_input *in, const struct plan_session *s)
{
	const struct owned *o = s->owned;
	int64_t window = o->time_window > 0 ? o->time_window : in->settings->time_window;

	return o->was_asked && !o->is_held && !o->established && !s->is_up && s->can_know &&
	       o->created <= in->now && in->now - o->created > window;
}

static void keep(const struct plan_input *in, const struct plan_session *s, struct plan_decision *d)
{
	if (is_garbage(in, s)) {
		begin(in, s, LEAVING_NEVER_UP, d);
		return;
	}
	d->is_step = !mapping_equal(s->owned->mapping, s->judgement->mapping);
	if (!d->is_step)
		return;
	/* which may be another one, that takes it over */
	set_server(&d->step, s->judgement->server->name);
	plan_say(&d->step, PLAN_CHANGE, "%s", "");
	mapping_difference(s->owned->mapping, s->judgement->mapping, d->step.text,
			   sizeof(d->step.text));
}

static void add(const struct plan_session *s, struct plan_decision *d)
{
	const struct jv *m = s->judgement->mapping;
	const char *daemon = jv_get_string(m, "daemon", NULL);

	set_server(&d->step, s->judgement->server->name);
	if (s->foreign) {
		plan_say(&d->step, PLAN_REFUSED,
			 "server %s approved it, but %s has a neighbor of that address that was "
			 "not made by botls-provision (%s): take it out there, or delete it at %s",
			 s->judgement->server->name, s->foreign_at, s->foreign->state,
			 s->judgement->server->name);
		d->step.is_alarm = true;
		return;
	}
	plan_say(&d->step, PLAN_ADD, "%s, mode %s, %s%s%s%s%s", jv_get_string(m, "description", ""),
		 jv_get_string(m, "mode", ""), daemon ? "daemon " : "no daemon",
		 daemon ? daemon : "", s->stray_at ? "; adopted, " : "",
		 s->stray_at ? s->stray_at : "", s->stray_at ? " has it already" : "");
}

/* The listing at hand may be from before the server was told. */
static void told(const struct plan_input *in, const struct plan_session *s, struct plan_decision *d)
{
	enum says says = says_of(s->judgement);
	char since[PLAN_TIME_LEN];

	plan_time(s->owned->since, since);
	if (says == SAYS_WANT && plan_is_new_session(s->owned, s->judgement)) {
		if (s->owned->since < in->now)
			add(s, d);
		else
			plan_say(&d->step, PLAN_WAITING,
				 "a new session; the last one was taken away just now");
		return;
	}
	if (says == SAYS_NOTHING || says == SAYS_HOLD) {
		d->is_step = has_passed(
			s->owned->since,
			settings_server(in->settings, owner(s)) ? PLAN_TOLD_KEEP : 1, in->now);
		plan_say(&d->step, PLAN_FORGET, "gone here since %s, and %s says nothing of it",
			 since, owner(s));
		return;
	}
	plan_say(&d->step, PLAN_WAITING, "gone here since %s (%s), but %s still lists it", since,
		 why_leaving(s->owned->leaving), owner(s));
}

static void tell(const struct plan_session *s, struct plan_decision *d)
{
	plan_say(&d->step, PLAN_TELL, "%s: DELETE at %s", why_leaving(s->owned->leaving), owner(s));
	d->step.leaving = s->owned->leaving;
}

static void decide_owned(const struct plan_input *in, const struct plan_session *s,
			 struct plan_decision *d)
{
	enum stage stage = stage_of(in, s->owned);
	enum says says = says_of(s->judgement);
	char doubt[400];

	switch (courses[stage][says]) {
	case KEEP: keep(in, s, d); break;
	case STAY:
		describe_doubt(in, s, doubt, sizeof(doubt));
		plan_say(&d->step, PLAN_HELD, "stays as it is: %s", doubt);
		d->step.is_alarm = true;
		break;
	case BEGIN:
		begin(in, s,
		      stage == STAGE_DELETED ? LEAVING_OPERATOR
		      : says == SAYS_GONE    ? LEAVING_PEER
					     : LEAVING_POLICY,
		      d);
		break;
	case GO_ON: go_on(in, s, d); break;
	case PAUSE: pause_leaving(in, s, d); break;
	case RESTORE:
		plan_say(&d->step, PLAN_RESTORE, "was leaving (%s), and %s approves it again",
			 why_leaving(s->owned->leaving), s->judgement->server->name);
		set_server(&d->step, s->judgement->server->name);
		break;
	case TELL: tell(s, d); break;
	case FORGET:
		plan_say(&d->step, PLAN_FORGET, "gone here, and at %s: %s", owner(s),
			 s->judgement->reason);
		break;
	case TOLD: told(in, s, d); break;
	}
}

/* ---- what is not owned ---- */

/* Words for what is not configured. false: there is nothing to say. */
static bool report(const struct judgement *j, struct plan_step *step)
{
	switch (j->verdict) {
	case VERDICT_GONE: return false;
	case VERDICT_WAIT: plan_say(step, PLAN_WAITING, "not configured: %s", j->reason); break;
	case VERDICT_FORBID:
		plan_say(step, PLAN_REFUSED, "not configured: %s", j->reason);
		step->is_alarm = !j->is_extra;
		break;
	case VERDICT_REFUSE:
	case VERDICT_HOLD:
		plan_say(step, PLAN_REFUSED, "not configured: %s", j->reason);
		step->is_alarm = true;
		break;
	case VERDICT_WANT: return false; /* decided elsewhere */
	}
	return true;
}

static void decide_stray(const struct plan_input *in, const struct plan_session *s,
			 struct plan_decision *d)
{
	enum says says = says_of(s->judgement);
	bool is_unwanted = says == SAYS_GONE || says == SAYS_FORBID;

	d->is_stray = true;
	d->may_go = is_unwanted || in->is_forced;
	d->is_counted = true;
	d->step.leaving = says == SAYS_GONE	? LEAVING_PEER
			  : says == SAYS_FORBID ? LEAVING_POLICY
						: LEAVING_OPERATOR;
	if (is_unwanted)
		plan_say(&d->step, PLAN_REMOVE, "%s has it although the state does not know it: %s",
			 s->stray_at, s->judgement->reason);
	else if (in->is_forced)
		plan_say(&d->step, PLAN_REMOVE, "%s has it although the state does not know it",
			 s->stray_at);
	else
		plan_say(&d->step, PLAN_HELD,
			 "%s has it from the file of botls-provision although the state does not "
			 "know it: nothing is changed, because it would be taken away. Put back a "
			 "good state.json, move the neighbor to a file of your own, or let it go "
			 "with --force",
			 s->stray_at);
	d->step.is_alarm = true;
}

void plan_decide(const struct plan_input *in, const struct plan_session *s,
		 struct plan_decision *ret)
{
	bool is_wanted = s->judgement && s->judgement->verdict == VERDICT_WANT;

	*ret = (struct plan_decision){.is_step = true, .step.action = PLAN_WAITING};
	snprintf(ret->step.neighbor, sizeof(ret->step.neighbor), "%s", s->neighbor);
	set_server(&ret->step, s->owned	      ? owner(s)
			       : s->judgement ? s->judgement->server->name
					      : "");
	if (s->owned) {
		decide_owned(in, s, ret);
		return;
	}
	if (is_wanted)
		add(s, ret);
	else
		ret->is_step = s->judgement && report(s->judgement, &ret->step);
	if (s->stray_at && ret->step.action != PLAN_ADD) {
		ret->is_step = true;
		decide_stray(in, s, ret);
	}
}

bool plan_report_other(const struct plan_session *s, const struct judgement *j,
		       struct plan_step *ret)
{
	const char *by;

	*ret = (struct plan_step){};
	snprintf(ret->neighbor, sizeof(ret->neighbor), "%s", s->neighbor);
	set_server(ret, j->server->name);
	if (j->verdict != VERDICT_WANT)
		return report(j, ret);
	if (s->owned && s->owned->phase == PHASE_GONE) {
		plan_say(ret, PLAN_WAITING,
			 "not configured: another session is gone only just, or takes its place");
		return true;
	}
	/* of several that nobody owns one that is wanted is the one that counts */
	by = s->owned ? owner(s) : s->judgement->server->name;
	if (strcmp(by, j->server->name))
		plan_say(
			ret, PLAN_REFUSED,
			"server %s approved it too, but it is configured from server %s: delete it "
			"at one of them",
			j->server->name, by);
	else
		plan_say(ret, PLAN_REFUSED,
			 "server %s has a second session with this neighbor (%s): delete one of "
			 "them there",
			 by, j->record.session_id);
	ret->is_alarm = true;
	return true;
}

/* ---- what will be owned ---- */

static int copy_with_mapping(const struct owned *o, const struct jv *mapping, struct owned *ret)
{
	struct owned with = *o;

	with.mapping = (struct jv *)mapping; /* only copied from */
	return owned_copy(&with, ret);
}

static int new_owned(const struct plan_input *in, const struct plan_session *s, struct owned *ret)
{
	const struct owned o = {.since = in->now,
				.created = in->now,
				.time_window = s->judgement->record.time_window,
				.was_asked = !s->judgement->is_extra};

	return copy_with_mapping(&o, s->judgement->mapping, ret);
}

static void set_phase(struct owned *o, enum phase phase, enum leaving leaving, bool is_told,
		      int64_t now)
{
	o->phase = phase;
	o->leaving = leaving;
	o->tell = is_told;
	o->since = now;
}

static int after_step(const struct plan_input *in, const struct plan_session *s,
		      const struct plan_decision *d, struct owned *ret)
{
	const struct plan_step *step = &d->step;
	int r;

	switch (step->action) {
	case PLAN_ADD: return new_owned(in, s, ret);
	case PLAN_CHANGE: return copy_with_mapping(s->owned, s->judgement->mapping, ret);
	case PLAN_RESTORE:
		r = copy_with_mapping(s->owned, s->judgement->mapping, ret);
		if (r < 0)
			return r;
		set_phase(ret, PHASE_ACTIVE, LEAVING_NOT, false, in->now);
		/* its time window begins anew, or it would leave again at once */
		if (!ret->established)
			ret->created = in->now;
		return 0;
	case PLAN_DRAIN:
		r = owned_copy(s->owned, ret);
		if (!r)
			set_phase(ret, PHASE_DRAINING, step->leaving,
				  step->leaving == LEAVING_OPERATOR, in->now);
		return r;
	case PLAN_REMOVE:
		if (!s->owned || !d->leaves_mark)
			return 0;
		r = owned_copy(s->owned, ret);
		if (!r)
			set_phase(ret, PHASE_GONE, step->leaving, d->tell, in->now);
		return r;
	case PLAN_FORGET: return 0;
	case PLAN_TELL:
	case PLAN_LOAD:
	case PLAN_WAITING:
	case PLAN_HELD:
	case PLAN_REFUSED:
	case PLAN_BLOCKED: break;
	}
	return s->owned ? owned_copy(s->owned, ret) : 0;
}

int plan_after(const struct plan_input *in, const struct plan_session *s,
	       const struct plan_decision *d, struct owned *ret)
{
	const struct plan_decision nothing = {.step.action = PLAN_WAITING};
	int r;

	*ret = (struct owned){};
	r = after_step(in, s, d->is_step ? d : &nothing, ret);
	if (r < 0 || !ret->mapping || ret->phase == PHASE_GONE)
		return r;
	if (s->is_up && !ret->established)
		ret->established = in->now;
	if (s->judgement && s->judgement->verdict == VERDICT_WANT &&
	    s->judgement->record.time_window >= 0)
		ret->time_window = s->judgement->record.time_window;
	return 0;
}
