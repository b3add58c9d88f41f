// SPDX-License-Identifier: Apache-2.0
#include "ao_try.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW 1000000

static void nothing_known_is_with(void **state)
{
	const struct ao_habit h = {};

	(void)state;
	assert_false(ao_habit_begins_without(&h, 0));
	assert_false(ao_habit_begins_without(&h, NOW));
}

static void what_worked_without_is_good_for_a_time(void **state)
{
	struct ao_habit h = {};

	(void)state;
	ao_habit_worked(&h, true, NOW);
	assert_true(ao_habit_begins_without(&h, NOW));
	/* That it works again meanwhile does not put the time off. */
	ao_habit_worked(&h, true, NOW + AO_AGAIN_MS / 2);
	assert_true(ao_habit_begins_without(&h, NOW + AO_AGAIN_MS - 1));
	assert_false(ao_habit_begins_without(&h, NOW + AO_AGAIN_MS));
	/* Tried in vain: another time begins. */
	ao_habit_worked(&h, true, NOW + AO_AGAIN_MS + 1);
	assert_true(ao_habit_begins_without(&h, NOW + 2 * AO_AGAIN_MS));
	assert_false(ao_habit_begins_without(&h, NOW + 2 * AO_AGAIN_MS + 1));
}

static void what_worked_with_is_for_good(void **state)
{
	struct ao_habit h = {};

	(void)state;
	ao_habit_worked(&h, true, NOW);
	ao_habit_worked(&h, false, NOW + 1);
	assert_false(ao_habit_begins_without(&h, NOW + 2));
	ao_habit_worked(&h, true, NOW + 3);
	assert_true(ao_habit_begins_without(&h, NOW + 3 + AO_AGAIN_MS - 1));
}

static void patience(void **state)
{
	(void)state;
	assert_int_equal(ao_patience_ms(10000), AO_PATIENCE_MS);
	assert_int_equal(ao_patience_ms(120000), AO_PATIENCE_MS);
	assert_int_equal(ao_patience_ms(1000), 500);
}

static void every_lack_has_a_text_of_its_own(void **state)
{
	(void)state;
	assert_string_equal(ao_lack_text(AO_LACK_NONE), "");
	for (enum ao_lack a = AO_LACK_KERNEL; a <= AO_LACK_NOT_TAKEN; a++)
		for (enum ao_lack b = AO_LACK_NONE; b < a; b++)
			assert_string_not_equal(ao_lack_text(a), ao_lack_text(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_known_is_with),
		cmocka_unit_test(what_worked_without_is_good_for_a_time),
		cmocka_unit_test(what_worked_with_is_for_good),
		cmocka_unit_test(patience),
		cmocka_unit_test(every_lack_has_a_text_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
