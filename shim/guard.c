/* SPDX-License-Identifier: Apache-2.0 */
#include "guard_internal.h"
#include "botls/botls.h"
#include "sockdiag.h"
#include "steering_internal.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

struct guard_staged {
	struct table *table;
	int settling_fd; /* -1: no neighbor is newly protected */
	int final_fd;
};

bool guard_can_cgroup(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_netns_cookie},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET_EGRESS);
	int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, NULL, "GPL", insns, ARRAY_SIZE(insns),
			       &opts);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int set_pin_paths(struct guard *g)
{
	struct bpf_map *maps[] = {g->bpf->maps.neighbors, g->bpf->maps.counters,
				  g->bpf->maps.bypass, g->bpf->maps.sockets, g->bpf->maps.carriers};

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		char path[PATH_MAX];
		int r = bpf_map__set_pin_path(maps[i],
					      pins_path(g->pins, bpf_map__name(maps[i]), path));

		if (r < 0)
			return r;
	}
	return 0;
}

static int load(struct guard *g, const struct guard_settings *settings, struct errtext *e)
{
	bool at_cgroup = settings->place == GUARD_CGROUP;
	int r;

	g->bpf = guard_bpf__open();
	if (!g->bpf)
		return errtext_set(e, -errno, "open the guard's programs: %m");
	g->bpf->rodata->netns_cookie = pins_cookie(g->pins);
	g->bpf->rodata->tls_port = settings->tls_port;
	g->bpf->rodata->inner_port = settings->inner_port;
	guard_table_leave_other_layout(g);
	g->bpf->rodata->is_closed_without_table = g->is_closed;
	bpf_program__set_autoload(g->bpf->progs.botls_guard_out, at_cgroup);
	bpf_program__set_autoload(g->bpf->progs.botls_guard_in, at_cgroup);
	bpf_program__set_autoload(g->bpf->progs.botls_tc_out, !at_cgroup);
	bpf_program__set_autoload(g->bpf->progs.botls_tc_in, !at_cgroup);
	r = set_pin_paths(g);
	if (r == 0)
		r = guard_bpf__load(g->bpf);
	if (r < 0)
		return errtext_set(e, r, "load the guard (maps of another version in %s?): %s",
				   pins_folder(g->pins), strerror(-r));
	return 0;
}

struct guard_tc_programs guard_tc_programs(const struct guard *g)
{
	return (struct guard_tc_programs){.in_fd = bpf_program__fd(g->bpf->progs.botls_tc_in),
					  .out_fd = bpf_program__fd(g->bpf->progs.botls_tc_out)};
}

static int attach_cgroup(struct guard *g, struct errtext *e)
{
	int out, in, r;

	r = pins_attach_cgroup(g->pins, PIN_OUT, bpf_program__fd(g->bpf->progs.botls_guard_out),
			       g->cgroup_fd, BPF_CGROUP_INET_EGRESS, &out, e);
	if (r < 0)
		return r;
	cleanup_close(&g->out_link);
	g->out_link = out;
	r = pins_attach_cgroup(g->pins, PIN_IN, bpf_program__fd(g->bpf->progs.botls_guard_in),
			       g->cgroup_fd, BPF_CGROUP_INET_INGRESS, &in, e);
	if (r < 0)
		return r;
	cleanup_close(&g->in_link);
	g->in_link = in;
	return 0;
}

/* Calls `each` for every interface but lo; the first error ends it. */
int guard_each_interface(int (*each)(void *arg, const struct if_nameindex *i), void *arg)
{
	struct if_nameindex *all = if_nameindex();
	int r = 0;

	if (!all)
		return -errno;
	for (struct if_nameindex *i = all; r == 0 && i->if_index; i++) {
		if (i->if_index != BOTLS_LOOPBACK_INDEX)
			r = each(arg, i);
	}
	if_freenameindex(all);
	return r;
}

struct sync {
	struct guard *g;
	struct errtext *e;
};

static int on_sync(void *arg, const struct if_nameindex *i)
{
	struct sync *s = arg;
	struct guard_tc_programs programs = guard_tc_programs(s->g);
	int r;

	if (guard_tc_is_attached(i->if_index, &programs))
		return 0;
	r = guard_tc_attach(i->if_index, &programs);
	/* It may be gone since it was listed. */
	if (r == -ENODEV || (r < 0 && !if_nametoindex(i->if_name)))
		return 0;
	return r < 0 ? errtext_set(s->e, r, "attach the guard to %s: %s", i->if_name, strerror(-r))
		     : 0;
}

