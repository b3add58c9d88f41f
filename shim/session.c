// SPDX-License-Identifier: Apache-2.0
#include "session_internal.h"

#include "ao.h"
#include "sock.h"
#include "transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define RETRY_FIRST_MS	 1000
#define RETRY_MAX_MS	 8000
#define WAIT_FOR_SLOT_MS 200 /* all handshake slots are taken: look again */

/* With TLS 1.3 a client is done before the server has judged its certificate. We give the server's
 * verdict this much time to arrive, while the daemon's OPEN is still ours to hold: a refusal is
 * then an attempt that failed, not a session that broke. Any first byte of the neighbor's BGP ends
 * the wait. */
#define CONFIRM_MS 1000

static void attempt(struct session *s);

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

/* Without a reset, an alert that says why we refuse reaches the neighbor. */
static void drop_outer(struct session *s, bool reset)
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
	drop_outer(s, true);
	session_capability_free(s);
	drop_side(&s->inner_io, &s->inner_fd, true);
	relay_free(s->relay);
	timer_free(s->deadline);
	timer_free(s->retry);
	bgp_done(&s->in);
	bgp_done(&s->out);
	free(s->ao_seen);
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

/* --- attempts
 * ------------------------------------------------------------------------------------------------------
 */

static bool may_go_clear(struct session *s)
{
	return s->config->mode == MODE_PREFERRED && s->ops->may_clear(s->host);
}

static uint64_t patience_ms(const struct session *s)
{
	unsigned patience = s->config->hold_time;

	/* Long enough for the attempt after the moment from which clear text is allowed. */
	if (s->config->mode == MODE_PREFERRED &&
	    patience < s->config->fallback_after + 2 * RETRY_MAX_MS / 1000)
		patience = s->config->fallback_after + 2 * RETRY_MAX_MS / 1000;
	return patience * 1000ULL;
}

static void hold(struct session *s, uint64_t ms)
{
	session_set_state(s, SESSION_HELD);
	if (timer_set_ms(s->retry, jitter_ms(ms)) < 0)
		session_end(s, "out of memory");
}

static void try_clear(struct session *s)
{
	s->is_clear = true;
	attempt(s);
}

/* What comes after an attempt that failed: another one, clear text, or the end. May free the
 * session. */
static void next_attempt(struct session *s, const char *text)
{
	uint64_t now = loop_now_ms();
	uint64_t delay = s->retry_ms;

	drop_outer(s, false);
	if (s->direction == SESSION_IN || s->is_clear) {
		session_end(s, text);
		return;
	}
	if (may_go_clear(s)) {
		try_clear(s);
		return;
	}
	if (now + delay >= s->began_ms + patience_ms(s)) {
		session_end(s, text);
		return;
	}
	s->retry_ms = delay * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : delay * 2;
	hold(s, delay);
}

static void failed(struct session *s, enum tls_reason reason, const char *text)
{
	char copy[256];

	/* The text may live in the struct tls that next_attempt() frees. */
	snprintf(copy, sizeof(copy), "%s", text);
	s->ops->on_failure(s->host, s, reason, copy);
	next_attempt(s, copy);
}

static uint64_t timeout_ms(const struct session *s)
{
	return s->config->handshake_timeout * 1000ULL;
}

static bool may_go_without_ao(const struct session *s)
{
	return s->ao_habit && ao_is_opportunistic(s->config);
}

static void dial(struct session *s)
{
	bool is_first = may_go_without_ao(s) && !s->has_tried_other;

	session_set_state(s, SESSION_CONNECTING);
	s->request = s->ops->want_outer(s->host, s, s->is_clear);
	if (!s->request ||
	    timer_set_ms(s->deadline, is_first ? ao_patience_ms(timeout_ms(s)) : timeout_ms(s)) < 0)
		session_end(s, "out of memory");
}

/* Silence may be the answer to TCP-AO, or to its absence. False: both were tried. */
static bool try_other(struct session *s)
{
	if (!may_go_without_ao(s) || s->has_tried_other)
		return false;
	drop_outer(s, true);
	s->is_without_ao = !s->is_without_ao;
	s->has_tried_other = true;
	dial(s);
	return true;
}

