// SPDX-License-Identifier: Apache-2.0
#include "rtobject.h"
#include "util.h"
#include "botls/botls.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#define DUMP_TRIES 10 /* somebody else may change rules or routes while we read them */

static const uint8_t no_addr[16];

static int addr_size(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

int rtobject_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct rtobject));
}

const char *rtobject_kind_name(const struct rtobject *o)
{
	return o->kind == RTOBJECT_ROUTE ? "route" : "rule";
}

static const char *format_dst(const struct rtobject *o, char buf[static ADDR_STRLEN])
{
	struct addr a = {.family = o->family, .prefixlen = o->dst_len};

	memcpy(a.bytes, o->dst, sizeof(a.bytes));
	return addr_format(&a, buf);
}

static const char *format_route(const struct rtobject *o, char *buf, size_t size)
{
	struct addr a = {.family = o->family, .prefixlen = 8 * addr_size(o->family)};
	char dst[ADDR_STRLEN], src[ADDR_STRLEN], ifname[IFNAMSIZ];

	memcpy(a.bytes, o->src, sizeof(a.bytes));
	if (!if_indextoname(o->ifindex, ifname))
		strcpy(ifname, "?");
	if (addr_is_any(&a))
		snprintf(buf, size, "%s dev %s", format_dst(o, dst), ifname);
	else
		snprintf(buf, size, "%s dev %s src %s", format_dst(o, dst), ifname,
			 addr_format(&a, src));
	return buf;
}

const char *rtobject_format(const struct rtobject *o, char *buf, size_t size)
{
	const char *family = o->family == AF_INET ? "IPv4" : "IPv6";
	char dst[ADDR_STRLEN];

	switch ((enum rtobject_kind)o->kind) {
	case RTOBJECT_ROUTE: return format_route(o, buf, size);
	case RTOBJECT_NOP: snprintf(buf, size, "%s %u nop", family, o->priority); break;
	case RTOBJECT_GOTO:
		snprintf(buf, size, "%s %u to %s sport %u dport %u in clear", family, o->priority,
			 format_dst(o, dst), o->sport[0], o->dport[0]);
		break;
	case RTOBJECT_LOOKUP:
		if (o->has_uids)
			snprintf(buf, size, "%s %u dport %u uid %u-%u table %u", family,
				 o->priority, o->dport[0], o->uids[0], o->uids[1], o->table);
		else
			snprintf(buf, size, "%s %u sport %u table %u", family, o->priority,
				 o->sport[0], o->table);
		break;
	}
	return buf;
}

static int build_route(struct nl_msg *msg, const struct rtobject *o)
{
	struct rtmsg rtm = {
		.rtm_family = o->family,
		.rtm_dst_len = o->dst_len,
		.rtm_protocol = BOTLS_ROUTE_PROTOCOL,
		.rtm_scope = RT_SCOPE_HOST,
		.rtm_type = RTN_LOCAL,
	};
	int r = nlmsg_append(msg, &rtm, sizeof(rtm), NLMSG_ALIGNTO);

	r |= nla_put(msg, RTA_DST, addr_size(o->family), o->dst);
	r |= nla_put_u32(msg, RTA_OIF, o->ifindex);
	r |= nla_put_u32(msg, RTA_PRIORITY, o->metric);
	r |= nla_put_u32(msg, RTA_TABLE, o->table);
	if (memcmp(o->src, no_addr, sizeof(no_addr)) != 0)
		r |= nla_put(msg, RTA_PREFSRC, addr_size(o->family), o->src);
	return r < 0 ? -ENOMEM : 0;
}

/* libnl 3.7 has no uid ranges in its rules, so they are built by hand. */
static int build_rule(struct nl_msg *msg, const struct rtobject *o)
{
	struct fib_rule_port_range sport = {o->sport[0], o->sport[1]};
	struct fib_rule_port_range dport = {o->dport[0], o->dport[1]};
	struct fib_rule_uid_range uids = {o->uids[0], o->uids[1]};
	struct fib_rule_hdr frh = {.family = o->family, .dst_len = o->dst_len};
	int r = 0;

	frh.action = o->kind == RTOBJECT_NOP	? FR_ACT_NOP
		     : o->kind == RTOBJECT_GOTO ? FR_ACT_GOTO
						: FR_ACT_TO_TBL;
	r |= nlmsg_append(msg, &frh, sizeof(frh), NLMSG_ALIGNTO);
	r |= nla_put_u32(msg, FRA_PRIORITY, o->priority);
	r |= nla_put_u8(msg, FRA_PROTOCOL, BOTLS_ROUTE_PROTOCOL);
	r |= nla_put_string(msg, FRA_IIFNAME, "lo");
	r |= nla_put_u8(msg, FRA_IP_PROTO, IPPROTO_TCP);
	if (o->kind == RTOBJECT_LOOKUP)
		r |= nla_put_u32(msg, FRA_TABLE, o->table);
	if (o->kind == RTOBJECT_GOTO)
		r |= nla_put_u32(msg, FRA_GOTO, o->target);
	if (o->dst_len)
		r |= nla_put(msg, FRA_DST, addr_size(o->family), o->dst);
	if (o->sport[0])
		r |= nla_put(msg, FRA_SPORT_RANGE, sizeof(sport), &sport);
	if (o->dport[0])
		r |= nla_put(msg, FRA_DPORT_RANGE, sizeof(dport), &dport);
	if (o->has_uids)
		r |= nla_put(msg, FRA_UID_RANGE, sizeof(uids), &uids);
	return r < 0 ? -ENOMEM : 0;
}

