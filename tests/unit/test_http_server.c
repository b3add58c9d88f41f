// SPDX-License-Identifier: Apache-2.0
/* The HTTP server on loopback: what it answers, what it holds back, what it forgets. */
#include "http_server.h"
#include "loop.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define TURNS_MAX 20000
#define GOT_MAX	  (1 << 20)

struct rig {
	struct loop *loop;
	struct timer *tick;
	struct http_server *server;
	struct sockaddr_storage at;
	socklen_t at_len;
	struct http_request *pending;		       /* of "/wait" */
	unsigned n_requests, n_pieces, n_done, pieces; /* how many pieces a stream has */
	char path[64], accept[64];
	char got[GOT_MAX];
	size_t got_len;
};

static void on_tick(void *arg)
{
	struct rig *r = arg;

	timer_set_ms(r->tick, 1);
}

static size_t more(void *arg, char *buf, size_t size)
{
	struct rig *r = arg;

	assert_int_equal(size, HTTP_PIECE);
	if (r->n_pieces == r->pieces)
		return 0;
	memset(buf, 'a' + r->n_pieces++ % 26, size);
	return size;
}

static void on_done(void *arg)
{
	struct rig *r = arg;

	r->n_done++;
}

static void on_request(void *arg, struct http_request *q, const char *path, const char *accept)
{
	struct rig *r = arg;
	const struct http_stream stream = {
		.type = "text/x", .more = more, .on_done = on_done, .arg = r};

	r->n_requests++;
	snprintf(r->path, sizeof(r->path), "%s", path);
	snprintf(r->accept, sizeof(r->accept), "%s", accept);
	if (strcmp(path, "/wait") == 0)
		r->pending = q;
	else if (strcmp(path, "/stream") == 0)
		http_answer_stream(q, &stream);
	else
		http_answer(q, 404, "Not Found", "nothing here");
}

static void serve(struct rig *r, unsigned max_connections, unsigned life_ms)
{
	struct http_server_params p = {.loop = r->loop,
				       .on_request = on_request,
				       .arg = r,
				       .max_connections = max_connections,
				       .life_ms = life_ms};
	struct addr lo;

	assert_int_equal(addr_parse("127.0.0.1", &lo, NULL), 0);
	assert_int_equal(sock_listener(&lo, 0, 16, &p.fd), 0);
	r->at_len = sizeof(r->at);
	assert_int_equal(getsockname(p.fd, (struct sockaddr *)&r->at, &r->at_len), 0);
	assert_int_equal(http_server_new(&p, &r->server), 0);
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(timer_new(r->loop, on_tick, r, &r->tick), 0);
	on_tick(r);
	r->pieces = 3;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	http_server_free(r->server);
	timer_free(r->tick);
	loop_free(r->loop);
	free(r);
	return 0;
}

#define until(r, condition)                                                                        \
	do {                                                                                       \
		for (unsigned i_ = 0; !(condition); i_++) {                                        \
			if (i_ == TURNS_MAX)                                                       \
				fail_msg("in vain: %s", #condition);                               \
			assert_int_equal(loop_turn((r)->loop, true), 0);                           \
		}                                                                                  \
	} while (0)

static int dial(struct rig *r, const char *request)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(request);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&r->at, r->at_len), 0);
	assert_int_equal(sock_set_nonblock_cloexec(fd), 0);
	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
	return fd;
}

/* True at the end of the stream; of a long one the beginning is kept. */
static bool hear(struct rig *r, int fd)
{
	static char rest[HTTP_PIECE];

	for (;;) {
		bool is_full = r->got_len > GOT_MAX - HTTP_PIECE;
		ssize_t n = recv(fd, is_full ? rest : r->got + r->got_len, HTTP_PIECE - 1, 0);

		if (n <= 0)
			return n == 0 || errno != EAGAIN;
		if (!is_full)
			r->got[r->got_len += n] = '\0';
	}
}

/* The whole answer; closes. */
static const char *ask(struct rig *r, const char *request)
{
	int fd = dial(r, request);

	r->got_len = 0;
	until(r, hear(r, fd));
	close(fd);
	return r->got_len ? r->got : "";
}

static void expect(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in: %.300s", part, text);
}

static void test_answers(void **state)
{
	struct rig *r = *state;
	const char *got;

	serve(r, 0, 0);
	got = ask(r, "GET /x?y=z HTTP/1.1\r\nHost: h\r\nAccept: a/b\r\n\r\n");
	expect(got, "HTTP/1.1 404 Not Found\r\n");
	expect(got, "\r\n\r\nnothing here\n");
	expect(got, "Connection: close\r\n");
	assert_string_equal(r->path, "/x");
	assert_string_equal(r->accept, "a/b");
	got = ask(r, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(got, "HTTP/1.1 404");
	assert_null(strstr(got, "nothing here"));
	assert_string_equal(r->accept, "");
	assert_int_equal(r->n_requests, 2);
	until(r, http_server_connections(r->server) == 0);
}

static void test_other_methods(void **state)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"};
	struct rig *r = *state;

	serve(r, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		char request[64];
		const char *got;

		snprintf(request, sizeof(request), "%s /stream HTTP/1.1\r\nHost: h\r\n\r\n",
			 methods[i]);
		got = ask(r, request);
		expect(got, " 405 Method Not Allowed\r\n");
		expect(got, "Allow: GET, HEAD\r\n");
	}
	assert_int_equal(r->n_requests, 0);
}

