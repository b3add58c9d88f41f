/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this session of a server's be configured here? Pure: everything that it looks at is handed to
 * it.
 *
 * In this order; the first that is not so decides:
 *
 *   our AS and one of our addresses are on our side, never swapped silently         REFUSE
 *   the AS on the other side is the one that the server speaks for
 *   (SIDE_RECEIVER: any but ours)                                                   REFUSE
 *   it is neither deleted nor rejected                                              GONE
 *   there is a peer block                                                           FORBID
 *   the location is allowed                                                         FORBID
 *   the neighbor's address is unicast, not ours, of the same family                 REFUSE
 *   it is registered to its AS at that exchange (threat T1 of the draft), and ours
 *   at the same one                                                                 REFUSE, HOLD
 *   the BGP roles fit (RFC 9234) and are what the peer block says                   REFUSE
 *   the server's word for its status is known                                       HOLD
 *   it is approved                                                                  WAIT
 *   it was asked for, is configured already, was accepted by the operator, or extra
 *   sessions are taken; who asks our own server (SIDE_RECEIVER) has asked           WAIT
 *   a mapping can be made of it                                                     REFUSE
 *
 * Where PeeringDB is silent nothing is certain: HOLD, not FORBID. A private interconnect has no
 * registered address and so passes only where addresses are not checked.
 */
#ifndef BOTLS_POLICY_H
#define BOTLS_POLICY_H

#include "mapping.h"

enum verdict {
	VERDICT_WANT,	/* approved there and allowed here */
	VERDICT_WAIT,	/* the server has not decided, or a human has to: not configured yet */
	VERDICT_GONE,	/* the server says so itself: deleted, rejected */
	VERDICT_FORBID, /* local policy does not allow it: if it is configured it is taken away */
	VERDICT_REFUSE, /* something about it is wrong: not configured; if it is, it stays, with an
			 * alarm */
	VERDICT_HOLD,	/* nothing certain is known: whatever there is stays, with an alarm */
};
const char *verdict_name(enum verdict v);

struct judgement {
	const struct server_settings *server;
	struct record record;
	char neighbor[ADDR_STRLEN]; /* "-": the server tells no address */
	enum verdict verdict;
	struct jv *mapping;	      /* VERDICT_WANT only */
	bool is_extra;		      /* not asked for by us */
	char reason[RECORD_TEXT_MAX]; /* every verdict but WANT */
};
void judgement_done(struct judgement *j);

/* What is known here of the session: did we ask for it, did the operator accept it, what secret did
 * we propose, what is configured now. */
struct policy_background {
	bool is_requested, is_accepted;
	const char *secret;	  /* NULL: none */
	const struct jv *mapping; /* NULL: not configured now */
};

/* `r` is copied. 0 or -ENOMEM. `db` NULL: addresses are not checked (check-addresses = false);
 * else both ASes have been loaded, as far as they could be. */
int policy_judge(const struct settings *s, const struct server_settings *server,
		 const struct record *r, const struct peeringdb *db,
		 const struct policy_background *b, struct judgement *ret);

#endif
