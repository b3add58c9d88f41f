/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steering = cgroup: the hooks on the cgroup v2 root (ebpf/steer.bpf.c), two wildcard listeners on
 * the inner port, and the shim's connections to the daemon, whose socket storage tells sockops for
 * whom they speak.
 */
#include "botls/botls.h"
#include "steering_internal.h"
#include "steering_table.h"

#include "steer.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/tcp.h>

#define BACKLOG	  512
#define HOP_LIMIT 255 /* the daemon's own GTSM check passes */

enum hook {
	CONNECT4,
	CONNECT6,
	SOCKOPS,
	GETPEERNAME4,
	GETPEERNAME6,
	GETSOCKNAME4,
	GETSOCKNAME6,
	HOOKS
};

static const struct {
	const char *name;
	const char *pin;
	enum bpf_attach_type type;
} hooks[HOOKS] = {
	[CONNECT4] = {"connect4", "link_connect4", BPF_CGROUP_INET4_CONNECT},
	[CONNECT6] = {"connect6", "link_connect6", BPF_CGROUP_INET6_CONNECT},
	[SOCKOPS] = {"sockops", "link_sockops", BPF_CGROUP_SOCK_OPS},
	[GETPEERNAME4] = {"getpeername4", "link_getpeername4", BPF_CGROUP_INET4_GETPEERNAME},
	[GETPEERNAME6] = {"getpeername6", "link_getpeername6", BPF_CGROUP_INET6_GETPEERNAME},
	[GETSOCKNAME4] = {"getsockname4", "link_getsockname4", BPF_CGROUP_INET4_GETSOCKNAME},
	[GETSOCKNAME6] = {"getsockname6", "link_getsockname6", BPF_CGROUP_INET6_GETSOCKNAME},
};

/* Answers are in place before anybody is steered, and stay until nobody is. */
static const enum hook attach_order[HOOKS] = {
	SOCKOPS, GETPEERNAME4, GETPEERNAME6, GETSOCKNAME4, GETSOCKNAME6, CONNECT4, CONNECT6};

struct cgroup {
	struct steer_bpf *bpf;
	int cgroup_fd;
	int links[HOOKS];
	int listeners[2]; /* IPv4, IPv6 */
};

enum feature {
	FEATURE_CONNECT,
	FEATURE_SOCKOPS,
	FEATURE_GETPEERNAME,
	FEATURE_GETSOCKNAME,
	FEATURE_SET_RETVAL,
	FEATURES
};

static const struct {
	const char *label;
	const char *name; /* for an operator who has to look for a kernel */
	enum bpf_prog_type prog_type;
	enum bpf_attach_type attach_type;
	enum bpf_func_id helper;
	const char *without; /* what we do then; NULL: the mechanism cannot work */
} features[FEATURES] = {
	[FEATURE_CONNECT] = {"connect4", "connect4 hooks, namespace cookies (Linux 5.7)",
			     BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
			     BPF_FUNC_get_netns_cookie, NULL},
	[FEATURE_SOCKOPS] = {"sockops", "sockops with namespace cookies (Linux 5.15)",
			     BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, BPF_FUNC_get_netns_cookie,
			     NULL},
	[FEATURE_GETPEERNAME] = {"getpeername4", "getpeername4 hooks (Linux 5.8)",
				 BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME,
				 BPF_FUNC_get_netns_cookie, NULL},
	[FEATURE_GETSOCKNAME] = {"getsockname4", "getsockname4 hooks (Linux 5.8)",
				 BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETSOCKNAME,
				 BPF_FUNC_get_netns_cookie, NULL},
	[FEATURE_SET_RETVAL] = {"set_retval", "bpf_set_retval (Linux 5.18)",
				BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
				BPF_FUNC_set_retval, ": every refused connect() shows as EPERM"},
};

