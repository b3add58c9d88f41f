// SPDX-License-Identifier: Apache-2.0
/*
 * What the worker of a botlsd before can say to the one that takes its sessions over (handover.h):
 * any messages in any order, with descriptions that are nearly right.
 *
 * A message is an octet, its lower three bits which kind, the next two how many descriptors (3: two
 * that are connections), and an octet with the number of edits to its proper body. An edit: which
 * field, what is done to it (another value, cut, taken out, added once more), how long the value
 * is, and its bytes. The last kind has a body of the script's own bytes.
 *
 * Checked: what is taken over can be told of again, and is then the same; nothing else is left, no
 * descriptor and no memory; connections that were not taken over are as they were.
 */
#include "check.h"
#include "handover.h"
#include "handover_channel.h"
#include "ipc.h"
#include "log.h"
#include "neighbor_host.h"
#include "script.h"
#include "session.h"
#include "sock.h"
#include "tcp_pair.h"
#include "tls_pair.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGES_MAX 24
#define VALUE_MAX    64

static const char config_text[] =
	"neighbor 127.0.0.1 {\n\tcertificate = /c\n\tkey = /k\n\tca = /ca\n}\n"
	"neighbor 127.0.0.2 {\n\tmode = preferred\n\tcertificate = /c\n\tkey = /k\n\tca = /ca\n}\n";

static struct {
	struct loop *loop;
	struct config *config;
	struct neighbor *neighbors[2];
	uint64_t last_session;
	struct take *take;
	bool is_gone;
	struct channel *giver;
	int inner[2], outer[2]; /* ours, and the daemon's or neighbor's */
	struct fields_out description;
} play;

/* --- the new worker */

static struct neighbor *find_neighbor(void *host, const char *name)
{
	const struct neighbor_config *c = config_neighbor(play.config, name);

	(void)host;
	return c ? play.neighbors[c - play.config->neighbors] : NULL;
}

static const struct config *config_of(void *host)
{
	(void)host;
	return play.config;
}

static uint64_t *last_session(void *host)
{
	(void)host;
	return &play.last_session;
}

static void on_counts(void *host, const struct take_counts *c)
{
	(void)host;
	(void)c;
}

static void on_gone(void *host)
{
	(void)host;
	play.is_gone = true;
}

static const struct take_ops take_ops = {find_neighbor, config_of, last_session, on_counts,
					 on_gone};

/* --- the old one, by the script */

static void on_answer(void *arg, struct channel_message *m)
{
	(void)arg;
	(void)m;
}

static void on_giver_gone(void *arg, int error)
{
	(void)arg;
	(void)error;
}

static const struct channel_callbacks giver_callbacks = {.on_message = on_answer,
							 .on_gone = on_giver_gone};

