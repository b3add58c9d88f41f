// SPDX-License-Identifier: Apache-2.0
#include "ctl_packets.h"

#include "botls/capture.h"
#include "text.h"

#include <errno.h>

/* One session's two ends, and how far each has come. */
struct ends {
	struct addr neighbor, daemon;
	uint16_t neighbor_port, daemon_port;
	uint32_t from_neighbor, from_daemon; /* sequence numbers, less those of the SYNs */
	uint64_t time_ns;
};

/* Sequence numbers begin at 0, the SYN has that one: byte n has number n + 1. */
static uint32_t seq_of(uint32_t bytes)
{
	return bytes + 1;
}

static int write_packet(struct packets *p, const struct segment *s, uint64_t time_ns,
			bool from_neighbor, const char *comment)
{
	struct pcapng_packet packet = {
		.time_ns = time_ns,
		.data = p->buffer,
		.direction = from_neighbor ? PCAPNG_INBOUND : PCAPNG_OUTBOUND,
		.dropped = p->dropped,
		.comment = p->note[0] ? p->note : comment,
	};
	char both[sizeof(p->note) + 300];
	int r = segment_write(s, p->buffer);

	if (r < 0)
		return r;
	packet.len = r;
	if (p->note[0] && comment) {
		snprintf(both, sizeof(both), "%s; %s", p->note, comment);
		packet.comment = both;
	}
	r = pcapng_packet(p->out, &packet);
	if (r < 0)
		return r;
	p->dropped = 0;
	p->note[0] = '\0';
	if (!p->begin_ns)
		p->begin_ns = time_ns;
	return 0;
}

static int send_segment(struct packets *p, const struct ends *e, bool from_neighbor, unsigned flags,
			const void *data, size_t len, const char *comment)
{
	bool is_first = (flags & SEGMENT_SYN) && !(flags & SEGMENT_ACK);
	struct segment s = {
		.from = from_neighbor ? &e->neighbor : &e->daemon,
		.to = from_neighbor ? &e->daemon : &e->neighbor,
		.from_port = from_neighbor ? e->neighbor_port : e->daemon_port,
		.to_port = from_neighbor ? e->daemon_port : e->neighbor_port,
		.seq = flags & SEGMENT_SYN
			       ? 0
			       : seq_of(from_neighbor ? e->from_neighbor : e->from_daemon),
		.ack = is_first ? 0 : seq_of(from_neighbor ? e->from_daemon : e->from_neighbor),
		.flags = flags,
		.id = p->id++,
		.data = data,
		.len = len,
	};

	return write_packet(p, &s, e->time_ns, from_neighbor, comment);
}

static int write_begin(struct packets *p, struct ends *e, bool by_neighbor, const char *comment)
{
	int r;

	e->from_neighbor = e->from_daemon = 0;
	r = send_segment(p, e, by_neighbor, SEGMENT_SYN, NULL, 0, comment);
	if (r == 0)
		r = send_segment(p, e, !by_neighbor, SEGMENT_SYN | SEGMENT_ACK, NULL, 0, NULL);
	if (r == 0)
		r = send_segment(p, e, by_neighbor, SEGMENT_ACK, NULL, 0, NULL);
	return r;
}

static int write_data(struct packets *p, struct ends *e, bool from_neighbor, const uint8_t *data,
		      size_t len)
{
	uint32_t *done = from_neighbor ? &e->from_neighbor : &e->from_daemon;
	int r = 0;

	while (len && r == 0 && !packets_are_enough(p)) {
		size_t n = len < SEGMENT_DATA_MAX ? len : SEGMENT_DATA_MAX;

		r = send_segment(p, e, from_neighbor, SEGMENT_PSH | SEGMENT_ACK, data, n, NULL);
		if (r < 0)
			break;
		p->n_packets++;
		p->n_bytes += n;
		*done += n;
		data += n;
		len -= n;
	}
	return r;
}

static int write_end(struct packets *p, struct ends *e, bool by_neighbor, bool is_reset,
		     const char *why)
{
	int r;

	if (is_reset)
		return send_segment(p, e, by_neighbor, SEGMENT_RST | SEGMENT_ACK, NULL, 0, why);
	r = send_segment(p, e, by_neighbor, SEGMENT_FIN | SEGMENT_ACK, NULL, 0, why);
	++*(by_neighbor ? &e->from_neighbor : &e->from_daemon);
	if (r == 0)
		r = send_segment(p, e, !by_neighbor, SEGMENT_FIN | SEGMENT_ACK, NULL, 0, NULL);
	++*(by_neighbor ? &e->from_daemon : &e->from_neighbor);
	if (r == 0)
		r = send_segment(p, e, by_neighbor, SEGMENT_ACK, NULL, 0, NULL);
	return r;
}

