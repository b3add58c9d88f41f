// SPDX-License-Identifier: Apache-2.0
/*
 * The trie in force is the single element of a map of maps. The kernel tells its id only, and would
 * turn that into a descriptor for CAP_SYS_ADMIN alone. So the one who puts a trie in force keeps it
 * open and pins it; a successor looks whether the pinned one is the one in force.
 *
 * It is pinned as "table_next" before it is in force and renamed to "table" after that: whenever we
 * are killed, one of the two is it.
 */
#include "guard_internal.h"

#include "botls/botls.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>

#define PIN_TABLE "table"
#define PIN_NEXT  "table_next"

/* 0, which is no map's, when it cannot be told. */
static __u32 id_of(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

static int open_pin(const struct guard *g, const char *name, __u32 id)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = bpf_obj_get(pins_path(g->pins, name, path));

	return fd >= 0 && id_of(fd) == id ? TAKE_FD(fd) : -ENOENT;
}

/* Found by its pin, whoever pinned it. */
static int open_pinned(const struct guard *g, __u32 id)
{
	int fd = open_pin(g, PIN_TABLE, id);

	return fd >= 0 ? fd : open_pin(g, PIN_NEXT, id);
}

int guard_table_in_force(const struct guard *g)
{
	__u32 zero = 0, id;
	int fd;

	if (bpf_map_lookup_elem(guard_table_fd(g), &zero, &id) < 0)
		return -errno;
	if (g->table_fd < 0 || id_of(g->table_fd) != id)
		return open_pinned(g, id);
	fd = fcntl(g->table_fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int pin(const struct guard *g, int trie_fd, const char *name)
{
	char path[PATH_MAX];

	pins_drop(g->pins, name);
	return bpf_obj_pin(trie_fd, pins_path(g->pins, name, path)) < 0 ? -errno : 0;
}

int guard_table_force(struct guard *g, int trie_fd)
{
	char next[PATH_MAX], path[PATH_MAX];
	__u32 zero = 0;
	int fd, r;

	fd = fcntl(trie_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	r = pin(g, fd, PIN_NEXT);
	if (r == 0 && bpf_map_update_elem(guard_table_fd(g), &zero, &fd, BPF_ANY) < 0) {
		r = -errno;
		pins_drop(g->pins, PIN_NEXT);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	cleanup_close(&g->table_fd);
	g->table_fd = fd;
	/* It is found under either name. */
	rename(pins_path(g->pins, PIN_NEXT, next), pins_path(g->pins, PIN_TABLE, path));
	return 0;
}

bool guard_table_is_pinned(const struct guard *g, int trie_fd)
{
	_cleanup_close_ int fd = open_pinned(g, id_of(trie_fd));

	return fd >= 0;
}

int guard_table_repin(const struct guard *g, int trie_fd, struct errtext *e)
{
	int r = guard_table_is_pinned(g, trie_fd) ? 0 : pin(g, trie_fd, PIN_TABLE);

	return r < 0 ? errtext_set(e, r, "pin the table of neighbors: %s", strerror(-r)) : 0;
}

/* True when the trie behind `fd` has rows like ours. */
static bool is_our_layout(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
	       info.key_size == sizeof(struct botls_neighbor_key) &&
	       info.value_size == sizeof(struct botls_neighbor);
}

void guard_table_leave_other_layout(struct guard *g)
{
	static const char *const maps[] = {BOTLS_MAP_NEIGHBORS, BOTLS_MAP_COUNTERS,
					   BOTLS_MAP_BYPASS,	BOTLS_MAP_SOCKETS,
					   BOTLS_MAP_CROSSINGS, BOTLS_MAP_CARRIERS};
	char path[PATH_MAX];
	_cleanup_close_ int outer = bpf_obj_get(pins_path(g->pins, BOTLS_MAP_NEIGHBORS, path));
	_cleanup_close_ int trie = -1;
	__u32 zero = 0, id;

	if (outer < 0 || bpf_map_lookup_elem(outer, &zero, &id) < 0)
		return;
	trie = open_pinned(g, id);
	/* One whose pin is missing is as good as one that cannot be read. */
	if (trie >= 0 && is_our_layout(trie))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		pins_drop(g->pins, maps[i]);
	g->is_closed = true;
}
