// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include "log.h"
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define RESTART_FIRST_MS 50
#define RESTART_MAX_MS	 5000
#define RESTART_CALM_S	 60 /* a worker that ran this long starts again at once */
#define PING_MS		 5000
#define SILENT_MAX	 12 /* pings without an answer: it hangs */
#define END_WAIT_MS	 1000

struct child {
	struct loop *loop;
	unsigned number;
	char *user;
	struct child_callbacks cb;
	void *arg;
	pid_t pid;
	struct ipc *ipc;
	struct timer *restart, *ping;
	int64_t started;
	unsigned restarts, unanswered;
	uint64_t restart_ms;
};

static int start(struct child *c);

#define CHILD_TITLE 24
static const char *title(const struct child *c, char buf[static CHILD_TITLE])
{
	switch (c->cb.kind) {
	case CHILD_WORKER: snprintf(buf, CHILD_TITLE, "worker %u", c->number); break;
	case CHILD_METRICS: snprintf(buf, CHILD_TITLE, "metrics process"); break;
	}
	return buf;
}

/* What its death means. */
static const char *loss(const struct child *c)
{
	return c->cb.kind == CHILD_WORKER ? "its sessions are lost; starting another"
					  : "starting another";
}

static void on_message(void *arg, struct ipc_message *m)
{
	struct child *c = arg;

	if (m->type == MSG_PONG)
		c->unanswered = 0;
	else
		c->cb.on_message(c->arg, c, m);
}

/* The socket broke: whatever the process still does, it is no use to us. SIGCHLD tells when it is
 * gone. */
static void on_gone(void *arg)
{
	struct child *c = arg;

	ipc_free(TAKE(c->ipc));
	if (c->pid)
		kill(c->pid, SIGKILL);
}

static const struct ipc_callbacks ipc_callbacks = {.on_message = on_message, .on_gone = on_gone};

static void on_ping(void *arg)
{
	struct child *c = arg;
	char name[CHILD_TITLE];

	if (c->unanswered++ >= SILENT_MAX) {
		log_error("%s (pid %d) has not answered for %d s: killing it", title(c, name),
			  c->pid, SILENT_MAX * PING_MS / 1000);
		/* A core first, if it can still be had; what is stopped or stuck goes with SIGKILL.
		 */
		kill(c->pid, c->unanswered == SILENT_MAX + 1 ? SIGABRT : SIGKILL);
		timer_set_ms(c->ping, PING_MS);
		return;
	}
	child_send(c, MSG_PING, 0, NULL, 0, -1);
	timer_set_ms(c->ping, PING_MS);
}

static void plan_restart(struct child *c)
{
	char name[CHILD_TITLE];

	if (time(NULL) - c->started >= RESTART_CALM_S)
		c->restart_ms = RESTART_FIRST_MS;
	if (timer_set_ms(c->restart, jitter_ms(c->restart_ms)) < 0)
		log_error("%s cannot be started again: out of memory", title(c, name));
	c->restart_ms = c->restart_ms * 2 > RESTART_MAX_MS ? RESTART_MAX_MS : c->restart_ms * 2;
}

static void on_restart(void *arg)
{
	struct child *c = arg;
	int r = start(c);
	char name[CHILD_TITLE];

	if (r < 0) {
		log_error("%s cannot be started: %s", title(c, name), strerror(-r));
		plan_restart(c);
		return;
	}
	c->restarts++;
	c->cb.on_started(c->arg, c);
}

static void exec_worker(struct child *c, int fd)
{
	char fd_text[12], number_text[12];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(number_text, sizeof(number_text), "%u", c->number);
	if (fcntl(fd, F_SETFD, 0) < 0)
		_exit(127);
	/* Exec, not only fork: control's memory, with every neighbor's password, is gone from the
	 * worker. */
	if (c->cb.kind == CHILD_WORKER)
		execl("/proc/self/exe", "botlsd-worker", "--worker", fd_text, number_text, c->user,
		      NULL);
	else
		execl("/proc/self/exe", "botlsd-metrics", "--metrics", fd_text, number_text,
		      c->user, NULL);
	_exit(127);
}

static pid_t start_worker(void *arg, struct child *c, int fd)
{
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		exec_worker(c, fd);
	return pid < 0 ? -errno : pid;
}

static int start(struct child *c)
{
	pid_t pid;
	int fds[2];
	int r = ipc_pair(fds);

	if (r < 0)
		return r;
	pid = c->cb.start_process(c->arg, c, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return pid;
	}
	c->pid = pid;
	c->started = time(NULL);
	c->unanswered = 0;
	r = ipc_new(c->loop, fds[0], &ipc_callbacks, c, &c->ipc);
	if (r == 0)
		r = timer_set_ms(c->ping, PING_MS);
	if (r < 0)
		kill(pid, SIGKILL); /* child_reaped() plans the next start */
	return 0;
}

int child_new(struct loop *loop, unsigned number, const char *user,
	      const struct child_callbacks *cb, void *arg, struct child **ret)
{
	struct child *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->number = number;
	c->user = strdup(user);
	c->cb = *cb;
	if (!c->cb.start_process)
		c->cb.start_process = start_worker;
	c->arg = arg;
	c->restart_ms = RESTART_FIRST_MS;
	r = c->user ? timer_new(loop, on_restart, c, &c->restart) : -ENOMEM;
	if (r == 0)
		r = timer_new(loop, on_ping, c, &c->ping);
	if (r == 0)
		r = start(c);
	if (r < 0) {
		child_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

static void wait_for_end(struct child *c)
{
	const struct timespec step = {.tv_nsec = 10 * 1000 * 1000};

	for (int i = 0; i < END_WAIT_MS / 10; i++) {
		if (waitpid(c->pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&step, NULL);
	}
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
}

void child_stop(struct child *c)
{
	ipc_free(TAKE(c->ipc));
}

void child_leave(struct child *c)
{
	c->pid = 0;
	child_free(c);
}

void child_free(struct child *c)
{
	if (!c)
		return;
	ipc_free(c->ipc);
	timer_free(c->restart);
	timer_free(c->ping);
	if (c->pid)
		wait_for_end(c);
	free(c->user);
	free(c);
}

bool child_reaped(struct child *c, pid_t pid, int status)
{
	char name[CHILD_TITLE];

	if (!c->pid || c->pid != pid)
		return false;
	if (WIFSIGNALED(status))
		log_error("%s (pid %d) was killed by signal %d (%s): %s", title(c, name), pid,
			  WTERMSIG(status), strsignal(WTERMSIG(status)), loss(c));
	else
		log_error("%s (pid %d) ended with status %d: %s", title(c, name), pid,
			  WEXITSTATUS(status), loss(c));
	c->pid = 0;
	timer_stop(c->ping);
	ipc_free(TAKE(c->ipc));
	c->cb.on_died(c->arg, c);
	plan_restart(c);
	return true;
}

int child_send(struct child *c, uint32_t type, uint32_t id, const void *payload, size_t len, int fd)
{
	return c->ipc ? ipc_send(c->ipc, type, id, payload, len, fd) : -EPIPE;
}

enum child_kind child_kind(const struct child *c)
{
	return c->cb.kind;
}

unsigned child_number(const struct child *c)
{
	return c->number;
}

pid_t child_pid(const struct child *c)
{
	return c->pid;
}

int64_t child_started(const struct child *c)
{
	return c->started;
}

unsigned child_restarts(const struct child *c)
{
	return c->restarts;
}