static void take_note(struct packets *p, const char *text, bool is_last)
{
	snprintf(p->note, sizeof(p->note), "%s", text);
	p->on_note(p->arg, text, is_last);
}

static bool ends_of(const struct botls_capture_record *r, struct ends *ret)
{
	struct ends e = {
		.neighbor_port = r->neighbor_port,
		.daemon_port = r->daemon_port,
		.from_neighbor = r->from_neighbor,
		.from_daemon = r->from_daemon,
		.time_ns = r->time_ns,
	};

	if (r->family != 4 && r->family != 6)
		return false;
	e.neighbor.family = e.daemon.family = r->family == 6 ? AF_INET6 : AF_INET;
	e.neighbor.prefixlen = e.daemon.prefixlen = r->family == 6 ? 128 : 32;
	memcpy(e.neighbor.bytes, r->neighbor, sizeof(r->neighbor));
	memcpy(e.daemon.bytes, r->daemon, sizeof(r->daemon));
	*ret = e;
	return true;
}

/* What a record carries as text: printable, and short. */
static void read_text(const uint8_t *data, size_t len, char *buf, size_t size)
{
	char raw[256];
	size_t n = len < sizeof(raw) - 1 ? len : sizeof(raw) - 1;

	memcpy(raw, data, n);
	raw[n] = '\0';
	text_copy(buf, size, raw);
}

static int add_session_record(struct packets *p, const struct botls_capture_record *r,
			      const uint8_t *data)
{
	bool by_neighbor = r->flags & BOTLS_CAPTURE_FROM_NEIGHBOR;
	char text[256], comment[300];
	struct ends e;

	if (!ends_of(r, &e)) {
		p->n_malformed++;
		return 0;
	}
	switch (r->kind) {
	case BOTLS_CAPTURE_DATA: return write_data(p, &e, by_neighbor, data, r->len);
	case BOTLS_CAPTURE_BEGIN:
		snprintf(comment, sizeof(comment), "session %llu of worker %u begins",
			 (unsigned long long)r->session, r->worker);
		return write_begin(p, &e, !(r->flags & BOTLS_CAPTURE_DAEMON_CONNECTED), comment);
	case BOTLS_CAPTURE_END:
		read_text(data, r->len, text, sizeof(text));
		snprintf(comment, sizeof(comment), "session %llu of worker %u ended: %s",
			 (unsigned long long)r->session, r->worker, text);
		return write_end(p, &e, by_neighbor, r->flags & BOTLS_CAPTURE_RESET, comment);
	}
	p->n_malformed++;
	return 0;
}

int packets_add(struct packets *p, const void *record, size_t len)
{
	const uint8_t *data = (const uint8_t *)record + sizeof(struct botls_capture_record);
	struct botls_capture_record r;
	char text[256];

	if (len < sizeof(r)) {
		p->n_malformed++;
		return 0;
	}
	memcpy(&r, record, sizeof(r));
	if (r.len != len - sizeof(r)) {
		p->n_malformed++;
		return 0;
	}
	if (packets_are_enough(p))
		return 0;
	p->n_dropped += r.dropped;
	p->dropped += r.dropped;
	switch (r.kind) {
	case BOTLS_CAPTURE_DROPPED: return 0;
	case BOTLS_CAPTURE_NOTE:
		read_text(data, r.len, text, sizeof(text));
		take_note(p, text, r.flags & BOTLS_CAPTURE_LAST);
		return 0;
	}
	return add_session_record(p, &r, data);
}

int packets_finish(struct packets *p, uint64_t now_ns)
{
	const struct pcapng_statistics s = {
		.time_ns = now_ns,
		.begin_ns = p->begin_ns ? p->begin_ns : now_ns,
		.end_ns = now_ns,
		.received = p->n_packets + p->n_dropped,
		.dropped = p->n_dropped,
		.delivered = p->n_packets,
		.comment = p->note[0] ? p->note : NULL,
	};

	return pcapng_statistics(p->out, &s);
}

bool packets_are_enough(const struct packets *p)
{
	return p->limit && p->n_packets >= p->limit;
}
