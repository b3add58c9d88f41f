/* SPDX-License-Identifier: Apache-2.0 */
#include "steering.h"
#include "botls/botls.h"
#include "steering_carry.h"
#include "steering_internal.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>

static int on_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

/* Users that do not exist have no processes. */
static int uids_find(struct steering *s, const struct config *c, struct errtext *e)
{
	for (size_t i = 0; i < c->n_daemon_users; i++) {
		const struct passwd *pw;
		bool is_known = false;

		errno = 0;
		pw = getpwnam(c->daemon_users[i]);
		if (!pw && errno && errno != ENOENT && errno != ESRCH)
			return errtext_set(e, -errno, "look up user %s: %m", c->daemon_users[i]);
		for (size_t j = 0; pw && j < s->n_uids; j++)
			is_known = is_known || s->uids[j] == pw->pw_uid;
		if (!pw || is_known)
			continue;
		if (s->n_uids == ARRAY_SIZE(s->uids))
			return errtext_set(e, -E2BIG, "more than %d daemon users", BOTLS_UIDS_MAX);
		s->uids[s->n_uids++] = pw->pw_uid;
	}
	if (!s->n_uids)
		return errtext_set(e, -EINVAL, "none of the daemon users exists");
	return 0;
}

static int guard_start(struct steering *s, const struct steering_ops *ops, struct errtext *e)
{
	_cleanup_close_ int cgroup_fd = -1;
	struct guard_settings settings = {.place = GUARD_TC, .tls_port = s->tls_port};

	if (ops->guard_wants_cgroup) {
		settings.inner_port = s->inner_port;
		cgroup_fd = pins_cgroup_root(e);
		if (cgroup_fd < 0)
			return cgroup_fd;
		if (guard_can_cgroup())
			settings.place = GUARD_CGROUP;
	}
	settings.cgroup_fd = cgroup_fd;
	return guard_open(s->pins, &settings, &s->guard, e);
}

static int mechanism_start(struct steering *s, const struct steering_ops *ops,
			   const struct config *c, struct errtext *e)
{
	const struct steering_ops *other =
		ops == &steering_cgroup_ops ? &steering_route_ops : &steering_cgroup_ops;
	int r;

	r = guard_start(s, ops, e);
	if (r < 0)
		return r;
	s->ops = ops;
	r = carry_new(s->pins, s->guard, ops->own_ports_end, &s->carry, e);
	if (r == 0)
		r = ops->open(s, c, e);
	if (r < 0) {
		carry_free(TAKE(s->carry));
		guard_free(s->guard);
		s->guard = NULL;
		s->ops = NULL;
		return r;
	}
	if (other->forget)
		other->forget(s);
	return 0;
}

/* auto falls back only when the kernel or the container has no place for the hooks; any other error
 * would be hidden by it. */
static bool is_unavailable(int r)
{
	return r == -ENOENT || r == -EOPNOTSUPP || r == -EPERM;
}

static int mechanism_choose(struct steering *s, const struct config *c, struct errtext *e)
{
	struct errtext second = {""};
	int r;

	if (c->steering == STEERING_ROUTE)
		return mechanism_start(s, &steering_route_ops, c, e);
	r = mechanism_start(s, &steering_cgroup_ops, c, e);
	if (r == 0 || c->steering == STEERING_CGROUP || !is_unavailable(r))
		return r;
	r = mechanism_start(s, &steering_route_ops, c, &second);
	if (r < 0 && e) {
		size_t len = strlen(e->text);

		snprintf(e->text + len, sizeof(e->text) - len, "; steering = route: %s",
			 second.text);
	}
	return r;
}

