// SPDX-License-Identifier: Apache-2.0
/*
 * tcp-ao = capability, an experiment: the session begins as TLS without TCP-AO. What a daemon's
 * OPEN says to the neighbor gets one more capability, the neighbor's is taken out before the daemon
 * sees it, and when both have it TCP-AO begins in the running connection.
 *
 * The ends cannot do that at the same moment, and none can go back: from then on it neither hears
 * the other nor is heard, until the other follows. So an end goes first only when it knows that the
 * other will follow without hearing more of it:
 *
 *   1. both OPENs and both KEEPALIVEs have passed;
 *   2. what our daemon sent in answer is acknowledged: so the other end has received a segment that
 *      acknowledges its OPEN;
 *   3. a moment has passed in which acknowledgments leave.
 *
 * An end that has not come so far, because the other one was quicker than its acknowledgments or
 * the network lost them, goes on when it hears nothing for a while although it has sent something,
 * if it knows that its OPEN has arrived. What is left: a connection that breaks down, for longer
 * than that while, in the very round trip of the OPENs, after one end has learnt that and before
 * the other one has: it does not come back.
 *
 * Whether control can do it is asked before anything is announced.
 */
#include "session_capability.h"

#include "ao.h"
#include "transport.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

/* Labels that begin so are for private use (RFC 5705, section 4). */
#define EXPORTER_LABEL "EXPERIMENTAL-botls-tcp-ao-capability"

/* How long control may take to begin with what it is asked for. Later it does not begin any more,
 * which is certain a moment after that. */
#define ANSWER_MS      15000
#define ANSWER_LATE_MS 1000

#define GRACE_MS   250
#define SILENCE_MS 3000
/* With TCP-AO, and what we send is not acknowledged: the connection is dead. */
#define DEAD_MS 20000
/* The same at the end of a session, whose daemon was quicker to see it. */
#define DEAD_AT_END_MS 3000

/* K_1, and what stands for the initial sequence numbers of client and server. */
struct material {
	uint8_t secret[AO_DERIVED_LEN];
	uint8_t isn[2][4]; /* network byte order */
};
_Static_assert(AO_DERIVED_LEN == MESSAGE_AO_SECRET, "of one length");

const char *session_capability_name(enum session_capability c)
{
	switch (c) {
	case CAPABILITY_NONE: return "off";
	case CAPABILITY_UNAVAILABLE: return "unavailable";
	case CAPABILITY_WAITING: return "waiting";
	case CAPABILITY_NO_PEER: return "not-announced";
	case CAPABILITY_OTHER: return "different";
	case CAPABILITY_AGREED: return "agreed";
	case CAPABILITY_ON: return "on";
	case CAPABILITY_FAILED: return "failed";
	}
	return "?";
}

