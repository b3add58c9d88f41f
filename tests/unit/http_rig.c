// SPDX-License-Identifier: Apache-2.0
#include "http_rig.h"

#include "certs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/wait.h>

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define START_MS 30000

static char folder[] = "/tmp/botls-http-XXXXXX";
static char ports[1024]; /* " name=port name=port" */
static pid_t pid;
static int to_server = -1;

const char *http_rig_file(const char *name)
{
	static char ring[8][128];
	static unsigned next;
	char *buf = ring[next++ % 8];

	snprintf(buf, sizeof(ring[0]), "%s/%s", folder, name);
	return buf;
}

void http_rig_write(const char *name, const char *text)
{
	FILE *f = fopen(http_rig_file(name), "w");

	MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void make_certificate(const char *name, const struct cert_spec *spec,
			     const struct cert *issuer)
{
	struct cert_spec with_name = *spec;
	struct cert cert;
	char file[32];

	with_name.cn = with_name.cn ? with_name.cn : name;
	cert_make(&cert, &with_name, issuer);
	snprintf(file, sizeof(file), "%s.pem", name);
	http_rig_write(file, cert.pem);
	snprintf(file, sizeof(file), "%s.key", name);
	http_rig_write(file, cert.key_pem);
	cert_done(&cert);
}

static void make_certificates(void)
{
	static const char here[] = "IP:127.0.0.1,IP:::1,DNS:localhost";
	struct cert ca, other;

	cert_make(&ca, &(struct cert_spec){.cn = "ca", .is_ca = true}, NULL);
	cert_make(&other, &(struct cert_spec){.cn = "other ca", .is_ca = true}, NULL);
	http_rig_write("ca.pem", ca.pem);
	make_certificate("good", &(struct cert_spec){.san = here}, &ca);
	make_certificate("name", &(struct cert_spec){.san = "DNS:elsewhere.example"}, &ca);
	make_certificate("expired",
			 &(struct cert_spec){.san = here, .from_days = -30, .to_days = -1}, &ca);
	make_certificate("other", &(struct cert_spec){.san = here}, &other);
	make_certificate("cn", &(struct cert_spec){.cn = "a\x1b[31mb"}, &ca);
	make_certificate("self", &(struct cert_spec){.san = here}, NULL);
	cert_done(&ca);
	cert_done(&other);
}

static void run_server(int in, int out)
{
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execl("/usr/bin/python3", "/usr/bin/python3", "tests/unit/http_answers.py", folder, NULL);
	_exit(127);
}

static void read_ports(int fd)
{
	size_t n = 1;

	ports[0] = ' ';
	while (!memchr(ports, '\n', n)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t got;

		MUST(poll(&p, 1, START_MS) == 1);
		got = read(fd, ports + n, sizeof(ports) - 1 - n);
		MUST(got > 0);
		n += got;
	}
	ports[n] = '\0';
}

void http_rig_start(void)
{
	static const char *const proxies[] = {"http_proxy", "https_proxy",  "HTTPS_PROXY",
					      "all_proxy",  "ALL_PROXY",    "no_proxy",
					      "NO_PROXY",   "SSL_CERT_FILE"};
	int in[2], out[2];

	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
		unsetenv(proxies[i]);
	MUST(mkdtemp(folder));
	make_certificates();
	MUST(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		run_server(in[0], out[1]);
	close(in[0]);
	close(out[1]);
	to_server = in[1];
	read_ports(out[0]);
	close(out[0]);
}

void http_rig_stop(void)
{
	char command[64];

	close(to_server);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	MUST(system(command) == 0);
}

unsigned http_rig_port(const char *name)
{
	char key[32];
	const char *at;

	snprintf(key, sizeof(key), " %s=", name);
	at = strstr(ports, key);
	return at ? strtoul(at + strlen(key), NULL, 10) : 0;
}

const char *http_rig_url(const char *name, const char *path)
{
	static char ring[8][512];
	static unsigned next;
	char *buf = ring[next++ % 8];
	size_t len = strlen(name);

	snprintf(buf, sizeof(ring[0]), "http%s://%s:%u%s",
		 strncmp(name, "plain", 5) == 0 ? "" : "s",
		 name[len - 1] == '6' ? "[::1]" : "127.0.0.1", http_rig_port(name), path);
	return buf;
}

struct http_request http_rig_request(const char *name, const char *path)
{
	return (struct http_request){
		.method = "GET",
		.url = http_rig_url(name, path),
		.ca = http_rig_file("ca.pem"),
		.authorization = "Bearer " RIG_SECRET,
		.allow_http = true,
		.timeout = 20,
	};
}

struct http_response http_rig_get(struct http *h, const struct http_request *q)
{
	struct http_response a;
	struct errtext e;
	int r = http_perform(h, q, &a, &e);

	if (r < 0)
		fail_msg("%s: %d, %s", q->url, r, e.text);
	assert_int_equal(a.body[a.len], '\0');
	return a;
}

static void assert_printable(const char *text)
{
	assert_true(*text);
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			fail_msg("byte %02x in a message", (unsigned char)*text);
}

void http_rig_fails(struct http *h, const struct http_request *q, int error, const char *part)
{
	struct http_response ret = {.status = -7}, same = ret;
	struct errtext e = {};
	int r = http_perform(h, q, &ret, &e);

	if (r != error || !strstr(e.text, part))
		fail_msg("%s: %d, '%s'; expected %d, '%s'", q->url, r, e.text, error, part);
	assert_memory_equal(&ret, &same, sizeof(ret));
	assert_printable(e.text);
	assert_null(strstr(e.text, RIG_SECRET));
	if (r != -EINVAL) {
		char where[128];
		const char *host = strstr(q->url, "//") + 2;

		snprintf(where, sizeof(where), "%.*s: ", (int)strcspn(host, "/?"), host);
		assert_int_equal(strncmp(e.text, where, strlen(where)), 0);
	}
}

void http_rig_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in: %s", part, text);
}

void http_rig_has_not(const char *text, const char *part)
{
	if (strcasestr(text, part))
		fail_msg("'%s' is in: %s", part, text);
}
