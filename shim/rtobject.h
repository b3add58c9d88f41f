/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One policy rule or route of ours (routes.h), as a value that can be compared and as netlink
 * message.
 */
#ifndef BOTLS_RTOBJECT_H
#define BOTLS_RTOBJECT_H

#include "rtnl.h"

#include <stdbool.h>
#include <stdint.h>

/* Objects are added in this order: a rule finds what it points to. */
enum rtobject_kind { RTOBJECT_NOP, RTOBJECT_ROUTE, RTOBJECT_LOOKUP, RTOBJECT_GOTO };

/* No padding, unused members are zero: compared and sorted with memcmp(). Everything in host order
 * but the addresses. */
struct rtobject {
	uint8_t kind;
	uint8_t family;
	uint8_t dst_len;
	uint8_t is_odd; /* carries our protocol number, but is nothing that we make */
	uint8_t dst[16];
	uint32_t table;	  /* routes and LOOKUP */
	uint32_t ifindex; /* routes, to the end of src */
	uint32_t metric;
	uint8_t src[16];
	uint32_t priority; /* rules, to the end */
	uint32_t target;   /* GOTO */
	uint16_t sport[2]; /* first and last; 0, 0: any */
	uint16_t dport[2];
	uint8_t has_uids;
	uint8_t pad[3];
	uint32_t uids[2];
	uint32_t serial; /* of an odd one: no two are equal */
};

/* One that the kernel holds, with the message that told: sent back as it came, it names what to
 * delete. */
struct rtheld {
	struct rtobject object;
	struct nlmsghdr *message;
};

struct rtheld_list {
	struct rtheld *items; /* sorted by object */
	size_t n, n_allocated;
};

int rtobject_compare(const void *a, const void *b); /* for qsort(); also of struct rtheld */
const char *rtobject_kind_name(const struct rtobject *o);
/* "192.0.2.2 dev eth0 src 192.0.2.1", "180 dport 179 uid 101-102". Returns buf. */
const char *rtobject_format(const struct rtobject *o, char *buf, size_t size);

int rtobject_add(struct nl_sock *sk, const struct rtobject *o);
int rtheld_delete(struct nl_sock *sk, const struct rtheld *h); /* 0 also when it is gone already */

/* Everything in our tables and all rules, of both families, that carries our protocol number. */
int rtheld_read(struct nl_sock *sk, struct rtheld_list *ret);
void rtheld_list_done(struct rtheld_list *l);
#define _cleanup_rtheld_ __attribute__((cleanup(rtheld_list_done)))

#endif
