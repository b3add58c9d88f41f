/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard's filters at interfaces (tc clsact, direct action). They have a handle and priority of
 * their own, so that the operator's filters and ours never touch each other; the clsact qdisc stays
 * when others use it.
 */
#ifndef BOTLS_GUARD_TC_H
#define BOTLS_GUARD_TC_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

#define GUARD_TC_HANDLE	  0xb071
#define GUARD_TC_PRIORITY 1 /* before all others: they may end the evaluation */

struct guard_tc_programs {
	int in_fd, out_fd;
};

/* Puts our filters at the interface, in place of older ones of ours. */
int guard_tc_attach(int ifindex, const struct guard_tc_programs *programs);
/* Takes ours away; 0 when there are none. */
int guard_tc_detach(int ifindex);
/* True when exactly these programs are there, in both directions. */
bool guard_tc_is_attached(int ifindex, const struct guard_tc_programs *programs);

#endif
