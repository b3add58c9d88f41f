// SPDX-License-Identifier: Apache-2.0
/*
 * A whole session in one process: session, relay, TLS and BGP as they are, the daemon and the
 * neighbor played by a script of bytes, and a clock that moves only when the script says so.
 *
 * The first octet chooses what kind of session it is, the rest are steps: what the daemon and the
 * neighbor send (the neighbor as TLS or past it, straight onto the wire), how they end, what
 * control answers, how much time passes. Over TCP the session can also be handed over to another
 * one in its midst, and have tcp-ao = capability (control says that it is turned on, which no
 * kernel has to do) and ktls. Checked: the daemon hears nothing but what an authenticated neighbor
 * said, in order, and the other way round; `required` never asks for clear text; the host is told
 * of the end once; descriptors are closed by then; and a session that is not up ends by itself.
 */
#include "check.h"
#include "bgp_open_edit.h"
#include "certs.h"
#include "fields.h"
#include "ktls.h"
#include "messages.h"
#include "script.h"
#include "scripted_clock.h"
#include "session.h"
#include "sock.h"
#include "tcp_pair.h"
#include "tls_internal.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define STEPS_MAX	  400
#define STREAM_MAX	  65536
#define HANDSHAKE_TIMEOUT 10  /* s */
#define HOLD_TIME	  30  /* s: how long a daemon waits for TLS */
#define PATIENCE	  120 /* s: no session that is not up lasts longer */
#define CAPABILITY_MAX	  16  /* bytes that ours makes an OPEN longer */

/* ---- the script ---- */

/* As many of the next octets as the one before them says. */
static const uint8_t *next_bytes(size_t *ret_len)
{
	const uint8_t *at;
	size_t len = next();

	if (len > script_left)
		len = script_left;
	at = script;
	script += len;
	script_left -= len;
	*ret_len = len;
	return at;
}

/* ---- the world of one session ---- */

/* What one side said, and how much of it the other has heard. */
struct said {
	uint8_t bytes[STREAM_MAX];
	size_t len, heard;
	uint8_t got[STREAM_MAX + CAPABILITY_MAX]; /* where the first message may be another one */
};

static struct play {
	struct session *session;
	struct neighbor_config config, other_config;
	struct tls_ctx *ours, *theirs;
	int daemon, neighbor; /* far ends; -1: not yet, or closed */
	struct tls *tls;      /* the neighbor's; NULL: none (any more) */
	bool is_verified;     /* its certificate is one that we take */
	bool was_done;	      /* its handshake was */
	bool was_tampered;    /* with the wire: what it hears may stop anywhere */
	uint32_t request;     /* due to be answered; 0: none */
	bool wants_inner, wants_ao;
	bool is_tcp, has_capability;
	bool may_clear, is_clear;
	unsigned n_ended;
	struct said by_daemon, by_neighbor;
} play;

static struct loop *loop;
static struct tls_ctx *good[2], *tls12[2], *stranger; /* by enum tls_side */

static uint32_t want(bool inner)
{
	static uint32_t last;

	CHECK(!play.request);
	play.wants_inner = inner;
	play.wants_ao = false;
	return play.request = ++last;
}

static uint32_t want_outer(void *host, struct session *s, bool clear)
{
	(void)host;
	(void)s;
	CHECK(!clear || (play.config.mode == MODE_PREFERRED && play.may_clear));
	play.is_clear = clear;
	return want(false);
}

static uint32_t want_inner(void *host, struct session *s)
{
	(void)host;
	(void)s;
	CHECK(play.is_verified);
	return want(true);
}

static uint32_t want_ao(void *host, struct session *s, int fd, struct message_want_ao *m,
			struct errtext *e)
{
	uint32_t id;

	(void)host;
	CHECK(play.has_capability && !play.is_clear && fd >= 0);
	CHECK(s == play.session || m->is_trial);
	if (scripted_now_ms % 11 == 0) {
		errtext_set(e, 0, "not today");
		return 0;
	}
	id = want(false);
	play.wants_ao = true;
	return id;
}

static void forget_request(void *host, uint32_t id)
{
	(void)host;
	CHECK(id == play.request);
	play.request = 0;
}

