// SPDX-License-Identifier: Apache-2.0
#include "token_internal.h"

#include "json.h"

#include <errno.h>

#define MARGIN_MAX	  60
#define METADATA_SIZE_MAX (256 << 10)
#define ANSWER_SIZE_MAX	  (64 << 10)

/* What is kept for one server. */
struct held {
	char *name, *binding;
	char *authorization; /* "Bearer ..."; NULL: none */
	int64_t obtained, expires;
};

struct tokens {
	struct http *http;
	int folder;
	struct held *held;
	size_t n_held;
};

bool token_is_good(const struct token *t, int64_t now)
{
	int64_t margin = (t->expires - t->obtained) / 10;

	return now >= t->obtained && now < t->expires - (margin < MARGIN_MAX ? margin : MARGIN_MAX);
}

char *token_binding(const struct server_settings *s)
{
	_cleanup_jv_ struct jv *v = jv_object_new();
	struct jv *command = jv_array_new();
	int r;

	r = jv_set_int(v, "auth", s->auth);
	r |= jv_set_string(v, "server", s->name);
	r |= jv_set_string(v, "url", s->url);
	r |= jv_set_string(v, "token_url", s->token_url);
	r |= jv_set_string(v, "issuer", s->issuer);
	r |= jv_set_string(v, "client_id", s->client_id);
	r |= jv_set_string(v, "scope", s->scope);
	r |= jv_set_string(v, "audience", s->audience);
	r |= jv_set_string(v, "resource", s->resource);
	for (size_t i = 0; i < s->n_token_command; i++)
		r |= jv_append_string(command, s->token_command[i]);
	r |= jv_set(v, "command", command);
	return r ? NULL : jv_dump_line(v, NULL);
}

int tokens_new(struct http *h, const char *folder, struct tokens **ret)
{
	_cleanup_close_ int fd = -1;
	struct tokens *t;
	int r = token_cache_open(folder, &fd);

	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	jv_wipe_freed();
	t->http = h;
	t->folder = TAKE_FD(fd);
	*ret = t;
	return 0;
}

static void drop(struct held *k)
{
	wipe_free(k->authorization);
	free(k->binding);
	k->authorization = k->binding = NULL;
}

void tokens_free(struct tokens *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_held; i++) {
		drop(&t->held[i]);
		free(t->held[i].name);
	}
	free(t->held);
	close(t->folder);
	free(t);
}

/* The entry of that server, made when it is not there. NULL: out of memory. */
static struct held *entry(struct tokens *t, const char *name)
{
	struct held *all;

	for (size_t i = 0; i < t->n_held; i++)
		if (strcmp(t->held[i].name, name) == 0)
			return &t->held[i];
	all = realloc(t->held, (t->n_held + 1) * sizeof(*all));
	if (!all)
		return NULL;
	t->held = all;
	all[t->n_held] = (struct held){.name = strdup(name)};
	return all[t->n_held].name ? &all[t->n_held++] : NULL;
}

static int hold(struct held *k, char *binding, const struct token *token, struct errtext *e)
{
	static const char scheme[] = "Bearer ";
	char *value = malloc(sizeof(scheme) + strlen(token->value));

	if (!value)
		return errtext_set(e, -ENOMEM, "out of memory");
	strcpy(stpcpy(value, scheme), token->value);
	drop(k);
	k->binding = binding;
	k->authorization = value;
	k->obtained = token->obtained;
	k->expires = token->expires;
	return 0;
}

static bool is_held(const struct held *k, const char *binding, int64_t now)
{
	const struct token t = {.obtained = k->obtained, .expires = k->expires};

	return k->authorization && strcmp(k->binding, binding) == 0 && token_is_good(&t, now);
}

/* RFC 8414: where the issuer's token endpoint is. Each time that a token is needed, which is
 * seldom: an endpoint that moved is found. */
static int discover(struct tokens *t, const struct server_settings *s, char **ret,
		    struct errtext *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	_cleanup_free_ char *url = NULL;
	struct http_request q;
	int r;

	r = token_metadata_url(s, &url, e);
	if (r < 0)
		return r;
	q = (struct http_request){
		.method = "GET",
		.url = url,
		.ca = s->ca,
		.allow_http = s->allow_http,
		.timeout = s->timeout,
		.body_max = METADATA_SIZE_MAX,
	};
	r = http_perform(t->http, &q, &answer, e);
	return r < 0 ? r : token_read_metadata(s, &answer, ret, e);
}

