// SPDX-License-Identifier: Apache-2.0
/* Two workers in one process: neighbors and sessions are real, over real TCP and TLS; what is
 * between a worker and its control is played. */
#include "handover.h"
#include "botls/metrics.h"
#include "handover_channel.h"
#include "ipc.h"
#include "log.h"
#include "neighbor_host.h"
#include "relay.h"
#include "tls_internal.h"
#include "tcp_pair.h"
#include "tls_pair.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

#define DEADLINE_MS 20000
#define NEIGHBOR    "127.0.0.1"
#define KEEPALIVE   "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\x04"

struct world {
	struct config *config;
	struct neighbor *neighbors[4];
	uint64_t last_session;
	struct session *asking;
	uint32_t request;
	struct give *give;
	struct take *take;
	struct take_counts counts;
	unsigned n_counts, n_moved, n_alone, n_gone;
};

static struct loop *loop;
static struct tls_ctx *ctx;
static struct world old, new;
static int daemon_fd, outer_far;
static struct tls *neighbor_tls;

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		uint64_t until_ = loop_now_ms() + DEADLINE_MS;                                     \
		while (!(condition)) {                                                             \
			if (loop_now_ms() > until_)                                                \
				fail_msg("timed out: %s", #condition);                             \
			assert_int_equal(loop_turn(loop, false), 0);                               \
			usleep(500);                                                               \
		}                                                                                  \
	} while (0)

/* --- a worker without its control */

static uint32_t want_outer(void *host, struct neighbor *n, struct session *s, bool clear)
{
	struct world *w = host;

	(void)n;
	(void)clear;
	w->asking = s;
	return ++w->request;
}

static uint32_t want_inner(void *host, struct neighbor *n, struct session *s)
{
	return want_outer(host, n, s, false);
}

static struct neighbor_host_ops neighbor_ops;

static struct neighbor *neighbor_at(void *host, size_t i)
{
	const struct world *w = host;

	return i < w->config->n_neighbors ? w->neighbors[i] : NULL;
}

static struct neighbor *find_neighbor(void *host, const char *name)
{
	const struct world *w = host;
	const struct neighbor_config *c = config_neighbor(w->config, name);

	return c ? w->neighbors[c - w->config->neighbors] : NULL;
}

static const struct config *config_of(void *host)
{
	return ((const struct world *)host)->config;
}

static uint64_t last_session(void *host)
{
	return ((const struct world *)host)->last_session;
}

static uint64_t *own_last_session(void *host)
{
	return &((struct world *)host)->last_session;
}

static void on_moved(void *host)
{
	((struct world *)host)->n_moved++;
}

static void on_alone(void *host)
{
	((struct world *)host)->n_alone++;
}

static void on_counts(void *host, const struct take_counts *c)
{
	struct world *w = host;

	w->counts = *c;
	w->n_counts++;
}

static void on_gone(void *host)
{
	((struct world *)host)->n_gone++;
}

static const struct give_ops give_ops = {neighbor_at, config_of, last_session, on_moved, on_alone};
static const struct take_ops take_ops = {find_neighbor, config_of, own_last_session, on_counts,
					 on_gone};

static void on_problem(void *arg, const char *where, const char *text)
{
	(void)arg;
	fail_msg("%s: %s", where, text);
}

#define SETTINGS "\tcertificate = /c\n\tkey = /k\n\tca = "
static const char same[] = "neighbor " NEIGHBOR " {\n" SETTINGS "/ca\n}\n";

static void world_open(struct world *w, const char *text)
{
	*w = (struct world){};
	assert_int_equal(config_load_text(text, on_problem, NULL, &w->config), 0);
	for (size_t i = 0; i < w->config->n_neighbors; i++)
		assert_int_equal(neighbor_new(loop, &neighbor_ops, w, &w->config->neighbors[i], ctx,
					      NULL, &w->neighbors[i]),
				 0);
}

static void world_close(struct world *w)
{
	give_free(TAKE(w->give));
	take_free(TAKE(w->take));
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_free(TAKE(w->neighbors[i]));
	config_free(TAKE(w->config));
}

/* --- a session, and what its ends see */

static int far_end(int *near)
{
	int fds[2];

	tcp_pair(fds, 0);
	*near = fds[1];
	return fds[0];
}

static const struct session_info *info_of(struct neighbor *n, uint64_t id)
{
	static struct session_info info;
	struct session *s = neighbor_session(n, id);

	if (!s)
		return NULL;
	session_get_info(s, &info);
	return &info;
}

static bool is_up(struct neighbor *n, uint64_t id)
{
	const struct session_info *info = info_of(n, id);

	return info && info->state == SESSION_UP;
}

/* The daemon connects, and the session comes up over TLS. */
static void begin_session(struct world *w, uint64_t id, bool tls12)
{
	struct tls_params params = good_params(&pki.server);
	struct addr lo = address(NEIGHBOR);
	struct tls_ctx *server;
	struct errtext e;
	char c;
	size_t n;
	int near;

	params.check_address = false;
	params.allow_tls12 = tls12;
	assert_int_equal(tls_ctx_new(&params, &server, &e), 0);
	daemon_fd = far_end(&near);
	neighbor_accept_inner(w->neighbors[0], id, near, &lo, &lo);
	w->last_session = id;
	UNTIL(w->asking);
	outer_far = far_end(&near);
	assert_int_equal(tls_new(server, TLS_SERVER, outer_far, &lo, &neighbor_tls), 0);
	if (tls12)
		SSL_set_max_proto_version(neighbor_tls->ssl, TLS1_2_VERSION);
	tls_ctx_unref(server);
	session_give_socket(TAKE(w->asking), w->request, near, NULL);
	UNTIL((tls_handshake(neighbor_tls), tls_read(neighbor_tls, &c, 1, &n),
	       is_up(w->neighbors[0], id)));
}

