// SPDX-License-Identifier: Apache-2.0
/* botls-provision's plan as a whole: caps, targets, strays, hash, order. */
#include "prov_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define N    "192.0.2.2"
#define DAYS 86400

static struct prov_rig rig;

static int setup(void **state)
{
	(void)state;
	prov_init(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	prov_done(&rig);
	return 0;
}

static void set_seen(struct owned *owned, size_t n)
{
	prov_settle(&rig, owned, n);
	prov_look(&rig);
}

/* ---- caps ---- */

static size_t count(const struct plan *p, enum plan_action action)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_steps; i++)
		n += p->steps[i].action == action;
	return n;
}

#define MANY 8
static const char *const many[MANY] = {"192.0.2.2", "192.0.2.20", "192.0.2.3", "192.0.2.4",
				       "192.0.2.5", "192.0.2.6",  "192.0.2.7", "192.0.2.8"};

static void too_many_deletions_are_none(void **state)
{
	struct owned o[MANY];
	struct judgement j[MANY];
	struct plan_input in;
	struct plan p;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		o[i] = prov_owned(many[i], "one", "bird");
		prov_up(&rig, many[i], i % 2);
		j[i] = prov_judgement(&rig.servers[0], many[i],
				      i < 3   ? VERDICT_GONE
				      : i < 6 ? VERDICT_FORBID
					      : VERDICT_WANT,
				      "bird");
	}
	assert_int_equal(jv_set_int(j[6].mapping, "max_prefix", 5), 0);
	o[7].leaving = LEAVING_OPERATOR; /* named by a human: not counted */
	set_seen(o, MANY);
	in = prov_input(&rig, o, MANY, j, MANY);
	p = prov_plan(&in);
	assert_int_equal(p.n_deletions, 6);
	assert_true(p.is_blocked);
	assert_int_equal(count(&p, PLAN_BLOCKED), 6);
	assert_int_equal(count(&p, PLAN_CHANGE), 1);
	assert_int_equal(count(&p, PLAN_DRAIN), 1);
	assert_int_equal(count(&p, PLAN_REMOVE), 0);
	assert_int_equal(p.n_alarms, 6);
	prov_assert_step(&p, many[0], PLAN_BLOCKED,
			 "6 sessions would begin to go and 5 may: if that is right, --force 6");
	prov_assert_step(&p, many[0], PLAN_BLOCKED, "remove (");
	prov_assert_step(&p, many[1], PLAN_BLOCKED, "drain (");
	assert_int_equal(prov_after(&p, many[0])->phase, PHASE_ACTIVE);
	assert_int_equal(prov_after(&p, many[0])->leaving, LEAVING_NOT);
	plan_done(&p);
	in.allowed_deletions = 6;
	p = prov_plan(&in);
	assert_int_equal(p.n_deletions, 6);
	assert_false(p.is_blocked);
	assert_int_equal(count(&p, PLAN_DRAIN) + count(&p, PLAN_REMOVE), 7);
	plan_done(&p);
	/* none at all may go */
	in.allowed_deletions = 0;
	p = prov_plan(&in);
	assert_int_equal(count(&p, PLAN_BLOCKED), 6);
	assert_int_equal(count(&p, PLAN_DRAIN), 1);
	plan_done(&p);
	for (size_t i = 0; i < MANY; i++) {
		owned_done(&o[i]);
		judgement_done(&j[i]);
	}
}

