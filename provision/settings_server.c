// SPDX-License-Identifier: Apache-2.0
/* Options of a server block that contradict each other, or that are missing. */
#include "settings_check.h"

#include <ctype.h>

/* Which `auth` an option is for. */
static const struct {
	const char *name;
	enum auth_kind auth;
} of_auth[] = {
	{"token-url", AUTH_CLIENT_CREDENTIALS},
	{"issuer", AUTH_CLIENT_CREDENTIALS},
	{"client-id", AUTH_CLIENT_CREDENTIALS},
	{"client-secret", AUTH_CLIENT_CREDENTIALS},
	{"client-secret-file", AUTH_CLIENT_CREDENTIALS},
	{"client-auth", AUTH_CLIENT_CREDENTIALS},
	{"scope", AUTH_CLIENT_CREDENTIALS},
	{"audience", AUTH_CLIENT_CREDENTIALS},
	{"resource", AUTH_CLIENT_CREDENTIALS},
	{"token-file", AUTH_TOKEN_FILE},
	{"token-command", AUTH_TOKEN_COMMAND},
};

static const char *auth_name(enum auth_kind a)
{
	return conf_option(&settings_schema, "auth", SCOPE_SERVER)->names[a];
}

/* Somebody who wrote down credentials means them to be used. */
static void check_unused(const struct settings_checker *c, const struct server_settings *s,
			 const struct conf_block *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_auth); i++)
		if (conf_has(b, of_auth[i].name) && s->auth != of_auth[i].auth)
			conf_problem(c->problems, conf_place_of(b, of_auth[i].name),
				     "%s: auth = %s has no use for it: set auth = %s, or remove it",
				     of_auth[i].name, auth_name(s->auth),
				     auth_name(of_auth[i].auth));
}

/* RFC 6749 appendix A.1: printable ASCII. */
static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

/* RFC 6749 section 3.3: words of %x21 / %x23-5B / %x5D-7E, one blank between them. */
static bool is_scope(const char *s)
{
	if (*s == ' ' || strstr(s, "  ") || s[strlen(s) - 1] == ' ')
		return false;
	return is_ascii(s) && !strpbrk(s, "\"\\");
}

/* RFC 8707 section 2: an absolute URI (RFC 3986 section 4.3), so no fragment. */
static bool is_absolute_uri(const char *s)
{
	if (!isalpha((unsigned char)*s) || !is_ascii(s) || strpbrk(s, " \"<>\\^`{|}#"))
		return false;
	while (isalnum((unsigned char)*s) || (*s && strchr("+-.", *s)))
		s++;
	return s[0] == ':' && s[1];
}

static void check_words(const struct settings_checker *c, const struct server_settings *s,
			const struct conf_block *b)
{
	if (s->client_id && !is_ascii(s->client_id))
		conf_problem(c->problems, conf_place_of(b, "client-id"),
			     "client-id: it is not printable ASCII (RFC 6749, appendix A.1)");
	if (s->scope && !is_scope(s->scope))
		conf_problem(c->problems, conf_place_of(b, "scope"),
			     "scope: it is not a list of words with one blank between them "
			     "(RFC 6749, section 3.3)");
	if (s->audience && !is_ascii(s->audience))
		conf_problem(c->problems, conf_place_of(b, "audience"),
			     "audience: it is not printable ASCII");
	if (s->resource && !is_absolute_uri(s->resource))
		conf_problem(c->problems, conf_place_of(b, "resource"),
			     "resource: it is not an absolute URI without fragment (RFC 8707, "
			     "section 2)");
}

static void check_client(const struct settings_checker *c, const struct server_settings *s,
			 const struct conf_block *b)
{
	if (!s->client_id)
		settings_missing(c, b, "client-id", "what the authorization server calls us");
	if (!s->client_secret && !conf_is_bad(b, c->globals, "client-secret"))
		settings_missing(c, b, "client-secret-file", "the file with the client's secret");
	if (!s->token_url && !s->issuer && !conf_is_bad(b, c->globals, "issuer"))
		settings_missing(c, b, "token-url", "the token endpoint (or set issuer, RFC 8414)");
	if (s->token_url && s->issuer)
		conf_problem(c->problems, conf_place_of(b, "issuer"),
			     "issuer and token-url are both set: remove one");
}

