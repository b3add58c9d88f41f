// SPDX-License-Identifier: Apache-2.0
#include "rate.h"

#include "util.h"

#define TOKEN	  1000
#define BURST_MIN 5

void rate_init(struct rate *r, uint32_t seed)
{
	memset(r, 0, sizeof(*r));
	r->seed = seed;
}

static struct rate_slot *slot_of(struct rate *r, const struct addr *a)
{
	uint32_t h = r->seed ^ 2166136261U;

	for (size_t i = 0; i < sizeof(a->bytes); i++)
		h = (h ^ a->bytes[i]) * 16777619U;
	for (const char *p = a->ifname; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619U;
	return &r->slots[(h ^ (h >> 16)) % RATE_SLOTS];
}

bool rate_take(struct rate *r, const struct addr *source, unsigned per_second, uint64_t now_ms)
{
	uint64_t full = (per_second < BURST_MIN ? BURST_MIN : per_second) * (uint64_t)TOKEN;
	struct rate_slot *s = slot_of(r, source);
	uint64_t tokens;

	if (!addr_equal(&s->source, source)) {
		s->source = *source;
		tokens = full;
	} else {
		tokens = s->tokens + (now_ms - s->filled_ms) * per_second;
	}
	s->filled_ms = now_ms;
	s->tokens = tokens > full ? full : tokens;
	if (s->tokens < TOKEN)
		return false;
	s->tokens -= TOKEN;
	return true;
}
