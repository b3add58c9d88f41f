/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that carry bytes in both directions at a steady rate, to see for how long they stand
 * still: `load flow`. Both ends know what has to come and compare every byte; what is another one,
 * and a session that ends, ends the program with {"error": ...}.
 *
 * Commands on standard input, one at a time; the answer of each is one line of JSON:
 *
 *	look	sessions	that have received something
 *		sent, received	bytes of all sessions, since the beginning
 *		pause_us	the longest time that one of them has received nothing, the one that
 *				lasts included, since the last look
 *		own_us		the longest that this process itself took to come round
 *	stop	the same; nothing more is sent
 */
#ifndef BOTLS_BENCH_FLOW_H
#define BOTLS_BENCH_FLOW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define FLOWS_MAX 64

struct flow_options {
	bool is_dialing;
	struct in_addr from, to; /* `to`: what a listener binds to */
	uint16_t port;
	unsigned rate;	/* bytes per second, each way, of each session */
	unsigned count; /* sessions, at most FLOWS_MAX */
};

/* The program's exit status. */
int flow_run(const struct flow_options *o);

#endif
