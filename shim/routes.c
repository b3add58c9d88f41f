// SPDX-License-Identifier: Apache-2.0
#include "routes.h"
#include "rtobject.h"
#include "steering_internal.h"
#include "botls/botls.h"

#include <errno.h>

#define METRIC_DEVICE	1000
#define METRIC_LOOPBACK 2000

/* Connections in clear that the worker has open to one neighbor at once are few; the oldest rule
 * makes room. */
#define CLEAR_MAX 8

/* What of an entry counts here. */
struct target {
	struct addr neighbor;
	struct addr own;
	bool is_required;
	bool allow_clear; /* also for what the neighbor opens */
};

struct targets {
	struct target *items;
	size_t n;
};

struct wanted {
	struct rtobject *items; /* sorted */
	size_t n, n_allocated;
};

struct clear {
	struct addr neighbor;
	uint16_t port;
};

struct routes {
	struct nl_sock *sk;
	uint32_t *uids; /* pairs: first and last */
	size_t n_uids;
	struct targets staged, in_force;
	struct clear *clears; /* oldest first */
	size_t n_clears;
};

static void wanted_done(struct wanted *w)
{
	free(w->items);
	memset(w, 0, sizeof(*w));
}
#define _cleanup_wanted_ __attribute__((cleanup(wanted_done)))

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Neighboring numbers share a rule. */
static int set_uids(struct routes *r, const uint32_t *uids, size_t n)
{
	_cleanup_free_ uint32_t *sorted = calloc(n ? n : 1, sizeof(*sorted));

	r->uids = calloc(n ? n : 1, 2 * sizeof(*r->uids));
	if (!sorted || !r->uids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = uids[i];
	qsort(sorted, n, sizeof(*sorted), compare_uids);
	for (size_t i = 0; i < n; i++) {
		uint32_t *last = r->uids + 2 * r->n_uids - 1;

		if (r->n_uids && sorted[i] <= *last + 1) {
			*last = sorted[i];
			continue;
		}
		r->uids[2 * r->n_uids] = r->uids[2 * r->n_uids + 1] = sorted[i];
		r->n_uids++;
	}
	return 0;
}

int routes_new(const uint32_t *uids, size_t n_uids, struct routes **ret, struct errtext *e)
{
	struct routes *r = calloc(1, sizeof(*r));
	int ret_code = r ? set_uids(r, uids, n_uids) : -ENOMEM;

	if (ret_code == 0)
		ret_code = rtnl_open(&r->sk);
	if (ret_code < 0) {
		routes_free(r);
		return errtext_set(e, ret_code, "netlink: %s", strerror(-ret_code));
	}
	*ret = r;
	return 0;
}

void routes_free(struct routes *r)
{
	if (!r)
		return;
	nl_socket_free(r->sk);
	free(r->uids);
	free(r->staged.items);
	free(r->in_force.items);
	free(r->clears);
	free(r);
}

static int want(struct wanted *w, const struct rtobject *o)
{
	if (w->n == w->n_allocated) {
		size_t n = w->n_allocated ? 2 * w->n_allocated : 64;
		struct rtobject *items = reallocarray(w->items, n, sizeof(*items));

		if (!items)
			return -ENOMEM;
		w->items = items;
		w->n_allocated = n;
	}
	w->items[w->n++] = *o;
	return 0;
}

static int want_sport(uint8_t family, uint32_t table, struct wanted *w)
{
	struct rtobject o = {
		.kind = RTOBJECT_LOOKUP,
		.family = family,
		.table = table,
		.priority = BOTLS_RULE_PRIORITY + 1,
		.sport = {BOTLS_PORT_BGP, BOTLS_PORT_BGP},
	};

	return want(w, &o);
}

/* The rules that do not depend on the neighbors, for a family that has any. */
static int want_rules(const struct routes *r, uint8_t family, struct wanted *w)
{
	struct rtobject nop = {
		.kind = RTOBJECT_NOP, .family = family, .priority = BOTLS_RULE_PRIORITY + 2};
	struct rtobject o = {
		.kind = RTOBJECT_LOOKUP,
		.family = family,
		.table = BOTLS_ROUTE_TABLE,
		.priority = BOTLS_RULE_PRIORITY + 1,
		.dport = {BOTLS_PORT_BGP, BOTLS_PORT_BGP},
		.has_uids = true,
	};
	int err = want(w, &nop);

	if (err == 0)
		err = want_sport(family, BOTLS_ROUTE_TABLE, w);
	for (size_t i = 0; i < r->n_uids && err == 0; i++) {
		o.uids[0] = r->uids[2 * i];
		o.uids[1] = r->uids[2 * i + 1];
		err = want(w, &o);
	}
	return err;
}

/* Reverse path filtering asks the rules as if we were answering, so without these a packet in clear
 * would be a martian. */
static int want_clear(const struct routes *r, const struct target *t, struct wanted *w)
{
	struct rtobject o = {
		.kind = RTOBJECT_GOTO,
		.family = t->neighbor.family,
		.dst_len = t->neighbor.prefixlen,
		.priority = BOTLS_RULE_PRIORITY,
		.target = BOTLS_RULE_PRIORITY + 2,
	};
	int err;

	memcpy(o.dst, t->neighbor.bytes, sizeof(o.dst));
	o.sport[0] = o.sport[1] = BOTLS_PORT_BGP;
	o.dport[0] = ROUTES_CLEAR_PORT_MIN;
	o.dport[1] = UINT16_MAX - 1; /* the kernel takes no range that ends with the last port */
	err = t->allow_clear ? want(w, &o) : 0;
	o.dport[0] = o.dport[1] = BOTLS_PORT_BGP;
	for (size_t i = 0; i < r->n_clears && err == 0; i++) {
		if (!addr_equal(&r->clears[i].neighbor, &t->neighbor))
			continue;
		o.sport[0] = o.sport[1] = r->clears[i].port;
		err = want(w, &o);
	}
	return err;
}

static int want_routes(const struct routes *r, const struct target *t, struct wanted *w)
{
	struct rtobject o = {
		.kind = RTOBJECT_ROUTE,
		.family = t->neighbor.family,
		.dst_len = t->neighbor.prefixlen,
		.table = addr_is_prefix(&t->neighbor) ? BOTLS_ROUTE_TABLE_PREFIXES
						      : BOTLS_ROUTE_TABLE,
	};
	bool is_linklocal = addr_is_linklocal(&t->neighbor);
	struct rtnl_path path = {};
	int err = 0;

	/* Without an address of ours nothing can be steered; the daemon's packets meet the guard.
	 */
	if (t->own.family == AF_UNSPEC && !addr_is_prefix(&t->neighbor))
		return 0;
	memcpy(o.dst, t->neighbor.bytes, sizeof(o.dst));
	memcpy(o.src, t->own.bytes, sizeof(o.src));
	if (is_linklocal)
		path.ifindex = if_nametoindex(t->neighbor.ifname);
	else
		rtnl_path(r->sk, &t->neighbor, &path);
	if (path.ifindex && path.ifindex != BOTLS_LOOPBACK_INDEX) {
		o.ifindex = path.ifindex;
		o.metric = METRIC_DEVICE;
		err = want(w, &o);
	}
	if (!is_linklocal && err == 0) {
		o.ifindex = BOTLS_LOOPBACK_INDEX;
		o.metric = METRIC_LOOPBACK;
		err = want(w, &o);
	}
	return err;
}

static int wanted_make(const struct routes *r, const struct targets *targets, struct wanted *ret)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	bool has_family[ARRAY_SIZE(families)] = {}, has_prefix[ARRAY_SIZE(families)] = {};
	_cleanup_wanted_ struct wanted w = {};
	int err = 0;

	for (size_t i = 0; i < targets->n && err == 0; i++) {
		const struct target *t = &targets->items[i];

		has_family[t->neighbor.family == AF_INET6] = true;
		if (addr_is_prefix(&t->neighbor))
			has_prefix[t->neighbor.family == AF_INET6] = true;
		err = want_routes(r, t, &w);
		if (err == 0 && !t->is_required)
			err = want_clear(r, t, &w);
	}
	for (size_t i = 0; i < ARRAY_SIZE(families) && err == 0; i++) {
		if (has_family[i])
			err = want_rules(r, families[i], &w);
		if (has_prefix[i] && err == 0)
			err = want_sport(families[i], BOTLS_ROUTE_TABLE_PREFIXES, &w);
	}
	if (err < 0)
		return err;
	if (w.n)
		qsort(w.items, w.n, sizeof(*w.items), rtobject_compare);
	*ret = w;
	memset(&w, 0, sizeof(w));
	return 0;
}

