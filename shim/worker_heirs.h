/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a worker's sessions go when its control is gone, and where it gets those of its
 * predecessors from (handover.h).
 */
#ifndef BOTLS_WORKER_HEIRS_H
#define BOTLS_WORKER_HEIRS_H

#include "handover.h"

struct heirs_ops {
	struct neighbor *(*neighbor_at)(void *host, size_t i);
	struct neighbor *(*neighbor)(void *host, const char *name);
	const struct config *(*config)(void *host);
	uint64_t *(*last_session)(void *host);
	/* News of what was asked for as `id`. */
	void (*on_taken)(void *host, uint32_t id, const struct take_counts *c);
	/* A session has gone. */
	void (*on_moved)(void *host);
	/* No successor will come; heirs_done() is allowed. */
	void (*on_alone)(void *host);
};

struct heirs {
	struct loop *loop;
	const struct heirs_ops *ops;
	void *host;
	unsigned worker;
	struct give *give;	/* NULL: nobody can inherit */
	struct taking *takings; /* what is being taken over */
};

void heirs_init(struct heirs *h, struct loop *loop, unsigned worker, const struct heirs_ops *ops,
		void *host);
void heirs_done(struct heirs *h);

/* Both take `fd` over. The first: where a successor will ask; the second: where a predecessor is to
 * be asked. */
void heirs_set_own(struct heirs *h, int fd);
void heirs_take(struct heirs *h, uint32_t id, int fd);
/* The configuration is another one. */
void heirs_renew(struct heirs *h);
/* May a successor come? */
bool heirs_may_come(const struct heirs *h);
/* Control is gone: what is asked for is given, for so long, and nothing is taken any more. */
void heirs_begin(struct heirs *h, uint64_t drain_ms);
/* A successor has been told of everything. */
bool heirs_have_all(const struct heirs *h);
void heirs_tell_left(struct heirs *h, size_t n);
/* Of sessions that predecessors keep: as take_reset() and take_add_status(). */
size_t heirs_reset(struct heirs *h, const char *neighbor);
int heirs_add_status(const struct heirs *h, struct jv *status);

#endif
