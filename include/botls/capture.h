/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a capture consists of on its way from a worker to botlsctl: one record per packet of a
 * SOCK_SEQPACKET pair, a struct botls_capture_record and `len` bytes behind it.
 *
 * Every record stands for itself: where it belongs, and how many bytes have gone before it each
 * way. One that was lost takes nothing else with it, and a reader keeps no table of sessions.
 */
#ifndef BOTLS_CAPTURE_H
#define BOTLS_CAPTURE_H

#include <stdint.h>

/* botlsd says it in its answer: botlsctl may be of another version than what still runs. */
#define BOTLS_CAPTURE_FORMAT   1
#define BOTLS_CAPTURE_DATA_MAX 16384
#define BOTLS_CAPTURES_MAX     8 /* at once */

enum botls_capture_kind {
	BOTLS_CAPTURE_DATA = 1, /* bytes of BGP */
	BOTLS_CAPTURE_BEGIN,	/* both sides are connected */
	BOTLS_CAPTURE_END,	/* behind it: why, text */
	BOTLS_CAPTURE_DROPPED,	/* nothing but its counters */
	BOTLS_CAPTURE_NOTE,	/* of no session; behind it: text for the operator */
};

enum botls_capture_flag {
	BOTLS_CAPTURE_FROM_NEIGHBOR = 1 << 0, /* DATA, END: whose doing it is, else the daemon's */
	BOTLS_CAPTURE_DAEMON_CONNECTED = 1 << 1, /* else the neighbor did */
	BOTLS_CAPTURE_RESET = 1 << 2,		 /* END: RST, else FIN */
	BOTLS_CAPTURE_LAST = 1 << 3,		 /* NOTE: the capture is over, this is why */
};

struct botls_capture_record {
	uint8_t kind, flags;
	uint8_t family; /* 4 or 6; 0: of no session */
	uint8_t reserved;
	uint32_t len;	  /* bytes that follow */
	uint64_t time_ns; /* since the epoch */
	uint64_t session; /* as `botlsctl show` has it */
	uint32_t worker;
	uint32_t dropped; /* records of this worker lost since its last one that came through */
	uint64_t from_neighbor, from_daemon; /* bytes before this record */
	uint8_t neighbor[16], daemon[16];    /* network order, IPv4 in the first four */
	uint16_t neighbor_port, daemon_port; /* host order */
	uint32_t reserved2;
};
_Static_assert(sizeof(struct botls_capture_record) == 88, "the format");

#endif
