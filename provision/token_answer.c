// SPDX-License-Identifier: Apache-2.0
/*
 * RFC 6749 sections 2.3.1, 4.4 and 5; RFC 8414. Reads what a stranger's server answers: nothing of
 * it is trusted, and no message repeats what may be a token or our secret.
 */
#include "token_internal.h"

#include "json.h"
#include "text.h"

#include <errno.h>
#include <strings.h>

#define LIFE_UNKNOWN 300
#define TYPE_MAX     16
#define WELL_KNOWN   "/.well-known/oauth-authorization-server"

static void form_encode(const char *text, char **at)
{
	for (; *text; text++) {
		char c = *text;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    strchr("-._", c))
			*(*at)++ = c;
		else if (c == ' ')
			*(*at)++ = '+';
		else
			*at += sprintf(*at, "%%%02X", (unsigned char)c);
	}
	**at = '\0';
}

char *token_form_encode(const char *text)
{
	char *encoded = malloc(3 * strlen(text) + 1), *at = encoded;

	if (encoded)
		form_encode(text, &at);
	return encoded;
}

char *token_form(const struct server_settings *s)
{
	const bool is_post = s->client_auth == CLIENT_SECRET_POST;
	const struct {
		const char *name, *value;
	} members[] = {
		{"&scope=", s->scope},
		{"&audience=", s->audience},
		{"&resource=", s->resource},
		{"&client_id=", is_post ? s->client_id : NULL},
		{"&client_secret=", is_post ? s->client_secret : NULL},
	};
	static const char grant[] = "grant_type=client_credentials";
	size_t size = sizeof(grant);
	char *body, *at;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].value)
			size += strlen(members[i].name) + 3 * strlen(members[i].value);
	body = malloc(size);
	if (!body)
		return NULL;
	at = stpcpy(body, grant);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].value) {
			at = stpcpy(at, members[i].name);
			form_encode(members[i].value, &at);
		}
	return body;
}

/* A server's words, fit for a message; not when they repeat our secret. */
static const char *quote(const struct server_settings *s, const char *text, char *buf, size_t size)
{
	const char *secret = s->client_secret;

	text_copy(buf, size, text);
	if (secret && *secret && (strstr(text, secret) || strstr(buf, secret)))
		snprintf(buf, size, "<hidden: it repeats client-secret>");
	return buf;
}

/* "host:port" of a URL that has been asked. */
static const char *where(const char *url, char *buf, size_t size)
{
	const char *host = strstr(url, "//");

	host = host ? host + 2 : url;
	snprintf(buf, size, "%.*s", (int)strcspn(host, "/?"), host);
	return buf;
}

/* What is said of any answer that is not 200 and no refusal. */
static int tell_status(const struct server_settings *s, const char *host,
		       const struct http_response *a, const char *option, struct errtext *e)
{
	char location[256], text[80];

	if (a->status == 429 || a->status >= 500)
		return errtext_set(e, -EBUSY, "%s: the authorization server answers %d: try later",
				   host, a->status);
	/* A query may hold what is nobody's business. */
	snprintf(location, sizeof(location), "%.*s", (int)strcspn(a->location, "?#"), a->location);
	if (a->status >= 300 && a->status < 400)
		return errtext_set(e, -EPROTO,
				   "%s: answers %d and points to '%s', which is not followed: is "
				   "%s right?",
				   host, a->status, quote(s, location, text, sizeof(text)), option);
	return errtext_set(e, -EPROTO, "%s: answers %d: is %s right?", host, a->status, option);
}

/* jv_parse()'s own words quote the text, which may be a token. */
static int parse_object(const struct http_response *a, const char *host, struct jv **ret,
			struct errtext *e)
{
	_cleanup_jv_ struct jv *v = NULL;
	int r = jv_parse(a->body, a->len, &v, NULL);

	if (r == -ENOMEM)
		return errtext_set(e, r, "out of memory");
	if (r < 0 || !jv_is_object(v))
		return errtext_set(
			e, -EPROTO,
			"%s: the answer (%s) is no JSON object, or one that is too deep, "
			"repeats a name or has numbers that are too large",
			host, *a->content_type ? a->content_type : "of no type");
	*ret = TAKE(v);
	return 0;
}

