// SPDX-License-Identifier: Apache-2.0
#include "session_rig.h"

#include "botls/metrics.h"
#include "util.h"

#include <errno.h>

static const char open_64500[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				 "\x00\x1d\x01\x04\xfb\xf4\x00\x5a"
				 "\xc0\x00\x02\x02\x00";
#define OPEN_LEN 29
static const char keepalive[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				"\x00\x13\x04";
#define KEEPALIVE_LEN 19

static void neighbor_hangs_up(struct play *p)
{
	tls_free(TAKE(p->tls));
	close(TAKE_FD(p->neighbor));
	p->is_done = false;
}

/* What the daemon reads next: bytes, 0 for FIN, -errno. -EAGAIN when nothing comes for `ms`. */
static ssize_t daemon_reads(struct play *p, void *buf, size_t len, int ms)
{
	for (int i = 0; i < ms; i++) {
		ssize_t n = recv(p->daemon, buf, len, 0);

		if (n >= 0 || errno != EAGAIN)
			return n < 0 ? -errno : n;
		play_turn(p);
	}
	return -EAGAIN;
}

static void out_carries_bytes_and_ends(void **state)
{
	struct play *p = *state;
	struct session_info info;
	char buf[256];
	size_t n = 0;

	play_begin_out(p);
	assert_int_equal(send(p->daemon, open_64500, OPEN_LEN, 0), OPEN_LEN);
	play_neighbor_answers(p, p->theirs);
	until(p, p->is_done);
	until(p, tls_read(p->tls, buf, sizeof(buf), &n) == TLS_DONE);
	assert_int_equal(n, OPEN_LEN);
	assert_memory_equal(buf, open_64500, OPEN_LEN);
	until(p, session_state(p->session) == SESSION_UP);

	assert_int_equal(tls_write(p->tls, open_64500, OPEN_LEN, &n), TLS_DONE);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 5000), OPEN_LEN);
	session_get_info(p->session, &info);
	assert_true(info.has_tls);
	assert_string_equal(info.tls.version, "TLSv1.3");
	assert_int_equal(info.in->open.as, 64500);
	assert_int_equal(info.bgp, SBGP_OPENCONFIRM);

	close(TAKE_FD(p->daemon));
	until(p, tls_read(p->tls, buf, sizeof(buf), &n) == TLS_EOF);
	neighbor_hangs_up(p);
	until(p, p->has_ended);
	assert_non_null(strstr(p->why, "daemon closed"));
	assert_int_equal(p->failures, 0);
}

/* interception-facts: a stale OPEN that is replayed later makes the peer drop its good session. */
static void out_gives_up_with_the_daemon(void **state)
{
	struct play *p = *state;

	play_begin_out(p);
	session_give_socket(p->session, p->request, -1, "connection refused");
	assert_int_equal(session_state(p->session), SESSION_HELD);
	assert_int_equal(p->failures, 1);
	close(TAKE_FD(p->daemon));
	until(p, p->has_ended);
	assert_int_equal(p->outer_wanted, 1);
	assert_non_null(strstr(p->why, "gave up"));
}

static void out_gives_up_while_dialing(void **state)
{
	struct play *p = *state;

	play_begin_out(p);
	close(TAKE_FD(p->daemon));
	until(p, p->has_ended);
	assert_int_equal(p->forgotten, p->request);
}

static void out_tries_again(void **state)
{
	struct play *p = *state;
	char buf[64];

	play_begin_out(p);
	session_give_socket(p->session, p->request, -1, "connection refused");
	until(p, p->outer_wanted == 2);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 10), -EAGAIN);
	play_neighbor_answers(p, p->theirs);
	until(p, session_state(p->session) == SESSION_UP);
}

static void out_without_patience_resets(void **state)
{
	struct play *p = *state;
	char buf[64];

	p->config.hold_time = 0;
	play_begin_out(p);
	session_give_socket(p->session, p->request, -1, "connection refused");
	assert_true(p->has_ended);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 1000), -ECONNRESET);
}

/* With TLS 1.3 the client is done before the server has looked at its certificate. */
static void out_refused_late_is_held(void **state)
{
	struct play *p = *state;
	struct tls_params strict = good_params(&pki.server);
	struct tls_ctx *ctx;
	struct errtext e;
	char buf[64];

	strict.ca = cert_blob("other_ca.pem", pki.other_ca.pem);
	assert_int_equal(tls_ctx_new(&strict, &ctx, &e), 0);
	play_begin_out(p);
	send(p->daemon, open_64500, OPEN_LEN, 0);
	play_neighbor_answers(p, ctx);
	until(p, p->failures == 1);
	assert_int_equal(p->want, TLS_FAILED);
	assert_int_equal(p->reason, TLS_REASON_PEER_ALERT);
	assert_int_equal(session_state(p->session), SESSION_HELD);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 10), -EAGAIN);
	neighbor_hangs_up(p);
	tls_ctx_unref(ctx);
}

