// SPDX-License-Identifier: Apache-2.0
#include "bgp.h"
#include "fields.h"
#include "util.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define MARKER "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

struct bytes {
	uint8_t data[200000];
	size_t len;
};

static void put(struct bytes *b, const void *data, size_t len)
{
	assert_true(b->len + len <= sizeof(b->data));
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void put_header(struct bytes *b, uint8_t type, unsigned length)
{
	uint8_t header[3] = {length >> 8, length & 0xff, type};

	put(b, MARKER, 16);
	put(b, header, 3);
}

static void put_message(struct bytes *b, uint8_t type, const void *body, size_t len)
{
	put_header(b, type, len + 19);
	put(b, body, len);
}
#define PUT(b, type, literal) put_message(b, type, literal, sizeof(literal) - 1)

/* A stream given in one piece; freed by the teardown. */
static struct bgp_stream stream;
static struct bytes input;

static int setup(void **state)
{
	(void)state;
	bgp_init(&stream);
	input.len = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bgp_done(&stream);
	return 0;
}

static unsigned feed(bool extended)
{
	unsigned seen = bgp_feed(&stream, input.data, input.len, extended);

	input.len = 0;
	return seen;
}

/* AS_TRANS, hold time 90, 192.0.2.1; IPv4 unicast, route refresh; AS 4200000001, extended message,
 * role provider, enhanced route refresh. */
#define OPEN_BODY                                                                                  \
	"\x04\x5b\xa0\x00\x5a\xc0\x00\x02\x01\x19"                                                 \
	"\x02\x08\x01\x04\x00\x01\x00\x01\x02\x00"                                                 \
	"\x02\x0d\x41\x04\xfa\x56\xea\x01\x06\x00\x09\x01\x00\x46\x00"

static void check_open(void)
{
	assert_null(stream.framing_error);
	assert_true(stream.open.seen);
	assert_false(stream.open.malformed);
	assert_int_equal(stream.open.version, 4);
	assert_int_equal(stream.open.as, 4200000001);
	assert_int_equal(stream.open.hold_time, 90);
	assert_int_equal(stream.open.router_id, 0xc0000201);
	assert_true(stream.open.extended_message);
	assert_int_equal(stream.open.role, 0);
	for (unsigned code = 0; code < 256; code++) {
		bool expected = code == 1 || code == 2 || code == 65 || code == 6 || code == 9 ||
				code == 70;

		assert_int_equal(stream.open.capabilities[code / 8] >> code % 8 & 1, expected);
	}
}

static void test_open(void **state)
{
	(void)state;
	PUT(&input, BGP_OPEN, OPEN_BODY);
	assert_int_equal(feed(false), 1 << BGP_OPEN);
	assert_true(stream.at_boundary);
	check_open();
}

static void test_open_without_capabilities(void **state)
{
	(void)state;
	assert_int_equal(stream.open.role, 255);
	PUT(&input, BGP_OPEN, "\x04\xfd\xe8\x00\xb4\x0a\x00\x00\x01\x00");
	assert_int_equal(feed(false), 1 << BGP_OPEN);
	assert_false(stream.open.malformed);
	assert_int_equal(stream.open.as, 65000);
	assert_int_equal(stream.open.hold_time, 180);
	assert_int_equal(stream.open.role, 255);
	assert_false(stream.open.extended_message);
}

/* Nothing of an earlier OPEN stays. */
static void test_open_again(void **state)
{
	(void)state;
	PUT(&input, BGP_OPEN, OPEN_BODY);
	PUT(&input, BGP_OPEN, "\x04\xfd\xe8\x00\xb4\x0a\x00\x00\x01\x00");
	assert_int_equal(feed(false), 1 << BGP_OPEN);
	assert_int_equal(stream.messages[BGP_OPEN], 2);
	assert_int_equal(stream.open.as, 65000);
	assert_int_equal(stream.open.role, 255);
	assert_int_equal(stream.open.capabilities[0], 0);
}

/* RFC 9072: 16-bit lengths; the 8-bit length in front is ignored, but is not 0. */
static void test_open_extended_parameters(void **state)
{
	(void)state;
	for (int ignored = 0; ignored <= 255; ignored += 51) {
		input.len = 0;
		PUT(&input, BGP_OPEN,
		    "\x04\x5b\xa0\x00\x5a\xc0\x00\x02\x01\xff\xff\x00\x1b"
		    "\x02\x00\x08\x01\x04\x00\x01\x00\x01\x02\x00"
		    "\x02\x00\x0d\x41\x04\xfa\x56\xea\x01\x06\x00\x09\x01\x00\x46\x00");
		input.data[28] = ignored;
		assert_int_equal(feed(false), 1 << BGP_OPEN);
		if (ignored)
			check_open();
		else
			assert_true(stream.open.malformed);
	}
}

/* A parameter longer than 255 octets needs the extended form. */
static void test_open_long_parameter(void **state)
{
	uint8_t body[10 + 3 + 3 + 302] =
		"\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\xff\xff\x01\x31\x02\x01\x2e";

	(void)state;
	for (size_t at = 16; at < sizeof(body); at += 2)
		body[at] = 64 + at % 8; /* capabilities without a value */
	put_message(&input, BGP_OPEN, body, sizeof(body));
	assert_int_equal(feed(false), 1 << BGP_OPEN);
	assert_false(stream.open.malformed);
	assert_int_equal(stream.open.capabilities[8], 0x55);
}

static void test_open_malformed(void **state)
{
	static const struct {
		const char *what, *body;
		size_t len;
	} cases[] = {
#define CASE(what, literal) {what, literal, sizeof(literal) - 1}
		CASE("parameters missing", "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x05"),
		CASE("bytes after the parameters", "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x00\x00"),
		CASE("parameters beyond their length",
		     "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x00\x02\x00"),
		CASE("parameter past the end", "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x02\x02\x01"),
		CASE("half a parameter", "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x01\x02"),
		CASE("capability past its parameter",
		     "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x06\x02\x02\x40\x02\x00\x00"),
		CASE("half a capability", "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x03\x02\x01\x40"),
		CASE("AS of two octets",
		     "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x06\x02\x04\x41\x02\x00\x01"),
		CASE("role of two octets",
		     "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\x06\x02\x04\x09\x02\x00\x01"),
		CASE("extended length cut", "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\xff\xff\x00"),
		CASE("extended length wrong",
		     "\x04\xfd\xe8\x00\x5a\x01\x02\x03\x04\xff\xff\x00\x01"),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_message(&input, BGP_OPEN, cases[i].body, cases[i].len);
		PUT(&input, BGP_KEEPALIVE, "");
		if (feed(false) != (1 << BGP_OPEN | 1 << BGP_KEEPALIVE) || !stream.open.malformed)
			fail_msg("%s: not seen as malformed", cases[i].what);
		assert_null(stream.framing_error);
		assert_int_equal(stream.open.as, 65000);
	}
}

static void put_session(struct bytes *b)
{
	static const char update[300] = "\x00\x00\x00\x00";

	PUT(b, BGP_OPEN, OPEN_BODY);
	PUT(b, BGP_KEEPALIVE, "");
	put_message(b, BGP_UPDATE, update, sizeof(update));
	PUT(b, 77, "what");
	PUT(b, BGP_ROUTE_REFRESH, "\x00\x01\x00\x01");
	PUT(b, BGP_NOTIFICATION, "\x06\x02\x0bmaintenance");
}

static void check_session(unsigned seen)
{
	check_open();
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5);
	for (int type = 0; type < 6; type++)
		assert_int_equal(stream.messages[type], 1);
	assert_string_equal(stream.notification->text,
			    "Cease/Administrative Shutdown: maintenance");
	assert_int_equal(stream.notification->code, 6);
	assert_int_equal(stream.notification->subcode, 2);
	assert_true(stream.at_boundary);
	assert_null(stream.body);
}