int token_metadata_url(const struct server_settings *s, char **ret, struct errtext *e)
{
	const char *host = strstr(s->issuer, "//"), *path;
	size_t path_len;

	if (!host || strpbrk(s->issuer, "?#"))
		return errtext_set(e, -EINVAL,
				   "the issuer is no URL without query and fragment (RFC 8414)");
	path = host + 2 + strcspn(host + 2, "/");
	path_len = strlen(path);
	if (path_len && path[path_len - 1] == '/')
		path_len--;
	if (asprintf(ret, "%.*s%s%.*s", (int)(path - s->issuer), s->issuer, WELL_KNOWN,
		     (int)path_len, path) < 0) {
		*ret = NULL;
		return errtext_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/* Does it take what we are configured for? Nothing is concluded from a list that is not there:
 * RFC 8414 has a default for it that many servers do not mean. */
static int check_methods(const struct server_settings *s, const struct jv *metadata,
			 const char *host, struct errtext *e)
{
	static const char *const names[] = {[CLIENT_SECRET_BASIC] = "client_secret_basic",
					    [CLIENT_SECRET_POST] = "client_secret_post"};
	const struct jv *methods = jv_get(metadata, "token_endpoint_auth_methods_supported");
	char list[100] = "";

	if (!methods || jv_is_null(methods))
		return 0;
	for (size_t i = 0; i < jv_size(methods); i++) {
		const char *method = jv_string(jv_at(methods, i), "?");
		size_t used = strlen(list);
		char word[32];

		if (strcmp(method, names[s->client_auth]) == 0)
			return 0;
		snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
			 quote(s, method, word, sizeof(word)));
	}
	return errtext_set(e, -EPROTO,
			   "%s: its metadata do not offer %s, which client-auth asks for, but: %s",
			   host, names[s->client_auth], *list ? list : "nothing");
}

int token_read_metadata(const struct server_settings *s, const struct http_response *a, char **ret,
			struct errtext *e)
{
	_cleanup_jv_ struct jv *v = NULL;
	const char *issuer, *endpoint;
	char host[64], text[80], *copy;
	int r;

	where(s->issuer, host, sizeof(host));
	if (a->status != 200)
		return tell_status(s, host, a, "issuer (or name the endpoint with token-url)", e);
	r = parse_object(a, host, &v, e);
	if (r < 0)
		return r;
	issuer = jv_get_string(v, "issuer", "");
	if (strcmp(issuer, s->issuer) != 0)
		return errtext_set(e, -EPROTO,
				   "%s: its metadata are those of the issuer '%s', not of the one "
				   "configured",
				   host, quote(s, issuer, text, sizeof(text)));
	r = check_methods(s, v, host, e);
	if (r < 0)
		return r;
	endpoint = jv_get_string(v, "token_endpoint", "");
	if (strncasecmp(endpoint, "https://", 8) != 0 &&
	    !(s->allow_http && strncasecmp(endpoint, "http://", 7) == 0))
		return errtext_set(e, -EPROTO,
				   "%s: its metadata name no token_endpoint that is https://",
				   host);
	copy = strdup(endpoint);
	if (!copy)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret = copy;
	return 0;
}

/* RFC 6749 section 5.2. */
static int tell_refusal(const struct server_settings *s, const char *host,
			const struct http_response *a, struct errtext *e)
{
	_cleanup_jv_ struct jv *v = NULL;
	const char *description;
	char code[48], words[96] = "", client[48];

	if (jv_parse(a->body, a->len, &v, NULL) == -ENOMEM)
		return errtext_set(e, -ENOMEM, "out of memory");
	quote(s, jv_get_string(v, "error", "no reason told"), code, sizeof(code));
	description = jv_get_string(v, "error_description", NULL);
	if (description)
		quote(s, description, words, sizeof(words));
	text_copy(client, sizeof(client), s->client_id ? s->client_id : "");
	return errtext_set(e, -EACCES, "%s: refuses client %s (%d): %s%s%s; see client-id, %s",
			   host, client, a->status, code, *words ? ": " : "", words,
			   strcmp(code, "invalid_scope") == 0 ? "scope" : "client-secret, scope");
}

/* RFC 6749 says a number; some servers say a string. What makes no sense says nothing. */
static int64_t life_of(const struct jv *v)
{
	const struct jv *told = jv_get(v, "expires_in");
	const char *text = jv_string(told, NULL);
	int64_t n = jv_int(told, 0);

	if (text && strlen(text) <= 18 && strspn(text, "0123456789") == strlen(text))
		n = strtoll(text, NULL, 10);
	if (n <= 0)
		return LIFE_UNKNOWN;
	return n > TOKEN_LIFE_MAX ? TOKEN_LIFE_MAX : n;
}

int token_read_answer(const struct server_settings *s, const char *url,
		      const struct http_response *a, int64_t now, struct token *ret,
		      struct errtext *e)
{
	_cleanup_jv_ struct jv *v = NULL;
	const char *value, *type;
	char host[64], text[40], *copy;
	int r;

	where(url, host, sizeof(host));
	if (a->status == 400 || a->status == 401 || a->status == 403)
		return tell_refusal(s, host, a, e);
	if (a->status != 200)
		return tell_status(s, host, a, s->token_url ? "token-url" : "issuer", e);
	r = parse_object(a, host, &v, e);
	if (r < 0)
		return r;
	type = jv_get_string(v, "token_type", NULL);
	if (!type || strcasecmp(type, "bearer") != 0)
		return errtext_set(e, -EPROTO, "%s: token_type is '%s', not Bearer", host,
				   !type		      ? ""
				   : strlen(type) >= TYPE_MAX ? "..." /* it may be anything */
							      : quote(s, type, text, sizeof(text)));
	value = jv_get_string(v, "access_token", NULL);
	if (!value)
		return errtext_set(e, -EPROTO, "%s: the answer has no access_token", host);
	if (strlen(value) > TOKEN_MAX || !token_is_b68(value))
		return errtext_set(
			e, -EPROTO,
			"%s: the access_token is longer than %d bytes, or has characters "
			"that RFC 6750 does not allow",
			host, TOKEN_MAX);
	copy = strdup(value);
	if (!copy)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret = (struct token){.value = copy, .obtained = now, .expires = now + life_of(v)};
	return 0;
}