void capability_set_state(struct capability *c, enum session_capability state, const char *fmt, ...)
{
	va_list ap;

	c->state = state;
	c->since = time(NULL);
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

/* --- the moment
 * --------------------------------------------------------------------------------------------------------
 */

static bool derive(struct capability *c, struct material *ret)
{
	struct transport *outer = relay_transport(c->session->relay, RELAY_OUTER);

	return tls_export(transport_get_tls(outer), EXPORTER_LABEL, c->own, sizeof(c->own), ret,
			  sizeof(*ret)) == 0;
}

static uint32_t number(const uint8_t p[static 4])
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* The neighbor has TCP-AO by now, or will have, and this end not: that is no connection. May free
 * the session. */
static void lost(struct capability *c, const char *why)
{
	struct session *s = c->session;
	char text[256];

	snprintf(text, sizeof(text), "tcp-ao = capability: %s", why);
	capability_set_state(c, CAPABILITY_FAILED, "%s", why);
	timer_stop(c->timer);
	s->ops->on_no_ao(s->host, s, why);
	session_ao_failed(s, text);
}

static void forget_request(struct capability *c)
{
	if (!c->request)
		return;
	c->session->ops->forget_request(c->session->host, c->request);
	c->request = 0;
	timer_stop(c->timer);
}

static void ask_control(struct capability *c, struct message_want_ao *m, struct errtext *e)
{
	struct session *s = c->session;
	uint64_t now = loop_now_ms();

	m->algorithm = c->algorithm;
	m->covers_options = c->covers_options;
	m->until_ms = now + ANSWER_MS;
	relay_pause(s->relay, true);
	c->request = s->ops->want_ao(s->host, s, session_outer_fd(s), m, e);
	if (c->request && timer_set_ms(c->timer, m->until_ms - now + ANSWER_LATE_MS) < 0) {
		errtext_set(e, -ENOMEM, "out of memory");
		forget_request(c);
	}
}

/* Control hangs. It will not touch the connection any more, so the relay can go on. */
static void on_silence(struct capability *c)
{
	struct session *s = c->session;
	uint32_t request = c->request;

	s->ops->forget_request(s->host, request);
	session_give_ao(s, request, -ETIMEDOUT, "control does not answer");
}

static void switch_on(struct capability *c)
{
	struct message_want_ao m = {};
	struct session *s = c->session;
	bool is_client = s->direction == SESSION_OUT;
	struct material material;
	struct errtext e = {};

	if (!derive(c, &material)) {
		lost(c, "no key could be derived");
		return;
	}
	memcpy(m.secret, material.secret, sizeof(m.secret));
	m.send_isn = number(material.isn[!is_client]);
	m.recv_isn = number(material.isn[is_client]);
	explicit_bzero(&material, sizeof(material));
	ask_control(c, &m, &e);
	explicit_bzero(&m, sizeof(m));
	if (c->request)
		return;
	relay_pause(s->relay, false);
	lost(c, e.text[0] ? e.text : "control cannot be asked");
}

/* Has all that our daemon had said, when this was first asked, arrived? */
static bool is_acked(struct capability *c, struct position *p, size_t unacked)
{
	const struct relay *relay = c->session->relay;

	if (!p->is_marked) {
		p->mark = relay_bytes(relay, RELAY_INNER);
		p->is_marked = true;
	}
	if (!p->is_written && relay_written(relay, RELAY_INNER) >= p->mark) {
		p->target = c->acked + unacked;
		p->is_written = true;
	}
	return p->is_written && c->acked >= p->target;
}

/* Records that the kernel made (ktls) and TCP has not taken: what is given to TCP in repair fails.
 */
static bool has_unsent(const struct session *s)
{
	const struct transport *outer = relay_transport(s->relay, RELAY_OUTER);

	return outer->ops->has_unsent && outer->ops->has_unsent(outer);
}

static bool is_time(struct capability *c, size_t unacked, uint64_t now)
{
	const uint64_t *in = c->session->in.messages, *out = c->session->out.messages;
	bool has_arrived = is_acked(c, &c->open, unacked) || in[BGP_KEEPALIVE];

	if (!c->ready_ms && in[BGP_KEEPALIVE] && out[BGP_KEEPALIVE] &&
	    is_acked(c, &c->answer, unacked))
		c->ready_ms = now;
	if (has_arrived && unacked && now >= c->progress_ms + SILENCE_MS)
		return true; /* and TCP takes nothing before the neighbor is heard again */
	return c->ready_ms && now >= c->ready_ms + GRACE_MS && !has_unsent(c->session);
}

/* With TCP-AO, until it is known to work. Where nothing comes at all it is not for us to say that
 * the network will not come back. */
static void watch_signed(struct capability *c, size_t unacked, uint64_t now)
{
	struct session *s = c->session;
	struct tcp_ao_status status;

	if (tcp_ao_get_status(session_outer_fd(s), &status) < 0)
		return;
	c->is_proven = status.good > 0;
	if (c->is_proven)
		return;
	if (!unacked || now < c->progress_ms + DEAD_MS) {
		timer_set_ms(c->timer, CAPABILITY_TICK_MS * 4);
		return;
	}
	if (status.required)
		lost(c, "the neighbor announced TCP-AO, but what comes from it is not signed");
	else
		timer_set_ms(c->timer, CAPABILITY_TICK_MS * 4);
}

static void on_tick(void *arg)
{
	struct capability *c = arg;
	struct session *s = c->session;
	uint64_t acked, received, now = loop_now_ms();
	int fd = session_outer_fd(s);
	size_t unacked;

	if (c->request) {
		on_silence(c);
		return;
	}
	if (s->is_closing || fd < 0 || sock_get_progress(fd, &acked, &received) < 0)
		return;
	unacked = sock_unacked(fd);
	if (acked != c->acked || received != c->received || !unacked)
		c->progress_ms = now;
	c->acked = acked;
	c->received = received;
	if (c->state == CAPABILITY_ON)
		watch_signed(c, unacked, now);
	else if (is_time(c, unacked, now))
		switch_on(c);
	else
		timer_set_ms(c->timer, CAPABILITY_TICK_MS);
}

/* --- control's answers
 * --------------------------------------------------------------------------------------------------
 */

/* The relay has waited for this before it began. */
static void on_trial(struct capability *c, int error, const char *text)
{
	struct session *s = c->session;

	if (error == 0)
		c->is_offered = true;
	else
		capability_set_state(c, CAPABILITY_UNAVAILABLE, "%s", text);
	if (c->is_offered)
		relay_set_edit(s->relay, RELAY_INNER, capability_on_edit);
	else
		c->first[RELAY_INNER].is_over = true;
}

/* From here on keys are as with exporter. */
static int begin_rekeying(struct capability *c)
{
	struct session *s = c->session;
	const struct ao_exporter_params params = {
		.loop = s->loop,
		.fd = session_outer_fd(s),
		.peer = s->peer,
		.algorithm = c->algorithm,
		.covers_options = c->covers_options,
		.is_installed = true,
		.rekey_ms = c->rekey_ms,
		.switch_ms = UINT64_MAX,
		.on_failed = session_ao_failed,
		.arg = s,
	};
	struct material material;
	int r = derive(c, &material) ? 0 : -EIO;

	if (r == 0)
		r = ao_exporter_new(&params, material.secret, &s->ao);
	explicit_bzero(&material, sizeof(material));
	return r;
}

static void on_switched(struct capability *c, int error, const char *text)
{
	int r = error == 0 ? begin_rekeying(c) : 0;

	if (error != 0 || r < 0) {
		lost(c, error != 0 ? text : strerror(-r));
		return;
	}
	capability_set_state(c, CAPABILITY_ON, "%s", "");
	c->progress_ms = loop_now_ms();
	timer_set_ms(c->timer, CAPABILITY_TICK_MS * 4);
}

void session_give_ao(struct session *s, uint32_t request, int error, const char *text)
{
	struct capability *c = s->capability;

	if (!c || !request || c->request != request)
		return;
	c->request = 0;
	timer_stop(c->timer);
	if (relay_pause(s->relay, false) < 0) {
		session_end(s, "out of memory");
		return;
	}
	if (s->is_closing)
		return;
	if (c->is_trial) {
		c->is_trial = false;
		on_trial(c, error, text);
	} else {
		on_switched(c, error, text);
	}
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------
 */

static void ask_for_trial(struct capability *c)
{
	struct session *s = c->session;
	struct message_want_ao m = {.is_trial = true};
	struct errtext e = {};

	c->is_trial = true;
	ask_control(c, &m, &e);
	if (c->request)
		return;
	c->is_trial = false;
	on_trial(c, -EIO, e.text[0] ? e.text : "control cannot be asked");
	relay_pause(s->relay, false);
}

void session_capability_start(struct session *s)
{
	struct capability *c = calloc(1, sizeof(*c));
	const struct ao_config *ao = &s->config->ao;

	if (!c || timer_new(s->loop, on_tick, c, &c->timer) < 0 ||
	    !(c->first = calloc(2, sizeof(*c->first)))) {
		/* Without it: nothing was announced yet. */
		if (c)
			timer_free(c->timer);
		free(c);
		return;
	}
	c->session = s;
	c->code = ao->capability_code;
	c->algorithm = ao->own.algorithm;
	c->covers_options = ao->own.covers_options;
	c->rekey_ms = ao->rekey * 1000ULL;
	memcpy(c->own, MARK, MARK_LEN);
	c->own[MARK_LEN] = capability_number(c->algorithm);
	c->own[MARK_LEN + 1] = c->covers_options;
	s->capability = c;
	capability_set_state(c, CAPABILITY_WAITING, "%s", "");
	relay_set_edit(s->relay, RELAY_OUTER, capability_on_edit);
	ask_for_trial(c);
}

void session_capability_end(struct session *s)
{
	const struct capability *c = s->capability;

	if (c && c->state == CAPABILITY_ON && !c->is_proven &&
	    loop_now_ms() >= c->progress_ms + DEAD_AT_END_MS)
		s->ops->on_no_ao(s->host, s,
				 "nothing has come from the neighbor since it was turned on");
	session_capability_free(s);
}

void session_capability_free(struct session *s)
{
	struct capability *c = TAKE(s->capability);

	if (!c)
		return;
	forget_request(c);
	timer_free(c->timer);
	free(c->first);
	free(c);
}

void session_capability_get_info(const struct session *s, struct session_capability_info *ret)
{
	const struct capability *c = s->capability;

	*ret = (struct session_capability_info){.text = ""};
	if (!c)
		return;
	ret->state = c->state;
	ret->since = c->since;
	ret->text = c->text;
}

/* OPEN Message Error: Unsupported Optional Parameter. Its daemon knows no capabilities at all; ours
 * would try without, in vain (RFC 5492, section 3). */
void session_capability_on_notification(struct session *s, const struct bgp_notification *n)
{
	const struct capability *c = s->capability;

	if (c && c->is_offered && n->code == 2 && n->subcode == 4)
		s->ops->on_no_ao(s->host, s, "its daemon refuses an OPEN with it");
}

/* --- in another process
 * ----------------------------------------------------------------------------------------------------
 */

bool session_capability_is_settled(const struct session *s)
{
	const struct capability *c = s->capability;

	if (!c)
		return true;
	switch (c->state) {
	case CAPABILITY_UNAVAILABLE:
	case CAPABILITY_NO_PEER:
	case CAPABILITY_OTHER: return !c->first && !c->request;
	case CAPABILITY_ON: return c->is_proven;
	case CAPABILITY_NONE:
	case CAPABILITY_WAITING:
	case CAPABILITY_AGREED:
	case CAPABILITY_FAILED: break;
	}
	return false;
}

/* What was asked for may be done or half done: the session ends, one way or the other. */
bool session_capability_lose_control(struct session *s)
{
	struct capability *c = s->capability;

	if (!c)
		return false;
	if (c->request) {
		forget_request(c);
		relay_pause(s->relay, false);
	}
	return c->state != CAPABILITY_ON && !session_capability_is_settled(s);
}

void session_capability_export(const struct session *s, struct fields_out *o)
{
	const struct capability *c = s->capability;

	if (!c)
		return;
	fields_put_text(o, "capability", session_capability_name(c->state));
	fields_put_number(o, "capability-since", c->since);
	fields_put_text(o, "capability-text", c->text);
}

static enum session_capability state_named(struct fields_in *f)
{
	static const enum session_capability settled[] = {
		CAPABILITY_UNAVAILABLE, CAPABILITY_NO_PEER, CAPABILITY_OTHER, CAPABILITY_ON};
	char name[32];

	fields_text(f, "capability", name, sizeof(name));
	for (size_t i = 0; i < ARRAY_SIZE(settled); i++)
		if (strcmp(name, session_capability_name(settled[i])) == 0)
			return settled[i];
	fields_refuse(f, "capability", -EBADMSG);
	return CAPABILITY_FAILED;
}

int session_capability_import(struct session *s, struct fields_in *f)
{
	struct capability *c;

	if (!fields_has(f, "capability"))
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	s->capability = c;
	c->session = s;
	c->state = state_named(f);
	c->is_proven = c->state == CAPABILITY_ON;
	c->since = fields_number(f, "capability-since", INT64_MAX);
	fields_text(f, "capability-text", c->text, sizeof(c->text));
	return timer_new(s->loop, on_tick, c, &c->timer);
}