static void test_every_split(void **state)
{
	static struct bytes all;

	(void)state;
	all.len = 0;
	put_session(&all);
	for (size_t at = 0; at <= all.len; at++) {
		unsigned seen;

		bgp_done(&stream);
		bgp_init(&stream);
		seen = bgp_feed(&stream, all.data, at, false);
		seen |= bgp_feed(&stream, all.data + at, all.len - at, false);
		assert_int_equal(stream.bytes, all.len);
		check_session(seen);
	}
}

static void test_byte_by_byte(void **state)
{
	static struct bytes all;
	unsigned seen = 0;

	(void)state;
	all.len = 0;
	put_session(&all);
	for (size_t i = 0; i < all.len; i++) {
		uint8_t *alone = malloc(1); /* so that reading past it is seen */

		*alone = all.data[i];
		seen |= bgp_feed(&stream, alone, 1, false);
		free(alone);
		if (i < 10)
			assert_false(stream.at_boundary);
	}
	check_session(seen);
}

/* Only a body that is being read takes memory. */
static void test_memory(void **state)
{
	(void)state;
	PUT(&input, BGP_OPEN, OPEN_BODY);
	input.len--;
	assert_int_equal(feed(false), 0);
	assert_non_null(stream.body);
	assert_false(stream.at_boundary);
	put(&input, "\x00", 1);
	assert_int_equal(feed(false), 1 << BGP_OPEN);
	assert_null(stream.body);
	PUT(&input, BGP_UPDATE, "\x00\x00\x00\x00\x00\x00");
	input.len--;
	feed(false);
	assert_null(stream.body);
}