int rtobject_add(struct nl_sock *sk, const struct rtobject *o)
{
	_cleanup_nl_msg_ struct nl_msg *msg = NULL;
	bool is_route = o->kind == RTOBJECT_ROUTE;
	int flags = NLM_F_REQUEST | NLM_F_CREATE, r;

	/* With EXCL, IPv6 would refuse the same link-local address at a second interface. */
	if (!is_route || o->family == AF_INET)
		flags |= NLM_F_EXCL;
	msg = nlmsg_alloc_simple(is_route ? RTM_NEWROUTE : RTM_NEWRULE, flags);
	if (!msg)
		return -ENOMEM;
	r = is_route ? build_route(msg, o) : build_rule(msg, o);
	return r < 0 ? r : rtnl_request(sk, msg, NULL, NULL);
}

int rtheld_delete(struct nl_sock *sk, const struct rtheld *h)
{
	bool is_route = h->message->nlmsg_type == RTM_NEWROUTE;
	_cleanup_nl_msg_ struct nl_msg *msg =
		nlmsg_alloc_simple(is_route ? RTM_DELROUTE : RTM_DELRULE, NLM_F_REQUEST);
	int r;

	if (!msg || nlmsg_append(msg, nlmsg_data(h->message), nlmsg_datalen(h->message), 0) < 0)
		return -ENOMEM;
	r = rtnl_request(sk, msg, NULL, NULL);
	return r == -ESRCH || r == -ENOENT ? 0 : r;
}

static void get_addr(const struct nlattr *a, uint8_t family, uint8_t ret[16])
{
	if (a && nla_len(a) == addr_size(family))
		memcpy(ret, nla_data(a), addr_size(family));
}

static bool is_our_table(uint32_t table)
{
	return table == BOTLS_ROUTE_TABLE || table == BOTLS_ROUTE_TABLE_PREFIXES;
}

/* False when the message is not for us. */
static bool parse_route(struct nlmsghdr *h, struct rtobject *ret)
{
	const struct rtmsg *rtm = nlmsg_data(h);
	struct rtobject o = {.kind = RTOBJECT_ROUTE};
	struct nlattr *tb[RTA_MAX + 1];

	if (nlmsg_parse(h, sizeof(*rtm), tb, RTA_MAX, NULL) < 0 ||
	    rtm->rtm_protocol != BOTLS_ROUTE_PROTOCOL || !tb[RTA_TABLE])
		return false;
	o.table = nla_get_u32(tb[RTA_TABLE]);
	if (!is_our_table(o.table))
		return false;
	o.family = rtm->rtm_family;
	o.dst_len = rtm->rtm_dst_len;
	get_addr(tb[RTA_DST], o.family, o.dst);
	get_addr(tb[RTA_PREFSRC], o.family, o.src);
	if (tb[RTA_OIF])
		o.ifindex = nla_get_u32(tb[RTA_OIF]);
	if (tb[RTA_PRIORITY])
		o.metric = nla_get_u32(tb[RTA_PRIORITY]);
	o.is_odd = rtm->rtm_type != RTN_LOCAL || !o.ifindex || rtm->rtm_src_len || rtm->rtm_tos;
	*ret = o;
	return true;
}

static void get_ports(const struct nlattr *a, uint16_t ret[2])
{
	struct fib_rule_port_range range;

	if (!a || nla_len(a) != sizeof(range))
		return;
	memcpy(&range, nla_data(a), sizeof(range));
	ret[0] = range.start;
	ret[1] = range.end;
}

static bool rule_is_odd(const struct fib_rule_hdr *frh, struct nlattr **tb)
{
	if (frh->src_len || frh->tos || (frh->flags & FIB_RULE_INVERT))
		return true;
	if (tb[FRA_FWMARK] || tb[FRA_OIFNAME] || tb[FRA_L3MDEV] || tb[FRA_TUN_ID])
		return true;
	if (!tb[FRA_IIFNAME] || strcmp(nla_data(tb[FRA_IIFNAME]), "lo") != 0)
		return true;
	if (!tb[FRA_IP_PROTO] || nla_get_u8(tb[FRA_IP_PROTO]) != IPPROTO_TCP)
		return true;
	return frh->action == FR_ACT_TO_TBL && !tb[FRA_TABLE];
}

