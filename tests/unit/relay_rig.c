// SPDX-License-Identifier: Apache-2.0
#include "relay_rig.h"
#include "sock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

/* ---- the loop, and waiting for a condition ---- */

struct loop *loop;
unsigned turns;
static struct timer *tick;

static void on_tick(void *arg)
{
	(void)arg;
	timer_set_ms(tick, 5);
}

void run_for(unsigned ms)
{
	uint64_t until = loop_now_ms() + ms;

	for (turns = 0; loop_now_ms() < until; turns++)
		assert_int_equal(loop_turn(loop, true), 0);
}

/* ---- sockets ---- */

void send_all(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

/* A stream whose bytes follow from their position, so that each can be checked where it arrives. */
uint8_t byte_at(uint64_t seed, uint64_t position)
{
	uint64_t z = (position + seed) * 0x9e3779b97f4a7c15;

	return z >> 40 ^ z >> 20;
}

size_t send_some(int fd, struct stream *s, size_t len)
{
	uint8_t buf[70000];
	ssize_t n;

	if (len > sizeof(buf))
		len = sizeof(buf);
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(s->seed, s->sent + i);
	n = send(fd, buf, len, MSG_NOSIGNAL);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	s->sent += n;
	return n;
}

/* Bytes received; *ret_end: 1 after FIN, -errno after an error, else 0. */
size_t receive_some(int fd, struct stream *s, size_t len, int *ret_end)
{
	uint8_t buf[70000];
	ssize_t n = recv(fd, buf, len < sizeof(buf) ? len : sizeof(buf), 0);

	*ret_end = n == 0 ? 1 : n < 0 && errno != EAGAIN ? -errno : 0;
	if (n <= 0)
		return 0;
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != byte_at(s->seed, s->received + i))
			fail_msg("wrong byte at %llu", (unsigned long long)s->received + i);
	s->received += n;
	return n;
}

/* What recv() says without taking anything: bytes, 0 for FIN, -errno. */
ssize_t look(int fd)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_PEEK);

	return n < 0 ? -errno : n;
}

bool gets_text(int fd, const char *text)
{
	char buf[128];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_PEEK);

	if (n != (ssize_t)strlen(text) || memcmp(buf, text, n) != 0)
		return false;
	return recv(fd, buf, n, 0) == n;
}

/* ---- the rig: daemon <-> inner, outer <-> neighbor ---- */

unsigned allocations;
bool out_of_memory;

static void *counting_alloc(size_t size)
{
	allocations++;
	return out_of_memory ? NULL : malloc(size);
}

static void on_bytes(void *arg, enum relay_side from, const void *data, size_t len)
{
	struct rig *rig = arg;

	(void)data;
	rig->tapped[from] += len;
	if (rig->on_bytes_skips) {
		rig->on_bytes_skips--;
		return;
	}
	switch (rig->on_bytes_does) {
	case NOTHING: break;
	case FREE: relay_free(TAKE(rig->relay)); break;
	case ABORT:
		relay_abort(rig->relay, &rig->end);
		rig->has_ended = true;
		break;
	case CLOSE:
		assert_int_equal(relay_close(rig->relay), 0);
		rig->on_bytes_does = NOTHING;
		break;
	}
}

static void on_end(void *arg, const struct relay_end *end)
{
	struct rig *rig = arg;

	rig->has_ended = true;
	rig->ends++;
	rig->end = *end;
	if (rig->on_end_does == FREE)
		relay_free(TAKE(rig->relay));
	else
		assert_null(relay_transport(rig->relay, RELAY_OUTER));
}

static const struct relay_limits short_limits = {
	.stall_ms = 200,
	.linger_ms = 1000,
	.half_closed_ms = 400,
};

const struct relay_callbacks callbacks = {
	.on_bytes = on_bytes,
	.on_end = on_end,
	.alloc = counting_alloc,
};

const struct relay_callbacks short_callbacks = {
	.on_bytes = on_bytes,
	.on_end = on_end,
	.alloc = counting_alloc,
	.limits = &short_limits,
};

bool rig_splices;

void rig_open(struct rig *rig, const struct relay_callbacks *cb, int buffers)
{
	int inner[2], outer[2];

	*rig = (struct rig){};
	tcp_pair(inner, buffers);
	tcp_pair(outer, buffers);
	rig->daemon = inner[0];
	rig->inner = inner[1];
	rig->neighbor = outer[0];
	rig->outer = outer[1];
	assert_int_equal(relay_new(loop, transport_tcp_new(inner[1]), transport_tcp_new(outer[1]),
				   cb, rig, &rig->relay),
			 0);
	if (rig_splices)
		relay_allow_splice(rig->relay);
}

void rig_close(struct rig *rig)
{
	relay_free(rig->relay);
	if (rig->daemon >= 0)
		close(rig->daemon);
	if (rig->neighbor >= 0)
		close(rig->neighbor);
}

void reset(int *fd)
{
	assert_int_equal(sock_set_reset_on_close(*fd), 0);
	close(TAKE_FD(*fd));
}

void check_end(const struct rig *rig, enum relay_side first, enum relay_how how)
{
	assert_true(rig->has_ended);
	assert_int_equal(rig->ends, 1);
	assert_int_equal(rig->end.first, first);
	assert_int_equal(rig->end.how, how);
}

int rig_setup(void **state)
{
	(void)state;
	allocations = 0;
	out_of_memory = false;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(timer_new(loop, on_tick, NULL, &tick), 0);
	on_tick(NULL);
	return 0;
}

int rig_teardown(void **state)
{
	(void)state;
	timer_free(tick);
	loop_free(loop);
	return 0;
}