/* RFC 4271 6.1: the shortest right length of each type passes, one less does not. */
static void test_lengths(void **state)
{
	static const struct {
		uint8_t type;
		unsigned min, max;
		const char *error;
	} cases[] = {
		{BGP_OPEN, 29, 4096, "OPEN shorter than 29"},
		{BGP_UPDATE, 23, 4096, "UPDATE shorter than 23"},
		{BGP_NOTIFICATION, 21, 4096, "NOTIFICATION shorter than 21"},
		{BGP_KEEPALIVE, 19, 19, "message length below 19"},
		{BGP_ROUTE_REFRESH, 23, 4096, "ROUTE-REFRESH shorter than 23"},
		{9, 19, 4096, "message length below 19"},
	};
	static const uint8_t body[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		teardown(NULL);
		setup(NULL);
		put_message(&input, cases[i].type, body, cases[i].min - 19);
		put_message(&input, cases[i].type, body, cases[i].max - 19);
		feed(false);
		assert_null(stream.framing_error);
		assert_int_equal(stream.messages[cases[i].type < 6 ? cases[i].type : 0], 2);

		put_header(&input, cases[i].type, cases[i].min - 1);
		feed(false);
		assert_string_equal(stream.framing_error, cases[i].error);

		teardown(NULL);
		setup(NULL);
		put_header(&input, cases[i].type, cases[i].max + 1);
		feed(false);
		assert_string_equal(stream.framing_error, cases[i].type == BGP_KEEPALIVE
								  ? "KEEPALIVE not of length 19"
								  : "message length above 4096");
	}
}

/* RFC 8654: all but OPEN and KEEPALIVE may be long once both agreed. */
static void test_extended_messages(void **state)
{
	static uint8_t body[65535 - 19] = "\x06\x04\x02ok";

	(void)state;
	put_message(&input, BGP_UPDATE, body, sizeof(body));
	put_message(&input, BGP_NOTIFICATION, body, sizeof(body) - 1);
	input.data[input.len - sizeof(body) - 1]++; /* its length: one octet is still to come */
	assert_int_equal(feed(true), 1 << BGP_UPDATE);
	assert_in_range(malloc_usable_size(stream.body), 4000, 4200);
	put(&input, "", 1);
	assert_int_equal(feed(true), 1 << BGP_NOTIFICATION);
	assert_null(stream.framing_error);
	assert_string_equal(stream.notification->text, "Cease/Administrative Reset: ok");
	put_message(&input, BGP_OPEN, body, 4097 - 19);
	feed(true);
	assert_string_equal(stream.framing_error, "message length above 4096");
}

