/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of botlsd: libconfuse text in, one plain value tree out. botlsd.conf(5).
 *
 * A struct config is immutable once loaded and owns everything that it points to. Every neighbor
 * carries its effective settings: the global defaults are already merged in.
 */
#ifndef BOTLS_CONFIG_H
#define BOTLS_CONFIG_H

#include "addr.h"
#include "keychain.h"
#include "spki.h"
#include "util.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum neighbor_mode { MODE_REQUIRED, MODE_PREFERRED, MODE_OFF, MODE_TCP_AO };
enum neighbor_role { ROLE_BOTH, ROLE_CONNECT, ROLE_ACCEPT };
enum tls_version_min { TLS_MIN_1_2, TLS_MIN_1_3 };
enum ao_mode { AO_OFF, AO_STATIC, AO_EXPORTER, AO_CAPABILITY };
enum ao_policy { AO_REQUIRED, AO_PREFERRED };
enum ktls_mode { KTLS_OFF, KTLS_ON };
enum steering_kind { STEERING_AUTO, STEERING_CGROUP, STEERING_ROUTE };

#define MD5_KEY_MAX 80 /* TCP_MD5SIG_MAXKEYLEN */

/* How a neighbor's certificate must look. With neither ca nor pins the neighbor is refused by
 * config_load(). */
struct identity_config {
	char *certificate; /* our chain, PEM; path */
	char *key;	   /* our private key, PEM; path */
	char *ca;	   /* trust anchors, PEM; path; NULL: none (pins alone decide) */
	char *crl;	   /* revocation lists, PEM; path; NULL: no revocation check */
	char **dns_names;  /* any one of them as a dNSName SAN is enough; none: the iPAddress SAN */
	size_t n_dns_names;
	bool check_address; /* an iPAddress SAN equal to the neighbor's address must be there;
			     * default: true when there is a CA and no dns_names and no pins */
	uint8_t (*pins)[SPKI_PIN_LEN];
	size_t n_pins;
	bool check_eku; /* require clientAuth/serverAuth when an EKU is present (default true) */
};

/* TCP-AO towards the neighbor: a chain, one key of its own, or the one with
 * which a connection begins whose keys follow from TLS (ao_chain() in ao.h). */
struct ao_config {
	enum ao_mode mode;
	enum ao_policy policy;	      /* what the lack of TCP-AO means: here, with exporter there */
	char *chain_name;	      /* NULL: no chain */
	const struct keychain *chain; /* of struct config */
	struct keychain_key own;      /* its secret is NULL with a chain; with exporter it covers no
					 options unless told, as the draft has it */
	unsigned rekey; /* exporter, capability: seconds from key to key, 0 or 10..604800, default a
			   day */
	uint8_t capability_code; /* capability: 239..254 (RFC 8810), default 247 */
};

struct neighbor_config {
	struct addr
		address; /* host, link-local with interface, or a prefix (dynamic, inbound only) */
	char name[ADDR_STRLEN]; /* canonical text of `address`: the key of this neighbor everywhere
				 */
	char *description;	/* free text or NULL */
	char origin[128];	/* "file:line" where its block begins */

	enum neighbor_mode mode;
	enum neighbor_role role;
	struct addr local_address; /* AF_UNSPEC: as the route to the neighbor says */
	uint16_t tls_port;	   /* the neighbor's port that we dial (and ours: struct config) */
	struct identity_config identity;
	enum tls_version_min min_version;
	enum ktls_mode ktls; /* whether records shall be the kernel's, where it can */

	uint32_t
		remote_as; /* 0: not checked; else the AS of the neighbor's OPEN must be this one */
	uint8_t ttl_security; /* 0 off; else hops 1..254: outer minimum TTL is 256 - hops (RFC 5082)
			       */
	uint8_t ttl;	      /* outer TTL sent, 1..255, default 255 */
	char *tcp_md5;	      /* outer TCP-MD5 key (RFC 2385) or NULL; secret */
	struct ao_config ao;  /* never together with tcp_md5 */
	char *inner_tcp_md5;  /* the daemon's own password, needed by steering = route only; secret
			       */

	/* seconds unless named otherwise */
	unsigned handshake_timeout; /* 1..120, default 10 */
	unsigned hold_time; /* 0..600, default 60: how long the daemon's connection is held while
			       TLS is retried */
	unsigned fallback_after; /* 1..600, default 30: preferred only */
	unsigned user_timeout;	 /* 0 or 10..3600; default 0: twice the hold time, at least 480 (RFC
				    9687) */
	unsigned keepalive; /* 0 (off) or 5..3600, default 60: TCP keepalive idle on both legs */
	uint64_t key_update_records; /* 16 .. 2^24, default 2^23: TLS 1.3 KeyUpdate after that many
					records sent */
	uint32_t max_sessions; /* dynamic prefixes: sessions at once, 1..10000, default 100; single
				  host: always 8 */
};

