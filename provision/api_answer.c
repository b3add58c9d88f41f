// SPDX-License-Identifier: Apache-2.0
/*
 * Reading what a server answers. Nothing here knows of the network: the same bytes give the same
 * result, and everything may be hostile.
 */
#include "api_internal.h"
#include "text.h"

#include <errno.h>

#define NEXT_TOKEN_MAX	  4096
#define CREATED_EXTRA_MAX 1000

/* ---- errors, in the forms that are in use ---- */

struct joined {
	char *buf;
	size_t size, used;
	unsigned n;
};

static void join_text(struct joined *j, const char *name, const char *text)
{
	char line[300];

	if (!text || !*text || j->n >= 4 || j->used + 8 >= j->size)
		return;
	snprintf(line, sizeof(line), "%s%s%s%.200s", j->n ? "; " : "", name ? name : "",
		 name ? ": " : "", text);
	text_copy(j->buf + j->used, j->size - j->used, line);
	j->used += strlen(j->buf + j->used);
	j->n++;
}

/* {"name": "peer_asn", "errors": [..]}, with "messages" in the example of the OpenAPI file. */
static void join_field_error(struct joined *j, const struct jv *v)
{
	static const char *const lists[] = {"errors", "messages"};
	const char *name = jv_get_string(v, "name", NULL);

	if (jv_string(v, NULL)) {
		join_text(j, NULL, jv_string(v, NULL));
		return;
	}
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		const struct jv *messages = jv_get(v, lists[k]);

		for (size_t i = 0; i < jv_size(messages) && jv_is_array(messages); i++)
			join_text(j, name, jv_string(jv_at(messages, i), NULL));
	}
	join_text(j, name, jv_get_string(v, "message", jv_get_string(v, "reason", NULL)));
}

/* The list of field errors: {"errors": {"errors": [..]}} by the schema, {"errors": [..]} by its own
 * example, and a list by itself. */
static const struct jv *field_errors(const struct jv *v)
{
	for (int depth = 0; depth < 3 && jv_is_object(v); depth++)
		v = jv_get(v, "errors");
	return jv_is_array(v) ? v : NULL;
}

const char *answer_errors(const struct jv *v, char *buf, size_t size)
{
	static const char *const words[] = {"detail", "message", "error", "error_description"};
	const struct jv *list = field_errors(v);
	struct joined j = {.buf = buf, .size = size};

	buf[0] = '\0';
	for (size_t i = 0; i < jv_size(list); i++)
		join_field_error(&j, jv_at(list, i));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		join_text(&j, NULL, jv_get_string(v, words[i], NULL));
	return buf;
}

const char *answer_complaint(const struct http_response *r, char *buf, size_t size)
{
	struct jv *v = NULL;

	buf[0] = '\0';
	if (jv_parse(r->body, r->len, &v, NULL) == 0)
		answer_errors(v, buf, size);
	jv_free(v);
	return buf;
}

/* ---- lists ---- */

const struct jv *answer_list(const struct jv *v, enum wire_era era, const char *name,
			     struct errtext *e)
{
	const struct jv *list = jv_get(v, name);

	/* Era A by its OpenAPI file; peerctl's form of it. */
	if (era == ERA_A && jv_is_array(v))
		return v;
	if (era == ERA_A && !list)
		list = jv_get(v, "items");
	if (jv_is_array(list))
		return list;
	errtext_set(e, -EINVAL, "the answer has no list of %s", name);
	return NULL;
}

const char *answer_next_token(const struct jv *v, struct errtext *e)
{
	const struct jv *token = jv_get(v, "next_token");
	const char *text = jv_string(token, NULL);

	if (!token || jv_is_null(token))
		return "";
	if (!text) {
		errtext_set(e, -EINVAL, "next_token is not a string");
		return NULL;
	}
	if (strlen(text) > NEXT_TOKEN_MAX) {
		errtext_set(e, -EINVAL, "next_token is longer than %d bytes", NEXT_TOKEN_MAX);
		return NULL;
	}
	return text;
}

void records_done(struct records *r)
{
	if (r->items)
		explicit_bzero(r->items, r->n * sizeof(*r->items));
	free(r->items);
	*r = (struct records){};
}

void locations_done(struct locations *l)
{
	free(l->items);
	*l = (struct locations){};
}

