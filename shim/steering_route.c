// SPDX-License-Identifier: Apache-2.0
/*
 * steering = route: policy rules and local routes (routes.c) turn the daemon's packets for a
 * neighbor's port 179 round at lo, the sk_lookup program (lookup.bpf.c) hands its SYN to a
 * transparent listener (inner.c), and sockets of ours speak with the neighbor's address. Nothing is
 * rewritten, so getsockname() and getpeername() are right by nature.
 *
 * Order: a neighbor that comes is guarded first, then routed; one that goes is no longer routed
 * first, then no longer guarded. In between its packets meet the guard.
 *
 * Connections of users that are not configured are not routed to us and end at the guard, too. One
 * that may not be made is refused by silence with IPv4: the kernel sends no reset from an address
 * that is not its own.
 */
#include "inner.h"
#include "routes.h"
#include "secret.h"
#include "steering_internal.h"
#include "botls/botls.h"
#include "lookup.skel.h"

#include <bpf/bpf.h>
#include <errno.h>

#define PIN_LINK "lookup"

_Static_assert(INNER_PORT_MAX < ROUTES_CLEAR_PORT_MIN,
	       "the rules for clear text would catch our own connections");

struct route {
	struct routes *routes;
	struct inner *inner;
	struct lookup_bpf *bpf;
	int link_fd;
	struct steering_entry *entries; /* in force, with own copies of the passwords */
	size_t n_entries;
};

static struct route *route_of(const struct steering *s)
{
	return s->mechanism;
}

static void entries_free(struct steering_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		secret_free((char *)entries[i].inner_tcp_md5);
	free(entries);
}

static int entries_copy(const struct steering_entry *entries, size_t n, struct steering_entry **ret)
{
	struct steering_entry *copy = calloc(n ? n : 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = entries[i];
		if (!entries[i].inner_tcp_md5)
			continue;
		copy[i].inner_tcp_md5 = secret_strdup(entries[i].inner_tcp_md5);
		if (!copy[i].inner_tcp_md5) {
			entries_free(copy, i);
			return -ENOMEM;
		}
	}
	*ret = copy;
	return 0;
}

/* The entry that `peer` belongs to: the longest prefix wins. */
static const struct steering_entry *entry_find(const struct route *m, const struct addr *peer)
{
	const struct steering_entry *best = NULL;

	for (size_t i = 0; i < m->n_entries; i++) {
		const struct steering_entry *entry = &m->entries[i];

		if (addr_contains(&entry->neighbor, peer) &&
		    (!best || entry->neighbor.prefixlen > best->neighbor.prefixlen))
			best = entry;
	}
	return best;
}

static int program_load(struct steering *s, struct route *m, struct errtext *e)
{
	int r;

	m->bpf = lookup_bpf__open();
	if (!m->bpf)
		return errtext_set(e, -ENOMEM, "cannot open the sk_lookup program");
	r = bpf_map__reuse_fd(m->bpf->maps.neighbors, guard_table_fd(s->guard));
	if (r == 0)
		r = bpf_map__reuse_fd(m->bpf->maps.counters, guard_counters_fd(s->guard));
	if (r == 0)
		r = bpf_map__set_autocreate(m->bpf->maps.bypass, false);
	if (r == 0)
		r = bpf_map__set_autocreate(m->bpf->maps.sockets, false);
	if (r == 0)
		r = bpf_map__set_autocreate(m->bpf->maps.carriers, false);
	if (r == 0)
		r = lookup_bpf__load(m->bpf);
	if (r < 0)
		return errtext_set(e, r,
				   "the kernel refuses the sk_lookup program (Linux 5.10, CAP_BPF, "
				   "CAP_NET_ADMIN): %s",
				   strerror(-r));
	return 0;
}

/* A link that is pinned gets our program in one step. */
static int program_attach(struct steering *s, struct route *m, struct errtext *e)
{
	int link, r = pins_attach_netns(s->pins, PIN_LINK,
					bpf_program__fd(m->bpf->progs.botls_lookup), BPF_SK_LOOKUP,
					&link, e);

	if (r < 0)
		return r;
	if (m->link_fd >= 0)
		close(m->link_fd);
	m->link_fd = link;
	return 0;
}

