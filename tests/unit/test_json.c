// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct jv *parse(const char *text)
{
	struct errtext e = {};
	struct jv *v = NULL;

	if (jv_parse(text, strlen(text), &v, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	return v;
}

static void assert_line(const struct jv *v, const char *expected)
{
	size_t len = 0;
	_cleanup_free_ char *line = jv_dump_line(v, &len);

	assert_non_null(line);
	assert_string_equal(line, expected);
	assert_int_equal(len, strlen(expected));
}

static void test_build(void **state)
{
	_cleanup_jv_ struct jv *o = jv_object_new();
	struct jv *a = jv_array_new();
	int r;

	(void)state;
	r = jv_set_string(o, "name", "192.0.2.2");
	r |= jv_set_string(o, "description", NULL);
	r |= jv_set_int(o, "n", -5);
	r |= jv_set_uint(o, "big", UINT64_MAX);
	r |= jv_set_bool(o, "yes", true);
	r |= jv_set_null(o, "none");
	r |= jv_append_string(a, "x");
	r |= jv_append(a, jv_int_new(7));
	r |= jv_set(o, "list", a);
	assert_int_equal(r, 0);
	assert_line(o, "{\"name\":\"192.0.2.2\",\"n\":-5,\"big\":9223372036854775807,\"yes\":true,"
		       "\"none\":null,\"list\":[\"x\",7]}\n");
}

static void test_replacing(void **state)
{
	_cleanup_jv_ struct jv *o = parse("{\"a\":1,\"b\":2}");

	(void)state;
	assert_int_equal(jv_set_string(o, "a", "new"), 0);
	assert_int_equal(jv_set_string(o, "b", NULL), 0);
	assert_line(o, "{\"a\":\"new\"}\n");
}

/* A constructor that failed is noticed at the end, wherever it was. */
static void test_null_adds_up(void **state)
{
	_cleanup_jv_ struct jv *o = jv_object_new();

	(void)state;
	assert_int_equal(jv_set(o, "child", NULL), -ENOMEM);
	assert_int_equal(jv_set(NULL, "child", jv_int_new(1)), -ENOMEM);
	assert_int_equal(jv_set_string(NULL, "a", "b"), -ENOMEM);
	assert_int_equal(jv_set_string(NULL, "a", NULL), -ENOMEM);
	assert_int_equal(jv_append(NULL, jv_int_new(1)), -ENOMEM);
	assert_int_equal(jv_extend(NULL, jv_array_new()), -ENOMEM);
	assert_int_equal(jv_set_int(o, "a", 1) | jv_set(o, "b", NULL) | jv_set_int(o, "c", 2),
			 -ENOMEM);
	assert_null(jv_dump_line(NULL, NULL));
}

static void test_not_utf8(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"gr\xc3\xbc\xc3\x9f", "gr\\u00FC\\u00DF"},
		{"\xf0\x9f\x98\x80", "\\uD83D\\uDE00"},
		{"a\xff"
		 "b",
		 "a\\uFFFDb"},
		{"\xc3", "\\uFFFD"},
		{"\xc0\xaf", "\\uFFFD\\uFFFD"},		   /* overlong */
		{"\xe0\x80\x80", "\\uFFFD\\uFFFD\\uFFFD"}, /* overlong */
		{"\xed\xa0\x80", "\\uFFFD\\uFFFD\\uFFFD"}, /* surrogate */
		{"\xf4\x90\x80\x80", "\\uFFFD\\uFFFD\\uFFFD\\uFFFD"},
		{"\xe2\x82", "\\uFFFD\\uFFFD"},
		{"\x1b[31m", "\\u001B[31m"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_jv_ struct jv *o = jv_object_new();
		char expected[128];

		snprintf(expected, sizeof(expected), "{\"s\":\"%s\"}\n", cases[i][1]);
		assert_int_equal(jv_set_string(o, "s", cases[i][0]), 0);
		assert_line(o, expected);
	}
}

static void test_merge(void **state)
{
	_cleanup_jv_ struct jv *a =
		parse("{\"n\":1,\"failures\":{\"pin\":2},\"name\":\"x\",\"list\":[1]}");
	_cleanup_jv_ struct jv *b = parse("{\"n\":4,\"failures\":{\"pin\":1,\"name\":5},\"more\":{"
					  "\"k\":1},\"name\":\"y\",\"list\":[2,3]}");

	(void)state;
	assert_int_equal(jv_add_counters(a, b), 0);
	assert_int_equal(jv_extend(jv_get_mutable(a, "list"), jv_take(b, "list")), 0);
	assert_null(jv_get(b, "list"));
	assert_null(jv_take(b, "list"));
	assert_line(a, "{\"n\":5,\"failures\":{\"pin\":3,\"name\":5},\"name\":\"x\",\"list\":[1,2,"
		       "3],\"more\":{\"k\":1}}\n");
}

static void test_add_saturates(void **state)
{
	_cleanup_jv_ struct jv *o = jv_object_new();

	(void)state;
	assert_int_equal(jv_set_uint(o, "n", UINT64_MAX), 0);
	assert_int_equal(jv_add_int(o, "n", 5), 0);
	assert_true(jv_get_int(o, "n", 0) == INT64_MAX);
	assert_int_equal(jv_set_int(o, "n", INT64_MIN), 0);
	assert_int_equal(jv_add_int(o, "n", -1), 0);
	assert_true(jv_get_int(o, "n", 0) == INT64_MIN);
}

static void test_forgiving(void **state)
{
	_cleanup_jv_ struct jv *o = parse("{\"s\":\"x\",\"n\":3,\"b\":false,\"z\":null,\"r\":1.5}");

	(void)state;
	assert_string_equal(jv_get_string(o, "s", "?"), "x");
	assert_string_equal(jv_get_string(o, "n", "?"), "?");
	assert_string_equal(jv_get_string(o, "z", "?"), "?");
	assert_string_equal(jv_get_string(NULL, "s", "?"), "?");
	assert_int_equal(jv_get_int(o, "n", 9), 3);
	assert_int_equal(jv_get_int(o, "r", 9), 9);
	assert_int_equal(jv_get_int(o, "absent", 9), 9);
	assert_false(jv_get_bool(o, "b", true));
	assert_true(jv_get_bool(o, "s", true));
	assert_int_equal(jv_size(o), 5);
	assert_int_equal(jv_size(NULL), 0);
	assert_null(jv_at(o, 0));
}

static void test_iteration(void **state)
{
	_cleanup_jv_ struct jv *o = parse("{\"b\":1,\"a\":2,\"c\":3}");
	_cleanup_jv_ struct jv *empty = parse("{}");
	char seen[8] = "";

	(void)state;
	for (struct jv_iter it = {}; jv_next(o, &it);) {
		strcat(seen, it.key);
		assert_int_equal(jv_int(it.value, 0), strlen(seen));
	}
	assert_string_equal(seen, "bac");
	for (struct jv_iter it = {}; jv_next(empty, &it);)
		fail();
	for (struct jv_iter it = {}; jv_next(NULL, &it);)
		fail();
}

static void test_cursor_paths(void **state)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{"{\"neighbors\":[{\"since\":1,\"tls\":{\"version\":\"x\",\"sans\":[\"a\"]}}],"
		 "\"up\":true}",
		 ""},
		{"{\"neighbors\":null,\"up\":null}", ""},
		{"{\"neighbors\":[{},{},{\"since\":\"now\"}]}",
		 "neighbors[2].since: expected an integer"},
		{"{\"neighbors\":[{\"since\":1.5}]}", "neighbors[0].since: expected an integer"},
		{"{\"neighbors\":[{\"tls\":{\"version\":3}}]}",
		 "neighbors[0].tls.version: expected a string"},
		{"{\"neighbors\":[{\"tls\":[]}]}", "neighbors[0].tls: expected an object"},
		{"{\"neighbors\":[{\"tls\":{\"sans\":[\"a\",1]}}]}",
		 "neighbors[0].tls.sans[1]: expected a string"},
		{"{\"neighbors\":[7]}", "neighbors[0]: expected an object"},
		{"{\"neighbors\":{}}", "neighbors: expected an array"},
		{"{\"up\":1}", "up: expected true or false"},
		{"{\"up\":1,\"neighbors\":7}",
		 "neighbors: expected an array"}, /* the first one that is met */
		{"[]", "expected an object"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_jv_ struct jv *v = parse(cases[i].text);
		struct errtext problem;
		struct jv_cursor at = jv_enter(v, &problem),
				 neighbors = jv_read_array(&at, "neighbors");

		for (size_t n = 0; n < jv_size(neighbors.value); n++) {
			struct jv_cursor neighbor = jv_read_item(&neighbors, n);
			struct jv_cursor tls = jv_read_object(&neighbor, "tls");
			struct jv_cursor sans = jv_read_array(&tls, "sans");

			jv_read_int(&neighbor, "since", 0);
			jv_read_string(&tls, "version", "");
			for (size_t k = 0; k < jv_size(sans.value); k++)
				jv_read_string_item(&sans, k, "");
		}
		jv_read_bool(&at, "up", false);
		assert_string_equal(problem.text, cases[i].problem);
		assert_int_equal(jv_bad(&at), cases[i].problem[0] != '\0');
	}
}

