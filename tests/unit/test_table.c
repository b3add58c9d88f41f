// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct table *make(void)
{
	struct table *t = table_new((const char *[]){"Name", "N", "Info"}, 3);

	assert_non_null(t);
	table_align_right(t, 1);
	assert_int_equal(table_add(t, (const char *[]){"a", "1", "first"}), 0);
	assert_int_equal(table_add(t, (const char *[]){"bcdefg", "1000", ""}), 0);
	table_style(t, 0, TEXT_BAD);
	assert_int_equal(table_add(t, (const char *[]){"\u00e4", "", ""}), 0);
	return t;
}

static void assert_prints(const struct table *t, unsigned width, const char *expected)
{
	_cleanup_free_ char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	assert_non_null(f);
	text_set_output(f);
	table_print(t, width);
	text_set_output(NULL);
	fclose(f);
	assert_string_equal(buf, expected);
}

static void test_numbers_stand_right(void **state)
{
	_cleanup_table_ struct table *t = make();

	(void)state;
	assert_prints(t, 0,
		      "Name       N  Info\n"
		      "a          1  first\n"
		      "bcdefg  1000\n"
		      "\u00e4\n");
}

/* A last column of numbers is never cut. */
static void test_last_column_of_numbers(void **state)
{
	_cleanup_table_ struct table *t = table_new((const char *[]){"Name", "Number"}, 2);

	(void)state;
	assert_non_null(t);
	table_align_right(t, 1);
	assert_int_equal(table_add(t, (const char *[]){"a", "1"}), 0);
	assert_prints(t, 12, "Name  Number\na          1\n");
}

static void test_styles(void **state)
{
	_cleanup_table_ struct table *t = make();

	(void)state;
	text_set_color(true);
	assert_prints(t, 0,
		      "\033[1mName\033[0m       \033[1mN\033[0m  \033[1mInfo\033[0m\n"
		      "a          1  first\n"
		      "\033[1;31mbcdefg\033[0m  1000\n"
		      "\u00e4\n");
	text_set_color(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_stand_right),
		cmocka_unit_test(test_last_column_of_numbers),
		cmocka_unit_test(test_styles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
