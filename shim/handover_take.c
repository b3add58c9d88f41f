// SPDX-License-Identifier: Apache-2.0
#include "handover.h"

#include "conf.h"
#include "handover_channel.h"
#include "handover_stay.h"
#include "log.h"
#include "loop.h"
#include "plan.h"
#include "secret.h"
#include "session.h"

#include <errno.h>
#include <time.h>

struct take {
	const struct take_ops *ops;
	void *host;
	struct channel *channel;
	struct config *config; /* the old worker's; NULL: it is not known */
	bool *resets;	       /* by neighbor of ours: its settings have changed; NULL: none has */
	bool is_welcome, is_done, is_stopping;
	bool is_again; /* a reload came after the first round, */
	bool is_stale; /* or in the middle of one */
	/* Sessions keep the numbers that are not ours already, and that the old worker had given.
	 */
	uint64_t number_floor, number_max;

	struct session *session; /* made, and waits for GO */
	uint64_t offer;		 /* its number there, */
	uint64_t id;		 /* and the one that it has as a session */
	char neighbor[ADDR_STRLEN];
	struct neighbor *made_for;
	struct take_counts counts;
	struct log_limit log_limit;

	/* What stays: of the last round that was whole, and of the present one. */
	struct stays stays, told;
	struct stays_place place;
	/* Neighbors whose sessions are to end, until a round has been whole. */
	char (*unwanted)[ADDR_STRLEN];
	size_t n_unwanted;
};

#define RESET_WHY "reset by the operator"

/* A line that the other worker, who may have been taken over, can cause at will. */
static bool may_log(struct take *t)
{
	uint32_t held_back;

	return log_limit_pass(&t->log_limit, loop_now_ms(), &held_back);
}

static void ask(struct take *t, enum handover_type type, struct fields_out *body)
{
	if (channel_send(t->channel, type, body, NULL, 0) < 0 && may_log(t))
		log_error("the worker before cannot be asked for its sessions: out of memory");
}

static void ask_next(struct take *t)
{
	if (t->is_stopping)
		t->ops->on_gone(t->host);
	else
		ask(t, HANDOVER_NEXT, NULL);
}

static void say_ready(struct take *t)
{
	struct fields_out o = {};

	fields_put_number(&o, "offer", t->offer);
	ask(t, HANDOVER_READY, &o);
}

/* --- may a session live on under our configuration? */

/* What a reload to this configuration would have done to the sessions. */
static void compare(struct take *t)
{
	const struct config *config = t->ops->config(t->host);
	struct plan *plan;

	free(TAKE(t->resets));
	if (!t->config || !config || plan_make(t->config, config, time(NULL), &plan) < 0)
		return;
	t->resets = calloc(config->n_neighbors + 1, sizeof(*t->resets));
	for (size_t i = 0; t->resets && i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];

		if (item->after)
			t->resets[item->after - config->neighbors] =
				item->resets && !item->replaces_key;
	}
	plan_free(plan);
}

static int say_hello(struct take *t)
{
	struct fields_out o = {};

	channel_limit_work(t->channel, HANDOVER_WORK_MS);
	fields_put_number(&o, "version", HANDOVER_VERSION);
	return channel_send(t->channel, HANDOVER_HELLO, &o, NULL, 0);
}

/* What had stayed may have to end now: all that is left is told of once more. */
static void begin_again(struct take *t)
{
	t->is_again = true;
	t->is_stale = t->is_welcome = t->is_done = false;
	t->counts.stayed = 0;
	stays_done(&t->told);
	if (say_hello(t) < 0 && may_log(t))
		log_error("the worker before cannot be asked for its sessions: out of memory");
}

void take_renew(struct take *t)
{
	compare(t);
	if (!t->is_done)
		t->is_stale = t->is_welcome;
	else if (t->counts.left)
		begin_again(t);
}

/* NULL: it may. */
static const char *objection(const struct take *t, const char *name, struct neighbor **ret)
{
	const struct config *config = t->ops->config(t->host);
	struct neighbor *n = t->ops->neighbor(t->host, name);
	const struct neighbor_config *c = n ? neighbor_config(n) : NULL;

	if (!c)
		return "no longer configured";
	if (c->mode == MODE_OFF)
		return "mode is off";
	if (t->resets && t->resets[c - config->neighbors])
		return "its configuration changed";
	if (t->config && t->config->steering != config->steering)
		return "the option steering changed";
	*ret = n;
	return NULL;
}