/* Walks both sorted lists: calls one of the functions for what only one of them has. */
struct difference {
	int (*missing)(void *arg, const struct rtobject *o);
	int (*extra)(void *arg, const struct rtheld *h);
	int (*same)(void *arg, const struct rtobject *o);
	void *arg;
};

static int compare_lists(const struct wanted *w, const struct rtheld_list *held,
			 const struct difference *d)
{
	size_t i = 0, j = 0;
	int err = 0;

	while ((i < w->n || j < held->n) && err == 0) {
		int c = i == w->n      ? 1
			: j == held->n ? -1
				       : rtobject_compare(&w->items[i], &held->items[j]);

		if (c < 0)
			err = d->missing ? d->missing(d->arg, &w->items[i]) : 0;
		else if (c > 0)
			err = d->extra ? d->extra(d->arg, &held->items[j]) : 0;
		else
			err = d->same ? d->same(d->arg, &w->items[i]) : 0;
		i += c <= 0;
		j += c >= 0;
	}
	return err;
}

struct change {
	struct routes *r;
	struct errtext *e;
};

static int delete_extra(void *arg, const struct rtheld *h)
{
	const struct change *c = arg;
	char buf[160];
	int err = rtheld_delete(c->r->sk, h);

	if (err < 0)
		errtext_set(c->e, err, "cannot delete the %s %s: %s",
			    rtobject_kind_name(&h->object),
			    rtobject_format(&h->object, buf, sizeof(buf)), strerror(-err));
	return err;
}

