// SPDX-License-Identifier: Apache-2.0
#include "relay.h"
#include "relay_splice.h"
#include "sock.h"

#include <errno.h>

/* How often a side is asked whether it has acknowledged everything: there is no event for that. */
#define POLL_MIN_MS 1
#define POLL_MAX_MS 100

struct direction {
	enum relay_side from;
	unsigned want_in,
		want_out;  /* IO_READ or IO_WRITE: what it waits for at its source, at its sink */
	bool again;	   /* goes on in a continuation */
	bool is_gathering; /* goes on after RELAY_GATHER_MS */
	uint8_t pieces;	   /* small ones that came in a row */
	uint64_t piece_ms; /* when the last one did */
	bool is_bulk;	   /* the last read brought much: the next one splices, if it may */
	bool is_spliced;   /* what was read is in the pipe as well */
	bool has_ended;	   /* the source has, there is nothing more to read */
	bool is_done;	   /* nothing more will be written, the end was passed on or cannot be */
	uint8_t *held;	   /* what the sink has not taken yet; NULL: nothing */
	size_t held_from, held_len;
	relay_edit_fn *edit; /* NULL: none */
	uint64_t read, written;
	uint64_t blocked_since;
};

struct end {
	struct relay *relay;
	struct transport *transport;
	struct io *io;
	bool is_dead;	  /* cannot be written to; what it sent may still be read */
	bool has_hung_up; /* its FIN is queued behind bytes that we do not read yet */
};

struct relay {
	struct relay_callbacks callbacks;
	struct relay_limits limits;
	void *arg;
	struct end ends[2];
	struct direction directions[2]; /* by source */
	struct loop *loop;
	struct timer *again, *deadline; /* the second from its first use on */
	uint64_t progress; /* bytes moved less bytes unacknowledged, when it last changed: */
	uint64_t progress_ms, ending_ms, poll_ms;
	struct relay_end end;
	bool has_end;	  /* end.first and .how are set */
	bool may_splice;  /* relay_allow_splice() */
	bool is_closing;  /* relay_close() */
	bool is_paused;	  /* relay_pause() */
	bool is_over;	  /* both transports are gone */
	bool tell_end;	  /* on_end is due */
	bool in_callback; /* of the loop: relay_free() leaves the memory to it */
	bool free_later;
};

/* Where bytes are on their way from one side to the other, for all relays: only what one side does
 * not take gets memory of its own, so a session that is idle or flows holds none. */
static uint8_t transit[RELAY_BUFFER + RELAY_EDIT_ROOM];

static const struct relay_limits default_limits = {
	.stall_ms = RELAY_STALL_MS,
	.linger_ms = RELAY_LINGER_MS,
	.half_closed_ms = RELAY_HALF_CLOSED_MS,
};

static enum relay_side other(enum relay_side side)
{
	return side == RELAY_INNER ? RELAY_OUTER : RELAY_INNER;
}

static void note_end(struct relay *r, enum relay_side first, enum relay_how how, const char *text)
{
	if (r->has_end)
		return;
	r->has_end = true;
	r->end.first = first;
	r->end.how = how;
	snprintf(r->end.text, sizeof(r->end.text), "%s", text);
}

static void drop_held(struct direction *d)
{
	free(TAKE(d->held));
	d->held_from = d->held_len = 0;
	d->blocked_since = 0;
}

static void direction_done(struct direction *d)
{
	drop_held(d);
	d->is_done = true;
	d->again = d->is_gathering = false;
	d->want_in = d->want_out = 0;
}

/* Nothing more goes to this side. What it sent before it died is still read and delivered. */
static void side_died(struct relay *r, enum relay_side side, const char *text)
{
	note_end(r, side, RELAY_RESET, text);
	r->ends[side].is_dead = true;
	direction_done(&r->directions[other(side)]);
}

static void close_ends(struct relay *r, bool reset)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = &r->ends[i];
		struct direction *d = &r->directions[i];

		io_free(TAKE(e->io));
		if (reset)
			transport_set_reset(e->transport);
		e->transport->ops->free(TAKE(e->transport));
		r->end.bytes[i] = d->read;
		r->end.lost[i] = d->read - d->written;
		direction_done(d);
	}
	timer_stop(r->again);
	timer_stop(r->deadline);
	r->is_over = true;
}

static void finish(struct relay *r, bool reset)
{
	close_ends(r, reset);
	r->tell_end = true;
}

