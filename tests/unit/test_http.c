// SPDX-License-Identifier: Apache-2.0
/* What is sent, what is made of the answers, and every bound and failure on the way. */
#include "http.h"

#include "http_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct http *http;

static int setup(void **state)
{
	(void)state;
	http_rig_start();
	return http_new(&http);
}

static int teardown(void **state)
{
	(void)state;
	http_free(http);
	http_rig_stop();
	return 0;
}

static void path_fails(const char *path, int error, const char *part)
{
	struct http_request q = http_rig_request("plain", path);

	http_rig_fails(http, &q, error, part);
}

static struct http_response get(const char *name, const char *path)
{
	struct http_request q = http_rig_request(name, path);

	return http_rig_get(http, &q);
}

static void what_a_get_sends(void **state)
{
	struct http_request q = http_rig_request("plain", "/echo?a=b%20c");
	_cleanup_http_response_ struct http_response a = {}, b = {}, c = {};
	char *netrc = NULL;

	(void)state;
	assert_true(asprintf(&netrc, "default login u password p\n") > 0);
	http_rig_write(".netrc", netrc);
	free(netrc);
	setenv("HOME", http_rig_file(""), true);
	q.authorization = NULL;
	a = http_rig_get(http, &q);
	assert_int_equal(a.status, 200);
	assert_int_equal(strncmp(a.body, "GET /echo?a=b%20c HTTP/1.1\r\nHost: 127.0.0.1:", 44), 0);
	http_rig_has(a.body, "\r\nAccept: application/json\r\n");
	http_rig_has(a.body, "\r\nUser-Agent: botls-provision/");
	http_rig_has_not(a.body, "\r\nAuthorization:");
	http_rig_has_not(a.body, "\r\nAccept-Encoding:");
	http_rig_has_not(a.body, "\r\nContent-");
	http_rig_has_not(a.body, "\r\nX-Request-Id:");
	q.authorization = "Bearer abc";
	q.accept = "text/csv";
	q.request_id = "6d0c";
	b = http_rig_get(http, &q); /* the answer before set a cookie */
	http_rig_has_not(b.body, "\r\nCookie:");
	http_rig_has(b.body, "\r\nAccept: text/csv\r\n");
	http_rig_has(b.body, "\r\nAuthorization: Bearer abc\r\n");
	http_rig_has(b.body, "\r\nX-Request-Id: 6d0c\r\n");
	/* Nothing of a request is left for the next one. */
	q = http_rig_request("plain", "/echo/%2e%2e/../x?y");
	q.authorization = NULL;
	q.url = http_rig_url("plain", "/a/../echo");
	c = http_rig_get(http, &q);
	assert_int_equal(c.status, 404); /* as it stands, nothing folded */
	assert_string_equal(c.body, "/a/../echo");
}

static void what_others_send(void **state)
{
	static const char body[] = "{\"a\":\"\0b\"}";
	struct http_request q = http_rig_request("plain", "/echo");
	_cleanup_http_response_ struct http_response a = {}, b = {}, c = {};

	(void)state;
	q.method = "POST";
	q.content_type = "application/json";
	q.body = body;
	q.body_len = sizeof(body) - 1;
	q.authorization = NULL;
	q.basic_user = "us er";
	q.basic_password = "pass:word";
	a = http_rig_get(http, &q);
	assert_int_equal(strncmp(a.body, "POST /echo HTTP/1.1\r\n", 21), 0);
	http_rig_has(a.body, "\r\nContent-Type: application/json\r\n");
	http_rig_has(a.body, "\r\nContent-Length: 10\r\n");
	http_rig_has(a.body, "\r\nAuthorization: Basic dXMgZXI6cGFzczp3b3Jk\r\n");
	http_rig_has_not(a.body, "\r\nExpect:");
	assert_memory_equal(a.body + a.len - q.body_len, body, q.body_len);
	q.basic_user = "user";
	q.basic_password = "passwd"; /* 11 bytes; above are 15 */
	http_response_done(&a);
	a = http_rig_get(http, &q);
	http_rig_has(a.body, "\r\nAuthorization: Basic dXNlcjpwYXNzd2Q=\r\n");
	q.basic_password = "";
	http_response_done(&a);
	a = http_rig_get(http, &q);
	http_rig_has(a.body, "\r\nAuthorization: Basic dXNlcjo=\r\n");
	q.basic_user = "";
	http_response_done(&a);
	a = http_rig_get(http, &q);
	http_rig_has(a.body, "\r\nAuthorization: Basic Og==\r\n");
	q = http_rig_request("plain", "/echo");
	q.method = "POST";
	b = http_rig_get(http, &q);
	assert_int_equal(strncmp(b.body, "POST ", 5), 0);
	http_rig_has(b.body, "\r\nContent-Length: 0\r\n");
	http_rig_has_not(b.body, "\r\nContent-Type:");
	http_rig_has_not(b.body, "\r\nAuthorization: Basic");
	q.method = "DELETE";
	q.body = "[]";
	q.body_len = 2;
	q.content_type = "application/json";
	c = http_rig_get(http, &q);
	assert_int_equal(strncmp(c.body, "DELETE /echo ", 13), 0);
	assert_string_equal(c.body + c.len - 6, "\r\n\r\n[]");
}