static void check_auth(const struct settings_checker *c, const struct server_settings *s,
		       const struct conf_block *b)
{
	if (conf_is_bad(b, c->globals, "auth"))
		return;
	check_unused(c, s, b);
	switch (s->auth) {
	case AUTH_NONE: return;
	case AUTH_CLIENT_CREDENTIALS: check_client(c, s, b); return;
	case AUTH_TOKEN_FILE:
		if (!s->token_file)
			settings_missing(c, b, "token-file", "the file with the bearer token");
		return;
	case AUTH_TOKEN_COMMAND:
		if (!s->n_token_command)
			settings_missing(c, b, "token-command", "what prints the bearer token");
		else if (*s->token_command[0] != '/')
			conf_problem(c->problems, conf_place_of(b, "token-command"),
				     "token-command: '%.60s' must be an absolute path",
				     s->token_command[0]);
		return;
	}
}

/* With SIDE_RECEIVER it is our own server that is asked for what others asked of us. */
static void check_side(const struct settings_checker *c, const struct server_settings *s,
		       const struct conf_block *b)
{
	uint32_t ours = c->settings->asn;

	if (!s->asn)
		settings_missing(c, b, "asn",
				 s->side == SIDE_RECEIVER ? "our own AS" : "the AS of the server");
	settings_check_asn(c, conf_place_of(b, "asn"), s->asn);
	if (!s->asn || !ours || conf_is_bad(b, c->globals, "side"))
		return;
	if (s->side == SIDE_INITIATOR && s->asn == ours)
		conf_problem(c->problems, conf_place_of(b, "asn"),
			     "asn: AS%u is our own: set side = receiver if this is our server, or "
			     "asn to whose it is",
			     ours);
	if (s->side == SIDE_RECEIVER && s->asn != ours)
		conf_problem(c->problems, conf_place_of(b, "asn"),
			     "asn: with side = receiver it is our own server: set it to %u, or "
			     "side = initiator",
			     ours);
}

static void check_twice(const struct settings_checker *c, const struct server_settings *s,
			const struct conf_block *b)
{
	for (const struct server_settings *o = c->settings->servers; o < s; o++) {
		if (*s->name && !strcmp(o->name, s->name))
			conf_problem(c->problems, b->begin,
				     "server %s is there twice, also at %s: remove one", s->name,
				     o->origin);
		else if (s->url && o->url && s->side == o->side && s->asn == o->asn &&
			 !strcmp(o->url, s->url))
			conf_problem(c->problems, conf_place_of(b, "url"),
				     "url: server %s at %s is the same: each session would be told "
				     "twice",
				     o->name, o->origin);
	}
}

void settings_check_server(const struct settings_checker *c, const struct server_settings *s,
			   const struct conf_block *b)
{
	if (!s->url)
		settings_missing(c, b, "url", "where the API is, with the path of its version");
	settings_check_url(c, b, "url", s->url, "allow-http", s->allow_http);
	settings_check_url(c, b, "token-url", s->token_url, "allow-http", s->allow_http);
	settings_check_url(c, b, "issuer", s->issuer, "allow-http", s->allow_http);
	settings_check_no_query(c, b, "url", s->url);
	settings_check_no_query(c, b, "issuer", s->issuer);
	check_side(c, s, b);
	settings_check_pair(c, b, "client-secret");
	settings_check_secret(c, b, "client-secret", s->client_secret);
	check_auth(c, s, b);
	check_words(c, s, b);
	if (s->batch_delete && s->era == ERA_A)
		conf_problem(c->problems, conf_place_of(b, "batch-delete"),
			     "batch-delete: era a has no such call: remove it, or set era = b");
	check_twice(c, s, b);
}