/* Something of our own failed: this session ends, no other. */
static void fail(struct relay *r, int error)
{
	r->has_end = false;
	note_end(r, RELAY_US, RELAY_ERROR, strerror(-error));
	finish(r, true);
}

static int hold(struct relay *r, struct direction *d, const uint8_t *data, size_t len)
{
	d->held = r->callbacks.alloc(len);
	if (!d->held)
		return -ENOMEM;
	memcpy(d->held, data, len);
	d->held_len = len;
	return 0;
}

/* Writes, and holds what is not taken. True when all of it was written. */
static bool deliver(struct relay *r, struct direction *d, const uint8_t *data, size_t len)
{
	struct transport *to = r->ends[other(d->from)].transport;
	enum transport_result result = IO_OK;
	size_t done = 0;

	while (done < len && result == IO_OK) {
		size_t n = 0;

		result = d->is_spliced ? relay_splice_write(to, len - done, &n)
				       : to->ops->write(to, data + done, len - done, &n);
		done += n;
	}
	if (d->is_spliced && done < len)
		relay_splice_drop(); /* `data` has it, too */
	d->is_spliced = false;
	d->written += done;
	if (done)
		d->blocked_since = 0;

	switch (result) {
	case IO_OK: return true;
	case IO_WANT_READ: d->want_out = IO_READ; break;
	case IO_WANT_WRITE: d->want_out = IO_WRITE; break;
	case IO_EOF:
	case IO_RESET: side_died(r, other(d->from), to->ops->error(to)); return false;
	}
	d->want_in = 0;
	if (!d->blocked_since)
		d->blocked_since = loop_now_ms();
	if (d->held)
		d->held_from += done;
	else if (hold(r, d, data + done, len - done) < 0)
		fail(r, -ENOMEM);
	return false;
}

static bool deliver_held(struct relay *r, struct direction *d)
{
	if (!d->held)
		return true;
	if (!deliver(r, d, d->held + d->held_from, d->held_len - d->held_from))
		return false;
	drop_held(d);
	return true;
}

static void source_ended(struct relay *r, struct direction *d, enum transport_result result)
{
	const struct transport *from = r->ends[d->from].transport;

	d->has_ended = true;
	if (result == IO_RESET)
		side_died(r, d->from, from->ops->error(from));
	else if (!r->ends[d->from].is_dead)
		note_end(r, d->from, RELAY_EOF, "");
	/* Else a failed write took the error off the socket: this EOF is no orderly end. */
}

/* Reads what is there, up to one buffer, so that small messages leave as one record. */
static size_t fill(struct relay *r, struct direction *d)
{
	struct transport *from = r->ends[d->from].transport;
	const struct transport *to = r->ends[other(d->from)].transport;
	enum transport_result result = IO_OK;
	size_t have = 0;

	if (r->may_splice && d->is_bulk && !d->edit && !r->is_closing && relay_splice_can(from, to))
		have = relay_splice_read(from, transit, RELAY_BUFFER, &result, &d->is_spliced);
	while (!d->is_spliced && have < RELAY_BUFFER && result == IO_OK) {
		size_t n = 0;

		result = from->ops->read(from, transit + have, RELAY_BUFFER - have, &n);
		have += n;
		if (n && !from->ops->may_have_more(from))
			result = IO_WANT_READ;
	}
	d->read += have;
	if (have)
		d->is_bulk = have >= RELAY_PIECE;

	switch (result) {
	case IO_OK: d->want_in = 0; break;
	case IO_WANT_READ:
		d->want_in = IO_READ;
		d->again = from->ops->has_pending(from);
		break;
	case IO_WANT_WRITE: d->want_in = IO_WRITE; break;
	case IO_EOF:
	case IO_RESET: source_ended(r, d, result); break;
	}
	return have;
}

static void pass_end_on(struct relay *r, struct direction *d)
{
	struct transport *to = r->ends[other(d->from)].transport;

	/* The end of a dead side is passed on as RST: settle() does. */
	if (r->ends[d->from].is_dead && !r->is_closing) {
		direction_done(d);
		return;
	}
	switch (to->ops->shutdown(to)) {
	case IO_OK:
	case IO_EOF: direction_done(d); break;
	case IO_WANT_READ: d->want_out = IO_READ; break;
	case IO_WANT_WRITE: d->want_out = IO_WRITE; break;
	case IO_RESET: side_died(r, other(d->from), to->ops->error(to)); break;
	}
}

