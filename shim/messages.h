/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control and a worker say to each other (lib/ipc.h). Both are the same binary, so structs
 * travel as they are. Control trusts no worker: it checks every name and length that comes from
 * one. (No bool here: a byte other than 0 and 1 in it has no meaning in C.)
 */
#ifndef BOTLS_MESSAGES_H
#define BOTLS_MESSAGES_H

#include "addr.h"
#include "botls/metrics.h"

#include <stdint.h>

enum message_type {
	/* control to worker; a batch of CONFIG, FILE and LISTENER messages takes effect with APPLY
	 */
	MSG_CONFIG = 1, /* id: length; descriptor: text of config_print() (secret_fd()) */
	MSG_FILE, /* id: length; payload: path; descriptor: what it held when control read it */
	MSG_LISTENER_TLS,   /* descriptor: where neighbors come in */
	MSG_LISTENER_INNER, /* descriptor: where the daemon's own connections come in */
	MSG_KTLS,	    /* payload: struct ktls_support; before APPLY */
	MSG_KEYLOG,	    /* descriptor: append TLS secrets here (--keylog) */
	MSG_APPLY,
	MSG_SOCKET, /* id: of the request; payload: struct message_socket; descriptor unless it
		       failed */
	MSG_RESET,  /* payload: name; id comes back with RESET_DONE */
	MSG_QUERY,  /* payload: name, or empty for all; STATUS..., then STATUS_END with the same id
		     */
	MSG_LOG_LEVEL, /* id: enum log_level */
	MSG_PING,
	MSG_FALLBACK_BEGIN, /* payload: name; clear text is allowed already (said to a worker that
			       was restarted) */
	MSG_AO_SHOW,	    /* payload: name; AO_CONNECTION... for its connections */
	MSG_FALLBACK_END, /* payload: name; the last session in clear text that fallback allowed is
			     over */
	MSG_CAPTURE,	  /* id: slot; payload: name; descriptor: where records go (capture.h) */
	MSG_CAPTURE_END,  /* id: slot */
	MSG_AO,		  /* id: of the request; payload: struct message_ao */
	MSG_METRICS,	  /* METRICS_ROWS..., then METRICS_END with the same id */
	MSG_HEIR, /* descriptor: where a successor's worker will ask for the sessions (handover.h)
		   */
	MSG_TAKE_OVER, /* id; descriptor: where those of a predecessor's worker are to be had */
	MSG_STOP,      /* control has no use for it any more, and no successor is to come */

	/* control to the metrics process */
	MSG_METRICS_LISTENER, /* descriptor: where scrapers come in */
	MSG_METRICS_SNAPSHOT, /* descriptor: botls/metrics.h; none: it cannot be had now */

	/* worker to control */
	MSG_APPLIED = 64, /* payload: empty, or why the batch was refused (the old one stays) */
	MSG_WANT_OUTER,	  /* id; payload: struct message_want */
	MSG_WANT_INNER,	  /* id; payload: struct message_want */
	MSG_RESET_DONE,	  /* id; payload: uint32_t sessions ended */
	MSG_STATUS,	  /* id; payload: one neighbor, JSON as in docs/control-protocol.md, or a
			     part of its sessions with nothing else to add */
	MSG_STATUS_END,	  /* id; payload: the worker's own line, JSON */
	MSG_PONG,
	MSG_FALLBACK,	   /* payload: struct message_fallback */
	MSG_METRICS_ROWS,  /* id; payload: some of struct message_metrics_row */
	MSG_METRICS_END,   /* id; payload: struct message_metrics_worker */
	MSG_TAKEN,	   /* id: of TAKE_OVER; payload: struct message_taken; more than once */
	MSG_AO_CONNECTION, /* payload: struct message_ao_connection; descriptor: a connection with a
			      neighbor that has TCP-AO, which stays the worker's */
	MSG_WANT_AO, /* id; payload: struct message_want_ao; descriptor: a connection with that
			neighbor, which stays the worker's */

	/* the metrics process to control */
	MSG_METRICS_WANTED,
};

struct message_metrics_row {
	char neighbor[ADDR_STRLEN];
	uint64_t v[BM_VALUES];
};

struct message_metrics_worker {
	uint64_t handshakes, unknown;
};

struct message_want {
	char neighbor[ADDR_STRLEN]; /* name of the configured neighbor */
	struct addr own;	    /* our side's address */
	struct addr peer;   /* the other side's; differs from the neighbor's only for prefixes */
	uint8_t clear;	    /* WANT_OUTER: port 179 in clear text (preferred, after its time) */
	uint8_t without_ao; /* WANT_OUTER: tcp-ao-policy = preferred */
};

struct message_socket {
	int32_t error; /* 0: the descriptor is connecting or connected; else -errno */
	char text[256];
};

struct message_taken {
	uint64_t moved, stayed, ended; /* as struct take_counts */
	uint64_t left, drain_ms;
	int64_t until;
};

struct message_ao_connection {
	char neighbor[ADDR_STRLEN];
};

#define MESSAGE_AO_SECRET 32

/* tcp-ao = capability. Key and numbers follow from the connection's TLS, which control does not
 * have; algorithm and options are what was announced, which a reload may have changed since. */
struct message_want_ao {
	char neighbor[ADDR_STRLEN];
	uint8_t is_trial; /* could it be turned on? the key is none */
	uint8_t algorithm, covers_options;
	uint8_t secret[MESSAGE_AO_SECRET];
	uint32_t send_isn, recv_isn;
	uint64_t until_ms; /* CLOCK_MONOTONIC: too late then, the connection is in use again */
};

struct message_ao {
	int32_t error; /* 0: it is done, or could be */
	char text[256];
};

struct message_fallback {
	char neighbor[ADDR_STRLEN];
	uint8_t allow_clear;
};

#endif
