// SPDX-License-Identifier: Apache-2.0
#include "control_rig.h"

#include "botls/botls.h"
#include "certs.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LOG_PIPE_SIZE (1 << 20)
#define TURNS_MAX     20000 /* of a millisecond and more */

static struct rig *rig; /* the one of this test: what control calls has no other way to find it */
static struct {
	struct cert ca, own, expired, other;
} pki;

static int fake_steering_new(const struct config *c, struct steering **ret, struct errtext *e)
{
	struct fake_steering *f = &rig->steering;

	(void)c;
	f->n_new++;
	if (f->n_busy) {
		f->n_busy--;
		return errtext_set(e, -EADDRINUSE, "a predecessor is still there");
	}
	if (f->new_error)
		return errtext_set(e, f->new_error, "no steering here");
	if (f->not_the_first)
		errtext_set(e, 0, "%s", f->not_the_first);
	*ret = &f->base;
	return 0;
}

/* --- workers
 * --------------------------------------------------------------------------------------------------------------
 */

static int count_file(void *arg, const char *path, const void *data, size_t len)
{
	(void)path;
	(void)data;
	(void)len;
	(*(size_t *)arg)++;
	return 0;
}

static void take_batch(struct fake_worker *w)
{
	w->n_files = 0;
	if (w->batch.files)
		files_each(w->batch.files, count_file, &w->n_files);
	w->n_tls = w->batch.n_tls;
	w->n_inner = w->batch.n_inner;
	config_free(w->config);
	w->config = TAKE(w->batch.config);
}

static void on_apply(struct fake_worker *w, uint32_t id)
{
	enum rig_answer answer = id ? w->answer : RIG_TAKES;

	assert_false(w->batch.has_error);
	assert_non_null(w->batch.config);
	w->n_batches++;
	w->batch_id = id;
	if (answer == RIG_TAKES)
		take_batch(w);
	batch_done(&w->batch);
	switch (answer) {
	case RIG_TAKES: crig_reply_text(w, MSG_APPLIED, id, ""); break;
	case RIG_REFUSES: crig_reply_text(w, MSG_APPLIED, id, "I would rather not"); break;
	case RIG_SILENT: return;
	case RIG_DIES: kill(w->pid, SIGKILL); return;
	}
	w->rig->n_answers++;
}

static void record(struct fake_worker *w, struct ipc_message *m)
{
	struct rig_message *copy;

	w->messages = realloc(w->messages, (w->n_messages + 1) * sizeof(*w->messages));
	assert_non_null(w->messages);
	copy = &w->messages[w->n_messages++];
	assert_true(m->len < sizeof(copy->payload));
	*copy = (struct rig_message){
		.type = m->type, .id = m->id, .len = m->len, .fd = TAKE_FD(m->fd)};
	memcpy(copy->payload, m->payload, m->len);
}

static void on_message(void *arg, struct ipc_message *m)
{
	struct fake_worker *w = arg;
	uint32_t none = 0;

	if (batch_add(&w->batch, m))
		return;
	switch (m->type) {
	case MSG_APPLY: on_apply(w, m->id); return;
	case MSG_KEYLOG: w->has_keylog = m->fd >= 0; return;
	case MSG_PING: crig_reply(w, MSG_PONG, m->id, NULL, 0); return;
	case MSG_QUERY:
		if (!w->by_hand)
			crig_reply_text(w, MSG_STATUS_END, m->id, "{}");
		break;
	case MSG_RESET:
		if (!w->by_hand)
			crig_reply(w, MSG_RESET_DONE, m->id, &none, sizeof(none));
		break;
	}
	record(w, m);
}

static void on_gone(void *arg)
{
	struct fake_worker *w = arg;

	ipc_free(TAKE(w->ipc));
}

static const struct ipc_callbacks ipc_callbacks = {.on_message = on_message, .on_gone = on_gone};

/* What a worker does of itself: it ends with its socket. */
static void be_a_worker(int fd)
{
	struct pollfd p = {.fd = 0};

	dup2(fd, 0);
	close_range(1, ~0U, 0);
	while (rig->is_stubborn)
		pause();
	poll(&p, 1, -1);
	_exit(0);
}

