/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Peering API's endpoints, of both eras, towards one server.
 *
 * Everything is bounded: time, bytes, pages, records. An answer is used whole or not at all: a page
 * that cannot be read makes the listing fail, so that nobody takes what is missing for deleted.
 * Retries (network errors, 429, 5xx) back off with jitter and honour Retry-After; 401 renews the
 * token once; 3xx is never followed; 422 is for a human.
 */
#ifndef BOTLS_API_H
#define BOTLS_API_H

#include "record.h"
#include "token.h"

struct api;

/* What the program around it does with time and progress. */
struct api_environment {
	time_t (*now)(void *arg);
	/* Waits; returns -ECANCELED when the program is to end. */
	int (*wait_ms)(void *arg, uint64_t ms);
	/* "sessions: page 3, 300 so far"; may be NULL */
	void (*progress)(void *arg, const char *server, const char *text);
	/* every request made, for the audit log: id, method, path without query, status or -errno;
	 * may be NULL */
	void (*requested)(void *arg, const char *server, const char *id, const char *method,
			  const char *path, int status);
	void *arg;
};

/* `s`, `h` and `t` must outlive it. */
int api_new(const struct server_settings *s, struct http *h, struct tokens *t,
	    const struct api_environment *env, struct api **ret);
void api_free(struct api *a);

/* How a call ended that did not succeed. */
enum api_failure {
	API_OK,
	API_UNREACHABLE,  /* no answer, or none that is HTTP; retries included */
	API_UNAUTHORIZED, /* 401 after a renewal, or no token to be had */
	API_FORBIDDEN,	  /* 403 */
	API_NOT_FOUND,	  /* 404, 410 */
	API_CONFLICT,	  /* 409: it exists already */
	API_BAD_REQUEST,  /* 400 and other 4xx */
	API_HUMAN,	  /* 422: park it, do not retry */
	API_BUSY,	  /* 429 or 503 for longer than we wait */
	API_SERVER,	  /* 5xx */
	API_REDIRECT,	  /* 3xx that is no answer of this API */
	API_BROKEN,	  /* an answer that is not what the specification says, or over a bound */
	API_UNSUPPORTED,  /* this era has no such call */
	API_CANCELLED,
	API_MEMORY,
};
struct api_error {
	enum api_failure failure;
	int status; /* of HTTP; 0: none */
	char request_id[64];
	char text[512]; /* one line: what, where, what to do; printable */
};
const char *api_failure_name(enum api_failure f); /* "unreachable", "human", ... */

struct records {
	struct record *items;
	size_t n;
};
void records_done(struct records *r);
#define _cleanup_records_ __attribute__((cleanup(records_done)))

struct locations {
	struct location *items;
	size_t n;
};
void locations_done(struct locations *l);
#define _cleanup_locations_ __attribute__((cleanup(locations_done)))

/* All of these return 0 or -1 with *e filled. */

/* GET /auth: do the credentials work? API_NOT_FOUND: this server has no such endpoint. */
int api_auth(struct api *a, struct api_error *e);

/* GET /list_locations or /locations for the given AS; `type` filters, NULL: all. */
int api_locations(struct api *a, uint32_t asn, const enum location_type *type,
		  struct locations *ret, struct api_error *e);

/* GET /get_status or /sessions: all sessions with `asn` (the requester's), of one request when
 * `request_id` is not NULL. All pages. Single records that cannot be read do not spoil the listing;
 * they are counted in *ret_unreadable and the first reason is told there: a session that we own and
 * that is not in `ret` may be among them. Two records with the same session_id make it API_BROKEN.
 */
struct unreadable {
	size_t n;
	char first[256];
};
int api_sessions(struct api *a, uint32_t asn, const char *request_id, struct records *ret,
		 struct unreadable *ret_unreadable, struct api_error *e);

/* GET /sessions/{id}; API_UNSUPPORTED in era A. */
int api_session(struct api *a, const char *session_id, struct record *ret, struct api_error *e);

/* POST /add_sessions or /sessions. One outcome for each session asked for, in the same order, and
 * what the server adds. 300 (era A) is an answer. When the call as such fails nothing is set. */
enum outcome_kind {
	OUTCOME_APPROVED,
	OUTCOME_PENDING,
	OUTCOME_REJECTED,
	OUTCOME_HUMAN,	 /* the server asks for one */
	OUTCOME_UNKNOWN, /* not mentioned in the answer, or with a word that we do not know */
};
struct outcome {
	enum outcome_kind kind;
	struct record record; /* as the server has it; as asked for where it says nothing */
	char reason[RECORD_TEXT_MAX];
};
struct created {
	char request_id[RECORD_ID_MAX];
	struct outcome *outcomes;
	size_t n_outcomes;
	struct records extra;	    /* proposed in addition */
	char note[RECORD_TEXT_MAX]; /* errors that belong to no single session */
};
void created_done(struct created *c);
#define _cleanup_created_ __attribute__((cleanup(created_done)))
int api_create(struct api *a, const struct record *asked, size_t n, const char *request_id,
	       struct created *ret, struct api_error *e);

/* DELETE /sessions/{id}; 200, 202, 204, and 404, 410 (gone already) are success. */
int api_delete(struct api *a, const char *session_id, struct api_error *e);
/* DELETE /sessions with a body of references. *ret_gone[i]: the server has confirmed that one.
 * API_UNSUPPORTED unless the server is configured with batch-delete. */
int api_delete_batch(struct api *a, const char *const *session_ids, size_t n, bool *ret_gone,
		     struct api_error *e);

/* POST /oauth/client_register (draft-ietf-grow-peering-api-01). */
int api_register(struct api *a, const char *idp_base, char ret_client_id[static RECORD_ID_MAX],
		 struct api_error *e);

/* Which era does this server speak? Asks both eras' endpoints for `asn`. */
struct probed {
	bool has_a,
		has_b; /* an answer of that era's form, or a 401/403 that only a known path gives */
	bool needs_token;
	bool is_paged;
	char evidence[512]; /* "GET /sessions: 200, an object with sessions; ..." */
};
int api_probe(struct api *a, uint32_t asn, struct probed *ret, struct api_error *e);

#endif
