// SPDX-License-Identifier: Apache-2.0
/* A direction of a relay: what is read from one side is written to the other, and then its end. */
#include "relay_internal.h"

#include "relay_splice.h"

#include <errno.h>

/* Where bytes are on their way from one side to the other, for all relays: only what one side does
 * not take gets memory of its own, so a session that is idle or flows holds none. */
static uint8_t transit[RELAY_BUFFER + RELAY_EDIT_ROOM];

void relay_direction_done(struct direction *d)
{
	free(TAKE(d->held));
	d->is_done = true;
	d->again = d->is_gathering = false;
	d->want_in = d->want_out = 0;
}

int relay_hold(struct relay *r, struct direction *d, const uint8_t *data, size_t len)
{
	struct held *held = (r->callbacks->alloc ?: malloc)(sizeof(*held) + len);

	if (!held)
		return -ENOMEM;
	*held = (struct held){.since_ms = loop_now_ms(), .len = len};
	memcpy(held->data, data, len);
	d->held = held;
	return 0;
}

/* Writes, and holds what is not taken. True when all of it was written. */
static bool deliver(struct relay *r, struct direction *d, const uint8_t *data, size_t len)
{
	struct transport *to = r->ends[relay_other(d->from)].transport;
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

	switch (result) {
	case IO_OK: return true;
	case IO_WANT_READ: d->want_out = IO_READ; break;
	case IO_WANT_WRITE: d->want_out = IO_WRITE; break;
	case IO_EOF:
	case IO_RESET: relay_side_died(r, relay_other(d->from), to->ops->error(to)); return false;
	}
	d->want_in = 0;
	if (d->held && done) {
		d->held->at += done;
		d->held->since_ms = loop_now_ms();
	}
	if (!d->held && relay_hold(r, d, data + done, len - done) < 0)
		relay_fail(r, -ENOMEM);
	return false;
}

static bool deliver_held(struct relay *r, struct direction *d)
{
	if (!d->held)
		return true;
	if (!deliver(r, d, d->held->data + d->held->at, d->held->len - d->held->at))
		return false;
	free(TAKE(d->held));
	return true;
}

static void source_ended(struct relay *r, struct direction *d, enum transport_result result)
{
	const struct transport *from = r->ends[d->from].transport;

	d->has_ended = true;
	if (result == IO_RESET)
		relay_side_died(r, d->from, from->ops->error(from));
	else if (!r->ends[d->from].is_dead)
		relay_note_end(r, d->from, RELAY_EOF, "");
	/* Else a failed write took the error off the socket: this EOF is no orderly end. */
}

/* Reads what is there, up to one buffer, so that small messages leave as one record. */
static size_t fill(struct relay *r, struct direction *d)
{
	struct transport *from = r->ends[d->from].transport;
	const struct transport *to = r->ends[relay_other(d->from)].transport;
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
	struct transport *to = r->ends[relay_other(d->from)].transport;

	/* The end of a dead side is passed on as RST: relay_settle() does. */
	if (r->ends[d->from].is_dead && !r->is_closing) {
		relay_direction_done(d);
		return;
	}
	switch (to->ops->shutdown(to)) {
	case IO_OK:
	case IO_EOF: relay_direction_done(d); break;
	case IO_WANT_READ: d->want_out = IO_READ; break;
	case IO_WANT_WRITE: d->want_out = IO_WRITE; break;
	case IO_RESET: relay_side_died(r, relay_other(d->from), to->ops->error(to)); break;
	}
}

static void tap(struct relay *r, const struct direction *d, size_t n)
{
	if (n && r->callbacks->on_bytes)
		r->callbacks->on_bytes(r->arg, d->from, transit, n);
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
		r->directions[relay_other(d->from)].pieces = 0;
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

void relay_pump(struct relay *r, struct direction *d)
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
