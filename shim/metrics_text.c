// SPDX-License-Identifier: Apache-2.0
#include "metrics_text.h"

#include "metrics_text_internal.h"
#include "tls.h"

#include <inttypes.h>
#include <stdarg.h>

_Static_assert(TLS_REASONS == BOTLS_METRICS_REASONS, "botls/metrics.h");

/* What one item (a neighbor, a row) may add: a line per reason, each with an escaped name. */
#define ITEM_MAX 12288

/* --- writing
 * -----------------------------------------------------------------------------------------------------------
 */

enum kind { GAUGE, COUNTER, INFO };

struct out {
	char *buf;
	size_t len, size;
	const struct family *family;
	enum metrics_format format;
};

struct family {
	const char *name; /* without the suffix of its kind */
	enum kind kind;
	const char *unit; /* with which the name ends; NULL: none */
	const char *help;
	/* How many items it has, and the samples of one. */
	size_t (*count)(const struct metrics_snapshot *s);
	void (*print)(struct out *o, const struct metrics_snapshot *s, size_t i);
	int value; /* for print(): which */
};

static void put(struct out *o, const char *fmt, ...) PRINTF(2, 3);
static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, o->size - o->len, fmt, ap);
	va_end(ap);
	o->len += (size_t)n < o->size - o->len ? (size_t)n : o->size - o->len - 1;
}

static const char *suffix(enum kind kind)
{
	switch (kind) {
	case GAUGE: return "";
	case COUNTER: return "_total";
	case INFO: return "_info";
	}
	return "";
}

/* A label's value: backslash, quote and newline are escaped, other control characters are gone, and
 * so are bytes that are not UTF-8 (they became '?' when the snapshot was made). */
static void put_value(struct out *o, const char *text)
{
	for (; *text && o->size - o->len > 2; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			o->buf[o->len++] = '\\';
		if (*text == '\n')
			o->buf[o->len++] = 'n';
		else if ((unsigned char)*text >= 0x20 && *text != 0x7f)
			o->buf[o->len++] = *text;
	}
}

static void put_text(struct out *o, const char *text)
{
	size_t len = strlen(text);

	if (len >= o->size - o->len)
		return;
	memcpy(o->buf + o->len, text, len);
	o->len += len;
}

/* One line: the value, and pairs of a label's name and value. */
#define sample(...) put_sample(__VA_ARGS__, (const char *)NULL)
static void put_sample(struct out *o, double value, ...) __attribute__((sentinel));
static void put_sample(struct out *o, double value, ...)
{
	const char *separator = "{", *name;
	va_list ap;

	put_text(o, o->family->name);
	put_text(o, suffix(o->family->kind));
	va_start(ap, value);
	while ((name = va_arg(ap, const char *))) {
		put_text(o, separator);
		put_text(o, name);
		put_text(o, "=\"");
		put_value(o, va_arg(ap, const char *));
		put_text(o, "\"");
		separator = ",";
	}
	va_end(ap);
	put(o, "%s %.17g\n", *separator == ',' ? "}" : "", value);
}

