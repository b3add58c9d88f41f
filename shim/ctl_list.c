// SPDX-License-Identifier: Apache-2.0
/* One line for each neighbor, and what is said about all of them. */
#include "ctl.h"

#include <inttypes.h>

/* From these widths on there is room for more columns. */
#define WIDE  100
#define WIDER 132

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

enum text_style ctl_state_style(const char *state)
{
	if (same(state, "up"))
		return TEXT_GOOD;
	if (same(state, "held") || same(state, "handshake") || same(state, "connecting") ||
	    same(state, "draining"))
		return TEXT_WAIT;
	return same(state, "clear") || same(state, "error") ? TEXT_BAD : TEXT_PLAIN;
}

enum text_style ctl_bgp_style(const char *bgp)
{
	return same(bgp, "established") ? TEXT_GOOD : TEXT_PLAIN;
}

struct jv_cursor ctl_best_session(const struct jv_cursor *neighbor, struct jv_cursor *sessions)
{
	const char *bgp = jv_read_string(neighbor, "bgp", "");

	*sessions = jv_read_array(neighbor, "sessions");
	for (size_t i = 0; i < jv_size(sessions->value); i++) {
		struct jv_cursor s = jv_read_item(sessions, i);

		if (same(jv_read_string(&s, "bgp", ""), bgp))
			return s;
	}
	return jv_read_item(sessions, 0);
}

int64_t ctl_as(const struct jv_cursor *neighbor)
{
	struct jv_cursor sessions, session = ctl_best_session(neighbor, &sessions);
	struct jv_cursor in = jv_read_object(&session, "in"), open = jv_read_object(&in, "open");

	return jv_read_int(&open, "as", jv_read_int(neighbor, "remote_as", 0));
}

/* Who the neighbor is, once a session says so. */
static void info_of_session(const struct jv_cursor *neighbor, bool is_clear, bool with_as,
			    char *buf, size_t size)
{
	struct jv_cursor sessions, session = ctl_best_session(neighbor, &sessions);
	struct jv_cursor tls = jv_read_object(&session, "tls");
	int64_t as = with_as ? ctl_as(neighbor) : 0;
	const char *subject = jv_read_string(&tls, "subject", "");
	char as_text[24] = "";

	if (as)
		snprintf(as_text, sizeof(as_text), "AS%" PRId64, as);
	snprintf(buf, size, "%s%s%s%s%s", is_clear ? "CLEAR TEXT" : "",
		 is_clear && (as || subject[0]) ? " " : "", as_text, as && subject[0] ? " " : "",
		 subject);
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

void ctl_info(const struct jv_cursor *neighbor, bool with_as, char *buf, size_t size)
{
	const char *state = jv_read_string(neighbor, "state", "");

	if (same(state, "up") || same(state, "clear") || same(state, "draining"))
		info_of_session(neighbor, same(state, "clear"), with_as, buf, size);
	else
		info_of_failure(neighbor, buf, size);
}

/* A row's texts, of all columns that there may be. */
enum column { NAME, AS, MODE, STATE, BGP, FOR, MESSAGES_IN, MESSAGES_OUT, IN, OUT, INFO, COLUMNS };

static const struct {
	const char *title;
	unsigned min_width; /* of the terminal, for the column to be there */
	bool is_right;
} columns[COLUMNS] = {
	[NAME] = {"Neighbor", 0, false},
	[AS] = {"AS", WIDE, true},
	[MODE] = {"Mode", 0, false},
	[STATE] = {"State", 0, false},
	[BGP] = {"BGP", 0, false},
	[FOR] = {"For", 0, true},
	[MESSAGES_IN] = {"MsgRcvd", WIDER, true},
	[MESSAGES_OUT] = {"MsgSent", WIDER, true},
	[IN] = {"Rcvd", WIDER, true},
	[OUT] = {"Sent", WIDER, true},
	[INFO] = {"Info", 0, false},
};

static void stream_texts(const struct jv_cursor *session, const char *key,
			 char messages[static TEXT_COUNT_LEN], char bytes[static TEXT_COUNT_LEN])
{
	struct jv_cursor stream = jv_read_object(session, key);
	struct jv_cursor counts = jv_read_object(&stream, "messages");
	int64_t n = 0;

	strcpy(messages, "-");
	strcpy(bytes, "-");
	if (!stream.value)
		return;
	for (struct jv_iter it = {}; jv_next(counts.value, &it);)
		n += jv_read_int(&counts, it.key, 0);
	text_count(n, messages);
	text_bytes(jv_read_int(&stream, "bytes", 0), bytes);
}

static int add_neighbor(const struct ctl *c, struct table *t, const struct jv_cursor *neighbor)
{
	struct jv_cursor sessions, session = ctl_best_session(neighbor, &sessions);
	char since[TEXT_TIME_LEN], info[512], as_text[24] = "-";
	char messages[2][TEXT_COUNT_LEN], bytes[2][TEXT_COUNT_LEN];
	const char *all[COLUMNS] = {
		[NAME] = jv_need_string(neighbor, "name"),
		[AS] = as_text,
		[MODE] = jv_read_string(neighbor, "mode", "?"),
		[STATE] = jv_need_string(neighbor, "state"),
		[BGP] = jv_read_string(neighbor, "bgp", "-"),
		[FOR] = ctl_ago(c, jv_read_int(neighbor, "since", 0), since),
		[MESSAGES_IN] = messages[0],
		[MESSAGES_OUT] = messages[1],
		[IN] = bytes[0],
		[OUT] = bytes[1],
		[INFO] = info,
	};
	const enum text_style styles[COLUMNS] = {
		[STATE] = ctl_state_style(all[STATE] ? all[STATE] : ""),
		[BGP] = ctl_bgp_style(all[BGP]),
	};
	const char *cells[COLUMNS];
	size_t n = 0, at = 0;
	int r;

	if (!all[NAME] || !all[STATE])
		return 0; /* noted in the cursor */
	if (ctl_as(neighbor))
		snprintf(as_text, sizeof(as_text), "%" PRId64, ctl_as(neighbor));
	stream_texts(&session, "in", messages[0], bytes[0]);
	stream_texts(&session, "out", messages[1], bytes[1]);
	ctl_info(neighbor, c->width < WIDE, info, sizeof(info));
	for (size_t i = 0; i < COLUMNS; i++)
		if (c->width >= columns[i].min_width)
			cells[n++] = all[i];
	r = table_add(t, cells);
	for (size_t i = 0; r == 0 && i < COLUMNS; i++)
		if (c->width >= columns[i].min_width)
			table_style(t, at++, styles[i]);
	return r;
}

static struct table *new_table(const struct ctl *c)
{
	const char *titles[COLUMNS];
	struct table *t;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < COLUMNS; i++)
		if (c->width >= columns[i].min_width)
			titles[n++] = columns[i].title;
	t = table_new(titles, n);
	for (size_t i = 0; t && i < COLUMNS; i++) {
		if (c->width < columns[i].min_width)
			continue;
		if (columns[i].is_right)
			table_align_right(t, at);
		at++;
	}
	return t;
}

