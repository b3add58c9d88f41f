// SPDX-License-Identifier: Apache-2.0
/* The summary of all neighbors; ctl_neighbor.c has the rest. */
#include "ctl.h"

#include <inttypes.h>

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

struct jv_cursor ctl_best_session(const struct jv_cursor *sessions, const char *bgp)
{
	struct jv_cursor first = jv_read_item(sessions, 0);

	for (size_t i = 0; i < jv_size(sessions->value); i++) {
		struct jv_cursor s = jv_read_item(sessions, i);

		if (same(jv_read_string(&s, "bgp", ""), bgp))
			return s;
	}
	return first;
}

/* Who the neighbor is, once a session says so. */
static void info_of_session(const struct jv_cursor *neighbor, bool is_clear, char *buf, size_t size)
{
	struct jv_cursor sessions = jv_read_array(neighbor, "sessions");
	struct jv_cursor session = ctl_best_session(&sessions, jv_read_string(neighbor, "bgp", ""));
	struct jv_cursor tls = jv_read_object(&session, "tls"), in = jv_read_object(&session, "in");
	struct jv_cursor open = jv_read_object(&in, "open");
	int64_t as = jv_read_int(&open, "as", jv_read_int(neighbor, "remote_as", 0));
	const char *subject = jv_read_string(&tls, "subject", "");
	char as_text[24] = "";

	if (as)
		snprintf(as_text, sizeof(as_text), "AS%" PRId64, as);
	snprintf(buf, size, "%s%s%s%s", is_clear ? "CLEAR TEXT " : "", as_text,
		 as && subject[0] ? " " : "", subject);
}

/* What went wrong last: a handshake that failed, or the NOTIFICATION that ended the session. */
static void info_of_failure(const struct jv_cursor *neighbor, char *buf, size_t size)
{
	struct jv_cursor failure = jv_read_object(neighbor, "last_failure");
	struct jv_cursor notification = jv_read_object(neighbor, "last_notification");

	if (notification.value &&
	    jv_read_int(&notification, "time", 0) >= jv_read_int(&failure, "time", 0))
		snprintf(buf, size, "%s", jv_read_string(&notification, "text", ""));
	else if (failure.value)
		snprintf(buf, size, "%s: %s", jv_read_string(&failure, "reason", "?"),
			 jv_read_string(&failure, "text", ""));
	else
		snprintf(buf, size, "%s", jv_read_string(neighbor, "description", ""));
}

static int add_neighbor(const struct ctl *c, struct table *t, const struct jv_cursor *neighbor)
{
	const char *name = jv_need_string(neighbor, "name");
	const char *state = jv_need_string(neighbor, "state");
	char since[TEXT_TIME_LEN], info[512];
	const char *cells[] = {name,
			       jv_read_string(neighbor, "mode", "?"),
			       state,
			       jv_read_string(neighbor, "bgp", "-"),
			       text_time_short(jv_read_int(neighbor, "since", 0), c->now, since),
			       info};

	if (!name || !state)
		return 0; /* noted in the cursor */
	if (same(state, "up") || same(state, "clear"))
		info_of_session(neighbor, same(state, "clear"), info, sizeof(info));
	else
		info_of_failure(neighbor, info, sizeof(info));
	return table_add(t, cells);
}

static void print_daemon(const struct jv_cursor *at)
{
	struct jv_cursor workers = jv_read_array(at, "workers");
	size_t n = jv_size(workers.value);
	char started[TEXT_TIME_LEN];

	text_print("botlsd %s, process %" PRId64 ", started %s, %zu worker%s\n",
		   jv_read_string(at, "version", "?"), jv_read_int(at, "pid", 0),
		   text_time_long(jv_read_int(at, "started", 0), started), n, n == 1 ? "" : "s");
	text_print("Configuration %" PRId64 ", steering by %s\n", jv_read_int(at, "generation", 0),
		   jv_read_string(at, "steering", "?"));
	for (size_t i = 0; i < n; i++) {
		struct jv_cursor w = jv_read_item(&workers, i);
		int64_t restarts = jv_read_int(&w, "restarts", 0);

		if (restarts)
			text_print("Worker %" PRId64 " had to be restarted %" PRId64
				   " time%s; the log of botlsd says why.\n",
				   jv_read_int(&w, "id", 0), restarts, restarts == 1 ? "" : "s");
	}
}

