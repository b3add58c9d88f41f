/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a neighbor did between two answers of botlsd: bytes and messages per second, and whether its
 * state is another one. Both answers stay the caller's.
 */
#ifndef BOTLS_CTL_RATES_H
#define BOTLS_CTL_RATES_H

#include "json.h"

#include <stdbool.h>

struct ctl_rates {
	double bytes_in, bytes_out; /* per second; in: from the neighbor */
	double messages;	    /* both directions */
	bool has_changed;	    /* state, BGP state, or the session itself */
};

/* `before`: the "neighbors" of the answer before, NULL when there was none: all rates are 0 then.
 * `hint`: where in it the neighbor stood, most likely. A session that is new has sent all that it
 * has sent since; one that is gone counts no more. */
void ctl_rates_of(const struct jv *before, size_t hint, const struct jv *neighbor, double seconds,
		  struct ctl_rates *ret);
/* Adds up. */
void ctl_rates_add(struct ctl_rates *sum, const struct ctl_rates *r);

#endif
