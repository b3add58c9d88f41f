// SPDX-License-Identifier: Apache-2.0
/* A session whose both sides are connected: bytes through the relay, BGP read on the way. */
#include "session_internal.h"

#include "ao.h"
#include "botls/botls.h"
#include "sock.h"
#include "transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

/* RFC 9687: a peer that takes nothing is given up after twice the hold time, 8 minutes at least. */
#define SEND_HOLD_MIN	   480
#define KEEPALIVE_INTERVAL 15
#define KEEPALIVE_COUNT	   5

/* --- captures
 * ----------------------------------------------------------------------------------------------------------
 */

/* The daemon's own port, or the one that it takes for the neighbor's: the end of the inner
 * connection that is not 179. */
static void find_inner_port(struct session *s)
{
	struct transport *inner = s->relay ? relay_transport(s->relay, RELAY_INNER) : NULL;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr ignored;
	int r;

	if (s->inner_port || !inner)
		return;
	r = s->direction == SESSION_OUT ? getpeername(inner->fd, (struct sockaddr *)&ss, &len)
					: getsockname(inner->fd, (struct sockaddr *)&ss, &len);
	if (r == 0)
		addr_from_socket(inner->fd, &ss, &ignored, &s->inner_port);
}

static bool is_captured(const struct session *s)
{
	return s->captures && *s->captures;
}

static struct capture_flow capture_flow(struct session *s)
{
	bool is_out = s->direction == SESSION_OUT;

	find_inner_port(s);
	return (struct capture_flow){
		.session = s->id,
		.neighbor = &s->peer,
		.daemon = &s->own,
		.neighbor_port = is_out ? BOTLS_PORT_BGP : s->inner_port,
		.daemon_port = is_out ? s->inner_port : BOTLS_PORT_BGP,
		.daemon_connected = is_out,
		.in = &s->in,
		.out = &s->out,
		.in_step = s->capture_in_step,
	};
}

void session_capture_begins(struct session *s, unsigned slot)
{
	s->capture_in_step[0] &= ~(1U << slot);
	s->capture_in_step[1] &= ~(1U << slot);
	find_inner_port(s); /* the session's end is too late for it */
}

void session_capture_end(struct session *s, const char *why)
{
	struct capture_flow f;

	if (!is_captured(s) || !s->relay)
		return;
	f = capture_flow(s);
	captures_end(*s->captures, &f, s->ended_first == RELAY_OUTER, !s->ended_orderly, why);
}

/* --- the relay
 * ---------------------------------------------------------------------------------------------------------
 */

static void tune(struct session *s)
{
	unsigned hold_time = 0, timeout = s->config->user_timeout;
	int fds[2] = {relay_transport(s->relay, RELAY_INNER)->fd,
		      relay_transport(s->relay, RELAY_OUTER)->fd};

	if (s->in.open.seen && s->out.open.seen)
		hold_time = s->in.open.hold_time < s->out.open.hold_time ? s->in.open.hold_time
									 : s->out.open.hold_time;
	if (timeout == 0)
		timeout = 2 * hold_time > SEND_HOLD_MIN ? 2 * hold_time : SEND_HOLD_MIN;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		/* Best effort: a session without these timers still has BGP's own. */
		sock_set_user_timeout(fds[i], timeout);
		if (s->config->keepalive)
			sock_set_keepalive(fds[i], s->config->keepalive, KEEPALIVE_INTERVAL,
					   KEEPALIVE_COUNT);
	}
}

static void update_bgp(struct session *s)
{
	enum session_bgp bgp = SBGP_OPENSENT;

	if (s->in.open.seen && s->out.open.seen)
		bgp = s->in.messages[BGP_KEEPALIVE] && s->out.messages[BGP_KEEPALIVE]
			      ? SBGP_ESTABLISHED
			      : SBGP_OPENCONFIRM;
	if (s->in.messages[BGP_NOTIFICATION] || s->out.messages[BGP_NOTIFICATION])
		bgp = SBGP_CLOSING;
	if (bgp == s->bgp)
		return;
	if (bgp >= SBGP_OPENCONFIRM && s->bgp < SBGP_OPENCONFIRM)
		tune(s);
	if (bgp == SBGP_ESTABLISHED) {
		s->established_since = time(NULL);
		relay_allow_splice(s->relay);
	}
	s->bgp = bgp;
	s->ops->on_bgp(s->host, s);
}

