// SPDX-License-Identifier: Apache-2.0
/* What botlsctl asks, and what several workers make of it. */
#include "control_rig.h"

#include "botls/botls.h"
#include "log.h"

#include <errno.h>
#include <sys/socket.h>

#define NEIGHBORS                                                                                  \
	"neighbor \"127.0.0.2\" { description = \"one\" }\n"                                       \
	"neighbor \"127.0.0.3\" { mode = preferred }\n"                                            \
	"neighbor \"2001:db8::2\" { local-address = \"2001:db8::1\" }\n"
#define SHOW "{\"command\":\"show\"}"

static int setup(void **state, unsigned workers)
{
	struct rig *r;

	crig_setup(state);
	r = *state;
	crig_write(r, "workers = %u\n" NEIGHBORS, workers);
	crig_start(r);
	r->c->gather_wait_ms = 3600 * 1000; /* what is answered is not answered by the clock */
	for (unsigned i = 0; i < workers; i++)
		r->workers[i].by_hand = true;
	return 0;
}

static int setup_one(void **state)
{
	return setup(state, 1);
}

static int setup_three(void **state)
{
	return setup(state, 3);
}

/* The request is on its way to every worker; its id. */
static uint32_t ask_workers(struct rig *r, int *ret_fd, uint32_t type, const char *request)
{
	uint32_t before = r->c->last_id;

	*ret_fd = crig_dial(r);
	crig_say(*ret_fd, "%s", request);
	crig_until(r, r->c->last_id != before);
	for (size_t i = 0; i < r->c->n_children; i++)
		crig_until(r, !r->workers[i].ipc ||
				      (crig_count(&r->workers[i], type) > 0 &&
				       crig_last(&r->workers[i], type)->id == r->c->last_id));
	return r->c->last_id;
}

static void status(struct fake_worker *w, uint32_t id, const char *name, const char *state,
		   const char *more)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"name\":\"%s\",\"state\":\"%s\",\"failures\":{},\"counters\":{\"sessions\":%u},"
		 "\"sessions\":[{\"id\":7,\"worker\":%u}]%s}",
		 name, state, w->number + 1, w->number, more);
	crig_reply_text(w, MSG_STATUS, id, text);
}

static const struct jv *neighbor(const struct jv *answer, const char *name)
{
	const struct jv *all = jv_get(answer, "neighbors");

	for (size_t i = 0; i < jv_size(all); i++)
		if (strcmp(jv_get_string(jv_at(all, i), "name", ""), name) == 0)
			return jv_at(all, i);
	fail_msg("no neighbor %s", name);
	return NULL;
}

/* --- show
 * ----------------------------------------------------------------------------------------------------------------
 */

static void show_without_a_word_from_workers(void **state)
{
	struct rig *r = *state;
	const struct jv *n, *workers;
	struct jv *answer;

	r->workers[0].by_hand = false;
	r->steering.clear_count = 5;
	answer = crig_ask(r, SHOW);
	assert_true(jv_get_bool(answer, "ok", false));
	assert_string_equal(jv_get_string(answer, "version", ""), BOTLS_VERSION);
	assert_int_equal(jv_get_int(answer, "pid", 0), getpid());
	assert_true(jv_get_int(answer, "started", 0) > 1700000000);
	assert_int_equal(jv_get_int(answer, "generation", 0), 1);
	assert_string_equal(jv_get_string(answer, "steering", ""), "fake");
	assert_string_equal(jv_get_string(answer, "log_level", ""), "info");
	assert_null(jv_get(answer, "unknown_sources"));
	workers = jv_get(answer, "workers");
	assert_int_equal(jv_size(workers), 1);
	assert_int_equal(jv_get_int(jv_at(workers, 0), "id", -1), 0);
	assert_int_equal(jv_get_int(jv_at(workers, 0), "pid", -1), r->workers[0].pid);
	assert_int_equal(jv_get_int(jv_at(workers, 0), "restarts", -1), 0);
	assert_int_equal(jv_get_int(jv_at(workers, 0), "sessions", -1), 0);
	assert_int_equal(jv_get_int(jv_at(workers, 0), "handshakes", -1), 0);
	assert_true(jv_get_int(jv_at(workers, 0), "started", 0) > 1700000000);
	assert_int_equal(jv_size(jv_get(answer, "neighbors")), 3);
	n = neighbor(answer, "127.0.0.3");
	assert_string_equal(jv_get_string(n, "mode", ""), "preferred");
	assert_string_equal(jv_get_string(n, "state", ""), "idle");
	assert_string_equal(jv_get_string(n, "bgp", ""), "idle");
	assert_string_equal(jv_get_string(n, "local_address", ""), "127.0.0.1");
	assert_true(jv_is_array(jv_get(n, "sessions")));
	assert_false(jv_get_bool(n, "fallback", true));
	assert_int_equal(jv_get_int(n, "clear_sessions", -1), 0);
	n = neighbor(answer, "2001:db8::2");
	assert_string_equal(jv_get_string(n, "local_address", ""), "2001:db8::1");
	jv_free(answer);
}