static int connect_clear(struct steering *s, int fd, const struct addr *neighbor)
{
	struct sockaddr_storage ss;
	int len, r;

	len = addr_to_sockaddr(neighbor, BOTLS_PORT_BGP, &ss);
	if (len < 0)
		return len;
	r = guard_pass_socket(s->guard, fd);
	if (r == 0 && s->ops->prepare_clear)
		r = s->ops->prepare_clear(s, fd, neighbor);
	if (r < 0)
		return r;
	return connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

static unsigned clear_count(struct steering *s, const struct addr *neighbor)
{
	return guard_count_clear(s->guard, neighbor);
}

static int set_carriers(struct steering *s, const int *fds, size_t n, struct errtext *e)
{
	return carry_set_listeners(s->carry, fds, n, e);
}

static int check(struct steering *s, struct steering_report *r,
		 struct steering_counters *ret_counters)
{
	s->ops->check(s, r);
	carry_check(s->carry, r);
	guard_check(s->guard, r);
	return ret_counters ? guard_counters(s->guard, ret_counters) : 0;
}

static int count(struct steering *s, struct steering_counters *ret)
{
	return guard_counters(s->guard, ret);
}

static int repair(struct steering *s, struct errtext *e)
{
	int r = guard_repair(s->guard, e);
	int r2 = s->ops->repair(s, r < 0 ? NULL : e);
	int r3 = carry_repair(s->carry, r < 0 || r2 < 0 ? NULL : e);

	return r < 0 ? r : r2 < 0 ? r2 : r3;
}

/* First the table: with none, hooks and guard let everything pass, at one moment for all. Then what
 * is idle now. */
static int remove_all(struct steering *s, struct errtext *e)
{
	int r;

	r = guard_clear(s->guard, e);
	if (r == 0)
		r = s->ops->remove(s, e);
	if (r == 0)
		carry_remove(s->carry);
	if (r == 0)
		r = guard_remove(s->guard, e);
	if (r == 0)
		r = pins_remove(s->pins, e);
	return r;
}

static void free_all(struct steering *s)
{
	if (s->ops)
		s->ops->free(s);
	carry_free(s->carry);
	guard_free(s->guard);
	pins_free(s->pins);
	free(s);
}

static const struct steering_common_ops common_ops = {
	.connect_clear = connect_clear,
	.clear_count = clear_count,
	.set_carriers = set_carriers,
	.check = check,
	.count = count,
	.repair = repair,
	.remove = remove_all,
	.free = free_all,
};

int steering_prepare(const struct config *c, struct errtext *e)
{
	return pins_mount(c->bpffs, e);
}

int steering_new(const struct config *c, struct steering **ret, struct errtext *e)
{
	struct steering *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return errtext_set(e, -ENOMEM, "out of memory");
	libbpf_set_print(on_libbpf);
	s->common = &common_ops;
	s->tls_port = c->tls_port;
	s->inner_port = c->inner_port;
	r = uids_find(s, c, e);
	if (r == 0)
		r = pins_open(c->bpffs, &s->pins, e);
	if (r == 0)
		r = mechanism_choose(s, c, e);
	if (r < 0) {
		steering_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int steering_apply(struct steering *s, const struct steering_entry *entries, size_t n,
		   struct errtext *e)
{
	int r = s->carry ? carry_begin(s->carry, entries, n, e) : 0;

	if (r == 0)
		r = s->ops->apply(s, entries, n, e);
	if (r == 0 && s->carry)
		carry_end(s->carry, entries, n);
	return r;
}

int steering_set_carriers(struct steering *s, const int *fds, size_t n, struct errtext *e)
{
	return s->common->set_carriers(s, fds, n, e);
}

const int *steering_listeners(const struct steering *s, size_t *ret_n)
{
	return s->ops->listeners(s, ret_n);
}

int steering_connect_inner(struct steering *s, const struct addr *own, const struct addr *peer,
			   int *ret_fd, struct errtext *e)
{
	return s->ops->connect_inner(s, own, peer, ret_fd, e);
}

int steering_connect_clear(struct steering *s, int fd, const struct addr *neighbor)
{
	return s->common->connect_clear(s, fd, neighbor);
}

unsigned steering_clear_count(struct steering *s, const struct addr *neighbor)
{
	return s->common->clear_count(s, neighbor);
}

const char *steering_state_name(enum steering_state s)
{
	switch (s) {
	case STEERING_OK: return "ok";
	case STEERING_MISSING: return "missing";
	case STEERING_DIFFERS: return "differs";
	case STEERING_FOREIGN: return "foreign";
	}
	return "?";
}

const char *steering_name(const struct steering *s)
{
	return s->ops->name;
}

void steering_report(struct steering_report *r, const char *kind, const char *name,
		     enum steering_state state, const char *fmt, ...)
{
	struct steering_item item = {.kind = kind, .state = state};
	va_list args;

	snprintf(item.name, sizeof(item.name), "%s", name);
	va_start(args, fmt);
	vsnprintf(item.detail, sizeof(item.detail), fmt, args);
	va_end(args);
	if (state != STEERING_OK)
		r->n_bad++;
	if (r->each)
		r->each(r->arg, &item);
}

int steering_check(struct steering *s, void (*each)(void *arg, const struct steering_item *item),
		   void *arg, struct steering_counters *ret_counters)
{
	struct steering_report report = {.each = each, .arg = arg};
	int r = s->common->check(s, &report, ret_counters);

	return r < 0 ? r : (int)report.n_bad;
}

int steering_count(struct steering *s, struct steering_counters *ret)
{
	return s->common->count(s, ret);
}

int steering_repair(struct steering *s, struct errtext *e)
{
	return s->common->repair(s, e);
}

int steering_remove(struct steering *s, struct errtext *e)
{
	return s->common->remove(s, e);
}

void steering_free(struct steering *s)
{
	if (s)
		s->common->free(s);
}