static void a_large_body(void **state)
{
	const size_t len = 3 << 20;
	struct http_request q = http_rig_request("good", "/echo");
	_cleanup_http_response_ struct http_response a = {};
	_cleanup_free_ char *body = malloc(len);

	(void)state;
	memset(body, 'b', len);
	q.method = "POST";
	q.body = body;
	q.body_len = len;
	a = http_rig_get(http, &q);
	assert_true(a.len > len);
	http_rig_has_not(a.body, "\r\nExpect:");
	assert_memory_equal(a.body + a.len - len, body, len);
}

static void answers(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *type, *location, *authenticate;
	} cases[] = {
		{"/status?200 OK", 200, "", "", ""},
		{"/status?300 Multiple Choices", 300, "", "", ""},
		{"/status?422", 422, "", "", ""},
		{"/status?503 Busy", 503, "", "", ""},
		{"/status?599 X", 599, "", "", ""},
		{"/with?Content-Type=Application/JSON;%20charset=utf-8", 200, "application/json",
		 "", ""},
		{"/with?content-type=text/html", 200, "text/html", "", ""},
		{"/with?Location=/x%1b%5b31m%ff&WWW-Authenticate=Bearer%20realm=%22%07%22", 200, "",
		 "/x?[31m?", "Bearer realm=\"?\""},
		{"/no-content", 204, "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[200], *p = path;

		for (const char *c = cases[i].path; *c; c++)
			p += sprintf(p, *c == ' ' ? "%%20" : "%c", *c);
		/* The server takes the status line as it is. */
		p = strstr(path, "/status") ? strstr(path, "%20") : NULL;
		if (p)
			*p = '\0';
		_cleanup_http_response_ struct http_response a = get("plain", path);

		assert_int_equal(a.status, cases[i].status);
		assert_string_equal(a.content_type, cases[i].type);
		assert_string_equal(a.location, cases[i].location);
		assert_string_equal(a.www_authenticate, cases[i].authenticate);
		assert_int_equal(a.retry_after, -1);
		assert_int_equal(a.len, strstr(path, "/with") ? 4 : 0);
	}
}