int guard_sync_interfaces(struct guard *g, struct errtext *e)
{
	struct sync s = {g, e};

	return g->place == GUARD_TC ? guard_each_interface(on_sync, &s) : 0;
}

static int attach(struct guard *g, struct errtext *e)
{
	return g->place == GUARD_CGROUP ? attach_cgroup(g, e) : guard_sync_interfaces(g, e);
}

/* A first start: nobody has put a table there. */
static int table_ensure(struct guard *g, struct errtext *e)
{
	_cleanup_close_ int fd = guard_table_in_force(g);

	return fd >= 0 || g->is_closed ? 0 : guard_clear(g, e);
}

static int on_detach(void *arg, const struct if_nameindex *i)
{
	(void)arg;
	guard_tc_detach(i->if_index);
	return 0;
}

/* Another kind of guard that a predecessor left goes when ours is in force. */
static void detach_other_place(struct guard *g)
{
	if (g->place == GUARD_CGROUP) {
		guard_each_interface(on_detach, NULL);
	} else {
		pins_drop(g->pins, PIN_OUT);
		pins_drop(g->pins, PIN_IN);
	}
}

int guard_open(const struct pins *pins, const struct guard_settings *settings, struct guard **ret,
	       struct errtext *e)
{
	struct guard *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return errtext_set(e, -ENOMEM, "out of memory");
	g->pins = pins;
	g->place = settings->place;
	g->cgroup_fd = g->table_fd = g->out_link = g->in_link = -1;
	if (g->place == GUARD_CGROUP)
		g->cgroup_fd = fcntl(settings->cgroup_fd, F_DUPFD_CLOEXEC, 3);
	r = load(g, settings, e);
	if (r == 0)
		r = table_ensure(g, e);
	if (r == 0)
		r = attach(g, e);
	if (r < 0) {
		guard_free(g);
		return r;
	}
	detach_other_place(g);
	*ret = g;
	return 0;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	cleanup_close(&g->out_link);
	cleanup_close(&g->in_link);
	cleanup_close(&g->cgroup_fd);
	cleanup_close(&g->table_fd);
	guard_bpf__destroy(g->bpf);
	steering_table_free(g->table);
	free(g);
}

enum guard_place guard_get_place(const struct guard *g)
{
	return g->place;
}

int guard_table_fd(const struct guard *g)
{
	return bpf_map__fd(g->bpf->maps.neighbors);
}

int guard_counters_fd(const struct guard *g)
{
	return bpf_map__fd(g->bpf->maps.counters);
}

bool guard_is_closed(const struct guard *g)
{
	return g->is_closed;
}

int guard_sockets_fd(const struct guard *g)
{
	return bpf_map__fd(g->bpf->maps.sockets);
}

int guard_carriers_fd(const struct guard *g)
{
	return bpf_map__fd(g->bpf->maps.carriers);
}

struct settle {
	int trie_fd;
	bool any;
	bool all_closed; /* nothing in clear can be there */
};

/* Newly protected: what is in force lets a host of this row pass. */
static bool is_newly_protected(void *arg, const struct table_row *row)
{
	struct settle *s = arg;
	struct botls_neighbor now;

	if (!(row->value.flags & BOTLS_NEIGHBOR_PROTECTED) || s->all_closed)
		return false;
	if (bpf_map_lookup_elem(s->trie_fd, &row->key, &now) == 0 &&
	    (now.flags & BOTLS_NEIGHBOR_PROTECTED) && !(now.flags & BOTLS_NEIGHBOR_SETTLING))
		return false;
	s->any = true;
	return true;
}

static int stage_table(struct guard *g, struct guard_staged *staged, struct errtext *e)
{
	_cleanup_close_ int now = guard_table_in_force(g);
	_cleanup_close_ int settling = -1;
	struct settle s = {.trie_fd = now, .all_closed = now < 0 && g->is_closed};
	int r;

	r = table_write(staged->table, is_newly_protected, &s, &settling, e);
	if (r < 0)
		return r;
	if (!s.any) {
		staged->final_fd = TAKE_FD(settling);
		return 0;
	}
	r = table_write(staged->table, NULL, NULL, &staged->final_fd, e);
	if (r == 0)
		staged->settling_fd = TAKE_FD(settling);
	return r;
}

