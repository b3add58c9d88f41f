/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference between what should be and what is, as a list of steps. A pure function: desired
 * (judgements: approved by the server and allowed by local policy) against owned (state) against
 * observed (the programs themselves).
 *
 * What never happens: a session is taken away because an answer failed, was empty or cut short, or
 * holds a word that is not known; something that we did not make is changed; more sessions begin to
 * go in one run than max_deletions.
 *
 * A removal has steps, one run after the other: graceful shutdown (RFC 8326) for drain_time, then
 * administrative shutdown, then the daemon's neighbor, then the shim's mapping, then the server is
 * told. A session that is not up now is not drained.
 *
 * A stray is a neighbor that a program has from our file although the state does not know it: a
 * state that was lost, or somebody's edit. Whatever is written to that file takes the stray away,
 * so that as long as it may not go, nothing is written at all. One that is wanted is adopted
 * (PLAN_ADD); one that its server or the policy does not want is a deletion like any other; any
 * other one goes only by --force.
 */
#ifndef BOTLS_PROVISION_PLAN_H
#define BOTLS_PROVISION_PLAN_H

#include "policy.h"
#include "state.h"
#include "target.h"

enum plan_action {
	PLAN_ADD,
	PLAN_CHANGE,
	PLAN_RESTORE, /* it was leaving and is wanted again */
	PLAN_DRAIN,
	PLAN_REMOVE, /* shut down, then taken out of the daemon and of the shim */
	PLAN_TELL,   /* DELETE at the server of what is gone here */
	PLAN_FORGET, /* gone here and known to be gone there */
	PLAN_LOAD,   /* a target's file or program does not agree with what is owned */
	/* No change; said all the same. */
	PLAN_WAITING, /* drains for some time yet; or not approved yet */
	PLAN_HELD,    /* stays as it is although something is wrong: an alarm */
	PLAN_REFUSED, /* not configured: an alarm when it is not an extra session that nobody wants
		       */
	PLAN_BLOCKED, /* not done: max_deletions is reached, or a stray would go; an alarm */
};
const char *plan_step_name(enum plan_action a);
bool plan_action_changes(enum plan_action a);

struct plan_step {
	enum plan_action action;
	char neighbor[ADDR_STRLEN]; /* of PLAN_LOAD: the target's name */
	char server[64];
	char text[512]; /* what differs, or why; no secrets */
	bool is_alarm;
	enum leaving leaving;
};

struct plan_target {
	struct target *target;
	const char *text; /* of its file now; NULL: none */
	const struct observation *seen;
};

struct plan_input {
	const struct settings *settings;
	int64_t now;
	const struct owned *owned;
	size_t n_owned;
	const struct judgement *judgements; /* one for each session that a server told or that is
					     * owned and that its server was asked about; ones
					     * without a server are passed over */
	size_t n_judgements;
	const struct plan_target *targets;
	size_t n_targets;
	size_t allowed_deletions; /* max_deletions, or the number of --force */
	bool is_forced;		  /* it is that number: strays may go */
	bool is_unfinished;	  /* of the state: all programs are loaded again */
};

struct plan {
	struct plan_step *steps; /* by neighbor, in the order of the enum for one neighbor */
	size_t n_steps;
	size_t n_changes; /* steps that change something */
	size_t n_alarms;
	size_t n_deletions; /* that begin with this plan, blocked ones and strays included, but not
			     * what the operator deleted one by one: the number for --force */
	bool is_blocked;
	struct owned *after; /* what will be owned, sorted by neighbor; to be saved even when
			      * nothing changes: it says what was seen established */
	size_t n_after;
	char hash[65]; /* SHA-256 of the steps that change something, hex */
};

/* 0, -ENOMEM, or another -errno with *e when a target cannot be rendered. The order of what is in
 * `in` does not matter. */
int plan_prepare(const struct plan_input *in, struct plan *ret, struct errtext *e);
void plan_done(struct plan *p);
#define _cleanup_plan_ __attribute__((cleanup(plan_done)))

/* {"steps": [..], "changes": n, "deletions": n, "blocked": bool, "hash": ".."} */
struct jv *plan_describe(const struct plan *p);

#endif
