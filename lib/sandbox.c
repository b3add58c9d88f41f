// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int become(const char *user, struct errtext *e)
{
	struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errtext_set(e, -ENOENT, "there is no user '%s'", user);
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return errtext_set(e, -errno, "cannot become user '%s': %s", user, strerror(errno));
	return 0;
}

/* The raw call: two structs of data are what version 3 takes, and all that libcap would add here.
 */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {}, none[2] = {};

	/* Emptying the bounding set needs CAP_SETPCAP, which is permitted but not effective after
	 * become(). */
	if (syscall(SYS_capget, &header, caps) < 0)
		return -errno;
	caps[0].effective = caps[0].permitted & (1U << CAP_SETPCAP);
	if (syscall(SYS_capset, &header, caps) < 0)
		return -errno;
	/* EINVAL ends the list: this kernel knows no further capability. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EPERM)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capset, &header, none) < 0)
		return -errno;
	return 0;
}

int sandbox_drop(const char *user, struct errtext *e)
{
	int r;

	if (geteuid() == 0 && prctl(PR_SET_KEEPCAPS, 1) < 0)
		return errtext_set(e, -errno, "PR_SET_KEEPCAPS: %s", strerror(errno));
	r = become(user, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 0) < 0)
		return errtext_set(e, -errno, "PR_SET_KEEPCAPS: %s", strerror(errno));
	r = drop_capabilities();
	if (r < 0)
		return errtext_set(e, r, "cannot drop capabilities: %s", strerror(-r));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errtext_set(e, -errno, "no_new_privs: %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return errtext_set(e, -errno, "PR_SET_DUMPABLE: %s", strerror(errno));
	return 0;
}

int sandbox_no_core(void)
{
	struct rlimit none = {};

	return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}
