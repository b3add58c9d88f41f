// SPDX-License-Identifier: Apache-2.0
/*
 * What botlsctl asks: docs/control-protocol.md. What only the workers know is gathered from all of
 * them and merged; a worker that is silent is left out after a while.
 */
#include "control_internal.h"

#include "botls/botls.h"
#include "log.h"
#include "messages.h"

#include <errno.h>
#include <time.h>

/* What workers say for one answer; more than that no client would read. */
#define GATHER_BYTES_MAX (32 << 20)

/* An answer that workers contribute to. */
struct gather {
	struct gather *next;
	struct control *control;
	struct ctl_request *req;
	uint32_t id;
	uint64_t waiting; /* bit per worker */
	bool is_reset;
	char neighbor[ADDR_STRLEN]; /* "" all */
	uint64_t sessions;	    /* reset: ended */
	struct jv **neighbors;	    /* show: by index in the configuration */
	size_t n_neighbors;
	struct jv *workers; /* show */
	size_t bytes;
	struct jv *unknown; /* show: "count", "last", "last_time" */
	struct timer *deadline;
};

/* What workers have said so far. */
static void forget(struct gather *g)
{
	for (size_t i = 0; g->neighbors && i < g->n_neighbors; i++)
		jv_free(g->neighbors[i]);
	free(TAKE(g->neighbors));
	jv_free(TAKE(g->workers));
	jv_free(TAKE(g->unknown));
	g->bytes = 0;
	g->waiting = 0;
}

static void gather_free(struct gather *g)
{
	for (struct gather **p = &g->control->gathers; *p; p = &(*p)->next) {
		if (*p == g) {
			*p = g->next;
			break;
		}
	}
	forget(g);
	timer_free(g->deadline);
	free(g);
}

void control_gathers_free(struct control *c)
{
	while (c->gathers) {
		ctl_request_fail(c->gathers->req, "botlsd is stopping", NULL);
		gather_free(c->gathers);
	}
}

/* --- merging
 * --------------------------------------------------------------------------------------------------------------
 */

/* Higher says more about the neighbor as a whole. */
static int rank(const char *state)
{
	static const char *const order[] = {"off",	 "error",    "idle",  "held", "connecting",
					    "handshake", "draining", "clear", "up"};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (strcmp(state, order[i]) == 0)
			return i;
	return -1;
}

/* Of two events the later one. */
static void keep_later(struct jv *into, struct jv *from, const char *key)
{
	if (jv_get_int(jv_get(from, key), "time", 0) > jv_get_int(jv_get(into, key), "time", 0))
		jv_set(into, key, jv_take(from, key));
}

static struct jv *merge(struct jv *a, struct jv *b)
{
	bool is_b = rank(jv_get_string(b, "state", "")) > rank(jv_get_string(a, "state", ""));
	struct jv *into = is_b ? b : a, *from = is_b ? a : b;

	keep_later(into, from, "last_failure");
	keep_later(into, from, "last_notification");
	jv_add_counters(jv_get_mutable(into, "failures"), jv_get(from, "failures"));
	jv_add_counters(jv_get_mutable(into, "counters"), jv_get(from, "counters"));
	jv_extend(jv_get_mutable(into, "sessions"), jv_take(from, "sessions"));
	jv_free(from);
	return into;
}

/* A worker is not trusted to say what it should. */
static bool is_status(const struct jv *v)
{
	return jv_is_object(v) && jv_is_object(jv_get(v, "failures")) &&
	       jv_is_object(jv_get(v, "counters")) && jv_is_array(jv_get(v, "sessions"));
}

static void add_neighbor(struct gather *g, const struct ipc_message *m)
{
	const struct config *config = g->control->now.config;
	const struct neighbor_config *n;
	struct jv *v;
	size_t at;

	g->bytes += m->len;
	if (g->bytes > GATHER_BYTES_MAX || jv_parse(m->payload, m->len, &v, NULL) < 0)
		return;
	n = is_status(v) ? config_neighbor(config, jv_get_string(v, "name", "")) : NULL;
	if (!n) {
		jv_free(v);
		return;
	}
	at = n - config->neighbors;
	g->neighbors[at] = g->neighbors[at] ? merge(g->neighbors[at], v) : v;
}