static void show_one(void **state)
{
	static const char *const spellings[] = {"2001:db8::2", "2001:DB8:0:0::2"};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct jv *answer;
		char request[128];
		uint32_t id;
		int fd;

		snprintf(request, sizeof(request), "{\"command\":\"show\",\"neighbor\":\"%s\"}",
			 spellings[i]);
		fd = crig_dial(r);
		crig_say(fd, "%s", request);
		crig_until(r, crig_count(&r->workers[0], MSG_QUERY) == i + 1);
		id = crig_last(&r->workers[0], MSG_QUERY)->id;
		assert_string_equal(crig_last(&r->workers[0], MSG_QUERY)->payload, "2001:db8::2");
		status(&r->workers[0], id, spellings[i], "up", ",\"description\":\"six\"");
		crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{\"handshakes\":4}");
		answer = crig_hear(r, fd);
		assert_int_equal(jv_size(jv_get(answer, "neighbors")), 1);
		assert_string_equal(
			jv_get_string(neighbor(answer, "2001:db8::2"), "description", ""), "six");
		assert_int_equal(jv_get_int(jv_at(jv_get(answer, "workers"), 0), "handshakes", -1),
				 4);
		jv_free(answer);
		close(fd);
	}
}

static void show_what_control_knows(void **state)
{
	struct message_fallback vote = {.neighbor = "127.0.0.3", .allow_clear = true};
	struct rig *r = *state;
	const struct jv *n;
	struct jv *answer;
	uint32_t id;
	int fd;

	r->steering.clear_count = 5;
	crig_reply(&r->workers[0], MSG_FALLBACK, 0, &vote, sizeof(vote));
	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	/* A worker's own opinion of these does not count. */
	status(&r->workers[0], id, "127.0.0.3", "clear",
	       ",\"fallback\":false,\"clear_sessions\":77,\"local_address\":\"10.0.0.1\"");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	answer = crig_hear(r, fd);
	n = neighbor(answer, "127.0.0.3");
	assert_string_equal(jv_get_string(n, "state", ""), "clear");
	assert_true(jv_get_bool(n, "fallback", false));
	assert_int_equal(jv_get_int(n, "clear_sessions", -1), 5);
	assert_string_equal(jv_get_string(n, "local_address", ""), "127.0.0.1");
	assert_int_equal(jv_get_int(neighbor(answer, "127.0.0.2"), "clear_sessions", -1), 0);
	jv_free(answer);
	close(fd);
}

/* A session that the daemon itself accepted is in no worker's answer. */
static void show_clear_beside_the_workers(void **state)
{
	static const char *const cases[][2] = {
		{"idle", "clear"}, {"error", "clear"}, {"handshake", "clear"}, {"up", "up"}};
	struct message_fallback vote = {.neighbor = "127.0.0.3", .allow_clear = true};
	struct rig *r = *state;

	r->steering.clear_count = 1;
	crig_reply(&r->workers[0], MSG_FALLBACK, 0, &vote, sizeof(vote));
	crig_until(r, crig_entry(r, "127.0.0.3")->allow_clear);
	timer_set_ms(r->c->poll_clear, 0);
	crig_settle(r);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct jv *n;
		struct jv *answer;
		uint32_t id;
		int fd;

		id = ask_workers(r, &fd, MSG_QUERY, SHOW);
		status(&r->workers[0], id, "127.0.0.3", cases[i][0], ",\"since\":1");
		status(&r->workers[0], id, "127.0.0.2", cases[i][0], ",\"since\":1");
		crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
		answer = crig_hear(r, fd);
		n = neighbor(answer, "127.0.0.3");
		assert_string_equal(jv_get_string(n, "state", ""), cases[i][1]);
		if (strcmp(cases[i][0], cases[i][1]) == 0)
			assert_int_equal(jv_get_int(n, "since", 0), 1);
		else
			assert_true(jv_get_int(n, "since", 0) > 1700000000);
		n = neighbor(answer, "127.0.0.2");
		assert_string_equal(jv_get_string(n, "state", ""), cases[i][0]);
		jv_free(answer);
		close(fd);
	}
}