static void end_session(void)
{
	tls_free(TAKE(neighbor_tls));
	cleanup_close(&daemon_fd);
	cleanup_close(&outer_far);
	daemon_fd = outer_far = -1;
}

static bool neighbor_hears(const char *text, size_t len)
{
	static char buf[64];
	static size_t have;
	size_t n = 0;

	if (tls_read(neighbor_tls, buf + have, len - have, &n) == TLS_DONE)
		have += n;
	if (have < len)
		return false;
	have = 0;
	return memcmp(buf, text, len) == 0;
}

static bool daemon_hears(const char *text, size_t len)
{
	char buf[64];

	return recv(daemon_fd, buf, len, MSG_DONTWAIT | MSG_PEEK) == (ssize_t)len &&
	       recv(daemon_fd, buf, len, MSG_DONTWAIT) == (ssize_t)len &&
	       memcmp(buf, text, len) == 0;
}

static void daemon_says(const char *text, size_t len)
{
	assert_int_equal(send(daemon_fd, text, len, MSG_NOSIGNAL), len);
}

static void neighbor_says(const char *text, size_t len)
{
	size_t n;

	assert_int_equal(tls_write(neighbor_tls, text, len, &n), TLS_DONE);
	assert_int_equal(n, len);
}

static void check_talk(void)
{
	daemon_says(KEEPALIVE, 19);
	UNTIL(neighbor_hears(KEEPALIVE, 19));
	neighbor_says(KEEPALIVE, 19);
	UNTIL(daemon_hears(KEEPALIVE, 19));
}

static void pair(int fds[2])
{
	assert_int_equal(ipc_pair(fds), 0);
}

static void hand_over(void)
{
	int fds[2];

	pair(fds);
	assert_int_equal(give_new(loop, fds[0], 3, &give_ops, &old, &old.give), 0);
	assert_int_equal(take_new(loop, fds[1], &take_ops, &new, &new.take), 0);
	give_begin(old.give, 60000);
	UNTIL(new.n_counts);
}

/* --- tests */

static int setup(void **state)
{
	struct tls_params params = good_params(&pki.client);
	struct errtext e;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	params.check_address = false;
	params.allow_tls12 = true;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(tls_ctx_new(&params, &ctx, &e), 0);
	world_open(&old, same);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_close(&old);
	world_close(&new);
	end_session();
	tls_ctx_unref(ctx);
	loop_free(loop);
	return 0;
}

/* In the middle of a message, in both directions; then all is as it was. */
static void it_goes_on(void **state)
{
	struct session_info was;
	uint64_t row[BM_VALUES], row_after[BM_VALUES];
	char subject[128];

	(void)state;
	begin_session(&old, 7, false);
	check_talk();
	daemon_says(KEEPALIVE, 10);
	UNTIL(neighbor_hears(KEEPALIVE, 10));
	neighbor_says(KEEPALIVE, 3);
	UNTIL(daemon_hears(KEEPALIVE, 3));
	was = *info_of(old.neighbors[0], 7);
	strcpy(subject, was.tls.peer_subject);
	neighbor_metrics(old.neighbors[0], row);

	world_open(&new, same);
	hand_over();
	assert_int_equal(new.counts.moved, 1);
	assert_int_equal(new.counts.stayed + new.counts.ended, 0);
	assert_int_equal(old.n_moved, 1);
	assert_int_equal(neighbor_sessions(old.neighbors[0]), 0);
	assert_int_equal(neighbor_sessions(new.neighbors[0]), 1);
	assert_int_equal(new.last_session, 7);
	world_close(&old);

	assert_true(is_up(new.neighbors[0], 7));
	assert_int_equal(info_of(new.neighbors[0], 7)->since, was.since);
	assert_string_equal(info_of(new.neighbors[0], 7)->tls.peer_subject, subject);
	assert_int_equal(info_of(new.neighbors[0], 7)->own_port, was.own_port);
	neighbor_metrics(new.neighbors[0], row_after);
	assert_memory_equal(row, row_after, sizeof(row));
	daemon_says(&KEEPALIVE[10], 9);
	UNTIL(neighbor_hears(&KEEPALIVE[10], 9));
	neighbor_says(&KEEPALIVE[3], 16);
	UNTIL(daemon_hears(&KEEPALIVE[3], 16));
	check_talk();
	assert_int_equal(info_of(new.neighbors[0], 7)->in->messages[BGP_KEEPALIVE], 3);
	assert_int_equal(info_of(new.neighbors[0], 7)->out->messages[BGP_KEEPALIVE], 3);
	assert_int_equal(info_of(new.neighbors[0], 7)->out->bytes, 57);
	assert_null(info_of(new.neighbors[0], 7)->in->framing_error);
	/* An end of any kind is passed on as ever. */
	cleanup_close(&daemon_fd);
	daemon_fd = -1;
	UNTIL((neighbor_hears("x", 1), tls_peek(neighbor_tls) == TLS_EOF));
}

