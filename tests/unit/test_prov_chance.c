// SPDX-License-Identifier: Apache-2.0
/* botls-provision's plan of worlds made by chance: what never happens in any of them. */
#include "prov_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

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

#define MANY 8
static const char *const many[MANY] = {"192.0.2.2", "192.0.2.20", "192.0.2.3", "192.0.2.4",
				       "192.0.2.5", "192.0.2.6",  "192.0.2.7", "192.0.2.8"};

#define WORLDS	  3000
#define NEIGHBORS 8
#define JUDGED	  24

struct chance {
	struct prov_random random;
	uint64_t seed;
	struct owned owned[NEIGHBORS];
	size_t n_owned, n_strays; /* strays are behind the owned ones */
	struct judgement judgements[JUDGED];
	size_t n_judgements;
};

static const char *const daemon_names[] = {"bird", "frr", NULL};

static void some_owned(struct chance *c, const char *neighbor)
{
	struct prov_random *r = &c->random;
	struct owned o = prov_owned(neighbor, rig.servers[prov_random(r, 3)].name,
				    daemon_names[prov_random(r, 3)]);

	o.phase = prov_random(r, 2) ? PHASE_ACTIVE : prov_random(r, 4);
	o.leaving = o.phase != PHASE_ACTIVE ? 1 + prov_random(r, 4)
		    : prov_random(r, 4)	    ? LEAVING_NOT
					    : LEAVING_OPERATOR;
	if (o.phase == PHASE_GONE)
		o.leaving = prov_random(r, 2) ? LEAVING_OPERATOR : LEAVING_NEVER_UP;
	o.tell = (o.phase == PHASE_GONE && prov_random(r, 2)) ||
		 (o.phase != PHASE_ACTIVE && o.leaving == LEAVING_OPERATOR);
	o.since = PROV_NOW - (prov_random(r, 2) ? prov_random(r, 600) : prov_random(r, 10 * DAYS));
	o.created = o.since - prov_random(r, 10 * DAYS);
	o.established = prov_random(r, 2) ? o.created + 1 : 0;
	o.time_window = prov_random(r, 3) ? -1 : (int64_t)prov_random(r, 10 * DAYS);
	o.was_asked = prov_random(r, 3);
	o.is_held = !prov_random(r, 4);
	if (!prov_random(r, 4))
		assert_int_equal(jv_set_string(o.mapping, "request_id", "r1"), 0);
	c->owned[c->n_owned++] = o;
}

static void some_judgements(struct chance *c, const char *neighbor, bool all_fail)
{
	static const enum verdict doubts[] = {VERDICT_WAIT, VERDICT_REFUSE, VERDICT_HOLD};
	struct prov_random *r = &c->random;

	for (unsigned n = prov_random(r, 4); n; n--) {
		enum verdict v = all_fail	     ? doubts[prov_random(r, 3)]
				 : prov_random(r, 2) ? VERDICT_WANT
						     : prov_random(r, 6);
		struct judgement j = prov_judgement(&rig.servers[prov_random(r, 3)], neighbor, v,
						    daemon_names[prov_random(r, 3)]);

		j.is_extra = !prov_random(r, 4);
		if (!prov_random(r, 4))
			strcpy(j.record.request_id, prov_random(r, 2) ? "r1" : "r2");
		if (v != VERDICT_WANT && prov_random(r, 2))
			strcpy(j.reason, "another reason");
		if (!prov_random(r, 4))
			strcpy(j.record.session_id, prov_random(r, 2) ? "" : "other");
		if (j.mapping) {
			assert_int_equal(
				jv_set_string(j.mapping, "session_id", j.record.session_id) |
					jv_set_int(j.mapping, "max_prefix",
						   1000 + prov_random(r, 2)),
				0);
		}
		c->judgements[c->n_judgements++] = j;
	}
}