/* Strangers at the TLS port: how many, and the last of them. */
static void add_unknown(struct gather *g, const struct jv *worker)
{
	int64_t count = jv_get_int(worker, "unknown_count", 0);
	int64_t time = jv_get_int(worker, "unknown_time", 0);

	if (count <= 0)
		return;
	if (!g->unknown)
		g->unknown = jv_object_new();
	jv_add_int(g->unknown, "count", count);
	if (time < jv_get_int(g->unknown, "last_time", 0))
		return;
	jv_set_string(g->unknown, "last", jv_get_string(worker, "unknown_last", NULL));
	jv_set_int(g->unknown, "last_time", time);
}

static void add_worker(struct gather *g, struct child *child, const struct ipc_message *m)
{
	_cleanup_jv_ struct jv *v = NULL;
	struct jv *o = jv_object_new();

	if (jv_parse(m->payload, m->len, &v, NULL) < 0)
		v = NULL;
	jv_set_uint(o, "id", child_number(child));
	jv_set_int(o, "pid", child_pid(child));
	jv_set_int(o, "started", child_started(child));
	jv_set_uint(o, "restarts", child_restarts(child));
	jv_set_int(o, "handshakes", jv_get_int(v, "handshakes", 0));
	jv_append(g->workers, o);
	add_unknown(g, v);
}

/* --- answers
 * --------------------------------------------------------------------------------------------------------------
 */

/* What came to our port for the neighbor's keys, besides what its sessions tell. */
static void add_ao(struct control *c, struct jv *o, const struct neighbor_config *n)
{
	struct tcp_ao_status ao;
	struct jv *l;

	if (!jv_is_object(jv_get(o, "tcp_ao")))
		return;
	jv_set_bool(jv_get_mutable(o, "tcp_ao"), "active", c->tls.has_ao);
	if (tls_listeners_get_ao(&c->tls, n, &ao) < 0)
		return;
	l = jv_object_new();
	jv_set_uint(l, "good", ao.good);
	jv_set_uint(l, "bad", ao.bad);
	jv_set_uint(l, "key_not_found", ao.key_not_found);
	jv_set_uint(l, "required", ao.required);
	jv_set(jv_get_mutable(o, "tcp_ao"), "listener", l);
}

/* The workers see only what goes through them; the daemon itself may have accepted a session. */
static void add_clear(struct control *c, struct jv *o, size_t at)
{
	const struct peer *p = &c->now.peers[at];
	unsigned count = control_clear_count(c, at);

	jv_set_bool(o, "fallback", p->allow_clear);
	jv_set_uint(o, "clear_sessions", count);
	if (!count || rank(jv_get_string(o, "state", "")) >= rank("clear"))
		return;
	jv_set_string(o, "state", "clear");
	if (p->clear_since)
		jv_set_int(o, "since", p->clear_since);
}

/* What control knows better than any worker. */
static void add_own_knowledge(struct control *c, struct jv *o, size_t at)
{
	const struct peer *p = &c->now.peers[at];
	char text[ADDR_STRLEN];

	jv_set_string(o, "name", c->now.config->neighbors[at].name);
	if (p->own.family != AF_UNSPEC)
		jv_set_string(o, "local_address", addr_format(&p->own, text));
	add_ao(c, o, &c->now.config->neighbors[at]);
	add_clear(c, o, at);
}

static struct jv *neighbors_json(struct gather *g)
{
	struct control *c = g->control;
	struct jv *a = jv_array_new();

