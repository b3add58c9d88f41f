// SPDX-License-Identifier: Apache-2.0
#include "neighbor_internal.h"

#include "ao.h"
#include "sock.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

/* tcp-ao = capability did not work: a session that lives is worth more than another try. */
#define NO_AO_MS 3600000

const char *neighbor_name(const struct neighbor *n)
{
	return n->name;
}

const struct neighbor_config *neighbor_config(const struct neighbor *n)
{
	return n->config;
}

/* Lines that the other side can cause at will. */
static void log_limited(struct neighbor *n, enum log_level level, const char *fmt, ...)
	PRINTF(3, 4);
static void log_limited(struct neighbor *n, enum log_level level, const char *fmt, ...)
{
	uint32_t held_back;
	char text[800];
	va_list ap;

	if (!log_limit_pass(&n->log_limit, loop_now_ms(), &held_back))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (held_back)
		log_at(level, "neighbor %s: %s (%u lines like this held back)", n->name, text,
		       held_back);
	else
		log_at(level, "neighbor %s: %s", n->name, text);
}

/* --- fallback
 * ----------------------------------------------------------------------------------------------------------
 */

static bool has_established(const struct neighbor *n)
{
	for (const struct link *l = n->links; l; l = l->next)
		if (session_state(l->session) == SESSION_UP &&
		    session_bgp(l->session) == SBGP_ESTABLISHED)
			return true;
	return false;
}

static void set_allow_clear(struct neighbor *n, bool allow, const char *why)
{
	if (n->allow_clear == allow)
		return;
	n->allow_clear = allow;
	if (allow)
		log_warning("neighbor %s: %s: CLEAR TEXT IS ALLOWED NOW (mode preferred)", n->name,
			    why);
	else
		log_info("neighbor %s: %s: clear text is refused again", n->name, why);
	n->ops->on_fallback(n->host, n, allow);
}

static void on_fallback_timer(void *arg)
{
	struct neighbor *n = arg;
	char why[64];

	snprintf(why, sizeof(why), "no session over TLS for %u s", n->config->fallback_after);
	set_allow_clear(n, true, why);
}

/* How long another worker may still have a session. */
static uint64_t elsewhere_ms(const struct neighbor *n)
{
	uint64_t now = loop_now_ms();

	return n->elsewhere_until_ms > now ? n->elsewhere_until_ms - now : 0;
}

/* Starts the time anew, or stops it, as the sessions are now. */
static void update_fallback(struct neighbor *n)
{
	if (n->is_orphan)
		return;
	if (!n->config || n->config->mode != MODE_PREFERRED || has_established(n)) {
		timer_stop(n->fallback);
		set_allow_clear(n, false, "TLS is up");
		return;
	}
	if (!n->allow_clear && !timer_is_set(n->fallback))
		timer_set_ms(n->fallback, n->config->fallback_after * 1000ULL + elsewhere_ms(n));
}

void neighbor_is_elsewhere(struct neighbor *n, uint64_t ms)
{
	n->elsewhere_until_ms = loop_now_ms() + ms;
	timer_stop(n->fallback);
	update_fallback(n);
}

void neighbor_fallback_begin(struct neighbor *n)
{
	if (n->config->mode != MODE_PREFERRED)
		return;
	timer_stop(n->fallback);
	n->allow_clear = true;
}

void neighbor_fallback_end(struct neighbor *n)
{
	set_allow_clear(n, false, "the session in clear text has ended");
	update_fallback(n);
}

/* --- what sessions tell
 * ------------------------------------------------------------------------------------------------
 */

/* From best to worst, for the summary. */
static int rank(enum session_state s)
{
	switch (s) {
	case SESSION_UP: return 5;
	case SESSION_CLEAR: return 4;
	case SESSION_INNER:
	case SESSION_HANDSHAKE: return 3;
	case SESSION_CONNECTING: return 2;
	case SESSION_HELD: return 1;
	}
	return 0;
}

static void update_state(struct neighbor *n)
{
	bool had_best = n->has_best;
	enum session_state was = n->best;

	n->has_best = false;
	for (struct link *l = n->links; l; l = l->next) {
		enum session_state s = session_state(l->session);

		if (!n->has_best || rank(s) > rank(n->best))
			n->best = s;
		n->has_best = true;
	}
	if (n->has_best != had_best || (had_best && rank(was) != rank(n->best)))
		n->since = time(NULL);
}

