// SPDX-License-Identifier: Apache-2.0
/* The relay between real TCP connections. */
#include "relay_rig.h"
#include "relay_splice.h"
#include "sock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

static void test_transfer(void **state)
{
	const uint64_t total = 6 << 20;
	struct stream to_outer = {.seed = 1}, to_inner = {.seed = 2};
	struct rig rig;
	int end;

	(void)state;
	srand(1);
	rig_open(&rig, &callbacks, 4096);
	while (to_outer.received < total || to_inner.received < total ||
	       to_outer.received < to_outer.sent || to_inner.received < to_inner.sent) {
		if (to_outer.sent < total)
			send_some(rig.daemon, &to_outer, rand() % 9000 + 1);
		if (to_inner.sent < total)
			send_some(rig.neighbor, &to_inner, rand() % 50000 + 1);
		assert_int_equal(loop_turn(loop, false), 0);
		assert_true(relay_buffered(rig.relay) <= 2 * RELAY_BUFFER);
		receive_some(rig.neighbor, &to_outer, rand() % 30000 + 1, &end);
		assert_int_equal(end, 0);
		receive_some(rig.daemon, &to_inner, rand() % 7000 + 1, &end);
		assert_int_equal(end, 0);
	}
	assert_true(allocations > 100); /* else the buffers were not small enough to test holding */
	assert_int_equal(to_outer.received, to_outer.sent);
	assert_int_equal(to_inner.received, to_inner.sent);
	assert_int_equal(rig.tapped[RELAY_INNER], to_outer.sent);
	assert_int_equal(rig.tapped[RELAY_OUTER], to_inner.sent);
	assert_int_equal(relay_bytes(rig.relay, RELAY_INNER), to_outer.sent);
	assert_int_equal(relay_buffered(rig.relay), 0);
	assert_false(rig.has_ended);
	rig_close(&rig);
}