static bool may_handshake(void *host)
{
	(void)host;
	return scripted_now_ms % 7 != 0; /* sometimes all slots are taken */
}

static bool may_clear(void *host)
{
	(void)host;
	return play.may_clear;
}

static void on_state(void *host, struct session *s)
{
	struct session_info info;

	(void)host;
	session_get_info(s, &info);
	CHECK(*session_state_name(info.state) != '?' && *session_bgp_name(info.bgp) != '?');
	CHECK(info.state != SESSION_UP || (info.has_tls && *info.tls.version));
}

static void check_text(const char *text)
{
	CHECK(*text);
	for (; *text; text++)
		CHECK((uint8_t)*text >= 0x20 && *text != 0x7f);
}

static void on_notification(void *host, struct session *s, bool inbound,
			    const struct bgp_notification *n)
{
	(void)host;
	(void)s;
	(void)inbound;
	check_text(n->text);
}

static void on_failure(void *host, struct session *s, enum tls_reason reason, const char *text)
{
	(void)host;
	(void)s;
	CHECK(reason != TLS_REASON_NONE && *tls_reason_name(reason));
	check_text(text);
}

static void on_no_ao(void *host, struct session *s, const char *text)
{
	(void)host;
	(void)s;
	CHECK(play.has_capability);
	check_text(text);
}

static void on_ended(void *host, struct session *s, const char *why)
{
	(void)host;
	CHECK(s == play.session && !play.request);
	play.n_ended++;
	play.session = NULL;
	check_text(why);
}

static const struct session_host_ops ops = {
	.want_outer = want_outer,
	.want_inner = want_inner,
	.want_ao = want_ao,
	.on_no_ao = on_no_ao,
	.forget_request = forget_request,
	.may_handshake = may_handshake,
	.may_clear = may_clear,
	.on_state = on_state,
	.on_bgp = on_state,
	.on_notification = on_notification,
	.on_failure = on_failure,
	.on_ended = on_ended,
};

static struct addr far_address(void)
{
	struct addr tcp = {.family = AF_INET, .prefixlen = 32, .bytes = {127, 0, 0, 1}};
	struct addr other = {.family = AF_INET, .prefixlen = 32, .bytes = {192, 0, 2, 1}};

	return play.is_tcp ? tcp : other;
}

static void pair_of(int *ret_ours, int *ret_theirs)
{
	int fds[2];

	if (play.is_tcp) {
		tcp_pair(fds, 0);
		*ret_ours = fds[0];
		*ret_theirs = fds[1];
		sock_set_reset_on_close(fds[1]); /* no TIME_WAIT for each input */
		return;
	}
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	*ret_ours = fds[0];
	*ret_theirs = fds[1];
}

/* ---- the far ends ---- */

/* 0: it is not whole, or none that has a length. */
static size_t first_message(const uint8_t *data, size_t len)
{
	size_t n = len < BGP_HEADER_LEN ? 0 : (size_t)data[16] << 8 | data[17];

	return n < BGP_HEADER_LEN || n > BGP_OPEN_MAX || n > len ? 0 : n;
}

/* The first message has one capability more, or less; the rest is as it was said. */
static void check_edited(const struct said *s)
{
	size_t said = first_message(s->bytes, s->len), got = first_message(s->got, s->heard);

	if (s->heard <= s->len && memcmp(s->got, s->bytes, s->heard) == 0)
		return;
	CHECK(said);
	if (!got) {
		CHECK(s->heard <= said + CAPABILITY_MAX);
		return;
	}
	CHECK(got <= said + CAPABILITY_MAX && said <= got + CAPABILITY_MAX);
	CHECK(s->heard - got <= s->len - said);
	CHECK(memcmp(s->got + got, s->bytes + said, s->heard - got) == 0);
}

static void hear(struct said *s, const uint8_t *data, size_t len)
{
	if (play.has_capability) {
		CHECK(s->heard + len <= sizeof(s->got));
		memcpy(s->got + s->heard, data, len);
		s->heard += len;
		check_edited(s);
		return;
	}
	CHECK(s->heard + len <= s->len);
	CHECK(memcmp(s->bytes + s->heard, data, len) == 0);
	s->heard += len;
}

