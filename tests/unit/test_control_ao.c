// SPDX-License-Identifier: Apache-2.0
/* TCP-AO keys as time goes by: when control asks for connections, and what it does to those that it
 * is shown. */
#include "control_rig.h"

#include "ao.h"
#include "conf.h"
#include "sock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define NEEDS_AO(r)                                                                                \
	do {                                                                                       \
		if (!(r)->c->tls.has_ao) {                                                         \
			print_message("skipped: this kernel has no TCP-AO (make check-vm)\n");     \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#define CHAINED                                                                                    \
	"neighbor \"127.0.0.2\" { tcp-ao = static tcp-ao-chain = x tcp-ao-policy = preferred }\n"
#define OTHER "neighbor \"127.0.0.3\" { }\n"
#define ONE   "key one { chain = x secret = first send-id = 1 recv-id = 1 }\n"
#define TWO   "key two { chain = x secret = second send-id = 2 recv-id = 2 send-from = \"%s\" }\n"

static int setup(void **state)
{
	crig_setup(state);
	crig_write(*state, ONE CHAINED OTHER);
	crig_start(*state);
	return 0;
}

static const char *in(int seconds)
{
	static char text[CONF_TIME_LEN];

	return conf_format_time(time(NULL) + seconds, text);
}

static void reload(struct rig *r)
{
	struct jv *answer = crig_ask(r, "{\"command\":\"reload\"}");

	if (!jv_get_bool(answer, "applied", false))
		fail_msg("%s", jv_get_string(answer, "error", "?"));
	assert_int_equal(jv_get_int(answer, "resets", -1), 0);
	jv_free(answer);
}

/* A connection from `from` to our TLS port; the end that was accepted. */
static int accepted_from(struct rig *r, const char *from, const struct neighbor_config *keys,
			 int *ret_other)
{
	struct addr own, to;
	struct sockaddr_storage ss;
	struct pollfd p = {.fd = r->c->tls.fds[0], .events = POLLIN};
	struct errtext e;
	int fd, len;

	assert_int_equal(addr_parse(from, &own, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.1", &to, NULL), 0);
	assert_int_equal(sock_bound(&own, 0, ret_other), 0);
	if (keys && ao_set_keys(*ret_other, keys, &to, time(NULL), &e) < 0)
		fail_msg("%s", e.text);
	len = addr_to_sockaddr(&to, r->tls_port, &ss);
	if (connect(*ret_other, (struct sockaddr *)&ss, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(poll(&p, 1, 5000), 1);
	fd = accept(p.fd, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void show(struct rig *r, const char *neighbor, int fd)
{
	struct message_ao_connection m = {};

	strcpy(m.neighbor, neighbor);
	assert_int_equal(ipc_send(r->workers[0].ipc, MSG_AO_CONNECTION, 0, &m, sizeof(m), fd), 0);
}

/* Whatever a worker shows, control goes on, and waits for nothing. */
static void what_is_no_connection(void **state)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 60};
	struct message_ao_connection unterminated;
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];
	struct jv *answer;
	int pair[2], other, fd;

	memset(&unterminated, 'x', sizeof(unterminated));
	crig_reply_text(w, MSG_AO_CONNECTION, 0, "");
	crig_reply_text(w, MSG_AO_CONNECTION, 0, "127.0.0.2");
	crig_reply(w, MSG_AO_CONNECTION, 0, &unterminated, sizeof(unterminated));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	show(r, "127.0.0.2", -1);
	show(r, "127.0.0.2", pair[0]);
	show(r, "127.0.0.2", STDIN_FILENO);
	show(r, "127.0.0.2", r->c->tls.fds[0]);
	show(r, "127.0.0.9", pair[0]);
	show(r, "", pair[0]);
	fd = accepted_from(r, "127.0.0.3", NULL, &other);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	show(r, "127.0.0.2", fd);
	show(r, "127.0.0.3", fd);
	close(fd);
	crig_settle(r);
	answer = crig_ask(r, "{\"command\":\"show\"}");
	assert_true(jv_get_bool(answer, "ok", false));
	jv_free(answer);
	assert_int_equal(w->n_started, 1);
	close(pair[0]);
	close(pair[1]);
	close(other);
}

/* No TCP-AO, or nothing that changes: nobody is asked. */
static void a_reload_asks_for_what_changes(void **state)
{
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];

	reload(r);
	assert_int_equal(crig_count(w, MSG_AO_SHOW), 0);
	crig_write(r, ONE TWO CHAINED OTHER, in(3600));
	reload(r);
	if (!r->c->tls.has_ao) {
		assert_int_equal(crig_count(w, MSG_AO_SHOW), 0);
		return;
	}
	crig_until(r, crig_count(w, MSG_AO_SHOW) == 1);
	assert_string_equal(crig_last(w, MSG_AO_SHOW)->payload, "127.0.0.2");
}

static void time_goes_by(void **state)
{
	struct tcp_ao_installed keys[4];
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];
	int fd, other, stranger, strangers;

	NEEDS_AO(r);
	fd = accepted_from(r, "127.0.0.2", &r->c->now.config->neighbors[0], &other);
	/* Not the neighbor, whatever the worker says. */
	stranger = accepted_from(r, "127.0.0.3", NULL, &strangers);
	crig_write(r, ONE TWO CHAINED OTHER, in(2));
	reload(r);
	crig_until(r, crig_count(w, MSG_AO_SHOW) == 1);
	show(r, "127.0.0.2", fd);
	show(r, "127.0.0.2", stranger);
	show(r, "127.0.0.2", strangers);
	crig_settle(r);
	assert_int_equal(tcp_ao_list_keys(fd, keys, 4), 2);
	assert_int_equal(tcp_ao_list_keys(stranger, keys, 4), -ENOENT);
	for (int i = 0; i < 2; i++) {
		tcp_ao_list_keys(fd, keys, 4);
		assert_int_equal(keys[i].is_rnext, keys[i].send_id == 1);
	}
	/* The second one's time has come. */
	crig_until(r, crig_count(w, MSG_AO_SHOW) >= 2);
	assert_true(time(NULL) >= (time_t)r->c->now.config->keys[1].send_from);
	show(r, "127.0.0.2", fd);
	crig_settle(r);
	assert_int_equal(tcp_ao_list_keys(fd, keys, 4), 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(keys[i].is_rnext, keys[i].send_id == 2);
	/* Nothing has come with it yet: control looks again. */
	crig_until(r, crig_count(w, MSG_AO_SHOW) >= 3);
	close(fd);
	close(other);
	close(stranger);
	close(strangers);
}

/* mode = tcp-ao: closed for everybody but us; we connect to port 179 alone, and are told of what
 * comes there. */
static void tcp_ao_alone(void **state)
{
	struct message_want want = {.clear = false};
	struct message_socket answer;
	struct rig *r = *state;
	struct fake_worker *w = &r->workers[0];

	crig_write(r, ONE CHAINED OTHER "neighbor \"127.0.0.5\" { mode = tcp-ao role = connect "
					"tcp-ao = static tcp-ao-key = own }\n"
					"neighbor \"127.0.0.6\" { mode = tcp-ao role = both "
					"tcp-ao = static tcp-ao-key = own }\n");
	assert_int_equal(r->steering.n_carriers, r->c->tls.has_ao ? r->c->tls.n : 0);
	if (!r->c->tls.has_ao) {
		struct jv *refused = crig_ask(r, "{\"command\":\"reload\"}");

		assert_non_null(
			strstr(jv_get_string(jv_at(jv_get(refused, "errors"), 0), "text", ""),
			       "mode = tcp-ao: this kernel has no TCP-AO"));
		jv_free(refused);
		return;
	}
	reload(r);
	assert_true(crig_entry(r, "127.0.0.5")->is_required);
	assert_true(crig_entry(r, "127.0.0.5")->is_carried);
	assert_false(crig_entry(r, "127.0.0.5")->may_accept);
	assert_true(crig_entry(r, "127.0.0.6")->may_accept);
	assert_false(crig_entry(r, "127.0.0.2")->is_carried);
	strcpy(want.neighbor, "127.0.0.5");
	assert_int_equal(addr_parse("127.0.0.1", &want.own, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.5", &want.peer, NULL), 0);
	for (int clear = 0; clear < 2; clear++) {
		want.clear = clear;
		crig_reply(w, MSG_WANT_OUTER, 7, &want, sizeof(want));
		crig_until(r, crig_count(w, MSG_SOCKET) == (size_t)clear + 1);
		memcpy(&answer, crig_last(w, MSG_SOCKET)->payload, sizeof(answer));
		assert_int_equal(answer.error == -EPERM, !clear);
	}
}

static int answer_to(struct rig *r, struct message_want_ao *want, size_t len, int fd)
{
	struct fake_worker *w = &r->workers[0];
	size_t before = crig_count(w, MSG_AO);
	const struct message_ao *answer;

	assert_int_equal(ipc_send(w->ipc, MSG_WANT_AO, 9, want, len, fd), 0);
	crig_until(r, crig_count(w, MSG_AO) == before + 1);
	assert_int_equal(crig_last(w, MSG_AO)->id, 9);
	assert_int_equal(crig_last(w, MSG_AO)->len, sizeof(*answer));
	answer = (const void *)crig_last(w, MSG_AO)->payload;
	assert_true(answer->error == 0 || answer->error == -EINVAL || answer->text[0]);
	return answer->error;
}

/* tcp-ao = capability: what a worker asks for on which connection, whatever it is. */
static void turning_it_on(void **state)
{
	struct message_want_ao want = {.is_trial = true}, unterminated;
	struct rig *r = *state;
	int fd, other, strangers[2], pair[2], none = r->c->tls.has_ao ? 0 : -ENOPROTOOPT;
	bool may_repair;

	crig_write(r, ONE CHAINED OTHER "neighbor \"127.0.0.5\" { tcp-ao = capability }\n");
	reload(r);
	fd = accepted_from(r, "127.0.0.5", NULL, &other);
	strangers[0] = accepted_from(r, "127.0.0.3", NULL, &strangers[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	memset(&unterminated, 'x', sizeof(unterminated));
	unterminated.algorithm = 0;
	assert_int_equal(answer_to(r, &want, 0, fd), -EINVAL);
	assert_int_equal(answer_to(r, &want, sizeof(want), fd), -ETIMEDOUT);
	want.until_ms = unterminated.until_ms = loop_now_ms() + 60000;
	assert_int_equal(answer_to(r, &unterminated, sizeof(want), fd), -EPERM);
	assert_int_equal(answer_to(r, &want, sizeof(want), fd), -EPERM);
	want.algorithm = 3;
	assert_int_equal(answer_to(r, &want, sizeof(want), fd), -EINVAL);
	want.algorithm = TCP_AO_AES_128_CMAC_96;
	/* Static keys, none. */
	strcpy(want.neighbor, "127.0.0.2");
	assert_int_equal(answer_to(r, &want, sizeof(want), fd), -EPERM);
	strcpy(want.neighbor, "127.0.0.3");
	assert_int_equal(answer_to(r, &want, sizeof(want), strangers[0]), -EPERM);
	strcpy(want.neighbor, "127.0.0.5");
	none = none ? none : -ENOTCONN;
	assert_int_equal(answer_to(r, &want, sizeof(want), -1), none);
	assert_int_equal(answer_to(r, &want, sizeof(want), pair[0]), none);
	assert_int_equal(answer_to(r, &want, sizeof(want), strangers[0]), none);
	assert_int_equal(answer_to(r, &want, sizeof(want), r->c->tls.fds[0]), none);
	if (r->c->tls.has_ao) {
		may_repair = answer_to(r, &want, sizeof(want), fd) == 0;
		want.is_trial = false;
		assert_int_equal(answer_to(r, &want, sizeof(want), fd), may_repair ? 0 : -EPERM);
	}
	close(fd);
	close(other);
	for (int i = 0; i < 2; i++) {
		close(strangers[i]);
		close(pair[i]);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, crig_teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_no_connection), T(a_reload_asks_for_what_changes),
		T(time_goes_by),	  T(tcp_ao_alone),
		T(turning_it_on),
	};

	return cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
}
