/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What botls-provision remembers between two runs: the sessions that it has configured (owned), and
 * what it has asked servers for (asked). One file, state.json, mode 0600, replaced atomically; a
 * lock that lets one writer run at a time. It holds secrets.
 */
#ifndef BOTLS_STATE_H
#define BOTLS_STATE_H

#include "api.h"
#include "mapping.h"

#define STATE_OWNED_MAX 20000
#define STATE_ASKED_MAX 20000
/* Seconds after which what a server refused or never answered is forgotten. */
#define STATE_ASKED_KEEP ((int64_t)90 * 24 * 3600)
#define STATE_KEPT	 10 /* generations */

enum phase {
	PHASE_ACTIVE,
	PHASE_DRAINING, /* graceful shutdown (RFC 8326) */
	PHASE_SHUT,	/* administratively shut down */
	PHASE_GONE,	/* nothing of it is configured any more; the server is to be told (tell), or
			 * has been told and may go on listing it for some time */
};
const char *phase_name(enum phase p);

/* Why a session is being taken away. */
enum leaving {
	LEAVING_NOT,
	LEAVING_PEER,	  /* the server deleted or rejected it */
	LEAVING_OPERATOR, /* `delete` */
	LEAVING_POLICY,	  /* local policy does not allow it any more */
	LEAVING_NEVER_UP, /* not established within the time window */
};
const char *leaving_name(enum leaving l);

struct owned {
	struct jv *mapping;
	enum phase phase;
	enum leaving leaving;
	int64_t since;	     /* of the phase; Unix time */
	int64_t created;     /* configured for the first time */
	int64_t established; /* seen established for the first time; 0: never */
	int64_t time_window; /* as the server told; -1: the configured one */
	bool was_asked;	     /* we asked for it, so the garbage collector may take it */
	bool is_held;	     /* `hold`: never taken away by the garbage collector */
	bool tell;	     /* the server is to be told that it is gone (DELETE) */
};

/* A session that we asked a server for, or that it proposed in addition. */
struct asked {
	char server[64];
	char request_id[RECORD_ID_MAX];
	struct record record; /* with the secret that we proposed */
	enum outcome_kind outcome;
	char reason[RECORD_TEXT_MAX];
	int64_t when;
	bool is_extra;	  /* proposed by the server */
	bool is_accepted; /* an extra one that the operator accepted */
};

struct state {
	struct owned *owned; /* sorted by neighbor */
	size_t n_owned;
	struct asked *asked; /* in the order of time */
	size_t n_asked;
	uint64_t generation; /* counts successful applies */
	bool is_unfinished;  /* the last apply did not come to its end: what is in the files, nobody
			      * can say whether the programs follow it */
};

/* Makes the folder (0700) when needed. `write`: takes the lock, -EBUSY with who holds it in *e when
 * somebody else does; reading works all the same. A file that cannot be read or understood, belongs
 * to somebody else, or is missing or older although generations of texts are there, is an error and
 * never an empty state. */
struct state_store;
int state_open(const char *folder, bool write, struct state_store **ret, struct state *ret_state,
	       struct errtext *e);
/* Replaces state.json: all of it or nothing. -EPERM unless it was opened for writing. */
int state_save(struct state_store *st, const struct state *s, struct errtext *e);
void state_close(struct state_store *st);
void state_wipe(struct state *s); /* wipes secrets */

struct owned *state_owned(struct state *s, const char *neighbor);
/* The newest entry about the session between these two addresses of that server; NULL. */
struct asked *state_asked(struct state *s, const char *server, const struct record *r);
int owned_copy(const struct owned *o, struct owned *ret); /* -ENOMEM */
void owned_done(struct owned *o);
/* Replaces what is about the same session of that server, and drops what is stale at a->when. Old
 * pointers to entries are then invalid. -E2BIG, -ENOMEM. */
int state_add_asked(struct state *s, const struct asked *a);

/* The last good text of each target: generations/N/TARGET in the folder, mode 0600, for a human to
 * go back to; the newest ten generations are kept. */
int state_keep_text(struct state_store *st, uint64_t generation, const char *target,
		    const char *text, struct errtext *e);

#endif
