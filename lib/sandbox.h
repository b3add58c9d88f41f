/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process gives up for good, before it reads its first byte from anybody.
 *
 * A confined process has a user of its own, no capability, no new privileges, no core; Landlock
 * takes files, TCP ports and other processes from it, and a seccomp filter every system call that
 * is not on its list. What it is to have, it has: descriptors that it was given or will
 * be sent, and what was read before (time zone, OpenSSL's configuration).
 */
#ifndef BOTLS_SANDBOX_H
#define BOTLS_SANDBOX_H

#include "util.h"

#include <stdbool.h>

/* Told of the system call that ends this process, from inside a signal handler, once. */
typedef void sandbox_violation_fn(const char *call);

/* Becomes `user` with its primary group and no supplementary ones (when not started as root there
 * is nothing to switch), drops every capability from every set, bounding set included, and enters
 * Landlock and seccomp. Returns the version of Landlock's interface, 0 where the kernel has none,
 * or -errno with the step that failed in *e: the caller must exit then.
 *
 * Afterwards, a system call that is not on the list ends the process with SIGSYS. Files and new
 * sockets are the exception: libraries look for them on their own, and are told EACCES. */
int sandbox_enter(const char *user, sandbox_violation_fn *violation, struct errtext *e);

/* For the privileged process: keeps those capabilities of `keep` (a list of CAP_*) that it has, in
 * every set; no new privileges, no core, no ptrace by others, and none of the system calls that
 * administer a machine (EPERM): namespaces, mounts, modules, other processes' memory, the clock. */
int sandbox_control(const int *keep, size_t n, struct errtext *e);

/* Memory of this process is never written to a core file. */
int sandbox_no_core(void);

#endif
