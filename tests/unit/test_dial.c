// SPDX-License-Identifier: Apache-2.0
#include "dial.h"

#include "sock.h"
#include "steering_internal.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <netinet/tcp.h>

/* dial_outer() asks steering for connections in clear only. */
static unsigned cleared;
static int connect_clear(struct steering *s, int fd, const struct addr *neighbor)
{
	(void)s;
	(void)fd;
	(void)neighbor;
	cleared++;
	return -EINPROGRESS;
}

static const struct steering_common_ops ops = {.connect_clear = connect_clear};
static struct steering steering = {.common = &ops};

static struct addr parsed(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static struct neighbor_config neighbor(const char *address, uint16_t port)
{
	struct neighbor_config n = {.address = parsed(address), .tls_port = port, .ttl = 255};

	strcpy(n.name, address);
	return n;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	uint16_t port;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &a, &port), 0);
	return port;
}

/* 1: connected within `ms`, 0: not. */
static int connects(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, ms) == 1 && sock_error(fd) == 0;
}

static void dialing(void **state)
{
	struct message_want want = {.own = parsed("127.0.0.2"), .peer = parsed("127.0.0.1")};
	struct addr lo = parsed("127.0.0.1");
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int l, fd, accepted, value;
	struct neighbor_config n;
	struct errtext e;

	(void)state;
	assert_int_equal(sock_listener(&lo, 0, 4, &l), 0);
	assert_int_equal(sock_set_ttl(l, 255), 0);
	n = neighbor("127.0.0.1", port_of(l));
	n.ttl_security = 1;
	assert_int_equal(dial_outer(&steering, &n, &want, 0, &fd, &e), 0);
	assert_true(connects(fd, 2000));
	accepted = accept(l, (struct sockaddr *)&from, &len);
	assert_true(accepted >= 0);
	assert_int_equal(ntohl(from.sin_addr.s_addr),
			 0x7f000002); /* our address, as the daemon's was */
	len = sizeof(value);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &len), 0);
	assert_int_equal(value, 255);
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MINTTL, &value, &len), 0);
	assert_int_equal(value, 255);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1);
	close(accepted);
	close(fd);
	close(l);
}

static void errors_name_their_cause(void **state)
{
	struct message_want want = {.own = parsed("192.0.2.77"), .peer = parsed("127.0.0.1")};
	struct neighbor_config n = neighbor("127.0.0.1", 1);
	struct errtext e = {};
	int fd = -7;

	(void)state;
	assert_int_equal(dial_outer(&steering, &n, &want, 0, &fd, &e), -EADDRNOTAVAIL);
	assert_non_null(strstr(e.text, "192.0.2.77"));
	assert_int_equal(fd, -7);
	want.own = parsed("::1");
	want.peer = parsed("fe80::2%nosuch0");
	assert_int_equal(dial_outer(&steering, &n, &want, 0, &fd, &e), -ENODEV);
	assert_non_null(strstr(e.text, "nosuch0"));
}

static void clear_text_goes_through_steering(void **state)
{
	struct message_want want = {
		.own = parsed("127.0.0.2"), .peer = parsed("127.0.0.1"), .clear = true};
	struct neighbor_config n = neighbor("127.0.0.1", 1);
	struct errtext e;
	int fd;

	(void)state;
	cleared = 0;
	assert_int_equal(dial_outer(&steering, &n, &want, 0, &fd, &e), 0);
	assert_int_equal(cleared, 1);
	close(fd);
}

/* Does a client with this key (NULL: none) get through to the listeners of `port`? */
static int gets_through(const char *from, uint16_t port, const char *key)
{
	struct addr own = parsed(from), peer = parsed(own.family == AF_INET ? "127.0.0.1" : "::1");
	struct sockaddr_storage ss;
	int fd, len, r;

	assert_int_equal(sock_bound(&own, 0, &fd), 0);
	if (key)
		assert_int_equal(sock_set_tcp_md5(fd, &peer, key), 0);
	len = addr_to_sockaddr(&peer, port, &ss);
	r = connect(fd, (struct sockaddr *)&ss, len);
	assert_true(r == 0 || errno == EINPROGRESS);
	r = connects(fd, 300);
	close(fd);
	return r;
}

static void keys_on_the_listeners(void **state)
{
	struct neighbor_config before[] = {neighbor("127.0.0.2", 1), neighbor("127.0.0.3", 1)};
	struct neighbor_config after[] = {neighbor("127.0.0.2", 1), neighbor("127.0.0.3", 1)};
	struct config old = {.neighbors = before, .n_neighbors = 2},
		      new = {.neighbors = after, .n_neighbors = 2};
	struct tls_listeners l;
	struct errtext e;
	uint16_t port;

	(void)state;
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	assert_int_equal(l.n, 2);
	port = port_of(l.fds[0]);
	before[0].tcp_md5 = "one";
	before[1].tcp_md5 = "two";
	assert_int_equal(tls_listeners_set_keys(&l, NULL, &old, 0, &e), 0);
	assert_true(gets_through("127.0.0.2", port, "one"));
	assert_false(gets_through("127.0.0.2", port, "two"));
	assert_false(gets_through("127.0.0.2", port, NULL));
	assert_true(gets_through("127.0.0.4", port, NULL)); /* a neighbor without a key */

	after[0].tcp_md5 = "new";
	assert_int_equal(tls_listeners_set_keys(&l, &old, &new, 0, &e), 0);
	assert_true(gets_through("127.0.0.2", port, "new"));
	assert_false(gets_through("127.0.0.2", port, "one"));
	assert_true(gets_through("127.0.0.3", port, NULL)); /* its key is gone */
	tls_listeners_close(&l);
}

static void a_key_that_cannot_be_set_changes_nothing(void **state)
{
	struct neighbor_config before = neighbor("127.0.0.2", 1);
	struct neighbor_config after[] = {neighbor("127.0.0.2", 1), neighbor("127.0.0.3", 1)};
	struct config old = {.neighbors = &before, .n_neighbors = 1},
		      new = {.neighbors = after, .n_neighbors = 2};
	static char too_long[100];
	struct tls_listeners l;
	struct errtext e;
	uint16_t port;

	(void)state;
	memset(too_long, 'x', sizeof(too_long) - 1);
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	port = port_of(l.fds[0]);
	before.tcp_md5 = "one";
	assert_int_equal(tls_listeners_set_keys(&l, NULL, &old, 0, &e), 0);
	after[0].tcp_md5 = "new";
	after[1].tcp_md5 = too_long;
	assert_int_equal(tls_listeners_set_keys(&l, &old, &new, 0, &e), -EINVAL);
	assert_non_null(strstr(e.text, "127.0.0.3"));
	assert_true(gets_through("127.0.0.2", port, "one"));
	assert_false(gets_through("127.0.0.2", port, "new"));
	tls_listeners_close(&l);
}

static void a_port_in_use(void **state)
{
	struct tls_listeners a, b;
	struct errtext e;

	(void)state;
	assert_int_equal(tls_listeners_open(0, &a, &e), 0);
	assert_int_equal(tls_listeners_open(port_of(a.fds[0]), &b, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "another botlsd"));
	tls_listeners_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialing),
		cmocka_unit_test(errors_name_their_cause),
		cmocka_unit_test(clear_text_goes_through_steering),
		cmocka_unit_test(keys_on_the_listeners),
		cmocka_unit_test(a_key_that_cannot_be_set_changes_nothing),
		cmocka_unit_test(a_port_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
