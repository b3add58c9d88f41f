/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: one connection of the daemon and one connection to the neighbor, from the first
 * accept to the last close. One TLS connection is one local connection, never merged, never
 * invented.
 *
 *   out  the daemon connected (inner), we dial the neighbor:  CONNECTING -> HANDSHAKE -> UP
 *        what fails is tried again while the daemon waits (HELD), at most hold-time; then RST, as a
 * failed connection in   the neighbor connected (outer): HANDSHAKE -> INNER (verified; connecting
 * to the daemon) -> UP
 *
 * When the inner side hangs up before UP, the outer dial is given up: a stale OPEN is never
 * replayed. A session owns its descriptors and frees itself after on_ended.
 */
#ifndef BOTLS_SESSION_H
#define BOTLS_SESSION_H

#include "addr.h"
#include "ao_try.h"
#include "bgp.h"
#include "capture.h"
#include "config.h"
#include "loop.h"
#include "messages.h"
#include "sock.h"
#include "tcp_ao.h"
#include "tls.h"

enum session_direction { SESSION_OUT, SESSION_IN };

enum session_state {
	SESSION_CONNECTING, /* TCP to the neighbor */
	SESSION_HANDSHAKE,  /* TLS */
	SESSION_HELD,	    /* out: failed, will be tried again */
	SESSION_INNER,	    /* in: TCP to the daemon */
	SESSION_UP,	    /* relaying over TLS */
	SESSION_CLEAR,	    /* relaying in clear text (preferred, after its time) */
};

enum session_bgp { SBGP_CONNECT, SBGP_OPENSENT, SBGP_OPENCONFIRM, SBGP_ESTABLISHED, SBGP_CLOSING };

struct session;

/* What a session asks of those above it. Every function gets the `host` of session_params. */
struct session_host_ops {
	/* Ask for a connecting socket; session_give_socket() answers later, never from inside this
	 * call. Returns a request number, 0 on failure. */
	uint32_t (*want_outer)(void *host, struct session *s, bool clear);
	uint32_t (*want_inner)(void *host, struct session *s);
	/* The answer is no longer wanted. */
	void (*forget_request)(void *host, uint32_t id);
	/* Out only: may another handshake begin now? */
	bool (*may_handshake)(void *host);
	/* Out, preferred: has the neighbor gone without TLS for its time, so that clear text is
	 * allowed now? */
	bool (*may_clear)(void *host);
	void (*on_state)(void *host, struct session *s);
	void (*on_bgp)(void *host, struct session *s);
	void (*on_notification)(void *host, struct session *s, bool inbound,
				const struct bgp_notification *n);
	/* An attempt failed (the session may go on with another one). */
	void (*on_failure)(void *host, struct session *s, enum tls_reason reason, const char *text);
	/* tcp-ao = capability: asks control whether TCP-AO could be turned on (m->is_trial), or to
	 * do it, on this connection, which is borrowed; session_give_ao() answers later. 0: not
	 * now, say why in *e. */
	uint32_t (*want_ao)(void *host, struct session *s, int fd, struct message_want_ao *m,
			    struct errtext *e);
	/* The neighbor announced TCP-AO, or was told that we do, and it did not work: the next
	 * sessions are to do without. */
	void (*on_no_ao)(void *host, struct session *s, const char *text);
	/* The neighbor is verified, or did not take a key in time: session_info.ao_lack. */
	void (*on_ao)(void *host, struct session *s);
	/* Last call; the session is freed after it. `why` says which side ended it and how. */
	void (*on_ended)(void *host, struct session *s, const char *why);
};

struct session_params {
	struct loop *loop;
	const struct session_host_ops *ops;
	void *host;
	uint64_t id;
	const struct neighbor_config *config; /* borrowed; session_set_config() when it moves */
	struct tls_ctx *ctx;		      /* the session takes a reference of its own; NULL:
						 mode tcp-ao */
	struct addr own, peer;
	uint16_t own_port, peer_port;	 /* of the connection that began the session */
	struct capture *const *captures; /* where the neighbor keeps them; borrowed */
	struct ao_habit *ao_habit;	 /* the same; NULL: this kernel has no TCP-AO */
};

/* Both take `fd` over, also when they fail (-ENOMEM). */
int session_new_out(const struct session_params *p, int inner_fd, struct session **ret);
int session_new_in(const struct session_params *p, int outer_fd, struct session **ret);

/* The answer to want_*: a connecting socket (taken over), or -1 with the reason. */
void session_give_socket(struct session *s, uint32_t request, int fd, const char *error);

/* The answer to want_ao: `error` is 0, or -errno and the reason in `text`. */
void session_give_ao(struct session *s, uint32_t request, int error, const char *text);

void session_set_config(struct session *s, const struct neighbor_config *config,
			struct tls_ctx *ctx);