/* Numbers that the new worker has given itself stay its own. */
static void another_number(void **state)
{
	(void)state;
	begin_session(&old, 2, false);
	world_open(&new, same);
	new.last_session = 2;
	hand_over();
	assert_int_equal(new.counts.moved, 1);
	assert_null(neighbor_session(new.neighbors[0], 2));
	assert_true(is_up(new.neighbors[0], 3));
	assert_int_equal(new.last_session, 3);
	check_talk();
}

/* What the new worker says of its neighbor, with what the old one has kept. */
static struct jv *status_with_stays(void)
{
	struct jv *status = neighbor_status(new.neighbors[0], 0);

	assert_int_equal(take_add_status(new.take, status), 0);
	return status;
}

static void check_listed(size_t n)
{
	_cleanup_jv_ struct jv *status = status_with_stays();
	const struct jv *sessions = jv_get(status, "sessions"), *s = jv_at(sessions, 0);
	const struct jv *draining = jv_get(s, "draining");
	char worker[32];

	assert_int_equal(jv_size(sessions), n);
	assert_string_equal(jv_get_string(status, "state", ""), n ? "draining" : "idle");
	if (!n)
		return;
	snprintf(worker, sizeof(worker), "3-%d", getpid());
	assert_string_equal(jv_get_string(draining, "worker", ""), worker);
	assert_string_equal(jv_get_string(draining, "why", ""), "TLS 1.2 cannot move");
	assert_in_range(jv_get_int(draining, "until", 0) - time(NULL), 58, 60);
	assert_in_range(time(NULL) - jv_get_int(s, "since", 0), 0, 2);
	assert_int_equal(jv_get_int(status, "since", 1), jv_get_int(s, "since", 2));
	assert_int_equal(jv_get_int(s, "id", 0), 1);
	assert_string_equal(jv_get_string(s, "state", ""), "draining");
	assert_string_equal(jv_get_string(s, "direction", ""), "out");
	assert_string_equal(jv_get_string(s, "transport", ""), "tls");
	assert_string_equal(jv_get_string(s, "peer", ""), NEIGHBOR);
	assert_string_equal(jv_get_string(s, "bgp", ""), jv_get_string(status, "bgp", "-"));
	assert_string_equal(jv_get_string(jv_get(s, "tls"), "version", ""), "TLSv1.2");
	assert_non_null(jv_get(jv_get(s, "tls"), "subject"));
}

/* TLS 1.2, whose keys nobody can get at. */
static void one_stays(void **state)
{
	(void)state;
	begin_session(&old, 1, true);
	world_open(&new, same);
	hand_over();
	assert_int_equal(new.counts.moved, 0);
	assert_int_equal(new.counts.stayed, 1);
	assert_in_range(new.counts.drain_ms, 1, 60000);
	assert_in_range(new.counts.until - time(NULL), 58, 60);
	check_talk();
	check_listed(1);
	assert_int_equal(neighbor_reset(old.neighbors[0], "its time is over"), 1);
	give_tell_left(old.give, 0);
	UNTIL(new.n_counts == 2);
	assert_int_equal(new.counts.left, 0);
	check_listed(0);
}

/* The old worker ends it as it ends any other, and a session that it never heard of stays. */
static void one_that_stays_is_reset(void **state)
{
	char c;
	size_t n;

	(void)state;
	begin_session(&old, 1, true);
	world_open(&new, same);
	hand_over();
	assert_int_equal(take_reset(new.take, "127.0.0.2"), 0);
	check_talk();
	assert_int_equal(take_reset(new.take, NEIGHBOR), 1);
	assert_int_equal(take_reset(new.take, NEIGHBOR), 1); /* while it is on its way */
	UNTIL(tls_read(neighbor_tls, &c, 1, &n) == TLS_EOF);
	UNTIL(recv(daemon_fd, &c, 1, MSG_DONTWAIT) == 0);
	UNTIL(new.n_counts == 2);
	assert_int_equal(new.counts.ended, 1);
	assert_int_equal(new.counts.left, 0);
	check_listed(0);
	assert_int_equal(take_reset(new.take, NEIGHBOR), 0);
}

/* Before all is told of: what comes of that neighbor is not taken over. */
static void reset_in_the_middle(void **state)
{
	char c;
	size_t n;
	int fds[2];

	(void)state;
	begin_session(&old, 1, false);
	world_open(&new, same);
	pair(fds);
	assert_int_equal(give_new(loop, fds[0], 3, &give_ops, &old, &old.give), 0);
	assert_int_equal(take_new(loop, fds[1], &take_ops, &new, &new.take), 0);
	assert_int_equal(take_reset(new.take, NEIGHBOR), 0);
	give_begin(old.give, 60000);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.ended, 1);
	assert_int_equal(new.counts.moved, 0);
	UNTIL(tls_read(neighbor_tls, &c, 1, &n) == TLS_EOF);
	UNTIL(recv(daemon_fd, &c, 1, MSG_DONTWAIT) == 0);
}

