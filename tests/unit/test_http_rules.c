// SPDX-License-Identifier: Apache-2.0
/* What is never done: other addresses, other URLs, redirects, repetitions; and the small functions.
 */
#include "http.h"

#include "http_rig.h"
#include "memory_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

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

/* The heads that the server has seen since the last time. */
static struct http_response seen(void)
{
	struct http_request q = http_rig_request("plain", "/log");

	return http_rig_get(http, &q);
}

static void plain_http(void **state)
{
	static const char *const refused[] = {
		"http://192.0.2.1:8080/",
		"http://[2001:db8::1]:8080/",
		"http://0.0.0.0:8080/",
		"http://[::]:8080/",
		"http://[::ffff:192.0.2.1]:8080/",
		"http://128.0.0.1:8080/",
		"http://126.255.255.255:8080/",
		"http://[::2]:8080/",
	};
	struct http_request q = http_rig_request("plain", "/echo");
	char url[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		q.url = refused[i];
		http_rig_fails(http, &q, -EACCES, "loopback addresses only");
	}
	/* Names are judged by their addresses. */
	snprintf(url, sizeof(url), "http://localhost:%u/echo", http_rig_port("plain"));
	q.url = url;
	_cleanup_http_response_ struct http_response a = http_rig_get(http, &q);

	assert_int_equal(a.status, 200);
	snprintf(url, sizeof(url), "http://[::ffff:127.0.0.1]:%u/echo", http_rig_port("plain"));
	_cleanup_http_response_ struct http_response b = http_rig_get(http, &q);

	assert_int_equal(b.status, 200);
	if (http_rig_port("plain6")) {
		q.url = http_rig_url("plain6", "/echo");
		_cleanup_http_response_ struct http_response c = http_rig_get(http, &q);

		assert_int_equal(c.status, 200);
	}
	/* Allowed for nobody who did not ask for it, also on a connection that is there. */
	q = http_rig_request("plain", "/echo");
	q.allow_http = false;
	http_rig_fails(http, &q, -EACCES, "http:// is not allowed: use https://");
}

static void urls(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"ftp://127.0.0.1/",
		"file:///etc/passwd",
		"127.0.0.1:80/",
		"https:/127.0.0.1/",
		"https://",
		"https:///x",
		"https://:443/",
		"https://user:" RIG_SECRET "@127.0.0.1/",
		"https://" RIG_SECRET "@127.0.0.1/",
		"https://@127.0.0.1/",
		"https://127.0.0.1:1@127.0.0.1/",
		"https://a\\@b/",
		("https://127.0.0.1/#" RIG_SECRET),
		"https://127.0.0.1/a b",
		"https://127.0.0.1/a\nb",
		"https://127.0.0.1/\xc3\xa9",
		"https://127.0.0.1/a%2",
		"https://127.0.0.1/a%2gb",
		"https://127.0.0.1/\"",
		"https://127.0.0.1/[]",
		"https://127.0.0.1:0/",
		"https://127.0.0.1:65536/",
		"https://127.0.0.1:99999999/",
		"https://127.0.0.1:/",
		"https://127.0.0.1:8x/",
		"https://[::1/",
		"https://[]/",
		"https://[::1]x/",
		"https://[::1]:0/",
		"https://a:b:c/",
		"https://exa*mple/",
		"https://[12345::1]/", /* only libcurl minds */
	};
	char long_url[HTTP_URL_MAX + 2] = "https://127.0.0.1/", long_host[400] = "https://";
	struct http_request q = http_rig_request("plain", "/echo");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		q.url = bad[i];
		http_rig_fails(http, &q, -EINVAL, "");
	}
	q.url = "https://127.0.0.1:65536/";
	http_rig_fails(http, &q, -EINVAL, "the URL's port is not 1 to 65535");
	memset(long_url + strlen(long_url), 'x', sizeof(long_url) - 1 - strlen(long_url));
	q.url = long_url;
	http_rig_fails(http, &q, -EINVAL, "longer than 4096 bytes");
	memset(long_host + strlen(long_host), 'x', 256);
	q.url = long_host;
	http_rig_fails(http, &q, -EINVAL, "host");
	/* As long as may be. */
	strcpy(long_url, http_rig_url("plain", "/"));
	memset(long_url + strlen(long_url), 'x', HTTP_URL_MAX - strlen(long_url));
	long_url[HTTP_URL_MAX] = '\0';
	q.url = long_url;
	_cleanup_http_response_ struct http_response a = http_rig_get(http, &q);

	assert_int_equal(a.status, 404);
}

