// SPDX-License-Identifier: Apache-2.0
/* A capture from a worker's sessions to the packets of botlsctl: the test is the session, and reads
 * what comes out of the socket. */
#include "capture.h"
#include "ctl_packets.h"
#include "ipc.h"

#include "botls/capture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#define KEEPALIVE     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x13\x04"
#define KEEPALIVE_LEN 19
static const char keepalives[] = KEEPALIVE KEEPALIVE;

struct rig {
	struct loop *loop;
	struct capture *list, *capture;
	int fd; /* botlsctl's end */
	struct addr neighbor, daemon;
	struct bgp_stream in, out;
	uint8_t in_step[2];
	struct {
		struct botls_capture_record record;
		uint8_t data[BOTLS_CAPTURE_DATA_MAX + 1];
	} got;
	ssize_t got_len;

	struct pcapng pcapng;
	struct packets packets;
	uint8_t blocks[1 << 20];
	size_t blocks_len;
	char note[256];
	bool is_last;
};

static void capture_into(struct rig *r, unsigned slot, struct capture **ret)
{
	int fds[2];

	assert_int_equal(ipc_pair(fds), 0);
	r->fd = fds[1];
	assert_int_equal(capture_new(r->loop, fds[0], slot, 3, &r->list, ret), 0);
}

static int keep(void *arg, const void *block, size_t len)
{
	struct rig *r = arg;

	assert_true(r->blocks_len + len <= sizeof(r->blocks));
	memcpy(r->blocks + r->blocks_len, block, len);
	r->blocks_len += len;
	return 0;
}

static void on_note(void *arg, const char *text, bool is_last)
{
	struct rig *r = arg;

	snprintf(r->note, sizeof(r->note), "%s", text);
	r->is_last = is_last;
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(addr_parse("192.0.2.2", &r->neighbor, NULL), 0);
	assert_int_equal(addr_parse("192.0.2.1", &r->daemon, NULL), 0);
	bgp_init(&r->in);
	bgp_init(&r->out);
	capture_into(r, 2, &r->capture);
	r->pcapng = (struct pcapng){.write = keep, .arg = r};
	r->packets = (struct packets){.out = &r->pcapng, .on_note = on_note, .arg = r};
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	capture_free(r->capture);
	if (r->fd >= 0)
		close(r->fd);
	bgp_done(&r->in);
	bgp_done(&r->out);
	loop_free(r->loop);
	free(r);
	return 0;
}

static struct capture_flow flow(struct rig *r)
{
	return (struct capture_flow){
		.session = 17,
		.neighbor = &r->neighbor,
		.daemon = &r->daemon,
		.neighbor_port = 179,
		.daemon_port = 40000,
		.daemon_connected = true,
		.in = &r->in,
		.out = &r->out,
		.in_step = r->in_step,
	};
}

/* As a session does: the captures first, then the stream. */
static void say(struct rig *r, bool inbound, const void *data, size_t len)
{
	struct capture_flow f = flow(r);

	captures_bytes(r->list, &f, inbound, data, len);
	bgp_feed(inbound ? &r->in : &r->out, data, len, false);
}

static bool hear(struct rig *r)
{
	r->got_len = recv(r->fd, &r->got, sizeof(r->got), MSG_DONTWAIT);
	return r->got_len > 0;
}

static void test_records(void **state)
{
	struct rig *r = *state;
	struct capture_flow f = flow(r);

	captures_begin(r->list, &f);
	assert_true(hear(r));
	assert_int_equal(r->got_len, sizeof(r->got.record));
	assert_int_equal(r->got.record.kind, BOTLS_CAPTURE_BEGIN);
	assert_int_equal(r->got.record.flags, BOTLS_CAPTURE_DAEMON_CONNECTED);
	assert_int_equal(r->got.record.family, 4);
	assert_int_equal(r->got.record.worker, 3);
	assert_int_equal(r->got.record.session, 17);
	assert_int_equal(r->got.record.neighbor_port, 179);
	assert_int_equal(r->got.record.daemon_port, 40000);
	assert_memory_equal(r->got.record.neighbor, "\xc0\x00\x02\x02", 4);
	assert_memory_equal(r->got.record.daemon, "\xc0\x00\x02\x01", 4);
	assert_true(r->got.record.time_ns > 1700000000ULL * 1000000000);

	say(r, true, KEEPALIVE, KEEPALIVE_LEN);
	say(r, false, KEEPALIVE, KEEPALIVE_LEN);
	assert_true(hear(r));
	assert_int_equal(r->got.record.kind, BOTLS_CAPTURE_DATA);
	assert_true(r->got.record.flags & BOTLS_CAPTURE_FROM_NEIGHBOR);
	assert_int_equal(r->got.record.len, KEEPALIVE_LEN);
	assert_memory_equal(r->got.data, KEEPALIVE, KEEPALIVE_LEN);
	assert_int_equal(r->got.record.from_neighbor, 0);
	assert_true(hear(r));
	assert_false(r->got.record.flags & BOTLS_CAPTURE_FROM_NEIGHBOR);
	assert_int_equal(r->got.record.from_neighbor, KEEPALIVE_LEN);
	assert_int_equal(r->got.record.from_daemon, 0);

	f = flow(r);
	captures_end(r->list, &f, true, true, "reset");
	assert_true(hear(r));
	assert_int_equal(r->got.record.kind, BOTLS_CAPTURE_END);
	assert_int_equal(r->got.record.flags, BOTLS_CAPTURE_DAEMON_CONNECTED |
						      BOTLS_CAPTURE_FROM_NEIGHBOR |
						      BOTLS_CAPTURE_RESET);
	assert_memory_equal(r->got.data, "reset", 5);
	assert_int_equal(r->got.record.dropped, 0);
	assert_false(hear(r));
}

