/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the kernel's routing tables and its answer, with the kernel's own errno: libnl
 * folds most of them into one. With netwatch.c, routes.c and rtobject.c this is what sees libnl.
 */
#ifndef BOTLS_RTNL_H
#define BOTLS_RTNL_H

#include "addr.h"

#include <netlink/netlink.h>
#include <netlink/msg.h>
#include <netlink/attr.h>

/* Called for every message of an answer; a negative return ends the request with it (the rest is
 * read and dropped). */
typedef int rtnl_each_fn(void *arg, struct nlmsghdr *h);

/* A NETLINK_ROUTE socket with strict checking, so that the kernel filters dumps itself. */
int rtnl_open(struct nl_sock **ret);

/* Sends `msg` (stays the caller's) and reads until the kernel has acknowledged it, or the dump's
 * end. -EAGAIN: the dump was interrupted by a change; what `each` saw is not a consistent picture.
 */
int rtnl_request(struct nl_sock *sk, struct nl_msg *msg, rtnl_each_fn *each, void *arg);

/* The way that a packet takes now, by the router's own tables. */
struct rtnl_path {
	int ifindex;
	struct addr source; /* AF_UNSPEC: none */
};

/* 0, -ENETUNREACH (also by a route that says so, or one of ours), -ENODEV: a link-local address'
 * interface. */
int rtnl_path(struct nl_sock *sk, const struct addr *to, struct rtnl_path *ret);

static inline void cleanup_nl_msg(struct nl_msg **msg)
{
	nlmsg_free(*msg);
}
#define _cleanup_nl_msg_ __attribute__((cleanup(cleanup_nl_msg)))

static inline void cleanup_nl_sock(struct nl_sock **sk)
{
	nl_socket_free(*sk);
}
#define _cleanup_nl_sock_ __attribute__((cleanup(cleanup_nl_sock)))

#endif
