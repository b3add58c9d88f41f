// SPDX-License-Identifier: Apache-2.0
/* Every endpoint and every way in which a call can end, against a scripted server. */
#include "api.h"
#include "json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Rows of tables leave out what is not told. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* What the server answers, in this order. */
struct answer {
	int status; /* negative: -errno instead of an answer */
	const char *body;
	int64_t retry_after; /* 0: not told */
	const char *location;
};

struct rig {
	struct answer answers[16];
	size_t n_answers;
	char requests[16][1200]; /* "GET URL BODY" */
	char authorization[16][64];
	size_t n_requests;
	int token_status; /* of the token endpoint */
	unsigned n_tokens;
	uint64_t waited_ms[16];
	size_t n_waits;
	int wait_result;
	time_t now;
	char audited[16][160];
	size_t n_audited;
	char progress[160];

	struct server_settings server;
	struct http *http;
	struct tokens *tokens;
	struct api *api;
	char folder[64];
};
static struct rig rig;

#define answers(...)                                                                               \
	do {                                                                                       \
		const struct answer list_[] = {__VA_ARGS__};                                       \
		memcpy(rig.answers, list_, sizeof(list_));                                         \
		rig.n_answers = ARRAY_SIZE(list_);                                                 \
		rig.n_requests = rig.n_waits = rig.n_audited = 0;                                  \
	} while (0)

static int respond(const struct answer *a, struct http_response *ret, struct errtext *e)
{
	if (a->status < 0)
		return errtext_set(e, a->status, "it did not work");
	*ret = (struct http_response){.status = a->status,
				      .body = strdup(a->body ? a->body : ""),
				      .retry_after = a->retry_after ? a->retry_after : -1};
	ret->len = strlen(ret->body);
	if (a->location)
		snprintf(ret->location, sizeof(ret->location), "%s", a->location);
	return 0;
}

static int on_perform(void *arg, const struct http_request *q, struct http_response *ret,
		      struct errtext *e)
{
	static const struct answer end = {.status = 500, .body = "the script is over"};
	struct answer token = {.status = rig.token_status};
	char text[80];

	(void)arg;
	if (strcmp(q->url, "https://login.example/token") == 0) {
		snprintf(text, sizeof(text),
			 "{\"access_token\": \"t%u\", \"token_type\": \"Bearer\"}", ++rig.n_tokens);
		token.body = text;
		return respond(&token, ret, e);
	}
	assert_true(rig.n_requests < ARRAY_SIZE(rig.requests));
	assert_false(q->allow_http);
	assert_int_equal(q->timeout, 7);
	snprintf(rig.requests[rig.n_requests], sizeof(rig.requests[0]), "%s %s %.*s", q->method,
		 q->url, (int)q->body_len, q->body ? q->body : "");
	snprintf(rig.authorization[rig.n_requests], sizeof(rig.authorization[0]), "%s",
		 q->authorization ? q->authorization : "");
	return respond(rig.n_requests < rig.n_answers ? &rig.answers[rig.n_requests++] : &end, ret,
		       e);
}

static time_t on_now(void *arg)
{
	(void)arg;
	return rig.now;
}

static int on_wait(void *arg, uint64_t ms)
{
	(void)arg;
	assert_true(rig.n_waits < ARRAY_SIZE(rig.waited_ms));
	rig.waited_ms[rig.n_waits++] = ms;
	return rig.wait_result;
}

static void on_progress(void *arg, const char *server, const char *text)
{
	(void)arg;
	snprintf(rig.progress, sizeof(rig.progress), "%s: %s", server, text);
}

static void on_requested(void *arg, const char *server, const char *id, const char *method,
			 const char *path, int status)
{
	(void)arg;
	assert_int_equal(strlen(id), 36);
	snprintf(rig.audited[rig.n_audited++ % 16], sizeof(rig.audited[0]), "%s %s %s %d", server,
		 method, path, status);
}

