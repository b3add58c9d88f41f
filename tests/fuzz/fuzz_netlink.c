// SPDX-License-Identifier: Apache-2.0
/*
 * What netlink may answer when rules, routes and the way to a neighbor are asked for. The kernel is
 * played by a second netlink socket, which has answered before it is asked: messages with the
 * sequence number that will be expected, or another one, whole or not.
 */
#include "check.h"
#include "rtnl.h"
#include "rtobject.h"
#include "script.h"
#include "util.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define ANSWERS 8 /* one request after the other */

static int kernel;
static struct nl_sock *sk;

static size_t put(uint8_t *at, uint16_t type, uint32_t seq, const void *payload, size_t len,
		  size_t claimed)
{
	struct nlmsghdr h = {.nlmsg_len = NLMSG_HDRLEN + claimed,
			     .nlmsg_type = type,
			     .nlmsg_flags = NLM_F_MULTI,
			     .nlmsg_seq = seq};

	memcpy(at, &h, sizeof(h));
	if (len)
		memcpy(at + NLMSG_HDRLEN, payload, len);
	return NLMSG_ALIGN(NLMSG_HDRLEN + len);
}

/* Some messages and mostly an end. */
static void answer(uint32_t seq)
{
	static const uint16_t types[] = {RTM_NEWROUTE, RTM_NEWRULE, NLMSG_ERROR, NLMSG_NOOP};
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = nl_socket_get_local_port(sk)};
	uint8_t buf[4096] = {};
	uint8_t how = next();
	size_t at = 0;

	for (int i = 0; i < (how & 7); i++) {
		uint8_t kind = next();
		size_t len = next();

		if (len > script_left)
			len = script_left;
		at += put(buf + at, kind & 0x80 ? kind : types[kind % ARRAY_SIZE(types)],
			  kind & 0x40 ? kind : seq, script, len, kind & 0x20 ? len + kind : len);
		script += len;
		script_left -= len;
	}
	if (!(how & 0x80))
		at += put(buf + at, NLMSG_DONE, seq, "\0\0\0", 4, 4);
	if (how & 0x40 && at > 4)
		at -= how & 3;
	if (at)
		sendto(kernel, buf, at, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

static void drain(void)
{
	uint8_t buf[8192];

	while (recv(kernel, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	while (recv(nl_socket_get_fd(sk), buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(own);

	(void)argc;
	(void)argv;
	kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	CHECK(kernel >= 0 && bind(kernel, (struct sockaddr *)&own, sizeof(own)) == 0);
	CHECK(getsockname(kernel, (struct sockaddr *)&own, &len) == 0);
	sk = nl_socket_alloc();
	CHECK(sk && nl_connect(sk, NETLINK_USERSOCK) == 0);
	CHECK(nl_socket_set_nonblocking(sk) == 0);
	nl_socket_set_peer_port(sk, own.nl_pid);
	return 0;
}

static void check_list(const struct rtheld_list *l)
{
	char text[256];

	for (size_t i = 0; i < l->n; i++) {
		CHECK(i == 0 || rtobject_compare(&l->items[i - 1], &l->items[i]) <= 0);
		CHECK(l->items[i].message->nlmsg_len >= NLMSG_HDRLEN);
		CHECK(strlen(rtobject_format(&l->items[i].object, text, sizeof(text))) > 0);
		CHECK(*rtobject_kind_name(&l->items[i].object));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_rtheld_ struct rtheld_list l = {};
	struct addr to = {.family = AF_INET, .prefixlen = 32, .bytes = {192, 0, 2, 2}};
	struct rtnl_path path = {};
	uint32_t seq = nl_socket_use_seq(sk);
	bool is_path;

	script = data;
	script_left = size;
	is_path = next() & 1;
	for (unsigned i = 1; i <= ANSWERS; i++)
		answer(seq + i);
	if (is_path) {
		if (rtnl_path(sk, &to, &path) == 0)
			CHECK(memchr(path.source.ifname, '\0', IFNAMSIZ));
	} else if (rtheld_read(sk, &l) == 0) {
		check_list(&l);
	}
	drain();
	return 0;
}
