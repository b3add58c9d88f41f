// SPDX-License-Identifier: Apache-2.0
#include "worker_internal.h"

#include "ipc.h"
#include "ktls.h"
#include "messages.h"
#include "relay_splice.h"
#include "sandbox.h"
#include "worker_status.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>

#define HANDSHAKES_WHEN_BEHIND 16 /* of our own; see may_handshake() */

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
 * each wait for the other to accept. While the processor is what all wait for, more of them at once
 * would not be done sooner, but none of them in time. */
static bool may_handshake(void *host)
{
	struct worker *w = host;
	unsigned max = (w->config->handshakes_max + 1) / 2;

	if (loop_is_behind(w->loop) && max > HANDSHAKES_WHEN_BEHIND)
		max = HANDSHAKES_WHEN_BEHIND;
	return w->n_handshakes[SESSION_OUT] < max;
}

/* Above the cap newcomers wait in the listen queue: after a mass restart everybody gets through,
 * one after the other. One is always let in, for the same reason. */
void worker_on_handshakes(void *host, enum session_direction direction, int change)
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

const struct neighbor_host_ops worker_neighbor_ops = {
	.want_outer = want_outer,
	.want_inner = want_inner,
	.forget_request = forget_request,
	.may_handshake = may_handshake,
	.on_handshakes = worker_on_handshakes,
	.on_fallback = on_fallback,
	.show_ao = show_ao,
	.want_ao = want_ao,
	.on_empty = on_empty,
};

static unsigned handshakes(const struct worker *w)
{
	return w->n_handshakes[SESSION_IN] + w->n_handshakes[SESSION_OUT];
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

/* With what predecessors still have. */
static struct jv *status_of(struct worker *w, struct neighbor *n)
{
	struct jv *status = neighbor_status(n, w->number);

	if (status && heirs_add_status(&w->heirs, status) < 0)
		jv_free(TAKE(status)); /* as where there is no memory for it at all */
	return status;
}

static void on_query(struct worker *w, uint32_t id, const char *name)
{
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		if (!*name || strcmp(neighbor_name(w->neighbors[i]), name) == 0)
			worker_send_status(w->ipc, id, status_of(w, w->neighbors[i]));
	worker_send_json(w->ipc, MSG_STATUS_END, id, own_status(w));
}

struct neighbor *worker_neighbor_named(struct worker *w, const char *name)
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
	struct neighbor *n = worker_neighbor_named(w, m->payload);

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

/* Comes every few seconds. Handshakes take many times what a session keeps, and so do sides that
 * take nothing for a while. malloc() gives back what is free at the end of its heap, but not what
 * lies between sessions that stay. */
static void on_ping(struct worker *w, uint32_t id)
{
	malloc_trim(0);
	ipc_send(w->ipc, MSG_PONG, id, NULL, 0, -1);
}

static void on_message(void *arg, struct ipc_message *m)
{
	struct worker *w = arg;
	struct neighbor *n;
	uint32_t count;

	if (batch_add(&w->batch, m))
		return;
	switch (m->type) {
	case MSG_APPLY: worker_on_apply(w, m->id); break;
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
		n = worker_neighbor_named(w, m->payload);
		count = n ? neighbor_reset(n, "reset by the operator") : 0;
		count += n ? heirs_reset(&w->heirs, neighbor_name(n)) : 0;
		ipc_send(w->ipc, MSG_RESET_DONE, m->id, &count, sizeof(count), -1);
		break;
	case MSG_QUERY: on_query(w, m->id, m->payload); break;
	case MSG_LOG_LEVEL: log_set_level(m->id); break;
	case MSG_PING: on_ping(w, m->id); break;
	case MSG_AO_SHOW:
		n = worker_neighbor_named(w, m->payload);
		if (n)
			neighbor_show_ao(n);
		break;
	case MSG_FALLBACK_BEGIN:
		n = worker_neighbor_named(w, m->payload);
		if (n)
			neighbor_fallback_begin(n);
		break;
	case MSG_FALLBACK_END:
		n = worker_neighbor_named(w, m->payload);
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

static const struct ipc_callbacks ipc_callbacks = {.on_message = on_message,
						   .on_gone = worker_on_gone};

/* --- the process */

static void worker_free(struct worker *w)
{
	heirs_done(&w->heirs);
	for (size_t i = 0; i < ARRAY_SIZE(w->captures); i++)
		capture_free(w->captures[i]);
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_free(w->neighbors[i]);
	free(w->neighbors);
	worker_free_listeners(&w->tls);
	worker_free_listeners(&w->inner);
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
	if (loop_new(&w->loop) < 0 || timer_new(w->loop, worker_on_end, w, &w->end) < 0 ||
	    timer_new(w->loop, worker_on_orphan, w, &w->orphan) < 0 ||
	    ipc_new(w->loop, fd, &ipc_callbacks, w, &w->ipc) < 0) {
		log_error("out of memory");
		return EXIT_FAILURE;
	}
	heirs_init(&w->heirs, w->loop, w->number, &worker_heirs_ops, w);
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