/* Wherever in a message it begins, the first byte is that of the next one. */
static void test_begins_with_a_message(void **state)
{
	struct rig *r = *state;

	for (size_t cut = 0; cut <= KEEPALIVE_LEN; cut++) {
		memset(r->in_step, 0, sizeof(r->in_step));
		bgp_done(&r->in);
		bgp_init(&r->in);
		bgp_feed(&r->in, KEEPALIVE, cut, false);
		say(r, true, keepalives + cut, 2 * KEEPALIVE_LEN - cut);
		assert_true(hear(r));
		assert_int_equal(r->got.record.len,
				 cut % KEEPALIVE_LEN ? KEEPALIVE_LEN : 2 * KEEPALIVE_LEN - cut);
		assert_int_equal(r->got.record.from_neighbor,
				 cut % KEEPALIVE_LEN ? KEEPALIVE_LEN : cut);
		assert_memory_equal(r->got.data, KEEPALIVE, KEEPALIVE_LEN);
		assert_false(hear(r));
	}
}

static void test_begins_with_a_message_in_small_pieces(void **state)
{
	struct rig *r = *state;

	bgp_feed(&r->in, KEEPALIVE, 5, false);
	for (size_t i = 5; i < KEEPALIVE_LEN; i++)
		say(r, true, keepalives + i, 1);
	assert_false(hear(r));
	say(r, true, KEEPALIVE, 1);
	assert_true(hear(r));
	assert_int_equal(r->got.record.from_neighbor, KEEPALIVE_LEN);
}

/* Nothing is known of where messages are: it begins where it is. */
static void test_lost_framing(void **state)
{
	struct rig *r = *state;

	bgp_feed(&r->in, "this is no BGP, it is far from it", 30, false);
	assert_non_null(r->in.framing_error);
	say(r, true, "abc", 3);
	assert_true(hear(r));
	assert_int_equal(r->got.record.len, 3);
}

static void test_two_captures(void **state)
{
	struct rig *r = *state;
	struct capture *second;
	int first_fd = r->fd;

	say(r, true, KEEPALIVE, 10);
	capture_into(r, 5, &second);
	say(r, true, keepalives + 10, 28);
	assert_true(hear(r));
	assert_int_equal(r->got.record.from_neighbor, 19);
	assert_int_equal(r->got.record.len, 19);
	assert_int_equal(recv(first_fd, &r->got, sizeof(r->got), 0), sizeof(r->got.record) + 10);
	assert_int_equal(recv(first_fd, &r->got, sizeof(r->got), 0), sizeof(r->got.record) + 28);
	capture_stop(second, &second);
	assert_null(second);
	assert_int_equal(recv(r->fd, &r->got, sizeof(r->got), 0), 0);
	say(r, true, KEEPALIVE, 19);
	close(r->fd);
	r->fd = first_fd;
	assert_true(hear(r));
}

/* Nobody reads. Returns how many records went in. */
static unsigned fill(struct rig *r)
{
	static const char bulk[16384];
	unsigned n = 0;

	bgp_feed(&r->in, "no BGP, that is clear from the first", 30, false);
	for (;;) {
		r->in_step[1] = 0;
		say(r, true, bulk, sizeof(bulk));
		if (!r->in_step[1])
			return n;
		n++;
	}
}

