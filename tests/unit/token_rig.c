// SPDX-License-Identifier: Apache-2.0
#include "token_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define COPY(to, from) snprintf(to, sizeof(to), "%s", (from) ? (from) : "")

static int perform(void *arg, const struct http_request *q, struct http_response *ret,
		   struct errtext *e)
{
	struct token_rig *r = arg;
	unsigned i = r->n_asked;
	struct http_response a = {.retry_after = -1};

	if (i >= r->n_answers)
		fail_msg("nobody expected %s %s", q->method, q->url);
	r->n_asked++;
	COPY(r->asked[i].method, q->method);
	COPY(r->asked[i].url, q->url);
	COPY(r->asked[i].content_type, q->content_type);
	COPY(r->asked[i].body, q->body);
	COPY(r->asked[i].user, q->basic_user);
	COPY(r->asked[i].password, q->basic_password);
	COPY(r->asked[i].authorization, q->authorization);
	COPY(r->asked[i].ca, q->ca);
	r->asked[i].allow_http = q->allow_http;
	r->asked[i].timeout = q->timeout;
	if (q->body)
		assert_int_equal(q->body_len, strlen(q->body));
	if (r->answers[i].error)
		return errtext_set(e, r->answers[i].error, "idp.example:443: it broke");
	a.status = r->answers[i].status;
	a.body = strdup(r->answers[i].body);
	a.len = strlen(a.body);
	COPY(a.location, r->answers[i].location);
	COPY(a.content_type, r->answers[i].content_type);
	*ret = a;
	return 0;
}

static void empty_folder(const char *folder)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

static void open_tokens(struct token_rig *r)
{
	assert_int_equal(tokens_new(r->http, r->folder, &r->tokens), 0);
}

void token_rig_start(struct token_rig *r)
{
	*r = (struct token_rig){.folder = "/tmp/botls-token-XXXXXX"};
	assert_non_null(mkdtemp(r->folder));
	rmdir(r->folder); /* it is made when it is not there */
	assert_int_equal(http_new_answered(perform, r, &r->http), 0);
	open_tokens(r);
}

void token_rig_stop(struct token_rig *r)
{
	tokens_free(r->tokens);
	http_free(r->http);
	empty_folder(r->folder);
}

void token_rig_again(struct token_rig *r)
{
	tokens_free(r->tokens);
	open_tokens(r);
}

void token_rig_forget(struct token_rig *r)
{
	empty_folder(r->folder);
	token_rig_again(r);
	r->n_answers = r->n_asked = 0;
}

void token_rig_answer(struct token_rig *r, int status, const char *body)
{
	assert_true(r->n_answers < TOKEN_RIG_MAX);
	r->answers[r->n_answers].error = 0;
	r->answers[r->n_answers].status = status;
	r->answers[r->n_answers].location[0] = r->answers[r->n_answers].content_type[0] = '\0';
	COPY(r->answers[r->n_answers++].body, body);
}

void token_rig_fail(struct token_rig *r, int error)
{
	token_rig_answer(r, 0, "");
	r->answers[r->n_answers - 1].error = error;
}

const char *token_rig_get(struct token_rig *r, const struct server_settings *s, time_t now,
			  bool renew)
{
	const char *value = "untouched";
	struct errtext e;
	int error = token_get(r->tokens, s, now, renew, &value, &e);

	if (error < 0)
		fail_msg("%d: %s", error, e.text);
	return value;
}

void token_rig_fails(struct token_rig *r, const struct server_settings *s, int error,
		     const char *part)
{
	const char *value = "untouched";
	struct errtext e = {};
	int got = token_get(r->tokens, s, 1800000000, false, &value, &e);

	if (got != error || !strstr(e.text, part))
		fail_msg("%d, '%s'; expected %d, '%s'", got, e.text, error, part);
	assert_string_equal(value, "untouched");
	assert_null(strstr(e.text, TOKEN_RIG_SECRET));
	for (const char *p = e.text; *p; p++)
		assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
}
