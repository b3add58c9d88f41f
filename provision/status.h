/* SPDX-License-Identifier: Apache-2.0 */
/* Each session of ours in one word, from the state and from what the programs on this router run.
 */
#ifndef BOTLS_STATUS_H
#define BOTLS_STATUS_H

#include "target.h"
#include "world.h"

enum status_state {
	STATUS_UP,	 /* established, as the shim sees it (or the daemon, in mode off) */
	STATUS_DOWN,	 /* was established before */
	STATUS_COMING,	 /* configured, not established yet; the time window runs */
	STATUS_OVERDUE,	 /* the time window has ended */
	STATUS_DRAINING, /* graceful shutdown */
	STATUS_LEAVING,	 /* goes with the next run of apply */
	STATUS_GONE,	 /* the server is still to be told */
	STATUS_APPROVED, /* the next run of apply configures it */
	STATUS_PENDING,	 /* the server has not decided */
	STATUS_REJECTED,
	STATUS_PARKED,	 /* a human at the other network has to look at it */
	STATUS_PROPOSED, /* by the server, in addition; `accept` takes it */
	STATUS_UNKNOWN,	 /* we asked and understood no answer */
};
const char *status_state_name(enum status_state s);

struct status_row {
	char neighbor[ADDR_STRLEN];
	uint32_t asn;
	char server[64];
	enum status_state state;
	char info[320];
	int64_t since; /* of what `state` says; 0: not known */
	bool is_owned;
	bool is_asked; /* by us */
	bool is_open;  /* may still become established within its time window */
};

struct status {
	struct status_row *rows; /* the owned ones first, then by time of asking */
	size_t n;
};

int status_look(struct world *w, struct status *ret, struct errtext *e);
void status_done(struct status *s);
struct jv *status_describe(const struct status_row *r); /* NULL: out of memory */

#endif