static void tap(struct relay *r, const struct direction *d, size_t n)
{
	if (n && r->callbacks.on_bytes)
		r->callbacks.on_bytes(r->arg, d->from, transit, n);
}

/* Returns how many of `n` bytes there are after the edit, if there is one. */
static size_t edit(struct relay *r, struct direction *d, size_t n)
{
	size_t len;

	if (!d->edit || r->is_over)
		return n;
	len = d->edit(r->arg, d->from, transit, n, d->has_ended);
	d->read += len - n;
	return len;
}

/* What was read is seen as the daemon has it. */
static size_t see(struct relay *r, struct direction *d, size_t n)
{
	if (d->from == RELAY_INNER)
		tap(r, d, n);
	n = edit(r, d, n);
	if (d->from == RELAY_OUTER)
		tap(r, d, n);
	return n;
}

/* Moves at most one buffer. True when it may go on at once. */
static bool move(struct relay *r, struct direction *d, size_t *budget)
{
	const struct transport *from = r->ends[d->from].transport;
	bool forwards;
	size_t n;

	if (!deliver_held(r, d) && (r->is_over || !d->is_done))
		return false;
	forwards = !d->has_ended && !d->is_done && !r->is_closing;
	if (!forwards && !d->is_done)
		pass_end_on(r, d);
	if (d->has_ended || (!forwards && !r->is_closing))
		return false;

	if (!*budget) {
		/* The socket will announce itself again; what is already decrypted will not. */
		d->want_in = IO_READ;
		d->again = from->ops->has_pending(from);
		return false;
	}
	n = fill(r, d);
	*budget -= n < *budget ? n : *budget;
	if (forwards)
		n = see(r, d, n);
	if (n && forwards) {
		if (r->is_over)
			relay_splice_drop();
		if (r->is_over || !deliver(r, d, transit, n))
			return false;
	}
	return !d->want_in;
}

/* `n` bytes have come. Do they come in pieces, one after the other? */
static void count_pieces(struct relay *r, struct direction *d, size_t n)
{
	bool was_gathering = d->is_gathering;
	uint64_t now;

	d->is_gathering = false;
	if (n)
		r->directions[other(d->from)].pieces = 0;
	if (was_gathering) {
		if (n == 0 || n >= RELAY_BUFFER)
			d->pieces = 0;
	} else if (n >= RELAY_PIECE) {
		d->pieces = 0;
	} else if (n) {
		now = loop_now_ms();
		if (now > d->piece_ms + RELAY_GATHER_MS)
			d->pieces = 0;
		d->piece_ms = now;
		if (d->pieces < RELAY_PIECES)
			d->pieces++;
	}
}

static void pump(struct relay *r, struct direction *d)
{
	size_t budget = RELAY_BUDGET;
	uint64_t before = d->read;

	d->again = false;
	d->want_in = d->want_out = 0;
	while (move(r, d, &budget))
		;
	if (r->is_over)
		return;
	count_pieces(r, d, d->read - before);
	if (d->pieces == RELAY_PIECES && d->want_in == IO_READ && !d->again && !d->has_ended) {
		d->is_gathering = true;
		d->want_in = 0;
	}
}

static int watch(struct relay *r, enum relay_side side)
{
	const struct direction *out = &r->directions[side];
	const struct end *e = &r->ends[side];
	unsigned want = out->want_in | r->directions[other(side)].want_out;

	if (r->is_paused)
		return io_set(e->io, 0);
	/* Reading is paused: a death is noticed, but the bytes before it stay where they are. */
	if (out->held && !out->want_in && !e->is_dead && !out->has_ended)
		want |= IO_HUP;
	return io_set(e->io, want);
}