/* What left in an earlier run goes on. */
static void cap_is_for_beginnings(void **state)
{
	struct owned o[2] = {prov_owned(many[0], "one", "bird"),
			     prov_owned(many[1], "one", "bird")};
	struct judgement j[2] = {prov_judgement(&rig.servers[0], many[0], VERDICT_GONE, "bird"),
				 prov_judgement(&rig.servers[0], many[1], VERDICT_GONE, "bird")};
	struct plan_input in;
	struct plan p;

	(void)state;
	o[0].phase = PHASE_DRAINING;
	o[0].leaving = LEAVING_PEER;
	set_seen(o, 2);
	in = prov_input(&rig, o, 2, j, 2);
	in.allowed_deletions = 0;
	p = prov_plan(&in);
	prov_assert_step(&p, many[0], PLAN_REMOVE, "");
	prov_assert_step(&p, many[1], PLAN_BLOCKED, "1 sessions would begin to go and 0 may");
	assert_int_equal(p.n_deletions, 1);
	plan_done(&p);
	for (size_t i = 0; i < 2; i++) {
		owned_done(&o[i]);
		judgement_done(&j[i]);
	}
}

static void garbage_counts_too(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct plan_input in;
	struct plan p;

	(void)state;
	o.established = 0;
	o.created = PROV_NOW - 8 * DAYS;
	set_seen(&o, 1);
	in = prov_input(&rig, &o, 1, &j, 1);
	in.allowed_deletions = 0;
	p = prov_plan(&in);
	prov_assert_step(&p, N, PLAN_BLOCKED, "");
	assert_null(prov_step(&p, N, PLAN_TELL));
	assert_int_equal(prov_after(&p, N)->phase, PHASE_ACTIVE);
	plan_done(&p);
	owned_done(&o);
	judgement_done(&j);
}

static void as_many_as_the_state_takes(void **state)
{
	struct judgement j[3];
	struct owned *o = calloc(STATE_OWNED_MAX - 1, sizeof(*o));
	struct plan_input in;
	char name[32];
	struct plan p;

	(void)state;
	for (int i = 0; i < STATE_OWNED_MAX - 1; i++) {
		snprintf(name, sizeof(name), "10.0.%d.%d", i / 256, i % 256);
		o[i] = (struct owned){.mapping = jv_object_new()};
		assert_int_equal(jv_set_string(o[i].mapping, "neighbor", name), 0);
	}
	for (int i = 0; i < 3; i++)
		j[i] = prov_judgement(&rig.servers[0], many[i], VERDICT_WANT, NULL);
	in = prov_input(&rig, o, STATE_OWNED_MAX - 1, j, 3);
	in.n_targets = 0;
	p = prov_plan(&in);
	assert_int_equal(p.n_after, STATE_OWNED_MAX);
	prov_assert_step(&p, many[0], PLAN_ADD, "");
	assert_true(prov_assert_step(&p, many[1], PLAN_REFUSED, "20000 sessions")->is_alarm);
	prov_assert_step(&p, many[2], PLAN_REFUSED, "20000 sessions");
	plan_done(&p);
	for (int i = 0; i < STATE_OWNED_MAX - 1; i++)
		owned_done(&o[i]);
	for (int i = 0; i < 3; i++)
		judgement_done(&j[i]);
	free(o);
}

/* ---- targets ---- */

static void edit(int target, const char *text)
{
	strcat(rig.world->programs[target].file, text);
}

static struct plan replan(struct owned *o, size_t n)
{
	struct plan_input in;

	prov_look(&rig);
	in = prov_input(&rig, o, n, NULL, 0);
	return prov_plan(&in);
}