static void retry_after(void **state)
{
	static const struct {
		const char *query;
		int64_t seconds;
	} cases[] = {
		{"Retry-After=0", 0},
		{"Retry-After=7", 7},
		{"Retry-After=%20120%20", 120},
		{"Retry-After=86400", 86400},
		{"Retry-After=86401", HTTP_RETRY_AFTER_MAX},
		{"Retry-After=99999999999999999999999999", HTTP_RETRY_AFTER_MAX},
		{"Retry-After=-5", -1},
		{"Retry-After=%2b5", -1},
		{"Retry-After=5.5", -1},
		{"Retry-After=0x10", -1},
		{"Retry-After=", -1},
		{"Retry-After=soon", -1},
		{"Retry-After=7,8", -1},
		{"Date=Wed,%2021%20Oct%202015%2007:28:00%20GMT&"
		 "Retry-After=Wed,%2021%20Oct%202015%2007:30:05%20GMT",
		 125},
		{"Date=Wed,%2021%20Oct%202015%2007:28:00%20GMT&"
		 "Retry-After=Wed,%2021%20Oct%202015%2007:27:59%20GMT",
		 0},
		{"Date=Wed,%2021%20Oct%202015%2007:28:00%20GMT&"
		 "Retry-After=Fri,%2031%20Dec%209999%2023:59:59%20GMT",
		 HTTP_RETRY_AFTER_MAX},
		{"Date=nonsense&Retry-After=Wed,%2021%20Oct%202015%2007:30:05%20GMT", 0},
		{"Retry-After=Fri,%2031%20Dec%209999%2023:59:59%20GMT", HTTP_RETRY_AFTER_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[256];

		snprintf(path, sizeof(path), "/with?%s", cases[i].query);
		_cleanup_http_response_ struct http_response a = get("plain", path);

		if (a.retry_after != cases[i].seconds)
			fail_msg("%s: %lld", cases[i].query, (long long)a.retry_after);
	}
	_cleanup_http_response_ struct http_response early = get("plain", "/early");

	assert_int_equal(early.retry_after, -1); /* of a 103, not of the answer */
	assert_string_equal(early.body, "late");
}

static void bounds_of_the_body(void **state)
{
	static const struct {
		const char *path;
		size_t max;
		int error;
	} cases[] = {
		{"/length?0", 100, 0},
		{"/length?100", 100, 0},
		{"/length?101", 100, -EFBIG},
		{"/chunked?100", 100, 0},
		{"/chunked?101", 100, -EFBIG},
		{"/until-close?100", 100, 0},
		{"/until-close?101", 100, -EFBIG},
		{"/length?4194304", 0, 0},
		{"/length?4194305", 0, -EFBIG},
		{"/chunked?4194305", 0, -EFBIG},
		{"/says?99999999999999999999", 0, -EFBIG},
		{"/endless", 0, -EFBIG},
		{"/endless-chunks", 0, -EFBIG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_request q = http_rig_request("plain", cases[i].path);

		q.body_max = cases[i].max;
		if (cases[i].error) {
			http_rig_fails(http, &q, cases[i].error, "over a bound");
		} else {
			_cleanup_http_response_ struct http_response a = http_rig_get(http, &q);

			assert_int_equal(a.len, strtoul(strchr(cases[i].path, '?') + 1, NULL, 10));
		}
	}
	/* A length that is too small ends the answer. */
	_cleanup_http_response_ struct http_response a = get("plain", "/more");

	assert_string_equal(a.body, "01234");
}

static void bounds_of_the_headers(void **state)
{
	_cleanup_http_response_ struct http_response a = get("plain", "/headers?65536");

	(void)state;
	assert_int_equal(a.status, 200);
	path_fails("/headers?65537", -EFBIG, "65536 of headers");
	path_fails("/header-line?70000", -EFBIG, "over a bound");
	path_fails("/header-line?2000000", -EFBIG, "over a bound"); /* too long for libcurl */
	path_fails("/endless-headers", -EFBIG, "over a bound");
	path_fails("/continues", -EFBIG, "over a bound");
}

static void broken_answers(void **state)
{
	(void)state;
	path_fails("/not-http", -EPROTO, "HTTP/0.9");
	path_fails("/raw?HTTP/1.1%20600%20X%0d%0a%0d%0a", -EPROTO, "600 is no status");
	path_fails("/raw?HTTP/1.1%20099%20X%0d%0a%0d%0a", -EPROTO, "");
	path_fails("/raw?HTTP/3.9%20200%20X%0d%0a%0d%0a", -EPROTO, "");
	path_fails("/raw?HTTP/1.1%20200%20X%0d%0aTransfer-Encoding:%20chunked%0d%0a%0d%0azz%0d%0a",
		   -EPROTO, "");
	path_fails("/says?-1", -EPROTO, "Content-Length");
	path_fails("/says?x", -EPROTO, "Content-Length");
	path_fails("/gzip", -EPROTO, "compressed");
	path_fails("/less", -ECONNRESET, "connection broke");
	path_fails("/cut-chunk", -ECONNRESET, "connection broke");
	path_fails("/silence", -ECONNRESET, "connection broke");
	path_fails("/reset", -ECONNRESET, "connection broke");
}

static void times(void **state)
{
	struct http_request q = http_rig_request("plain", "/late");

	(void)state;
	q.timeout = 1;
	http_rig_fails(http, &q, -ETIMEDOUT, "no complete answer within 1 s");
	q.url = http_rig_url("plain", "/trickle");
	http_rig_fails(http, &q, -ETIMEDOUT, "no complete answer within 1 s");
	q.url = http_rig_url("late", "/echo");
	q.timeout = 20;
	q.connect_timeout = 1;
	http_rig_fails(http, &q, -ETIMEDOUT, "no connection within 1 s");
	q.timeout = 1;
	q.connect_timeout = 20;
	http_rig_fails(http, &q, -ETIMEDOUT, "no connection within 1 s");
}

#define LONG_NAME                                                                                  \
	"https://aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggg.invalid"

static void nobody_there(void **state)
{
	struct http_request q = http_rig_request("good", "/");
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sin);
	char url[128];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0); /* and nobody listens */
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", ntohs(sin.sin_port));
	q.url = url;
	http_rig_fails(http, &q, -ECONNREFUSED, "connection refused");
	q.url = "https://255.255.255.255:8443/";
	http_rig_fails(http, &q, -EHOSTUNREACH, "cannot connect: Network is unreachable");
	setenv("https_proxy", LONG_NAME, 1);
	q.url = "https://192.0.2.1:8443/"; /* nor is it the error of the one before */
	http_rig_fails(http, &q, -EHOSTUNREACH, "cannot connect: Could not resolve proxy");
	unsetenv("https_proxy");
	/* No resolver is asked about a label of more than 63 bytes. */
	q.url = LONG_NAME ":8443/";
	http_rig_fails(http, &q, -EHOSTUNREACH, "no such name");
}

