/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard: no TCP to or from port 179 of a protected neighbor through any interface but lo, and
 * the neighbor table that it shares with the steering programs. Works alone, whatever else is
 * loaded or lost.
 *
 * It sits at the cgroup v2 root (pinned links) or, where the kernel cannot tell network namespaces
 * apart there, on every interface but lo (tc clsact filters of ours). Either way it outlives the
 * process.
 *
 * The table changes as a whole: guard_stage() builds it, guard_commit() puts it in force in one
 * step.
 */
#ifndef BOTLS_GUARD_H
#define BOTLS_GUARD_H

#include "addr.h"
#include "pins.h"
#include "steering.h"

struct guard;
struct guard_staged;
struct steering_report;

enum guard_place { GUARD_CGROUP, GUARD_TC };

struct guard_settings {
	enum guard_place place;
	int cgroup_fd;	     /* GUARD_CGROUP: the cgroup v2 root; borrowed during guard_open() */
	uint16_t tls_port;   /* where min_ttl holds */
	uint16_t inner_port; /* nothing may arrive here but through lo; 0: no such port (route) */
};

/* True when the kernel can tell the network namespace of a packet at the cgroup (Linux 6.13). */
bool guard_can_cgroup(void);

/* Loads the guard and attaches it, in place of the one that is pinned; the pinned table stays in
 * force. */
int guard_open(const struct pins *pins, const struct guard_settings *settings, struct guard **ret,
	       struct errtext *e);
void guard_free(struct guard *g);
enum guard_place guard_get_place(const struct guard *g);

/* Builds the table. Nothing is in force yet. -E2BIG, -ENOMEM, -EINVAL. */
int guard_stage(struct guard *g, const struct steering_entry *entries, size_t n,
		struct guard_staged **ret, struct errtext *e);
/* Puts it in force: steered, then the neighbors' sockets in clear are ended (their RST may leave),
 * then guarded, then ended again. Sockets in clear are those on port 179 with a protected neighbor
 * whose other end is not in this namespace. An error after the table is in force is only told
 * (return value 0, *e filled). */
int guard_commit(struct guard *g, struct guard_staged *staged, struct errtext *e);
void guard_staged_free(struct guard_staged *staged);
static inline void cleanup_guard_staged(struct guard_staged **s)
{
	guard_staged_free(*s);
}
#define _cleanup_guard_staged_ __attribute__((cleanup(cleanup_guard_staged)))

/* The table in force: a descriptor of the outer map (struct botls_neighbor_key -> struct
 * botls_neighbor inside). Borrowed. A program that shares it takes it with bpf_map__reuse_fd(), or
 * by its pin. */
int guard_table_fd(const struct guard *g);
int guard_counters_fd(const struct guard *g);
int guard_sockets_fd(const struct guard *g);
int guard_carriers_fd(const struct guard *g);
/* A predecessor of another version left a table that cannot be read: port 179 is closed for
 * everybody until the first guard_commit(). Programs that share the table must do the same. */
bool guard_is_closed(const struct guard *g);

/* GUARD_TC: attaches to the interfaces that came. Else nothing. guard_commit() does it too. */
int guard_sync_interfaces(struct guard *g, struct errtext *e);

/* Lets packets of this socket of ours pass, until it is closed. */
int guard_pass_socket(struct guard *g, int fd);

/* Established connections of `neighbor` to our port 179 whose other end is not in this namespace.
 */
unsigned guard_count_clear(struct guard *g, const struct addr *neighbor);

void guard_check(struct guard *g, struct steering_report *r);
int guard_repair(struct guard *g, struct errtext *e);
int guard_counters(struct guard *g, struct steering_counters *ret);

/* An empty table, in one step: nothing is steered, hidden or guarded any more. */
int guard_clear(struct guard *g, struct errtext *e);
/* Detaches. */
int guard_remove(struct guard *g, struct errtext *e);

#endif