static void test_too_much(void **state)
{
	static char request[HTTP_HEADERS_MAX + 1000] = "GET /stream HTTP/1.1\r\nHost: h\r\nX: ";
	struct rig *r = *state;
	const char *got;

	serve(r, 0, 0);
	memset(request + strlen(request), 'x', HTTP_HEADERS_MAX + 900 - strlen(request));
	strcat(request, "\r\n\r\n");
	got = ask(r, request);
	assert_null(strstr(got, "200 OK"));
	got = ask(r, "GET /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde");
	assert_null(strstr(got, "200 OK"));
	ask(r, "\x16\x03\x01\x02\x01\x01\r\n\r\n");
	assert_int_equal(r->n_requests, 0);
}

static void test_stream(void **state)
{
	struct rig *r = *state;
	const char *got;

	serve(r, 0, 0);
	got = ask(r, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(got, "HTTP/1.1 200 OK\r\n");
	expect(got, "Transfer-Encoding: chunked\r\n");
	expect(got, "Content-Type: text/x\r\n");
	expect(got, "\r\n10000\r\naaaa");
	expect(got, "aaaa\r\n10000\r\nbbbb");
	assert_string_equal(got + r->got_len - 7, "\r\n0\r\n\r\n");
	assert_int_equal(r->n_done, 1);
	got = ask(r, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(got, "200 OK");
	assert_string_equal(got + r->got_len - 4, "\r\n\r\n");
	assert_int_equal(r->n_done, 2);
	r->n_pieces = 0;
	got = ask(r, "GET /stream HTTP/1.0\r\n\r\n");
	expect(got, "200 OK");
	assert_null(strstr(got, "chunked"));
	assert_true(r->got_len > 3 * HTTP_PIECE);
}

/* Who does not read is not written for. */
static void test_slow_reader(void **state)
{
	struct rig *r = *state;
	unsigned pieces;
	int fd;

	r->pieces = 1000;
	serve(r, 0, 0);
	fd = dial(r, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	until(r, r->n_pieces > 1);
	do {
		pieces = r->n_pieces;
		for (int i = 0; i < 50; i++)
			assert_int_equal(loop_turn(r->loop, true), 0);
	} while (r->n_pieces != pieces);
	assert_true(pieces < 200); /* what sockets hold, and one piece */
	assert_int_equal(r->n_done, 0);
	until(r, hear(r, fd));
	assert_int_equal(r->n_pieces, 1000);
	assert_int_equal(r->n_done, 1);
	close(fd);
}

static void test_client_goes(void **state)
{
	struct rig *r = *state;
	int fd;

	r->pieces = 1000;
	serve(r, 0, 0);
	fd = dial(r, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	until(r, r->n_pieces > 1);
	close(fd);
	until(r, r->n_done == 1);
	until(r, http_server_connections(r->server) == 0);
	/* One that went before its answer. */
	fd = dial(r, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
	until(r, r->pending);
	sock_set_reset_on_close(fd);
	close(fd);
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(r->loop, true), 0);
	http_answer(r->pending, 200, "OK", "late");
	until(r, http_server_connections(r->server) == 0);
}

static void test_late_answer(void **state)
{
	struct rig *r = *state;
	int fd;

	serve(r, 0, 0);
	fd = dial(r, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
	until(r, r->pending);
	http_answer(r->pending, 503, "Service Unavailable", "not now");
	until(r, hear(r, fd));
	expect(r->got, "HTTP/1.1 503 Service Unavailable\r\n");
	close(fd);
}

/* Those above the number wait, and get their turn. */
static void test_connections_are_limited(void **state)
{
	struct rig *r = *state;
	int idle[2], fd;

	serve(r, 2, 0);
	idle[0] = dial(r, "");
	idle[1] = dial(r, "GET /wai");
	until(r, http_server_connections(r->server) == 2);
	fd = dial(r, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 0; i < 300; i++)
		assert_int_equal(loop_turn(r->loop, true), 0);
	assert_int_equal(r->n_requests, 0);
	assert_int_equal(http_server_connections(r->server), 2);
	close(idle[0]);
	until(r, hear(r, fd));
	expect(r->got, "404 Not Found");
	close(fd);
	close(idle[1]);
}

/* However it keeps a connection busy. */
static void test_life_is_limited(void **state)
{
	struct rig *r = *state;
	int idle, slow;

	r->pieces = 1000;
	serve(r, 0, 100);
	idle = dial(r, "GET /");
	slow = dial(r, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	until(r, http_server_connections(r->server) == 2);
	until(r, http_server_connections(r->server) == 0);
	assert_int_equal(r->n_done, 1);
	assert_true(hear(r, idle));
	close(idle);
	close(slow);
}

static void test_end_of_the_server(void **state)
{
	struct rig *r = *state;
	int fds[3];

	r->pieces = 1000;
	serve(r, 0, 0);
	fds[0] = dial(r, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	fds[1] = dial(r, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
	fds[2] = dial(r, "GET ");
	until(r, r->pending && r->n_pieces > 1 && http_server_connections(r->server) == 3);
	http_server_free(TAKE(r->server));
	assert_int_equal(r->n_done, 1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_answers),	 T(test_other_methods),
		T(test_too_much),	 T(test_stream),
		T(test_slow_reader),	 T(test_client_goes),
		T(test_late_answer),	 T(test_connections_are_limited),
		T(test_life_is_limited), T(test_end_of_the_server),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
