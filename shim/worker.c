// SPDX-License-Identifier: Apache-2.0
#include "worker.h"

#include "ao.h"
#include "botls/botls.h"
#include "botls/capture.h"
#include "ipc.h"
#include "ktls.h"
#include "listener.h"
#include "log.h"
#include "messages.h"
#include "neighbor.h"
#include "plan.h"
#include "rate.h"
#include "relay_splice.h"
#include "requests.h"
#include "sandbox.h"
#include "sock.h"
#include "worker_batch.h"
#include "worker_heirs.h"
#include "worker_status.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>

#define END_WAIT_MS 500
#define END_POLL_MS 10
#define ORPHAN_MS   100 /* how often a worker without control looks whether it is still needed */

struct listeners {
	struct listener **all;
	size_t n;
};

struct worker {
	struct loop *loop;
	struct ipc *ipc;
	unsigned number;
	struct batch batch;
	int keylog_fd;

	struct config *config;	     /* NULL until the first APPLY */
	struct neighbor **neighbors; /* in the order of config->neighbors */
	unsigned n_dying;	     /* dropped ones whose sessions still end */
	struct listeners tls, inner;

	struct requests requests;
	uint64_t last_session;
	unsigned n_handshakes[2]; /* by enum session_direction */
	struct rate rate;
	struct timer *end, *orphan;
	uint64_t end_ms, orphan_until;
	bool is_stopping; /* control said so: no successor comes */
	size_t told_left; /* sessions that the successor knows of */
	struct heirs heirs;

	struct capture *captures[BOTLS_CAPTURES_MAX];

	uint64_t unknown_count;
	struct addr unknown_last;
	int64_t unknown_time;
	struct log_limit unknown_limit;
};

/* --- requests to control
 * ------------------------------------------------------------------------------------------------
 */

static uint32_t want(struct worker *w, uint32_t type, struct neighbor *n, struct session *s,
		     bool clear)
{
	struct message_want m = {.clear = clear};
	struct session_info info;

	session_get_info(s, &info);
	strcpy(m.neighbor, neighbor_name(n));
	m.without_ao = info.dials_without_ao;
	m.own = *info.own;
	m.peer = *info.peer;
	return requests_send(&w->requests, w->ipc, type, &m, s);
}

static uint32_t want_outer(void *host, struct neighbor *n, struct session *s, bool clear)
{
	return want(host, MSG_WANT_OUTER, n, s, clear);
}

static uint32_t want_inner(void *host, struct neighbor *n, struct session *s)
{
	return want(host, MSG_WANT_INNER, n, s, false);
}

static void forget_request(void *host, uint32_t id)
{
	struct worker *w = host;

	requests_take(&w->requests, id);
}

static void on_socket(struct worker *w, struct ipc_message *m)
{
	const struct message_socket *answer = m->payload;
	struct session *s = requests_take(&w->requests, m->id);

	if (!s || m->len != sizeof(*answer))
		return; /* nobody waits any more: ipc closes the descriptor */
	session_give_socket(s, m->id, TAKE_FD(m->fd), answer->text);
}

/* --- handshakes: a cap, and what to do with those above it
 * ------------------------------------------------------------- */

/* Our own get half: if they could take all, two shims that dial each other after a power cut would
 * each wait for the other to accept. */
static bool may_handshake(void *host)
{
	struct worker *w = host;

	return w->n_handshakes[SESSION_OUT] < (w->config->handshakes_max + 1) / 2;
}

/* Above the cap newcomers wait in the listen queue: after a mass restart everybody gets through,
 * one after the other. One is always let in, for the same reason. */
static void on_handshakes(void *host, enum session_direction direction, int change)
{
	struct worker *w = host;
	unsigned in, out;

	w->n_handshakes[direction] += change;
	in = w->n_handshakes[SESSION_IN];
	out = w->n_handshakes[SESSION_OUT];
	for (size_t i = 0; i < w->tls.n; i++)
		listener_set_paused(w->tls.all[i], in && in + out >= w->config->handshakes_max);
}

static void on_fallback(void *host, struct neighbor *n, bool allow_clear)
{
	struct worker *w = host;
	struct message_fallback m = {.allow_clear = allow_clear};

	strcpy(m.neighbor, neighbor_name(n));
	ipc_send(w->ipc, MSG_FALLBACK, 0, &m, sizeof(m), -1);
}