static void attempt(struct session *s)
{
	if (!s->ops->may_handshake(s->host)) {
		hold(s, WAIT_FOR_SLOT_MS);
		return;
	}
	s->has_tried = true;
	s->has_tried_other = false;
	s->is_without_ao =
		may_go_without_ao(s) && ao_habit_begins_without(s->ao_habit, loop_now_ms());
	dial(s);
}

static void want_inner(struct session *s);

static void on_retry(void *arg)
{
	struct session *s = arg;

	/* In clear there is nothing to agree upon before the daemon hears of it. */
	if (s->direction == SESSION_IN) {
		want_inner(s);
		return;
	}
	/* TLS comes first in every session, whatever happened to the ones before; and it may be
	 * back since this one began to wait. */
	s->is_clear = s->config->mode == MODE_TCP_AO || (s->has_tried && may_go_clear(s));
	attempt(s);
}

/* --- TLS
 * -------------------------------------------------------------------------------------------------------------
 */

static void want_inner(struct session *s)
{
	session_set_state(s, SESSION_INNER);
	io_set(s->outer_io, IO_HUP);
	s->request = s->ops->want_inner(s->host, s);
	if (!s->request || timer_set_ms(s->deadline, s->config->handshake_timeout * 1000ULL) < 0)
		session_end(s, "out of memory");
}

static void set_lack(struct session *s, enum ao_lack lack)
{
	s->ao_lack = lack;
	s->ops->on_ao(s->host, s);
}

void session_ao_failed(void *arg, const char *text)
{
	struct session *s = arg;
	char copy[160];

	/* Without any TCP-AO it might go on, too. */
	if (s->config && ao_is_opportunistic(s->config) && !ao_exporter_is_derived(s->ao)) {
		set_lack(s, AO_LACK_NOT_TAKEN);
		return;
	}
	snprintf(copy, sizeof(copy), "%s", text);
	s->ops->on_failure(s->host, s, TLS_REASON_REFUSED, copy);
	session_close(s, copy);
}

/* How it begins says nothing of TLS yet. */
static enum ao_lack lack_of(const struct session *s)
{
	struct tcp_ao_status status;

	switch (tcp_ao_get_status(s->outer_fd, &status)) {
	case 0: return AO_LACK_NONE;
	case -ENOPROTOOPT: return AO_LACK_KERNEL;
	}
	return s->direction == SESSION_OUT ? AO_LACK_NO_ANSWER : AO_LACK_NOT_OFFERED;
}

/* The neighbor is who it is: what it can do is remembered. */
static void note_ao(struct session *s)
{
	bool is_without = s->ao_lack == AO_LACK_NO_ANSWER;

	if (may_go_without_ao(s) && s->ao_lack != AO_LACK_NOT_OFFERED)
		ao_habit_worked(s->ao_habit, is_without, loop_now_ms());
}

void session_ao_params(struct session *s, struct ao_exporter_params *ret)
{
	const struct ao_config *ao = &s->config->ao;

	*ret = (struct ao_exporter_params){
		.loop = s->loop,
		.fd = session_outer_fd(s),
		.peer = s->peer,
		.default_peer = s->direction == SESSION_IN ? ao_listener_peer(s->config) : s->peer,
		.algorithm = ao->own.algorithm,
		.covers_options = ao->own.covers_options,
		.rekey_ms = ao->rekey * 1000ULL,
		.switch_ms = AO_SWITCH_MS,
		.on_failed = session_ao_failed,
		.arg = s,
	};
}

/* From the key that everybody knows to those that follow from TLS. False: the attempt has failed.
 */
static bool derive_ao(struct session *s)
{
	const struct ao_config *ao = &s->config->ao;
	bool is_preferred = ao_is_opportunistic(s->config);
	enum ao_lack lack = is_preferred ? lack_of(s) : AO_LACK_NONE;
	struct ao_exporter_params params;
	uint8_t secret[AO_DERIVED_LEN];
	char text[128];
	int r;

	if (ao->mode != AO_EXPORTER)
		return true;
	session_ao_params(s, &params);
	r = lack ? 0
		 : ao_exporter_derive(s->tls, ao->own.algorithm, ao->own.covers_options, secret);
	if (r == -EPROTONOSUPPORT && is_preferred) {
		lack = AO_LACK_TLS;
		r = 0;
	} else if (r == 0 && !lack) {
		r = ao_exporter_new(&params, secret, &s->ao);
	}
	explicit_bzero(secret, sizeof(secret));
	if (r == 0) {
		if (is_preferred)
			set_lack(s, lack);
		return true;
	}
	snprintf(text, sizeof(text), "tcp-ao = exporter: %s",
		 r == -EPROTONOSUPPORT ? "it needs TLS 1.3, which the neighbor does not speak"
				       : strerror(-r));
	failed(s, TLS_REASON_REFUSED, text);
	return false;
}

