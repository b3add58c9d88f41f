/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plan*.c share.
 *
 *	plan.c		the whole: caps, steps, what will be owned
 *	plan_gather.c	brings together what is owned, judged and seen of one neighbor
 *	plan_decide.c	what becomes of one neighbor
 *	plan_target.c	does a target follow what is owned?
 *	plan_describe.c	as JSON, and the hash
 */
#ifndef BOTLS_PROVISION_PLAN_INTERNAL_H
#define BOTLS_PROVISION_PLAN_INTERNAL_H

#include "plan.h"

#include <stdarg.h>

#define PLAN_TIME_LEN 32
/* Seconds for which a session that its server was told of is kept in mind when nothing more is
 * heard of it. */
#define PLAN_TOLD_KEEP ((int64_t)7 * 24 * 3600)

/* What one running program knows, by neighbor. */
struct plan_seen {
	const char *target; /* name */
	bool is_shim, is_running;
	const struct observed **items;
	size_t n;
};

/* One neighbor from all sides. */
struct plan_session {
	const char *neighbor;
	const struct owned *owned;		   /* NULL: not ours yet */
	const struct judgement *const *judgements; /* of all servers, in order */
	size_t n_judgements;
	const struct judgement *judgement; /* the one that counts; NULL: none */
	bool is_up;			   /* established, in whatever program */
	bool daemon_runs;		   /* or there is none */
	bool can_know;			/* a program runs that would tell if it were established */
	const char *stray_at;		/* target that has it although nobody owns it */
	const struct observed *foreign; /* an entry of that address that somebody else made; ... */
	const char *foreign_at;		/* ... and in which target */
};

struct plan_gathered {
	const struct plan_input *in;
	const struct judgement **judgements; /* by neighbor, server, session */
	size_t n_judgements;
	const struct owned **owned;    /* by neighbor */
	struct plan_seen *seen;	       /* one for each target */
	struct plan_session *sessions; /* by neighbor, each once */
	size_t n_sessions;
};
int plan_gather(const struct plan_input *in, struct plan_gathered *ret);
void plan_gathered_done(struct plan_gathered *g);
/* The entries of one neighbor. */
const struct observed *const *plan_seen_find(const struct plan_seen *s, const char *neighbor,
					     size_t *ret_n);
/* Is this session in the file of that target? */
bool plan_belongs(const struct plan_seen *target, const struct owned *o);
/* It is another session between the same addresses than the one that is owned. */
bool plan_is_new_session(const struct owned *o, const struct judgement *j);

/* false: its server is not configured, has no call for it (era A), or gave no id. */
bool plan_can_tell(const struct plan_input *in, const struct owned *o);
/* It is gone here, and its server still is to be told of that. */
bool plan_must_tell(const struct plan_input *in, const struct owned *o);

struct plan_decision {
	bool is_step; /* false: nothing is to be done or said */
	struct plan_step step;
	bool is_counted;  /* among the deletions that begin */
	bool is_stray;	  /* a stray that is not adopted */
	bool may_go;	  /* a stray that is not wanted, or --force */
	bool leaves_mark; /* of a PLAN_REMOVE: the session stays in the state as PHASE_GONE; ... */
	bool tell;	  /* ... and its server is told */
};
void plan_decide(const struct plan_input *in, const struct plan_session *s,
		 struct plan_decision *ret);
/* What will be owned after it; ret->mapping stays NULL when nothing will. -ENOMEM. */
int plan_after(const struct plan_input *in, const struct plan_session *s,
	       const struct plan_decision *d, struct owned *ret);
void plan_say(struct plan_step *step, enum plan_action action, const char *fmt, ...) PRINTF(3, 4);
const char *plan_time(int64_t t, char buf[static PLAN_TIME_LEN]);

/* About a judgement that does not count. false: nothing. */
bool plan_report_other(const struct plan_session *s, const struct judgement *j,
		       struct plan_step *ret);

/* Whether the target is to be loaded although no step changes it, or an alarm about it. `after`:
 * what will be owned. *ret_n steps of at most 2. */
int plan_check_target(const struct plan_gathered *g, size_t target, const struct owned *after,
		      size_t n_after, struct plan_step ret[static 2], size_t *ret_n,
		      struct errtext *e);
/* For apply too: the program has exactly these sessions from our file, in their modes, as far as it
 * tells; if not, what differs is in `buf`. */
bool plan_target_follows(const struct plan_seen *seen, const struct owned *const *sessions,
			 size_t n, char *buf, size_t size);
/* Some of these sessions are in the program, but not from our file; which is in `buf`. */
bool plan_target_has_foreign(const struct plan_seen *seen, const struct owned *const *sessions,
			     size_t n, char *buf, size_t size);
int plan_seen_make(const struct plan_target *t, struct plan_seen *ret);
void plan_seen_done(struct plan_seen *s);

int plan_hash(struct plan *p);

#endif