int guard_stage(struct guard *g, const struct steering_entry *entries, size_t n,
		struct guard_staged **ret, struct errtext *e)
{
	_cleanup_guard_staged_ struct guard_staged *staged = calloc(1, sizeof(*staged));
	int r;

	if (!staged)
		return errtext_set(e, -ENOMEM, "out of memory");
	staged->settling_fd = staged->final_fd = -1;
	r = steering_table_new(entries, n, &staged->table, e);
	if (r == 0)
		r = stage_table(g, staged, e);
	if (r < 0)
		return r;
	*ret = TAKE(staged);
	return 0;
}

void guard_staged_free(struct guard_staged *staged)
{
	if (!staged)
		return;
	cleanup_close(&staged->settling_fd);
	cleanup_close(&staged->final_fd);
	steering_table_free(staged->table);
	free(staged);
}

static bool is_carried(const struct table *t, const struct addr *remote)
{
	const struct table_row *row = t ? table_match(t, remote) : NULL;

	return row && (row->value.flags & BOTLS_NEIGHBOR_CARRIED);
}

/* A session in clear that begins while these are ended meets the hook or, at last, the guard. What
 * was carried `before` (may be NULL) is the shim's own. */
static int end_clear_sockets(const struct table *before, const struct table *t, struct errtext *e)
{
	_cleanup_free_ struct sockdiag_socket *sockets = NULL;
	size_t n = 0;
	int r;

	r = sockdiag_on_wire(BOTLS_PORT_BGP, &sockets, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		const struct table_row *row = table_match(t, &sockets[i].remote);

		if (is_carried(t, &sockets[i].remote) && is_carried(before, &sockets[i].remote))
			continue;
		if (row && (row->value.flags & BOTLS_NEIGHBOR_PROTECTED)) {
			r = sockdiag_end(&sockets[i]);
			if (r < 0)
				errtext_set(e, r, "end a session in clear: %s", strerror(-r));
		}
	}
	return r;
}

int guard_commit(struct guard *g, struct guard_staged *staged, struct errtext *e)
{
	_cleanup_close_ int before = guard_table_in_force(g);
	_cleanup_table_ struct table *left = NULL;
	const struct table *was = g->table;
	struct errtext ignored;
	int r;

	/* A predecessor's: its workers keep what was carried then. */
	if (!was && before >= 0 && table_read(before, &left, &ignored) == 0)
		was = left;
	r = guard_sync_interfaces(g, e);
	if (r < 0)
		return r;
	if (staged->settling_fd >= 0) {
		r = guard_table_force(g, staged->settling_fd);
		if (r < 0)
			return errtext_set(e, r, "put the neighbor table in force: %s",
					   strerror(-r));
		end_clear_sockets(was, staged->table, e);
	}
	r = guard_table_force(g, staged->final_fd);
	if (r < 0 && staged->settling_fd >= 0) {
		/* What settles must not stay open: rather the table before, or this one once more.
		 */
		if (before < 0 || guard_table_force(g, before) < 0)
			guard_table_force(g, staged->final_fd);
	}
	if (r < 0)
		return errtext_set(e, r, "put the neighbor table in force: %s", strerror(-r));
	end_clear_sockets(was, staged->table, e);
	steering_table_free(g->table);
	g->table = TAKE(staged->table);
	return 0;
}