static void required_never_asks_for_clear(void **state)
{
	struct play *p = *state;

	p->may_clear = true; /* whatever the host says */
	play_begin_out(p);
	for (unsigned i = 2; i <= 3; i++) {
		session_give_socket(p->session, p->request, -1, "refused");
		until(p, p->outer_wanted == i);
		assert_false(p->last_clear);
	}
}

static void preferred_goes_clear(void **state)
{
	struct play *p = *state;
	char buf[64];
	int outer;

	p->config.mode = MODE_PREFERRED;
	p->may_clear = true;
	play_begin_out(p);
	assert_false(p->last_clear); /* TLS is always tried first */
	session_give_socket(p->session, p->request, -1, "refused");
	until(p, p->outer_wanted == 2);
	assert_true(p->last_clear);
	play_connection(&outer, &p->neighbor);
	session_give_socket(p->session, p->request, outer, NULL);
	until(p, session_state(p->session) == SESSION_CLEAR);
	send(p->neighbor, "hello", 5, 0);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 2000), 5);
}

/* TLS came back while the attempt in clear text waited for its turn. */
static void clear_is_decided_when_it_is_tried(void **state)
{
	struct play *p = *state;

	p->config.mode = MODE_PREFERRED;
	p->may_clear = true;
	play_begin_out(p);
	p->has_no_slot = true;
	session_give_socket(p->session, p->request, -1, "refused");
	assert_int_equal(session_state(p->session), SESSION_HELD);
	p->may_clear = p->has_no_slot = false;
	until(p, p->outer_wanted == 2);
	assert_false(p->last_clear);
}

/* This neighbor has no TLS to go on with. */
static void tcp_ao_alone_waits_for_its_turn(void **state)
{
	struct play *p = *state;
	struct session_params sp = play_params(p);
	int inner;

	p->config.mode = MODE_TCP_AO;
	sp.ctx = NULL;
	p->has_no_slot = true;
	play_connection(&p->daemon, &inner);
	assert_int_equal(session_new_out(&sp, inner, &p->session), 0);
	until(p, session_state(p->session) == SESSION_HELD);
	p->has_no_slot = false;
	until(p, p->outer_wanted == 1);
	assert_true(p->last_clear);
	play_connection(&inner, &p->neighbor);
	session_give_socket(p->session, p->request, inner, NULL);
	until(p, session_state(p->session) == SESSION_CLEAR);
}

static void knock(struct play *p)
{
	struct session_params sp = play_params(p);
	struct addr peer = address(SERVER_ADDRESS);
	int outer;

	p->is_done = false;
	sp.own = address(SERVER_ADDRESS);
	sp.peer = address(CLIENT_ADDRESS);
	sp.ctx = p->theirs;
	play_connection(&p->neighbor, &outer);
	assert_int_equal(session_new_in(&sp, outer, &p->session), 0);
	assert_int_equal(tls_new(p->ours, TLS_CLIENT, p->neighbor, &peer, &p->tls), 0);
}

static void begin_in(struct play *p)
{
	knock(p);
	until(p, p->inner_wanted == 1);
	assert_int_equal(session_state(p->session), SESSION_INNER);
}

static void in_reaches_the_daemon(void **state)
{
	struct play *p = *state;
	char buf[64];
	size_t n;
	int inner;

	begin_in(p);
	assert_int_equal(tls_write(p->tls, open_64500, OPEN_LEN, &n), TLS_DONE);
	play_connection(&inner, &p->daemon);
	session_give_socket(p->session, p->request, inner, NULL);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 2000), OPEN_LEN);
	assert_int_equal(session_state(p->session), SESSION_UP);
}

static uint64_t established(struct play *p)
{
	uint64_t row[BM_VALUES] = {};

	session_add_metrics(p->session, row);
	return row[BM_ESTABLISHED];
}

