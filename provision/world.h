/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every subcommand works with: the settings, the servers, the registry, the state, the audit
 * log. Opened once, closed once.
 */
#ifndef BOTLS_WORLD_H
#define BOTLS_WORLD_H

#include "api.h"
#include "audit.h"
#include "peeringdb.h"
#include "state.h"

struct world {
	struct settings *settings;
	struct http *http;
	struct tokens *tokens;
	struct api **apis;	    /* as settings->servers */
	struct peeringdb *registry; /* NULL: check-addresses = false */
	struct state_store *store;
	struct state state;
	struct audit *audit; /* NULL: opened for looking only */
	char run_id[37];
	bool is_quiet; /* no progress: --json, or no terminal */
};

enum world_use {
	WORLD_SETTINGS, /* the configuration only */
	WORLD_LOOK,	/* nothing is written but caches */
	WORLD_WRITE,	/* takes the lock; writes state and audit log */
};

/* Says itself what is wrong. 0 or -errno. */
int world_open(struct world *w, const char *config, enum world_use use, bool is_quiet);
void world_close(struct world *w);

struct api *world_api(struct world *w, const struct server_settings *s);
/* The server of that name, or says that there is none: NULL. */
const struct server_settings *world_server(struct world *w, const char *name);

int64_t world_now(void *arg);
/* Waits; -ECANCELED when SIGINT or SIGTERM came, then and before. */
int world_wait_ms(void *arg, uint64_t ms);
bool world_is_cancelled(void);
/* A line that replaces the last one on a terminal; `arg` is the world. */
void world_progress(void *arg, const char *text);
/* Takes the progress line away before something else is printed. */
void world_progress_end(struct world *w);

/* Takes over `members`. What cannot be audited is not done: the caller stops. */
int world_audit(struct world *w, const char *event, struct jv *members);
int world_save(struct world *w); /* the state; says itself what is wrong */

#endif