static void expect_merged(const struct jv *answer)
{
	const struct jv *n = neighbor(answer, "127.0.0.2");

	/* The best of them speaks for all; counters add up, of events the last one stays. */
	assert_string_equal(jv_get_string(n, "state", ""), "up");
	assert_string_equal(jv_get_string(n, "bgp", ""), "established");
	assert_int_equal(jv_get_int(jv_get(n, "counters"), "sessions", 0), 6);
	assert_int_equal(jv_get_int(jv_get(n, "failures"), "name", 0), 5);
	assert_int_equal(jv_get_int(jv_get(n, "failures"), "pin", 0), 1);
	assert_string_equal(jv_get_string(jv_get(n, "last_failure"), "text", ""), "latest");
	assert_string_equal(jv_get_string(jv_get(n, "last_notification"), "text", ""), "only one");
	assert_int_equal(jv_size(jv_get(n, "sessions")), 3);
}

/* In whatever order they answer. */
static void answers_are_merged(void **state)
{
	static const char *const more[] = {
		",\"last_failure\":{\"time\":200,\"text\":\"latest\"},\"bgp\":\"idle\"",
		",\"last_failure\":{\"time\":100,\"text\":\"early\"},\"bgp\":\"established\"",
		",\"last_notification\":{\"time\":50,\"text\":\"only one\"},\"bgp\":\"idle\"",
	};
	static const char *const failures[] = {"{\"name\":2}", "{\"name\":3,\"pin\":1}", "{}"};
	static const char *const states[] = {"handshake", "up", "error"};
	struct rig *r = *state;
	static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}};

	for (size_t k = 0; k < ARRAY_SIZE(orders); k++) {
		struct jv *answer;
		uint32_t id;
		int fd = crig_dial(r);

		crig_say(fd, SHOW);
		for (size_t i = 0; i < 3; i++)
			crig_until(r, crig_count(&r->workers[i], MSG_QUERY) == k + 1);
		id = r->c->last_id;
		for (size_t i = 0; i < 3; i++) {
			struct fake_worker *w = &r->workers[orders[k][i]];
			char text[1024];

			snprintf(text, sizeof(text),
				 "{\"name\":\"127.0.0.2\",\"state\":\"%s\",\"failures\":%s,"
				 "\"counters\":{\"sessions\":%u},\"sessions\":[{\"id\":7,"
				 "\"worker\":%u}]%s}",
				 states[w->number], failures[w->number], w->number + 1, w->number,
				 more[w->number]);
			crig_reply_text(w, MSG_STATUS, id, text);
			crig_reply_text(w, MSG_STATUS_END, id, "{\"handshakes\":1}");
			crig_settle(r);
		}
		answer = crig_hear(r, fd);
		expect_merged(answer);
		assert_int_equal(jv_size(jv_get(answer, "workers")), 3);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(
				jv_get_int(jv_at(jv_get(answer, "workers"), i), "sessions", -1), 1);
		jv_free(answer);
		close(fd);
	}
}

/* Each state says more than the one before: a worker's tells of the neighbor as a whole. */
static void states_have_an_order(void **state)
{
	static const char *const order[] = {"nonsense",	  "off",       "error",	   "idle",  "held",
					    "connecting", "handshake", "draining", "clear", "up"};
	struct rig *r = *state;

	for (size_t k = 0; k + 1 < ARRAY_SIZE(order); k++) {
		struct jv *answer;
		uint32_t id;
		int fd = crig_dial(r);

		crig_say(fd, SHOW);
		for (size_t i = 0; i < 3; i++)
			crig_until(r, crig_count(&r->workers[i], MSG_QUERY) == k + 1);
		id = r->c->last_id;
		status(&r->workers[k % 2], id, "127.0.0.2", order[k + 1], "");
		status(&r->workers[1 - k % 2], id, "127.0.0.2", order[k], "");
		for (size_t i = 0; i < 3; i++)
			crig_reply_text(&r->workers[i], MSG_STATUS_END, id, "{}");
		answer = crig_hear(r, fd);
		assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.2"), "state", ""),
				    order[k + 1]);
		jv_free(answer);
		close(fd);
	}
}

