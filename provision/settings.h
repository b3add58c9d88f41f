/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of botls-provision: libconfuse text in, one plain value tree out.
 * botls-provision.conf(5).
 *
 * A struct settings is immutable once loaded and owns everything that it points to. Defaults that
 * stand outside of the blocks are merged into the blocks already.
 */
#ifndef BOTLS_SETTINGS_H
#define BOTLS_SETTINGS_H

#include "addr.h"
#include "util.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Which generation of the Peering API a server speaks; docs/provisioning.md. */
enum wire_era {
	ERA_A, /* /add_sessions, /list_locations, /get_status (drafts of January 2024) */
	ERA_B, /* /sessions, /sessions/{id}, /locations (draft-ramseyer-grow-peering-api-06) */
};
/* Whose side local_asn and local_ip mean on the wire: the drafts contradict themselves. */
enum wire_perspective { LOCAL_IS_REQUESTER, LOCAL_IS_RECEIVER };
/* Which side we are: who asks for sessions, or whose server it is (then the sessions that others
 * asked of us are provisioned). */
enum our_side { SIDE_INITIATOR, SIDE_RECEIVER };
enum auth_kind { AUTH_NONE, AUTH_CLIENT_CREDENTIALS, AUTH_TOKEN_FILE, AUTH_TOKEN_COMMAND };
enum client_auth { CLIENT_SECRET_BASIC, CLIENT_SECRET_POST }; /* RFC 6749 section 2.3.1 */
enum batch_form { BATCH_ARRAY, BATCH_OBJECT }; /* body of a create: [..] or {"sessions": [..]} */
enum location_form { LOCATION_OBJECT, LOCATION_STRING }; /* {"id": .., "type": ..} or the id */
enum secret_field { SECRET_FIELD_AUTO, SECRET_FIELD_MD5, SECRET_FIELD_SESSION_SECRET };

struct server_settings {
	char *name;	  /* title of the block: [A-Za-z0-9_.-]{1,63}; also a file's name */
	char origin[128]; /* "file:line" */
	char *url;	  /* base, with the version's path, without a slash at its end */
	uint32_t asn; /* the network that the server speaks for; with SIDE_RECEIVER it is ours */
	enum wire_era era;		   /* default: b */
	enum wire_perspective perspective; /* default: requester */
	enum our_side side;		   /* default: initiator */
	bool allow_http; /* http:// to a loopback address only; https otherwise, always */
	char *ca;	 /* PEM file of trust anchors for HTTPS; NULL: the system's */

	enum auth_kind auth; /* default: none */
	char *token_url;     /* client-credentials: the endpoint, or ... */
	char *issuer;	     /* ... where RFC 8414 metadata name it */
	char *client_id;
	char *client_secret;		   /* secret; from -file too */
	enum client_auth client_auth;	   /* default: basic */
	char *scope, *audience, *resource; /* NULL: not sent; resource: RFC 8707 */
	char *token_file;		   /* its first line is a bearer token */
	char **token_command; /* prints a bearer token as its first line; absolute path first */
	size_t n_token_command;

	enum batch_form batch_form;	  /* default: array */
	enum location_form location_form; /* default: object */
	enum secret_field secret_field;	  /* default: auto: md5 in era A, session_secret in era B */
	bool batch_delete;     /* DELETE /sessions with a body; only in the OpenAPI file of era B */
	bool tls_extension;    /* send our `botls` object; default false */
	bool accept_extra;     /* sessions that we did not ask for are taken; default false */
	unsigned timeout;      /* seconds for one request, 1..300, default 30 */
	unsigned max_pages;    /* 1..10000, default 200 */
	unsigned page_size;    /* max_results that we ask for, 1..100, default 100 */
	unsigned max_sessions; /* records of one listing, 1..100000, default 10000 */
	unsigned retries;      /* 0..10, default 3 */
};

enum peer_mode { PEER_REQUIRED, PEER_PREFERRED, PEER_OFF };
/* What becomes of a session's secret. */
enum secret_use {
	SECRET_IGNORE,	  /* nothing; default */
	SECRET_OUTER_MD5, /* TCP-MD5 on the connection between the shims */
	SECRET_OUTER_AO,  /* a static TCP-AO key there */
	SECRET_INSIDE,	  /* the daemon's own password, which the shim does not need to know */
};

#define PEER_PIN_LEN 32

/* Local policy for one AS. Only ASes with a block are peered with. */
struct peer_settings {
	uint32_t asn; /* title: "AS64502" or "64502" */
	char origin[128];
	char *description;
	enum peer_mode mode; /* default: required */

	char *certificate, *key; /* ours; NULL: what botlsd.conf has as its default */
	char *ca;		 /* NULL: what botlsd.conf has as its default */
	char **dns_names;
	size_t n_dns_names;
	uint8_t (*pins)[PEER_PIN_LEN];
	size_t n_pins;
	bool pins_from_api; /* pins that the server tells in the `botls` object are used too; false
			     */
	uint16_t port; /* the neighbor's TLS port; 0: what the API says, else botlsd's default */
	uint8_t ttl_security; /* as in botlsd.conf(5); 0..254, default 0 */
	enum secret_use session_secret;
	bool propose_secret; /* a request of ours carries a new random secret; needs a use for it */

