// SPDX-License-Identifier: Apache-2.0
/*
 * Which era does a server speak? It is asked, without retries, for what each era calls its list of
 * sessions. An answer of the right form is proof; a refusal (401, 403) is one only when a path that
 * cannot exist is answered differently.
 */
#include "api_internal.h"

#include <errno.h>

struct asked_path {
	int status; /* 0: no answer */
	bool has_list, has_token;
};

static struct asked_path ask(struct api *a, const char *name, uint32_t asn, enum wire_era form,
			     struct api_error *e)
{
	_cleanup_http_response_ struct http_response answer = {};
	struct asked_path result = {};
	struct api_path path;
	struct api_call c = {.method = "GET", .path = &path, .no_retry = true};
	struct jv *v = NULL;

	api_path_init(&path, name);
	api_path_query_number(&path, "asn", asn);
	if (form == ERA_B)
		api_path_query_number(&path, "max_results", 1);
	if (api_call(a, &c, &answer, e) < 0) {
		result.status = e->status;
		return result;
	}
	result.status = answer.status;
	if (jv_parse(answer.body, answer.len, &v, NULL) == 0) {
		result.has_list = answer_list(v, form, "sessions", NULL) != NULL;
		result.has_token = *jv_get_string(v, "next_token", "") != '\0';
	}
	jv_free(v);
	return result;
}

static bool is_refusal(int status)
{
	return status == 401 || status == 403;
}

/* 400: the path is known and did not like the question. */
static bool speaks(const struct asked_path *p, const struct asked_path *nowhere)
{
	if (p->status >= 200 && p->status < 300)
		return p->has_list;
	return (is_refusal(p->status) || p->status == 400 || p->status == 422) &&
	       p->status != nowhere->status;
}

static void describe(struct probed *p, const char *path, const struct asked_path *asked)
{
	size_t used = strlen(p->evidence);

	snprintf(p->evidence + used, sizeof(p->evidence) - used, "%sGET %s: %d%s", used ? "; " : "",
		 path, asked->status, asked->has_list ? ", a list of sessions" : "");
}

int api_probe(struct api *a, uint32_t asn, struct probed *ret, struct api_error *e)
{
	struct probed p = {};
	struct asked_path nowhere, in_a, in_b;

	nowhere = ask(a, "/botls-provision-asks-for-nothing", asn, ERA_A, e);
	if (!nowhere.status)
		return -1;
	in_a = ask(a, "/get_status", asn, ERA_A, e);
	if (!in_a.status)
		return -1;
	in_b = ask(a, "/sessions", asn, ERA_B, e);
	if (!in_b.status)
		return -1;
	p.has_a = speaks(&in_a, &nowhere);
	p.has_b = speaks(&in_b, &nowhere);
	p.is_paged = in_b.has_token;
	p.needs_token = is_refusal(in_a.status) || is_refusal(in_b.status);
	describe(&p, "/get_status", &in_a);
	describe(&p, "/sessions", &in_b);
	describe(&p, "/(anything)", &nowhere);
	*ret = p;
	*e = (struct api_error){};
	return 0;
}
