// SPDX-License-Identifier: Apache-2.0
#include "neighbor_host.h"

#include "log.h"
#include "neighbor_internal.h"
#include "sock.h"
#include "tcp_pair.h"
#include "tls_pair.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

struct play {
	struct loop *loop;
	struct neighbor *n;
	struct neighbor_config config;
	struct tls_ctx *ctx;
	unsigned outer_wanted, inner_wanted, empty, told;
	bool last_clear, allow_clear;
	int handshakes;
	uint32_t request;
	struct session *asking;
};

static uint32_t want_outer(void *host, struct neighbor *n, struct session *s, bool clear)
{
	struct play *p = host;

	(void)n;
	p->asking = s;
	p->outer_wanted++;
	p->last_clear = clear;
	return ++p->request;
}

static uint32_t want_inner(void *host, struct neighbor *n, struct session *s)
{
	(void)n;
	(void)s;
	((struct play *)host)->inner_wanted++;
	return ++((struct play *)host)->request;
}

static void on_handshakes(void *host, enum session_direction direction, int change)
{
	(void)direction;
	((struct play *)host)->handshakes += change;
}

static void on_fallback(void *host, struct neighbor *n, bool allow_clear)
{
	struct play *p = host;

	(void)n;
	p->told++;
	p->allow_clear = allow_clear;
}

static void on_empty(void *host, struct neighbor *n)
{
	struct play *p = host;

	assert_ptr_equal(n, p->n);
	p->empty++;
}

static struct neighbor_host_ops ops;

static int setup(void **state)
{
	struct play *p = calloc(1, sizeof(*p));
	struct tls_params params = good_params(&pki.client);
	struct errtext e;

	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(loop_new(&p->loop), 0);
	assert_int_equal(tls_ctx_new(&params, &p->ctx, &e), 0);
	assert_int_equal(addr_parse(SERVER_ADDRESS, &p->config.address, NULL), 0);
	strcpy(p->config.name, SERVER_ADDRESS);
	p->config.ttl = 255;
	p->config.tls_port = 8179;
	p->config.handshake_timeout = 5;
	p->config.fallback_after = 1;
	p->config.hold_time = 60;
	p->config.max_sessions = 8;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct play *p = *state;

	neighbor_free(p->n);
	assert_int_equal(p->handshakes, 0);
	tls_ctx_unref(p->ctx);
	loop_free(p->loop);
	free(p);
	return 0;
}

static void begin(struct play *p)
{
	assert_int_equal(neighbor_new(p->loop, &ops, p, &p->config, p->ctx, NULL, &p->n), 0);
}

#define until(p, condition)                                                                        \
	do {                                                                                       \
		for (int i_ = 0; !(condition); i_++) {                                             \
			assert_true(i_ < 10000);                                                   \
			loop_turn((p)->loop, false);                                               \
			usleep(1000);                                                              \
		}                                                                                  \
	} while (0)

/* The far end of a connection, which blocks; the near one goes to the neighbor. */
static int connection(int *near)
{
	int fds[2];

	tcp_pair(fds, 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
	*near = fds[1];
	return fds[0];
}

static int daemon_connects(struct play *p)
{
	struct addr own = address(CLIENT_ADDRESS), peer = address(SERVER_ADDRESS);
	int near, far = connection(&near);

	neighbor_accept_inner(p->n, 1, near, &peer, &own);
	return far;
}

static int neighbor_connects(struct play *p)
{
	struct addr own = address(CLIENT_ADDRESS), peer = address(SERVER_ADDRESS);
	int near, far = connection(&near);

	neighbor_accept_outer(p->n, 1, near, &peer, 4000, &own);
	return far;
}

static bool was_reset(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) < 0 && errno == ECONNRESET;
}

static const char *last_text(const struct jv *status)
{
	return jv_get_string(jv_get(status, "last_failure"), "text", "");
}

