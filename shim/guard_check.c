/* SPDX-License-Identifier: Apache-2.0 */
/* The guard as the kernel has it now, for `botlsctl steering`. */
#include "guard_internal.h"

#include "sockdiag.h"
#include "steering_internal.h"

#include <bpf/bpf.h>

static void check_link(struct guard *g, struct steering_report *r, const char *name,
		       const char *pin, int link_fd, const struct bpf_program *program)
{
	int state = pins_link_state(link_fd, bpf_program__fd(program), g->cgroup_fd);

	if (state < 0)
		steering_report(r, "guard", name, STEERING_MISSING, "detached from the cgroup: %s",
				strerror(-state));
	else if (!pins_has(g->pins, pin))
		steering_report(r, "guard", name, STEERING_DIFFERS,
				"attached, but its pin is gone: it would end with this process");
	else
		steering_report(r, "guard", name, STEERING_OK, "at the cgroup v2 root");
}

struct check {
	struct guard *g;
	struct steering_report *report;
};

static int on_check_interface(void *arg, const struct if_nameindex *i)
{
	struct check *c = arg;
	struct guard_tc_programs programs = guard_tc_programs(c->g);
	bool ok = guard_tc_is_attached(i->if_index, &programs);

	steering_report(c->report, "guard", i->if_name, ok ? STEERING_OK : STEERING_MISSING,
			ok ? "at the interface (tc)" : "our tc filters are not at this interface");
	return 0;
}

static void describe_row(const struct table_row *row, char *text, size_t size)
{
	uint32_t flags = row->value.flags;
	char own[ADDR_STRLEN] = "unknown";

	if (flags & BOTLS_NEIGHBOR_PENDING) {
		snprintf(text, size, "closed on interfaces that are still to come");
		return;
	}
	if (flags & BOTLS_NEIGHBOR_OWN_KNOWN)
		table_row_own(row, own);
	snprintf(text, size, "own %s, %s%s", own,
		 flags & BOTLS_NEIGHBOR_PROTECTED ? "protected" : "clear text allowed",
		 flags & BOTLS_NEIGHBOR_MAY_CONNECT ? "" : ", connections to it are refused");
}

static void on_check_row(void *arg, const struct table_row *want, const struct table_row *have)
{
	const struct table_row *row = want ? want : have;
	char name[ADDR_STRLEN], text[128], other[128];
	struct steering_report *r = arg;

	if (row->value.flags & BOTLS_NEIGHBOR_INTERFACE)
		return; /* only what a neighbor meets is of interest */
	table_row_name(row, name);
	describe_row(row, text, sizeof(text));
	if (!have) {
		steering_report(r, "neighbor", name, STEERING_MISSING, "not in the kernel's table");
	} else if (!want) {
		steering_report(r, "neighbor", name, STEERING_FOREIGN,
				"only in the kernel's table: %s", text);
	} else if (memcmp(&want->value, &have->value, sizeof(want->value)) != 0) {
		describe_row(have, other, sizeof(other));
		steering_report(r, "neighbor", name, STEERING_DIFFERS, "kernel: %s; should be: %s",
				other, text);
	} else {
		steering_report(r, "neighbor", name, STEERING_OK, "%s", text);
	}
}

static void check_table(struct guard *g, struct steering_report *r)
{
	_cleanup_close_ int fd = guard_table_in_force(g);
	_cleanup_table_ struct table *have = NULL;

	if (!pins_has(g->pins, BOTLS_MAP_NEIGHBORS))
		steering_report(r, "map", BOTLS_MAP_NEIGHBORS, STEERING_MISSING,
				"its pin is gone: the next start would not find it");
	else if (fd < 0)
		steering_report(r, "map", BOTLS_MAP_NEIGHBORS, STEERING_MISSING,
				"holds no table of ours");
	else if (!guard_table_is_pinned(g, fd))
		steering_report(r, "map", BOTLS_MAP_NEIGHBORS, STEERING_DIFFERS,
				"the pin of its table is gone: the next start could not read it");
	else
		steering_report(r, "map", BOTLS_MAP_NEIGHBORS, STEERING_OK, "pinned");
	if (fd >= 0 && g->table && table_read(fd, &have, NULL) == 0)
		table_compare(g->table, have, on_check_row, r);
}

void guard_check(struct guard *g, struct steering_report *r)
{
	struct check c = {g, r};

	if (g->place == GUARD_CGROUP) {
		check_link(g, r, "out", PIN_OUT, g->out_link, g->bpf->progs.botls_guard_out);
		check_link(g, r, "in", PIN_IN, g->in_link, g->bpf->progs.botls_guard_in);
	} else {
		guard_each_interface(on_check_interface, &c);
	}
	check_table(g, r);
	steering_report(
		r, "kernel", "SOCK_DESTROY", STEERING_OK, "%s",
		sockdiag_can_end()
			? "sessions in clear can be ended"
			: "lacks CONFIG_INET_DIAG_DESTROY: sessions in clear end by timeout");
}
