// SPDX-License-Identifier: Apache-2.0
/* FIPS 180-4's own examples. */
#include "tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_examples(void **state)
{
	static const struct {
		const char *text, *hex;
	} cases[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	char hex[TLS_SHA256_HEX_LEN];
	uint8_t raw[TLS_SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(tls_sha256_hex(cases[i].text, strlen(cases[i].text), hex), 0);
		assert_string_equal(hex, cases[i].hex);
	}
	assert_int_equal(tls_sha256("abc", 3, raw), 0);
	assert_int_equal(raw[0], 0xba);
	assert_int_equal(raw[TLS_SHA256_LEN - 1], 0xad);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
