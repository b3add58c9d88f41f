// SPDX-License-Identifier: Apache-2.0
/* Bytes through an established connection: KeyUpdate, slow sockets, and every way to end. */
#include "tcp_pair.h"
#include "tls_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#define LOAD (pair_in_kernel ? 1 << 20 : 5 << 20) /* the guest is slow */

static uint8_t pattern(int side, size_t at)
{
	return (at * 31 + (at >> 11) + (at >> 17) + side * 101) & 0xff;
}

/* One direction of a transfer: what `from` has written and what the other end has read. */
struct flow {
	struct tls *from, *to;
	int side;
	size_t sent, received, total;
	size_t offered; /* a write that must be repeated */
	unsigned random;
};

static unsigned next_random(struct flow *f)
{
	f->random = f->random * 1103515245 + 12345;
	return f->random >> 8;
}

static bool flow_write(struct flow *f)
{
	uint8_t buf[20000];
	size_t n, len = f->offered;
	enum tls_want want;

	if (f->sent == f->total)
		return false;
	if (!len)
		len = 1 + next_random(f) % sizeof(buf);
	if (len > f->total - f->sent)
		len = f->total - f->sent;
	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(f->side, f->sent + i);
	want = tls_write(f->from, buf, len, &n);
	if (want == TLS_WANT_READ || want == TLS_WANT_WRITE) {
		f->offered = len;
		return false;
	}
	if (want != TLS_DONE) {
		const char *text;

		tls_failure(f->from, &text);
		fail_msg("write after %zu bytes: %d %s", f->sent, want, text);
	}
	assert_in_range(n, 1, len);
	f->sent += n;
	f->offered = 0;
	return true;
}

static bool flow_read(struct flow *f)
{
	uint8_t buf[9000];
	size_t n, len = 1 + next_random(f) % sizeof(buf);
	enum tls_want want = tls_read(f->to, buf, len, &n);

	if (want == TLS_WANT_READ || want == TLS_WANT_WRITE)
		return false;
	if (want != TLS_DONE) {
		const char *text;

		tls_failure(f->to, &text);
		fail_msg("read after %zu bytes: %d %s", f->received, want, text);
	}
	assert_in_range(n, 1, len);
	for (size_t i = 0; i < n; i++, f->received++)
		if (buf[i] != pattern(f->side, f->received))
			fail_msg("byte %zu is wrong", f->received);
	return true;
}

/* Without AUTO_RETRY a call may consume a KeyUpdate and nothing else, so a few idle rounds are
 * normal. */
static void run_flows(struct flow *f, size_t count)
{
	size_t missing;
	int idle = 0;

	do {
		bool has_moved = false;

		missing = 0;
		for (size_t i = 0; i < count; i++) {
			for (unsigned turns = next_random(&f[i]) % 4; turns; turns--)
				has_moved |= flow_write(&f[i]);
			for (unsigned turns = next_random(&f[i]) % 4; turns; turns--)
				has_moved |= flow_read(&f[i]);
			missing += f[i].total - f[i].received;
		}
		idle = has_moved ? 0 : idle + 1;
		if (idle > 100 && pair_in_kernel)
			poll(NULL, 0, 1); /* TCP has its own time */
		if (idle > 2000)
			fail_msg("stuck: %zu and %zu bytes arrived", f[0].received,
				 count > 1 ? f[1].received : 0);
	} while (missing);
}

static void open_good(struct pair *p)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);

	pair_open(p, &c, &s);
	pair_handshake(p);
	assert_int_equal(p->want[TLS_CLIENT], TLS_DONE);
	assert_int_equal(p->want[TLS_SERVER], TLS_DONE);
}

static void open_raw_client(struct pair *p, int version)
{
	struct tls_params s = good_params(&pki.server);

	s.allow_tls12 = true;
	pair_open(p, NULL, &s);
	pair_raw(
		p, TLS_CLIENT,
		&(struct raw_options){.version = version, .alpn = ALPN_BOTLS, .cert = &pki.client});
	pair_handshake(p);
	assert_int_equal(p->want[TLS_CLIENT], TLS_DONE);
}

static void flow_init(struct flow *f, struct pair *p, int side, size_t total)
{
	*f = (struct flow){.from = p->t[side], .to = p->t[!side], .side = side, .total = total};
	f->random = 7 + side;
}

