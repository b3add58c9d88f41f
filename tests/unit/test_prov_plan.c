// SPDX-License-Identifier: Apache-2.0
/* botls-provision's plan: what becomes of each session, by table and by case. */
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

/* ---- small words ---- */

static void set_seen(struct owned *owned, size_t n)
{
	prov_settle(&rig, owned, n);
	prov_look(&rig);
}

/* ---- the table ---- */

/* In the order of WANT, GONE, FORBID, WAIT, REFUSE, HOLD, and no judgement. */
static const enum verdict columns[] = {VERDICT_WANT, VERDICT_GONE,   VERDICT_FORBID,
				       VERDICT_WAIT, VERDICT_REFUSE, VERDICT_HOLD};

/* . nothing, H held, D drain, R remove, r remove and then tell, S restore, T tell, F forget, W
 * waiting */
static const struct row {
	enum phase phase;
	enum leaving leaving;
	int64_t age;
	bool is_up, tell;
	const char *expected;
} rows[] = {
	{PHASE_ACTIVE, LEAVING_NOT, 1000, true, false, ".DDHHHH"},
	{PHASE_ACTIVE, LEAVING_NOT, 1000, false, false, ".RRHHHH"},
	{PHASE_ACTIVE, LEAVING_OPERATOR, 1000, true, false, "DDDDDDD"},
	{PHASE_ACTIVE, LEAVING_OPERATOR, 1000, false, false, "rRrrrrr"},
	{PHASE_DRAINING, LEAVING_PEER, 299, true, false, "SWWHHHH"},
	{PHASE_DRAINING, LEAVING_PEER, 300, true, false, "SRRHHHH"},
	{PHASE_DRAINING, LEAVING_PEER, 300, false, false, "SRRHHHH"},
	{PHASE_SHUT, LEAVING_PEER, 0, false, false, "SRRHHHH"},
	{PHASE_DRAINING, LEAVING_POLICY, 299, true, false, "SWWWWWW"},
	{PHASE_DRAINING, LEAVING_POLICY, 300, true, false, "SRRRRRR"},
	{PHASE_SHUT, LEAVING_POLICY, 0, true, false, "SRRRRRR"},
	{PHASE_DRAINING, LEAVING_NEVER_UP, 299, true, true, "SWWWWWW"},
	{PHASE_DRAINING, LEAVING_NEVER_UP, 300, false, true, "SRrrrrr"},
	{PHASE_SHUT, LEAVING_NEVER_UP, 0, false, true, "SRrrrrr"},
	{PHASE_DRAINING, LEAVING_OPERATOR, 299, true, true, "WWWWWWW"},
	{PHASE_DRAINING, LEAVING_OPERATOR, 300, true, true, "rRrrrrr"},
	{PHASE_SHUT, LEAVING_OPERATOR, 0, true, true, "rRrrrrr"},
	{PHASE_GONE, LEAVING_OPERATOR, 10, false, true, "TFTTTTT"},
	{PHASE_GONE, LEAVING_NEVER_UP, 10, false, true, "TFTTTTT"},
	{PHASE_GONE, LEAVING_OPERATOR, 10, false, false, "WFWWW.."},
	{PHASE_GONE, LEAVING_OPERATOR, 7 * DAYS - 1, false, false, "WFWWW.."},
	{PHASE_GONE, LEAVING_OPERATOR, 7 * DAYS, false, false, "WFWWWFF"},
};

static char letter_of(const struct plan *p)
{
	if (p->n_steps == 2 && p->steps[0].action == PLAN_REMOVE && p->steps[1].action == PLAN_TELL)
		return 'r';
	if (p->n_steps > 1)
		return '?';
	return p->n_steps ? "?CSDRTF?WH??"[p->steps[0].action] : '.';
}

static void assert_after(const struct row *row, const struct plan *p, char letter)
{
	const struct owned *o = prov_after(p, N);

	switch (letter) {
	case '.':
	case 'H':
	case 'W':
	case 'T':
		assert_int_equal(o->phase, row->phase);
		assert_int_equal(o->leaving, row->leaving);
		assert_int_equal(o->since, PROV_NOW - row->age);
		break;
	case 'S':
		assert_int_equal(o->phase, PHASE_ACTIVE);
		assert_int_equal(o->leaving, LEAVING_NOT);
		assert_int_equal(o->since, PROV_NOW);
		assert_false(o->tell);
		break;
	case 'D':
		assert_int_equal(o->phase, PHASE_DRAINING);
		assert_int_equal(o->leaving, p->steps[0].leaving);
		assert_int_equal(o->since, PROV_NOW);
		assert_int_equal(o->tell, o->leaving == LEAVING_OPERATOR);
		break;
	case 'r':
		assert_int_equal(o->phase, PHASE_GONE);
		assert_int_equal(o->leaving, p->steps[0].leaving);
		assert_int_equal(o->since, PROV_NOW);
		assert_true(o->tell);
		break;
	case 'R':
	case 'F': assert_null(o); break;
	default: fail_msg("%c", letter);
	}
}

static enum leaving leaving_of(const struct row *row, size_t column)
{
	if (row->leaving != LEAVING_NOT)
		return row->leaving;
	return columns[column] == VERDICT_GONE ? LEAVING_PEER : LEAVING_POLICY;
}

