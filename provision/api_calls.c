// SPDX-License-Identifier: Apache-2.0
/* The endpoints, era A and era B: docs/provisioning.md has the table. */
#include "api_internal.h"
#include "text.h"

#include <errno.h>

/* Of one listing, in time-outs of one request: however many pages and retries. */
#define LISTING_TIMEOUTS 20

static enum wire_era era(const struct api *a)
{
	return a->server->era;
}

static int fail_answer(struct api *a, const struct api_call *c, const struct http_response *r,
		       int error, const struct errtext *why, struct api_error *e)
{
	if (error == -ENOMEM)
		return api_fail(a, c, API_MEMORY, r->status, e, "out of memory");
	return api_fail(a, c, API_BROKEN, r->status, e, "%s", why->text);
}

int api_auth(struct api *a, struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	struct api_path path;

	api_path_init(&path, "/auth");
	return api_call(a, &(struct api_call){.method = "GET", .path = &path}, &answer, e);
}

/* ---- listings ---- */

/* What is collected over the pages of one listing. */
struct listing {
	struct api *api;
	const char *what; /* "sessions", "locations" */
	void (*begin)(struct listing *l, struct api_path *path);
	int (*add)(struct listing *l, const struct jv *list); /* as answer_records() */
	uint32_t asn;
	const char *request_id;
	const enum location_type *type;
	struct records records;
	struct unreadable unreadable;
	struct locations locations;

	char **tokens; /* of the pages had so far */
	size_t n_tokens;
};

static void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n_tokens; i++)
		free(l->tokens[i]);
	free(l->tokens);
	records_done(&l->records);
	locations_done(&l->locations);
}

static bool has_token(const struct listing *l, const char *token)
{
	for (size_t i = 0; i < l->n_tokens; i++)
		if (strcmp(l->tokens[i], token) == 0)
			return true;
	return false;
}