static void forget_worker(struct fake_worker *w)
{
	ipc_free(TAKE(w->ipc));
	batch_done(&w->batch);
	config_free(TAKE(w->config));
	for (size_t i = 0; i < w->n_messages; i++)
		cleanup_close(&w->messages[i].fd);
	free(TAKE(w->messages));
	w->n_messages = w->n_batches = 0;
	w->has_keylog = false;
}

static pid_t start_process(void *arg, struct child *child, int fd)
{
	struct control *c = arg;
	struct fake_worker *w = &rig->workers[child_number(child)];
	pid_t pid;

	if (rig->start_error) {
		rig->n_start_errors++;
		return rig->start_error;
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_a_worker(fd);
	forget_worker(w);
	w->rig = rig;
	w->number = child_number(child);
	w->pid = pid;
	w->n_started++;
	rig->n_started++;
	w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(ipc_new(c->loop, w->fd, &ipc_callbacks, w, &w->ipc), 0);
	return pid;
}

static const struct control_parts parts = {
	.steering_new = fake_steering_new,
	.start_process = start_process,
};

void crig_reply(struct fake_worker *w, uint32_t type, uint32_t id, const void *payload, size_t len)
{
	int r = ipc_send(w->ipc, type, id, payload, len, -1);

	/* Control may have given it up by now. */
	assert_true(r == 0 || r == -EPIPE);
}

void crig_reply_text(struct fake_worker *w, uint32_t type, uint32_t id, const char *text)
{
	crig_reply(w, type, id, text, strlen(text));
}

const struct rig_message *crig_last(const struct fake_worker *w, uint32_t type)
{
	for (size_t i = w->n_messages; i > 0; i--)
		if (w->messages[i - 1].type == type)
			return &w->messages[i - 1];
	return NULL;
}

size_t crig_count(const struct fake_worker *w, uint32_t type)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_messages; i++)
		n += w->messages[i].type == type;
	return n;
}

void crig_kill(struct fake_worker *w)
{
	struct child *child = w->rig->c->children[w->number];
	pid_t pid = w->pid;

	assert_int_equal(child_pid(child), pid);
	kill(pid, SIGKILL);
	crig_until(w->rig, child_pid(child) != pid);
}

/* --- control
 * --------------------------------------------------------------------------------------------------------------
 */

static void report(void *arg, const char *where, const char *text)
{
	(void)arg;
	fail_msg("%s: %s", where, text);
}

int crig_try(struct rig *r, struct errtext *e)
{
	struct config *config;

	assert_int_equal(config_load(r->path, report, NULL, &config), 0);
	return control_new_of(&parts, config, r->keylog, &r->c, e);
}

void crig_start(struct rig *r)
{
	struct errtext e;

	if (crig_try(r, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < r->c->n_children; i++)
		crig_until(r, r->workers[i].n_batches == 1);
	crig_settle(r);
}

void crig_stop(struct rig *r)
{
	/* Ends of sockets only: nothing runs any more that could be told. */
	for (size_t i = 0; i < RIG_WORKERS; i++)
		forget_worker(&r->workers[i]);
	control_free(TAKE(r->c));
	/* Workers may outlive control; what they have of ours must not. */
	for (size_t i = 0; i < RIG_WORKERS; i++)
		if (r->workers[i].pid > 0 && kill(r->workers[i].pid, SIGKILL) == 0)
			waitpid(r->workers[i].pid, NULL, 0);
}

bool crig_turn(struct rig *r, unsigned i)
{
	loop_turn(r->c->loop, false);
	usleep(1000);
	return i < TURNS_MAX;
}

void crig_settle(struct rig *r)
{
	for (int i = 0; i < 20; i++)
		loop_turn(r->c->loop, false);
}

const struct steering_entry *crig_entry(const struct rig *r, const char *neighbor)
{
	struct addr want;

	assert_int_equal(addr_parse(neighbor, &want, NULL), 0);
	for (size_t i = 0; i < r->steering.n_entries; i++)
		if (addr_equal(&r->steering.entries[i].neighbor, &want))
			return &r->steering.entries[i];
	return NULL;
}

char *crig_config_text(const struct config *c)
{
	char *text, *line, *out;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	config_print(c, f);
	fclose(f);
	/* Where a value came from is in the comments. */
	out = line = text;
	while (*line) {
		size_t n = strcspn(line, "\n") + 1;

		if (*line != '#') {
			memmove(out, line, n);
			out += n;
		}
		line += n;
	}
	*out = '\0';
	return text;
}

/* --- clients of the control socket
 * ---------------------------------------------------------------------------------------- */

int crig_dial(struct rig *r)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, r->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void say(int fd, const char *fmt, va_list args)
{
	char line[1024];
	int len = vsnprintf(line, sizeof(line), fmt, args);

	assert_true(len < (int)sizeof(line));
	assert_int_equal(send(fd, line, len, MSG_NOSIGNAL), len);
	assert_int_equal(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
}

void crig_say(int fd, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fd, fmt, args);
	va_end(args);
}

static ssize_t receive(struct rig *r, int fd, void *buf, size_t size)
{
	struct iovec iov = {buf, size};
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c) {
		if (r->heard_fd > 0)
			close(r->heard_fd);
		memcpy(&r->heard_fd, CMSG_DATA(c), sizeof(r->heard_fd));
	}
	return n;
}

