// SPDX-License-Identifier: Apache-2.0
/* A real server on a real socket; the clients live in the same thread, turn by turn. */
#include "ctlserver.h"

#include <botls/botls.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#define DEADLINE_MS 10000
#define NOBODY	    65534

struct fixture {
	struct loop *loop;
	struct ctlserver *server;
	char dir[32], path[64];
	char group[64]; /* our own: so that the tests run without being root as well */
	bool hold;
	struct ctl_request *held[64];
	size_t n_held, n_requests;
	size_t answer_size;
};

static struct jv *echo(struct fixture *f, const char *command)
{
	struct jv *answer = jv_object_new();

	assert_int_equal(jv_set_string(answer, "echo", command), 0);
	if (f->answer_size) {
		_cleanup_free_ char *text = malloc(f->answer_size + 1);

		memset(text, 'x', f->answer_size);
		text[f->answer_size] = '\0';
		assert_int_equal(jv_set_string(answer, "text", text), 0);
	}
	return answer;
}

static void on_request(void *arg, struct ctl_request *req, const struct jv *request)
{
	struct fixture *f = arg;
	const char *command = jv_get_string(request, "command", NULL);

	assert_non_null(command);
	assert_int_equal(ctl_request_uid(req), getuid());
	assert_int_equal(ctl_request_pid(req), getpid());
	f->n_requests++;
	if (f->hold)
		f->held[f->n_held++] = req;
	else if (strcmp(command, "fail") == 0)
		ctl_request_fail(req, "it failed", "do this");
	else
		ctl_request_answer(req, echo(f, command));
}

static int start(struct fixture *f, const struct ctlserver_params *with, struct errtext *e)
{
	struct ctlserver_params p = with ? *with : (struct ctlserver_params){};

	p.loop = f->loop;
	p.path = f->path;
	p.group = f->group;
	p.on_request = on_request;
	p.arg = f;
	return ctlserver_new(&p, &f->server, e);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/botls-ctl-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/run/control", f->dir);
	assert_non_null(getgrgid(getegid()));
	snprintf(f->group, sizeof(f->group), "%s", getgrgid(getegid())->gr_name);
	assert_int_equal(loop_new(&f->loop), 0);
	*state = f;
	return 0;
}