static void daemon_listens(void)
{
	uint8_t buf[4096];
	ssize_t n;

	while (play.daemon >= 0 && (n = recv(play.daemon, buf, sizeof(buf), 0)) > 0) {
		CHECK(play.is_clear || (play.is_verified && play.was_done));
		hear(&play.by_neighbor, buf, n);
	}
}

static void neighbor_listens(void)
{
	uint8_t buf[4096];
	ssize_t got;
	size_t n;

	if (play.tls && !play.was_done)
		play.was_done = tls_handshake(play.tls) == TLS_DONE;
	while (play.tls && play.was_done && tls_read(play.tls, buf, sizeof(buf), &n) == TLS_DONE)
		hear(&play.by_daemon, buf, n);
	while (!play.tls && play.neighbor >= 0 &&
	       (got = recv(play.neighbor, buf, sizeof(buf), 0)) > 0)
		if (play.is_clear)
			hear(&play.by_daemon, buf, got);
}

static void turn(void)
{
	CHECK(loop_turn(loop, false) == 0);
	daemon_listens();
	neighbor_listens();
}

static void close_neighbor(void)
{
	tls_free(TAKE(play.tls));
	cleanup_close(&play.neighbor);
	play.neighbor = -1;
}

static void close_daemon(void)
{
	cleanup_close(&play.daemon);
	play.daemon = -1;
}

static void say_daemon(void)
{
	size_t len;
	const uint8_t *data = next_bytes(&len);
	ssize_t n;

	if (play.daemon < 0 || play.by_daemon.len + len > STREAM_MAX)
		return;
	n = send(play.daemon, data, len, MSG_NOSIGNAL);
	if (n <= 0)
		return;
	memcpy(play.by_daemon.bytes + play.by_daemon.len, data, n);
	play.by_daemon.len += n;
}

static void say_neighbor(void)
{
	size_t len, n = 0;
	const uint8_t *data = next_bytes(&len);
	struct said *s = &play.by_neighbor;
	ssize_t sent;

	if (play.neighbor < 0 || !len || s->len + len > STREAM_MAX)
		return;
	memcpy(s->bytes + s->len, data, len);
	if (play.tls && play.was_done) {
		if (tls_write(play.tls, data, len, &n) == TLS_WANT_WRITE) {
			s->len += len; /* it may yet arrive */
			close_neighbor();
			return;
		}
	} else if (play.is_clear && !play.tls) {
		sent = send(play.neighbor, data, len, MSG_NOSIGNAL);
		n = sent > 0 ? sent : 0;
	}
	s->len += n;
}

static void say_raw(void)
{
	size_t len;
	const uint8_t *data = next_bytes(&len);

	if (play.neighbor < 0 || play.is_clear)
		return;
	play.was_tampered = true;
	send(play.neighbor, data, len, MSG_NOSIGNAL);
}

/* A record header of the script's making with a body as long as it says, or nearly. */
static void say_record(void)
{
	uint8_t type = next(), version = next(), body[512] = {};
	uint16_t length = next() << 2 | (next() & 3);
	uint8_t header[5] = {type, 3, version, length >> 8, length};

	if (play.neighbor < 0 || play.is_clear)
		return;
	play.was_tampered = true;
	send(play.neighbor, header, sizeof(header), MSG_NOSIGNAL);
	send(play.neighbor, body, length < sizeof(body) ? length : sizeof(body), MSG_NOSIGNAL);
}

/* The neighbor's next data comes behind a KeyUpdate that asks for one in return. */
static void key_update(void)
{
	if (play.tls && play.was_done)
		tls_set_key_update_records(play.tls, 1 + (next() & 15));
}

/* ---- control ---- */

static void begin_neighbor(int fd, enum tls_side side, struct tls_ctx *ctx)
{
	struct addr a = far_address();

	/* A new attempt: what was said in the one before is lost. */
	play.neighbor = fd;
	play.was_done = false;
	play.by_neighbor.len = play.by_neighbor.heard;
	CHECK(tls_new(ctx, side, fd, &a, &play.tls) == 0);
}

