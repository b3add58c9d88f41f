// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker, taken over, can send to `botlsctl capture`, which runs as root: a sequence of
 * records, each after two octets with its length. Whatever they are, what is written is pcapng:
 * whole blocks of the right lengths, with IP packets whose lengths and checksums are right.
 */
#include "check.h"
#include "ctl_packets.h"
#include "util.h"

#include <botls/capture.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned n_blocks, n_packets, n_notes;
	uint64_t dropped;
	bool fails; /* the third block does not find room */
};

static uint32_t u32(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

static uint16_t sum(const uint8_t *p, size_t len, uint32_t start)
{
	for (size_t i = 0; i < len; i++)
		start += i % 2 ? p[i] : p[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

static void check_ip(const uint8_t *p, size_t len)
{
	size_t header = p[0] >> 4 == 6 ? 40 : 20;

	CHECK(p[0] >> 4 == 6 || p[0] == 0x45);
	CHECK(len >= header + 20 && len <= SEGMENT_PACKET_MAX);
	CHECK((p[header == 40 ? 4 : 2] << 8 | p[header == 40 ? 5 : 3]) ==
	      (int)(header == 40 ? len - 40 : len));
	CHECK(header == 40 || sum(p, 20, 0) == 0xffff);
	CHECK(sum(p + (header == 40 ? 8 : 12), len - (header == 40 ? 8 : 12), 6 + len - header) ==
	      0xffff);
}

/* Options end where the block does; texts have no control characters. */
static void check_options(struct seen *s, const uint8_t *p, size_t len)
{
	while (len) {
		uint16_t head[2];

		CHECK(len >= sizeof(head));
		memcpy(head, p, sizeof(head));
		p += 4;
		len -= 4;
		CHECK(((head[1] + 3U) & ~3U) <= len);
		for (size_t i = 0; head[0] == 1 && i < head[1]; i++)
			CHECK(p[i] >= 0x20 && p[i] != 0x7f);
		if (head[0] == 4)
			s->dropped += u32(p) + ((uint64_t)u32(p + 4) << 32);
		CHECK(head[0] || len == 0);
		p += (head[1] + 3U) & ~3U;
		len -= (head[1] + 3U) & ~3U;
	}
}

static int on_block(void *arg, const void *block, size_t len)
{
	struct seen *s = arg;
	const uint8_t *p = block;
	size_t captured;

	s->n_blocks++;
	CHECK(len >= 12 && len % 4 == 0);
	CHECK(u32(p + 4) == len && u32(p + len - 4) == len);
	CHECK(u32(p) == 6 || u32(p) == 5);
	if (s->fails && s->n_blocks == 3)
		return -ENOSPC;
	if (u32(p) != 6)
		return 0;
	s->n_packets++;
	captured = u32(p + 20);
	CHECK(captured == u32(p + 24) && ((captured + 3) & ~3U) + 32 <= len);
	check_ip(p + 28, captured);
	check_options(s, p + 28 + ((captured + 3) & ~3U), len - 32 - ((captured + 3) & ~3U));
	return 0;
}

static void on_note(void *arg, const char *text, bool is_last)
{
	struct seen *s = arg;

	(void)is_last;
	s->n_notes++;
	for (; *text; text++)
		CHECK((uint8_t)*text >= 0x20 && *text != 0x7f);
}

/* The first octet: bit 0, the output fails; the rest, after how many packets it is enough. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packets packets;
	struct seen seen = {};
	const struct pcapng pcapng = {.write = on_block, .arg = &seen};
	unsigned n_records = 0;
	int r = 0;

	if (size < 1)
		return 0;
	seen.fails = data[0] & 1;
	memset(&packets, 0, offsetof(struct packets, buffer));
	packets.out = &pcapng;
	packets.on_note = on_note;
	packets.arg = &seen;
	packets.limit = data[0] >> 1;
	data++;
	size--;
	while (size >= 2 && r == 0) {
		size_t len = data[0] | data[1] << 8;
		uint8_t *record;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		record = malloc(len + 1); /* of its exact size, for the sanitizer */
		memcpy(record, data, len);
		r = packets_add(&packets, record, len);
		free(record);
		data += len;
		size -= len;
		n_records++;
	}
	CHECK(r == 0 || (r == -ENOSPC && seen.fails));
	CHECK(packets.n_packets <= seen.n_packets + 1 && packets.n_malformed <= n_records);
	CHECK(!packets.limit || packets.n_packets <= packets.limit);
	if (r == 0) {
		CHECK(seen.dropped + packets.dropped == packets.n_dropped);
		r = packets_finish(&packets, 1);
		CHECK(r == 0 || (r == -ENOSPC && seen.fails));
	}
	return 0;
}
