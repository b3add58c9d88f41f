// SPDX-License-Identifier: Apache-2.0
#include "bgp_open_edit.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define MARKER "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
#define FIXED  "\x04\xfb\xf4\x00\x5a\xc0\x00\x02\x02"
#define CODE   "\xf7"
#define OURS                                                                                       \
	CODE "\x04"                                                                                \
	     "bA"                                                                                  \
	     "\x01\x02"

static const struct bgp_capability ours = {0xf7, 4, (const uint8_t *)"bA\x01\x02"};
static const struct bgp_capability mark = {0xf7, 2, (const uint8_t *)"bA"};

struct message {
	uint8_t data[BGP_OPEN_MAX];
	size_t len;
};

/* `rest`: what follows the fixed part, the length of the parameters included. */
static struct message open_of(const char *rest, size_t len)
{
	struct message m = {.len = BGP_HEADER_LEN + 9 + len};

	memcpy(m.data, MARKER, 16);
	m.data[16] = m.len >> 8;
	m.data[17] = m.len;
	m.data[18] = 1;
	memcpy(m.data + 19, FIXED, 9);
	memcpy(m.data + 28, rest, len);
	return m;
}
#define OPEN(rest) open_of(rest, sizeof(rest) - 1)

static void assert_same(const struct message *a, const struct message *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

/* Of any length, without capabilities to look into. */
static struct message filled(size_t params, bool is_extended)
{
	static char rest[BGP_OPEN_MAX];
	size_t head = is_extended ? 4 : 1, octets = is_extended ? 2 : 1;
	size_t value = params - 1 - octets;

	memset(rest, 0, sizeof(rest));
	rest[0] = (char)(is_extended ? 255 : params);
	if (is_extended)
		memcpy(rest + 1, (char[]){255, params >> 8, params}, 3);
	rest[head] = 9;
	if (is_extended)
		rest[head + 1] = value >> 8;
	rest[head + octets] = value;
	return open_of(rest, head + params);
}

static void check_add(struct message m, struct message expected)
{
	struct message before = m;
	uint8_t value[8];
	size_t len;
	int r = bgp_open_add_capability(m.data, m.len, &ours);

	assert_true(r > 0);
	m.len = r;
	assert_same(&m, &expected);
	r = bgp_open_take_capability(m.data, m.len, &mark, value, sizeof(value), &len);
	assert_true(r > 0);
	m.len = r;
	assert_same(&m, &before);
	assert_int_equal(len, 4);
	assert_memory_equal(value, ours.value, 4);
}

static void adds_and_takes(void **state)
{
	(void)state;
	check_add(OPEN("\x00"), OPEN("\x08\x02\x06" OURS));
	check_add(OPEN("\x04\x02\x02\x02\x00"), OPEN("\x0c\x02\x02\x02\x00\x02\x06" OURS));
	/* A parameter that was empty before is nobody's business. */
	check_add(OPEN("\x02\x02\x00"), OPEN("\x0a\x02\x00\x02\x06" OURS));
	/* RFC 9072; the length in front of it may be any but 0. */
	check_add(OPEN("\xff\xff\x00\x05\x02\x00\x02\x02\x00"),
		  OPEN("\xff\xff\x00\x0e\x02\x00\x02\x02\x00\x02\x00\x06" OURS));
	check_add(OPEN("\x01\xff\x00\x05\x02\x00\x02\x02\x00"),
		  OPEN("\x01\xff\x00\x0e\x02\x00\x02\x02\x00\x02\x00\x06" OURS));
}

static void no_room(void **state)
{
	struct message m, before;

	(void)state;
	for (size_t params = 240; params <= 255; params++) {
		before = m = filled(params, false);
		assert_int_equal(bgp_open_add_capability(m.data, m.len, &ours),
				 params <= 247 ? (int)m.len + 8 : -ENOSPC);
		if (params > 247)
			assert_same(&m, &before);
	}
	for (size_t params = 4050; params <= 4064; params++) {
		before = m = filled(params, true);
		assert_int_equal(bgp_open_add_capability(m.data, m.len, &ours),
				 m.len + 9 <= 4096 ? (int)m.len + 9 : -ENOSPC);
		if (m.len + 9 > 4096)
			assert_same(&m, &before);
	}
}

static void check_take(struct message m, struct message expected, int expected_len)
{
	uint8_t value[3] = "..";
	size_t len = 77;
	int r = bgp_open_take_capability(m.data, m.len, &mark, value, sizeof(value), &len);

	assert_true(r > 0);
	m.len = r;
	assert_same(&m, &expected);
	assert_int_equal(len, expected_len);
	if (expected_len)
		assert_memory_equal(value, "bA\x01", 3);
}

static void takes(void **state)
{
	(void)state;
	/* None; of the same code but somebody else's; in a parameter that holds none. */
	check_take(OPEN("\x00"), OPEN("\x00"), 0);
	check_take(OPEN("\x08\x02\x06" CODE "\x04zz\x01\x02"),
		   OPEN("\x08\x02\x06" CODE "\x04zz\x01\x02"), 0);
	check_take(OPEN("\x05\x02\x03" CODE "\x01"
			"b"),
		   OPEN("\x05\x02\x03" CODE "\x01"
			"b"),
		   0);
	check_take(OPEN("\x08\x01\x06" OURS), OPEN("\x08\x01\x06" OURS), 0);
	/* Between others of one parameter, first, last, twice, and alone between two. */
	check_take(OPEN("\x0c\x02\x0a\x02\x00" OURS "\x46\x00"),
		   OPEN("\x06\x02\x04\x02\x00\x46\x00"), 4);
	check_take(OPEN("\x0a\x02\x08" OURS "\x46\x00"), OPEN("\x04\x02\x02\x46\x00"), 4);
	check_take(OPEN("\x0e\x02\x0c" OURS OURS), OPEN("\x00"), 4);
	check_take(OPEN("\x10\x02\x02\x02\x00\x02\x06" OURS "\x02\x02\x46\x00"),
		   OPEN("\x08\x02\x02\x02\x00\x02\x02\x46\x00"), 4);
	/* What is left of an extended one stays extended, unless nothing is. */
	check_take(OPEN("\xff\xff\x00\x0b\x02\x00\x08" OURS "\x46\x00"),
		   OPEN("\xff\xff\x00\x05\x02\x00\x02\x46\x00"), 4);
	check_take(OPEN("\xff\xff\x00\x09\x02\x00\x06" OURS), OPEN("\x00"), 4);
	/* A longer value: what does not fit is told by its length. */
	check_take(OPEN("\x0a\x02\x08" CODE "\x06"
			"bA\x01\x02\x03\x04"),
		   OPEN("\x00"), 6);
}

static void malformed(void **state)
{
	struct message all[] = {
		OPEN("\x01"),		      /* longer than the message */
		OPEN("\x00\x00"),	      /* shorter */
		OPEN("\x01\x02"),	      /* no length */
		OPEN("\x03\x02\x02\x02"),     /* a parameter past the end */
		OPEN("\x03\x02\x01\x02"),     /* a capability without a length */
		OPEN("\x04\x02\x02\x02\x01"), /* past the end of its parameter */
		OPEN("\x08\x02\x05" OURS),    /* ours is */
		OPEN("\x01\xff"),
		OPEN("\xff\xff\x00"), /* RFC 9072 without a length */
		OPEN("\xff\xff\x00\x01"),
		OPEN("\xff\xff\x00\x03\x02\x00\x01"),
		OPEN("\x00"),
		OPEN("\x00"),
		OPEN("\x00"),
		OPEN("\x00"),
		OPEN("\x00"),
	};
	size_t n = ARRAY_SIZE(all), len;
	uint8_t value[8];

	(void)state;
	all[n - 5].data[15] = 0;  /* its marker */
	all[n - 1].data[18] = 4;  /* no OPEN */
	all[n - 2].data[17]++;	  /* another length */
	all[n - 3].len = 28;	  /* cut off */
	all[n - 4].data[16] = 16; /* 4,125 octets */
	all[n - 4].len = BGP_OPEN_MAX;
	for (size_t i = 0; i < n; i++) {
		struct message m = all[i];

		assert_int_equal(bgp_open_add_capability(m.data, m.len, &ours), -EBADMSG);
		assert_int_equal(
			bgp_open_take_capability(m.data, m.len, &mark, value, sizeof(value), &len),
			-EBADMSG);
		assert_same(&m, &all[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_and_takes),
		cmocka_unit_test(no_room),
		cmocka_unit_test(takes),
		cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