static void answer(bool is_good)
{
	uint32_t request = play.request;
	int ours = -1;

	if (!request || !play.session)
		return;
	play.request = 0;
	if (play.wants_ao) {
		session_give_ao(play.session, request, is_good ? 0 : -EIO, "cannot be had");
		return;
	}
	if (!is_good) {
		session_give_socket(play.session, request, -1, "no such socket");
		return;
	}
	if (play.wants_inner) {
		CHECK(play.daemon < 0);
		pair_of(&ours, &play.daemon);
	} else {
		close_neighbor();
		pair_of(&ours, &play.neighbor);
		if (!play.is_clear)
			begin_neighbor(play.neighbor, TLS_SERVER, play.theirs);
	}
	session_give_socket(play.session, request, ours, NULL);
}

/* ---- a successor ---- */

static struct session_params params(void)
{
	return (struct session_params){.loop = loop,
				       .ops = &ops,
				       .host = &play,
				       .id = 1,
				       .config = &play.config,
				       .ctx = play.ours,
				       .own = far_address(),
				       .peer = far_address()};
}

/* What can be told of is taken over as it is told. */
static void hand_over(void)
{
	struct session_params p = params();
	struct fields_out o = {};
	struct fields_in f;
	struct session *again = NULL;
	int inner, outer, r;

	if (!play.session || !play.is_tcp || session_freeze(play.session) < 0)
		return;
	CHECK(!play.request);
	if (session_export(play.session, &o) == 0) {
		session_get_fds(play.session, &inner, &outer);
		CHECK(fields_read(&f, o.data, o.len) == 0);
		r = session_import(&p, &f, fcntl(inner, F_DUPFD_CLOEXEC, 3),
				   fcntl(outer, F_DUPFD_CLOEXEC, 3), &again);
		/* What is dead, or has a record that cannot be, stays where it is, and ends there.
		 */
		CHECK(r == 0 || r == -ENOTCONN || play.was_tampered);
	}
	if (again) {
		session_leave(play.session);
		play.session = again;
	}
	fields_out_done(&o);
	CHECK(session_thaw(play.session) == 0);
}

static void step(uint8_t op)
{
	switch (op & 15) {
	case 0: say_daemon(); break;
	case 1: say_neighbor(); break;
	case 2: say_raw(); break;
	case 3: say_record(); break;
	case 4: turn(); break;
	case 5: answer(true); break;
	case 6: answer(false); break;
	case 7: scripted_clock_forward(1 + (op >> 4) * 700); break;
	case 8:
		if (play.daemon >= 0)
			shutdown(play.daemon, SHUT_WR);
		break;
	case 9: close_daemon(); break;
	case 10:
		if (play.tls && play.was_done)
			tls_close_notify(play.tls);
		break;
	case 11:
		if (play.neighbor >= 0)
			shutdown(play.neighbor, SHUT_WR);
		break;
	case 12: close_neighbor(); break;
	case 13:
		if (op & 0x80)
			key_update();
		else
			play.may_clear = op & 0x10;
		break;
	case 14:
		if (play.session)
			session_set_config(play.session,
					   op & 0x10 ? &play.other_config : &play.config,
					   op & 0x20 ? play.ours : NULL);
		break;
	case 15:
		if (play.session && op == 0xff)
			session_close(play.session, "reset by the operator");
		else if (op == 0xef)
			hand_over();
		else
			for (int i = 0; i < 4; i++)
				turn();
		break;
	}
}

