/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where our BPF objects stay when no process of ours runs: <bpffs>/botls/<network namespace
 * cookie>/, and the lock that says whose they are.
 */
#ifndef BOTLS_PINS_H
#define BOTLS_PINS_H

#include "util.h"

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>

struct pins;

/* Mounts bpffs at `path` when nothing is mounted there. Needs CAP_SYS_ADMIN then. */
int pins_mount(const char *path, struct errtext *e);

/* Does the same, makes the folder, takes the lock of this network
 * namespace. -EBUSY: another process holds it. -EOPNOTSUPP: the kernel has no namespace cookies
 * (Linux 5.14). */
int pins_open(const char *bpffs, struct pins **ret, struct errtext *e);
/* Releases the lock; the folder stays. */
void pins_free(struct pins *p);

uint64_t pins_cookie(const struct pins *p);
const char *pins_folder(const struct pins *p);
/* "<folder>/<name>". Returns buf. A name has no dots. */
const char *pins_path(const struct pins *p, const char *name, char buf[static PATH_MAX]);

bool pins_has(const struct pins *p, const char *name);
void pins_drop(const struct pins *p, const char *name);

/* 0 when the link holds this program at this cgroup; -ENOLINK: it was detached, or is elsewhere;
 * -ESTALE: another program. */
int pins_link_state(int link_fd, int prog_fd, int cgroup_fd);

/* A program at a cgroup. One that is pinned as `name` gets its program replaced in one step; else
 * it is attached and pinned. *ret_link is the caller's. */
int pins_attach_cgroup(const struct pins *p, const char *name, int prog_fd, int cgroup_fd,
		       int attach_type, int *ret_link, struct errtext *e);

/* The same for a program of this network namespace. */
int pins_attach_netns(const struct pins *p, const char *name, int prog_fd, int attach_type,
		      int *ret_link, struct errtext *e);
/* What the pin says, and not a descriptor of ours: 0; -ENOENT: there is none; -ENOLINK: detached;
 * -ESTALE: another program. */
int pins_netns_link_state(const struct pins *p, const char *name, int prog_fd);

/* Takes every pin away and the folder, if it is empty then. */
int pins_remove(struct pins *p, struct errtext *e);

/* A descriptor of the cgroup v2 root as it is mounted here; -ENOENT: not mounted. */
int pins_cgroup_root(struct errtext *e);

#endif
