// SPDX-License-Identifier: Apache-2.0
/* What comes through a relay is changed on the way, or has to wait. */
#include "relay_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

/* The first KEPT bytes are kept until they are all there, then there are ADDED more. */
#define KEPT  4096
#define ADDED 4000

static struct edited {
	struct rig *rig;
	uint8_t data[KEPT];
	size_t have;
	unsigned calls;
	bool was_last;
} edited;

static size_t on_edit(void *arg, enum relay_side from, uint8_t *data, size_t len, bool is_last)
{
	size_t n = KEPT - edited.have < len ? KEPT - edited.have : len, added;

	assert_ptr_equal(arg, edited.rig);
	edited.calls++;
	edited.was_last = is_last;
	memcpy(edited.data + edited.have, data, n);
	edited.have += n;
	if (edited.have < KEPT && !is_last)
		return 0;
	relay_set_edit(edited.rig->relay, from, NULL);
	added = edited.have == KEPT ? ADDED : 0;
	memmove(data + edited.have + added, data + n, len - n);
	memcpy(data, edited.data, edited.have);
	memset(data + edited.have, '+', added);
	return edited.have + added + len - n;
}

static void begin(struct rig *rig, enum relay_side from)
{
	rig_open(rig, &callbacks, 0);
	edited = (struct edited){.rig = rig};
	relay_set_edit(rig->relay, from, on_edit);
}

static void receive_all(int fd, struct stream *s, uint64_t total)
{
	int end;

	while (s->received < total) {
		assert_int_equal(loop_turn(loop, false), 0);
		receive_some(fd, s, total - s->received, &end);
		assert_int_equal(end, 0);
	}
}

static void receive_added(int fd)
{
	uint8_t buf[ADDED];
	size_t have = 0;

	while (have < ADDED) {
		ssize_t n = recv(fd, buf + have, ADDED - have, 0);

		assert_int_equal(loop_turn(loop, false), 0);
		have += n > 0 ? n : 0;
	}
	for (size_t i = 0; i < ADDED; i++)
		assert_int_equal(buf[i], '+');
}

/* In whole buffers, of which the first has no room left for more; and byte by byte. */
static void changed(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		enum relay_side from = i & 1;
		struct stream s = {.seed = 7};
		const uint64_t total = 400000;
		struct rig rig;
		int in, out;

		begin(&rig, from);
		in = from == RELAY_INNER ? rig.daemon : rig.neighbor;
		out = from == RELAY_INNER ? rig.neighbor : rig.daemon;
		for (int k = 0; i > 1 && k < 500; k++) {
			send_some(in, &s, 1);
			assert_int_equal(loop_turn(loop, false), 0);
		}
		while (s.sent < total)
			if (!send_some(in, &s, total - s.sent))
				assert_int_equal(loop_turn(loop, false), 0);
		receive_all(out, &s, KEPT);
		receive_added(out);
		receive_all(out, &s, total);
		assert_int_equal(look(out), -EAGAIN);
		/* As the daemon sends and gets it. */
		assert_int_equal(rig.tapped[from], from == RELAY_INNER ? total : total + ADDED);
		assert_int_equal(relay_bytes(rig.relay, from), total + ADDED);
		assert_int_equal(relay_written(rig.relay, from), total + ADDED);
		assert_false(edited.was_last);
		rig_close(&rig);
	}
}

/* What is still kept at the end arrives before it. */
static void the_end(void **state)
{
	struct stream s = {.seed = 8};
	struct rig rig;

	(void)state;
	begin(&rig, RELAY_OUTER);
	send_some(rig.neighbor, &s, 100);
	WAIT_FOR(edited.have == 100);
	assert_int_equal(look(rig.daemon), -EAGAIN);
	assert_int_equal(shutdown(rig.neighbor, SHUT_WR), 0);
	receive_all(rig.daemon, &s, 100);
	WAIT_FOR(look(rig.daemon) == 0);
	assert_true(edited.was_last);
	rig_close(&rig);
}

static void paused(void **state)
{
	struct stream to_outer = {.seed = 9}, to_inner = {.seed = 10};
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(relay_pause(rig.relay, true), 0);
		send_some(rig.daemon, &to_outer, 1000);
		send_some(rig.neighbor, &to_inner, 1000);
		run_for(50);
		assert_int_equal(look(rig.daemon), -EAGAIN);
		assert_int_equal(look(rig.neighbor), -EAGAIN);
		assert_int_equal(relay_pause(rig.relay, false), 0);
		receive_all(rig.neighbor, &to_outer, to_outer.sent);
		receive_all(rig.daemon, &to_inner, to_inner.sent);
	}
	rig_close(&rig);
}

static void ends_while_paused(void **state)
{
	struct stream s = {.seed = 11};
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	assert_int_equal(relay_pause(rig.relay, true), 0);
	send_some(rig.daemon, &s, 1000);
	reset(&rig.neighbor);
	run_for(50);
	assert_false(rig.has_ended);
	assert_int_equal(relay_pause(rig.relay, false), 0);
	WAIT_FOR(rig.has_ended);
	rig_close(&rig);

	rig_open(&rig, &callbacks, 0);
	assert_int_equal(relay_pause(rig.relay, true), 0);
	assert_int_equal(relay_close(rig.relay), 0);
	run_for(50);
	assert_int_equal(look(rig.daemon), -EAGAIN);
	assert_int_equal(relay_pause(rig.relay, false), 0);
	WAIT_FOR(look(rig.daemon) == 0 && look(rig.neighbor) == 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changed, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(the_end, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(paused, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(ends_while_paused, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