static void count_handshake(struct link *l)
{
	enum session_state s = session_state(l->session);
	bool has = s == SESSION_CONNECTING || s == SESSION_HANDSHAKE;

	if (has == l->has_handshake)
		return;
	l->has_handshake = has;
	l->neighbor->ops->on_handshakes(l->neighbor->host, l->direction, has ? 1 : -1);
}

void neighbor_remove_link(struct link *l)
{
	struct neighbor *n = l->neighbor;

	for (struct link **p = &n->links; *p; p = &(*p)->next) {
		if (*p == l) {
			*p = l->next;
			break;
		}
	}
	if (l->has_handshake)
		n->ops->on_handshakes(n->host, l->direction, -1);
	n->n_links--;
	free(l);
}

void neighbor_add_link(struct link *l)
{
	struct neighbor *n = l->neighbor;

	l->next = n->links;
	n->links = l;
	n->n_links++;
	count_handshake(l);
	update_state(n);
	update_fallback(n);
}

static uint32_t want_outer(void *host, struct session *s, bool clear)
{
	struct link *l = host;

	return l->neighbor->ops->want_outer(l->neighbor->host, l->neighbor, s, clear);
}

static uint32_t want_inner(void *host, struct session *s)
{
	struct link *l = host;

	return l->neighbor->ops->want_inner(l->neighbor->host, l->neighbor, s);
}

static void forget_request(void *host, uint32_t id)
{
	struct link *l = host;

	l->neighbor->ops->forget_request(l->neighbor->host, id);
}

static bool may_handshake(void *host)
{
	struct link *l = host;

	return l->neighbor->ops->may_handshake(l->neighbor->host);
}

static bool may_clear(void *host)
{
	struct link *l = host;

	return l->neighbor->allow_clear;
}

static const char *direction_name(enum session_direction d)
{
	return d == SESSION_OUT ? "out" : "in";
}

/* Keys may have changed since the connection got its own; before it is there, control cannot tell
 * whose it is. */
static void show_ao(struct neighbor *n, struct session *s)
{
	int fd = session_outer_fd(s);

	if (n->config && ao_is_static(n->config) && fd >= 0 &&
	    session_state(s) != SESSION_CONNECTING)
		n->ops->show_ao(n->host, n, fd);
}

void neighbor_show_ao(struct neighbor *n)
{
	for (struct link *l = n->links; l; l = l->next)
		show_ao(n, l->session);
}

static void on_state(void *host, struct session *s)
{
	struct link *l = host;
	struct neighbor *n = l->neighbor;
	struct session_info info;

	count_handshake(l);
	update_state(n);
	if (!l->was_verified &&
	    (session_state(s) == SESSION_INNER || session_state(s) == SESSION_UP)) {
		l->was_verified = true;
		n->n_handshakes++;
	}
	if (session_state(s) == SESSION_HANDSHAKE || session_state(s) == SESSION_CLEAR)
		show_ao(n, s);
	if (session_state(s) == SESSION_CLEAR && n->config && n->config->mode == MODE_TCP_AO) {
		log_limited(n, LOG_LEVEL_INFO, "session up with TCP-AO, without TLS (mode tcp-ao)");
	} else if (session_state(s) == SESSION_CLEAR) {
		log_limited(n, LOG_LEVEL_WARNING,
			    "TLS could not be had: this session is in CLEAR TEXT (mode preferred)");
	} else if (session_state(s) == SESSION_UP) {
		session_get_info(s, &info);
		log_limited(n, LOG_LEVEL_INFO, "session %llu (%s) up: %s %s, peer %s [%s]",
			    (unsigned long long)info.id, direction_name(info.direction),
			    info.tls.version, info.tls.cipher, info.tls.peer_subject,
			    info.tls.peer_san);
	}
}