/* The neighbor stops reading: the daemon is stopped too, and the other direction goes on. */
static void test_back_pressure(void **state)
{
	struct stream to_outer = {.seed = 3};
	struct rig rig;
	uint64_t stuck;
	int end;

	(void)state;
	rig_open(&rig, &callbacks, 8192);
	for (int quiet = 0; quiet < 40;) {
		quiet = send_some(rig.daemon, &to_outer, 10000) ? 0 : quiet + 1;
		assert_int_equal(loop_turn(loop, true), 0);
	}
	/* Four socket buffers (the kernel doubles what is asked for) and one of ours. */
	assert_true(to_outer.sent < 4 * 2 * 8192 + 65536 + RELAY_BUFFER);
	assert_in_range(relay_buffered(rig.relay), 1, RELAY_BUFFER);
	assert_in_range(relay_blocked_ms(rig.relay, RELAY_OUTER), 100, DEADLINE_MS);
	assert_int_equal(relay_blocked_ms(rig.relay, RELAY_INNER), 0);
	stuck = to_outer.sent;

	send_all(rig.neighbor, "hello", 5);
	WAIT_FOR(gets_text(rig.daemon, "hello"));
	run_for(100);
	assert_true(turns < 60); /* 20 ticks; waiting does not spin */
	assert_int_equal(send_some(rig.daemon, &to_outer, 1), 0);

	while (to_outer.received < stuck) {
		receive_some(rig.neighbor, &to_outer, 60000, &end);
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_int_equal(relay_buffered(rig.relay), 0);
	assert_int_equal(relay_blocked_ms(rig.relay, RELAY_OUTER), 0);
	rig_close(&rig);
}

static void test_idle_holds_nothing(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	for (int i = 0; i < 100; i++) {
		send_all(rig.daemon, "keepalive", 9);
		WAIT_FOR(gets_text(rig.neighbor, "keepalive"));
		assert_int_equal(relay_buffered(rig.relay), 0);
	}
	assert_int_equal(allocations, 0);
	run_for(100);
	assert_true(turns < 40);
	rig_close(&rig);
}

/* ---- ends ---- */

static void half_close(enum relay_side first)
{
	struct rig rig;
	int *a, *b;

	rig_open(&rig, &callbacks, 0);
	a = first == RELAY_INNER ? &rig.daemon : &rig.neighbor;
	b = first == RELAY_INNER ? &rig.neighbor : &rig.daemon;

	send_all(*a, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
	assert_int_equal(shutdown(*a, SHUT_WR), 0);
	WAIT_FOR(gets_text(*b, NOTIFICATION_TEXT));
	WAIT_FOR(look(*b) == 0);
	assert_int_equal(look(*a), -EAGAIN);
	/* The other half is still open. */
	for (int i = 0; i < 3; i++) {
		send_all(*b, "more", 4);
		WAIT_FOR(gets_text(*a, "more"));
	}
	run_for(50);
	assert_true(turns < 30);
	assert_false(rig.has_ended);
	close(TAKE_FD(*b));
	WAIT_FOR(look(*a) == 0);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, first, RELAY_EOF);
	assert_string_equal(rig.end.text, "");
	assert_int_equal(rig.end.bytes[first], strlen(NOTIFICATION_TEXT));
	assert_int_equal(rig.end.bytes[!first], 12);
	assert_int_equal(rig.end.lost[0] + rig.end.lost[1], 0);
	rig_close(&rig);
}

static void test_half_close(void **state)
{
	(void)state;
	half_close(RELAY_INNER);
	half_close(RELAY_OUTER);
}

static void pass_reset(enum relay_side first, const char *last_words)
{
	struct rig rig;
	int *a, *b;

	rig_open(&rig, &callbacks, 0);
	a = first == RELAY_INNER ? &rig.daemon : &rig.neighbor;
	b = first == RELAY_INNER ? &rig.neighbor : &rig.daemon;
	send_all(*a, "open", 4);
	WAIT_FOR(gets_text(*b, "open"));
	if (*last_words)
		send_all(*a, last_words, strlen(last_words));
	reset(a);
	if (*last_words)
		WAIT_FOR(gets_text(*b, last_words));
	WAIT_FOR(look(*b) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, first, RELAY_RESET);
	assert_string_equal(rig.end.text, strerror(ECONNRESET));
	assert_int_equal(rig.end.lost[0] + rig.end.lost[1], 0);
	rig_close(&rig);
}

static void test_reset(void **state)
{
	(void)state;
	pass_reset(RELAY_INNER, "");
	pass_reset(RELAY_OUTER, "");
}

static void test_notification_then_reset(void **state)
{
	(void)state;
	pass_reset(RELAY_INNER, NOTIFICATION_TEXT);
	pass_reset(RELAY_OUTER, NOTIFICATION_TEXT);
}

/* A daemon that closes while it has not read everything sends RST, right after its NOTIFICATION. */
static void test_notification_and_close_with_unread(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	send_all(rig.neighbor, "unread", 6);
	WAIT_FOR(look(rig.daemon) == 6);
	send_all(rig.daemon, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
	close(TAKE_FD(rig.daemon));
	WAIT_FOR(gets_text(rig.neighbor, NOTIFICATION_TEXT));
	WAIT_FOR(look(rig.neighbor) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_INNER, RELAY_RESET);
	rig_close(&rig);
}

/* The neighbor reads late: all that the daemon sent before its RST still arrives, then the RST. */
static void test_reset_behind_full_buffers(void **state)
{
	struct stream to_outer = {.seed = 4};
	struct rig rig;
	int end = 0;

	(void)state;
	rig_open(&rig, &callbacks, 8192);
	for (int quiet = 0; quiet < 20;) {
		quiet = send_some(rig.daemon, &to_outer, 10000) ? 0 : quiet + 1;
		assert_int_equal(loop_turn(loop, true), 0);
	}
	/* What the daemon's own kernel has not sent yet is dropped by its RST. */
	assert_in_range(relay_buffered(rig.relay), 1, RELAY_BUFFER);
	to_outer.sent -= sock_unacked(rig.daemon);
	reset(&rig.daemon);
	run_for(100);
	assert_true(turns < 60);
	assert_false(rig.has_ended);
	while (!end) {
		receive_some(rig.neighbor, &to_outer, 5000, &end);
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_int_equal(end, -ECONNRESET);
	assert_int_equal(to_outer.received, to_outer.sent);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_INNER, RELAY_RESET);
	assert_int_equal(rig.end.lost[RELAY_INNER], 0);
	rig_close(&rig);
}

/* As above, but the neighbor never reads: given up after a bounded time, and said what was lost. */
static void test_reset_towards_stuck_side(void **state)
{
	struct stream to_outer = {.seed = 5};
	struct rig rig;
	uint64_t since;

	(void)state;
	rig_open(&rig, &short_callbacks, 8192);
	for (int quiet = 0; quiet < 20;) {
		quiet = send_some(rig.daemon, &to_outer, 10000) ? 0 : quiet + 1;
		assert_int_equal(loop_turn(loop, true), 0);
	}
	since = loop_now_ms();
	reset(&rig.daemon);
	WAIT_FOR(rig.has_ended);
	assert_in_range(loop_now_ms() - since, 190, 900);
	check_end(&rig, RELAY_INNER, RELAY_RESET);
	assert_true(rig.end.lost[RELAY_INNER] > 0);
	rig_close(&rig);
}

/* A FIN behind bytes that are not read is no reason to spin, nor to wait for ever. */
static void test_fin_towards_stuck_side(void **state)
{
	struct stream to_outer = {.seed = 6};
	struct rig rig;

	(void)state;
	rig_open(&rig, &short_callbacks, 8192);
	while (relay_blocked_ms(rig.relay, RELAY_OUTER) < 50) {
		if (!relay_buffered(rig.relay))
			send_some(rig.daemon, &to_outer, 500);
		assert_int_equal(loop_turn(loop, true), 0);
	}
	send_some(rig.daemon, &to_outer, 100);
	assert_int_equal(shutdown(rig.daemon, SHUT_WR), 0);
	WAIT_FOR(sock_unacked(rig.daemon) == 0);
	run_for(200);
	assert_true(turns < 100);
	assert_false(rig.has_ended);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_INNER, RELAY_EOF);
	assert_true(rig.end.text[0]);
	assert_int_equal(look(rig.daemon), -ECONNRESET);
	rig_close(&rig);
}

static void test_half_closed_and_silent(void **state)
{
	struct rig rig;
	uint64_t since = loop_now_ms();

	(void)state;
	rig_open(&rig, &short_callbacks, 0);
	assert_int_equal(shutdown(rig.daemon, SHUT_WR), 0);
	WAIT_FOR(look(rig.neighbor) == 0);
	/* Bytes of the other half keep it open. */
	while (loop_now_ms() < since + 1000) {
		run_for(100);
		send_all(rig.neighbor, "more", 4);
		WAIT_FOR(gets_text(rig.daemon, "more"));
	}
	assert_false(rig.has_ended);
	WAIT_FOR(rig.has_ended);
	assert_int_equal(look(rig.daemon), -ECONNRESET);
	check_end(&rig, RELAY_INNER, RELAY_EOF);
	rig_close(&rig);
}

/* After its FIN a closed daemon answers bytes with RST; its NOTIFICATION has arrived by then. */
static void test_bytes_to_closed_daemon(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	send_all(rig.daemon, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
	close(TAKE_FD(rig.daemon));
	WAIT_FOR(look(rig.neighbor) > 0);
	send_all(rig.neighbor, "update", 6);
	run_for(20);
	send(rig.neighbor, "update", 6, MSG_NOSIGNAL);
	WAIT_FOR(rig.has_ended);
	assert_true(gets_text(rig.neighbor, NOTIFICATION_TEXT));
	check_end(&rig, RELAY_INNER, RELAY_EOF);
	rig_close(&rig);
}

static void test_close(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	send_all(rig.daemon, "one", 3);
	WAIT_FOR(gets_text(rig.neighbor, "one"));
	assert_int_equal(relay_close(rig.relay), 0);
	assert_int_equal(relay_close(rig.relay), 0);
	WAIT_FOR(look(rig.neighbor) == 0 && look(rig.daemon) == 0);
	assert_false(rig.has_ended);
	/* What still comes is dropped, and does not turn the end into an RST. */
	send_all(rig.daemon, "late", 4);
	run_for(20);
	assert_int_equal(look(rig.neighbor), 0);
	assert_int_equal(look(rig.daemon), 0);
	close(TAKE_FD(rig.daemon));
	close(TAKE_FD(rig.neighbor));
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_US, RELAY_CLOSED);
	assert_int_equal(rig.end.lost[RELAY_INNER], 4);
	rig_close(&rig);
}

static void test_close_towards_silent_sides(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &short_callbacks, 0);
	assert_int_equal(relay_close(rig.relay), 0);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_US, RELAY_CLOSED);
	assert_int_equal(look(rig.daemon), 0);
	assert_int_equal(look(rig.neighbor), 0);
	rig_close(&rig);
}