static void show_ao(void *host, struct neighbor *n, int fd)
{
	struct worker *w = host;
	struct message_ao_connection m = {};

	strcpy(m.neighbor, neighbor_name(n));
	ipc_send(w->ipc, MSG_AO_CONNECTION, 0, &m, sizeof(m), fd);
}

static uint32_t want_ao(void *host, struct neighbor *n, struct session *s, int fd,
			struct message_want_ao *m)
{
	struct worker *w = host;

	strcpy(m->neighbor, neighbor_name(n));
	return requests_send_ao(&w->requests, w->ipc, m, fd, s);
}

static void on_ao(struct worker *w, const struct ipc_message *m)
{
	const struct message_ao *answer = m->payload;
	struct session *s = requests_take(&w->requests, m->id);

	if (s && m->len == sizeof(*answer))
		session_give_ao(s, m->id, answer->error, answer->text);
}

static void on_empty(void *host, struct neighbor *n)
{
	struct worker *w = host;

	w->n_dying--;
	neighbor_free(n);
}

static const struct neighbor_host_ops neighbor_ops = {
	.want_outer = want_outer,
	.want_inner = want_inner,
	.forget_request = forget_request,
	.may_handshake = may_handshake,
	.on_handshakes = on_handshakes,
	.on_fallback = on_fallback,
	.show_ao = show_ao,
	.want_ao = want_ao,
	.on_empty = on_empty,
};

static unsigned handshakes(const struct worker *w)
{
	return w->n_handshakes[SESSION_IN] + w->n_handshakes[SESSION_OUT];
}

/* --- connections that arrive
 * ------------------------------------------------------------------------------------------- */

static void reset_fd(int fd)
{
	sock_set_reset_on_close(fd);
	close(fd);
}

static struct neighbor *neighbor_of(struct worker *w, const struct addr *host)
{
	const struct neighbor_config *c = config_match(w->config, host);

	return c ? w->neighbors[c - w->config->neighbors] : NULL;
}

static void on_unknown_source(struct worker *w, int fd, const struct addr *peer, const char *why)
{
	char text[ADDR_STRLEN];
	uint32_t held_back;

	reset_fd(fd);
	w->unknown_count++;
	w->unknown_last = *peer;
	w->unknown_time = time(NULL);
	if (log_limit_pass(&w->unknown_limit, loop_now_ms(), &held_back))
		log_warning("TLS port: connection from %s refused: %s (%u more held back)",
			    addr_format(peer, text), why, held_back);
}

static void on_tls_accept(void *arg, int fd, const struct addr *peer, uint16_t peer_port,
			  const struct addr *own, uint16_t own_port)
{
	struct worker *w = arg;
	struct neighbor *n = neighbor_of(w, peer);
	/* steering.h: what is carried comes to port 179, and nobody else does. */
	bool is_carried = own_port == BOTLS_PORT_BGP;

	if (!n || neighbor_config(n)->mode == MODE_OFF) {
		on_unknown_source(w, fd, peer, n ? "mode is off" : "not a configured neighbor");
		return;
	}
	if (is_carried != (neighbor_config(n)->mode == MODE_TCP_AO)) {
		on_unknown_source(w, fd, peer,
				  is_carried ? "it needs TLS" : "it has no TLS (mode tcp-ao)");
		return;
	}
	if (!rate_take(&w->rate, peer, w->config->handshake_rate, loop_now_ms())) {
		on_unknown_source(w, fd, peer, "more than handshake-rate connections per second");
		return;
	}
	neighbor_accept_outer(n, ++w->last_session, fd, peer, peer_port, own);
}

/* steering.h: getsockname() says whom the daemon wanted, getpeername() which of our addresses it
 * uses. */
static void on_inner_accept(void *arg, int fd, const struct addr *daemon, uint16_t daemon_port,
			    const struct addr *wanted, uint16_t wanted_port)
{
	struct worker *w = arg;
	struct neighbor *n = wanted_port == BOTLS_PORT_BGP ? neighbor_of(w, wanted) : NULL;
	char text[ADDR_STRLEN];
	uint32_t held_back;

	(void)daemon_port;
	if (n) {
		neighbor_accept_inner(n, ++w->last_session, fd, wanted, daemon);
		return;
	}
	reset_fd(fd);
	if (log_limit_pass(&w->unknown_limit, loop_now_ms(), &held_back))
		log_warning("a local connection to the inner port that steering did not make (%s "
			    "port %u) was reset",
			    addr_format(wanted, text), wanted_port);
}

/* --- a new configuration
 * -----------------------------------------------------------------------------------------------
 */