/* The field at *at, in its three parts. */
static void take_field(const struct fields_out *o, size_t *at,
		       char name[static FIELDS_NAME_MAX + 1], const uint8_t **ret_value,
		       size_t *ret_len)
{
	const uint8_t *p = o->data + *at;

	memset(name, 0, FIELDS_NAME_MAX + 1);
	memcpy(name, p + 1, p[0]);
	p += 1 + p[0];
	*ret_len = (size_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
	*ret_value = p + 4;
	*at = p + 4 + *ret_len - o->data;
}

/* `from` with the field number `which` done to. */
static void edit(struct fields_out *from, unsigned which, unsigned how, const uint8_t *bytes,
		 size_t n)
{
	struct fields_out to = {};
	size_t at = 0;

	for (unsigned i = 0; at < from->len; i++) {
		char name[FIELDS_NAME_MAX + 1];
		const uint8_t *value;
		size_t len;

		take_field(from, &at, name, &value, &len);
		if (i != which) {
			fields_put(&to, name, value, len);
			continue;
		}
		if (how % 4 == 0 || how % 4 == 3)
			fields_put(&to, name, bytes, n);
		if (how % 4 == 1)
			fields_put(&to, name, value, n < len ? n : len);
		if (how % 4 == 3)
			fields_put(&to, name, value, len);
	}
	fields_out_done(from);
	*from = to;
}

static void put_facts(struct fields_out *o, uint64_t id)
{
	fields_put_number(o, "id", id);
	fields_put_number(o, "is-inbound", 0);
	fields_put_number(o, "is-clear", 0);
	fields_put_text(o, "own", "127.0.0.1");
	fields_put_text(o, "peer", "127.0.0.1");
	fields_put_number(o, "own-port", 4000);
	fields_put_number(o, "peer-port", 8179);
	fields_put_number(o, "since", 1700000000);
	fields_put_number(o, "established-since", 1700000001);
	fields_put_text(o, "bgp", "established");
}

static void proper_body(enum handover_type type, struct fields_out *o)
{
	switch (type) {
	case HANDOVER_WELCOME:
		fields_put_number(o, "version", 1);
		fields_put_number(o, "last-session", 5);
		fields_put_text(o, "config", config_text);
		fields_put_number(o, "worker", 0);
		fields_put_number(o, "process", 77);
		break;
	case HANDOVER_COUNTERS:
		fields_put_text(o, "neighbor", "127.0.0.1");
		neighbor_export_counters(play.neighbors[0], o);
		break;
	case HANDOVER_SESSION:
		edit(&play.description, UINT32_MAX, 0, NULL, 0);
		for (size_t at = 0; at < play.description.len;) {
			char name[FIELDS_NAME_MAX + 1];
			const uint8_t *value;
			size_t len;

			take_field(&play.description, &at, name, &value, &len);
			fields_put(o, name, value, len);
		}
		fields_put_number(o, "offer", 1);
		break;
	case HANDOVER_STAYS:
		fields_put_text(o, "neighbor", "127.0.0.2");
		fields_put_text(o, "why", "TLS 1.2");
		put_facts(o, 4);
		fields_put_text(o, "tls.version", "TLSv1.2");
		fields_put_text(o, "tls.peer-subject", "CN=r2");
		break;
	case HANDOVER_END:
		fields_put_number(o, "drain-ms", 1000);
		fields_put_number(o, "draining-since", 1700000000);
		break;
	case HANDOVER_LEFT:
		fields_put_number(o, "left", 1);
		fields_put(o, "sessions", "\0\0\0\0\0\0\0\4", 8);
		break;
	case HANDOVER_GO:
	case HANDOVER_STOP: fields_put_number(o, "offer", 1); break;
	case HANDOVER_HELLO:
	case HANDOVER_NEXT:
	case HANDOVER_READY:
	case HANDOVER_REFUSE: break;
	}
}

static void say(void)
{
	static const enum handover_type types[] = {
		HANDOVER_WELCOME, HANDOVER_COUNTERS, HANDOVER_SESSION, HANDOVER_STAYS,
		HANDOVER_GO,	  HANDOVER_STOP,     HANDOVER_END,     HANDOVER_LEFT};
	uint8_t kind = next(), edits = next() % 8;
	enum handover_type type = types[kind % 8];
	const int fds[2] = {play.inner[0], play.outer[0]}, others[2] = {play.inner[0], 0};
	unsigned n_fds = kind >> 3 & 3;
	struct fields_out o = {};

	proper_body(type, &o);
	for (unsigned i = 0; i < edits; i++) {
		uint8_t bytes[VALUE_MAX];
		unsigned which = next(), how = next();
		size_t n = next() % VALUE_MAX;

		for (size_t k = 0; k < n; k++)
			bytes[k] = next();
		edit(&o, which, how, bytes, n);
	}
	channel_send(play.giver, type, &o, n_fds == 2 ? others : fds, n_fds == 3 ? 2 : n_fds);
	for (int i = 0; i < 6; i++)
		loop_turn(play.loop, false);
}

/* --- what came of it */

/* Told of again it is the same session. */
static void tell_again(struct neighbor *n, struct session *s)
{
	struct fields_out one = {}, two = {};
	const struct session_params p = {
		.loop = play.loop, .ops = NULL, .config = neighbor_config(n)};
	struct session *again = NULL;
	struct fields_in f;
	int inner, outer;

	if (session_freeze(s) < 0)
		return;
	CHECK(session_export(s, &one) == 0);
	session_get_fds(s, &inner, &outer);
	CHECK(fields_read(&f, one.data, one.len) == 0);
	CHECK(session_import(&p, &f, fcntl(inner, F_DUPFD_CLOEXEC, 3),
			     fcntl(outer, F_DUPFD_CLOEXEC, 3), &again) == 0);
	CHECK(session_export(again, &two) == 0);
	/* But for the time that passes. */
	CHECK(one.len == two.len);
	session_leave(again);
	fields_out_done(&one);
	fields_out_done(&two);
	CHECK(session_thaw(s) == 0);
}

/* What is listed is whole; and it can be reset. */
static void list(struct neighbor *n)
{
	_cleanup_jv_ struct jv *status = neighbor_status(n, 0);
	const struct jv *sessions;

	CHECK(take_add_status(play.take, status) == 0);
	sessions = jv_get(status, "sessions");
	for (size_t i = 0; i < jv_size(sessions); i++) {
		const struct jv *s = jv_at(sessions, i);

		CHECK(jv_get_int(s, "id", 0) > 0 && jv_get_string(s, "direction", NULL));
		CHECK(!jv_get(s, "draining") || jv_get_string(s, "transport", NULL));
	}
	take_reset(play.take, neighbor_name(n));
}

static void look(void)
{
	struct pollfd p[2] = {{.fd = play.inner[1]}, {.fd = play.outer[1]}};
	bool is_taken = false;

	for (size_t i = 0; i < ARRAY_SIZE(play.neighbors); i++) {
		struct session *s = neighbor_next_session(play.neighbors[i], 1);

		is_taken |= s != NULL;
		if (s)
			tell_again(play.neighbors[i], s);
		list(play.neighbors[i]);
	}
	/* Nobody has touched the connections. */
	poll(p, 2, 0);
	if (!is_taken && !play.last_session)
		CHECK(!(p[0].revents & (POLLHUP | POLLERR)) &&
		      !(p[1].revents & (POLLHUP | POLLERR)));
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 128; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void on_problem(void *arg, const char *where, const char *text)
{
	(void)arg;
	(void)where;
	(void)text;
	CHECK(false);
}

/* [0] was accepted. */
static void connect_pair(int fds[2])
{
	int pair[2];

	tcp_pair(pair, 0);
	fds[0] = pair[1];
	fds[1] = pair[0];
	sock_set_reset_on_close(fds[1]); /* no TIME_WAIT for each input */
}

/* A good description: of a struct tls that has made its handshake, and by hand. */
static void describe(struct fields_out *o)
{
	struct tls_params client = good_params(&pki.client), server = good_params(&pki.server);
	struct bgp_stream stream;
	struct pair p;

	bgp_init(&stream);
	bgp_feed(&stream, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, false);
	fields_put_number(o, "version", 1);
	fields_put_number(o, "reader", 1);
	fields_put_text(o, "neighbor", "127.0.0.1");
	put_facts(o, 3);
	for (const char *const *name =
		     (const char *const[]){"before.records-in", "before.records-out",
					   "before.key-updates-sent", "before.key-updates-received",
					   NULL};
	     *name; name++)
		fields_put_number(o, *name, 0);
	for (const char *const *way = (const char *const[]){"in", "out", NULL}; *way; way++) {
		o->prefix = *way;
		bgp_export_state(&stream, o);
	}
	for (const char *const *way = (const char *const[]){"relay.in", "relay.out", NULL}; *way;
	     way++) {
		o->prefix = *way;
		fields_put(o, "held", "held", 4);
		fields_put_number(o, "read", 12);
		fields_put_number(o, "written", 8);
		fields_put_number(o, "blocked-ms", 0);
	}
	o->prefix = NULL;
	pair_open(&p, &client, &server);
	pair_handshake(&p);
	CHECK(tls_export_state(p.t[TLS_CLIENT], o) == 0);
	pair_close(&p);
	bgp_done(&stream);
	CHECK(fields_out_error(o) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	pki_setup(NULL);
	describe(&play.description);
	CHECK(config_load_text(config_text, on_problem, NULL, &play.config) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = count_fds(), fds[2];

	script = data;
	script_left = size;
	play.last_session = 0;
	play.is_gone = false;
	CHECK(loop_new(&play.loop) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(play.neighbors); i++)
		CHECK(neighbor_new(play.loop, &idle_neighbor_host, NULL, &play.config->neighbors[i],
				   NULL, "no certificate", &play.neighbors[i]) == 0);
	connect_pair(play.inner);
	connect_pair(play.outer);
	CHECK(ipc_pair(fds) == 0);
	CHECK(take_new(play.loop, fds[1], &take_ops, NULL, &play.take) == 0);
	CHECK(channel_new(play.loop, fds[0], &giver_callbacks, NULL, &play.giver) == 0);
	for (int i = 0; i < MESSAGES_MAX && script_left && !play.is_gone; i++)
		say();
	look();
	channel_free(play.giver);
	for (int i = 0; i < 4; i++)
		loop_turn(play.loop, false);
	take_free(play.take);
	for (size_t i = 0; i < ARRAY_SIZE(play.neighbors); i++)
		neighbor_free(play.neighbors[i]);
	for (int i = 0; i < 2; i++) {
		close(play.inner[i]);
		close(play.outer[i]);
	}
	loop_free(play.loop);
	CHECK(count_fds() == before);
	return 0;
}