static bool is_reset(const struct take *t, const char *name)
{
	for (size_t i = 0; i < t->n_unwanted; i++)
		if (strcmp(t->unwanted[i], name) == 0)
			return true;
	return false;
}

/* The same of one that is still the old worker's. */
static const char *why_end(const struct take *t, const char *name, struct neighbor **ret)
{
	const char *why = objection(t, name, ret);

	return why || !is_reset(t, name) ? why : RESET_WHY;
}

static int add_reset(struct take *t, const char *name)
{
	void *all;

	if (is_reset(t, name))
		return 0;
	all = reallocarray(t->unwanted, t->n_unwanted + 1, sizeof(*t->unwanted));
	if (!all)
		return -ENOMEM;
	t->unwanted = all;
	snprintf(t->unwanted[t->n_unwanted++], sizeof(*t->unwanted), "%s", name);
	return 0;
}

/* Nothing new is needed for it, so that it reaches an old worker of any version: what is told of in
 * a round can be ended. */
size_t take_reset(struct take *t, const char *neighbor)
{
	size_t n = stays_count(t->is_done || t->is_again ? &t->stays : &t->told, neighbor);

	if ((t->is_done && !n) || add_reset(t, neighbor) < 0)
		return 0;
	if (t->is_done)
		begin_again(t);
	else
		t->is_stale = t->is_welcome;
	return n;
}

int take_add_status(const struct take *t, struct jv *status)
{
	return stays_add_status(&t->stays, &t->place, status);
}

/* --- what the old worker says */

/* An option that we do not know, or no longer take, only means that we cannot compare. */
static void read_config(struct take *t, const uint8_t *data, size_t len)
{
	if (data && config_load_printed((const char *)data, len, &t->config) < 0)
		log_debug("the configuration of the worker before cannot be read");
	compare(t);
}

static void on_welcome(struct take *t, struct fields_in *f)
{
	uint64_t *last = t->ops->last_session(t->host);
	size_t len;
	const uint8_t *config = fields_bytes(f, "config", CONF_BYTES_MAX, &len);

	if (t->is_welcome)
		return; /* an answer to somebody who asked before us, and died */
	t->is_welcome = true;
	t->place.worker = fields_number_or(f, "worker", UINT16_MAX, 0);
	t->place.process = fields_number_or(f, "process", INT32_MAX, 0);
	if (t->is_again) {
		ask(t, HANDOVER_NEXT, NULL);
		return;
	}
	t->number_floor = *last;
	t->number_max = fields_number(f, "last-session", UINT64_MAX / 2);
	if (*last < t->number_max)
		*last = t->number_max;
	read_config(t, config, len);
	ask(t, HANDOVER_NEXT, NULL);
}

static void on_counters(struct take *t, struct fields_in *f)
{
	char name[ADDR_STRLEN];
	struct neighbor *n;

	fields_text(f, "neighbor", name, sizeof(name));
	n = t->ops->neighbor(t->host, name);
	/* An older version tells the same ones in each round. */
	if (n && !t->is_again)
		neighbor_import_counters(n, f);
	ask(t, HANDOVER_NEXT, NULL);
}

/* It goes on with the old worker, which was given its time by a configuration like ours. */
static void note_stay(struct take *t, const char *name, struct stay *s)
{
	struct neighbor *n = t->ops->neighbor(t->host, name);

	stays_add(&t->told, s);
	t->counts.stayed++;
	if (n)
		neighbor_is_elsewhere(n, t->ops->config(t->host)->drain_time * 1000ULL);
}

static void refuse(struct take *t, const struct fields_in *f, bool has_to_end, const char *why)
{
	struct fields_out o = {};

	if (has_to_end)
		t->counts.ended++;
	else
		note_stay(t, t->neighbor, stay_read(f, t->id, t->neighbor, why));
	fields_put_number(&o, "end", has_to_end);
	fields_put_text(&o, "why", why);
	ask(t, HANDOVER_REFUSE, &o);
	ask(t, HANDOVER_NEXT, NULL);
}

