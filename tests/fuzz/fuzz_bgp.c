// SPDX-License-Identifier: Apache-2.0
/*
 * What a neighbor or a daemon can send through a session. Whatever the pieces, the same is seen.
 * The first octet: bit 0 says whether extended messages were agreed, the rest how long pieces are.
 */
#include "check.h"
#include "bgp.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A terminal would show this as it is. */
static void check_text(const char *text)
{
	for (; *text; text++)
		CHECK((uint8_t)*text >= 0x20 && *text != 0x7f);
}

static unsigned feed_pieces(struct bgp_stream *s, const uint8_t *data, size_t size, size_t piece,
			    bool extended)
{
	unsigned seen = 0;

	for (size_t at = 0; at < size;) {
		size_t n = size - at < piece ? size - at : piece;
		uint64_t messages = s->messages[BGP_OPEN];

		seen |= bgp_feed(s, data + at, n, extended);
		at += n;
		CHECK(s->bytes == at);
		CHECK(s->messages[BGP_OPEN] == messages || s->open.seen);
		CHECK(!s->framing_error || !s->at_boundary);
	}
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bgp_stream whole, pieces;
	bool extended;
	unsigned seen;
	size_t piece;

	if (size < 1)
		return 0;
	extended = data[0] & 1;
	piece = (data[0] >> 1) + 1;
	data++;
	size--;
	bgp_init(&whole);
	bgp_init(&pieces);
	seen = bgp_feed(&whole, data, size, extended);
	CHECK(feed_pieces(&pieces, data, size, piece, extended) == seen);

	CHECK(memcmp(whole.messages, pieces.messages, sizeof(whole.messages)) == 0);
	CHECK(whole.framing_error == pieces.framing_error);
	CHECK(whole.at_boundary == pieces.at_boundary);
	CHECK(whole.open.seen == pieces.open.seen && whole.open.as == pieces.open.as &&
	      whole.open.malformed == pieces.open.malformed &&
	      whole.open.hold_time == pieces.open.hold_time);
	CHECK(memcmp(whole.open.capabilities, pieces.open.capabilities,
		     sizeof(whole.open.capabilities)) == 0);
	CHECK(!whole.notification == !pieces.notification);
	if (whole.notification) {
		CHECK(strcmp(whole.notification->text, pieces.notification->text) == 0);
		CHECK(strlen(whole.notification->text) < sizeof(whole.notification->text));
		check_text(whole.notification->text);
	}
	bgp_done(&whole);
	bgp_done(&pieces);
	return 0;
}
