// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker that was taken over can say to control: a whole control process (tests/unit/
 * control_rig.h) with the input in the worker's place, and clients of the control socket beside it.
 *
 * Some messages bring a connection: with a neighbor, with another one, none at all. Two
 * predecessors are there from the start, of which the worker may tell what it likes. This machine's
 * kernel need have no TCP-AO: control believes that it has while it looks at these.
 *
 * Checked: a descriptor that control hands out leads to a configured neighbor; only `preferred`
 * neighbors are ever opened; every client is answered; no descriptor stays behind; and control
 * still runs and shows its neighbors when the worker has said its last word.
 */
#include "check.h"
#include "control_rig.h"

#include "log.h"
#include "script.h"
#include "scripted_clock.h"
#include "sock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define STEPS_MAX   120
#define CLIENTS_MAX 8
#define PATIENCE    2000 /* turns for a process to come or to go */
#define ANSWER_S    40	 /* no client waits longer */
#define PASSED	    3	 /* where descriptors are passed from */

static struct rig *rig;
static int real_stderr, no_stderr;
static int clients[CLIENTS_MAX];
static size_t n_clients;
static size_t n_fds;

static void turn(void)
{
	CHECK(loop_turn(rig->c->loop, false) == 0);
	crig_notified(rig); /* or control would wait for systemd to read */
}

static const uint8_t *next_bytes(size_t len)
{
	const uint8_t *at = script;

	if (len > script_left)
		len = script_left;
	script += len;
	script_left -= len;
	return at;
}

static struct fake_worker *worker(void)
{
	return &rig->workers[0];
}

/* ---- what the worker says ---- */

static void say(uint32_t type, uint32_t id, const void *payload, size_t len)
{
	if (worker()->ipc)
		ipc_send(worker()->ipc, type, id, payload, len, -1);
}

/* The id that control waits for, mostly. */
static uint32_t some_id(uint8_t how, uint32_t type)
{
	const struct rig_message *m = crig_last(worker(), type);

	return how & 0x10 || !m ? how >> 5 : m->id;
}

static void say_anything(uint8_t how)
{
	static const uint32_t types[] = {MSG_APPLIED,	 MSG_WANT_OUTER, MSG_WANT_INNER,
					 MSG_RESET_DONE, MSG_STATUS,	 MSG_STATUS_END,
					 MSG_PONG,	 MSG_FALLBACK};
	uint8_t type = next();
	size_t len = next() << 1;
	const uint8_t *payload;

	if (len > script_left)
		len = script_left;
	payload = next_bytes(len);
	say(type < 0xc0 ? types[type % ARRAY_SIZE(types)] : type,
	    some_id(how, type & 1 ? MSG_QUERY : MSG_RESET), payload, len);
}

static void say_want(uint8_t how)
{
	static const char *const names[] = {"127.0.0.2",    "127.0.0.3", "127.0.0.4",
					    "127.0.7.0/24", "::2",	 "127.0.0.9"};
	struct message_want m = {.clear = how >> 7};
	uint8_t own = next(), peer = next(), at = next();

	strcpy(m.neighbor, names[own % ARRAY_SIZE(names)]);
	m.own = (struct addr){.family = AF_INET, .prefixlen = 32, .bytes = {127, 0, 0, 1}};
	m.peer = (struct addr){.family = AF_INET,
			       .prefixlen = 32,
			       .bytes = {127, 0, peer & 0x80 ? 7 : 0, peer & 0x7f}};
	if (own & 0x80)
		m.own.family = m.peer.family = AF_INET6;
	/* anywhere in it, and often nowhere */
	((uint8_t *)&m)[at * sizeof(m) / 256] ^= next();
	say(how & 0x10 ? MSG_WANT_OUTER : MSG_WANT_INNER, 7, &m, sizeof(m));
}