static void mechanism_free(struct route *m)
{
	inner_free(m->inner);
	routes_free(m->routes);
	entries_free(m->entries, m->n_entries);
	if (m->link_fd >= 0)
		close(m->link_fd);
	lookup_bpf__destroy(m->bpf);
	free(m);
}

/* The listeners are there before a predecessor's program is replaced by one that knows only them.
 */
static int route_open(struct steering *s, const struct config *c, struct errtext *e)
{
	struct route *m = calloc(1, sizeof(*m));
	int r;

	(void)c;
	if (!m)
		return errtext_set(e, -ENOMEM, "out of memory");
	m->link_fd = -1;
	r = routes_new(s->uids, s->n_uids, &m->routes, e);
	if (r == 0)
		r = program_load(s, m, e);
	if (r == 0)
		r = inner_new(bpf_map__fd(m->bpf->maps.listeners), &m->inner, e);
	if (r == 0)
		r = program_attach(s, m, e);
	if (r < 0) {
		mechanism_free(m);
		return r;
	}
	s->mechanism = m;
	return 0;
}

static void route_free(struct steering *s)
{
	mechanism_free(route_of(s));
	s->mechanism = NULL;
}

static void take_entries(struct route *m, struct steering_entry *entries, size_t n)
{
	entries_free(m->entries, m->n_entries);
	m->entries = entries;
	m->n_entries = n;
}

/* Where the first error is told, a second one has no place. */
static void back_out(struct steering *s, bool is_guard_changed)
{
	_cleanup_guard_staged_ struct guard_staged *staged = NULL;
	struct route *m = route_of(s);

	if (is_guard_changed && guard_stage(s->guard, m->entries, m->n_entries, &staged, NULL) == 0)
		guard_commit(s->guard, staged, NULL);
	routes_rollback(m->routes, NULL);
	inner_unstage(m->inner);
}

static int route_apply(struct steering *s, const struct steering_entry *entries, size_t n,
		       struct errtext *e)
{
	_cleanup_guard_staged_ struct guard_staged *staged = NULL;
	struct route *m = route_of(s);
	struct steering_entry *copy;
	int r = entries_copy(entries, n, &copy);

	if (r < 0)
		return errtext_set(e, r, "out of memory");
	r = guard_stage(s->guard, entries, n, &staged, e);
	if (r == 0)
		r = inner_stage(m->inner, entries, n, e);
	if (r == 0)
		r = routes_stage(m->routes, entries, n, e);
	if (r == 0)
		r = routes_withdraw(m->routes, e);
	if (r == 0)
		r = guard_commit(s->guard, staged, e);
	if (r < 0) {
		entries_free(copy, n);
		back_out(s, false);
		return r;
	}
	r = routes_commit(m->routes, e);
	if (r < 0) {
		entries_free(copy, n);
		back_out(s, true);
		return r;
	}
	inner_commit(m->inner);
	take_entries(m, copy, n);
	return 0;
}

static const int *route_listeners(const struct steering *s, size_t *ret_n)
{
	return inner_listeners(route_of(s)->inner, ret_n);
}

/* Nothing else counts here in this counter, so there is no race with the programs. */
static void count_mapped(struct steering *s)
{
	int n = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *per_cpu = n > 0 ? calloc(n, sizeof(*per_cpu)) : NULL;
	uint32_t key = BOTLS_COUNT_MAPPED;

	if (!per_cpu || bpf_map_lookup_elem(guard_counters_fd(s->guard), &key, per_cpu) < 0)
		return;
	per_cpu[0]++;
	bpf_map_update_elem(guard_counters_fd(s->guard), &key, per_cpu, BPF_ANY);
}

static int route_connect_inner(struct steering *s, const struct addr *own, const struct addr *peer,
			       int *ret_fd, struct errtext *e)
{
	const struct steering_entry *entry = entry_find(route_of(s), peer);
	char name[ADDR_STRLEN];
	int r;

	if (!entry)
		return errtext_set(e, -ENOENT, "%s is no neighbor", addr_format(peer, name));
	r = inner_connect(own, peer, entry->inner_tcp_md5, ret_fd, e);
	if (r == 0)
		count_mapped(s);
	return r;
}

