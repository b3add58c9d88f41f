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

#define GATHER_WAIT_MS 5000

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
	int64_t unknown_count, unknown_time;
	char unknown_last[ADDR_STRLEN];
	uint64_t generation;
	struct timer *deadline;
};

static void gather_free(struct gather *g)
{
	for (struct gather **p = &g->control->gathers; *p; p = &(*p)->next) {
		if (*p == g) {
			*p = g->next;
			break;
		}
	}
	for (size_t i = 0; i < g->n_neighbors; i++)
		jv_free(g->neighbors[i]);
	free(g->neighbors);
	jv_free(g->workers);
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
static int rank(const struct jv *neighbor)
{
	static const char *const order[] = {"off",	  "error",     "idle",	"held",
					    "connecting", "handshake", "clear", "up"};
	const char *state = jv_get_string(neighbor, "state", "");

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
	struct jv *into = rank(b) > rank(a) ? b : a, *from = into == a ? b : a;

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

	if (g->generation != g->control->generation || jv_parse(m->payload, m->len, &v, NULL) < 0)
		return;
	n = is_status(v) ? config_neighbor(config, jv_get_string(v, "name", "")) : NULL;
	if (!n) {
		jv_free(v);
		return;
	}
	at = n - config->neighbors;
	g->neighbors[at] = g->neighbors[at] ? merge(g->neighbors[at], v) : v;
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
	g->unknown_count += jv_get_int(v, "unknown_count", 0);
	if (jv_get_int(v, "unknown_time", 0) > g->unknown_time) {
		g->unknown_time = jv_get_int(v, "unknown_time", 0);
		snprintf(g->unknown_last, sizeof(g->unknown_last), "%s",
			 jv_get_string(v, "unknown_last", ""));
	}
}

/* --- answers
 * --------------------------------------------------------------------------------------------------------------
 */

/* What control knows better than any worker. */
static void add_own_knowledge(struct control *c, struct jv *o, size_t at)
{
	const struct peer *p = &c->now.peers[at];
	char text[ADDR_STRLEN];

	if (p->own.family != AF_UNSPEC)
		jv_set_string(o, "local_address", addr_format(&p->own, text));
	jv_set_bool(o, "fallback", p->allow_clear);
	jv_set_uint(o, "clear_sessions",
		    p->allow_clear ? steering_clear_count(c->steering,
							  &c->now.config->neighbors[at].address)
				   : 0);
}

static struct jv *neighbors_json(struct gather *g)
{
	struct control *c = g->control;
	struct jv *a = jv_array_new();

	for (size_t i = 0; i < g->n_neighbors && g->generation == c->generation; i++) {
		const struct neighbor_config *n = &c->now.config->neighbors[i];
		struct jv *o = TAKE(g->neighbors[i]);

		if (g->neighbor[0] && strcmp(g->neighbor, n->name) != 0)
			continue;
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
	jv_set_string(o, "steering", steering_name(c->steering));
	jv_set_string(o, "log_level", log_level_name(log_get_level()));
	for (size_t w = 0; w < jv_size(g->workers); w++)
		jv_set_int(jv_at_mutable(g->workers, w), "sessions", 0);
	count_sessions(g->workers, neighbors);
	jv_set(o, "workers", TAKE(g->workers));
	jv_set(o, "neighbors", neighbors);
	if (g->unknown_count) {
		struct jv *u = jv_object_new();

		jv_set_int(u, "count", g->unknown_count);
		jv_set_string(u, "last", g->unknown_last);
		jv_set_int(u, "last_time", g->unknown_time);
		jv_set(o, "unknown_sources", u);
	}
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
		if (g->waiting & (1ULL << child_number(child)))
			worker_is_done(g, child);
	}
}

static void gather(struct control *c, struct ctl_request *req, uint32_t type, const char *neighbor)
{
	struct gather *g = calloc(1, sizeof(*g));

	if (g) {
		g->neighbors = calloc(c->now.config->n_neighbors + 1, sizeof(*g->neighbors));
		g->n_neighbors = c->now.config->n_neighbors;
		g->workers = jv_array_new();
	}
	if (!g || !g->neighbors || !g->workers ||
	    timer_new(c->loop, on_deadline, g, &g->deadline) < 0 ||
	    timer_set_ms(g->deadline, GATHER_WAIT_MS) < 0) {
		ctl_request_fail(req, "out of memory", NULL);
		if (g) {
			g->control = c;
			gather_free(g);
		}
		return;
	}
	g->control = c;
	g->req = req;
	g->id = ++c->last_id;
	g->generation = c->generation;
	g->is_reset = type == MSG_RESET;
	snprintf(g->neighbor, sizeof(g->neighbor), "%s", neighbor);
	g->next = c->gathers;
	c->gathers = g;
	for (size_t i = 0; i < c->n_children; i++)
		if (child_send(c->children[i], type, g->id, neighbor, strlen(neighbor), -1) == 0)
			g->waiting |= 1ULL << child_number(c->children[i]);
	if (!g->waiting)
		answer(g);
}

/* --- commands
 * -------------------------------------------------------------------------------------------------------------
 */

static bool check_neighbor(struct control *c, struct ctl_request *req, const char *name)
{
	char text[128];

	if (config_neighbor(c->now.config, name))
		return true;
	snprintf(text, sizeof(text), "neighbor %.60s is not configured", name);
	ctl_request_fail(req, text, "botlsctl show lists the neighbors");
	return false;
}

static void show(struct control *c, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "neighbor", "");

	if (!*name || check_neighbor(c, req, name))
		gather(c, req, MSG_QUERY, name);
}

static void reset(struct control *c, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "neighbor", "");

	if (!*name)
		ctl_request_fail(req, "which neighbor?", "botlsctl reset ADDRESS");
	else if (check_neighbor(c, req, name)) {
		log_info("neighbor %s: reset asked for by uid %u", name, ctl_request_uid(req));
		gather(c, req, MSG_RESET, name);
	}
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

static const struct {
	const char *name;
	void (*run)(struct control *c, struct ctl_request *req, const struct jv *request);
} commands[] = {
	{"show", show},	  {"steering", steering},	{"reload", reload},
	{"reset", reset}, {"log-level", set_log_level},
};

void control_on_request(void *arg, struct ctl_request *req, const struct jv *request)
{
	const char *name = jv_get_string(request, "command", "");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(arg, req, request);
			return;
		}
	}
	ctl_request_fail(req, "no such command", "show, steering, reload, reset, log-level");
}
