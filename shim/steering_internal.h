/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between steering.c and the mechanisms. steering.c makes the struct steering: the lock, the pin
 * folder, the settings and the guard; then the mechanism's open() adds its own in `mechanism`.
 */
#ifndef BOTLS_STEERING_INTERNAL_H
#define BOTLS_STEERING_INTERNAL_H

#include "botls/bpf.h"
#include "guard.h"
#include "pins.h"
#include "steering.h"

struct steering_ops;
struct steering_common_ops;

struct steering {
	const struct steering_ops *ops;
	const struct steering_common_ops *common;
	struct pins *pins;
	struct guard *guard;
	struct carry *carry; /* of the guard's; comes and goes with it */
	uint16_t tls_port;
	uint16_t inner_port;
	uint32_t uids[BOTLS_UIDS_MAX]; /* whose connections are steered; others are refused */
	size_t n_uids;
	void *mechanism;
};

/* One call of steering_check(): where the items go, and how many are not STEERING_OK so far. */
struct steering_report {
	void (*each)(void *arg, const struct steering_item *item); /* may be NULL */
	void *arg;
	unsigned n_bad;
};
void steering_report(struct steering_report *r, const char *kind, const char *name,
		     enum steering_state state, const char *fmt, ...) PRINTF(5, 6);

/* All return 0 or -errno with *e filled, unless said otherwise. */
struct steering_ops {
	const char *name;
	/* Which guard goes with it: the cgroup's where the kernel can, or always the interfaces'
	 * (no cgroup v2 root). */
	bool guard_wants_cgroup;
	/* Its connections to the daemon come from the neighbor's address and a port below this; 0:
	 * from our own address. */
	uint16_t own_ports_end;
	/* Sets s->mechanism. Undoes what it made itself when it fails; free() is not called then.
	 */
	int (*open)(struct steering *s, const struct config *c, struct errtext *e);
	/* As steering_apply(). The mechanism calls guard_stage(), does its own part, and calls
	 * guard_commit(). */
	int (*apply)(struct steering *s, const struct steering_entry *entries, size_t n,
		     struct errtext *e);
	const int *(*listeners)(const struct steering *s, size_t *ret_n);
	int (*connect_inner)(struct steering *s, const struct addr *own, const struct addr *peer,
			     int *ret_fd, struct errtext *e);
	/* Readies our own bound socket for a connect() in clear that the mechanism must not catch
	 * (the guard's pass is given already). NULL: nothing to do. */
	int (*prepare_clear)(struct steering *s, int fd, const struct addr *neighbor);
	/* Reports the mechanism's own items; the guard's are reported by steering.c. */
	void (*check)(struct steering *s, struct steering_report *r);
	int (*repair)(struct steering *s, struct errtext *e);
	/* The guard's map is empty already and the guard still attached; the pin folder is removed
	 * afterwards. */
	int (*remove)(struct steering *s, struct errtext *e);
	void (*free)(struct steering *s);
	/* Takes away what a predecessor that used this mechanism left, when the other one was
	 * chosen now. Called with only s->pins set. May be NULL. */
	void (*forget)(struct steering *s);
};

/* The functions of steering.h that are the same with either mechanism: what steering.c does with
 * mechanism, guard and pins together. Behind pointers, so that control can be tested where nothing
 * can be programmed. */
struct steering_common_ops {
	int (*connect_clear)(struct steering *s, int fd, const struct addr *neighbor);
	unsigned (*clear_count)(struct steering *s, const struct addr *neighbor);
	int (*set_carriers)(struct steering *s, const int *fds, size_t n, struct errtext *e);
	int (*check)(struct steering *s, struct steering_report *r,
		     struct steering_counters *ret_counters);
	int (*count)(struct steering *s, struct steering_counters *ret);
	int (*repair)(struct steering *s, struct errtext *e);
	int (*remove)(struct steering *s, struct errtext *e);
	void (*free)(struct steering *s);
};

extern const struct steering_ops steering_cgroup_ops;
extern const struct steering_ops steering_route_ops;

#endif
