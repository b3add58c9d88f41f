/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * What the BPF programs and the shim agree on: keys and values of the shared maps. All of it is
 * pinned and outlives the process that made it, so a layout that changes needs new map names
 * (BOTLS_MAP_*).
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports are in host order.
 */
#ifndef BOTLS_BPF_H
#define BOTLS_BPF_H

#include <linux/types.h>

#define BOTLS_UIDS_MAX	     32
#define BOTLS_LOOPBACK_INDEX 1 /* of lo in every network namespace */
#define BOTLS_CROSSINGS_MAX                                                                        \
	65536 /* connections between the daemon and the shim, both directions                      \
	       */

/* Names of the pinned maps; those of the BPF objects are the same. No dots: bpffs refuses them. */
#define BOTLS_MAP_NEIGHBORS "neighbors"
#define BOTLS_MAP_COUNTERS  "counters"
#define BOTLS_MAP_BYPASS    "bypass"
#define BOTLS_MAP_SOCKETS   "sockets"
#define BOTLS_MAP_CROSSINGS "crossings"
#define BOTLS_MAP_CARRIERS  "carriers"

/* The words are for the BPF programs: byte arrays would be copied byte by byte there. */
union botls_addr {
	__u8 bytes[16];
	__u32 words[4];
};

/* Key of the longest-prefix tries inside `neighbors` (an array of one map). The scope takes part in
 * the prefix, so prefixlen is 32 + 96 + (IPv4 length), or 32 + (IPv6 length). */
struct botls_neighbor_key {
	__u32 prefixlen;
	__u32 scope; /* interface index of a link-local address, else 0 */
	union botls_addr addr;
};
#define BOTLS_NEIGHBOR_KEY_BITS (32 + 128)

enum botls_neighbor_flag {
	BOTLS_NEIGHBOR_PROTECTED =
		1 << 0, /* required, or preferred and clear text is not allowed now */
	BOTLS_NEIGHBOR_SETTLING =
		1 << 1, /* steered and hidden already, but the guard lets pass: the sockets that
			 * are being ended still have to tell the peer (RST) */
	BOTLS_NEIGHBOR_MAY_CONNECT = 1 << 2,
	BOTLS_NEIGHBOR_OWN_KNOWN = 1 << 3,
	BOTLS_NEIGHBOR_DYNAMIC = 1 << 4, /* a prefix */
	/* A protected link-local neighbor, with scope 0: closed on every interface that has no
	 * INTERFACE row, that is on those that appear before the next steering_apply(), whatever
	 * their index. */
	BOTLS_NEIGHBOR_PENDING = 1 << 5,
	/* No neighbor: the interface with this scope was there when the table was made. Address ::,
	 * so that it changes together with the table. */
	BOTLS_NEIGHBOR_INTERFACE = 1 << 6,
	/* Protected, but the shim's own sockets speak in clear with it: they are not ended. */
	BOTLS_NEIGHBOR_CARRIED = 1 << 7,
	BOTLS_NEIGHBOR_MAY_ACCEPT = 1 << 8, /* carried: what it opens is handed to us */
};

struct botls_neighbor {
	union botls_addr own;
	__u32 flags;
	__u8 min_ttl;
	__u8 reserved[3];
};

/* `sockets` (socket storage): what a socket is to us. Gone with the socket. */
enum botls_socket_role {
	BOTLS_SOCKET_STEERED = 1,  /* the daemon's, connecting to the shim in place of `addr` */
	BOTLS_SOCKET_INNER = 2,	   /* the shim's, connecting to the daemon on behalf of `addr` */
	BOTLS_SOCKET_CAUGHT = 3,   /* the shim's accepted end of a STEERED one */
	BOTLS_SOCKET_ACCEPTED = 4, /* the daemon's accepted end of an INNER one */
};

struct botls_socket {
	__u32 role;
	__u32 reserved;
	union botls_addr addr; /* the neighbor */
	union botls_addr to;   /* STEERED, INNER: where the connection really goes */
	__u16 to_port;
	__u16 port; /* of the neighbor: 179 for STEERED and CAUGHT */
	__u32 pad;
};

/* `crossings` (hash): connections under way from the daemon to the shim and back, by their
 * connecting end. Written before the SYN leaves, deleted when the connecting socket closes. */
struct botls_crossing_key {
	union botls_addr addr; /* source */
	__u32 scope;	       /* link-local only */
	__u16 port;	       /* source */
	__u16 to_port;
};

struct botls_crossing {
	union botls_addr addr; /* the neighbor */
	__u16 port;
	__u16 pad[3];
};

/* `counters` (per-CPU array of __u64) */
enum botls_counter {
	BOTLS_COUNT_STEERED,
	BOTLS_COUNT_REFUSED_UID,
	BOTLS_COUNT_REFUSED_CLOSED,
	BOTLS_COUNT_MAPPED,
	BOTLS_COUNT_HIDDEN,
	BOTLS_COUNT_GUARD_OUT,
	BOTLS_COUNT_GUARD_IN,
	BOTLS_COUNT_GUARD_TTL,
	BOTLS_COUNT_GUARD_INNER,
	BOTLS_COUNTERS
};

/* The listeners of the TLS port, of a family: the one without a default TCP-AO key, then one for
 * each kind of it that neighbors use. IPv6 follows IPv4. Not pinned. */
#define BOTLS_AO_KINDS	   4 /* two algorithms, TCP options covered or not */
#define BOTLS_AO_LISTENERS (1 + BOTLS_AO_KINDS)

struct botls_ao_neighbor {
	__u32 listener;	      /* which of them has its key: 1 ... BOTLS_AO_KINDS */
	__u32 may_go_without; /* connections without TCP-AO come to the first */
	__u32 generation;     /* of the table */
};

#endif
