/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a server for sessions: which ones, and what became of each. What is asked for is in the
 * state before it leaves: when no answer comes, the next run still knows whose idea it was.
 */
#ifndef BOTLS_REQUEST_H
#define BOTLS_REQUEST_H

#include "world.h"

/* Sessions of one POST; more are asked for in several. */
#define REQUEST_BATCH 100
#define REQUEST_MAX   2000

/* What to ask for. `location` and `local` are for explicit peers; unset: PeeringDB knows. */
struct request_wish {
	const struct server_settings *server;
	bool is_common;		  /* every location that both networks have */
	const struct addr *peers; /* else these */
	size_t n_peers;
	const struct addr *local;	 /* NULL: found by the location */
	const struct location *location; /* NULL: found by the address */
	bool is_again; /* also what was rejected, parked or is configured already */
};

struct request_skip {
	char neighbor[ADDR_STRLEN];
	char reason[RECORD_TEXT_MAX];
};
struct request {
	struct record *sessions; /* to be asked for */
	size_t n;
	struct request_skip *skipped;
	size_t n_skipped;
};

/* Works out what to ask for, checked against policy and registry. 0 or -errno with *e. */
int request_prepare(struct world *w, const struct request_wish *wish, struct request *ret,
		    struct errtext *e);
void request_done(struct request *r);

/* Asks. Called for each answer, in the order of the sessions; extra ones have kind
 * OUTCOME_PENDING and `is_extra`. State and audit log are written. 0, or -1 with *e when a call
 * failed as such: what was asked for before stays asked for. */
typedef void request_outcome_fn(void *arg, const struct outcome *o, bool is_extra);
int request_send(struct world *w, const struct server_settings *s, const struct request *r,
		 request_outcome_fn *fn, void *arg, struct api_error *e);

const char *outcome_name(enum outcome_kind k); /* "approved", "parked", ... */

#endif