static void everything_that_can_become_of_a_session(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct owned o = prov_owned(N, "one", "bird");

		o.phase = row->phase;
		o.leaving = row->leaving;
		o.since = PROV_NOW - row->age;
		o.tell = row->tell;
		prov_up(&rig, N, row->is_up);
		set_seen(&o, 1);
		for (size_t column = 0; column < 7; column++) {
			struct judgement j = {};
			struct plan_input in = prov_input(&rig, &o, 1, &j, column < 6);
			struct plan p;
			char letter;

			if (column < 6)
				j = prov_judgement(&rig.servers[0], N, columns[column], "bird");
			p = prov_plan(&in);
			letter = letter_of(&p);
			if (letter != row->expected[column]) {
				prov_show(&p);
				fail_msg("row %zu, column %zu: %c", i, column, letter);
			}
			assert_after(row, &p, letter);
			if (strchr("DRrT", letter) ||
			    (letter == 'W' && row->phase == PHASE_DRAINING))
				assert_int_equal(p.steps[0].leaving, leaving_of(row, column));
			assert_int_equal(p.n_alarms, letter == 'H');
			assert_int_equal(p.n_changes, letter == 'r' ? 2 : !strchr(".HW", letter));
			assert_int_equal(p.n_deletions, row->phase == PHASE_ACTIVE &&
								row->leaving == LEAVING_NOT &&
								strchr("DR", letter));
			plan_done(&p);
			judgement_done(&j);
		}
		owned_done(&o);
	}
}

