/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A steering that programs nothing: it keeps what it was told last, and says what the test wants.
 */
#ifndef BOTLS_TEST_FAKE_STEERING_H
#define BOTLS_TEST_FAKE_STEERING_H

#include "steering_internal.h"

#define FAKE_NEIGHBORS_MAX 16
#define FAKE_LISTENERS	   4

struct fake_steering {
	struct steering base;
	struct steering_entry entries[FAKE_NEIGHBORS_MAX];
	size_t n_entries, n_carriers;
	unsigned n_new, n_applied, n_checked, n_repaired, n_removed, n_freed;
	int new_error, apply_error, repair_error, remove_error; /* -errno to fail with */
	unsigned n_busy;					/* starts that find a predecessor */
	const char *not_the_first; /* why another mechanism than the first one was taken */
	unsigned n_bad;		   /* items that the kernel lost */
	unsigned clear_count;
	int listeners[FAKE_LISTENERS];	      /* descriptors that mean nothing */
	size_t n_listeners, n_listeners_next; /* _next: from the next apply on */
	bool swap_next;			      /* then two of them change places */
	struct addr own, peer;		      /* of the last connect_inner */
	int inner_error, inner_peer;	      /* the other end of its socket */
	const unsigned *clock;
	unsigned applied_at; /* what it showed at the last apply */
};

/* `clock`: anything that counts, to see what came before what. */
void fake_steering_init(struct fake_steering *f, const unsigned *clock);
void fake_steering_done(struct fake_steering *f);

#endif
