// SPDX-License-Identifier: Apache-2.0
/* The client's end of the control socket: one request, one answer, within CTL_ANSWER_TIMEOUT. */
#include "ctl.h"

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

/* 0, -ETIMEDOUT, or -errno. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int r = left > 0 ? poll(&p, 1, left) : 0;

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

static void explain(const char *path, int error)
{
	switch (error) {
	case -ENOENT:
		text_complain(
			"no control socket at %s: is botlsd running ('systemctl status botlsd')? "
			"Does its configuration name another control-socket (then: -s SOCKET)?",
			path);
		break;
	case -ECONNREFUSED:
		text_complain(
			"nobody answers at %s: botlsd has stopped; see 'systemctl status botlsd'",
			path);
		break;
	case -EACCES:
	case -EPERM:
		text_complain("not allowed to use %s: be root, or a member of the control-group of "
			      "botlsd.conf",
			      path);
		break;
	case -EAGAIN:
		text_complain("botlsd does not take connections at %s: it is busy or hangs", path);
		break;
	case -ETIMEDOUT:
		text_complain("no answer from botlsd within %d seconds (%s)", CTL_ANSWER_TIMEOUT,
			      path);
		break;
	case -EPIPE:
	case -ECONNRESET:
		text_complain(
			"botlsd closed the connection without an answer (%s); its log says why",
			path);
		break;
	default: text_complain("%s: %s", path, strerror(-error)); break;
	}
}

static int send_all(int fd, const char *data, size_t len, int64_t deadline)
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
		r = wait_for(fd, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Reads up to the first newline. *ret_line is the caller's to free. */
static int receive_line(int fd, int64_t deadline, char **ret_line, size_t *ret_len)
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
		r = wait_for(fd, POLLIN, deadline);
		if (r < 0)
			return r;
		n = recv(fd, buf + len, size - len, 0);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
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
static int exchange(const char *path, const struct jv *request, struct jv **ret_answer,
		    struct errtext *e)
{
	int64_t deadline = now_ms() + CTL_ANSWER_TIMEOUT * 1000;
	_cleanup_free_ char *question = NULL, *line = NULL;
	_cleanup_close_ int fd = -1;
	size_t len;
	int r;

	question = jv_dump_line(request, &len);
	if (!question)
		return -ENOMEM;
	fd = open_socket(path);
	if (fd < 0)
		return fd;
	r = send_all(fd, question, len, deadline);
	if (r < 0)
		return r;
	r = receive_line(fd, deadline, &line, &len);
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

enum ctl_exit ctl_understood(const struct errtext *problem)
{
	if (!problem->text[0])
		return CTL_OK;
	text_complain("botlsd's answer is not understood: %s", problem->text);
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

static enum ctl_exit print_json(const struct jv *answer)
{
	_cleanup_free_ char *text = jv_dump_pretty(answer, NULL);

	if (!text) {
		text_complain("out of memory");
		return CTL_UNREACHABLE;
	}
	fputs(text, stdout);
	return CTL_OK;
}

enum ctl_exit ctl_ask(const struct ctl *c, struct jv *request, struct jv **ret_answer)
{
	_cleanup_jv_ struct jv *mine = request, *answer = NULL;
	struct errtext e = {}, problem;
	struct jv_cursor at;
	enum ctl_exit code;
	bool ok;
	int r;

	r = mine ? exchange(c->socket, mine, &answer, &e) : -ENOMEM;
	if (r == -EPROTO)
		return ctl_understood(&e);
	if (r < 0) {
		explain(c->socket, r);
		return CTL_UNREACHABLE;
	}
	at = jv_enter(answer, &problem);
	ok = jv_read_bool(&at, "ok", false);
	if (!jv_bad(&at) && !jv_get(answer, "ok"))
		jv_complain(&at, "ok", "missing");
	code = ctl_understood(&problem);
	if (code)
		return code;
	if (c->json)
		code = print_json(answer);
	else if (!ok)
		print_refusal(&at);
	if (code || !ok)
		return code ? code : CTL_NO;
	*ret_answer = TAKE(answer);
	return CTL_OK;
}
