/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session between a daemon and a neighbor that the test plays: plain bytes on one side, a struct
 * tls of the test's own on the other. Whom it asks is the test, too. Any failure ends the test.
 */
#ifndef BOTLS_TEST_SESSION_RIG_H
#define BOTLS_TEST_SESSION_RIG_H

#include "session.h"
#include "tcp_pair.h"
#include "tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

struct play {
	struct loop *loop;
	struct session *session; /* NULL: not yet, or ended */
	struct neighbor_config config;
	struct tls_ctx *ours, *theirs;
	int daemon, neighbor; /* the far ends; -1 not yet, or closed */
	struct tls *tls;      /* the neighbor's */
	enum tls_want want;   /* what its handshake said last */
	bool is_done;	      /* that is over */

	/* What the session asks for, and is told: */
	bool may_clear, has_no_slot, refuses_ao;
	bool is_late; /* control will have begun too late with what is asked for next */

	/* What it asked and told: */
	uint32_t request, forgotten; /* the last ones */
	unsigned outer_wanted, inner_wanted, ao_trials, ao_switches, failures, ao_told, no_ao;
	bool last_clear, last_without_ao, has_ended;
	struct message_want_ao last_ao;
	enum tls_reason reason;
	char failure[256], why[256], no_ao_text[256];
	enum ao_lack ao_lack;
	struct ao_habit ao_habit;
};

/* Per test; certificates are the group's (tls_pair.h). */
int play_setup(void **state);
int play_teardown(void **state);

/* For a session that the daemon begins. */
struct session_params play_params(struct play *p);
/* Two ends of a TCP connection. */
void play_connection(int *a, int *b);
/* The loop, and the neighbor's handshake. */
void play_turn(struct play *p);
#define until(p, condition)                                                                        \
	do {                                                                                       \
		for (int i_ = 0; !(condition); i_++) {                                             \
			if (i_ >= 20000)                                                           \
				fail_msg("in vain: %s", #condition);                               \
			play_turn(p);                                                              \
		}                                                                                  \
	} while (0)

/* The daemon has connected, and a connection to the neighbor is wanted. */
void play_begin_out(struct play *p);
/* The neighbor answers: with TLS, as a server. */
void play_neighbor_answers(struct play *p, struct tls_ctx *ctx);

#endif
