// SPDX-License-Identifier: Apache-2.0
/*
 * A whole worker process, with the test in control's place: it gives the worker its configuration,
 * its listeners and its sockets, and plays daemon and neighbor. Loopback only.
 */
#include "worker.h"

#include "botls/botls.h"
#include "config.h"
#include "ipc.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "memory_scan.h"
#include "messages.h"
#include "secret.h"
#include "sock.h"
#include "tls_pair.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

struct play {
	struct loop *loop;
	struct ipc *ipc;
	pid_t pid;
	int tls, inner; /* the listeners' ports are those of these */
	unsigned n_applied, n_outer, n_inner, n_status, n_sessions, n_end, n_reset, n_gone;
	char applied[256];
	uint32_t request, reset_count;
	struct message_want want;
	struct jv *status, *own_status, *first_status;
};

static void on_message(void *arg, struct ipc_message *m)
{
	struct play *p = arg;

	switch (m->type) {
	case MSG_APPLIED:
		p->n_applied++;
		snprintf(p->applied, sizeof(p->applied), "%s", (const char *)m->payload);
		break;
	case MSG_WANT_OUTER:
	case MSG_WANT_INNER:
		assert_int_equal(m->len, sizeof(p->want));
		memcpy(&p->want, m->payload, sizeof(p->want));
		p->request = m->id;
		p->n_outer += m->type == MSG_WANT_OUTER;
		p->n_inner += m->type == MSG_WANT_INNER;
		break;
	case MSG_STATUS:
		jv_free(TAKE(p->status));
		assert_int_equal(jv_parse(m->payload, m->len, &p->status, NULL), 0);
		if (p->n_status++ == 0) {
			jv_free(p->first_status);
			p->first_status = jv_copy(p->status);
		}
		p->n_sessions += jv_size(jv_get(p->status, "sessions"));
		break;
	case MSG_STATUS_END:
		jv_free(TAKE(p->own_status));
		assert_int_equal(jv_parse(m->payload, m->len, &p->own_status, NULL), 0);
		p->n_end++;
		break;
	case MSG_RESET_DONE:
		memcpy(&p->reset_count, m->payload, sizeof(p->reset_count));
		p->n_reset++;
		break;
	default: break;
	}
}

static void on_gone(void *arg)
{
	((struct play *)arg)->n_gone++;
}

static const struct ipc_callbacks callbacks = {.on_message = on_message, .on_gone = on_gone};

#define until(p, condition)                                                                        \
	do {                                                                                       \
		for (int i_ = 0; !(condition); i_++) {                                             \
			assert_true(i_ < 10000);                                                   \
			loop_turn((p)->loop, false);                                               \
			usleep(1000);                                                              \
		}                                                                                  \
	} while (0)

static void send_text(struct play *p, uint32_t type, const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd;

	assert_int_equal(secret_fd(text, len, &fd), 0);
	assert_int_equal(ipc_send(p->ipc, type, len, path, strlen(path), fd), 0);
	close(fd);
}

static void send_batch(struct play *p, const char *config)
{
	send_text(p, MSG_CONFIG, "", config);
	send_text(p, MSG_FILE, "/pki/own.pem", pki.server.pem);
	send_text(p, MSG_FILE, "/pki/own.key", pki.server.key_pem);
	send_text(p, MSG_FILE, "/pki/ca.pem", pki.ca.pem);
	ipc_send(p->ipc, MSG_LISTENER_TLS, 0, NULL, 0, p->tls);
	ipc_send(p->ipc, MSG_LISTENER_INNER, 0, NULL, 0, p->inner);
	ipc_send(p->ipc, MSG_APPLY, 1, NULL, 0, -1);
}

#define GLOBALS                                                                                    \
	"certificate = \"/pki/own.pem\"\nkey = \"/pki/own.key\"\nca = \"/pki/ca.pem\"\nhold-time " \
	"= 0\n"
#define DNS "dns-names = {\"r1.example\"}\n"

static void apply(struct play *p, const char *config, const char *error)
{
	unsigned before = p->n_applied;

	send_batch(p, config);
	until(p, p->n_applied == before + 1);
	if (error ? !strstr(p->applied, error) : p->applied[0])
		fail_msg("applied says '%s'", p->applied);
}

