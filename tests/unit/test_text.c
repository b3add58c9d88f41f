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
		    32, "??2J");	   /* C1 */
	assert_copy("\xff\xc3", 32, "??"); /* not UTF-8, and cut off */
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
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