static void free_listeners(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		listener_free(l->all[i]);
	free(l->all);
	*l = (struct listeners){};
}

static int make_listeners(struct worker *w, int *fds, size_t n, listener_accept_fn *on_accept,
			  struct listeners *ret)
{
	struct listeners l = {.all = calloc(n + 1, sizeof(*l.all))};

	if (!l.all)
		return -ENOMEM;
	for (; l.n < n; l.n++) {
		int r = listener_new(w->loop, TAKE_FD(fds[l.n]), on_accept, w, &l.all[l.n]);

		if (r < 0) {
			free_listeners(&l);
			return r;
		}
	}
	*ret = l;
	return 0;
}

static void on_keylog(const char *line, void *arg)
{
	struct worker *w = arg;

	struct iovec parts[2] = {{(void *)line, strlen(line)}, {"\n", 1}};

	/* One write per line, as of several workers they come. What is lost is only for debugging.
	 */
	if (w->keylog_fd >= 0 && writev(w->keylog_fd, parts, ARRAY_SIZE(parts)) < 0)
		return;
}

struct identity {
	struct tls_ctx *ctx; /* NULL: error says why */
	struct errtext error;
};

static int make_identities(struct worker *w, const struct batch *b, struct identity *ids)
{
	struct credentials *credentials = NULL;
	int r = credentials_new(w->keylog_fd >= 0 ? on_keylog : NULL, w, &credentials);
	bool has_ao = b->n_tls && tcp_ao_probe(b->tls_fds[0]) == 0;

	for (size_t i = 0; r == 0 && i < b->config->n_neighbors; i++) {
		const char *refusal = ao_refusal(&b->config->neighbors[i], has_ao);

		if (b->config->neighbors[i].mode == MODE_OFF)
			continue;
		if (refusal) {
			errtext_set(&ids[i].error, 0, "%s", refusal);
			continue;
		}
		if (!neighbor_has_tls(&b->config->neighbors[i]))
			continue;
		/* A bad certificate is the neighbor's trouble, not the batch's: control has judged
		 * it already. */
		r = credentials_get(credentials, b->files, &b->config->neighbors[i], &ids[i].ctx,
				    &ids[i].error);
		if (r == -EINVAL || r == -EKEYEXPIRED)
			r = 0;
	}
	credentials_free(credentials);
	return r;
}

static const char *identity_error(const struct identity *id)
{
	return !id->ctx && id->error.text[0] ? id->error.text : NULL;
}

/* Makes the neighbors that are new. Nothing of the running ones is touched. */
static int make_added(struct worker *w, const struct plan *plan, const struct config *config,
		      const struct identity *ids, struct neighbor **neighbors)
{
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];
		size_t at = item->after ? (size_t)(item->after - config->neighbors) : 0;
		int r;

		if (item->action != PLAN_ADD)
			continue;
		r = neighbor_new(w->loop, &neighbor_ops, w, item->after, ids[at].ctx,
				 identity_error(&ids[at]), &neighbors[at]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* From here on nothing can fail. */
static void switch_over(struct worker *w, const struct plan *plan, struct config *config,
			const struct identity *ids, struct neighbor **neighbors)
{
	struct config *old = w->config;
	struct neighbor **old_neighbors = w->neighbors;

	w->config = config;
	w->neighbors = neighbors;
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];
		struct neighbor *n =
			item->before ? old_neighbors[item->before - old->neighbors] : NULL;
		size_t at = item->after ? (size_t)(item->after - config->neighbors) : 0;

		switch (item->action) {
		case PLAN_KEEP:
		case PLAN_CHANGE:
			neighbors[at] = n;
			neighbor_set_config(n, item->after, ids[at].ctx, identity_error(&ids[at]),
					    item->resets && !item->replaces_key);
			break;
		case PLAN_DROP:
			w->n_dying++;
			neighbor_drop(n);
			break;
		case PLAN_ADD: break;
		}
	}
	config_free(old);
	free(old_neighbors);
}

