// SPDX-License-Identifier: Apache-2.0
#include "pcapng.h"
#include "util.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

enum block_type {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
};

enum option {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_OS = 3,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_DESCRIPTION = 3,
	INTERFACE_RESOLUTION = 9,
	PACKET_FLAGS = 2,
	PACKET_DROPPED = 4,
	STATISTICS_BEGIN = 2,
	STATISTICS_END = 3,
	STATISTICS_RECEIVED = 4,
	STATISTICS_DROPPED = 5,
	STATISTICS_DELIVERED = 8,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define NANOSECONDS	 9 /* the negative power of ten */

/* A block while it is made. What does not fit into memory is noted, and said once at its end. */
struct block {
	uint8_t *data;
	size_t len, size;
	bool has_options, is_lost;
};

static void add(struct block *b, const void *data, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;

	if (!b->is_lost && b->len + padded > b->size) {
		size_t size = 2 * (b->len + padded);
		uint8_t *bigger = realloc(b->data, size);

		if (!bigger)
			b->is_lost = true;
		else
			b->data = bigger;
		b->size = size;
	}
	if (b->is_lost)
		return;
	memcpy(b->data + b->len, data, len);
	memset(b->data + b->len + len, 0, padded - len);
	b->len += padded;
}

static void add_u32(struct block *b, uint32_t n)
{
	add(b, &n, sizeof(n));
}

/* Times are two words, the high one first, whatever the byte order. */
static void add_time(struct block *b, uint64_t ns)
{
	add_u32(b, ns >> 32);
	add_u32(b, ns);
}

static void begin(struct block *b, uint32_t type)
{
	add_u32(b, type);
	add_u32(b, 0); /* the length: finish() */
}

static void add_option(struct block *b, uint16_t code, const void *value, size_t len)
{
	const uint16_t head[2] = {code, len};

	b->has_options = true;
	add(b, head, sizeof(head));
	if (len)
		add(b, value, len);
}

static void add_text(struct block *b, uint16_t code, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return;
	if (len > PCAPNG_TEXT_MAX)
		for (len = PCAPNG_TEXT_MAX; len && ((uint8_t)text[len] & 0xc0) == 0x80; len--)
			;
	add_option(b, code, text, len);
}

static void add_number(struct block *b, uint16_t code, uint64_t n)
{
	add_option(b, code, &n, sizeof(n));
}

static void add_time_option(struct block *b, uint16_t code, uint64_t ns)
{
	const uint32_t words[2] = {ns >> 32, ns};

	add_option(b, code, words, sizeof(words));
}

static int finish(struct block *b, const struct pcapng *p)
{
	uint32_t len;
	int r = -ENOMEM;

	if (b->has_options)
		add_option(b, OPTION_END, NULL, 0);
	len = b->len + sizeof(len);
	add_u32(b, len);
	if (!b->is_lost) {
		memcpy(b->data + 4, &len, sizeof(len));
		r = p->write(p->arg, b->data, b->len);
	}
	free(b->data);
	return r;
}

int pcapng_section(const struct pcapng *p, const struct pcapng_section *s)
{
	const uint16_t version[2] = {1, 0};
	const int64_t unknown = -1; /* how long the section is */
	struct block b = {};

	begin(&b, BLOCK_SECTION);
	add_u32(&b, BYTE_ORDER_MAGIC);
	add(&b, version, sizeof(version));
	add(&b, &unknown, sizeof(unknown));
	add_text(&b, SECTION_OS, s->os);
	add_text(&b, SECTION_APPLICATION, s->application);
	add_text(&b, OPTION_COMMENT, s->comment);
	return finish(&b, p);
}

int pcapng_interface(const struct pcapng *p, const struct pcapng_interface *i)
{
	const uint16_t linktype[2] = {i->linktype, 0};
	const uint8_t resolution = NANOSECONDS;
	struct block b = {};

	begin(&b, BLOCK_INTERFACE);
	add(&b, linktype, sizeof(linktype));
	add_u32(&b, 0); /* packets are never cut */
	add_text(&b, INTERFACE_NAME, i->name);
	add_text(&b, INTERFACE_DESCRIPTION, i->description);
	add_option(&b, INTERFACE_RESOLUTION, &resolution, sizeof(resolution));
	return finish(&b, p);
}

int pcapng_packet(const struct pcapng *p, const struct pcapng_packet *k)
{
	struct block b = {};

	if (k->len > PCAPNG_PACKET_MAX)
		return -EMSGSIZE;
	begin(&b, BLOCK_PACKET);
	add_u32(&b, k->interface);
	add_time(&b, k->time_ns);
	add_u32(&b, k->len);
	add_u32(&b, k->len);
	if (k->len)
		add(&b, k->data, k->len);
	if (k->direction != PCAPNG_ANY_DIRECTION) {
		const uint32_t flags = k->direction;

		add_option(&b, PACKET_FLAGS, &flags, sizeof(flags));
	}
	if (k->dropped)
		add_number(&b, PACKET_DROPPED, k->dropped);
	add_text(&b, OPTION_COMMENT, k->comment);
	return finish(&b, p);
}

int pcapng_statistics(const struct pcapng *p, const struct pcapng_statistics *s)
{
	struct block b = {};

	begin(&b, BLOCK_STATISTICS);
	add_u32(&b, s->interface);
	add_time(&b, s->time_ns);
	add_text(&b, OPTION_COMMENT, s->comment);
	add_time_option(&b, STATISTICS_BEGIN, s->begin_ns);
	add_time_option(&b, STATISTICS_END, s->end_ns);
	add_number(&b, STATISTICS_RECEIVED, s->received);
	add_number(&b, STATISTICS_DROPPED, s->dropped);
	add_number(&b, STATISTICS_DELIVERED, s->delivered);
	return finish(&b, p);
}
