/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reload as a diff: what to keep, change, add and drop, and which of it resets a session.
 * Pure: it compares two configurations and touches nothing.
 */
#ifndef BOTLS_PLAN_H
#define BOTLS_PLAN_H

#include "config.h"

#include <stdint.h>

enum plan_action { PLAN_KEEP, PLAN_CHANGE, PLAN_ADD, PLAN_DROP };

struct plan_item {
	enum plan_action action;
	const struct neighbor_config
		*before; /* NULL when added; borrowed from the old configuration */
	const struct neighbor_config *after; /* NULL when dropped; borrowed from the new one */
	bool resets;			     /* established sessions of this neighbor must end */
	bool replaces_key; /* it resets for no other reason than that another TCP-AO key takes the
			      place of the one that is sent with: control knows whether it is */
	bool rekeys;	   /* a secret differs; who was not told secrets cannot see that */
	char changed[160]; /* names of the options that differ, "mode, tls-port"; never values of
			      secrets */
};

struct plan {
	struct plan_item
		*items; /* in the order of neighbors; every neighbor of either configuration once */
	size_t n_items;
	size_t n_keep, n_change, n_add, n_drop, n_resets;
	char globals_changed[160]; /* global options that differ and are applied by the reload */
	char needs_restart[160]; /* global options that differ and cannot be (tls-port, inner-port,
				  * steering, workers, user, daemon-users, control-socket, bpffs):
				  * the reload is refused, nothing is applied */
};

/* `old` may be NULL (start: everything is added). `now`, in seconds since the epoch, says which
 * TCP-AO keys are in use. Returns 0 or -ENOMEM; free with plan_free(). */
int plan_make(const struct config *old, const struct config *new, uint64_t now,
	      struct plan **ret_plan);
void plan_free(struct plan *p);
const char *plan_action_name(enum plan_action a);

#endif