static int apply(struct worker *w, struct batch *b)
{
	_cleanup_free_ struct identity *ids = NULL;
	struct listeners tls = {}, inner = {};
	struct neighbor **neighbors;
	struct plan *plan = NULL;
	size_t n = b->config->n_neighbors;
	int r;

	ids = calloc(n + 1, sizeof(*ids));
	neighbors = calloc(n + 1, sizeof(*neighbors));
	r = ids && neighbors ? make_identities(w, b, ids) : -ENOMEM;
	if (r == 0)
		r = plan_make(w->config, b->config, time(NULL), &plan);
	if (r == 0)
		r = make_listeners(w, b->tls_fds, b->n_tls, on_tls_accept, &tls);
	if (r == 0)
		r = make_listeners(w, b->inner_fds, b->n_inner, on_inner_accept, &inner);
	if (r == 0)
		r = make_added(w, plan, b->config, ids, neighbors);
	if (r == 0) {
		switch_over(w, plan, TAKE(b->config), ids, neighbors);
		free_listeners(&w->tls);
		free_listeners(&w->inner);
		w->tls = tls;
		w->inner = inner;
		on_handshakes(w, SESSION_IN, 0);
		heirs_renew(&w->heirs);
	} else {
		for (size_t i = 0; neighbors && i < n; i++)
			neighbor_free(neighbors[i]);
		free(neighbors);
		free_listeners(&tls);
		free_listeners(&inner);
	}
	for (size_t i = 0; ids && i < n; i++)
		if (ids[i].ctx)
			tls_ctx_unref(ids[i].ctx);
	plan_free(plan);
	return r;
}

static void on_apply(struct worker *w, uint32_t id)
{
	struct batch *b = &w->batch;
	int r;

	if (!b->config && !b->has_error) {
		errtext_set(&b->error, 0, "no configuration was sent");
		b->has_error = true;
	}
	r = b->has_error ? 0 : apply(w, b);
	if (r < 0) {
		errtext_set(&b->error, 0, "%s", strerror(-r));
		b->has_error = true;
	}
	ipc_send(w->ipc, MSG_APPLIED, id, b->error.text, b->has_error ? strlen(b->error.text) : 0,
		 -1);
	batch_done(b);
}

/* --- what control asks
 * --------------------------------------------------------------------------------------------------
 */

static struct jv *own_status(struct worker *w)
{
	struct jv *o = jv_object_new();
	char text[ADDR_STRLEN];
	int r = jv_set_uint(o, "handshakes", handshakes(w));

	r |= jv_set_uint(o, "unknown_count", w->unknown_count);
	if (w->unknown_count) {
		r |= jv_set_string(o, "unknown_last", addr_format(&w->unknown_last, text));
		r |= jv_set_int(o, "unknown_time", w->unknown_time);
	}
	return r ? (jv_free(o), NULL) : o;
}

static void on_query(struct worker *w, uint32_t id, const char *name)
{
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		if (!*name || strcmp(neighbor_name(w->neighbors[i]), name) == 0)
			worker_send_status(w->ipc, id, neighbor_status(w->neighbors[i], w->number));
	worker_send_json(w->ipc, MSG_STATUS_END, id, own_status(w));
}

static struct neighbor *neighbor_named(struct worker *w, const char *name)
{
	const struct neighbor_config *c = w->config ? config_neighbor(w->config, name) : NULL;

	return c ? w->neighbors[c - w->config->neighbors] : NULL;
}

static void on_metrics(struct worker *w, uint32_t id)
{
	const struct message_metrics_worker own = {.handshakes = handshakes(w),
						   .unknown = w->unknown_count};

	worker_send_metrics(w->ipc, id, w->neighbors, w->config ? w->config->n_neighbors : 0, &own);
}

static void on_capture(struct worker *w, struct ipc_message *m)
{
	struct neighbor *n = neighbor_named(w, m->payload);

	if (!n || m->fd < 0 || m->id >= ARRAY_SIZE(w->captures))
		return;
	/* The one before may still have its last word to say. */
	capture_free(TAKE(w->captures[m->id]));
	if (neighbor_capture(n, TAKE_FD(m->fd), m->id, w->number, &w->captures[m->id]) < 0)
		log_error("neighbor %s: out of memory for a capture", neighbor_name(n));
}

static void on_capture_end(struct worker *w, uint32_t slot)
{
	if (slot < ARRAY_SIZE(w->captures) && w->captures[slot])
		capture_stop(w->captures[slot], &w->captures[slot]);
}