/* mode tcp-ao: no TLS on the way in either, and nothing is read before the daemon is there. */
static void tcp_ao_alone_reaches_the_daemon(void **state)
{
	struct session_params sp;
	struct play *p = *state;
	char buf[64];
	int outer, inner;

	p->config.mode = MODE_TCP_AO;
	sp = play_params(p);
	sp.ctx = NULL;
	play_connection(&p->neighbor, &outer);
	assert_int_equal(send(p->neighbor, open_64500, OPEN_LEN, 0), OPEN_LEN);
	assert_int_equal(session_new_in(&sp, outer, &p->session), 0);
	assert_int_equal(p->inner_wanted, 0);
	until(p, p->inner_wanted == 1);
	assert_int_equal(session_state(p->session), SESSION_INNER);
	play_connection(&inner, &p->daemon);
	session_give_socket(p->session, p->request, inner, NULL);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 2000), OPEN_LEN);
	assert_int_equal(session_state(p->session), SESSION_CLEAR);
	assert_int_equal(established(p), 0);
	send(p->daemon, open_64500, OPEN_LEN, 0);
	send(p->daemon, keepalive, KEEPALIVE_LEN, 0);
	send(p->neighbor, keepalive, KEEPALIVE_LEN, 0);
	until(p, session_bgp(p->session) == SBGP_ESTABLISHED);
	assert_int_equal(established(p), 1);
	/* In another mode it is what a fallback has brought about. */
	p->config.mode = MODE_PREFERRED;
	assert_int_equal(established(p), 0);
}

static void tcp_ao_alone_hangs_up(void **state)
{
	struct session_params sp;
	struct play *p = *state;
	int outer;

	p->config.mode = MODE_TCP_AO;
	sp = play_params(p);
	sp.ctx = NULL;
	play_connection(&p->neighbor, &outer);
	close(TAKE_FD(p->neighbor));
	assert_int_equal(session_new_in(&sp, outer, &p->session), 0);
	until(p, p->has_ended);
	assert_non_null(strstr(p->why, "before the daemon had accepted"));
}

static void in_passes_a_refusal_on_as_reset(void **state)
{
	struct play *p = *state;
	char buf[64];
	size_t n;

	begin_in(p);
	session_give_socket(p->session, p->request, -1, "Connection refused");
	assert_true(p->has_ended);
	until(p, tls_read(p->tls, buf, sizeof(buf), &n) == TLS_FAILED);
	assert_int_equal(tls_failure(p->tls, &(const char *){NULL}), TLS_REASON_RESET);
}

static void a_wrong_as_never_reaches_the_daemon(void **state)
{
	struct play *p = *state;
	char buf[64];
	size_t n;
	int inner;

	p->config.remote_as = 64501;
	begin_in(p);
	tls_write(p->tls, open_64500, OPEN_LEN, &n);
	play_connection(&inner, &p->daemon);
	session_give_socket(p->session, p->request, inner, NULL);
	until(p, p->has_ended);
	assert_non_null(strstr(p->why, "AS 64500, remote-as is 64501"));
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 1000), -ECONNRESET);
}

/* These connections have no TCP-AO, so that no key can follow from their TLS. */
static void without_the_derived_key_in_never_reaches_the_daemon(void **state)
{
	struct play *p = *state;

	p->config.ao.mode = AO_EXPORTER;
	knock(p);
	until(p, p->has_ended);
	assert_int_equal(p->failures, 1);
	assert_int_equal(p->reason, TLS_REASON_REFUSED);
	assert_non_null(strstr(p->failure, "tcp-ao = exporter: "));
	assert_int_equal(p->inner_wanted, 0);
}

static void without_the_derived_key_out_is_held(void **state)
{
	struct play *p = *state;
	char buf[64];

	p->config.ao.mode = AO_EXPORTER;
	play_begin_out(p);
	play_neighbor_answers(p, p->theirs);
	until(p, p->failures == 1);
	assert_non_null(strstr(p->failure, "tcp-ao = exporter: "));
	assert_int_equal(session_state(p->session), SESSION_HELD);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 100), -EAGAIN);
}

static void may_go_without_ao(struct play *p)
{
	p->config.ao.mode = AO_EXPORTER;
	p->config.ao.policy = AO_PREFERRED;
	p->config.handshake_timeout = 1; /* a half of it each way */
}

static void silence_is_answered_by_the_other_way(void **state)
{
	struct play *p = *state;

	may_go_without_ao(p);
	play_begin_out(p);
	assert_false(p->last_without_ao);
	session_give_socket(p->session, p->request, -1, "");
	assert_int_equal(p->failures, 1); /* nothing to do with TCP-AO */
	until(p, p->outer_wanted == 2);
	assert_false(p->last_without_ao);
	until(p, p->outer_wanted == 3); /* control does not answer, or the neighbor does not */
	assert_true(p->last_without_ao);
	assert_int_equal(p->failures, 1);
	until(p, p->failures == 2); /* both ways are one attempt */
	assert_int_equal(p->reason, TLS_REASON_UNREACHABLE);
	assert_int_equal(p->outer_wanted, 3);
	until(p, p->outer_wanted == 4);
	assert_false(p->last_without_ao); /* nothing has worked so far */
	assert_int_equal(p->ao_told, 0);
}