/* HELD ones about the sessions are not what is looked at here. */
static void targets_are_put_right(void **state)
{
	struct owned o[2] = {prov_owned(N, "one", "bird"), prov_owned("192.0.2.20", "one", NULL)};
	struct plan p;

	(void)state;
	set_seen(o, 2);
	p = replan(o, 2);
	assert_int_equal(p.n_changes, 0);
	plan_done(&p);

	edit(1, "# by hand\n");
	p = replan(o, 2);
	prov_assert_step(&p, "bird", PLAN_LOAD, "its file bird does not say what is owned");
	assert_int_equal(p.n_changes, 1);
	plan_done(&p);

	set_seen(o, 2);
	rig.world->programs[0].has_file = false;
	p = replan(o, 2);
	prov_assert_step(&p, "botlsd", PLAN_LOAD, "its file botlsd is missing");
	plan_done(&p);
	/* of a daemon without sessions none is needed */
	set_seen(o, 2);
	rig.world->programs[2].has_file = false;
	p = replan(o, 2);
	assert_int_equal(p.n_changes, 0);
	plan_done(&p);

	set_seen(o, 2);
	rig.world->programs[0].running[0] = '\0';
	p = replan(o, 2);
	prov_assert_step(&p, "botlsd", PLAN_LOAD, "does not know 192.0.2.2, 192.0.2.20");
	plan_done(&p);

	set_seen(o, 2);
	memcpy(strstr(rig.world->programs[0].running, "required"), "off     ", 8);
	p = replan(o, 2);
	prov_assert_step(&p, "botlsd", PLAN_LOAD, "has another mode for 192.0.2.2");
	plan_done(&p);

	/* more than one thing */
	set_seen(o, 2);
	memcpy(strstr(rig.world->programs[0].running, "required"), "off     ", 8);
	*strstr(rig.world->programs[0].running, "session - required 192.0.2.20") = '\0';
	p = replan(o, 2);
	prov_assert_step(&p, "botlsd", PLAN_LOAD,
			 "does not know 192.0.2.20; has another mode for 192.0.2.2");
	plan_done(&p);

	/* its own steps bring it there */
	set_seen(o, 2);
	o[0].leaving = LEAVING_OPERATOR;
	rig.world->programs[1].running[0] = '\0';
	p = replan(o, 2);
	assert_null(prov_step(&p, "bird", PLAN_LOAD));
	plan_done(&p);
	owned_done(&o[0]);
	owned_done(&o[1]);
}

static void many_names_are_cut(void **state)
{
	struct owned o[MANY];
	struct plan p;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		o[i] = prov_owned(many[i], "one", "bird");
	set_seen(o, MANY);
	rig.world->programs[1].running[0] = '\0';
	p = replan(o, MANY);
	prov_assert_step(&p, "bird", PLAN_LOAD,
			 "does not know 192.0.2.2, 192.0.2.20, 192.0.2.3 and 5 more");
	plan_done(&p);
	for (size_t i = 0; i < MANY; i++)
		owned_done(&o[i]);
}

static void silent_target_is_an_alarm(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct plan p;

	(void)state;
	set_seen(&o, 1);
	rig.world->programs[1].is_running = rig.world->programs[2].is_running = false;
	p = replan(&o, 1);
	assert_true(
		prov_assert_step(&p, "bird", PLAN_HELD, "cannot be asked: no bird here")->is_alarm);
	assert_null(prov_step(&p, "frr", PLAN_HELD));
	assert_int_equal(p.n_changes, 0);
	plan_done(&p);
	owned_done(&o);
}

static void template_that_fails_is_told(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct plan_input in;
	struct errtext e = {};
	struct plan p = {};

	(void)state;
	set_seen(&o, 1);
	in = prov_input(&rig, &o, 1, NULL, 0);
	rig.world->fail_op = PROV_RENDER;
	rig.world->fail_target = 1;
	for (unsigned at = 1; at <= 2; at++) {
		rig.world->fail_seen = 0;
		rig.world->fail_from = at;
		rig.world->fail_count = 1;
		assert_int_equal(plan_prepare(&in, &p, &e), -EINVAL);
		assert_string_equal(e.text, "bird: the template is wrong");
		assert_int_equal(p.n_steps, 0);
	}
	owned_done(&o);
}

/* What was removed is still there in the program. */
static void surplus_of_a_removed_one_is_loaded_away(void **state)
{
	struct owned o = prov_owned(N, "one", "frr");
	struct plan p;

	(void)state;
	set_seen(&o, 1);
	o.phase = PHASE_GONE;
	o.leaving = LEAVING_OPERATOR;
	prov_settle(&rig, &o, 1);
	strcpy(rig.world->programs[2].stuck, N);
	p = replan(&o, 1);
	prov_assert_step(&p, "frr", PLAN_LOAD, "still knows " N);
	plan_done(&p);
	owned_done(&o);
}

