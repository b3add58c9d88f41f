/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steering: how the daemon's own connections reach the shim, how the daemon comes to see the
 * neighbor's address, and the guard that keeps a required neighbor's port 179 off every interface
 * but lo.
 *
 * Two mechanisms (cgroup, route) behind one interface; the guard is always there. Used by control
 * only (privileged). Everything programmed is pinned or tagged as ours, survives our death (fail
 * closed), is reconciled by the next start and removed by steering_remove().
 *
 * What a worker sees is the same with both: on a connection that it accepts from an inner listener
 *   getsockname() is the address and port (179) that the daemon wanted: the neighbor;
 *   getpeername() is the daemon's own address: our source address towards the neighbor.
 * A connection whose getsockname() is not a configured neighbor did not come through steering: RST.
 */
#ifndef BOTLS_STEERING_H
#define BOTLS_STEERING_H

#include "addr.h"
#include "config.h"
#include "util.h"

#include <stdbool.h>
#include <stdint.h>

struct steering;

/* One configured neighbor that is not `off`, with its own address as known now. */
struct steering_entry {
	struct addr neighbor; /* host or prefix */
	struct addr own;  /* our address towards it; AF_UNSPEC when unknown now: connects then fail,
			     closed */
	bool is_required; /* guard closed always; else (preferred) closed unless allow_clear */
	bool is_carried;  /* the shim's own sockets speak in clear with it (mode tcp-ao), and nobody
			     else's; needs is_required */
	bool allow_clear; /* preferred, and TLS could not be had: port 179 in clear may pass now */
	bool may_connect; /* role connect or both and not a prefix; else the daemon's connect() is
			     refused */
	bool may_accept;  /* is_carried: what it opens to port 179 is handed to the carriers; else
			     dropped */
	uint8_t min_ttl;  /* packets from it to our TLS port with a lower TTL are dropped; 0: no
			     check */
	const char *inner_tcp_md5; /* steering = route only */
};

/* What steering_new() needs of the machine and may not do itself once privileges are dropped: the
 * BPF file system, mounted where it is missing (CAP_SYS_ADMIN). */
int steering_prepare(const struct config *c, struct errtext *e);

/* Checks the kernel, picks the mechanism (auto: cgroup where there is a cgroup v2 root that takes
 * our programs, else route), loads or takes over what a predecessor left pinned. Changes no traffic
 * by itself, except that what is pinned stays in force. -EBUSY: another botlsd serves this network
 * namespace. What the kernel lacks is named in *e. The configuration is only read during the call.
 */
int steering_new(const struct config *c, struct steering **ret, struct errtext *e);

/* Makes exactly these entries the programmed state, in one step as far as the daemon's connections
 * and the guard are concerned. Neighbors that are newly protected (not so before in the kernel)
 * have their established clear-text TCP connections on port 179 ended (RST), so that none lives on
 * in clear. On error nothing is changed. */
int steering_apply(struct steering *s, const struct steering_entry *entries, size_t n,
		   struct errtext *e);

/* The listening sockets (non-blocking, close-on-exec) on which the daemon's connections arrive.
 * They stay the steering's. May change with steering_apply() (route: one per neighbor with a daemon
 * password). */
const int *steering_listeners(const struct steering *s, size_t *ret_n);

/* Starts a connection to the daemon at (own, 179) which it will see as coming from `peer`.
 * *ret_fd: non-blocking, connecting or connected, the caller's. The kernel forgets the mapping when
 * the socket closes, also when its owner is killed. */
int steering_connect_inner(struct steering *s, const struct addr *own, const struct addr *peer,
			   int *ret_fd, struct errtext *e);

/* connect() of our own socket to a neighbor's port 179 in clear (preferred, fallback), past the
 * hook and the guard. The socket is already bound. 0, -EINPROGRESS, or another -errno. */
int steering_connect_clear(struct steering *s, int fd, const struct addr *neighbor);

/* The listening sockets, at most one of each family, that a neighbor which is carried meets at our
 * port 179. They have its TCP-AO keys, stay the caller's, and must stay open until others are set.
 * n = 0: none; such a neighbor's SYN is dropped, as it is when all who hold them have died. */
int steering_set_carriers(struct steering *s, const int *fds, size_t n, struct errtext *e);

/* Established port-179 connections with a preferred neighbor in clear text: those that the daemon
 * accepted itself and those of the shim. */
unsigned steering_clear_count(struct steering *s, const struct addr *neighbor);

enum steering_state { STEERING_OK, STEERING_MISSING, STEERING_DIFFERS, STEERING_FOREIGN };
struct steering_item {
	const char *kind; /* "program", "map", "link", "rule", "route", "listener", "neighbor",
			     "guard", "kernel" */
	char name[96];	  /* "connect4", "192.0.2.2" ... */
	enum steering_state state; /* what the kernel says now */
	char detail[160];	   /* "own 192.0.2.1 -> port 979", what is wrong and what to do */
};
struct steering_counters { /* since the programs were loaded */
	uint64_t connects_steered, connects_refused_uid, connects_refused_closed, accepts_mapped,
		accepts_hidden;
	uint64_t guard_out, guard_in, guard_ttl, guard_inner;
};
const char *steering_state_name(enum steering_state s);
const char *steering_name(const struct steering *s); /* "cgroup" or "route" */

/* Asks the kernel about everything that should be there. Returns the number of items that are not
 * STEERING_OK. */
int steering_check(struct steering *s, void (*each)(void *arg, const struct steering_item *item),
		   void *arg, struct steering_counters *ret_counters);
/* The counters alone. 0 or -errno. */
int steering_count(struct steering *s, struct steering_counters *ret);
/* Puts back what steering_check() finds missing or different. */
int steering_repair(struct steering *s, struct errtext *e);

/* Orderly stop: removes everything that was programmed, in the order that never lets a half state
 * through. */
int steering_remove(struct steering *s, struct errtext *e);
/* Closes our descriptors only; what is pinned stays in force (restart; fail closed). */
void steering_free(struct steering *s);

#endif
