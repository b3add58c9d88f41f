// SPDX-License-Identifier: Apache-2.0
#include "fields.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_round_trip(void **state)
{
	struct fields_out o = {};
	struct fields_in f;
	uint8_t exact[3];
	char text[8];
	size_t len;

	(void)state;
	fields_put_number(&o, "number", UINT64_MAX);
	o.prefix = "in";
	fields_put_number(&o, "number", 7);
	fields_put_text(&o, "text", "seven");
	o.prefix = NULL;
	fields_put(&o, "bytes", "a\0c", 3);
	fields_put(&o, "nothing", NULL, 0);
	assert_int_equal(fields_out_error(&o), 0);

	assert_int_equal(fields_read(&f, o.data, o.len), 0);
	assert_true(fields_number(&f, "number", UINT64_MAX) == UINT64_MAX);
	assert_int_equal(fields_number(&f, "in.number", 7), 7);
	f.prefix = "in";
	assert_int_equal(fields_number(&f, "number", 7), 7);
	fields_text(&f, "text", text, sizeof(text));
	assert_string_equal(text, "seven");
	assert_true(fields_has(&f, "text"));
	f.prefix = NULL;
	assert_false(fields_has(&f, "text"));
	fields_exact(&f, "bytes", exact, sizeof(exact));
	assert_memory_equal(exact, "a\0c", 3);
	assert_non_null(fields_bytes(&f, "nothing", 0, &len));
	assert_int_equal(len, 0);
	/* What is not there may be not there. */
	assert_null(fields_bytes(&f, "absent", 10, &len));
	assert_int_equal(fields_number_or(&f, "absent", 10, 5), 5);
	assert_int_equal(fields_error(&f, NULL), 0);
	fields_out_done(&o);
}

/* The first error stays, and everything after it is zero. */
static void test_errors(void **state)
{
	static const struct {
		const char *field;
		int error;
	} cases[] = {
		{"absent", -ENOENT}, {"text", -EBADMSG}, {"large", -ERANGE},
		{"cut", -ERANGE},    {"nul", -EBADMSG},	 {"short", -EBADMSG},
	};
	struct fields_out o = {};
	char text[4] = "x";
	uint8_t exact[4];

	(void)state;
	fields_put_text(&o, "text", "1234567");
	fields_put_number(&o, "large", 11);
	fields_put_text(&o, "cut", "1234");
	fields_put(&o, "nul", "a\0b", 3);
	fields_put(&o, "short", "123", 3);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fields_in f;
		const char *field;

		assert_int_equal(fields_read(&f, o.data, o.len), 0);
		switch (i) {
		case 0:
		case 1:
		case 2: assert_int_equal(fields_number(&f, cases[i].field, 10), 0); break;
		case 3:
		case 4: fields_text(&f, cases[i].field, text, sizeof(text)); break;
		case 5: fields_exact(&f, cases[i].field, exact, sizeof(exact)); break;
		}
		assert_int_equal(fields_error(&f, &field), cases[i].error);
		assert_string_equal(field, cases[i].field);
		assert_int_equal(fields_number(&f, "large", 20), 0);
		fields_text(&f, "short", text, sizeof(text));
		assert_string_equal(text, "");
		fields_refuse(&f, "large", -EPERM);
		assert_int_equal(fields_error(&f, NULL), cases[i].error);
	}
	fields_out_done(&o);
}

/* Cut anywhere it is either refused, or whole fields fewer. */
static void test_cut(void **state)
{
	struct fields_out o = {};
	size_t whole = 0;

	(void)state;
	fields_put_number(&o, "one", 1);
	fields_put_text(&o, "two", "zwei");
	fields_put(&o, "three", NULL, 0);
	for (size_t len = 0; len <= o.len; len++) {
		struct fields_in f;

		if (fields_read(&f, o.data, len) == 0)
			whole++;
		else
			assert_int_equal(fields_error(&f, NULL), -EBADMSG);
	}
	assert_int_equal(whole, 4);
	fields_out_done(&o);
}

static void test_nonsense(void **state)
{
	static const char *const texts[] = {"\1", "\0\0\0\0\0", "\1a\0\0\0\1",
					    "\1a\377\377\377\377", "\377aaaa"};
	struct fields_in f;
	char name[FIELDS_NAME_MAX + 2];
	struct fields_out o = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(fields_read(&f, texts[i],
					     i == 1   ? 5
					     : i == 2 ? 6
						      : strlen(texts[i])),
				 -EBADMSG);
	memset(name, 'n', sizeof(name));
	name[FIELDS_NAME_MAX + 1] = '\0';
	fields_put_number(&o, name, 1);
	assert_int_equal(fields_out_error(&o), -EMSGSIZE);
	fields_put_number(&o, "n", 1);
	assert_int_equal(o.len, 0);
	fields_out_done(&o);
	fields_put(&o, "n", NULL, 0);
	fields_put(&o, "m", &o, (size_t)FIELDS_MAX + 1);
	assert_int_equal(fields_out_error(&o), -EMSGSIZE);
	fields_out_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
