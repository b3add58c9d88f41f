// SPDX-License-Identifier: Apache-2.0
#include "handover_stay.h"

#include "addr.h"
#include "tls.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>

#define BYTES_MAX (32u << 20) /* some 40,000 sessions */
#define NAME_LEN  32	      /* of a state, a cipher, a group */

struct stay {
	struct stay *next;
	char neighbor[ADDR_STRLEN];
	uint64_t id;
	char *text; /* JSON; NULL: nobody told */
};

/* --- what is said of one */

static int set_text(struct jv *o, const char *key, struct fields_in *f, const char *name,
		    size_t size)
{
	char text[sizeof(((struct tls_info *)NULL)->peer_san)];

	if (!fields_has(f, name))
		return 0;
	fields_text(f, name, text, size);
	return text[0] ? jv_set_string(o, key, text) : 0;
}

static int set_number(struct jv *o, const char *key, struct fields_in *f, const char *name,
		      uint64_t max)
{
	uint64_t n = fields_number_or(f, name, max, 0);

	return n ? jv_set_uint(o, key, n) : 0;
}

/* What counts goes on counting where it is: it is not here. */
static struct jv *tls_json(struct fields_in *f)
{
	const struct tls_info *info = NULL; /* only for the sizes of its fields */
	struct jv *o = jv_object_new();
	int r = set_text(o, "version", f, "tls.version", NAME_LEN);