static void begin(uint8_t kind)
{
	bool is_in = kind & 1;
	enum tls_side side = is_in ? TLS_CLIENT : TLS_SERVER; /* the neighbor's */
	struct session_params p;
	int ours;

	memset(&play, 0, offsetof(struct play, by_daemon));
	play.by_daemon.len = play.by_daemon.heard = 0;
	play.by_neighbor.len = play.by_neighbor.heard = 0;
	play.daemon = play.neighbor = -1;
	play.is_tcp = kind & 0x60;
	play.has_capability = kind & 32;
	play.config = (struct neighbor_config){
		.mode = kind & 4 ? MODE_PREFERRED : MODE_REQUIRED,
		.tls_port = 8179,
		.ttl = 255,
		.handshake_timeout = HANDSHAKE_TIMEOUT,
		.hold_time = HOLD_TIME,
		.fallback_after = HOLD_TIME,
		.key_update_records = 4,
		.remote_as = kind & 8 ? 64500 : 0,
		.name = "neighbor",
		.address = far_address(),
		.ktls = kind & 128 ? KTLS_ON : KTLS_OFF,
	};
	if (play.has_capability)
		play.config.ao = (struct ao_config){
			.mode = AO_CAPABILITY, .capability_code = 247, .own.covers_options = true};
	play.other_config = play.config;
	play.other_config.remote_as = 64501;
	play.is_verified = !(kind & 16);
	play.ours = kind & 2 ? tls12[!side] : good[!side];
	play.theirs = kind & 16 ? stranger : kind & 2 ? tls12[side] : good[side];
	p = params();
	if (is_in) {
		pair_of(&ours, &play.neighbor);
		begin_neighbor(play.neighbor, TLS_CLIENT, play.theirs);
		CHECK(session_new_in(&p, ours, &play.session) == 0);
	} else {
		pair_of(&ours, &play.daemon);
		CHECK(session_new_out(&p, ours, &play.session) == 0);
	}
}

/* Nobody says anything any more. What is not up ends by itself; what is up ends with its far ends.
 */
static void wind_down(void)
{
	bool was_up;

	for (int s = 0; s < PATIENCE && play.session && session_state(play.session) != SESSION_UP &&
			session_state(play.session) != SESSION_CLEAR;
	     s++) {
		scripted_clock_forward(1000);
		turn();
		turn();
		/* control always answers */
		if (play.request)
			answer(false);
	}
	was_up = play.session != NULL;
	CHECK(!was_up || session_state(play.session) == SESSION_UP ||
	      session_state(play.session) == SESSION_CLEAR);
	close_neighbor();
	for (int i = 0; i < 40 && play.session; i++) {
		scripted_clock_forward(100);
		turn();
	}
	close_daemon();
	for (int s = 0; s < PATIENCE && play.session; s++) {
		scripted_clock_forward(1000);
		turn();
	}
	CHECK(!play.session && play.n_ended == 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct cert ca = {}, other_ca = {}, own = {}, other = {};
	struct ktls_support support;
	struct errtext e;

	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	CHECK(loop_new(&loop) == 0);
	ktls_probe(&support);
	tls_ktls_set_support(&support);
	cert_make(&ca, &(struct cert_spec){.cn = "ca", .is_ca = true}, NULL);
	cert_make(&other_ca, &(struct cert_spec){.cn = "other ca", .is_ca = true}, NULL);
	cert_make(&own, &(struct cert_spec){.cn = "own", .san = "IP:192.0.2.1,IP:127.0.0.1"}, &ca);
	cert_make(&other, &(struct cert_spec){.cn = "own", .san = "IP:192.0.2.1,IP:127.0.0.1"},
		  &other_ca);
	for (int side = 0; side < 2; side++) {
		struct tls_params p = {.certificate = cert_blob("own.pem", own.pem),
				       .key = cert_blob("own.key", own.key_pem),
				       .ca = cert_blob("ca.pem", ca.pem),
				       .alpn = "botls",
				       .check_eku = true,
				       .check_address = true};

		CHECK(tls_ctx_new(&p, &good[side], &e) == 0);
		p.allow_tls12 = true;
		CHECK(tls_ctx_new(&p, &tls12[side], &e) == 0);
		p.certificate = cert_blob("other.pem", other.pem);
		p.key = cert_blob("other.key", other.key_pem);
		if (side)
			CHECK(tls_ctx_new(&p, &stranger, &e) == 0);
	}
	/* Ours allow both, theirs 1.2 alone. */
	SSL_CTX_set_max_proto_version(tls12[TLS_CLIENT]->ssl, TLS1_2_VERSION);
	cert_done(&ca);
	cert_done(&other_ca);
	cert_done(&own);
	cert_done(&other);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	script = data;
	script_left = size;
	if (!size)
		return 0;
	begin(next());
	for (int i = 0; i < STEPS_MAX && script_left; i++)
		step(next());
	wind_down();
	loop_turn(loop, false);
	return 0;
}