/* After a framing error nothing is read any more, only counted. */
static void test_framing_error(void **state)
{
	(void)state;
	PUT(&input, BGP_KEEPALIVE, "");
	PUT(&input, BGP_OPEN, OPEN_BODY);
	input.data[19 + 7] = 0xfe;
	PUT(&input, BGP_NOTIFICATION, "\x06\x02");
	assert_int_equal(feed(false), 1 << BGP_KEEPALIVE);
	assert_string_equal(stream.framing_error, "the marker is not all ones");
	assert_false(stream.at_boundary);
	PUT(&input, BGP_NOTIFICATION, "\x06\x02");
	assert_int_equal(feed(false), 0);
	assert_null(stream.notification);
	assert_false(stream.open.seen);
	assert_int_equal(stream.bytes, 19 + 19 + 25 + 10 + 21 + 21);
}

static const char *format(uint8_t code, uint8_t subcode, const char *data, size_t len)
{
	static char text[160];

	bgp_notification_format(code, subcode, (const uint8_t *)data, len, text, sizeof(text));
	return text;
}
#define FORMAT(code, subcode, literal) format(code, subcode, literal, sizeof(literal) - 1)

static void test_notification_names(void **state)
{
	(void)state;
	assert_string_equal(FORMAT(1, 2, ""), "Message Header Error/Bad Message Length");
	assert_string_equal(FORMAT(2, 2, ""), "OPEN Message Error/Bad Peer AS");
	assert_string_equal(FORMAT(2, 7, ""), "OPEN Message Error/Unsupported Capability");
	assert_string_equal(FORMAT(2, 11, ""), "OPEN Message Error/Role Mismatch");
	assert_string_equal(FORMAT(3, 11, ""), "UPDATE Message Error/Malformed AS_PATH");
	assert_string_equal(FORMAT(4, 0, ""), "Hold Timer Expired");
	assert_string_equal(FORMAT(5, 0, ""), "Finite State Machine Error");
	assert_string_equal(FORMAT(5, 3, ""),
			    "Finite State Machine Error/Unexpected Message in Established State");
	assert_string_equal(FORMAT(6, 1, ""), "Cease/Maximum Number of Prefixes Reached");
	assert_string_equal(FORMAT(6, 7, ""), "Cease/Connection Collision Resolution");
	assert_string_equal(FORMAT(6, 10, ""), "Cease/BFD Down");
	assert_string_equal(FORMAT(6, 77, ""), "Cease/subcode 77");
	assert_string_equal(FORMAT(7, 1, ""), "ROUTE-REFRESH Message Error/Invalid Message Length");
	assert_string_equal(FORMAT(8, 0, ""), "Send Hold Timer Expired");
	assert_string_equal(FORMAT(0, 0, ""), "code 0");
	assert_string_equal(FORMAT(200, 3, ""), "code 200/subcode 3");
}