static int setup(void **state)
{
	const struct api_environment env = {.now = on_now,
					    .wait_ms = on_wait,
					    .progress = on_progress,
					    .requested = on_requested};

	(void)state;
	rig = (struct rig){
		.token_status = 200, .now = 1800000000, .folder = "/tmp/botls-api-XXXXXX"};
	rig.server = (struct server_settings){.name = "b",
					      .url = "https://peer.example/v0.1",
					      .asn = 64502,
					      .era = ERA_B,
					      .perspective = LOCAL_IS_REQUESTER,
					      .timeout = 7,
					      .max_pages = 4,
					      .page_size = 50,
					      .max_sessions = 100,
					      .retries = 2};
	assert_non_null(mkdtemp(rig.folder));
	assert_int_equal(http_new_answered(on_perform, NULL, &rig.http), 0);
	assert_int_equal(tokens_new(rig.http, rig.folder, &rig.tokens), 0);
	assert_int_equal(api_new(&rig.server, rig.http, rig.tokens, &env, &rig.api), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	api_free(rig.api);
	tokens_free(rig.tokens);
	http_free(rig.http);
	snprintf(command, sizeof(command), "%s/b.json", rig.folder);
	unlink(command);
	snprintf(command, sizeof(command), "%s/b", rig.folder);
	unlink(command);
	rmdir(rig.folder);
	return 0;
}

/* Settings that record_profile_of() reads are copied by api_new(). */
static void use_era(enum wire_era era)
{
	const struct api_environment env = {.now = on_now,
					    .wait_ms = on_wait,
					    .progress = on_progress,
					    .requested = on_requested};

	api_free(rig.api);
	rig.server.era = era;
	assert_int_equal(api_new(&rig.server, rig.http, rig.tokens, &env, &rig.api), 0);
}

static void use_client_credentials(void)
{
	rig.server.auth = AUTH_CLIENT_CREDENTIALS;
	rig.server.token_url = "https://login.example/token";
	rig.server.client_id = "us";
	rig.server.client_secret = "s3cret";
}

static void assert_request(size_t i, const char *expected)
{
	assert_true(i < rig.n_requests);
	assert_string_equal(rig.requests[i], expected);
}

#define SESSION(id, n)                                                                             \
	"{\"local_asn\": 64501, \"local_ip\": \"192.0.2.1\", \"peer_asn\": 64502, \"peer_ip\": "   \
	"\"192.0.2." n "\", \"status\": \"approved\", \"session_id\": \"" id "\"}"

static int list(struct records *r, struct api_error *e)
{
	struct unreadable unreadable = {};

	*r = (struct records){};
	return api_sessions(rig.api, 64501, NULL, r, &unreadable, e);
}

static void assert_failure(enum api_failure failure, const char *text)
{
	struct records r;
	struct api_error e;

	if (list(&r, &e) == 0)
		fail_msg("no failure, but %s expected", api_failure_name(failure));
	if (e.failure != failure || !strstr(e.text, text))
		fail_msg("%s: %s", api_failure_name(e.failure), e.text);
	assert_null(r.items);
}

/* ---- statuses ---- */

static void test_statuses(void **state)
{
	static const struct {
		int status;
		enum api_failure failure;
		const char *text;
	} rows[] = {
		{300, API_REDIRECT, "status 300"},
		{301, API_REDIRECT, "status 301 to https://x"},
		{302, API_REDIRECT, "not followed"},
		{307, API_REDIRECT, "status 307"},
		{304, API_REDIRECT, "status 304"},
		{400, API_BAD_REQUEST, "status 400"},
		{401, API_UNAUTHORIZED, "credentials"},
		{402, API_BAD_REQUEST, "status 402"},
		{403, API_FORBIDDEN, "ask it"},
		{404, API_NOT_FOUND, "era"},
		{406, API_BAD_REQUEST, "status 406"},
		{409, API_CONFLICT, "status 409"},
		{410, API_NOT_FOUND, "status 410"},
		{422, API_HUMAN, "not asked again"},
		{451, API_BAD_REQUEST, "status 451"},
		{501, API_SERVER, "status 501"},
		{505, API_SERVER, "status 505"},
	};

	(void)state;
	rig.server.retries = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers({rows[i].status, "{}", 0, "https://x"});
		assert_failure(rows[i].failure, rows[i].text);
		assert_int_equal(rig.n_requests, 1);
		assert_int_equal(rig.n_waits, 0);
	}
}