static int ask(struct tokens *t, const struct server_settings *s, const char *url, int64_t now,
	       struct token *ret, struct errtext *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	_cleanup_wiped_ char *body = token_form(s);
	_cleanup_wiped_ char *id = token_form_encode(s->client_id ? s->client_id : "");
	_cleanup_wiped_ char *secret = token_form_encode(s->client_secret ? s->client_secret : "");
	const bool is_basic = s->client_auth == CLIENT_SECRET_BASIC;
	struct http_request q;
	int r;

	if (!body || !id || !secret)
		return errtext_set(e, -ENOMEM, "out of memory");
	q = (struct http_request){
		.method = "POST",
		.url = url,
		.basic_user = is_basic ? id : NULL,
		.basic_password = is_basic ? secret : NULL,
		.content_type = "application/x-www-form-urlencoded",
		.body = body,
		.body_len = strlen(body),
		.ca = s->ca,
		.allow_http = s->allow_http,
		.timeout = s->timeout,
		.body_max = ANSWER_SIZE_MAX,
	};
	r = http_perform(t->http, &q, &answer, e);
	if (r == -EINVAL) { /* it did not get as far as a host, which all other messages name */
		struct errtext why = *e;

		return errtext_set(e, r, "token endpoint: %s", why.text);
	}
	return r < 0 ? r : token_read_answer(s, url, &answer, now, ret, e);
}

/* From the file, or else from the endpoint. */
static int from_endpoint(struct tokens *t, const struct server_settings *s, const char *binding,
			 int64_t now, bool renew, struct token *ret, struct errtext *e)
{
	_cleanup_token_ struct token kept = {};
	_cleanup_free_ char *found = NULL;
	int r;

	if (renew)
		token_cache_drop(t->folder, s->name);
	if (token_cache_load(t->folder, s->name, binding, &kept) == 0 &&
	    token_is_good(&kept, now)) {
		*ret = kept;
		kept.value = NULL;
		return 0;
	}
	if (!s->token_url) {
		r = discover(t, s, &found, e);
		if (r < 0)
			return r;
	}
	r = ask(t, s, s->token_url ? s->token_url : found, now, ret, e);
	if (r == 0)
		token_cache_save(t->folder, s->name, binding, ret);
	return r;
}

static int obtain(struct tokens *t, const struct server_settings *s, const char *binding,
		  int64_t now, bool renew, struct token *ret, struct errtext *e)
{
	switch (s->auth) {
	case AUTH_NONE: break;
	case AUTH_CLIENT_CREDENTIALS: return from_endpoint(t, s, binding, now, renew, ret, e);
	case AUTH_TOKEN_FILE: return token_from_file(s, now, ret, e);
	case AUTH_TOKEN_COMMAND: return token_from_command(s, now, ret, e);
	}
	return -EINVAL;
}

/* A host that an authorization server names can be anything, our secret too. */
static void hide_secret(const struct server_settings *s, struct errtext *e)
{
	if (s->client_secret && *s->client_secret && strstr(e->text, s->client_secret))
		errtext_set(e, 0, "the reason repeats client-secret, and is not shown");
}

int token_get(struct tokens *t, const struct server_settings *s, time_t now, bool renew,
	      const char **ret, struct errtext *e)
{
	_cleanup_token_ struct token token = {};
	_cleanup_free_ char *binding = NULL;
	struct held *k;
	int r;

	if (s->auth == AUTH_NONE) {
		*ret = NULL;
		return 0;
	}
	if (s->auth == AUTH_CLIENT_CREDENTIALS && !s->token_url && !s->issuer)
		return errtext_set(e, -EINVAL, "neither token-url nor issuer is configured");
	binding = token_binding(s);
	k = binding ? entry(t, s->name) : NULL;
	if (!k)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (renew)
		drop(k);
	if (s->auth == AUTH_TOKEN_FILE || !is_held(k, binding, now)) {
		r = obtain(t, s, binding, now, renew, &token, e);
		if (token.value)
			r = hold(k, binding, &token, e);
		if (r < 0) {
			hide_secret(s, e);
			return r;
		}
		binding = NULL;
	}
	*ret = k->authorization;
	return 0;
}