static int route_prepare_clear(struct steering *s, int fd, const struct addr *neighbor)
{
	const struct steering_entry *entry = entry_find(route_of(s), neighbor);
	struct sockaddr_storage ss = {};
	socklen_t len = sizeof(ss);
	struct addr own;
	uint16_t port;
	int r;

	if (!entry || (entry->is_required && !entry->is_carried))
		return -EPERM;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	r = addr_from_sockaddr(&ss, &own, &port);
	if (r < 0)
		return r;
	if (!port)
		return -EINVAL;
	return routes_allow_clear(route_of(s)->routes, &entry->neighbor, port, NULL);
}

/* What the pin, and not our descriptor, says: somebody may have removed or replaced it. */
static void check_link(struct steering *s, struct steering_report *report)
{
	struct bpf_prog_info prog = {};
	struct bpf_link_info info = {};
	uint32_t len = sizeof(prog);
	_cleanup_close_ int link = -1;
	char path[PATH_MAX];
	int r = bpf_obj_get_info_by_fd(bpf_program__fd(route_of(s)->bpf->progs.botls_lookup), &prog,
				       &len);

	link = bpf_obj_get(pins_path(s->pins, PIN_LINK, path));
	len = sizeof(info);
	if (r < 0 || link < 0 || bpf_obj_get_info_by_fd(link, &info, &len) < 0)
		steering_report(report, "link", PIN_LINK, STEERING_MISSING, "not pinned as %s",
				path);
	else if (info.prog_id != prog.id)
		steering_report(report, "link", PIN_LINK, STEERING_DIFFERS,
				"has program %u instead of %u", info.prog_id, prog.id);
	else if (!info.netns.netns_ino)
		steering_report(report, "link", PIN_LINK, STEERING_MISSING, "detached");
	else
		steering_report(report, "link", PIN_LINK, STEERING_OK, "sk_lookup, program %u",
				prog.id);
}

static void route_check(struct steering *s, struct steering_report *report)
{
	struct route *m = route_of(s);

	check_link(s, report);
	inner_check(m->inner, report);
	routes_check(m->routes, report);
}

static int route_repair(struct steering *s, struct errtext *e)
{
	struct steering_report report = {};
	struct route *m = route_of(s);
	int r = 0;

	check_link(s, &report);
	if (report.n_bad)
		r = program_attach(s, m, e);
	if (r == 0)
		r = inner_repair(m->inner, e);
	if (r == 0)
		r = routes_repair(m->routes, e);
	return r;
}

static int route_remove(struct steering *s, struct errtext *e)
{
	struct route *m = route_of(s);
	char path[PATH_MAX];
	int r = routes_remove(m->routes, e);

	if (r < 0)
		return r;
	take_entries(m, NULL, 0);
	/* Only then: an unhandled SYN that is still turned round would reach the daemon itself. */
	if (unlink(pins_path(s->pins, PIN_LINK, path)) < 0 && errno != ENOENT)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	if (m->link_fd >= 0 && bpf_link_detach(m->link_fd) < 0 && errno != ENOLINK)
		return errtext_set(e, -errno, "cannot detach the sk_lookup program: %s",
				   strerror(errno));
	return 0;
}

/* Best effort: what stays behind turns packets round at lo, it lets none out. */
static void route_forget(struct steering *s)
{
	_cleanup_close_ int link = -1;
	struct routes *routes = NULL;
	char path[PATH_MAX];

	if (routes_new(NULL, 0, &routes, NULL) == 0)
		routes_remove(routes, NULL);
	routes_free(routes);
	link = bpf_obj_get(pins_path(s->pins, PIN_LINK, path));
	if (link >= 0)
		bpf_link_detach(link);
	unlink(path);
}

const struct steering_ops steering_route_ops = {
	.name = "route",
	.guard_wants_cgroup = false,
	.own_ports_end = ROUTES_CLEAR_PORT_MIN,
	.open = route_open,
	.apply = route_apply,
	.listeners = route_listeners,
	.connect_inner = route_connect_inner,
	.prepare_clear = route_prepare_clear,
	.check = route_check,
	.repair = route_repair,
	.remove = route_remove,
	.free = route_free,
	.forget = route_forget,
};
