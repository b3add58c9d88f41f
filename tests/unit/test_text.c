// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void assert_copy(const char *text, size_t size, const char *expected)
{
	char buf[64];

	memset(buf, 'z', sizeof(buf));
	text_copy(buf, size, text);
	assert_string_equal(buf, expected);
	assert_int_equal(buf[size], 'z');
}

static void test_copy(void **state)
{
	(void)state;
	assert_copy("", 8, "");
	assert_copy("a b\u00e4\u20ac", 32, "a b\u00e4\u20ac");
	assert_copy("a\nb\tc\x7f", 32, "a?b?c?");
	assert_copy("\x1b[31mred", 32, "?[31mred");
	assert_copy("\xc2\x9b"
		    "2J",
		    32, "?2J");		   /* C1 */
	assert_copy("\xff\xc3", 32, "??"); /* not UTF-8, and cut off */
}

/* What hides text or turns its direction. */
static void test_marks(void **state)
{
	static const char *const marks[] = {
		"\u00ad", "\u061c", "\u180e", "\u200b", "\u200f",     "\u2028", "\u202e",
		"\u2060", "\u2066", "\ufeff", "\ufffb", "\U000e0041", "\uffff", "\xed\xa0\x80"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		char text[16];

		snprintf(text, sizeof(text), "a%sb", marks[i]);
		/* A surrogate is not UTF-8: three bytes. */
		assert_copy(text, 16, i == ARRAY_SIZE(marks) - 1 ? "a???b" : "a?b");
	}
	assert_copy("\U0001f600\u3042", 16, "\U0001f600\u3042");
}

static char *printed(enum text_style style, const char *text)
{
	char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	assert_non_null(f);
	text_set_output(f);
	text_print_as(style, "%s", text);
	text_set_output(NULL);
	fclose(f);
	return buf;
}

static void assert_printed(enum text_style style, const char *text, const char *expected)
{
	_cleanup_free_ char *got = printed(style, text);

	assert_string_equal(got, expected);
}

static void test_colors(void **state)
{
	(void)state;
	assert_printed(TEXT_BAD, "x", "x");
	text_set_color(true);
	assert_printed(TEXT_BAD, "x", "\033[1;31mx\033[0m");
	assert_printed(TEXT_GOOD, "x", "\033[32mx\033[0m");
	assert_printed(TEXT_WAIT, "x", "\033[33mx\033[0m");
	assert_printed(TEXT_PLAIN, "x", "x");
	/* What is printed cannot bring its own. */
	assert_printed(TEXT_HEAD, "a\033[31m\u202eb\n\xff", "\033[1ma?[31m?b\n?\033[0m");
	text_set_color(false);
}

static void assert_wrapped(unsigned indent, unsigned width, const char *text, const char *expected)
{
	_cleanup_free_ char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	assert_non_null(f);
	text_set_output(f);
	text_print_wrapped(TEXT_PLAIN, indent, width, text);
	text_set_output(NULL);
	fclose(f);
	assert_string_equal(buf, expected);
}

static void test_wrapped(void **state)
{
	(void)state;
	assert_wrapped(2, 0, "one two three", "one two three\n");
	assert_wrapped(2, 9, "one two three", "one two\n  three\n");
	assert_wrapped(2, 8, "one two three", "one\n  two\n  three\n");
	assert_wrapped(2, 6, "one toolong three", "one\n  toolong\n  three\n");
	assert_wrapped(2, 12, "one two   ", "one two\n");
	assert_wrapped(0, 3, "\u00e4\u00e4\u00e4 b", "\u00e4\u00e4\u00e4\nb\n");
	assert_wrapped(4, 3, "one two", "one two\n");
	assert_wrapped(2, 9, "", "\n");
}

static void test_durations(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{-1, "-"},
		{0, "0s"},
		{59, "59s"},
		{60, "1m00s"},
		{3599, "59m59s"},
		{3600, "1h00m"},
		{86399, "23h59m"},
		{86400, "1d00h"},
		{99LL * 86400 + 7200, "99d02h"},
		{400LL * 86400 + 7200, "400d"},
	};
	char buf[TEXT_TIME_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(text_duration(cases[i].seconds, buf), cases[i].text);
}

static void test_counts(void **state)
{
	static const struct {
		double n;
		const char *count, *bytes;
	} cases[] = {
		{0, "0", "0 B"},
		{999, "999", "999 B"},
		{999.6, "1.00k", "1.00 kB"},
		{1234, "1.23k", "1.23 kB"},
		{9999, "10.0k", "10.0 kB"},
		{99999, "100k", "100 kB"},
		{999999, "1.00M", "1.00 MB"},
		{45678901, "45.7M", "45.7 MB"},
		{1.8e19, "18.0E", "18.0 EB"},
	};
	char buf[TEXT_COUNT_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(text_count(cases[i].n, buf), cases[i].count);
		assert_string_equal(text_bytes(cases[i].n, buf), cases[i].bytes);
	}
}

/* Never in the middle of a character. */
static void test_cut(void **state)
{
	(void)state;
	assert_copy("abc", 1, "");
	assert_copy("abc", 3, "ab");
	assert_copy("abc", 4, "abc");
	assert_copy("a\u20ac", 4, "a");
	assert_copy("a\u20ac", 5, "a\u20ac");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),	cmocka_unit_test(test_cut),
		cmocka_unit_test(test_marks),	cmocka_unit_test(test_colors),
		cmocka_unit_test(test_wrapped), cmocka_unit_test(test_durations),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
