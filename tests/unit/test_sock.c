// SPDX-License-Identifier: Apache-2.0
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <cmocka.h>

static struct addr parse(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static int get(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static int listen_on(const char *text, uint16_t *ret_port)
{
	struct addr a = parse(text);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	assert_int_equal(sock_listener(&a, 0, 5, &fd), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &a, ret_port), 0);
	return fd;
}

/* Starts to connect; the caller looks how it goes. */
static int connect_to(int fd, const char *text, uint16_t port)
{
	struct addr a = parse(text);
	struct sockaddr_storage ss;
	int len = addr_to_sockaddr(&a, port, &ss);

	return connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

static int stream(const char *from)
{
	struct addr a = parse(from);
	int fd;

	assert_int_equal(sock_bound(&a, 0, &fd), 0);
	return fd;
}

/* Accepts within the time, or -EAGAIN. */
static int accept_within(int listener, int ms)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	poll(&p, 1, ms);
	int fd = accept(listener, NULL, NULL);
	return fd < 0 ? -errno : fd;
}

static void test_listener(void **state)
{
	uint16_t port, port6;
	int fd = listen_on("0.0.0.0", &port), fd6 = listen_on("::", &port6), again;
	struct addr any = parse("0.0.0.0"), here = parse("127.0.0.1"),
		    elsewhere = parse("192.0.2.77");

	(void)state;
	assert_int_equal(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(get(fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(sock_listener(&any, port, 5, &again), -EADDRINUSE);
	assert_int_equal(sock_listener(&elsewhere, 0, 5, &again), -EADDRNOTAVAIL);
	/* Both families side by side on one port; somebody else may have it for IPv4. */
	for (int tries = 0; sock_listener(&here, port6, 5, &again) == -EADDRINUSE; tries++) {
		assert_true(tries < 20);
		close(fd6);
		fd6 = listen_on("::", &port6);
	}
	assert_int_equal(get(again, SOL_SOCKET, SO_ACCEPTCONN), 1);
	close(again);
	assert_int_equal(sock_bound(&here, 0, &again), 0);
	assert_int_equal(get(again, SOL_SOCKET, SO_ACCEPTCONN), 0);
	close(again);
	close(fd);
	close(fd6);
}

static void test_options(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(sock_set_nonblock_cloexec(fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(sock_set_nodelay(fd), 0);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);

	assert_int_equal(sock_set_keepalive(fd, 61, 7, 4), 0);
	assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 61);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
	assert_int_equal(sock_set_keepalive(fd, 0, 0, 0), 0);
	assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(sock_set_keepalive(fd, 60, 0, 4), -EINVAL);

	assert_int_equal(sock_set_user_timeout(fd, 480), 0);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 480000);
	assert_int_equal(sock_set_user_timeout(fd, 3000000), -EINVAL);
	assert_int_equal(sock_set_notsent_lowat(fd, 65536), 0);
	assert_int_equal(get(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 65536);

	assert_int_equal(sock_set_buffers(fd, 20000, 0), 0);
	assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), 40000);
	assert_int_equal(sock_set_buffers(fd, 0, 30000), 0);
	assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), 40000);
	assert_int_equal(get(fd, SOL_SOCKET, SO_RCVBUF), 60000);

	assert_int_equal(sock_bind_device(fd, "lo"), 0);
	assert_true(get(fd, SOL_SOCKET, SO_BINDTOIFINDEX) > 0);
	assert_int_equal(sock_bind_device(fd, ""), 0);
	assert_int_equal(get(fd, SOL_SOCKET, SO_BINDTOIFINDEX), 0);
	assert_int_equal(sock_bind_device(fd, "nowhere0"), -ENODEV);
	close(fd);
	assert_int_equal(sock_set_nodelay(fd), -EBADF);
	assert_int_equal(sock_set_nonblock_cloexec(fd), -EBADF);
}

static void test_ttl_options(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), fd6 = socket(AF_INET6, SOCK_STREAM, 0);
	int usual = get(fd, IPPROTO_IP, IP_TTL), usual6 = get(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS);

	(void)state;
	assert_int_equal(sock_set_ttl(fd, 255), 0);
	assert_int_equal(get(fd, IPPROTO_IP, IP_TTL), 255);
	assert_int_equal(sock_set_ttl(fd, 0), 0);
	assert_int_equal(get(fd, IPPROTO_IP, IP_TTL), usual);
	assert_int_equal(sock_set_min_ttl(fd, 254), 0);
	assert_int_equal(get(fd, IPPROTO_IP, IP_MINTTL), 254);
	assert_int_equal(sock_set_ttl(fd6, 255), 0);
	assert_int_equal(get(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 255);
	assert_int_equal(sock_set_ttl(fd6, 0), 0);
	assert_int_equal(get(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS), usual6);
	assert_int_equal(sock_set_min_ttl(fd6, 254), 0);
	assert_int_equal(get(fd6, IPPROTO_IPV6, IPV6_MINHOPCOUNT), 254);
	close(fd);
	close(fd6);
	assert_int_equal(sock_set_ttl(fd, 255), -EBADF);
	assert_int_equal(sock_set_min_ttl(fd, 255), -EBADF);
}