/* Not reallocarray(): what it leaves behind would hold secrets. */
static int records_reserve(struct records *r, size_t more)
{
	struct record *items = calloc(r->n + more + 1, sizeof(*items));
	size_t n = r->n;

	if (!items)
		return -ENOMEM;
	if (n)
		memcpy(items, r->items, n * sizeof(*items));
	records_done(r);
	r->items = items;
	r->n = n;
	return 0;
}

int answer_records(const struct jv *list, const struct record_profile *p, size_t max,
		   struct records *ret, struct unreadable *ret_unreadable)
{
	size_t n = jv_size(list);

	if (n > max || ret->n > max - n)
		return -E2BIG;
	if (records_reserve(ret, n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct errtext e;

		if (record_decode(jv_at(list, i), p, &ret->items[ret->n], &e) == 0)
			ret->n++;
		else if (ret_unreadable->n++ == 0)
			snprintf(ret_unreadable->first, sizeof(ret_unreadable->first), "%s",
				 e.text);
	}
	return 0;
}

int answer_locations(const struct jv *list, size_t max, struct locations *ret)
{
	size_t n = jv_size(list);
	struct location *items;

	if (n > max || ret->n > max - n)
		return -E2BIG;
	items = reallocarray(ret->items, ret->n + n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	ret->items = items;
	/* A location that we cannot read is one where we cannot peer. */
	for (size_t i = 0; i < n; i++)
		if (location_decode(jv_at(list, i), &items[ret->n], NULL) == 0)
			ret->n++;
	return 0;
}

static int by_session_id(const void *a, const void *b)
{
	const struct record *const *x = a, *const *y = b;

	return strcmp((*x)->session_id, (*y)->session_id);
}

int answer_check_ids(const struct records *r, struct errtext *e)
{
	_cleanup_free_ const struct record **sorted = calloc(r->n + 1, sizeof(*sorted));

	if (!sorted)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < r->n; i++)
		sorted[i] = &r->items[i];
	qsort(sorted, r->n, sizeof(*sorted), by_session_id);
	for (size_t i = 1; i < r->n; i++)
		if (*sorted[i]->session_id &&
		    strcmp(sorted[i]->session_id, sorted[i - 1]->session_id) == 0)
			return errtext_set(e, -EEXIST, "two sessions have the id %s",
					   sorted[i]->session_id);
	return 0;
}

/* ---- the answer to a create ---- */

void created_done(struct created *c)
{
	if (c->outcomes)
		explicit_bzero(c->outcomes, c->n_outcomes * sizeof(*c->outcomes));
	free(c->outcomes);
	records_done(&c->extra);
	*c = (struct created){};
}

/* No word about the state: in a plain 200 all sessions "are accepted for configuration" (both
 * drafts); in a 300 nothing can be taken for granted. */
static enum outcome_kind kind_of(const struct record *r, bool is_partial)
{
	if (!*r->status_raw)
		return is_partial ? OUTCOME_UNKNOWN : OUTCOME_APPROVED;
	switch (r->admin) {
	case ADMIN_APPROVED: return OUTCOME_APPROVED;
	case ADMIN_REQUESTED: return OUTCOME_PENDING;
	case ADMIN_REJECTED:
	case ADMIN_DELETING:
	case ADMIN_DELETED: return OUTCOME_REJECTED;
	case ADMIN_UNKNOWN: break;
	}
	return OUTCOME_UNKNOWN;
}

/* Whether the name of a field error means the i-th session asked for: "sessions[1].peer_ip",
 * "sessions.1", "1", or one of its addresses. */
static bool names_session(const char *name, const struct record *r, size_t i)
{
	char text[ADDR_STRLEN];
	const char *s = name;
	char *end;

	if (strcmp(name, addr_format(&r->initiator.ip, text)) == 0 ||
	    strcmp(name, addr_format(&r->receiver.ip, text)) == 0)
		return true;
	if (strncmp(s, "sessions", 8) == 0)
		s += 8;
	s += strspn(s, "[.");
	return *s >= '0' && *s <= '9' && strtoul(s, &end, 10) == i && (!*end || strchr("].", *end));
}

static void find_reason(const struct jv *v, const struct record *r, size_t i, char *buf,
			size_t size)
{
	const struct jv *list = field_errors(jv_get(v, "errors"));
	struct joined j = {.buf = buf, .size = size};

	if (!list)
		list = field_errors(v);
	for (size_t k = 0; k < jv_size(list); k++)
		if (names_session(jv_get_string(jv_at(list, k), "name", ""), r, i))
			join_field_error(&j, jv_at(list, k));
	if (!j.n)
		answer_errors(v, buf, size);
}

static bool has_errors(const struct jv *v)
{
	return jv_size(field_errors(jv_get(v, "errors"))) > 0 || jv_size(field_errors(v)) > 0;
}

/* Puts what the server said of a session to where it was asked for. False: nobody asked for it. */
static bool match_asked(struct created *c, const struct record *told, bool is_partial,
			bool *is_told)
{
	for (size_t i = 0; i < c->n_outcomes; i++) {
		struct outcome *o = &c->outcomes[i];
		char proposed[RECORD_SECRET_MAX];

		if (is_told[i] || !record_same_session(&o->record, told))
			continue;
		memcpy(proposed, o->record.secret, sizeof(proposed));
		o->record = *told;
		if (!*told->secret)
			memcpy(o->record.secret, proposed, sizeof(proposed));
		explicit_bzero(proposed, sizeof(proposed));
		o->kind = kind_of(told, is_partial);
		snprintf(o->reason, sizeof(o->reason), "%s", told->reason);
		is_told[i] = true;
		return true;
	}
	return false;
}

/* What was asked for and is not mentioned: rejected where the answer has errors, else unknown. */
static void explain(struct created *c, const struct jv *v, const bool *is_told)
{
	bool are_errors = has_errors(v);

	for (size_t i = 0; i < c->n_outcomes; i++) {
		struct outcome *o = &c->outcomes[i];

		if (!is_told[i])
			o->kind = are_errors ? OUTCOME_REJECTED : OUTCOME_UNKNOWN;
		if (o->kind == OUTCOME_REJECTED && !*o->reason && are_errors)
			find_reason(v, &o->record, i, o->reason, sizeof(o->reason));
		if (!is_told[i] && !are_errors)
			snprintf(o->reason, sizeof(o->reason), "the answer does not mention it");
	}
}

static void read_request_id(const struct jv *v, struct created *c)
{
	static const char *const keys[] = {"request_id", "requestId", "uuid"};

	for (size_t i = 0; i < ARRAY_SIZE(keys) && !*c->request_id; i++)
		text_copy(c->request_id, sizeof(c->request_id), jv_get_string(v, keys[i], ""));
	for (size_t i = 0; i < c->n_outcomes && !*c->request_id; i++)
		strcpy(c->request_id, c->outcomes[i].record.request_id);
}

int answer_created(const struct jv *v, const struct record_profile *p, bool is_partial,
		   const struct record *asked, size_t n, struct created *ret, struct errtext *e)
{
	_cleanup_records_ struct records told = {};
	_cleanup_created_ struct created c = {};
	_cleanup_free_ bool *is_told = calloc(n + 1, sizeof(*is_told));
	struct unreadable unreadable = {};
	const struct jv *list = answer_list(v, p->era, "sessions", e);
	size_t n_extra = 0;
	int r;

	if (!list)
		return -EINVAL;
	c.outcomes = calloc(n + 1, sizeof(*c.outcomes));
	if (!c.outcomes || !is_told)
		return errtext_set(e, -ENOMEM, "out of memory");
	c.n_outcomes = n;
	for (size_t i = 0; i < n; i++)
		c.outcomes[i].record = asked[i];
	/* A server that proposes more than this is not negotiating any more. */
	r = answer_records(list, p, n + CREATED_EXTRA_MAX, &told, &unreadable);
	if (r == -E2BIG)
		return errtext_set(e, -EINVAL, "the answer has %zu sessions", jv_size(list));
	if (r == 0)
		r = answer_check_ids(&told, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < told.n; i++)
		if (!match_asked(&c, &told.items[i], is_partial, is_told))
			told.items[n_extra++] = told.items[i];
	told.n = n_extra;
	c.extra = told;
	told = (struct records){};
	explain(&c, v, is_told);
	read_request_id(v, &c);
	if (unreadable.n)
		snprintf(c.note, sizeof(c.note),
			 "%zu sessions of the answer cannot be read: %.180s", unreadable.n,
			 unreadable.first);
	*ret = c;
	c = (struct created){};
	return 0;
}
