// SPDX-License-Identifier: Apache-2.0
/* What a neighbor's sessions ask and tell. */
#include "neighbor_internal.h"

#include "ao.h"

#include <stdarg.h>
#include <time.h>

/* tcp-ao = capability did not work: a session that lives is worth more than another try. */
#define NO_AO_MS 3600000

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
	neighbor_update_fallback(n);
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
void neighbor_show_ao_of(struct neighbor *n, struct session *s)
{
	int fd = session_outer_fd(s);

	if (n->config && ao_is_static(n->config) && fd >= 0 &&
	    session_state(s) != SESSION_CONNECTING)
		n->ops->show_ao(n->host, n, fd);
}

void neighbor_show_ao(struct neighbor *n)
{
	for (struct link *l = n->links; l; l = l->next)
		neighbor_show_ao_of(n, l->session);
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
		neighbor_show_ao_of(n, s);
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
	neighbor_update_fallback(n);
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

void neighbor_set_failure(struct neighbor *n, enum session_direction direction,
			  enum tls_reason reason, const char *text)
{
	struct failure *f = &n->last_failure;

	f->time = time(NULL);
	f->reason = reason;
	f->direction = direction;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

void neighbor_note_failure(struct neighbor *n, enum session_direction direction,
			   enum tls_reason reason, const char *text)
{
	n->failures[reason]++;
	neighbor_set_failure(n, direction, reason, text);
	log_limited(n, LOG_LEVEL_WARNING, "%s failed (%s): %s",
		    direction == SESSION_OUT ? "outbound" : "inbound", tls_reason_name(reason),
		    text);
}

static void on_failure(void *host, struct session *s, enum tls_reason reason, const char *text)
{
	struct link *l = host;

	neighbor_note_failure(l->neighbor, session_direction(s), reason, text);
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
	neighbor_update_fallback(n);
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