static void test_shutdown_communication(void **state)
{
	(void)state;
	assert_string_equal(FORMAT(6, 2, "\x02hi"), "Cease/Administrative Shutdown: hi");
	assert_string_equal(FORMAT(6, 4, "\x02hi"), "Cease/Administrative Reset: hi");
	assert_string_equal(FORMAT(6, 2, "\x00"), "Cease/Administrative Shutdown");
	assert_string_equal(FORMAT(6, 2, "\x09hi"), "Cease/Administrative Shutdown: hi");
	assert_string_equal(FORMAT(6, 2, "\x02hidden"), "Cease/Administrative Shutdown: hi");
	assert_string_equal(FORMAT(6, 3, "\x02hi"), "Cease/Peer De-configured");
	assert_string_equal(FORMAT(6, 2,
				   "\x05gr\xc3\xbc"
				   "n"),
			    "Cease/Administrative Shutdown: gr\xc3\xbcn");
	/* Escape sequence, C1 control, right-to-left override, lone continuation, overlong,
	 * surrogate, cut. */
	assert_string_equal(FORMAT(6, 2, "\x04\x1b[2J"), "Cease/Administrative Shutdown: ?[2J");
	assert_string_equal(FORMAT(6, 2,
				   "\x03"
				   "a\xc2\x9b"),
			    "Cease/Administrative Shutdown: a?");
	assert_string_equal(FORMAT(6, 2,
				   "\x04"
				   "a\xe2\x80\xae"),
			    "Cease/Administrative Shutdown: a?");
	assert_string_equal(FORMAT(6, 2, "\x02\x80z"), "Cease/Administrative Shutdown: ?z");
	assert_string_equal(FORMAT(6, 2,
				   "\x03\xc0\xaf"
				   "z"),
			    "Cease/Administrative Shutdown: ??z");
	assert_string_equal(FORMAT(6, 2, "\x04\xed\xa0\x80z"),
			    "Cease/Administrative Shutdown: ???z");
	assert_string_equal(FORMAT(6, 2, "\x03z\xf0\x9f"), "Cease/Administrative Shutdown: z??");
	assert_string_equal(FORMAT(6, 2, "\x04\xf0\x9f\x98\x80"),
			    "Cease/Administrative Shutdown: \xf0\x9f\x98\x80");
	assert_string_equal(FORMAT(6, 2,
				   "\x03"
				   "a\0b"),
			    "Cease/Administrative Shutdown: a?b");
}

/* RFC 8538 */
static void test_hard_reset(void **state)
{
	(void)state;
	assert_string_equal(FORMAT(6, 9, "\x06\x02\x02hi"),
			    "Cease/Hard Reset: Cease/Administrative Shutdown: hi");
	assert_string_equal(FORMAT(6, 9, "\x04\x00"), "Cease/Hard Reset: Hold Timer Expired");
	assert_string_equal(FORMAT(6, 9, "\x06"), "Cease/Hard Reset");
	assert_string_equal(FORMAT(6, 9, "\x06\x09\x06\x09\x06\x09"),
			    "Cease/Hard Reset: Cease/Hard Reset");
}