/* An interface that is down or gone, an address that is not ours (any more): netwatch brings us
 * back. */
static bool is_not_now(const struct rtobject *o, int err)
{
	return o->kind == RTOBJECT_ROUTE &&
	       (err == -ENETDOWN || err == -ENODEV || err == -EINVAL || err == -EADDRNOTAVAIL);
}

static int add_missing(void *arg, const struct rtobject *o)
{
	const struct change *c = arg;
	char buf[160];
	int err = rtobject_add(c->r->sk, o);

	if (err == 0 || is_not_now(o, err))
		return 0;
	return errtext_set(c->e, err, "cannot add the %s %s: %s", rtobject_kind_name(o),
			   rtobject_format(o, buf, sizeof(buf)), strerror(-err));
}

static int sync_targets(struct routes *r, const struct targets *targets, struct errtext *e)
{
	_cleanup_rtheld_ struct rtheld_list held = {};
	_cleanup_wanted_ struct wanted w = {};
	struct change change = {.r = r, .e = e};
	struct difference d = {.extra = delete_extra, .arg = &change};
	int err = wanted_make(r, targets, &w);

	if (err == 0)
		err = rtheld_read(r->sk, &held);
	if (err < 0)
		return errtext_set(e, err, "policy routing: %s", strerror(-err));
	err = compare_lists(&w, &held, &d);
	if (err < 0)
		return err;
	d.extra = NULL;
	d.missing = add_missing;
	return compare_lists(&w, &held, &d);
}

int routes_stage(struct routes *r, const struct steering_entry *entries, size_t n,
		 struct errtext *e)
{
	struct target *items = calloc(n ? n : 1, sizeof(*items));

	if (!items)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		items[i].neighbor = entries[i].neighbor;
		items[i].own = entries[i].own;
		/* What is carried goes the same way on the wire. */
		items[i].is_required = entries[i].is_required && !entries[i].is_carried;
		items[i].allow_clear = entries[i].allow_clear || entries[i].is_carried;
	}
	free(r->staged.items);
	r->staged = (struct targets){items, n};
	return 0;
}

static int compare_destination(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct rtobject, metric));
}

struct withdrawal {
	struct change change;
	const struct wanted *
		keep; /* one object per neighbor: kind, destination, for link-local the interface */
};

/* The interface tells link-local neighbors apart; for others it is a detail that changes. */
static void to_destination(const struct rtobject *o, struct rtobject *ret)
{
	struct addr a = {.family = o->family};

	memset(ret, 0, sizeof(*ret));
	memcpy(ret, o, offsetof(struct rtobject, ifindex));
	memcpy(a.bytes, o->dst, sizeof(a.bytes));
	if (addr_is_linklocal(&a))
		ret->ifindex = o->ifindex;
}

static int withdraw_one(void *arg, const struct rtheld *h)
{
	struct withdrawal *w = arg;
	struct rtobject key;

	if (h->object.kind != RTOBJECT_ROUTE)
		return 0;
	to_destination(&h->object, &key);
	if (w->keep->n &&
	    bsearch(&key, w->keep->items, w->keep->n, sizeof(key), compare_destination))
		return 0;
	return delete_extra(&w->change, h);
}

int routes_withdraw(struct routes *r, struct errtext *e)
{
	_cleanup_rtheld_ struct rtheld_list held = {};
	_cleanup_wanted_ struct wanted staged = {}, keep = {}, none = {};
	struct withdrawal w = {.change = {.r = r, .e = e}, .keep = &keep};
	struct difference d = {.extra = withdraw_one, .arg = &w};
	int err = wanted_make(r, &r->staged, &staged);

	for (size_t i = 0; i < staged.n && err == 0; i++) {
		struct rtobject key;

		if (staged.items[i].kind != RTOBJECT_ROUTE)
			continue;
		to_destination(&staged.items[i], &key);
		err = want(&keep, &key);
	}
	if (keep.n)
		qsort(keep.items, keep.n, sizeof(*keep.items), compare_destination);
	if (err == 0)
		err = rtheld_read(r->sk, &held);
	if (err < 0)
		return errtext_set(e, err, "policy routing: %s", strerror(-err));
	return compare_lists(&none, &held, &d);
}