static void reasons_are_told(void **state)
{
	static const struct {
		enum phase phase;
		enum leaving leaving;
		int64_t age;
		bool is_up;
		enum verdict verdict;
		enum plan_action action;
		const char *words[3];
	} cases[] = {
		{PHASE_ACTIVE,
		 LEAVING_NOT,
		 9,
		 true,
		 VERDICT_GONE,
		 PLAN_DRAIN,
		 {"because of " N, "graceful shutdown for 300 s"}},
		{PHASE_ACTIVE, LEAVING_NOT, 9, true, VERDICT_FORBID, PLAN_DRAIN, {"because of " N}},
		{PHASE_ACTIVE,
		 LEAVING_NOT,
		 9,
		 false,
		 VERDICT_GONE,
		 PLAN_REMOVE,
		 {"its server took it away", "it is not up, taken out at once", "because of " N}},
		{PHASE_ACTIVE,
		 LEAVING_NOT,
		 9,
		 false,
		 VERDICT_FORBID,
		 PLAN_REMOVE,
		 {"local policy does not allow it", "because of " N}},
		{PHASE_ACTIVE,
		 LEAVING_OPERATOR,
		 9,
		 true,
		 VERDICT_WANT,
		 PLAN_DRAIN,
		 {"the operator deleted it: graceful"}},
		{PHASE_ACTIVE,
		 LEAVING_NOT,
		 9,
		 true,
		 VERDICT_WAIT,
		 PLAN_HELD,
		 {"stays as it is: it was approved before, but now because of " N}},
		{PHASE_ACTIVE,
		 LEAVING_NOT,
		 9,
		 true,
		 VERDICT_HOLD,
		 PLAN_HELD,
		 {"stays as it is: because of " N}},
		{PHASE_DRAINING,
		 LEAVING_PEER,
		 60,
		 true,
		 VERDICT_GONE,
		 PLAN_WAITING,
		 {"its server took it away: drains until 2025-11-20T12:04:00Z"}},
		{PHASE_DRAINING,
		 LEAVING_PEER,
		 600,
		 true,
		 VERDICT_GONE,
		 PLAN_REMOVE,
		 {"drained since 2025-11-20T11:50:00Z, taken out"}},
		{PHASE_DRAINING,
		 LEAVING_PEER,
		 600,
		 true,
		 VERDICT_REFUSE,
		 PLAN_HELD,
		 {"drains since 2025-11-20T11:50:00Z and is not taken out: because of " N}},
		{PHASE_DRAINING,
		 LEAVING_PEER,
		 60,
		 true,
		 VERDICT_WANT,
		 PLAN_RESTORE,
		 {"was leaving (its server took it away)", "one approves it again"}},
		{PHASE_GONE,
		 LEAVING_NEVER_UP,
		 60,
		 true,
		 VERDICT_WANT,
		 PLAN_TELL,
		 {"never established", "DELETE at one"}},
		{PHASE_GONE,
		 LEAVING_NEVER_UP,
		 60,
		 true,
		 VERDICT_GONE,
		 PLAN_FORGET,
		 {"gone here, and at one: because of " N}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct owned o = prov_owned(N, "one", "bird");
		struct judgement j = prov_judgement(&rig.servers[0], N, cases[i].verdict, "bird");
		struct plan_input in = prov_input(&rig, &o, 1, &j, 1);
		struct plan p;

		o.phase = cases[i].phase;
		o.leaving = cases[i].leaving;
		o.since = PROV_NOW - cases[i].age;
		o.tell = o.phase == PHASE_GONE;
		prov_up(&rig, N, cases[i].is_up);
		set_seen(&o, 1);
		p = prov_plan(&in);
		for (size_t w = 0; w < 3 && cases[i].words[w]; w++)
			prov_assert_step(&p, N, cases[i].action, cases[i].words[w]);
		plan_done(&p);
		judgement_done(&j);
		owned_done(&o);
	}
}

/* ---- one session, closely ---- */

/* One owned session, one judgement, what the programs say: the plan. */
static struct plan plan_one(struct owned *o, struct judgement *j)
{
	struct plan_input in = prov_input(&rig, o, o ? 1 : 0, j, j ? 1 : 0);

	set_seen(o, o ? 1 : 0);
	in = prov_input(&rig, o, o ? 1 : 0, j, j ? 1 : 0);
	return prov_plan(&in);
}

static void removals_are_explained(void **state)
{
	static const struct {
		enum leaving leaving;
		enum verdict verdict;
		const char *text;
	} cases[] = {
		{LEAVING_OPERATOR, VERDICT_WANT,
		 "the operator deleted it: it is not up, taken out at once"},
		{LEAVING_NOT, VERDICT_GONE,
		 "its server took it away: it is not up, taken out at once; because of " N},
		{LEAVING_NOT, VERDICT_FORBID,
		 "local policy does not allow it: it is not up, taken out at once; because of " N},
		{LEAVING_NOT, VERDICT_WANT,
		 "it was never established within its time window: it is not up, taken out at "
		 "once"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct owned o = prov_owned(N, "one", "bird");
		struct judgement j = prov_judgement(&rig.servers[0], N, cases[i].verdict, "bird");
		struct plan p;

		o.leaving = cases[i].leaving;
		if (cases[i].verdict == VERDICT_WANT && o.leaving == LEAVING_NOT) {
			o.established = 0;
			o.created = PROV_NOW - 8 * DAYS;
		}
		p = plan_one(&o, &j);
		assert_string_equal(prov_assert_step(&p, N, PLAN_REMOVE, "")->text, cases[i].text);
		plan_done(&p);
		judgement_done(&j);
		owned_done(&o);
	}
}

static void new_session_is_added(void **state)
{
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct plan p;
	const struct owned *o;

	(void)state;
	j.record.time_window = 7777;
	p = plan_one(NULL, &j);
	prov_assert_step(&p, N, PLAN_ADD,
			 "AS64502 Example Net, pdb:ix:42, mode required, daemon bird");
	assert_int_equal(p.n_steps, 1);
	assert_int_equal(p.n_changes, 1);
	o = prov_after(&p, N);
	assert_int_equal(o->phase, PHASE_ACTIVE);
	assert_int_equal(o->since, PROV_NOW);
	assert_int_equal(o->created, PROV_NOW);
	assert_int_equal(o->established, 0);
	assert_int_equal(o->time_window, 7777);
	assert_true(o->was_asked);
	assert_false(o->is_held || o->tell);
	assert_true(mapping_equal(o->mapping, j.mapping));
	plan_done(&p);
	j.is_extra = true;
	j.record.time_window = -1;
	p = plan_one(NULL, &j);
	assert_false(prov_after(&p, N)->was_asked);
	assert_int_equal(prov_after(&p, N)->time_window, -1);
	plan_done(&p);
	judgement_done(&j);
	j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, NULL);
	p = plan_one(NULL, &j);
	prov_assert_step(&p, N, PLAN_ADD, "no daemon");
	plan_done(&p);
	judgement_done(&j);
}

static void what_is_not_configured(void **state)
{
	static const struct {
		enum verdict verdict;
		bool is_extra;
		enum plan_action action; /* PLAN_ADD: nothing */
		bool is_alarm;
	} cases[] = {
		{VERDICT_GONE, false, PLAN_ADD, false},
		{VERDICT_GONE, true, PLAN_ADD, false},
		{VERDICT_FORBID, false, PLAN_REFUSED, true},
		{VERDICT_FORBID, true, PLAN_REFUSED, false},
		{VERDICT_WAIT, false, PLAN_WAITING, false},
		{VERDICT_WAIT, true, PLAN_WAITING, false},
		{VERDICT_REFUSE, false, PLAN_REFUSED, true},
		{VERDICT_REFUSE, true, PLAN_REFUSED, true},
		{VERDICT_HOLD, false, PLAN_REFUSED, true},
		{VERDICT_HOLD, true, PLAN_REFUSED, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct judgement j = prov_judgement(&rig.servers[0], N, cases[i].verdict, "bird");
		struct plan p;

		j.is_extra = cases[i].is_extra;
		p = plan_one(NULL, &j);
		assert_int_equal(p.n_after, 0);
		assert_int_equal(p.n_changes, 0);
		assert_int_equal(p.n_steps, cases[i].action != PLAN_ADD);
		assert_int_equal(p.n_alarms, cases[i].is_alarm);
		if (p.n_steps)
			prov_assert_step(&p, N, cases[i].action, "not configured: because of " N);
		plan_done(&p);
		judgement_done(&j);
	}
}

static void difference_is_a_change(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct plan p;

	(void)state;
	assert_int_equal(jv_set_int(j.mapping, "max_prefix", 1250), 0);
	assert_int_equal(jv_set_string(j.mapping, "md5", "hunter2"), 0);
	j.record.time_window = 99;
	o.is_held = true;
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_CHANGE, "max_prefix 1000 -> 1250");
	assert_null(strstr(p.steps[0].text, "hunter2"));
	assert_true(mapping_equal(prov_after(&p, N)->mapping, j.mapping));
	assert_int_equal(prov_after(&p, N)->since, o.since);
	assert_int_equal(prov_after(&p, N)->time_window, 99);
	assert_true(prov_after(&p, N)->is_held);
	plan_done(&p);
	judgement_done(&j);
	/* what the server says of its window is kept even when nothing changes */
	j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	j.record.time_window = 55;
	p = plan_one(&o, &j);
	assert_int_equal(p.n_steps, 0);
	assert_int_equal(prov_after(&p, N)->time_window, 55);
	plan_done(&p);
	j.record.time_window = -1;
	o.time_window = 44;
	p = plan_one(&o, &j);
	assert_int_equal(prov_after(&p, N)->time_window, 44);
	plan_done(&p);
	judgement_done(&j);
	owned_done(&o);
}

static void establishment_is_remembered(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct plan p;

	(void)state;
	o.established = 0;
	p = plan_one(&o, NULL);
	assert_int_equal(prov_after(&p, N)->established, 0);
	plan_done(&p);
	prov_up(&rig, N, true);
	p = plan_one(&o, NULL);
	assert_int_equal(prov_after(&p, N)->established, PROV_NOW);
	plan_done(&p);
	o.established = 77;
	p = plan_one(&o, NULL);
	assert_int_equal(prov_after(&p, N)->established, 77);
	plan_done(&p);
	/* either program is enough */
	o.established = 0;
	rig.world->programs[0].is_running = false;
	p = plan_one(&o, NULL);
	assert_int_equal(prov_after(&p, N)->established, PROV_NOW);
	plan_done(&p);
	rig.world->programs[0].is_running = true;
	rig.world->programs[1].is_running = false;
	p = plan_one(&o, NULL);
	assert_int_equal(prov_after(&p, N)->established, PROV_NOW);
	plan_done(&p);
	/* another daemon's, or one that is not ours, is not this session */
	rig.world->programs[0].is_running = false;
	p = plan_one(&o, NULL);
	assert_int_equal(prov_after(&p, N)->established, 0);
	plan_done(&p);
	owned_done(&o);
}

static void drain_needs_somebody_who_drains(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_GONE, "bird");
	struct plan p;

	(void)state;
	prov_up(&rig, N, true);
	rig.world->programs[1].is_running = false;
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_REMOVE, "taken out at once");
	plan_done(&p);
	rig.world->programs[1].is_running = true;
	rig.settings.drain_time = 0;
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_REMOVE, "taken out at once");
	plan_done(&p);
	rig.settings.drain_time = 300;
	owned_done(&o);
	/* its daemon block is gone */
	o = prov_owned(N, "one", "quagga");
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_REMOVE, "taken out at once");
	plan_done(&p);
	judgement_done(&j);
	owned_done(&o);
}

