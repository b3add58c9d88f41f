// SPDX-License-Identifier: Apache-2.0
/* A relay that goes on in another process: here in another relay on the same connections. */
#include "relay_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

/* The other one has descriptors of its own; the first one leaves. */
static void move(struct rig *rig)
{
	int inner = fcntl(rig->inner, F_DUPFD_CLOEXEC, 3);
	int outer = fcntl(rig->outer, F_DUPFD_CLOEXEC, 3);
	struct relay *old = rig->relay;
	struct relay_state state;

	assert_int_equal(relay_freeze(old), 0);
	relay_get_state(old, &state);
	assert_int_equal(relay_new_frozen(loop, transport_tcp_new(inner), transport_tcp_new(outer),
					  &callbacks, rig, &state, &rig->relay),
			 0);
	relay_leave(old);
	rig->inner = inner;
	rig->outer = outer;
	assert_int_equal(relay_thaw(rig->relay), 0);
}

/* Under load in both directions, with sides that get stuck. */
static void under_load(void **state)
{
	struct stream up = {.seed = 1}, down = {.seed = 2};
	struct rig rig;
	size_t held = 0;
	int end;

	(void)state;
	rig_open(&rig, &callbacks, 8192);
	for (int i = 0; i < 300; i++) {
		while (send_some(rig.daemon, &up, 5000))
			;
		while (send_some(rig.neighbor, &down, 3000))
			;
		for (int j = 0; j < 3; j++)
			loop_turn(loop, true);
		if (i % 3 == 0) {
			held += relay_buffered(rig.relay) > 0;
			move(&rig);
		}
		if (i % 5 == 0)
			while (receive_some(rig.neighbor, &up, 70000, &end))
				;
		if (i % 7 == 0)
			while (receive_some(rig.daemon, &down, 70000, &end))
				;
	}
	assert_true(held > 10);
	WAIT_FOR((receive_some(rig.neighbor, &up, 70000, &end), up.received == up.sent));
	WAIT_FOR((receive_some(rig.daemon, &down, 70000, &end), down.received == down.sent));
	assert_int_equal(relay_bytes(rig.relay, RELAY_INNER), up.sent);
	assert_int_equal(relay_bytes(rig.relay, RELAY_OUTER), down.sent);
	rig_close(&rig);
}

static void it_stands_still(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	run_for(20);
	assert_int_equal(relay_freeze(rig.relay), 0);
	send_all(rig.daemon, "hello", 5);
	run_for(50);
	assert_int_equal(look(rig.neighbor), -EAGAIN);
	assert_int_equal(relay_thaw(rig.relay), 0);
	WAIT_FOR(gets_text(rig.neighbor, "hello"));
	rig_close(&rig);
}

/* An end that comes while it stands still is passed on later. */
static void an_end_in_between(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	run_for(20);
	assert_int_equal(relay_freeze(rig.relay), 0);
	send_all(rig.daemon, NOTIFICATION_TEXT, strlen(NOTIFICATION_TEXT));
	shutdown(rig.daemon, SHUT_WR);
	run_for(20);
	assert_int_equal(relay_thaw(rig.relay), 0);
	move(&rig);
	WAIT_FOR(gets_text(rig.neighbor, NOTIFICATION_TEXT));
	WAIT_FOR(look(rig.neighbor) == 0);
	/* Half closed, it stays with the one who saw it. */
	assert_int_equal(relay_freeze(rig.relay), -EBUSY);
	shutdown(rig.neighbor, SHUT_WR);
	WAIT_FOR(rig.has_ended);
	check_end(&rig, RELAY_INNER, RELAY_EOF);
	rig_close(&rig);
}

/* Nothing happens to the connections when the one who stands still goes, if somebody else has them.
 */
static void it_leaves(void **state)
{
	struct rig rig;
	int inner, outer;

	(void)state;
	rig_open(&rig, &callbacks, 0);
	run_for(20);
	inner = fcntl(rig.inner, F_DUPFD_CLOEXEC, 3);
	outer = fcntl(rig.outer, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(relay_freeze(rig.relay), 0);
	send_all(rig.daemon, "unread", 6);
	relay_leave(TAKE(rig.relay));
	assert_int_equal(look(rig.daemon), -EAGAIN);
	assert_int_equal(look(rig.neighbor), -EAGAIN);
	close(inner);
	close(outer);
	assert_false(rig.has_ended);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(under_load),
		TEST(it_stands_still),
		TEST(an_end_in_between),
		TEST(it_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
