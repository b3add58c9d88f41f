// SPDX-License-Identifier: Apache-2.0
/* The client's end of the control socket: one request, one answer, within CTL_ANSWER_TIMEOUT. */
#include "ctl.h"
#include "sock.h"

#include <botls/botls.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 0, -ETIMEDOUT, -ECANCELED, or -errno. */
static int wait_for(const struct ctl *c, int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int r;

		if (c->interrupted && *c->interrupted)
			return -ECANCELED;
		r = left > 0 ? poll(&p, 1, left) : 0;
		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int open_socket(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void explain(const char *path, int error, struct errtext *e)
{
	switch (error) {
	case -ENOENT:
		errtext_set(
			e, 0,
			"no control socket at %s: is botlsd running ('systemctl status botlsd')? "
			"Does its configuration name another control-socket (then: -s SOCKET)?",
			path);
		break;
	case -ECONNREFUSED:
		errtext_set(
			e, 0,
			"nobody answers at %s: botlsd has stopped; see 'systemctl status botlsd'",
			path);
		break;
	case -EACCES:
	case -EPERM:
		errtext_set(e, 0,
			    "not allowed to use %s: be root, or a member of the control-group of "
			    "botlsd.conf",
			    path);
		break;
	case -ENAMETOOLONG:
		errtext_set(e, 0,
			    "-s %.100s...: the path is too long for a socket (107 characters)",
			    path);
		break;
	case -ENOTSOCK:
	case -EPROTOTYPE:
		errtext_set(e, 0,
			    "%s is not botlsd's control socket: see control-socket in botlsd.conf",
			    path);
		break;
	case -EAGAIN:
		errtext_set(e, 0,
			    "botlsd does not take connections at %s: it is busy or hangs; its log "
			    "says more ('journalctl -u botlsd')",
			    path);
		break;
	case -ETIMEDOUT:
		errtext_set(e, 0,
			    "no answer from botlsd within %d seconds (%s): it is busy or hangs; "
			    "its log says more ('journalctl -u botlsd')",
			    CTL_ANSWER_TIMEOUT, path);
		break;
	case -EPIPE:
	case -ECONNRESET:
		errtext_set(e, 0,
			    "botlsd closed the connection without an answer (%s); its log says why "
			    "('journalctl -u botlsd')",
			    path);
		break;
	case -EMSGSIZE:
		errtext_set(e, 0,
			    "botlsd's answer is longer than %zu MiB: ask for one neighbor "
			    "('botlsctl show neighbor ADDRESS')",
			    JV_TEXT_MAX >> 20);
		break;
	case -ENOMEM: errtext_set(e, 0, "out of memory: this router is short of it"); break;
	case -ECANCELED: errtext_set(e, 0, "interrupted"); break;
	default:
		errtext_set(e, 0, "%s: %s: is this botlsd's control socket (-s SOCKET)?", path,
			    strerror(-error));
	}
}

static int send_all(const struct ctl *c, int fd, const char *data, size_t len, int64_t deadline)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			data += n;
			len -= n;
			continue;
		}
		/* EPIPE: the refusal that botlsd sent before closing may still be read. */
		if (errno == EPIPE)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for(c, fd, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

/* As recv(), with -errno; a descriptor that comes along is kept in *fd_with, unless there is one
 * already. */
static ssize_t receive(int fd, void *buf, size_t size, int *fd_with)
{
	_cleanup_close_ int came = -1;
	size_t n_fds = 0;
	ssize_t n = sock_receive_fds(fd, buf, size, &came, 1, &n_fds);

	if (n > 0 && *fd_with < 0)
		*fd_with = TAKE_FD(came);
	return n;
}

/* Reads up to the first newline. *ret_line is the caller's to free. */
static int receive_line(const struct ctl *c, int fd, int64_t deadline, char **ret_line,
			size_t *ret_len, int *fd_with)
{
	_cleanup_free_ char *buf = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		char *newline;
		ssize_t n;
		int r;

		if (len == size) {
			char *bigger;

			if (size >= JV_TEXT_MAX)
				return -EMSGSIZE;
			size = size ? 2 * size : 65536;
			bigger = realloc(buf, size);
			if (!bigger)
				return -ENOMEM;
			buf = bigger;
		}
		r = wait_for(c, fd, POLLIN, deadline);
		if (r < 0)
			return r;
		n = receive(fd, buf + len, size - len, fd_with);
		if (n == 0)
			return -EPIPE;
		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return n;
		newline = memchr(buf + len, '\n', n);
		len += n;
		if (newline) {
			*ret_len = newline - buf;
			*ret_line = TAKE(buf);
			return 0;
		}
	}
}

/* One connection, one question. -EPROTO: an answer came that is not JSON, *e says so. */
static int exchange(const struct ctl *c, const struct jv *request, struct jv **ret_answer,
		    int *fd_with, struct errtext *e)
{
	int64_t deadline = now_ms() + CTL_ANSWER_TIMEOUT * 1000;
	_cleanup_free_ char *question = NULL, *line = NULL;
	_cleanup_close_ int fd = -1;
	size_t len;
	int r;

	question = jv_dump_line(request, &len);
	if (!question)
		return -ENOMEM;
	fd = open_socket(c->socket);
	if (fd < 0)
		return fd;
	r = send_all(c, fd, question, len, deadline);
	if (r < 0)
		return r;
	r = receive_line(c, fd, deadline, &line, &len, fd_with);
	if (r < 0)
		return r;
	r = jv_parse(line, len, ret_answer, e);
	return r == -ENOMEM ? r : r < 0 ? -EPROTO : 0;
}

struct jv *ctl_request(const char *command, const char *key, const char *value)
{
	_cleanup_jv_ struct jv *request = jv_object_new();
	int r;

	r = jv_set_string(request, "command", command);
	if (key)
		r |= jv_set_string(request, key, value);
	if (r < 0)
		return NULL;
	return TAKE(request);
}

#define NOT_UNDERSTOOD                                                                             \
	"botlsd's answer is not understood: %.120s (this is botlsctl " BOTLS_VERSION               \
	", 'botlsctl show' tells botlsd's version)"

enum ctl_exit ctl_understood(const struct errtext *problem)
{
	if (!problem->text[0])
		return CTL_OK;
	text_complain(NOT_UNDERSTOOD, problem->text);
	return CTL_UNREACHABLE;
}

static void print_refusal(const struct jv_cursor *answer)
{
	struct jv_cursor errors = jv_read_array(answer, "errors");
	const char *hint = jv_read_string(answer, "hint", NULL);

	text_complain("%s", jv_read_string(answer, "error", "botlsd refused without a reason"));
	for (size_t i = 0; i < jv_size(errors.value); i++) {
		struct jv_cursor error = jv_read_item(&errors, i);

		text_complain("%s: %s", jv_read_string(&error, "where", "?"),
			      jv_read_string(&error, "text", "?"));
	}
	if (hint)
		text_complain("%s", hint);
}

enum ctl_exit ctl_print_json(const struct jv *answer)
{
	_cleanup_free_ char *text = answer ? jv_dump_pretty(answer, NULL) : NULL;

	if (!text) {
		text_complain("out of memory: this router is short of it");
		return CTL_UNREACHABLE;
	}
	fputs(text, stdout);
	return CTL_OK;
}

/* "ok" is there, and is true or false. */
static bool has_ok(const struct jv *answer, struct errtext *problem)
{
	struct jv_cursor at = jv_enter(answer, problem);

	jv_read_bool(&at, "ok", false);
	if (!jv_bad(&at) && !jv_get(answer, "ok"))
		jv_complain(&at, "ok", "missing");
	return !jv_bad(&at);
}

/* *fd_with: -1, or what came with the answer. */
static enum ctl_exit fetch(const struct ctl *c, struct jv *request, struct jv **ret_answer,
			   int *fd_with, struct errtext *e)
{
	_cleanup_jv_ struct jv *mine = request, *answer = NULL;
	struct errtext problem = {};
	int r = mine ? exchange(c, mine, &answer, fd_with, &problem) : -ENOMEM;

	if (r < 0 && r != -EPROTO) {
		explain(c->socket, r, e);
		return CTL_UNREACHABLE;
	}
	if (r == -EPROTO || !has_ok(answer, &problem)) {
		errtext_set(e, 0, NOT_UNDERSTOOD, problem.text);
		return CTL_UNREACHABLE;
	}
	*ret_answer = TAKE(answer);
	return CTL_OK;
}

enum ctl_exit ctl_fetch(const struct ctl *c, struct jv *request, struct jv **ret_answer,
			struct errtext *e)
{
	_cleanup_close_ int unwanted = -1;

	return fetch(c, request, ret_answer, &unwanted, e);
}

static enum ctl_exit get(const struct ctl *c, struct jv *request, struct jv **ret_answer,
			 int *fd_with)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct errtext e, problem;
	struct jv_cursor at;
	enum ctl_exit code = fetch(c, request, &answer, fd_with, &e);

	if (code) {
		text_complain("%s", e.text);
		return code;
	}
	if (jv_get_bool(answer, "ok", false)) {
		*ret_answer = TAKE(answer);
		return CTL_OK;
	}
	at = jv_enter(answer, &problem);
	code = c->json ? ctl_print_json(answer) : (print_refusal(&at), CTL_OK);
	return code ? code : CTL_NO;
}

enum ctl_exit ctl_get(const struct ctl *c, struct jv *request, struct jv **ret_answer)
{
	_cleanup_close_ int unwanted = -1;

	return get(c, request, ret_answer, &unwanted);
}

enum ctl_exit ctl_ask_fd(const struct ctl *c, struct jv *request, struct jv **ret_answer,
			 int *ret_fd)
{
	_cleanup_jv_ struct jv *answer = NULL;
	_cleanup_close_ int fd = -1;
	enum ctl_exit code = get(c, request, &answer, &fd);

	if (code)
		return code;
	if (fd < 0) {
		text_complain("botlsd's answer came without the descriptor that belongs to it");
		return CTL_UNREACHABLE;
	}
	*ret_answer = TAKE(answer);
	*ret_fd = TAKE_FD(fd);
	return CTL_OK;
}

enum ctl_exit ctl_ask(const struct ctl *c, struct jv *request, struct jv **ret_answer)
{
	_cleanup_jv_ struct jv *answer = NULL;
	enum ctl_exit code = ctl_get(c, request, &answer);

	if (code == CTL_OK && c->json)
		code = ctl_print_json(answer);
	if (code == CTL_OK)
		*ret_answer = TAKE(answer);
	return code;
}
