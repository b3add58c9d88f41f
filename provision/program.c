// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include "text.h"
#include "wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#define TIMEOUT_DEFAULT 30
#define OUTPUT_DEFAULT	(1 << 20)
#define PATH_DEFAULT	"/usr/sbin:/usr/bin:/sbin:/bin"

struct output {
	int fd; /* -1: at its end */
	char *data;
	size_t len, size;
};

struct run {
	const struct program *p;
	pid_t pid;	/* 0: reaped, or never there */
	int pid_fd, in; /* in: -1 when all is written */
	struct output out, err;
	size_t written, to_write, max;
	int64_t deadline;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int reap(struct run *run, int *ret_status)
{
	int status = 0;

	while (waitpid(run->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	run->pid = 0;
	*ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}

static void run_done(struct run *r)
{
	int status;

	/* Not reaped yet, so the number is still its own. */
	if (r->pid) {
		kill(-r->pid, SIGKILL);
		reap(r, &status);
	}
	close_fd(&r->pid_fd);
	close_fd(&r->in);
	close_fd(&r->out.fd);
	close_fd(&r->err.fd);
	wipe_free(r->out.data);
	wipe_free(r->err.data);
}

/* A pipe whose end `ours` (0: it reads, 1: it writes) does not block. */
static int make_pipe(int fds[static 2], int ours)
{
	int r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(fds[ours], F_SETFL, O_NONBLOCK) < 0) {
		r = -errno;
		close_fd(&fds[0]);
		close_fd(&fds[1]);
		return r;
	}
	return 0;
}

/* `name` as NAME=VALUE in buf; NULL when it is not set, or too long to be meant. */
static char *environment(const char *name, const char *fallback, char *buf, size_t size)
{
	const char *value = getenv(name);

	value = value ? value : fallback;
	if (!value || snprintf(buf, size, "%s=%s", name, value) >= (int)size)
		return NULL;
	return buf;
}

static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attr, &none);
	r = r ? r : posix_spawnattr_setsigdefault(attr, &all);
	return r ? r
		 : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
							  POSIX_SPAWN_SETSID);
}

/* In this order, also when we have no standard descriptors and the pipes got their numbers: each
 * new one is the lowest that is free, so `out` is never 0, and `err` neither 0 nor 1. */
static int set_files(posix_spawn_file_actions_t *files, int in, int out, int err)
{
	int r;

	if (in < 0)
		r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	else
		r = posix_spawn_file_actions_adddup2(files, in, STDIN_FILENO);
	r = r ? r : posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
	r = r ? r : posix_spawn_file_actions_adddup2(files, err, STDERR_FILENO);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
}

static int spawn(struct run *run, int in, int out, int err)
{
	char path[4096], lang[128], home[4096];
	char *env[5], **next = env;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	*next = environment("PATH", PATH_DEFAULT, path, sizeof(path));
	next += *next != NULL;
	*next = environment("LANG", NULL, lang, sizeof(lang));
	next += *next != NULL;
	*next = environment("HOME", NULL, home, sizeof(home));
	next += *next != NULL;
	*next++ = "LC_ALL=C";
	*next = NULL;
	if (posix_spawnattr_init(&attr) != 0)
		return -ENOMEM;
	if (posix_spawn_file_actions_init(&files) != 0) {
		posix_spawnattr_destroy(&attr);
		return -ENOMEM;
	}
	r = set_attributes(&attr);
	r = r ? r : set_files(&files, in, out, err);
	r = r ? r
	      : posix_spawnp(&run->pid, run->p->argv[0], &files, &attr, (char *const *)run->p->argv,
			     env);
	if (r != 0)
		run->pid = 0;
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int start(struct run *run)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	int r = 0;

	if (run->p->input)
		r = make_pipe(in, 1);
	if (r == 0)
		r = make_pipe(out, 0);
	if (r == 0)
		r = make_pipe(err, 0);
	if (r == 0)
		r = spawn(run, in[0], out[1], err[1]);
	close_fd(&in[0]);
	close_fd(&out[1]);
	close_fd(&err[1]);
	run->in = in[1];
	run->out.fd = out[0];
	run->err.fd = err[0];
	if (r < 0)
		return r;
	run->pid_fd = pidfd_open(run->pid, 0);
	return run->pid_fd < 0 ? -errno : 0;
}

static int reserve(struct output *o, size_t more)
{
	size_t size = o->size ? o->size : 1024;
	char *data;

	while (size < o->len + more + 1)
		size *= 2;
	if (o->data && size == o->size)
		return 0;
	data = wipe_realloc(o->data, size);
	if (!data)
		return -ENOMEM;
	o->data = data;
	o->size = size;
	return 0;
}