/* "5 neighbors: 3 up, 1 clear, 1 off", the states in a fixed order and only those that occur. */
static void print_counts(const struct jv_cursor *neighbors)
{
	static const char *const states[] = {"up",   "clear", "handshake", "connecting",
					     "held", "idle",  "off",	   "error"};
	size_t n = jv_size(neighbors->value), counts[ARRAY_SIZE(states)] = {};
	const char *separator = ": ";

	for (size_t i = 0; i < n; i++) {
		struct jv_cursor neighbor = jv_read_item(neighbors, i);
		const char *state = jv_read_string(&neighbor, "state", "");

		for (size_t k = 0; k < ARRAY_SIZE(states); k++)
			counts[k] += same(state, states[k]);
	}
	text_print("%zu neighbor%s", n, n == 1 ? "" : "s");
	for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
		if (!counts[k])
			continue;
		text_print("%s%zu %s", separator, counts[k], states[k]);
		separator = ", ";
	}
	text_print("\n");
}

static void print_unknown_sources(const struct ctl *c, const struct jv_cursor *at)
{
	struct jv_cursor unknown = jv_read_object(at, "unknown_sources");
	int64_t n = jv_read_int(&unknown, "count", 0);
	char last[TEXT_TIME_LEN];

	if (!n)
		return;
	text_print("Unknown sources: %" PRId64 ", last %s, %s\n", n,
		   jv_read_string(&unknown, "last", "?"),
		   text_time_short(jv_read_int(&unknown, "last_time", 0), c->now, last));
}

static enum ctl_exit print_all(const struct ctl *c, const struct jv_cursor *at)
{
	static const char *const titles[] = {"Neighbor", "Mode", "State", "BGP", "Since", "Info"};
	_cleanup_table_ struct table *table = table_new(titles, ARRAY_SIZE(titles));
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	int r = table ? 0 : -1;

	for (size_t i = 0; r == 0 && i < jv_size(neighbors.value); i++) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, i);

		r = add_neighbor(c, table, &neighbor);
	}
	if (r < 0) {
		text_complain("out of memory");
		return CTL_UNREACHABLE;
	}
	print_daemon(at);
	if (jv_size(neighbors.value)) {
		text_print("\n");
		table_print(table, c->width);
		text_print("\n");
	}
	print_counts(&neighbors);
	print_unknown_sources(c, at);
	return CTL_OK;
}

static enum ctl_exit print_one(const struct ctl *c, const struct jv_cursor *at, const char *name)
{
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	struct jv_cursor neighbor = jv_read_item(&neighbors, 0);

	if (jv_bad(at))
		return CTL_OK; /* the caller looks */
	if (!neighbor.value) {
		text_complain("no neighbor %s; 'botlsctl show' lists them", name);
		return CTL_NO;
	}
	ctl_print_neighbor(c, &neighbor);
	return CTL_OK;
}

enum ctl_exit ctl_show(const struct ctl *c, int argc, char **argv)
{
	static const char *const topics[] = {"neighbor"};
	_cleanup_jv_ struct jv *answer = NULL;
	const char *name = NULL;
	struct errtext problem;
	struct jv_cursor at;
	enum ctl_exit code;

	if (argc != 0 && argc != 2)
		return ctl_usage("show");
	if (argc == 2) {
		if (ctl_match(argv[0], topics, ARRAY_SIZE(topics), "argument") < 0)
			return CTL_USAGE;
		name = ctl_neighbor_argument(argv[1]);
		if (!name)
			return CTL_USAGE;
	}
	code = ctl_ask(c, ctl_request("show", "neighbor", name), &answer);
	if (code || c->json)
		return code;
	at = jv_enter(answer, &problem);
	code = name ? print_one(c, &at, name) : print_all(c, &at);
	return jv_bad(&at) ? ctl_understood(&problem) : code;
}
