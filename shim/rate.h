/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rate limit per source address in fixed memory: a table of token buckets. Two sources that fall
 * on the same place push each other out, which lets at most one burst more through.
 */
#ifndef BOTLS_RATE_H
#define BOTLS_RATE_H

#include "addr.h"

#define RATE_SLOTS 1024

struct rate {
	uint32_t seed; /* against sources that choose their place */
	struct rate_slot {
		struct addr source;
		uint64_t filled_ms;
		uint32_t tokens; /* thousandths of one */
	} slots[RATE_SLOTS];
};

void rate_init(struct rate *r, uint32_t seed);
/* Takes one token of `source`; false when it has none. Buckets hold one second's worth of
 * `per_second` (1 to 1000), at least 5. */
bool rate_take(struct rate *r, const struct addr *source, unsigned per_second, uint64_t now_ms);

#endif