static void on_deadline(void *arg);

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

	until = r->progress_ms + (is_ending ? r->limits.stall_ms : r->limits.half_closed_ms);
	if (is_ending && until > r->ending_ms + r->limits.linger_ms)
		until = r->ending_ms + r->limits.linger_ms;
	if (now >= until) {
		note_end(r, r->ends[RELAY_INNER].has_hung_up ? RELAY_INNER : RELAY_OUTER, RELAY_EOF,
			 "the other side stopped taking what came before the end");
		finish(r, !is_said);
		return 0;
	}
	if (awaited && until > now + r->poll_ms) {
		until = now + r->poll_ms;
		r->poll_ms = r->poll_ms * 2 < POLL_MAX_MS ? r->poll_ms * 2 : POLL_MAX_MS;
	}
	if (!r->deadline) {
		int r1 = timer_new(r->loop, on_deadline, r, &r->deadline);

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
			return r->ends[other(side)].transport;
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

/* After anything has moved: is it over, and if not, what is next to wait for. */
static void settle(struct relay *r)
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
		r1 = timer_defer(r->again);
	else if (r1 == 0 && (d[0].is_gathering || d[1].is_gathering) && !timer_is_set(r->again))
		r1 = timer_set_ms(r->again, RELAY_GATHER_MS);
	for (int side = 0; r1 == 0 && side < 2; side++)
		r1 = watch(r, side);
	if (r1 < 0)
		fail(r, r1);
}

static void destroy(struct relay *r)
{
	timer_free(r->again);
	timer_free(r->deadline);
	free(r);
}

static void enter(struct relay *r)
{
	r->in_callback = true;
}

/* Nothing may touch the relay after this. */
static void leave(struct relay *r)
{
	settle(r);
	if (r->tell_end) {
		r->tell_end = false;
		r->callbacks.on_end(r->arg, &r->end);
	}
	r->in_callback = false;
	if (r->free_later)
		destroy(r);
}

/* The kernel announces half a record as something to read once our own half is closed: whoever is
 * woken for nothing looks again a little later, and does not spin. */
static void slow_down(struct relay *r, struct direction *d)
{
	const struct transport *from = r->ends[d->from].transport;

	if (d->want_in != IO_READ || d->again || d->has_ended || !from->ops->can_splice ||
	    !from->ops->can_splice(from, true))
		return;
	d->is_gathering = true;
	d->want_in = 0;
}

static void on_io(void *arg, unsigned events)
{
	struct end *e = arg;
	struct relay *r = e->relay;
	enum relay_side side = e - r->ends;

	enter(r);
	if (events & IO_ERROR)
		side_died(r, side, strerror(-sock_error(e->transport->fd)));
	else if (events & IO_HUP)
		e->has_hung_up = true;
	for (int i = 0; i < 2 && !r->is_over && !r->is_paused; i++) {
		struct direction *d = &r->directions[i];

		uint64_t before = d->read;

		if (!(events & (i == (int)side ? d->want_in : d->want_out)))
			continue;
		pump(r, d);
		if (i == (int)side && !r->is_over && d->read == before)
			slow_down(r, d);
	}
	leave(r);
}

static void on_again(void *arg)
{
	struct relay *r = arg;

	enter(r);
	for (int i = 0; i < 2 && !r->is_over && !r->is_paused; i++)
		if (r->directions[i].again || r->directions[i].is_gathering)
			pump(r, &r->directions[i]);
	leave(r);
}

static void on_deadline(void *arg)
{
	struct relay *r = arg;

	enter(r);
	leave(r);
}

static int start(struct relay *r, struct loop *loop)
{
	int r1 = timer_new(loop, on_again, r, &r->again);

	r->loop = loop;
	for (int i = 0; r1 == 0 && i < 2; i++) {
		struct end *e = &r->ends[i];

		e->relay = r;
		r->directions[i].from = i;
		/* The handshake may have read on into what follows it. */
		r->directions[i].again = true;
		r1 = io_add(loop, e->transport->fd, on_io, e, &e->io);
	}
	return r1 == 0 ? timer_defer(r->again) : r1;
}

static struct relay *make(struct transport *inner, struct transport *outer,
			  const struct relay_callbacks *callbacks, void *arg)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r) {
		inner->ops->free(inner);
		outer->ops->free(outer);
		return NULL;
	}
	r->callbacks = *callbacks;
	if (!r->callbacks.alloc)
		r->callbacks.alloc = malloc;
	r->limits = callbacks->limits ? *callbacks->limits : default_limits;
	r->arg = arg;
	r->ends[RELAY_INNER].transport = inner;
	r->ends[RELAY_OUTER].transport = outer;
	return r;
}

int relay_new(struct loop *loop, struct transport *inner, struct transport *outer,
	      const struct relay_callbacks *callbacks, void *arg, struct relay **ret)
{
	struct relay *r = make(inner, outer, callbacks, arg);
	int r1 = r ? start(r, loop) : -ENOMEM;

	if (r1 < 0) {
		relay_free(r);
		return r1;
	}
	*ret = r;
	return 0;
}

