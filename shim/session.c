// SPDX-License-Identifier: Apache-2.0
#include "session_internal.h"

#include "ao.h"
#include "sock.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

void session_set_state(struct session *s, enum session_state state)
{
	if (s->state == state)
		return;
	s->state = state;
	s->since = time(NULL);
	s->ops->on_state(s->host, s);
}

static void drop_request(struct session *s)
{
	if (s->request)
		s->ops->forget_request(s->host, s->request);
	s->request = 0;
}

static void drop_side(struct io **io, int *fd, bool reset)
{
	io_free(*io);
	*io = NULL;
	if (*fd >= 0) {
		if (reset)
			sock_set_reset_on_close(*fd);
		close(*fd);
		*fd = -1;
	}
}

void session_drop_outer(struct session *s, bool reset)
{
	drop_request(s);
	timer_stop(s->deadline);
	s->is_confirming = s->is_connected = false;
	ao_exporter_free(TAKE(s->ao));
	tls_free(TAKE(s->tls));
	drop_side(&s->outer_io, &s->outer_fd, reset);
}

void session_free(struct session *s)
{
	if (!s)
		return;
	session_drop_outer(s, true);
	session_capability_free(s);
	drop_side(&s->inner_io, &s->inner_fd, true);
	relay_free(s->relay);
	timer_free(s->deadline);
	timer_free(s->retry);
	bgp_done(&s->in);
	bgp_done(&s->out);
	free(s->ao_seen);
	free(s->end);
	if (s->ctx)
		tls_ctx_unref(s->ctx);
	free(s);
}

void session_end(struct session *s, const char *why)
{
	s->is_closing = true;
	drop_request(s); /* the host is gone after on_ended */
	session_capability_end(s);
	session_capture_end(s, why);
	s->ops->on_ended(s->host, s, why);
	session_free(s);
}

void session_want_inner(struct session *s)
{
	session_set_state(s, SESSION_INNER);
	io_set(s->outer_io, IO_HUP);
	s->request = s->ops->want_inner(s->host, s);
	if (!s->request || timer_set_ms(s->deadline, s->config->handshake_timeout * 1000ULL) < 0)
		session_end(s, "out of memory");
}

/* --- events
 * ----------------------------------------------------------------------------------------------------------
 */

static void on_deadline(void *arg)
{
	struct session *s = arg;
	bool is_connecting = s->state == SESSION_CONNECTING;
	char text[256];

	if (s->is_confirming) {
		session_verified(s);
		return;
	}
	if (s->state == SESSION_INNER) {
		session_end(s, "the daemon did not accept the connection in time");
		return;
	}
	if (is_connecting && !s->is_connected && session_try_other(s))
		return;
	/* A key that does not fit is answered with silence. */
	snprintf(text, sizeof(text), "%s not finished within %u s%s",
		 is_connecting ? "TCP connection" : "TLS handshake", s->config->handshake_timeout,
		 is_connecting && ao_is_wanted(s->config)
			 ? "; with tcp-ao that may also be a key, id, algorithm or tcp-ao-options "
			   "that the neighbor does not have"
			 : "");
	session_failed(s, is_connecting ? TLS_REASON_UNREACHABLE : TLS_REASON_TIMEOUT, text);
}

static void on_outer(void *arg, unsigned events)
{
	struct session *s = arg;
	char text[128];
	int r;

	if (s->state == SESSION_CONNECTING) {
		r = sock_error(s->outer_fd);
		if (r < 0) {
			snprintf(text, sizeof(text), "TCP connection to port %u failed: %s",
				 s->is_clear ? 179 : s->config->tls_port, strerror(-r));
			session_failed(s, TLS_REASON_UNREACHABLE, text);
			return;
		}
		if (!(events & IO_WRITE))
			return;
		if (!s->is_connected && session_may_go_without_ao(s) &&
		    timer_set_ms(s->deadline, session_timeout_ms(s)) < 0) {
			session_end(s, "out of memory");
			return;
		}
		s->is_connected = true;
		if (s->is_clear)
			session_start_relay(s);
		else if (loop_may_take_long(s->loop))
			session_begin_tls(s, TLS_CLIENT);
		return;
	}
	if (s->state == SESSION_HANDSHAKE) {
		if (loop_may_take_long(s->loop))
			session_tls_step(s);
		return;
	}
	if (events & (IO_HUP | IO_ERROR))
		session_end(s, "the neighbor hung up before the daemon had accepted");
}

static void on_inner(void *arg, unsigned events)
{
	struct session *s = arg;
	char text[96];
	int r;

	if (s->state == SESSION_INNER) {
		r = sock_error(s->inner_fd);
		if (r < 0) {
			snprintf(text, sizeof(text), "the daemon refused the connection: %s",
				 strerror(-r));
			session_end(s, text);
			return;
		}
		if (events & IO_WRITE)
			session_start_relay(s);
		return;
	}
	if (events & (IO_HUP | IO_ERROR))
		session_end(s, "the daemon gave up waiting");
}

