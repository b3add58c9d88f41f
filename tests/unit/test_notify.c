// SPDX-License-Identifier: Apache-2.0
#include "notify.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <cmocka.h>

/* A socket as a service manager has it; `name` with '@' in front is abstract. Sets NOTIFY_SOCKET.
 */
static int open_manager(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(sun.sun_path, name, strlen(name));
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			      offsetof(struct sockaddr_un, sun_path) + strlen(name)),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static const char *receive(int fd)
{
	static char buf[2048];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	if (n < 0)
		return "nothing";
	buf[n] = '\0';
	return buf;
}

static void talk(const char *name)
{
	_cleanup_close_ int fd = open_manager(name);
	char long_text[1000];
	const char *state;
	uint64_t before, usec;
	struct timespec ts;

	assert_int_equal(notify_ready(), 0);
	assert_string_equal(receive(fd), "READY=1");
	assert_int_equal(notify_stopping(), 0);
	assert_string_equal(receive(fd), "STOPPING=1");
	assert_int_equal(notify_watchdog(), 0);
	assert_string_equal(receive(fd), "WATCHDOG=1");
	assert_int_equal(notify_status("3 neighbors up\nREADY=1"), 0);
	assert_string_equal(receive(fd), "STATUS=3 neighbors up READY=1");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(notify_status(long_text), 0);
	assert_int_equal(strlen(receive(fd)), 511);

	clock_gettime(CLOCK_MONOTONIC, &ts);
	before = (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	assert_int_equal(notify_reloading(), 0);
	state = receive(fd);
	assert_int_equal(sscanf(state, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &usec), 1);
	assert_true(usec >= before && usec < before + 10000000);
}

static void test_path(void **state)
{
	char dir[] = "/tmp/botls-notify-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/notify", dir);
	talk(path);
	unlink(path);
	assert_true(notify_ready() == -ENOENT);
	rmdir(dir);
}

static void test_abstract(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@botls-test-notify-%d", getpid());
	talk(name);
	assert_int_equal(notify_ready(), -ECONNREFUSED);
}

static void test_no_manager(void **state)
{
	char long_path[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "relative/path", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_ready(), -EINVAL);
	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", long_path, 1);
	assert_int_equal(notify_ready(), -ENAMETOOLONG);
	unsetenv("NOTIFY_SOCKET");
}

static uint64_t watchdog(const char *usec, const char *pid)
{
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (usec)
		setenv("WATCHDOG_USEC", usec, 1);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	return notify_watchdog_ms();
}

static void test_watchdog(void **state)
{
	char me[16], other[16];

	(void)state;
	snprintf(me, sizeof(me), "%d", getpid());
	snprintf(other, sizeof(other), "%d", getppid());
	assert_int_equal(watchdog(NULL, NULL), 0);
	assert_int_equal(watchdog("30000000", NULL), 15000);
	assert_int_equal(watchdog("30000000", me), 15000);
	assert_int_equal(watchdog("30000000", other), 0);
	assert_int_equal(watchdog("30000000", "x"), 0);
	assert_int_equal(watchdog("30000000s", NULL), 0);
	assert_int_equal(watchdog("-5", NULL), 0);
	assert_int_equal(watchdog("99999999999999999999999", NULL), 0);
}

/* What is kept arrives as the same file, under its name. */
static void test_store(void **state)
{
	_cleanup_close_ int manager = open_manager("@botls-test-store");
	int pair[2], fds[2];
	char text[128] = "", c;
	size_t n = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(notify_store("worker-3-77", pair[0]), 1);
	close(pair[0]);
	assert_true(sock_receive_fds(manager, text, sizeof(text) - 1, fds, 2, &n) > 0);
	assert_string_equal(text, "FDSTORE=1\nFDNAME=worker-3-77");
	assert_int_equal(n, 1);
	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(read(pair[1], &c, 1), 1);
	assert_int_equal(notify_unstore("worker-3-77"), 0);
	assert_string_equal(receive(manager), "FDSTOREREMOVE=1\nFDNAME=worker-3-77");
	close(fds[0]);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_store("worker-3-77", pair[1]), 0);
	setenv("NOTIFY_SOCKET", "@botls-nobody-is-there", 1);
	assert_int_equal(notify_store("worker-3-77", pair[1]), -ECONNREFUSED);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),	   cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_no_manager), cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
