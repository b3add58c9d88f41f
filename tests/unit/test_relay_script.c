// SPDX-License-Identifier: Apache-2.0
/* The relay between scripted transports, where the order and size of single reads and writes
 * matter. */
#include "relay_rig.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <cmocka.h>

struct fake {
	struct transport base;
	/* Reading: `chunks` of `chunk` bytes (UINT_MAX: no end), then `after`. */
	unsigned chunks;
	size_t chunk;
	enum transport_result after;
	/* Writing: up to `room` bytes in all, then `blocked`. */
	size_t room;
	enum transport_result blocked;
	unsigned shutdown_waits; /* so many IO_WANT_WRITE first */

	unsigned reads, writes, shutdowns;
	size_t written, largest_write, read_bytes;
	bool is_freed;
};

static enum transport_result fake_read(struct transport *base, void *buf, size_t len, size_t *ret_n)
{
	struct fake *f = (struct fake *)base;
	size_t n = f->chunk < len ? f->chunk : len;

	f->reads++;
	if (!f->chunks)
		return f->after;
	if (f->chunks != UINT_MAX)
		f->chunks--;
	memset(buf, 'x', n);
	f->read_bytes += n;
	*ret_n = n;
	return IO_OK;
}

static enum transport_result fake_write(struct transport *base, const void *buf, size_t len,
					size_t *ret_n)
{
	struct fake *f = (struct fake *)base;
	size_t n = len < f->room ? len : f->room;

	(void)buf;
	if (!n)
		return f->blocked;
	f->writes++;
	f->room -= n;
	f->written += n;
	if (n > f->largest_write)
		f->largest_write = n;
	*ret_n = n;
	return IO_OK;
}

static enum transport_result fake_shutdown(struct transport *base)
{
	struct fake *f = (struct fake *)base;

	if (f->shutdown_waits) {
		f->shutdown_waits--;
		return IO_WANT_WRITE;
	}
	f->shutdowns++;
	return IO_EOF;
}

static bool fake_may_have_more(const struct transport *base)
{
	(void)base;
	return true;
}

static bool fake_has_pending(const struct transport *base)
{
	return ((const struct fake *)base)->chunks > 0;
}

static const char *fake_error(const struct transport *base)
{
	(void)base;
	return "scripted";
}

static void fake_free(struct transport *base)
{
	struct fake *f = (struct fake *)base;

	close(base->fd);
	f->is_freed = true;
}

static const struct transport_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
	.shutdown = fake_shutdown,
	.has_pending = fake_has_pending,
	.may_have_more = fake_may_have_more,
	.error = fake_error,
	.free = fake_free,
};

/* An eventfd is always writable, and readable only when told so. */
static struct fake fake_new(void)
{
	struct fake f = {
		.base = {.ops = &fake_ops, .fd = eventfd(0, EFD_NONBLOCK)},
		.after = IO_WANT_READ,
		.room = SIZE_MAX,
		.blocked = IO_WANT_WRITE,
	};

	assert_true(f.base.fd >= 0);
	return f;
}

static void fake_relay_with(struct fake *inner, struct fake *outer, struct rig *rig,
			    const struct relay_callbacks *cb)
{
	*rig = (struct rig){.daemon = -1, .neighbor = -1};
	assert_int_equal(relay_new(loop, &inner->base, &outer->base, cb, rig, &rig->relay), 0);
}

static void fake_relay(struct fake *inner, struct fake *outer, struct rig *rig)
{
	fake_relay_with(inner, outer, rig, &callbacks);
}

/* A hundred messages that are there together leave as one record; more than a record as full ones.
 */
static void test_coalescing(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig rig;

	(void)state;
	inner.chunks = 100;
	inner.chunk = 19;
	fake_relay(&inner, &outer, &rig);
	WAIT_FOR(outer.written == 1900);
	assert_int_equal(outer.writes, 1);
	assert_int_equal(inner.reads, 101);
	rig_close(&rig);

	inner = fake_new();
	outer = fake_new();
	inner.chunks = 1000;
	inner.chunk = 128;
	fake_relay(&inner, &outer, &rig);
	WAIT_FOR(outer.written == 128000);
	assert_int_equal(outer.writes, 128000 / RELAY_BUFFER + 1);
	assert_int_equal(outer.largest_write, RELAY_BUFFER);
	rig_close(&rig);
}

