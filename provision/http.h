/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTPS request, bounded in size and time. Only http.c sees libcurl.
 *
 * Certificates are always verified, with TLS 1.2 or later. Redirects are never followed: a 3xx is
 * an answer like any other. Plain http is for loopback addresses only, and only when asked for: no
 * socket is made for any other address. No cookies, no netrc, no compression, HTTP/1.1 or 2. The
 * proxies of the environment (https_proxy, no_proxy) are used for https, never for plain http, a
 * loopback address or localhost.
 *
 * An answer without a length ends with the connection, and may be cut short: its text must show
 * whether it is whole, as JSON does. What libcurl frees is wiped, since it may have held a token.
 * Sockets are close-on-exec.
 */
#ifndef BOTLS_HTTP_H
#define BOTLS_HTTP_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_BODY_MAX	 (4 << 20)
#define HTTP_HEADERS_MAX (64 << 10) /* of one answer, all together */
#define HTTP_URL_MAX	 4096
/* A Retry-After beyond this is this; a date that has passed is 0; what is neither a date nor a
 * number without a sign (RFC 9110 section 10.2.3) was not told. A date is taken relative to the
 * answer's own Date, so that the two clocks need not agree. */
#define HTTP_RETRY_AFTER_MAX 86400

struct http;
struct http_request;
struct http_response;
typedef int http_perform_fn(void *arg, const struct http_request *q, struct http_response *ret,
			    struct errtext *e);
/* One for the whole program: connections are kept and used again. */
int http_new(struct http **ret);
/* One whose requests are answered by `perform`: for tests and fuzzing. */
int http_new_answered(http_perform_fn *perform, void *arg, struct http **ret);
void http_free(struct http *h);

struct http_request {
	const char *method;			 /* "GET", "POST", "DELETE" */
	const char *url;			 /* complete, escaped; no user, no fragment */
	const char *authorization;		 /* value of the header, or NULL; secret */
	const char *basic_user, *basic_password; /* RFC 7617, when both are set; secret */
	const char *content_type;		 /* of body */
	const char *body;			 /* NULL: none */
	size_t body_len;
	const char *accept;	  /* NULL: application/json */
	const char *request_id;	  /* X-Request-Id; NULL: none */
	const char *ca;		  /* PEM file; NULL: the system's */
	bool allow_http;	  /* http:// to loopback */
	unsigned timeout;	  /* seconds for all of it; 0: 30 */
	unsigned connect_timeout; /* of these, until TLS is there; 0: 10 */
	size_t body_max;	  /* 0: HTTP_BODY_MAX */
};

struct http_response {
	int status; /* 100..599 */
	char *body; /* 0-terminated behind its len bytes; never NULL */
	size_t len;
	char content_type[128]; /* lower case, without parameters; empty: not told */
	int64_t retry_after;	/* seconds from now (a date is turned into that), -1: not told */
	char location[256];	/* of a 3xx, for the message; never followed */
	char www_authenticate[256];
};
void http_response_done(struct http_response *r); /* wipes the body: it may hold a token */
#define _cleanup_http_response_ __attribute__((cleanup(http_response_done)))

/* Returns 0 with any status, or with the reason in *e, which names host and port: -EPROTO (not
 * HTTP, broken, TLS alert), -EKEYREJECTED (certificate, or the CA file), -ETIMEDOUT, -ECONNREFUSED,
 * -EHOSTUNREACH (and no such name), -EFBIG (over a bound), -ECONNRESET (also in the middle of an
 * answer), -EINVAL (the URL, the method, a header's value), -EACCES (plain http where it is not
 * allowed), -ECANCELED (http_cancel), -ENOMEM. */
int http_perform(struct http *h, const struct http_request *q, struct http_response *ret,
		 struct errtext *e);

/* From a signal handler: the request under way ends with -ECANCELED, and all later ones. */
void http_cancel(void);

/* Whether a failed attempt may be made again: a network error (or -EBUSY, see token_get()) or 408,
 * 425, 429, 5xx but 501. */
bool http_may_retry(int error, int status);

/* Appends text escaped for a path segment or a query value (RFC 3986). -ENAMETOOLONG; -EINVAL: "",
 * "." and ".." would make another path. buf is as it was then. */
int http_escape(const char *text, char *buf, size_t size);

#endif
