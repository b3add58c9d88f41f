/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of what botlsd counts, in a sealed memory file: made by control, read by the process
 * that answers HTTP and by `botlsctl metrics`. A head, then the workers, the neighbors, and a row
 * for each neighbor in each worker, sorted by neighbor. Texts end with a NUL.
 */
#ifndef BOTLS_METRICS_H
#define BOTLS_METRICS_H

#include <stdint.h>

#define BOTLS_METRICS_MAGIC  0x6d6c7462
#define BOTLS_METRICS_FORMAT 1
#define BOTLS_METRICS_NAME   80	 /* bytes of a neighbor's name */
#define BOTLS_METRICS_TEXT   128 /* of a description; a longer one is cut */

enum botls_metrics_state { /* of a session */
			   BOTLS_METRICS_CONNECTING,
			   BOTLS_METRICS_HANDSHAKE,
			   BOTLS_METRICS_HELD,
			   BOTLS_METRICS_UP,
			   BOTLS_METRICS_CLEAR,
			   BOTLS_METRICS_STATES
};

#define BOTLS_METRICS_REASONS 22 /* enum tls_reason */
#define BOTLS_METRICS_TYPES   6	 /* of BGP messages; 0: unknown ones */

/* What a row has of one neighbor in one worker, since that worker began. */
enum botls_metrics_value {
	/* of the sessions that are there now */
	BM_SESSIONS,					     /* by state */
	BM_ESTABLISHED = BM_SESSIONS + BOTLS_METRICS_STATES, /* BGP, over TLS or with mode tcp-ao */
	BM_HELD_BYTES,
	BM_BLOCKED_MS_DAEMON, /* the longest time that one takes nothing */
	BM_BLOCKED_MS_NEIGHBOR,
	BM_PAST_KEY_LIMIT,
	BM_KTLS,	   /* their records are the kernel's */
	BM_PEER_NOT_AFTER, /* the earliest; 0: unknown */
	BM_AO_LACKING,	   /* up without the TCP-AO that is preferred */
	/* of the neighbor */
	BM_OWN_NOT_AFTER, /* 0: no certificate */
	BM_SESSIONS_BEGUN,
	BM_SESSIONS_ESTABLISHED,
	BM_HANDSHAKES, /* that succeeded */
	BM_FAILURES,   /* by reason */
	/* of its sessions, the ended ones too: those of a session (BM_SESSION_FIRST ...) */
	BM_BYTES_IN = BM_FAILURES + BOTLS_METRICS_REASONS,
	BM_BYTES_OUT,
	BM_MESSAGES_IN, /* by type */
	BM_MESSAGES_OUT = BM_MESSAGES_IN + BOTLS_METRICS_TYPES,
	BM_RECORDS_IN = BM_MESSAGES_OUT + BOTLS_METRICS_TYPES,
	BM_RECORDS_OUT,
	BM_KEY_UPDATES_IN,
	BM_KEY_UPDATES_OUT,
	BM_AO_GOOD,
	BM_AO_BAD,
	BM_AO_KEY_NOT_FOUND,
	BM_AO_REQUIRED,
	BM_VALUES
};
#define BM_SESSION_FIRST  BM_BYTES_IN
#define BM_SESSION_VALUES (BM_VALUES - BM_SESSION_FIRST)

struct botls_metrics_head {
	uint32_t magic, format;
	uint32_t n_workers, n_neighbors, n_rows;
	uint32_t steering_wrong; /* objects that the last audit found not to be as they should */
	uint64_t started, now;	 /* seconds since the epoch */
	uint64_t generation;
	uint64_t steering_found; /* such objects in all audits */
	uint64_t exporter_restarts;
	uint32_t captures, has_steering_counters;
	uint64_t connects_steered, connects_refused_uid, connects_refused_closed;
	uint64_t accepts_mapped, accepts_hidden;
	uint64_t guard_out, guard_in, guard_ttl, guard_inner;
	char version[16], steering[16];
};

struct botls_metrics_worker {
	uint32_t id, is_up; /* it answered */
	uint64_t started, restarts;
	uint64_t handshakes; /* under way */
	uint64_t unknown;    /* connections refused before TLS */
};

struct botls_metrics_neighbor {
	char name[BOTLS_METRICS_NAME], description[BOTLS_METRICS_TEXT];
	char mode[16], role[16];
	uint32_t remote_as; /* 0: not said */
	uint32_t clear_sessions;
	uint8_t allow_clear, is_off, has_ao, reserved[5];
};

struct botls_metrics_row {
	uint32_t neighbor, worker;
	uint64_t v[BM_VALUES];
};

#endif