	for (size_t i = 0; i < g->n_neighbors; i++) {
		const struct neighbor_config *n = &c->now.config->neighbors[i];
		struct jv *o;

		if (g->neighbor[0] && strcmp(g->neighbor, n->name) != 0)
			continue;
		o = TAKE(g->neighbors[i]);
		if (!o) { /* no worker could say anything */
			o = jv_object_new();
			jv_set_string(o, "name", n->name);
			jv_set_string(o, "mode", neighbor_mode_name(n->mode));
			jv_set_string(o, "state", "idle");
			jv_set_string(o, "bgp", "idle");
			jv_set(o, "sessions", jv_array_new());
		}
		add_own_knowledge(c, o, i);
		jv_append(a, o);
	}
	return a;
}

/* Sessions per worker, counted from what the neighbors told. */
static void count_sessions(struct jv *workers, const struct jv *neighbors)
{
	for (size_t i = 0; i < jv_size(neighbors); i++) {
		const struct jv *sessions = jv_get(jv_at(neighbors, i), "sessions");

		for (size_t k = 0; k < jv_size(sessions); k++)
			for (size_t w = 0; w < jv_size(workers); w++)
				if (jv_get_int(jv_at(workers, w), "id", -1) ==
				    jv_get_int(jv_at(sessions, k), "worker", -2))
					jv_add_int(jv_at_mutable(workers, w), "sessions", 1);
	}
}

static void answer_show(struct gather *g)
{
	struct control *c = g->control;
	struct jv *o = jv_object_new(), *neighbors = neighbors_json(g);

	jv_set_string(o, "version", BOTLS_VERSION);
	jv_set_int(o, "pid", getpid());
	jv_set_int(o, "started", c->started);
	jv_set_uint(o, "generation", c->generation);
	jv_set_int(o, "loaded", c->loaded);
	jv_set_string(o, "configuration", c->now.config->path);
	jv_set_string(o, "steering", steering_name(c->steering));
	jv_set_string(o, "log_level", log_level_name(log_get_level()));
	for (size_t w = 0; w < jv_size(g->workers); w++)
		jv_set_int(jv_at_mutable(g->workers, w), "sessions", 0);
	count_sessions(g->workers, neighbors);
	jv_set(o, "workers", TAKE(g->workers));
	control_handover_status(g->control, o);
	jv_set(o, "neighbors", neighbors);
	if (g->unknown)
		jv_set(o, "unknown_sources", TAKE(g->unknown));
	ctl_request_answer(g->req, o);
}

static void answer(struct gather *g)
{
	if (g->is_reset) {
		struct jv *o = jv_object_new();

		jv_set_uint(o, "sessions", g->sessions);
		ctl_request_answer(g->req, o);
	} else {
		answer_show(g);
	}
	gather_free(g);
}

static void on_deadline(void *arg)
{
	answer(arg);
}

static void worker_is_done(struct gather *g, struct child *child)
{
	g->waiting &= ~(1ULL << child_number(child));
	if (!g->waiting)
		answer(g);
}

void control_on_status(struct control *c, struct child *child, struct ipc_message *m)
{
	uint32_t count = 0;

	for (struct gather *g = c->gathers; g; g = g->next) {
		if (g->id != m->id || !(g->waiting & (1ULL << child_number(child))))
			continue;
		switch (m->type) {
		case MSG_STATUS: add_neighbor(g, m); return;
		case MSG_STATUS_END: add_worker(g, child, m); break;
		case MSG_RESET_DONE:
			if (m->len == sizeof(count))
				memcpy(&count, m->payload, sizeof(count));
			g->sessions += count;
			break;
		default: return;
		}
		worker_is_done(g, child);
		return;
	}
}

void control_on_child_silent(struct control *c, struct child *child)
{
	for (struct gather *g = c->gathers, *next; g; g = next) {
		next = g->next;
		worker_is_done(g, child);
	}
}

/* Asks every worker that lives; with none the answer is there already. -ENOMEM: nothing was done.
 */
