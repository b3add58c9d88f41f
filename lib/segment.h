/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP segments in IP packets that never were: for tools that read packets, from bytes that came
 * another way. Both checksums are right.
 */
#ifndef BOTLS_SEGMENT_H
#define BOTLS_SEGMENT_H

#include "addr.h"

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_PACKET_MAX 65535 /* bytes, headers included */
#define SEGMENT_HEADER_MAX 64	 /* IPv6, TCP, options of a SYN */
#define SEGMENT_DATA_MAX   (SEGMENT_PACKET_MAX - SEGMENT_HEADER_MAX)

enum segment_flag {
	SEGMENT_FIN = 1,
	SEGMENT_SYN = 2,
	SEGMENT_RST = 4,
	SEGMENT_PSH = 8,
	SEGMENT_ACK = 16
};

struct segment {
	const struct addr *from, *to; /* of the same family */
	uint16_t from_port, to_port;
	uint32_t seq, ack;
	unsigned flags; /* a SYN offers the largest window scale: no window looks full */
	uint16_t id;	/* IPv4's identification */
	const void *data;
	size_t len; /* at most SEGMENT_DATA_MAX */
};

/* Writes the packet; returns its length. -EMSGSIZE: too much data. */
int segment_write(const struct segment *s, uint8_t buf[static SEGMENT_PACKET_MAX]);

#endif