static void on_bgp(void *host, struct session *s)
{
	struct link *l = host;
	struct neighbor *n = l->neighbor;
	struct session_info info;

	if (session_bgp(s) != SBGP_ESTABLISHED)
		return;
	if (!l->was_established)
		n->n_established++;
	l->was_established = true;
	session_get_info(s, &info);
	log_limited(n, LOG_LEVEL_INFO, "session %llu (%s) BGP established with AS %u",
		    (unsigned long long)info.id, direction_name(info.direction), info.in->open.as);
	update_fallback(n);
}

static void on_notification(void *host, struct session *s, bool inbound,
			    const struct bgp_notification *b)
{
	struct link *l = host;
	struct neighbor *n = l->neighbor;

	(void)s;
	n->last_notification = *b;
	n->last_notification_in = inbound;
	n->last_notification_time = time(NULL);
	log_limited(n, LOG_LEVEL_INFO, "NOTIFICATION from %s: %s",
		    inbound ? "the neighbor" : "our daemon", b->text);
}

static void set_failure(struct neighbor *n, enum session_direction direction,
			enum tls_reason reason, const char *text)
{
	struct failure *f = &n->last_failure;

	f->time = time(NULL);
	f->reason = reason;
	f->direction = direction;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static void note_failure(struct neighbor *n, enum session_direction direction,
			 enum tls_reason reason, const char *text)
{
	n->failures[reason]++;
	set_failure(n, direction, reason, text);
	log_limited(n, LOG_LEVEL_WARNING, "%s failed (%s): %s",
		    direction == SESSION_OUT ? "outbound" : "inbound", tls_reason_name(reason),
		    text);
}

static void on_failure(void *host, struct session *s, enum tls_reason reason, const char *text)
{
	struct link *l = host;

	note_failure(l->neighbor, session_direction(s), reason, text);
}

/* Counters never go back because a session has gone. */
static void keep_counters(struct neighbor *n, struct session *s)
{
	uint64_t row[BM_VALUES] = {};

	session_add_metrics(s, row);
	for (size_t i = 0; i < BM_SESSION_VALUES; i++)
		n->ended[i] += row[BM_SESSION_FIRST + i];
}

void neighbor_metrics(const struct neighbor *n, uint64_t *ret_row)
{
	memset(ret_row, 0, BM_VALUES * sizeof(*ret_row));
	memcpy(ret_row + BM_SESSION_FIRST, n->ended, sizeof(n->ended));
	for (const struct link *l = n->links; l; l = l->next)
		session_add_metrics(l->session, ret_row);
	ret_row[BM_OWN_NOT_AFTER] = n->ctx ? tls_ctx_not_after(n->ctx) : 0;
	ret_row[BM_SESSIONS_BEGUN] = n->n_sessions;
	ret_row[BM_SESSIONS_ESTABLISHED] = n->n_established;
	ret_row[BM_HANDSHAKES] = n->n_handshakes;
	for (size_t i = 0; i < TLS_REASONS; i++)
		ret_row[BM_FAILURES + i] = n->failures[i];
}

static uint32_t want_ao(void *host, struct session *s, int fd, struct message_want_ao *m,
			struct errtext *e)
{
	struct link *l = host;
	struct neighbor *n = l->neighbor;