static void test_cursor_values(void **state)
{
	_cleanup_jv_ struct jv *v = parse("{\"n\":5,\"s\":\"x\",\"b\":true,\"bad\":\"7\"}");
	struct errtext problem;
	struct jv_cursor at = jv_enter(v, &problem);

	(void)state;
	assert_int_equal(jv_need_int(&at, "n"), 5);
	assert_string_equal(jv_need_string(&at, "s"), "x");
	assert_true(jv_read_bool(&at, "b", false));
	assert_int_equal(jv_read_int(&at, "absent", -3), -3);
	assert_false(jv_bad(&at));
	assert_int_equal(jv_read_int(&at, "bad", 11), 11);
	assert_string_equal(problem.text, "bad: expected an integer");
	at = jv_enter(v, &problem);
	assert_null(jv_need_string(&at, "command"));
	assert_string_equal(problem.text, "command: missing");
	at = jv_enter(v, &problem);
	jv_complain(&at, "s", "not an address");
	assert_string_equal(problem.text, "s: not an address");
}

/* Far more path than the text holds is cut, and nothing else. */
static void test_long_path(void **state)
{
	char key[400];
	struct errtext problem;
	_cleanup_jv_ struct jv *o = jv_object_new();
	struct jv_cursor at, inner;

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(jv_set(o, key, parse("{\"n\":\"x\"}")), 0);
	at = jv_enter(o, &problem);
	inner = jv_read_object(&at, key);
	jv_read_int(&inner, "n", 0);
	assert_true(jv_bad(&at));
	assert_memory_equal(problem.text, key, 100);
	assert_non_null(strstr(problem.text, ": expected an integer"));
}

