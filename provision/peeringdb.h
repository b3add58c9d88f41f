/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is registered at PeeringDB: who has which address at which exchange (netixlan), the
 * exchanges' prefixes (ixpfx), and what a network says of itself (net).
 *
 * From the API at a base URL, kept in files for a while, or from a local JSON dump
 * ({"netixlan":{"data":[..]},"ixpfx":{"data":[..]},"net":{"data":[..]}}, or with the arrays
 * themselves as members; at most 32 MB). An answer that cannot be had is an error and never "not
 * registered": while the API fails, what it said up to 7 days ago is used, which peeringdb_notice()
 * tells. That nothing is registered for a network is an answer; an exchange without prefixes is
 * none. A dump counts as complete: who is not in it has no address.
 */
#ifndef BOTLS_PEERINGDB_H
#define BOTLS_PEERINGDB_H

#include "http.h"
#include "record.h"

#include <time.h>

struct peeringdb;
/* `folder`: where answers are kept (mode 0700, made when it is not there); not used for a dump. `s`
 * and `h` must outlive it. */
int peeringdb_new(const struct settings *s, struct http *h, const char *folder,
		  struct peeringdb **ret, struct errtext *e);
void peeringdb_free(struct peeringdb *p);

/* Loads what is known of these networks (ours among them) and of the exchanges at which they are,
 * in few requests, so that the look-ups below need no network. Again: what is older than
 * peeringdb_max_age is asked for anew, a dump that has changed is read anew. -errno with the reason
 * in *e; what was loaded stays. -ECANCELED at once when http_cancel() was called. */
int peeringdb_load(struct peeringdb *p, const uint32_t *asns, size_t n, time_t now,
		   struct errtext *e);
/* What the operator should know although the last load went well: "PeeringDB: ...: answers up to 3
 * hours old are used". Empty: nothing. */
const char *peeringdb_notice(const struct peeringdb *p);

enum registration {
	REGISTERED,
	REGISTERED_ELSEWHERE, /* the address is this network's, at another exchange */
	NOT_REGISTERED,	      /* this network does not have this address: threat T1 of the draft */
	NOT_IN_PREFIX,	      /* it has, but it lies in no prefix of that exchange */
	REGISTRY_SILENT,      /* nothing is known of this network, or of the exchange's prefixes of
			       * this family */
};
/* Whether `ip` is registered to `asn` at the exchange of `location` (an id of ix or of ixlan; NULL
 * or empty: at any) and lies in one of its prefixes. `ret_location` (may be NULL): where it is,
 * with the id of the ix; untouched when it is nowhere. */
enum registration peeringdb_check(const struct peeringdb *p, uint32_t asn, const struct addr *ip,
				  const struct location *location, struct location *ret_location);
/* What can be said of the address: "is not registered to the AS", ... */
const char *registration_text(enum registration r);

/* info_prefixes4, info_prefixes6 of the network; 0: not told, or too many to be true (2,000,000).
 * Texts are printable UTF-8. */
struct peeringdb_network {
	char name[128];
	uint32_t prefixes_4, prefixes_6;
	char as_set[128];
	bool is_there;
};
struct peeringdb_network peeringdb_network(const struct peeringdb *p, uint32_t asn);

/* Where both networks have addresses of the same family that are in operation: calls back for each
 * pair, until one returns something else than 0, which is returned then. -ENODATA: nothing is known
 * of one of them; -ENOMEM. */
typedef int peeringdb_pair_fn(void *arg, const struct location *where, const struct addr *ours,
			      const struct addr *theirs);
int peeringdb_common(const struct peeringdb *p, uint32_t ours, uint32_t theirs,
		     peeringdb_pair_fn *fn, void *arg);

#endif