/* Without a daemon of ours the neighbor would go on in clear text: an alarm. */
static void unmanaged_daemon_is_an_alarm(void **state)
{
	struct owned o = prov_owned(N, "one", NULL);
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_GONE, NULL);
	struct plan p;

	(void)state;
	prov_up(&rig, N, true);
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_DRAIN, "graceful");
	plan_done(&p);
	prov_up(&rig, N, false);
	p = plan_one(&o, &j);
	assert_true(prov_assert_step(&p, N, PLAN_REMOVE, "in clear text")->is_alarm);
	plan_done(&p);
	assert_int_equal(jv_set_string(o.mapping, "mode", "off"), 0);
	p = plan_one(&o, &j);
	assert_false(prov_assert_step(&p, N, PLAN_REMOVE, "")->is_alarm);
	plan_done(&p);
	owned_done(&o);
	o = prov_owned(N, "one", "bird");
	p = plan_one(&o, &j);
	assert_false(prov_assert_step(&p, N, PLAN_REMOVE, "")->is_alarm);
	plan_done(&p);
	judgement_done(&j);
	owned_done(&o);
}

/* ---- garbage ---- */

static void garbage_is_what_was_never_up(void **state)
{
	static const struct {
		const char *what;
		int64_t age, window;
		bool was_asked, is_held, is_up, shim_runs, bird_runs;
		int64_t established;
		enum verdict verdict;
		bool goes;
	} cases[] = {
		{"plain", 7 * DAYS + 1, -1, true, false, false, true, true, 0, VERDICT_WANT, true},
		{"in time", 7 * DAYS, -1, true, false, false, true, true, 0, VERDICT_WANT, false},
		{"server's window", 101, 100, true, false, false, true, true, 0, VERDICT_WANT,
		 true},
		{"server's window", 100, 100, true, false, false, true, true, 0, VERDICT_WANT,
		 false},
		{"longer window", 8 * DAYS, 9 * DAYS, true, false, false, true, true, 0,
		 VERDICT_WANT, false},
		{"no window", 8 * DAYS, 0, true, false, false, true, true, 0, VERDICT_WANT, true},
		{"no window", 6 * DAYS, 0, true, false, false, true, true, 0, VERDICT_WANT, false},
		{"huge window", 8 * DAYS, INT64_MAX, true, false, false, true, true, 0,
		 VERDICT_WANT, false},
		{"extra", 8 * DAYS, -1, false, false, false, true, true, 0, VERDICT_WANT, false},
		{"held", 8 * DAYS, -1, true, true, false, true, true, 0, VERDICT_WANT, false},
		{"up now", 8 * DAYS, -1, true, false, true, true, true, 0, VERDICT_WANT, false},
		{"was up", 8 * DAYS, -1, true, false, false, true, true, 5, VERDICT_WANT, false},
		{"shim only", 8 * DAYS, -1, true, false, false, true, false, 0, VERDICT_WANT, true},
		{"daemon only", 8 * DAYS, -1, true, false, false, false, true, 0, VERDICT_WANT,
		 true},
		{"blind", 8 * DAYS, -1, true, false, false, false, false, 0, VERDICT_WANT, false},
		{"future", -5, 1, true, false, false, true, true, 0, VERDICT_WANT, false},
		{"doubt", 8 * DAYS, -1, true, false, false, true, true, 0, VERDICT_HOLD, false},
		{"doubt", 8 * DAYS, -1, true, false, false, true, true, 0, VERDICT_WAIT, false},
		{"doubt", 8 * DAYS, -1, true, false, false, true, true, 0, VERDICT_REFUSE, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct owned o = prov_owned(N, "one", "bird");
		struct judgement j = prov_judgement(&rig.servers[0], N, cases[i].verdict, "bird");
		struct plan p;

		o.created = PROV_NOW - cases[i].age;
		o.time_window = cases[i].window;
		o.was_asked = cases[i].was_asked;
		o.is_held = cases[i].is_held;
		o.established = cases[i].established;
		prov_up(&rig, N, cases[i].is_up);
		rig.world->programs[0].is_running = cases[i].shim_runs;
		rig.world->programs[1].is_running = cases[i].bird_runs;
		p = plan_one(&o, &j);
		if (!!prov_step(&p, N, PLAN_REMOVE) != cases[i].goes)
			fail_msg("case %zu: %s", i, cases[i].what);
		if (cases[i].goes) {
			prov_assert_step(&p, N, PLAN_REMOVE, "never established");
			prov_assert_step(&p, N, PLAN_TELL, "DELETE at one");
			assert_int_equal(prov_after(&p, N)->leaving, LEAVING_NEVER_UP);
			assert_int_equal(p.n_deletions, 1);
		}
		plan_done(&p);
		judgement_done(&j);
		owned_done(&o);
	}
	rig.world->programs[0].is_running = rig.world->programs[1].is_running = true;
}

/* The shim leaves such a neighbor alone and sees nothing of it. */
static void shim_knows_nothing_of_mode_off(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct plan p;

	(void)state;
	o.established = 0;
	o.created = PROV_NOW - 8 * DAYS;
	assert_int_equal(jv_set_string(o.mapping, "mode", "off"), 0);
	assert_int_equal(jv_set_string(j.mapping, "mode", "off"), 0);
	rig.world->programs[1].is_running = false;
	p = plan_one(&o, &j);
	assert_null(prov_step(&p, N, PLAN_REMOVE));
	plan_done(&p);
	rig.world->programs[1].is_running = true;
	p = plan_one(&o, &j);
	assert_non_null(prov_step(&p, N, PLAN_REMOVE));
	plan_done(&p);
	judgement_done(&j);
	owned_done(&o);
}

static void restored_one_has_time_again(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct plan p;

	(void)state;
	o.phase = PHASE_SHUT;
	o.leaving = LEAVING_NEVER_UP;
	o.established = 0;
	o.created = PROV_NOW - 8 * DAYS;
	assert_int_equal(jv_set_int(j.mapping, "max_prefix", 7), 0);
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_RESTORE, "");
	assert_int_equal(prov_after(&p, N)->created, PROV_NOW);
	assert_true(mapping_equal(prov_after(&p, N)->mapping, j.mapping));
	plan_done(&p);
	o.established = 5;
	p = plan_one(&o, &j);
	assert_int_equal(prov_after(&p, N)->created, o.created);
	plan_done(&p);
	judgement_done(&j);
	owned_done(&o);
}