static void methods_and_headers(void **state)
{
	static const char *const methods[] = {"", "get", "HEAD", "PUT", "GET / HTTP/1.1\r\nX: y"};
	struct http_request q = http_rig_request("plain", "/echo");
	_cleanup_http_response_ struct http_response log = seen();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		q.method = methods[i];
		http_rig_fails(http, &q, -EINVAL, "no such method");
	}
	q = http_rig_request("plain", "/echo");
	q.authorization = "Bearer " RIG_SECRET "\r\nX: y";
	http_rig_fails(http, &q, -EINVAL, "the Authorization has characters");
	q = http_rig_request("plain", "/echo");
	q.request_id = "a\nb";
	http_rig_fails(http, &q, -EINVAL, "the X-Request-Id has characters");
	q.request_id = "\xc3\xa9";
	http_rig_fails(http, &q, -EINVAL, "the X-Request-Id has characters");
	q = http_rig_request("plain", "/echo");
	q.accept = "a\x7f";
	http_rig_fails(http, &q, -EINVAL, "the Accept has characters");
	q = http_rig_request("plain", "/echo");
	q.content_type = "a\tb";
	http_rig_fails(http, &q, -EINVAL, "the Content-Type has characters");
	q = http_rig_request("plain", "/echo");
	q.basic_user = "a:b";
	q.basic_password = RIG_SECRET;
	http_rig_fails(http, &q, -EINVAL, "colon");
	q.basic_user = "a";
	q.basic_password = RIG_SECRET "\n";
	http_rig_fails(http, &q, -EINVAL, "the password has characters");
	http_response_done(&log);
	log = seen();
	assert_string_equal(log.body, ""); /* nothing was sent at all */
}

static void redirects(void **state)
{
	char path[64];
	_cleanup_http_response_ struct http_response log = seen(), a = {};
	struct http_request q;

	(void)state;
	snprintf(path, sizeof(path), "/redirect?127.0.0.1:%u", http_rig_port("plain"));
	q = http_rig_request("good", path);
	a = http_rig_get(http, &q);
	assert_int_equal(a.status, 302);
	assert_string_equal(a.body, "moved");
	http_rig_has(a.location, "/seen");
	http_response_done(&log);
	log = seen();
	http_rig_has(log.body, "GET /redirect");
	http_rig_has_not(log.body, "/seen ");
}

static int connections(void)
{
	struct http_request q = http_rig_request("plain", "/connections");
	_cleanup_http_response_ struct http_response a = http_rig_get(http, &q);

	return atoi(a.body);
}

static unsigned times_in(const char *text, const char *part)
{
	unsigned n = 0;

	while ((text = strstr(text, part))) {
		text++;
		n++;
	}
	return n;
}

static void kept_connections(void **state)
{
	int before = connections();
	struct http_request q = http_rig_request("good", "/leave-next");
	_cleanup_http_response_ struct http_response log = {}, a = {}, b = {}, c = {};

	(void)state;
	assert_int_equal(connections(), before);
	/* The server hangs up instead of answering the second one: GET is made again by libcurl. */
	a = http_rig_get(http, &q);
	log = seen();
	http_response_done(&log);
	q.url = http_rig_url("good", "/echo");
	b = http_rig_get(http, &q);
	assert_int_equal(b.status, 200);
	log = seen();
	assert_int_equal(times_in(log.body, "GET /echo "), 2);
	http_response_done(&log);
	/* POST goes out once, on a connection of its own. */
	q.url = http_rig_url("good", "/leave-next");
	http_response_done(&a);
	a = http_rig_get(http, &q);
	q.url = http_rig_url("good", "/echo");
	q.method = "POST";
	c = http_rig_get(http, &q);
	assert_int_equal(c.status, 200);
	log = seen();
	assert_int_equal(times_in(log.body, "POST /echo "), 1);
}

static void proxies(void **state)
{
	struct http_request q = http_rig_request("plain", "/echo");
	_cleanup_http_response_ struct http_response log = seen(), a = {}, b = {};
	char proxy[64], url[64];

	(void)state;
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", http_rig_port("plain"));
	setenv("http_proxy", proxy, true);
	setenv("https_proxy", proxy, true);
	setenv("ALL_PROXY", proxy, true);
	q.url = "http://192.0.2.1:8080/";
	http_rig_fails(http, &q, -EACCES, "loopback addresses only");
	q = http_rig_request("good", "/echo");
	a = http_rig_get(http, &q);
	snprintf(url, sizeof(url), "https://localhost:%u/echo", http_rig_port("good"));
	q.url = url;
	b = http_rig_get(http, &q);
	http_response_done(&log);
	log = seen();
	http_rig_has_not(log.body, "CONNECT");
	/* Where a proxy is used it sees nothing of what is for the server. */
	q = http_rig_request("good", "/echo");
	q.url = "https://192.0.2.1:8443/echo";
	q.request_id = "for-the-server";
	http_rig_fails(http, &q, -ECONNRESET, "403");
	http_response_done(&log);
	log = seen();
	http_rig_has(log.body, "CONNECT 192.0.2.1:8443 HTTP/1.1");
	http_rig_has_not(log.body, RIG_SECRET);
	http_rig_has_not(log.body, "for-the-server");
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	unsetenv("ALL_PROXY");
}

