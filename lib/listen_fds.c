// SPDX-License-Identifier: Apache-2.0
#include "listen_fds.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>

#define FIRST 3 /* SD_LISTEN_FDS_START */

/* The number in a variable, 0 when there is none. */
static unsigned long number_of(const char *variable)
{
	const char *text = getenv(variable);
	unsigned long n;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return 0;
	n = strtoul(text, &end, 10);
	return *end ? 0 : n;
}

static int take(unsigned long n, struct listen_fd **ret)
{
	const char *names = getenv("LISTEN_FDNAMES");
	struct listen_fd *all = calloc(n + 1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (unsigned long i = 0; i < n; i++) {
		size_t len = names ? strcspn(names, ":") : 0;

		all[i].fd = FIRST + i;
		fcntl(all[i].fd, F_SETFD, FD_CLOEXEC);
		if (len < sizeof(all[i].name))
			memcpy(all[i].name, names ? names : "", len);
		names = names && names[len] ? names + len + 1 : NULL;
	}
	*ret = all;
	return n;
}

int listen_fds_take(struct listen_fd **ret)
{
	unsigned long n = number_of("LISTEN_FDS");
	int r;

	*ret = NULL;
	if (n > LISTEN_FDS_MAX || number_of("LISTEN_PID") != (unsigned long)getpid())
		n = 0;
	r = n ? take(n, ret) : 0;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return r;
}
