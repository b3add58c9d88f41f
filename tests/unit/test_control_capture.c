// SPDX-License-Identifier: Apache-2.0
/* Captures and metrics as control has them: who gets a descriptor, and who is told. */
#include "control_rig.h"

#include "botls/botls.h"
#include "botls/capture.h"
#include "botls/metrics.h"
#include "metrics_text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define NEIGHBORS                                                                                  \
	"neighbor \"127.0.0.2\" { description = \"one\" }\n"                                       \
	"neighbor \"127.0.0.3\" { mode = preferred }\n"                                            \
	"neighbor \"127.0.0.4\" { mode = off }\n"
#define CAPTURE "{\"command\":\"capture\",\"neighbor\":\"127.0.0.2\"}"
#define METRICS "{\"command\":\"metrics\"}"

static int setup(void **state)
{
	struct rig *r;

	crig_setup(state);
	r = *state;
	crig_write(r, "workers = 2\n" NEIGHBORS);
	crig_start(r);
	r->c->gather_wait_ms = 3600 * 1000;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	if (r->heard_fd > 0)
		close(r->heard_fd);
	r->heard_fd = 0;
	return crig_teardown(state);
}

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* botlsctl's end; the caller's. */
static int begin(struct rig *r)
{
	struct jv *answer = crig_ask(r, CAPTURE);
	int fd = r->heard_fd;

	assert_true(jv_get_bool(answer, "ok", false));
	assert_int_equal(jv_get_int(answer, "format", 0), BOTLS_CAPTURE_FORMAT);
	assert_string_equal(jv_get_string(answer, "description", ""), "one");
	jv_free(answer);
	assert_true(fd > 0);
	r->heard_fd = 0;
	return fd;
}