static void what_is_connected_has_its_whole_time(void **state)
{
	struct play *p = *state;
	uint64_t connected;
	int outer;

	may_go_without_ao(p);
	play_begin_out(p);
	play_connection(&outer, &p->neighbor);
	connected = loop_now_ms();
	session_give_socket(p->session, p->request, outer, NULL);
	until(p, p->failures == 1);
	assert_true(loop_now_ms() - connected >= 900); /* not a half of it */
	assert_int_equal(p->reason, TLS_REASON_TIMEOUT);
	assert_int_equal(p->outer_wanted, 1);
}

static void what_worked_is_begun_with(void **state)
{
	struct play *p = *state;

	may_go_without_ao(p);
	ao_habit_worked(&p->ao_habit, true, loop_now_ms());
	play_begin_out(p);
	assert_true(p->last_without_ao);
	until(p, p->outer_wanted == 2);
	assert_false(p->last_without_ao);
	play_neighbor_answers(p, p->theirs);
	until(p, session_state(p->session) == SESSION_UP);
	assert_int_equal(p->ao_told, 1);
	assert_int_not_equal(p->ao_lack, AO_LACK_NONE); /* these sockets have no key */
}

static void required_has_one_way(void **state)
{
	struct play *p = *state;

	may_go_without_ao(p);
	p->config.ao.policy = AO_REQUIRED;
	ao_habit_worked(&p->ao_habit, true, loop_now_ms());
	play_begin_out(p);
	assert_false(p->last_without_ao);
	until(p, p->failures == 1);
	assert_int_equal(p->outer_wanted, 1);
}

static void inbound_without_ao_is_told(void **state)
{
	struct play *p = *state;

	may_go_without_ao(p);
	p->config.handshake_timeout = 5;
	begin_in(p);
	assert_int_equal(p->ao_told, 1);
	assert_true(p->ao_lack == AO_LACK_KERNEL || p->ao_lack == AO_LACK_NOT_OFFERED);
	/* It says nothing of how the neighbor can be dialled. */
	assert_false(p->ao_habit.is_without);
}

static void close_is_orderly(void **state)
{
	struct play *p = *state;
	char buf[64];
	size_t n;
	int inner;

	begin_in(p);
	play_connection(&inner, &p->daemon);
	session_give_socket(p->session, p->request, inner, NULL);
	until(p, session_state(p->session) == SESSION_UP);
	session_close(p->session, "reset by the operator");
	until(p, tls_read(p->tls, buf, sizeof(buf), &n) == TLS_EOF);
	assert_int_equal(daemon_reads(p, buf, sizeof(buf), 1000), 0);
	close(TAKE_FD(p->daemon));
	neighbor_hangs_up(p);
	until(p, p->has_ended);
	assert_string_equal(p->why, "reset by the operator");
}

static void a_silent_neighbor_meets_the_deadline(void **state)
{
	struct play *p = *state;
	int outer;

	p->config.handshake_timeout = 1;
	play_begin_out(p);
	play_connection(&outer, &p->neighbor);
	session_give_socket(p->session, p->request, outer, NULL);
	until(p, p->failures == 1);
	assert_non_null(strstr(p->failure, "TLS handshake not finished within 1 s"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, play_setup, play_teardown)
	const struct CMUnitTest tests[] = {
		T(out_carries_bytes_and_ends),
		T(out_gives_up_with_the_daemon),
		T(out_gives_up_while_dialing),
		T(out_tries_again),
		T(out_without_patience_resets),
		T(out_refused_late_is_held),
		T(required_never_asks_for_clear),
		T(preferred_goes_clear),
		T(clear_is_decided_when_it_is_tried),
		T(tcp_ao_alone_waits_for_its_turn),
		T(tcp_ao_alone_reaches_the_daemon),
		T(tcp_ao_alone_hangs_up),
		T(in_reaches_the_daemon),
		T(in_passes_a_refusal_on_as_reset),
		T(a_wrong_as_never_reaches_the_daemon),
		T(without_the_derived_key_in_never_reaches_the_daemon),
		T(without_the_derived_key_out_is_held),
		T(silence_is_answered_by_the_other_way),
		T(what_is_connected_has_its_whole_time),
		T(what_worked_is_begun_with),
		T(required_has_one_way),
		T(inbound_without_ao_is_told),
		T(close_is_orderly),
		T(a_silent_neighbor_meets_the_deadline),
	};

	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
