// SPDX-License-Identifier: Apache-2.0
#include "sandbox_internal.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

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

/* The raw calls: two structs of data are what version 3 takes, and all that libcap would add here.
 */
#define CAP_WORDS 2
static struct __user_cap_header_struct cap_header = {.version = _LINUX_CAPABILITY_VERSION_3};

static bool cap_has(const uint32_t words[CAP_WORDS], int cap)
{
	return words[cap / 32] & 1U << (cap % 32);
}

/* Leaves those of `keep` that are permitted, in the sets permitted and effective; the bounding set
 * shrinks to `keep`, inheritable and ambient to nothing. */
static int reduce_capabilities(const uint32_t keep[CAP_WORDS])
{
	struct __user_cap_data_struct caps[CAP_WORDS] = {};

	/* Reducing the bounding set needs CAP_SETPCAP, which is permitted but not effective after
	 * become(). */
	if (syscall(SYS_capget, &cap_header, caps) < 0)
		return -errno;
	caps[0].effective |= caps[0].permitted & (1U << CAP_SETPCAP);
	if (syscall(SYS_capset, &cap_header, caps) < 0)
		return -errno;
	/* EINVAL ends the list: this kernel knows no further capability. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!cap_has(keep, cap) && prctl(PR_CAPBSET_DROP, cap) < 0 && errno != EPERM)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	for (size_t i = 0; i < CAP_WORDS; i++) {
		caps[i].permitted &= keep[i];
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	return syscall(SYS_capset, &cap_header, caps) < 0 ? -errno : 0;
}

static int lock_down(const uint32_t keep[CAP_WORDS], struct errtext *e)
{
	int r = reduce_capabilities(keep);

	if (r < 0)
		return errtext_set(e, r, "cannot drop capabilities: %s", strerror(-r));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errtext_set(e, -errno, "no_new_privs: %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return errtext_set(e, -errno, "PR_SET_DUMPABLE: %s", strerror(errno));
	r = sandbox_no_core();
	return r < 0 ? errtext_set(e, r, "RLIMIT_CORE: %s", strerror(-r)) : 0;
}

int sandbox_enter(const char *user, sandbox_violation_fn *violation, struct errtext *e)
{
	static const uint32_t none[CAP_WORDS];
	int version, r;

	if (geteuid() == 0 && prctl(PR_SET_KEEPCAPS, 1) < 0)
		return errtext_set(e, -errno, "PR_SET_KEEPCAPS: %s", strerror(errno));
	r = become(user, e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 0) < 0)
		return errtext_set(e, -errno, "PR_SET_KEEPCAPS: %s", strerror(errno));
	r = lock_down(none, e);
	if (r < 0)
		return r;
	/* Once: localtime_r() does not look again. */
	tzset();
	version = sandbox_landlock(e);
	if (version < 0)
		return version;
	r = sandbox_allow_calls(violation, e);
	return r < 0 ? r : version;
}

int sandbox_control(const int *keep, size_t n, struct errtext *e)
{
	uint32_t words[CAP_WORDS] = {};
	int r;

	for (size_t i = 0; i < n; i++)
		words[keep[i] / 32] |= 1U << (keep[i] % 32);
	r = lock_down(words, e);
	return r < 0 ? r : sandbox_refuse_calls(e);
}

int sandbox_no_core(void)
{
	struct rlimit none = {};

	return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}
