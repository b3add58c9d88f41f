/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy rules and routes of steering = route, kept as wanted. They carry a protocol number of
 * our own (BOTLS_ROUTE_PROTOCOL): whatever else carries it is a leftover and goes, nothing else is
 * touched. All rules say `iif lo ipproto tcp`, which forwarded packets never match.
 *
 *   179: sport 179 dport 1024-65534 to NEIGHBOR goto 181   clear text is allowed now: inbound
 *   179: sport PORT dport 179 to NEIGHBOR goto 181         and outbound, our own socket at PORT
 *   180: dport 179 uidrange DAEMON lookup T                the daemon connects
 *   180: sport 179 lookup T                                the daemon answers
 *   180: sport 179 lookup P
 *   181: nop
 *   local NEIGHBOR dev DEV src OWN metric 1000 table T     also for sockets bound to the interface
 *   local NEIGHBOR dev lo src OWN metric 2000 table T      whatever becomes of DEV; no link-local
 *   the same for a prefix in table P                       nobody connects there, and our own
 *                                                          address may be in it
 *
 * The kernel is the only memory: every step compares what it holds with what is wanted.
 */
#ifndef BOTLS_ROUTES_H
#define BOTLS_ROUTES_H

#include "addr.h"
#include "steering.h"

struct routes;
struct steering_report;

/* The shim's connections to the daemon use source ports below this; the rules for clear text leave
 * them alone. */
#define ROUTES_CLEAR_PORT_MIN 1024

int routes_new(const uint32_t *uids, size_t n_uids, struct routes **ret, struct errtext *e);
void routes_free(struct routes *r);

/* Remembers what is wanted; nothing changes in the kernel. A second call replaces the first. */
int routes_stage(struct routes *r, const struct steering_entry *entries, size_t n,
		 struct errtext *e);
/* Before the guard changes: takes away the routes of neighbors that are not staged, so that their
 * connections meet the guard as long as it is there. */
int routes_withdraw(struct routes *r, struct errtext *e);
/* After it changed: makes the kernel hold exactly what is staged. An interface that is down or an
 * address that is not there (yet) leaves out the routes that need it, which is no error:
 * routes_check() tells. */
int routes_commit(struct routes *r, struct errtext *e);
/* Back to what was committed last. */
int routes_rollback(struct routes *r, struct errtext *e);
/* Like routes_commit() for what is in force: interfaces and paths are looked up again. */
int routes_repair(struct routes *r, struct errtext *e);

/* Lets our own socket at `port` reach `neighbor` (not required) in clear. */
int routes_allow_clear(struct routes *r, const struct addr *neighbor, uint16_t port,
		       struct errtext *e);

void routes_check(struct routes *r, struct steering_report *report);
/* Everything that carries our protocol number. */
int routes_remove(struct routes *r, struct errtext *e);

#endif