static void test_drops_are_counted(void **state)
{
	struct rig *r = *state;
	unsigned n = fill(r), heard = 0, dropped = 0;

	for (unsigned i = 0; i < 9; i++)
		say(r, true, "y", 1);
	while (hear(r)) {
		heard++;
		dropped += r->got.record.dropped;
	}
	assert_int_equal(dropped, 0);
	/* Room at last: it is said without waiting for more bytes. */
	assert_int_equal(loop_turn(r->loop, true), 0);
	assert_true(hear(r));
	assert_int_equal(r->got.record.kind, BOTLS_CAPTURE_DROPPED);
	dropped = r->got.record.dropped;
	assert_true(heard >= n);
	assert_int_equal(heard + dropped, n + 10);
	say(r, true, "y", 1);
	assert_true(hear(r));
	assert_int_equal(r->got.record.dropped, 0);
}

static void test_last_word(void **state)
{
	struct rig *r = *state;

	fill(r);
	capture_stop(r->capture, &r->capture);
	assert_non_null(r->capture);
	while (hear(r))
		;
	while (r->capture)
		assert_int_equal(loop_turn(r->loop, true), 0);
	assert_true(hear(r));
	assert_int_equal(r->got.record.kind, BOTLS_CAPTURE_DROPPED);
	assert_int_equal(r->got.record.dropped, 1);
	assert_int_equal(recv(r->fd, &r->got, sizeof(r->got), 0), 0);
}

static void test_reader_is_gone(void **state)
{
	struct rig *r = *state;

	close(r->fd);
	r->fd = -1;
	say(r, true, KEEPALIVE, KEEPALIVE_LEN);
	say(r, true, KEEPALIVE, KEEPALIVE_LEN);
	capture_stop(r->capture, &r->capture);
	assert_null(r->capture);
}

static void test_neighbor_goes_first(void **state)
{
	struct rig *r = *state;

	capture_detach_all(&r->list);
	assert_null(r->list);
	capture_stop(r->capture, &r->capture);
	assert_null(r->capture);
}

/* --- packets
 * -----------------------------------------------------------------------------------------------------------
 */

/* The n-th packet block: its flags, sequence numbers, ports and payload length. */
struct seen {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t from_port, to_port;
	size_t len;
};