/* More sessions than a message holds come in several. */
static void one_worker_in_parts(void **state)
{
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	status(&r->workers[0], id, "127.0.0.2", "up", ",\"description\":\"many\"");
	for (int i = 0; i < 5; i++)
		crig_reply_text(&r->workers[0], MSG_STATUS, id,
				"{\"name\":\"127.0.0.2\",\"state\":\"up\",\"failures\":{},"
				"\"counters\":{},\"sessions\":[{\"id\":1,\"worker\":0}]}");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	answer = crig_hear(r, fd);
	assert_int_equal(jv_size(jv_get(neighbor(answer, "127.0.0.2"), "sessions")), 6);
	assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.2"), "description", ""),
			    "many");
	assert_int_equal(jv_get_int(jv_at(jv_get(answer, "workers"), 0), "sessions", -1), 6);
	jv_free(answer);
	close(fd);
}

static void strangers_add_up(void **state)
{
	struct rig *r = *state;
	const struct jv *u;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id,
			"{\"unknown_count\":2,\"unknown_last\":\"10.0.0.1\",\"unknown_time\":100}");
	crig_reply_text(&r->workers[1], MSG_STATUS_END, id,
			"{\"unknown_count\":3,\"unknown_last\":\"10.0.0.2\",\"unknown_time\":300}");
	crig_reply_text(&r->workers[2], MSG_STATUS_END, id,
			"{\"unknown_count\":4,\"unknown_last\":\"10.0.0.3\",\"unknown_time\":200}");
	answer = crig_hear(r, fd);
	u = jv_get(answer, "unknown_sources");
	assert_int_equal(jv_get_int(u, "count", 0), 9);
	assert_string_equal(jv_get_string(u, "last", ""), "10.0.0.2");
	assert_int_equal(jv_get_int(u, "last_time", 0), 300);
	jv_free(answer);
	close(fd);
}

/* --- workers that are late, silent, dead, or lie
 * ------------------------------------------------------------------------------- */

static void a_silent_worker_is_left_out(void **state)
{
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd;

	r->c->gather_wait_ms = 50;
	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	status(&r->workers[0], id, "127.0.0.2", "up", "");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	status(&r->workers[1], id, "127.0.0.2", "held", ""); /* and no end */
	answer = crig_hear(r, fd);
	assert_int_equal(jv_size(jv_get(answer, "workers")), 1);
	assert_int_equal(jv_size(jv_get(neighbor(answer, "127.0.0.2"), "sessions")), 2);
	jv_free(answer);
	close(fd);
	/* What comes now belongs to nothing. */
	status(&r->workers[1], id, "127.0.0.3", "up", "");
	crig_reply_text(&r->workers[1], MSG_STATUS_END, id, "{}");
	crig_reply_text(&r->workers[2], MSG_STATUS_END, id, "{}");
	crig_reply_text(&r->workers[2], MSG_RESET_DONE, id, "xxxx");
	r->c->gather_wait_ms = 3600 * 1000;
	for (int i = 0; i < 3; i++)
		r->workers[i].by_hand = false;
	answer = crig_ask(r, SHOW);
	assert_int_equal(jv_size(jv_get(answer, "workers")), 3);
	assert_int_equal(jv_size(jv_get(neighbor(answer, "127.0.0.3"), "sessions")), 0);
	jv_free(answer);
}

/* Two questions at once; each answer goes where it belongs. */
static void ids_keep_answers_apart(void **state)
{
	struct rig *r = *state;
	int one = crig_dial(r), two = crig_dial(r);
	struct jv *answer;
	uint32_t id;

	crig_say(one, SHOW);
	crig_until(r, crig_count(&r->workers[0], MSG_QUERY) == 1);
	id = r->c->last_id;
	crig_say(two, "{\"command\":\"show\",\"neighbor\":\"127.0.0.3\"}");
	crig_until(r, crig_count(&r->workers[0], MSG_QUERY) == 2);
	assert_int_equal(r->c->last_id, id + 1);
	status(&r->workers[0], id + 1, "127.0.0.3", "held", "");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id + 1, "{}");
	answer = crig_hear(r, two);
	assert_int_equal(jv_size(jv_get(answer, "neighbors")), 1);
	assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.3"), "state", ""), "held");
	jv_free(answer);
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	answer = crig_hear(r, one);
	assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.3"), "state", ""), "idle");
	jv_free(answer);
	close(one);
	close(two);
}

/* Said twice, one worker is not two. */
static void an_end_counts_once(void **state)
{
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	status(&r->workers[0], id, "127.0.0.2", "up", "");
	crig_reply_text(&r->workers[1], MSG_STATUS_END, id, "{}");
	crig_settle(r);
	assert_non_null(r->c->gathers);
	crig_reply_text(&r->workers[2], MSG_STATUS_END, id, "{}");
	answer = crig_hear(r, fd);
	assert_int_equal(jv_size(jv_get(answer, "workers")), 3);
	assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.2"), "state", ""), "idle");
	jv_free(answer);
	close(fd);
}