static bool kernel_has(enum feature f)
{
	/* 0 suits every helper above: no context, no error. Linux 7.2 looks at what set_retval
	 * gets. */
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = features[f].helper},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = features[f].attach_type);
	int fd = bpf_prog_load(features[f].prog_type, NULL, "GPL", insns, ARRAY_SIZE(insns), &opts);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static struct bpf_program *program(const struct cgroup *c, enum hook h)
{
	struct bpf_program *programs[HOOKS] = {
		[CONNECT4] = c->bpf->progs.botls_connect4,
		[CONNECT6] = c->bpf->progs.botls_connect6,
		[SOCKOPS] = c->bpf->progs.botls_sockops,
		[GETPEERNAME4] = c->bpf->progs.botls_getpeername4,
		[GETPEERNAME6] = c->bpf->progs.botls_getpeername6,
		[GETSOCKNAME4] = c->bpf->progs.botls_getsockname4,
		[GETSOCKNAME6] = c->bpf->progs.botls_getsockname6,
	};

	return programs[h];
}

static int load(struct cgroup *c, const struct steering *s, struct errtext *e)
{
	struct bpf_map *map;
	int r = 0;

	for (int f = 0; f < FEATURES; f++) {
		if (!features[f].without && !kernel_has(f))
			return errtext_set(e, -EOPNOTSUPP, "the kernel lacks %s", features[f].name);
	}
	c->bpf = steer_bpf__open();
	if (!c->bpf)
		return errtext_set(e, -errno, "open the steering programs: %m");
	c->bpf->rodata->netns_cookie = pins_cookie(s->pins);
	c->bpf->rodata->inner_port = s->inner_port;
	c->bpf->rodata->is_closed_without_table = guard_is_closed(s->guard);
	c->bpf->rodata->n_uids = s->n_uids;
	memcpy((void *)c->bpf->rodata->uids, s->uids, s->n_uids * sizeof(s->uids[0]));
	c->bpf->rodata->has_set_retval = kernel_has(FEATURE_SET_RETVAL);
	bpf_object__for_each_map(map, c->bpf->obj)
	{
		char path[PATH_MAX];

		if (!bpf_map__is_internal(map) && r == 0)
			r = bpf_map__set_pin_path(map,
						  pins_path(s->pins, bpf_map__name(map), path));
	}
	if (r == 0)
		r = steer_bpf__load(c->bpf);
	if (r < 0)
		return errtext_set(
			e, r, "load the steering programs (maps of another version in %s?): %s",
			pins_folder(s->pins), strerror(-r));
	return 0;
}

static int attach(struct cgroup *c, const struct steering *s, struct errtext *e)
{
	for (int i = 0; i < HOOKS; i++) {
		enum hook h = attach_order[i];
		int fd, r;

		r = pins_attach_cgroup(s->pins, hooks[h].pin, bpf_program__fd(program(c, h)),
				       c->cgroup_fd, hooks[h].type, &fd, e);
		if (r < 0)
			return r;
		cleanup_close(&c->links[h]);
		c->links[h] = fd;
	}
	return 0;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_hop_limit(int fd, sa_family_t family)
{
	return family == AF_INET ? set_option(fd, IPPROTO_IP, IP_TTL, HOP_LIMIT)
				 : set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOP_LIMIT);
}