/* Two restarts within the time that a session stays: what was counted goes on once. */
static void counted_once(void **state)
{
	uint64_t row[BM_VALUES];
	int fds[2], again;

	(void)state;
	begin_session(&old, 1, true);
	world_open(&new, same);
	pair(fds);
	again = dup(fds[1]);
	assert_int_equal(give_new(loop, fds[0], 3, &give_ops, &old, &old.give), 0);
	assert_int_equal(take_new(loop, fds[1], &take_ops, &new, &new.take), 0);
	give_begin(old.give, 60000);
	UNTIL(new.n_counts);
	neighbor_metrics(new.neighbors[0], row);
	assert_int_equal(row[BM_SESSIONS_BEGUN], 1);
	assert_int_equal(row[BM_HANDSHAKES], 1);
	/* The next successor has it from both. */
	take_free(TAKE(new.take));
	new.n_counts = 0;
	assert_int_equal(take_new(loop, again, &take_ops, &new, &new.take), 0);
	UNTIL(new.n_counts);
	neighbor_metrics(new.neighbors[0], row);
	assert_int_equal(row[BM_SESSIONS_BEGUN], 1);
	assert_int_equal(row[BM_HANDSHAKES], 1);
}

/* A reload ends what stayed as it would have ended it here. */
static void configured_otherwise_later(void **state)
{
	static const char later[] = "neighbor " NEIGHBOR " {\n" SETTINGS "/other-ca\n}\n";
	struct config *before;
	char c;

	(void)state;
	begin_session(&old, 1, true);
	world_open(&new, same);
	hand_over();
	assert_int_equal(new.counts.left, 1);
	/* One that changes nothing. */
	take_renew(new.take);
	UNTIL(new.n_counts == 2);
	assert_int_equal(new.counts.stayed, 1);
	assert_int_equal(new.counts.left, 1);
	check_talk();

	before = new.config;
	assert_int_equal(config_load_text(later, on_problem, NULL, &new.config), 0);
	neighbor_set_config(new.neighbors[0], &new.config->neighbors[0], ctx, NULL, false);
	config_free(before);
	take_renew(new.take);
	/* In the middle of it. */
	take_renew(new.take);
	UNTIL(new.n_counts == 3);
	assert_int_equal(new.counts.ended, 1);
	assert_int_equal(new.counts.left, 0);
	UNTIL(recv(daemon_fd, &c, 1, MSG_DONTWAIT) == 0);
}

static bool may_be_clear(struct neighbor *n)
{
	_cleanup_jv_ struct jv *status = neighbor_status(n, 0);

	return jv_get_bool(status, "fallback", false);
}

/* With TLS 1.2 it stays where it is, and is a session over TLS: clear text is for those that have
 * none. */
static void one_that_prefers_tls_stays(void **state)
{
	static const char preferred[] =
		"mode = preferred\nfallback-after = 2\nneighbor " NEIGHBOR " {\n" SETTINGS
		"/ca\n}\nneighbor 127.0.0.2 {\n" SETTINGS "/ca\n}\n";

	(void)state;
	world_close(&old);
	world_open(&old, preferred);
	begin_session(&old, 1, true);
	world_open(&new, preferred);
	hand_over();
	assert_int_equal(new.counts.stayed, 1);
	UNTIL(may_be_clear(new.neighbors[1]));
	assert_false(may_be_clear(new.neighbors[0]));
}

static void ends_in_order(const char *config)
{
	char c;
	size_t n;

	begin_session(&old, 1, false);
	world_open(&new, config);
	hand_over();
	assert_int_equal(new.counts.moved, 0);
	assert_int_equal(new.counts.ended, 1);
	UNTIL(tls_read(neighbor_tls, &c, 1, &n) == TLS_EOF);
	UNTIL(recv(daemon_fd, &c, 1, MSG_DONTWAIT) == 0);
}

static void no_longer_configured(void **state)
{
	(void)state;
	ends_in_order("neighbor 192.0.2.9 {\n" SETTINGS "/ca\n}\n");
}

static void configured_otherwise(void **state)
{
	(void)state;
	ends_in_order("neighbor " NEIGHBOR " {\n" SETTINGS "/other-ca\n}\n");
}

static void mode_is_off(void **state)
{
	(void)state;
	ends_in_order("neighbor " NEIGHBOR " {\n\tmode = off\n}\n");
}

static void nobody_comes(void **state)
{
	int fds[2];

	(void)state;
	begin_session(&old, 1, false);
	pair(fds);
	assert_int_equal(give_new(loop, fds[0], 0, &give_ops, &old, &old.give), 0);
	assert_false(give_is_alone(old.give));
	give_begin(old.give, 60000);
	close(fds[1]);
	UNTIL(old.n_alone);
	assert_true(give_is_alone(old.give));
	check_talk();
}

/* --- one end played by the test */

struct end {
	struct channel *channel;
	uint32_t types[64];
	unsigned n;
	bool gone;
	int error;
	/* between two others: what comes goes on, changed */
	struct channel *to;
	void (*change)(struct channel_message *m, struct fields_out *o);
	uint32_t changes;
};

