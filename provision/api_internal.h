/* SPDX-License-Identifier: Apache-2.0 */
/* What api*.c share: one call with its retries, and the reading of answers (which is fuzzed by
 * itself). */
#ifndef BOTLS_API_INTERNAL_H
#define BOTLS_API_INTERNAL_H

#include "api.h"
#include "json.h"

struct api {
	const struct server_settings *server;
	struct http *http;
	struct tokens *tokens;
	struct api_environment env;
	struct record_profile profile;
};

/* A path with its query, grown safely. */
#define API_PATH_MAX 6000
struct api_path {
	char text[API_PATH_MAX];
	bool is_too_long;
};
void api_path_init(struct api_path *p, const char *path);
/* Appends "?name=value" or "&name=value", the value escaped. */
void api_path_query(struct api_path *p, const char *name, const char *value);
void api_path_query_number(struct api_path *p, const char *name, uint64_t value);
/* Appends "/segment", escaped. A segment that servers and proxies would take for a way up is
 * refused as too long. */
void api_path_segment(struct api_path *p, const char *segment);

/* One call. `body` (may be NULL) is borrowed. Returns 0 with an answer of 200..299, or 300 when
 * `takes_300`; else -1 with *e. `is_once`: sending it twice may do something twice, so it is sent
 * again only when the server cannot have acted on it. */
struct api_call {
	const char *method;
	const struct api_path *path;
	const struct jv *body;
	const char *request_id; /* NULL: a new one */
	bool takes_300;
	bool is_once;
	bool no_retry;
};
int api_call(struct api *a, const struct api_call *c, struct http_response *ret,
	     struct api_error *e);

/* Fills *e: "SERVER: METHOD PATH: text". Returns -1. */
int api_fail(struct api *a, const struct api_call *c, enum api_failure failure, int status,
	     struct api_error *e, const char *fmt, ...) PRINTF(6, 7);
/* The answer as JSON, or API_BROKEN. */
int api_parse(struct api *a, const struct api_call *c, const struct http_response *r,
	      struct jv **ret, struct api_error *e);

/* ---- api_answer.c: answers, whoever asked ---- */

/* What the server says went wrong, from any of the forms in use, joined and printable; "" when it
 * says nothing that can be read. Returns buf. */
const char *answer_errors(const struct jv *v, char *buf, size_t size);
/* The same of a body that may not be JSON at all. */
const char *answer_complaint(const struct http_response *r, char *buf, size_t size);

/* The list of sessions or locations in an answer of this era; NULL with *e when there is none. */
const struct jv *answer_list(const struct jv *v, enum wire_era era, const char *name,
			     struct errtext *e);
/* The token of the next page, "" at the end, NULL with *e when it is nothing of the kind. */
const char *answer_next_token(const struct jv *v, struct errtext *e);

/* Adds the items to *ret; those that cannot be read are counted. -ENOMEM, or -E2BIG over `max`. */
int answer_records(const struct jv *list, const struct record_profile *p, size_t max,
		   struct records *ret, struct unreadable *ret_unreadable);
int answer_locations(const struct jv *list, size_t max, struct locations *ret);
/* -EEXIST: two records have the same session_id, which is put into *e. */
int answer_check_ids(const struct records *r, struct errtext *e);

/* The answer to a create. `is_partial`: 300. 0, -ENOMEM, or -EINVAL with *e. */
int answer_created(const struct jv *v, const struct record_profile *p, bool is_partial,
		   const struct record *asked, size_t n, struct created *ret, struct errtext *e);

#endif
