// SPDX-License-Identifier: Apache-2.0
/* What a session tells of itself. */
#include "session_internal.h"

#include "ao.h"
#include "sock.h"
#include "transport.h"

int session_outer_fd(const struct session *s)
{
	const struct transport *outer = s->relay ? relay_transport(s->relay, RELAY_OUTER) : NULL;

	return outer ? outer->fd : s->outer_fd;
}

void session_get_info(struct session *s, struct session_info *ret)
{
	struct transport *outer;
	int fd = session_outer_fd(s);

	*ret = (struct session_info){
		.id = s->id,
		.direction = s->direction,
		.state = s->state,
		.bgp = s->bgp,
		.since = s->since,
		.established_since = s->established_since,
		.own = &s->own,
		.peer = &s->peer,
		.own_port = s->own_port,
		.peer_port = s->peer_port,
		.in = &s->in,
		.out = &s->out,
		.dials_without_ao = s->is_without_ao,
		.ao_lack = s->ao_lack,
	};
	outer = s->relay ? relay_transport(s->relay, RELAY_OUTER) : NULL;
	ret->has_ao = s->config && ao_may_be(s->config) && fd >= 0 &&
		      tcp_ao_get_status(fd, &ret->ao) == 0;
	if (s->ao) {
		ret->has_derived_ao = ao_exporter_is_derived(s->ao);
		ret->ao_generation = ao_exporter_generation(s->ao);
	}
	session_capability_get_info(s, &ret->capability);
	if (outer && transport_get_tls(outer)) {
		ret->has_tls = true;
		tls_get_info(transport_get_tls(outer), &ret->tls);
	}
}

static void get_leg(const struct session *s, enum relay_side side, int fd, struct session_leg *ret)
{
	struct transport *t = s->relay ? relay_transport(s->relay, side) : NULL;

	*ret = (struct session_leg){};
	ret->is_there = sock_get_connection(t ? t->fd : fd, &ret->tcp) == 0;
	if (t)
		ret->blocked_ms = relay_blocked_ms(s->relay, side);
}

void session_get_legs(const struct session *s, struct session_legs *ret)
{
	get_leg(s, RELAY_INNER, s->inner_fd, &ret->inner);
	get_leg(s, RELAY_OUTER, s->outer_fd, &ret->outer);
	ret->buffered = s->relay ? relay_buffered(s->relay) : 0;
}

uint64_t session_id(const struct session *s)
{
	return s->id;
}

void *session_host(const struct session *s)
{
	return s->host;
}

enum session_state session_state(const struct session *s)
{
	return s->state;
}

enum session_bgp session_bgp(const struct session *s)
{
	return s->bgp;
}

enum session_direction session_direction(const struct session *s)
{
	return s->direction;
}

const char *session_state_name(enum session_state s)
{
	switch (s) {
	case SESSION_CONNECTING: return "connecting";
	case SESSION_HANDSHAKE: return "handshake";
	case SESSION_HELD: return "held";
	case SESSION_INNER: return "handshake";
	case SESSION_UP: return "up";
	case SESSION_CLEAR: return "clear";
	}
	return "?";
}

const char *session_bgp_name(enum session_bgp b)
{
	switch (b) {
	case SBGP_CONNECT: return "connect";
	case SBGP_OPENSENT: return "opensent";
	case SBGP_OPENCONFIRM: return "openconfirm";
	case SBGP_ESTABLISHED: return "established";
	case SBGP_CLOSING: return "closing";
	}
	return "?";
}
