/* SPDX-License-Identifier: Apache-2.0 */
/* An authorization server of scripted answers, and tokens that ask it. */
#ifndef BOTLS_TEST_TOKEN_RIG_H
#define BOTLS_TEST_TOKEN_RIG_H

#include "token.h"

#define TOKEN_RIG_SECRET "s3:cr+t"
#define TOKEN_RIG_MAX	 8

struct token_rig {
	char folder[64]; /* of the kept tokens; made anew for each rig */
	struct http *http;
	struct tokens *tokens;

	struct {
		int error, status;
		char body[TOKEN_MAX + 100], location[256], content_type[64];
	} answers[TOKEN_RIG_MAX];
	unsigned n_answers, n_asked;

	struct {
		char method[16], url[256], content_type[64], body[1024], user[128], password[128];
		char authorization[64], ca[64];
		bool allow_http;
		unsigned timeout;
	} asked[TOKEN_RIG_MAX];
};

void token_rig_start(struct token_rig *r);
void token_rig_stop(struct token_rig *r);
/* As a new run of the program: memory is lost, files stay. */
void token_rig_again(struct token_rig *r);
/* Files are lost too, and what was asked and is to be answered. */
void token_rig_forget(struct token_rig *r);

/* The next answer. A question without an answer fails the test. */
void token_rig_answer(struct token_rig *r, int status, const char *body);
void token_rig_fail(struct token_rig *r, int error);

/* It must succeed, */
const char *token_rig_get(struct token_rig *r, const struct server_settings *s, time_t now,
			  bool renew);
/* or fail so, saying `part` and no secret; *ret is left alone. */
void token_rig_fails(struct token_rig *r, const struct server_settings *s, int error,
		     const char *part);

#endif
