/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by neighbor.c (its life, connections that arrive, fallback), neighbor_sessions.c (what its
 * sessions ask and tell), neighbor_status.c (how it is shown), neighbor_state.c (what goes to
 * another process), and by nobody else. */
#ifndef BOTLS_NEIGHBOR_INTERNAL_H
#define BOTLS_NEIGHBOR_INTERNAL_H

#include "neighbor.h"

#include "botls/metrics.h"
#include "log.h"

struct link {
	struct link *next;
	struct neighbor *neighbor;
	struct session *session;
	enum session_direction direction;
	bool has_handshake; /* counted by on_handshakes() */
	bool was_established, was_verified;
	unsigned round; /* of a handover, in which it was told of */
};

struct failure {
	int64_t time;
	enum tls_reason reason;
	char text[256];
	enum session_direction direction;
};

struct neighbor {
	struct loop *loop;
	const struct neighbor_host_ops *ops;
	void *host;
	char name[ADDR_STRLEN];
	const struct neighbor_config *config; /* NULL once dropped */
	struct tls_ctx *ctx;
	char error[256];

	struct capture *captures; /* of all its sessions */
	struct link *links;
	unsigned n_links;
	enum session_state best;
	bool has_best;
	int64_t since;

	bool allow_clear;
	bool is_orphan; /* control is gone: there is nothing that could be allowed */
	struct timer *fallback;
	uint64_t elsewhere_until_ms; /* neighbor_is_elsewhere() */

	uint64_t n_sessions, n_established, n_handshakes, failures[TLS_REASONS];
	uint64_t ended[BM_SESSION_VALUES]; /* what its ended sessions had counted */
	struct failure last_failure;
	struct bgp_notification last_notification;
	int64_t last_notification_time;
	bool last_notification_in;
	struct ao_habit ao_habit;
	enum ao_lack ao_lack; /* that was logged last */
	struct log_limit log_limit;
	uint64_t no_ao_until_ms; /* tcp-ao = capability did not work */
};

/* neighbor.c */
/* Starts the time without TLS anew, or stops it, as the sessions are now. */
void neighbor_update_fallback(struct neighbor *n);

/* neighbor_sessions.c */
extern const struct session_host_ops neighbor_session_ops;
void neighbor_add_link(struct link *l);
void neighbor_remove_link(struct link *l);
void neighbor_show_ao_of(struct neighbor *n, struct session *s);
/* The second one is counted and logged, too. */
void neighbor_set_failure(struct neighbor *n, enum session_direction direction,
			  enum tls_reason reason, const char *text);
void neighbor_note_failure(struct neighbor *n, enum session_direction direction,
			   enum tls_reason reason, const char *text);

/* neighbor_status.c */
/* What a connection carries; its keys by name, as far as they are configured. */
struct jv *neighbor_ao_json(const struct session_info *i, const struct neighbor_config *config);

#endif