static int listener_open(sa_family_t family, uint16_t port, int *ret_fd)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss = {.ss_family = family};
	int r;

	if (fd < 0)
		return -errno;
	r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = set_hop_limit(fd, family);
	if (r < 0)
		return r;
	if (family == AF_INET)
		((struct sockaddr_in *)&ss)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&ss)->sin6_port = htons(port);
	if (bind(fd, (struct sockaddr *)&ss, sizeof(ss)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int listeners_open(struct cgroup *c, uint16_t port, struct errtext *e)
{
	static const sa_family_t families[2] = {AF_INET, AF_INET6};

	for (int i = 0; i < 2; i++) {
		int r = listener_open(families[i], port, &c->listeners[i]);

		if (r < 0)
			return errtext_set(e, r, "listen on the inner port %u (%s): %s", port,
					   families[i] == AF_INET ? "IPv4" : "IPv6", strerror(-r));
	}
	return 0;
}

static void cgroup_free(struct cgroup *c)
{
	if (!c)
		return;
	for (int i = 0; i < HOOKS; i++)
		cleanup_close(&c->links[i]);
	for (int i = 0; i < 2; i++)
		cleanup_close(&c->listeners[i]);
	cleanup_close(&c->cgroup_fd);
	steer_bpf__destroy(c->bpf);
	free(c);
}

static int cgroup_open(struct steering *s, const struct config *config, struct errtext *e)
{
	struct cgroup *c = calloc(1, sizeof(*c));
	int r = 0;

	(void)config;
	if (!c)
		return errtext_set(e, -ENOMEM, "out of memory");
	memset(c->links, -1, sizeof(c->links));
	memset(c->listeners, -1, sizeof(c->listeners));
	c->cgroup_fd = pins_cgroup_root(e);
	if (c->cgroup_fd < 0)
		r = c->cgroup_fd;
	if (r == 0)
		r = load(c, s, e);
	if (r == 0)
		r = listeners_open(c, s->inner_port, e);
	if (r == 0)
		r = attach(c, s, e);
	if (r < 0) {
		cgroup_free(c);
		return r;
	}
	s->mechanism = c;
	return 0;
}

static int op_apply(struct steering *s, const struct steering_entry *entries, size_t n,
		    struct errtext *e)
{
	_cleanup_guard_staged_ struct guard_staged *staged = NULL;
	int r = guard_stage(s->guard, entries, n, &staged, e);

	/* The hooks read the guard's table: nothing else is to be done. */
	return r < 0 ? r : guard_commit(s->guard, staged, e);
}

static const int *op_listeners(const struct steering *s, size_t *ret_n)
{
	const struct cgroup *c = s->mechanism;

	*ret_n = ARRAY_SIZE(c->listeners);
	return c->listeners;
}

/* Tells sockops whose connection this will be. */
static int speak_for(struct steering *s, int fd, const struct addr *peer, const struct addr *own)
{
	struct botls_socket state = {.role = BOTLS_SOCKET_INNER, .to_port = BOTLS_PORT_BGP};

	botls_addr_from(peer, &state.addr);
	botls_addr_from(own, &state.to);
	return bpf_map_update_elem(guard_sockets_fd(s->guard), &fd, &state, BPF_ANY) < 0 ? -errno
											 : 0;
}

static int op_connect_inner(struct steering *s, const struct addr *own, const struct addr *peer,
			    int *ret_fd, struct errtext *e)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_storage from, to;
	int from_len, to_len, r;

	from_len = addr_to_sockaddr(own, 0, &from);
	to_len = addr_to_sockaddr(own, BOTLS_PORT_BGP, &to);
	if (from_len < 0 || to_len < 0)
		return errtext_set(e, -ENODEV, "the interface of our address does not exist");
	fd = socket(own->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errtext_set(e, -errno, "socket: %m");
	r = set_hop_limit(fd, own->family);
	if (r == 0)
		r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0)
		r = speak_for(s, fd, peer, own);
	if (r < 0)
		return errtext_set(e, r, "prepare the connection to the daemon: %s", strerror(-r));
	if (bind(fd, (struct sockaddr *)&from, from_len) < 0)
		return errtext_set(e, -errno, "bind to our address: %m");
	if (connect(fd, (struct sockaddr *)&to, to_len) < 0 && errno != EINPROGRESS)
		return errtext_set(e, -errno, "connect to the daemon: %m");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void check_hook(const struct steering *s, enum hook h, struct steering_report *r)
{
	const struct cgroup *c = s->mechanism;
	int state = pins_link_state(c->links[h], bpf_program__fd(program(c, h)), c->cgroup_fd);

	if (state < 0)
		steering_report(r, "link", hooks[h].name, STEERING_MISSING,
				"detached from the cgroup v2 root: %s", strerror(-state));
	else if (!pins_has(s->pins, hooks[h].pin))
		steering_report(r, "link", hooks[h].name, STEERING_DIFFERS,
				"attached, but its pin is gone: it would end with this process");
	else
		steering_report(r, "link", hooks[h].name, STEERING_OK, "at the cgroup v2 root");
}

static bool is_listening(int fd)
{
	socklen_t len = sizeof(int);
	int yes = 0;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

static void op_check(struct steering *s, struct steering_report *r)
{
	const struct cgroup *c = s->mechanism;
	struct bpf_map *map;

	for (int h = 0; h < HOOKS; h++)
		check_hook(s, h, r);
	bpf_object__for_each_map(map, c->bpf->obj)
	{
		const char *name = bpf_map__name(map);

		if (bpf_map__is_internal(map) || strcmp(name, BOTLS_MAP_NEIGHBORS) == 0)
			continue;
		steering_report(r, "map", name,
				pins_has(s->pins, name) ? STEERING_OK : STEERING_MISSING, "%s",
				pins_has(s->pins, name) ? "pinned" : "its pin is gone");
	}
	for (int i = 0; i < 2; i++) {
		bool ok = is_listening(c->listeners[i]);

		steering_report(r, "listener", i == 0 ? "IPv4" : "IPv6",
				ok ? STEERING_OK : STEERING_MISSING, "inner port %u",
				s->inner_port);
	}
	for (int f = 0; f < FEATURES; f++) {
		bool has = kernel_has(f);

		steering_report(r, "kernel", features[f].label,
				has || features[f].without ? STEERING_OK : STEERING_MISSING,
				"%s%s%s", has ? "" : "lacks ", features[f].name,
				has || !features[f].without ? "" : features[f].without);
	}
}

static int op_repair(struct steering *s, struct errtext *e)
{
	struct cgroup *c = s->mechanism;
	struct bpf_map *map;

	bpf_object__for_each_map(map, c->bpf->obj)
	{
		const char *name = bpf_map__name(map);
		char path[PATH_MAX];

		if (!bpf_map__is_internal(map) && !pins_has(s->pins, name) &&
		    bpf_obj_pin(bpf_map__fd(map), pins_path(s->pins, name, path)) < 0)
			return errtext_set(e, -errno, "pin %s: %m", path);
	}
	return attach(c, s, e);
}

/* Detached, not only closed: a worker may have inherited a descriptor. */
static int op_remove(struct steering *s, struct errtext *e)
{
	struct cgroup *c = s->mechanism;

	(void)e;
	for (int i = HOOKS - 1; i >= 0; i--) {
		enum hook h = attach_order[i];

		if (c->links[h] >= 0)
			bpf_link_detach(c->links[h]);
		cleanup_close(&c->links[h]);
		c->links[h] = -1;
		pins_drop(s->pins, hooks[h].pin);
	}
	for (int i = 0; i < 2; i++) {
		cleanup_close(&c->listeners[i]);
		c->listeners[i] = -1;
	}
	return 0;
}

static void op_free(struct steering *s)
{
	cgroup_free(s->mechanism);
	s->mechanism = NULL;
}

static void op_forget(struct steering *s)
{
	for (int i = HOOKS - 1; i >= 0; i--) {
		const char *pin = hooks[attach_order[i]].pin;
		char path[PATH_MAX];
		_cleanup_close_ int fd = bpf_obj_get(pins_path(s->pins, pin, path));

		if (fd >= 0)
			bpf_link_detach(fd);
		pins_drop(s->pins, pin);
	}
	pins_drop(s->pins, BOTLS_MAP_CROSSINGS);
}

const struct steering_ops steering_cgroup_ops = {
	.name = "cgroup",
	.guard_wants_cgroup = true,
	.open = cgroup_open,
	.apply = op_apply,
	.listeners = op_listeners,
	.connect_inner = op_connect_inner,
	.check = op_check,
	.repair = op_repair,
	.remove = op_remove,
	.free = op_free,
	.forget = op_forget,
};