static void test_nothing_before_the_loop_runs(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig rig;

	(void)state;
	inner.chunks = 1;
	inner.chunk = 19;
	fake_relay(&inner, &outer, &rig);
	assert_int_equal(inner.reads + outer.writes, 0);
	rig_close(&rig);
	assert_true(inner.is_freed && outer.is_freed);
}

/* No more than the budget per turn, and what no event announces goes on by itself. */
static void test_budget(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig endless, other;
	struct stream stream = {.seed = 7};
	int end;

	(void)state;
	inner.chunks = UINT_MAX;
	inner.chunk = 5000;
	fake_relay(&inner, &outer, &endless);
	rig_open(&other, &callbacks, 0);
	while (stream.received < 1 << 20) {
		size_t before = inner.read_bytes;

		send_some(other.daemon, &stream, 30000);
		assert_int_equal(loop_turn(loop, false), 0);
		assert_true(inner.read_bytes - before <= RELAY_BUDGET + RELAY_BUFFER);
		assert_true(inner.read_bytes > before);
		receive_some(other.neighbor, &stream, 70000, &end);
	}
	assert_true(outer.written > 10 * RELAY_BUDGET);
	rig_close(&other);
	rig_close(&endless);
}

static void test_partial_writes(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig rig;

	(void)state;
	inner.chunks = 3;
	inner.chunk = 1000;
	outer.room = 1200;
	fake_relay(&inner, &outer, &rig);
	WAIT_FOR(outer.written == 1200);
	assert_int_equal(relay_buffered(rig.relay), 1800);
	run_for(60);
	assert_in_range(relay_blocked_ms(rig.relay, RELAY_OUTER), 50, DEADLINE_MS);
	/* Any progress counts: it is stuck anew. */
	outer.room = 1;
	WAIT_FOR(outer.written == 1201);
	assert_true(relay_blocked_ms(rig.relay, RELAY_OUTER) < 50);
	outer.room = SIZE_MAX;
	WAIT_FOR(outer.written == 3000);
	assert_int_equal(relay_buffered(rig.relay), 0);
	assert_int_equal(allocations, 1);
	rig_close(&rig);
}

/* A write that waits for its socket to become readable (TLS) goes on when it does. */
static void test_write_that_wants_read(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig rig;

	(void)state;
	inner.chunks = 1;
	inner.chunk = 1000;
	outer.room = 0;
	outer.blocked = IO_WANT_READ;
	fake_relay(&inner, &outer, &rig);
	WAIT_FOR(relay_buffered(rig.relay) == 1000);
	outer.room = SIZE_MAX;
	run_for(20);
	assert_int_equal(outer.written, 0);
	assert_int_equal(eventfd_write(outer.base.fd, 1), 0);
	WAIT_FOR(outer.written == 1000);
	rig_close(&rig);
}

static void test_shutdown_that_waits(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig rig;

	(void)state;
	inner.after = outer.after = IO_EOF;
	outer.shutdown_waits = 3;
	fake_relay(&inner, &outer, &rig);
	WAIT_FOR(rig.has_ended);
	assert_int_equal(outer.shutdowns, 1);
	assert_int_equal(inner.shutdowns, 1);
	check_end(&rig, RELAY_INNER, RELAY_EOF);
	rig_close(&rig);
}

/* The daemon's side is a real socket; the outer one is scripted. */
static void rig_half_fake(struct rig *rig, struct fake *outer)
{
	int inner[2];

	*rig = (struct rig){.neighbor = -1};
	tcp_pair(inner, 0);
	rig->daemon = inner[0];
	assert_int_equal(relay_new(loop, transport_tcp_new(inner[1]), &outer->base, &callbacks, rig,
				   &rig->relay),
			 0);
}

