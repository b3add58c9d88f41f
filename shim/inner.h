/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steering = route: the shim's sockets on the daemon's side. They have a neighbor's address for
 * their own (IP_TRANSPARENT), send with TTL 255, and carry the daemon's TCP-MD5 password where one
 * is configured.
 *
 * One listener per family, and one of its own for each neighbor with a password. All are in the
 * sockhash of the sk_lookup program, which alone hands connections to them: they are bound to the
 * loopback address.
 */
#ifndef BOTLS_INNER_H
#define BOTLS_INNER_H

#include "addr.h"
#include "steering.h"

struct inner;
struct steering_report;

/* Connections to the daemon come from this range of ports; the routes for clear text leave it
 * alone. */
#define INNER_PORT_MIN 512
#define INNER_PORT_MAX 1023

/* The sockhash stays the caller's. */
int inner_new(int sockhash_fd, struct inner **ret, struct errtext *e);
void inner_free(struct inner *in);

/* Makes ready what these entries need beside what is there; listeners that do not change stay the
 * same descriptors. */
int inner_stage(struct inner *in, const struct steering_entry *entries, size_t n,
		struct errtext *e);
/* Closes what the staged entries do not need any more. Cannot fail. */
void inner_commit(struct inner *in);
/* Back to what was before inner_stage(). */
void inner_unstage(struct inner *in);

const int *inner_listeners(const struct inner *in, size_t *ret_n);

/* From (peer, a port of ours) to (own, 179). The password may be NULL. */
int inner_connect(const struct addr *own, const struct addr *peer, const char *password,
		  int *ret_fd, struct errtext *e);

void inner_check(struct inner *in, struct steering_report *report);
int inner_repair(struct inner *in, struct errtext *e);

#endif