static void a_worker_that_dies_is_not_waited_for(void **state)
{
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd, reset;

	reset = crig_dial(r);
	crig_say(reset, "{\"command\":\"reset\",\"neighbor\":\"127.0.0.2\"}");
	crig_until(r, crig_count(&r->workers[2], MSG_RESET) == 1);
	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	for (int i = 0; i < 2; i++) {
		crig_reply_text(&r->workers[i], MSG_STATUS_END, id, "{}");
		crig_reply_text(&r->workers[i], MSG_RESET_DONE, id - 1, "\1\0\0");
	}
	crig_settle(r);
	assert_non_null(r->c->gathers);
	r->start_error = -EAGAIN;
	crig_kill(&r->workers[2]);
	answer = crig_hear(r, fd);
	assert_int_equal(jv_size(jv_get(answer, "workers")), 2);
	jv_free(answer);
	jv_free(crig_hear(r, reset));
	assert_null(r->c->gathers);
	close(reset);
	close(fd);
	/* All of them are dead: there is nobody to wait for. */
	crig_kill(&r->workers[0]);
	crig_kill(&r->workers[1]);
	answer = crig_ask(r, SHOW);
	assert_int_equal(jv_size(jv_get(answer, "workers")), 0);
	assert_int_equal(jv_size(jv_get(answer, "neighbors")), 3);
	jv_free(answer);
}

static const char *const nonsense[] = {
	"",
	"{",
	"[]",
	"5",
	"null",
	"{}",
	"\xff\xfe",
	"{\"name\":\"127.0.0.2\"}",
	"{\"name\":5,\"failures\":{},\"counters\":{},\"sessions\":[]}",
	"{\"name\":\"127.0.0.9\",\"failures\":{},\"counters\":{},\"sessions\":[]}",
	"{\"name\":\"127.0.0.2\",\"failures\":[],\"counters\":{},\"sessions\":[]}",
	"{\"name\":\"127.0.0.2\",\"failures\":{},\"counters\":[],\"sessions\":[]}",
	"{\"name\":\"127.0.0.2\",\"failures\":{},\"counters\":{},\"sessions\":{}}",
};
/* They count as the neighbor's, for what they are worth. */
static const char *const half[] = {
	"{\"name\":\"127.0.0.2\",\"failures\":{\"name\":9223372036854775807},\"counters\":{\"a\":"
	"\"b\"},\"sessions\":[5,null,{\"worker\":\"x\"},{\"worker\":77},[]]}",
	"{\"name\":\"127.0.0.2\",\"state\":[],\"failures\":{\"name\":9},\"counters\":{\"a\":2},"
	"\"sessions\":[],\"last_failure\":5,\"last_notification\":{\"time\":\"now\"}}",
};

static void a_worker_talks_nonsense(void **state)
{
	struct rig *r = *state;
	const struct jv *n;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++)
		crig_reply_text(&r->workers[0], MSG_STATUS, id, nonsense[i]);
	for (size_t i = 0; i < ARRAY_SIZE(half); i++) {
		crig_reply_text(&r->workers[0], MSG_STATUS, id, half[i]);
		crig_reply_text(&r->workers[1], MSG_STATUS, id, half[i]);
	}
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "what?");
	crig_reply_text(&r->workers[1], MSG_STATUS_END, id,
			"{\"unknown_count\":9223372036854775807,\"unknown_time\":\"then\"}");
	crig_reply_text(&r->workers[2], MSG_STATUS_END, id,
			"{\"unknown_count\":9223372036854775807,\"unknown_last\":7}");
	answer = crig_hear(r, fd);
	assert_true(jv_get_bool(answer, "ok", false));
	assert_int_equal(jv_size(jv_get(answer, "neighbors")), 3);
	n = neighbor(answer, "127.0.0.2");
	assert_int_equal(jv_get_int(jv_get(n, "failures"), "name", 0), INT64_MAX);
	assert_int_equal(jv_size(jv_get(n, "sessions")), 10);
	assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.3"), "state", ""), "idle");
	assert_int_equal(jv_get_int(jv_get(answer, "unknown_sources"), "count", 0), INT64_MAX);
	jv_free(answer);
	close(fd);
}