/* Cut between characters, whatever the room. */
static void test_notification_cut(void **state)
{
	static const uint8_t data[] = "\x06\xc3\xbc\xe2\x82\xac!";
	const char *full = "Cease/Administrative Shutdown: \xc3\xbc\xe2\x82\xac!";

	(void)state;
	for (size_t room = 1; room <= strlen(full) + 1; room++) {
		char *buf = malloc(room);
		size_t len;

		bgp_notification_format(6, 2, data, 7, buf, room);
		len = strlen(buf);
		assert_memory_equal(buf, full, len);
		assert_true((full[len] & 0xc0) != 0x80);
		assert_true(room - 1 - len < 3);
		free(buf);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(bgp_type_name(BGP_ROUTE_REFRESH), "ROUTE-REFRESH");
	assert_string_equal(bgp_type_name(9), "unknown");
	assert_string_equal(bgp_capability_name(65), "Four-octet AS");
	assert_string_equal(bgp_capability_name(9), "BGP Role");
	assert_null(bgp_capability_name(0));
	assert_null(bgp_capability_name(132));
	assert_null(bgp_capability_name(255));
}

/* --- in another process */

/* `s` is another one from now on, made of what the one before wrote. */
static void move(struct bgp_stream *s)
{
	struct fields_out o = {};
	struct fields_in f;

	bgp_export_state(s, &o);
	bgp_done(s);
	assert_int_equal(fields_out_error(&o), 0);
	assert_int_equal(fields_read(&f, o.data, o.len), 0);
	bgp_import_state(&f, s);
	assert_int_equal(fields_error(&f, NULL), 0);
	fields_out_done(&o);
}

/* It moves after every byte, and has read the same in the end. */
static void moved_anywhere(void **state)
{
	struct bgp_stream whole;

	(void)state;
	PUT(&input, BGP_OPEN, "\4\x5b\xa0\0\x5a\xc0\0\2\1\x08\2\6\x41\4\0\1\x11\x70");
	PUT(&input, BGP_KEEPALIVE, "");
	PUT(&input, BGP_UPDATE, "\0\0\0\0");
	PUT(&input, BGP_NOTIFICATION, "\6\2\5later");
	bgp_init(&whole);
	bgp_feed(&whole, input.data, input.len, false);
	assert_non_null(whole.notification);
	for (size_t i = 0; i < input.len; i++) {
		bgp_feed(&stream, input.data + i, 1, false);
		move(&stream);
	}
	assert_memory_equal(whole.messages, stream.messages, sizeof(whole.messages));
	assert_int_equal(whole.bytes, stream.bytes);
	assert_true(stream.at_boundary);
	assert_int_equal(whole.open.as, stream.open.as);
	assert_int_equal(whole.open.router_id, stream.open.router_id);
	assert_int_equal(whole.open.hold_time, stream.open.hold_time);
	assert_memory_equal(whole.open.capabilities, stream.open.capabilities, 32);
	assert_string_equal(whole.notification->text, stream.notification->text);
	assert_null(stream.framing_error);
	bgp_done(&whole);
}

static void moved_when_lost(void **state)
{
	(void)state;
	bgp_feed(&stream, "no marker at all...", 19, false);
	assert_non_null(stream.framing_error);
	move(&stream);
	assert_non_null(stream.framing_error);
	assert_int_equal(stream.bytes, 19);
}

/* A place that no stream can be at. */
static void moved_wrongly(void **state)
{
	static const struct {
		size_t len;
		uint64_t have;
		const char *header;
	} cases[] = {
		{19, 23, MARKER "\0\x17\2"}, /* the message would be over */
		{19, 18, MARKER "\0\x17\2"}, /* less than came */
		{18, 20, MARKER "\0\x17"},   /* more than came, without a header */
		{19, 19, MARKER "\0\x13\4"}, /* a whole one */
		{19, 20, MARKER "\0\x12\2"}, /* too short */
		{19, 65536, MARKER "\xff\xff\2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fields_out o = {};
		struct bgp_stream s;
		struct fields_in f;

		fields_put(&o, "partial", cases[i].header, cases[i].len);
		fields_put_number(&o, "partial-length", cases[i].have);
		fields_put_number(&o, "is-opaque", 0);
		assert_int_equal(fields_read(&f, o.data, o.len), 0);
		bgp_import_state(&f, &s);
		assert_true(fields_error(&f, NULL) == -EBADMSG ||
			    fields_error(&f, NULL) == -ERANGE);
		bgp_done(&s);
		fields_out_done(&o);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_open),
		TEST(test_open_without_capabilities),
		TEST(test_open_again),
		TEST(test_open_extended_parameters),
		TEST(test_open_long_parameter),
		TEST(test_open_malformed),
		TEST(test_every_split),
		TEST(test_byte_by_byte),
		TEST(test_memory),
		TEST(test_lengths),
		TEST(test_extended_messages),
		TEST(test_framing_error),
		TEST(test_notification_names),
		TEST(test_shutdown_communication),
		TEST(test_hard_reset),
		TEST(test_notification_cut),
		TEST(test_names),
		TEST(moved_anywhere),
		TEST(moved_when_lost),
		TEST(moved_wrongly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