static bool packet_at(const struct rig *r, unsigned n, struct seen *ret)
{
	const uint8_t *p = r->blocks, *tcp;
	uint32_t type, len;

	for (;; p += len) {
		if (p == r->blocks + r->blocks_len)
			return false;
		memcpy(&type, p, 4);
		memcpy(&len, p + 4, 4);
		if (type == 6 && n-- == 0)
			break;
	}
	tcp = p + 28 + 20;
	ret->from_port = tcp[0] << 8 | tcp[1];
	ret->to_port = tcp[2] << 8 | tcp[3];
	ret->seq = (uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	ret->ack = (uint32_t)tcp[8] << 24 | tcp[9] << 16 | tcp[10] << 8 | tcp[11];
	ret->flags = tcp[13];
	ret->len = (p[28 + 2] << 8 | p[28 + 3]) - 20 - (tcp[12] >> 4) * 4;
	return true;
}

#define EXPECT_PACKET(r, n, flags_, seq_, ack_, from_, to_, len_)                                  \
	do {                                                                                       \
		struct seen s_ = {};                                                               \
		assert_true(packet_at(r, n, &s_));                                                 \
		assert_int_equal(s_.flags, flags_);                                                \
		assert_int_equal(s_.seq, seq_);                                                    \
		assert_int_equal(s_.ack, ack_);                                                    \
		assert_int_equal(s_.from_port, from_);                                             \
		assert_int_equal(s_.to_port, to_);                                                 \
		assert_int_equal(s_.len, len_);                                                    \
	} while (0)

static void pass_on(struct rig *r)
{
	while (hear(r))
		assert_int_equal(packets_add(&r->packets, &r->got, r->got_len), 0);
}

static void test_whole_session(void **state)
{
	struct rig *r = *state;
	struct capture_flow f = flow(r);

	captures_begin(r->list, &f);
	say(r, false, KEEPALIVE, KEEPALIVE_LEN);
	say(r, true, KEEPALIVE KEEPALIVE, 2 * KEEPALIVE_LEN);
	f = flow(r);
	captures_end(r->list, &f, true, false, "neighbor closed");
	pass_on(r);
	EXPECT_PACKET(r, 0, SEGMENT_SYN, 0, 0, 40000, 179, 0);
	EXPECT_PACKET(r, 1, SEGMENT_SYN | SEGMENT_ACK, 0, 1, 179, 40000, 0);
	EXPECT_PACKET(r, 2, SEGMENT_ACK, 1, 1, 40000, 179, 0);
	EXPECT_PACKET(r, 3, SEGMENT_PSH | SEGMENT_ACK, 1, 1, 40000, 179, 19);
	EXPECT_PACKET(r, 4, SEGMENT_PSH | SEGMENT_ACK, 1, 20, 179, 40000, 38);
	EXPECT_PACKET(r, 5, SEGMENT_FIN | SEGMENT_ACK, 39, 20, 179, 40000, 0);
	EXPECT_PACKET(r, 6, SEGMENT_FIN | SEGMENT_ACK, 20, 40, 40000, 179, 0);
	EXPECT_PACKET(r, 7, SEGMENT_ACK, 40, 21, 179, 40000, 0);
	assert_int_equal(r->packets.n_packets, 2);
	assert_int_equal(r->packets.n_bytes, 57);
	assert_int_equal(packets_finish(&r->packets, 1), 0);
	assert_int_equal(r->packets.n_malformed, 0);
}

/* After 4 GB the numbers begin anew. */
static void test_reset_after_many_bytes(void **state)
{
	struct rig *r = *state;
	struct capture_flow f = flow(r);

	r->in.bytes = (1ULL << 32) + 5;
	r->out.bytes = (1ULL << 33) - 1;
	captures_end(r->list, &f, false, true, "x");
	pass_on(r);
	EXPECT_PACKET(r, 0, SEGMENT_RST | SEGMENT_ACK, 0, 6, 40000, 179, 0);
}

static void test_gap_and_limit(void **state)
{
	struct rig *r = *state;

	say(r, true, KEEPALIVE, KEEPALIVE_LEN);
	assert_true(hear(r));
	r->got.record.dropped = 7;
	assert_int_equal(packets_add(&r->packets, &r->got, r->got_len), 0);
	assert_int_equal(r->packets.n_dropped, 7);
	/* epb_dropcount behind flags */
	assert_memory_equal(r->blocks + 28 + 60 + 8, "\x04\x00\x08\x00\x07\x00\x00\x00", 8);
	r->packets.limit = 2;
	assert_int_equal(packets_add(&r->packets, &r->got, r->got_len), 0);
	assert_true(packets_are_enough(&r->packets));
	assert_int_equal(packets_add(&r->packets, &r->got, r->got_len), 0);
	assert_int_equal(r->packets.n_packets, 2);
	assert_int_equal(r->packets.n_dropped, 14);
}

static void test_notes(void **state)
{
	struct rig *r = *state;
	struct {
		struct botls_capture_record record;
		char text[32];
	} m = {.record = {.kind = BOTLS_CAPTURE_NOTE, .len = 11}, .text = "a\x1b[31mnote!"};

	assert_int_equal(packets_add(&r->packets, &m, sizeof(m.record) + 11), 0);
	assert_string_equal(r->note, "a?[31mnote!");
	assert_false(r->is_last);
	m.record.flags = BOTLS_CAPTURE_LAST;
	assert_int_equal(packets_add(&r->packets, &m, sizeof(m.record) + 11), 0);
	assert_true(r->is_last);
	assert_int_equal(r->blocks_len, 0);
	/* With the next packet; else at the end. */
	say(r, true, KEEPALIVE, KEEPALIVE_LEN);
	pass_on(r);
	assert_non_null(memmem(r->blocks, r->blocks_len, "a?[31mnote!", 11));
	assert_int_equal(r->packets.n_packets, 1);
}

/* A worker is not trusted. */
static void test_malformed_records(void **state)
{
	struct rig *r = *state;
	struct botls_capture_record m = {.kind = BOTLS_CAPTURE_DATA, .family = 4};

	assert_int_equal(packets_add(&r->packets, &m, 0), 0);
	assert_int_equal(packets_add(&r->packets, &m, sizeof(m) - 1), 0);
	m.len = 1;
	assert_int_equal(packets_add(&r->packets, &m, sizeof(m)), 0);
	m.len = 0;
	m.family = 5;
	assert_int_equal(packets_add(&r->packets, &m, sizeof(m)), 0);
	m.family = 4;
	m.kind = 77;
	assert_int_equal(packets_add(&r->packets, &m, sizeof(m)), 0);
	assert_int_equal(r->packets.n_malformed, 5);
	assert_int_equal(r->blocks_len, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_records),
		T(test_begins_with_a_message),
		T(test_begins_with_a_message_in_small_pieces),
		T(test_lost_framing),
		T(test_two_captures),
		T(test_drops_are_counted),
		T(test_last_word),
		T(test_reader_is_gone),
		T(test_neighbor_goes_first),
		T(test_whole_session),
		T(test_reset_after_many_bytes),
		T(test_gap_and_limit),
		T(test_notes),
		T(test_malformed_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
