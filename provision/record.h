/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session as a Peering API server tells it, in a form that does not depend on the server: who
 * is local and who is peer on the wire, how the era calls a field, how a location is spelt are
 * settled here. docs/provisioning.md has the table of what is accepted.
 *
 * A record comes from a stranger: every string is bounded, UTF-8 and without control characters.
 * A struct record is a value, owned by whoever holds it; record_wipe() before it goes.
 */
#ifndef BOTLS_RECORD_H
#define BOTLS_RECORD_H

#include "settings.h"

struct jv;

#define RECORD_ID_MAX	  128 /* bytes with the final 0, as all of these */
#define RECORD_SECRET_MAX 81  /* TCP-MD5 and TCP-AO keys have at most 80 */
#define RECORD_TEXT_MAX	  256
#define RECORD_PINS_MAX	  8

/* RFC 9234 section 4.1; on the wire as these integers. */
enum bgp_role {
	BGP_ROLE_PROVIDER,
	BGP_ROLE_RS,
	BGP_ROLE_RS_CLIENT,
	BGP_ROLE_CUSTOMER,
	BGP_ROLE_PEER,
	BGP_ROLE_UNKNOWN = -1
};

enum admin_state {
	ADMIN_REQUESTED, /* pending, requested */
	ADMIN_APPROVED,	 /* approved, accepted, ok, provisioned; established, down, unestablished */
	ADMIN_REJECTED,
	ADMIN_DELETING,
	ADMIN_DELETED,
	ADMIN_UNKNOWN, /* a word that we do not know: no action, and an alarm */
};
enum oper_state { OPER_UNKNOWN, OPER_CONFIGURED, OPER_ESTABLISHED, OPER_DOWN, OPER_UNESTABLISHED };
enum location_type { LOCATION_PUBLIC, LOCATION_PRIVATE };

struct location {
	enum location_type type;
	char id[64]; /* canonical: "pdb:ix:42", "pdb:fac:17"; empty: not told */
};

/* One side's half of our `botls` object. */
struct record_tls {
	bool is_there;
	uint16_t port; /* 0: not told */
	uint8_t pins[RECORD_PINS_MAX][PEER_PIN_LEN];
	size_t n_pins;
};

struct record_end {
	uint32_t asn;	/* 0: not told */
	struct addr ip; /* AF_UNSPEC: not told */
	enum bgp_role role;
	bool insert_asn; /* default true */
	bool monitoring; /* default false */
	struct record_tls tls;
};

struct record {
	struct record_end initiator, receiver;
	struct location location;
	char session_id[RECORD_ID_MAX]; /* empty: not told. Opaque; goes into paths only escaped */
	char request_id[RECORD_ID_MAX];
	char secret[RECORD_SECRET_MAX]; /* empty: none, or not repeated by the server */
	enum admin_state admin;
	enum oper_state oper;
	char status_raw[64];	      /* the server's own word */
	char reason[RECORD_TEXT_MAX]; /* why it was rejected, as far as told */
	int64_t time_window;	      /* seconds; -1: not told (era A) */
};

/* How one server writes. */
struct record_profile {
	enum wire_era era;
	enum wire_perspective perspective;
	enum secret_field secret_field;
	enum location_form location_form;
	bool tls_extension;
};
struct record_profile record_profile_of(const struct server_settings *s);

/* Reads one session object. Accepts what section 9 of the facts lists: ids as session_id, uuid,
 * request_id, requestId, string or integer; ASN as integer or decimal string; addresses with or
 * without /len; location as object, string or bare number; public and PUBLIC, peer_type "peer" as
 * public; secrets as session_secret or md5, never more than 80 bytes. A field of a wrong type, out
 * of range, or not text is an error of this record: -EINVAL with the path and the reason in *e
 * (which never holds the secret). Roles that do not fit each other (RFC 9234 section 4.2), both
 * monitoring flags, and two different addresses' families are errors too. */
int record_decode(const struct jv *v, const struct record_profile *p, struct record *ret,
		  struct errtext *e);

/* A session as it is asked for; only what is told, secret included. NULL: out of memory. */
struct jv *record_encode(const struct record *r, const struct record_profile *p);

/* For people, --json and the audit log: canonical names, the secret as "<hidden>". NULL: out of
 * memory. */
struct jv *record_describe(const struct record *r);

/* Maps a status word, ignoring case. Unknown: ADMIN_UNKNOWN. */
void record_status(const char *word, enum admin_state *ret_admin, enum oper_state *ret_oper);

/* "pdb:ix:42" of an object, a string or a number; -EINVAL. A bare number is an exchange's. */
int location_decode(const struct jv *v, struct location *ret, struct errtext *e);
/* The same from text; it may also be upper case. */
int location_parse(const char *text, struct location *ret, struct errtext *e);
/* The number in "pdb:ix:42", 0 when it is not an exchange's. */
uint32_t location_ix(const struct location *l);

const struct record_end *record_ours(const struct record *r, enum our_side side);
const struct record_end *record_theirs(const struct record *r, enum our_side side);

/* Addresses of both ends are the same, whatever else differs. */
bool record_same_session(const struct record *a, const struct record *b);

void record_wipe(struct record *r);
const char *admin_state_name(enum admin_state s);
const char *oper_state_name(enum oper_state s);
/* "provider", "rs-server", ... as BIRD and FRR say it. */
const char *bgp_role_name(enum bgp_role r);
/* The role that fits on the other side (RFC 9234 section 4.2). */
enum bgp_role bgp_role_opposite(enum bgp_role r);

#endif
