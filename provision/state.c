// SPDX-License-Identifier: Apache-2.0
#include "state_internal.h"

#include <errno.h>

/* The characters lie in memory of the value's own; JSON has no call to overwrite them. */
static void wipe_string(const struct jv *v)
{
	const char *s = jv_string(v, NULL);

	if (s)
		explicit_bzero((char *)s, strlen(s));
}

void state_wipe_mapping(const struct jv *m)
{
	for (struct jv_iter it = {}; jv_next(m, &it);)
		if (mapping_is_secret(it.key))
			wipe_string(it.value);
}

void owned_done(struct owned *o)
{
	state_wipe_mapping(o->mapping);
	jv_free(o->mapping);
	*o = (struct owned){};
}

int owned_copy(const struct owned *o, struct owned *ret)
{
	struct jv *m = jv_copy(o->mapping);

	if (!m)
		return -ENOMEM;
	*ret = *o;
	ret->mapping = m;
	return 0;
}

void state_wipe(struct state *s)
{
	for (size_t i = 0; i < s->n_owned; i++)
		owned_done(&s->owned[i]);
	free(s->owned);
	if (s->asked)
		explicit_bzero(s->asked, s->n_asked * sizeof(*s->asked));
	free(s->asked);
	*s = (struct state){};
}

static int compare_key(const void *key, const void *item)
{
	const struct owned *o = item;

	return strcmp(key, jv_get_string(o->mapping, "neighbor", ""));
}

struct owned *state_owned(struct state *s, const char *neighbor)
{
	if (!s->n_owned)
		return NULL;
	return bsearch(neighbor, s->owned, s->n_owned, sizeof(*s->owned), compare_key);
}

static bool is_about(const struct asked *a, const char *server, const struct record *r)
{
	return !strcmp(a->server, server) && record_same_session(&a->record, r);
}

struct asked *state_asked(struct state *s, const char *server, const struct record *r)
{
	for (size_t i = s->n_asked; i-- > 0;)
		if (is_about(&s->asked[i], server, r))
			return &s->asked[i];
	return NULL;
}

/* What was refused long ago and what nobody ever took says nothing any more. */
static bool is_stale(const struct asked *a, int64_t now)
{
	if (a->is_accepted || now - a->when <= STATE_ASKED_KEEP)
		return false;
	switch (a->outcome) {
	case OUTCOME_REJECTED:
	case OUTCOME_UNKNOWN: return true;
	case OUTCOME_APPROVED:
	case OUTCOME_PENDING:
	case OUTCOME_HUMAN: break;
	}
	return false;
}

/* `a` may be one of the entries that go. */
int state_add_asked(struct state *s, const struct asked *a)
{
	struct asked *list = malloc((s->n_asked + 1) * sizeof(*list));
	bool is_placed = false;
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_asked; i++) {
		const struct asked *old = &s->asked[i];

		if (is_about(old, a->server, &a->record) || is_stale(old, a->when))
			continue;
		if (!is_placed && old->when > a->when) {
			list[n++] = *a;
			is_placed = true;
		}
		list[n++] = *old;
	}
	if (!is_placed)
		list[n++] = *a;
	if (n > STATE_ASKED_MAX) {
		explicit_bzero(list, n * sizeof(*list));
		free(list);
		return -E2BIG;
	}
	if (s->asked)
		explicit_bzero(s->asked, s->n_asked * sizeof(*s->asked));
	free(s->asked);
	s->asked = list;
	s->n_asked = n;
	return 0;
}
