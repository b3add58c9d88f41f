// SPDX-License-Identifier: Apache-2.0
#include "handover.h"

#include "conf.h"
#include "handover_channel.h"
#include "log.h"
#include "secret.h"
#include "session.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

/* In one message. */
#define NUMBERS_MAX (HANDOVER_MESSAGE_MAX / 16)

struct give {
	struct loop *loop;
	const struct give_ops *ops;
	void *host;
	unsigned worker;
	struct channel *channel;
	struct timer *thaw;
	bool has_begun, is_alone, is_ended;
	bool is_greeted; /* a HELLO came before we knew that control is gone */
	uint64_t drain_until;
	int64_t began; /* seconds since the epoch */

	/* how far the present round is */
	unsigned round;
	size_t counters_at, at;
	size_t asked_at; /* the neighbor of the session that was told of last, */
	uint64_t asked;	 /* and its number; 0: none */
	bool is_offered; /* it is frozen, and waits for READY */
	uint64_t offer;	 /* the last one's number */
};

static void answer(struct give *g, uint32_t type, struct fields_out *body)
{
	if (channel_send(g->channel, type, body, NULL, 0) < 0)
		log_warning("the successor of this worker cannot be answered: out of memory");
}

static struct session *asked_session(const struct give *g)
{
	struct neighbor *n = g->asked ? g->ops->neighbor(g->host, g->asked_at) : NULL;

	return n ? neighbor_session(n, g->asked) : NULL;
}

static void thaw(struct session *s)
{
	if (session_thaw(s) < 0)
		session_close(s, "out of memory");
}

/* What is offered goes on here. */
static void withdraw(struct give *g)
{
	struct session *s = g->is_offered ? asked_session(g) : NULL;

	timer_stop(g->thaw);
	g->is_offered = false;
	if (s)
		thaw(s);
}

static void on_thaw(void *arg)
{
	struct give *g = arg;

	log_warning("the successor of this worker does not answer: the session goes on here");
	withdraw(g);
}

/* --- what is asked for */

static void put_config(const struct config *config, struct fields_out *o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		o->error = -ENOMEM;
		return;
	}
	config_print(config, f);
	if (fclose(f) < 0)
		o->error = -ENOMEM;
	else if (len <= CONF_BYTES_MAX) /* else nobody would read it */
		fields_put(o, "config", text, len);
	if (text)
		explicit_bzero(text, len);
	free(text);
}

static void on_hello(struct give *g)
{
	const struct config *config = g->ops->config(g->host);
	struct fields_out o = {};

	withdraw(g);
	channel_drop(g->channel);
	g->round++;
	g->counters_at = g->at = 0;
	g->asked = 0;
	g->is_ended = false;
	fields_put_number(&o, "version", HANDOVER_VERSION);
	fields_put_number(&o, "worker", g->worker);
	fields_put_number(&o, "process", getpid());
	fields_put_number(&o, "last-session", g->ops->last_session(g->host));
	if (config)
		put_config(config, &o);
	answer(g, HANDOVER_WELCOME, &o);
}

/* False: all neighbors have been told of. */
static bool tell_counters(struct give *g)
{
	struct neighbor *n = g->ops->neighbor(g->host, g->counters_at);
	struct fields_out o = {};

	if (!n)
		return false;
	g->counters_at++;
	fields_put_text(&o, "neighbor", neighbor_name(n));
	neighbor_export_counters(n, &o);
	answer(g, HANDOVER_COUNTERS, &o);
	/* They are the successor's now: another one may ask both of us. */
	neighbor_forget_counters(n);
	return true;
}

static void tell_stays(struct give *g, const struct neighbor *n, const char *why)
{
	struct session *s = asked_session(g); /* NULL: that was its end */
	struct fields_out o = {};

	fields_put_text(&o, "neighbor", neighbor_name(n));
	fields_put_text(&o, "why", why);
	if (s)
		session_describe(s, &o);
	answer(g, HANDOVER_STAYS, &o);
}

/* 0, or why it has to stay after all. */
static int offer(struct give *g, struct session *s)
{
	struct fields_out o = {};
	int fds[2], r;

	r = session_freeze(s);
	if (r < 0)
		return r;
	r = session_export(s, &o);
	fields_put_number(&o, "offer", ++g->offer);
	session_get_fds(s, &fds[0], &fds[1]);
	if (r == 0)
		r = timer_set_ms(g->thaw, HANDOVER_FREEZE_MS);
	if (r == 0)
		r = channel_send(g->channel, HANDOVER_SESSION, &o, fds, ARRAY_SIZE(fds));
	fields_out_done(&o);
	if (r < 0) {
		timer_stop(g->thaw);
		thaw(s);
		return r;
	}
	g->is_offered = true;
	return 0;
}

static void tell_end(struct give *g)
{
	uint64_t now = loop_now_ms();
	struct fields_out o = {};

	g->is_ended = true;
	fields_put_number(&o, "drain-ms", g->drain_until > now ? g->drain_until - now : 0);
	fields_put_number(&o, "draining-since", g->began);
	answer(g, HANDOVER_END, &o);
}