static void head(struct out *o)
{
	static const char *const openmetrics[] = {
		[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "info"};
	static const char *const text[] = {
		[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "gauge"};
	const struct family *f = o->family;
	bool is_open = o->format == METRICS_OPENMETRICS;
	const char *end = is_open ? "" : suffix(f->kind);

	put(o, "# HELP %s%s %s\n", f->name, end, f->help);
	put(o, "# TYPE %s%s %s\n", f->name, end, (is_open ? openmetrics : text)[f->kind]);
	if (is_open && f->unit)
		put(o, "# UNIT %s %s\n", f->name, f->unit);
}

/* --- what there is
 * -----------------------------------------------------------------------------------------------------
 */

static const char *const states[] = {"connecting", "handshake", "held", "up", "clear"};
static const char *const types[] = {"unknown",	    "open",	 "update",
				    "notification", "keepalive", "route-refresh"};

static size_t one(const struct metrics_snapshot *s)
{
	(void)s;
	return 1;
}

static size_t each_worker(const struct metrics_snapshot *s)
{
	return s->head.n_workers;
}

static size_t each_neighbor(const struct metrics_snapshot *s)
{
	return s->head.n_neighbors;
}

static size_t each_row(const struct metrics_snapshot *s)
{
	return s->head.n_rows;
}

static uint64_t sum_of_neighbor(const struct metrics_snapshot *s, size_t neighbor, int value)
{
	uint64_t sum = 0;

	for (size_t r = s->first_row[neighbor]; r < s->first_row[neighbor + 1]; r++)
		sum += s->rows[r].v[value];
	return sum;
}

static uint64_t sum_of_all(const struct metrics_snapshot *s, int value)
{
	uint64_t sum = 0;

	for (size_t w = 0; w < s->head.n_workers; w++)
		sum += s->worker_sums[w][value];
	return sum;
}

static const char *number(uint32_t n, char buf[static 12])
{
	snprintf(buf, 12, "%" PRIu32, n);
	return buf;
}

static void print_build(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, 1, "version", s->head.version);
}

static void print_start(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.started);
}

static void print_uptime(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.now > s->head.started ? s->head.now - s->head.started : 0);
}

static void print_generation(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.generation);
}

static void print_neighbors(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	static const char *const modes[] = {"required", "preferred", "off", "tcp-ao"};

	(void)i;
	for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
		size_t n = 0;

		for (size_t k = 0; k < s->head.n_neighbors; k++)
			n += strcmp(s->neighbors[k].mode, modes[m]) == 0;
		sample(o, n, "mode", modes[m]);
	}
}

static void print_captures(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.captures);
}

static void print_exporter(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.exporter_restarts);
}

static void print_steering(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, 1, "mechanism", s->head.steering);
}

static void print_disagreements(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.steering_wrong);
}

static void print_found(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.steering_found);
}

static size_t with_counters(const struct metrics_snapshot *s)
{
	return s->head.has_steering_counters ? 1 : 0;
}

static void print_connects(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.connects_steered, "result", "steered");
	sample(o, s->head.connects_refused_uid, "result", "refused-user");
	sample(o, s->head.connects_refused_closed, "result", "refused-closed");
}

static void print_accepts(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.accepts_mapped, "result", "mapped");
	sample(o, s->head.accepts_hidden, "result", "hidden");
}

static void print_guard(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, s->head.guard_out, "what", "out");
	sample(o, s->head.guard_in, "what", "in");
	sample(o, s->head.guard_ttl, "what", "ttl");
	sample(o, s->head.guard_inner, "what", "inner");
}

enum worker_value { WORKER_UP, WORKER_STARTED, WORKER_RESTARTS, WORKER_HANDSHAKES, WORKER_UNKNOWN };

static void print_worker(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_worker *w = &s->workers[i];
	double value = 0;
	char id[12];

	switch ((enum worker_value)o->family->value) {
	case WORKER_UP: value = w->is_up; break;
	case WORKER_STARTED: value = w->started; break;
	case WORKER_RESTARTS: value = w->restarts; break;
	case WORKER_HANDSHAKES: value = w->handshakes; break;
	case WORKER_UNKNOWN: value = w->unknown; break;
	}
	/* What a worker that does not answer would have said is not known. */
	if (w->is_up || o->family->value <= WORKER_RESTARTS)
		sample(o, value, "worker", number(w->id, id));
}

static void print_sessions(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	for (size_t k = 0; k < BOTLS_METRICS_STATES; k++)
		sample(o, sum_of_all(s, BM_SESSIONS + k), "state", states[k]);
}

static void print_established(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	(void)i;
	sample(o, sum_of_all(s, BM_ESTABLISHED));
}

static void print_handshakes(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	char id[12];

	if (s->workers[i].is_up)
		sample(o, s->worker_sums[i][BM_HANDSHAKES], "worker", number(s->workers[i].id, id));
}