static int setup(void **state)
{
	struct play *p = calloc(1, sizeof(*p));
	struct addr lo;
	int fds[2];

	assert_int_equal(addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_int_equal(sock_listener(&lo, 0, 64, &p->tls), 0);
	assert_int_equal(sock_listener(&lo, 0, 64, &p->inner), 0);
	assert_int_equal(ipc_pair(fds), 0);
	p->pid = fork();
	if (p->pid == 0) {
		close(fds[0]);
		log_set_level(LOG_LEVEL_ERROR);
		_exit(worker_main(fds[1], 0, "nobody"));
	}
	close(fds[1]);
	assert_int_equal(loop_new(&p->loop), 0);
	assert_int_equal(ipc_new(p->loop, fds[0], &callbacks, p, &p->ipc), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct play *p = *state;
	int status = 0;

	ipc_free(p->ipc);
	/* Without control it ends, by itself and in good order. */
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	jv_free(p->status);
	jv_free(p->own_status);
	jv_free(p->first_status);
	close(p->tls);
	close(p->inner);
	loop_free(p->loop);
	free(p);
	return 0;
}

static int connect_from(const char *from, int listener)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr own;
	int fd;

	assert_int_equal(addr_parse(from, &own, NULL), 0);
	assert_int_equal(sock_bound(&own, 0, &fd), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

/* What comes next on a connection: bytes, 0 for FIN, -errno. */
static ssize_t reads(struct play *p, int fd, void *buf, size_t len)
{
	for (int i = 0; i < 3000; i++) {
		ssize_t n = recv(fd, buf, len, 0);

		if (n >= 0 || errno != EAGAIN)
			return n < 0 ? -errno : n;
		loop_turn(p->loop, false);
		usleep(1000);
	}
	return -EAGAIN;
}

static const struct jv *query(struct play *p, const char *name)
{
	unsigned before = p->n_end;

	jv_free(TAKE(p->status));
	p->n_status = p->n_sessions = 0;
	ipc_send(p->ipc, MSG_QUERY, 9, name, strlen(name), -1);
	until(p, p->n_end == before + 1);
	return p->status;
}

static void strangers_are_reset(void **state)
{
	struct play *p = *state;
	char buf[16];
	int fd;

	apply(p, GLOBALS DNS "neighbor \"127.0.0.9\" { }\n", NULL);
	fd = connect_from("127.0.0.2", p->tls);
	assert_int_equal(reads(p, fd, buf, sizeof(buf)), -ECONNRESET);
	close(fd);
	query(p, "");
	assert_int_equal(jv_get_int(p->own_status, "unknown_count", 0), 1);
	assert_string_equal(jv_get_string(p->own_status, "unknown_last", ""), "127.0.0.2");
	/* Nobody but steering may come in here: 127.0.0.1 port N is no neighbor. */
	fd = connect_from("127.0.0.2", p->inner);
	assert_int_equal(reads(p, fd, buf, sizeof(buf)), -ECONNRESET);
	close(fd);
}

static struct tls *handshake(struct play *p, int fd, const struct cert *cert, enum tls_want *ret)
{
	struct addr peer = address(SERVER_ADDRESS);
	struct tls_params params = good_params(cert);
	struct tls_ctx *ctx;
	struct errtext e;
	struct tls *t;

	assert_int_equal(tls_ctx_new(&params, &ctx, &e), 0);
	assert_int_equal(tls_new(ctx, TLS_CLIENT, fd, &peer, &t), 0);
	tls_ctx_unref(ctx);
	for (int i = 0; i < 3000; i++) {
		*ret = tls_handshake(t);
		if (*ret != TLS_WANT_READ && *ret != TLS_WANT_WRITE)
			break;
		loop_turn(p->loop, false);
		usleep(1000);
	}
	return t;
}

static void give_socket(struct play *p, int fd)
{
	struct message_socket answer = {};

	ipc_send(p->ipc, MSG_SOCKET, p->request, &answer, sizeof(answer), fd);
}

/* An inbound session from end to end, its status, and its reset. */
static void a_session(void **state)
{
	struct play *p = *state;
	const struct jv *session;
	struct cert named;
	enum tls_want want;
	char buf[16];
	int fd, daemon[2];
	struct tls *t;
	size_t n;

	cert_make(&named, &(struct cert_spec){.cn = "r1", .san = "DNS:r1.example"}, &pki.ca);
	apply(p, GLOBALS DNS "neighbor \"127.0.0.2\" { description = \"the one\" }\n", NULL);
	fd = connect_from("127.0.0.2", p->tls);
	t = handshake(p, fd, &named, &want);
	assert_int_equal(want, TLS_DONE);
	until(p, p->n_inner == 1);
	assert_string_equal(p->want.neighbor, "127.0.0.2");
	assert_int_equal(p->want.peer.bytes[3], 2);
	assert_int_equal(p->want.own.bytes[3], 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, daemon), 0);
	give_socket(p, daemon[1]);
	close(daemon[1]);
	assert_int_equal(tls_write(t, "abc", 3, &n), TLS_DONE);
	assert_int_equal(reads(p, daemon[0], buf, sizeof(buf)), 3);

	query(p, "127.0.0.2");
	assert_string_equal(jv_get_string(p->status, "state", ""), "up");
	assert_string_equal(jv_get_string(p->status, "description", ""), "the one");
	session = jv_at(jv_get(p->status, "sessions"), 0);
	assert_string_equal(jv_get_string(session, "direction", ""), "in");
	assert_string_equal(jv_get_string(jv_get(session, "tls"), "san", ""), "DNS:r1.example");
	assert_int_equal(jv_get_int(jv_get(session, "in"), "bytes", 0), 3);

	/* A reload that leaves this neighbor alone leaves its session alone. */
	apply(p,
	      GLOBALS DNS
	      "neighbor \"127.0.0.2\" { description = \"renamed\" }\nneighbor \"127.0.0.7\" { }\n",
	      NULL);
	assert_int_equal(tls_write(t, "defg", 4, &n), TLS_DONE);
	assert_int_equal(reads(p, daemon[0], buf, sizeof(buf)), 4);
	query(p, "127.0.0.2");
	assert_string_equal(jv_get_string(p->status, "description", ""), "renamed");

	/* One that changes who it may be ends it. */
	apply(p, GLOBALS "dns-names = {\"other.example\"}\nneighbor \"127.0.0.2\" { }\n", NULL);
	assert_int_equal(reads(p, daemon[0], buf, sizeof(buf)), 0);
	close(daemon[0]);
	tls_free(t);
	close(fd);

	fd = connect_from("127.0.0.2", p->tls);
	t = handshake(p, fd, &named, &want);
	query(p, "127.0.0.2");
	assert_string_equal(jv_get_string(jv_get(p->status, "last_failure"), "reason", ""), "name");
	tls_free(t);
	close(fd);
	cert_done(&named);
}

static void reset_by_name(void **state)
{
	struct play *p = *state;
	char buf[16];
	int fd;

	apply(p, GLOBALS DNS "neighbor \"127.0.0.2\" { }\n", NULL);
	ipc_send(p->ipc, MSG_RESET, 4, "127.0.0.2", 9, -1);
	until(p, p->n_reset == 1);
	assert_int_equal(p->reset_count, 0);
	fd = connect_from("127.0.0.2", p->tls);
	until(p, jv_size(jv_get(query(p, "127.0.0.2"), "sessions")) == 1); /* in its handshake */
	ipc_send(p->ipc, MSG_RESET, 5, "127.0.0.2", 9, -1);
	until(p, p->n_reset == 2);
	assert_int_equal(p->reset_count, 1);
	assert_int_equal(reads(p, fd, buf, sizeof(buf)), -ECONNRESET);
	close(fd);
}

/* More than one message holds: none is lost, and each part is a status of its own. */
static void many_sessions(void **state)
{
	const unsigned n = 90;
	struct play *p = *state;
	const struct jv *status;
	char source[32];
	int fds[90];

	apply(p, GLOBALS DNS "neighbor \"127.0.2.0/24\" { description = \"many\" }\n", NULL);
	for (unsigned i = 0; i < n; i++) {
		snprintf(source, sizeof(source), "127.0.2.%u", i + 1);
		fds[i] = connect_from(source, p->tls);
	}
	until(p, (query(p, "127.0.2.0/24"), p->n_sessions == n));
	assert_int_equal(p->n_status, n + 1);
	status = p->first_status; /* the one that has all the rest */
	assert_string_equal(jv_get_string(status, "name", ""), "127.0.2.0/24");
	assert_string_equal(jv_get_string(status, "description", ""), "many");
	assert_string_equal(jv_get_string(status, "state", ""), "handshake");
	assert_int_equal(jv_get_int(jv_get(status, "counters"), "sessions", 0), n);
	assert_int_equal(jv_size(jv_get(status, "sessions")), 0);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

static size_t resident(pid_t pid)
{
	unsigned long pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* What handshakes took is given back when they are over, though a session that stays lies above it.
 */
static void memory_is_given_back(void **state)
{
	struct play *p = *state;
	enum tls_want want;
	struct cert named;
	char source[32];
	int fds[90], fd;
	size_t before;
	struct tls *t;

	if (MEMORY_IS_SANITIZED)
		skip();
	cert_make(&named, &(struct cert_spec){.cn = "r1", .san = "DNS:r1.example"}, &pki.ca);
	apply(p, GLOBALS DNS "neighbor \"127.0.2.0/24\" { }\nneighbor \"127.0.0.2\" { }\n", NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		snprintf(source, sizeof(source), "127.0.2.%u", i + 1);
		fds[i] = connect_from(source, p->tls);
	}
	until(p, (query(p, "127.0.2.0/24"), p->n_sessions == ARRAY_SIZE(fds)));
	fd = connect_from("127.0.0.2", p->tls);
	t = handshake(p, fd, &named, &want);
	assert_int_equal(want, TLS_DONE);
	until(p, p->n_inner == 1); /* here it stays */
	before = resident(p->pid);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	until(p, (ipc_send(p->ipc, MSG_PING, 0, NULL, 0, -1), resident(p->pid)) <
			 before - ARRAY_SIZE(fds) * 4096);
	query(p, "127.0.0.2");
	assert_int_equal(p->n_sessions, 1);
	tls_free(t);
	close(fd);
	cert_done(&named);
}

static void a_bad_batch_changes_nothing(void **state)
{
	struct play *p = *state;

	apply(p, GLOBALS DNS "neighbor \"127.0.0.2\" { }\n", NULL);
	apply(p, "neighbour \"127.0.0.3\" { }\n", "unknown option 'neighbour'");
	query(p, "");
	assert_string_equal(jv_get_string(p->status, "name", ""), "127.0.0.2");
}

/* The certificate is its neighbor's trouble: closed, and said so; the others run. */
static void a_bad_certificate(void **state)
{
	struct play *p = *state;
	const char *config = GLOBALS DNS "neighbor \"127.0.0.2\" { key = \"/pki/none.key\" }\n";

	apply(p, config, NULL);
	query(p, "127.0.0.2");
	assert_string_equal(jv_get_string(p->status, "state", ""), "error");
	assert_non_null(strstr(jv_get_string(jv_get(p->status, "last_failure"), "text", ""),
			       "/pki/none.key"));
}

/* Control is gone in the middle of a reload: what it was about to change is no listener's that a
 * successor would find taken. */
static void control_dies_in_a_reload(void **state)
{
	struct play *p = *state;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr lo;
	int listener, pair[2];

	apply(p, GLOBALS DNS "neighbor \"127.0.0.2\" { }\n", NULL);
	assert_int_equal(ipc_pair(pair), 0);
	assert_int_equal(addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_int_equal(sock_listener(&lo, 0, 64, &listener), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	ipc_send(p->ipc, MSG_HEIR, 0, NULL, 0, pair[1]);
	send_text(p, MSG_CONFIG, "", GLOBALS DNS "neighbor \"127.0.0.3\" { }\n");
	ipc_send(p->ipc, MSG_LISTENER_TLS, 0, NULL, 0, listener);
	query(p, "");
	close(listener);
	close(pair[1]);
	ipc_free(TAKE(p->ipc));
	for (int i = 0, r = 0; r != -ECONNREFUSED; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(i < 3000);
		r = connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
		close(fd);
		usleep(1000);
	}
	assert_int_equal(waitpid(p->pid, NULL, WNOHANG), 0);
	close(pair[0]);
}

/* What has no configuration has no neighbor, and must refuse nobody's sessions for that. */
static void nothing_is_taken_without_a_configuration(void **state)
{
	struct play *p = *state;
	int pair[2];
	char buf[64];

	assert_int_equal(ipc_pair(pair), 0);
	ipc_send(p->ipc, MSG_TAKE_OVER, 1, NULL, 0, pair[1]);
	close(pair[1]);
	assert_int_equal(reads(p, pair[0], buf, sizeof(buf)), 0);
	close(pair[0]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(strangers_are_reset),
		T(a_session),
		T(reset_by_name),
		T(many_sessions),
		T(memory_is_given_back),
		T(a_bad_batch_changes_nothing),
		T(a_bad_certificate),
		T(control_dies_in_a_reload),
		T(nothing_is_taken_without_a_configuration),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