static int add_token(struct listing *l, const char *token)
{
	char **more = reallocarray(l->tokens, l->n_tokens + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->tokens = more;
	more[l->n_tokens] = strdup(token);
	return more[l->n_tokens] ? (int)++l->n_tokens : -ENOMEM;
}

static void report_page(struct listing *l)
{
	struct api *a = l->api;
	char text[96];

	if (!a->env.progress)
		return;
	snprintf(text, sizeof(text), "%s: page %zu, %zu so far", l->what, l->n_tokens + 1,
		 l->records.n + l->locations.n);
	a->env.progress(a->env.arg, a->server->name, text);
}

/* Reads one page; *ret_more says whether another one follows (its token is the last one then). */
static int read_page(struct listing *l, const struct api_call *c, const struct http_response *r,
		     bool *ret_more, struct api_error *e)
{
	struct api *a = l->api;
	struct jv *v = NULL;
	struct errtext why = {};
	const struct jv *list;
	const char *token = "";
	int error = 0;

	if (api_parse(a, c, r, &v, e) < 0)
		return -1;
	list = answer_list(v, era(a), l->what, &why);
	if (!list)
		error = -EINVAL;
	else if (era(a) == ERA_B)
		token = answer_next_token(v, &why);
	if (list && !token)
		error = -EINVAL;
	if (!error && has_token(l, token))
		error = errtext_set(&why, -ELOOP, "next_token repeats: the listing never ends");
	if (!error)
		error = l->add(l, list);
	if (error == -E2BIG)
		errtext_set(&why, error, "more than %u %s (max-sessions)", a->server->max_sessions,
			    l->what);
	if (!error && *token)
		error = add_token(l, token) < 0 ? -ENOMEM : 0;
	*ret_more = !error && *token;
	jv_free(v);
	return error ? fail_answer(a, c, r, error, &why, e) : 0;
}

static int list_all(struct listing *l, struct api_error *e)
{
	struct api *a = l->api;
	time_t end = a->env.now(a->env.arg) + (time_t)a->server->timeout * LISTING_TIMEOUTS;
	bool more = true;

	while (more) {
		_cleanup_http_response_ struct http_response answer = {};
		struct api_path path;
		struct api_call c = {.method = "GET", .path = &path};

		l->begin(l, &path);
		if (era(a) == ERA_B)
			api_path_query_number(&path, "max_results", a->server->page_size);
		if (l->n_tokens)
			api_path_query(&path, "next_token", l->tokens[l->n_tokens - 1]);
		if (l->n_tokens >= a->server->max_pages)
			return api_fail(a, &c, API_BROKEN, 0, e, "more than %u pages (max-pages)",
					a->server->max_pages);
		if (a->env.now(a->env.arg) > end)
			return api_fail(a, &c, API_BROKEN, 0, e,
					"the listing takes longer than %u s (timeout times %d)",
					a->server->timeout * LISTING_TIMEOUTS, LISTING_TIMEOUTS);
		if (api_call(a, &c, &answer, e) < 0 || read_page(l, &c, &answer, &more, e) < 0)
			return -1;
		report_page(l);
	}
	return 0;
}

static void begin_locations(struct listing *l, struct api_path *path)
{
	api_path_init(path, era(l->api) == ERA_A ? "/list_locations" : "/locations");
	api_path_query_number(path, "asn", l->asn);
	if (l->type)
		api_path_query(path, "location_type",
			       *l->type == LOCATION_PUBLIC ? "public" : "private");
}

static int add_locations(struct listing *l, const struct jv *list)
{
	return answer_locations(list, l->api->server->max_sessions, &l->locations);
}

int api_locations(struct api *a, uint32_t asn, const enum location_type *type,
		  struct locations *ret, struct api_error *e)
{
	__attribute__((cleanup(listing_done))) struct listing l = {.api = a,
								   .what = "locations",
								   .begin = begin_locations,
								   .add = add_locations,
								   .asn = asn,
								   .type = type};

	if (list_all(&l, e) < 0)
		return -1;
	*ret = l.locations;
	l.locations = (struct locations){};
	return 0;
}

static void begin_sessions(struct listing *l, struct api_path *path)
{
	api_path_init(path, era(l->api) == ERA_A ? "/get_status" : "/sessions");
	api_path_query_number(path, "asn", l->asn);
	if (l->request_id)
		api_path_query(path, "request_id", l->request_id);
}

static int add_sessions(struct listing *l, const struct jv *list)
{
	return answer_records(list, &l->api->profile, l->api->server->max_sessions, &l->records,
			      &l->unreadable);
}

int api_sessions(struct api *a, uint32_t asn, const char *request_id, struct records *ret,
		 struct unreadable *ret_unreadable, struct api_error *e)
{
	__attribute__((cleanup(listing_done))) struct listing l = {.api = a,
								   .what = "sessions",
								   .begin = begin_sessions,
								   .add = add_sessions,
								   .asn = asn,
								   .request_id = request_id};
	struct errtext why;
	struct api_path path;
	struct api_call c = {.method = "GET", .path = &path};

	if (list_all(&l, e) < 0)
		return -1;
	begin_sessions(&l, &path);
	if (answer_check_ids(&l.records, &why) < 0)
		return api_fail(a, &c, API_BROKEN, 200, e, "%s", why.text);
	*ret = l.records;
	*ret_unreadable = l.unreadable;
	l.records = (struct records){};
	return 0;
}

/* ---- one session ---- */

static int need_era_b(struct api *a, const struct api_call *c, struct api_error *e)
{
	if (era(a) == ERA_B)
		return 0;
	*e = (struct api_error){};
	return api_fail(a, c, API_UNSUPPORTED, 0, e, "the API of era A has no such call");
}

int api_session(struct api *a, const char *session_id, struct record *ret, struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	struct api_path path;
	struct api_call c = {.method = "GET", .path = &path};
	struct jv *v = NULL;
	struct errtext why;
	int r;

	api_path_init(&path, "/sessions");
	api_path_segment(&path, session_id);
	if (need_era_b(a, &c, e) < 0 || api_call(a, &c, &answer, e) < 0 ||
	    api_parse(a, &c, &answer, &v, e) < 0)
		return -1;
	r = record_decode(v, &a->profile, ret, &why);
	jv_free(v);
	if (r < 0)
		return fail_answer(a, &c, &answer, r, &why, e);
	if (*ret->session_id && strcmp(ret->session_id, session_id) != 0)
		return api_fail(a, &c, API_BROKEN, answer.status, e, "it is about session %s",
				ret->session_id);
	return 0;
}

int api_delete(struct api *a, const char *session_id, struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	struct api_path path;
	struct api_call c = {.method = "DELETE", .path = &path};

	api_path_init(&path, "/sessions");
	api_path_segment(&path, session_id);
	if (need_era_b(a, &c, e) < 0)
		return -1;
	if (api_call(a, &c, &answer, e) < 0 && e->failure != API_NOT_FOUND)
		return -1;
	return 0;
}

/* Confirmed are those that the answer names, and all of them when it is empty (204). */
static void read_gone(const struct jv *v, const struct record_profile *p,
		      const char *const *session_ids, size_t n, bool *ret_gone)
{
	const struct jv *list = jv_get(v, "sessions");

	for (size_t i = 0; i < jv_size(list); i++) {
		struct record r;

		if (record_decode(jv_at(list, i), p, &r, NULL) < 0)
			continue;
		for (size_t k = 0; k < n; k++)
			if (strcmp(session_ids[k], r.session_id) == 0)
				ret_gone[k] = true;
		record_wipe(&r);
	}
}

int api_delete_batch(struct api *a, const char *const *session_ids, size_t n, bool *ret_gone,
		     struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	_cleanup_jv_ struct jv *body = jv_array_new();
	struct api_path path;
	struct api_call c = {.method = "DELETE", .path = &path, .body = body};
	struct jv *v = NULL;
	int r = 0;

	api_path_init(&path, "/sessions");
	if (need_era_b(a, &c, e) < 0)
		return -1;
	*e = (struct api_error){};
	if (!a->server->batch_delete)
		return api_fail(a, &c, API_UNSUPPORTED, 0, e, "batch-delete is not set");
	for (size_t i = 0; i < n; i++) {
		struct jv *reference = jv_object_new();

		r |= jv_set_string(reference, "session_id", session_ids[i]);
		r |= jv_append(body, reference);
	}
	if (r)
		return api_fail(a, &c, API_MEMORY, 0, e, "out of memory");
	if (api_call(a, &c, &answer, e) < 0)
		return -1;
	if (answer.status == 204) {
		for (size_t i = 0; i < n; i++)
			ret_gone[i] = true;
		return 0;
	}
	if (api_parse(a, &c, &answer, &v, e) < 0)
		return -1;
	read_gone(v, &a->profile, session_ids, n, ret_gone);
	jv_free(v);
	return 0;
}

/* ---- asking for sessions ---- */

static struct jv *create_body(struct api *a, const struct record *asked, size_t n,
			      const char *request_id)
{
	bool is_object = era(a) == ERA_B && a->server->batch_form == BATCH_OBJECT;
	struct jv *list = jv_array_new(), *o;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		r |= jv_append(list, record_encode(&asked[i], &a->profile));
	if (r || !is_object) {
		if (r)
			jv_free(list);
		return r ? NULL : list;
	}
	o = jv_object_new();
	r |= jv_set(o, "sessions", list);
	r |= jv_set_string(o, "request_id", request_id);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

int api_create(struct api *a, const struct record *asked, size_t n, const char *request_id,
	       struct created *ret, struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	_cleanup_jv_ struct jv *body = create_body(a, asked, n, request_id);
	struct api_path path;
	struct api_call c = {.method = "POST",
			     .path = &path,
			     .body = body,
			     .request_id = request_id,
			     .takes_300 = era(a) == ERA_A,
			     .is_once = true};
	struct jv *v = NULL;
	struct errtext why;
	int r;

	*e = (struct api_error){};
	api_path_init(&path, era(a) == ERA_A ? "/add_sessions" : "/sessions");
	if (!body)
		return api_fail(a, &c, API_MEMORY, 0, e, "out of memory");
	if (api_call(a, &c, &answer, e) < 0 || api_parse(a, &c, &answer, &v, e) < 0)
		return -1;
	r = answer_created(v, &a->profile, answer.status == 300, asked, n, ret, &why);
	jv_free(v);
	return r < 0 ? fail_answer(a, &c, &answer, r, &why, e) : 0;
}

int api_register(struct api *a, const char *idp_base, char ret_client_id[static RECORD_ID_MAX],
		 struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	_cleanup_jv_ struct jv *body = jv_object_new();
	struct api_path path;
	struct api_call c = {.method = "POST", .path = &path, .body = body, .is_once = true};
	struct jv *v = NULL;
	const char *id;
	int r = -1;

	*e = (struct api_error){};
	api_path_init(&path, "/oauth/client_register");
	if (jv_set_string(body, "idp_base", idp_base) < 0)
		return api_fail(a, &c, API_MEMORY, 0, e, "out of memory");
	if (api_call(a, &c, &answer, e) < 0 || api_parse(a, &c, &answer, &v, e) < 0)
		return -1;
	id = jv_get_string(v, "client_id", "");
	if (!*id || strlen(id) >= RECORD_ID_MAX) {
		api_fail(a, &c, API_BROKEN, answer.status, e, "the answer has no client_id");
	} else {
		text_copy(ret_client_id, RECORD_ID_MAX, id);
		r = 0;
	}
	jv_free(v);
	return r;
}
