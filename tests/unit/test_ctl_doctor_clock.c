// SPDX-License-Identifier: Apache-2.0
#include "ctl_doctor_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define NOW 1763734402 /* 2025-11-21 14:13:22 */

static void assert_judged(int state, int status, long error, time_t now, bool wrong, bool doubtful,
			  const char *text)
{
	struct timex t = {.status = status, .maxerror = error};
	struct clock_verdict v;

	doctor_clock_judge(state, &t, now, &v);
	assert_int_equal(v.is_wrong, wrong);
	assert_int_equal(v.is_doubtful, doubtful);
	assert_string_equal(v.text, text);
	assert_int_equal(v.next != NULL, wrong || doubtful);
}

static void test_verdicts(void **state)
{
	(void)state;
	assert_judged(TIME_OK, 0, 500, NOW, false, false, "2025-11-21 14:13:22 UTC, synchronised");
	/* A leap second is no reason to worry. */
	assert_judged(TIME_INS, STA_INS, 500, NOW, false, false,
		      "2025-11-21 14:13:22 UTC, synchronised");
	assert_judged(TIME_ERROR, STA_UNSYNC, 16000000, NOW, false, true,
		      "2025-11-21 14:13:22 UTC, but the kernel says that nothing keeps it in step");
	assert_judged(-1, 0, 0, NOW, false, true,
		      "2025-11-21 14:13:22 UTC, but the kernel says that nothing keeps it in step");
	assert_judged(TIME_OK, 0, 12000000, NOW, false, true,
		      "2025-11-21 14:13:22 UTC, give or take 12 seconds");
	/* A router without a battery. */
	assert_judged(TIME_OK, 0, 0, 100, true, false, "it is not 1970-01-01 00:01:40 UTC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