/* A SYN with too low a TTL is as if it had never come. */
static void min_ttl_holds(const char *address)
{
	uint16_t port;
	int listener = listen_on(address, &port);
	int low = stream(address), high = stream(address), accepted;

	assert_int_equal(sock_set_min_ttl(listener, 255), 0);
	assert_int_equal(sock_set_ttl(low, 254), 0);
	assert_int_equal(sock_set_ttl(high, 255), 0);
	assert_int_equal(connect_to(low, address, port), -EINPROGRESS);
	assert_int_equal(accept_within(listener, 100), -EAGAIN);
	/* What the listener answers must pass too, it has the default TTL. */
	assert_int_equal(connect_to(high, address, port), -EINPROGRESS);
	accepted = accept_within(listener, 5000);
	assert_true(accepted >= 0);
	close(accepted);
	close(low);
	close(high);
	close(listener);
}

static void test_min_ttl(void **state)
{
	(void)state;
	min_ttl_holds("127.0.0.1");
	min_ttl_holds("::1");
}

/* With a key for the address or its prefix, only who has the same key gets through. */
static void md5_holds(const char *address, const char *covers)
{
	struct addr net = parse(covers), host = parse(address);
	uint16_t port;
	int listener = listen_on(address, &port);
	int right = stream(address), wrong = stream(address), none = stream(address), accepted;

	if (sock_set_tcp_md5(listener, &net, "secret") == -ENOPROTOOPT)
		skip();
	assert_int_equal(sock_set_tcp_md5(right, &host, "secret"), 0);
	assert_int_equal(sock_set_tcp_md5(wrong, &host, "secreT"), 0);
	assert_int_equal(connect_to(none, address, port), -EINPROGRESS);
	assert_int_equal(connect_to(wrong, address, port), -EINPROGRESS);
	assert_int_equal(accept_within(listener, 100), -EAGAIN);
	assert_int_equal(connect_to(right, address, port), -EINPROGRESS);
	accepted = accept_within(listener, 5000);
	assert_true(accepted >= 0);
	close(accepted);
	close(right);
	close(none);

	/* Taken away again, and only then, others pass. */
	assert_int_equal(sock_set_tcp_md5(listener, &net, NULL), 0);
	assert_int_equal(sock_set_tcp_md5(listener, &net, NULL), -ENOENT);
	none = stream(address);
	connect_to(none, address, port);
	accepted = accept_within(listener, 5000);
	assert_true(accepted >= 0);
	close(accepted);
	close(none);
	close(wrong);
	close(listener);
}

static void test_tcp_md5(void **state)
{
	(void)state;
	md5_holds("127.0.0.1", "127.0.0.1");
	md5_holds("127.0.0.1", "127.0.0.0/8");
	md5_holds("::1", "::1");
	md5_holds("::1", "::/64");
}

static void test_tcp_md5_key(void **state)
{
	char key[82] = "";
	struct addr host = parse("192.0.2.1");
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	memset(key, 'k', 81);
	assert_int_equal(sock_set_tcp_md5(fd, &host, ""), -EINVAL);
	assert_int_equal(sock_set_tcp_md5(fd, &host, key), -EINVAL);
	key[80] = '\0';
	assert_int_equal(sock_set_tcp_md5(fd, &host, key), 0);
	close(fd);
}

static void test_error_and_reset(void **state)
{
	uint16_t port;
	int listener = listen_on("127.0.0.1", &port), fd = stream("127.0.0.1"), accepted;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	(void)state;
	assert_int_equal(connect_to(fd, "127.0.0.1", port), -EINPROGRESS);
	accepted = accept_within(listener, 5000);
	assert_true(accepted >= 0);
	assert_int_equal(sock_error(fd), 0);
	assert_int_equal(sock_set_reset_on_close(accepted), 0);
	close(accepted);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(sock_error(fd), -ECONNRESET);
	assert_int_equal(sock_error(fd), 0);
	close(fd);
	assert_int_equal(sock_error(fd), -EBADF);
	close(listener);
}

