// SPDX-License-Identifier: Apache-2.0
#include "plan_internal.h"

#include "tls.h"

#include <errno.h>

static struct jv *describe_step(const struct plan_step *s)
{
	struct jv *o = jv_object_new();
	int r;

	r = jv_set_string(o, "action", plan_step_name(s->action));
	r |= jv_set_string(o, "neighbor", s->neighbor);
	r |= jv_set_string(o, "server", s->server[0] ? s->server : NULL);
	r |= jv_set_string(o, "leaving",
			   s->leaving == LEAVING_NOT ? NULL : leaving_name(s->leaving));
	r |= jv_set_string(o, "text", s->text);
	r |= jv_set_bool(o, "alarm", s->is_alarm);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

struct jv *plan_describe(const struct plan *p)
{
	struct jv *o = jv_object_new(), *steps = jv_array_new();
	int r = 0;

	for (size_t i = 0; i < p->n_steps; i++)
		r |= jv_append(steps, describe_step(&p->steps[i]));
	r |= jv_set(o, "steps", steps);
	r |= jv_set_uint(o, "changes", p->n_changes);
	r |= jv_set_uint(o, "alarms", p->n_alarms);
	r |= jv_set_uint(o, "deletions", p->n_deletions);
	r |= jv_set_bool(o, "blocked", p->is_blocked);
	r |= jv_set_string(o, "hash", p->hash);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

/* ---- the hash ---- */

static int compare_members(const void *a, const void *b)
{
	return strcmp(((const struct jv_iter *)a)->key, ((const struct jv_iter *)b)->key);
}

static int set_member(struct jv *o, const struct jv_iter *m)
{
	const char *secret = mapping_is_secret(m->key) ? jv_string(m->value, NULL) : NULL;
	char hex[TLS_SHA256_HEX_LEN];
	int r;

	if (!secret)
		return jv_set(o, m->key, jv_copy(m->value));
	r = tls_sha256_hex(secret, strlen(secret), hex);
	return r < 0 ? r : jv_set_string(o, m->key, hex);
}

/* Members in the order of their names, secrets as their hashes. */
static struct jv *canonical(const struct jv *mapping)
{
	_cleanup_free_ struct jv_iter *members = calloc(jv_size(mapping) + 1, sizeof(*members));
	_cleanup_jv_ struct jv *o = jv_object_new();
	size_t n = 0;
	int r = 0;

	if (!members)
		return NULL;
	for (struct jv_iter it = {}; jv_next(mapping, &it);)
		members[n++] = it;
	qsort(members, n, sizeof(*members), compare_members);
	for (size_t i = 0; i < n; i++)
		r |= set_member(o, &members[i]);
	return r ? NULL : TAKE(o);
}

static int compare_after(const void *key, const void *item)
{
	return strcmp(key, jv_get_string(((const struct owned *)item)->mapping, "neighbor", ""));
}

static struct jv *canonical_step(const struct plan *p, const struct plan_step *s)
{
	const struct owned *o =
		bsearch(s->neighbor, p->after, p->n_after, sizeof(*p->after), compare_after);
	_cleanup_jv_ struct jv *step = describe_step(s);
	int r = step ? 0 : -ENOMEM;

	if (!r && o)
		r = jv_set(step, "mapping", canonical(o->mapping));
	return r ? NULL : TAKE(step);
}

int plan_hash(struct plan *p)
{
	_cleanup_jv_ struct jv *list = jv_array_new();
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < p->n_steps; i++)
		if (plan_action_changes(p->steps[i].action))
			r = jv_append(list, canonical_step(p, &p->steps[i]));
	if (r < 0)
		return r;
	text = jv_dump_line(list, &len);
	return text ? tls_sha256_hex(text, len, p->hash) : -ENOMEM;
}