/* A broken TLS stream: what came before is delivered, the end is an RST, never a FIN. */
static void test_broken_stream(void **state)
{
	struct fake outer = fake_new();
	struct rig rig;

	(void)state;
	outer.chunks = 1;
	outer.chunk = 4;
	outer.after = IO_RESET;
	rig_half_fake(&rig, &outer);
	WAIT_FOR(gets_text(rig.daemon, "xxxx"));
	WAIT_FOR(look(rig.daemon) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_OUTER, RELAY_RESET);
	assert_string_equal(rig.end.text, "scripted");
	rig_close(&rig);
}

/* Writing meets the RST first and takes it off the socket: the NOTIFICATION before it is still
 * read, and the EOF that read() then says is not believed. */
static void test_write_meets_reset_first(void **state)
{
	struct fake outer = fake_new();
	struct rig rig;

	(void)state;
	outer.room = 0;
	outer.blocked = IO_RESET;
	rig_half_fake(&rig, &outer);
	run_for(10);
	send_all(rig.daemon, "update", 6);
	WAIT_FOR(rig.tapped[RELAY_INNER] == 6);
	outer.chunks = 1;
	outer.chunk = 4;
	outer.after = IO_EOF;
	assert_int_equal(eventfd_write(outer.base.fd, 1), 0);
	WAIT_FOR(gets_text(rig.daemon, "xxxx"));
	WAIT_FOR(look(rig.daemon) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_OUTER, RELAY_RESET);
	assert_int_equal(rig.end.lost[RELAY_INNER], 6);
	rig_close(&rig);
}

/* Progress holds the RST back, but a side that takes a byte now and then does not hold it for ever.
 * Returns the longest time without progress. */
static uint64_t reset_towards_slow_side(struct rig *rig)
{
	struct fake inner = fake_new(), outer = fake_new();
	uint64_t last = loop_now_ms(), gap = 0;

	inner.chunks = 1;
	inner.chunk = 10000;
	inner.after = IO_RESET;
	outer.room = 0;
	fake_relay_with(&inner, &outer, rig, &short_callbacks);
	while (!rig->has_ended) {
		uint64_t now = loop_now_ms();

		if (now >= last + 10) {
			gap = now - last > gap ? now - last : gap;
			last = now;
			outer.room = 1;
		}
		assert_int_equal(loop_turn(loop, true), 0);
	}
	last = loop_now_ms() - last; /* that may be why it has ended */
	return last > gap ? last : gap;
}

static void test_reset_towards_slow_side(void **state)
{
	uint64_t since, gap, took;
	struct rig rig;
	int tries = 0;

	(void)state;
	/* On a busy machine we may be the ones who stall; what the relay sees of it may be twice as
	 * long as what we see. */
	do {
		if (tries++)
			rig_close(&rig);
		since = loop_now_ms();
		gap = reset_towards_slow_side(&rig);
		took = loop_now_ms() - since;
	} while (gap >= 50 && tries < 50);
	assert_in_range(took, 900, 1900);
	check_end(&rig, RELAY_INNER, RELAY_RESET);
	assert_in_range(rig.end.lost[RELAY_INNER], 9000, 9999);
	rig_close(&rig);
}

static void test_out_of_memory(void **state)
{
	struct fake inner = fake_new(), outer = fake_new();
	struct rig starved, other;

	(void)state;
	rig_open(&other, &callbacks, 0);
	inner.chunks = 1;
	inner.chunk = 1000;
	outer.room = 1;
	out_of_memory = true;
	fake_relay(&inner, &outer, &starved);
	WAIT_FOR(starved.has_ended);
	check_end(&starved, RELAY_US, RELAY_ERROR);
	assert_string_equal(starved.end.text, strerror(ENOMEM));
	assert_int_equal(starved.end.lost[RELAY_INNER], 999);
	send_all(other.daemon, "alive", 5);
	WAIT_FOR(gets_text(other.neighbor, "alive"));
	rig_close(&starved);
	rig_close(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_coalescing),
		TEST(test_nothing_before_the_loop_runs),
		TEST(test_budget),
		TEST(test_partial_writes),
		TEST(test_write_that_wants_read),
		TEST(test_shutdown_that_waits),
		TEST(test_broken_stream),
		TEST(test_write_meets_reset_first),
		TEST(test_reset_towards_slow_side),
		TEST(test_out_of_memory),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
