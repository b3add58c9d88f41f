// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Runs `say` with standard error in a pipe; what it wrote is in buf. */
static size_t caught(void (*say)(void), char *buf, size_t size)
{
	int saved = dup(STDERR_FILENO), fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	say();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], buf, size - 1);
	close(fds[0]);
	buf[n < 0 ? 0 : n] = '\0';
	return n < 0 ? 0 : n;
}

static void say_forged(void)
{
	log_warning("text '%s'", "one\ntwo\x1b[31m\x7f");
}

static void say_long(void)
{
	char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_warning("%s", text);
}

static void say_debug(void)
{
	log_debug("not now");
	log_info("now");
}

static void lines(void **state)
{
	char buf[8192];
	size_t n;

	(void)state;
	log_init("test");
	caught(say_forged, buf, sizeof(buf));
	assert_non_null(strstr(buf, "test: warning: text 'one?two?[31m?'\n"));
	n = caught(say_long, buf, sizeof(buf));
	assert_in_range(n, 900, 1024);
	assert_int_equal(buf[n - 1], '\n');
	caught(say_debug, buf, sizeof(buf));
	assert_null(strstr(buf, "not now"));
	assert_non_null(strstr(buf, "now"));

	setenv("JOURNAL_STREAM", "8:1", 1);
	log_init("test");
	caught(say_forged, buf, sizeof(buf));
	assert_string_equal(buf, "<4>test: text 'one?two?[31m?'\n");
	unsetenv("JOURNAL_STREAM");
	log_init("test");
}

static void levels(void **state)
{
	enum log_level l = LOG_LEVEL_INFO;

	(void)state;
	assert_int_equal(log_level_parse("debug", &l), 0);
	assert_int_equal(l, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud", &l), -EINVAL);
	assert_int_equal(l, LOG_LEVEL_DEBUG);
}

static void limit(void **state)
{
	struct log_limit l = {};
	uint32_t held_back;
	uint64_t now = 1000000;

	(void)state;
	for (int i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_limit_pass(&l, now, &held_back));
	for (int i = 0; i < 7; i++)
		assert_false(log_limit_pass(&l, now + 1, &held_back));
	assert_true(log_limit_pass(&l, now + LOG_LIMIT_INTERVAL, &held_back));
	assert_int_equal(held_back, 7);
	assert_false(log_limit_pass(&l, now + LOG_LIMIT_INTERVAL, &held_back));
	/* Left alone it fills up, and no further than the burst. */
	now += 3600 * 1000;
	for (int i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_limit_pass(&l, now, &held_back));
	assert_false(log_limit_pass(&l, now, &held_back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(levels),
		cmocka_unit_test(limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
