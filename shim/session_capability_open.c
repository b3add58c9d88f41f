// SPDX-License-Identifier: Apache-2.0
/* tcp-ao = capability: what is put into our daemon's OPEN, and taken out of the neighbor's. */
#include "session_capability.h"

#include <errno.h>

uint8_t capability_number(enum tcp_ao_algorithm a)
{
	switch (a) {
	case TCP_AO_HMAC_SHA1_96: return 0;
	case TCP_AO_AES_128_CMAC_96: return 1;
	case TCP_AO_HMAC_SHA256_96: return 2;
	}
	return 255;
}

static struct bgp_capability of_config(const struct capability *c, uint8_t len)
{
	return (struct bgp_capability){c->code, len, c->own};
}

static void add_ours(struct capability *c, struct first *f)
{
	struct bgp_capability ours = of_config(c, VALUE_LEN);
	int r = bgp_open_add_capability(f->data, f->have, &ours);

	if (r > 0) {
		f->have = r;
		return;
	}
	c->is_offered = false;
	capability_set_state(c, CAPABILITY_UNAVAILABLE, "%s",
			     r == -ENOSPC
				     ? "the daemon's OPEN has no room for a capability more"
				     : "what the daemon began with is no OPEN that can be read");
}

static void take_theirs(struct capability *c, struct first *f)
{
	struct bgp_capability mark = of_config(c, MARK_LEN);
	int r = bgp_open_take_capability(f->data, f->have, &mark, c->peers, sizeof(c->peers),
					 &c->peers_len);

	if (r > 0)
		f->have = r;
}

static void decide(struct capability *c)
{
	free(TAKE(c->first));
	if (c->state != CAPABILITY_WAITING)
		return;
	if (!c->peers_len)
		capability_set_state(c, CAPABILITY_NO_PEER, "%s", "");
	else if (c->peers_len != VALUE_LEN || memcmp(c->peers, c->own, VALUE_LEN) != 0)
		capability_set_state(
			c, CAPABILITY_OTHER,
			"the neighbor announces another algorithm, tcp-ao-options or version");
	else if (timer_set_ms(c->timer, CAPABILITY_TICK_MS) == 0)
		capability_set_state(c, CAPABILITY_AGREED, "%s", "");
}

/* How long the first message is, as far as that is known. */
static size_t length_of(const struct first *f)
{
	size_t length = BGP_HEADER_LEN;

	if (f->have >= BGP_HEADER_LEN)
		length = (size_t)f->data[16] << 8 | f->data[17];
	/* One that cannot be is passed on as it is. */
	return length < BGP_HEADER_LEN || length > BGP_OPEN_MAX ? f->have : length;
}

/* Takes from `data` what belongs to the first message. Returns how much. */
static size_t collect(struct first *f, const uint8_t *data, size_t len)
{
	size_t used = 0;

	while (used < len && f->have < length_of(f)) {
		size_t n = length_of(f) - f->have;

		n = n < len - used ? n : len - used;
		memcpy(f->data + f->have, data + used, n);
		f->have += n;
		used += n;
	}
	return used;
}

size_t capability_on_edit(void *arg, enum relay_side from, uint8_t *data, size_t len, bool is_last)
{
	struct session *s = arg;
	struct capability *c = s->capability;
	struct first *f = &c->first[from];
	size_t used = collect(f, data, len), out;

	if (f->have < length_of(f) && !is_last)
		return 0;
	relay_set_edit(s->relay, from, NULL);
	f->is_over = true;
	if (from == RELAY_OUTER)
		take_theirs(c, f);
	else if (c->is_offered)
		add_ours(c, f);
	out = f->have;
	memmove(data + out, data + used, len - used);
	memcpy(data, f->data, out);
	if (c->first[RELAY_INNER].is_over && c->first[RELAY_OUTER].is_over)
		decide(c);
	return out + len - used;
}
_Static_assert(RELAY_EDIT_ROOM >= BGP_OPEN_MAX, "a first message fits");
