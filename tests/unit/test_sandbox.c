// SPDX-License-Identifier: Apache-2.0
/* Each case in a process of its own, confined as a worker is: what is given up stays given up. As
 * root it shows more than as anybody else. */
#include "sandbox_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static int told_fd = -1, tcp_fd = -1;
static pid_t parent;
static char scratch[] = "/tmp/botls-test-sandbox-XXXXXX";

static void on_violation(const char *call)
{
	if (write(told_fd, call, strlen(call)) < 0)
		_exit(99);
}

/* What became of a process: how it ended, and the call that its handler told of. */
struct end {
	int status;
	char told[64];
};

static struct end in_child(int (*claims)(void *arg), void *arg)
{
	struct end end = {};
	int told[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		told_fd = told[1];
		_exit(claims(arg));
	}
	close(told[1]);
	n = read(told[0], end.told, sizeof(end.told) - 1);
	assert_true(n >= 0);
	close(told[0]);
	assert_true(waitpid(pid, &end.status, 0) == pid);
	return end;
}

static void assert_all_hold(struct end end)
{
	assert_string_equal(end.told, "");
	assert_true(WIFEXITED(end.status));
	assert_int_equal(WEXITSTATUS(end.status), 0);
}

static void enter(void)
{
	struct errtext e;

	if (sandbox_enter("nobody", on_violation, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		_exit(98);
	}
}

/* --- what /proc says of a confined process */

static const char *line_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	assert_non_null(at);
	return at + strlen(name);
}

static uint64_t set_of(const char *status, const char *name)
{
	return strtoull(line_of(status, name), NULL, 16);
}

/* Runs `begin` in a process that then waits, and reads what /proc says of it. */
static void look_at(void (*begin)(void), char *ret_status, size_t size, uid_t *ret_owner)
{
	int ready[2], hold[2];
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], byte;
	struct stat st;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		begin();
		_exit(write(ready[1], "x", 1) == 1 && read(hold[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(ready[1]);
	close(hold[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	ret_status[fread(ret_status, 1, size - 1, f)] = '\0';
	assert_int_equal(fstat(fileno(f), &st), 0);
	*ret_owner = st.st_uid;
	close(hold[1]);
	close(ready[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void begin_worker(void)
{
	enter();
}

static void what_a_worker_has_given_up(void **state)
{
	char status[8192];
	uid_t owner;

	(void)state;
	look_at(begin_worker, status, sizeof(status), &owner);
	assert_int_equal(set_of(status, "CapInh:"), 0);
	assert_int_equal(set_of(status, "CapPrm:"), 0);
	assert_int_equal(set_of(status, "CapEff:"), 0);
	assert_int_equal(set_of(status, "CapAmb:"), 0);
	assert_int_equal(atoi(line_of(status, "NoNewPrivs:")), 1);
	assert_int_equal(atoi(line_of(status, "Seccomp:")), 2);
	if (geteuid() != 0) {
		print_message("the rest is skipped: there is nothing else to give up without "
			      "root\n");
		return;
	}
	assert_int_equal(set_of(status, "CapBnd:"), 0);
	assert_int_not_equal(atoi(line_of(status, "Uid:")), 0);
	assert_int_not_equal(atoi(line_of(status, "Gid:")), 0);
	assert_int_equal(strspn(line_of(status, "Groups:"), " \t"),
			 strcspn(line_of(status, "Groups:"), "\n"));
	/* what is not dumpable belongs to root in /proc */
	assert_int_equal(owner, 0);
}

/* --- what it cannot do */

static char *const no_arguments[] = {"true", NULL};

static long act_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}
static long act_write(void)
{
	return open(scratch, O_WRONLY);
}
static long act_stat(void)
{
	struct stat st;

	return stat("/etc/passwd", &st);
}
static long act_unlink(void)
{
	return unlink(scratch);
}
static long act_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}
static long act_socketpair(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}
static long act_connect(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};

	return connect(tcp_fd, (struct sockaddr *)&in, sizeof(in));
}
static long act_bind(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	return bind(tcp_fd, (struct sockaddr *)&in, sizeof(in));
}
static long act_listen(void)
{
	return listen(tcp_fd, 1);
}
static long act_option_of_another_level(void)
{
	int on = 1;

	return setsockopt(tcp_fd, SOL_NETLINK, 1, &on, sizeof(on));
}
static long act_exec(void)
{
	return execv("/bin/true", no_arguments);
}
static long act_execveat(void)
{
	return syscall(SYS_execveat, AT_FDCWD, "/bin/true", no_arguments, NULL, 0);
}
static long act_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}
static long act_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0);
}
static long act_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, parent, NULL, NULL);
}
static long act_read_memory(void)
{
	return syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}