/* Reads what is there. */
static int drain(struct output *o, size_t max)
{
	while (o->fd >= 0) {
		ssize_t n;
		int r = reserve(o, 4096);

		if (r < 0)
			return r;
		n = read(o->fd, o->data + o->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			close_fd(&o->fd);
			return n < 0 ? -errno : 0;
		}
		o->len += n;
		if (o->len > max)
			return -EFBIG;
	}
	return 0;
}

/* Writes what fits. A program that does not read to the end has its reasons. */
static void feed(struct run *run)
{
	while (run->in >= 0 && run->written < run->to_write) {
		ssize_t n =
			write(run->in, run->p->input + run->written, run->to_write - run->written);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			run->written += n;
	}
	close_fd(&run->in);
}

/* Until the program has ended and all that it said is read. */
static int converse(struct run *run)
{
	for (;;) {
		int64_t left = run->deadline - now_ms();
		struct pollfd p[] = {
			{.fd = run->pid_fd, .events = POLLIN},
			{.fd = run->out.fd, .events = POLLIN},
			{.fd = run->err.fd, .events = POLLIN},
			{.fd = run->in, .events = POLLOUT},
		};
		int r;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(p, ARRAY_SIZE(p), left > 60000 ? 60000 : (int)left) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (p[3].revents)
			feed(run);
		/* Whether it has ended was asked before: what it said is in the pipes. */
		r = drain(&run->out, run->max);
		if (r == 0)
			r = drain(&run->err, run->max);
		if (r < 0 || p[0].revents)
			return r;
	}
}

static int run_to_end(struct run *run, int *ret_status)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	int r;

	sigaction(SIGPIPE, &ignore, &before);
	r = start(run);
	if (r == 0)
		r = converse(run);
	if (r == 0)
		r = reap(run, ret_status);
	sigaction(SIGPIPE, &before, NULL);
	return r;
}

static int tell(const struct run *run, int error, unsigned timeout, struct errtext *e)
{
	const char *name = run->p->argv[0];

	switch (error) {
	case -ENOENT:
		return errtext_set(e, error, "%s: %s", name,
				   strchr(name, '/') ? "no such program"
						     : "no such program in PATH");
	case -EACCES: return errtext_set(e, error, "%s: may not be run", name);
	case -ETIMEDOUT:
		return errtext_set(e, error, "%s: did not end within %u s and was killed", name,
				   timeout);
	case -EFBIG:
		return errtext_set(e, error, "%s: printed more than %zu bytes and was killed", name,
				   run->max);
	}
	return errtext_set(e, error, "%s: cannot be run: %s", name, strerror(-error));
}

int program_run(const struct program *p, struct program_result *ret, struct errtext *e)
{
	unsigned timeout = p->timeout ? p->timeout : TIMEOUT_DEFAULT;
	struct run run __attribute__((cleanup(run_done))) = {
		.p = p,
		.pid_fd = -1,
		.in = -1,
		.out.fd = -1,
		.err.fd = -1,
		.to_write = p->input ? strlen(p->input) : 0,
		.max = p->output_max ? p->output_max : OUTPUT_DEFAULT,
		.deadline = now_ms() + (int64_t)timeout * 1000,
	};
	int status = 0, r = run_to_end(&run, &status);

	if (r == 0)
		r = reserve(&run.out, 0);
	if (r == 0)
		r = reserve(&run.err, 0);
	if (r != 0)
		return tell(&run, r, timeout, e);
	run.out.data[run.out.len] = '\0';
	run.err.data[run.err.len] = '\0';
	*ret = (struct program_result){.status = status, .out_len = run.out.len};
	ret->out = TAKE(run.out.data);
	ret->err = TAKE(run.err.data);
	return 0;
}

void program_result_done(struct program_result *r)
{
	wipe_free(r->out);
	wipe_free(r->err);
	*r = (struct program_result){};
}

/* The first line of `text` that is more than blanks; false: there is none. */
static bool first_line(const char *text, char *buf, size_t size)
{
	char line[512];
	size_t n;

	text += strspn(text, " \t\r\n");
	n = strcspn(text, "\r\n");
	n = n < sizeof(line) ? n : sizeof(line) - 1;
	while (n > 0 && strchr(" \t", text[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++)
		line[i] = text[i] == '\t' ? ' ' : text[i];
	line[n] = '\0';
	text_copy(buf, size, line);
	return n > 0;
}

const char *program_complaint(const struct program_result *r, char *buf, size_t size)
{
	if (!first_line(r->err, buf, size))
		first_line(r->out, buf, size);
	return buf;
}
