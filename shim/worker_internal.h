/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by worker.c (the process, and what it and control say to each other), worker_accept.c (who
 * comes in), worker_apply.c (a new configuration), worker_end.c (control is gone), and by nobody
 * else. */
#ifndef BOTLS_WORKER_INTERNAL_H
#define BOTLS_WORKER_INTERNAL_H

#include "worker.h"

#include "botls/capture.h"
#include "listener.h"
#include "log.h"
#include "neighbor.h"
#include "rate.h"
#include "requests.h"
#include "worker_batch.h"
#include "worker_heirs.h"

struct listeners {
	struct listener **all;
	size_t n;
};

struct worker {
	struct loop *loop;
	struct ipc *ipc;
	unsigned number;
	struct batch batch;
	int keylog_fd;

	struct config *config;	     /* NULL until the first APPLY */
	struct neighbor **neighbors; /* in the order of config->neighbors */
	unsigned n_dying;	     /* dropped ones whose sessions still end */
	struct listeners tls, inner;

	struct requests requests;
	uint64_t last_session;
	unsigned n_handshakes[2]; /* by enum session_direction */
	struct rate rate;
	struct timer *end, *orphan;
	uint64_t end_ms, orphan_until;
	bool is_stopping; /* control said so: no successor comes */
	size_t told_left; /* sessions that the successor knows of */
	struct heirs heirs;

	struct capture *captures[BOTLS_CAPTURES_MAX];

	uint64_t unknown_count;
	struct addr unknown_last;
	int64_t unknown_time;
	struct log_limit unknown_limit;
};

/* worker.c */
/* What neighbors call. */
extern const struct neighbor_host_ops worker_neighbor_ops;
/* A handshake with a neighbor begins (1) or is over (-1). Also pauses listeners and lets them go
 * on: with 0, new ones. */
void worker_on_handshakes(void *host, enum session_direction direction, int change);
/* NULL: it is not in the configuration. */
struct neighbor *worker_neighbor_named(struct worker *w, const char *name);

/* worker_accept.c */
/* Connections on the TLS port (or carried), and from a daemon of ours; the descriptor is taken
 * over. */
void worker_on_tls_accept(void *arg, int fd, const struct addr *peer, uint16_t peer_port,
			  const struct addr *own, uint16_t own_port);
void worker_on_inner_accept(void *arg, int fd, const struct addr *daemon, uint16_t daemon_port,
			    const struct addr *wanted, uint16_t wanted_port);
/* Takes those of the descriptors over that it comes to, also when it fails; 0 or -errno. */
int worker_make_listeners(struct worker *w, int *fds, size_t n, listener_accept_fn *on_accept,
			  struct listeners *ret);
void worker_free_listeners(struct listeners *l);

/* worker_apply.c: MSG_APPLY; the answer is sent. */
void worker_on_apply(struct worker *w, uint32_t id);

/* worker_end.c */
/* Control is gone. */
void worker_on_gone(void *arg);
/* Is it over, is it still needed: from the timers w->end and w->orphan. */
void worker_on_end(void *arg);
void worker_on_orphan(void *arg);
/* What the heirs call. */
extern const struct heirs_ops worker_heirs_ops;

#endif