/* Files and programs that mostly, but not always, agree with what is owned. */
static void some_programs(struct chance *c)
{
	struct prov_random *r = &c->random;
	size_t n = c->n_owned;

	if (n && !prov_random(r, 6))
		n--; /* one was never configured */
	prov_settle(&rig, c->owned, n);
	if (n && !prov_random(r, 6)) {
		c->n_owned--; /* one is configured, but nobody remembers it */
		c->n_strays++;
	}
	for (size_t i = 0; i < NEIGHBORS; i++)
		prov_up(&rig, many[i], prov_random(r, 2));
	for (int i = 0; i < PROV_TARGETS; i++) {
		struct prov_program *p = &rig.world->programs[i];

		p->is_running = prov_random(r, 10);
		p->n_foreign = 0;
		if (!prov_random(r, 10))
			prov_add_foreign(&rig, i, many[prov_random(r, NEIGHBORS)]);
		if (!prov_random(r, 10))
			p->has_file = false;
		if (!prov_random(r, 10))
			strcat(p->file, "# edited\n");
	}
}

static void some_world(struct chance *c, uint64_t seed, bool all_fail)
{
	*c = (struct chance){.random.state = seed * 0x9e3779b97f4a7c15ULL + 1, .seed = seed};
	for (size_t i = 0; i < NEIGHBORS; i++) {
		if (prov_random(&c->random, 3))
			some_owned(c, many[i]);
		some_judgements(c, many[i], all_fail);
	}
	some_programs(c);
	prov_look(&rig);
}

static void end_world(struct chance *c)
{
	for (size_t i = 0; i < c->n_owned + c->n_strays; i++)
		owned_done(&c->owned[i]);
	for (size_t i = 0; i < c->n_judgements; i++)
		judgement_done(&c->judgements[i]);
}

static struct plan plan_world(struct chance *c)
{
	struct plan_input in =
		prov_input(&rig, c->owned, c->n_owned, c->judgements, c->n_judgements);

	in.allowed_deletions = c->seed % 7;
	return prov_plan(&in);
}

static void swap(void *a, void *b, size_t size)
{
	char keep[4096];

	assert_true(size <= sizeof(keep));
	memcpy(keep, a, size);
	memmove(a, b, size);
	memcpy(b, keep, size);
}

static void shuffle(struct chance *c)
{
	for (size_t i = 1; i < c->n_owned; i++)
		swap(&c->owned[i], &c->owned[prov_random(&c->random, i + 1)], sizeof(c->owned[0]));
	for (size_t i = 1; i < c->n_judgements; i++)
		swap(&c->judgements[i], &c->judgements[prov_random(&c->random, i + 1)],
		     sizeof(c->judgements[0]));
	for (int t = 0; t < PROV_TARGETS; t++)
		for (size_t i = 1; i < rig.seen[t].n; i++)
			swap(&rig.seen[t].items[i],
			     &rig.seen[t].items[prov_random(&c->random, i + 1)],
			     sizeof(rig.seen[t].items[0]));
}

static bool is_same_plan(const struct plan *a, const struct plan *b)
{
	_cleanup_jv_ struct jv *x = plan_describe(a), *y = plan_describe(b);
	_cleanup_free_ char *s = jv_dump_line(x, NULL), *t = jv_dump_line(y, NULL);

	if (strcmp(s, t) || a->n_after != b->n_after)
		return false;
	for (size_t i = 0; i < a->n_after; i++) {
		const struct owned *p = &a->after[i], *q = &b->after[i];

		if (!mapping_equal(p->mapping, q->mapping) || p->phase != q->phase ||
		    p->leaving != q->leaving || p->since != q->since || p->tell != q->tell ||
		    p->created != q->created || p->established != q->established)
			return false;
	}
	return true;
}

static void order_does_not_matter(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		struct chance c;
		struct plan p, q;

		some_world(&c, seed, false);
		p = plan_world(&c);
		shuffle(&c);
		q = plan_world(&c);
		if (!is_same_plan(&p, &q)) {
			prov_show(&p);
			prov_show(&q);
			fail_msg("seed %lu", (unsigned long)seed);
		}
		plan_done(&p);
		plan_done(&q);
		end_world(&c);
	}
}

