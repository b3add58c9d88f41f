// SPDX-License-Identifier: Apache-2.0
/*
 * tcp-ao = capability in a session whose daemon, neighbor and control the test plays. No kernel
 * with TCP-AO is needed: control alone touches it.
 */
#include "session_rig.h"

#include "util.h"

#include <errno.h>

#define MARKER "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
#define FIXED  "\x01\x04\xfb\xf4\x00\x5a\xc0\x00\x02\x02"
#define CODE   "\xf7"
#define OURS                                                                                       \
	"\x02\x08" CODE "\x06"                                                                     \
	"bAO\x01\x01\x01"
#define OPEN	  MARKER "\x00\x1d" FIXED "\x00"
#define OPEN_AO	  MARKER "\x00\x27" FIXED "\x0a" OURS
#define KEEPALIVE MARKER "\x00\x13\x04"
#define LABEL	  "EXPERIMENTAL-botls-tcp-ao-capability"

struct bytes {
	const char *data;
	size_t len;
};
#define BYTES(s) ((struct bytes){s, sizeof(s) - 1})

static int setup(void **state)
{
	struct play *p;

	play_setup(state);
	p = *state;
	p->config.ao.mode = AO_CAPABILITY;
	p->config.ao.capability_code = 247;
	p->config.ao.own.covers_options = true;
	return 0;
}

/* The daemon has connected, and TLS with the neighbor is up. */
static void begin(struct play *p)
{
	play_begin_out(p);
	play_neighbor_answers(p, p->theirs);
	until(p, p->is_done && session_state(p->session) == SESSION_UP);
}

static void daemon_says(struct play *p, struct bytes b)
{
	assert_int_equal(send(p->daemon, b.data, b.len, 0), b.len);
}

static void neighbor_says(struct play *p, struct bytes b)
{
	size_t n;

	assert_int_equal(tls_write(p->tls, b.data, b.len, &n), TLS_DONE);
	assert_int_equal(n, b.len);
}

static void daemon_gets(struct play *p, struct bytes b)
{
	char buf[512];
	size_t have = 0;

	assert_true(b.len <= sizeof(buf));
	for (int i = 0; have < b.len; i++) {
		ssize_t n = recv(p->daemon, buf + have, b.len - have, 0);

		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		assert_true(i < 20000);
		have += n > 0 ? n : 0;
		play_turn(p);
	}
	assert_memory_equal(buf, b.data, b.len);
}

static void neighbor_gets(struct play *p, struct bytes b)
{
	char buf[512];
	size_t have = 0, n = 0;

	for (int i = 0; have < b.len; i++) {
		n = 0;
		if (tls_read(p->tls, buf + have, b.len - have, &n) == TLS_DONE)
			have += n;
		assert_true(i < 20000);
		play_turn(p);
	}
	assert_memory_equal(buf, b.data, b.len);
}

static void nothing_arrives(struct play *p)
{
	char c;
	size_t n;

	for (int i = 0; i < 50; i++) {
		play_turn(p);
		assert_int_equal(recv(p->daemon, &c, 1, 0), -1);
		assert_int_equal(tls_read(p->tls, &c, 1, &n), TLS_WANT_READ);
	}
}

static struct session_capability_info info(struct play *p)
{
	struct session_info i;

	session_get_info(p->session, &i);
	return i.capability;
}

static void answer(struct play *p, int error, const char *text)
{
	session_give_ao(p->session, p->request, error, text);
}

static void exchange(struct play *p, struct bytes neighbors_open, struct bytes arrives)
{
	daemon_says(p, BYTES(OPEN));
	neighbor_gets(p, BYTES(OPEN_AO));
	neighbor_says(p, neighbors_open);
	daemon_gets(p, arrives);
	daemon_says(p, BYTES(KEEPALIVE));
	neighbor_says(p, BYTES(KEEPALIVE));
	neighbor_gets(p, BYTES(KEEPALIVE));
	daemon_gets(p, BYTES(KEEPALIVE));
}

