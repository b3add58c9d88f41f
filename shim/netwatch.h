/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links, addresses and routes as the kernel has them, through libnl-3. Only rtnl.c, rtobject.c,
 * routes.c and netwatch.c see libnl.
 */
#ifndef BOTLS_NETWATCH_H
#define BOTLS_NETWATCH_H

#include "addr.h"
#include "util.h"

struct netwatch;
/* Listens for link and address changes (both families) of this network namespace, and for the
 * removal of policy rules and of routes of ours. Lost messages (ENOBUFS) count as a change. A
 * change of the router's own routes is not seen (there are too many): ask for sources now and then.
 */
int netwatch_new(struct netwatch **ret, struct errtext *e);
void netwatch_free(struct netwatch *w);
int netwatch_fd(const struct netwatch *w); /* poll for reading, then call: */
/* Reads all that is there (bounded). Returns 1 when anything changed that may matter, 0 when not,
 * -errno. */
int netwatch_read(struct netwatch *w);
/* The source address that the kernel would use towards `to` now (RTM_GETROUTE, prefsrc); for a
 * link-local neighbor the link-local address of its interface. 0, -ENETUNREACH, -ENODEV,
 * -EADDRNOTAVAIL. Routes of our own table must not answer. */
int netwatch_source(struct netwatch *w, const struct addr *to, struct addr *ret_own);

#endif