static void copy_but(struct channel_message *m, struct fields_out *o, const char *but)
{
	for (size_t at = 0; at < m->f.len;) {
		const uint8_t *p = m->f.data + at;
		char name[FIELDS_NAME_MAX + 1] = {};
		size_t len;

		memcpy(name, p + 1, p[0]);
		p += 1 + p[0];
		len = (size_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
		if (strcmp(name, but) != 0)
			fields_put(o, name, p + 4, len);
		at = p + 4 + len - m->f.data;
	}
}

static void on_end_gone(void *arg, int error)
{
	struct end *e = arg;

	e->gone = true;
	e->error = error;
}

static void on_end_message(void *arg, struct channel_message *m)
{
	struct end *e = arg;
	struct fields_out o = {};

	if (e->n < ARRAY_SIZE(e->types))
		e->types[e->n++] = m->type;
	if (!e->to)
		return;
	if (m->type == e->changes)
		e->change(m, &o);
	else
		copy_but(m, &o, "");
	assert_int_equal(channel_send(e->to, m->type, &o, m->fds, m->n_fds), 0);
}

static const struct channel_callbacks end_callbacks = {.on_message = on_end_message,
						       .on_gone = on_end_gone};

static bool has_said(const struct end *e, uint32_t type)
{
	return e->n && e->types[e->n - 1] == type;
}

static void say(struct end *e, uint32_t type, uint64_t offer)
{
	struct fields_out o = {};

	if (offer)
		fields_put_number(&o, "offer", offer);
	assert_int_equal(channel_send(e->channel, type, &o, NULL, 0), 0);
}

static void ask_for_session(struct end *e)
{
	say(e, HANDOVER_HELLO, 0);
	UNTIL(has_said(e, HANDOVER_WELCOME));
	say(e, HANDOVER_NEXT, 0);
	UNTIL(has_said(e, HANDOVER_COUNTERS));
	say(e, HANDOVER_NEXT, 0);
	UNTIL(has_said(e, HANDOVER_SESSION));
}

/* A successor that dies with a session in its hands: the session goes on with the old worker, and
 * the next one gets it. Another one says too late that it is ready. */
static void successors_that_die(void **state)
{
	struct end e = {};
	int fds[2];

	(void)state;
	begin_session(&old, 1, false);
	pair(fds);
	assert_int_equal(give_new(loop, fds[0], 0, &give_ops, &old, &old.give), 0);
	assert_int_equal(channel_new(loop, fds[1], &end_callbacks, &e, &e.channel), 0);
	/* Asked before it knows that its control is gone. */
	say(&e, HANDOVER_HELLO, 0);
	for (int i = 0; i < 20; i++)
		loop_turn(loop, false);
	assert_int_equal(e.n, 0);
	give_begin(old.give, 60000);
	UNTIL(has_said(&e, HANDOVER_WELCOME));
	say(&e, HANDOVER_NEXT, 0);
	UNTIL(has_said(&e, HANDOVER_COUNTERS));
	say(&e, HANDOVER_NEXT, 0);
	UNTIL(has_said(&e, HANDOVER_SESSION));
	/* It stands still, and nothing is lost. */
	daemon_says(KEEPALIVE, 19);
	for (int i = 0; i < 50; i++) {
		loop_turn(loop, false);
		assert_false(neighbor_hears(KEEPALIVE, 19));
		usleep(1000);
	}
	/* Somebody else asks. */
	say(&e, HANDOVER_HELLO, 0);
	UNTIL(has_said(&e, HANDOVER_WELCOME));
	UNTIL(neighbor_hears(KEEPALIVE, 19));
	say(&e, HANDOVER_NEXT, 0);
	UNTIL(has_said(&e, HANDOVER_COUNTERS));
	say(&e, HANDOVER_NEXT, 0);
	UNTIL(has_said(&e, HANDOVER_SESSION));
	/* It goes on by itself, and what comes later is too late. */
	daemon_says(KEEPALIVE, 19);
	UNTIL(neighbor_hears(KEEPALIVE, 19));
	say(&e, HANDOVER_READY, 0);
	UNTIL(has_said(&e, HANDOVER_STOP));
	say(&e, HANDOVER_NEXT, 0);
	UNTIL(has_said(&e, HANDOVER_END));
	check_talk();
	channel_free(e.channel);
	UNTIL(old.n_alone);
}

/* READY of one who asked before, and has an older state of the session. */
static void ready_for_what_was_offered_before(void **state)
{
	struct end e = {};
	int fds[2];

	(void)state;
	begin_session(&old, 1, false);
	pair(fds);
	assert_int_equal(give_new(loop, fds[0], 0, &give_ops, &old, &old.give), 0);
	assert_int_equal(channel_new(loop, fds[1], &end_callbacks, &e, &e.channel), 0);
	give_begin(old.give, 60000);
	ask_for_session(&e);
	ask_for_session(&e);
	say(&e, HANDOVER_READY, 1);
	UNTIL(has_said(&e, HANDOVER_STOP));
	assert_int_equal(neighbor_sessions(old.neighbors[0]), 1);
	say(&e, HANDOVER_READY, 2);
	UNTIL(has_said(&e, HANDOVER_GO));
	assert_int_equal(neighbor_sessions(old.neighbors[0]), 0);
	channel_free(e.channel);
	UNTIL(old.n_alone);
}

/* What a newer version says that changes nothing for an older one. */
static void make_newer(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "version");
	fields_put_number(o, "version", 2);
	fields_put_text(o, "something-new", "of version 2");
}

