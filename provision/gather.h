/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks everybody: what the servers list, what the registry has, what the programs run and what is
 * in our files; and judges every session. What plan_prepare() needs, in one place.
 *
 * A server that fails, lists nothing although sessions of ours come from it, or lists things that
 * cannot be read takes nothing away: its sessions are held. A session that is missing from a
 * listing is gone only when the server, asked for that one, says so.
 */
#ifndef BOTLS_GATHER_H
#define BOTLS_GATHER_H

#include "plan.h"
#include "world.h"

struct server_report {
	const struct server_settings *server;
	bool is_complete;
	struct api_error error; /* of the call that failed */
	size_t n_records;
	char alarm[512]; /* empty: none */
};

struct gathered {
	struct judgement *judgements;
	size_t n_judgements;
	struct server_report *servers; /* as in the settings */
	char registry[256];	       /* why PeeringDB could not be asked now; empty: it could */
	struct plan_target *targets;   /* the shim first */
	size_t n_targets;
	struct observation *observations;
	char **texts;
};

/* 0, -ECANCELED, or another -errno with the reason in *e: nothing can be planned then. */
int gather(struct world *w, struct gathered *ret, struct errtext *e);
void gathered_done(struct gathered *g);
#define _cleanup_gathered_ __attribute__((cleanup(gathered_done)))

/* Writes down what the servers say now of the sessions that we asked for. Returns whether anything
 * in the state has changed. */
bool gathered_remember(struct world *w, const struct gathered *g);

/* Makes a plan of it. `force`: how many deletions are allowed, -1: as configured. */
int gathered_plan(struct world *w, const struct gathered *g, int64_t force, struct plan *ret,
		  struct errtext *e);

#endif