struct jv *crig_hear(struct rig *r, int fd)
{
	_cleanup_free_ char *line = NULL;
	size_t len = 0, size = 0;
	struct jv *answer;
	struct errtext e;

	while (!len || line[len - 1] != '\n') {
		ssize_t n;

		if (len == size) {
			size = size ? 2 * size : 4096;
			line = realloc(line, size);
			assert_non_null(line);
		}
		crig_until(r, (n = receive(r, fd, line + len, size - len)) >= 0 || errno != EAGAIN);
		assert_true(n > 0);
		len += n;
	}
	if (jv_parse(line, len, &answer, &e) < 0)
		fail_msg("%s: %s", e.text, line);
	return answer;
}

struct jv *crig_ask(struct rig *r, const char *fmt, ...)
{
	va_list args;

	if (r->client < 0)
		r->client = crig_dial(r);
	va_start(args, fmt);
	say(r->client, fmt, args);
	va_end(args);
	return crig_hear(r, r->client);
}

void crig_expect_refusal(struct jv *answer, const char *error, const char *hint)
{
	assert_non_null(jv_get(answer, "ok"));
	assert_false(jv_get_bool(answer, "ok", true));
	if (!strstr(jv_get_string(answer, "error", ""), error))
		fail_msg("says '%s', not '%s'", jv_get_string(answer, "error", ""), error);
	if (hint && !strstr(jv_get_string(answer, "hint", ""), hint))
		fail_msg("hints '%s', not '%s'", jv_get_string(answer, "hint", ""), hint);
	jv_free(answer);
}

/* --- the log, and what systemd hears
 * -------------------------------------------------------------------------------------- */

static void read_log(struct rig *r)
{
	for (;;) {
		ssize_t n;

		r->log = realloc(r->log, r->log_len + 65537);
		assert_non_null(r->log);
		n = read(r->log_pipe[0], r->log + r->log_len, 65536);
		r->log_len += n > 0 ? n : 0;
		r->log[r->log_len] = '\0';
		if (n <= 0)
			return;
	}
}

bool crig_logged(struct rig *r, const char *text)
{
	read_log(r);
	return strstr(r->log + r->log_from, text) != NULL;
}

void crig_log_forget(struct rig *r)
{
	read_log(r);
	r->log_from = r->log_len;
}

const char *crig_notified(struct rig *r)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(r->notify_fd, r->notified + len, sizeof(r->notified) - len - 1,
			 MSG_DONTWAIT)) > 0) {
		/* What is kept for a successor has tests of its own. */
		if (strncmp(r->notified + len, "FDSTORE", 7) == 0)
			continue;
		len += n;
		r->notified[len++] = ' ';
	}
	r->notified[len] = '\0';
	return r->notified;
}

static void catch_log(struct rig *r)
{
	assert_int_equal(pipe2(r->log_pipe, O_NONBLOCK | O_CLOEXEC), 0);
	fcntl(r->log_pipe[1], F_SETPIPE_SZ, LOG_PIPE_SIZE);
	fflush(stderr);
	r->real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(r->log_pipe[1], STDERR_FILENO);
}

