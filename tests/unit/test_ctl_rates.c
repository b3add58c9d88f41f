// SPDX-License-Identifier: Apache-2.0
#include "ctl_rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct jv *parse(const char *text)
{
	struct errtext e = {};
	struct jv *v = NULL;

	if (jv_parse(text, strlen(text), &v, &e) < 0)
		fail_msg("%s", e.text);
	return v;
}

#define SESSION(id, worker, port, bytes_in, bytes_out, updates)                                    \
	"{\"id\":" #id ",\"worker\":" #worker ",\"peer_port\":8179,\"local_port\":" #port          \
	",\"in\":{\"bytes\":" #bytes_in ",\"messages\":{\"update\":" #updates                      \
	"}},\"out\":{\"bytes\":" #bytes_out ",\"messages\":{\"keepalive\":1}}}"
#define NEIGHBOR(name, state, sessions)                                                            \
	"{\"name\":\"" name "\",\"state\":\"" state "\",\"bgp\":\"x\",\"sessions\":[" sessions "]" \
	"}"

static struct ctl_rates rates(const char *before, size_t hint, const char *now, double seconds)
{
	_cleanup_jv_ struct jv *list = before ? parse(before) : NULL;
	_cleanup_jv_ struct jv *neighbor = parse(now);
	struct ctl_rates r;

	ctl_rates_of(list, hint, neighbor, seconds, &r);
	return r;
}

static void assert_rates(struct ctl_rates r, double in, double out, double messages, bool changed)
{
	assert_float_equal(r.bytes_in, in, 0.001);
	assert_float_equal(r.bytes_out, out, 0.001);
	assert_float_equal(r.messages, messages, 0.001);
	assert_int_equal(r.has_changed, changed);
}

static void test_difference(void **state)
{
	static const char now[] = NEIGHBOR("a", "up", SESSION(1, 0, 5, 1100, 250, 14));

	(void)state;
	assert_rates(rates("[" NEIGHBOR("a", "up", SESSION(1, 0, 5, 100, 50, 4)) "]", 0, now, 2),
		     500, 100, 5, false);
	/* Nothing to compare with yet. */
	assert_rates(rates(NULL, 0, now, 2), 0, 0, 0, false);
	/* No time has passed. */
	assert_rates(rates("[" NEIGHBOR("a", "up", SESSION(1, 0, 5, 100, 50, 4)) "]", 0, now, 0), 0,
		     0, 0, false);
}

/* Neighbors that were added before it moved it. */
static void test_place(void **state)
{
	static const char before[] = "[" NEIGHBOR("b", "up", "") "," NEIGHBOR(
		"a", "up", SESSION(1, 0, 5, 100, 50, 4)) "]";
	static const char now[] = NEIGHBOR("a", "up", SESSION(1, 0, 5, 200, 50, 4));

	(void)state;
	assert_rates(rates(before, 0, now, 1), 100, 0, 0, false);
	assert_rates(rates(before, 1, now, 1), 100, 0, 0, false);
	assert_rates(rates(before, 9, now, 1), 100, 0, 0, false);
}

static void test_changes(void **state)
{
	static const char now[] = NEIGHBOR("a", "up", SESSION(2, 0, 6, 300, 100, 2));

	(void)state;
	/* A session that is new, also one that has an old one's number in a new worker. */
	assert_rates(rates("[" NEIGHBOR("a", "up", SESSION(1, 0, 5, 900, 900, 9)) "]", 0, now, 1),
		     300, 100, 3, true);
	assert_rates(rates("[" NEIGHBOR("a", "up", SESSION(2, 0, 5, 900, 900, 9)) "]", 0, now, 1),
		     300, 100, 3, true);
	assert_rates(rates("[" NEIGHBOR("a", "up", SESSION(2, 1, 6, 900, 900, 9)) "]", 0, now, 1),
		     300, 100, 3, true);
	assert_rates(rates("[" NEIGHBOR("a", "held", SESSION(2, 0, 6, 300, 100, 2)) "]", 0, now, 1),
		     0, 0, 0, true);
	/* A neighbor that is new. */
	assert_rates(rates("[]", 0, now, 1), 300, 100, 3, true);
	/* Counters that went back. */
	assert_rates(rates("[" NEIGHBOR("a", "up", SESSION(2, 0, 6, 900, 90, 1)) "]", 0, now, 1), 0,
		     10, 1, false);
}

static void test_sum(void **state)
{
	struct ctl_rates sum = {}, one = {1, 2, 3, false}, two = {10, 20, 30, true};

	(void)state;
	ctl_rates_add(&sum, &one);
	ctl_rates_add(&sum, &two);
	assert_rates(sum, 11, 22, 33, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
