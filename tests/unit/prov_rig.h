/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for botls-provision without programs: targets that are a file and a running program, in
 * memory that a child process shares, so that one may die in the middle of an apply and leave them
 * as they then were.
 */
#ifndef PROV_RIG_H
#define PROV_RIG_H

#include "apply.h"
#include "prov_sessions.h"
#include "target_internal.h"

#define PROV_TARGETS  3 /* botlsd, bird, frr */
#define PROV_TEXT_MAX (1 << 16)
#define PROV_LIST_MAX 64

enum prov_op { PROV_RENDER, PROV_WRITE, PROV_CHECK, PROV_LOAD, PROV_OBSERVE, PROV_TELL, PROV_WAIT };

struct prov_program {
	bool has_file, is_running;
	char file[PROV_TEXT_MAX];    /* as the real ones: of lines that no test looks into */
	char running[PROV_TEXT_MAX]; /* the text that the program follows */
	char foreign[PROV_LIST_MAX][ADDR_STRLEN]; /* neighbors that the operator made himself */
	size_t n_foreign;
	char deaf_to[ADDR_STRLEN]; /* never appears in the running program */
	char stuck[ADDR_STRLEN];   /* never disappears from it */
	bool stays_up;		   /* even when shut down */
	bool was_told_before;	   /* what it followed, when it was loaded last */
};

struct prov_world {
	struct prov_program programs[PROV_TARGETS];
	char up[PROV_LIST_MAX][ADDR_STRLEN]; /* neighbors that are there and answer */
	size_t n_up;
	char journal[1 << 16]; /* "write botlsd", one a line; no observations */
	char violation[512];   /* the first thing that must never be; "": none */
	unsigned ops;	       /* before and after each write, check, load, tell */
	unsigned die_at;       /* _exit(9) when that many ops were made; 0: never */
	/* one op of one target fails, from the nth time on; fails_after: it has done its work */
	enum prov_op fail_op;
	int fail_target; /* -1: none */
	unsigned fail_from, fail_count, fail_seen;
	bool fails_after;
	bool refuses_tell;
	unsigned cancel_at, waits; /* wait_ms() number cancel_at returns -ECANCELED; 0: never */
	int64_t now, clock_step;   /* seconds that pass with each wait_ms() */
};

struct prov_rig {
	struct prov_world *world;
	struct target targets[PROV_TARGETS];
	struct settings settings;
	struct server_settings servers[3]; /* "one", "two", "old" (era A) */
	struct daemon_settings daemons[2]; /* "bird", "frr" */
	/* what plan and apply are given; made afresh by prov_look() */
	struct plan_target plan_targets[PROV_TARGETS];
	struct observation seen[PROV_TARGETS];
	char *texts[PROV_TARGETS];
};
void prov_init(struct prov_rig *r);
void prov_done(struct prov_rig *r);
/* Observes and reads all targets. */
void prov_look(struct prov_rig *r);
void prov_up(struct prov_rig *r, const char *neighbor, bool is_up);
/* All programs run and follow files that say exactly this. */
void prov_settle(struct prov_rig *r, const struct owned *owned, size_t n);
struct plan_input prov_input(struct prov_rig *r, const struct owned *owned, size_t n_owned,
			     const struct judgement *judgements, size_t n_judgements);
void prov_add_foreign(struct prov_rig *r, int target, const char *neighbor);

/* Fails the test when there is none. */
struct plan prov_plan(const struct plan_input *in);
void prov_show(const struct plan *p);
const struct plan_step *prov_step(const struct plan *p, const char *neighbor,
				  enum plan_action action);
/* The plan has this step, and its text these words. */
const struct plan_step *prov_assert_step(const struct plan *p, const char *neighbor,
					 enum plan_action action, const char *words);
const struct owned *prov_after(const struct plan *p, const char *neighbor);

/* For struct apply; `arg` is the rig. */
void prov_tell(void *arg, const char *server, const char *const *ids, size_t n,
	       bool *ret_confirmed);
int prov_wait_ms(void *arg, uint64_t ms);
int64_t prov_now(void *arg);
bool prov_mentions(const char *text, const char *neighbor);

/* xorshift64*: the same numbers everywhere. */
struct prov_random {
	uint64_t state;
};
unsigned prov_random(struct prov_random *r, unsigned below);

#endif