static void tls_that_is_good(void **state)
{
	struct http_request q = http_rig_request("good", "/echo");
	_cleanup_http_response_ struct http_response a = http_rig_get(http, &q), b = {}, c = {};
	char url[128];

	(void)state;
	assert_int_equal(a.status, 200);
	snprintf(url, sizeof(url), "https://localhost:%u/echo", http_rig_port("good"));
	q.url = url;
	b = http_rig_get(http, &q);
	http_rig_has(b.body, "\r\nHost: localhost:");
	c = get("tls12", "/echo");
	assert_int_equal(c.status, 200);
	if (http_rig_port("good6")) {
		_cleanup_http_response_ struct http_response d = get("good6", "/echo");

		assert_int_equal(d.status, 200);
	}
}

static void tls_that_is_refused(void **state)
{
	static const struct {
		const char *name;
		int error;
		const char *part;
	} cases[] = {
		{"name", -EKEYREJECTED, "the URL must have a name or an address that"},
		{"expired", -EKEYREJECTED,
		 "expired; the server needs another one, or is the clock"},
		{"other", -EKEYREJECTED, "the file named by the option ca must hold its root"},
		{"self", -EKEYREJECTED, "the file named by the option ca must hold its root"},
		{"cn", -EKEYREJECTED, "certificate subject name 'a?[31mb' does not match"},
		{"old", -EPROTO, "protocol version"},
		{"closing", -ECONNRESET, "connection broke"},
		{"reset", -ECONNRESET, "connection broke"},
		{"mutual12", -EPROTO, "alert"},
		{"mutual13", -EPROTO, "certificate required"},
	};
	struct http_request q;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		q = http_rig_request(cases[i].name, "/echo");
		http_rig_fails(http, &q, cases[i].error, cases[i].part);
	}
	q = http_rig_request("good", "/echo");
	q.ca = NULL; /* the system's */
	http_rig_fails(http, &q, -EKEYREJECTED, "name the file of a private CA with the option ca");
	q.ca = http_rig_file("missing.pem");
	http_rig_fails(http, &q, -EKEYREJECTED, "missing.pem cannot be read");
	q.ca = http_rig_file("good.key");
	http_rig_fails(http, &q, -EKEYREJECTED, "good.key cannot be read or holds no certificate");
	q = http_rig_request("plain", "/echo");
	char url[128];

	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_rig_port("plain"));
	q.url = url;
	http_rig_fails(http, &q, -EPROTO, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_get_sends),
		cmocka_unit_test(what_others_send),
		cmocka_unit_test(a_large_body),
		cmocka_unit_test(answers),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(bounds_of_the_body),
		cmocka_unit_test(bounds_of_the_headers),
		cmocka_unit_test(broken_answers),
		cmocka_unit_test(times),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(tls_that_is_good),
		cmocka_unit_test(tls_that_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
