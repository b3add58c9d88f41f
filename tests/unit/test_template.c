// SPDX-License-Identifier: Apache-2.0
/* Every rule of the templates, every mistake with its line, and the bounds. */
#include "template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define VALUES                                                                                     \
	"{\"s\":\"text\",\"n\":-7,\"zero\":0,\"yes\":true,\"no\":false,\"null\":null,"             \
	"\"none\":[],\"blank\":\"\",\"list\":[\"a\",\"b\",3],"                                     \
	"\"items\":[{\"s\":\"one\",\"in\":[1,2]},{\"k\":\"two\",\"in\":[]}],"                      \
	"\"o\":{\"s\":\"inner\"},\"tag\":\"{{n}}\",\"real\":1.5}"

static int fill(const char *text, char **ret, struct errtext *e)
{
	_cleanup_jv_ struct jv *values = NULL;

	if (jv_parse(VALUES, strlen(VALUES), &values, e) < 0)
		fail_msg("%s", e->text);
	return template_fill("t.tmpl", text, values, ret, e);
}

static void assert_fills(const char *text, const char *expected)
{
	_cleanup_free_ char *got = NULL;
	struct errtext e = {};

	if (fill(text, &got, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	assert_string_equal(got, expected);
}

static void assert_refused(const char *text, const char *problem)
{
	char *got = (char *)"untouched";
	struct errtext e = {};

	assert_int_equal(fill(text, &got, &e), -EINVAL);
	assert_string_equal(e.text, problem);
	assert_string_equal(got, "untouched");
}

static void test_values(void **state)
{
	(void)state;
	assert_fills("", "");
	assert_fills("no tag { } { {x} }}\n", "no tag { } { {x} }}\n");
	assert_fills("{{s}} {{n}} {{ s }}{{zero}}|{{blank}}|", "text -7 text0||");
	assert_fills("{{tag}}", "{{n}}"); /* what is put in is not looked at again */
	assert_fills("a{{s}}\nb\r\n", "atext\nb\r\n");
}

static void test_sections(void **state)
{
	(void)state;
	assert_fills("{{#list}}<{{.}}>{{/list}}", "<a><b><3>");
	assert_fills("{{#yes}}y{{/yes}}{{#s}}s{{.}}{{/s}}{{#zero}}0{{/zero}}{{#blank}}b{{/blank}}",
		     "ystext0b");
	assert_fills("{{#no}}x{{/no}}{{#null}}x{{/null}}{{#none}}x{{/none}}{{#absent}}x{{/absent}}",
		     "");
	assert_fills("{{#o}}{{s}} {{n}}{{/o}}", "inner -7");
	assert_fills("{{#items}}{{s}}:{{#in}}{{.}},{{/in}};{{/items}}", "one:1,2,;text:;");
	assert_fills("{{#yes}}{{#yes}}{{s}}{{/yes}}{{/yes}}", "text");
	assert_fills("{{#o}}{{#yes}}{{s}}{{/yes}}{{/o}}", "inner"); /* true is no item of its own */
}

static void test_inverted(void **state)
{
	(void)state;
	assert_fills("{{^no}}a{{/no}}{{^null}}b{{/null}}{{^none}}c{{/none}}{{^absent}}d{{/absent}}",
		     "abcd");
	assert_fills("{{^yes}}x{{/yes}}{{^s}}x{{/s}}{{^zero}}x{{/zero}}{{^blank}}x{{/blank}}"
		     "{{^list}}x{{/list}}{{^o}}x{{/o}}",
		     "");
	/* a value that is missing matters only where it is used */
	assert_fills("{{#absent}}{{gone}}{{/absent}}{{^list}}{{gone}}{{/list}}", "");
}

static void test_lines(void **state)
{
	(void)state;
	assert_fills("a\n{{#yes}}\n\tb\n{{/yes}}\nc\n", "a\n\tb\nc\n");
	assert_fills("a\n  {{#no}}  \nb\n  {{/no}}\t\nc", "a\nc");
	assert_fills("{{! one }}\na\n{{!\n more\n lines {{ \n}}\nb\n", "a\nb\n");
	assert_fills("{{#yes}}{{^no}}\nx\n{{/no}}{{/yes}}", "x\n"); /* several tags alone, too */
	assert_fills("a {{! said }} b\n", "a  b\n");
	assert_fills("{{#yes}} x\n{{/yes}}", " x\n");
	assert_fills("\n{{#yes}}\n\n{{/yes}}\n\n", "\n\n\n"); /* empty lines of its own stay */
	assert_fills("{{blank}}\n", "\n");
	assert_fills("{{#yes}}\r\nx\r\n{{/yes}}\r\n", "x\r\n");
}

static void test_mistakes(void **state)
{
	(void)state;
	assert_refused("a\nb {{gone}}\n", "t.tmpl:2: there is no value 'gone'");
	assert_refused("{{null}}", "t.tmpl:1: there is no value 'null'");
	assert_refused("{{real}}", "t.tmpl:1: there is no value 'real'");
	assert_refused("{{!\n\n}}\n{{yes}}", "t.tmpl:4: neither text nor a number: 'yes'");
	assert_refused("{{no}}", "t.tmpl:1: neither text nor a number: 'no'");
	assert_refused("{{list}}", "t.tmpl:1: neither text nor a number: 'list'");
	assert_refused("{{.}}", "t.tmpl:1: neither text nor a number: '.'");
	assert_refused("\n{{s", "t.tmpl:2: this tag does not end: '}}' is missing");
	assert_refused("{{s\n}}", "t.tmpl:1: this tag does not end: '}}' is missing");
	assert_refused("{{! \n", "t.tmpl:1: this tag does not end: '}}' is missing");
	assert_refused("{{}}", "t.tmpl:1: not the name of a value: ''");
	assert_refused("{{a b}}", "t.tmpl:1: not the name of a value: 'a b'");
	assert_refused("{{{s}}}", "t.tmpl:1: not the name of a value: '{s'");
	assert_refused("{{>s}}", "t.tmpl:1: not the name of a value: '>s'");
	assert_refused("{{/s}}", "t.tmpl:1: there is no section to end: 's'");
	assert_refused("{{#no}}\n{{#s}}\n{{/no}}{{/s}}",
		       "t.tmpl:3: the section 's' of line 2 is still open here, not 'no'");
	assert_refused("x\n{{^s}}\n\n", "t.tmpl:2: this section does not end: 's'");
	/* also in what is not written */
	assert_refused("{{#no}}\n{{#}}{{/}}{{/no}}", "t.tmpl:2: not the name of a value: ''");
}

static void test_depth(void **state)
{
	char text[600] = "";

	(void)state;
	for (int i = 0; i < 16; i++)
		strcat(text, "{{#yes}}");
	strcat(text, "x");
	for (int i = 0; i < 16; i++)
		strcat(text, "{{/yes}}");
	assert_fills(text, "x");
	memset(text, 0, sizeof(text));
	for (int i = 0; i < 17; i++)
		strcat(text, "{{#yes}}");
	assert_refused(text, "t.tmpl:1: sections are nested too deeply at 'yes'");
}

static struct jv *many(size_t n)
{
	struct jv *o = jv_object_new(), *a = jv_array_new();

	for (size_t i = 0; i < n; i++)
		assert_int_equal(jv_append(a, jv_int_new(1234567)), 0);
	assert_int_equal(jv_set(o, "a", a), 0);
	return o;
}

static void test_bounds(void **state)
{
	_cleanup_jv_ struct jv *values = many(3000);
	_cleanup_free_ char *long_text = malloc((1 << 20) + 2);
	struct errtext e;
	char *got = NULL;

	(void)state;
	assert_int_equal(template_fill("t", "{{#a}}{{#a}}{{.}}{{/a}}{{/a}}", values, &got, &e),
			 -EFBIG);
	assert_string_equal(e.text, "t: gives more than 32 MB of text");
	assert_int_equal(
		template_fill("t", "{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}", values, &got, &e),
		-EFBIG);
	assert_string_equal(e.text, "t:1: the sections repeat each other without end");
	memset(long_text, 'x', (1 << 20) + 1);
	long_text[(1 << 20) + 1] = '\0';
	assert_int_equal(template_fill("t", long_text, values, &got, &e), -EFBIG);
	assert_string_equal(e.text, "t: has more than 1048576 bytes");
	assert_null(got);
	long_text[1 << 20] = '\0';
	assert_int_equal(template_fill("t", long_text, values, &got, &e), 0);
	assert_string_equal(got, long_text);
	free(got);
}

static void test_builtin(void **state)
{
	(void)state;
	assert_null(template_builtin("nosuch"));
	assert_non_null(strstr(template_builtin("bird"), "protocol bgp {{name}} {\n"));
	assert_non_null(strstr(template_builtin("frr"), "router bgp {{asn}}\n"));
	/* whole, and nothing behind */
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "frr" : "bird";
		_cleanup_free_ char *path = NULL, *text = NULL;
		_cleanup_fclose_ FILE *f = NULL;
		size_t len = 0;

		assert_true(asprintf(&path, "provision/templates/%s.tmpl", name) > 0);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_true(getdelim(&text, &len, '\0', f) > 0);
		assert_string_equal(template_builtin(name), text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	 cmocka_unit_test(test_sections),
		cmocka_unit_test(test_inverted), cmocka_unit_test(test_lines),
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_bounds),	 cmocka_unit_test(test_builtin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
