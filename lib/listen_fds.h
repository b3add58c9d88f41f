/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that a service manager passes at the start: sd_listen_fds(3) without libsystemd. Ours
 * are those that notify_store() gave it.
 */
#ifndef BOTLS_LISTEN_FDS_H
#define BOTLS_LISTEN_FDS_H

#include <stddef.h>

#define LISTEN_FDS_MAX 4096

struct listen_fd {
	int fd; /* close-on-exec from now on */
	char name[64];
};

/* Takes them, once: the variables are gone from the environment. Returns how many there are (0 also
 * when they are meant for another process), or -ENOMEM. `*ret` is the caller's to free, and so is
 * each descriptor to close. */
int listen_fds_take(struct listen_fd **ret);

#endif
