// SPDX-License-Identifier: Apache-2.0
/*
 * What a client writes to the control socket, through the real server: each line gets exactly one
 * answer, each answer is a JSON object with "ok", and whatever was accepted as a request can be
 * written and read again.
 */
#include "ctlserver.h"

#include <botls/botls.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TURNS_MAX 200000

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static struct loop *loop;
static struct ctlserver *server;
static char dir[] = "/tmp/botls-fuzz-ctl-XXXXXX", path[64];
static struct ctl_request *late; /* answered when the next one comes, its client perhaps gone */

static void answer(struct ctl_request *req)
{
	struct jv *o = jv_object_new();

	MUST(jv_set_string(o, "echo", "x") == 0);
	ctl_request_answer(req, o);
}

static void on_request(void *arg, struct ctl_request *req, const struct jv *request)
{
	_cleanup_free_ char *line = jv_dump_line(request, NULL);
	_cleanup_free_ char *again = NULL;
	_cleanup_jv_ struct jv *copy = NULL;
	const char *command = jv_get_string(request, "command", NULL);

	(void)arg;
	MUST(command && line);
	MUST(ctlserver_parse(line, strlen(line) - 1, &copy, NULL) == 0);
	again = jv_dump_line(copy, NULL);
	MUST(again && strcmp(line, again) == 0);
	if (late)
		answer(TAKE(late));
	if (command[0] == 'l')
		late = req;
	else if (command[0] == 'f')
		ctl_request_fail(req, command, NULL);
	else
		answer(req);
}

static void clean_up(void)
{
	ctlserver_free(server);
	if (late)
		answer(TAKE(late));
	loop_free(loop);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ctlserver_params p = {.path = path, .group = NULL, .on_request = on_request};
	struct errtext e;

	(void)argc;
	(void)argv;
	MUST(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/control", dir);
	MUST(loop_new(&loop) == 0);
	p.loop = loop;
	if (ctlserver_new(&p, &server, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	atexit(clean_up);
	return 0;
}

/* One per complete line, and one for the first that is too long, which is also the last. */
static size_t answers_due(const uint8_t *data, size_t size)
{
	size_t n = 0;

	while (size) {
		size_t window = size < BOTLS_CONTROL_REQUEST_MAX ? size : BOTLS_CONTROL_REQUEST_MAX;
		const uint8_t *newline = memchr(data, '\n', window);

		if (!newline)
			return n + (size >= BOTLS_CONTROL_REQUEST_MAX);
		n++;
		size -= newline + 1 - data;
		data = newline + 1;
	}
	return n;
}

static void check_answer(const char *line, size_t len)
{
	_cleanup_jv_ struct jv *v = NULL;

	MUST(jv_parse(line, len, &v, NULL) == 0);
	MUST(jv_get_bool(v, "ok", true) == jv_get_bool(v, "ok", false)); /* there, and a boolean */
	MUST(jv_get_bool(v, "ok", false) || jv_get_string(v, "error", NULL));
}

/* Reads what is there; returns the number of whole lines. */
static size_t read_answers(int fd)
{
	static char buf[1 << 16];
	static size_t have;
	size_t lines = 0;
	ssize_t n;

	if (fd < 0) {
		have = 0;
		return 0;
	}
	while ((n = recv(fd, buf + have, sizeof(buf) - have, 0)) > 0) {
		char *newline;

		have += n;
		while ((newline = memchr(buf, '\n', have))) {
			check_answer(buf, newline - buf);
			have -= newline + 1 - buf;
			memmove(buf, newline + 1, have);
			lines++;
		}
		MUST(have < sizeof(buf));
	}
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	size_t sent = 0, due = answers_due(data, size), got = 0;

	strcpy(sun.sun_path, path);
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	read_answers(-1);
	for (int i = 0; sent < size || got < due; i++) {
		ssize_t n = sent < size ? send(fd, data + sent, size - sent, MSG_NOSIGNAL) : 0;

		if (n < 0 && errno == EPIPE) /* hung up on a request that was too long */
			sent = size;
		else if (n > 0)
			sent += n;
		loop_turn(loop, false);
		got += read_answers(fd);
		if (late && got < due && i % 8 == 7)
			answer(TAKE(late));
		MUST(i < TURNS_MAX);
	}
	MUST(got == due);
	close(fd);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, false);
	return 0;
}
