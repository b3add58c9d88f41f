/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a carried neighbor's own connections (mode tcp-ao) to us, with either mechanism: an
 * sk_lookup program (ebpf/carry.bpf.c) hands its SYN to port 179 to a listener of ours, which the
 * guard lets pass with all that it accepts.
 *
 * The program is attached and pinned while there is such a neighbor. It outlives us; the listeners
 * do not, so that a neighbor gets nowhere when we are dead.
 */
#ifndef BOTLS_STEERING_CARRY_H
#define BOTLS_STEERING_CARRY_H

#include "guard.h"
#include "pins.h"
#include "steering.h"

struct carry;
struct steering_report;

/* Changes nothing in the kernel; what a predecessor pinned stays in force. `own_ports_end`: our own
 * connections to the daemon come from the neighbor's address and a port below; 0: they do not.
 * `pins` and `guard` must outlive it. */
int carry_new(const struct pins *pins, struct guard *guard, uint16_t own_ports_end,
	      struct carry **ret, struct errtext *e);
void carry_free(struct carry *c);

/* As steering_set_carriers(). */
int carry_set_listeners(struct carry *c, const int *fds, size_t n, struct errtext *e);
/* Before the table that has these entries is in force: it attaches what they need. */
int carry_begin(struct carry *c, const struct steering_entry *entries, size_t n, struct errtext *e);
/* After it: takes away what they do not need. */
void carry_end(struct carry *c, const struct steering_entry *entries, size_t n);

void carry_check(struct carry *c, struct steering_report *r);
int carry_repair(struct carry *c, struct errtext *e);
/* Detaches. The table is empty, or the guard alone closes the neighbors. */
void carry_remove(struct carry *c);

#endif
