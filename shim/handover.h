/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that go from an old worker, whose control is gone, to a worker of its successor, while
 * both relay: no byte is lost, and neither the daemon nor the neighbor sees anything.
 *
 * The new worker asks, the old one answers, one session at a time:
 *
 *	HELLO                 WELCOME    its configuration, the last session's number
 *	NEXT                  COUNTERS   of a neighbor; then, session by session,
 *	                      SESSION    frozen; fields and both descriptors
 *	                      STAYS      one that cannot move, and what a status tells of it
 *	                      END        no more of them
 *	READY (to SESSION)    GO         the old one has let go of it: it is ours
 *	                      STOP       too late, it goes on there
 *	REFUSE                           it goes on there, or, when it has to, ends there
 *
 * GO is the moment: before it the old worker can go on, after it the new one does. An answer that
 * does not come within HANDOVER_FREEZE_MS makes the old one go on. HELLO begins anew: the one who
 * asked before has died, or has lost its control, too. Each SESSION has a number ("offer"), and
 * READY, GO and STOP say which one they mean: what that one left on its way is about another.
 *
 * Types and names of fields never change their meaning; either end may be of a newer version.
 */
#ifndef BOTLS_HANDOVER_H
#define BOTLS_HANDOVER_H

#include "neighbor.h"

#include <stdbool.h>
#include <stdint.h>

#define HANDOVER_VERSION 1
/* How long a session may stand still while the new worker looks at it. */
#define HANDOVER_FREEZE_MS 2000
/* Bytes of any message but WELCOME. The longest is SESSION, of at most 450 kB: what may wait to be
 * sent (256 kB) or written (2 * 40 kB), 80 kB that were read ahead, two messages half way, names.
 */
#define HANDOVER_MESSAGE_MAX (1u << 20)
/* What all that an old worker says may cost the new one, in milliseconds, at first and after each
 * reload; 20,000 sessions take some seconds. */
#define HANDOVER_WORK_MS 60000

enum handover_type {
	HANDOVER_HELLO = 1,
	HANDOVER_NEXT,
	HANDOVER_READY,
	HANDOVER_REFUSE,

	HANDOVER_WELCOME = 64,
	HANDOVER_COUNTERS,
	HANDOVER_SESSION,
	HANDOVER_STAYS,
	HANDOVER_GO,
	HANDOVER_STOP,
	HANDOVER_END,
	HANDOVER_LEFT, /* not asked for: how many of those that stayed are left, and which */
};

/* --- the old worker's end */

struct give_ops {
	/* Neighbors by number, NULL behind the last one. */
	struct neighbor *(*neighbor)(void *host, size_t i);
	const struct config *(*config)(void *host); /* NULL: none yet */
	uint64_t (*last_session)(void *host);
	/* A session has gone to the successor. */
	void (*on_moved)(void *host);
	/* Nobody holds the other end: no successor will come. give_free() is allowed. */
	void (*on_alone)(void *host);
};

struct give;
/* Takes `fd` over, also when it fails. Nothing is given before give_begin(). 0 or -ENOMEM. */
int give_new(struct loop *loop, int fd, unsigned worker, const struct give_ops *ops, void *host,
	     struct give **ret);
/* Control is gone: who asks is its successor. `drain_ms`: how long sessions that stay may last. */
void give_begin(struct give *g, uint64_t drain_ms);
void give_free(struct give *g); /* what is offered goes on here; NULL is fine */
bool give_is_alone(const struct give *g);
bool give_has_told_all(const struct give *g); /* END was said */
/* Whoever has taken sessions over is told how many are left. */
void give_tell_left(struct give *g, size_t n);

/* --- the new worker's end */

struct take_counts {
	uint64_t moved, stayed, ended; /* sessions; ended: our configuration is against them */
	uint64_t left;		       /* of those that stayed */
	uint64_t drain_ms;	       /* how long they may last, as it was said */
	int64_t until;		       /* the same as a time, in seconds since the epoch */
};

struct take;
struct take_ops {
	struct neighbor *(*neighbor)(void *host, const char *name); /* NULL: not configured */
	const struct config *(*config)(void *host);
	/* The number of the last session there was; numbers that come along are counted in. */
	uint64_t *(*last_session)(void *host);
	/* All that could move has; or the number of those that stayed has changed. */
	void (*on_counts)(void *host, const struct take_counts *c);
	/* The old worker is gone; take_free() is allowed. */
	void (*on_gone)(void *host);
};

/* Begins. Takes `fd` over, also when it fails. 0 or -ENOMEM. */
int take_new(struct loop *loop, int fd, const struct take_ops *ops, void *host, struct take **ret);
void take_free(struct take *t); /* NULL is fine */
/* The host's configuration is another one: it counts for what stayed, too. */
void take_renew(struct take *t);
/* Ends what stayed of a neighbor, and what is told of it before all has been. Returns of how many
 * it knows. */
size_t take_reset(struct take *t, const char *neighbor);
/* Adds what stayed of a neighbor to its status. 0 or -ENOMEM. */
int take_add_status(const struct take *t, struct jv *status);
/* Control is gone, and its successor will ask for what is left: what is in our hands is finished,
 * and no more is asked for. True: nothing is, take_free() is due; else on_gone() follows. */
bool take_stop(struct take *t);

#endif
