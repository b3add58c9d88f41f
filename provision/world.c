// SPDX-License-Identifier: Apache-2.0
#include "world.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

/* Written to by the signal handler, so that every wait ends. */
static int cancelled_fd = -1;
static volatile sig_atomic_t is_cancelled;

static void on_signal(int signo)
{
	uint64_t one = 1;
	int error = errno;
	ssize_t n;

	(void)signo;
	is_cancelled = 1;
	http_cancel();
	n = write(cancelled_fd, &one, sizeof(one));
	(void)n;
	errno = error;
}

static int catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	if (cancelled_fd >= 0)
		return 0;
	cancelled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cancelled_fd < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	if (sigaction(SIGINT, &sa, NULL) < 0 || sigaction(SIGTERM, &sa, NULL) < 0)
		return -errno;
	return 0;
}

bool world_is_cancelled(void)
{
	return is_cancelled;
}

int64_t world_now(void *arg)
{
	(void)arg;
	return time(NULL);
}

int world_wait_ms(void *arg, uint64_t ms)
{
	struct pollfd p = {.fd = cancelled_fd, .events = POLLIN};
	int r;

	(void)arg;
	do
		r = poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
	while (r < 0 && errno == EINTR && !is_cancelled);
	return is_cancelled ? -ECANCELED : 0;
}

/* ---- progress ---- */

void world_progress(void *arg, const char *text)
{
	const struct world *w = arg;
	char line[160];

	if (w->is_quiet)
		return;
	text_copy(line, sizeof(line), text);
	fprintf(stderr, "\r\033[K%.78s", line);
}

void world_progress_end(struct world *w)
{
	if (!w->is_quiet)
		fputs("\r\033[K", stderr);
}

static void on_api_progress(void *arg, const char *server, const char *text)
{
	char line[160];

	snprintf(line, sizeof(line), "%s: %s", server, text);
	world_progress(arg, line);
}

/* ---- the audit log ---- */

int world_audit(struct world *w, const char *event, struct jv *members)
{
	struct errtext e;
	int r;

	if (!w->audit) {
		jv_free(members);
		return 0;
	}
	r = audit_write(w->audit, world_now(w), event, members, &e);
	if (r < 0)
		text_complain("audit log: %s", e.text);
	return r;
}

static void on_requested(void *arg, const char *server, const char *id, const char *method,
			 const char *path, int status)
{
	struct jv *o = jv_object_new();
	int r = 0;

	r |= jv_set_string(o, "server", server);
	r |= jv_set_string(o, "request_id", id);
	r |= jv_set_string(o, "method", method);
	r |= jv_set_string(o, "path", path);
	r |= status < 0 ? jv_set_string(o, "error", strerrordesc_np(-status))
			: jv_set_int(o, "status", status);
	if (r < 0)
		jv_free(o);
	else
		world_audit(arg, "request", o);
}

/* ---- opening ---- */

static void on_problem(void *arg, const char *where, const char *text)
{
	(void)arg;
	text_complain("%s: %s", where, text);
}

static char *in_folder(const struct world *w, const char *name)
{
	size_t len = strlen(w->settings->state_folder) + strlen(name) + 2;
	char *path = malloc(len);

	if (path)
		snprintf(path, len, "%s/%s", w->settings->state_folder, name);
	return path;
}

static int open_servers(struct world *w)
{
	const struct api_environment env = {.now = world_now,
					    .wait_ms = world_wait_ms,
					    .progress = on_api_progress,
					    .requested = on_requested,
					    .arg = w};
	_cleanup_free_ char *folder = in_folder(w, "tokens");
	int r;

	r = folder ? http_new(&w->http) : -ENOMEM;
	if (r == 0)
		r = tokens_new(w->http, folder, &w->tokens);
	w->apis = calloc(w->settings->n_servers + 1, sizeof(*w->apis));
	if (!w->apis)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < w->settings->n_servers; i++)
		r = api_new(&w->settings->servers[i], w->http, w->tokens, &env, &w->apis[i]);
	if (r < 0)
		text_complain("cannot begin to talk to servers: %s", strerror(-r));
	return r;
}

static int open_registry(struct world *w)
{
	_cleanup_free_ char *folder = in_folder(w, "peeringdb");
	struct errtext e;
	int r;

	if (!w->settings->check_addresses)
		return 0;
	if (!folder)
		return -ENOMEM;
	r = peeringdb_new(w->settings, w->http, folder, &w->registry, &e);
	if (r < 0)
		text_complain("%s", e.text);
	return r;
}

static int open_state(struct world *w, bool write)
{
	struct errtext e;
	int r = state_open(w->settings->state_folder, write, &w->store, &w->state, &e);

	if (r < 0)
		text_complain("%s", e.text);
	return r;
}

static int open_audit(struct world *w)
{
	_cleanup_free_ char *path = NULL;
	struct errtext e;
	int r;

	path = w->settings->audit_log ? strdup(w->settings->audit_log)
				      : in_folder(w, "audit.jsonl");
	if (!path)
		return -ENOMEM;
	r = audit_open(path, w->run_id, &w->audit, &e);
	if (r < 0)
		text_complain("%s", e.text);
	return r;
}

int world_open(struct world *w, const char *config, enum world_use use, bool is_quiet)
{
	int r;

	*w = (struct world){.is_quiet = is_quiet};
	audit_new_id(w->run_id);
	r = catch_signals();
	if (r == 0)
		r = settings_load(config, on_problem, NULL, &w->settings);
	if (r < 0 || use == WORLD_SETTINGS)
		return r;
	r = open_state(w, use == WORLD_WRITE);
	if (r == 0)
		r = open_servers(w);
	if (r == 0)
		r = open_registry(w);
	if (r == 0 && use == WORLD_WRITE)
		r = open_audit(w);
	if (r < 0)
		world_close(w);
	return r;
}

void world_close(struct world *w)
{
	if (w->apis)
		for (size_t i = 0; i < w->settings->n_servers; i++)
			api_free(w->apis[i]);
	free(w->apis);
	peeringdb_free(w->registry);
	tokens_free(w->tokens);
	http_free(w->http);
	audit_close(w->audit);
	state_wipe(&w->state);
	state_close(w->store);
	settings_free(w->settings);
	*w = (struct world){};
}

int world_save(struct world *w)
{
	struct errtext e;
	int r = state_save(w->store, &w->state, &e);

	if (r < 0)
		text_complain("%s", e.text);
	return r;
}

struct api *world_api(struct world *w, const struct server_settings *s)
{
	return w->apis[s - w->settings->servers];
}

const struct server_settings *world_server(struct world *w, const char *name)
{
	const struct server_settings *s = settings_server(w->settings, name);

	if (!s)
		text_complain("%s has no server \"%s\"", w->settings->path, name);
	return s;
}