/* ---- strays ---- */

static void strays_stop_everything(void **state)
{
	struct owned o[2] = {prov_owned(N, "one", "bird"), prov_owned("192.0.2.9", "one", "bird")};
	struct judgement j[3] = {
		prov_judgement(&rig.servers[0], "192.0.2.30", VERDICT_WANT, "bird"),
		prov_judgement(&rig.servers[0], "192.0.2.9", VERDICT_HOLD, "bird"),
		prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird"),
	};
	struct owned gone = prov_owned("192.0.2.40", "one", "bird");
	struct owned with_gone[2];
	struct plan_input in;
	struct plan p;

	(void)state;
	gone.phase = PHASE_GONE;
	gone.leaving = LEAVING_OPERATOR;
	gone.tell = true;
	with_gone[0] = o[0];
	with_gone[1] = gone;
	assert_int_equal(jv_set_int(j[2].mapping, "max_prefix", 7), 0);
	set_seen(o, 2); /* both are configured, but only the first is owned */
	in = prov_input(&rig, with_gone, 2, j, 3);
	p = prov_plan(&in);
	assert_true(prov_assert_step(&p, "192.0.2.9", PLAN_HELD, "botlsd has it")->is_alarm);
	prov_assert_step(&p, "192.0.2.9", PLAN_HELD, "--force");
	prov_assert_step(&p, "192.0.2.30", PLAN_BLOCKED,
			 "while a stray would be taken away: add (");
	prov_assert_step(&p, N, PLAN_BLOCKED, "change (");
	prov_assert_step(&p, "192.0.2.40", PLAN_TELL, "");
	assert_int_equal(p.n_changes, 1);
	assert_true(p.is_blocked);
	assert_int_equal(p.n_deletions, 1);
	assert_null(prov_after(&p, "192.0.2.30"));
	assert_int_equal(jv_get_int(prov_after(&p, N)->mapping, "max_prefix", 0), 1000);
	plan_done(&p);
	/* nothing but the stray: the files are not touched either */
	in.n_judgements = 0;
	p = prov_plan(&in);
	assert_int_equal(count(&p, PLAN_LOAD), 0);
	prov_assert_step(&p, "botlsd", PLAN_BLOCKED, "load (");
	prov_assert_step(&p, "bird", PLAN_BLOCKED, "load (");
	plan_done(&p);
	/* --force names the number */
	in.n_judgements = 3;
	in.is_forced = true;
	in.allowed_deletions = 0;
	p = prov_plan(&in);
	prov_assert_step(&p, "192.0.2.9", PLAN_BLOCKED, "--force 1");
	prov_assert_step(&p, "192.0.2.30", PLAN_BLOCKED, "");
	assert_int_equal(p.n_deletions, 1);
	plan_done(&p);
	in.allowed_deletions = 1;
	p = prov_plan(&in);
	prov_assert_step(&p, "192.0.2.9", PLAN_REMOVE, "the state does not know it");
	prov_assert_step(&p, "192.0.2.30", PLAN_ADD, "");
	assert_false(p.is_blocked);
	plan_done(&p);
	for (size_t i = 0; i < 3; i++)
		judgement_done(&j[i]);
	owned_done(&o[0]);
	owned_done(&o[1]);
	owned_done(&gone);
}

