// SPDX-License-Identifier: Apache-2.0
/* A session that we dial: its attempts, one after the other, while the daemon waits. */
#include "session_internal.h"

#include "ao.h"

#define WAIT_FOR_SLOT_MS 200 /* all handshake slots are taken: look again */

static void attempt(struct session *s);

static bool may_go_clear(struct session *s)
{
	return s->config->mode == MODE_PREFERRED && s->ops->may_clear(s->host);
}

static uint64_t patience_ms(const struct session *s)
{
	unsigned patience = s->config->hold_time;

	/* Long enough for the attempt after the moment from which clear text is allowed. */
	if (s->config->mode == MODE_PREFERRED &&
	    patience < s->config->fallback_after + 2 * RETRY_MAX_MS / 1000)
		patience = s->config->fallback_after + 2 * RETRY_MAX_MS / 1000;
	return patience * 1000ULL;
}

static void hold(struct session *s, uint64_t ms)
{
	session_set_state(s, SESSION_HELD);
	if (timer_set_ms(s->retry, jitter_ms(ms)) < 0)
		session_end(s, "out of memory");
}

static void try_clear(struct session *s)
{
	s->is_clear = true;
	attempt(s);
}

/* What comes after an attempt that failed: another one, clear text, or the end. May free the
 * session. */
static void next_attempt(struct session *s, const char *text)
{
	uint64_t now = loop_now_ms();
	uint64_t delay = s->retry_ms;

	session_drop_outer(s, false);
	if (s->direction == SESSION_IN || s->is_clear) {
		session_end(s, text);
		return;
	}
	if (may_go_clear(s)) {
		try_clear(s);
		return;
	}
	if (now + delay >= s->began_ms + patience_ms(s)) {
		session_end(s, text);
		return;
	}
	s->retry_ms = delay * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : delay * 2;
	hold(s, delay);
}

void session_failed(struct session *s, enum tls_reason reason, const char *text)
{
	char copy[256];

	/* The text may live in the struct tls that next_attempt() frees. */
	snprintf(copy, sizeof(copy), "%s", text);
	s->ops->on_failure(s->host, s, reason, copy);
	next_attempt(s, copy);
}

uint64_t session_timeout_ms(const struct session *s)
{
	return s->config->handshake_timeout * 1000ULL;
}

bool session_may_go_without_ao(const struct session *s)
{
	return s->ao_habit && ao_is_opportunistic(s->config);
}

static void dial(struct session *s)
{
	bool is_first = session_may_go_without_ao(s) && !s->has_tried_other;

	session_set_state(s, SESSION_CONNECTING);
	s->request = s->ops->want_outer(s->host, s, s->is_clear);
	if (!s->request ||
	    timer_set_ms(s->deadline, is_first ? ao_patience_ms(session_timeout_ms(s))
					       : session_timeout_ms(s)) < 0)
		session_end(s, "out of memory");
}

bool session_try_other(struct session *s)
{
	if (!session_may_go_without_ao(s) || s->has_tried_other)
		return false;
	session_drop_outer(s, true);
	s->is_without_ao = !s->is_without_ao;
	s->has_tried_other = true;
	dial(s);
	return true;
}

static void attempt(struct session *s)
{
	if (!s->ops->may_handshake(s->host)) {
		hold(s, WAIT_FOR_SLOT_MS);
		return;
	}
	s->has_tried = true;
	s->has_tried_other = false;
	s->is_without_ao =
		session_may_go_without_ao(s) && ao_habit_begins_without(s->ao_habit, loop_now_ms());
	dial(s);
}

void session_on_retry(void *arg)
{
	struct session *s = arg;

	/* In clear there is nothing to agree upon before the daemon hears of it. */
	if (s->direction == SESSION_IN) {
		session_want_inner(s);
		return;
	}
	/* TLS comes first in every session, whatever happened to the ones before; and it may be
	 * back since this one began to wait. */
	s->is_clear = s->config->mode == MODE_TCP_AO || (s->has_tried && may_go_clear(s));
	attempt(s);
}