/* It costs no handshake. */
static void gone_before_it_was_accepted(void **state)
{
	struct play *p = *state;
	struct addr own = address(CLIENT_ADDRESS), peer = address(SERVER_ADDRESS);
	int near, far = connection(&near);
	struct jv *status;

	begin(p);
	assert_int_equal(write(far, "\x16\x03\x01", 3), 3);
	sock_set_reset_on_close(far);
	close(far);
	neighbor_accept_outer(p->n, 1, near, &peer, 4000, &own);
	assert_int_equal(p->handshakes, 0);
	status = neighbor_status(p->n, 0);
	assert_int_equal(jv_size(jv_get(status, "sessions")), 0);
	assert_int_equal(jv_get_int(jv_get(status, "failures"), "reset", 0), 1);
	assert_string_equal(last_text(status),
			    "the peer reset the connection before it was accepted");
	jv_free(status);
}

static void roles(void **state)
{
	struct play *p = *state;
	struct jv *status;
	int a, b;

	p->config.role = ROLE_ACCEPT;
	begin(p);
	a = daemon_connects(p);
	assert_true(was_reset(a));
	status = neighbor_status(p->n, 0);
	assert_non_null(strstr(last_text(status), "role is accept"));
	jv_free(status);
	b = neighbor_connects(p);
	assert_int_equal(neighbor_sessions(p->n), 1);
	close(a);
	close(b);

	p->config.role = ROLE_CONNECT;
	a = neighbor_connects(p);
	assert_true(was_reset(a));
	close(a);
}

/* A connection that should carry TCP-AO and does not, whether the kernel could or not. */
static void tcp_ao_is_demanded(void **state)
{
	struct play *p = *state;
	struct jv *status;
	int fd;

	p->config.ao.mode = AO_STATIC;
	p->config.ao.own.secret = (char *)"never shown";
	p->config.ao.own.send_id = 7;
	begin(p);
	fd = neighbor_connects(p);
	assert_true(was_reset(fd));
	close(fd);
	assert_int_equal(neighbor_sessions(p->n), 0);
	status = neighbor_status(p->n, 0);
	assert_non_null(strstr(last_text(status), "no TCP-AO"));
	assert_int_equal(jv_get_int(jv_get(status, "tcp_ao"), "send_id", -1), 7);
	jv_free(status);
}

/* Of keys that follow from TLS the status tells, however TCP-AO began; of others there is nothing
 * to tell. */
static void tcp_ao_is_shown(void **state)
{
	static const struct {
		enum ao_mode mode;
		unsigned generation;
		bool is_shown;
	} cases[] = {
		{AO_STATIC, 0, false},	   {AO_EXPORTER, 0, true},   {AO_EXPORTER, 3, true},
		{AO_CAPABILITY, 0, false}, {AO_CAPABILITY, 3, true},
	};
	struct play *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct session_info info = {
			.ao = {.send_id = 4, .recv_id = 5, .good = 6, .bad = 7},
			.has_derived_ao = cases[i].generation,
			.ao_generation = cases[i].generation,
		};
		struct jv *status;

		p->config.ao.mode = cases[i].mode;
		status = neighbor_ao_json(&info, &p->config);
		assert_int_equal(jv_get_int(status, "send_id", -1), 4);
		assert_int_equal(jv_get_int(status, "recv_id", -1), 5);
		assert_int_equal(jv_get_int(status, "good", -1), 6);
		assert_int_equal(jv_get_int(status, "bad", -1), 7);
		assert_int_equal(jv_get_int(status, "generation", -1),
				 cases[i].is_shown ? (int)cases[i].generation : -1);
		assert_int_equal(!!jv_get(status, "derived"), cases[i].is_shown);
		assert_int_equal(jv_get_bool(status, "derived", false), !!cases[i].generation);
		jv_free(status);
	}
}

static void sessions_are_capped(void **state)
{
	struct play *p = *state;
	int fds[9];

	begin(p);
	for (int i = 0; i < 9; i++)
		fds[i] = neighbor_connects(p);
	assert_int_equal(neighbor_sessions(p->n), 8);
	assert_int_equal(p->handshakes, 8);
	assert_true(was_reset(fds[8]));
	for (int i = 0; i < 9; i++)
		close(fds[i]);
	until(p, neighbor_sessions(p->n) == 0);
	assert_int_equal(p->handshakes, 0);
}