static void say_fallback(uint8_t how)
{
	struct message_fallback m = {.allow_clear = how >> 4};
	size_t len = next() & 63;

	if (how & 0x80)
		memcpy(m.neighbor, next_bytes(len), len < script_left ? len : 0);
	else
		strcpy(m.neighbor, len & 1 ? "127.0.0.3" : "127.0.0.2");
	say(MSG_FALLBACK, 0, &m, sizeof(m));
}

/* A status as it should be, with the script's own words in it. */
static void say_status(uint8_t how)
{
	size_t len = next() << 1;
	const uint8_t *payload;
	char text[1024];
	int n;

	if (len > script_left)
		len = script_left;
	payload = next_bytes(len);
	n = snprintf(text, sizeof(text),
		     "{\"name\":\"127.0.0.%u\",\"state\":\"up\",\"failures\":{},\"counters\":{},"
		     "\"sessions\":["
		     "%.*s]}",
		     how >> 6 & 2 ? 2 : 3, (int)len, payload);
	say(MSG_STATUS, some_id(how, MSG_QUERY), text, n);
}

/* A connection that has come in, and its other end. */
static int connection_from(uint8_t last, int *ret_other)
{
	struct addr from = {.family = AF_INET, .prefixlen = 32, .bytes = {127, 0, 0, last}};
	struct addr to = {.family = AF_INET, .prefixlen = 32, .bytes = {127, 0, 0, 1}};
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	CHECK(sock_bound(&from, 0, ret_other) == 0);
	len = addr_to_sockaddr(&to, rig->tls_port, &ss);
	if (connect(*ret_other, (struct sockaddr *)&ss, len) < 0)
		CHECK(errno == EINPROGRESS);
	fd = accept4(rig->c->tls.fds[0], NULL, NULL, SOCK_CLOEXEC);
	sock_set_reset_on_close(*ret_other); /* no TIME_WAIT for each input */
	return fd;
}

/* With a descriptor, which control looks at at once. */
static void say_shown(uint32_t type, const void *payload, size_t len, uint8_t what)
{
	int fd = -1, other = -1;

	if (!worker()->ipc)
		return;
	if (what % 4 == 1) {
		int fds[2];

		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
		fd = fds[0];
		other = fds[1];
	} else if (what % 4) {
		fd = connection_from(what % 4 == 2 ? 5 + (what >> 2 & 1) : what >> 2, &other);
	}
	rig->c->tls.has_ao = true;
	ipc_send(worker()->ipc, type, 7, payload, len, fd);
	for (int i = 0; i < 3; i++)
		turn();
	rig->c->tls.has_ao = false;
	cleanup_close(&fd);
	cleanup_close(&other);
}

static const char *ao_neighbor(uint8_t which)
{
	static const char *const names[] = {"127.0.0.5", "127.0.0.6", "127.0.0.2", "127.0.0.9"};

	return names[which % ARRAY_SIZE(names)];
}

static void say_ao_connection(void)
{
	struct message_ao_connection m = {};
	uint8_t what = next(), at = next();

	strcpy(m.neighbor, ao_neighbor(next()));
	((uint8_t *)&m)[at * sizeof(m) / 256] ^= next();
	say_shown(MSG_AO_CONNECTION, &m, sizeof(m), what);
}

static void say_want_ao(void)
{
	struct message_want_ao m = {};
	uint8_t what = next(), at = next(), how = next();

	strcpy(m.neighbor, ao_neighbor(how));
	m.is_trial = how >> 2 & 1;
	m.covers_options = how >> 3 & 1;
	m.algorithm = how >> 4 & 3;
	m.until_ms = scripted_now_ms + 1000;
	((uint8_t *)&m)[at * sizeof(m) / 256] ^= next();
	say_shown(MSG_WANT_AO, &m, sizeof(m) - (how >> 7), what);
}

