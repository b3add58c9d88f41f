/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process gives up for good. Called by a worker before it reads its first byte from anybody.
 */
#ifndef BOTLS_SANDBOX_H
#define BOTLS_SANDBOX_H

#include "util.h"

#include <stdbool.h>

/* Becomes `user` with its primary group and no supplementary ones, drops every capability from
 * every set (bounding set included), sets no_new_privs and makes the process not dumpable: no core,
 * no ptrace by others of that user. When not started as root there is nothing to switch and only
 * the rest is done. 0, or -errno with the step that failed in *e: the caller must exit then. */
int sandbox_drop(const char *user, struct errtext *e);

/* Memory of this process is never written to a core file. */
int sandbox_no_core(void);

#endif
