/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the token module: where tokens come from, and where they are kept. */
#ifndef BOTLS_TOKEN_INTERNAL_H
#define BOTLS_TOKEN_INTERNAL_H

#include "token.h"
#include "wipe.h"

#define TOKEN_LIFE_MAX 86400

struct token {
	char *value; /* a b68token */
	int64_t obtained, expires;
};
static inline void token_done(struct token *t)
{
	wipe_free(t->value);
	t->value = NULL;
}
#define _cleanup_token_ __attribute__((cleanup(token_done)))

bool token_is_good(const struct token *t, int64_t now);

/* What a kept token is bound to, as text without secrets; free() it. NULL: out of memory. */
char *token_binding(const struct server_settings *s);

/* ---- token_answer.c: what goes to an authorization server and what comes from it ---- */

/* The body of a token request, in form encoding; wipe_free() it. NULL: out of memory. */
char *token_form(const struct server_settings *s);
/* `text` in form encoding (RFC 6749 section 2.3.1 for Basic); wipe_free() it. */
char *token_form_encode(const char *text);
/* Where RFC 8414 section 3.1 has the metadata of s->issuer. -EINVAL, -ENOMEM. */
int token_metadata_url(const struct server_settings *s, char **ret, struct errtext *e);
/* The token endpoint; free() it. */
int token_read_metadata(const struct server_settings *s, const struct http_response *a, char **ret,
			struct errtext *e);
int token_read_answer(const struct server_settings *s, const char *url,
		      const struct http_response *a, int64_t now, struct token *ret,
		      struct errtext *e);

/* ---- token_source.c: without an authorization server ---- */

/* The first line of `text`; `from` is its name for messages. */
int token_from_text(const char *text, size_t len, const char *from, int64_t now, struct token *ret,
		    struct errtext *e);
int token_from_file(const struct server_settings *s, int64_t now, struct token *ret,
		    struct errtext *e);
int token_from_command(const struct server_settings *s, int64_t now, struct token *ret,
		       struct errtext *e);
bool token_is_b68(const char *text);

/* ---- token_cache.c: one file for each server, in the folder ---- */

int token_cache_open(const char *folder, int *ret_fd);
/* -ENOENT: no file that can be used. The token may have expired. */
int token_cache_load(int folder, const char *name, const char *binding, struct token *ret);
void token_cache_save(int folder, const char *name, const char *binding, const struct token *t);
void token_cache_drop(int folder, const char *name);

#endif