static void on_stays(struct take *t, struct fields_in *f)
{
	char name[ADDR_STRLEN], why[128];
	const char *against;
	struct neighbor *n;

	fields_text(f, "neighbor", name, sizeof(name));
	fields_text(f, "why", why, sizeof(why));
	against = why_end(t, name, &n);
	if (against) {
		refuse(t, f, true, against);
		return;
	}
	note_stay(t, name, stay_read(f, fields_number_or(f, "id", UINT64_MAX, 0), name, why));
	if (!t->is_again && may_log(t))
		log_info("neighbor %s: a session stays with the worker before: %s", name, why);
	ask(t, HANDOVER_NEXT, NULL);
}

static uint64_t number_of(struct take *t, uint64_t id)
{
	return id > t->number_floor && id <= t->number_max ? id : ++*t->ops->last_session(t->host);
}

static void on_session(struct take *t, struct channel_message *m)
{
	const char *against, *field;
	struct neighbor *n;
	uint64_t offer;
	char why[96];
	int r;

	fields_text(&m->f, "neighbor", t->neighbor, sizeof(t->neighbor));
	t->id = fields_number(&m->f, "id", UINT64_MAX);
	offer = fields_number(&m->f, "offer", UINT64_MAX);
	if (t->session || m->n_fds != 2 || fields_error(&m->f, NULL) < 0) {
		refuse(t, &m->f, false, "the description is not whole");
		return;
	}
	against = why_end(t, t->neighbor, &n);
	if (against) {
		refuse(t, &m->f, true, against);
		return;
	}
	r = neighbor_import(n, number_of(t, t->id), &m->f, TAKE_FD(m->fds[0]), TAKE_FD(m->fds[1]),
			    &t->session);
	if (r == 0) {
		t->offer = offer;
		t->made_for = n;
		say_ready(t);
		return;
	}
	if (fields_error(&m->f, &field) < 0)
		snprintf(why, sizeof(why), "%s: %s", field, strerror(-r));
	else
		snprintf(why, sizeof(why), "%s", strerror(-r));
	if (may_log(t))
		log_warning("neighbor %s: a session of the worker before cannot be taken over (%s)",
			    t->neighbor, why);
	refuse(t, &m->f, r == -EPERM, why);
}

/* Of what is in our hands? */
static bool is_meant(const struct take *t, struct fields_in *f)
{
	return t->session && fields_number(f, "offer", UINT64_MAX) == t->offer &&
	       fields_error(f, NULL) == 0;
}

/* The old worker has let go of it. A reload since then may object, or have taken the neighbor away
 * and made another one of that name. */
static void on_go(struct take *t)
{
	uint64_t id = session_id(t->session);
	struct neighbor *n;
	struct session *s;

	if (!objection(t, t->neighbor, &n) && n == t->made_for) {
		neighbor_take(n, TAKE(t->session));
		t->counts.moved++;
		s = is_reset(t, t->neighbor) ? neighbor_session(n, id) : NULL;
		if (s)
			session_close(s, RESET_WHY);
	} else {
		neighbor_discard(TAKE(t->session), true);
		t->counts.ended++;
	}
	ask_next(t);
}

/* The old worker said it in SESSION, which has gone: but there is what was made of it. */
static struct stay *stay_of_ours(struct take *t)
{
	struct fields_out o = {};
	struct fields_in f = {};
	struct stay *s = NULL;

	session_describe(t->session, &o);
	if (fields_out_error(&o) == 0 && fields_read(&f, o.data, o.len) == 0)
		s = stay_read(&f, t->id, t->neighbor, "it was not taken over in time");
	fields_out_done(&o);
	return s;
}

static void on_stop(struct take *t)
{
	struct stay *s = stay_of_ours(t);

	neighbor_discard(TAKE(t->session), false);
	note_stay(t, t->neighbor, s);
	ask_next(t);
}

