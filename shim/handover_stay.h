/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that stay with an old worker, as its successor knows them: from what was said of them
 * (handover.h), once. What is kept has a limit; sessions beyond it are counted elsewhere and not
 * here.
 */
#ifndef BOTLS_HANDOVER_STAY_H
#define BOTLS_HANDOVER_STAY_H

#include "fields.h"
#include "json.h"

struct stay;

/* A zeroed one is empty. */
struct stays {
	struct stay *first;
	size_t bytes;
};

/* Where they are, and for how long. */
struct stays_place {
	unsigned worker;
	uint64_t process;     /* 0: not known */
	int64_t since, until; /* seconds since the epoch; 0: not known */
};

/* `f` is of SESSION or STAYS, or of session_describe(). An older version says no more than whose
 * session it is; `id` is 0 then. NULL: out of memory. */
struct stay *stay_read(const struct fields_in *f, uint64_t id, const char *neighbor,
		       const char *why);
void stays_add(struct stays *l, struct stay *s); /* takes it over; NULL is fine */
void stays_done(struct stays *l);
/* Only those with one of these numbers, of 8 bytes each in network order, are still there. */
void stays_keep(struct stays *l, const uint8_t *numbers, size_t len);
size_t stays_count(const struct stays *l, const char *neighbor);
/* Adds those of a neighbor to its status (docs/control-protocol.md). 0 or -ENOMEM. */
int stays_add_status(const struct stays *l, const struct stays_place *place, struct jv *status);

#endif
