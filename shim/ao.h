/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tcp-ao options of a neighbor mean for its sockets (RFC 5925). Control alone has secrets;
 * workers call only what needs none: ao_is_wanted(), ao_chain(), ao_refusal(), ao_check(). With
 * tcp-ao = exporter the key is the default one, with which a connection begins; those that follow
 * are each connection's own, and its worker's (ao_exporter.h).
 *
 * A connection goes from one key to the next without a pause: both ends get the new key, each asks
 * the other for it (RNextKeyID), and the old one goes when neither is in use. Which key we send
 * with follows what the neighbor asks for, so it is never set on a connection. A key that the
 * neighbor still asks for stays, whatever its time: a good session is not taken down. If what comes
 * with the new key has wrong MACs, the secrets differ, and we go back to the key that worked.
 */
#ifndef BOTLS_AO_H
#define BOTLS_AO_H

#include "config.h"

/* From the first SYN on. */
static inline bool ao_is_wanted(const struct neighbor_config *n)
{
	return n->mode != MODE_OFF && n->ao.mode != AO_OFF && n->ao.mode != AO_CAPABILITY;
}

/* Its connections begin without, and may get it when both OPENs have passed (capability.h). */
static inline bool ao_is_capability(const struct neighbor_config *n)
{
	return neighbor_has_tls(n) && n->ao.mode == AO_CAPABILITY;
}

/* Sooner or later, on whatever connection. */
static inline bool ao_may_be(const struct neighbor_config *n)
{
	return ao_is_wanted(n) || ao_is_capability(n);
}

/* Its connections go from key to key as ao_follow() says. */
static inline bool ao_is_static(const struct neighbor_config *n)
{
	return ao_is_wanted(n) && n->ao.mode == AO_STATIC;
}

/* Its connections carry TCP-AO when it has that, and none when it has not. */
static inline bool ao_is_opportunistic(const struct neighbor_config *n)
{
	return ao_is_wanted(n) && n->ao.mode == AO_EXPORTER && n->ao.policy == AO_PREFERRED;
}

/* Whom a listener has the neighbor's keys for: the default one is everybody's. */
struct addr ao_listener_peer(const struct neighbor_config *n);

/* The neighbor's keys; borrowed from `n`. A single one is a chain without a name; with
 * exporter it is that with which a connection begins. */
struct keychain ao_chain(const struct neighbor_config *n);

/* Why the neighbor must stay closed on a kernel that has TCP-AO, or has not, and what to do about
 * it; NULL: it need not. */
const char *ao_refusal(const struct neighbor_config *n, bool kernel_has_ao);

struct ao_report {
	config_report_fn *problem, *warning;
	void *arg;
};
/* Reports every neighbor that cannot have what it is configured for: no TCP-AO in the kernel, no
 * key at all any more (problems); no key for a time, or soon none (warnings). Returns the number of
 * problems that were not there under `in_force` (may be NULL) already: they alone stand in the way
 * of a reload. */
int ao_report(const struct config *config, const struct config *in_force, bool kernel_has_ao,
	      uint64_t now, const struct ao_report *report);
/* The warnings about chains alone. */
void ao_warn_expiry(const struct config *config, uint64_t now, config_report_fn *report, void *arg);
/* Of this kernel, where there is no socket to ask. */
bool ao_probe(void);

/* Gives a socket that is to be connected to `peer` its keys. 0, or -errno with *e; -EKEYEXPIRED: no
 * key may be sent now. */
int ao_set_keys(int fd, const struct neighbor_config *n, const struct addr *peer, uint64_t now,
		struct errtext *e);

/* An accepted connection of the neighbor: 0 when it carries a key of its, or needs none; else
 * -errno with *e. */
int ao_check(int fd, const struct neighbor_config *n, struct errtext *e);

/* What ao_follow() could not do yet. */
struct ao_rest {
	bool is_any;   /* a key is to come, to go or to be heard as soon as the neighbor lets it */
	bool is_old;   /* the neighbor asks for a key that is no longer accepted: this one */
	bool is_wrong; /* it has another secret under the ids of this one; we went back */
	uint8_t send_id, recv_id;
};
/* Brings the keys of a connection to what they are to be now; may be called again at any time, and
 * is to be called again soon where is_any. `may_ask`: the neighbor may be asked for another key.
 * *wrong begins as 0 and is kept from call to call: what had come with wrong MACs when it was
 * asked. Returns 0, or -errno with *e; -ENOENT: the connection has no TCP-AO. */
int ao_follow(int fd, const struct neighbor_config *n, uint64_t now, bool may_ask, uint64_t *wrong,
	      struct ao_rest *ret, struct errtext *e);

#endif
