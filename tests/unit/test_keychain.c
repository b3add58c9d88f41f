// SPDX-License-Identifier: Apache-2.0
/* Lifetimes of TCP-AO keys: what is accepted and sent when, and what a chain lacks. */
#include "keychain.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define KEY(id, sf, su, af, au)                                                                    \
	{                                                                                          \
		.send_id = (id), .recv_id = (id), .secret = (char *)"s", .send_from = (sf),        \
		.send_until = (su), .accept_from = (af), .accept_until = (au)                      \
	}
#define CHAIN(list)                                                                                \
	{                                                                                          \
		.name = "c", .keys = (list), .n = ARRAY_SIZE(list)                                 \
	}

/* 1 is sent from 100 until 200, 2 from 200 until 300; each is accepted 20 longer at both ends. */
static const struct keychain_key overlapping[] = {
	KEY(1, 100, 200, 80, 220),
	KEY(2, 200, 300, 180, 320),
};
static const struct keychain rolling = CHAIN(overlapping);

static unsigned accepted(const struct keychain *c, uint64_t now)
{
	unsigned set = 0;

	for (size_t i = 0; i < c->n; i++)
		set |= keychain_is_accepted(&c->keys[i], now) << c->keys[i].send_id;
	return set;
}

static int preferred(const struct keychain *c, uint64_t now)
{
	const struct keychain_key *k = keychain_preferred(c, now);

	return k ? k->send_id : -1;
}

