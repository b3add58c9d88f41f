// SPDX-License-Identifier: Apache-2.0
#include "ctl_rates.h"

#include <string.h>

struct totals {
	double in, out, messages;
};

static double messages_of(const struct jv *stream)
{
	const struct jv *counts = jv_get(stream, "messages");
	double n = 0;

	for (struct jv_iter it = {}; jv_next(counts, &it);)
		n += jv_int(it.value, 0);
	return n;
}

static struct totals totals_of(const struct jv *session)
{
	const struct jv *in = jv_get(session, "in"), *out = jv_get(session, "out");

	return (struct totals){jv_get_int(in, "bytes", 0), jv_get_int(out, "bytes", 0),
			       messages_of(in) + messages_of(out)};
}

static const struct jv *find_neighbor(const struct jv *list, size_t hint, const char *name)
{
	if (strcmp(jv_get_string(jv_at(list, hint), "name", ""), name) == 0)
		return jv_at(list, hint);
	for (size_t i = 0; i < jv_size(list); i++)
		if (strcmp(jv_get_string(jv_at(list, i), "name", ""), name) == 0)
			return jv_at(list, i);
	return NULL;
}

/* Ids are a worker's own, and a worker that was started again begins anew: then the session began
 * at another time. */
static const struct jv *find_session(const struct jv *list, const struct jv *session)
{
	static const char *const same[] = {"id", "worker", "peer_port", "local_port"};

	for (size_t i = 0; i < jv_size(list); i++) {
		const struct jv *other = jv_at(list, i);
		size_t k = 0;

		while (k < ARRAY_SIZE(same) &&
		       jv_get_int(other, same[k], -1) == jv_get_int(session, same[k], -1))
			k++;
		if (k == ARRAY_SIZE(same))
			return other;
	}
	return NULL;
}

static bool differs(const struct jv *a, const struct jv *b, const char *key)
{
	return strcmp(jv_get_string(a, key, ""), jv_get_string(b, key, "")) != 0;
}

/* A counter that went back belongs to something else. */
static double rate(double now, double before, double seconds)
{
	return now > before && seconds > 0 ? (now - before) / seconds : 0;
}

void ctl_rates_of(const struct jv *before, size_t hint, const struct jv *neighbor, double seconds,
		  struct ctl_rates *ret)
{
	const struct jv *sessions = jv_get(neighbor, "sessions"), *old;

	*ret = (struct ctl_rates){};
	if (!before)
		return;
	old = find_neighbor(before, hint, jv_get_string(neighbor, "name", ""));
	ret->has_changed = !old || differs(old, neighbor, "state") || differs(old, neighbor, "bgp");
	for (size_t i = 0; i < jv_size(sessions); i++) {
		const struct jv *s = find_session(jv_get(old, "sessions"), jv_at(sessions, i));
		struct totals now = totals_of(jv_at(sessions, i)), then = totals_of(s);

		ret->has_changed |= !s;
		ret->bytes_in += rate(now.in, then.in, seconds);
		ret->bytes_out += rate(now.out, then.out, seconds);
		ret->messages += rate(now.messages, then.messages, seconds);
	}
}

void ctl_rates_add(struct ctl_rates *sum, const struct ctl_rates *r)
{
	sum->bytes_in += r->bytes_in;
	sum->bytes_out += r->bytes_out;
	sum->messages += r->messages;
	sum->has_changed |= r->has_changed;
}