	if (m->is_trial && loop_now_ms() < n->no_ao_until_ms) {
		errtext_set(e, 0,
			    "it did not work with an earlier session; tried again after an "
			    "hour, or a reload");
		return 0;
	}
	return n->ops->want_ao(n->host, n, s, fd, m);
}

static void on_no_ao(void *host, struct session *s, const char *text)
{
	struct link *l = host;

	(void)s;
	l->neighbor->no_ao_until_ms = loop_now_ms() + NO_AO_MS;
	log_limited(l->neighbor, LOG_LEVEL_WARNING,
		    "tcp-ao = capability does not work: %s; for an hour sessions go without", text);
}

static void on_ended(void *host, struct session *s, const char *why)
{
	struct link *l = host;
	struct neighbor *n = l->neighbor;
	struct session_info info;

	session_get_info(s, &info);
	log_limited(n, LOG_LEVEL_INFO, "session %llu (%s) ended: %s", (unsigned long long)info.id,
		    direction_name(info.direction), why);
	keep_counters(n, s);
	neighbor_remove_link(l);
	update_state(n);
	update_fallback(n);
	if (!n->config && !n->links)
		n->ops->on_empty(n->host, n);
}

/* Once for each change. */
static void on_ao(void *host, struct session *s)
{
	struct link *l = host;
	struct neighbor *n = l->neighbor;
	struct session_info info;

	session_get_info(s, &info);
	/* Of the kernel it was said at the start. */
	if (info.ao_lack == n->ao_lack || info.ao_lack == AO_LACK_KERNEL)
		return;
	if (info.ao_lack)
		log_limited(n, LOG_LEVEL_WARNING,
			    "session %llu (%s): TCP-AO does not protect it (tcp-ao-policy = "
			    "preferred): %s",
			    (unsigned long long)info.id, direction_name(info.direction),
			    ao_lack_text(info.ao_lack));
	else
		log_limited(n, LOG_LEVEL_INFO, "session %llu (%s) carries TCP-AO again",
			    (unsigned long long)info.id, direction_name(info.direction));
	n->ao_lack = info.ao_lack;
}

const struct session_host_ops neighbor_session_ops = {
	.want_outer = want_outer,
	.want_inner = want_inner,
	.forget_request = forget_request,
	.may_handshake = may_handshake,
	.may_clear = may_clear,
	.on_state = on_state,
	.on_bgp = on_bgp,
	.on_notification = on_notification,
	.on_failure = on_failure,
	.want_ao = want_ao,
	.on_no_ao = on_no_ao,
	.on_ao = on_ao,
	.on_ended = on_ended,
};

/* --- connections that arrive
 * ------------------------------------------------------------------------------------------- */

static void refuse(struct neighbor *n, int fd, enum session_direction direction, const char *text)
{
	sock_set_reset_on_close(fd);
	close(fd);
	note_failure(n, direction, TLS_REASON_REFUSED, text);
}

static bool can_work(const struct neighbor *n)
{
	return n->config->mode == MODE_TCP_AO ? !n->error[0] : n->ctx != NULL;
}

/* Why this neighbor may not have another session in this direction now, or NULL. */
static const char *refusal(const struct neighbor *n, enum session_direction direction)
{
	if (n->config->mode == MODE_OFF)
		return "mode is off";
	if (!can_work(n))
		return n->error;
	if (direction == SESSION_OUT && n->config->role == ROLE_ACCEPT)
		return "role is accept: our daemon may not connect";
	if (direction == SESSION_IN && n->config->role == ROLE_CONNECT)
		return "role is connect: the neighbor may not connect";
	if (n->n_links >= n->config->max_sessions)
		return "too many sessions at once";
	return NULL;
}

static void begin(struct neighbor *n, struct session_params *p, int fd,
		  enum session_direction direction)
{
	const char *why = refusal(n, direction);
	struct link *l;
	int r;

