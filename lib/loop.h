/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: descriptors, timers, continuations, signals, in one thread. Level-triggered.
 *
 * Callbacks may free anything of the loop, also what they were called for: its callback is not
 * called again. The exception is loop_free(), which comes last. Only loop.c sees libevent.
 */
#ifndef BOTLS_LOOP_H
#define BOTLS_LOOP_H

#include "jitter.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
int loop_new(struct loop **ret); /* 0, -ENOMEM, or another -errno; after fork(), never before */
void loop_free(
	struct loop *l); /* every io and timer must be gone; signal handlers are taken down here */
int loop_run(struct loop *l);	/* until loop_stop(); -errno when polling itself fails */
void loop_stop(struct loop *l); /* the callback that calls it is the last one */
/* One turn: waits for something when `wait`, runs what is ready, returns. For tests and tools. */
int loop_turn(struct loop *l, bool wait);

/* For callbacks of descriptors that take long and can wait, such as a step of a handshake: true for
 * a few in a turn. The others return at once and are called again in the next turn, because their
 * descriptor is still ready; so what is quick waits for a few of them at most, however many are
 * due. Who has waited longest comes first. */
bool loop_may_take_long(struct loop *l);
/* In this turn or the one before somebody had to wait for that: what is begun now only makes all of
 * it take longer. */
bool loop_is_behind(const struct loop *l);

uint64_t loop_now_ms(void); /* CLOCK_MONOTONIC, read now */

enum {
	IO_READ = 1,
	IO_WRITE = 2,
	/* The other end has sent its FIN or is gone. For a descriptor that is not being read: what
	 * it has still queued is left alone. Told at most once in the life of an io, so it cannot
	 * spin. */
	IO_HUP = 4,
	/* Never asked for; comes with IO_HUP when the connection is dead (RST, timeout). SO_ERROR
	   is left alone. */
	IO_ERROR = 8,
};

/* Watches a descriptor that stays the caller's: io_free() before close(). Starts with nothing
 * wanted. A dead connection is reported as whichever of IO_READ and IO_WRITE is wanted. IO_READ and
 * IO_WRITE that are ready together come as two calls. */
struct io;
int io_add(struct loop *l, int fd, void (*cb)(void *arg, unsigned events), void *arg,
	   struct io **ret);
/* What to watch for from now on; costs nothing when nothing changes. -ENOMEM, -EPERM (a regular
 * file), ... */
int io_set(struct io *io, unsigned want);
unsigned io_wanted(const struct io *io);
void io_free(struct io *io); /* NULL is fine */

/* One-shot timers. */
struct timer;
int timer_new(struct loop *l, void (*cb)(void *arg), void *arg, struct timer **ret);
int timer_set_ms(struct timer *t, uint64_t ms); /* starts it, or starts it anew; 0 or -ENOMEM */
void timer_stop(struct timer *t);		/* NULL is fine */
bool timer_is_set(const struct timer *t);	/* false for NULL */
void timer_free(struct timer *t);		/* NULL is fine */

/* A continuation: runs in the next turn, after the descriptors that are ready by then. timer_stop()
 * cancels it. */
static inline int timer_defer(struct timer *t)
{
	return timer_set_ms(t, 0);
}

/* The signal is handled in the loop, not in the handler. Lives until loop_free(). 0 or -errno. */
int loop_on_signal(struct loop *l, int signo, void (*cb)(void *arg, int signo), void *arg);

#endif
