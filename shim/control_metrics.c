// SPDX-License-Identifier: Apache-2.0
/*
 * Metrics, as control has them: asks the workers for their rows, puts them with what it knows
 * itself into a sealed memory file, and gives that to botlsctl and to the metrics process. Whoever
 * asks while workers are being asked gets the same answer, and so does who asks soon after: asking
 * often costs nothing.
 */
#include "control_internal.h"

#include "ao.h"
#include "botls/botls.h"
#include "botls/metrics.h"
#include "log.h"
#include "messages.h"
#include "sock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#define FRESH_MS 1000
#define BACKLOG	 64

struct asker {
	struct asker *next;
	struct ctl_request *req; /* NULL: the metrics process */
};

struct control_metrics {
	struct control *control;
	struct child *child; /* NULL: no metrics-listen */
	int listener;	     /* -1 */
	int snapshot;	     /* the last one; -1 */
	uint64_t snapshot_ms;
	struct timer *deadline;

	/* while workers are being asked */
	struct asker *askers;
	uint32_t id;
	uint64_t waiting; /* bit per worker */
	struct botls_metrics_worker *workers;
	struct botls_metrics_row *rows;
	size_t n_rows, size;
};

/* --- the snapshot
 * ------------------------------------------------------------------------------------------------------
 */

static void fill_steering(struct control *c, struct botls_metrics_head *h)
{
	struct steering_counters n = {};

	h->steering_wrong = c->steering_wrong;
	h->steering_found = c->steering_found;
	h->has_steering_counters = steering_count(c->steering, &n) == 0;
	h->connects_steered = n.connects_steered;
	h->connects_refused_uid = n.connects_refused_uid;
	h->connects_refused_closed = n.connects_refused_closed;
	h->accepts_mapped = n.accepts_mapped;
	h->accepts_hidden = n.accepts_hidden;
	h->guard_out = n.guard_out;
	h->guard_in = n.guard_in;
	h->guard_ttl = n.guard_ttl;
	h->guard_inner = n.guard_inner;
	snprintf(h->steering, sizeof(h->steering), "%s", steering_name(c->steering));
}

static void fill_head(const struct control_metrics *m, struct botls_metrics_head *h)
{
	struct control *c = m->control;

	*h = (struct botls_metrics_head){
		.magic = BOTLS_METRICS_MAGIC,
		.format = BOTLS_METRICS_FORMAT,
		.n_workers = c->n_children,
		.n_neighbors = c->now.config->n_neighbors,
		.n_rows = m->n_rows,
		.started = c->started,
		.now = time(NULL),
		.generation = c->generation,
		.exporter_restarts = m->child ? child_restarts(m->child) : 0,
		.version = BOTLS_VERSION,
	};
	for (size_t i = 0; i < ARRAY_SIZE(c->captures); i++)
		h->captures += c->captures[i] != NULL;
	fill_steering(c, h);
}

static void fill_neighbor(struct control *c, size_t i, struct botls_metrics_neighbor *o)
{
	const struct neighbor_config *n = &c->now.config->neighbors[i];
	const struct peer *p = &c->now.peers[i];

	*o = (struct botls_metrics_neighbor){
		.remote_as = n->remote_as,
		.allow_clear = p->allow_clear,
		.clear_sessions = control_clear_count(c, i),
		.is_off = n->mode == MODE_OFF,
		.has_ao = ao_may_be(n),
	};
	snprintf(o->name, sizeof(o->name), "%s", n->name);
	text_copy(o->description, sizeof(o->description), n->description ? n->description : "");
	snprintf(o->mode, sizeof(o->mode), "%s", neighbor_mode_name(n->mode));
	snprintf(o->role, sizeof(o->role), "%s", neighbor_role_name(n->role));
}

static int by_neighbor(const void *a, const void *b)
{
	const struct botls_metrics_row *ra = a, *rb = b;

	if (ra->neighbor != rb->neighbor)
		return ra->neighbor < rb->neighbor ? -1 : 1;
	return (ra->worker > rb->worker) - (ra->worker < rb->worker);
}

/* One row for each neighbor and worker, whatever a worker says. */
static void sort_rows(struct control_metrics *m)
{
	size_t n = 0;

	if (m->n_rows)
		qsort(m->rows, m->n_rows, sizeof(*m->rows), by_neighbor);
	for (size_t i = 0; i < m->n_rows; i++)
		if (!n || by_neighbor(&m->rows[n - 1], &m->rows[i]) != 0)
			m->rows[n++] = m->rows[i];
	m->n_rows = n;
}

static int write_all(int fd, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0)
			return -errno;
		done += n;
	}
	return 0;
}

static int write_snapshot(struct control_metrics *m, int fd)
{
	struct control *c = m->control;
	struct botls_metrics_neighbor *neighbors;
	size_t n = c->now.config->n_neighbors;
	struct botls_metrics_head h;
	int r;

	fill_head(m, &h);
	neighbors = calloc(n + 1, sizeof(*neighbors));
	if (!neighbors)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		fill_neighbor(c, i, &neighbors[i]);
	r = write_all(fd, &h, sizeof(h));
	if (r == 0)
		r = write_all(fd, m->workers, c->n_children * sizeof(*m->workers));
	if (r == 0)
		r = write_all(fd, neighbors, n * sizeof(*neighbors));
	if (r == 0)
		r = write_all(fd, m->rows, m->n_rows * sizeof(*m->rows));
	free(neighbors);
	return r;
}