/* The capture in this slot is another one than before: it begins with a whole message. */
void session_capture_begins(struct session *s, unsigned slot);
/* Ends it in an orderly way towards both sides where it relays, else by RST; on_ended follows,
 * maybe at once. */
void session_close(struct session *s, const char *why);
/* Ends it now, by RST towards both; on_ended is not called. */
void session_free(struct session *s);

/* What became of tcp-ao = capability. */
enum session_capability {
	CAPABILITY_NONE,	/* not asked for by the configuration */
	CAPABILITY_UNAVAILABLE, /* not announced; the text says why */
	CAPABILITY_WAITING,	/* for the OPENs */
	CAPABILITY_NO_PEER,	/* the neighbor has not announced it */
	CAPABILITY_OTHER,	/* what it has announced is something else; the text says what */
	CAPABILITY_AGREED,	/* on its way */
	CAPABILITY_ON,
	CAPABILITY_FAILED, /* the session is ending */
};
struct session_capability_info {
	enum session_capability state;
	int64_t since;	  /* seconds since the epoch */
	const char *text; /* "": nothing to add */
};
const char *session_capability_name(enum session_capability c);

/* --- a session that goes on in another process, unnoticed by both sides (handover.h)
 *
 * The old process freezes it and tells the new one of it; the new one makes it, frozen; the old one
 * leaves it, and only then the new one thaws it. So at each moment one of them alone reads and
 * writes.
 */
struct fields_in;
struct fields_out;
/* Control is gone: ends what has not come so far that it can do without, in an orderly way. */
void session_end_unready(struct session *s, const char *why);
/* Why it has to stay where it is, or NULL. */
const char *session_stays(const struct session *s);
/* 0 or -EBUSY: session_stays(), an end that is on its way, one of its own callbacks. */
int session_freeze(struct session *s);
int session_thaw(struct session *s); /* 0 or -ENOMEM: it can only be freed */
/* Of a frozen one: everything but its descriptors, keys included. 0 or -errno. */
int session_export(const struct session *s, struct fields_out *o);
/* What a status tells of one that stays, by the same names; nothing that is secret, and no
 * counters.
 */
void session_describe(struct session *s, struct fields_out *o);
void session_get_fds(const struct session *s, int *ret_inner, int *ret_outer); /* borrowed */
/* Frees a frozen session; its connections stay for whoever has them too. on_ended is not called. */
void session_leave(struct session *s);
/* The session of which `f` tells, frozen. Takes the descriptors over, also when it fails; a failure
 * does nothing to their connections. Of `p`, `own`, `peer` and ports are not looked at, and an `id`
 * of 0 means the one in `f`. Everything is checked; `f` says what is wrong. 0, -ENOMEM, or what is
 * wrong.
 */
int session_import(const struct session_params *p, struct fields_in *f, int inner_fd, int outer_fd,
		   struct session **ret);

struct session_info {
	uint64_t id;
	enum session_direction direction;
	enum session_state state;
	enum session_bgp bgp;
	int64_t since, established_since; /* seconds since the epoch; 0: not yet */
	const struct addr *own, *peer;
	uint16_t own_port, peer_port; /* of the outer connection; 0 unknown */
	bool has_tls, has_ao;
	struct tls_info tls;
	struct tcp_ao_status ao;
	bool has_derived_ao;	/* signed with a key that follows from TLS, at both ends */
	unsigned ao_generation; /* how many such keys there were; 0: none */
	struct session_capability_info capability;
	bool dials_without_ao; /* tcp-ao-policy = preferred */
	enum ao_lack ao_lack;
	const struct bgp_stream *in, *out; /* from the neighbor, from our daemon */
};
void session_get_info(struct session *s, struct session_info *ret);
/* Adds what the session is now and all that it has counted to a row (BM_*). */
void session_add_metrics(struct session *s, uint64_t *row);

/* One of the two connections; the kernel is asked, which is for a status and not for every event.
 */
struct session_leg {
	bool is_there;
	struct sock_connection tcp;
	uint64_t blocked_ms; /* for how long it has not taken what waits for it; 0: nothing waits */
};
struct session_legs {
	struct session_leg inner, outer;
	size_t buffered; /* bytes that wait in the relay, both directions */
};
void session_get_legs(const struct session *s, struct session_legs *ret);
/* The connection to the neighbor, or -1; borrowed. */
int session_outer_fd(const struct session *s);
uint64_t session_id(const struct session *s);
void *session_host(const struct session *s); /* of session_params */
enum session_state session_state(const struct session *s);
enum session_bgp session_bgp(const struct session *s);
enum session_direction session_direction(const struct session *s);
const char *session_state_name(enum session_state s);
const char *session_bgp_name(enum session_bgp b);

#endif