static void on_end(struct take *t, struct fields_in *f)
{
	stays_done(&t->stays);
	t->stays = t->told;
	t->told = (struct stays){};
	/* With nothing left the old worker is about to end. */
	if (t->is_stale && t->counts.stayed) {
		begin_again(t);
		return;
	}
	t->n_unwanted = 0;
	t->counts.drain_ms = fields_number(f, "drain-ms", UINT64_MAX);
	t->counts.until = time(NULL) + t->counts.drain_ms / 1000;
	t->place.since = fields_number_or(f, "draining-since", INT64_MAX, 0);
	t->place.until = t->counts.until;
	t->counts.left = t->counts.stayed;
	t->is_done = true;
	t->ops->on_counts(t->host, &t->counts);
}

static void on_left(struct take *t, struct fields_in *f)
{
	size_t len;
	const uint8_t *numbers = fields_bytes(f, "sessions", HANDOVER_MESSAGE_MAX, &len);

	t->counts.left = fields_number_or(f, "left", UINT64_MAX, 0);
	/* An older version says only how many. */
	if (numbers || !t->counts.left)
		stays_keep(&t->stays, numbers, len);
	if (t->is_done)
		t->ops->on_counts(t->host, &t->counts);
}

static void on_message(void *arg, struct channel_message *m)
{
	struct take *t = arg;

	if (!t->is_welcome && m->type != HANDOVER_WELCOME)
		return;
	if ((m->type == HANDOVER_GO || m->type == HANDOVER_STOP) ? !is_meant(t, &m->f)
								 : t->is_stopping)
		return;
	switch (m->type) {
	case HANDOVER_WELCOME: on_welcome(t, &m->f); break;
	case HANDOVER_COUNTERS: on_counters(t, &m->f); break;
	case HANDOVER_SESSION: on_session(t, m); break;
	case HANDOVER_STAYS: on_stays(t, &m->f); break;
	case HANDOVER_GO: on_go(t); break;
	case HANDOVER_STOP: on_stop(t); break;
	case HANDOVER_END: on_end(t, &m->f); break;
	case HANDOVER_LEFT: on_left(t, &m->f); break;
	default: break;
	}
}

/* NULL: it has ended. */
static const char *broken_rule(int error)
{
	switch (-error) {
	case EMSGSIZE:
	case E2BIG: return "what it says of a session is longer than that can be";
	case EBADMSG: return "what it says cannot be read";
	case ETIME: return "what it says has kept this worker busy for a minute";
	case ENOMEM: return "out of memory";
	default: return NULL;
	}
}

static void on_gone(void *arg, int error)
{
	struct take *t = arg;
	const char *rule = broken_rule(error);

	if (rule)
		log_warning("the worker before is no longer listened to: %s", rule);
	else if (!t->is_done && !t->is_stopping)
		log_warning("the worker before ended while its sessions were taken over");
	/* Whether it had let go of it before it died nobody can tell, and two must not send under
	 * the same keys. */
	if (t->session)
		neighbor_discard(TAKE(t->session), false);
	if (!t->is_done)
		t->ops->on_counts(t->host, &t->counts);
	t->ops->on_gone(t->host);
}

/* Its configuration is in WELCOME. */
static size_t max_of(uint32_t type)
{
	return type == HANDOVER_WELCOME ? CONF_BYTES_MAX + HANDOVER_MESSAGE_MAX
					: HANDOVER_MESSAGE_MAX;
}

static const struct channel_callbacks callbacks = {
	.on_message = on_message, .on_gone = on_gone, .max_of = max_of};

/* --- life */

int take_new(struct loop *loop, int fd, const struct take_ops *ops, void *host, struct take **ret)
{
	struct take *t = calloc(1, sizeof(*t));
	int r;

	if (!t) {
		close(fd);
		return -ENOMEM;
	}
	t->ops = ops;
	t->host = host;
	r = channel_new(loop, fd, &callbacks, t, &t->channel);
	if (r == 0)
		r = say_hello(t);
	if (r < 0) {
		take_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void take_free(struct take *t)
{
	if (!t)
		return;
	if (t->session)
		neighbor_discard(t->session, false);
	channel_free(t->channel);
	config_free(t->config);
	stays_done(&t->stays);
	stays_done(&t->told);
	free(t->unwanted);
	free(t->resets);
	free(t);
}

bool take_stop(struct take *t)
{
	t->is_stopping = true;
	return !t->session;
}
