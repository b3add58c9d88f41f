// SPDX-License-Identifier: Apache-2.0
#include "exporter.h"

#include "http_server.h"
#include "ipc.h"
#include "log.h"
#include "loop.h"
#include "messages.h"
#include "metrics_text.h"
#include "sandbox.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define FRESH_MS 1000 /* for so long a snapshot serves others */
#define WAIT_MS	 8000 /* for control and all workers */
#define MAX_FDS	 (HTTP_CONNECTIONS_MAX + 32)

/* Shared by the answers that are on their way; freed with the last of them. */
struct shot {
	struct metrics_snapshot *snapshot;
	unsigned refs;
};

struct waiter {
	struct waiter *next;
	struct http_request *request;
	enum metrics_format format;
};

struct exporter {
	struct loop *loop;
	struct ipc *ipc;
	struct http_server *http;
	struct shot *shot; /* the newest, or NULL */
	uint64_t shot_ms;
	struct waiter *waiters; /* while control is being asked */
	struct timer *deadline;
};

struct answer {
	struct shot *shot;
	enum metrics_format format;
	struct metrics_cursor at;
};

static void shot_unref(struct shot *s)
{
	if (!s || --s->refs)
		return;
	metrics_snapshot_free(s->snapshot);
	free(s);
}

static size_t more(void *arg, char *buf, size_t size)
{
	struct answer *a = arg;

	return metrics_print(a->shot->snapshot, a->format, &a->at, buf, size);
}

static void on_done(void *arg)
{
	struct answer *a = arg;

	shot_unref(a->shot);
	free(a);
}

static void unavailable(struct http_request *r, const char *why)
{
	http_answer(r, 503, "Service Unavailable", why);
}

static void answer(struct exporter *x, struct http_request *r, enum metrics_format format)
{
	struct answer *a = calloc(1, sizeof(*a));
	struct http_stream stream = {
		.type = format == METRICS_OPENMETRICS ? METRICS_TYPE_OPENMETRICS
						      : METRICS_TYPE_TEXT,
		.more = more,
		.on_done = on_done,
		.arg = a,
	};

	if (!a) {
		unavailable(r, "out of memory");
		return;
	}
	a->shot = x->shot;
	a->shot->refs++;
	a->format = format;
	http_answer_stream(r, &stream);
}

/* Everybody who waits; `why` when there is no snapshot. */
static void answer_waiters(struct exporter *x, const char *why)
{
	struct waiter *w;

	timer_stop(x->deadline);
	while ((w = x->waiters)) {
		x->waiters = w->next;
		if (why)
			unavailable(w->request, why);
		else
			answer(x, w->request, w->format);
		free(w);
	}
}

static void on_deadline(void *arg)
{
	answer_waiters(arg, "botlsd does not answer");
}

static void ask(struct exporter *x, struct http_request *r, enum metrics_format format)
{
	struct waiter *w = calloc(1, sizeof(*w));
	bool is_asked = x->waiters;

	if (!w) {
		unavailable(r, "out of memory");
		return;
	}
	w->request = r;
	w->format = format;
	w->next = x->waiters;
	x->waiters = w;
	if (!is_asked && (timer_set_ms(x->deadline, WAIT_MS) < 0 ||
			  ipc_send(x->ipc, MSG_METRICS_WANTED, 0, NULL, 0, -1) < 0))
		answer_waiters(x, "botlsd is not to be reached");
}

static void on_request(void *arg, struct http_request *r, const char *path, const char *accept)
{
	struct exporter *x = arg;
	enum metrics_format format =
		strstr(accept, "application/openmetrics-text") ? METRICS_OPENMETRICS : METRICS_TEXT;

	if (strcmp(path, "/metrics") != 0)
		http_answer(r, 404, "Not Found", "there is only /metrics");
	else if (x->shot && loop_now_ms() - x->shot_ms < FRESH_MS)
		answer(x, r, format);
	else
		ask(x, r, format);
}

static void on_snapshot(struct exporter *x, int fd)
{
	struct shot *s = calloc(1, sizeof(*s));
	struct errtext e = {};

	if (!s || fd < 0 || metrics_snapshot_read(fd, &s->snapshot, &e) < 0) {
		if (e.text[0])
			log_error("a snapshot cannot be read: %s", e.text);
		free(s);
		answer_waiters(x, "botlsd cannot tell now");
		return;
	}
	s->refs = 1;
	shot_unref(x->shot);
	x->shot = s;
	x->shot_ms = loop_now_ms();
	answer_waiters(x, NULL);
}

static void on_listener(struct exporter *x, int fd)
{
	const struct http_server_params p = {
		.loop = x->loop, .fd = fd, .on_request = on_request, .arg = x};
	struct waiter *w;

	/* With the old server its requests go. */
	while ((w = x->waiters)) {
		x->waiters = w->next;
		free(w);
	}
	http_server_free(TAKE(x->http));
	if (http_server_new(&p, &x->http) < 0) {
		log_error("cannot serve HTTP: out of memory");
		loop_stop(x->loop); /* control starts another */
	}
}

static void on_message(void *arg, struct ipc_message *m)
{
	struct exporter *x = arg;

	switch (m->type) {
	case MSG_METRICS_LISTENER: on_listener(x, TAKE_FD(m->fd)); break;
	case MSG_METRICS_SNAPSHOT: on_snapshot(x, m->fd); break;
	case MSG_LOG_LEVEL: log_set_level(m->id); break;
	case MSG_PING: ipc_send(x->ipc, MSG_PONG, m->id, NULL, 0, -1); break;
	default: break;
	}
}

static void on_gone(void *arg)
{
	struct exporter *x = arg;

	loop_stop(x->loop);
}

static const struct ipc_callbacks ipc_callbacks = {.on_message = on_message, .on_gone = on_gone};

static void on_violation(const char *call)
{
	log_error("system call %s is none that the metrics process makes: ending this process (a "
		  "bug, "
		  "or somebody who has taken it over)",
		  call);
}

static int run(struct exporter *x, int fd, const char *user)
{
	const struct rlimit fds = {MAX_FDS, MAX_FDS};
	struct errtext e = {};

	signal(SIGPIPE, SIG_IGN);
	/* A terminal's Ctrl-C goes to the whole group: ending is control's decision. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	/* libevent asks who we are when it begins: before the sandbox. */
	if (loop_new(&x->loop) < 0 || timer_new(x->loop, on_deadline, x, &x->deadline) < 0) {
		log_error("out of memory");
		return EXIT_FAILURE;
	}
	if (setrlimit(RLIMIT_NOFILE, &fds) < 0 || sandbox_no_core() < 0 ||
	    sandbox_enter(user, on_violation, &e) < 0) {
		log_error("%s", e.text[0] ? e.text : strerror(errno));
		return EXIT_FAILURE;
	}
	if (ipc_new(x->loop, fd, &ipc_callbacks, x, &x->ipc) < 0) {
		log_error("out of memory");
		return EXIT_FAILURE;
	}
	return loop_run(x->loop) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int exporter_main(int fd, const char *user)
{
	struct exporter x = {};
	struct waiter *w;
	int status;

	log_init("metrics");
	status = run(&x, fd, user);
	http_server_free(x.http);
	while ((w = x.waiters)) {
		x.waiters = w->next;
		free(w);
	}
	shot_unref(x.shot);
	ipc_free(x.ipc);
	timer_free(x.deadline);
	loop_free(x.loop);
	return status;
}