	if (why) {
		refuse(n, fd, direction, why);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		refuse(n, fd, direction, "out of memory");
		return;
	}
	l->neighbor = n;
	l->direction = direction;
	p->loop = n->loop;
	p->ops = &neighbor_session_ops;
	p->host = l;
	p->config = n->config;
	p->ctx = n->ctx;
	p->captures = &n->captures;
	p->ao_habit = tcp_ao_probe(fd) == 0 ? &n->ao_habit : NULL;
	r = direction == SESSION_OUT ? session_new_out(p, fd, &l->session)
				     : session_new_in(p, fd, &l->session);
	if (r < 0) {
		free(l);
		note_failure(n, direction, TLS_REASON_MEMORY, "out of memory");
		return;
	}
	n->n_sessions++;
	neighbor_add_link(l);
	if (direction == SESSION_IN)
		show_ao(n, l->session);
}

void neighbor_accept_inner(struct neighbor *n, uint64_t id, int fd, const struct addr *peer,
			   const struct addr *own)
{
	struct session_params p = {.id = id, .own = *own, .peer = *peer};

	begin(n, &p, fd, SESSION_OUT);
}

void neighbor_accept_outer(struct neighbor *n, uint64_t id, int fd, const struct addr *peer,
			   uint16_t port, const struct addr *own)
{
	struct session_params p = {.id = id, .own = *own, .peer = *peer, .peer_port = port};
	struct errtext e;

	/* While it waited in the listen queue: it costs no handshake. */
	if (sock_error(fd) < 0) {
		close(fd);
		note_failure(n, SESSION_IN, TLS_REASON_RESET,
			     "the peer reset the connection before it was accepted");
		return;
	}
	/* The listener serves all neighbors, so what is this one's alone is set now; the guard has
	 * checked the TTL of the packets that came before (steering.h). */
	if (sock_set_ttl(fd, n->config->ttl) < 0 ||
	    (n->config->ttl_security && sock_set_min_ttl(fd, 256 - n->config->ttl_security) < 0)) {
		refuse(n, fd, SESSION_IN, "cannot set the TTL of the connection");
		return;
	}
	/* It may have come before the listener had the key. */
	if (ao_check(fd, n->config, &e) < 0) {
		refuse(n, fd, SESSION_IN, e.text);
		return;
	}
	begin(n, &p, fd, SESSION_IN);
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------
 */

static void set_ctx(struct neighbor *n, struct tls_ctx *ctx, const char *error)
{
	struct tls_ctx *old = n->ctx;

	n->ctx = ctx ? tls_ctx_ref(ctx) : NULL;
	if (old)
		tls_ctx_unref(old);
	snprintf(n->error, sizeof(n->error), "%s", error ? error : "");
	if (error)
		set_failure(n, SESSION_OUT, TLS_REASON_REFUSED, error);
}

int neighbor_new(struct loop *loop, const struct neighbor_host_ops *ops, void *host,
		 const struct neighbor_config *config, struct tls_ctx *ctx, const char *error,
		 struct neighbor **ret)
{
	struct neighbor *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->loop = loop;
	n->ops = ops;
	n->host = host;
	n->config = config;
	n->since = time(NULL);
	strcpy(n->name, config->name);
	r = timer_new(loop, on_fallback_timer, n, &n->fallback);
	if (r < 0) {
		free(n);
		return r;
	}
	set_ctx(n, ctx, error);
	update_fallback(n);
	*ret = n;
	return 0;
}

void neighbor_free(struct neighbor *n)
{
	if (!n)
		return;
	while (n->links) {
		struct link *l = n->links;

		session_free(l->session);
		neighbor_remove_link(l);
	}
	capture_detach_all(&n->captures);
	timer_free(n->fallback);
	set_ctx(n, NULL, NULL);
	free(n);
}

unsigned neighbor_reset(struct neighbor *n, const char *why)
{
	unsigned count = n->n_links;

	n->ao_habit = (struct ao_habit){};
	/* session_close() may end it at once and take its link out of the list. */
	for (struct link *l = n->links, *next; l; l = next) {
		next = l->next;
		session_close(l->session, why);
	}
	return count;
}

unsigned neighbor_sessions(const struct neighbor *n)
{
	return n->n_links;
}

int neighbor_capture(struct neighbor *n, int fd, unsigned slot, unsigned worker,
		     struct capture **ret)
{
	int r = capture_new(n->loop, fd, slot, worker, &n->captures, ret);

	for (struct link *l = n->links; r == 0 && l; l = l->next)
		session_capture_begins(l->session, slot);
	return r;
}

void neighbor_set_config(struct neighbor *n, const struct neighbor_config *config,
			 struct tls_ctx *ctx, const char *error, bool reset)
{
	bool was_preferred = n->config->mode == MODE_PREFERRED;

	n->config = config;
	n->no_ao_until_ms = 0;
	set_ctx(n, ctx, error);
	for (struct link *l = n->links; l; l = l->next)
		session_set_config(l->session, config, ctx);
	if (reset)
		neighbor_reset(n, "its configuration changed");
	if (was_preferred && config->mode != MODE_PREFERRED) {
		timer_stop(n->fallback);
		set_allow_clear(n, false, "mode is no longer preferred");
	}
	update_fallback(n);
}

void neighbor_drop(struct neighbor *n)
{
	timer_stop(n->fallback);
	n->config = NULL;
	if (!n->links) {
		n->ops->on_empty(n->host, n);
		return;
	}
	for (struct link *l = n->links; l; l = l->next)
		session_set_config(l->session, NULL, NULL);
	/* The last one that ends takes the neighbor with it. */
	neighbor_reset(n, "no longer configured");
}
