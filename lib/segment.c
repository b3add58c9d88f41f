// SPDX-License-Identifier: Apache-2.0
#include "segment.h"

#include <errno.h>
#include <string.h>

#define IPV4_LEN 20
#define IPV6_LEN 40
#define TCP_LEN	 20
#define TTL	 64
#define WINDOW	 65535

/* NOP and a window scale of 14 (RFC 7323). */
static const uint8_t syn_options[4] = {1, 3, 3, 14};

static void put16(uint8_t *p, uint16_t n)
{
	p[0] = n >> 8;
	p[1] = n;
}

static void put32(uint8_t *p, uint32_t n)
{
	put16(p, n >> 16);
	put16(p + 2, n);
}

static uint64_t sum(uint64_t start, const uint8_t *p, size_t len)
{
	for (; len > 1; len -= 2, p += 2)
		start += p[0] << 8 | p[1];
	return len ? start + (p[0] << 8) : start;
}

/* RFC 1071 */
static uint16_t fold(uint64_t n)
{
	while (n >> 16)
		n = (n & 0xffff) + (n >> 16);
	return ~n;
}

static size_t write_ipv4(const struct segment *s, uint8_t *p, size_t tcp_len)
{
	memset(p, 0, IPV4_LEN);
	p[0] = 0x45;
	put16(p + 2, IPV4_LEN + tcp_len);
	put16(p + 4, s->id);
	put16(p + 6, 0x4000); /* do not fragment */
	p[8] = TTL;
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, s->from->bytes, 4);
	memcpy(p + 16, s->to->bytes, 4);
	put16(p + 10, fold(sum(0, p, IPV4_LEN)));
	return IPV4_LEN;
}

static size_t write_ipv6(const struct segment *s, uint8_t *p, size_t tcp_len)
{
	memset(p, 0, IPV6_LEN);
	p[0] = 0x60;
	put16(p + 4, tcp_len);
	p[6] = IPPROTO_TCP;
	p[7] = TTL;
	memcpy(p + 8, s->from->bytes, 16);
	memcpy(p + 24, s->to->bytes, 16);
	return IPV6_LEN;
}

int segment_write(const struct segment *s, uint8_t buf[static SEGMENT_PACKET_MAX])
{
	size_t options = s->flags & SEGMENT_SYN ? sizeof(syn_options) : 0;
	size_t tcp_len = TCP_LEN + options + s->len;
	size_t address_len = s->from->family == AF_INET6 ? 16 : 4;
	uint64_t pseudo;
	uint8_t *tcp;

	if (s->len > SEGMENT_DATA_MAX)
		return -EMSGSIZE;
	tcp = buf + (address_len == 16 ? write_ipv6 : write_ipv4)(s, buf, tcp_len);
	memset(tcp, 0, TCP_LEN);
	put16(tcp, s->from_port);
	put16(tcp + 2, s->to_port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (TCP_LEN + options) / 4 << 4;
	tcp[13] = s->flags;
	put16(tcp + 14, WINDOW);
	memcpy(tcp + TCP_LEN, syn_options, options);
	if (s->len)
		memcpy(tcp + TCP_LEN + options, s->data, s->len);
	/* The two pseudo headers (RFC 9293 3.1, RFC 8200 8.1) add up to the same. */
	pseudo = sum(IPPROTO_TCP + tcp_len, s->from->bytes, address_len);
	pseudo = sum(pseudo, s->to->bytes, address_len);
	put16(tcp + 16, fold(sum(pseudo, tcp, tcp_len)));
	return tcp + tcp_len - buf;
}
