// SPDX-License-Identifier: Apache-2.0
#include "handover_stay.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <endian.h>

#define NEIGHBOR "192.0.2.2"
#define OTHER	 "192.0.2.3"

static const struct stays_place place = {.worker = 1, .process = 77, .since = 1000, .until = 1900};

/* As an old worker tells it; `but`: without this one. */
static struct stay *tell(uint64_t id, const char *neighbor, const char *bgp, const char *but)
{
	struct fields_out o = {};
	struct fields_in f = {};
	struct stay *s;

	fields_put_number(&o, "id", id);
	fields_put_number(&o, "is-inbound", 1);
	if (strcmp(but, "is-clear") != 0)
		fields_put_number(&o, "is-clear", 0);
	fields_put_text(&o, "own", "192.0.2.1");
	fields_put_text(&o, "peer", neighbor);
	fields_put_number(&o, "own-port", 8179);
	fields_put_number(&o, "peer-port", 40000);
	fields_put_text(&o, "bgp", bgp);
	fields_put_text(&o, "tls.version", "TLSv1.2");
	assert_int_equal(fields_read(&f, o.data, o.len), 0);
	s = stay_read(&f, id, neighbor, "it is old");
	assert_int_equal(fields_error(&f, NULL), 0);
	fields_out_done(&o);
	return s;
}

static struct jv *status_of(const struct stays *l, const char *name, const char *state)
{
	struct jv *o = jv_object_new();

	assert_int_equal(jv_set_string(o, "name", name), 0);
	assert_int_equal(jv_set_string(o, "mode", "required"), 0);
	assert_int_equal(jv_set_string(o, "state", state), 0);
	assert_int_equal(jv_set_int(o, "since", 1), 0);
	assert_int_equal(jv_set_string(o, "bgp", "idle"), 0);
	assert_int_equal(jv_set(o, "sessions", jv_array_new()), 0);
	assert_int_equal(stays_add_status(l, &place, o), 0);
	return o;
}

static void assert_state(const struct stays *l, const char *was, const char *state, const char *bgp,
			 int since)
{
	_cleanup_jv_ struct jv *o = status_of(l, NEIGHBOR, was);

	assert_string_equal(jv_get_string(o, "state", ""), state);
	assert_string_equal(jv_get_string(o, "bgp", ""), bgp);
	assert_int_equal(jv_get_int(o, "since", 0), since);
	assert_int_equal(jv_size(jv_get(o, "sessions")), 2);
}

/* What the worker has itself counts where it is better. */
static void a_neighbor_as_a_whole(void **state)
{
	struct stays l = {};

	(void)state;
	stays_add(&l, tell(1, NEIGHBOR, "established", ""));
	stays_add(&l, tell(2, NEIGHBOR, "closing", ""));
	assert_state(&l, "idle", "draining", "established", 1000);
	assert_state(&l, "handshake", "draining", "established", 1000);
	assert_state(&l, "error", "draining", "established", 1000);
	assert_state(&l, "up", "up", "idle", 1);
	assert_state(&l, "clear", "clear", "idle", 1);
	assert_state(&l, "off", "off", "idle", 1);
	stays_done(&l);
}

static void each_neighbor_has_its_own(void **state)
{
	struct stays l = {};
	struct jv *o;

	(void)state;
	stays_add(&l, tell(1, NEIGHBOR, "established", ""));
	stays_add(&l, tell(2, OTHER, "established", ""));
	stays_add(&l, tell(3, NEIGHBOR, "established", ""));
	assert_int_equal(stays_count(&l, NEIGHBOR), 2);
	assert_int_equal(stays_count(&l, OTHER), 1);
	assert_int_equal(stays_count(&l, "192.0.2.4"), 0);
	o = status_of(&l, OTHER, "idle");
	assert_int_equal(jv_size(jv_get(o, "sessions")), 1);
	assert_int_equal(jv_get_int(jv_at(jv_get(o, "sessions"), 0), "id", 0), 2);
	assert_string_equal(jv_get_string(jv_at(jv_get(o, "sessions"), 0), "direction", ""), "in");
	assert_null(jv_get(jv_at(jv_get(o, "sessions"), 0), "worker"));
	jv_free(o);
	o = status_of(&l, "192.0.2.4", "idle");
	assert_string_equal(jv_get_string(o, "state", ""), "idle");
	assert_int_equal(jv_size(jv_get(o, "sessions")), 0);
	jv_free(o);
	stays_done(&l);
	assert_int_equal(l.bytes, 0);
}

static void what_is_left(void **state)
{
	uint64_t left[] = {htobe64(9), htobe64(3), htobe64(256), htobe64(1)};
	struct stays l = {};

	(void)state;
	for (uint64_t id = 1; id <= 4; id++)
		stays_add(&l, tell(id, id == 4 ? OTHER : NEIGHBOR, "established", ""));
	stays_add(&l, tell(256, NEIGHBOR, "established", ""));
	/* A length that is none of whole numbers: its rest is not looked at. */
	stays_keep(&l, (const uint8_t *)left, sizeof(left) - 1);
	assert_int_equal(stays_count(&l, NEIGHBOR), 2); /* 3 and 256 */
	assert_int_equal(stays_count(&l, OTHER), 0);
	stays_keep(&l, (const uint8_t *)left, 0);
	assert_null(l.first);
	assert_int_equal(l.bytes, 0);
}

/* It is known that there is one, and no more. */
static void what_cannot_be_listed(void **state)
{
	struct stays l = {};
	struct jv *o;

	(void)state;
	stays_add(&l, tell(0, NEIGHBOR, "established", "")); /* an older version */
	stays_add(&l, tell(1, NEIGHBOR, "established", "is-clear"));
	stays_add(&l, tell(2, NEIGHBOR, "a state that is too long to be one of BGP", ""));
	stays_add(&l, NULL);
	assert_int_equal(stays_count(&l, NEIGHBOR), 3);
	o = status_of(&l, NEIGHBOR, "idle");
	assert_int_equal(jv_size(jv_get(o, "sessions")), 0);
	assert_string_equal(jv_get_string(o, "state", ""), "idle");
	jv_free(o);
	stays_done(&l);
}

/* An old worker that was taken over may go on for ever. */
static void there_is_a_limit(void **state)
{
	struct stays l = {};

	(void)state;
	for (size_t before = 1, id = 1; before != l.bytes; id++) {
		before = l.bytes;
		stays_add(&l, tell(id, NEIGHBOR, "established", ""));
		assert_true(id < 200000);
	}
	assert_in_range(l.bytes, 31 << 20, 32 << 20);
	assert_true(stays_count(&l, NEIGHBOR) > 40000);
	stays_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_neighbor_as_a_whole),
		cmocka_unit_test(each_neighbor_has_its_own),
		cmocka_unit_test(what_is_left),
		cmocka_unit_test(what_cannot_be_listed),
		cmocka_unit_test(there_is_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
