// SPDX-License-Identifier: Apache-2.0
/* Every block byte by byte, as the draft draws it (on a little-endian machine). */
#include "pcapng.h"
#include "segment.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

struct out {
	uint8_t data[PCAPNG_PACKET_MAX + 200000];
	size_t len;
	unsigned n_calls;
	int error;
};

static struct out out;

static int keep(void *arg, const void *block, size_t len)
{
	struct out *o = arg;

	o->n_calls++;
	if (o->error)
		return o->error;
	assert_true(o->len + len <= sizeof(o->data));
	memcpy(o->data + o->len, block, len);
	o->len += len;
	return 0;
}

static const struct pcapng p = {.write = keep, .arg = &out};

static int setup(void **state)
{
	(void)state;
	memset(&out, 0, sizeof(out));
	return 0;
}

#define EXPECT(...)                                                                                \
	do {                                                                                       \
		const uint8_t expected_[] = {__VA_ARGS__};                                         \
		assert_int_equal(out.len, sizeof(expected_));                                      \
		assert_memory_equal(out.data, expected_, sizeof(expected_));                       \
		assert_int_equal(out.n_calls, 1);                                                  \
	} while (0)

static void test_bare_section(void **state)
{
	(void)state;
	assert_int_equal(pcapng_section(&p, &(struct pcapng_section){}), 0);
	EXPECT(0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff,
	       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0);
}

static void test_section(void **state)
{
	(void)state;
	assert_int_equal(pcapng_section(&p, &(struct pcapng_section){.os = "Linux",
								     .application = "abcd",
								     .comment = ""}),
			 0);
	EXPECT(0x0a, 0x0d, 0x0d, 0x0a, 56, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff,
	       0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	       /* os, padded */ 3, 0, 5, 0, 'L', 'i', 'n', 'u', 'x', 0, 0, 0,
	       /* application */ 4, 0, 4, 0, 'a', 'b', 'c', 'd',
	       /* comment, empty */ 1, 0, 0, 0, /* end */ 0, 0, 0, 0, 56, 0, 0, 0);
}

static void test_interface(void **state)
{
	(void)state;
	assert_int_equal(
		pcapng_interface(&p, &(struct pcapng_interface){.linktype = PCAPNG_LINKTYPE_RAW,
								.name = "if",
								.description = "d"}),
		0);
	EXPECT(1, 0, 0, 0, 48, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 'i', 'f', 0, 0, 3, 0,
	       1, 0, 'd', 0, 0, 0, /* nanoseconds */ 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0,
	       0);
}

static void test_packet(void **state)
{
	(void)state;
	assert_int_equal(pcapng_packet(&p, &(struct pcapng_packet){.interface = 2,
								   .time_ns = 0x0102030405060708,
								   .data = "xyz12",
								   .len = 5}),
			 0);
	EXPECT(6, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5, 5, 0, 0, 0, 5, 0, 0, 0,
	       'x', 'y', 'z', '1', '2', 0, 0, 0, 40, 0, 0, 0);
}

static void test_packet_with_options(void **state)
{
	(void)state;
	assert_int_equal(pcapng_packet(&p, &(struct pcapng_packet){.direction = PCAPNG_OUTBOUND,
								   .dropped = 0x1122,
								   .comment = "why"}),
			 0);
	EXPECT(6, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	       /* flags */ 2, 0, 4, 0, 2, 0, 0, 0, /* dropped */ 4, 0, 8, 0, 0x22, 0x11, 0, 0, 0, 0,
	       0, 0, /* comment */ 1, 0, 3, 0, 'w', 'h', 'y', 0, 0, 0, 0, 0, 64, 0, 0, 0);
}

static void test_statistics(void **state)
{
	(void)state;
	assert_int_equal(pcapng_statistics(&p, &(struct pcapng_statistics){.interface = 1,
									   .time_ns = 1,
									   .begin_ns = 2,
									   .end_ns = 1ULL << 32,
									   .received = 3,
									   .dropped = 4,
									   .delivered = 5}),
			 0);
	EXPECT(5, 0, 0, 0, 88, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, /* begin */ 2, 0, 8, 0,
	       0, 0, 0, 0, 2, 0, 0, 0, /* end */ 3, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0,
	       /* received */ 4, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0, /* dropped */ 5, 0, 8, 0, 4, 0, 0,
	       0, 0, 0, 0, 0,
	       /* delivered */ 8, 0, 8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 88, 0, 0, 0);
}

static void test_long_texts_are_cut_between_characters(void **state)
{
	static char text[70000];
	uint16_t len;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text + PCAPNG_TEXT_MAX - 1, "\xc3\xa9", 2);
	assert_int_equal(pcapng_section(&p, &(struct pcapng_section){.comment = text}), 0);
	memcpy(&len, out.data + 26, sizeof(len));
	assert_int_equal(len, PCAPNG_TEXT_MAX - 1);
}