static void test_key_update_under_load(void **state)
{
	static const uint64_t limits[][2] = {{16, 16}, {16, 0}, {0, 16}, {1, 1}, {3, 50}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct tls_info info[2];
		struct flow f[2];
		struct pair p;
		int small = 4096;

		open_good(&p);
		for (int side = 0; side < 2; side++) {
			setsockopt(p.fd[side], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
			tls_set_key_update_records(p.t[side], limits[i][side]);
			flow_init(&f[side], &p, side, LOAD);
		}
		run_flows(f, 2);
		for (int side = 0; side < 2; side++)
			tls_get_info(p.t[side], &info[side]);
		for (int side = 0; side < 2; side++) {
			/* every one asks for one in return, so both count even when one end only
			 * answers */
			assert_in_range(info[side].key_updates_sent, LOAD / 16384 / 60, 100000);
			assert_true(info[side].key_updates_received > 0);
			assert_true(info[side].key_updates_received <=
				    info[!side].key_updates_sent);
			assert_false(info[side].is_past_key_limit);
		}
		if (limits[i][0] == 16) {
			assert_true(info[0].key_updates_sent >= info[0].records_out / 17 - 1);
			assert_true(info[0].key_updates_sent <=
				    info[0].records_out / 16 + info[0].key_updates_received + 1);
		}
		if (limits[i][0] == 16 && !limits[i][1])
			assert_true(info[0].key_updates_sent <= info[0].records_out / 16 + 1);
		pair_close(&p);
	}
}

static void test_no_key_update_below_limit(void **state)
{
	struct tls_info info;
	struct flow f[2];
	struct pair p;

	(void)state;
	open_good(&p);
	for (int side = 0; side < 2; side++)
		flow_init(&f[side], &p, side, 1 << 20);
	run_flows(f, 2);
	tls_get_info(p.t[0], &info);
	assert_int_equal(info.key_updates_sent + info.key_updates_received, 0);
	pair_close(&p);
}

static void test_tls12_counts_instead(void **state)
{
	struct tls_info info;
	struct pair p;
	size_t n;

	(void)state;
	open_raw_client(&p, TLS1_2_VERSION);
	tls_set_key_update_records(p.t[TLS_SERVER], 16);
	for (int i = 0; i < 20; i++) {
		tls_get_info(p.t[TLS_SERVER], &info);
		assert_int_equal(info.is_past_key_limit, info.records_out >= 16);
		assert_int_equal(tls_write(p.t[TLS_SERVER], "x", 1, &n), TLS_DONE);
	}
	assert_true(info.is_past_key_limit);
	assert_int_equal(info.key_updates_sent, 0);
	pair_close(&p);
}

/* Bytes cross one at a time, in both directions, handshake included. */
static void test_dribble(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	enum tls_want want[2] = {TLS_WANT_READ, TLS_WANT_READ};
	struct flow f[2];
	struct pair p, wire;
	int left_open[2];

	(void)state;
	pair_open(&p, &c, NULL);
	pair_open(&wire, NULL, &s);
	p.t[TLS_SERVER] = wire.t[TLS_SERVER];
	left_open[0] = p.fd[TLS_SERVER]; /* client -> left_open[0] -> left_open[1] -> server */
	left_open[1] = wire.fd[TLS_CLIENT];
	for (int side = 0; side < 2; side++)
		flow_init(&f[side], &p, side, 3000);
	for (int round = 0; f[0].received + f[1].received < 6000; round++) {
		char byte;

		assert_true(round < 100000);
		for (int i = 0; i < 2; i++)
			if (recv(left_open[i], &byte, 1, 0) == 1)
				assert_int_equal(send(left_open[!i], &byte, 1, 0), 1);
		for (int side = 0; side < 2; side++) {
			if (want[side] != TLS_DONE) {
				want[side] = tls_handshake(p.t[side]);
				assert_int_not_equal(want[side], TLS_FAILED);
				continue;
			}
			flow_write(&f[side]);
			if (want[!side] == TLS_DONE)
				flow_read(&f[side]);
		}
	}
	wire.t[TLS_SERVER] = NULL;
	pair_close(&p);
	pair_close(&wire);
}

/* A record half arrived is no pending data (a caller would spin); a record half read is. */
static void test_pending(void **state)
{
	uint8_t record[600], buf[100];
	struct pair p;
	ssize_t len;
	size_t n;

	(void)state;
	open_good(&p);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(tls_write(p.t[TLS_CLIENT], buf, sizeof(buf), &n), TLS_DONE);
	len = recv(p.fd[TLS_SERVER], record, sizeof(record), 0);
	assert_true(len > 100);
	assert_int_equal(send(p.fd[TLS_CLIENT], record, 50, 0), 50);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, 10, &n), TLS_WANT_READ);
	assert_false(tls_has_pending(p.t[TLS_SERVER]));
	assert_int_equal(send(p.fd[TLS_CLIENT], record + 50, len - 50, 0), len - 50);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, 10, &n), TLS_DONE);
	assert_int_equal(n, 10);
	assert_true(tls_has_pending(p.t[TLS_SERVER]));
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 90);
	assert_false(tls_has_pending(p.t[TLS_SERVER]));
	pair_close(&p);
}