/* Sessions that a restart left where they were. */
static void print_draining(const struct jv_cursor *at)
{
	const struct jv *draining = jv_get(at->value, "draining");

	for (size_t i = 0; i < jv_size(draining); i++) {
		int64_t sessions = jv_get_int(jv_at(draining, i), "sessions", 0);
		int64_t until = jv_get_int(jv_at(draining, i), "until", 0);
		char when[TEXT_TIME_LEN];

		text_print_as(TEXT_WAIT,
			      "Worker %s of the botlsd before still has %" PRId64
			      " session%s that could not move",
			      jv_get_string(jv_at(draining, i), "worker", "?"), sessions,
			      sessions == 1 ? "" : "s");
		if (until)
			text_print_as(TEXT_WAIT, "%s %s at the latest",
				      sessions == 1 ? ";\nit ends" : ";\nthey end",
				      text_time_long(until, when));
		text_print(".\n");
	}
}

void ctl_print_daemon(const struct ctl *c, const struct jv_cursor *at)
{
	struct jv_cursor workers = jv_read_array(at, "workers");
	int64_t loaded = jv_read_int(at, "loaded", 0);
	size_t n = jv_size(workers.value);
	char up[TEXT_TIME_LEN], when[TEXT_TIME_LEN];

	text_print("botlsd %s, process %" PRId64 ", running for %s, %zu worker%s\n",
		   jv_read_string(at, "version", "?"), jv_read_int(at, "pid", 0),
		   ctl_ago(c, jv_read_int(at, "started", 0), up), n, n == 1 ? "" : "s");
	text_print("Configuration %" PRId64 "%s%s, steering by %s\n",
		   jv_read_int(at, "generation", 0), loaded ? " of " : "",
		   loaded ? text_time_long(loaded, when) : "", jv_read_string(at, "steering", "?"));
	for (size_t i = 0; i < n; i++) {
		struct jv_cursor w = jv_read_item(&workers, i);
		int64_t restarts = jv_read_int(&w, "restarts", 0);

		if (restarts)
			text_print_as(TEXT_WAIT,
				      "Worker %" PRId64 " had to be restarted %" PRId64
				      " time%s; the log of botlsd says why.\n",
				      jv_read_int(&w, "id", 0), restarts, restarts == 1 ? "" : "s");
	}
	print_draining(at);
}

void ctl_print_counts(const struct jv_cursor *neighbors)
{
	size_t n = jv_size(neighbors->value), counts[ARRAY_SIZE(ctl_states)] = {};
	const char *separator = ": ";

	for (size_t i = 0; i < n; i++) {
		struct jv_cursor neighbor = jv_read_item(neighbors, i);
		const char *state = jv_read_string(&neighbor, "state", "");

		for (size_t k = 0; k < ARRAY_SIZE(counts); k++)
			counts[k] += same(state, ctl_states[k]);
	}
	text_print("%zu neighbor%s", n, n == 1 ? "" : "s");
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		if (!counts[k])
			continue;
		text_print("%s", separator);
		text_print_as(ctl_state_style(ctl_states[k]), "%zu %s", counts[k], ctl_states[k]);
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

enum ctl_exit ctl_print_list(const struct ctl *c, const struct jv_cursor *at,
			     const struct ctl_filter *f)
{
	_cleanup_table_ struct table *table = new_table(c);
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	size_t shown = 0;
	int r = table ? 0 : -1;

	for (size_t i = 0; r == 0 && i < jv_size(neighbors.value); i++) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, i);

		if (!ctl_filter_fits(f, &neighbor))
			continue;
		r = add_neighbor(c, table, &neighbor);
		shown++;
	}
	if (r < 0) {
		text_complain("out of memory: this router is short of it");
		return CTL_UNREACHABLE;
	}
	ctl_print_daemon(c, at);
	if (shown) {
		text_print("\n");
		table_print(table, c->width);
		text_print("\n");
	}
	if ((f->state || f->mode) && !jv_bad(at))
		text_print("%zu shown of ", shown);
	ctl_print_counts(&neighbors);
	print_unknown_sources(c, at);
	return CTL_OK;
}