static void test_parse_refuses(void **state)
{
	static const char *const cases[] = {
		"",
		"{",
		"{}{}",
		"{\"a\":1,\"a\":2}",
		"{\"a\":\"\\u0000\"}",
		"\"\xff\"",
		"{'a':1}",
		"[1,]",
		"nul",
		"{\"a\"}",
		"\"\n\"",
		"123456789012345678901234567890",
		"1e9999",
		"{}\"x",
		"{\"\":1]",
	};
	struct jv *v = (struct jv *)&cases; /* untouched on failure */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errtext e = {};

		if (jv_parse(cases[i], strlen(cases[i]), &v, &e) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_true(e.text[0]);
		assert_ptr_equal(v, &cases);
		assert_int_equal(jv_parse(cases[i], strlen(cases[i]), &v, NULL), -EINVAL);
	}
	assert_int_equal(jv_parse("{\0}", 3, &v, NULL), -EINVAL);
}

static void test_parse_depth(void **state)
{
	char text[2 * JV_DEPTH_MAX + 3];
	struct jv *v = NULL;
	struct errtext e;

	(void)state;
	memset(text, '[', JV_DEPTH_MAX);
	memset(text + JV_DEPTH_MAX, ']', JV_DEPTH_MAX);
	assert_int_equal(jv_parse(text, 2 * JV_DEPTH_MAX, &v, &e), 0);
	jv_free(v);
	memset(text, '[', JV_DEPTH_MAX + 1);
	memset(text + JV_DEPTH_MAX + 1, ']', JV_DEPTH_MAX + 1);
	assert_int_equal(jv_parse(text, 2 * JV_DEPTH_MAX + 2, &v, &e), -EINVAL);
	assert_non_null(strstr(e.text, "deeper"));
	/* Brackets in strings do not count, escaped quotes do not end them. */
	v = parse("{\"a\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[[[\"}");
	jv_free(v);
}

static void test_parse_size(void **state)
{
	char text[] = "{}";
	struct jv *v;
	struct errtext e;

	(void)state;
	assert_int_equal(jv_parse(text, JV_TEXT_MAX + 1, &v, &e), -E2BIG); /* not looked at */
}

static void test_null(void **state)
{
	_cleanup_jv_ struct jv *v = parse("{\"a\": null, \"b\": 0}");

	(void)state;
	assert_true(jv_is_null(jv_get(v, "a")));
	assert_false(jv_is_null(jv_get(v, "b")));
	assert_false(jv_is_null(jv_get(v, "absent")));
}

static void test_round_trip(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2,true,false,null,\"x\\u00E4\\n\"],\"b\":{\"c\":[]}}\n";
	_cleanup_jv_ struct jv *v = parse(text), *copy = jv_copy(v);

	(void)state;
	assert_line(v, text);
	assert_int_equal(jv_set_int(v, "a", 1), 0);
	assert_line(copy, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build),	     cmocka_unit_test(test_replacing),
		cmocka_unit_test(test_null_adds_up), cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_merge),	     cmocka_unit_test(test_add_saturates),
		cmocka_unit_test(test_forgiving),    cmocka_unit_test(test_iteration),
		cmocka_unit_test(test_cursor_paths), cmocka_unit_test(test_cursor_values),
		cmocka_unit_test(test_long_path),    cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_depth),  cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