static void say_taken(void)
{
	struct message_taken m = {.moved = next(), .stayed = next(), .left = next()};
	uint8_t id = next();

	m.drain_ms = next() * 1000;
	((uint8_t *)&m)[next() % sizeof(m)] ^= next();
	say(MSG_TAKEN, id & 0x80 ? id : 1 + id % 2, &m, sizeof(m) - (id >> 6 & 1));
}

static void say_metrics_row(void)
{
	struct message_metrics_row m[2] = {};
	const struct rig_message *asked = crig_last(worker(), MSG_METRICS);
	uint8_t which = next();

	for (int i = 0; i < 2; i++)
		snprintf(m[i].neighbor, sizeof(m[i].neighbor), "127.0.0.%u",
			 (which >> i * 2 & 3) + 2);
	((uint8_t *)m)[(next() << 8 | next()) % sizeof(m)] ^= next();
	say(MSG_METRICS_ROWS, asked ? asked->id : which, m,
	    sizeof(*m) * (1 + (which >> 6 & 1)) - (which >> 7));
}

static void say_metrics_end(void)
{
	struct message_metrics_worker m = {.handshakes = next(), .unknown = next()};
	const struct rig_message *asked = crig_last(worker(), MSG_METRICS);
	uint8_t how = next();

	say(MSG_METRICS_END, asked && !(how & 2) ? asked->id : how, &m, sizeof(m) - (how & 1));
}

static void say_newer(uint8_t how)
{
	switch (how >> 4) {
	case 1:
	case 2:
	case 3: say_want_ao(); break;
	case 4:
	case 5: say_ao_connection(); break;
	case 6:
	case 7: say_taken(); break;
	case 8:
	case 9: say_metrics_row(); break;
	case 10: say_metrics_end(); break;
	default: turn(); break;
	}
}