/* All reasons, also those that did not happen yet: a rate needs the 0 before the 1. */
static void print_failures(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	char id[12];

	if (!s->workers[i].is_up)
		return;
	for (int r = TLS_REASON_NONE + 1; r < TLS_REASONS; r++)
		sample(o, s->worker_sums[i][BM_FAILURES + r], "worker",
		       number(s->workers[i].id, id), "reason", tls_reason_name(r));
}

static void print_neighbor(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_neighbor *n = &s->neighbors[i];
	char as[12];

	sample(o, 1, "neighbor", n->name, "description", n->description, "mode", n->mode, "role",
	       n->role, "remote_as", n->remote_as ? number(n->remote_as, as) : "");
}

static void print_up(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	if (!s->neighbors[i].is_off)
		sample(o, sum_of_neighbor(s, i, BM_ESTABLISHED) > 0, "neighbor",
		       s->neighbors[i].name);
}

static void print_allow_clear(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	sample(o, s->neighbors[i].allow_clear, "neighbor", s->neighbors[i].name);
}

static void print_clear_sessions(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	sample(o, s->neighbors[i].clear_sessions, "neighbor", s->neighbors[i].name);
}

static void print_neighbor_sessions(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	for (size_t k = 0; k < BOTLS_METRICS_STATES; k++)
		sample(o, sum_of_neighbor(s, i, BM_SESSIONS + k), "neighbor", s->neighbors[i].name,
		       "state", states[k]);
}

static uint64_t earliest(const struct metrics_snapshot *s, size_t neighbor, int value)
{
	uint64_t first = 0;

	for (size_t r = s->first_row[neighbor]; r < s->first_row[neighbor + 1]; r++) {
		uint64_t t = s->rows[r].v[value];

		if (t && (!first || t < first))
			first = t;
	}
	return first;
}

static void print_expiry(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	uint64_t own = earliest(s, i, BM_OWN_NOT_AFTER), peer = earliest(s, i, BM_PEER_NOT_AFTER);

	if (own)
		sample(o, own, "neighbor", s->neighbors[i].name, "side", "own");
	if (peer)
		sample(o, peer, "neighbor", s->neighbors[i].name, "side", "neighbor");
}

/* A row: one neighbor in one worker. */
#define ROW_LABELS "neighbor", s->neighbors[row->neighbor].name, "worker", number(row->worker, id)

static void print_row(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	sample(o, row->v[o->family->value], ROW_LABELS);
}

/* The value and the one after it. */
static void print_row_in_out(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	sample(o, row->v[o->family->value], ROW_LABELS, "direction", "in");
	sample(o, row->v[o->family->value + 1], ROW_LABELS, "direction", "out");
}

static void print_row_failures(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	for (int r = TLS_REASON_NONE + 1; r < TLS_REASONS; r++)
		if (row->v[BM_FAILURES + r])
			sample(o, row->v[BM_FAILURES + r], ROW_LABELS, "reason",
			       tls_reason_name(r));
}

static void print_row_messages(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		sample(o, row->v[BM_MESSAGES_IN + t], ROW_LABELS, "direction", "in", "type",
		       types[t]);
		sample(o, row->v[BM_MESSAGES_OUT + t], ROW_LABELS, "direction", "out", "type",
		       types[t]);
	}
}

static void print_row_blocked(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	sample(o, row->v[BM_BLOCKED_MS_DAEMON] / 1000.0, ROW_LABELS, "toward", "daemon");
	sample(o, row->v[BM_BLOCKED_MS_NEIGHBOR] / 1000.0, ROW_LABELS, "toward", "neighbor");
}

static void print_row_ao(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	static const char *const results[] = {"good", "bad", "key-not-found", "required"};
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	for (size_t k = 0; s->neighbors[row->neighbor].has_ao && k < ARRAY_SIZE(results); k++)
		sample(o, row->v[BM_AO_GOOD + k], ROW_LABELS, "result", results[k]);
}

static void print_row_ao_lacking(struct out *o, const struct metrics_snapshot *s, size_t i)
{
	const struct botls_metrics_row *row = &s->rows[i];
	char id[12];

	if (s->neighbors[row->neighbor].has_ao)
		sample(o, row->v[BM_AO_LACKING], ROW_LABELS);
}

