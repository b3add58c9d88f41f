/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by guard.c (what is in force) and guard_check.c (what the kernel says of it), and by
 * nobody else. */
#ifndef BOTLS_GUARD_INTERNAL_H
#define BOTLS_GUARD_INTERNAL_H

#include "guard.h"
#include "guard_tc.h"
#include "steering_table.h"

#include "guard.skel.h"

#define PIN_OUT "link_guard_out"
#define PIN_IN	"link_guard_in"

struct guard {
	const struct pins *pins;
	enum guard_place place;
	struct guard_bpf *bpf;
	int cgroup_fd;
	int out_link, in_link;
	struct table *table; /* as committed; NULL before the first commit */
	bool is_closed;	     /* until the first table: see leave_other_layout() */
};

/* A descriptor of the trie in force, the caller's; or -errno. */
int guard_table_in_force(const struct guard *g);
/* Every interface but lo; ends with the first negative result. */
int guard_each_interface(int (*each)(void *arg, const struct if_nameindex *i), void *arg);
struct guard_tc_programs guard_tc_programs(const struct guard *g);

#endif