/* And what an older one would do wrongly. */
static void make_too_new(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "reader");
	fields_put_number(o, "reader", 2);
}

static void take_bgp_out(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "bgp");
}

static void take_fds_out(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "");
	m->n_fds = 1;
}

/* Its number is another connection's than the neighbor's. */
static void lie_about_peer(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "peer");
	fields_put_text(o, "peer", "127.0.0.9");
}

/* It went without the TCP-AO that was preferred then. */
static void lack_ao(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "");
	fields_put_number(o, "ao-lack", AO_LACK_NO_ANSWER);
}

/* Nobody knows how it was configured. */
static void take_config_out(struct channel_message *m, struct fields_out *o)
{
	copy_but(m, o, "config");
}

/* An older version says only that there is one. */
static void take_facts_out(struct channel_message *m, struct fields_out *o)
{
	char neighbor[ADDR_STRLEN];

	fields_text(&m->f, "neighbor", neighbor, sizeof(neighbor));
	fields_put_text(o, "neighbor", neighbor);
	fields_put_text(o, "why", "it is old");
}

/* Both workers, and the test between them. */
static void begin_between_with(struct end *giver, struct end *taker, bool tls12)
{
	int a[2], b[2];

	begin_session(&old, 1, tls12);
	if (!new.config)
		world_open(&new, same);
	pair(a);
	pair(b);
	assert_int_equal(channel_new(loop, a[1], &end_callbacks, giver, &giver->channel), 0);
	assert_int_equal(channel_new(loop, b[0], &end_callbacks, taker, &taker->channel), 0);
	giver->to = taker->channel;
	taker->to = giver->channel;
	assert_int_equal(give_new(loop, a[0], 0, &give_ops, &old, &old.give), 0);
	assert_int_equal(take_new(loop, b[1], &take_ops, &new, &new.take), 0);
	give_begin(old.give, 60000);
}

static void begin_between(struct end *giver, struct end *taker)
{
	begin_between_with(giver, taker, false);
}

static void through(void (*change)(struct channel_message *m, struct fields_out *o),
		    const struct take_counts *expected)
{
	struct end giver = {.change = change, .changes = HANDOVER_SESSION}, taker = {};

	if (change == take_config_out)
		giver.changes = HANDOVER_WELCOME;
	begin_between(&giver, &taker);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.moved, expected->moved);
	assert_int_equal(new.counts.stayed, expected->stayed);
	assert_int_equal(new.counts.ended, expected->ended);
	assert_int_equal(neighbor_sessions(old.neighbors[0]), 1 - new.counts.moved);
	assert_int_equal(neighbor_sessions(new.neighbors[0]), new.counts.moved);
	if (!expected->ended)
		check_talk();
	channel_free(giver.channel);
	channel_free(taker.channel);
}

static void a_newer_version(void **state)
{
	(void)state;
	through(make_newer, &(struct take_counts){.moved = 1});
}

static void a_version_too_new(void **state)
{
	(void)state;
	through(make_too_new, &(struct take_counts){.stayed = 1});
}

static void a_field_is_missing(void **state)
{
	(void)state;
	through(take_bgp_out, &(struct take_counts){.stayed = 1});
}

static void a_descriptor_is_missing(void **state)
{
	(void)state;
	through(take_fds_out, &(struct take_counts){.stayed = 1});
}

static void not_the_neighbors_connection(void **state)
{
	(void)state;
	through(lie_about_peer, &(struct take_counts){.ended = 1});
}

static void without_ao_where_it_may_not_be(void **state)
{
	(void)state;
	through(lack_ao, &(struct take_counts){.ended = 1});
}

static void without_ao_where_it_must_be(void **state)
{
	(void)state;
	world_open(&new, "neighbor " NEIGHBOR " {\n\ttcp-ao = exporter\n" SETTINGS "/ca\n}\n");
	through(take_config_out, &(struct take_counts){.ended = 1});
}

/* It is not listed, and a reset reaches it. */
static void an_older_version_keeps_one(void **state)
{
	struct end giver = {.change = take_facts_out, .changes = HANDOVER_STAYS}, taker = {};
	char c;

	(void)state;
	begin_between_with(&giver, &taker, true);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.left, 1);
	check_listed(0);
	check_talk();
	assert_int_equal(take_reset(new.take, NEIGHBOR), 1);
	UNTIL(recv(daemon_fd, &c, 1, MSG_DONTWAIT) == 0);
	UNTIL(new.n_counts == 2);
	assert_int_equal(new.counts.left, 0);
	channel_free(giver.channel);
	channel_free(taker.channel);
}

static void an_unknown_configuration(void **state)
{
	(void)state;
	through(take_config_out, &(struct take_counts){.moved = 1});
}

static void open_between(struct end *giver, struct end *taker)
{
	begin_between(giver, taker);
	UNTIL(has_said(giver, HANDOVER_SESSION));
	taker->to = NULL; /* READY gets no further */
	UNTIL(has_said(taker, HANDOVER_READY));
}

static unsigned times_said(const struct end *e, uint32_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < e->n; i++)
		n += e->types[i] == type;
	return n;
}