	r |= set_text(o, "cipher", f, "tls.cipher", 2 * NAME_LEN);
	r |= set_text(o, "group", f, "tls.group", 2 * NAME_LEN);
	r |= set_text(o, "subject", f, "tls.peer-subject", sizeof(info->peer_subject));
	r |= set_text(o, "issuer", f, "tls.peer-issuer", sizeof(info->peer_issuer));
	r |= set_text(o, "san", f, "tls.peer-san", sizeof(info->peer_san));
	r |= set_number(o, "not_after", f, "tls.peer-not-after", INT64_MAX);
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *session_json(struct fields_in *f, uint64_t id, const char *why)
{
	bool is_clear = fields_number(f, "is-clear", 1);
	struct jv *o = jv_object_new(), *draining = jv_object_new();
	int r = jv_set_uint(o, "id", id);

	r |= jv_set_string(o, "direction", fields_number(f, "is-inbound", 1) ? "in" : "out");
	r |= jv_set_string(o, "state", "draining");
	r |= set_text(o, "bgp", f, "bgp", NAME_LEN);
	r |= set_number(o, "established_since", f, "established-since", INT64_MAX);
	r |= set_text(o, "peer", f, "peer", ADDR_STRLEN);
	r |= set_number(o, "peer_port", f, "peer-port", UINT16_MAX);
	r |= set_text(o, "local", f, "own", ADDR_STRLEN);
	r |= set_number(o, "local_port", f, "own-port", UINT16_MAX);
	r |= jv_set_string(o, "transport", is_clear ? "clear" : "tls");
	if (!is_clear)
		r |= jv_set(o, "tls", tls_json(f));
	r |= jv_set_string(draining, "why", why);
	r |= jv_set(o, "draining", draining);
	return r || fields_error(f, NULL) < 0 ? (jv_free(o), NULL) : o;
}

struct stay *stay_read(const struct fields_in *from, uint64_t id, const char *neighbor,
		       const char *why)
{
	struct stay *s = calloc(1, sizeof(*s));
	_cleanup_jv_ struct jv *v = NULL;
	struct fields_in f = *from; /* what is wrong here is nobody else's trouble */

	if (!s)
		return NULL;
	snprintf(s->neighbor, sizeof(s->neighbor), "%s", neighbor);
	s->id = id;
	v = id ? session_json(&f, id, why) : NULL;
	s->text = v ? jv_dump_line(v, NULL) : NULL;
	return s;
}

static void stay_free(struct stay *s)
{
	if (!s)
		return;
	free(s->text);
	free(s);
}

/* --- all of them */

static size_t size_of(const struct stay *s)
{
	return sizeof(*s) + (s->text ? strlen(s->text) : 0);
}

void stays_add(struct stays *l, struct stay *s)
{
	if (!s || l->bytes + size_of(s) > BYTES_MAX) {
		stay_free(s);
		return;
	}
	l->bytes += size_of(s);
	s->next = l->first;
	l->first = s;
}

static void remove_at(struct stays *l, struct stay **at)
{
	struct stay *s = *at;

	*at = s->next;
	l->bytes -= size_of(s);
	stay_free(s);
}

void stays_done(struct stays *l)
{
	while (l->first)
		remove_at(l, &l->first);
}

static uint64_t number_at(const uint8_t *p)
{
	uint64_t n = 0;

	for (size_t i = 0; i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

void stays_keep(struct stays *l, const uint8_t *numbers, size_t len)
{
	_cleanup_free_ uint8_t *sorted = malloc(len + 1);
	size_t n = len / 8;

	if (!sorted)
		return;
	if (n)
		memcpy(sorted, numbers, n * 8);
	qsort(sorted, n, 8, compare);
	for (struct stay **at = &l->first; *at;) {
		size_t low = 0, high = n;

		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (number_at(&sorted[middle * 8]) < (*at)->id)
				low = middle + 1;
			else
				high = middle;
		}
		if (low < n && number_at(&sorted[low * 8]) == (*at)->id)
			at = &(*at)->next;
		else
			remove_at(l, at);
	}
}

size_t stays_count(const struct stays *l, const char *neighbor)
{
	size_t n = 0;

	for (const struct stay *s = l->first; s; s = s->next)
		n += strcmp(s->neighbor, neighbor) == 0;
	return n;
}

/* --- in a status */

static int complete(struct jv *session, const struct stays_place *place, const char *mode)
{
	struct jv *draining = jv_get_mutable(session, "draining");
	char worker[48];
	int r = 0;

	snprintf(worker, sizeof(worker), "%u-%llu", place->worker,
		 (unsigned long long)place->process);
	if (place->process)
		r |= jv_set_string(draining, "worker", worker);
	if (place->since)
		r |= jv_set_int(session, "since", place->since);
	if (place->until)
		r |= jv_set_int(draining, "until", place->until);
	if (strcmp(mode, "tcp-ao") == 0)
		r |= jv_set_string(session, "transport", mode);
	return r;
}

/* What the neighbor is as a whole: what carries BGP counts, wherever it is. */
static int set_state(struct jv *status, const struct jv *session, const struct stays_place *place)
{
	static const char *const better[] = {"up", "clear", "off"};
	const char *state = jv_get_string(status, "state", "");
	const char *bgp = jv_get_string(session, "bgp", NULL);
	bool is_first = strcmp(state, "draining") != 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(better); i++)
		if (strcmp(state, better[i]) == 0)
			return 0;
	if (is_first)
		r |= jv_set_string(status, "state", "draining");
	if (is_first && place->since)
		r |= jv_set_int(status, "since", place->since);
	if (bgp && (is_first || strcmp(bgp, "established") == 0))
		r |= jv_set_string(status, "bgp", bgp);
	return r;
}

int stays_add_status(const struct stays *l, const struct stays_place *place, struct jv *status)
{
	const char *name = jv_get_string(status, "name", "");
	int r = 0;

	for (const struct stay *s = l->first; s && r == 0; s = s->next) {
		struct jv *session;

		if (!s->text || strcmp(s->neighbor, name) != 0)
			continue;
		if (jv_parse(s->text, strlen(s->text), &session, NULL) < 0)
			return -ENOMEM;
		r |= complete(session, place, jv_get_string(status, "mode", ""));
		r |= set_state(status, session, place);
		r |= jv_append(jv_get_mutable(status, "sessions"), session);
	}
	return r ? -ENOMEM : 0;
}