static void on_message(void *arg, struct ipc_message *m)
{
	struct worker *w = arg;
	struct neighbor *n;
	uint32_t count;

	if (batch_add(&w->batch, m))
		return;
	switch (m->type) {
	case MSG_APPLY: on_apply(w, m->id); break;
	case MSG_SOCKET: on_socket(w, m); break;
	case MSG_KTLS:
		if (m->len == sizeof(struct ktls_support))
			tls_ktls_set_support(m->payload);
		break;
	case MSG_AO: on_ao(w, m); break;
	case MSG_KEYLOG:
		cleanup_close(&w->keylog_fd);
		w->keylog_fd = TAKE_FD(m->fd);
		break;
	case MSG_RESET:
		n = neighbor_named(w, m->payload);
		count = n ? neighbor_reset(n, "reset by the operator") : 0;
		ipc_send(w->ipc, MSG_RESET_DONE, m->id, &count, sizeof(count), -1);
		break;
	case MSG_QUERY: on_query(w, m->id, m->payload); break;
	case MSG_LOG_LEVEL: log_set_level(m->id); break;
	case MSG_PING: ipc_send(w->ipc, MSG_PONG, m->id, NULL, 0, -1); break;
	case MSG_AO_SHOW:
		n = neighbor_named(w, m->payload);
		if (n)
			neighbor_show_ao(n);
		break;
	case MSG_FALLBACK_BEGIN:
		n = neighbor_named(w, m->payload);
		if (n)
			neighbor_fallback_begin(n);
		break;
	case MSG_FALLBACK_END:
		n = neighbor_named(w, m->payload);
		if (n)
			neighbor_fallback_end(n);
		break;
	case MSG_CAPTURE: on_capture(w, m); break;
	case MSG_CAPTURE_END: on_capture_end(w, m->id); break;
	case MSG_METRICS: on_metrics(w, m->id); break;
	case MSG_HEIR: heirs_set_own(&w->heirs, TAKE_FD(m->fd)); break;
	case MSG_TAKE_OVER:
		/* Without a configuration every session would be one too many; control starts
		 * another worker then. */
		if (w->config)
			heirs_take(&w->heirs, m->id, TAKE_FD(m->fd));
		break;
	case MSG_STOP: w->is_stopping = true; break;
	default: break;
	}
}

/* --- the end
 * --------------------------------------------------------------------------------------------------------------
 */

static size_t count_sessions(const struct worker *w)
{
	size_t n = w->n_dying;

	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		n += neighbor_sessions(w->neighbors[i]);
	return n;
}

static void on_end(void *arg)
{
	struct worker *w = arg;

	if (count_sessions(w) && loop_now_ms() < w->end_ms &&
	    timer_set_ms(w->end, END_POLL_MS) == 0)
		return;
	loop_stop(w->loop);
}

/* The neighbors are told with a close_notify, not with a reset, as far as they take it quickly; the
 * sockets that a successor needs are free at once. */
static void end(struct worker *w)
{
	heirs_done(&w->heirs);
	free_listeners(&w->tls);
	free_listeners(&w->inner);
	batch_done(&w->batch);
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_reset(w->neighbors[i], "botlsd is stopping");
	w->end_ms = loop_now_ms() + END_WAIT_MS;
	on_end(w);
}

/* --- without control: sessions go on until a successor has taken them over
 * ---------------------------------------------------------------------- */

static void on_orphan(void *arg)
{
	struct worker *w = arg;
	size_t n = count_sessions(w);

	if (n != w->told_left)
		heirs_tell_left(&w->heirs, n);
	w->told_left = n;
	/* A successor also wants to know what was counted. */
	if ((n || !heirs_have_all(&w->heirs)) && loop_now_ms() < w->orphan_until &&
	    timer_set_ms(w->orphan, ORPHAN_MS) == 0)
		return;
	if (n)
		log_warning("the time for a restart is over: ending %zu sessions", n);
	end(w);
}

/* Nothing that needs control: no newcomers. */
static void become_orphan(struct worker *w)
{
	unsigned seconds = w->config->drain_time;

	free_listeners(&w->tls);
	free_listeners(&w->inner);
	batch_done(&w->batch); /* listeners of a reload that broke off */
	for (size_t i = 0; i < ARRAY_SIZE(w->captures); i++)
		capture_free(TAKE(w->captures[i]));
	w->told_left = count_sessions(w);
	if (w->told_left)
		log_info("control is gone: %zu sessions go on until a successor takes them over, "
			 "at most %u s",
			 w->told_left, seconds);
	w->orphan_until = loop_now_ms() + seconds * 1000ULL;
	heirs_begin(&w->heirs, seconds * 1000ULL);
	on_orphan(w);
}

static void on_gone(void *arg)
{
	struct worker *w = arg;
	bool goes_on =
		!w->is_stopping && w->config && w->config->drain_time && heirs_may_come(&w->heirs);

	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_end_unready(w->neighbors[i],
				     goes_on ? "botlsd is being restarted" : "botlsd is stopping");
	if (goes_on) {
		become_orphan(w);
		return;
	}
	log_info("control is gone: ending");
	end(w);
}