/* ---- telling ---- */

static void not_everybody_can_be_told(void **state)
{
	static const struct {
		const char *server, *session_id, *words;
		bool leaves_mark, tell;
	} cases[] = {
		{"one", "s-" N, "taken out at once", true, true},
		{"one", "", "cannot be told", true, false},
		{"old", "s-" N, "cannot be told", true, false},
		{"unknown", "s-" N, "cannot be told", true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct owned o = prov_owned(N, cases[i].server, "bird");
		struct plan p;

		assert_int_equal(jv_set_string(o.mapping, "session_id", cases[i].session_id), 0);
		o.leaving = LEAVING_OPERATOR;
		p = plan_one(&o, NULL);
		prov_assert_step(&p, N, PLAN_REMOVE, cases[i].words);
		assert_int_equal(!!prov_after(&p, N), cases[i].leaves_mark);
		assert_int_equal(!!prov_step(&p, N, PLAN_TELL), cases[i].tell);
		if (prov_after(&p, N))
			assert_int_equal(prov_after(&p, N)->tell, cases[i].tell);
		plan_done(&p);
		/* and one that was to be told, but cannot be any more */
		o.phase = PHASE_GONE;
		o.tell = true;
		p = plan_one(&o, NULL);
		assert_int_equal(!!prov_step(&p, N, PLAN_TELL), cases[i].tell);
		assert_int_equal(!!prov_step(&p, N, PLAN_FORGET),
				 !strcmp(cases[i].server, "unknown"));
		plan_done(&p);
		owned_done(&o);
	}
}

/* The server goes on listing what it was told to delete: it must not come back. */
static void mark_keeps_the_deleted_away(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct judgement two = prov_judgement(&rig.servers[1], N, VERDICT_WANT, "bird");
	struct plan p;

	(void)state;
	o.phase = PHASE_GONE;
	o.leaving = LEAVING_OPERATOR;
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_WAITING, "one still lists it");
	plan_done(&p);
	/* asked for again: another session of the same server */
	strcpy(j.record.session_id, "new");
	assert_int_equal(jv_set_string(j.mapping, "session_id", "new"), 0);
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_ADD, "");
	assert_string_equal(jv_get_string(prov_after(&p, N)->mapping, "session_id", ""), "new");
	assert_int_equal(prov_after(&p, N)->created, PROV_NOW);
	plan_done(&p);
	/* the listing is from before the server was told */
	o.since = PROV_NOW;
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_WAITING, "a new session");
	plan_done(&p);
	o.since = PROV_NOW - 1;
	/* another server's */
	p = plan_one(&o, &two);
	prov_assert_step(&p, N, PLAN_ADD, "");
	plan_done(&p);
	/* not before it was told */
	o.tell = true;
	p = plan_one(&o, &two);
	assert_string_equal(prov_assert_step(&p, N, PLAN_TELL, "")->server, "one");
	assert_int_equal(p.n_after, 1);
	plan_done(&p);
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_TELL, "");
	plan_done(&p);
	/* a server without ids says nothing new */
	o.tell = false;
	j.record.session_id[0] = '\0';
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_WAITING, "still lists it");
	plan_done(&p);
	/* but if it has ids of requests, these do */
	strcpy(j.record.request_id, "r2");
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_WAITING, "still lists it");
	plan_done(&p);
	assert_int_equal(jv_set_string(o.mapping, "request_id", "r2"), 0);
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_WAITING, "still lists it");
	plan_done(&p);
	assert_int_equal(jv_set_string(o.mapping, "request_id", "r1"), 0);
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_ADD, "");
	plan_done(&p);
	judgement_done(&j);
	judgement_done(&two);
	owned_done(&o);
}