static void sockets_are_close_on_exec(void **state)
{
	struct http_request q = http_rig_request("good", "/echo");
	struct http_response a = http_rig_get(http, &q);
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	(void)state;
	assert_int_equal(a.status, 200);
	assert_non_null(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		int fd = atoi(d->d_name), domain = 0;
		socklen_t len = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
		    (domain != AF_INET && domain != AF_INET6))
			continue;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		n++;
	}
	closedir(dir);
	http_response_done(&a);
	assert_true(n > 0); /* connections are kept */
}

static void on_signal(int number)
{
	(void)number;
	http_cancel();
}

static int answer_ok(void *arg, const struct http_request *q, struct http_response *ret,
		     struct errtext *e)
{
	unsigned *calls = arg;

	(void)q;
	(void)e;
	(*calls)++;
	*ret = (struct http_response){.status = 200, .body = strdup("x"), .len = 1};
	return 0;
}

/* In a child: there is no way back. */
static int cancel_in_child(void)
{
	struct http_request q;
	struct http_response a;
	struct errtext e;
	struct http *own;
	unsigned calls = 0;
	char path[64];

	signal(SIGUSR1, on_signal);
	snprintf(path, sizeof(path), "/signal?%d", getpid());
	q = http_rig_request("plain", path);
	if (http_new(&own) < 0)
		return 1;
	if (http_perform(own, &q, &a, &e) != -ECANCELED || !strstr(e.text, "interrupted"))
		return 2;
	q.url = http_rig_url("plain", "/echo");
	if (http_perform(own, &q, &a, &e) != -ECANCELED)
		return 3;
	http_free(own);
	if (http_new_answered(answer_ok, &calls, &own) < 0 ||
	    http_perform(own, &q, &a, &e) != -ECANCELED || calls)
		return 4;
	http_free(own);
	return 0;
}

static void run_in_child(int (*fn)(void))
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void cancelling(void **state)
{
	(void)state;
	run_in_child(cancel_in_child);
}

static void secrets_are_wiped(void **state)
{
	_cleanup_http_response_ struct http_response a = {};
	char *secret, bearer[128] = "", body[3000];
	struct http_request q;

	(void)state;
	if (MEMORY_IS_SANITIZED) {
		print_message("skipped: the sanitizer keeps what is freed\n");
		skip();
	}
	for (int i = 0; i < 3; i++) {
		bool is_basic = i == 2;

		secret = memory_secret();
		memset(body, 'y', sizeof(body));  /* libcurl's buffer grows, behind the secret */
		assert_true(memory_has_secret()); /* so that not finding it means something */
		/* What is read over TLS stays a while in OpenSSL's buffer: not echoed there. */
		q = i == 1 ? http_rig_request("good", "/length?3")
			   : http_rig_request("plain", "/echo");
		q.method = "POST";
		q.body = body;
		q.body_len = sizeof(body);
		strcat(strcpy(bearer, "Bearer "), secret);
		q.authorization = is_basic ? NULL : bearer;
		q.basic_user = is_basic ? "user" : NULL;
		q.basic_password = is_basic ? secret : NULL;
		a = http_rig_get(http, &q);
		http_rig_has(a.body, is_basic ? "Basic " : i == 1 ? "xxx" : secret);
		http_response_done(&a);
		explicit_bzero(bearer, sizeof(bearer));
		explicit_bzero(secret, strlen(secret));
		free(secret);
		assert_false(memory_has_secret());
	}
}

static int starve(void)
{
	struct http_request q = http_rig_request("plain", "/length?60000000");
	struct http_response a;
	struct errtext e;
	struct http *own;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu", &pages) != 1 || http_new(&own) < 0)
		return 1;
	fclose(f);
	q.body_max = 64 << 20;
	rlim_t room = pages * sysconf(_SC_PAGESIZE) + (24 << 20);
	if (setrlimit(RLIMIT_AS, &(struct rlimit){room, room}) < 0)
		return 2;
	if (http_perform(own, &q, &a, &e) != -ENOMEM || !strstr(e.text, "out of memory"))
		return 3;
	http_free(own);
	return 0;
}