/* What the kernel has taken is not taken back when the other end is slow to read it. */
static void test_close_behind_sent_bytes(void **state)
{
	struct stream to_outer = {.seed = 9};
	struct rig rig;
	int end = 0;

	(void)state;
	rig_open(&rig, &short_callbacks, 8192);
	while (sock_unacked(rig.outer) < 2000) {
		send_some(rig.daemon, &to_outer, 500);
		WAIT_FOR(rig.tapped[RELAY_INNER] == to_outer.sent);
		run_for(10);
	}
	assert_int_equal(relay_buffered(rig.relay), 0);
	assert_int_equal(relay_close(rig.relay), 0);
	WAIT_FOR(rig.has_ended);
	while (!end) {
		receive_some(rig.neighbor, &to_outer, 5000, &end);
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_int_equal(end, 1);
	assert_int_equal(to_outer.received, to_outer.sent);
	rig_close(&rig);
}

/* But an end that came too early is no orderly one. */
static void test_close_towards_stuck_side(void **state)
{
	struct stream to_outer = {.seed = 10};
	struct rig rig;
	int end = 0;

	(void)state;
	rig_open(&rig, &short_callbacks, 8192);
	for (int quiet = 0; quiet < 20;) {
		quiet = send_some(rig.daemon, &to_outer, 10000) ? 0 : quiet + 1;
		assert_int_equal(loop_turn(loop, true), 0);
	}
	assert_int_equal(relay_close(rig.relay), 0);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_US, RELAY_CLOSED);
	while (!end)
		receive_some(rig.neighbor, &to_outer, 5000, &end);
	assert_int_equal(end, -ECONNRESET);
	rig_close(&rig);
}