static long act_kill(void)
{
	return kill(-1, 0);
}
static long act_signal_another(void)
{
	return syscall(SYS_tgkill, 1, 1, 0);
}
static long act_setuid(void)
{
	return setuid(0);
}
static long act_catch_signals(void)
{
	return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0;
}
static long act_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1);
}
static long act_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}
static long act_make_code(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
static long act_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}
static long act_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}
static long act_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, 0);
}
static long act_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}
static long act_chdir(void)
{
	return chdir("/");
}
static long act_limit(void)
{
	struct rlimit limit = {};

	return setrlimit(RLIMIT_NOFILE, &limit);
}
static long act_ioctl(void)
{
	return syscall(SYS_ioctl, tcp_fd, 0x8914 /* SIOCSIFFLAGS */, NULL);
}

struct act {
	const char *call; /* which it makes; NULL: refused with EACCES, without an end */
	long (*act)(void);
	bool is_sanitizers; /* such a build may */
};

static int claims_act(void *arg)
{
	const struct act *a = arg;
	long r;

	enter();
	r = a->act();
	/* still here: refused at least? */
	if (r >= 0)
		return 1;
	return errno == (SANDBOX_SANITIZED ? EPERM : EACCES) ? 42 : 2;
}

static void what_a_worker_cannot(void **state)
{
	static struct act acts[] = {
		{NULL, act_open, true},
		{NULL, act_write, true},
		{NULL, act_stat, true},
		{"unlink", act_unlink, false},
		{NULL, act_socket, true},
		{"socketpair", act_socketpair, false},
		{"connect", act_connect, false},
		{"bind", act_bind, false},
		{"listen", act_listen, false},
		{"setsockopt", act_option_of_another_level, false},
		{"execve", act_exec, false},
		{"execveat", act_execveat, false},
		{"clone", act_fork, true},
		{"clone3", act_clone3, false},
		{"ptrace", act_ptrace, true},
		{"process_vm_readv", act_read_memory, false},
		{"kill", act_kill, true},
		{"tgkill", act_signal_another, true},
		{"setuid", act_setuid, false},
		{"rt_sigaction", act_catch_signals, true},
		{"prctl", act_dumpable, true},
		{"mmap", act_map_code, true},
		{"mprotect", act_make_code, true},
		{"bpf", act_bpf, false},
		{"io_uring_setup", act_io_uring, false},
		{"userfaultfd", act_userfaultfd, false},
		{"unshare", act_unshare, false},
		{"chdir", act_chdir, false},
		{"prlimit64", act_limit, true},
		{"ioctl", act_ioctl, false},
	};

	(void)state;
	tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(tcp_fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		struct end end;

		if (SANDBOX_SANITIZED && acts[i].is_sanitizers)
			continue;
		end = in_child(claims_act, &acts[i]);
		if (SANDBOX_SANITIZED || !acts[i].call) {
			assert_true(WIFEXITED(end.status));
			assert_int_equal(WEXITSTATUS(end.status), 42);
		} else {
			assert_string_equal(end.told, acts[i].call);
			assert_true(WIFSIGNALED(end.status));
			assert_int_equal(WTERMSIG(end.status), SIGSYS);
		}
	}
	close(tcp_fd);
}

/* --- what it can do */

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int claims_about_work(void *arg)
{
	struct epoll_event ev = {.events = EPOLLIN};
	static int numbers[4096];
	time_t now = time(NULL);
	int *fds = arg, epoll_fd;
	char text[64];
	struct tm tm;
	void *p;

	enter();
	if (write(fds[1], "x", 1) != 1 || (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[0], &ev) < 0 ||
	    epoll_wait(epoll_fd, &ev, 1, 1000) != 1 || read(fds[0], text, 1) != 1)
		return 1;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(fds[0], F_DUPFD_CLOEXEC, 3) < 0)
		return 2;
	p = malloc(8 << 20); /* a mapping of its own */
	if (!p || !(p = realloc(p, 16 << 20)))
		return 3;
	free(p);
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(int), by_value);
	if (!localtime_r(&now, &tm) || !strftime(text, sizeof(text), "%F %T %Z", &tm))
		return 4;
	return isatty(STDIN_FILENO);
}