/* Nothing at all is left, not even for libcurl. */
static int starve_libcurl(void)
{
	struct http_request q = http_rig_request("plain", "/echo");
	void *volatile taken; /* or a compiler leaves the whole loop out */
	struct http_response a;
	struct errtext e;
	struct http *own;

	q.body = "x";
	q.body_len = 1;
	if (http_new(&own) < 0 || setrlimit(RLIMIT_AS, &(struct rlimit){1, 1}) < 0)
		return 1;
	for (size_t size = 1 << 20; size >= 16; size /= 2)
		do
			taken = malloc(size);
		while (taken);
	if (http_perform(own, &q, &a, &e) != -ENOMEM || !strstr(e.text, "out of memory"))
		return 2;
	return 0;
}

static void no_memory(void **state)
{
	(void)state;
	if (MEMORY_IS_SANITIZED) {
		print_message("skipped: the sanitizer needs more memory than any limit\n");
		skip();
	}
	run_in_child(starve);
	run_in_child(starve_libcurl);
}

static void answered(void **state)
{
	struct http_request q = http_rig_request("plain", "/echo");
	_cleanup_http_response_ struct http_response a = {};
	struct errtext e;
	unsigned calls = 0;
	struct http *own;

	(void)state;
	assert_int_equal(http_new_answered(answer_ok, &calls, &own), 0);
	assert_int_equal(http_perform(own, &q, &a, &e), 0);
	assert_string_equal(a.body, "x");
	assert_int_equal(calls, 1);
	/* What could not be sent does not get as far as an answer. */
	q.allow_http = false;
	http_rig_fails(own, &q, -EACCES, "http:// is not allowed");
	q.url = "https://user@example/";
	http_rig_fails(own, &q, -EINVAL, "user name");
	assert_int_equal(calls, 1);
	http_free(own);
}

static void retrying(void **state)
{
	static const int again[] = {408, 425, 429, 500, 502, 503, 504, 599};
	static const int never[] = {200, 300, 302, 400, 401, 403, 404, 409, 422, 501, 600, 0};
	static const int errors_again[] = {-ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -ECONNRESET,
					   -EBUSY};
	static const int errors_never[] = {-EPROTO, -EKEYREJECTED, -EFBIG, -EINVAL,
					   -EACCES, -ECANCELED,	   -ENOMEM};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(again); i++)
		assert_true(http_may_retry(0, again[i]));
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(http_may_retry(0, never[i]));
	for (size_t i = 0; i < ARRAY_SIZE(errors_again); i++)
		assert_true(http_may_retry(errors_again[i], 0));
	for (size_t i = 0; i < ARRAY_SIZE(errors_never); i++)
		assert_false(http_may_retry(errors_never[i], 503));
}

static void escaping(void **state)
{
	char buf[64] = "/sessions/", small[8] = "ab";

	(void)state;
	assert_int_equal(http_escape("aZ09-._~", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/sessions/aZ09-._~");
	assert_int_equal(http_escape("/?#%&=+ \xc3\xa9\n", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/sessions/aZ09-._~%2F%3F%23%25%26%3D%2B%20%C3%A9%0A");
	assert_int_equal(http_escape(".", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(http_escape("..", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(http_escape("", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(http_escape("...", buf, sizeof(buf)), 0);
	assert_int_equal(http_escape("cdefgh", small, sizeof(small)), -ENAMETOOLONG);
	assert_string_equal(small, "ab"); /* as it was */
	assert_int_equal(http_escape("cd//", small, sizeof(small)), -ENAMETOOLONG);
	assert_string_equal(small, "ab");
	assert_int_equal(http_escape("cdefg", small, sizeof(small)), 0);
	assert_string_equal(small, "abcdefg");
	strcpy(small, "abcd");
	assert_int_equal(http_escape("/", small, sizeof(small)), 0);
	assert_string_equal(small, "abcd%2F");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_http),
		cmocka_unit_test(urls),
		cmocka_unit_test(methods_and_headers),
		cmocka_unit_test(redirects),
		cmocka_unit_test(kept_connections),
		cmocka_unit_test(proxies),
		cmocka_unit_test(sockets_are_close_on_exec),
		cmocka_unit_test(cancelling),
		cmocka_unit_test(secrets_are_wiped),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(answered),
		cmocka_unit_test(retrying),
		cmocka_unit_test(escaping),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
