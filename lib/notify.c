// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include "sock.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define BUSY_MS 5000

/* Reads a whole decimal number. */
static int parse_number(const char *text, uint64_t *ret)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

/* 1: sent; 0: nobody is there to be told. */
static int send_with(const char *state, const int *fds, size_t n_fds, int wait_ms)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const struct iovec part = {(void *)state, strlen(state)};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t len;
	ssize_t n;

	if (!path || !*path)
		return 0;
	len = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || len < 2)
		return -EINVAL;
	if (len >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, len);
	/* Abstract: every byte of the length counts, so there is no NUL at its end. */
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, offsetof(struct sockaddr_un, sun_path) + len) < 0)
		return -errno;
	/* A manager that is busy is waited for, but not for ever. */
	do
		n = sock_send_fds(fd, &part, 1, fds, n_fds);
	while (n == -EAGAIN && poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, wait_ms) > 0);
	return n < 0 ? n : 1;
}

int notify_send(const char *state)
{
	int r = send_with(state, NULL, 0, BUSY_MS);

	return r < 0 ? r : 0;
}

int notify_store(const char *name, int fd)
{
	static bool was_in_vain;
	char state[128];
	int r;

	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
	/* There may be one for each of 64 workers: who did not read once is not waited for again.
	 */
	r = send_with(state, &fd, 1, was_in_vain ? 0 : BUSY_MS);
	was_in_vain = r == -EAGAIN;
	return r;
}

int notify_unstore(const char *name)
{
	char state[128];

	snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify_send(state);
}

int notify_ready(void)
{
	return notify_send("READY=1");
}

int notify_reloading(void)
{
	char state[64];
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	return notify_send(state);
}

int notify_stopping(void)
{
	return notify_send("STOPPING=1");
}

int notify_watchdog(void)
{
	return notify_send("WATCHDOG=1");
}

int notify_status(const char *text)
{
	char state[512];

	snprintf(state, sizeof(state), "STATUS=%s", text);
	/* A newline would begin another assignment. */
	for (char *p = state; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return notify_send(state);
}

uint64_t notify_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t usec, number;

	if (parse_number(getenv("WATCHDOG_USEC"), &usec) < 0)
		return 0;
	/* Set for another process: we inherited it. */
	if (pid && (parse_number(pid, &number) < 0 || number != (uint64_t)getpid()))
		return 0;
	return usec / 2 / 1000;
}