static void a_lifetime_begins_and_ends_on_the_second(void **state)
{
	static const struct {
		uint64_t now;
		unsigned accepted; /* bit per id */
		int preferred;
		uint64_t next;
	} moments[] = {
		{0, 0, -1, 80},	   {79, 0, -1, 80},   {80, 2, -1, 100}, {99, 2, -1, 100},
		{100, 2, 1, 180},  {179, 2, 1, 180},  {180, 6, 1, 200}, {199, 6, 1, 200},
		{200, 6, 2, 220},  {219, 6, 2, 220},  {220, 4, 2, 300}, {299, 4, 2, 300},
		{300, 4, -1, 320}, {319, 4, -1, 320}, {320, 0, -1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
		assert_int_equal(accepted(&rolling, moments[i].now), moments[i].accepted);
		assert_int_equal(preferred(&rolling, moments[i].now), moments[i].preferred);
		assert_int_equal(keychain_next_change(&rolling, moments[i].now), moments[i].next);
	}
}

static void without_limits_a_key_is_always_good(void **state)
{
	static const struct keychain_key one[] = {KEY(7, 0, 0, 0, 0)};
	static const struct keychain c = CHAIN(one);
	uint64_t begin, end;

	(void)state;
	assert_int_equal(preferred(&c, 0), 7);
	assert_int_equal(preferred(&c, UINT64_MAX), 7);
	assert_int_equal(keychain_next_change(&c, 5), 0);
	assert_false(keychain_gap(&c, 5, &begin, &end));
	assert_true(keychain_is_steady(&c, 0, UINT64_MAX));
}

/* The newest; of two that begin together, the last in the order of the chain. */
static void the_newest_is_preferred(void **state)
{
	static const struct keychain_key keys[] = {KEY(1, 0, 0, 0, 0), KEY(2, 10, 30, 10, 30),
						   KEY(3, 20, 0, 20, 0), KEY(4, 20, 25, 20, 0)};
	static const struct keychain c = CHAIN(keys);

	(void)state;
	assert_int_equal(preferred(&c, 9), 1);
	assert_int_equal(preferred(&c, 10), 2);
	assert_int_equal(preferred(&c, 20), 4);
	assert_int_equal(preferred(&c, 25), 3);
	assert_int_equal(preferred(&c, 99), 3);
}

static void a_clock_that_jumps_is_noticed(void **state)
{
	(void)state;
	assert_true(keychain_is_steady(&rolling, 100, 179));
	assert_false(keychain_is_steady(&rolling, 100, 180));
	assert_false(keychain_is_steady(&rolling, 179, 200));
	assert_false(keychain_is_steady(&rolling, 199, 200)); /* the same keys, another one sent */
	assert_false(keychain_is_steady(&rolling, 250, 150)); /* back */
	assert_true(keychain_is_steady(&rolling, 0, 1000));   /* no key before, none after */
}

static void gaps_are_found(void **state)
{
	static const struct keychain_key holes[] = {KEY(1, 100, 200, 0, 0), KEY(2, 250, 300, 0, 0),
						    KEY(3, 280, 400, 0, 0)};
	static const struct keychain c = CHAIN(holes);
	uint64_t begin, end;

	(void)state;
	assert_true(keychain_gap(&c, 50, &begin, &end));
	assert_true(begin == 50 && end == 100);
	assert_true(keychain_gap(&c, 100, &begin, &end));
	assert_true(begin == 200 && end == 250);
	assert_true(keychain_gap(&c, 220, &begin, &end));
	assert_true(begin == 220 && end == 250);
	assert_true(keychain_gap(&c, 250, &begin, &end));
	assert_true(begin == 400 && end == 0);
	assert_true(keychain_gap(&c, 500, &begin, &end));
	assert_true(begin == 500 && end == 0);
}

static void keys_meet_when_their_times_overlap(void **state)
{
	static const struct keychain_key k[] = {
		KEY(1, 0, 0, 10, 20), KEY(1, 0, 0, 20, 30), KEY(1, 0, 0, 19, 25),
		KEY(1, 0, 0, 0, 0),   KEY(1, 0, 0, 0, 10),  KEY(1, 0, 0, 25, 0),
	};
	static const bool meets[6][6] = {
		{1, 0, 1, 1, 0, 0}, {0, 1, 1, 1, 0, 1}, {1, 1, 1, 1, 0, 0},
		{1, 1, 1, 1, 1, 1}, {0, 0, 0, 1, 1, 0}, {0, 1, 0, 1, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < 6; j++)
			if (keychain_keys_meet(&k[i], &k[j]) != meets[i][j])
				fail_msg("keys %zu and %zu", i, j);
}

/* An id may come again; what is asked for is the key of now, else the last that had it. */
static void ids_find_keys(void **state)
{
	static const struct keychain_key keys[] = {
		KEY(1, 0, 100, 0, 100), KEY(2, 100, 200, 100, 200), KEY(1, 200, 300, 200, 300)};
	static const struct keychain c = CHAIN(keys);

	(void)state;
	assert_ptr_equal(keychain_sender(&c, 1, 50), &keys[0]);
	assert_ptr_equal(keychain_sender(&c, 1, 250), &keys[2]);
	assert_ptr_equal(keychain_sender(&c, 1, 150), &keys[2]);
	assert_ptr_equal(keychain_receiver(&c, 2, 0), &keys[1]);
	assert_null(keychain_sender(&c, 9, 50));
	assert_null(keychain_receiver(&c, 9, 50));
}

static void what_breaks_connections(void **state)
{
	static const struct keychain_key other_secret[] = {
		{.send_id = 1, .recv_id = 1, .secret = (char *)"t"}};
	static const struct keychain_key one_id[] = {
		{.send_id = 1, .recv_id = 9, .secret = (char *)"s"}};
	static const struct keychain_key other_algorithm[] = {{.send_id = 1,
							       .recv_id = 1,
							       .secret = (char *)"s",
							       .algorithm = TCP_AO_HMAC_SHA1_96}};
	static const struct keychain_key same[] = {KEY(1, 0, 0, 0, 0)};
	static const struct keychain_key next[] = {KEY(2, 0, 0, 0, 0)};
	/* The key in use is another one, but it can go: the next one is what is sent with. */
	static const struct keychain_key both[] = {
		{.send_id = 1, .recv_id = 1, .secret = (char *)"t"}, KEY(2, 1, 0, 1, 0)};
	static const struct {
		struct keychain after;
		bool breaks;
	} cases[] = {
		{CHAIN(other_secret), true}, {CHAIN(one_id), true}, {CHAIN(other_algorithm), true},
		{CHAIN(same), false},	     {CHAIN(next), false},  {CHAIN(both), false},
		{{.n = 0}, false},
	};
	static const struct keychain before = CHAIN(same);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (keychain_breaks(&before, &cases[i].after, 50) != cases[i].breaks)
			fail_msg("case %zu", i);
	/* What is not in use yet may be corrected. */
	assert_false(keychain_breaks(&rolling, &cases[0].after, 250));
	assert_true(keychain_breaks(&rolling, &cases[0].after, 150));
}

static void names_and_times_count_for_equality_only(void **state)
{
	static const struct keychain_key times[] = {KEY(1, 100, 200, 80, 220),
						    KEY(2, 200, 300, 180, 321)};
	static const struct keychain other = CHAIN(times);
	struct keychain renamed = rolling;

	(void)state;
	assert_true(keychain_equal(&rolling, &rolling));
	assert_false(keychain_equal(&rolling, &other));
	assert_false(keychain_breaks(&rolling, &other, 250));
	renamed.name = "d";
	assert_false(keychain_equal(&rolling, &renamed));
	renamed.name = NULL;
	assert_false(keychain_equal(&rolling, &renamed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lifetime_begins_and_ends_on_the_second),
		cmocka_unit_test(without_limits_a_key_is_always_good),
		cmocka_unit_test(the_newest_is_preferred),
		cmocka_unit_test(a_clock_that_jumps_is_noticed),
		cmocka_unit_test(gaps_are_found),
		cmocka_unit_test(keys_meet_when_their_times_overlap),
		cmocka_unit_test(ids_find_keys),
		cmocka_unit_test(what_breaks_connections),
		cmocka_unit_test(names_and_times_count_for_equality_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