/* Rules for sockets in clear end when the neighbor may not be spoken to in clear at all. */
static void forget_clears(struct routes *r, const struct targets *targets)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_clears; i++) {
		for (size_t j = 0; j < targets->n; j++) {
			if (targets->items[j].is_required ||
			    !addr_equal(&targets->items[j].neighbor, &r->clears[i].neighbor))
				continue;
			r->clears[n++] = r->clears[i];
			break;
		}
	}
	r->n_clears = n;
}

int routes_commit(struct routes *r, struct errtext *e)
{
	int err = sync_targets(r, &r->staged, e);

	if (err < 0)
		return err;
	free(r->in_force.items);
	r->in_force = r->staged;
	r->staged = (struct targets){};
	forget_clears(r, &r->in_force);
	return 0;
}

int routes_rollback(struct routes *r, struct errtext *e)
{
	free(r->staged.items);
	r->staged = (struct targets){};
	return sync_targets(r, &r->in_force, e);
}

int routes_repair(struct routes *r, struct errtext *e)
{
	return sync_targets(r, &r->in_force, e);
}

int routes_allow_clear(struct routes *r, const struct addr *neighbor, uint16_t port,
		       struct errtext *e)
{
	struct clear *clears = reallocarray(r->clears, r->n_clears + 1, sizeof(*clears));
	size_t n = 0, oldest = 0;

	if (!clears)
		return errtext_set(e, -ENOMEM, "out of memory");
	r->clears = clears;
	for (size_t i = r->n_clears; i-- > 0;) {
		if (!addr_equal(&clears[i].neighbor, neighbor))
			continue;
		if (clears[i].port == port)
			return sync_targets(r, &r->in_force, e);
		oldest = i;
		n++;
	}
	if (n >= CLEAR_MAX) {
		memmove(clears + oldest, clears + oldest + 1,
			(r->n_clears - oldest - 1) * sizeof(*clears));
		r->n_clears--;
	}
	clears[r->n_clears++] = (struct clear){.neighbor = *neighbor, .port = port};
	return sync_targets(r, &r->in_force, e);
}

static int report_missing(void *arg, const struct rtobject *o)
{
	char buf[sizeof(((struct steering_item *)NULL)->name)];

	steering_report(
		arg, rtobject_kind_name(o), rtobject_format(o, buf, sizeof(buf)), STEERING_MISSING,
		o->kind == RTOBJECT_ROUTE
			? "the interface is down, the source address is not ours, or removed"
			: "removed by somebody");
	return 0;
}

static int report_extra(void *arg, const struct rtheld *h)
{
	const struct rtobject *o = &h->object;
	char buf[sizeof(((struct steering_item *)NULL)->name)];

	steering_report(arg, rtobject_kind_name(o), rtobject_format(o, buf, sizeof(buf)),
			STEERING_FOREIGN, "has our protocol number %d but is not wanted",
			BOTLS_ROUTE_PROTOCOL);
	return 0;
}

static int report_same(void *arg, const struct rtobject *o)
{
	char buf[sizeof(((struct steering_item *)NULL)->name)];

	steering_report(arg, rtobject_kind_name(o), rtobject_format(o, buf, sizeof(buf)),
			STEERING_OK, "protocol %d", BOTLS_ROUTE_PROTOCOL);
	return 0;
}

void routes_check(struct routes *r, struct steering_report *report)
{
	_cleanup_rtheld_ struct rtheld_list held = {};
	_cleanup_wanted_ struct wanted w = {};
	struct difference d = {
		.missing = report_missing,
		.extra = report_extra,
		.same = report_same,
		.arg = report,
	};
	int err = wanted_make(r, &r->in_force, &w);

	if (err == 0)
		err = rtheld_read(r->sk, &held);
	if (err < 0)
		steering_report(report, "kernel", "netlink", STEERING_MISSING, "policy routing: %s",
				strerror(-err));
	else
		compare_lists(&w, &held, &d);
}

int routes_remove(struct routes *r, struct errtext *e)
{
	_cleanup_rtheld_ struct rtheld_list held = {};
	struct change change = {.r = r, .e = e};
	int err = rtheld_read(r->sk, &held);

	if (err < 0)
		return errtext_set(e, err, "policy routing: %s", strerror(-err));
	/* Rules first: with the routes gone they would do nothing, with them here they still catch.
	 */
	for (size_t i = held.n; i-- > 0 && err == 0;)
		err = delete_extra(&change, &held.items[i]);
	if (err == 0) {
		free(r->in_force.items);
		r->in_force = (struct targets){};
		r->n_clears = 0;
	}
	return err;
}