static void mark_of_a_forgotten_server_goes(void **state)
{
	struct owned o = prov_owned(N, "unknown", "bird");
	struct plan p;

	(void)state;
	o.phase = PHASE_GONE;
	o.leaving = LEAVING_OPERATOR;
	p = plan_one(&o, NULL);
	prov_assert_step(&p, N, PLAN_FORGET, "unknown says nothing");
	plan_done(&p);
	owned_done(&o);
}

/* ---- several who want the same ---- */

static struct plan plan_two(struct owned *o, struct judgement *a, struct judgement *b)
{
	struct judgement both[] = {*a, *b};
	struct plan_input in;

	set_seen(o, o ? 1 : 0);
	in = prov_input(&rig, o, o ? 1 : 0, both, 2);
	return prov_plan(&in);
}

static void two_servers_one_neighbor(void **state)
{
	struct judgement one = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct judgement two = prov_judgement(&rig.servers[1], N, VERDICT_WANT, "bird");
	struct judgement bad = prov_judgement(&rig.servers[1], N, VERDICT_REFUSE, "bird");
	struct judgement gone = prov_judgement(&rig.servers[1], N, VERDICT_GONE, "bird");
	struct owned o = prov_owned(N, "two", "bird");
	const struct plan_step *s;
	struct plan p;

	(void)state;
	/* nobody owns it: the first by name */
	p = plan_two(NULL, &two, &one);
	assert_string_equal(prov_assert_step(&p, N, PLAN_ADD, "")->server, "one");
	s = prov_assert_step(&p, N, PLAN_REFUSED, "configured from server one");
	assert_string_equal(s->server, "two");
	assert_true(s->is_alarm);
	assert_int_equal(p.n_after, 1);
	plan_done(&p);
	/* the one that it is owned from */
	p = plan_two(&o, &one, &two);
	assert_int_equal(p.n_changes, 0);
	assert_string_equal(prov_assert_step(&p, N, PLAN_REFUSED, "server two")->server, "one");
	plan_done(&p);
	/* only its own server's word counts */
	p = plan_two(&o, &one, &bad);
	prov_assert_step(&p, N, PLAN_HELD, "stays as it is");
	prov_assert_step(&p, N, PLAN_REFUSED, "");
	assert_int_equal(p.n_changes, 0);
	plan_done(&p);
	/* its own server lets it go, and the other one has it: no reason to take it away */
	p = plan_two(&o, &one, &gone);
	assert_string_equal(prov_assert_step(&p, N, PLAN_CHANGE, "server two -> one")->server,
			    "one");
	assert_int_equal(p.n_steps, 1);
	plan_done(&p);
	o.phase = PHASE_DRAINING;
	o.leaving = LEAVING_PEER;
	p = plan_two(&o, &one, &gone);
	assert_string_equal(prov_assert_step(&p, N, PLAN_RESTORE, "one approves it again")->server,
			    "one");
	plan_done(&p);
	/* in doubt it is still the old one's */
	p = plan_two(&o, &one, &bad);
	prov_assert_step(&p, N, PLAN_HELD, "is not taken out");
	prov_assert_step(&p, N, PLAN_REFUSED, "configured from server two");
	plan_done(&p);
	/* unless it leaves anyhow */
	o.leaving = LEAVING_POLICY;
	p = plan_two(&o, &one, &bad);
	prov_assert_step(&p, N, PLAN_RESTORE, "");
	plan_done(&p);
	/* the operator deleted that one, not this one; but first it has to go */
	o.leaving = LEAVING_OPERATOR;
	p = plan_two(&o, &one, &gone);
	assert_string_equal(prov_assert_step(&p, N, PLAN_REMOVE, "")->server, "two");
	assert_string_equal(prov_assert_step(&p, N, PLAN_TELL, "")->server, "two");
	plan_done(&p);
	owned_done(&o);
	o = prov_owned(N, "one", "bird");
	p = plan_two(&o, &one, &gone);
	assert_int_equal(p.n_steps, 0);
	plan_done(&p);
	p = plan_two(&o, &one, &bad);
	assert_string_equal(prov_assert_step(&p, N, PLAN_REFUSED, "not configured")->server, "two");
	assert_int_equal(p.n_steps, 1);
	plan_done(&p);
	owned_done(&o);
	/* its own server has another name now: the other one takes it over */
	o = prov_owned(N, "renamed", "bird");
	p = plan_two(&o, &gone, &one);
	prov_assert_step(&p, N, PLAN_CHANGE, "server renamed -> one");
	assert_int_equal(p.n_steps, 1);
	plan_done(&p);
	p = plan_one(&o, &gone);
	prov_assert_step(&p, N, PLAN_HELD, "not configured any more");
	assert_int_equal(p.n_changes, 0);
	plan_done(&p);
	owned_done(&o);
	judgement_done(&one);
	judgement_done(&two);
	judgement_done(&bad);
	judgement_done(&gone);
}

