/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind target.h: one set of functions for each kind of program. */
#ifndef BOTLS_TARGET_INTERNAL_H
#define BOTLS_TARGET_INTERNAL_H

#include "target.h"

/* Each is the function of that name in target.h. */
struct target_ops {
	int (*render)(const struct target *t, const struct owned *const *sessions, size_t n,
		      char **ret_text, struct errtext *e);
	int (*read)(const struct target *t, char **ret_text, struct errtext *e);
	int (*write)(struct target *t, const char *text, struct errtext *e);
	int (*check)(struct target *t, struct errtext *e);
	int (*load)(struct target *t, const char *before, const char *text, struct errtext *e);
	int (*observe)(struct target *t, struct observation *ret);
	void (*free)(struct target *t);
};

struct target {
	const struct target_ops *ops;
	const char *name;
	const char *file;
	bool is_shim;
	void *impl; /* of the kind */
};

#endif