static void strays_are_adopted_or_go_for_a_reason(void **state)
{
	static const struct {
		enum verdict verdict;
		enum plan_action action;
		enum leaving leaving;
		size_t deletions;
	} cases[] = {
		{VERDICT_WANT, PLAN_ADD, LEAVING_NOT, 0},
		{VERDICT_GONE, PLAN_REMOVE, LEAVING_PEER, 1},
		{VERDICT_FORBID, PLAN_REMOVE, LEAVING_POLICY, 1},
		{VERDICT_WAIT, PLAN_HELD, LEAVING_OPERATOR, 1},
		{VERDICT_REFUSE, PLAN_HELD, LEAVING_OPERATOR, 1},
		{VERDICT_HOLD, PLAN_HELD, LEAVING_OPERATOR, 1},
	};
	struct owned o = prov_owned(N, "one", "bird");

	(void)state;
	set_seen(&o, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct judgement j = prov_judgement(&rig.servers[0], N, cases[i].verdict, "bird");
		struct plan_input in = prov_input(&rig, NULL, 0, &j, 1);
		struct plan p = prov_plan(&in);

		assert_int_equal(prov_assert_step(&p, N, cases[i].action, "botlsd has it")->leaving,
				 cases[i].leaving);
		assert_int_equal(p.n_deletions, cases[i].deletions);
		assert_int_equal(p.n_after, cases[i].verdict == VERDICT_WANT);
		plan_done(&p);
		/* too many: then nothing else is written either */
		in.allowed_deletions = 0;
		p = prov_plan(&in);
		if (cases[i].deletions)
			assert_int_equal(p.n_changes, 0);
		plan_done(&p);
		judgement_done(&j);
	}
	owned_done(&o);
}

/* ---- the plan as a whole ---- */

static void actions_have_names(void **state)
{
	static const char *const action_names[] = {
		"add",	  "change", "restore", "drain", "remove",  "tell",
		"forget", "load",   "waiting", "held",	"refused", "blocked",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(action_names); i++) {
		assert_string_equal(plan_step_name(i), action_names[i]);
		assert_int_equal(plan_action_changes(i), i <= PLAN_LOAD);
	}
}

static void plan_is_described(void **state)
{
	struct judgement j[2] = {prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird"),
				 prov_judgement(&rig.servers[1], "192.0.2.3", VERDICT_HOLD, NULL)};
	_cleanup_jv_ struct jv *o = NULL;
	_cleanup_free_ char *text = NULL, *expected = NULL;
	struct plan_input in;
	struct plan p;

	(void)state;
	set_seen(NULL, 0);
	in = prov_input(&rig, NULL, 0, j, 2);
	p = prov_plan(&in);
	o = plan_describe(&p);
	text = jv_dump_line(o, NULL);
	assert_true(
		asprintf(&expected,
			 "{\"steps\":[{\"action\":\"add\",\"neighbor\":\"192.0.2.2\",\"server\":"
			 "\"one\",\"text\":\"AS64502 Example Net, pdb:ix:42, mode required, "
			 "daemon bird\",\"alarm\":false},{\"action\":\"refused\",\"neighbor\":"
			 "\"192.0.2.3\",\"server\":\"two\",\"text\":\"not configured: because of "
			 "192.0.2.3\",\"alarm\":true}],\"changes\":1,\"alarms\":1,\"deletions\":0,"
			 "\"blocked\":false,\"hash\":\"%s\"}\n",
			 p.hash) > 0);
	assert_string_equal(text, expected);
	plan_done(&p);
	judgement_done(&j[0]);
	judgement_done(&j[1]);
}

static void hash_of(const struct judgement *j, size_t n, int64_t now, char ret[65])
{
	struct plan_input in = prov_input(&rig, NULL, 0, j, n);
	struct plan p;

	in.now = now;
	p = prov_plan(&in);
	assert_int_equal(strlen(p.hash), 64);
	strcpy(ret, p.hash);
	plan_done(&p);
}