static void one_server_two_sessions(void **state)
{
	struct judgement a = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct judgement b = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	struct owned o = prov_owned(N, "one", "bird");
	struct plan p;

	(void)state;
	strcpy(b.record.session_id, "a-new-one");
	assert_int_equal(jv_set_string(b.mapping, "session_id", "a-new-one"), 0);
	/* the one that is owned stays, although the other comes first */
	p = plan_two(&o, &a, &b);
	assert_int_equal(p.n_changes, 0);
	prov_assert_step(&p, N, PLAN_REFUSED, "second session with this neighbor (a-new-one)");
	plan_done(&p);
	p = plan_two(NULL, &a, &b);
	prov_assert_step(&p, N, PLAN_ADD, "");
	prov_assert_step(&p, N, PLAN_REFUSED, "(s-" N ")");
	plan_done(&p);
	/* the owned one is deleted there, and there is a new one: it takes its place */
	judgement_done(&a);
	a = prov_judgement(&rig.servers[0], N, VERDICT_GONE, "bird");
	p = plan_two(&o, &a, &b);
	prov_assert_step(&p, N, PLAN_CHANGE, "session_id s-" N " -> a-new-one");
	assert_int_equal(p.n_steps, 1);
	plan_done(&p);
	/* what is said of this very session goes before what is said of another */
	judgement_done(&b);
	b = prov_judgement(&rig.servers[0], N, VERDICT_WAIT, "bird");
	strcpy(b.record.session_id, "a-new-one");
	p = plan_two(&o, &a, &b);
	prov_assert_step(&p, N, PLAN_REMOVE, "");
	prov_assert_step(&p, N, PLAN_WAITING, "not configured: because");
	plan_done(&p);
	/* and if nobody knows which it is, whatever changes least */
	strcpy(a.record.session_id, "z");
	p = plan_two(&o, &a, &b);
	prov_assert_step(&p, N, PLAN_HELD, "but now because of");
	assert_int_equal(p.n_changes, 0);
	plan_done(&p);
	/* gone here and told; the old one is still listed, and a new one too */
	judgement_done(&a);
	judgement_done(&b);
	a = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	b = prov_judgement(&rig.servers[0], N, VERDICT_WANT, "bird");
	strcpy(b.record.session_id, "zz");
	assert_int_equal(jv_set_string(b.mapping, "session_id", "zz"), 0);
	o.phase = PHASE_GONE;
	o.leaving = LEAVING_OPERATOR;
	p = plan_two(&o, &a, &b);
	prov_assert_step(&p, N, PLAN_ADD, "");
	assert_false(prov_assert_step(&p, N, PLAN_WAITING, "takes its place")->is_alarm);
	assert_string_equal(jv_get_string(prov_after(&p, N)->mapping, "session_id", ""), "zz");
	plan_done(&p);
	judgement_done(&a);
	judgement_done(&b);
	owned_done(&o);
}

/* How sure the least of several doubts is. */
static void least_change_wins(void **state)
{
	static const enum verdict order[] = {VERDICT_HOLD, VERDICT_REFUSE, VERDICT_WAIT,
					     VERDICT_FORBID, VERDICT_GONE};
	struct owned o = prov_owned(N, "one", "bird");

	(void)state;
	for (size_t x = 0; x < ARRAY_SIZE(order); x++)
		for (size_t y = x + 1; y < ARRAY_SIZE(order); y++) {
			struct judgement a = prov_judgement(&rig.servers[0], N, order[x], NULL);
			struct judgement b = prov_judgement(&rig.servers[0], N, order[y], NULL);
			struct plan p;

			strcpy(a.record.session_id, "z");
			strcpy(b.record.session_id, "a");
			strcpy(a.reason, "first");
			strcpy(b.reason, "second");
			p = plan_two(&o, &a, &b);
			if (order[x] == VERDICT_FORBID)
				prov_assert_step(&p, N, PLAN_REMOVE, "first");
			else
				prov_assert_step(&p, N, PLAN_HELD, "first");
			plan_done(&p);
			judgement_done(&a);
			judgement_done(&b);
		}
	owned_done(&o);
}

