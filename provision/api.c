// SPDX-License-Identifier: Apache-2.0
/*
 * One call towards a Peering API server: token, request, retries, and what its failure means.
 *
 * A wait is never longer than API_WAIT_MAX: a server that wants more is API_BUSY, and the next run
 * asks again.
 */
#include "api_internal.h"
#include "audit.h"
#include "jitter.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>

#define API_WAIT_MAX   120 /* seconds */
#define API_BACKOFF_MS 500 /* doubled with each attempt */

int api_new(const struct server_settings *s, struct http *h, struct tokens *t,
	    const struct api_environment *env, struct api **ret)
{
	struct api *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	*a = (struct api){
		.server = s, .http = h, .tokens = t, .env = *env, .profile = record_profile_of(s)};
	*ret = a;
	return 0;
}

void api_free(struct api *a)
{
	free(a);
}

const char *api_failure_name(enum api_failure f)
{
	static const char *const names[] = {[API_OK] = "ok",
					    [API_UNREACHABLE] = "unreachable",
					    [API_UNAUTHORIZED] = "unauthorized",
					    [API_FORBIDDEN] = "forbidden",
					    [API_NOT_FOUND] = "not-found",
					    [API_CONFLICT] = "conflict",
					    [API_BAD_REQUEST] = "bad-request",
					    [API_HUMAN] = "human",
					    [API_BUSY] = "busy",
					    [API_SERVER] = "server-error",
					    [API_REDIRECT] = "redirect",
					    [API_BROKEN] = "broken",
					    [API_UNSUPPORTED] = "unsupported",
					    [API_CANCELLED] = "cancelled",
					    [API_MEMORY] = "memory"};

	return names[f];
}

/* ---- paths ---- */

static void path_append(struct api_path *p, const char *text)
{
	size_t used = strlen(p->text), n = strlen(text);

	if (used + n >= sizeof(p->text))
		p->is_too_long = true;
	else
		memcpy(p->text + used, text, n + 1);
}

static void path_append_escaped(struct api_path *p, const char *text)
{
	if (http_escape(text, p->text, sizeof(p->text)) < 0)
		p->is_too_long = true;
}

void api_path_init(struct api_path *p, const char *path)
{
	p->text[0] = '\0';
	p->is_too_long = false;
	path_append(p, path);
}

void api_path_query(struct api_path *p, const char *name, const char *value)
{
	path_append(p, strchr(p->text, '?') ? "&" : "?");
	path_append(p, name);
	path_append(p, "=");
	path_append_escaped(p, value);
}

void api_path_query_number(struct api_path *p, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	api_path_query(p, name, text);
}

void api_path_segment(struct api_path *p, const char *segment)
{
	path_append(p, "/");
	if (!*segment || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
		p->is_too_long = true;
	else
		path_append_escaped(p, segment);
}

/* ---- failures ---- */

static void format_failure(struct api *a, const struct api_call *c, const char *text,
			   struct api_error *e)
{
	char path[128], line[1024];

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(c->path->text, "?"), c->path->text);
	snprintf(line, sizeof(line), "%s: %s %s: %s", a->server->name, c->method, path, text);
	text_copy(e->text, sizeof(e->text), line);
}

int api_fail(struct api *a, const struct api_call *c, enum api_failure failure, int status,
	     struct api_error *e, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->failure = failure;
	e->status = status;
	format_failure(a, c, text, e);
	return -1;
}

static enum api_failure failure_of_status(int status)
{
	switch (status) {
	case 401: return API_UNAUTHORIZED;
	case 403: return API_FORBIDDEN;
	case 404:
	case 410: return API_NOT_FOUND;
	case 409: return API_CONFLICT;
	case 422: return API_HUMAN;
	case 429:
	case 503: return API_BUSY;
	}
	if (status >= 300 && status < 400)
		return API_REDIRECT;
	if (status >= 400 && status < 500)
		return API_BAD_REQUEST;
	return status >= 500 ? API_SERVER : API_BROKEN;
}

