// SPDX-License-Identifier: Apache-2.0
#include "listen_fds.h"
#include "util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* As if passed: the first descriptors after standard error. */
static int take(const char *pid, const char *n, const char *names, struct listen_fd **ret)
{
	char own[16];

	snprintf(own, sizeof(own), "%d", getpid());
	setenv("LISTEN_PID", pid ? pid : own, 1);
	setenv("LISTEN_FDS", n, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	return listen_fds_take(ret);
}

static void test_named(void **state)
{
	struct listen_fd *all;

	(void)state;
	assert_int_equal(take(NULL, "3", "worker-0-77::fallback", &all), 3);
	assert_int_equal(all[0].fd, 3);
	assert_int_equal(all[2].fd, 5);
	assert_string_equal(all[0].name, "worker-0-77");
	assert_string_equal(all[1].name, "");
	assert_string_equal(all[2].name, "fallback");
	free(all);
	/* Once, and never for a child. */
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	assert_int_equal(listen_fds_take(&all), 0);
	assert_null(all);
}

static void test_close_on_exec(void **state)
{
	const int fd = 3;
	struct listen_fd *all;

	(void)state;
	assert_int_equal(dup2(STDERR_FILENO, fd), fd);
	assert_int_equal(take(NULL, "1", NULL, &all), 1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_string_equal(all[0].name, "");
	free(all);
	close(fd);
}

static void test_not_ours(void **state)
{
	static const char *const numbers[] = {"", "-1", "x", "2x", "5000", "99999999999999999999"};
	char parent[16], long_name[200];
	struct listen_fd *all;

	(void)state;
	snprintf(parent, sizeof(parent), "%d", getppid());
	assert_int_equal(take(parent, "1", "a", &all), 0);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_int_equal(take(NULL, numbers[i], "a", &all), 0);
	/* Names that are too long or too few are none. */
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(take(NULL, "2", long_name, &all), 2);
	assert_string_equal(all[0].name, "");
	assert_string_equal(all[1].name, "");
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_close_on_exec),
		cmocka_unit_test(test_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
