// SPDX-License-Identifier: Apache-2.0
/* Snapshots that the test writes, and their text. */
#include "metrics_text.h"

#include "botls/metrics.h"
#include "tls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <cmocka.h>

struct shot {
	struct botls_metrics_head head;
	struct botls_metrics_worker workers[2];
	struct botls_metrics_neighbor neighbors[2];
	struct botls_metrics_row rows[3];
};

static struct shot good(void)
{
	struct shot s = {
		.head = {.magic = BOTLS_METRICS_MAGIC,
			 .format = BOTLS_METRICS_FORMAT,
			 .n_workers = 2,
			 .n_neighbors = 2,
			 .n_rows = 3,
			 .started = 1000,
			 .now = 1060,
			 .generation = 3,
			 .has_steering_counters = 1,
			 .guard_out = 4,
			 .version = "1.2",
			 .steering = "cgroup"},
		.workers = {{.id = 0, .is_up = 1, .restarts = 2}, {.id = 1, .is_up = 1}},
		.neighbors = {{.name = "192.0.2.2",
			       .mode = "required",
			       .role = "both",
			       .remote_as = 64500},
			      {.name = "192.0.2.3", .mode = "off", .role = "both", .is_off = 1}},
		.rows = {{.neighbor = 0, .worker = 0},
			 {.neighbor = 0, .worker = 1},
			 {.neighbor = 1, .worker = 0}},
	};

