// SPDX-License-Identifier: Apache-2.0
/* Each case in a child: what is given up stays given up. As root it shows more than as anybody
 * else. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The number of the claim that does not hold, 0 when all do. */
static int claims_after_drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	struct errtext e;
	int fd;

	if (sandbox_drop("nobody", &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	if (syscall(SYS_capget, &header, caps) < 0 ||
	    caps[0].permitted | caps[1].permitted | caps[0].effective | caps[1].effective |
		    caps[0].inheritable | caps[1].inheritable)
		return 2;
	if (getuid() == 0 || geteuid() == 0 || getgid() == 0 || setuid(0) == 0 || seteuid(0) == 0)
		return 3;
	if (getgroups(0, NULL) != 0)
		return 4;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1)
			return 5;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 6;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 7;
	fd = open("/etc/shadow", O_RDONLY);
	if (fd >= 0)
		return 8;
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	if (fd >= 0)
		return 9;
	return 0;
}

static int claims_about_core(void)
{
	struct rlimit limit;

	if (sandbox_no_core() < 0 || getrlimit(RLIMIT_CORE, &limit) < 0)
		return 1;
	return limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 2;
}

static int claims_about_no_user(void)
{
	struct errtext e = {};

	if (sandbox_drop("no-such-user", &e) != -ENOENT)
		return 1;
	return strstr(e.text, "no user 'no-such-user'") ? 0 : 2;
}

static int in_child(int (*claims)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(claims());
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void everything_is_given_up(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: there is nothing to give up without root\n");
		skip();
	}
	assert_int_equal(in_child(claims_after_drop), 0);
}

static void no_core(void **state)
{
	(void)state;
	assert_int_equal(in_child(claims_about_core), 0);
}

static void an_unknown_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(claims_about_no_user), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_given_up),
		cmocka_unit_test(no_core),
		cmocka_unit_test(an_unknown_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
