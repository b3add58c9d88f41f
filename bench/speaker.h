/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a BGP session, as far as a load generator needs one: OPEN, KEEPALIVE, and messages of
 * any size that carry nothing. No timers of BGP's own, no routes.
 *
 * Both send their OPEN as soon as they are connected, as daemons do. After that the side that
 * connected asks and the other answers: KEEPALIVE with KEEPALIVE, an
 * End-of-RIB with KEEPALIVE, ROUTE-REFRESH with a burst and an End-of-RIB. Everything runs in one
 * thread on one epoll descriptor.
 */
#ifndef BOTLS_BENCH_SPEAKER_H
#define BOTLS_BENCH_SPEAKER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BURST_MAX (1 << 20)

enum speaker_state {
	SPEAKER_DOWN,
	SPEAKER_CONNECTING,
	SPEAKER_OPENSENT, /* our OPEN is out */
	SPEAKER_CONFIRM,  /* theirs came, our KEEPALIVE is out */
	SPEAKER_UP,
};

struct speaker {
	int fd; /* -1: none */
	enum speaker_state state;
	bool is_asking;
	uint8_t header[19];
	uint32_t have, length;
	const uint8_t *out; /* what the socket has not taken yet; static data */
	size_t out_left;
	unsigned owed;	   /* KEEPALIVEs that are due after that */
	unsigned failures; /* connections that ended unasked */
	uint64_t began_ns, up_ns;
	uint64_t asked_ns; /* the KEEPALIVE that is not answered yet; 0: none */
	unsigned bursts;   /* answered ones */
};

/* What the asking side is told. NULL where it does not care. */
struct speaker_callbacks {
	void (*on_up)(struct speaker *s);
	void (*on_echo)(struct speaker *s, uint64_t delay_ns);
	void (*on_down)(struct speaker *s); /* unasked; it is SPEAKER_DOWN already */
};

void speaker_setup(int epoll_fd, const struct speaker_callbacks *callbacks);
/* Called once after that: bytes of a burst, of whole messages of 4096, at most BURST_MAX; its
 * End-of-RIB comes on top. */
void speaker_set_burst(size_t bytes);

uint64_t now_ns(void);
/* A BGP header for a message of `len` bytes in all; what comes behind it stays as it is. */
void speaker_make_header(uint8_t *at, size_t len, uint8_t type);
/* An OPEN, of at most 32 bytes; its length. */
size_t speaker_make_open(uint8_t *at);
/* Begins to connect; what comes of it is told by the callbacks. */
void speaker_connect(struct speaker *s, struct in_addr from, struct in_addr to, uint16_t port);
void speaker_accept(struct speaker *s, int fd);
void speaker_close(struct speaker *s, bool reset);
void speaker_on_events(struct speaker *s, uint32_t events);

void speaker_ask(struct speaker *s);	   /* one KEEPALIVE */
void speaker_ask_burst(struct speaker *s); /* a burst in both directions */

/* `bytes` in blocking writes of one message of `min` to `max` bytes each, then waits for the other
 * end to have read all. False when the connection broke. */
bool speaker_stream(struct speaker *s, size_t min, size_t max, uint64_t bytes);
/* One KEEPALIVE there and back, blocking; nanoseconds, 0 when the connection broke. */
uint64_t speaker_ping(struct speaker *s);

#endif