/* Past the framing of lib/ipc.c. */
static void say_raw(uint8_t how)
{
	size_t len = how >> 4;

	if (worker()->ipc && len <= script_left)
		send(worker()->fd, next_bytes(len), len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- what others do meanwhile ---- */

static void ask(uint8_t how)
{
	static const char *const requests[] = {
		"{\"command\":\"show\"}",
		"{\"command\":\"show\",\"neighbor\":\"127.0.0.3\"}",
		"{\"command\":\"reset\",\"neighbor\":\"127.0.0.2\"}",
		"{\"command\":\"reload\"}",
		"{\"command\":\"reload\",\"dry_run\":true}",
		"{\"command\":\"steering\"}",
		"{\"command\":\"metrics\"}",
		"{\"command\":\"capture\",\"neighbor\":\"127.0.0.2\"}",
	};

	if (n_clients == CLIENTS_MAX)
		return;
	clients[n_clients] = crig_dial(rig);
	crig_say(clients[n_clients++], "%s", requests[(how >> 4) % ARRAY_SIZE(requests)]);
}

static void step(uint8_t op)
{
	switch (op & 15) {
	case 0:
	case 1: say_anything(op); break;
	case 2:
	case 3: say_want(op); break;
	case 4: say_fallback(op); break;
	case 5:
	case 6: say_status(op); break;
	case 7: say(MSG_STATUS_END, some_id(op, MSG_QUERY), "{}", 2); break;
	case 8: say_raw(op); break;
	case 9:
	case 10: ask(op); break;
	case 11: scripted_clock_forward(1 + (op >> 4) * 700); break;
	case 12: worker()->answer = (op >> 4) % 3; break; /* of batches: takes, refuses, silent */
	case 13: rig->steering.apply_error = op & 0x10 ? -EIO : 0; break;
	case 14: turn(); break;
	case 15: say_newer(op); break;
	}
}

/* ---- what must be so ---- */

static bool is_neighbor(const struct addr *a)
{
	for (size_t i = 0; i < rig->c->now.config->n_neighbors; i++) {
		const struct neighbor_config *n = &rig->c->now.config->neighbors[i];

		if (n->mode != MODE_OFF && addr_contains(&n->address, a))
			return true;
	}
	return false;
}

static void check_socket(const struct rig_message *m)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr peer;
	uint16_t port;

	CHECK(m->len == sizeof(struct message_socket));
	if (m->fd < 0)
		return;
	/* In clear, or refused meanwhile: it leads nowhere. */
	if (getpeername(m->fd, (struct sockaddr *)&ss, &len) < 0)
		return;
	if (ss.ss_family == AF_UNIX) {
		CHECK(is_neighbor(&rig->steering.peer));
		return;
	}
	CHECK(addr_from_sockaddr(&ss, &peer, &port) == 0);
	CHECK(is_neighbor(&peer) && port == rig->tls_port);
}

/* A reason for each refusal, and nothing is ever turned on for somebody else than asked. */
static void check_ao(const struct rig_message *m)
{
	struct message_ao answer;

	CHECK(m->len == sizeof(answer) && m->id == 7);
	memcpy(&answer, m->payload, sizeof(answer));
	CHECK(memchr(answer.text, '\0', sizeof(answer.text)));
	CHECK(answer.error == 0 || answer.error == -EINVAL || answer.text[0]);
}

static void check_messages(void)
{
	struct fake_worker *w = worker();

	for (size_t i = 0; i < w->n_messages; i++) {
		if (w->messages[i].type == MSG_SOCKET)
			check_socket(&w->messages[i]);
		if (w->messages[i].type == MSG_AO)
			check_ao(&w->messages[i]);
		cleanup_close(&w->messages[i].fd);
	}
	free(TAKE(w->messages));
	w->n_messages = 0;
}

static void check_peers(void)
{
	for (size_t i = 0; i < rig->c->now.config->n_neighbors; i++)
		CHECK(!rig->c->now.peers[i].allow_clear ||
		      rig->c->now.config->neighbors[i].mode == MODE_PREFERRED);
}

/* Takes what is there; true when the answer is whole, and what an answer should be. */
static bool has_answer(int fd, bool must_be_ok)
{
	static char line[1 << 20];
	ssize_t n = recv(fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
	_cleanup_jv_ struct jv *v = NULL;

	if (n < 0 && errno == EAGAIN)
		return false;
	CHECK(n > 0);
	if (line[n - 1] != '\n')
		return false;
	CHECK(jv_parse(line, n, &v, NULL) == 0);
	CHECK(jv_get_bool(v, "ok", true) == jv_get_bool(v, "ok", false));
	CHECK(!must_be_ok || jv_get_bool(v, "ok", false));
	CHECK(!must_be_ok || jv_size(jv_get(v, "neighbors")) == rig->c->now.config->n_neighbors);
	return true;
}

static void wait_answer(int fd, bool must_be_ok)
{
	for (int s = 0; !has_answer(fd, must_be_ok); s++) {
		CHECK(s < ANSWER_S);
		scripted_clock_forward(1000);
		turn();
		turn();
	}
	close(fd);
}

/* One that control gave up is gone, and another one has its configuration. */
static void wait_worker(void)
{
	struct child *child = rig->c->children[0];

	for (int i = 0; !child_pid(child) || !worker()->ipc || !worker()->n_batches; i++) {
		CHECK(i < PATIENCE);
		scripted_clock_forward(100);
		usleep(500);
		turn();
	}
}

static bool is_ours(const char *target)
{
	static const char *const kinds[] = {"socket:", "anon_inode:", "/memfd:"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(target, kinds[i], strlen(kinds[i])) == 0)
			return true;
	return false;
}

/* Files and pipes are those of whoever runs the harness. */
static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	size_t n = 0;

	CHECK(d);
	while ((e = readdir(d))) {
		char target[64] = {};

		n += readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1) > 0 &&
		     is_ours(target);
	}
	closedir(d);
	return n;
}

