// SPDX-License-Identifier: Apache-2.0
#include "tcp_pair.h"

#include "sock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

void tcp_pair(int ret[2], int buffers)
{
	struct addr loopback = {.family = AF_INET, .prefixlen = 32, .bytes = {127, 0, 0, 1}};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int listener;

	assert_int_equal(sock_bound(&loopback, 0, &listener), 0);
	assert_int_equal(sock_set_buffers(listener, buffers, buffers), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	ret[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sock_set_buffers(ret[0], buffers, buffers), 0);
	assert_int_equal(connect(ret[0], (struct sockaddr *)&ss, len), 0);
	assert_int_equal(sock_set_nonblock_cloexec(ret[0]), 0);
	ret[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ret[1] >= 0);
	assert_int_equal(sock_set_nodelay(ret[0]), 0);
	assert_int_equal(sock_set_nodelay(ret[1]), 0);
	close(listener);
}
