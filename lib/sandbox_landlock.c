// SPDX-License-Identifier: Apache-2.0
/*
 * A ruleset without a rule: what it handles is denied. Descriptors that are open keep what they
 * were opened for.
 */
#include "sandbox_internal.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>

/* What Debian 12's header does not have yet. */
struct ruleset {
	uint64_t fs;
	uint64_t net;	 /* version 4 */
	uint64_t scoped; /* version 6 */
};
#define FS_VERSION_1	   ((1ULL << 13) - 1)
#define FS_REFER	   (1ULL << 13) /* 2 */
#define FS_TRUNCATE	   (1ULL << 14) /* 3 */
#define FS_IOCTL_DEV	   (1ULL << 15) /* 5 */
#define NET_BIND_CONNECT   3ULL		/* 4: TCP */
#define SCOPE_UNIX_SIGNALS 3ULL		/* 6: abstract UNIX sockets, signals */

static struct ruleset everything(int version)
{
	struct ruleset r = {};

	if (!SANDBOX_SANITIZED)
		r.fs = FS_VERSION_1 | (version >= 2 ? FS_REFER : 0) |
		       (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
	r.net = version >= 4 ? NET_BIND_CONNECT : 0;
	r.scoped = version >= 6 ? SCOPE_UNIX_SIGNALS : 0;
	return r;
}

int sandbox_landlock(struct errtext *e)
{
	int version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset r = everything(version);
	_cleanup_close_ int fd = -1;

	/* ENOSYS: not in this kernel. EOPNOTSUPP: not started with it (lsm=). */
	if (version <= 0 || (!r.fs && !r.net && !r.scoped))
		return 0;
	/* An older kernel takes the longer struct when what it does not know is zero. */
	fd = syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	if (fd < 0)
		return errtext_set(e, -errno, "landlock_create_ruleset: %s", strerror(errno));
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return errtext_set(e, -errno, "landlock_restrict_self: %s", strerror(errno));
	return version;
}