static uint32_t number(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

/* Nothing passes before control has said that it can be done, nor while it is done. */
static void agreed(void **state)
{
	struct play *p = *state;
	struct session_info i;
	uint8_t material[40];

	p->config.ao.own.algorithm = TCP_AO_AES_128_CMAC_96;
	begin(p);
	assert_int_equal(p->ao_trials, 1);
	daemon_says(p, BYTES(OPEN));
	neighbor_says(p, BYTES(OPEN_AO));
	nothing_arrives(p);
	answer(p, 0, "");
	neighbor_gets(p, BYTES(OPEN_AO));
	daemon_gets(p, BYTES(OPEN));
	assert_int_equal(info(p).state, CAPABILITY_AGREED);
	/* Only one of the daemons has answered. */
	neighbor_says(p, BYTES(KEEPALIVE));
	daemon_gets(p, BYTES(KEEPALIVE));
	for (int k = 0; k < 10; k++)
		nothing_arrives(p);
	assert_int_equal(p->ao_switches, 0);
	daemon_says(p, BYTES(KEEPALIVE));
	neighbor_gets(p, BYTES(KEEPALIVE));
	/* Of a reload: too late for this session. */
	p->config.ao.own.algorithm = TCP_AO_HMAC_SHA1_96;
	p->config.ao.own.covers_options = false;
	until(p, p->ao_switches);

	assert_int_equal(p->last_ao.algorithm, TCP_AO_AES_128_CMAC_96);
	assert_int_equal(p->last_ao.covers_options, true);
	assert_int_equal(tls_export(p->tls, LABEL, "bAO\x01\x01\x01", 6, material, 40), 0);
	assert_memory_equal(p->last_ao.secret, material, 32);
	assert_int_equal(p->last_ao.send_isn, number(material + 32)); /* of the client */
	assert_int_equal(p->last_ao.recv_isn, number(material + 36));
	daemon_says(p, BYTES("x"));
	nothing_arrives(p);
	/* This kernel has none on the connection: the keys cannot be looked after. */
	answer(p, -ENOMEM, "no memory for it");
	assert_int_equal(p->no_ao, 1);
	assert_string_equal(p->no_ao_text, "no memory for it");
	assert_int_equal(p->failures, 1);
	assert_int_equal(p->reason, TLS_REASON_REFUSED);
	session_get_info(p->session, &i);
	assert_int_equal(i.capability.state, CAPABILITY_FAILED);
}

static void in_pieces(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, 0, "");
	for (size_t i = 0; i < sizeof(OPEN_AO) - 1; i++) {
		if (i < sizeof(OPEN) - 1)
			daemon_says(p, (struct bytes){&OPEN[i], 1});
		neighbor_says(p, (struct bytes){&OPEN_AO[i], 1});
		play_turn(p);
	}
	neighbor_gets(p, BYTES(OPEN_AO));
	daemon_gets(p, BYTES(OPEN));
}

static void only_we(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, 0, "");
	exchange(p, BYTES(OPEN), BYTES(OPEN));
	assert_int_equal(info(p).state, CAPABILITY_NO_PEER);
	nothing_arrives(p);
	assert_int_equal(p->ao_switches, 0);
}

static void something_else(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, 0, "");
	exchange(p,
		 BYTES(MARKER "\x00\x27" FIXED "\x0a\x02\x08" CODE "\x06"
			      "bAO\x01\x00\x01"),
		 BYTES(OPEN));
	assert_int_equal(info(p).state, CAPABILITY_OTHER);
	nothing_arrives(p);
	assert_int_equal(p->ao_switches, 0);
}

/* The neighbor's is stripped all the same. */
static void control_cannot(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, -ENOPROTOOPT, "no TCP-AO here");
	daemon_says(p, BYTES(OPEN));
	neighbor_gets(p, BYTES(OPEN));
	neighbor_says(p, BYTES(OPEN_AO));
	daemon_gets(p, BYTES(OPEN));
	assert_int_equal(info(p).state, CAPABILITY_UNAVAILABLE);
	assert_string_equal(info(p).text, "no TCP-AO here");
}

static void not_asked(void **state)
{
	struct play *p = *state;

	p->refuses_ao = true;
	begin(p);
	daemon_says(p, BYTES(OPEN));
	neighbor_gets(p, BYTES(OPEN));
	assert_int_equal(info(p).state, CAPABILITY_UNAVAILABLE);
	assert_string_equal(info(p).text, "not today");
}

/* What is no OPEN passes as it is, its end too. */
static void no_open(void **state)
{
	struct play *p = *state;
	size_t n;
	char c;

	begin(p);
	answer(p, 0, "");
	daemon_says(p, BYTES(KEEPALIVE));
	neighbor_gets(p, BYTES(KEEPALIVE));
	assert_int_equal(info(p).state, CAPABILITY_UNAVAILABLE);
	neighbor_says(p, BYTES(MARKER "\x00\x1d"));
	play_turn(p);
	assert_int_equal(tls_close_notify(p->tls), TLS_DONE);
	assert_int_equal(shutdown(p->neighbor, SHUT_WR), 0);
	daemon_gets(p, BYTES(MARKER "\x00\x1d"));
	until(p, recv(p->daemon, &c, 1, 0) == 0);
	close(TAKE_FD(p->daemon));
	until(p, tls_read(p->tls, &c, 1, &n) == TLS_EOF);
	until(p, p->has_ended);
}

