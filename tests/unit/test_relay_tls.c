// SPDX-License-Identifier: Apache-2.0
/* The relay with TLS on the outer side: records, close_notify, truncation, broken records. */
#include "relay_rig.h"
#include "relay_splice.h"
#include "sock.h"
#include "tls_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

static struct tls *tls_end(const struct cert *own, enum tls_side side, int fd)
{
	struct tls_params params = good_params(own);
	struct addr peer = address(side == TLS_CLIENT ? SERVER_ADDRESS : CLIENT_ADDRESS);
	struct errtext e = {};
	struct tls_ctx *ctx;
	struct tls *t;

	if (tls_ctx_new(&params, &ctx, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(tls_new(ctx, side, fd, &peer, &t), 0);
	tls_ctx_unref(ctx);
	return t;
}

/* The neighbor is a TLS client in the hands of the test; `early` is sent before the relay exists.
 */
static struct tls *rig_open_tls(struct rig *rig, int buffers, const char *early)
{
	int inner[2], outer[2];
	struct tls *neighbor, *ours;
	struct transport *transport;
	enum tls_want a, b;
	size_t n;

	*rig = (struct rig){};
	tcp_pair(inner, buffers);
	tcp_pair(outer, buffers);
	rig->daemon = inner[0];
	rig->neighbor = outer[0];
	neighbor = tls_end(&pki.client, TLS_CLIENT, outer[0]);
	ours = tls_end(&pki.server, TLS_SERVER, outer[1]);
	if (pair_in_kernel)
		tls_want_kernel(ours);
	do {
		a = tls_handshake(neighbor);
		b = tls_handshake(ours);
	} while (a == TLS_WANT_READ || b == TLS_WANT_READ);
	assert_int_equal(a, TLS_DONE);
	assert_int_equal(b, TLS_DONE);
	if (*early)
		assert_int_equal(tls_write(neighbor, early, strlen(early), &n), TLS_DONE);

	transport = transport_tls_new(outer[1], ours);
	assert_ptr_equal(transport_get_tls(transport), ours);
	assert_int_equal(relay_new(loop, transport_tcp_new(inner[1]), transport, &callbacks, rig,
				   &rig->relay),
			 0);
	assert_null(transport_get_tls(relay_transport(rig->relay, RELAY_INNER)));
	assert_int_equal(tls_is_in_kernel(ours), pair_in_kernel);
	if (pair_in_kernel)
		relay_allow_splice(rig->relay);
	return neighbor;
}

static void say(struct tls *t, const char *text)
{
	size_t n = 0;

	assert_int_equal(tls_write(t, text, strlen(text), &n), TLS_DONE);
	assert_int_equal(n, strlen(text));
}

/* True when exactly this could be read. */
static bool hears(struct tls *t, const char *text)
{
	char buf[256];
	size_t n = 0;

	if (tls_read(t, buf, sizeof(buf), &n) != TLS_DONE)
		return false;
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, n);
	return true;
}

static enum tls_want hears_end(struct tls *t)
{
	char buf[256];
	size_t n;

	return tls_read(t, buf, sizeof(buf), &n);
}

/* Many messages that are there together leave in one record, or in two where TCP's first window is
 * full. */
static void test_few_records(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");
	struct tls_info before, after;
	size_t n = 0, got = 0;
	char all[1900];

	(void)state;
	run_for(20);
	tls_get_info(neighbor, &before);
	for (int i = 0; i < 100; i++)
		send_all(rig.daemon, "nineteen bytes each", 19);
	while (got < 1900) {
		WAIT_FOR(tls_read(neighbor, all, sizeof(all), &n) == TLS_DONE);
		got += n;
	}
	tls_get_info(neighbor, &after);
	assert_in_range(after.records_in - before.records_in, 1, 3);
	tls_free(neighbor);
	rig_close(&rig);
}

/* What the neighbor sends right behind its handshake is not left lying. */
static void test_early_bytes(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "early");

	(void)state;
	WAIT_FOR(gets_text(rig.daemon, "early"));
	tls_free(neighbor);
	rig_close(&rig);
}