static void verified(struct session *s)
{
	if (!derive_ao(s))
		return;
	note_ao(s);
	if (s->direction == SESSION_IN)
		want_inner(s);
	else
		session_start_relay(s);
}

static void tls_step(struct session *s)
{
	enum tls_want want = s->is_confirming ? tls_peek(s->tls) : tls_handshake(s->tls);
	struct tls_info info;
	const char *text;

	switch (want) {
	case TLS_WANT_READ: io_set(s->outer_io, IO_READ); return;
	case TLS_WANT_WRITE: io_set(s->outer_io, IO_WRITE); return;
	case TLS_DONE:
		tls_set_key_update_records(s->tls, s->config->key_update_records);
		tls_get_info(s->tls, &info);
		if (s->direction == SESSION_OUT && !s->is_confirming &&
		    strcmp(info.version, "TLSv1.3") == 0) {
			s->is_confirming = true;
			timer_set_ms(s->deadline, CONFIRM_MS);
			tls_step(s);
			return;
		}
		verified(s);
		return;
	case TLS_EOF:
		/* The neighbor's daemon refused the connection in an orderly way: pass it on as
		 * that. */
		if (s->is_confirming) {
			verified(s);
			return;
		}
		/* fall through */
	case TLS_TRUNCATED:
	case TLS_FAILED: {
		enum tls_reason reason = tls_failure(s->tls, &text);

		failed(s, reason, text);
		return;
	}
	}
}

/* A neighbor's ktls counts when a handshake begins. */
static int new_tls(struct session *s, enum tls_side side)
{
	int r = tls_new(s->ctx, side, s->outer_fd, &s->peer, &s->tls);

	if (r == 0 && s->config->ktls == KTLS_ON)
		tls_want_kernel(s->tls);
	return r;
}

static void begin_tls(struct session *s, enum tls_side side)
{
	if (new_tls(s, side) < 0) {
		session_end(s, "out of memory");
		return;
	}
	tls_leave_counters(s->tls, &s->tls_left);
	session_set_state(s, SESSION_HANDSHAKE);
	tls_step(s);
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
		verified(s);
		return;
	}
	if (s->state == SESSION_INNER) {
		session_end(s, "the daemon did not accept the connection in time");
		return;
	}
	if (is_connecting && !s->is_connected && try_other(s))
		return;
	/* A key that does not fit is answered with silence. */
	snprintf(text, sizeof(text), "%s not finished within %u s%s",
		 is_connecting ? "TCP connection" : "TLS handshake", s->config->handshake_timeout,
		 is_connecting && ao_is_wanted(s->config)
			 ? "; with tcp-ao that may also be a key, id, algorithm or tcp-ao-options "
			   "that the neighbor does not have"
			 : "");
	failed(s, is_connecting ? TLS_REASON_UNREACHABLE : TLS_REASON_TIMEOUT, text);
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
			failed(s, TLS_REASON_UNREACHABLE, text);
			return;
		}
		if (!(events & IO_WRITE))
			return;
		if (!s->is_connected && may_go_without_ao(s) &&
		    timer_set_ms(s->deadline, timeout_ms(s)) < 0) {
			session_end(s, "out of memory");
			return;
		}
		s->is_connected = true;
		if (s->is_clear)
			session_start_relay(s);
		else if (loop_may_take_long(s->loop))
			begin_tls(s, TLS_CLIENT);
		return;
	}
	if (s->state == SESSION_HANDSHAKE) {
		if (loop_may_take_long(s->loop))
			tls_step(s);
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
		failed(s, TLS_REASON_UNREACHABLE, error);
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
	    timer_new(p->loop, on_retry, s, &s->retry) < 0) {
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
	if (watch(s, outer_fd, on_outer, IO_READ, &s->outer_io) < 0 || new_tls(s, TLS_SERVER) < 0 ||
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
	snprintf(s->end, sizeof(s->end), "%s", why);
	if (relay_close(s->relay) < 0)
		session_end(s, why);
}

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
