// SPDX-License-Identifier: Apache-2.0
/* A reload as a diff: which neighbors change, what is named, which sessions end. */
#include "plan.h"
#include "config_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PIN_A	 "\"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""
#define PIN_B	 "\"sha256/BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""
#define IDENTITY "certificate = /c\nkey = /k\nca = /a\n"

static void on_report(void *arg, const char *where, const char *text)
{
	(void)arg;
	fail_msg("%s: %s", where, text);
}

static struct config *load(const char *text)
{
	struct config *c = NULL;

	assert_int_equal(config_load_text(text, on_report, NULL, &c), 0);
	return c;
}

static void assert_item(const struct plan_item *item, const char *name, enum plan_action action)
{
	assert_string_equal((item->after ? item->after : item->before)->name, name);
	assert_string_equal(plan_action_name(item->action), plan_action_name(action));
	assert_int_equal(!item->before, action == PLAN_ADD);
	assert_int_equal(!item->after, action == PLAN_DROP);
}

static void every_neighbor_is_there_once_in_order(void **state)
{
	_cleanup_config_ struct config *old =
		load(IDENTITY "neighbor 10.0.0.1 {} neighbor 10.0.0.3 {}"
			      "neighbor 10.0.0.4 {} neighbor 10.0.0.9 { mode = off }");
	_cleanup_config_ struct config *new =
		load(IDENTITY "neighbor 10.0.0.4 { hold-time = 1 }"
			      "neighbor 10.0.0.0/8 {} neighbor 10.0.0.2 {}"
			      "neighbor 10.0.0.1 {} neighbor 2001:db8::1 {}");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_int_equal(p->n_items, 7);
	assert_item(&p->items[0], "10.0.0.0/8", PLAN_ADD);
	assert_item(&p->items[1], "10.0.0.1", PLAN_KEEP);
	assert_item(&p->items[2], "10.0.0.2", PLAN_ADD);
	assert_item(&p->items[3], "10.0.0.3", PLAN_DROP);
	assert_item(&p->items[4], "10.0.0.4", PLAN_CHANGE);
	assert_item(&p->items[5], "10.0.0.9", PLAN_DROP);
	assert_item(&p->items[6], "2001:db8::1", PLAN_ADD);
	assert_ptr_equal(p->items[4].before, config_neighbor(old, "10.0.0.4"));
	assert_ptr_equal(p->items[4].after, config_neighbor(new, "10.0.0.4"));
	assert_true(p->items[3].resets);
	assert_false(p->items[5].resets);
	assert_int_equal(p->n_keep, 1);
	assert_int_equal(p->n_change, 1);
	assert_int_equal(p->n_add, 3);
	assert_int_equal(p->n_drop, 2);
	assert_int_equal(p->n_resets, 1);
	plan_free(p);
}

static void nothing_changes(void **state)
{
	static const char text[] =
		IDENTITY "hold-time = 5 neighbor 10.0.0.1 {} neighbor 10.0.0.0/8 {}";
	_cleanup_config_ struct config *old = load(text), *new = load(text);
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_int_equal(p->n_items, 2);
	assert_int_equal(p->n_keep, 2);
	assert_int_equal(p->n_change + p->n_add + p->n_drop + p->n_resets, 0);
	assert_string_equal(p->items[0].changed, "");
	assert_string_equal(p->globals_changed, "");
	assert_string_equal(p->needs_restart, "");
	plan_free(p);
}

static void start_adds_everything(void **state)
{
	_cleanup_config_ struct config *new =
		load(IDENTITY "workers = 3 neighbor 10.0.0.1 {} neighbor 10.0.0.2 {}");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(NULL, new, 0, &p), 0);
	assert_int_equal(p->n_items, 2);
	assert_int_equal(p->n_add, 2);
	assert_int_equal(p->n_resets, 0);
	assert_string_equal(p->needs_restart, "");
	assert_item(&p->items[0], "10.0.0.1", PLAN_ADD);
	plan_free(p);
	plan_free(NULL);
}