static bool as_is_right(const struct session *s, char *why, size_t size)
{
	uint32_t as = s->in.open.as;

	if (!s->config || !s->config->remote_as || as == s->config->remote_as)
		return true;
	snprintf(why, size, "the neighbor's OPEN says AS %u, remote-as is %u", as,
		 s->config->remote_as);
	return false;
}

/* The relay's tap: every byte, before it is passed on. */
static void on_bytes(void *arg, enum relay_side from, const void *data, size_t len)
{
	struct session *s = arg;
	bool inbound = from == RELAY_OUTER;
	struct bgp_stream *stream = inbound ? &s->in : &s->out;
	bool extended = s->in.open.extended_message && s->out.open.extended_message;
	unsigned seen;
	char why[80];

	if (is_captured(s)) {
		struct capture_flow f = capture_flow(s);

		captures_bytes(*s->captures, &f, inbound, data, len);
	}
	seen = bgp_feed(stream, data, len, extended);
	if (s->is_closing)
		return;
	if (seen & (1U << BGP_NOTIFICATION) && stream->notification) {
		s->ops->on_notification(s->host, s, inbound, stream->notification);
		if (inbound)
			session_capability_on_notification(s, stream->notification);
	}
	if (inbound && (seen & (1U << BGP_OPEN)) && !as_is_right(s, why, sizeof(why))) {
		s->ops->on_failure(s->host, s, TLS_REASON_REFUSED, why);
		session_end(s, why);
		return;
	}
	if (seen)
		update_bgp(s);
}

static const char *end_verb(enum relay_how how)
{
	switch (how) {
	case RELAY_EOF: return "closed";
	case RELAY_RESET: return "reset";
	case RELAY_ERROR: return "failed";
	case RELAY_CLOSED:
	case RELAY_ABORTED: return "was closed";
	}
	return "?";
}

static void on_relay_end(void *arg, const struct relay_end *e)
{
	struct session *s = arg;
	const char *who = e->first == RELAY_INNER   ? "daemon"
			  : e->first == RELAY_OUTER ? "neighbor"
						    : "session";
	char why[sizeof(e->text) + 64];

	s->ended_first = e->first;
	s->ended_orderly = e->how == RELAY_EOF || e->how == RELAY_CLOSED;
	if (s->end) {
		session_end(s, s->end);
		return;
	}
	/* A refusal that came later than CONFIRM_MS: still the handshake's failure. */
	if (!s->is_clear && e->first == RELAY_OUTER && e->how == RELAY_RESET && s->in.bytes == 0)
		s->ops->on_failure(s->host, s, TLS_REASON_RESET, e->text);
	snprintf(why, sizeof(why), "%s %s%s%s", who, end_verb(e->how), e->text[0] ? ": " : "",
		 e->text);
	session_end(s, why);
}

const struct relay_callbacks session_relay_callbacks = {.on_bytes = on_bytes,
							.on_end = on_relay_end};

void session_start_relay(struct session *s)
{
	struct transport *inner, *outer;
	int r = -ENOMEM;

	/* A session lasts for months: what it needed to come up goes. */
	timer_free(TAKE(s->deadline));
	timer_free(TAKE(s->retry));
	io_free(TAKE(s->inner_io));
	io_free(TAKE(s->outer_io));
	inner = transport_tcp_new(TAKE_FD(s->inner_fd));
	outer = s->is_clear ? transport_tcp_new(TAKE_FD(s->outer_fd))
			    : transport_tls_new(TAKE_FD(s->outer_fd), TAKE(s->tls));
	if (inner && outer)
		r = relay_new(s->loop, inner, outer, &session_relay_callbacks, s, &s->relay);
	else if (inner || outer)
		(inner ? inner : outer)->ops->free(inner ? inner : outer);
	if (r < 0) {
		session_end(s, "out of memory");
		return;
	}
	s->bgp = SBGP_OPENSENT;
	tune(s);
	if (is_captured(s)) {
		struct capture_flow f = capture_flow(s);

		captures_begin(*s->captures, &f);
	}
	if (!s->is_clear && ao_is_capability(s->config))
		session_capability_start(s);
	session_set_state(s, s->is_clear ? SESSION_CLEAR : SESSION_UP);
}
