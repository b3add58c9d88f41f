// SPDX-License-Identifier: Apache-2.0
#include "session_rig.h"

#include "util.h"

static uint32_t want_outer(void *host, struct session *s, bool clear)
{
	struct play *p = host;
	struct session_info info;

	session_get_info(s, &info);
	p->last_without_ao = info.dials_without_ao;
	p->outer_wanted++;
	p->last_clear = clear;
	return ++p->request;
}

static uint32_t want_inner(void *host, struct session *s)
{
	struct play *p = host;

	(void)s;
	p->inner_wanted++;
	return ++p->request;
}

static void forget_request(void *host, uint32_t id)
{
	struct play *p = host;

	assert_int_equal(id, p->request);
	p->forgotten = id;
}

static bool may_handshake(void *host)
{
	return !((struct play *)host)->has_no_slot;
}

static bool may_clear(void *host)
{
	return ((struct play *)host)->may_clear;
}

static void on_state(void *host, struct session *s)
{
	(void)host;
	(void)s;
}

static void on_notification(void *host, struct session *s, bool inbound,
			    const struct bgp_notification *n)
{
	(void)host;
	(void)s;
	(void)inbound;
	(void)n;
}

static void on_failure(void *host, struct session *s, enum tls_reason reason, const char *text)
{
	struct play *p = host;

	(void)s;
	p->failures++;
	p->reason = reason;
	snprintf(p->failure, sizeof(p->failure), "%s", text);
}

static uint32_t want_ao(void *host, struct session *s, int fd, struct message_want_ao *m,
			struct errtext *e)
{
	struct play *p = host;

	(void)s;
	assert_true(fd >= 0);
	if (p->refuses_ao) {
		errtext_set(e, 0, "not today");
		return 0;
	}
	p->ao_trials += m->is_trial;
	p->ao_switches += !m->is_trial;
	assert_in_range(m->until_ms, loop_now_ms() + 10000, loop_now_ms() + 20000);
	if (p->is_late)
		m->until_ms = loop_now_ms();
	p->last_ao = *m;
	return ++p->request;
}

static void on_no_ao(void *host, struct session *s, const char *text)
{
	struct play *p = host;

	(void)s;
	p->no_ao++;
	snprintf(p->no_ao_text, sizeof(p->no_ao_text), "%s", text);
}

static void on_ao(void *host, struct session *s)
{
	struct play *p = host;
	struct session_info info;

	session_get_info(s, &info);
	p->ao_lack = info.ao_lack;
	p->ao_told++;
}

static void on_ended(void *host, struct session *s, const char *why)
{
	struct play *p = host;

	(void)s;
	p->has_ended = true;
	p->session = NULL;
	snprintf(p->why, sizeof(p->why), "%s", why);
}

static const struct session_host_ops ops = {
	.want_outer = want_outer,
	.want_inner = want_inner,
	.forget_request = forget_request,
	.may_handshake = may_handshake,
	.may_clear = may_clear,
	.on_state = on_state,
	.on_bgp = on_state,
	.on_notification = on_notification,
	.on_failure = on_failure,
	.want_ao = want_ao,
	.on_no_ao = on_no_ao,
	.on_ao = on_ao,
	.on_ended = on_ended,
};

int play_setup(void **state)
{
	struct play *p = calloc(1, sizeof(*p));
	struct tls_params ours = good_params(&pki.client), theirs = good_params(&pki.server);
	struct errtext e;

	assert_int_equal(loop_new(&p->loop), 0);
	assert_int_equal(tls_ctx_new(&ours, &p->ours, &e), 0);
	assert_int_equal(tls_ctx_new(&theirs, &p->theirs, &e), 0);
	p->daemon = p->neighbor = -1;
	p->config.mode = MODE_REQUIRED;
	p->config.tls_port = 8179;
	p->config.ttl = 255;
	p->config.handshake_timeout = 5;
	p->config.hold_time = 60;
	p->config.fallback_after = 30;
	p->config.key_update_records = 1 << 20;
	*state = p;
	return 0;
}

int play_teardown(void **state)
{
	struct play *p = *state;

	session_free(p->session);
	tls_free(p->tls);
	cleanup_close(&p->daemon);
	cleanup_close(&p->neighbor);
	tls_ctx_unref(p->ours);
	tls_ctx_unref(p->theirs);
	loop_free(p->loop);
	free(p);
	return 0;
}

struct session_params play_params(struct play *p)
{
	return (struct session_params){
		.loop = p->loop,
		.ops = &ops,
		.host = p,
		.id = 1,
		.config = &p->config,
		.ctx = p->ours,
		.own = address(CLIENT_ADDRESS),
		.peer = address(SERVER_ADDRESS),
		.ao_habit = &p->ao_habit,
	};
}

void play_connection(int *a, int *b)
{
	int fds[2];

	tcp_pair(fds, 0);
	*a = fds[0];
	*b = fds[1];
}

void play_turn(struct play *p)
{
	loop_turn(p->loop, false);
	if (p->tls && !p->is_done) {
		p->want = tls_handshake(p->tls);
		p->is_done = p->want == TLS_DONE;
	}
	usleep(1000);
}

void play_begin_out(struct play *p)
{
	struct session_params sp = play_params(p);
	int inner;

	p->is_done = false;
	play_connection(&p->daemon, &inner);
	assert_int_equal(session_new_out(&sp, inner, &p->session), 0);
	until(p, p->outer_wanted == 1);
}

void play_neighbor_answers(struct play *p, struct tls_ctx *ctx)
{
	struct addr peer = address(CLIENT_ADDRESS);
	int outer;

	play_connection(&outer, &p->neighbor);
	assert_int_equal(tls_new(ctx, TLS_SERVER, p->neighbor, &peer, &p->tls), 0);
	session_give_socket(p->session, p->request, outer, NULL);
}
