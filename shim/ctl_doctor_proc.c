// SPDX-License-Identifier: Apache-2.0
/* Processes, their sockets and limits, as /proc has them; and systemctl, asked. */
#include "ctl_doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define INODES_MAX 64 /* listening sockets of one port: one for each address */

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static void set_user(struct doctor_process *p)
{
	const struct passwd *pw = getpwuid(p->uid);

	if (pw)
		snprintf(p->user, sizeof(p->user), "%.39s", pw->pw_name);
	else
		snprintf(p->user, sizeof(p->user), "uid %u", p->uid);
}

/* False when it has ended meanwhile. */
static bool describe(int pid, struct doctor_process *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64];
	struct stat st;

	*ret = (struct doctor_process){.pid = pid};
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &st) < 0)
		return false;
	ret->uid = st.st_uid;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(ret->command, sizeof(ret->command), f))
		return false;
	ret->command[strcspn(ret->command, "\n")] = '\0';
	set_user(ret);
	return true;
}

struct inode {
	uint64_t number;
	unsigned uid;
};

static size_t add_listeners(const char *path, unsigned port, struct inode *inodes, size_t n)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	unsigned at, state, uid;
	uint64_t inode;
	char line[512];

	while (f && n < INODES_MAX && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*[^:]: %*[^:]:%x %*s %x %*s %*s %*s %u %*s %" SCNu64, &at,
			   &state, &uid, &inode) == 4 &&
		    at == port && state == 0x0a)
			inodes[n++] = (struct inode){inode, uid};
	return n;
}

static bool has_socket(const char *pid, const struct inode *inodes, size_t n)
{
	char path[300];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		char target[64] = "";
		uint64_t inode;

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) <= 0 ||
		    sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
			continue;
		for (size_t i = 0; i < n; i++)
			found |= inodes[i].number == inode;
	}
	if (dir)
		closedir(dir);
	return found;
}

size_t doctor_listeners(unsigned port, struct doctor_process *ret, size_t max)
{
	struct inode inodes[INODES_MAX];
	size_t n = add_listeners("/proc/self/net/tcp", port, inodes, 0), found = 0;
	struct dirent *entry;
	DIR *proc;

	n = add_listeners("/proc/self/net/tcp6", port, inodes, n);
	if (!n)
		return 0;
	proc = opendir("/proc");
	while (proc && found < max && (entry = readdir(proc)))
		if (is_number(entry->d_name) && has_socket(entry->d_name, inodes, n))
			found += describe(atoi(entry->d_name), &ret[found]);
	if (proc)
		closedir(proc);
	/* Nobody's that we may look at: the socket still says whose it is. */
	if (!found && max) {
		ret[0] = (struct doctor_process){.uid = inodes[0].uid};
		set_user(&ret[0]);
		found = 1;
	}
	return found;
}

/* In our network namespace: another one's daemon is none of ours. */
static bool is_here(int pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return stat(path, &theirs) == 0 && stat("/proc/self/ns/net", &ours) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

size_t doctor_find_processes(const char *const *commands, size_t n, struct doctor_process *ret,
			     size_t max)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t found = 0;

	while (proc && found < max && (entry = readdir(proc))) {
		struct doctor_process p;

		if (!is_number(entry->d_name) || !describe(atoi(entry->d_name), &p) ||
		    !is_here(p.pid))
			continue;
		for (size_t i = 0; i < n; i++)
			if (strcmp(p.command, commands[i]) == 0) {
				ret[found++] = p;
				break;
			}
	}
	if (proc)
		closedir(proc);
	return found;
}

int doctor_limit(int pid, const char *name, uint64_t *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[256], value[32];
	size_t len = strlen(name);

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, len) != 0 || sscanf(line + len, "%31s", value) != 1)
			continue;
		*ret = strcmp(value, "unlimited") == 0 ? UINT64_MAX : strtoull(value, NULL, 10);
		return 0;
	}
	return -ENOENT;
}

int doctor_unit_of(int pid, char *buf, size_t size)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[1024];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *unit = strrchr(line, '/'), *end;

		line[strcspn(line, "\n")] = '\0';
		end = unit ? strstr(unit, ".service") : NULL;
		if (!end || end[strlen(".service")] || strlen(unit + 1) >= size)
			continue;
		strcpy(buf, unit + 1);
		return 0;
	}
	return -ENOENT;
}

static void become(char *const argv[], int out)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDERR_FILENO);
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/* Its exit status; one that does not end within two seconds is ended. */
static int reap(pid_t pid)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	int status, tries = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (++tries == 200)
			kill(pid, SIGKILL);
		nanosleep(&pause, NULL);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ETIMEDOUT;
}

int doctor_run(char *const argv[], char *buf, size_t size)
{
	struct pollfd p = {.events = POLLIN};
	size_t len = 0;
	ssize_t n = 1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become(argv, fds[1]);
	close(fds[1]);
	p.fd = fds[0];
	while (pid > 0 && n > 0 && len + 1 < size) {
		n = poll(&p, 1, 5000) > 0 ? read(fds[0], buf + len, size - 1 - len) : 0;
		len += n > 0 ? n : 0;
	}
	buf[len] = '\0';
	close(fds[0]); /* one that says too much gets SIGPIPE */
	return pid < 0 ? -EAGAIN : reap(pid);
}
