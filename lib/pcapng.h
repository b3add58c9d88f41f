/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes pcapng (draft-ietf-opsawg-pcapng): blocks in the byte order of this machine, timestamps in
 * nanoseconds. A block is handed on whole, in one call; nothing is kept between blocks.
 *
 * A section comes first, then its interfaces, numbered from 0, then whatever refers to them. Texts
 * must be UTF-8; one that is too long for its option is cut between characters. NULL leaves an
 * option out.
 */
#ifndef BOTLS_PCAPNG_H
#define BOTLS_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

#define PCAPNG_LINKTYPE_RAW 101 /* IPv4 or IPv6, as the first four bits say */
#define PCAPNG_PACKET_MAX   262144
#define PCAPNG_TEXT_MAX	    65532

/* One whole block. 0, or -errno, which the call that wrote it returns. */
typedef int pcapng_write_fn(void *arg, const void *block, size_t len);

struct pcapng {
	pcapng_write_fn *write;
	void *arg;
};

struct pcapng_section {
	const char *os, *application, *comment;
};

struct pcapng_interface {
	uint16_t linktype;
	const char *name, *description;
};

struct pcapng_packet {
	uint32_t interface;
	uint64_t time_ns; /* since the epoch */
	const void *data;
	size_t len;
	enum { PCAPNG_ANY_DIRECTION, PCAPNG_INBOUND, PCAPNG_OUTBOUND } direction;
	uint64_t dropped; /* between this packet and the one before */
	const char *comment;
};

struct pcapng_statistics {
	uint32_t interface;
	uint64_t time_ns, begin_ns, end_ns;
	uint64_t received, dropped, delivered;
	const char *comment;
};

/* All: 0, -ENOMEM, or what `write` returned. */
int pcapng_section(const struct pcapng *p, const struct pcapng_section *s);
int pcapng_interface(const struct pcapng *p, const struct pcapng_interface *i);
int pcapng_packet(const struct pcapng *p, const struct pcapng_packet *k); /* -EMSGSIZE */
int pcapng_statistics(const struct pcapng *p, const struct pcapng_statistics *s);

#endif