/* One option differs between the two blocks; is it named, and do sessions end? */
static void check_change(const char *before, const char *after, const char *changed, bool resets)
{
	char old_text[1000], new_text[1000];
	_cleanup_config_ struct config *old = NULL, *new = NULL;
	struct plan *p;

	snprintf(old_text, sizeof(old_text), IDENTITY "neighbor 10.0.0.1 { %s }", before);
	snprintf(new_text, sizeof(new_text), IDENTITY "neighbor 10.0.0.1 { %s }", after);
	old = load(old_text);
	new = load(new_text);
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_int_equal(p->n_items, 1);
	assert_item(&p->items[0], "10.0.0.1", PLAN_CHANGE);
	assert_int_equal(p->n_change, 1);
	assert_string_equal(p->items[0].changed, changed);
	if (p->items[0].resets != resets)
		fail_msg("'%s' to '%s': resets %d", before, after, !resets);
	assert_int_equal(p->n_resets, resets);
	plan_free(p);
}

#define AO	  "tcp-ao = static tcp-ao-key = x"
#define EXPORTER  "tcp-ao = exporter "
#define PREFERRED "tcp-ao-policy = preferred"

static void changes_that_reset(void **state)
{
	(void)state;
	check_change("", "mode = off", "mode", true);
	check_change("mode = off", "", "mode", true);
	check_change("", "mode = preferred", "mode", true);
	check_change("", "role = accept", "role", true);
	check_change("", "local-address = 10.0.0.2", "local-address", true);
	check_change("", "port = 9000", "port", true);
	check_change("", "ca = /b", "ca", true);
	check_change("", "ttl = 64", "ttl", true);
	check_change("", "ttl-security = 1", "ttl-security", true);
	check_change("ttl-security = 2", "ttl-security = 1", "ttl-security", true);
	check_change("", "tcp-md5 = x", "tcp-md5", true);
	check_change("tcp-md5 = x", "tcp-md5 = y", "tcp-md5", true);
	check_change("inner-tcp-md5 = x", "", "inner-tcp-md5", true);
	check_change("", AO, "tcp-ao, tcp-ao-key", true);
	check_change("tcp-md5 = x", AO, "tcp-md5, tcp-ao, tcp-ao-key", true);
	check_change(AO, "tcp-ao = static tcp-ao-key = y", "tcp-ao-key", true);
	/* one id stays, and no connection can have both */
	check_change(AO, AO " tcp-ao-send-id = 1", "tcp-ao-send-id", true);
	check_change(AO, AO " tcp-ao-algorithm = hmac-sha1-96", "tcp-ao-algorithm", true);
	check_change(AO, AO " tcp-ao-options = false", "tcp-ao-options", true);
	/* sessions without it, or with the default key only */
	check_change(EXPORTER PREFERRED, EXPORTER, "tcp-ao-policy", true);
	check_change("", "pins = " PIN_A, "check-address, pins", true);
	check_change("pins = " PIN_A, "pins = " PIN_B, "pins", true);
	check_change("pins = { " PIN_A ", " PIN_B " }", "pins = " PIN_A, "pins", true);
	check_change("pins = " PIN_A " check-address = false", "check-address = false", "pins",
		     true);
	check_change("", "dns-names = a", "dns-names, check-address", true);
	check_change("dns-names = { a, b }", "dns-names = { b, c }", "dns-names", true);
	check_change("check-address = false", "check-address = true", "check-address", true);
	check_change("check-eku = false", "", "check-eku", true);
	check_change("", "min-version = 1.3", "min-version", true);
	check_change("", "remote-as = 1", "remote-as", true);
	check_change("remote-as = 2", "remote-as = 1", "remote-as", true);
}