static const struct family families[] = {
	{"botls_build", INFO, NULL, "The version of botlsd.", one, print_build, 0},
	{"botls_start_time_seconds", GAUGE, "seconds", "When botlsd was started, since the epoch.",
	 one, print_start, 0},
	{"botls_uptime_seconds", GAUGE, "seconds", "For how long botlsd has been running.", one,
	 print_uptime, 0},
	{"botls_configuration_generation", GAUGE, NULL,
	 "How many configurations have been in force, one more with each reload.", one,
	 print_generation, 0},
	{"botls_configured_neighbors", GAUGE, NULL, "Neighbors in the configuration, by mode.", one,
	 print_neighbors, 0},
	{"botls_captures", GAUGE, NULL, "Captures of decrypted BGP that run now.", one,
	 print_captures, 0},
	{"botls_exporter_restarts", COUNTER, NULL,
	 "How often the metrics process had to be restarted.", one, print_exporter, 0},

	{"botls_steering", INFO, NULL, "How the BGP daemon's connections are steered.", one,
	 print_steering, 0},
	{"botls_steering_disagreements", GAUGE, NULL,
	 "Objects in the kernel that the last audit found missing or different.", one,
	 print_disagreements, 0},
	{"botls_steering_repairs", COUNTER, NULL,
	 "Objects in the kernel that audits found missing or different, and put back.", one,
	 print_found, 0},
	{"botls_steering_connects", COUNTER, NULL,
	 "connect() of the BGP daemon to port 179 of a neighbor.", with_counters, print_connects,
	 0},
	{"botls_steering_accepts", COUNTER, NULL,
	 "Connections that the BGP daemon accepted with the neighbor's address.", with_counters,
	 print_accepts, 0},
	{"botls_guard_drops", COUNTER, NULL,
	 "Packets that the guard has dropped: clear text out and in, too low a TTL, the inner "
	 "port.",
	 with_counters, print_guard, 0},

	{"botls_worker_up", GAUGE, NULL, "Whether the worker answers.", each_worker, print_worker,
	 WORKER_UP},
	{"botls_worker_start_time_seconds", GAUGE, "seconds",
	 "When the worker was started, since the epoch.", each_worker, print_worker,
	 WORKER_STARTED},
	{"botls_worker_restarts", COUNTER, NULL, "How often the worker died and was started again.",
	 each_worker, print_worker, WORKER_RESTARTS},
	{"botls_worker_handshakes_pending", GAUGE, NULL,
	 "TCP connections and TLS handshakes with neighbors under way.", each_worker, print_worker,
	 WORKER_HANDSHAKES},
	{"botls_worker_refused_sources", COUNTER, NULL,
	 "Connections to the TLS port that were refused before any TLS: not a neighbor, or too "
	 "many.",
	 each_worker, print_worker, WORKER_UNKNOWN},

	{"botls_sessions", GAUGE, NULL, "Sessions by state.", one, print_sessions, 0},
	{"botls_sessions_established", GAUGE, NULL,
	 "BGP sessions that are Established, over TLS or with mode tcp-ao.", one, print_established,
	 0},
	{"botls_handshakes", COUNTER, NULL, "TLS handshakes in which the neighbor was verified.",
	 each_worker, print_handshakes, 0},
	{"botls_failures", COUNTER, NULL, "Attempts that failed, by reason (botlsctl(8)).",
	 each_worker, print_failures, 0},

	{"botls_neighbor", INFO, NULL, "What is configured.", each_neighbor, print_neighbor, 0},
	{"botls_neighbor_up", GAUGE, NULL,
	 "Whether a BGP session is Established, over TLS or with mode tcp-ao.", each_neighbor,
	 print_up, 0},
	{"botls_neighbor_clear_text_allowed", GAUGE, NULL,
	 "Whether the guard is open for clear text now (mode preferred).", each_neighbor,
	 print_allow_clear, 0},
	{"botls_neighbor_clear_text_sessions", GAUGE, NULL, "Connections in clear text now.",
	 each_neighbor, print_clear_sessions, 0},
	{"botls_neighbor_sessions", GAUGE, NULL, "Sessions by state.", each_neighbor,
	 print_neighbor_sessions, 0},
	{"botls_neighbor_certificate_expiry_timestamp_seconds", GAUGE, "seconds",
	 "When the certificate ends: our own for this neighbor, and that of its session.",
	 each_neighbor, print_expiry, 0},

	{"botls_neighbor_sessions_begun", COUNTER, NULL, "Connections that became a session.",
	 each_row, print_row, BM_SESSIONS_BEGUN},
	{"botls_neighbor_sessions_established", COUNTER, NULL,
	 "Sessions in which BGP was Established.", each_row, print_row, BM_SESSIONS_ESTABLISHED},
	{"botls_neighbor_handshakes", COUNTER, NULL,
	 "TLS handshakes in which the neighbor was verified.", each_row, print_row, BM_HANDSHAKES},
	{"botls_neighbor_failures", COUNTER, NULL,
	 "Attempts that failed, by reason; a reason that did not occur is not there.", each_row,
	 print_row_failures, 0},
	{"botls_neighbor_bgp_bytes", COUNTER, "bytes", "Bytes of BGP.", each_row, print_row_in_out,
	 BM_BYTES_IN},
	{"botls_neighbor_bgp_messages", COUNTER, NULL, "BGP messages by type.", each_row,
	 print_row_messages, 0},
	{"botls_neighbor_tls_records", COUNTER, NULL, "TLS records, those of handshakes too.",
	 each_row, print_row_in_out, BM_RECORDS_IN},
	{"botls_neighbor_tls_key_updates", COUNTER, NULL, "TLS 1.3 KeyUpdates.", each_row,
	 print_row_in_out, BM_KEY_UPDATES_IN},
	{"botls_neighbor_tls_past_key_limit", GAUGE, NULL,
	 "TLS 1.2 sessions that had more records under one key than is advised: reset them.",
	 each_row, print_row, BM_PAST_KEY_LIMIT},
	{"botls_neighbor_ktls_sessions", GAUGE, NULL,
	 "Sessions whose TLS records are done by the kernel.", each_row, print_row, BM_KTLS},
	{"botls_neighbor_relay_held_bytes", GAUGE, "bytes",
	 "Bytes that one side has sent and the other does not take yet.", each_row, print_row,
	 BM_HELD_BYTES},
	{"botls_neighbor_relay_blocked_seconds", GAUGE, "seconds",
	 "For how long a side has been taking nothing of what waits for it.", each_row,
	 print_row_blocked, 0},
	{"botls_neighbor_tcp_ao_lacking", GAUGE, NULL,
	 "Sessions that are up without TCP-AO, or with its default key only, where that is "
	 "allowed.",
	 each_row, print_row_ao_lacking, 0},
	{"botls_neighbor_tcp_ao_segments", COUNTER, NULL,
	 "Segments judged by TCP-AO, as of the last scrape that saw their connection.", each_row,
	 print_row_ao, 0},
};

size_t metrics_print(const struct metrics_snapshot *s, enum metrics_format format,
		     struct metrics_cursor *at, char *buf, size_t size)
{
	struct out o = {.buf = buf, .size = size, .format = format};

	for (; at->family < ARRAY_SIZE(families);
	     at->family++, at->item = 0, at->has_head = false) {
		const struct family *f = o.family = &families[at->family];
		size_t n = f->count(s);

		for (; n && at->item < n; at->item++) {
			if (o.size - o.len < ITEM_MAX)
				return o.len;
			if (!at->has_head)
				head(&o);
			at->has_head = true;
			f->print(&o, s, at->item);
		}
	}
	if (at->family == ARRAY_SIZE(families)) {
		at->family++;
		if (format == METRICS_OPENMETRICS)
			put(&o, "# EOF\n");
	}
	return o.len;
}
