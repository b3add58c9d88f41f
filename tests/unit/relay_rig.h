/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay with real TCP connections on both sides, and the daemon's and the neighbor's ends in the
 * hands of the test: daemon <-> inner, outer <-> neighbor.
 */
#ifndef BOTLS_TEST_RELAY_RIG_H
#define BOTLS_TEST_RELAY_RIG_H

#include "relay.h"
#include "tcp_pair.h"
#include "util.h"

#define DEADLINE_MS	  20000
#define NOTIFICATION_TEXT "NOTIFICATION: cease"

extern struct loop *loop; /* between rig_setup() and rig_teardown(), of every test */
int rig_setup(void **state);
int rig_teardown(void **state);

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		uint64_t until_ = loop_now_ms() + DEADLINE_MS;                                     \
		while (!(condition)) {                                                             \
			if (loop_now_ms() > until_)                                                \
				fail_msg("timed out: %s", #condition);                             \
			assert_int_equal(loop_turn(loop, true), 0);                                \
		}                                                                                  \
	} while (0)

/* Lets the loop run; `turns` says how often it went round (a timer of the rig does every 5 ms). */
extern unsigned turns;
void run_for(unsigned ms);

void send_all(int fd, const void *data, size_t len);
void reset(int *fd); /* closes with RST */

/* A stream whose bytes follow from their position, so that each can be checked where it arrives. */
struct stream {
	uint64_t seed, sent, received;
};

uint8_t byte_at(uint64_t seed, uint64_t position);
size_t send_some(int fd, struct stream *s, size_t len); /* 0 when the socket takes no more */
/* Bytes received; *ret_end: 1 after FIN, -errno after an error, else 0. */
size_t receive_some(int fd, struct stream *s, size_t len, int *ret_end);
/* What recv() says without taking anything: bytes, 0 for FIN, -errno. */
ssize_t look(int fd);
/* True, and taken, when exactly this has arrived. */
bool gets_text(int fd, const char *text);

struct rig {
	struct relay *relay;
	int daemon, neighbor;
	int inner, outer; /* the relay's, for looking only */
	bool has_ended;
	unsigned ends;
	struct relay_end end;
	uint64_t tapped[2]; /* by on_bytes */
	enum { NOTHING, FREE, ABORT, CLOSE } on_bytes_does, on_end_does;
	unsigned on_bytes_skips; /* calls before it does that */
};

/* What the rig's relays allocated, and whether they get it. */
extern unsigned allocations;
extern bool out_of_memory;

extern const struct relay_callbacks callbacks, short_callbacks; /* the second has short limits */
/* The rig's relays may splice what is much. */
extern bool rig_splices;
void rig_open(struct rig *rig, const struct relay_callbacks *cb, int buffers);
void rig_close(struct rig *rig);
void check_end(const struct rig *rig, enum relay_side first, enum relay_how how);

#endif
