/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by session.c (its life, until both sides are connected), session_attempt.c (attempts to
 * dial), session_tls.c (the handshake), session_relay.c (from then on), session_capability.c and
 * session_capability_open.c (tcp-ao = capability), session_state.c (in another process),
 * session_info.c and session_metrics.c (what it tells), and by nobody else. */
#ifndef BOTLS_SESSION_INTERNAL_H
#define BOTLS_SESSION_INTERNAL_H

#include "session.h"

#include "ao_exporter.h"
#include "relay.h"

/* Between two attempts: first, and at most. */
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS   8000

struct session {
	struct loop *loop;
	const struct session_host_ops *ops;
	void *host;
	uint64_t id;
	enum session_direction direction;
	enum session_state state;
	enum session_bgp bgp;
	bool has_tried, is_clear, is_confirming, is_closing;
	const struct neighbor_config *config;
	struct tls_ctx *ctx;
	struct addr own, peer;
	uint16_t own_port, peer_port;

	uint32_t request;	/* to the host; 0: none */
	int inner_fd, outer_fd; /* -1 once the relay owns them */
	struct io *inner_io, *outer_io;
	struct tls *tls; /* NULL once the relay owns it */
	struct relay *relay;
	struct ao_exporter *ao;	       /* of the outer connection; NULL: its keys do not change */
	struct capability *capability; /* session_capability.c; NULL: not configured */
	struct ao_habit *ao_habit;
	bool is_without_ao, has_tried_other, is_connected; /* out: this attempt's */
	bool ended_orderly;
	enum ao_lack ao_lack;
	struct timer *deadline, *retry;
	uint64_t began_ms;
	uint64_t retry_ms;

	int64_t since, established_since;
	struct bgp_stream in, out;
	char *end; /* why it is being closed; NULL: it is not, or no memory */

	struct tls_counters tls_left;  /* of those that were freed */
	struct tcp_ao_status *ao_seen; /* when it was last looked at; NULL: not yet */

	struct capture *const *captures;
	uint16_t inner_port;	    /* the ephemeral one of the inner connection; 0 not asked yet */
	uint8_t capture_in_step[2]; /* capture.h */
	enum relay_side ended_first; /* RELAY_US: none of the two */
};

/* session.c */
/* Neither connected nor connecting; NULL: out of memory. */
struct session *session_make(const struct session_params *p, enum session_direction direction);
void session_set_state(struct session *s, enum session_state state);
/* The connection to the neighbor, or the dial, is given up. Without a reset, an alert that says why
 * we refuse reaches the neighbor. */
void session_drop_outer(struct session *s, bool reset);
/* In: the neighbor is verified, the daemon is to be connected to. May end the session. */
void session_want_inner(struct session *s);
/* Tells the host and frees the session. */
void session_end(struct session *s, const char *why);

/* session_attempt.c */
/* From the timer s->retry: begins what is next. */
void session_on_retry(void *arg);
/* The attempt has failed: another one, clear text, or the end. May free the session. */
void session_failed(struct session *s, enum tls_reason reason, const char *text);
/* TCP-AO or none: the kernel has it, and the configuration allows both. */
bool session_may_go_without_ao(const struct session *s);
/* Silence may be the answer to TCP-AO, or to its absence. False: both were tried. */
bool session_try_other(struct session *s);
/* For a connection, for a handshake. */
uint64_t session_timeout_ms(const struct session *s);

/* session_tls.c */
/* A neighbor's ktls counts when a handshake begins. */
int session_new_tls(struct session *s, enum tls_side side);
/* The connection is there: the handshake begins. May end the session, as the next two. */
void session_begin_tls(struct session *s, enum tls_side side);
void session_tls_step(struct session *s);
/* The neighbor is who it should be. */
void session_verified(struct session *s);
/* For the keys that follow from TLS. */
void session_ao_params(struct session *s, struct ao_exporter_params *ret);
/* TCP-AO did not work: says so, and ends the session. */
void session_ao_failed(void *arg, const char *text);

/* session_relay.c */
/* Both sides are connected, the neighbor is verified: the relay takes the descriptors over. May end
 * the session. */
void session_start_relay(struct session *s);
/* What the relay calls. */
extern const struct relay_callbacks session_relay_callbacks;
/* For the captures, if there are any: a session that relayed is over. */
void session_capture_end(struct session *s, const char *why);

/* session_capability.c */
/* tcp-ao = capability, for as long as the relay runs. */
void session_capability_start(struct session *s);
/* The session has ended, or only goes away. */
void session_capability_end(struct session *s);
void session_capability_free(struct session *s);
void session_capability_get_info(const struct session *s, struct session_capability_info *ret);
/* Control is gone, and answers no more. True: it was still needed. */
bool session_capability_lose_control(struct session *s);
/* Both ends know what becomes of it: the session can go on in another process. */
bool session_capability_is_settled(const struct session *s);
void session_capability_export(const struct session *s, struct fields_out *o);
/* 0 or -ENOMEM. */
int session_capability_import(struct session *s, struct fields_in *f);
/* A NOTIFICATION may be the neighbor's answer to what was announced. */
void session_capability_on_notification(struct session *s, const struct bgp_notification *n);

#endif