static void test_half_close(void **state)
{
	(void)state;
	for (int closer = 0; closer < 2; closer++) {
		struct flow back, forth;
		struct pair p;
		size_t n;
		char c;

		open_good(&p);
		tls_set_key_update_records(p.t[!closer], 16);
		flow_init(&forth, &p, closer, 5000);
		run_flows(&forth, 1);
		assert_int_equal(tls_close_notify(p.t[closer]), TLS_DONE);
		assert_int_equal(tls_close_notify(p.t[closer]), TLS_DONE);
		assert_int_equal(tls_write(p.t[closer], "x", 1, &n), TLS_FAILED);
		assert_int_equal(tls_read(p.t[!closer], &c, 1, &n), TLS_EOF);
		assert_int_equal(tls_read(p.t[!closer], &c, 1, &n), TLS_EOF);
		/* the other direction goes on, with the KeyUpdates that nobody can answer any more
		 */
		flow_init(&back, &p, !closer, 1 << 20);
		run_flows(&back, 1);
		assert_int_equal(tls_close_notify(p.t[!closer]), TLS_DONE);
		assert_int_equal(tls_read(p.t[closer], &c, 1, &n), TLS_EOF);
		pair_close(&p);
	}
}

static void test_half_close_tls12(void **state)
{
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	open_raw_client(&p, TLS1_2_VERSION);
	assert_int_equal(tls_close_notify(p.t[TLS_SERVER]), TLS_DONE);
	assert_int_equal(SSL_read(p.raw[TLS_CLIENT], buf, sizeof(buf)), 0);
	assert_int_equal(SSL_write(p.raw[TLS_CLIENT], "after", 5), 5);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 5);
	SSL_shutdown(p.raw[TLS_CLIENT]);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_EOF);
	pair_close(&p);
}

static void test_close_notify_waits_for_room(void **state)
{
	uint8_t block[4096] = {};
	struct pair p;
	ssize_t filled = 0, n;
	size_t got;
	char c;

	(void)state;
	open_good(&p);
	while ((n = send(p.fd[TLS_CLIENT], block, sizeof(block), 0)) > 0)
		filled += n;
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_WANT_WRITE);
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_WANT_WRITE);
	while (filled > 0)
		filled -= recv(p.fd[TLS_SERVER], block, sizeof(block), 0);
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_DONE);
	assert_int_equal(tls_read(p.t[TLS_SERVER], &c, 1, &got), TLS_EOF);
	pair_close(&p);
}

/* A close in the middle of a record: both arrive whole. */
static void test_close_notify_in_a_record(void **state)
{
	static uint8_t block[16384];
	size_t n, written = 0, received = 0;
	enum tls_want want;
	struct pair p;

	(void)state;
	open_good(&p);
	while (tls_write(p.t[TLS_CLIENT], block, sizeof(block), &n) == TLS_DONE)
		written += n;
	written += sizeof(block);
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_WANT_WRITE);
	while ((want = tls_read(p.t[TLS_SERVER], block, sizeof(block), &n)) != TLS_EOF) {
		assert_true(want == TLS_DONE || want == TLS_WANT_READ);
		received += want == TLS_DONE ? n : 0;
		assert_int_not_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_FAILED);
	}
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_DONE);
	assert_int_equal(received, written);
	pair_close(&p);
}

