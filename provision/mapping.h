/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapping: all that the shim and the BGP daemon are told about one session, resolved, with no
 * question left open. What state.json keeps, what templates are filled with, what --json prints and
 * what two runs are compared by is this one JSON object.
 *
 * Members; those in brackets may be absent. They are validated when the mapping is made: names are
 * [A-Za-z0-9_.-], texts are printable ASCII without quotes and backslashes (paths: UTF-8 without
 * double quotes and backslashes), so that no template needs to escape anything.
 *
 *   neighbor      "192.0.2.2"; the key: one mapping for an address
 *   local         "192.0.2.1"
 *   family        4 or 6; ipv4, ipv6: true for the one that it is and false for the other
 *                 (templates have no comparison)
 *   name          "as64502_192_0_2_2": of the BIRD protocol, of FRR's route-maps
 *   remote_as, local_as
 *   server, session_id, [request_id], [location]      session_id is "" when the server tells none
 *   description   "AS64502 Example Net, pdb:ix:42"
 *   mode          "required", "preferred", "off"
 *   [port] [certificate] [key] [ca] [dns_names] [pins] [ttl_security]      as in botlsd.conf(5);
 *                 none of these, of md5 and of ao when mode is "off": then botlsd leaves the
 *                 connection alone. Pins are sorted
 *   [md5]         outer TCP-MD5 key; secret
 *   [ao]          outer static TCP-AO key; secret
 *   [daemon]      name of the daemon block
 *   [password]    the daemon's own; secret, and only where there is a daemon
 *   max_prefix    never 0
 *   [import] [export]
 *   role          ours: "provider", "rs-server", "rs-client", "customer", "peer"
 *   [rs_client], [monitoring]  true: the neighbor is a route server that does not insert its AS;
 *                 our side only collects: it forwards nothing of what it learns here
 *
 * max_prefix is the peer block's, else what PeeringDB says with headroom (at least 10), else the
 * last one, else the default. The last one stays while it leaves room for another tenth (or half of
 * the headroom, where that is less) and is not more than twice what is wanted, so that a number
 * that moves a little does not change the configuration at every run.
 */
#ifndef BOTLS_MAPPING_H
#define BOTLS_MAPPING_H

#include "json.h"
#include "peeringdb.h"
#include "record.h"

/* Makes a mapping of a record that policy has let pass. `network` is NULL when there is no
 * PeeringDB to ask. `last` (may be NULL) is the mapping that is owned now: what could not be looked
 * up afresh (max_prefix when PeeringDB is silent, a secret that the server does not repeat) is
 * taken from it, if it is of the same AS. `secret` (may be NULL): what we proposed. A secret that
 * the server tells goes before all others, that of `last` before the proposed one if it is of this
 * very session. -EINVAL with the reason, -ENOMEM. */
int mapping_new(const struct settings *s, const struct server_settings *server,
		const struct peer_settings *peer, const struct record *r,
		const struct peeringdb_network *network, const struct jv *last, const char *secret,
		struct jv **ret, struct errtext *e);

/* Reads one back from state.json: all members that are needed are there and are what they may be,
 * and there are no others. -EINVAL with "member: what is wrong", never a secret's value. */
int mapping_check(const struct jv *m, struct errtext *e);

bool mapping_equal(const struct jv *a, const struct jv *b);
/* "max_prefix 1000 -> 1250, pins": what differs, secrets and lists by name only; what is too long
 * ends in "...". Returns buf. */
const char *mapping_difference(const struct jv *a, const struct jv *b, char *buf, size_t size);
bool mapping_is_secret(const char *member);
/* A copy in which secrets are "<hidden>". NULL: out of memory. */
struct jv *mapping_describe(const struct jv *m);

/* Our role as the server tells it, be it by telling theirs; BGP_ROLE_UNKNOWN. */
enum bgp_role mapping_role_told(const struct record *r, enum our_side side);

#endif
