// SPDX-License-Identifier: Apache-2.0
/* A relay that goes on in another process: it stands still, and is made again as it stood. */
#include "relay_internal.h"

#include <errno.h>

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

		ret->from[i].held = d->held ? d->held->data + d->held->at : NULL;
		ret->from[i].held_len = d->held ? d->held->len - d->held->at : 0;
		ret->from[i].read = d->read;
		ret->from[i].written = d->written;
		ret->from[i].blocked_ms = relay_blocked_ms(r, relay_other(d->from));
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
		if (relay_hold(r, d, state->from[i].held, state->from[i].held_len) < 0)
			return -ENOMEM;
		d->held->since_ms = blocked_ms < now ? now - blocked_ms : 0;
	}
	return relay_freeze(r);
}

int relay_new_frozen(struct loop *loop, struct transport *inner, struct transport *outer,
		     const struct relay_callbacks *callbacks, void *arg,
		     const struct relay_state *state, struct relay **ret)
{
	struct relay *r = relay_make(inner, outer, callbacks, arg);
	int r1 = r ? relay_start(r, loop) : -ENOMEM;

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
	relay_close_ends(r, false);
	relay_destroy(r);
}