static int make_snapshot(struct control_metrics *m)
{
	_cleanup_close_ int fd = memfd_create("botls-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	sort_rows(m);
	r = write_snapshot(m, fd);
	/* The metrics process holds the file that botlsctl reads as root. */
	if (r == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	if (r < 0)
		return r;
	cleanup_close(&m->snapshot);
	m->snapshot = TAKE_FD(fd);
	m->snapshot_ms = loop_now_ms();
	return 0;
}

/* --- asking
 * ------------------------------------------------------------------------------------------------------------
 */

/* `fd` -1: it cannot be had. */
static void answer(struct control_metrics *m, struct ctl_request *req, int fd)
{
	struct jv *o;
	int copy;

	if (!req) {
		child_send(m->child, MSG_METRICS_SNAPSHOT, 0, NULL, 0, fd);
		return;
	}
	copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0) {
		ctl_request_fail(req, "the metrics cannot be had now",
				 "the log of botlsd says why");
		return;
	}
	o = jv_object_new();
	jv_set_int(o, "format", BOTLS_METRICS_FORMAT);
	jv_set_string(o, "version", BOTLS_VERSION);
	ctl_request_answer_fd(req, o, copy);
}

static void forget(struct control_metrics *m)
{
	free(TAKE(m->rows));
	free(TAKE(m->workers));
	m->n_rows = m->size = 0;
	m->waiting = 0;
}

static void finish(struct control_metrics *m)
{
	int r = make_snapshot(m);
	struct asker *a;

	timer_stop(m->deadline);
	forget(m);
	if (r < 0)
		log_error("the metrics cannot be put together: %s", strerror(-r));
	while ((a = m->askers)) {
		m->askers = a->next;
		answer(m, a->req, r < 0 ? -1 : m->snapshot);
		free(a);
	}
}

static void on_deadline(void *arg)
{
	finish(arg);
}

static void ask_workers(struct control_metrics *m)
{
	struct control *c = m->control;

	forget(m);
	m->id = ++c->last_id;
	m->workers = calloc(c->n_children + 1, sizeof(*m->workers));
	for (size_t i = 0; m->workers && i < c->n_children; i++) {
		m->workers[i] = (struct botls_metrics_worker){
			.id = i,
			.started = child_started(c->children[i]),
			.restarts = child_restarts(c->children[i]),
		};
		if (child_send(c->children[i], MSG_METRICS, m->id, NULL, 0, -1) == 0)
			m->waiting |= 1ULL << i;
	}
	if (!m->workers || timer_set_ms(m->deadline, c->gather_wait_ms) < 0 || !m->waiting)
		finish(m);
}

static void ask(struct control_metrics *m, struct ctl_request *req)
{
	struct asker *a;
	bool is_asking = m->askers;

	if (m->snapshot >= 0 && loop_now_ms() - m->snapshot_ms < FRESH_MS) {
		answer(m, req, m->snapshot);
		return;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		answer(m, req, -1);
		return;
	}
	a->req = req;
	a->next = m->askers;
	m->askers = a;
	if (!is_asking)
		ask_workers(m);
}

/* --- what workers answer
 * -----------------------------------------------------------------------------------------------
 */

static int add_row(struct control_metrics *m, const struct message_metrics_row *row,
		   unsigned worker)
{
	const struct config *config = m->control->now.config;
	const struct neighbor_config *n;
	struct botls_metrics_row *o;

	if (!memchr(row->neighbor, '\0', sizeof(row->neighbor)))
		return 0;
	n = config_neighbor(config, row->neighbor);
	/* No more than there can be: a worker is not trusted to say each neighbor once. */
	if (!n || m->n_rows >= 2 * m->control->n_children * config->n_neighbors)
		return 0;
	if (m->n_rows == m->size) {
		size_t size = m->size ? 2 * m->size : 256;

		o = reallocarray(m->rows, size, sizeof(*o));
		if (!o)
			return -ENOMEM;
		m->rows = o;
		m->size = size;
	}
	o = &m->rows[m->n_rows++];
	o->neighbor = n - config->neighbors;
	o->worker = worker;
	memcpy(o->v, row->v, sizeof(o->v));
	return 0;
}

static void add_rows(struct control_metrics *m, const struct ipc_message *msg, unsigned worker)
{
	struct message_metrics_row row;

	for (size_t at = 0; at + sizeof(row) <= msg->len; at += sizeof(row)) {
		memcpy(&row, (const char *)msg->payload + at, sizeof(row));
		if (add_row(m, &row, worker) < 0)
			return;
	}
}

static void worker_is_done(struct control_metrics *m, unsigned worker)
{
	if (!(m->waiting & 1ULL << worker))
		return;
	m->waiting &= ~(1ULL << worker);
	if (!m->waiting)
		finish(m);
}

void control_metrics_on_message(struct control *c, struct child *child,
				const struct ipc_message *msg)
{
	struct control_metrics *m = c->metrics;
	struct message_metrics_worker own;
	unsigned worker = child_number(child);

	if (!m->askers || msg->id != m->id || !(m->waiting & 1ULL << worker))
		return;
	if (msg->type == MSG_METRICS_ROWS) {
		add_rows(m, msg, worker);
		return;
	}
	if (msg->len == sizeof(own)) {
		memcpy(&own, msg->payload, sizeof(own));
		m->workers[worker].is_up = 1;
		m->workers[worker].handshakes = own.handshakes;
		m->workers[worker].unknown = own.unknown;
	}
	worker_is_done(m, worker);
}

void control_metrics_on_death(struct control *c, struct child *child)
{
	if (c->metrics && c->metrics->askers)
		worker_is_done(c->metrics, child_number(child));
}

void control_metrics_renew(struct control *c)
{
	if (c->metrics->askers)
		ask_workers(c->metrics);
	cleanup_close(&c->metrics->snapshot);
	c->metrics->snapshot = -1;
}

void control_metrics_ask(struct control *c, struct ctl_request *req)
{
	ask(c->metrics, req);
}

/* --- the metrics process
 * -----------------------------------------------------------------------------------------------
 */

static void on_started(void *arg, struct child *child)
{
	struct control_metrics *m = arg;

	child_send(child, MSG_LOG_LEVEL, log_get_level(), NULL, 0, -1);
	child_send(child, MSG_METRICS_LISTENER, 0, NULL, 0, m->listener);
}

static void on_message(void *arg, struct child *child, struct ipc_message *msg)
{
	(void)child;
	if (msg->type == MSG_METRICS_WANTED)
		ask(arg, NULL);
	else
		log_error("the metrics process sent an unknown message (%u)", msg->type);
}

static void on_died(void *arg, struct child *child)
{
	(void)arg;
	(void)child;
}

static int start_process(struct control_metrics *m)
{
	const struct child_callbacks callbacks = {
		.kind = CHILD_METRICS,
		.on_started = on_started,
		.on_message = on_message,
		.on_died = on_died,
		.start_process = m->control->parts->start_process,
	};
	int r = child_new(m->control->loop, 0, m->control->now.config->user, &callbacks, m,
			  &m->child);

	if (r == 0)
		on_started(m, m->child);
	return r;
}

/* What the metrics process would still be answered goes nowhere. */
static void stop_process(struct control_metrics *m)
{
	for (struct asker **p = &m->askers; *p;) {
		struct asker *a = *p;

		if (a->req) {
			p = &a->next;
			continue;
		}
		*p = a->next;
		free(a);
	}
	child_free(TAKE(m->child));
}

int control_metrics_open(const struct config *config, int *ret_fd, struct errtext *e)
{
	struct addr address;
	uint16_t port;
	int r;

	if (!config->metrics_listen) {
		*ret_fd = -1;
		return 0;
	}
	r = config_parse_listen(config->metrics_listen, &address, &port, e);
	if (r < 0)
		return r;
	r = sock_listener(&address, port, BACKLOG, ret_fd);
	if (r < 0)
		return errtext_set(e, r, "metrics-listen: cannot listen on %s: %s",
				   config->metrics_listen, strerror(-r));
	if (!addr_is_loopback(&address))
		log_warning(
			"metrics-listen = %s: whoever reaches that address can read with whom this "
			"router peers; there is no authentication",
			config->metrics_listen);
	return 0;
}

void control_metrics_listen(struct control *c, int fd)
{
	struct control_metrics *m = c->metrics;
	int r = 0;

	cleanup_close(&m->listener);
	m->listener = fd;
	if (fd < 0)
		stop_process(m);
	else if (m->child)
		on_started(m, m->child);
	else
		r = start_process(m);
	if (r < 0)
		log_error("the metrics process cannot be started: %s", strerror(-r));
	else if (fd >= 0)
		log_info("metrics at http://%s/metrics", c->now.config->metrics_listen);
}

bool control_metrics_reaped(struct control *c, pid_t pid, int status)
{
	return c->metrics && c->metrics->child && child_reaped(c->metrics->child, pid, status);
}

int control_metrics_new(struct control *c)
{
	struct control_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->control = c;
	m->listener = m->snapshot = -1;
	c->metrics = m;
	return timer_new(c->loop, on_deadline, m, &m->deadline);
}

void control_metrics_free(struct control *c)
{
	struct control_metrics *m = TAKE(c->metrics);
	struct asker *a;

	if (!m)
		return;
	stop_process(m);
	while ((a = m->askers)) {
		m->askers = a->next;
		ctl_request_fail(a->req, "botlsd is stopping", NULL);
		free(a);
	}
	forget(m);
	timer_free(m->deadline);
	cleanup_close(&m->listener);
	cleanup_close(&m->snapshot);
	free(m);
}