static void tls_send_some(struct tls *t, struct stream *s, uint8_t *buf, size_t *held)
{
	size_t n = 0;

	if (!*held) {
		*held = rand() % 16000 + 1;
		for (size_t i = 0; i < *held; i++)
			buf[i] = byte_at(s->seed, s->sent + i);
	}
	/* The same bytes again until they are taken. */
	if (tls_write(t, buf, *held, &n) == TLS_DONE) {
		assert_int_equal(n, *held);
		s->sent += n;
		*held = 0;
	}
}

static void tls_receive_some(struct tls *t, struct stream *s)
{
	static uint8_t buf[30000];
	size_t n = 0;

	if (tls_read(t, buf, rand() % sizeof(buf) + 1, &n) != TLS_DONE)
		return;
	for (size_t i = 0; i < n; i++)
		if (buf[i] != byte_at(s->seed, s->received + i))
			fail_msg("wrong byte at %llu", (unsigned long long)s->received + i);
	s->received += n;
}

/* Both ways at once through small buffers, with a KeyUpdate every few records. */
static void test_transfer(void **state)
{
	const uint64_t total = 3 << 20;
	struct stream to_outer = {.seed = 1}, to_inner = {.seed = 2};
	static uint8_t buf[16384];
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 4096, "");
	struct tls_info info;
	size_t held = 0;
	int end;

	(void)state;
	srand(2);
	tls_set_key_update_records(neighbor, 16);
	tls_set_key_update_records(transport_get_tls(relay_transport(rig.relay, RELAY_OUTER)), 20);
	while (to_outer.received < total || to_inner.received < total ||
	       to_outer.received < to_outer.sent || to_inner.received < to_inner.sent || held) {
		if (to_outer.sent < total)
			send_some(rig.daemon, &to_outer, rand() % 9000 + 1);
		if (to_inner.sent < total || held)
			tls_send_some(neighbor, &to_inner, buf, &held);
		assert_int_equal(loop_turn(loop, false), 0);
		tls_receive_some(neighbor, &to_outer);
		receive_some(rig.daemon, &to_inner, rand() % 7000 + 1, &end);
		assert_false(rig.has_ended);
	}
	tls_get_info(neighbor, &info);
	assert_true(info.key_updates_sent > 5);
	assert_true(info.key_updates_received > 5);
	assert_true(allocations > 10);
	assert_int_equal(relay_buffered(rig.relay), 0);
	tls_free(neighbor);
	rig_close(&rig);
}

static void test_daemon_closes(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");

	(void)state;
	send_all(rig.daemon, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
	assert_int_equal(shutdown(rig.daemon, SHUT_WR), 0);
	WAIT_FOR(hears(neighbor, NOTIFICATION_TEXT));
	WAIT_FOR(hears_end(neighbor) == TLS_EOF);
	WAIT_FOR(look(rig.neighbor) == 0);
	/* The other half is open until the neighbor closes it too. */
	say(neighbor, "more");
	WAIT_FOR(gets_text(rig.daemon, "more"));
	assert_false(rig.has_ended);
	assert_int_equal(tls_close_notify(neighbor), TLS_DONE);
	WAIT_FOR(look(rig.daemon) == 0);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_INNER, RELAY_EOF);
	tls_free(neighbor);
	rig_close(&rig);
}

/* Half a record of the neighbor's after the daemon's end: nobody spins. */
static void test_half_a_record_after_the_end(void **state)
{
	static const uint8_t half[] = {0x17, 3, 3, 0, 64, 1, 2, 3, 4};
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");

	(void)state;
	assert_int_equal(shutdown(rig.daemon, SHUT_WR), 0);
	WAIT_FOR(hears_end(neighbor) == TLS_EOF);
	send_all(rig.neighbor, half, sizeof(half));
	run_for(20);
	run_for(100);
	assert_true(turns < 400);
	tls_free(neighbor);
	rig_close(&rig);
}