/* The words of the server in the forms that are in use, made printable. */
static void test_complaints(void **state)
{
	static const struct {
		const char *body, *text;
	} rows[] = {
		{"{\"errors\": {\"errors\": [{\"name\": \"asn\", \"errors\": [\"bad\", \"b2\"]}]}}",
		 "asn: bad; asn: b2"},
		{"{\"errors\": [{\"name\": \"asn\", \"messages\": [\"worse\"]}]}", "asn: worse"},
		{"{\"errors\": [\"plain\"]}", "plain"},
		{"{\"detail\": \"drf\"}", "drf"},
		{"{\"error\": \"invalid\", \"error_description\": \"so\"}", "invalid; so"},
		{"{\"detail\": \"a\\u001b[31mb\"}", "a?[31mb"},
		{"<html>no</html>", "status 400"},
		{"", "status 400"},
		{"{\"errors\": {\"errors\": {\"errors\": {\"errors\": []}}}}", "status 400"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers({400, rows[i].body});
		assert_failure(API_BAD_REQUEST, rows[i].text);
	}
}

static void test_network_errors(void **state)
{
	static const struct {
		int error;
		enum api_failure failure;
		size_t tries;
	} rows[] = {
		{-ECONNREFUSED, API_UNREACHABLE, 3},
		{-ETIMEDOUT, API_UNREACHABLE, 3},
		{-ECONNRESET, API_UNREACHABLE, 3},
		{-EHOSTUNREACH, API_UNREACHABLE, 3},
		{-EKEYREJECTED, API_UNREACHABLE, 1},
		{-EPROTO, API_BROKEN, 1},
		{-EFBIG, API_BROKEN, 1},
		{-EACCES, API_UNREACHABLE, 1},
		{-ECANCELED, API_CANCELLED, 1},
		{-ENOMEM, API_MEMORY, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers({rows[i].error}, {rows[i].error}, {rows[i].error});
		assert_failure(rows[i].failure, "b: GET /sessions: ");
		if (rig.n_requests != rows[i].tries)
			fail_msg("%s: %zu tries", strerror(-rows[i].error), rig.n_requests);
	}
}

/* ---- retries ---- */

static void test_retries(void **state)
{
	struct records r;
	struct api_error e;

	(void)state;
	answers({503}, {-ECONNRESET}, {200, "{\"sessions\": []}"});
	assert_int_equal(list(&r, &e), 0);
	records_done(&r);
	assert_int_equal(rig.n_waits, 2);
	assert_in_range(rig.waited_ms[0], 375, 625);
	assert_in_range(rig.waited_ms[1], 750, 1250);
	answers({500}, {500}, {500});
	assert_failure(API_SERVER, "status 500");
	assert_int_equal(rig.n_requests, 3);
}

static void test_retry_after(void **state)
{
	struct records r;
	struct api_error e;

	(void)state;
	answers({429, NULL, 30}, {200, "{\"sessions\": []}"});
	assert_int_equal(list(&r, &e), 0);
	records_done(&r);
	assert_in_range(rig.waited_ms[0], 30000, 31000);
	answers({503, NULL, 120}, {200, "{\"sessions\": []}"});
	assert_int_equal(list(&r, &e), 0);
	records_done(&r);
	answers({429, NULL, 121});
	assert_failure(API_BUSY, "wait 121 s");
	assert_int_equal(rig.n_requests, 1);
	assert_int_equal(rig.n_waits, 0);
}

static void test_cancelled(void **state)
{
	(void)state;
	rig.wait_result = -ECANCELED;
	answers({503});
	assert_failure(API_CANCELLED, "interrupted");
}

/* ---- tokens ---- */

static void test_token(void **state)
{
	struct records r;
	struct api_error e;

	(void)state;
	use_client_credentials();
	answers({200, "{\"sessions\": []}"}, {200, "{\"sessions\": []}"});
	assert_int_equal(list(&r, &e), 0);
	records_done(&r);
	assert_string_equal(rig.authorization[0], "Bearer t1");
}

static void test_token_renewed_once(void **state)
{
	struct records r;
	struct api_error e;

	(void)state;
	use_client_credentials();
	answers({401}, {200, "{\"sessions\": []}"});
	assert_int_equal(list(&r, &e), 0);
	records_done(&r);
	assert_string_equal(rig.authorization[0], "Bearer t1");
	assert_string_equal(rig.authorization[1], "Bearer t2");
	assert_int_equal(rig.n_waits, 0);
	/* a later attempt of the same call uses the new token again */
	answers({401}, {503}, {200, "{\"sessions\": []}"});
	assert_int_equal(list(&r, &e), 0);
	records_done(&r);
	assert_string_equal(rig.authorization[1], rig.authorization[2]);
	answers({401}, {401}, {200, "{\"sessions\": []}"});
	assert_failure(API_UNAUTHORIZED, "status 401");
	assert_int_equal(rig.n_requests, 2);
}

static void test_no_token(void **state)
{
	(void)state;
	use_client_credentials();
	rig.token_status = 400;
	answers({200, "{\"sessions\": []}"});
	assert_failure(API_UNAUTHORIZED, "no token: ");
	assert_int_equal(rig.n_requests, 0);
}

/* ---- listings ---- */

static void test_pages(void **state)
{
	struct records r;
	struct api_error e;

	(void)state;
	answers({200, "{\"sessions\": [" SESSION("s1", "2") "], \"next_token\": \"a b&c\"}"},
		{200, "{\"sessions\": [], \"next_token\": \"2\"}"},
		{200, "{\"sessions\": [" SESSION("s2", "3") "], \"next_token\": null}"});
	assert_int_equal(list(&r, &e), 0);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.items[0].session_id, "s1");
	assert_string_equal(r.items[1].session_id, "s2");
	records_done(&r);
	assert_request(0, "GET https://peer.example/v0.1/sessions?asn=64501&max_results=50 ");
	assert_request(1, "GET https://peer.example/v0.1/sessions?asn=64501&max_results=50"
			  "&next_token=a%20b%26c ");
	assert_request(2, "GET https://peer.example/v0.1/sessions?asn=64501&max_results=50"
			  "&next_token=2 ");
	assert_string_equal(rig.audited[0], "b GET /sessions 200");
	assert_string_equal(rig.progress, "b: sessions: page 3, 2 so far");
}

static void test_listing_refused(void **state)
{
	static const struct {
		const char *body, *text;
	} rows[] = {
		{"", "not JSON"},
		{"{\"sessions\": [", "not JSON"},
		{"<html>", "not JSON"},
		{"null", "no list of sessions"},
		{"[]", "no list of sessions"},
		{"{}", "no list of sessions"},
		{"{\"sessions\": null}", "no list of sessions"},
		{"{\"sessions\": {}}", "no list of sessions"},
		{"{\"items\": []}", "no list of sessions"},
		{"{\"sessions\": [], \"sessions\": []}", "not JSON"},
		{"{\"sessions\": [], \"next_token\": 5}", "next_token is not a string"},
		{"{\"sessions\": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}", "nested"},
		{"{\"sessions\": [" SESSION("s", "2") "," SESSION("s", "3") "]}",
		 "two sessions have the id s"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers({200, rows[i].body});
		assert_failure(API_BROKEN, rows[i].text);
	}
}

static void test_token_repeats(void **state)
{
	(void)state;
	answers({200, "{\"sessions\": [], \"next_token\": \"a\"}"},
		{200, "{\"sessions\": [], \"next_token\": \"b\"}"},
		{200, "{\"sessions\": [], \"next_token\": \"a\"}"});
	assert_failure(API_BROKEN, "next_token repeats");
	assert_int_equal(rig.n_requests, 3);
}

static void test_listing_bounds(void **state)
{
	char body[8000] = "{\"sessions\": [", token[5000];

	(void)state;
	answers({200, "{\"sessions\": [], \"next_token\": \"a\"}"},
		{200, "{\"sessions\": [], \"next_token\": \"b\"}"},
		{200, "{\"sessions\": [], \"next_token\": \"c\"}"},
		{200, "{\"sessions\": [], \"next_token\": \"d\"}"});
	assert_failure(API_BROKEN, "more than 4 pages");
	assert_int_equal(rig.n_requests, 4);

	for (int i = 0; i < 101; i++)
		strcat(body, i ? ",{}" : "{}");
	strcat(body, "]}");
	answers({200, body});
	assert_failure(API_BROKEN, "more than 100 sessions");

	memset(token, 'x', sizeof(token));
	snprintf(body, sizeof(body), "{\"sessions\": [], \"next_token\": \"%.4097s\"}", token);
	answers({200, body});
	assert_failure(API_BROKEN, "next_token is longer");
}

static time_t jump(void *arg)
{
	(void)arg;
	return rig.now += 100; /* 7 s times 20 are over with the second look */
}

static void test_listing_takes_too_long(void **state)
{
	const struct api_environment env = {.now = jump, .wait_ms = on_wait};

	(void)state;
	api_free(rig.api);
	assert_int_equal(api_new(&rig.server, rig.http, rig.tokens, &env, &rig.api), 0);
	answers({200, "{\"sessions\": [], \"next_token\": \"a\"}"}, {200, "{\"sessions\": []}"});
	assert_failure(API_BROKEN, "takes longer than 140 s");
}

/* A record that cannot be read does not spoil the others, and is not forgotten. */
static void test_unreadable(void **state)
{
	struct unreadable unreadable = {};
	struct records r = {};
	struct api_error e;

	(void)state;
	answers({200, "{\"sessions\": [{\"local_asn\": -1}, " SESSION("s1", "2") ", 5]}"});
	assert_int_equal(api_sessions(rig.api, 64501, "r 1", &r, &unreadable, &e), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(unreadable.n, 2);
	assert_string_equal(unreadable.first, "local_asn: is not an AS number");
	records_done(&r);
	assert_request(0, "GET https://peer.example/v0.1/sessions?asn=64501&request_id=r%201"
			  "&max_results=50 ");
}

static void test_era_a(void **state)
{
	static const char *const bodies[] = {"[" SESSION("s1", "2") "]",
					     "{\"items\": [" SESSION("s1", "2") "]}",
					     "{\"sessions\": [" SESSION("s1", "2") "]}"};
	struct records r;
	struct api_error e;
	struct record one;

	(void)state;
	use_era(ERA_A);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		answers({200, bodies[i]});
		assert_int_equal(list(&r, &e), 0);
		assert_int_equal(r.n, 1);
		records_done(&r);
		assert_request(0, "GET https://peer.example/v0.1/get_status?asn=64501 ");
	}
	rig.n_requests = 0;
	assert_int_equal(api_session(rig.api, "x", &one, &e), -1);
	assert_int_equal(e.failure, API_UNSUPPORTED);
	assert_int_equal(api_delete(rig.api, "x", &e), -1);
	assert_int_equal(e.failure, API_UNSUPPORTED);
	rig.server.batch_delete = true;
	assert_int_equal(api_delete_batch(rig.api, (const char *[]){"x"}, 1, (bool[1]){}, &e), -1);
	assert_int_equal(e.failure, API_UNSUPPORTED);
	assert_int_equal(rig.n_requests, 0);
}

static void test_locations(void **state)
{
	const enum location_type type = LOCATION_PRIVATE;
	struct locations l = {};
	struct api_error e;

	(void)state;
	answers({200, "{\"locations\": [{\"id\": \"pdb:ix:1\", \"type\": \"public\"}, \"nowhere\","
		      " \"pdb:fac:2\"], \"next_token\": \"\"}"});
	assert_int_equal(api_locations(rig.api, 64501, NULL, &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.items[1].id, "pdb:fac:2");
	locations_done(&l);
	assert_request(0, "GET https://peer.example/v0.1/locations?asn=64501&max_results=50 ");

	use_era(ERA_A);
	answers({200, "[{\"id\": \"pdb:ix:1\"}]"});
	assert_int_equal(api_locations(rig.api, 64501, &type, &l, &e), 0);
	assert_int_equal(l.n, 1);
	locations_done(&l);
	assert_request(0, "GET https://peer.example/v0.1/list_locations?asn=64501"
			  "&location_type=private ");
	answers({200, "{\"locations\": null}"});
	assert_int_equal(api_locations(rig.api, 64501, NULL, &l, &e), -1);
	assert_int_equal(e.failure, API_BROKEN);
}

/* ---- one session ---- */

static void test_one(void **state)
{
	struct api_error e;
	struct record r;

	(void)state;
	answers({200, SESSION("a/../b c", "2")}, {404}, {200, SESSION("other", "2")},
		{200, "{\"local_asn\": []}"});
	assert_int_equal(api_session(rig.api, "a/../b c", &r, &e), 0);
	assert_request(0, "GET https://peer.example/v0.1/sessions/a%2F..%2Fb%20c ");
	assert_int_equal(r.receiver.asn, 64502);
	assert_int_equal(api_session(rig.api, "a", &r, &e), -1);
	assert_int_equal(e.failure, API_NOT_FOUND);
	assert_int_equal(api_session(rig.api, "a", &r, &e), -1);
	assert_int_equal(e.failure, API_BROKEN);
	assert_non_null(strstr(e.text, "it is about session other"));
	assert_int_equal(api_session(rig.api, "a", &r, &e), -1);
	assert_int_equal(e.failure, API_BROKEN);
}

/* ".." would leave the path of the API. */
static void test_hostile_ids(void **state)
{
	static const char *const ids[] = {"", ".", ".."};
	struct api_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		answers({204});
		assert_int_equal(api_delete(rig.api, ids[i], &e), -1);
		assert_int_equal(e.failure, API_BROKEN);
		assert_int_equal(rig.n_requests, 0);
	}
}

static void test_delete(void **state)
{
	static const int good[] = {200, 202, 204, 404, 410};
	static const int bad[] = {400, 401, 403, 409, 422, 302};
	struct api_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		answers({good[i]});
		assert_int_equal(api_delete(rig.api, "s1", &e), 0);
		assert_request(0, "DELETE https://peer.example/v0.1/sessions/s1 ");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		answers({bad[i]});
		assert_int_equal(api_delete(rig.api, "s1", &e), -1);
	}
	/* It may be sent twice. */
	answers({-ETIMEDOUT}, {204});
	assert_int_equal(api_delete(rig.api, "s1", &e), 0);
}

static void test_delete_batch(void **state)
{
	const char *const ids[] = {"s1", "s2"};
	bool gone[2] = {};
	struct api_error e;

	(void)state;
	answers({204});
	assert_int_equal(api_delete_batch(rig.api, ids, 2, gone, &e), -1);
	assert_int_equal(e.failure, API_UNSUPPORTED);
	rig.server.batch_delete = true;
	answers({200, "{\"sessions\": [{\"session_id\": \"s2\", \"status\": \"deleted\"}]}"},
		{204});
	assert_int_equal(api_delete_batch(rig.api, ids, 2, gone, &e), 0);
	assert_request(0, "DELETE https://peer.example/v0.1/sessions"
			  " [{\"session_id\":\"s1\"},{\"session_id\":\"s2\"}]\n");
	assert_false(gone[0]);
	assert_true(gone[1]);
	assert_int_equal(api_delete_batch(rig.api, ids, 2, gone, &e), 0);
	assert_true(gone[0]);
}

/* ---- create ---- */

static struct record asked_for(const char *neighbor)
{
	struct record r = {.initiator = {.asn = 64501, .insert_asn = true, .role = BGP_ROLE_PEER},
			   .receiver = {.asn = 64502, .insert_asn = true, .role = BGP_ROLE_PEER},
			   .secret = "s3cret"};

	assert_int_equal(addr_parse("192.0.2.1", &r.initiator.ip, NULL), 0);
	assert_int_equal(addr_parse(neighbor, &r.receiver.ip, NULL), 0);
	strcpy(r.location.id, "pdb:ix:42");
	return r;
}

static int create(struct created *c, struct api_error *e)
{
	struct record asked[] = {asked_for("192.0.2.2"), asked_for("192.0.2.3"),
				 asked_for("192.0.2.4")};

	*c = (struct created){};
	return api_create(rig.api, asked, 3, "11111111-2222-4333-8444-555555555555", c, e);
}

#define SAID(n, status)                                                                            \
	"{\"local_ip\": \"192.0.2.1\", \"peer_ip\": \"192.0.2." n "\"" status ", \"session_id\": " \
	"\"s" n "\"}"

static void assert_outcomes(const char *body, int status, const char *kinds)
{
	struct created c;
	struct api_error e;

	answers({status, body});
	if (create(&c, &e) < 0)
		fail_msg("%s: %s", body, e.text);
	assert_int_equal(c.n_outcomes, 3);
	for (size_t i = 0; i < 3; i++)
		if ("APRHU"[c.outcomes[i].kind] != kinds[i])
			fail_msg("%s: outcome %zu is %c", body, i, "APRHU"[c.outcomes[i].kind]);
	created_done(&c);
}

static void test_create_outcomes(void **state)
{
	(void)state;
	assert_outcomes("{\"sessions\": [" SAID("2", "") "," SAID("3", "") "," SAID("4", "") "]}",
			200, "AAA");
	assert_outcomes("{\"sessions\": [" SAID("4", "") "," SAID("2", "") "," SAID("3", "") "]}",
			201, "AAA");
	assert_outcomes(
		"{\"sessions\": [" SAID("2", ", \"status\": \"Pending\"") "," SAID(
			"3",
			", \"status\": \"Rejected\"") "," SAID("4",
							       ", \"status\": \"nonsense\"") "]}",
		200, "PRU");
	/* Partial approval by the draft: what is missing has errors. */
	assert_outcomes("{\"sessions\": [" SAID("2", "") "," SAID(
				"4", "") "], \"errors\": "
					 "{\"errors\": [{\"name\": \"sessions[1].peer_ip\", "
					 "\"errors\": [\"no\"]}]}}",
			200, "ARA");
	assert_outcomes("{\"sessions\": []}", 200, "UUU");
	use_era(ERA_A);
	assert_outcomes("[" SAID("2", "") "," SAID("3", "") "," SAID("4", "") "]", 200, "AAA");
	/* In a 300 nothing goes without saying. */
	assert_outcomes("[" SAID("2", ", \"status\": \"approved\"") "," SAID("3", "") "," SAID(
				"4", ", \"status\": \"rejected\"") "]",
			300, "AUR");
}

static void test_create_reasons(void **state)
{
	struct created c;
	struct api_error e;

	(void)state;
	answers({200,
		 "{\"request_id\": \"q-9\", \"sessions\": [" SAID(
			 "2", "") "], \"errors\": ["
				  "{\"name\": \"sessions[1]\", \"messages\": [\"no capacity\"]},"
				  "{\"name\": \"192.0.2.4\", \"errors\": [\"not ours\"]}]}"});
	assert_int_equal(create(&c, &e), 0);
	assert_string_equal(c.request_id, "q-9");
	assert_int_equal(c.outcomes[1].kind, OUTCOME_REJECTED);
	assert_string_equal(c.outcomes[1].reason, "sessions[1]: no capacity");
	assert_string_equal(c.outcomes[2].reason, "192.0.2.4: not ours");
	/* What was asked is kept where the server says nothing. */
	assert_string_equal(c.outcomes[1].record.location.id, "pdb:ix:42");
	assert_string_equal(c.outcomes[0].record.secret, "s3cret");
	assert_string_equal(c.outcomes[0].record.session_id, "s2");
	created_done(&c);
}

static void test_create_extra(void **state)
{
	struct created c;
	struct api_error e;

	(void)state;
	answers({200, "{\"sessions\": [" SAID("2", "") "," SAID("9", "") "," SAID("3", "") "," SAID(
			      "4", "") ", {\"local_asn\": 0}]}"});
	assert_int_equal(create(&c, &e), 0);
	assert_int_equal(c.extra.n, 1);
	assert_string_equal(c.extra.items[0].session_id, "s9");
	assert_non_null(strstr(c.note, "1 sessions of the answer cannot be read"));
	created_done(&c);
	/* The second record about one session is not what was asked for. */
	answers({200,
		 "{\"sessions\": [" SAID(
			 "2",
			 "") ",{\"local_ip\": \"192.0.2.1\", \"peer_ip\": "
			     "\"192.0.2.2\", \"status\": \"rejected\", \"session_id\": \"z\"}]}"});
	assert_int_equal(create(&c, &e), 0);
	assert_int_equal(c.outcomes[0].kind, OUTCOME_APPROVED);
	assert_int_equal(c.extra.n, 1);
	created_done(&c);
}

static void test_create_bodies(void **state)
{
	static const char id[] = "r-000000-0000-4000-8000-000000000000";
	struct record asked = asked_for("192.0.2.2");
	struct created c = {};
	struct api_error e;

	(void)state;
	answers({200, "{\"sessions\": []}"}, {200, "{\"sessions\": []}"});
	assert_int_equal(api_create(rig.api, &asked, 1, id, &c, &e), 0);
	created_done(&c);
	assert_request(0, "POST https://peer.example/v0.1/sessions"
			  " [{\"local_asn\":64501,\"local_ip\":\"192.0.2.1\",\"peer_asn\":64502,"
			  "\"peer_ip\":\"192.0.2.2\",\"local_bgp_role\":4,\"peer_bgp_role\":4,"
			  "\"peer_type\":\"public\",\"session_secret\":\"s3cret\","
			  "\"location\":{\"id\":\"pdb:ix:42\",\"type\":\"public\"}}]\n");
	rig.server.batch_form = BATCH_OBJECT;
	assert_int_equal(api_create(rig.api, &asked, 1, id, &c, &e), 0);
	created_done(&c);
	assert_non_null(strstr(rig.requests[1], "/sessions {\"sessions\":[{\"local_asn\""));
	assert_non_null(strstr(rig.requests[1], "\"request_id\":\"r-000"));
	use_era(ERA_A);
	answers({200, "[]"});
	assert_int_equal(api_create(rig.api, &asked, 1, id, &c, &e), 0);
	created_done(&c);
	assert_non_null(strstr(rig.requests[0], "/add_sessions [{\"local_asn\""));
	assert_non_null(strstr(rig.requests[0], "\"md5\":\"s3cret\""));
}

/* It is not sent again when the server may have acted on it. */
static void test_create_once(void **state)
{
	static const struct {
		int status;
		size_t tries;
	} rows[] = {{-ETIMEDOUT, 1}, {-ECONNRESET, 1},	 {500, 1},	     {502, 1}, {422, 1},
		    {409, 1},	     {-ECONNREFUSED, 2}, {-EHOSTUNREACH, 2}, {429, 2}, {503, 2}};
	struct created c;
	struct api_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers({rows[i].status}, {200, "{\"sessions\": []}"});
		if (create(&c, &e) == 0)
			created_done(&c);
		if (rig.n_requests != rows[i].tries)
			fail_msg("%d: sent %zu times", rows[i].status, rig.n_requests);
	}
}