/* One that never ends does not fill the memory: what is beyond the limit is dropped. */
static void a_worker_talks_without_end(void **state)
{
	_cleanup_free_ char *big = malloc(30001);
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd, n;

	n = snprintf(big, 30001,
		     "{\"name\":\"127.0.0.2\",\"failures\":{},\"counters\":{},\"sessions\":[\"");
	memset(big + n, 'x', 30000 - n);
	memcpy(big + 30000 - 3, "\"]}", 4);
	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	for (int i = 0; i < 2000; i++) {
		crig_reply_text(&r->workers[0], MSG_STATUS, id, big);
		if (i % 50 == 0)
			crig_settle(r);
	}
	status(&r->workers[0], id, "127.0.0.3", "up", "");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	answer = crig_hear(r, fd);
	n = jv_size(jv_get(neighbor(answer, "127.0.0.2"), "sessions"));
	assert_true(n > 1000 && n < 1200);
	assert_string_equal(jv_get_string(neighbor(answer, "127.0.0.3"), "state", ""), "idle");
	jv_free(answer);
	close(fd);
}

/* The places of the neighbors have changed while the workers thought: they are asked again. */
static void a_reload_comes_in_between(void **state)
{
	struct rig *r = *state;
	int all, one, gone, reset;
	struct jv *answer;
	uint32_t id;

	id = ask_workers(r, &all, MSG_QUERY, SHOW);
	status(&r->workers[0], id, "2001:db8::2", "up", "");
	one = crig_dial(r);
	crig_say(one, "{\"command\":\"show\",\"neighbor\":\"2001:db8::2\"}");
	crig_until(r, crig_count(&r->workers[0], MSG_QUERY) == 2);
	gone = crig_dial(r);
	crig_say(gone, "{\"command\":\"show\",\"neighbor\":\"127.0.0.3\"}");
	crig_until(r, crig_count(&r->workers[0], MSG_QUERY) == 3);
	reset = crig_dial(r);
	crig_say(reset, "{\"command\":\"reset\",\"neighbor\":\"127.0.0.3\"}");
	crig_until(r, crig_count(&r->workers[0], MSG_RESET) == 1);
	crig_write(r, "neighbor \"2001:db8::2\" { }\nneighbor \"2001:db8::3\" { }\n");
	jv_free(crig_ask(r, "{\"command\":\"reload\"}"));
	assert_int_equal(r->c->generation, 2);
	crig_expect_refusal(crig_hear(r, gone), "the neighbor is no longer configured", NULL);
	crig_until(r, crig_count(&r->workers[0], MSG_QUERY) == 5);
	/* What was said to the first question counts no more. */
	status(&r->workers[0], id, "2001:db8::2", "held", "");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id + 1, "{}");
	crig_settle(r);
	for (id = r->c->last_id; id > r->c->last_id - 2; id--) {
		status(&r->workers[0], id, "2001:db8::3", "up", "");
		crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	}
	answer = crig_hear(r, all);
	assert_int_equal(jv_get_int(answer, "generation", 0), 2);
	assert_int_equal(jv_size(jv_get(answer, "neighbors")), 2);
	assert_string_equal(jv_get_string(neighbor(answer, "2001:db8::2"), "state", ""), "idle");
	assert_string_equal(jv_get_string(neighbor(answer, "2001:db8::3"), "state", ""), "up");
	jv_free(answer);
	answer = crig_hear(r, one);
	assert_int_equal(jv_size(jv_get(answer, "neighbors")), 1);
	assert_string_equal(jv_get_string(neighbor(answer, "2001:db8::2"), "state", ""), "idle");
	jv_free(answer);
	/* A reset is done when it is done. */
	crig_reply(&r->workers[0], MSG_RESET_DONE, crig_last(&r->workers[0], MSG_RESET)->id,
		   "\7\0\0", 4);
	answer = crig_hear(r, reset);
	assert_int_equal(jv_get_int(answer, "sessions", -1), 7);
	jv_free(answer);
	close(all);
	close(one);
	close(gone);
	close(reset);
}

/* --- reset
 * ---------------------------------------------------------------------------------------------------------------
 */

static void reset_adds_up(void **state)
{
	const uint32_t counts[] = {2, 0, 40};
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_RESET,
			 "{\"command\":\"reset\",\"neighbor\":\"2001:DB8::0:2\"}");
	for (int i = 0; i < 3; i++) {
		assert_string_equal(crig_last(&r->workers[i], MSG_RESET)->payload, "2001:db8::2");
		assert_int_equal(crig_last(&r->workers[i], MSG_RESET)->id, id);
		crig_reply(&r->workers[i], MSG_RESET_DONE, id, &counts[i], sizeof(counts[i]));
	}
	answer = crig_hear(r, fd);
	assert_true(jv_get_bool(answer, "ok", false));
	assert_int_equal(jv_get_int(answer, "sessions", -1), 42);
	assert_null(jv_get(answer, "neighbors"));
	jv_free(answer);
	close(fd);
	assert_true(crig_logged(r, "neighbor 2001:db8::2: reset asked for by uid "));
}

