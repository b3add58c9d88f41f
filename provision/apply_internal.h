/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What apply*.c share.
 *
 *	apply.c		the order of things; the server, the state, the audit log
 *	apply_texts.c	which text goes into which file when; all of them before the first write
 *	apply_place.c	one target: write, check, load, see it; and back
 */
#ifndef BOTLS_APPLY_INTERNAL_H
#define BOTLS_APPLY_INTERNAL_H

#include "apply.h"
#include "plan_internal.h"

struct apply_sessions {
	const struct owned **items; /* by neighbor; borrowed */
	size_t n;
};

/*
 * The texts of one target. What stands in the shim's file is at each moment at least what stands in
 * the daemons' files.
 */
struct apply_texts {
	char *none;  /* of no session: no file is as good */
	char *owned; /* as the state has it: what the file should hold now */
	char *reset; /* daemons that do not follow that: only what the shim's file and this one have
		      * already; NULL: not needed */
	struct apply_sessions reset_sessions;
	char *all;  /* the shim: what was and what will be */
	char *shut; /* daemons: what will be, and what goes, shut down; NULL: nothing goes */
	struct apply_sessions shut_sessions;
	size_t n_shut;
	char *after; /* what will be */
};

/* A target while a plan is carried out. */
struct apply_place {
	struct target *target;
	const struct observation *seen; /* when the plan was made; ... */
	struct plan_seen then;		/* ... the same, sorted */
	char *text;			/* of its file now; NULL: none */
	bool follows;			/* its program is known to follow it */
	struct apply_texts texts;
};

struct apply_undo {
	size_t place;
	char *text; /* that the file had; NULL: there was none */
};

struct apply_run {
	struct apply *a;
	const struct plan *plan;
	bool was_unfinished;	    /* the last run died: no program is known to follow its file */
	struct apply_place *places; /* as a->targets */
	struct apply_sessions before, after, all;
	struct owned *shut; /* copies in PHASE_SHUT of what goes; they borrow their mappings */
	struct apply_undo *undo;
	size_t n_undo;
	struct owned *next; /* what becomes a->state->owned */
	size_t n_next;
	size_t n_untold;
	struct errtext audit_problem; /* the first one */
};

/* NULL: not in it. */
const struct owned *apply_find(const struct apply_sessions *s, const char *neighbor);
int apply_make_texts(struct apply_run *run, struct errtext *e);
void apply_texts_done(struct apply_run *run);

/* Each makes sure that the target has this text and follows it; nothing happens where it does. */
int apply_put(struct apply_run *run, size_t place, const char *text,
	      const struct apply_sessions *sessions, struct errtext *e);
bool apply_needs(const struct apply_place *x, const char *text);
/* All targets back, in the opposite order. false: *e says what failed, and the rest stays. */
bool apply_go_back(struct apply_run *run, struct errtext *e);
void apply_progress(const struct apply_run *run, const char *fmt, ...) PRINTF(2, 3);
void apply_audit(struct apply_run *run, const char *event, struct jv *members);

#endif
