/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tcp-ao options of a neighbor mean for its sockets (RFC 5925). One key per neighbor for
 * now; a chain of keys begins at ao_key(). With tcp-ao = exporter that one is the default key, with
 * which a connection begins; those that follow are each connection's own (ao_exporter.h).
 */
#ifndef BOTLS_AO_H
#define BOTLS_AO_H

#include "config.h"
#include "tcp_ao.h"

static inline bool ao_is_wanted(const struct neighbor_config *n)
{
	return n->mode != MODE_OFF && n->ao.mode != AO_OFF;
}

/* With which a connection begins. The secret is borrowed from `n`. */
struct tcp_ao_key ao_key(const struct neighbor_config *n);
/* Both want the same key, or neither wants one. Either may be NULL. */
bool ao_is_same(const struct neighbor_config *a, const struct neighbor_config *b);

/* Why the neighbor must stay closed on a kernel that has TCP-AO, or has not, and what to do about
 * it; NULL: it need not. */
const char *ao_refusal(const struct neighbor_config *n, bool kernel_has_ao);

/* Reports every neighbor that must stay closed. Returns the number of those that were not so under
 * `in_force` (may be NULL) already: they alone stand in the way of a reload. */
int ao_report_refused(const struct config *config, const struct config *in_force,
		      bool kernel_has_ao, config_report_fn *report, void *arg);
/* Of this kernel, where there is no socket to ask. */
bool ao_probe(void);

/* An accepted connection of the neighbor: 0 when it carries its key, or needs none; else -errno
 * with *e. */
int ao_check(int fd, const struct neighbor_config *n, struct errtext *e);

#endif
