/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapping: all that the shim and the BGP daemon are told about one session, resolved, with no
 * question left open. What state.json keeps, what templates are filled with, what --json prints and
 * what two runs are compared by is this one JSON object.
 *
 * Members; those in brackets may be absent. They are validated when the mapping is made: names are
 * [A-Za-z0-9_.-], texts are printable without quotes and backslashes, so that no template needs to
 * escape anything.
 *
 *   neighbor      "192.0.2.2"; the key: one mapping for an address
 *   local         "192.0.2.1"
 *   family        4 or 6; ipv4, ipv6: true for the one that it is (templates have no comparison)
 *   name          "as64502_192_0_2_2": of the BIRD protocol, of FRR's route-maps
 *   remote_as, local_as
 *   server, session_id, [request_id], [location]
 *   description   "AS64502 Example Net, pdb:ix:42"
 *   mode          "required", "preferred", "off"
 *   [port] [certificate] [key] [ca] [dns_names] [pins] [ttl_security]      as in botlsd.conf(5)
 *   [md5]         outer TCP-MD5 key; secret
 *   [ao]          outer static TCP-AO key; secret
 *   [daemon]      name of the daemon block
 *   [password]    the daemon's own; secret
 *   max_prefix    never 0
 *   [import] [export]
 *   role          ours: "provider", "rs-server", "rs-client", "customer", "peer"
 *   [rs_client], [monitoring]  true: the neighbor is a route server that does not insert its AS;
 *                 a session that only collects
 */
#ifndef BOTLS_MAPPING_H
#define BOTLS_MAPPING_H

#include "json.h"
#include "peeringdb.h"
#include "record.h"

/* Makes a mapping of a record that policy has let pass. `last` (may be NULL) is the mapping that is
 * owned now: what could not be looked up afresh (max_prefix when PeeringDB is silent, a secret that
 * the server does not repeat) is taken from it. `secret` (may be NULL): what we proposed. -EINVAL
 * with the reason, -ENOMEM. */
int mapping_new(const struct settings *s, const struct server_settings *server,
		const struct peer_settings *peer, const struct record *r,
		const struct peeringdb_network *network, const struct jv *last, const char *secret,
		struct jv **ret, struct errtext *e);

/* Reads one back from state.json: all members that are needed are there and are what they may be.
 */
int mapping_check(const struct jv *m, struct errtext *e);

bool mapping_equal(const struct jv *a, const struct jv *b);
/* "max_prefix 1000 -> 1250, pins": what differs, secrets by name only. Returns buf. */
const char *mapping_difference(const struct jv *a, const struct jv *b, char *buf, size_t size);
bool mapping_is_secret(const char *member);
/* A copy in which secrets are "<hidden>". NULL: out of memory. */
struct jv *mapping_describe(const struct jv *m);

#endif