static void test_abort(void **state)
{
	struct rig rig;
	struct relay_end end;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	send_all(rig.daemon, "one", 3);
	WAIT_FOR(gets_text(rig.neighbor, "one"));
	relay_abort(rig.relay, &end);
	assert_int_equal(end.first, RELAY_US);
	assert_int_equal(end.how, RELAY_ABORTED);
	assert_int_equal(end.bytes[RELAY_INNER], 3);
	assert_null(relay_transport(rig.relay, RELAY_INNER));
	assert_int_equal(look(rig.daemon), -ECONNRESET);
	assert_int_equal(look(rig.neighbor), -ECONNRESET);
	run_for(20);
	assert_false(rig.has_ended);
	assert_int_equal(relay_close(rig.relay), 0);
	relay_abort(rig.relay, NULL);
	rig_close(&rig);
}

static void test_free_means_reset(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	relay_free(TAKE(rig.relay));
	assert_int_equal(look(rig.daemon), -ECONNRESET);
	assert_int_equal(look(rig.neighbor), -ECONNRESET);
	rig_close(&rig);
}

/* Bytes are on their way to the side that resets: whichever of read and write meets the RST, what
 * was before it arrives. */
static void test_reset_while_writing(void **state)
{
	struct rig rig;

	(void)state;
	for (int i = 0; i < 20; i++) {
		rig_open(&rig, &callbacks, 0);
		WAIT_FOR(true);
		send_all(rig.neighbor, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
		reset(&rig.neighbor);
		send_all(rig.daemon, "update", 6);
		WAIT_FOR(gets_text(rig.daemon, NOTIFICATION_TEXT));
		WAIT_FOR(look(rig.daemon) == -ECONNRESET);
		WAIT_FOR(rig.has_ended);
		check_end(&rig, RELAY_OUTER, RELAY_RESET);
		rig_close(&rig);
	}
}

/* ---- from inside callbacks ---- */

static void test_free_in_on_bytes(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	rig.on_bytes_does = FREE;
	send_all(rig.daemon, "one", 3);
	send_all(rig.neighbor, "two", 3);
	WAIT_FOR(!rig.relay);
	run_for(20);
	assert_false(rig.has_ended);
	assert_int_equal(look(rig.neighbor), -ECONNRESET);
	rig_close(&rig);
}

/* A relay that goes while its bytes are on the way leaves none of them to the next one. */
static void test_nothing_stays_in_the_pipe(void **state)
{
	struct stream gone = {.seed = 1}, s = {.seed = 2};
	struct rig rig;
	int end;

	(void)state;
	for (int does = FREE; does <= CLOSE; does++) {
		rig_open(&rig, &callbacks, 0);
		rig.on_bytes_skips = 1; /* the first read finds that it is much */
		rig.on_bytes_does = does;
		while (rig.relay && !rig.has_ended && rig.on_bytes_does != NOTHING) {
			send_some(rig.daemon, &gone, RELAY_BUFFER);
			assert_int_equal(loop_turn(loop, true), 0);
		}
		rig_close(&rig);
	}
	rig_open(&rig, &callbacks, 0);
	while (s.received < 200000) {
		if (s.sent < 200000)
			send_some(rig.daemon, &s, 10000);
		assert_int_equal(loop_turn(loop, true), 0);
		receive_some(rig.neighbor, &s, 30000, &end);
	}
	rig_close(&rig);
}

static void test_abort_in_on_bytes(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	rig.on_bytes_does = ABORT;
	send_all(rig.daemon, "one", 3);
	WAIT_FOR(rig.has_ended);
	run_for(20);
	assert_int_equal(rig.ends, 0);
	assert_int_equal(rig.end.how, RELAY_ABORTED);
	assert_int_equal(rig.end.lost[RELAY_INNER], 3);
	assert_int_equal(look(rig.neighbor), -ECONNRESET);
	rig_close(&rig);
}

/* What was read when relay_close() is called is still delivered. */
static void test_close_in_on_bytes(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	rig.on_bytes_does = CLOSE;
	send_all(rig.daemon, "one", 3);
	WAIT_FOR(gets_text(rig.neighbor, "one"));
	WAIT_FOR(look(rig.neighbor) == 0 && look(rig.daemon) == 0);
	close(TAKE_FD(rig.daemon));
	close(TAKE_FD(rig.neighbor));
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_US, RELAY_CLOSED);
	rig_close(&rig);
}

