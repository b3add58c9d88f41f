// SPDX-License-Identifier: Apache-2.0
#include "relay_internal.h"

#include "sock.h"

#include <errno.h>

void relay_destroy(struct relay *r)
{
	timer_free(r->again);
	timer_free(r->deadline);
	free(r->end_text);
	free(r);
}

static void enter(struct relay *r)
{
	r->in_callback = true;
}

/* Nothing may touch the relay after this. */
static void leave(struct relay *r)
{
	struct relay_end end;

	relay_settle(r);
	if (r->tell_end) {
		r->tell_end = false;
		relay_get_end(r, &end);
		r->callbacks->on_end(r->arg, &end);
	}
	r->in_callback = false;
	if (r->free_later)
		relay_destroy(r);
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
		relay_side_died(r, side, strerror(-sock_error(e->transport->fd)));
	else if (events & IO_HUP)
		e->has_hung_up = true;
	for (int i = 0; i < 2 && !r->is_over && !r->is_paused; i++) {
		struct direction *d = &r->directions[i];

		uint64_t before = d->read;

		if (!(events & (i == (int)side ? d->want_in : d->want_out)))
			continue;
		relay_pump(r, d);
		if (i == (int)side && !r->is_over && d->read == before)
			slow_down(r, d);
	}
	leave(r);
}

static void on_again(void *arg)
{
	struct relay *r = arg;

	/* An idle session has no timer. */
	timer_free(TAKE(r->again));
	enter(r);
	for (int i = 0; i < 2 && !r->is_over && !r->is_paused; i++)
		if (r->directions[i].again || r->directions[i].is_gathering)
			relay_pump(r, &r->directions[i]);
	leave(r);
}

int relay_again(struct relay *r, uint64_t ms)
{
	int r1 = r->again ? 0 : timer_new(r->loop, on_again, r, &r->again);

	return r1 == 0 ? timer_set_ms(r->again, ms) : r1;
}

void relay_on_deadline(void *arg)
{
	struct relay *r = arg;

	enter(r);
	leave(r);
}

int relay_start(struct relay *r, struct loop *loop)
{
	int r1 = 0;

	r->loop = loop;
	for (int i = 0; r1 == 0 && i < 2; i++) {
		struct end *e = &r->ends[i];

		e->relay = r;
		r->directions[i].from = i;
		/* The handshake may have read on into what follows it. */
		r->directions[i].again = true;
		r1 = io_add(loop, e->transport->fd, on_io, e, &e->io);
	}
	return r1 == 0 ? relay_again(r, 0) : r1;
}

struct relay *relay_make(struct transport *inner, struct transport *outer,
			 const struct relay_callbacks *callbacks, void *arg)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r) {
		inner->ops->free(inner);
		outer->ops->free(outer);
		return NULL;
	}
	r->callbacks = callbacks;
	r->arg = arg;
	r->ends[RELAY_INNER].transport = inner;
	r->ends[RELAY_OUTER].transport = outer;
	return r;
}

int relay_new(struct loop *loop, struct transport *inner, struct transport *outer,
	      const struct relay_callbacks *callbacks, void *arg, struct relay **ret)
{
	struct relay *r = relay_make(inner, outer, callbacks, arg);
	int r1 = r ? relay_start(r, loop) : -ENOMEM;

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
	r1 = relay_again(r, 0);
	if (r1 < 0)
		return r1;
	relay_note_end(r, RELAY_US, RELAY_CLOSED, "");
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
	return is_paused ? 0 : relay_again(r, 0);
}

void relay_abort(struct relay *r, struct relay_end *ret_end)
{
	relay_note_end(r, RELAY_US, RELAY_ABORTED, "");
	if (!r->is_over)
		relay_close_ends(r, true);
	r->tell_end = false;
	if (ret_end)
		relay_get_end(r, ret_end);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	relay_abort(r, NULL);
	if (r->in_callback)
		r->free_later = true;
	else
		relay_destroy(r);
}

void relay_allow_splice(struct relay *r)
{
	r->may_splice = true;
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
	const struct held *held = r->directions[relay_other(side)].held;

	return held ? loop_now_ms() - held->since_ms : 0;
}

size_t relay_buffered(const struct relay *r)
{
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		n += r->directions[i].held ? r->directions[i].held->len : 0;
	return n;
}
