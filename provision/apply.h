/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries a plan out, or nothing of it.
 *
 * The order keeps every session closed or encrypted at each moment, also when we die in between:
 * the shim learns of a new session before the daemon does, and forgets a removed one after it. Each
 * step: write, check, load, see it in the running program. When one fails, all targets go back to
 * the text that they had, in the opposite order, and are loaded again. The state is saved last.
 */
#ifndef BOTLS_APPLY_H
#define BOTLS_APPLY_H

#include "audit.h"
#include "plan.h"

struct apply {
	const struct settings *settings;
	struct state_store *store;
	struct state *state; /* becomes what the plan says when all went well */
	struct plan_target *targets;
	size_t n_targets; /* the shim is the first one */
	struct audit *audit;
	/* DELETE at the server for a PLAN_TELL; true when it has confirmed. Several of one server
	 * may be told in one call. */
	void (*tell)(void *arg, const char *server, const char *const *session_ids, size_t n,
		     bool *ret_confirmed);
	void (*progress)(void *arg, const char *text); /* may be NULL */
	int (*wait_ms)(void *arg, uint64_t ms);	       /* -ECANCELED: give up (and go back) */
	int64_t (*now)(void *arg);
	void *arg;
};

struct apply_result {
	bool is_done; /* everything is as planned; what a server has not confirmed is tried again */
	bool is_rolled_back; /* something failed, and all is as it was before */
	bool is_broken;	     /* going back failed too: what is where is in the text */
	char text[512];	     /* what failed, in which target, what to do */
};
/* 0, or -errno with the result filled: nothing was changed, unless it says is_done (then only the
 * audit log could not be written), is_rolled_back or is_broken. A plan without changes saves what
 * was seen, and no more. */
int apply_plan(struct apply *a, const struct plan *p, struct apply_result *ret);

#endif