int relay_close(struct relay *r)
{
	int r1;

	if (r->is_over || r->ends[0].is_dead || r->ends[1].is_dead)
		return 0; /* it is ending already */
	r1 = timer_defer(r->again);
	if (r1 < 0)
		return r1;
	note_end(r, RELAY_US, RELAY_CLOSED, "");
	r->is_closing = true;
	r->directions[0].again = r->directions[1].again = true;
	return 0;
}

void relay_set_edit(struct relay *r, enum relay_side from, relay_edit_fn *edit)
{
	r->directions[from].edit = edit;
}

int relay_pause(struct relay *r, bool is_paused)
{
	r->is_paused = is_paused;
	if (r->is_over)
		return 0;
	for (int side = 0; is_paused && side < 2; side++)
		io_set(r->ends[side].io, 0);
	return is_paused ? 0 : timer_defer(r->again);
}

void relay_abort(struct relay *r, struct relay_end *ret_end)
{
	note_end(r, RELAY_US, RELAY_ABORTED, "");
	if (!r->is_over)
		close_ends(r, true);
	r->tell_end = false;
	if (ret_end)
		*ret_end = r->end;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	relay_abort(r, NULL);
	if (r->in_callback)
		r->free_later = true;
	else
		destroy(r);
}

void relay_allow_splice(struct relay *r)
{
	r->may_splice = true;
}

/* --- in another process */

int relay_freeze(struct relay *r)
{
	if (r->is_over || r->is_closing || r->is_paused || r->in_callback)
		return -EBUSY;
	for (int i = 0; i < 2; i++)
		if (r->ends[i].is_dead || r->ends[i].has_hung_up || r->directions[i].has_ended ||
		    r->directions[i].is_done || r->directions[i].edit)
			return -EBUSY;
	timer_stop(r->again);
	return relay_pause(r, true);
}

int relay_thaw(struct relay *r)
{
	return relay_pause(r, false);
}

void relay_get_state(const struct relay *r, struct relay_state *ret)
{
	for (int i = 0; i < 2; i++) {
		const struct direction *d = &r->directions[i];

		ret->from[i].held = d->held ? d->held + d->held_from : NULL;
		ret->from[i].held_len = d->held_len - d->held_from;
		ret->from[i].read = d->read;
		ret->from[i].written = d->written;
		ret->from[i].blocked_ms = relay_blocked_ms(r, other(d->from));
	}
}

static int set_state(struct relay *r, const struct relay_state *state)
{
	for (int i = 0; i < 2; i++) {
		struct direction *d = &r->directions[i];
		uint64_t now = loop_now_ms(), blocked_ms = state->from[i].blocked_ms;

		d->read = state->from[i].read;
		d->written = state->from[i].written;
		if (!state->from[i].held_len)
			continue;
		if (hold(r, d, state->from[i].held, state->from[i].held_len) < 0)
			return -ENOMEM;
		d->blocked_since = blocked_ms < now ? now - blocked_ms : 1;
	}
	return relay_freeze(r);
}

int relay_new_frozen(struct loop *loop, struct transport *inner, struct transport *outer,
		     const struct relay_callbacks *callbacks, void *arg,
		     const struct relay_state *state, struct relay **ret)
{
	struct relay *r = make(inner, outer, callbacks, arg);
	int r1 = r ? start(r, loop) : -ENOMEM;

	if (r1 == 0)
		r1 = set_state(r, state);
	if (r1 < 0) {
		relay_leave(r);
		return r1;
	}
	*ret = r;
	return 0;
}

void relay_leave(struct relay *r)
{
	if (!r)
		return;
	close_ends(r, false);
	destroy(r);
}

struct transport *relay_transport(const struct relay *r, enum relay_side side)
{
	return r->ends[side].transport;
}

uint64_t relay_bytes(const struct relay *r, enum relay_side from)
{
	return r->directions[from].read;
}

uint64_t relay_written(const struct relay *r, enum relay_side from)
{
	return r->directions[from].written;
}

uint64_t relay_blocked_ms(const struct relay *r, enum relay_side side)
{
	uint64_t since = r->directions[other(side)].blocked_since;

	return since ? loop_now_ms() - since : 0;
}

size_t relay_buffered(const struct relay *r)
{
	return r->directions[0].held_len + r->directions[1].held_len;
}
