// SPDX-License-Identifier: Apache-2.0
#include "rtnl.h"
#include "util.h"
#include "botls/botls.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

struct exchange {
	rtnl_each_fn *each;
	void *arg;
	uint32_t seq;
	bool is_done;
	int error;
};

int rtnl_open(struct nl_sock **ret)
{
	_cleanup_nl_sock_ struct nl_sock *sk = nl_socket_alloc();
	int on = 1;

	if (!sk)
		return -ENOMEM;
	if (nl_connect(sk, NETLINK_ROUTE) < 0)
		return errno ? -errno : -EIO;
	/* Kernels before 4.20 do not know it; callers check what a dump returns anyway. */
	setsockopt(nl_socket_get_fd(sk), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*ret = sk;
	sk = NULL;
	return 0;
}

/* Answers to a request that was given up earlier. */
static int on_sequence(struct nl_msg *msg, void *arg)
{
	const struct exchange *x = arg;

	return nlmsg_hdr(msg)->nlmsg_seq == x->seq ? NL_OK : NL_SKIP;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;

	if (x->each && !x->error)
		x->error = x->each(x->arg, nlmsg_hdr(msg));
	return NL_OK;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;

	(void)msg;
	x->is_done = true;
	return NL_STOP;
}

static int on_interrupted(struct nl_msg *msg, void *arg)
{
	struct exchange *x = arg;

	(void)msg;
	if (!x->error)
		x->error = -EAGAIN;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct exchange *x = arg;

	(void)from;
	if (err->msg.nlmsg_seq != x->seq)
		return NL_SKIP;
	x->is_done = true;
	if (!x->error)
		x->error = err->error;
	return NL_STOP;
}

int rtnl_request(struct nl_sock *sk, struct nl_msg *msg, rtnl_each_fn *each, void *arg)
{
	struct exchange x = {.each = each, .arg = arg};
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int r;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_sequence, &x);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &x);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &x);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &x);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, &x);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &x);

	nl_complete_msg(sk, msg);
	x.seq = nlmsg_hdr(msg)->nlmsg_seq;
	r = nl_send(sk, msg);
	while (r >= 0 && !x.is_done) {
		r = nl_recvmsgs(sk, cb);
		/* The end of an interrupted dump: DUMP_INTR was called, the answer is complete. */
		if (r == -NLE_DUMP_INTR)
			r = 0;
	}
	nl_cb_put(cb);
	if (x.error)
		return x.error;
	return x.is_done ? 0 : -EIO;
}

struct answer {
	uint32_t table;
	struct rtnl_path path;
};

static int on_route(void *arg, struct nlmsghdr *h)
{
	const struct rtmsg *rtm = nlmsg_data(h);
	struct nlattr *tb[RTA_MAX + 1];
	struct answer *a = arg;
	int len;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (nlmsg_parse(h, sizeof(*rtm), tb, RTA_MAX, NULL) < 0)
		return -EBADMSG;
	len = rtm->rtm_family == AF_INET ? 4 : 16;
	a->table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : rtm->rtm_table;
	if (tb[RTA_OIF])
		a->path.ifindex = nla_get_u32(tb[RTA_OIF]);
	if (tb[RTA_PREFSRC] && nla_len(tb[RTA_PREFSRC]) == len) {
		a->path.source.family = rtm->rtm_family;
		a->path.source.prefixlen = 8 * len;
		memcpy(a->path.source.bytes, nla_data(tb[RTA_PREFSRC]), len);
	}
	return 0;
}

/* No protocol and no port in the question: our policy rules, which name both, do not match it. */
static int ask_route(struct nl_sock *sk, const struct addr *to, int ifindex, struct answer *ret)
{
	_cleanup_nl_msg_ struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
	struct rtmsg rtm = {.rtm_family = to->family};
	int len = to->family == AF_INET ? 4 : 16;

	rtm.rtm_dst_len = 8 * len;
	/* IPv6 tells the table unasked, and refuses the flag. */
	if (to->family == AF_INET)
		rtm.rtm_flags = RTM_F_LOOKUP_TABLE;
	if (!msg || nlmsg_append(msg, &rtm, sizeof(rtm), NLMSG_ALIGNTO) < 0 ||
	    nla_put(msg, RTA_DST, len, to->bytes) < 0 ||
	    (ifindex && nla_put_u32(msg, RTA_OIF, ifindex) < 0))
		return -ENOMEM;
	return rtnl_request(sk, msg, on_route, ret);
}

int rtnl_path(struct nl_sock *sk, const struct addr *to, struct rtnl_path *ret)
{
	struct answer a = {};
	int ifindex = 0, r;

	if (to->family != AF_INET && to->family != AF_INET6)
		return -EAFNOSUPPORT;
	if (to->ifname[0]) {
		ifindex = if_nametoindex(to->ifname);
		if (!ifindex)
			return -ENODEV;
	}
	r = ask_route(sk, to, ifindex, &a);
	switch (r) {
	case 0: break;
	case -EHOSTUNREACH: /* a route of type unreachable */
	case -EACCES:	    /* prohibit */
	case -EINVAL:	    /* blackhole */
	case -EAGAIN: /* throw, and nothing after it */ return -ENETUNREACH;
	default: return r;
	}
	if (a.table == BOTLS_ROUTE_TABLE || a.table == BOTLS_ROUTE_TABLE_PREFIXES)
		return -ENETUNREACH;
	if (addr_is_linklocal(&a.path.source))
		if_indextoname(a.path.ifindex, a.path.source.ifname);
	*ret = a.path;
	return 0;
}