static void changes_that_do_not(void **state)
{
	(void)state;
	check_change("", "description = x", "description", false);
	check_change("", "certificate = /d key = /l", "certificate, key", false);
	check_change("", "crl = /r", "crl", false);
	check_change("", "hold-time = 1 keepalive = 0 user-timeout = 10 handshake-timeout = 1",
		     "handshake-timeout, hold-time, user-timeout, keepalive", false);
	check_change("", "key-update-records = 16", "key-update-records", false);
	check_change("mode = preferred", "mode = preferred fallback-after = 1", "fallback-after",
		     false);
	/* what accepts more than before */
	check_change("pins = " PIN_A, "pins = { " PIN_B ", " PIN_A " }", "pins", false);
	check_change("dns-names = { a, b }", "dns-names = { b, c, a }", "dns-names", false);
	check_change("check-address = true", "check-address = false", "check-address", false);
	check_change("", "check-eku = false", "check-eku", false);
	check_change("min-version = 1.3", "", "min-version", false);
	check_change("remote-as = 1", "", "remote-as", false);
	/* connections go from the one key to the other */
	check_change(AO, AO " tcp-ao-send-id = 1 tcp-ao-recv-id = 1",
		     "tcp-ao-send-id, tcp-ao-recv-id", false);
	check_change(AO, "tcp-ao = static tcp-ao-key = y tcp-ao-send-id = 1 tcp-ao-recv-id = 1",
		     "tcp-ao-key, tcp-ao-send-id, tcp-ao-recv-id", false);
	check_change(AO, AO " " PREFERRED, "tcp-ao-policy", false);
	check_change(AO " " PREFERRED, AO, "tcp-ao-policy", false);
	check_change(EXPORTER, EXPORTER PREFERRED, "tcp-ao-policy", false);
	/* nothing of ours to end */
	check_change("mode = off", "mode = off port = 9000 tcp-md5 = x", "port, tcp-md5", false);
}

