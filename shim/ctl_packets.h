/* SPDX-License-Identifier: Apache-2.0 */
/*
 * botlsctl capture: from the records of workers (botls/capture.h) to packets in pcapng, as the two
 * BGP speakers would have seen them without botlsd: real addresses and ports, port 179 on the side
 * that was connected to, made-up TCP in which each side acknowledges all that the other has said.
 *
 * A record comes from an unprivileged process that reads what strangers send; nothing in it is
 * trusted.
 */
#ifndef BOTLS_CTL_PACKETS_H
#define BOTLS_CTL_PACKETS_H

#include "pcapng.h"
#include "segment.h"

#include <stdbool.h>

struct packets {
	const struct pcapng *out;
	uint64_t limit; /* packets with BGP; 0: none */

	uint64_t n_packets; /* with BGP in them */
	uint64_t n_bytes;   /* of BGP */
	uint64_t n_dropped; /* records that workers had to drop */
	uint64_t n_malformed;
	uint64_t begin_ns;

	/* Something for the operator; LAST: the capture is over because of it. */
	void (*on_note)(void *arg, const char *text, bool is_last);
	void *arg;

	/* private */
	uint64_t dropped; /* not written yet */
	char note[256];	  /* for the next packet */
	uint16_t id;
	uint8_t buffer[SEGMENT_PACKET_MAX];
};

/* One record; what is not one is counted and left out. 0, -ENOMEM, or what the writer returned. */
int packets_add(struct packets *p, const void *record, size_t len);
/* The last block: what was captured and what was lost. */
int packets_finish(struct packets *p, uint64_t now_ns);
bool packets_are_enough(const struct packets *p);

#endif