static void test_truncation(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair p;
		size_t n;
		char c;

		open_good(&p);
		assert_int_equal(tls_write(p.t[!side], "ab", 2, &n), TLS_DONE);
		shutdown(p.fd[!side], SHUT_WR);
		assert_int_equal(tls_read(p.t[side], &c, 1, &n), TLS_DONE);
		assert_int_equal(tls_read(p.t[side], &c, 1, &n), TLS_DONE);
		p.want[side] = tls_read(p.t[side], &c, 1, &n);
		assert_int_equal(p.want[side], TLS_TRUNCATED);
		assert_failure(&p, side, TLS_REASON_CLOSED, "closed TCP without close_notify");
		assert_int_equal(tls_read(p.t[side], &c, 1, &n), TLS_TRUNCATED);
		pair_close(&p);
	}
}

static void test_truncated_record(void **state)
{
	uint8_t record[200];
	struct pair p;
	ssize_t len;
	size_t n;

	(void)state;
	open_good(&p);
	assert_int_equal(tls_write(p.t[TLS_CLIENT], "hello", 5, &n), TLS_DONE);
	len = recv(p.fd[TLS_SERVER], record, sizeof(record), 0);
	assert_int_equal(send(p.fd[TLS_CLIENT], record, len - 1, 0), len - 1);
	shutdown(p.fd[TLS_CLIENT], SHUT_WR);
	assert_int_equal(tls_read(p.t[TLS_SERVER], record, sizeof(record), &n), TLS_WANT_READ);
	assert_false(tls_has_pending(p.t[TLS_SERVER]));
	assert_int_equal(tls_read(p.t[TLS_SERVER], record, sizeof(record), &n), TLS_TRUNCATED);
	pair_close(&p);
}

/* Altered on the way, and repeated. */
static void test_tampering(void **state)
{
	(void)state;
	for (int replay = 0; replay < 2; replay++) {
		uint8_t record[200], buf[8];
		struct pair p;
		ssize_t len;
		size_t n;

		open_good(&p);
		assert_int_equal(tls_write(p.t[TLS_CLIENT], "hello", 5, &n), TLS_DONE);
		len = recv(p.fd[TLS_SERVER], record, sizeof(record), 0);
		if (!replay)
			record[len - 1] ^= 1;
		assert_int_equal(send(p.fd[TLS_CLIENT], record, len, 0), len);
		assert_int_equal(send(p.fd[TLS_CLIENT], record, len, 0), len);
		if (replay)
			assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
		p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
		assert_failure(&p, TLS_SERVER, TLS_REASON_PROTOCOL, "bad record mac");
		p.want[TLS_CLIENT] = tls_read(p.t[TLS_CLIENT], buf, sizeof(buf), &n);
		assert_failure(&p, TLS_CLIENT, TLS_REASON_PEER_ALERT, "bad_record_mac (20)");
		pair_close(&p);
	}
}

/* Real TCP, for what UNIX sockets do in another way. */
static void open_tcp(struct pair *p, const struct tls_params *c, const struct tls_params *s)
{
	int fd[2];

	pair_open(p, c, s);
	tcp_pair(fd, 0);
	for (int i = 0; i < 2; i++) {
		dup2(fd[i], p->fd[i]);
		close(fd[i]);
	}
}

static void reset(struct pair *p, int side)
{
	const struct linger hard = {.l_onoff = 1};

	setsockopt(p->fd[side], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(p->fd[side]);
	p->fd[side] = -1;
}

static void test_reset(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	struct pair p;
	char ch;
	size_t n;

	(void)state;
	open_tcp(&p, &c, &s);
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_SERVER], TLS_DONE);
	reset(&p, TLS_SERVER);
	p.want[TLS_CLIENT] = tls_read(p.t[TLS_CLIENT], &ch, 1, &n);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_RESET, "the peer reset the connection");
	pair_close(&p);

	/* found by a write: what came before can still be read */
	open_tcp(&p, &c, &s);
	pair_handshake(&p);
	assert_int_equal(tls_write(p.t[TLS_SERVER], "z", 1, &n), TLS_DONE);
	reset(&p, TLS_SERVER);
	p.want[TLS_CLIENT] = tls_write(p.t[TLS_CLIENT], "x", 1, &n);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_RESET, "the peer reset the connection");
	assert_int_equal(tls_write(p.t[TLS_CLIENT], "x", 1, &n), TLS_FAILED);
	assert_int_equal(tls_read(p.t[TLS_CLIENT], &ch, 1, &n), TLS_DONE);
	assert_int_equal(ch, 'z');
	pair_close(&p);
}