static void refused_by_an_old_daemon(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, 0, "");
	daemon_says(p, BYTES(OPEN));
	neighbor_gets(p, BYTES(OPEN_AO));
	neighbor_says(p, BYTES(MARKER "\x00\x15\x03\x02\x04"));
	daemon_gets(p, BYTES(MARKER "\x00\x15\x03\x02\x04"));
	assert_int_equal(p->no_ao, 1);
}

static void the_end_while_control_is_at_it(void **state)
{
	struct play *p = *state;
	uint32_t request;

	begin(p);
	request = p->request;
	session_free(TAKE(p->session));
	assert_int_equal(p->forgotten, request);
}

/* The daemon hears of the end, whatever was asked for: the relay does not wait for an answer. */
static void control_is_gone(struct play *p)
{
	uint32_t request = p->request;
	char c;
	size_t n;

	session_end_unready(p->session, "restarted");
	assert_int_equal(p->forgotten, request);
	assert_int_equal(p->no_ao, 0);
	until(p, recv(p->daemon, &c, 1, 0) == 0);
	until(p, tls_read(p->tls, &c, 1, &n) == TLS_EOF);
	close(TAKE_FD(p->daemon));
	close(TAKE_FD(p->neighbor));
	until(p, p->has_ended);
}

static void control_dies_in_the_trial(void **state)
{
	begin(*state);
	control_is_gone(*state);
}

static void control_dies_while_it_turns_on(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, 0, "");
	exchange(p, BYTES(OPEN_AO), BYTES(OPEN));
	until(p, p->ao_switches);
	control_is_gone(p);
}

/* It lives, and does nothing. */
static void control_hangs_in_the_trial(void **state)
{
	struct play *p = *state;
	uint32_t request;

	p->is_late = true;
	begin(p);
	request = p->request;
	daemon_says(p, BYTES(OPEN));
	neighbor_says(p, BYTES(OPEN_AO));
	nothing_arrives(p);
	neighbor_gets(p, BYTES(OPEN));
	daemon_gets(p, BYTES(OPEN));
	assert_int_equal(p->forgotten, request);
	assert_int_equal(info(p).state, CAPABILITY_UNAVAILABLE);
	assert_string_equal(info(p).text, "control does not answer");
	answer(p, 0, "");
	assert_int_equal(info(p).state, CAPABILITY_UNAVAILABLE);
	daemon_says(p, BYTES(KEEPALIVE));
	neighbor_gets(p, BYTES(KEEPALIVE));
	assert_int_equal(p->ao_switches, 0);
}

/* The neighbor has TCP-AO by then. */
static void control_hangs_while_it_turns_on(void **state)
{
	struct play *p = *state;
	char c;

	begin(p);
	answer(p, 0, "");
	exchange(p, BYTES(OPEN_AO), BYTES(OPEN));
	p->is_late = true;
	until(p, p->ao_switches);
	until(p, p->no_ao);
	assert_int_equal(p->forgotten, p->request);
	assert_string_equal(p->no_ao_text, "control does not answer");
	assert_int_equal(p->failures, 1);
	assert_int_equal(p->reason, TLS_REASON_REFUSED);
	until(p, recv(p->daemon, &c, 1, 0) == 0);
}

/* In time: that it would have been late is forgotten. */
static void control_answers(void **state)
{
	struct play *p = *state;

	p->is_late = true;
	begin(p);
	answer(p, 0, "");
	exchange(p, BYTES(OPEN), BYTES(OPEN));
	for (int k = 0; k < 25; k++)
		nothing_arrives(p);
	assert_int_equal(info(p).state, CAPABILITY_NO_PEER);
	assert_int_equal(p->ao_switches, 0);
}

/* What is agreed upon cannot be done any more; what was not agreed upon is not missed. */
static void control_dies_in_between(void **state)
{
	struct play *p = *state;

	begin(p);
	answer(p, 0, "");
	exchange(p, BYTES(OPEN), BYTES(OPEN));
	session_end_unready(p->session, "restarted");
	daemon_says(p, BYTES(KEEPALIVE));
	neighbor_gets(p, BYTES(KEEPALIVE));
	play_teardown(state);
	setup(state);
	p = *state;
	begin(p);
	answer(p, 0, "");
	daemon_says(p, BYTES(OPEN));
	neighbor_gets(p, BYTES(OPEN_AO));
	p->forgotten = p->request; /* none is under way */
	control_is_gone(p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, play_teardown)
	const struct CMUnitTest tests[] = {
		T(agreed),
		T(in_pieces),
		T(only_we),
		T(something_else),
		T(control_cannot),
		T(not_asked),
		T(no_open),
		T(refused_by_an_old_daemon),
		T(the_end_while_control_is_at_it),
		T(control_dies_in_the_trial),
		T(control_dies_while_it_turns_on),
		T(control_dies_in_between),
		T(control_hangs_in_the_trial),
		T(control_hangs_while_it_turns_on),
		T(control_answers),
	};

	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
