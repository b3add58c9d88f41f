/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A neighbor as a worker has it: its settings, its sessions, what happened to it, and for
 * `preferred` whether clear text is allowed now. Never sees a transport.
 *
 * Fallback (preferred): when no BGP session over TLS has been Established for fallback-after
 * seconds, clear text is allowed, loudly, until one is, or until the clear-text session that
 * followed has ended; then the time starts anew.
 */
#ifndef BOTLS_NEIGHBOR_H
#define BOTLS_NEIGHBOR_H

#include "config.h"
#include "json.h"
#include "loop.h"
#include "session.h"

struct neighbor;

/* What a neighbor asks of the worker. */
struct neighbor_host_ops {
	uint32_t (*want_outer)(void *host, struct neighbor *n, struct session *s, bool clear);
	uint32_t (*want_inner)(void *host, struct neighbor *n, struct session *s);
	void (*forget_request)(void *host, uint32_t id);
	bool (*may_handshake)(void *host);
	/* +1 began, -1 ended */
	void (*on_handshakes)(void *host, enum session_direction direction, int change);
	/* A connection with TCP-AO, which control keeps the keys of; the descriptor is borrowed. */
	void (*show_ao)(void *host, struct neighbor *n, int fd);
	void (*on_fallback)(void *host, struct neighbor *n, bool allow_clear);
	/* The last session of a neighbor that was dropped is gone: free it. */
	void (*on_empty)(void *host, struct neighbor *n);
	/* As in session.h. */
	uint32_t (*want_ao)(void *host, struct neighbor *n, struct session *s, int fd,
			    struct message_want_ao *m);
};

/* `ctx` may be NULL: the certificate cannot be used, `error` says why; the neighbor refuses every
 * session. */
int neighbor_new(struct loop *loop, const struct neighbor_host_ops *ops, void *host,
		 const struct neighbor_config *config, struct tls_ctx *ctx, const char *error,
		 struct neighbor **ret);
void neighbor_free(struct neighbor *n); /* its sessions end by RST */

/* New settings; `reset` ends its sessions. The reference on `ctx` is the neighbor's own. */
void neighbor_set_config(struct neighbor *n, const struct neighbor_config *config,
			 struct tls_ctx *ctx, const char *error, bool reset);
/* No longer configured: ends its sessions in an orderly way; on_empty follows (maybe at once). */
void neighbor_drop(struct neighbor *n);

const char *neighbor_name(const struct neighbor *n);
const struct neighbor_config *neighbor_config(const struct neighbor *n);

/* Both take `fd` over. A connection that may not become a session is reset, counted and logged. */
void neighbor_accept_inner(struct neighbor *n, uint64_t id, int fd, const struct addr *peer,
			   const struct addr *own);
void neighbor_accept_outer(struct neighbor *n, uint64_t id, int fd, const struct addr *peer,
			   uint16_t port, const struct addr *own);

/* --- sessions that go on in another process (handover.h) */

struct fields_in;
struct fields_out;
void neighbor_export_counters(const struct neighbor *n, struct fields_out *o);
/* They begin anew. */
void neighbor_forget_counters(struct neighbor *n);
/* Adds them to what is there. What is not rightly said is left out. */
void neighbor_import_counters(struct neighbor *n, struct fields_in *f);
struct session *neighbor_session(const struct neighbor *n, uint64_t id); /* or NULL */
/* The numbers of its sessions, `max` of them at most; returns how many. */
size_t neighbor_session_ids(const struct neighbor *n, uint64_t *ret, size_t max);
/* One that was not told of in this round, which is not 0; or NULL. */
struct session *neighbor_next_session(struct neighbor *n, unsigned round);
/* A frozen session has gone: see session_leave(). */
void neighbor_leave(struct neighbor *n, struct session *s);
/* Control is gone: see session_end_unready(). Whether clear text is allowed is its successor's to
 * say. */
void neighbor_end_unready(struct neighbor *n, const char *why);

/* As session_import(). The session is frozen and belongs to no neighbor yet; it must go to
 * neighbor_take() or neighbor_discard(). -ENOSPC: the neighbor may not have another one. */
int neighbor_import(struct neighbor *n, uint64_t id, struct fields_in *f, int inner_fd,
		    int outer_fd, struct session **ret);
/* It is `n`'s, which may be another one than before if the configuration is, and goes on. */
void neighbor_take(struct neighbor *n, struct session *s);
/* A session of it stays with the old worker, for so long at most: the time for which it may go
 * without TLS (preferred) begins then. */
void neighbor_is_elsewhere(struct neighbor *n, uint64_t ms);
/* `reset`: both sides get RST; else the connections stay for whoever has them too. */
void neighbor_discard(struct session *s, bool reset);

/* Ends its sessions (botlsctl reset), and the next one is tried with TCP-AO first. Returns how
 * many.
 */
unsigned neighbor_reset(struct neighbor *n, const char *why);
/* Calls show_ao for each connection. */
void neighbor_show_ao(struct neighbor *n);
unsigned neighbor_sessions(const struct neighbor *n);
/* A capture of all its sessions, now and to come. Takes `fd` over. 0 or -ENOMEM. */
int neighbor_capture(struct neighbor *n, int fd, unsigned slot, unsigned worker,
		     struct capture **ret);
/* Clear text is allowed already: a worker that was restarted takes this over from its predecessor.
 */
void neighbor_fallback_begin(struct neighbor *n);
/* The last session in clear text is over: ours or one that the daemon accepted itself. Only control
 * sees both. */
void neighbor_fallback_end(struct neighbor *n);

/* All values of a row (botls/metrics.h), BM_VALUES of them. */
void neighbor_metrics(const struct neighbor *n, uint64_t *ret_row);

/* As docs/control-protocol.md has it; NULL when out of memory. */
struct jv *neighbor_status(struct neighbor *n, unsigned worker);

#endif