static void test_create_refused(void **state)
{
	static const char *const bodies[] = {
		"", "null", "[]", "{\"sessions\": 5}",
		"{\"sessions\": [" SAID("2", "") "," SAID("2", "") "]}"};
	struct created c;
	struct api_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		answers({200, bodies[i]});
		assert_int_equal(create(&c, &e), -1);
		assert_int_equal(e.failure, API_BROKEN);
		assert_null(c.outcomes);
	}
	answers({300, "{\"sessions\": []}"}); /* era B has no 300 any more */
	assert_int_equal(create(&c, &e), -1);
	assert_int_equal(e.failure, API_REDIRECT);
}

/* ---- the rest ---- */

static void test_auth_and_register(void **state)
{
	char id[RECORD_ID_MAX];
	struct api_error e;

	(void)state;
	answers({200}, {404}, {200, "{\"client_id\": \"example-id\"}"}, {200, "{}"});
	assert_int_equal(api_auth(rig.api, &e), 0);
	assert_request(0, "GET https://peer.example/v0.1/auth ");
	assert_int_equal(api_auth(rig.api, &e), -1);
	assert_int_equal(e.failure, API_NOT_FOUND);
	assert_int_equal(api_register(rig.api, "https://idp.example/", id, &e), 0);
	assert_string_equal(id, "example-id");
	assert_request(2, "POST https://peer.example/v0.1/oauth/client_register"
			  " {\"idp_base\":\"https://idp.example/\"}\n");
	assert_int_equal(api_register(rig.api, "https://idp.example/", id, &e), -1);
	assert_int_equal(e.failure, API_BROKEN);
}