/* What becomes of the neighbors of a chain when its keys change, at day 5 of 2026. */
static void chains_change(void **state)
{
#define ONE   "key one { chain = x secret = a "
#define TWO   "key two { chain = x secret = b send-id = 2 recv-id = 2 "
#define LATER "send-from = 2026-01-09 }"
	static const struct {
		const char *before, *after;
		bool is_change, resets;
	} cases[] = {
		{ONE "}", ONE "}", false, false},
		{ONE "}", ONE "} key other { chain = y secret = c }", false, false},
		{ONE "}", ONE "} " TWO LATER, true, false},
		{ONE "} " TWO LATER, ONE "}", true, false},
		{ONE "} " TWO LATER, TWO LATER, true, false},
		{ONE "}", TWO "}", true, false},
		{ONE "}", ONE "accept-until = 2026-01-03 }", true, false},
		{ONE "}", "key renamed { chain = x secret = a }", true, false},
		{ONE "}", "key one { chain = x secret = other }", true, true},
		{ONE "}", ONE "algorithm = hmac-sha1-96 }", true, true},
		{ONE "}", ONE "recv-id = 1 }", true, true},
		/* the one that is not in use yet */
		{ONE "} " TWO LATER,
		 ONE "} key two { chain = x secret = other send-id = 2 recv-id = 2 " LATER, true,
		 false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_config_ struct config *old = NULL, *new = NULL;
		static const char neighbors[] =
			"neighbor 10.0.0.1 { tcp-ao = static tcp-ao-chain = x }"
			"neighbor 10.0.0.2 {}";
		char text[600];
		struct plan *p;

		snprintf(text, sizeof(text), IDENTITY "%s %s", cases[i].before, neighbors);
		old = load(text);
		snprintf(text, sizeof(text), IDENTITY "%s %s", cases[i].after, neighbors);
		new = load(text);
		assert_int_equal(plan_make(old, new, 1767225600 + 4 * 86400, &p), 0);
		if ((p->items[0].action == PLAN_CHANGE) != cases[i].is_change ||
		    p->items[0].resets != cases[i].resets)
			fail_msg("case %zu: %s, resets %d", i, plan_action_name(p->items[0].action),
				 p->items[0].resets);
		assert_string_equal(p->items[0].changed, cases[i].is_change ? "tcp-ao-chain" : "");
		/* Workers know no secrets: they are told to end the sessions. */
		assert_true(!p->items[0].resets || p->items[0].rekeys);
		assert_int_equal(p->items[0].replaces_key, p->items[0].resets);
		assert_int_equal(p->items[1].action, PLAN_KEEP);
		plan_free(p);
	}
}

/* Whether the key is in use does not matter where something else resets. */
static void a_key_and_more(void **state)
{
	_cleanup_config_ struct config *old = load(IDENTITY "neighbor 10.0.0.1 { " AO " }");
	_cleanup_config_ struct config *new =
		load(IDENTITY "neighbor 10.0.0.1 { tcp-ao = static tcp-ao-key = y ttl = 9 }");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_true(p->items[0].resets && p->items[0].rekeys && !p->items[0].replaces_key);
	plan_free(p);
}

static void a_changed_default_changes_its_neighbors(void **state)
{
	_cleanup_config_ struct config *old =
		load(IDENTITY "neighbor 10.0.0.1 {} neighbor 10.0.0.2 { ttl = 64 }");
	_cleanup_config_ struct config *new =
		load(IDENTITY "ttl = 9 neighbor 10.0.0.1 {} neighbor 10.0.0.2 { ttl = 64 }");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_item(&p->items[0], "10.0.0.1", PLAN_CHANGE);
	assert_item(&p->items[1], "10.0.0.2", PLAN_KEEP);
	assert_true(p->items[0].resets);
	assert_string_equal(p->globals_changed, "");
	plan_free(p);
}

static void globals_are_told_apart(void **state)
{
	_cleanup_config_ struct config *old = load("");
	_cleanup_config_ struct config *new =
		load("steering = route tls-port = 1 inner-port = 2 workers = 2 user = x "
		     "control-socket = /s bpffs = /b "
		     "daemon-users = { root, x } control-group = g handshakes-max = 1 "
		     "handshake-rate = 1 "
		     "expiry-warning-days = 1 log-level = debug");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_string_equal(p->needs_restart, "steering, tls-port, inner-port, workers, user, "
					      "daemon-users, control-socket, bpffs");
	assert_string_equal(p->globals_changed, "control-group, handshakes-max, handshake-rate, "
						"expiry-warning-days, log-level");
	plan_free(p);
}

static void a_long_list_of_names_is_cut_between_names(void **state)
{
	_cleanup_config_ struct config *old = load(IDENTITY "neighbor 10.0.0.1 {}");
	_cleanup_config_ struct config *new =
		load("certificate = /1 key = /2 ca = /3 crl = /4 dns-names = x check-eku = no "
		     "min-version = 1.3 ttl = 1 "
		     "mode = preferred role = accept port = 5 pins = " PIN_A
		     " handshake-timeout = 1 hold-time = 1 "
		     "fallback-after = 1 user-timeout = 10 keepalive = 5 key-update-records = 16 "
		     "neighbor 10.0.0.1 { description = x }");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_string_equal(p->items[0].changed,
			    "description, mode, role, port, certificate, key, ca, crl, dns-names, "
			    "check-address, pins, "
			    "check-eku, min-version, ttl, handshake-timeout, hold-time, ...");
	assert_true(strlen(p->items[0].changed) < sizeof(p->items[0].changed));
	plan_free(p);
}

static void values_of_secrets_are_not_named(void **state)
{
	_cleanup_config_ struct config *old = load(IDENTITY "neighbor 10.0.0.1 { tcp-md5 = hush }");
	_cleanup_config_ struct config *new =
		load(IDENTITY "neighbor 10.0.0.1 { tcp-md5 = quiet }");
	struct plan *p;

	(void)state;
	assert_int_equal(plan_make(old, new, 0, &p), 0);
	assert_string_equal(p->items[0].changed, "tcp-md5");
	assert_true(p->items[0].rekeys);
	plan_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_neighbor_is_there_once_in_order),
		cmocka_unit_test(nothing_changes),
		cmocka_unit_test(start_adds_everything),
		cmocka_unit_test(changes_that_reset),
		cmocka_unit_test(changes_that_do_not),
		cmocka_unit_test(chains_change),
		cmocka_unit_test(a_key_and_more),
		cmocka_unit_test(a_changed_default_changes_its_neighbors),
		cmocka_unit_test(globals_are_told_apart),
		cmocka_unit_test(a_long_list_of_names_is_cut_between_names),
		cmocka_unit_test(values_of_secrets_are_not_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