/* Or is it left alone, or given TCP-AO alone? */
static inline bool neighbor_has_tls(const struct neighbor_config *n)
{
	return n->mode == MODE_REQUIRED || n->mode == MODE_PREFERRED;
}

struct config {
	char *path;
	enum steering_kind steering;
	uint16_t tls_port;   /* where we listen for TLS, default BOTLS_PORT_TLS */
	uint16_t inner_port; /* default BOTLS_PORT_INNER */
	unsigned workers;    /* 1..64, default 1 */
	char *user;	     /* workers run as this user, default "botls" */
	char **daemon_users; /* only these users' connections are steered; default: root and those
			      * of bird, frr, gobgp, exabgp, openbgpd (_openbgpd, _bgpd) that exist
			      */
	size_t n_daemon_users;
	char *control_socket;	 /* default BOTLS_CONTROL_PATH */
	char *control_group;	 /* NULL: only root may use the control socket */
	char *bpffs;		 /* default BOTLS_BPFFS_PATH */
	unsigned handshakes_max; /* concurrent, per worker, 1..10000, default 256 */
	unsigned handshake_rate; /* per source and second, 1..1000, default 10 */
	unsigned drain_time;	 /* seconds that sessions live on without control, 0 or 1..86400,
				    default 60 */
	char *metrics_listen;	 /* "address:port" for HTTP, or NULL: none */
	enum capture_allowed {
		CAPTURE_OFF,
		CAPTURE_ROOT
	} capture;		      /* who may have the clear text */
	unsigned expiry_warning_days; /* 0..365, default 30 */
	enum { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG } log_level;

	struct keychain_key *keys; /* sorted by chain, then as in struct keychain */
	size_t n_keys;
	struct keychain *chains; /* sorted by name */
	size_t n_chains;

	struct neighbor_config *neighbors; /* sorted by family, interface, address, prefix length */
	size_t n_neighbors;
};

/* Called for every problem found, in file order; `where` is "file:line". All are reported, not only
 * the first. */
typedef void config_report_fn(void *arg, const char *where, const char *text);

/* Reads `path` and, beside it, neighbors.d/ *.conf in name order. Returns 0 and *ret_config (free
 * with config_free()), or -EINVAL after at least one report, or -errno when a file cannot be read
 * (reported too). Of the files that the configuration names only those of TCP-MD5 and TCP-AO keys
 * are read here, not certificates. */
int config_load(const char *path, config_report_fn *report, void *arg, struct config **ret_config);

/* The same from text that config_print() wrote; no file is opened (nor the user database:
 * daemon-users not said is root alone), paths must be absolute, a key may be "<hidden>". For the
 * workers. */
int config_load_text(const char *text, config_report_fn *report, void *arg,
		     struct config **ret_config);

/* The same for text of which another process only says that config_print() wrote it: it costs no
 * more than one that did. -EINVAL at the first thing that cannot be. */
int config_load_printed(const char *text, size_t len, struct config **ret_config);

/* Writes the effective configuration as text that config_load_text() reads back to an equal value.
 * Secrets are written as "<hidden>". */
void config_print(const struct config *c, FILE *out);

void config_free(struct config *c);
static inline void cleanup_config(struct config **c)
{
	config_free(*c);
}
#define _cleanup_config_ __attribute__((cleanup(cleanup_config)))

/* metrics-listen as an address and a port. -EINVAL with *e (which may be NULL). */
int config_parse_listen(const char *text, struct addr *ret_address, uint16_t *ret_port,
			struct errtext *e);

/* The neighbor called `name` (any spelling of its address), or NULL. */
const struct neighbor_config *config_neighbor(const struct config *c, const char *name);

/* The neighbor that `host` belongs to: an exact one first, else the longest prefix; NULL when
 * unknown. */
const struct neighbor_config *config_match(const struct config *c, const struct addr *host);

/* The order of neighbors: family, interface, address, prefix length. As memcmp(). */
int config_compare_addresses(const struct addr *a, const struct addr *b);

const char *neighbor_mode_name(enum neighbor_mode m);
const char *neighbor_role_name(enum neighbor_role r);
const char *steering_kind_name(enum steering_kind k);
const char *ktls_mode_name(enum ktls_mode k);
const char *ao_mode_name(enum ao_mode m);
const char *ao_policy_name(enum ao_policy p);
const char *ao_algorithm_name(enum tcp_ao_algorithm a);

/* True when every option that a session depends on is the same (all but description and origin). */
bool neighbor_config_equal(const struct neighbor_config *a, const struct neighbor_config *b);

#endif