static int claims_about_abort(void *arg)
{
	(void)arg;
	enter();
	abort();
}

static void what_a_worker_can(void **state)
{
	struct end end;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_all_hold(in_child(claims_about_work, fds));
	close(fds[0]);
	close(fds[1]);
	/* a crash is seen as what it is */
	end = in_child(claims_about_abort, NULL);
	assert_string_equal(end.told, "");
	assert_true(WIFSIGNALED(end.status) || SANDBOX_SANITIZED);
	assert_true(SANDBOX_SANITIZED || WTERMSIG(end.status) == SIGABRT);
}

static int claims_about_no_user(void *arg)
{
	struct errtext e = {};

	(void)arg;
	if (sandbox_enter("no-such-user", on_violation, &e) != -ENOENT)
		return 1;
	return strstr(e.text, "no user 'no-such-user'") ? 0 : 2;
}

static void an_unknown_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_all_hold(in_child(claims_about_no_user, NULL));
}

/* --- Landlock by itself: it holds where a filter would let something through */

static int landlock_version(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

	return r < 0 ? 0 : r;
}

static int claims_about_landlock(void *arg)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0botls-test-sandbox"};
	int *version = arg, fd;
	struct errtext e;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_landlock(&e) != *version)
		return 1;
	if (!SANDBOX_SANITIZED &&
	    (act_open() >= 0 || errno != EACCES || act_write() >= 0 || act_unlink() >= 0 ||
	     errno != EACCES || act_exec() >= 0 || errno != EACCES))
		return 2;
	if (*version >= 4 &&
	    (act_connect() >= 0 || errno != EACCES || act_bind() >= 0 || errno != EACCES))
		return 3;
	if (*version >= 6) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 ||
		    errno != EPERM)
			return 4;
		if (kill(parent, 0) == 0 || errno != EPERM)
			return 5;
	}
	return 0;
}

static void landlock_alone(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0botls-test-sandbox"};
	int version = landlock_version(), fd;

	(void)state;
	if (!version) {
		print_message("skipped: this kernel has no Landlock\n");
		skip();
	}
	tcp_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(tcp_fd >= 0 && fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_all_hold(in_child(claims_about_landlock, &version));
	close(fd);
	close(tcp_fd);
}

/* --- control */

static void begin_control(void)
{
	static const int keep[] = {CAP_NET_ADMIN, CAP_BPF};
	struct errtext e;

	if (sandbox_control(keep, ARRAY_SIZE(keep), &e) < 0)
		_exit(98);
}

static int claims_about_control(void *arg)
{
	struct rlimit limit;
	int status;
	pid_t pid;

	(void)arg;
	begin_control();
	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max)
		return 1;
	if (mount("none", "/mnt", "tmpfs", 0, NULL) == 0 || errno != EPERM ||
	    unshare(CLONE_NEWUSER) == 0 || errno != EPERM || act_read_memory() == 0 ||
	    errno != EPERM ||
	    syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0) >= 0 || errno != EPERM)
		return 2;
	pid = fork();
	if (pid == 0) {
		execv("/bin/true", no_arguments);
		_exit(1);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		return 3;
	return 0;
}

static void what_control_keeps(void **state)
{
	uint64_t kept = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_BPF;
	char status[8192];
	uid_t owner;

	(void)state;
	assert_all_hold(in_child(claims_about_control, NULL));
	if (geteuid() != 0) {
		print_message("the rest is skipped: there is nothing to keep without root\n");
		return;
	}
	look_at(begin_control, status, sizeof(status), &owner);
	assert_int_equal(set_of(status, "CapInh:"), 0);
	assert_int_equal(set_of(status, "CapPrm:"), kept);
	assert_int_equal(set_of(status, "CapEff:"), kept);
	assert_int_equal(set_of(status, "CapBnd:"), kept);
	assert_int_equal(set_of(status, "CapAmb:"), 0);
	assert_int_equal(atoi(line_of(status, "NoNewPrivs:")), 1);
	assert_int_equal(atoi(line_of(status, "Seccomp:")), 2);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_worker_has_given_up),
		cmocka_unit_test(what_a_worker_cannot),
		cmocka_unit_test(what_a_worker_can),
		cmocka_unit_test(an_unknown_user),
		cmocka_unit_test(landlock_alone),
		cmocka_unit_test(what_control_keeps),
	};

	parent = getpid();
	close(mkstemp(scratch));
	return cmocka_run_group_tests(tests, NULL, teardown);
}