static int ask(struct gather *g)
{
	struct control *c = g->control;
	struct jv **neighbors = calloc(c->now.config->n_neighbors + 1, sizeof(*neighbors));
	struct jv *workers = jv_array_new();

	if (!neighbors || !workers) {
		free(neighbors);
		jv_free(workers);
		return -ENOMEM;
	}
	forget(g);
	g->neighbors = neighbors;
	g->n_neighbors = c->now.config->n_neighbors;
	g->workers = workers;
	g->id = ++c->last_id;
	for (size_t i = 0; i < c->n_children; i++)
		if (child_send(c->children[i], g->is_reset ? MSG_RESET : MSG_QUERY, g->id,
			       g->neighbor, strlen(g->neighbor), -1) == 0)
			g->waiting |= 1ULL << child_number(c->children[i]);
	if (!g->waiting)
		answer(g);
	return 0;
}

static void give_up(struct gather *g, const char *error)
{
	ctl_request_fail(g->req, error, NULL);
	gather_free(g);
}

static void gather(struct control *c, struct ctl_request *req, bool is_reset, const char *neighbor)
{
	struct gather *g = calloc(1, sizeof(*g));

	if (!g) {
		ctl_request_fail(req, "out of memory", "this router is short of it: try again");
		return;
	}
	g->control = c;
	g->req = req;
	g->is_reset = is_reset;
	snprintf(g->neighbor, sizeof(g->neighbor), "%s", neighbor);
	g->next = c->gathers;
	c->gathers = g;
	if (timer_new(c->loop, on_deadline, g, &g->deadline) < 0 ||
	    timer_set_ms(g->deadline, c->gather_wait_ms) < 0 || ask(g) < 0)
		give_up(g, "out of memory");
}

void control_gathers_renew(struct control *c)
{
	for (struct gather *g = c->gathers, *next; g; g = next) {
		next = g->next;
		if (g->is_reset)
			continue;
		if (g->neighbor[0] && !config_neighbor(c->now.config, g->neighbor))
			give_up(g, "the neighbor is no longer configured");
		else if (ask(g) < 0)
			give_up(g, "out of memory");
	}
}

/* --- commands
 * -------------------------------------------------------------------------------------------------------------
 */

/* The neighbor in any spelling of its address; NULL: the client has been told. */
static const struct neighbor_config *find_neighbor(struct control *c, struct ctl_request *req,
						   const char *name)
{
	const struct neighbor_config *n = config_neighbor(c->now.config, name);
	char text[128];

	if (n)
		return n;
	snprintf(text, sizeof(text), "neighbor %.60s is not configured", name);
	ctl_request_fail(req, text, "botlsctl show lists the neighbors");
	return NULL;
}

static void show(struct control *c, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "neighbor", "");
	const struct neighbor_config *n = *name ? find_neighbor(c, req, name) : NULL;

	if (n || !*name)
		gather(c, req, false, n ? n->name : "");
}

static void reset(struct control *c, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "neighbor", "");
	const struct neighbor_config *n;

	if (!*name) {
		ctl_request_fail(req, "which neighbor?", "botlsctl reset ADDRESS");
		return;
	}
	n = find_neighbor(c, req, name);
	if (n) {
		log_info("neighbor %s: reset asked for by uid %u", n->name, ctl_request_uid(req));
		gather(c, req, true, n->name);
	}
}

static void capture(struct control *c, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "neighbor", "");
	const struct neighbor_config *n;

	if (!*name) {
		ctl_request_fail(req, "which neighbor?", "botlsctl capture ADDRESS");
		return;
	}
	n = find_neighbor(c, req, name);
	if (n)
		control_capture(c, req, n);
}

static void metrics(struct control *c, struct ctl_request *req, const struct jv *request)
{
	(void)request;
	control_metrics_ask(c, req);
}

static void add_item(void *arg, const struct steering_item *item)
{
	struct jv *o = jv_object_new();

	jv_set_string(o, "kind", item->kind);
	jv_set_string(o, "name", item->name);
	jv_set_string(o, "state", steering_state_name(item->state));
	jv_set_string(o, "detail", item->detail);
	jv_append(arg, o);
}