int guard_pass_socket(struct guard *g, int fd)
{
	__u32 yes = 1;

	return bpf_map_update_elem(bpf_map__fd(g->bpf->maps.bypass), &fd, &yes, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

unsigned guard_count_clear(struct guard *g, const struct addr *neighbor)
{
	_cleanup_free_ struct sockdiag_socket *sockets = NULL;
	unsigned count = 0;
	size_t n = 0;

	(void)g;
	if (sockdiag_on_wire(BOTLS_PORT_BGP, &sockets, &n, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		count += sockets[i].state == TCP_ESTABLISHED &&
			 addr_contains(neighbor, &sockets[i].remote);
	return count;
}

int guard_counters(struct guard *g, struct steering_counters *ret)
{
	uint64_t *fields[BOTLS_COUNTERS] = {
		[BOTLS_COUNT_STEERED] = &ret->connects_steered,
		[BOTLS_COUNT_REFUSED_UID] = &ret->connects_refused_uid,
		[BOTLS_COUNT_REFUSED_CLOSED] = &ret->connects_refused_closed,
		[BOTLS_COUNT_MAPPED] = &ret->accepts_mapped,
		[BOTLS_COUNT_HIDDEN] = &ret->accepts_hidden,
		[BOTLS_COUNT_GUARD_OUT] = &ret->guard_out,
		[BOTLS_COUNT_GUARD_IN] = &ret->guard_in,
		[BOTLS_COUNT_GUARD_TTL] = &ret->guard_ttl,
		[BOTLS_COUNT_GUARD_INNER] = &ret->guard_inner,
	};
	int n_cpus = libbpf_num_possible_cpus();
	_cleanup_free_ __u64 *values = NULL;

	memset(ret, 0, sizeof(*ret));
	if (n_cpus < 0)
		return n_cpus;
	values = calloc(n_cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (__u32 i = 0; i < BOTLS_COUNTERS; i++) {
		if (bpf_map_lookup_elem(guard_counters_fd(g), &i, values) < 0)
			return -errno;
		for (int cpu = 0; cpu < n_cpus; cpu++)
			*fields[i] += values[cpu];
	}
	return 0;
}

static void on_differs(void *arg, const struct table_row *want, const struct table_row *have)
{
	bool *differs = arg;

	if (!want || !have || memcmp(&want->value, &have->value, sizeof(want->value)) != 0)
		*differs = true;
}

static int repair_table(struct guard *g, struct errtext *e)
{
	_cleanup_close_ int now = guard_table_in_force(g);
	_cleanup_close_ int fd = -1;
	_cleanup_table_ struct table *have = NULL;
	bool differs = now < 0;
	int r = 0;

	if (!g->table)
		return 0;
	if (now >= 0)
		r = table_read(now, &have, e);
	if (r < 0)
		return r;
	if (have)
		table_compare(g->table, have, on_differs, &differs);
	if (!differs)
		return guard_table_repin(g, now, e);
	r = table_write(g->table, NULL, NULL, &fd, e);
	return r < 0 ? r : guard_table_force(g, fd);
}

static int repair_pin(struct guard *g, const struct bpf_map *map, struct errtext *e)
{
	char path[PATH_MAX];

	if (pins_has(g->pins, bpf_map__name(map)))
		return 0;
	if (bpf_obj_pin(bpf_map__fd(map), pins_path(g->pins, bpf_map__name(map), path)) < 0)
		return errtext_set(e, -errno, "pin %s: %m", path);
	return 0;
}

int guard_repair(struct guard *g, struct errtext *e)
{
	const struct bpf_map *maps[] = {g->bpf->maps.neighbors, g->bpf->maps.counters,
					g->bpf->maps.bypass, g->bpf->maps.sockets,
					g->bpf->maps.carriers};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(maps); i++)
		r = repair_pin(g, maps[i], e);
	if (r == 0)
		r = repair_table(g, e);
	if (r == 0)
		r = attach(g, e);
	/* Those that came up while something was missing. */
	if (r == 0 && g->table)
		r = end_clear_sockets(g->table, g->table, e);
	return r;
}

int guard_clear(struct guard *g, struct errtext *e)
{
	static const struct table empty;
	_cleanup_close_ int fd = -1;
	int r;

	r = table_write(&empty, NULL, NULL, &fd, e);
	if (r == 0) {
		r = guard_table_force(g, fd);
		if (r < 0)
			errtext_set(e, r, "empty the neighbor table: %s", strerror(-r));
	}
	return r;
}

int guard_remove(struct guard *g, struct errtext *e)
{
	(void)e;
	if (g->place == GUARD_TC)
		return guard_each_interface(on_detach, NULL);
	/* Detached by name, too, so that a descriptor that a worker inherited does not keep it. */
	if (g->out_link >= 0)
		bpf_link_detach(g->out_link);
	if (g->in_link >= 0)
		bpf_link_detach(g->in_link);
	pins_drop(g->pins, PIN_OUT);
	pins_drop(g->pins, PIN_IN);
	return 0;
}