static void test_free_in_on_end(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	rig.on_end_does = FREE;
	reset(&rig.daemon);
	WAIT_FOR(rig.has_ended);
	assert_null(rig.relay);
	rig_close(&rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest splicing[] = {
		TEST(test_transfer),
		TEST(test_back_pressure),
		TEST(test_reset_behind_full_buffers),
		TEST(test_reset_towards_stuck_side),
		TEST(test_close_behind_sent_bytes),
		TEST(test_close_towards_stuck_side),
		TEST(test_nothing_stays_in_the_pipe),
	};
	const struct CMUnitTest tests[] = {
		TEST(test_transfer),
		TEST(test_back_pressure),
		TEST(test_idle_holds_nothing),
		TEST(test_half_close),
		TEST(test_reset),
		TEST(test_notification_then_reset),
		TEST(test_notification_and_close_with_unread),
		TEST(test_reset_behind_full_buffers),
		TEST(test_reset_towards_stuck_side),
		TEST(test_fin_towards_stuck_side),
		TEST(test_half_closed_and_silent),
		TEST(test_bytes_to_closed_daemon),
		TEST(test_close),
		TEST(test_close_towards_silent_sides),
		TEST(test_close_behind_sent_bytes),
		TEST(test_close_towards_stuck_side),
		TEST(test_abort),
		TEST(test_free_means_reset),
		TEST(test_reset_while_writing),
		TEST(test_free_in_on_bytes),
		TEST(test_abort_in_on_bytes),
		TEST(test_close_in_on_bytes),
		TEST(test_free_in_on_end),
	};

	int failed;

	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("copying", tests, NULL, NULL);
	if (relay_splice_start() < 0)
		return failed + 1;
	rig_splices = true;
	return failed + cmocka_run_group_tests_name("splicing", splicing, NULL, NULL);
}