/* What comes out of it; the text of a note. */
static const char *hear_note(struct rig *r, int fd, uint8_t flags)
{
	static struct {
		struct botls_capture_record record;
		char text[512];
	} m;
	ssize_t n;

	crig_until(r, (n = recv(fd, &m, sizeof(m) - 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
	assert_true(n >= (ssize_t)sizeof(m.record));
	assert_int_equal(m.record.kind, BOTLS_CAPTURE_NOTE);
	assert_int_equal(m.record.flags, flags);
	assert_int_equal(m.record.len, n - sizeof(m.record));
	m.text[m.record.len] = '\0';
	return m.text;
}

static void test_capture_reaches_every_worker(void **state)
{
	struct rig *r = *state;
	char text[8];
	int fd;

	skip_unless_root();
	crig_log_forget(r);
	fd = begin(r);
	assert_true(crig_logged(
		r, "neighbor 127.0.0.2: decrypted BGP is captured from now on for uid 0"));
	for (int i = 0; i < 2; i++) {
		const struct rig_message *m;

		crig_until(r, crig_count(&r->workers[i], MSG_CAPTURE) == 1);
		m = crig_last(&r->workers[i], MSG_CAPTURE);
		assert_string_equal(m->payload, "127.0.0.2");
		assert_int_equal(m->id, 0);
		assert_int_equal(send(m->fd, i ? "one" : "two", 4, 0), 4);
		assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	}
	close(fd);
	crig_until(r, crig_count(&r->workers[1], MSG_CAPTURE_END) == 1);
	assert_int_equal(crig_last(&r->workers[0], MSG_CAPTURE_END)->id, 0);
	assert_true(crig_logged(r, "botlsctl has ended it"));
	assert_null(r->c->captures[0]);
}

static void test_half_closed_is_the_end(void **state)
{
	struct rig *r = *state;
	int fd;

	skip_unless_root();
	fd = begin(r);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	crig_until(r, crig_count(&r->workers[1], MSG_CAPTURE_END) == 1);
	close(fd);
}

static void test_refusals(void **state)
{
	struct rig *r = *state;
	int fds[BOTLS_CAPTURES_MAX];

	crig_expect_refusal(crig_ask(r, "{\"command\":\"capture\"}"), "which neighbor?",
			    "botlsctl capture");
	crig_expect_refusal(crig_ask(r, "{\"command\":\"capture\",\"neighbor\":\"127.0.0.9\"}"),
			    "not configured", NULL);
	if (geteuid() != 0) {
		crig_expect_refusal(crig_ask(r, CAPTURE), "only root", "control-group");
		skip();
	}
	crig_expect_refusal(crig_ask(r, "{\"command\":\"capture\",\"neighbor\":\"127.0.0.4\"}"),
			    "mode is off", "tcpdump");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = begin(r);
	crig_expect_refusal(crig_ask(r, CAPTURE), "too many captures", "end another");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_worker_that_dies(void **state)
{
	struct rig *r = *state;
	const struct rig_message *m;
	int fd;

	skip_unless_root();
	fd = begin(r);
	crig_kill(&r->workers[1]);
	assert_string_equal(
		hear_note(r, fd, 0),
		"worker 1 died: its sessions are lost without a packet that says so; the "
		"capture goes on");
	crig_until(r, crig_count(&r->workers[1], MSG_CAPTURE) == 1 && r->workers[1].n_started == 2);
	m = crig_last(&r->workers[1], MSG_CAPTURE);
	assert_int_equal(send(m->fd, "x", 1, 0), 1);
	close(fd);
}

/* What has to be said waits for room, and is said once. */
static void test_note_waits_for_room(void **state)
{
	static const char bulk[16384];
	struct rig *r = *state;
	const struct rig_message *m;
	char text[16];
	int fd;

	skip_unless_root();
	fd = begin(r);
	crig_until(r, crig_count(&r->workers[0], MSG_CAPTURE) == 1);
	m = crig_last(&r->workers[0], MSG_CAPTURE);
	while (send(m->fd, bulk, sizeof(bulk), MSG_DONTWAIT) > 0)
		;
	while (send(m->fd, bulk, 1, MSG_DONTWAIT) > 0)
		;
	crig_kill(&r->workers[1]);
	while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	assert_non_null(strstr(hear_note(r, fd, 0), "worker 1 died"));
	crig_settle(r);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	close(fd);
}

static void test_reload_decides_anew(void **state)
{
	struct rig *r = *state;
	char text;
	int fd;

	skip_unless_root();
	fd = begin(r);
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	crig_settle(r);
	assert_int_equal(recv(fd, &text, 1, MSG_DONTWAIT), -1);
	crig_write(r, "workers = 2\ncapture = off\n" NEIGHBORS);
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	assert_string_equal(hear_note(r, fd, BOTLS_CAPTURE_LAST),
			    "captures are forbidden by the configuration now");
	close(fd);
	crig_expect_refusal(crig_ask(r, CAPTURE), "forbidden", "capture = root");
	crig_write(r, "workers = 2\n" NEIGHBORS);
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	fd = begin(r);
	crig_write(r, "workers = 2\nneighbor \"127.0.0.3\" { mode = preferred }\n");
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	assert_string_equal(hear_note(r, fd, BOTLS_CAPTURE_LAST),
			    "the neighbor is no longer configured");
	close(fd);
}

static void test_stop(void **state)
{
	struct rig *r = *state;
	int fd;

	skip_unless_root();
	fd = begin(r);
	crig_stop(r);
	assert_string_equal(hear_note(r, fd, BOTLS_CAPTURE_LAST), "botlsd is stopping");
	close(fd);
}

/* --- metrics
 * -----------------------------------------------------------------------------------------------------------
 */

static void say_rows(struct fake_worker *w, uint32_t id, unsigned n, const char *const *names)
{
	struct message_metrics_row rows[4] = {};

	for (unsigned i = 0; i < n; i++) {
		strcpy(rows[i].neighbor, names[i]);
		rows[i].v[BM_ESTABLISHED] = w->number + 1;
	}
	crig_reply(w, MSG_METRICS_ROWS, id, rows, n * sizeof(rows[0]));
}

static void say_end(struct fake_worker *w, uint32_t id)
{
	const struct message_metrics_worker own = {.unknown = 7};

	crig_reply(w, MSG_METRICS_END, id, &own, sizeof(own));
}

static char *text_of(struct rig *r)
{
	struct metrics_snapshot *s;
	struct metrics_cursor at = {};
	char *text = calloc(1, 1 << 18);
	size_t len = 0, n;
	struct errtext e;

	assert_true(r->heard_fd > 0);
	assert_int_equal(metrics_snapshot_read(r->heard_fd, &s, &e), 0);
	while ((n = metrics_print(s, METRICS_OPENMETRICS, &at, text + len, (1 << 18) - len)))
		len += n;
	metrics_snapshot_free(s);
	return text;
}

static void expect(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("not there: %s", line);
}

static uint32_t ask_metrics(struct rig *r, int *ret_client)
{
	*ret_client = crig_dial(r);
	crig_say(*ret_client, METRICS);
	for (int i = 0; i < 2; i++)
		crig_until(r, crig_count(&r->workers[i], MSG_METRICS) >= 1);
	return crig_last(&r->workers[0], MSG_METRICS)->id;
}

static void test_metrics(void **state)
{
	static const char *const names[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4"};
	static const char *const twice[] = {"127.0.0.3", "127.0.0.2", "127.0.0.3", "203.0.113.1"};
	struct rig *r = *state;
	int client, second = crig_dial(r);
	uint32_t id = ask_metrics(r, &client);
	char *text;

	crig_say(second, METRICS);
	crig_settle(r);
	assert_int_equal(crig_count(&r->workers[0], MSG_METRICS), 1);
	say_rows(&r->workers[0], id, 3, names);
	say_rows(&r->workers[0], id + 1, 3, names);
	say_end(&r->workers[0], id);
	say_rows(&r->workers[0], id, 3, names); /* too late */
	say_rows(&r->workers[1], id, 4, twice);
	say_end(&r->workers[1], id);
	jv_free(crig_hear(r, client));
	jv_free(crig_hear(r, second));
	assert_int_equal(fcntl(r->heard_fd, F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	text = text_of(r);
	expect(text, "\nbotls_sessions_established 7\n"); /* 3 of the first worker, 2 times 2 */
	expect(text, "\nbotls_neighbor_up{neighbor=\"127.0.0.2\"} 1\n");
	expect(text, "\nbotls_worker_refused_sources_total{worker=\"1\"} 7\n");
	expect(text, "\nbotls_configured_neighbors{mode=\"off\"} 1\n");
	expect(text, "\nbotls_guard_drops_total{what=\"out\"} 2\n");
	expect(text, "description=\"one\"");
	free(text);
	/* Soon after, nobody is asked again. */
	jv_free(crig_ask(r, METRICS));
	assert_int_equal(crig_count(&r->workers[0], MSG_METRICS), 1);
	close(client);
	close(second);
}

static void test_metrics_without_a_worker(void **state)
{
	struct rig *r = *state;
	int client;
	uint32_t id = ask_metrics(r, &client);
	char *text;

	say_end(&r->workers[0], id);
	crig_kill(&r->workers[1]);
	jv_free(crig_hear(r, client));
	text = text_of(r);
	expect(text, "\nbotls_worker_up{worker=\"0\"} 1\nbotls_worker_up{worker=\"1\"} 0\n");
	free(text);
	close(client);
}

static void test_metrics_in_a_reload(void **state)
{
	static const char *const names[] = {"127.0.0.3"};
	struct rig *r = *state;
	int client;
	uint32_t id = ask_metrics(r, &client);
	char *text;

	say_rows(&r->workers[0], id, 1, names);
	crig_write(r, "workers = 2\nneighbor \"127.0.0.3\" {}\n");
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	for (int i = 0; i < 2; i++) {
		crig_until(r, crig_count(&r->workers[i], MSG_METRICS) == 2);
		say_end(&r->workers[i], crig_last(&r->workers[i], MSG_METRICS)->id);
	}
	jv_free(crig_hear(r, client));
	text = text_of(r);
	expect(text, "\nbotls_configured_neighbors{mode=\"required\"} 1\n");
	expect(text, "\nbotls_sessions_established 0\n");
	free(text);
	close(client);
}

static void test_metrics_of_a_stopping_botlsd(void **state)
{
	struct rig *r = *state;
	int client;

	ask_metrics(r, &client);
	crig_stop(r);
	close(client);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_capture_reaches_every_worker),
		T(test_half_closed_is_the_end),
		T(test_refusals),
		T(test_worker_that_dies),
		T(test_note_waits_for_room),
		T(test_reload_decides_anew),
		T(test_stop),
		T(test_metrics),
		T(test_metrics_without_a_worker),
		T(test_metrics_in_a_reload),
		T(test_metrics_of_a_stopping_botlsd),
	};

	return cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
}
