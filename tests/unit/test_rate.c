// SPDX-License-Identifier: Apache-2.0
#include "rate.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct addr host(unsigned n)
{
	struct addr a = {.family = AF_INET, .prefixlen = 32};

	a.bytes[0] = 10;
	a.bytes[1] = n >> 16;
	a.bytes[2] = n >> 8;
	a.bytes[3] = n;
	return a;
}

static unsigned taken(struct rate *r, const struct addr *a, unsigned per_second, uint64_t now,
		      unsigned tries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += rate_take(r, a, per_second, now);
	return n;
}

static void one_source(void **state)
{
	struct rate *r = calloc(1, sizeof(*r));
	struct addr a = host(1);
	uint64_t now = 5000;

	(void)state;
	rate_init(r, 7);
	assert_int_equal(taken(r, &a, 10, now, 100), 10);
	assert_int_equal(taken(r, &a, 10, now + 99, 1), 0);
	assert_int_equal(taken(r, &a, 10, now + 200, 100), 2);
	assert_int_equal(taken(r, &a, 10, now + 3600 * 1000, 100), 10);
	/* A low rate still has a burst. */
	rate_init(r, 7);
	assert_int_equal(taken(r, &a, 1, now, 100), 5);
	assert_int_equal(taken(r, &a, 1, now + 1000, 100), 1);
	free(r);
}

/* A flood from many sources does not use up what another one has: at worst it is given a new burst.
 */
static void many_sources(void **state)
{
	struct rate *r = calloc(1, sizeof(*r));
	struct addr mine = host(0);

	(void)state;
	rate_init(r, 7);
	for (unsigned i = 1; i < 100000; i++) {
		struct addr a = host(i);

		rate_take(r, &a, 10, 5000);
	}
	assert_true(rate_take(r, &mine, 10, 5000));
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_source),
		cmocka_unit_test(many_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