/* It is shown where the test failed: what passes is not looked at. */
static void release_log(struct rig *r)
{
	fflush(stderr);
	read_log(r);
	dup2(r->real_stderr, STDERR_FILENO);
	fwrite(r->log, 1, r->log_len, stderr);
	close(r->real_stderr);
	close(r->log_pipe[0]);
	close(r->log_pipe[1]);
	free(r->log);
}

static void open_notify(struct rig *r)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int len = snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1, "botls-rig-%d", getpid());

	r->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(r->notify_fd, (struct sockaddr *)&sun,
			      offsetof(struct sockaddr_un, sun_path) + 1 + len),
			 0);
	sun.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
}

/* --- setting up
 * -----------------------------------------------------------------------------------------------------------
 */

void crig_write_file(struct rig *r, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

void crig_write(struct rig *r, const char *fmt, ...)
{
	char text[8192];
	va_list args;
	int n = snprintf(text, sizeof(text),
			 "control-socket = \"%s\"\ncontrol-group = \"%s\"\ntls-port = %u\n"
			 "certificate = \"own.pem\"\nkey = \"own.key\"\nca = \"ca.pem\"\n",
			 r->socket, r->group, r->tls_port);

	va_start(args, fmt);
	n += vsnprintf(text + n, sizeof(text) - n, fmt, args);
	va_end(args);
	assert_true(n < (int)sizeof(text));
	crig_write_file(r, "botlsd.conf", text);
}

static uint16_t free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

int crig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct group *group = getgrgid(getegid());

	assert_non_null(r);
	assert_non_null(group);
	rig = r;
	r->parameter = *state;
	strcpy(r->dir, "/tmp/botls-rig-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/botlsd.conf", r->dir);
	snprintf(r->socket, sizeof(r->socket), "%s/control", r->dir);
	snprintf(r->group, sizeof(r->group), "%s", group->gr_name);
	r->tls_port = free_port();
	r->client = -1;
	for (size_t i = 0; i < RIG_WORKERS; i++)
		batch_init(&r->workers[i].batch);
	fake_steering_init(&r->steering, &r->n_answers);
	crig_write_file(r, "own.pem", pki.own.pem);
	crig_write_file(r, "own.key", pki.own.key_pem);
	crig_write_file(r, "ca.pem", pki.ca.pem);
	crig_write_file(r, "expired.pem", pki.expired.pem);
	crig_write_file(r, "expired.key", pki.expired.key_pem);
	crig_write_file(r, "other.key", pki.other.key_pem);
	log_set_level(LOG_LEVEL_INFO);
	open_notify(r);
	catch_log(r);
	*state = r;
	return 0;
}

int crig_teardown(void **state)
{
	static const char *const files[] = {"botlsd.conf", "own.pem",	  "own.key",   "ca.pem",
					    "expired.pem", "expired.key", "other.key", "keylog"};
	struct rig *r = *state;
	char path[128];

	crig_stop(r);
	cleanup_close(&r->client);
	fake_steering_done(&r->steering);
	unsetenv("NOTIFY_SOCKET");
	close(r->notify_fd);
	release_log(r);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(r->dir), 0);
	free(r);
	return 0;
}

int crig_group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("control");
	cert_make(&pki.ca, &(struct cert_spec){.cn = "CA", .is_ca = true}, NULL);
	cert_make(&pki.own,
		  &(struct cert_spec){
			  .cn = "own", .san = "IP:127.0.0.1", .from_days = -1, .to_days = 100},
		  &pki.ca);
	cert_make(&pki.expired,
		  &(struct cert_spec){
			  .cn = "old", .san = "IP:127.0.0.1", .from_days = -9, .to_days = -1},
		  &pki.ca);
	cert_make(&pki.other, &(struct cert_spec){.cn = "other"}, &pki.ca);
	return 0;
}

int crig_group_teardown(void **state)
{
	(void)state;
	cert_done(&pki.ca);
	cert_done(&pki.own);
	cert_done(&pki.expired);
	cert_done(&pki.other);
	return 0;
}