/* The server refuses our certificate while we are writing already: the alert must win over EPIPE.
 */
static void test_refusal_found_by_a_write(void **state)
{
	struct tls_params c = good_params(&pki.client), s = good_params(&pki.server);
	struct pair p;
	size_t n;

	(void)state;
	s.ca = cert_blob("other.pem", pki.other_ca.pem);
	open_tcp(&p, &c, &s);
	while (tls_handshake(p.t[TLS_CLIENT]) != TLS_DONE)
		assert_int_not_equal(tls_handshake(p.t[TLS_SERVER]), TLS_FAILED);
	assert_int_equal(tls_write(p.t[TLS_CLIENT], "open", 4, &n), TLS_DONE);
	assert_int_equal(tls_handshake(p.t[TLS_SERVER]), TLS_FAILED);
	close(p.fd[TLS_SERVER]);
	p.fd[TLS_SERVER] = -1;
	do
		p.want[TLS_CLIENT] = tls_write(p.t[TLS_CLIENT], "more", 4, &n);
	while (p.want[TLS_CLIENT] == TLS_DONE);
	assert_failure(&p, TLS_CLIENT, TLS_REASON_PEER_ALERT, "alert unknown_ca (48)");
	pair_close(&p);
}

static void test_alert_in_a_session(void **state)
{
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	open_raw_client(&p, TLS1_3_VERSION);
	assert_int_equal(SSL_write(p.raw[TLS_CLIENT], "data", 4), 4);
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	/* a record that the peer cannot read makes it send bad_record_mac */
	assert_int_equal(send(p.fd[TLS_SERVER],
			      "\x17\x03\x03\x00\x14"
			      "01234567890123456789",
			      25, 0),
			 25);
	assert_int_equal(SSL_read(p.raw[TLS_CLIENT], buf, sizeof(buf)), -1);
	p.want[TLS_SERVER] = tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n);
	assert_failure(&p, TLS_SERVER, TLS_REASON_PEER_ALERT,
		       "the peer ended the session: alert bad_record_mac (20)");
	pair_close(&p);
}

/* A peer that does nothing but ask for new keys gets one answer per call, not our whole time. */
static void test_key_update_flood_is_bounded(void **state)
{
	struct tls_info info;
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	open_raw_client(&p, TLS1_3_VERSION);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(SSL_key_update(p.raw[TLS_CLIENT], SSL_KEY_UPDATE_REQUESTED), 1);
		SSL_do_handshake(p.raw[TLS_CLIENT]);
	}
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_WANT_READ);
	tls_get_info(p.t[TLS_SERVER], &info);
	assert_int_equal(info.key_updates_received, 1);
	pair_close(&p);
}

/* It also reads nothing, so that our answers can go nowhere: they may not pile up. */
static void test_key_update_flood_into_a_full_socket(void **state)
{
	static uint8_t block[16384];
	int small = 4096, requests;
	enum tls_want want = TLS_WANT_READ;
	struct pair p;
	size_t n;

	(void)state;
	open_raw_client(&p, TLS1_3_VERSION);
	setsockopt(p.fd[TLS_SERVER], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (tls_write(p.t[TLS_SERVER], block, sizeof(block), &n) == TLS_DONE)
		;
	for (requests = 0; want != TLS_WANT_WRITE && requests < 5000; requests++) {
		assert_int_equal(SSL_key_update(p.raw[TLS_CLIENT], SSL_KEY_UPDATE_REQUESTED), 1);
		SSL_do_handshake(p.raw[TLS_CLIENT]);
		for (int reads = 0; reads < 2; reads++) {
			want = tls_read(p.t[TLS_SERVER], block, sizeof(block), &n);
			assert_true(want == TLS_WANT_READ || want == TLS_WANT_WRITE);
		}
	}
	assert_in_range(requests, 1000, 4000);
	pair_close(&p);
}

/* The answer to a KeyUpdate finds nobody: what is written next fails with a reason. */
static void test_write_after_a_lost_answer(void **state)
{
	const char *text;
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	open_raw_client(&p, TLS1_3_VERSION);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(SSL_key_update(p.raw[TLS_CLIENT], SSL_KEY_UPDATE_REQUESTED), 1);
		SSL_do_handshake(p.raw[TLS_CLIENT]);
	}
	close(p.fd[TLS_CLIENT]);
	p.fd[TLS_CLIENT] = -1;
	for (int i = 0; i < 2; i++)
		assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_WANT_READ);
	assert_int_equal(tls_write(p.t[TLS_SERVER], "x", 1, &n), TLS_FAILED);
	assert_int_equal(tls_failure(p.t[TLS_SERVER], &text), TLS_REASON_RESET);
	assert_non_null(strstr(text, "reset the connection"));
	pair_close(&p);
}