static void on_moved(void *host)
{
	struct worker *w = host;

	timer_set_ms(w->orphan, 0);
}

static void on_alone(void *host)
{
	struct worker *w = host;

	log_info("nobody is left who could take the sessions over: ending");
	timer_stop(w->orphan);
	end(w);
}

static struct neighbor *neighbor_at(void *host, size_t i)
{
	const struct worker *w = host;

	return w->config && i < w->config->n_neighbors ? w->neighbors[i] : NULL;
}

static struct neighbor *find_neighbor(void *host, const char *name)
{
	return neighbor_named(host, name);
}

static const struct config *own_config(void *host)
{
	return ((const struct worker *)host)->config;
}

static uint64_t *last_session(void *host)
{
	return &((struct worker *)host)->last_session;
}

static void on_taken(void *host, uint32_t id, const struct take_counts *c)
{
	struct worker *w = host;
	const struct message_taken m = {.moved = c->moved,
					.stayed = c->stayed,
					.ended = c->ended,
					.left = c->left,
					.drain_ms = c->drain_ms};

	ipc_send(w->ipc, MSG_TAKEN, id, &m, sizeof(m), -1);
}

static const struct heirs_ops heirs_ops = {
	.neighbor_at = neighbor_at,
	.neighbor = find_neighbor,
	.config = own_config,
	.last_session = last_session,
	.on_taken = on_taken,
	.on_moved = on_moved,
	.on_alone = on_alone,
};

static const struct ipc_callbacks ipc_callbacks = {.on_message = on_message, .on_gone = on_gone};

static void worker_free(struct worker *w)
{
	heirs_done(&w->heirs);
	for (size_t i = 0; i < ARRAY_SIZE(w->captures); i++)
		capture_free(w->captures[i]);
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_free(w->neighbors[i]);
	free(w->neighbors);
	free_listeners(&w->tls);
	free_listeners(&w->inner);
	batch_done(&w->batch);
	config_free(w->config);
	ipc_free(w->ipc);
	timer_free(w->end);
	timer_free(w->orphan);
	loop_free(w->loop);
	cleanup_close(&w->keylog_fd);
	free(w);
}

/* Inside of a signal handler, before the end. */
static void on_violation(const char *call)
{
	log_error("system call %s is none that a worker makes: ending this process (a bug, or "
		  "somebody who has taken it over)",
		  call);
}

/* What reads files or makes sockets comes first. */
static int confine(const char *user)
{
	struct errtext e;
	int landlock;

	if (relay_splice_start() < 0)
		log_info("no pipe can be made: every byte passes through this process");
	if (tls_start(&e) < 0 || (landlock = sandbox_enter(user, on_violation, &e)) < 0) {
		log_error("%s", e.text);
		return -EPERM;
	}
	if (!landlock)
		log_info("this kernel has no Landlock: seccomp alone keeps files closed");
	return 0;
}

static int run(struct worker *w, int fd, const char *user)
{
	uint32_t seed = 0;

	signal(SIGPIPE, SIG_IGN);
	/* A terminal's Ctrl-C goes to the whole group: ending is control's decision. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = getpid();
	rate_init(&w->rate, seed);
	if (loop_new(&w->loop) < 0 || timer_new(w->loop, on_end, w, &w->end) < 0 ||
	    timer_new(w->loop, on_orphan, w, &w->orphan) < 0 ||
	    ipc_new(w->loop, fd, &ipc_callbacks, w, &w->ipc) < 0) {
		log_error("out of memory");
		return EXIT_FAILURE;
	}
	heirs_init(&w->heirs, w->loop, w->number, &heirs_ops, w);
	if (confine(user) < 0)
		return EXIT_FAILURE;
	return loop_run(w->loop) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int worker_main(int fd, unsigned number, const char *user)
{
	static char name[24];
	struct worker *w = calloc(1, sizeof(*w));
	int status;

	snprintf(name, sizeof(name), "botlsd-%u", number);
	prctl(PR_SET_NAME, name); /* exec left it as "exe" */
	snprintf(name, sizeof(name), "worker %u", number);
	log_init(name);
	if (!w)
		return EXIT_FAILURE;
	w->number = number;
	w->keylog_fd = -1;
	batch_init(&w->batch);
	status = run(w, fd, user);
	worker_free(w);
	return status;
}