	char **locations; /* "pdb:ix:42"; none: everywhere that we have an address */
	size_t n_locations;
	char *daemon; /* name of a daemon block; NULL: the only one there is, or none */
	uint32_t max_prefix_4,
		max_prefix_6;  /* 0: from PeeringDB, with headroom, else the default */
	char *import, *export; /* BIRD: function; FRR: route-map; NULL: nothing passes (RFC 8212) */
	int role; /* RFC 9234 number of ours that the API must agree with; -1: what the API says,
		   * else peer. BGP_ROLE_* in record.h */
};

enum daemon_kind { DAEMON_BIRD, DAEMON_FRR };

struct daemon_settings {
	char *name;
	char origin[128];
	enum daemon_kind kind;
	char *file;   /* the one file that is ours; absolute */
	char *config; /* the daemon's own configuration, for checking; BIRD: it includes `file`,
		       * never NULL */
	char *socket; /* BIRD: control socket; FRR: folder of vty sockets; NULL: its default */
	char *template_file; /* instead of the built-in one */
	char *group;	     /* of `file`, which has mode 0640; NULL: bird, frr, if they exist */
};

#define SETTINGS_PATH "/etc/botls/provision.conf"

struct settings {
	char *path;
	uint32_t asn;		/* ours */
	struct addr *addresses; /* ours at the exchanges, on this router */
	size_t n_addresses;
	char *state_folder; /* /var/lib/botls/provision */
	char *audit_log;    /* NULL: audit.jsonl in state_folder */

	char *peeringdb;	      /* base URL of its API, or a JSON dump's path */
	bool check_addresses;	      /* against it; default true */
	char *peeringdb_key;	      /* secret; "Authorization: Api-Key" */
	char *peeringdb_ca;	      /* PEM file; NULL: the system's */
	bool peeringdb_allow_http;    /* http:// to loopback only */
	unsigned peeringdb_max_age;   /* seconds that an answer is used again, default 1 h */
	unsigned max_prefix_headroom; /* percent, 0..1000, default 25 */
	uint32_t max_prefix_default_4, max_prefix_default_6; /* 1000, 500; never unlimited */

	char *shim_config; /* /etc/botls/botlsd.conf */
	char *shim_file;   /* neighbors.d/botls-provision.conf beside it; the one file of ours */
	char *shim_socket; /* NULL: botlsctl's default */
	char *botlsd, *botlsctl, *bird, *birdc, *vtysh; /* programs; found in PATH when without / */
	char *certificate; /* whose pin our requests carry; NULL: none is sent */

	uint16_t tls_port; /* ours, as botlsd.conf has it: what our requests tell */

	unsigned max_deletions;	 /* sessions that one run may begin to take away; 0.., default 5 */
	unsigned time_window;	 /* seconds for a new session to establish, default 7 d */
	unsigned drain_time;	 /* seconds of graceful shutdown before a removal, default 5 min */
	unsigned verify_timeout; /* seconds until a reload must be seen, 1..300, default 20 */
	unsigned interval;	 /* seconds between two runs of `watch`, 10..86400, default 300 */

	struct server_settings *servers;
	size_t n_servers;
	struct peer_settings *peers; /* by asn */
	size_t n_peers;
	struct daemon_settings *daemons;
	size_t n_daemons;
};

typedef void settings_report_fn(void *arg, const char *where, const char *text);

/* Reads `path`. Every problem is reported with its "file:line". Returns 0, -EINVAL after at least
 * one report, or another -errno when a file cannot be read (reported too). Secrets that have a
 * -file option are read here; a file that everybody may read is refused. */
int settings_load(const char *path, settings_report_fn *report, void *arg, struct settings **ret);
void settings_free(struct settings *s);
static inline void cleanup_settings(struct settings **s)
{
	settings_free(*s);
}
#define _cleanup_settings_ __attribute__((cleanup(cleanup_settings)))

/* The same from text that settings_print() wrote; no file is opened, paths must be absolute, a
 * secret may be "<hidden>". */
int settings_load_text(const char *text, settings_report_fn *report, void *arg,
		       struct settings **ret);

/* Writes the effective configuration as text that settings_load_text() reads back to an equal
 * value; secrets as "<hidden>". */
void settings_print(const struct settings *s, FILE *out);

const struct server_settings *settings_server(const struct settings *s, const char *name);
const struct peer_settings *settings_peer(const struct settings *s, uint32_t asn);
/* The daemon that a peer's sessions go to; NULL: none is configured. */
const struct daemon_settings *settings_daemon(const struct settings *s,
					      const struct peer_settings *p);

const char *wire_era_name(enum wire_era e); /* "a", "b" */
const char *peer_mode_name(enum peer_mode m);
const char *daemon_kind_name(enum daemon_kind k);

#endif