static void settle(void)
{
	int fd;

	for (size_t i = 0; i < n_clients; i++)
		wait_answer(clients[i], false);
	n_clients = 0;
	wait_worker();
	check_messages();
	check_peers();
	worker()->answer = RIG_TAKES;
	rig->steering.apply_error = 0;
	worker()->by_hand = false;
	fd = crig_dial(rig);
	crig_say(fd, "{\"command\":\"show\"}");
	wait_answer(fd, true);
	worker()->by_hand = true;
	/* As it was before, for the next input. */
	for (size_t i = 0; i < rig->c->now.config->n_neighbors; i++)
		rig->c->now.peers[i].clear_votes = rig->c->now.peers[i].allow_clear = 0;
	for (size_t i = 0; i < rig->c->tls.n; i++)
		while ((fd = accept4(rig->c->tls.fds[i], NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
	cleanup_close(&rig->steering.inner_peer);
	rig->steering.inner_peer = -1;
	for (int i = 0; i < 8; i++)
		turn();
	check_messages();
}

static void clean_up(void)
{
	void *state = rig;

	crig_teardown(&state);
	crig_group_teardown(&state);
}

/* Workers of a botlsd before, whose ends the manager passes. They never say anything. */
static void pass_predecessors(void)
{
	static const char names[] = "worker-0-77:worker-0-78";
	char pid[16];

	for (int i = 0; i < 2; i++) {
		int fds[2];

		CHECK(ipc_pair(fds) == 0);
		CHECK(dup2(fds[0], PASSED + i) == PASSED + i);
		if (fds[0] != PASSED + i)
			close(fds[0]);
	}
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

/* They must be nobody else's. */
static void keep_passed_free(void)
{
	for (int i = 0; i < 2; i++)
		if (fcntl(PASSED + i, F_GETFD) < 0)
			CHECK(dup2(STDERR_FILENO, PASSED + i) == PASSED + i);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	void *state = NULL;

	(void)argc;
	(void)argv;
	keep_passed_free();
	crig_group_setup(&state);
	crig_setup(&state);
	rig = state;
	/* The rig keeps the log; here it goes nowhere, and sanitizers write past it. */
	real_stderr = rig->real_stderr;
	no_stderr = open("/dev/null", O_WRONLY | O_CLOEXEC);
	__sanitizer_set_report_fd((void *)(intptr_t)real_stderr);
	dup2(no_stderr, STDERR_FILENO);
	crig_write(rig, "workers = 1\n"
			"neighbor \"127.0.0.2\" { }\n"
			"neighbor \"127.0.0.3\" { mode = preferred }\n"
			"neighbor \"127.0.0.4\" { mode = off }\n"
			"neighbor \"127.0.7.0/24\" { }\n"
			"neighbor \"::2\" { local-address = \"::1\" }\n"
			"key k { chain = x secret = s send-id = 1 recv-id = 1 }\n"
			"neighbor \"127.0.0.5\" { tcp-ao = capability }\n"
			"neighbor \"127.0.0.6\" { tcp-ao = static tcp-ao-chain = x }\n");
	pass_predecessors();
	crig_start(rig);
	worker()->by_hand = true;
	atexit(clean_up);
	/* The last snapshot stays. */
	clients[n_clients++] = crig_dial(rig);
	crig_say(clients[0], "{\"command\":\"metrics\"}");
	settle();
	n_fds = count_fds();
	dup2(real_stderr, STDERR_FILENO);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	script = data;
	script_left = size;
	dup2(no_stderr, STDERR_FILENO);
	for (int i = 0; i < STEPS_MAX && script_left; i++)
		step(next());
	settle();
	/* Of processes and connections that have just gone some last a turn longer. */
	for (int i = 0; count_fds() > n_fds; i++) {
		CHECK(i < PATIENCE);
		scripted_clock_forward(100);
		turn();
		check_messages(); /* a new worker is told of what there is */
	}
	dup2(real_stderr, STDERR_FILENO);
	return 0;
}