static void test_probe(void **state)
{
	static const struct {
		struct answer nowhere, a, b;
		bool has_a, has_b, needs_token, is_paged;
	} rows[] = {
		{{404},
		 {404},
		 {200, "{\"sessions\": [], \"next_token\": \"x\"}"},
		 false,
		 true,
		 false,
		 true},
		{{404}, {200, "[]"}, {404}, true, false, false, false},
		{{404}, {200, "[]"}, {200, "{\"sessions\": []}"}, true, true, false, false},
		{{404}, {404}, {401}, false, true, true, false},
		{{404}, {403}, {404}, true, false, true, false},
		{{401}, {401}, {401}, false, false, true, false},
		{{200, "<html>"}, {200, "<html>"}, {200, "<html>"}, false, false, false, false},
		{{404}, {404}, {400, "{}"}, false, true, false, false},
		{{500}, {500}, {500}, false, false, false, false},
	};
	struct probed p;
	struct api_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers(rows[i].nowhere, rows[i].a, rows[i].b);
		assert_int_equal(api_probe(rig.api, 64501, &p, &e), 0);
		if (p.has_a != rows[i].has_a || p.has_b != rows[i].has_b ||
		    p.needs_token != rows[i].needs_token || p.is_paged != rows[i].is_paged)
			fail_msg("row %zu: %s", i, p.evidence);
		assert_int_equal(rig.n_requests, 3);
	}
	answers({-ECONNREFUSED});
	assert_int_equal(api_probe(rig.api, 64501, &p, &e), -1);
	assert_int_equal(e.failure, API_UNREACHABLE);
}

#define rigged(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rigged(test_statuses),	      rigged(test_complaints),
		rigged(test_network_errors),  rigged(test_retries),
		rigged(test_retry_after),     rigged(test_cancelled),
		rigged(test_token),	      rigged(test_token_renewed_once),
		rigged(test_no_token),	      rigged(test_pages),
		rigged(test_listing_refused), rigged(test_token_repeats),
		rigged(test_listing_bounds),  rigged(test_listing_takes_too_long),
		rigged(test_unreadable),      rigged(test_era_a),
		rigged(test_locations),	      rigged(test_one),
		rigged(test_hostile_ids),     rigged(test_delete),
		rigged(test_delete_batch),    rigged(test_create_outcomes),
		rigged(test_create_reasons),  rigged(test_create_extra),
		rigged(test_create_bodies),   rigged(test_create_once),
		rigged(test_create_refused),  rigged(test_auth_and_register),
		rigged(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