/* What an operator does about it. */
static const char *advice(enum api_failure f)
{
	switch (f) {
	case API_UNAUTHORIZED: return "; check the credentials of this server's block";
	case API_FORBIDDEN: return "; the other network does not let our AS do this: ask it";
	case API_NOT_FOUND: return "; check url and era (`probe` finds out)";
	case API_HUMAN: return "; the other network wants to look at it: not asked again";
	case API_REDIRECT: return "; redirects are not followed: put the final URL into url";
	case API_BUSY: return "; asked again with the next run";
	case API_OK:
	case API_UNREACHABLE:
	case API_CONFLICT:
	case API_BAD_REQUEST:
	case API_SERVER:
	case API_BROKEN:
	case API_UNSUPPORTED:
	case API_CANCELLED:
	case API_MEMORY: break;
	}
	return "";
}

static int fail_with_status(struct api *a, const struct api_call *c, const struct http_response *r,
			    struct api_error *e)
{
	enum api_failure f = failure_of_status(r->status);
	char said[300], where[280] = "";

	answer_complaint(r, said, sizeof(said));
	if (f == API_REDIRECT && *r->location)
		snprintf(where, sizeof(where), " to %s", r->location);
	return api_fail(a, c, f, r->status, e, "status %d%s%s%s%s", r->status, where,
			*said ? ": " : "", said, advice(f));
}

static int fail_with_errno(struct api *a, const struct api_call *c, int error,
			   const struct errtext *why, struct api_error *e)
{
	switch (error) {
	case -ECANCELED: return api_fail(a, c, API_CANCELLED, 0, e, "interrupted");
	case -ENOMEM: return api_fail(a, c, API_MEMORY, 0, e, "out of memory");
	case -EFBIG:
	case -EPROTO: return api_fail(a, c, API_BROKEN, 0, e, "%s", why->text);
	}
	return api_fail(a, c, API_UNREACHABLE, 0, e, "%s", why->text);
}

/* ---- one attempt, and the next ---- */

struct attempt {
	struct api *api;
	const struct api_call *call;
	const char *url, *body;
	size_t body_len;
	struct api_error *e;
	unsigned number;
	bool has_renewed, must_renew; /* once, after 401 */
};

static enum api_failure failure_of_token(int error)
{
	switch (error) {
	case -ECANCELED: return API_CANCELLED;
	case -ENOMEM: return API_MEMORY;
	case -ETIMEDOUT:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
	case -EKEYREJECTED: return API_UNREACHABLE;
	}
	return API_UNAUTHORIZED;
}

static int perform(struct attempt *t, struct http_response *ret, struct errtext *why)
{
	struct api *a = t->api;
	const struct server_settings *s = a->server;
	const char *authorization = NULL;
	struct http_request q;
	int r;

	r = token_get(a->tokens, s, a->env.now(a->env.arg), t->must_renew, &authorization, why);
	t->must_renew = false;
	if (r < 0) {
		api_fail(a, t->call, failure_of_token(r), 0, t->e, "no token: %s", why->text);
		return 1; /* said already */
	}
	q = (struct http_request){.method = t->call->method,
				  .url = t->url,
				  .authorization = authorization,
				  .content_type = t->body ? "application/json" : NULL,
				  .body = t->body,
				  .body_len = t->body_len,
				  .request_id = t->e->request_id,
				  .ca = s->ca,
				  .allow_http = s->allow_http,
				  .timeout = s->timeout};
	r = http_perform(a->http, &q, ret, why);
	if (a->env.requested) {
		char path[256];

		snprintf(path, sizeof(path), "%.*s", (int)strcspn(t->call->path->text, "?"),
			 t->call->path->text);
		a->env.requested(a->env.arg, s->name, t->e->request_id, t->call->method, path,
				 r < 0 ? r : ret->status);
	}
	return r;
}

/* A request that may not be sent twice is sent again only when nobody can have acted on it. */
static bool may_retry(const struct attempt *t, int error, int status)
{
	if (t->call->no_retry || t->number >= t->api->server->retries)
		return false;
	if (t->call->is_once && error)
		return error == -ECONNREFUSED || error == -EHOSTUNREACH;
	if (t->call->is_once)
		return status == 429 || status == 503;
	return http_may_retry(error, status);
}