static void on_next(struct give *g)
{
	struct neighbor *n;

	if (g->is_offered || tell_counters(g))
		return;
	for (; (n = g->ops->neighbor(g->host, g->at)); g->at++) {
		struct session *s = neighbor_next_session(n, g->round);
		const char *why = s ? session_stays(s) : NULL;
		int r;

		if (!s)
			continue;
		g->asked_at = g->at;
		g->asked = session_id(s);
		r = why ? -EBUSY : offer(g, s);
		if (r == 0)
			return;
		tell_stays(g, n, why ? why : r == -EBUSY ? "it is ending" : strerror(-r));
		return;
	}
	g->asked = 0;
	tell_end(g);
}

static void on_ready(struct give *g, struct fields_in *f)
{
	uint64_t offer = fields_number_or(f, "offer", UINT64_MAX, 0);
	struct session *s = g->is_offered && offer == g->offer ? asked_session(g) : NULL;
	struct fields_out o = {};

	fields_put_number(&o, "offer", offer);
	if (!s) {
		answer(g, HANDOVER_STOP, &o);
		return;
	}
	if (channel_send(g->channel, HANDOVER_GO, &o, NULL, 0) < 0) {
		withdraw(g);
		return;
	}
	timer_stop(g->thaw);
	g->is_offered = false;
	neighbor_leave(g->ops->neighbor(g->host, g->asked_at), s);
	g->ops->on_moved(g->host);
}

static void on_refuse(struct give *g, struct fields_in *f)
{
	bool has_to_end = fields_number_or(f, "end", 1, 0);
	struct session *s = asked_session(g);
	char why[128];

	fields_text(f, "why", why, sizeof(why));
	withdraw(g);
	if (s && has_to_end)
		session_close(s, why);
}

static void on_message(void *arg, struct channel_message *m)
{
	struct give *g = arg;

	/* Only a successor asks; it may be quicker than what tells us that control is gone. */
	if (!g->has_begun) {
		g->is_greeted = m->type == HANDOVER_HELLO;
		return;
	}
	switch (m->type) {
	case HANDOVER_HELLO: on_hello(g); break;
	case HANDOVER_NEXT: on_next(g); break;
	case HANDOVER_READY: on_ready(g, &m->f); break;
	case HANDOVER_REFUSE: on_refuse(g, &m->f); break;
	default: break;
	}
}

static void on_gone(void *arg, int error)
{
	struct give *g = arg;

	(void)error;
	g->is_alone = true;
	withdraw(g);
	if (g->has_begun)
		g->ops->on_alone(g->host);
}

static size_t max_of(uint32_t type)
{
	(void)type;
	return HANDOVER_MESSAGE_MAX;
}

static const struct channel_callbacks callbacks = {
	.on_message = on_message, .on_gone = on_gone, .max_of = max_of};

/* --- life */

int give_new(struct loop *loop, int fd, unsigned worker, const struct give_ops *ops, void *host,
	     struct give **ret)
{
	struct give *g = calloc(1, sizeof(*g));
	int r;

	if (!g) {
		close(fd);
		return -ENOMEM;
	}
	g->loop = loop;
	g->ops = ops;
	g->host = host;
	g->worker = worker;
	r = channel_new(loop, fd, &callbacks, g, &g->channel);
	if (r == 0)
		r = timer_new(loop, on_thaw, g, &g->thaw);
	if (r < 0) {
		give_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

void give_begin(struct give *g, uint64_t drain_ms)
{
	g->has_begun = true;
	g->drain_until = loop_now_ms() + drain_ms;
	g->began = time(NULL);
	if (g->is_greeted)
		on_hello(g);
}

void give_free(struct give *g)
{
	if (!g)
		return;
	if (g->channel)
		withdraw(g);
	channel_free(g->channel);
	timer_free(g->thaw);
	free(g);
}

bool give_is_alone(const struct give *g)
{
	return g->is_alone;
}

bool give_has_told_all(const struct give *g)
{
	return g->is_ended;
}

/* Which they are: in network order, since both ends may be of different builds. */
static void put_numbers(struct give *g, size_t max, struct fields_out *o)
{
	_cleanup_free_ uint64_t *ids = calloc(max + 1, sizeof(*ids));
	struct neighbor *n;
	size_t count = 0;

	if (!ids)
		return;
	for (size_t i = 0; (n = g->ops->neighbor(g->host, i)); i++)
		count += neighbor_session_ids(n, ids + count, max - count);
	for (size_t i = 0; i < count; i++)
		ids[i] = htobe64(ids[i]);
	fields_put(o, "sessions", ids, count * sizeof(*ids));
}

void give_tell_left(struct give *g, size_t n)
{
	struct fields_out o = {};

	if (!g->is_ended)
		return;
	fields_put_number(&o, "left", n);
	if (n <= NUMBERS_MAX)
		put_numbers(g, n, &o);
	answer(g, HANDOVER_LEFT, &o);
}