static void hash_is_of_what_changes(void **state)
{
	struct judgement j[2] = {prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird"),
				 prov_judgement(&rig.servers[1], "192.0.2.3", VERDICT_HOLD, NULL)};
	struct jv *reordered = jv_object_new();
	char a[65], b[65], secret[65];

	(void)state;
	set_seen(NULL, 0);
	hash_of(j, 2, PROV_NOW, a);
	hash_of(j, 1, PROV_NOW + 5, b); /* what changes nothing, and the time, are not in it */
	assert_string_equal(a, b);
	hash_of(j + 1, 1, PROV_NOW, b);
	assert_string_not_equal(a, b);
	assert_int_equal(jv_set_int(j[0].mapping, "max_prefix", 1001), 0);
	hash_of(j, 1, PROV_NOW, b);
	assert_string_not_equal(a, b);
	assert_int_equal(jv_set_int(j[0].mapping, "max_prefix", 1000), 0);
	assert_int_equal(jv_set_string(j[0].mapping, "md5", "hunter2"), 0);
	hash_of(j, 1, PROV_NOW, secret);
	assert_string_not_equal(a, secret);
	assert_int_equal(jv_set_string(j[0].mapping, "md5", "hunter3"), 0);
	hash_of(j, 1, PROV_NOW, b);
	assert_string_not_equal(b, secret);
	jv_delete(j[0].mapping, "md5");
	/* members in another order are the same mapping */
	for (struct jv_iter it = {}; jv_next(j[0].mapping, &it);)
		if (strcmp(it.key, "neighbor"))
			assert_int_equal(jv_set(reordered, it.key, jv_copy(it.value)), 0);
	assert_int_equal(jv_set_string(reordered, "neighbor", N), 0);
	jv_free(j[0].mapping);
	j[0].mapping = reordered;
	hash_of(j, 1, PROV_NOW, b);
	assert_string_equal(a, b);
	judgement_done(&j[0]);
	judgement_done(&j[1]);
}

static void steps_are_in_order(void **state)
{
	struct owned o = prov_owned("192.0.2.3", "one", "bird");
	struct judgement j[3] = {
		prov_judgement(&rig.servers[1], N, VERDICT_WANT, "bird"),
		prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird"),
		prov_judgement(&rig.servers[0], "192.0.2.3", VERDICT_WANT, "bird")};
	struct plan_input in;
	struct plan p;

	(void)state;
	o.leaving = LEAVING_OPERATOR;
	set_seen(&o, 1);
	edit(0, "x");
	rig.world->programs[2].is_running = false;
	prov_look(&rig);
	in = prov_input(&rig, &o, 1, j, 3);
	p = prov_plan(&in);
	assert_int_equal(p.n_steps, 4);
	assert_int_equal(p.steps[0].action, PLAN_ADD);
	assert_int_equal(p.steps[1].action, PLAN_REFUSED);
	assert_int_equal(p.steps[2].action, PLAN_REMOVE);
	assert_int_equal(p.steps[3].action, PLAN_TELL);
	plan_done(&p);
	for (size_t i = 0; i < 3; i++)
		judgement_done(&j[i]);
	owned_done(&o);
	/* what is done goes before what is only said, whichever server it is of */
	o = prov_owned(N, "two", "bird");
	j[0] = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	j[1] = prov_judgement(&rig.servers[1], N, VERDICT_WANT, "frr");
	set_seen(&o, 1);
	in = prov_input(&rig, &o, 1, j, 2);
	p = prov_plan(&in);
	assert_int_equal(p.steps[0].action, PLAN_CHANGE);
	assert_string_equal(p.steps[0].server, "two");
	assert_int_equal(p.steps[1].action, PLAN_REFUSED);
	plan_done(&p);
	judgement_done(&j[0]);
	judgement_done(&j[1]);
	owned_done(&o);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(too_many_deletions_are_none),
		TEST(cap_is_for_beginnings),
		TEST(garbage_counts_too),
		TEST(as_many_as_the_state_takes),
		TEST(targets_are_put_right),
		TEST(many_names_are_cut),
		TEST(silent_target_is_an_alarm),
		TEST(template_that_fails_is_told),
		TEST(surplus_of_a_removed_one_is_loaded_away),
		TEST(strays_stop_everything),
		TEST(strays_are_adopted_or_go_for_a_reason),
		TEST(actions_have_names),
		TEST(plan_is_described),
		TEST(hash_is_of_what_changes),
		TEST(steps_are_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