static void reset_with_bad_answers(void **state)
{
	struct rig *r = *state;
	const uint32_t count = 3;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_RESET, "{\"command\":\"reset\",\"neighbor\":\"127.0.0.2\"}");
	crig_reply_text(&r->workers[0], MSG_RESET_DONE, id, "12345");
	crig_reply_text(&r->workers[1], MSG_RESET_DONE, id, "");
	crig_reply_text(&r->workers[2], MSG_SOCKET, id, "");
	crig_reply(&r->workers[2], MSG_RESET_DONE, id, &count, sizeof(count));
	answer = crig_hear(r, fd);
	assert_int_equal(jv_get_int(answer, "sessions", -1), 3);
	jv_free(answer);
	close(fd);
	assert_true(crig_logged(r, "worker 2 sent an unknown message"));
}

/* --- the others
 * ------------------------------------------------------------------------------------------------------------
 */

static void steering(void **state)
{
	static const char *const names[] = {
		"connects_steered",
		"connects_refused_uid",
		"connects_refused_closed",
		"accepts_mapped",
		"accepts_hidden",
		"guard_out",
		"guard_in",
		"guard_ttl",
		"guard_inner",
	};
	struct rig *r = *state;
	const struct jv *item;
	struct jv *answer;

	answer = crig_ask(r, "{\"command\":\"steering\"}");
	assert_true(jv_get_bool(answer, "agrees", false));
	assert_string_equal(jv_get_string(answer, "mechanism", ""), "fake");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(jv_get_int(jv_get(answer, "counters"), names[i], 0), i + 1);
	jv_free(answer);
	r->steering.n_bad = 1;
	answer = crig_ask(r, "{\"command\":\"steering\"}");
	assert_true(jv_get_bool(answer, "ok", false));
	assert_false(jv_get_bool(answer, "agrees", true));
	item = jv_at(jv_get(answer, "items"), 1);
	assert_string_equal(jv_get_string(item, "kind", ""), "route");
	assert_string_equal(jv_get_string(item, "name", ""), "192.0.2.2");
	assert_string_equal(jv_get_string(item, "state", ""), "missing");
	assert_string_equal(jv_get_string(item, "detail", ""), "as it was");
	jv_free(answer);
	assert_int_equal(r->steering.n_repaired, 0); /* asking changes nothing */
}

static void log_level(void **state)
{
	struct rig *r = *state;
	struct jv *answer;

	answer = crig_ask(r, "{\"command\":\"log-level\"}");
	assert_string_equal(jv_get_string(answer, "level", ""), "info");
	jv_free(answer);
	crig_settle(r);
	assert_int_equal(crig_count(&r->workers[1], MSG_LOG_LEVEL), 1); /* of the start */
	answer = crig_ask(r, "{\"command\":\"log-level\",\"level\":\"WARNING\"}");
	assert_string_equal(jv_get_string(answer, "level", ""), "warning");
	jv_free(answer);
	assert_int_equal(log_get_level(), LOG_LEVEL_WARNING);
	for (int i = 0; i < 3; i++) {
		crig_until(r, crig_count(&r->workers[i], MSG_LOG_LEVEL) == 2);
		assert_int_equal(crig_last(&r->workers[i], MSG_LOG_LEVEL)->id, LOG_LEVEL_WARNING);
	}
}