/* What is not sent yet would make close() wait for a minute. */
static void test_no_wait_on_close(void **state)
{
	static char bytes[400000];
	struct linger linger = {.l_onoff = 1, .l_linger = 60};
	socklen_t len = sizeof(linger);
	uint16_t port;
	int listener = listen_on("127.0.0.1", &port), fd = stream("127.0.0.1"), accepted;
	time_t begin = time(NULL);

	(void)state;
	assert_int_equal(sock_set_buffers(listener, 0, 4096), 0);
	assert_int_equal(connect_to(fd, "127.0.0.1", port), -EINPROGRESS);
	accepted = accept_within(listener, 5000);
	assert_true(accepted >= 0);
	assert_int_equal(sock_set_no_wait_on_close(fd), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	assert_false(linger.l_onoff);
	linger = (struct linger){.l_onoff = 1, .l_linger = 60};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_true(write(fd, bytes, sizeof(bytes)) > 0);
	assert_int_equal(sock_set_no_wait_on_close(fd), 0);
	close(fd);
	assert_true(time(NULL) - begin < 30);
	assert_int_equal(sock_set_no_wait_on_close(fd), -EBADF);
	close(accepted);
	close(listener);
}

static void test_unacked(void **state)
{
	static char bytes[400000];
	uint16_t port;
	int listener = listen_on("127.0.0.1", &port), fd = stream("127.0.0.1"), accepted;
	struct pollfd p = {.fd = fd, .events = 0};
	size_t left;

	(void)state;
	assert_int_equal(sock_unacked(fd), 0);
	assert_int_equal(sock_set_buffers(listener, 0, 4096), 0);
	assert_int_equal(connect_to(fd, "127.0.0.1", port), -EINPROGRESS);
	accepted = accept_within(listener, 5000);
	assert_true(accepted >= 0);
	assert_int_equal(sock_unacked(fd), 0);
	assert_true(send(fd, bytes, sizeof(bytes), 0) > 100000);
	left = sock_unacked(fd);
	assert_in_range(left, 50000, sizeof(bytes));
	/* Reset by the other end: what is left will never be acknowledged, and is nothing. */
	assert_int_equal(sock_set_reset_on_close(accepted), 0);
	close(accepted);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(sock_unacked(fd), 0);
	close(fd);
	close(listener);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Two go over; more than were asked for, or a message that is cut, leaves none open. */
static void test_descriptors(void **state)
{
	const struct iovec part = {"abcd", 4};
	int pair[2], fds[SOCK_FDS_MAX] = {-1, -1, -1, -1}, before;
	const int sent[3] = {0, 1, 0};
	size_t n = 0;
	char buf[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(sock_receive_fds(pair[0], buf, sizeof(buf), fds, 2, &n), -EAGAIN);
	before = count_fds();
	assert_int_equal(sock_send_fds(pair[1], &part, 1, sent, 2), 4);
	assert_int_equal(sock_receive_fds(pair[0], buf, sizeof(buf), fds, 2, &n), 4);
	assert_memory_equal(buf, "abcd", 4);
	assert_int_equal(n, 2);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
	close(fds[0]);
	close(fds[1]);

	assert_int_equal(sock_send_fds(pair[1], &part, 1, sent, 3), 4);
	assert_int_equal(sock_receive_fds(pair[0], buf, sizeof(buf), fds, 2, &n), -EMSGSIZE);
	assert_int_equal(sock_send_fds(pair[1], &part, 1, sent, 1), 4);
	assert_int_equal(sock_receive_fds(pair[0], buf, 3, fds, 2, &n), -EMSGSIZE);
	assert_int_equal(count_fds(), before);

	assert_int_equal(sock_send_fds(pair[1], &part, 1, sent, SOCK_FDS_MAX + 1), -EINVAL);
	close(pair[1]);
	assert_int_equal(sock_receive_fds(pair[0], buf, sizeof(buf), fds, 2, &n), 0);
	assert_int_equal(sock_send_fds(pair[0], &part, 1, NULL, 0), -EPIPE);
	close(pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listener),	 cmocka_unit_test(test_options),
		cmocka_unit_test(test_ttl_options),	 cmocka_unit_test(test_min_ttl),
		cmocka_unit_test(test_tcp_md5),		 cmocka_unit_test(test_tcp_md5_key),
		cmocka_unit_test(test_error_and_reset),	 cmocka_unit_test(test_unacked),
		cmocka_unit_test(test_no_wait_on_close), cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
