// SPDX-License-Identifier: Apache-2.0
/* How a relay ends, and what it waits for until then, and for how long. */
#include "relay_internal.h"

#include <errno.h>

/* How often a side is asked whether it has acknowledged everything: there is no event for that. */
#define POLL_MIN_MS 1
#define POLL_MAX_MS 100

void relay_note_end(struct relay *r, enum relay_side first, enum relay_how how, const char *text)
{
	if (r->has_end)
		return;
	r->has_end = true;
	r->end_first = first;
	r->end_how = how;
	free(r->end_text);
	r->end_text = text[0] ? strdup(text) : NULL;
}

void relay_get_end(const struct relay *r, struct relay_end *ret)
{
	*ret = (struct relay_end){.first = r->end_first, .how = r->end_how};
	if (r->end_text)
		snprintf(ret->text, sizeof(ret->text), "%s", r->end_text);
	for (int i = 0; i < 2; i++) {
		ret->bytes[i] = r->directions[i].read;
		ret->lost[i] = r->directions[i].read - r->directions[i].written;
	}
}

void relay_side_died(struct relay *r, enum relay_side side, const char *text)
{
	relay_note_end(r, side, RELAY_RESET, text);
	r->ends[side].is_dead = true;
	relay_direction_done(&r->directions[relay_other(side)]);
}

void relay_close_ends(struct relay *r, bool reset)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = &r->ends[i];

		io_free(TAKE(e->io));
		if (reset)
			transport_set_reset(e->transport);
		e->transport->ops->free(TAKE(e->transport));
		relay_direction_done(&r->directions[i]);
	}
	timer_stop(r->again);
	timer_stop(r->deadline);
	r->is_over = true;
}

static void finish(struct relay *r, bool reset)
{
	relay_close_ends(r, reset);
	r->tell_end = true;
}

void relay_fail(struct relay *r, int error)
{
	r->has_end = false;
	relay_note_end(r, RELAY_US, RELAY_ERROR, strerror(-error));
	finish(r, true);
}

static const struct relay_limits *limits(const struct relay *r)
{
	static const struct relay_limits usual = {
		.stall_ms = RELAY_STALL_MS,
		.linger_ms = RELAY_LINGER_MS,
		.half_closed_ms = RELAY_HALF_CLOSED_MS,
	};

	return r->callbacks->limits ? r->callbacks->limits : &usual;
}

static int watch(struct relay *r, enum relay_side side)
{
	const struct direction *out = &r->directions[side];
	const struct end *e = &r->ends[side];
	unsigned want = out->want_in | r->directions[relay_other(side)].want_out;

	if (r->is_paused)
		return io_set(e->io, 0);
	/* Reading is paused: a death is noticed, but the bytes before it stay where they are. */
	if (out->held && !out->want_in && !e->is_dead && !out->has_ended)
		want |= IO_HUP;
	return io_set(e->io, want);
}

/* Sets the timer for whatever this state must not wait for too long. */
static int watch_time(struct relay *r, bool is_ending, const struct transport *awaited)
{
	const struct direction *d = r->directions;
	bool is_said = r->is_closing && d[0].is_done && d[1].is_done;
	uint64_t now = loop_now_ms();
	uint64_t progress = d[0].read + d[0].written + d[1].read + d[1].written;
	uint64_t until;

	if (awaited)
		progress -= transport_unacked(awaited);
	if (progress != r->progress || !r->progress_ms || (is_ending && !r->ending_ms)) {
		r->progress = progress;
		r->progress_ms = now;
		r->poll_ms = POLL_MIN_MS;
	}
	if (is_ending && !r->ending_ms)
		r->ending_ms = now;

	until = r->progress_ms + (is_ending ? limits(r)->stall_ms : limits(r)->half_closed_ms);
	if (is_ending && until > r->ending_ms + limits(r)->linger_ms)
		until = r->ending_ms + limits(r)->linger_ms;
	if (now >= until) {
		relay_note_end(r, r->ends[RELAY_INNER].has_hung_up ? RELAY_INNER : RELAY_OUTER,
			       RELAY_EOF, "the other side stopped taking what came before the end");
		finish(r, !is_said);
		return 0;
	}
	if (awaited && until > now + r->poll_ms) {
		until = now + r->poll_ms;
		r->poll_ms = r->poll_ms * 2 < POLL_MAX_MS ? r->poll_ms * 2 : POLL_MAX_MS;
	}
	if (!r->deadline) {
		int r1 = timer_new(r->loop, relay_on_deadline, r, &r->deadline);

		if (r1 < 0)
			return r1;
	}
	return timer_set_ms(r->deadline, until - now);
}

/* The side whose bytes must be acknowledged before the RST follows them; NULL: none. */
static const struct transport *awaits_ack(const struct relay *r)
{
	for (int side = 0; side < 2; side++)
		if (r->ends[side].is_dead && r->directions[side].is_done && !r->is_closing)
			return r->ends[relay_other(side)].transport;
	return NULL;
}

static bool can_finish(const struct relay *r)
{
	const struct direction *d = r->directions;
	const struct transport *awaited = awaits_ack(r);

	if (r->is_closing)
		return d[0].is_done && d[1].is_done && d[0].has_ended && d[1].has_ended;
	if (r->ends[0].is_dead && r->ends[1].is_dead)
		return true;
	if (awaited)
		return transport_unacked(awaited) == 0;
	return d[0].is_done && d[1].is_done;
}

void relay_settle(struct relay *r)
{
	const struct direction *d = r->directions;
	bool is_dead = r->ends[0].is_dead || r->ends[1].is_dead;
	bool is_ending = is_dead || r->is_closing || (d[0].has_ended && d[1].has_ended);
	int r1 = 0;

	if (r->is_over)
		return;
	if (can_finish(r)) {
		finish(r, is_dead && !r->is_closing);
		return;
	}
	if (is_ending || d[0].has_ended || d[1].has_ended || r->ends[0].has_hung_up ||
	    r->ends[1].has_hung_up)
		r1 = watch_time(r, is_ending, awaits_ack(r));
	if (r->is_over)
		return;
	if (r->is_paused)
		timer_stop(r->again);
	else if (r1 == 0 && (d[0].again || d[1].again))
		r1 = relay_again(r, 0);
	else if (r1 == 0 && (d[0].is_gathering || d[1].is_gathering) && !timer_is_set(r->again))
		r1 = relay_again(r, RELAY_GATHER_MS);
	for (int side = 0; r1 == 0 && side < 2; side++)
		r1 = watch(r, side);
	if (r1 < 0)
		relay_fail(r, r1);
}