static void bad_requests(void **state)
{
	static const struct {
		const char *request, *error, *hint;
	} bad[] = {
		{"{\"command\":\"frobnicate\"}", "no such command",
		 "show, steering, reload, reset, log-level"},
		{"{\"command\":\"\"}", "no such command", "show"},
		{"{\"command\":\"Show\"}", "no such command", "show"},
		{"{\"neighbor\":\"127.0.0.2\"}", "command: missing", NULL},
		{"{\"command\":\"show\",\"neighbor\":\"127.0.0.9\"}",
		 "neighbor 127.0.0.9 is not configured", "botlsctl show"},
		{"{\"command\":\"show\",\"neighbor\":\"not an address\"}",
		 "neighbor not an address is not configured", "botlsctl show"},
		{"{\"command\":\"show\",\"neighbor\":2}", "neighbor: expected a string",
		 "\"neighbor\""},
		{"{\"command\":\"show\",\"neighbour\":\"127.0.0.2\"}",
		 "neighbour: no such argument", "\"neighbor\""},
		{"{\"command\":\"reset\"}", "which neighbor?", "botlsctl reset ADDRESS"},
		{"{\"command\":\"reset\",\"neighbor\":\"\"}", "which neighbor?", NULL},
		{"{\"command\":\"reset\",\"neighbor\":\"127.0.0.9\"}",
		 "neighbor 127.0.0.9 is not configured", "botlsctl show"},
		{"{\"command\":\"reset\",\"neighbor\":[]}", "neighbor: expected a string", NULL},
		{"{\"command\":\"log-level\",\"level\":\"loud\"}", "no such level",
		 "error, warning, info or debug"},
		{"{\"command\":\"log-level\",\"level\":7}", "level: expected a string",
		 "\"level\""},
		{"{\"command\":\"steering\",\"neighbor\":\"127.0.0.2\"}",
		 "neighbor: no such argument", "no arguments"},
		/* None of these may reload. */
		{"{\"command\":\"reload\",\"dry-run\":true}", "dry-run: no such argument",
		 "\"dry_run\""},
		{"{\"command\":\"reload\",\"dry_run\":\"true\"}", "dry_run: expected",
		 "\"dry_run\""},
		{"{\"command\":\"reload\",\"dry_run\":1}", "dry_run: expected", NULL},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		crig_expect_refusal(crig_ask(r, "%s", bad[i].request), bad[i].error, bad[i].hint);
	assert_int_equal(r->c->generation, 1);
	assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
	crig_settle(r);
	assert_null(crig_last(&r->workers[0], MSG_QUERY));
	assert_null(crig_last(&r->workers[0], MSG_RESET));
	/* A name that is nearly as long as a request is cut. */
	crig_expect_refusal(crig_ask(r,
				     "{\"command\":\"show\",\"neighbor\":"
				     "\"%0900d\"}",
				     0),
			    "00000 is not configured", NULL);
}

/* --- clients and the end
 * ---------------------------------------------------------------------------------------------------
 */

static void a_client_that_hangs_up(void **state)
{
	struct rig *r = *state;
	struct jv *answer;
	uint32_t id;
	int fd;

	id = ask_workers(r, &fd, MSG_QUERY, SHOW);
	close(fd);
	crig_settle(r);
	status(&r->workers[0], id, "127.0.0.2", "up", "");
	crig_reply_text(&r->workers[0], MSG_STATUS_END, id, "{}");
	crig_until(r, !r->c->gathers);
	/* One that has said half of something. */
	fd = crig_dial(r);
	assert_int_equal(send(fd, "{\"command\":\"relo", 16, MSG_NOSIGNAL), 16);
	crig_settle(r);
	close(fd);
	r->workers[0].by_hand = false;
	answer = crig_ask(r, SHOW);
	assert_true(jv_get_bool(answer, "ok", false));
	jv_free(answer);
}

static void a_stop_in_between(void **state)
{
	struct rig *r = *state;
	char line[256] = "";
	int fd, other;

	ask_workers(r, &fd, MSG_QUERY, SHOW);
	other = crig_dial(r);
	crig_say(other, "{\"command\":\"reset\",\"neighbor\":\"127.0.0.2\"}");
	crig_until(r, crig_count(&r->workers[0], MSG_RESET) == 1);
	crig_stop(r);
	assert_true(recv(fd, line, sizeof(line) - 1, 0) > 0);
	assert_non_null(strstr(line, "botlsd is stopping"));
	assert_true(recv(other, line, sizeof(line) - 1, 0) > 0);
	assert_non_null(strstr(line, "botlsd is stopping"));
	close(fd);
	close(other);
}

int main(void)
{
#define T1(f) cmocka_unit_test_setup_teardown(f, setup_one, crig_teardown)
#define T3(f) cmocka_unit_test_setup_teardown(f, setup_three, crig_teardown)
	const struct CMUnitTest tests[] = {
		T1(show_without_a_word_from_workers),
		T1(show_one),
		T1(show_what_control_knows),
		T1(show_clear_beside_the_workers),
		T3(answers_are_merged),
		T3(states_have_an_order),
		T1(one_worker_in_parts),
		T3(strangers_add_up),
		T3(a_silent_worker_is_left_out),
		T1(ids_keep_answers_apart),
		T3(an_end_counts_once),
		T3(a_worker_that_dies_is_not_waited_for),
		T3(a_worker_talks_nonsense),
		T1(a_worker_talks_without_end),
		T1(a_reload_comes_in_between),
		T3(reset_adds_up),
		T3(reset_with_bad_answers),
		T1(steering),
		T3(log_level),
		T1(bad_requests),
		T1(a_client_that_hangs_up),
		T1(a_stop_in_between),
	};

	return cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
}