	strcpy(s.neighbors[0].description, "a \"b\" \\ c\nd");
	s.rows[0].v[BM_SESSIONS + BOTLS_METRICS_UP] = 1;
	s.rows[0].v[BM_ESTABLISHED] = 1;
	s.rows[1].v[BM_SESSIONS + BOTLS_METRICS_UP] = 2;
	s.rows[0].v[BM_FAILURES + TLS_REASON_PIN] = 5;
	s.rows[1].v[BM_BYTES_IN] = 1ULL << 40;
	s.rows[1].v[BM_BLOCKED_MS_DAEMON] = 1500;
	s.rows[0].v[BM_OWN_NOT_AFTER] = 2000;
	s.rows[1].v[BM_OWN_NOT_AFTER] = 1500;
	return s;
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("test", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static int try(const struct shot *s, size_t len, struct metrics_snapshot **ret, struct errtext *e)
{
	int fd = file_of(s, len);
	int r = metrics_snapshot_read(fd, ret, e);

	close(fd);
	return r;
}

/* In pieces of the least size. */
static char *text_of(const struct shot *s, enum metrics_format format)
{
	struct metrics_snapshot *m;
	struct metrics_cursor at = {};
	char *text = calloc(1, 1 << 20), *piece = malloc(METRICS_PIECE_MIN);
	size_t len = 0, n;
	struct errtext e;

	assert_int_equal(try(s, sizeof(*s), &m, &e), 0);
	while ((n = metrics_print(m, format, &at, piece, METRICS_PIECE_MIN))) {
		assert_true(n < METRICS_PIECE_MIN && piece[n - 1] == '\n');
		memcpy(text + len, piece, n);
		len += n;
	}
	assert_int_equal(metrics_print(m, format, &at, piece, METRICS_PIECE_MIN), 0);
	free(piece);
	metrics_snapshot_free(m);
	return text;
}

static void expect(const char *text, const char *lines)
{
	if (!strstr(text, lines))
		fail_msg("not there: %s", lines);
}

static void test_openmetrics(void **state)
{
	struct shot s = good();
	char *text = text_of(&s, METRICS_OPENMETRICS);

	(void)state;
	expect(text, "# HELP botls_build The version of botlsd.\n# TYPE botls_build info\n"
		     "botls_build_info{version=\"1.2\"} 1\n");
	expect(text, "# TYPE botls_uptime_seconds gauge\n# UNIT botls_uptime_seconds seconds\n"
		     "botls_uptime_seconds 60\n");
	expect(text, "\nbotls_sessions{state=\"up\"} 3\n");
	expect(text, "\nbotls_configured_neighbors{mode=\"required\"} 1\n");
	expect(text, "\nbotls_configured_neighbors{mode=\"tcp-ao\"} 0\n");
	expect(text, "\nbotls_guard_drops_total{what=\"out\"} 4\n");
	expect(text, "\nbotls_failures_total{worker=\"0\",reason=\"pin\"} 5\n");
	expect(text, "\nbotls_failures_total{worker=\"1\",reason=\"pin\"} 0\n");
	expect(text, "\nbotls_neighbor_info{neighbor=\"192.0.2.2\",description=\"a \\\"b\\\" \\\\ "
		     "c\\nd\","
		     "mode=\"required\",role=\"both\",remote_as=\"64500\"} 1\n");
	expect(text, "\nbotls_neighbor_sessions{neighbor=\"192.0.2.2\",state=\"up\"} 3\n");
	expect(text, "\nbotls_neighbor_bgp_bytes_total{neighbor=\"192.0.2.2\",worker=\"1\","
		     "direction=\"in\"} "
		     "1099511627776\n");
	expect(text, "worker=\"1\",toward=\"daemon\"} 1.5\n");
	expect(text, "\nbotls_neighbor_certificate_expiry_timestamp_seconds{neighbor=\"192.0.2.2\","
		     "side=\"own\"} 1500\n");
	assert_null(strstr(text, "botls_neighbor_up{neighbor=\"192.0.2.3\"}"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
}

static void test_older_format(void **state)
{
	struct shot s = good();
	char *text = text_of(&s, METRICS_TEXT);

	(void)state;
	expect(text, "# TYPE botls_build_info gauge\nbotls_build_info{");
	expect(text, "# TYPE botls_guard_drops_total counter\nbotls_guard_drops_total{");
	assert_null(strstr(text, "# UNIT"));
	assert_null(strstr(text, "# EOF"));
	free(text);
}

static void test_silent_worker(void **state)
{
	struct shot s = good();
	char *text;

	(void)state;
	s.workers[1].is_up = 0;
	s.head.has_steering_counters = 0;
	text = text_of(&s, METRICS_OPENMETRICS);
	expect(text, "\nbotls_worker_up{worker=\"1\"} 0\n");
	expect(text, "\nbotls_worker_restarts_total{worker=\"1\"} 0\n");
	assert_null(strstr(text, "botls_worker_refused_sources_total{worker=\"1\"}"));
	assert_null(strstr(text, "botls_handshakes_total{worker=\"1\"}"));
	assert_null(strstr(text, "botls_guard_drops"));
	free(text);
}

static void test_longest_items(void **state)
{
	struct shot s = good();
	char *text;

	(void)state;
	memset(s.neighbors[0].description, '"', sizeof(s.neighbors[0].description) - 1);
	memset(s.neighbors[0].name, '\\', sizeof(s.neighbors[0].name) - 1);
	for (int i = 0; i < TLS_REASONS; i++)
		s.rows[0].v[BM_FAILURES + i] = UINT64_MAX;
	text = text_of(&s, METRICS_OPENMETRICS);
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
}

static void test_nothing(void **state)
{
	const struct botls_metrics_head head = {.magic = BOTLS_METRICS_MAGIC,
						.format = BOTLS_METRICS_FORMAT};
	struct metrics_cursor at = {};
	struct metrics_snapshot *m;
	char buf[METRICS_PIECE_MIN];
	struct errtext e;
	int fd = file_of(&head, sizeof(head));

	(void)state;
	assert_int_equal(metrics_snapshot_read(fd, &m, &e), 0);
	assert_true(metrics_print(m, METRICS_OPENMETRICS, &at, buf, sizeof(buf)) > 0);
	metrics_snapshot_free(m);
	close(fd);
}

static void refused(const struct shot *s, size_t len, const char *why)
{
	struct metrics_snapshot *m = NULL;
	struct errtext e;

	assert_int_equal(try(s, len, &m, &e), -EINVAL);
	assert_string_equal(e.text, why);
	assert_null(m);
}

static void test_broken_snapshots(void **state)
{
	static const char no[] = "this is no snapshot of metrics";
	struct shot s = good();

	(void)state;
	refused(&s, 0, no);
	refused(&s, sizeof(s.head) - 1, no);
	refused(&s, sizeof(s) - 1, no);
	s.head.n_rows = UINT32_MAX;
	refused(&s, sizeof(s), no);
	s = good();
	s.head.n_neighbors = 1;
	refused(&s, sizeof(s), no);
	s = good();
	s.rows[2].neighbor = 2;
	refused(&s, sizeof(s), no);
	s = good();
	s.rows[0].neighbor = 1;
	refused(&s, sizeof(s), no);
	s = good();
	memset(s.neighbors[1].role, 'x', sizeof(s.neighbors[1].role));
	refused(&s, sizeof(s), no);
	s = good();
	memset(s.head.version, 'x', sizeof(s.head.version));
	refused(&s, sizeof(s), no);
	s = good();
	s.head.format++;
	refused(&s, sizeof(s), "botlsd has another version");
	s = good();
	s.head.magic++;
	refused(&s, sizeof(s), "botlsd has another version");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openmetrics),   cmocka_unit_test(test_older_format),
		cmocka_unit_test(test_silent_worker), cmocka_unit_test(test_longest_items),
		cmocka_unit_test(test_nothing),	      cmocka_unit_test(test_broken_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