static void test_neighbor_closes(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");

	(void)state;
	say(neighbor, NOTIFICATION_TEXT);
	assert_int_equal(tls_close_notify(neighbor), TLS_DONE);
	assert_int_equal(shutdown(rig.neighbor, SHUT_WR), 0);
	WAIT_FOR(gets_text(rig.daemon, NOTIFICATION_TEXT));
	WAIT_FOR(look(rig.daemon) == 0);
	close(TAKE_FD(rig.daemon));
	WAIT_FOR(hears_end(neighbor) == TLS_EOF);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_OUTER, RELAY_EOF);
	tls_free(neighbor);
	rig_close(&rig);
}

/* FIN without close_notify: anybody could have sent it. The daemon sees RST, after the bytes. */
static void test_truncated(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");

	(void)state;
	say(neighbor, "half a sess");
	assert_int_equal(shutdown(rig.neighbor, SHUT_WR), 0);
	WAIT_FOR(gets_text(rig.daemon, "half a sess"));
	WAIT_FOR(look(rig.daemon) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_OUTER, RELAY_RESET);
	assert_non_null(strstr(rig.end.text, "close_notify"));
	tls_free(neighbor);
	rig_close(&rig);
}

/* A record that was tampered with: RST to the daemon, an alert to the neighbor. */
static void test_broken_record(void **state)
{
	static const uint8_t record[5 + 40] = {0x17, 3, 3, 0, 40, 1, 2, 3};
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");
	const char *text = "";

	(void)state;
	say(neighbor, "good");
	send_all(rig.neighbor, record, sizeof(record));
	WAIT_FOR(gets_text(rig.daemon, "good"));
	WAIT_FOR(look(rig.daemon) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_OUTER, RELAY_RESET);
	assert_non_null(strstr(rig.end.text, "record mac"));
	WAIT_FOR(hears_end(neighbor) == TLS_FAILED);
	assert_int_equal(tls_failure(neighbor, &text), TLS_REASON_PEER_ALERT);
	tls_free(neighbor);
	rig_close(&rig);
}

/* Both ways: the last words, then RST. */
static void test_notification_then_reset(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");

	(void)state;
	send_all(rig.daemon, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
	reset(&rig.daemon);
	WAIT_FOR(hears(neighbor, NOTIFICATION_TEXT));
	WAIT_FOR(rig.has_ended);
	assert_int_equal(hears_end(neighbor), TLS_FAILED);
	assert_int_equal(tls_failure(neighbor, NULL), TLS_REASON_RESET);
	check_end(&rig, RELAY_INNER, RELAY_RESET);
	tls_free(neighbor);
	rig_close(&rig);

	neighbor = rig_open_tls(&rig, 0, "");
	say(neighbor, NOTIFICATION_TEXT);
	reset(&rig.neighbor);
	send_all(rig.daemon, "update", 6);
	WAIT_FOR(gets_text(rig.daemon, NOTIFICATION_TEXT));
	WAIT_FOR(look(rig.daemon) == -ECONNRESET);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_OUTER, RELAY_RESET);
	tls_free(neighbor);
	rig_close(&rig);
}

static void test_close(void **state)
{
	struct rig rig;
	struct tls *neighbor = rig_open_tls(&rig, 0, "");

	(void)state;
	assert_int_equal(relay_close(rig.relay), 0);
	WAIT_FOR(hears_end(neighbor) == TLS_EOF);
	WAIT_FOR(look(rig.daemon) == 0);
	assert_int_equal(tls_close_notify(neighbor), TLS_DONE);
	close(TAKE_FD(rig.daemon));
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_US, RELAY_CLOSED);
	tls_free(neighbor);
	rig_close(&rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_few_records),	    TEST(test_early_bytes),
		TEST(test_transfer),	    TEST(test_daemon_closes),
		TEST(test_neighbor_closes), TEST(test_truncated),
		TEST(test_broken_record),   TEST(test_notification_then_reset),
		TEST(test_close),	    TEST(test_half_a_record_after_the_end),
	};

	int failed;

	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("user space", tests, pki_setup, pki_teardown);
	if (pair_can_be_in_kernel()) {
		pair_in_kernel = true;
		failed += relay_splice_start() < 0;
		failed += cmocka_run_group_tests_name("kernel", tests, pki_setup, pki_teardown);
	}
	return failed;
}