static int watch(struct session *s, int fd, void (*cb)(void *arg, unsigned events), unsigned want,
		 struct io **ret)
{
	int r = io_add(s->loop, fd, cb, s, ret);

	return r < 0 ? r : io_set(*ret, want);
}

void session_give_socket(struct session *s, uint32_t request, int fd, const char *error)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int r;

	if (request != s->request) {
		cleanup_close(&fd);
		return;
	}
	s->request = 0;
	if (s->state == SESSION_INNER) {
		s->inner_fd = fd;
		if (fd < 0)
			session_end(s, error);
		else if (watch(s, fd, on_inner, IO_WRITE, &s->inner_io) < 0)
			session_end(s, "out of memory");
		return;
	}
	if (fd < 0) {
		session_failed(s, TLS_REASON_UNREACHABLE, error);
		return;
	}
	s->outer_fd = fd;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0) {
		struct addr ignored;

		addr_from_socket(fd, &ss, &ignored, &s->own_port);
	}
	s->peer_port = s->is_clear ? 179 : s->config->tls_port;
	r = watch(s, fd, on_outer, IO_WRITE, &s->outer_io);
	if (r < 0)
		session_end(s, "out of memory");
}

/* --- life
 * ------------------------------------------------------------------------------------------------------------
 */

struct session *session_make(const struct session_params *p, enum session_direction direction)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct session){
		.loop = p->loop,
		.ops = p->ops,
		.host = p->host,
		.id = p->id,
		.direction = direction,
		.config = p->config,
		.ctx = p->ctx ? tls_ctx_ref(p->ctx) : NULL,
		.own = p->own,
		.peer = p->peer,
		.own_port = p->own_port,
		.peer_port = p->peer_port,
		.captures = p->captures,
		.ao_habit = p->ao_habit,
		.ended_first = RELAY_US,
		.inner_fd = -1,
		.outer_fd = -1,
		.began_ms = loop_now_ms(),
		.retry_ms = RETRY_FIRST_MS,
		.since = time(NULL),
		.state = direction == SESSION_OUT ? SESSION_CONNECTING : SESSION_HANDSHAKE,
	};
	bgp_init(&s->in);
	bgp_init(&s->out);
	if (timer_new(p->loop, on_deadline, s, &s->deadline) < 0 ||
	    timer_new(p->loop, session_on_retry, s, &s->retry) < 0) {
		session_free(s);
		return NULL;
	}
	return s;
}

int session_new_out(const struct session_params *p, int inner_fd, struct session **ret)
{
	struct session *s = session_make(p, SESSION_OUT);

	if (!s) {
		close(inner_fd);
		return -ENOMEM;
	}
	s->inner_fd = inner_fd;
	/* The first attempt is made from the loop, so that the caller has its session before the
	 * first callback. */
	if (watch(s, inner_fd, on_inner, IO_HUP, &s->inner_io) < 0 || timer_defer(s->retry) < 0) {
		session_free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

/* mode tcp-ao: from the loop, so that the caller has its session before the first callback. */
static int begin_in_clear(struct session *s)
{
	int r = watch(s, s->outer_fd, on_outer, IO_HUP, &s->outer_io);

	s->is_clear = true;
	s->state = SESSION_INNER;
	return r < 0 ? r : timer_defer(s->retry);
}

int session_new_in(const struct session_params *p, int outer_fd, struct session **ret)
{
	struct session *s = session_make(p, SESSION_IN);

	if (!s) {
		close(outer_fd);
		return -ENOMEM;
	}
	s->outer_fd = outer_fd;
	if (p->config->mode == MODE_TCP_AO) {
		if (begin_in_clear(s) < 0) {
			session_free(s);
			return -ENOMEM;
		}
		*ret = s;
		return 0;
	}
	if (watch(s, outer_fd, on_outer, IO_READ, &s->outer_io) < 0 ||
	    session_new_tls(s, TLS_SERVER) < 0 ||
	    timer_set_ms(s->deadline, p->config->handshake_timeout * 1000ULL) < 0) {
		session_free(s);
		return -ENOMEM;
	}
	tls_leave_counters(s->tls, &s->tls_left);
	*ret = s;
	return 0;
}

void session_set_config(struct session *s, const struct neighbor_config *config,
			struct tls_ctx *ctx)
{
	s->config = config;
	if (ctx && ctx != s->ctx) {
		if (s->ctx)
			tls_ctx_unref(s->ctx);
		s->ctx = tls_ctx_ref(ctx);
	}
}

void session_close(struct session *s, const char *why)
{
	if (s->is_closing)
		return;
	if (!s->relay) {
		session_end(s, why);
		return;
	}
	s->is_closing = true;
	s->end = strdup(why);
	if (relay_close(s->relay) < 0)
		session_end(s, why);
}