static void required_never_falls_back(void **state)
{
	struct play *p = *state;

	begin(p);
	for (int i = 0; i < 1500; i++) {
		loop_turn(p->loop, false);
		usleep(1000);
	}
	assert_int_equal(p->told, 0);
}

static void preferred_falls_back_and_returns(void **state)
{
	struct play *p = *state;
	struct neighbor_config required;
	struct jv *status;
	int daemon;

	p->config.mode = MODE_PREFERRED;
	begin(p);
	assert_int_equal(p->told, 0);
	until(p, p->told == 1);
	assert_true(p->allow_clear);
	status = neighbor_status(p->n, 0);
	assert_true(jv_get_bool(status, "fallback", false));
	jv_free(status);

	/* A connection of the daemon's still begins with TLS. */
	daemon = daemon_connects(p);
	until(p, p->outer_wanted == 1);
	assert_false(p->last_clear);
	session_give_socket(p->asking, p->request, -1, "refused");
	until(p, p->outer_wanted == 2);
	assert_true(p->last_clear);
	close(daemon);
	until(p, neighbor_sessions(p->n) == 0);

	neighbor_fallback_end(p->n);
	assert_int_equal(p->told, 2);
	assert_false(p->allow_clear);
	until(p, p->told == 3); /* and the time starts anew */
	assert_true(p->allow_clear);

	required = p->config;
	required.mode = MODE_REQUIRED;
	neighbor_set_config(p->n, &required, p->ctx, NULL, false);
	assert_false(p->allow_clear);
	neighbor_set_config(p->n, &p->config, p->ctx, NULL, false);
}

/* A session over TLS that an old worker still has is no reason to do without TLS. */
static void a_session_elsewhere(void **state)
{
	struct play *p = *state, clock = {};

	p->config.mode = MODE_PREFERRED;
	begin(p);
	neighbor_is_elsewhere(p->n, 60000);
	assert_int_equal(neighbor_new(p->loop, &ops, &clock, &p->config, p->ctx, NULL, &clock.n),
			 0);
	until(p, clock.told == 1);
	assert_int_equal(p->told, 0);
	neighbor_free(clock.n);
	neighbor_is_elsewhere(p->n, 0);
	until(p, p->told == 1);
	assert_true(p->allow_clear);
}

/* Without control nothing is opened, and so nothing said of it, whatever ends. */
static void an_orphan_does_not_fall_back(void **state)
{
	struct play *p = *state, clock = {};
	int daemon;

	p->config.mode = MODE_PREFERRED;
	begin(p);
	daemon = daemon_connects(p);
	until(p, p->outer_wanted == 1);
	neighbor_end_unready(p->n, "botlsd is being restarted");
	until(p, neighbor_sessions(p->n) == 0);
	close(daemon);
	/* One that began later, and has as much time. */
	assert_int_equal(neighbor_new(p->loop, &ops, &clock, &p->config, p->ctx, NULL, &clock.n),
			 0);
	until(p, clock.told == 1);
	assert_int_equal(p->told, 0);
	neighbor_free(clock.n);
}

static void a_dropped_neighbor_ends_with_its_sessions(void **state)
{
	struct play *p = *state;
	int daemon;

	begin(p);
	daemon = daemon_connects(p);
	until(p, p->outer_wanted == 1);
	neighbor_drop(p->n);
	until(p, p->empty == 1);
	assert_true(was_reset(daemon));
	close(daemon);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(roles),
		T(gone_before_it_was_accepted),
		T(tcp_ao_is_demanded),
		T(tcp_ao_is_shown),
		T(sessions_are_capped),
		T(required_never_falls_back),
		T(preferred_falls_back_and_returns),
		T(a_session_elsewhere),
		T(an_orphan_does_not_fall_back),
		T(a_dropped_neighbor_ends_with_its_sessions),
	};

	ops = idle_neighbor_host;
	ops.want_outer = want_outer;
	ops.want_inner = want_inner;
	ops.on_handshakes = on_handshakes;
	ops.on_fallback = on_fallback;
	ops.on_empty = on_empty;
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
