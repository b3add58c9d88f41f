/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by session_capability.c (when TCP-AO begins) and session_capability_open.c (what the OPENs
 * say of it), and by nobody else. */
#ifndef BOTLS_SESSION_CAPABILITY_H
#define BOTLS_SESSION_CAPABILITY_H

#include "session_internal.h"

#include "bgp_open_edit.h"

/* What is announced: whose experiment of this code it is, its version, the algorithm (RFC 5926: 0
 * and 1; 2 is HMAC-SHA-256), whether the other TCP options are covered. */
#define MARK	  "bAO\x01"
#define MARK_LEN  4
#define VALUE_LEN 6

/* All that our daemon had said at one moment: in bytes of the relay, then of the connection. */
struct position {
	bool is_marked, is_written;
	uint64_t mark, target;
};

/* A direction's first message, as long as it is not whole. */
struct first {
	uint8_t data[BGP_OPEN_MAX];
	size_t have;
	bool is_over;
};

struct capability {
	struct session *session;
	struct timer *timer;
	enum session_capability state;
	int64_t since;
	char text[256];
	uint32_t request; /* to control; 0: none */
	bool is_offered, is_trial;
	bool is_proven; /* something signed has come */
	uint8_t code;
	enum tcp_ao_algorithm algorithm;
	bool covers_options;
	uint64_t rekey_ms;
	struct first *first; /* by relay_side; NULL once both have passed */
	uint8_t own[VALUE_LEN], peers[VALUE_LEN];
	size_t peers_len; /* 0: none */

	struct position open, answer;
	uint64_t acked, received; /* progress, and when there was some: */
	uint64_t progress_ms;
	uint64_t ready_ms; /* since when the answer is known to have arrived; 0: it is not */
};

/* session_capability.c */
#define CAPABILITY_TICK_MS 50 /* from when it is agreed upon */
void capability_set_state(struct capability *c, enum session_capability state, const char *fmt, ...)
	PRINTF(3, 4);

/* session_capability_open.c */
/* What an algorithm is called in what is announced. */
uint8_t capability_number(enum tcp_ao_algorithm a);
/* For relay_set_edit(): a direction's first message. */
size_t capability_on_edit(void *arg, enum relay_side from, uint8_t *data, size_t len, bool is_last);

#endif