/* Nobody speaks for a server that is not configured any more. */
static void judgements_without_a_server(void **state)
{
	struct owned o = prov_owned(N, "unknown", "bird");
	struct judgement j = prov_judgement(&rig.servers[0], N, VERDICT_HOLD, NULL);
	struct plan p;

	(void)state;
	j.server = NULL;
	p = plan_one(&o, &j);
	prov_assert_step(&p, N, PLAN_HELD, "server unknown is not configured any more");
	assert_int_equal(p.n_steps, 1);
	plan_done(&p);
	owned_done(&o);
	judgement_done(&j);
}

static void addresses_that_are_missing(void **state)
{
	struct judgement a = prov_judgement(&rig.servers[0], "-", VERDICT_REFUSE, NULL);
	struct judgement b = prov_judgement(&rig.servers[0], "-", VERDICT_GONE, NULL);
	struct judgement c = prov_judgement(&rig.servers[1], "-", VERDICT_REFUSE, NULL);
	struct judgement all[] = {a, b, c};
	struct plan_input in;
	struct plan p;

	(void)state;
	set_seen(NULL, 0);
	in = prov_input(&rig, NULL, 0, all, 3);
	p = prov_plan(&in);
	assert_int_equal(p.n_steps, 2);
	assert_int_equal(p.n_alarms, 2);
	assert_int_equal(p.n_changes, 0);
	assert_string_equal(p.steps[0].server, "one");
	assert_string_equal(p.steps[1].server, "two");
	plan_done(&p);
	for (size_t i = 0; i < 3; i++)
		judgement_done(&all[i]);
}

static void operators_own_neighbors_are_left_alone(void **state)
{
	static const struct {
		int target;
		const char *daemon;
		bool is_refused;
	} cases[] = {
		{0, "bird", true}, {1, "bird", true}, {2, "bird", true},
		{0, NULL, true},   {1, NULL, false},  {2, NULL, false},
	};
	struct judgement j;
	struct owned o;
	struct plan p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		j = prov_judgement(&rig.servers[0], N, VERDICT_WANT, cases[i].daemon);
		prov_add_foreign(&rig, cases[i].target, N);
		p = plan_one(NULL, &j);
		if (cases[i].is_refused) {
			const char *name = target_name(&rig.targets[cases[i].target]);

			prov_assert_step(&p, N, PLAN_REFUSED, name);
			assert_true(prov_assert_step(&p, N, PLAN_REFUSED, "server one")->is_alarm);
			assert_int_equal(p.n_after, 0);
		} else {
			prov_assert_step(&p, N, PLAN_ADD, "");
		}
		plan_done(&p);
		rig.world->programs[cases[i].target].n_foreign = 0;
		judgement_done(&j);
	}
	/* one beside an owned one: nothing to load, but an alarm */
	o = prov_owned(N, "one", "bird");
	strcpy(rig.world->programs[1].deaf_to, N);
	prov_add_foreign(&rig, 1, N);
	p = plan_one(&o, NULL);
	assert_null(prov_step(&p, "bird", PLAN_LOAD));
	assert_true(prov_assert_step(&p, "bird", PLAN_HELD, N)->is_alarm);
	plan_done(&p);
	/* also when something else is done there */
	j = prov_judgement(&rig.servers[0], "192.0.2.9", VERDICT_WANT, "bird");
	p = plan_one(&o, &j);
	prov_assert_step(&p, "192.0.2.9", PLAN_ADD, "");
	assert_null(prov_step(&p, "bird", PLAN_LOAD));
	plan_done(&p);
	judgement_done(&j);
	rig.world->programs[1].deaf_to[0] = '\0';
	p = plan_one(&o, NULL);
	assert_null(prov_step(&p, "bird", PLAN_LOAD));
	assert_null(prov_step(&p, "bird", PLAN_HELD));
	plan_done(&p);
	owned_done(&o);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(everything_that_can_become_of_a_session),
		TEST(reasons_are_told),
		TEST(removals_are_explained),
		TEST(new_session_is_added),
		TEST(what_is_not_configured),
		TEST(difference_is_a_change),
		TEST(establishment_is_remembered),
		TEST(drain_needs_somebody_who_drains),
		TEST(unmanaged_daemon_is_an_alarm),
		TEST(garbage_is_what_was_never_up),
		TEST(shim_knows_nothing_of_mode_off),
		TEST(restored_one_has_time_again),
		TEST(not_everybody_can_be_told),
		TEST(mark_keeps_the_deleted_away),
		TEST(mark_of_a_forgotten_server_goes),
		TEST(two_servers_one_neighbor),
		TEST(one_server_two_sessions),
		TEST(least_change_wins),
		TEST(judgements_without_a_server),
		TEST(addresses_that_are_missing),
		TEST(operators_own_neighbors_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
