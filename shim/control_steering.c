// SPDX-License-Identifier: Apache-2.0
/* What is programmed: it follows the configuration, our addresses and the interfaces, and is put
 * back where others took it away. */
#include "control_internal.h"

#include "log.h"

#include <errno.h>

#define NETWORK_SETTLE_MS 200 /* addresses and links change in bursts */
#define STEER_RETRY_MS	  2000

bool control_resolve(struct control *c, struct state *s)
{
	bool changed = false;

	for (size_t i = 0; i < s->config->n_neighbors; i++) {
		const struct neighbor_config *n = &s->config->neighbors[i];
		struct addr own = {};

		if (n->mode == MODE_OFF || addr_is_prefix(&n->address))
			continue;
		if (n->local_address.family != AF_UNSPEC)
			own = n->local_address;
		else if (netwatch_source(c->watch, &n->address, &own) < 0)
			own = (struct addr){};
		changed |= !addr_equal(&s->peers[i].own, &own);
		s->peers[i].own = own;
	}
	return changed;
}

int control_steer(struct control *c, const struct state *s, struct errtext *e)
{
	_cleanup_free_ struct steering_entry *entries =
		calloc(s->config->n_neighbors + 1, sizeof(*entries));
	size_t n = 0;

	if (!entries)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < s->config->n_neighbors; i++) {
		const struct neighbor_config *nc = &s->config->neighbors[i];

		if (nc->mode == MODE_OFF)
			continue;
		entries[n++] = (struct steering_entry){
			.neighbor = nc->address,
			.own = s->peers[i].own,
			.is_required = nc->mode == MODE_REQUIRED || nc->mode == MODE_TCP_AO,
			.is_carried = nc->mode == MODE_TCP_AO,
			.allow_clear = nc->mode == MODE_PREFERRED && s->peers[i].allow_clear,
			.may_connect = nc->role != ROLE_ACCEPT && !addr_is_prefix(&nc->address),
			.may_accept = nc->role != ROLE_CONNECT,
			.min_ttl = nc->ttl_security ? 256 - nc->ttl_security : 0,
			.inner_tcp_md5 = nc->inner_tcp_md5,
		};
	}
	return steering_apply(c->steering, entries, n, e);
}

void control_steer_later(struct control *c)
{
	c->steer_again = true;
	timer_set_ms(c->network_changed, jitter_ms(STEER_RETRY_MS));
}

/* Own addresses as they are now, and everything programmed back in its place: local routes vanish
 * with a link, filters with an interface, and what others remove must not stay removed. */
static void refresh(struct control *c)
{
	struct errtext e = {};
	int n;

	c->steer_again |= control_resolve(c, &c->now);
	if (c->steer_again && control_steer(c, &c->now, &e) < 0) {
		control_steer_later(c);
		log_error(
			"steering cannot follow a change of addresses or routes, trying again: %s",
			e.text);
		return;
	}
	c->steer_again = false;
	n = steering_check(c->steering, NULL, NULL, NULL);
	c->steering_wrong = n > 0 ? n : 0;
	c->steering_found += c->steering_wrong;
	if (n <= 0)
		return;
	log_warning("the kernel does not agree with %d of the things that were programmed "
		    "(botlsctl steering); repairing",
		    n);
	if (steering_repair(c->steering, &e) < 0)
		log_error("steering cannot be repaired: %s", e.text);
}

void control_on_network_settled(void *arg)
{
	struct control *c = arg;

	/* The table holds interface indexes, too: it is made anew after any change. */
	c->steer_again = true;
	refresh(c);
}

void control_on_netlink(void *arg, unsigned events)
{
	struct control *c = arg;

	(void)events;
	if (netwatch_read(c->watch) == 0 || timer_is_set(c->network_changed))
		return;
	/* At once, so that an interface that comes finds its guard there, and again when the burst
	 * is over. */
	timer_set_ms(c->network_changed, NETWORK_SETTLE_MS);
	c->steer_again = true;
	refresh(c);
}

/* Routes are not watched, and not everything that goes is told. */
void control_on_audit(void *arg)
{
	struct control *c = arg;

	timer_set_ms(c->audit, jitter_ms(AUDIT_MS));
	refresh(c);
	control_ao_follow(c);
}
