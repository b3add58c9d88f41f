/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by guard.c (what is in force), guard_table.c (the trie in force) and guard_check.c (what
 * the kernel says of it), and by nobody else. */
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
	int table_fd; /* the trie that we put in force, or -1 */
	int out_link, in_link;
	struct table *table; /* as committed; NULL before the first commit */
	bool is_closed;	     /* until the first table: see guard_table_leave_other_layout() */
};

/* guard_table.c */
/* A descriptor of the trie in force, the caller's; or -errno. -ENOENT: none, or one that is not
 * ours. */
int guard_table_in_force(const struct guard *g);
int guard_table_force(struct guard *g, int trie_fd);
bool guard_table_is_pinned(const struct guard *g, int trie_fd);
/* Pins the trie in force, if its pin is gone. */
int guard_table_repin(const struct guard *g, int trie_fd, struct errtext *e);
/* What another version left pinned cannot be read, and its maps cannot be shared: our programs
 * start with maps of their own, closed for everybody until the first table. The old programs stay
 * in force until then. */
void guard_table_leave_other_layout(struct guard *g);

/* guard.c */
/* Every interface but lo; ends with the first negative result. */
int guard_each_interface(int (*each)(void *arg, const struct if_nameindex *i), void *arg);
struct guard_tc_programs guard_tc_programs(const struct guard *g);

#endif