static int setup_server(void **state)
{
	struct errtext e;

	setup(state);
	if (start(*state, NULL, &e) < 0)
		fail_msg("%s", e.text);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char run[64];

	ctlserver_free(f->server);
	loop_free(f->loop);
	unlink(f->path);
	snprintf(run, sizeof(run), "%s/run", f->dir);
	rmdir(run);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int try_connect(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int dial(const struct fixture *f)
{
	int fd = try_connect(f->path);

	assert_true(fd >= 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One line from the server, without its newline; "EOF" when it hung up. */
static const char *get(struct fixture *f, int fd)
{
	static char line[65536];
	uint64_t end = loop_now_ms() + DEADLINE_MS;
	size_t n = 0;

	while (loop_now_ms() < end && n + 1 < sizeof(line)) {
		ssize_t r = recv(fd, line + n, 1, 0);

		if (r == 0 || (r < 0 && errno == ECONNRESET))
			return n ? "EOF in a line" : "EOF";
		if (r < 0) {
			loop_turn(f->loop, false);
			usleep(100);
		} else if (line[n++] == '\n') {
			line[n - 1] = '\0';
			return line;
		}
	}
	return "no answer in time";
}

/* Everything that can happen without us has happened. */
static void settle(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		loop_turn(f->loop, false);
}

static void wait_requests(struct fixture *f, size_t n)
{
	uint64_t end = loop_now_ms() + DEADLINE_MS;

	while (f->n_requests < n && loop_now_ms() < end) {
		loop_turn(f->loop, false);
		usleep(100);
	}
	assert_int_equal(f->n_requests, n);
}

static void test_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	put(fd, "{\"command\":\"a\"}\n");
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	put(fd, "{\"command\":\"fail\"}\n");
	assert_string_equal(get(f, fd),
			    "{\"ok\":false,\"error\":\"it failed\",\"hint\":\"do this\"}");
	close(fd);
}

static void test_in_pieces(void **state)
{
	struct fixture *f = *state;
	const char *text = " {\"command\" : \"a\"} \n";
	int fd = dial(f);

	for (; *text; text++) {
		char piece[2] = {*text};

		put(fd, piece);
		settle(f);
	}
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

static void test_several_in_order(void **state)
{
	struct fixture *f = *state;
	char all[BOTLS_CONTROL_REQUEST_MAX * 4] = "", expected[64];
	int fd = dial(f);

	for (int i = 0; i < 300; i++)
		sprintf(all + strlen(all), "{\"command\":\"%d\"}\n", i);
	put(fd, all);
	for (int i = 0; i < 300; i++) {
		sprintf(expected, "{\"echo\":\"%d\",\"ok\":true}", i);
		assert_string_equal(get(f, fd), expected);
	}
	close(fd);
}

static void test_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), other = dial(f);

	f->hold = true;
	put(fd, "{\"command\":\"a\"}\n{\"command\":\"b\"}\n");
	wait_requests(f, 1);
	settle(f);
	assert_int_equal(f->n_requests, 1); /* b waits for a */
	put(other, "{\"command\":\"c\"}\n");
	wait_requests(f, 2); /* c waits for nobody */
	ctl_request_answer(f->held[1], echo(f, "c"));
	assert_string_equal(get(f, other), "{\"echo\":\"c\",\"ok\":true}");
	ctl_request_answer(f->held[0], echo(f, "a"));
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	wait_requests(f, 3);
	ctl_request_answer(f->held[2], echo(f, "b"));
	assert_string_equal(get(f, fd), "{\"echo\":\"b\",\"ok\":true}");
	close(fd);
	close(other);
}

static void test_bad_requests(void **state)
{
	static const char *const cases[][2] = {
		{"\n", "not JSON"},
		{"{\"command\":\n", "not JSON"},
		{"[]\n", "expected an object"},
		{"{}\n", "command: missing"},
		{"{\"command\":7}\n", "command: expected a string"},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]\n", "nested deeper"},
	};
	struct fixture *f = *state;
	int fd = dial(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *answer;

		put(fd, cases[i][0]);
		answer = get(f, fd);
		if (!strstr(answer, "\"ok\":false") || !strstr(answer, cases[i][1]) ||
		    !strstr(answer, "\"hint\""))
			fail_msg("%s: %s", cases[i][0], answer);
	}
	assert_int_equal(f->n_requests, 0);
	put(fd, "{\"command\":\"a\"}\n"); /* the connection has outlived them */
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

static void test_request_size(void **state)
{
	struct fixture *f = *state;
	char text[BOTLS_CONTROL_REQUEST_MAX + 2];
	int fd = dial(f);

	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"command\":\"a\"}", 15);
	strcpy(text + BOTLS_CONTROL_REQUEST_MAX - 1, "\n");
	put(fd, text);
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");

	strcpy(text + BOTLS_CONTROL_REQUEST_MAX - 1, " \n");
	put(fd, text);
	assert_string_equal(get(f, fd),
			    "{\"ok\":false,\"error\":\"the request is longer than 4096 bytes\"}");
	assert_string_equal(get(f, fd), "EOF");
	assert_int_equal(f->n_requests, 1);
	close(fd);
}

static void test_half_closed(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	put(fd, "{\"command\":\"a\"}\n{\"command\":\"b\"}\n");
	shutdown(fd, SHUT_WR);
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	assert_string_equal(get(f, fd), "{\"echo\":\"b\",\"ok\":true}");
	assert_string_equal(get(f, fd), "EOF");
	close(fd);
}

static void test_client_goes_away(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->hold = true;
	put(fd, "{\"command\":\"a\"}\n{\"command\":\"b\"}\n");
	wait_requests(f, 1);
	close(fd);
	settle(f);
	ctl_request_answer(f->held[0], echo(f, "a"));
	settle(f);
	fd = dial(f);
	f->hold = false;
	put(fd, "{\"command\":\"c\"}\n");
	assert_string_equal(get(f, fd), "{\"echo\":\"c\",\"ok\":true}");
	close(fd);
}

static void test_server_goes_away(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->hold = true;
	put(fd, "{\"command\":\"a\"}\n");
	wait_requests(f, 1);
	ctlserver_free(TAKE(f->server));
	assert_string_equal(get(f, fd), "EOF");
	ctl_request_answer(f->held[0], echo(f, "a"));
	close(fd);
}

/* What cannot be built is not sent as half an answer. */
static void test_answer_without_memory(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->hold = true;
	put(fd, "{\"command\":\"a\"}\n");
	wait_requests(f, 1);
	ctl_request_answer(f->held[0], NULL);
	assert_string_equal(get(f, fd), "EOF");
	close(fd);
}

static void test_own_ok(void **state)
{
	struct fixture *f = *state;
	struct jv *answer = jv_object_new();
	int fd = dial(f);

	f->hold = true;
	put(fd, "{\"command\":\"reload\"}\n");
	wait_requests(f, 1);
	assert_int_equal(jv_set_bool(answer, "ok", false), 0);
	ctl_request_answer(f->held[0], answer);
	assert_string_equal(get(f, fd), "{\"ok\":false}");
	close(fd);
}

static void test_too_many(void **state)
{
	struct fixture *f = *state;
	int fds[BOTLS_CONTROL_CLIENTS_MAX], more;

	for (int i = 0; i < BOTLS_CONTROL_CLIENTS_MAX; i++) {
		fds[i] = dial(f);
		put(fds[i], "{\"command\":\"a\"}\n");
		assert_string_equal(get(f, fds[i]), "{\"echo\":\"a\",\"ok\":true}");
	}
	more = dial(f);
	assert_non_null(strstr(get(f, more), "too many clients"));
	assert_string_equal(get(f, more), "EOF");
	close(more);
	close(fds[7]);
	settle(f);
	fds[7] = dial(f);
	put(fds[7], "{\"command\":\"b\"}\n");
	assert_string_equal(get(f, fds[7]), "{\"echo\":\"b\",\"ok\":true}");
	for (int i = 0; i < BOTLS_CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

/* Bytes that are no request do not buy time. */
static void test_idle(void **state)
{
	struct fixture *f = *state;
	struct ctlserver_params p = {.idle_ms = 300};
	uint64_t begin = loop_now_ms();
	struct errtext e;
	int fd;

	assert_int_equal(start(f, &p, &e), 0);
	fd = dial(f);
	for (;;) {
		char c;

		loop_turn(f->loop, false);
		if (recv(fd, &c, 1, 0) == 0)
			break;
		send(fd, " ", 1, MSG_NOSIGNAL);
		assert_true(loop_now_ms() < begin + DEADLINE_MS);
		usleep(5000);
	}
	assert_true(loop_now_ms() >= begin + 290);
	close(fd);
}

/* A request that takes its time is not idle. */
static void test_waiting_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct ctlserver_params p = {.idle_ms = 50};
	struct errtext e;
	uint64_t end;
	int fd;

	assert_int_equal(start(f, &p, &e), 0);
	f->hold = true;
	fd = dial(f);
	put(fd, "{\"command\":\"a\"}\n");
	wait_requests(f, 1);
	for (end = loop_now_ms() + 200; loop_now_ms() < end; usleep(5000))
		loop_turn(f->loop, false);
	ctl_request_answer(f->held[0], echo(f, "a"));
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

/* Reads what the server sends, `step` bytes at a time with a pause after each, until the end of the
 * line or of the connection. Returns the number of bytes. */
static size_t read_all(struct fixture *f, int fd, size_t step, unsigned pause_us)
{
	uint64_t end = loop_now_ms() + DEADLINE_MS;
	static char buf[1 << 16];
	size_t total = 0;

	while (loop_now_ms() < end) {
		ssize_t n = recv(fd, buf, step, 0);

		loop_turn(f->loop, false);
		total += n > 0 ? n : 0;
		if (n == 0 || (n > 0 && buf[n - 1] == '\n'))
			return total;
		usleep(pause_us);
	}
	fail_msg("neither the end of the answer nor of the connection");
	return 0;
}

static void test_large_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	f->answer_size = 8 << 20;
	put(fd, "{\"command\":\"a\"}\n");
	assert_int_equal(read_all(f, fd, 1 << 16, 0),
			 f->answer_size + strlen("{'echo':'a','text':'','ok':true}\n"));
	f->answer_size = 0;
	put(fd, "{\"command\":\"b\"}\n");
	assert_string_equal(get(f, fd), "{\"echo\":\"b\",\"ok\":true}");
	close(fd);
}

/* Not even one that reads a little now and then. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	struct ctlserver_params p = {.read_ms = 300};
	struct errtext e;
	size_t n;
	int fd;

	assert_int_equal(start(f, &p, &e), 0);
	f->answer_size = 8 << 20;
	fd = dial(f);
	put(fd, "{\"command\":\"a\"}\n");
	wait_requests(f, 1);
	n = read_all(f, fd, 1 << 15, 10000); /* all of it would take 2.5 s */
	assert_in_range(n, 1, f->answer_size / 2);
	close(fd);
}

/* A file as a daemon leaves it that was killed. */
static void leave_stale_file(const struct fixture *f)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char run[64];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(run, sizeof(run), "%s/run", f->dir);
	assert_int_equal(mkdir(run, 0755), 0);
	strcpy(sun.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
}

static void test_stale_file(void **state)
{
	struct fixture *f = *state;
	struct errtext e;
	int fd;

	leave_stale_file(f);
	if (start(f, NULL, &e) < 0)
		fail_msg("%s", e.text);
	fd = dial(f);
	put(fd, "{\"command\":\"a\"}\n");
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

static void test_already_running(void **state)
{
	struct fixture *f = *state;
	struct ctlserver *first = f->server;
	struct errtext e;
	int fd;

	assert_int_equal(start(f, NULL, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, f->path));
	assert_ptr_equal(f->server, first);
	fd = dial(f); /* the first one goes on */
	put(fd, "{\"command\":\"a\"}\n");
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

static void test_not_a_socket(void **state)
{
	struct fixture *f = *state;
	char run[64];
	struct errtext e;
	struct stat st;

	snprintf(run, sizeof(run), "%s/run", f->dir);
	assert_int_equal(mkdir(run, 0755), 0);
	close(open(f->path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(start(f, NULL, &e), -EEXIST);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void test_file_is_removed(void **state)
{
	struct fixture *f = *state;

	ctlserver_free(TAKE(f->server));
	assert_int_equal(access(f->path, F_OK), -1);
}

/* The path is somebody else's by now. */
static void test_foreign_file_stays(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(unlink(f->path), 0);
	close(open(f->path, O_CREAT | O_WRONLY, 0600));
	ctlserver_free(TAKE(f->server));
	assert_int_equal(access(f->path, F_OK), 0);
}

static void test_mode_and_group(void **state)
{
	struct fixture *f = *state;
	struct errtext e;
	struct stat st;

	assert_int_equal(lstat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(ctlserver_set_group(f->server, "no-such-group-here", &e), -EINVAL);
	assert_non_null(strstr(e.text, "no-such-group-here"));
	if (geteuid() != 0)
		return;
	assert_int_equal(ctlserver_set_group(f->server, "daemon", &e), 0);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_int_equal(st.st_gid, getgrnam("daemon")->gr_gid);
	assert_int_equal(ctlserver_set_group(f->server, NULL, &e), 0);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_int_equal(st.st_gid, 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

/* botlsd's umask lets nobody in. */
static void test_directory_is_made(void **state)
{
	struct fixture *f = *state;
	mode_t old = umask(0077);
	struct errtext e;
	struct stat st;
	char run[64];

	assert_int_equal(start(f, NULL, &e), 0);
	umask(old);
	snprintf(run, sizeof(run), "%s/run", f->dir);
	assert_int_equal(stat(run, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void test_path_too_long(void **state)
{
	struct fixture *f = *state;
	char path[200];
	struct ctlserver_params p = {
		.loop = f->loop, .path = path, .on_request = on_request, .arg = f};
	struct errtext e;

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ctlserver_new(&p, &f->server, &e), -ENAMETOOLONG);
}

/* Connects as another user and sends one line; returns what came back (static storage). */
static const char *ask_as(struct fixture *f, gid_t gid, const gid_t *groups, size_t n_groups)
{
	static char answer[512];
	int ends[2], status;
	pid_t pid;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (setgroups(n_groups, groups) < 0 || setgid(gid) < 0 || setuid(NOBODY) < 0)
			_exit(1);
		fd = try_connect(f->path);
		if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
			_exit(1);
		if (send(fd, "{\"command\":", 11, MSG_NOSIGNAL) == 11)
			send(fd, "7}\n", 3, MSG_NOSIGNAL);
		n = recv(fd, answer, sizeof(answer), 0);
		_exit(n > 0 && write(ends[1], answer, n) == n ? 0 : 1);
	}
	close(ends[1]);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		loop_turn(f->loop, false);
		usleep(1000);
	}
	n = read(ends[0], answer, sizeof(answer) - 1);
	close(ends[0]);
	assert_true(n > 0);
	answer[n] = '\0';
	return answer;
}

/* The mode of the file is not the only thing that stands between a stranger and the daemon. */
static void test_credentials(void **state)
{
	static const gid_t strangers[] = {61000, 61001};
	const gid_t members[] = {61000, getegid(), 61001};
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	assert_non_null(strstr(ask_as(f, 61000, NULL, 0), "not allowed"));
	assert_non_null(strstr(ask_as(f, 61000, strangers, 2), "not allowed"));
	assert_non_null(strstr(ask_as(f, getegid(), NULL, 0), "expected a string"));
	assert_non_null(strstr(ask_as(f, 61000, members, 3), "expected a string"));
}

static void test_root_only(void **state)
{
	struct fixture *f = *state;
	struct errtext e;
	int fd;

	if (geteuid() != 0)
		skip();
	assert_int_equal(ctlserver_set_group(f->server, NULL, &e), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	assert_non_null(strstr(ask_as(f, 0, NULL, 0), "not allowed")); /* group root is not root */
	fd = dial(f);
	put(fd, "{\"command\":\"a\"}\n");
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

/* Out of descriptors: the server waits, does not spin, and goes on when there are some again. */
static void test_no_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	uint64_t begin = loop_now_ms();
	int fd = dial(f);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	put(fd, "{\"command\":\"a\"}\n");
	loop_turn(f->loop, true); /* accept() fails */
	loop_turn(f->loop, true); /* nothing happens until the pause is over */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(loop_now_ms() >= begin + 900);
	assert_string_equal(get(f, fd), "{\"echo\":\"a\",\"ok\":true}");
	close(fd);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup_server, teardown)
#define WITHOUT(test)	  cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_answer),
		WITH_SERVER(test_in_pieces),
		WITH_SERVER(test_several_in_order),
		WITH_SERVER(test_one_at_a_time),
		WITH_SERVER(test_bad_requests),
		WITH_SERVER(test_request_size),
		WITH_SERVER(test_half_closed),
		WITH_SERVER(test_client_goes_away),
		WITH_SERVER(test_server_goes_away),
		WITH_SERVER(test_answer_without_memory),
		WITH_SERVER(test_own_ok),
		WITH_SERVER(test_too_many),
		WITHOUT(test_idle),
		WITHOUT(test_waiting_is_not_idle),
		WITH_SERVER(test_large_answer),
		WITHOUT(test_slow_reader),
		WITHOUT(test_stale_file),
		WITH_SERVER(test_already_running),
		WITHOUT(test_not_a_socket),
		WITH_SERVER(test_file_is_removed),
		WITH_SERVER(test_foreign_file_stays),
		WITH_SERVER(test_mode_and_group),
		WITHOUT(test_directory_is_made),
		WITHOUT(test_path_too_long),
		WITH_SERVER(test_credentials),
		WITH_SERVER(test_root_only),
		WITH_SERVER(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