static const struct owned *owned_of(const struct chance *c, const char *neighbor)
{
	for (size_t i = 0; i < c->n_owned; i++)
		if (!strcmp(jv_get_string(c->owned[i].mapping, "neighbor", ""), neighbor))
			return &c->owned[i];
	return NULL;
}

static bool has_stray(const struct chance *c)
{
	for (int t = 0; t < PROV_TARGETS; t++)
		for (size_t i = 0; i < rig.seen[t].n; i++)
			if (rig.seen[t].items[i].is_ours &&
			    !owned_of(c, rig.seen[t].items[i].neighbor))
				return true;
	return false;
}

/* No answer, an empty one, words that nobody knows: nothing begins, nothing that a server began is
 * completed, and nothing falls out of a file. */
static void failing_servers_take_nothing_away(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		struct chance c;
		struct plan p;

		some_world(&c, seed, true);
		p = plan_world(&c);
		for (size_t i = 0; i < p.n_steps; i++) {
			const struct plan_step *s = &p.steps[i];
			const struct owned *o = owned_of(&c, s->neighbor);
			bool is_justified =
				o && (o->leaving == LEAVING_OPERATOR ||
				      (o->phase != PHASE_ACTIVE && o->leaving != LEAVING_PEER));

			if ((s->action == PLAN_DRAIN || s->action == PLAN_REMOVE) && !is_justified)
				fail_msg("seed %lu: %s %s", (unsigned long)seed,
					 plan_step_name(s->action), s->neighbor);
		}
		for (size_t i = 0; i < c.n_owned; i++) {
			const struct owned *o = &c.owned[i];
			const struct owned *then =
				prov_after(&p, jv_get_string(o->mapping, "neighbor", ""));

			if (o->phase == PHASE_ACTIVE && o->leaving == LEAVING_NOT &&
			    (!then || then->phase != PHASE_ACTIVE))
				fail_msg("seed %lu: session %zu", (unsigned long)seed, i);
		}
		/* nor anything that the state has lost */
		for (size_t i = 0; i < p.n_steps; i++)
			if (has_stray(&c) && plan_action_changes(p.steps[i].action) &&
			    p.steps[i].action != PLAN_TELL && p.steps[i].action != PLAN_FORGET)
				fail_msg("seed %lu: a stray goes", (unsigned long)seed);
		plan_done(&p);
		end_world(&c);
	}
}

static void deletions_stay_below_the_cap(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		size_t begun = 0, lost = 0;
		struct chance c;
		struct plan p;

		some_world(&c, seed, false);
		p = plan_world(&c);
		for (size_t i = 0; i < c.n_owned; i++) {
			const struct owned *o = &c.owned[i];
			const struct owned *then =
				prov_after(&p, jv_get_string(o->mapping, "neighbor", ""));

			begun += o->phase == PHASE_ACTIVE && o->leaving == LEAVING_NOT &&
				 (!then || then->phase != PHASE_ACTIVE);
		}
		/* and what would fall out of a running program unseen */
		for (int t = 0; t < PROV_TARGETS; t++)
			for (size_t i = 0; i < rig.seen[t].n; i++)
				lost += rig.seen[t].items[i].is_ours &&
					!owned_of(&c, rig.seen[t].items[i].neighbor) &&
					prov_step(&p, rig.seen[t].items[i].neighbor, PLAN_REMOVE);
		if (begun > seed % 7 || (begun && begun + !!lost > seed % 7))
			fail_msg("seed %lu: %zu begin to go", (unsigned long)seed, begun);
		plan_done(&p);
		end_world(&c);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(order_does_not_matter),
		TEST(failing_servers_take_nothing_away),
		TEST(deletions_stay_below_the_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