static void test_limits_and_errors(void **state)
{
	static uint8_t data[PCAPNG_PACKET_MAX + 1];

	(void)state;
	assert_int_equal(
		pcapng_packet(&p, &(struct pcapng_packet){.data = data, .len = sizeof(data)}),
		-EMSGSIZE);
	assert_int_equal(out.n_calls, 0);
	assert_int_equal(
		pcapng_packet(&p, &(struct pcapng_packet){.data = data, .len = PCAPNG_PACKET_MAX}),
		0);
	assert_int_equal(out.len, PCAPNG_PACKET_MAX + 32);
	out.error = -ENOSPC;
	assert_int_equal(pcapng_packet(&p, &(struct pcapng_packet){}), -ENOSPC);
	assert_int_equal(pcapng_statistics(&p, &(struct pcapng_statistics){}), -ENOSPC);
}

/* --- segments
 * ----------------------------------------------------------------------------------------------------------
 */

static uint8_t packet[SEGMENT_PACKET_MAX];

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

/* With the checksum in it, the sum over all is -0. */
static uint16_t sum(const uint8_t *data, size_t len, uint32_t start)
{
	for (size_t i = 0; i < len; i++)
		start += i % 2 ? data[i] : data[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

static void test_ipv4_segment(void **state)
{
	const struct addr from = address("192.0.2.1"), to = address("192.0.2.2");
	const struct segment s = {
		&from,	&to,   179, 40000, 0x01020304, 0x05060708, SEGMENT_PSH | SEGMENT_ACK,
		0x1234, "abc", 3};
	static const uint8_t expected[] = {0x45, 0x00, 0x00, 0x2b, 0x12, 0x34, 0x40, 0x00, 0x40,
					   0x06, 0xa4, 0x95, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00,
					   0x02, 0x02, 0x00, 0xb3, 0x9c, 0x40, 0x01, 0x02, 0x03,
					   0x04, 0x05, 0x06, 0x07, 0x08, 0x50, 0x18, 0xff, 0xff,
					   0xba, 0x5b, 0x00, 0x00, 0x61, 0x62, 0x63};

	(void)state;
	assert_int_equal(segment_write(&s, packet), sizeof(expected));
	assert_int_equal(sum(packet, 20, 0), 0xffff);
	assert_int_equal(sum(packet + 12, 31, 6 + 23), 0xffff);
	assert_memory_equal(packet, expected, sizeof(expected));
}

static void test_ipv6_syn(void **state)
{
	const struct addr from = address("fe80::1%lo"), to = address("fe80::2%lo");
	const struct segment s = {&from, &to, 40000, 179, 0, 0, SEGMENT_SYN, 0, NULL, 0};

	(void)state;
	assert_int_equal(segment_write(&s, packet), 64);
	assert_int_equal(packet[0], 0x60);
	assert_int_equal(packet[4] << 8 | packet[5], 24);
	assert_int_equal(packet[6], 6);
	assert_memory_equal(packet + 8, from.bytes, 16);
	assert_memory_equal(packet + 24, to.bytes, 16);
	assert_int_equal(packet[52], 0x60);
	assert_int_equal(packet[53], SEGMENT_SYN);
	assert_memory_equal(packet + 60, "\x01\x03\x03\x0e", 4);
	assert_int_equal(sum(packet + 8, 56, 6 + 24), 0xffff);
}

static void test_largest_segment(void **state)
{
	const struct addr from = address("2001:db8::1"), to = address("2001:db8::2");
	static uint8_t data[SEGMENT_DATA_MAX + 1];
	struct segment s = {&from, &to, 1, 2, 3, 4, SEGMENT_ACK, 5, data, SEGMENT_DATA_MAX};

	(void)state;
	memset(data, 0xff, sizeof(data));
	assert_int_equal(segment_write(&s, packet), 60 + SEGMENT_DATA_MAX);
	assert_true(60 + SEGMENT_DATA_MAX <= SEGMENT_PACKET_MAX);
	assert_int_equal(sum(packet + 8, 52 + SEGMENT_DATA_MAX, 6 + 20 + SEGMENT_DATA_MAX), 0xffff);
	s.len++;
	assert_int_equal(segment_write(&s, packet), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bare_section, setup),
		cmocka_unit_test_setup(test_section, setup),
		cmocka_unit_test_setup(test_interface, setup),
		cmocka_unit_test_setup(test_packet, setup),
		cmocka_unit_test_setup(test_packet_with_options, setup),
		cmocka_unit_test_setup(test_statistics, setup),
		cmocka_unit_test_setup(test_long_texts_are_cut_between_characters, setup),
		cmocka_unit_test_setup(test_limits_and_errors, setup),
		cmocka_unit_test(test_ipv4_segment),
		cmocka_unit_test(test_ipv6_syn),
		cmocka_unit_test(test_largest_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