static struct jv *counters_json(const struct steering_counters *n)
{
	struct jv *o = jv_object_new();

	jv_set_uint(o, "connects_steered", n->connects_steered);
	jv_set_uint(o, "connects_refused_uid", n->connects_refused_uid);
	jv_set_uint(o, "connects_refused_closed", n->connects_refused_closed);
	jv_set_uint(o, "accepts_mapped", n->accepts_mapped);
	jv_set_uint(o, "accepts_hidden", n->accepts_hidden);
	jv_set_uint(o, "guard_out", n->guard_out);
	jv_set_uint(o, "guard_in", n->guard_in);
	jv_set_uint(o, "guard_ttl", n->guard_ttl);
	jv_set_uint(o, "guard_inner", n->guard_inner);
	return o;
}

static void steering(struct control *c, struct ctl_request *req, const struct jv *request)
{
	struct jv *items = jv_array_new(), *o = jv_object_new();
	struct steering_counters counters = {};
	int wrong;

	(void)request;
	wrong = steering_check(c->steering, add_item, items, &counters);
	jv_set_string(o, "mechanism", steering_name(c->steering));
	jv_set_bool(o, "agrees", wrong == 0);
	jv_set(o, "items", items);
	jv_set(o, "counters", counters_json(&counters));
	ctl_request_answer(req, o);
}

static void reload(struct control *c, struct ctl_request *req, const struct jv *request)
{
	control_reload(c, req, jv_get_bool(request, "dry_run", false));
}

static void set_log_level(struct control *c, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "level", NULL);
	enum log_level level;
	struct jv *o;

	if (name && log_level_parse(name, &level) < 0) {
		ctl_request_fail(req, "no such level", "error, warning, info or debug");
		return;
	}
	if (name) {
		log_set_level(level);
		for (size_t i = 0; i < c->n_children; i++)
			child_send(c->children[i], MSG_LOG_LEVEL, level, NULL, 0, -1);
	}
	o = jv_object_new();
	jv_set_string(o, "level", log_level_name(log_get_level()));
	ctl_request_answer(req, o);
}

static const struct command {
	const char *name;
	const char *argument; /* the only one that it takes; NULL: none */
	bool is_flag;	      /* true or false, else a string */
	void (*run)(struct control *c, struct ctl_request *req, const struct jv *request);
} commands[] = {
	{"show", "neighbor", false, show},
	{"steering", NULL, false, steering},
	{"reload", "dry_run", true, reload},
	{"reset", "neighbor", false, reset},
	{"log-level", "level", false, set_log_level},
	{"capture", "neighbor", false, capture},
	{"metrics", NULL, false, metrics},
};

/* A misspelled "dry_run" must not reload. */
static bool check_arguments(const struct command *c, struct ctl_request *req,
			    const struct jv *request)
{
	struct errtext problem;
	struct jv_cursor at = jv_enter(request, &problem);
	char hint[64] = "it takes no arguments";

	if (c->argument)
		snprintf(hint, sizeof(hint), "it takes \"%s\"", c->argument);
	for (struct jv_iter it = {}; jv_next(request, &it);)
		if (strcmp(it.key, "command") != 0 &&
		    (!c->argument || strcmp(it.key, c->argument) != 0))
			jv_complain(&at, it.key, "no such argument");
	if (c->argument && c->is_flag)
		jv_read_bool(&at, c->argument, false);
	else if (c->argument)
		jv_read_string(&at, c->argument, NULL);
	if (!jv_bad(&at))
		return true;
	ctl_request_fail(req, problem.text, hint);
	return false;
}

void control_on_request(void *arg, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "command", "");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			if (check_arguments(&commands[i], req, request))
				commands[i].run(arg, req, request);
			return;
		}
	}
	ctl_request_fail(req, "no such command",
			 "show, steering, reload, reset, log-level, capture, metrics");
}