static void renewed(void (*change)(struct channel_message *m, struct fields_out *o),
		    const struct take_counts *expected, unsigned rounds)
{
	struct end giver = {.change = change, .changes = HANDOVER_SESSION}, taker = {};

	begin_between(&giver, &taker);
	UNTIL(has_said(&giver, HANDOVER_SESSION));
	take_renew(new.take);
	UNTIL(new.n_counts);
	assert_int_equal(times_said(&taker, HANDOVER_HELLO), rounds);
	assert_int_equal(times_said(&giver, HANDOVER_END), rounds);
	assert_int_equal(new.counts.moved, expected->moved);
	assert_int_equal(new.counts.stayed, expected->stayed);
	check_talk();
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* What was told of before a reload is looked at once more, if it stayed. */
static void configured_otherwise_meanwhile(void **state)
{
	(void)state;
	renewed(make_too_new, &(struct take_counts){.stayed = 1}, 2);
}

static void renewed_when_all_has_moved(void **state)
{
	(void)state;
	renewed(make_newer, &(struct take_counts){.moved = 1}, 1);
}

/* GO for somebody else, who reads there, too: it has the session, and two must not. */
static void go_for_another(void **state)
{
	struct end giver = {}, taker = {};

	(void)state;
	open_between(&giver, &taker);
	say(&taker, HANDOVER_GO, 7);
	say(&taker, HANDOVER_GO, 0);
	for (int i = 0; i < 20; i++)
		loop_turn(loop, false);
	assert_int_equal(neighbor_sessions(new.neighbors[0]), 0);
	say(&giver, HANDOVER_READY, 1);
	UNTIL(neighbor_sessions(new.neighbors[0]));
	check_talk();
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* What was told of is not taken over after all, and is listed with what the old worker calls it. */
static void too_late(void **state)
{
	_cleanup_jv_ struct jv *status = NULL;
	struct end giver = {}, taker = {};
	const struct jv *s;

	(void)state;
	open_between(&giver, &taker);
	taker.to = giver.channel;
	daemon_says(KEEPALIVE, 19);
	UNTIL(neighbor_hears(KEEPALIVE, 19)); /* the old worker has waited long enough */
	say(&giver, HANDOVER_READY, 1);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.stayed, 1);
	status = status_with_stays();
	s = jv_at(jv_get(status, "sessions"), 0);
	assert_int_equal(jv_get_int(s, "id", 0), 1);
	assert_string_equal(jv_get_string(jv_get(s, "tls"), "version", ""), "TLSv1.3");
	assert_string_equal(jv_get_string(jv_get(s, "draining"), "why", ""),
			    "it was not taken over in time");
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* Reset while it is on its way from one to the other: it arrives, and ends in an orderly way. */
static void reset_with_one_in_hand(void **state)
{
	struct end giver = {}, taker = {};
	char c;

	(void)state;
	open_between(&giver, &taker);
	assert_int_equal(take_reset(new.take, NEIGHBOR), 0);
	taker.to = giver.channel;
	say(&giver, HANDOVER_READY, 1);
	UNTIL(recv(daemon_fd, &c, 1, MSG_DONTWAIT) == 0);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.moved, 1);
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* The new worker's control has died, too: it finishes what it holds and asks for no more. */
static void the_new_one_loses_its_control(void **state)
{
	struct end giver = {}, taker = {};

	(void)state;
	open_between(&giver, &taker);
	assert_false(take_stop(new.take));
	say(&giver, HANDOVER_READY, 1);
	UNTIL(new.n_gone);
	assert_int_equal(neighbor_sessions(new.neighbors[0]), 1);
	check_talk();
	assert_true(has_said(&taker, HANDOVER_READY));
	assert_true(take_stop(new.take));
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* A reload took the neighbor away, and another one made one of that name. */
static void another_neighbor_of_that_name(void **state)
{
	struct end giver = {}, taker = {};
	struct neighbor *another;

	(void)state;
	open_between(&giver, &taker);
	assert_int_equal(neighbor_new(loop, &neighbor_ops, &new, &new.config->neighbors[0], ctx,
				      NULL, &another),
			 0);
	neighbor_free(new.neighbors[0]);
	new.neighbors[0] = another;
	taker.to = giver.channel;
	say(&giver, HANDOVER_READY, 1);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.ended, 1);
	assert_int_equal(neighbor_sessions(another), 0);
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* The old worker dies when it had been told that we are ready: whether it let go nobody knows. */
static void the_old_one_dies(void **state)
{
	struct end giver = {}, taker = {};

	(void)state;
	open_between(&giver, &taker);
	channel_free(taker.channel);
	UNTIL(new.n_gone);
	assert_int_equal(neighbor_sessions(new.neighbors[0]), 0);
	channel_free(giver.channel);
	UNTIL(old.n_alone);
	check_talk(); /* with the old one, which lives in truth */
}

/* --- an old worker that was taken over */

/* The longest description there can be. The bytes are of nobody. */
static void make_longest(struct channel_message *m, struct fields_out *o)
{
	static const struct {
		const char *name;
		size_t len;
	} longest[] = {{"relay.in.held", RELAY_HELD_MAX},
		       {"relay.out.held", RELAY_HELD_MAX},
		       {"tls.plain", 16384 + TLS_READ_MAX},
		       {"tls.raw", TLS_READ_MAX},
		       {"tls.out", 256 << 10}};
	static const uint8_t zeros[256 << 10];
	struct fields_out from = {}, to = {};
	struct channel_message now = *m;

	copy_but(m, &from, "");
	for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
		assert_int_equal(fields_read(&now.f, from.data, from.len), 0);
		copy_but(&now, &to, longest[i].name);
		fields_put(&to, longest[i].name, zeros, longest[i].len);
		fields_out_done(&from);
		from = to;
		to = (struct fields_out){};
	}
	assert_in_range(from.len, 400000, 450000);
	*o = from;
}

static void the_longest_description(void **state)
{
	struct end giver = {.change = make_longest, .changes = HANDOVER_SESSION}, taker = {};

	(void)state;
	begin_between(&giver, &taker);
	UNTIL(new.n_counts);
	assert_int_equal(new.counts.moved, 1);
	channel_free(giver.channel);
	channel_free(taker.channel);
}

/* What it was told of before is in our hands, and stays there. */
static void it_breaks_a_rule(void (*make)(struct fields_out *o))
{
	struct end giver = {}, taker = {};
	struct fields_out o = {};

	begin_between(&giver, &taker);
	UNTIL(new.counts.moved);
	make(&o);
	assert_int_equal(channel_send(taker.channel, HANDOVER_SESSION, &o, NULL, 0), 0);
	UNTIL(new.n_gone);
	take_free(TAKE(new.take));
	assert_int_equal(neighbor_sessions(new.neighbors[0]), 1);
	check_talk();
	UNTIL(taker.gone);
	channel_free(giver.channel);
	channel_free(taker.channel);
}

static void make_too_long(struct fields_out *o)
{
	static const char text[HANDOVER_MESSAGE_MAX];

	fields_put(o, "neighbor", text, sizeof(text));
}

static void make_too_many(struct fields_out *o)
{
	for (int i = 0; i <= FIELDS_COUNT_MAX; i++)
		fields_put(o, "n", NULL, 0);
}

static void too_long(void **state)
{
	(void)state;
	it_breaks_a_rule(make_too_long);
}

static void too_many_fields(void **state)
{
	(void)state;
	it_breaks_a_rule(make_too_many);
}

/* However much it says at once, others are served in between. */
static void one_message_in_a_turn(void **state)
{
	struct end e = {};
	unsigned n;
	int fds[2];

	(void)state;
	world_open(&new, same);
	pair(fds);
	assert_int_equal(channel_new(loop, fds[0], &end_callbacks, &e, &e.channel), 0);
	assert_int_equal(take_new(loop, fds[1], &take_ops, &new, &new.take), 0);
	say(&e, HANDOVER_WELCOME, 0);
	for (int i = 0; i < 20; i++)
		say(&e, HANDOVER_END, 0);
	for (n = 0; new.n_counts < 20; n++)
		assert_int_equal(loop_turn(loop, false), 0);
	assert_true(n >= 20);
	channel_free(e.channel);
}

static void on_slow_message(void *arg, struct channel_message *m)
{
	(void)m;
	((struct end *)arg)->n++;
	usleep(2000);
}

static void it_never_ends(void **state)
{
	static const struct channel_callbacks slow = {.on_message = on_slow_message,
						      .on_gone = on_end_gone};
	struct end stranger = {}, e = {};
	int fds[2];

	(void)state;
	pair(fds);
	assert_int_equal(channel_new(loop, fds[0], &end_callbacks, &stranger, &stranger.channel),
			 0);
	assert_int_equal(channel_new(loop, fds[1], &slow, &e, &e.channel), 0);
	channel_limit_work(e.channel, 10);
	while (!e.gone) {
		say(&stranger, HANDOVER_COUNTERS, 0);
		assert_int_equal(loop_turn(loop, false), 0);
		assert_true(e.n <= 10);
	}
	assert_int_equal(e.error, -ETIME);
	channel_free(stranger.channel);
	channel_free(e.channel);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_goes_on),
		TEST(another_number),
		TEST(one_stays),
		TEST(one_that_stays_is_reset),
		TEST(reset_in_the_middle),
		TEST(one_that_prefers_tls_stays),
		TEST(counted_once),
		TEST(configured_otherwise_later),
		TEST(no_longer_configured),
		TEST(configured_otherwise),
		TEST(mode_is_off),
		TEST(nobody_comes),
		TEST(successors_that_die),
		TEST(a_newer_version),
		TEST(a_version_too_new),
		TEST(a_field_is_missing),
		TEST(a_descriptor_is_missing),
		TEST(the_old_one_dies),
		TEST(ready_for_what_was_offered_before),
		TEST(configured_otherwise_meanwhile),
		TEST(renewed_when_all_has_moved),
		TEST(go_for_another),
		TEST(an_older_version_keeps_one),
		TEST(too_late),
		TEST(reset_with_one_in_hand),
		TEST(the_new_one_loses_its_control),
		TEST(another_neighbor_of_that_name),
		TEST(not_the_neighbors_connection),
		TEST(without_ao_where_it_may_not_be),
		TEST(without_ao_where_it_must_be),
		TEST(an_unknown_configuration),
		TEST(the_longest_description),
		TEST(too_long),
		TEST(too_many_fields),
		TEST(one_message_in_a_turn),
		TEST(it_never_ends),
	};

	neighbor_ops = idle_neighbor_host;
	neighbor_ops.want_outer = want_outer;
	neighbor_ops.want_inner = want_inner;
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