static bool parse_rule(struct nlmsghdr *h, struct rtobject *ret)
{
	const struct fib_rule_hdr *frh = nlmsg_data(h);
	struct fib_rule_uid_range uids;
	struct nlattr *tb[FRA_MAX + 1];
	struct rtobject o = {};

	if (nlmsg_parse(h, sizeof(*frh), tb, FRA_MAX, NULL) < 0 || !tb[FRA_PROTOCOL] ||
	    nla_get_u8(tb[FRA_PROTOCOL]) != BOTLS_ROUTE_PROTOCOL)
		return false;
	o.kind = frh->action == FR_ACT_NOP    ? RTOBJECT_NOP
		 : frh->action == FR_ACT_GOTO ? RTOBJECT_GOTO
					      : RTOBJECT_LOOKUP;
	o.family = frh->family;
	o.dst_len = frh->dst_len;
	o.is_odd =
		rule_is_odd(frh, tb) || (o.kind == RTOBJECT_LOOKUP && frh->action != FR_ACT_TO_TBL);
	get_addr(tb[FRA_DST], o.family, o.dst);
	if (tb[FRA_PRIORITY])
		o.priority = nla_get_u32(tb[FRA_PRIORITY]);
	if (o.kind == RTOBJECT_LOOKUP && tb[FRA_TABLE])
		o.table = nla_get_u32(tb[FRA_TABLE]);
	if (tb[FRA_GOTO])
		o.target = nla_get_u32(tb[FRA_GOTO]);
	get_ports(tb[FRA_SPORT_RANGE], o.sport);
	get_ports(tb[FRA_DPORT_RANGE], o.dport);
	if (tb[FRA_UID_RANGE] && nla_len(tb[FRA_UID_RANGE]) == sizeof(uids)) {
		memcpy(&uids, nla_data(tb[FRA_UID_RANGE]), sizeof(uids));
		o.has_uids = true;
		o.uids[0] = uids.start;
		o.uids[1] = uids.end;
	}
	*ret = o;
	return true;
}

static int on_held(void *arg, struct nlmsghdr *h)
{
	struct rtheld_list *l = arg;
	struct rtobject o;
	bool is_ours = h->nlmsg_type == RTM_NEWROUTE  ? parse_route(h, &o)
		       : h->nlmsg_type == RTM_NEWRULE ? parse_rule(h, &o)
						      : false;

	if (!is_ours)
		return 0;
	if (l->n == l->n_allocated) {
		size_t n = l->n_allocated ? 2 * l->n_allocated : 64;
		struct rtheld *items = reallocarray(l->items, n, sizeof(*items));

		if (!items)
			return -ENOMEM;
		l->items = items;
		l->n_allocated = n;
	}
	if (o.is_odd)
		o.serial = l->n + 1;
	l->items[l->n].object = o;
	l->items[l->n].message = malloc(h->nlmsg_len);
	if (!l->items[l->n].message)
		return -ENOMEM;
	memcpy(l->items[l->n].message, h, h->nlmsg_len);
	l->n++;
	return 0;
}

static int dump_rules(struct nl_sock *sk, uint8_t family, struct rtheld_list *l)
{
	_cleanup_nl_msg_ struct nl_msg *msg =
		nlmsg_alloc_simple(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP);
	struct fib_rule_hdr frh = {.family = family};

	if (!msg || nlmsg_append(msg, &frh, sizeof(frh), NLMSG_ALIGNTO) < 0)
		return -ENOMEM;
	return rtnl_request(sk, msg, on_held, l);
}

static int dump_routes(struct nl_sock *sk, uint8_t family, uint32_t table, struct rtheld_list *l)
{
	_cleanup_nl_msg_ struct nl_msg *msg =
		nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
	struct rtmsg rtm = {.rtm_family = family, .rtm_protocol = BOTLS_ROUTE_PROTOCOL};
	int r;

	if (!msg || nlmsg_append(msg, &rtm, sizeof(rtm), NLMSG_ALIGNTO) < 0 ||
	    nla_put_u32(msg, RTA_TABLE, table) < 0)
		return -ENOMEM;
	r = rtnl_request(sk, msg, on_held, l);
	return r == -ENOENT ? 0 : r; /* no such table: nothing in it */
}

static int read_once(struct nl_sock *sk, struct rtheld_list *l)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int r = dump_rules(sk, families[i], l);

		if (r == 0)
			r = dump_routes(sk, families[i], BOTLS_ROUTE_TABLE, l);
		if (r == 0)
			r = dump_routes(sk, families[i], BOTLS_ROUTE_TABLE_PREFIXES, l);
		/* A kernel without IPv6 has neither. */
		if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
			r = 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int rtheld_read(struct nl_sock *sk, struct rtheld_list *ret)
{
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		_cleanup_rtheld_ struct rtheld_list l = {};

		r = read_once(sk, &l);
		if (r == 0) {
			if (l.n)
				qsort(l.items, l.n, sizeof(*l.items), rtobject_compare);
			*ret = l;
			memset(&l, 0, sizeof(l));
		}
	}
	return r;
}

void rtheld_list_done(struct rtheld_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i].message);
	free(l->items);
	memset(l, 0, sizeof(*l));
}