/* Unread bytes would make close() send RST, which may overtake our alert. */
static void test_refusal_ends_with_fin(void **state)
{
	static const uint8_t plain[3000] = {0xff, 0xff},
			     broken[3000] = {0x16, 3, 1, 0, 5, 'z', 'z', 'z', 'z', 'z'};
	const uint8_t *const inputs[] = {plain, broken};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		struct tls_params s = good_params(&pki.server);
		ssize_t n, total = 0;
		struct pair p;
		char answer[64];

		open_tcp(&p, NULL, &s);
		assert_int_equal(send(p.fd[TLS_CLIENT], inputs[i], sizeof(plain), 0),
				 sizeof(plain));
		pair_handshake(&p);
		assert_int_equal(p.want[TLS_SERVER], TLS_FAILED);
		while ((n = recv(p.fd[TLS_CLIENT], answer, sizeof(answer), 0)) > 0)
			total += n;
		assert_int_equal(n, 0);
		assert_int_equal(total, i ? 7 : 0); /* an alert, or silence */
		pair_close(&p);
	}
}

static void test_peek(void **state)
{
	struct pair p;
	char buf[8];
	size_t n;

	(void)state;
	open_good(&p);
	assert_int_equal(tls_peek(p.t[TLS_SERVER]), TLS_WANT_READ);
	assert_int_equal(tls_write(p.t[TLS_CLIENT], "open", 4, &n), TLS_DONE);
	assert_int_equal(tls_peek(p.t[TLS_SERVER]), TLS_DONE);
	assert_int_equal(tls_peek(p.t[TLS_SERVER]), TLS_DONE);
	assert_true(tls_has_pending(p.t[TLS_SERVER]));
	assert_int_equal(tls_read(p.t[TLS_SERVER], buf, sizeof(buf), &n), TLS_DONE);
	assert_int_equal(n, 4);
	assert_int_equal(tls_close_notify(p.t[TLS_CLIENT]), TLS_DONE);
	assert_int_equal(tls_peek(p.t[TLS_SERVER]), TLS_EOF);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_update_under_load),
		cmocka_unit_test(test_no_key_update_below_limit),
		cmocka_unit_test(test_tls12_counts_instead),
		cmocka_unit_test(test_dribble),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_half_close_tls12),
		cmocka_unit_test(test_close_notify_waits_for_room),
		cmocka_unit_test(test_close_notify_in_a_record),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_truncated_record),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_refusal_found_by_a_write),
		cmocka_unit_test(test_alert_in_a_session),
		cmocka_unit_test(test_key_update_flood_is_bounded),
		cmocka_unit_test(test_key_update_flood_into_a_full_socket),
		cmocka_unit_test(test_write_after_a_lost_answer),
		cmocka_unit_test(test_refusal_ends_with_fin),
		cmocka_unit_test(test_peek),
	};

	const struct CMUnitTest in_kernel[] = {
		cmocka_unit_test(test_key_update_under_load),
		cmocka_unit_test(test_no_key_update_below_limit),
		cmocka_unit_test(test_dribble),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_close_notify_waits_for_room),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_refusal_found_by_a_write),
		cmocka_unit_test(test_key_update_flood_is_bounded),
		cmocka_unit_test(test_write_after_a_lost_answer),
		cmocka_unit_test(test_peek),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("user space", tests, pki_setup, pki_teardown);
	if (pair_can_be_in_kernel()) {
		pair_in_kernel = true;
		failed += cmocka_run_group_tests_name("kernel", in_kernel, pki_setup, pki_teardown);
	}
	return failed;
}
