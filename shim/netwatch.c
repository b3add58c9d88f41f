// SPDX-License-Identifier: Apache-2.0
#include "netwatch.h"
#include "rtnl.h"
#include "botls/botls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>

#define READS_MAX   64	      /* datagrams per netwatch_read() */
#define RCVBUF_SIZE (1 << 20) /* a burst of some thousand interfaces */

struct netwatch {
	struct nl_sock *events;
	struct nl_sock *requests;
	bool has_changed;
};

/*
 * A router's routes change thousands of times a second, so a filter in the kernel lets only the
 * removal of our own pass: network managers like to delete what they do not know. The same for
 * policy rules, but there are few of them.
 */
static int drop_foreign_routes(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BOTLS_ROUTE_PROTOCOL, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

static int on_event(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *h = nlmsg_hdr(msg);
	const struct ifinfomsg *ifi;
	struct netwatch *w = arg;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		/* A bridge repeats its ports' state under its own family. */
		ifi = nlmsg_data(h);
		if (ifi->ifi_family == AF_UNSPEC)
			w->has_changed = true;
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_DELRULE:
	case RTM_DELROUTE: w->has_changed = true; break;
	}
	return NL_OK;
}

static int events_open(struct netwatch *w)
{
	struct nl_sock *sk = nl_socket_alloc();
	int r;

	if (!sk)
		return -ENOMEM;
	w->events = sk;
	nl_socket_disable_seq_check(sk);
	if (nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_event, w) < 0)
		return -ENOMEM;
	if (nl_connect(sk, NETLINK_ROUTE) < 0 || nl_socket_set_nonblocking(sk) < 0)
		return errno ? -errno : -EIO;
	nl_socket_set_buffer_size(sk, RCVBUF_SIZE, 0);
	r = drop_foreign_routes(nl_socket_get_fd(sk));
	if (r < 0)
		return r;
	if (nl_socket_add_memberships(sk, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_ROUTE,
				      RTNLGRP_IPV6_ROUTE, 0) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

int netwatch_new(struct netwatch **ret, struct errtext *e)
{
	struct netwatch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = events_open(w);
	if (r == 0)
		r = rtnl_open(&w->requests);
	if (r < 0) {
		netwatch_free(w);
		return errtext_set(e, r, "netlink: %s", strerror(-r));
	}
	*ret = w;
	return 0;
}

void netwatch_free(struct netwatch *w)
{
	if (!w)
		return;
	nl_socket_free(w->events);
	nl_socket_free(w->requests);
	free(w);
}

int netwatch_fd(const struct netwatch *w)
{
	return nl_socket_get_fd(w->events);
}

int netwatch_read(struct netwatch *w)
{
	w->has_changed = false;
	for (int i = 0; i < READS_MAX; i++) {
		int r = nl_recvmsgs_default(w->events);

		if (r == -NLE_AGAIN)
			break;
		if (r == -NLE_NOMEM) /* ENOBUFS: the kernel had more to say than fits */
			w->has_changed = true;
		else if (r < 0)
			return -EIO;
	}
	return w->has_changed;
}

int netwatch_source(struct netwatch *w, const struct addr *to, struct addr *ret_own)
{
	struct rtnl_path path;
	int r = rtnl_path(w->requests, to, &path);

	if (r < 0)
		return r;
	if (path.source.family != to->family)
		return -EADDRNOTAVAIL;
	/* Link-local towards a global address: nothing that a neighbor beyond the link can answer.
	 */
	if (addr_is_linklocal(to) != addr_is_linklocal(&path.source))
		return -EADDRNOTAVAIL;
	*ret_own = path.source;
	return 0;
}