/* Waits before the next attempt. -EBUSY: the server wants us to wait too long; -ECANCELED. */
static int wait_before_retry(const struct attempt *t, int64_t retry_after)
{
	struct api *a = t->api;
	uint64_t ms = API_BACKOFF_MS << (t->number < 7 ? t->number : 7);
	char text[64];

	if (retry_after > API_WAIT_MAX)
		return -EBUSY;
	ms = retry_after >= 0 ? (uint64_t)retry_after * 1000 + jitter_ms(200) : jitter_ms(ms);
	if (a->env.progress) {
		snprintf(text, sizeof(text), "tries again in %.1f s", ms / 1000.0);
		a->env.progress(a->env.arg, a->server->name, text);
	}
	return a->env.wait_ms(a->env.arg, ms);
}

/* 0: an answer to use; 1: once more; -1: failed with *e. */
static int attempt(struct attempt *t, struct http_response *ret)
{
	_cleanup_http_response_ struct http_response answer = {};
	struct errtext why;
	int r = perform(t, &answer, &why), waited;
	int error = r < 0 ? r : 0;

	if (r > 0)
		return -1;
	if (!error && ((answer.status >= 200 && answer.status < 300) ||
		       (answer.status == 300 && t->call->takes_300))) {
		*ret = answer;
		answer = (struct http_response){};
		return 0;
	}
	if (!error && answer.status == 401 && !t->has_renewed &&
	    t->api->server->auth != AUTH_NONE) {
		t->has_renewed = t->must_renew = true;
		return 1;
	}
	if (may_retry(t, error, answer.status)) {
		waited = wait_before_retry(t, error ? -1 : answer.retry_after);
		t->number++;
		if (!waited)
			return 1;
		if (waited == -ECANCELED)
			return api_fail(t->api, t->call, API_CANCELLED, 0, t->e, "interrupted");
		return api_fail(t->api, t->call, API_BUSY, answer.status, t->e,
				"status %d: wants us to wait %lld s; asked again with a later run",
				answer.status, (long long)answer.retry_after);
	}
	return error ? fail_with_errno(t->api, t->call, error, &why, t->e)
		     : fail_with_status(t->api, t->call, &answer, t->e);
}

static char *join(const char *base, const char *path)
{
	size_t len = strlen(base) + strlen(path) + 1;
	char *url = malloc(len);

	if (url)
		snprintf(url, len, "%s%s", base, path);
	return url;
}

int api_call(struct api *a, const struct api_call *c, struct http_response *ret,
	     struct api_error *e)
{
	_cleanup_free_ char *url = NULL, *body = NULL;
	struct attempt t = {.api = a, .call = c, .e = e};
	int r;

	*e = (struct api_error){};
	if (c->request_id)
		text_copy(e->request_id, sizeof(e->request_id), c->request_id);
	else
		audit_new_id(e->request_id);
	if (c->path->is_too_long)
		return api_fail(a, c, API_BROKEN, 0, e,
				"an identifier of the server cannot be put into a URL");
	if (c->body)
		body = jv_dump_line(c->body, &t.body_len);
	url = join(a->server->url, c->path->text);
	if ((c->body && !body) || !url)
		return api_fail(a, c, API_MEMORY, 0, e, "out of memory");
	t.url = url;
	t.body = body;
	do
		r = attempt(&t, ret);
	while (r > 0);
	if (body)
		explicit_bzero(body, t.body_len);
	return r;
}

int api_parse(struct api *a, const struct api_call *c, const struct http_response *r,
	      struct jv **ret, struct api_error *e)
{
	struct errtext why;
	int error = jv_parse(r->body, r->len, ret, &why);

	if (error == -ENOMEM)
		return api_fail(a, c, API_MEMORY, r->status, e, "out of memory");
	if (error < 0)
		return api_fail(a, c, API_BROKEN, r->status, e, "the answer is %s%s%s", why.text,
				*r->content_type ? "; it calls itself " : "", r->content_type);
	return 0;
}
