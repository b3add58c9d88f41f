// SPDX-License-Identifier: Apache-2.0
/* Carrying a plan out: in which order, what is kept, and what is left when something fails or
 * everything stops. */
#include "prov_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define N "192.0.2.2"
#define M "192.0.2.20"

/* in memory where that can be had: there are many files, and each is flushed */
static char top[64];
static char folder[96], audit_path[96];

/* ---- a scene: the world, the state, and judgements about it ---- */

struct scene {
	struct prov_rig rig;
	struct state_store *store;
	struct state state;
	struct audit *audit;
	struct judgement judgements[64];
	size_t n_judgements;
	struct plan plan;
	struct apply_result result;
	void (*progress)(void *arg, const char *text);
};

static int on_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	return at->level ? remove(path) : 0;
}

static void remove_folder(void)
{
	assert_int_equal(nftw(top, on_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void open_files(struct scene *s)
{
	struct errtext e = {};

	if (state_open(folder, true, &s->store, &s->state, &e) < 0 ||
	    audit_open(audit_path, "run", &s->audit, &e) < 0)
		fail_msg("%s", e.text);
}

static void close_files(struct scene *s)
{
	state_wipe(&s->state);
	state_close(s->store);
	audit_close(s->audit);
}

static void open_scene(struct scene *s)
{
	remove_folder();
	*s = (struct scene){};
	prov_init(&s->rig);
	open_files(s);
}

static void forget_judgements(struct scene *s)
{
	for (size_t i = 0; i < s->n_judgements; i++)
		judgement_done(&s->judgements[i]);
	s->n_judgements = 0;
}

static void close_scene(struct scene *s)
{
	plan_done(&s->plan);
	forget_judgements(s);
	close_files(s);
	prov_done(&s->rig);
}

/* Takes it over; everything agrees with it. */
static void own(struct scene *s, struct owned o)
{
	struct state *st = &s->state;
	size_t at = st->n_owned;

	st->owned = realloc(st->owned, (st->n_owned + 1) * sizeof(o));
	while (at && strcmp(jv_get_string(st->owned[at - 1].mapping, "neighbor", ""),
			    jv_get_string(o.mapping, "neighbor", "")) > 0) {
		st->owned[at] = st->owned[at - 1];
		at--;
	}
	st->owned[at] = o;
	st->n_owned++;
	assert_int_equal(state_save(s->store, st, NULL), 0);
	prov_settle(&s->rig, st->owned, st->n_owned);
}

static struct judgement *judge(struct scene *s, const char *neighbor, enum verdict v,
			       const char *daemon)
{
	s->judgements[s->n_judgements] = prov_judgement(&s->rig.servers[0], neighbor, v, daemon);
	return &s->judgements[s->n_judgements++];
}

static void make_plan(struct scene *s)
{
	struct plan_input in;
	struct errtext e = {};

	prov_look(&s->rig);
	in = prov_input(&s->rig, s->state.owned, s->state.n_owned, s->judgements, s->n_judgements);
	in.is_unfinished = s->state.is_unfinished;
	plan_done(&s->plan);
	if (plan_prepare(&in, &s->plan, &e) < 0)
		fail_msg("%s", e.text);
}

static int carry_out(struct scene *s)
{
	struct apply a = {.settings = &s->rig.settings,
			  .store = s->store,
			  .state = &s->state,
			  .targets = s->rig.plan_targets,
			  .n_targets = PROV_TARGETS,
			  .audit = s->audit,
			  .tell = prov_tell,
			  .progress = s->progress,
			  .wait_ms = prov_wait_ms,
			  .now = prov_now,
			  .arg = &s->rig};

	s->rig.world->journal[0] = '\0';
	s->rig.world->waits = 0;
	return apply_plan(&a, &s->plan, &s->result);
}

static int run(struct scene *s)
{
	make_plan(s);
	return carry_out(s);
}

static void show_plan(const struct scene *s)
{
	const struct plan *p = &s->plan;

	for (size_t i = 0; i < p->n_steps; i++)
		print_message("  %s %s [%s]: %s\n", plan_step_name(p->steps[i].action),
			      p->steps[i].neighbor, p->steps[i].server, p->steps[i].text);
}

static void assert_closed(struct scene *s)
{
	if (s->rig.world->violation[0])
		fail_msg("%s", s->rig.world->violation);
}

static void assert_run(struct scene *s)
{
	int r = run(s);

	if (r < 0 || !s->result.is_done)
		fail_msg("%d: %s", r, s->result.text);
	assert_closed(s);
}

/* Nothing is left to do. */
static void assert_settled(struct scene *s)
{
	make_plan(s);
	if (s->plan.n_changes) {
		show_plan(s);
		fail_msg("the next plan is not empty");
	}
}

static void assert_journal(struct scene *s, const char *expected)
{
	assert_string_equal(s->rig.world->journal, expected);
}

static bool has(struct scene *s, int target, const char *neighbor)
{
	struct prov_program *p = &s->rig.world->programs[target];

	assert_string_equal(p->file, p->running);
	return prov_mentions(p->running, neighbor);
}

static struct owned leaving_now(struct scene *s, const char *neighbor, const char *daemon)
{
	struct owned o = prov_owned(neighbor, "one", daemon);

	(void)s;
	o.phase = PHASE_DRAINING;
	o.leaving = LEAVING_PEER;
	return o;
}

#define PUT(target) "write " target "\ncheck " target "\nload " target "\n"

/* ---- order ---- */

static void shim_learns_first(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	assert_run(&s);
	assert_journal(&s, PUT("botlsd") PUT("bird"));
	assert_true(has(&s, 0, N) && has(&s, 1, N) && !has(&s, 2, N));
	assert_int_equal(s.state.n_owned, 1);
	assert_int_equal(s.state.generation, 1);
	assert_settled(&s);
	/* and without a change nothing is done */
	assert_run(&s);
	assert_journal(&s, "");
	assert_int_equal(s.state.generation, 1);
	close_scene(&s);
}

static void shim_forgets_last(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, leaving_now(&s, N, "bird"));
	prov_up(&s.rig, N, true);
	judge(&s, N, VERDICT_GONE, NULL);
	assert_run(&s);
	assert_journal(&s, PUT("bird") PUT("bird") PUT("botlsd"));
	assert_true(!has(&s, 0, N) && !has(&s, 1, N));
	assert_int_equal(s.state.n_owned, 0);
	assert_settled(&s);
	close_scene(&s);
}

static void drain_is_the_daemons_affair(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, prov_owned(N, "one", "bird"));
	prov_up(&s.rig, N, true);
	judge(&s, N, VERDICT_GONE, NULL);
	assert_run(&s);
	assert_journal(&s, PUT("bird"));
	assert_non_null(strstr(s.rig.world->programs[1].running, "session draining required " N));
	assert_settled(&s);
	s.rig.world->now += 300;
	assert_run(&s);
	assert_int_equal(s.state.n_owned, 0);
	close_scene(&s);
}

static void added_and_removed_at_once(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, leaving_now(&s, N, "bird"));
	own(&s, prov_owned("192.0.2.9", "one", "frr"));
	judge(&s, N, VERDICT_GONE, NULL);
	judge(&s, M, VERDICT_WANT, "frr");
	judge(&s, "192.0.2.9", VERDICT_WANT, "frr");
	assert_run(&s);
	assert_journal(&s, PUT("botlsd") PUT("bird") PUT("bird") PUT("frr") PUT("botlsd"));
	assert_true(!has(&s, 0, N) && has(&s, 0, M) && has(&s, 0, "192.0.2.9"));
	assert_true(!has(&s, 1, N) && has(&s, 2, M) && has(&s, 2, "192.0.2.9"));
	assert_settled(&s);
	close_scene(&s);
}

/* The old one shuts it down before the new one has it alone; the shim has it all the time. */
static void session_moves_to_another_daemon(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, prov_owned(N, "one", "bird"));
	prov_up(&s.rig, N, true);
	judge(&s, N, VERDICT_WANT, "frr");
	assert_run(&s);
	assert_journal(&s, PUT("botlsd") PUT("bird") PUT("bird") PUT("frr"));
	assert_true(has(&s, 0, N) && !has(&s, 1, N) && has(&s, 2, N));
	assert_settled(&s);
	close_scene(&s);
}

static void shut_down_means_down(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, leaving_now(&s, N, "bird"));
	prov_up(&s.rig, N, true);
	s.rig.world->programs[1].stays_up = true;
	judge(&s, N, VERDICT_GONE, NULL);
	assert_int_equal(run(&s), -ETIMEDOUT);
	assert_true(s.result.is_rolled_back);
	assert_string_equal(s.result.text, "bird: after 20 s " N " is still established");
	assert_int_equal(s.rig.world->waits, 80);
	assert_journal(&s, PUT("bird") PUT("bird"));
	assert_closed(&s);
	/* one that is not up may be in whatever state */
	prov_up(&s.rig, N, false);
	assert_run(&s);
	close_scene(&s);
}

/* ---- the servers ---- */

static void server_is_told_when_all_is_gone(void **state)
{
	struct scene s;
	struct owned o = prov_owned(N, "one", "bird"), p = prov_owned(M, "two", "bird");
	struct owned q = prov_owned("192.0.2.9", "one", "bird");

	(void)state;
	open_scene(&s);
	o.leaving = p.leaving = q.leaving = LEAVING_OPERATOR;
	own(&s, o);
	own(&s, p);
	own(&s, q);
	judge(&s, N, VERDICT_WANT, "bird");
	assert_run(&s);
	assert_journal(&s, PUT("bird") PUT("bird") PUT("botlsd") "tell one s-" N
								 "\ntell one s-192.0.2.9\n"
								 "tell two s-" M "\n");
	assert_int_equal(s.state.n_owned, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(s.state.owned[i].phase, PHASE_GONE);
		assert_false(s.state.owned[i].tell);
	}
	assert_string_equal(s.result.text, "");
	assert_settled(&s);
	/* it is known to be gone there */
	forget_judgements(&s);
	judge(&s, N, VERDICT_GONE, NULL);
	assert_run(&s);
	assert_int_equal(s.state.n_owned, 2);
	close_scene(&s);
}

static void silent_server_is_told_again(void **state)
{
	struct owned o = prov_owned(N, "one", "bird"), p = prov_owned(M, "one", "bird");
	struct scene s;

	(void)state;
	open_scene(&s);
	o.leaving = p.leaving = LEAVING_OPERATOR;
	own(&s, o);
	own(&s, p);
	s.rig.world->refuses_tell = true;
	assert_run(&s);
	assert_non_null(strstr(s.result.text, "2 sessions could not be deleted at the server"));
	assert_true(s.state.owned[0].tell);
	assert_int_equal(s.state.owned[0].since, PROV_NOW);
	s.rig.world->now += 60;
	assert_run(&s);
	/* once in each run */
	assert_journal(&s, "tell one s-" N "\ntell one s-" M "\n");
	assert_int_equal(s.state.owned[0].since, PROV_NOW);
	s.rig.world->refuses_tell = false;
	assert_run(&s);
	assert_string_equal(s.result.text, "");
	assert_false(s.state.owned[0].tell);
	assert_int_equal(s.state.owned[0].since, PROV_NOW + 60);
	assert_settled(&s);
	close_scene(&s);
}

/* Only when it is gone. */
static void nobody_is_told_of_what_drains(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct scene s;

	(void)state;
	open_scene(&s);
	o.leaving = LEAVING_OPERATOR;
	own(&s, o);
	prov_up(&s.rig, N, true);
	assert_run(&s);
	assert_journal(&s, PUT("bird"));
	assert_true(s.state.owned[0].tell);
	s.rig.world->now += 300;
	assert_run(&s);
	assert_journal(&s, PUT("bird") PUT("bird") PUT("botlsd") "tell one s-" N "\n");
	close_scene(&s);
}

/* ---- what is kept ---- */

static char *contents(const char *path)
{
	char *text = calloc(1, 1 << 18);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
	fclose(f);
	return text;
}

static void generations_are_kept(void **state)
{
	_cleanup_free_ char *shim = NULL, *bird = NULL;
	char path[128];
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	assert_run(&s);
	snprintf(path, sizeof(path), "%s/generations/1/botlsd", folder);
	shim = contents(path);
	assert_string_equal(shim, s.rig.world->programs[0].file);
	snprintf(path, sizeof(path), "%s/generations/1/bird", folder);
	bird = contents(path);
	assert_string_equal(bird, s.rig.world->programs[1].file);
	/* and the state is on the disk */
	close_files(&s);
	open_files(&s);
	assert_int_equal(s.state.generation, 1);
	assert_int_equal(s.state.n_owned, 1);
	close_scene(&s);
}

static void what_was_seen_is_saved(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	struct stat before, after;
	char path[128];
	struct scene s;

	(void)state;
	open_scene(&s);
	o.established = 0;
	own(&s, o);
	judge(&s, N, VERDICT_WANT, "bird");
	snprintf(path, sizeof(path), "%s/state.json", folder);
	prov_up(&s.rig, N, true);
	assert_run(&s);
	assert_int_equal(s.plan.n_changes, 0);
	assert_journal(&s, "");
	close_files(&s);
	open_files(&s);
	assert_int_equal(s.state.owned[0].established, PROV_NOW);
	assert_int_equal(s.state.generation, 0);
	/* not written again when there is nothing new */
	assert_int_equal(stat(path, &before), 0);
	assert_run(&s);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(stat(audit_path, &after), 0);
	assert_int_equal(after.st_size, 0);
	/* what cannot be saved is told */
	s.state.owned[0].established = 0;
	snprintf(path, sizeof(path), "%s/.state.json.new", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(run(&s) < 0);
	assert_false(s.result.is_done);
	assert_non_null(strstr(s.result.text, "state.json"));
	close_scene(&s);
}

/* The line's members that are told here, in that order. */
static void assert_line(const char *text, int number, const char *expected)
{
	_cleanup_jv_ struct jv *v = NULL;
	char line[2048];

	while (number-- && text)
		text = strchr(text, '\n') + 1;
	assert_int_equal(jv_parse(text, strcspn(text, "\n"), &v, NULL), 0);
	snprintf(line, sizeof(line), "%s %s %s %s %s", jv_get_string(v, "event", "-"),
		 jv_get_string(v, "action", "-"), jv_get_string(v, "neighbor", "-"),
		 jv_get_string(v, "server", "-"), jv_get_string(v, "result", "-"));
	assert_string_equal(line, expected);
}

static void audit_has_every_step(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	_cleanup_free_ char *text = NULL;
	struct scene s;
	char *last;

	(void)state;
	open_scene(&s);
	o.leaving = LEAVING_OPERATOR;
	own(&s, o);
	judge(&s, M, VERDICT_WANT, "bird");
	assert_int_equal(jv_set_string(s.judgements[0].mapping, "md5", "hunter2"), 0);
	judge(&s, "192.0.2.9", VERDICT_HOLD, NULL);
	s.rig.world->refuses_tell = true;
	assert_run(&s);
	text = contents(audit_path);
	assert_line(text, 0, "step remove " N " one done");
	assert_non_null(strstr(text, "\"text\":\"the operator deleted it: "));
	assert_line(text, 1, "step tell " N " one not confirmed");
	assert_line(text, 2, "step add " M " one done");
	assert_line(text, 3, "step refused 192.0.2.9 one no change");
	assert_line(text, 4, "apply - - - done");
	last = strstr(text, "\"event\":\"apply\"");
	assert_non_null(strstr(last, s.plan.hash));
	assert_non_null(strstr(last, "\"generation\":1"));
	assert_null(strstr(text, "hunter2"));
	close_scene(&s);
}

/* ---- what fails ---- */

static void stopped_program_stops_everything(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, prov_owned(N, "one", "bird"));
	judge(&s, N, VERDICT_WANT, "bird");
	judge(&s, M, VERDICT_WANT, "frr");
	s.rig.world->programs[2].is_running = false;
	assert_int_equal(run(&s), -ENOTCONN);
	assert_journal(&s, "");
	assert_false(s.result.is_done || s.result.is_rolled_back || s.result.is_broken);
	assert_non_null(strstr(s.result.text, "frr does not run"));
	assert_non_null(strstr(s.result.text, "no frr here"));
	assert_int_equal(s.state.n_owned, 1);
	s.rig.world->programs[2].is_running = true;
	/* one where nothing changes may be down */
	s.rig.world->programs[1].is_running = false;
	assert_run(&s);
	assert_journal(&s, PUT("botlsd") PUT("frr"));
	/* but not when its file was edited */
	strcat(s.rig.world->programs[1].file, "# by hand\n");
	assert_int_equal(run(&s), -ENOTCONN);
	assert_journal(&s, "");
	close_scene(&s);
}

/* A daemon that is loaded while the shim is down would speak in clear; a server may be told. */
static void nothing_is_loaded_without_the_shim(void **state)
{
	struct owned o = prov_owned(M, "one", "bird");
	struct scene s;

	(void)state;
	open_scene(&s);
	o.phase = PHASE_GONE;
	o.leaving = LEAVING_OPERATOR;
	o.tell = true;
	own(&s, prov_owned(N, "one", "bird"));
	own(&s, o);
	judge(&s, N, VERDICT_WANT, "bird");
	s.rig.world->programs[0].is_running = false;
	strcat(s.rig.world->programs[1].file, "# by hand\n");
	assert_int_equal(run(&s), -ENOTCONN);
	assert_journal(&s, "");
	assert_non_null(strstr(s.result.text, "botlsd does not run"));
	prov_up(&s.rig, N, true);
	strcpy(s.rig.world->programs[1].file, s.rig.world->programs[1].running);
	assert_run(&s);
	assert_journal(&s, "tell one s-" M "\n");
	close_scene(&s);
}

/* A write that failed may have had its effect, or not: the file says which. */
static void failed_write_is_looked_at(void **state)
{
	(void)state;
	for (int after = 0; after < 2; after++) {
		struct scene s;

		open_scene(&s);
		own(&s, prov_owned("192.0.2.9", "one", "bird"));
		judge(&s, "192.0.2.9", VERDICT_WANT, "bird");
		judge(&s, N, VERDICT_WANT, "bird");
		s.rig.world->fail_op = PROV_WRITE;
		s.rig.world->fail_target = 1;
		s.rig.world->fail_from = s.rig.world->fail_count = 1;
		s.rig.world->fails_after = after;
		assert_int_equal(run(&s), -EIO);
		assert_true(s.result.is_rolled_back);
		if (after)
			assert_journal(&s, PUT("botlsd") "write bird\n" PUT("bird") PUT("botlsd"));
		else
			assert_journal(&s, PUT("botlsd") "write bird\ncheck bird\nload bird\n" PUT(
						   "botlsd"));
		close_scene(&s);
	}
}

static void states_are_equal(const struct state *a, const struct state *b)
{
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->n_owned, b->n_owned);
	for (size_t i = 0; i < a->n_owned; i++) {
		assert_true(mapping_equal(a->owned[i].mapping, b->owned[i].mapping));
		assert_int_equal(a->owned[i].phase, b->owned[i].phase);
		assert_int_equal(a->owned[i].since, b->owned[i].since);
	}
}

/* One that leaves, one that comes, one that changes. */
static void set_busy_scene(struct scene *s)
{
	own(s, leaving_now(s, N, "bird"));
	own(s, prov_owned("192.0.2.9", "one", "frr"));
	own(s, prov_owned("192.0.2.30", "one", "bird"));
	prov_up(&s->rig, N, true);
	prov_up(&s->rig, "192.0.2.9", true);
	judge(s, N, VERDICT_GONE, NULL);
	judge(s, M, VERDICT_WANT, "bird");
	judge(s, "192.0.2.9", VERDICT_WANT, "frr");
	assert_int_equal(jv_set_int(s->judgements[2].mapping, "max_prefix", 5), 0);
	judge(s, "192.0.2.30", VERDICT_WANT, "bird");
}

/* Whatever fails, the first or the second time, before or after it had its effect. */
static void everything_goes_back(void **state)
{
	static const enum prov_op ops[] = {PROV_WRITE, PROV_CHECK, PROV_LOAD};
	unsigned failed = 0;

	(void)state;
	for (unsigned i = 0; i < 3 * 3 * 2 * 2; i++) {
		struct prov_world before;
		struct state saved = {};
		struct state_store *reader;
		struct scene s;
		int r;

		open_scene(&s);
		set_busy_scene(&s);
		make_plan(&s);
		before = *s.rig.world;
		s.rig.world->fail_op = ops[i % 3];
		s.rig.world->fail_target = i / 3 % 3;
		s.rig.world->fail_from = 1 + i / 9 % 2;
		s.rig.world->fail_count = 1;
		s.rig.world->fails_after = i / 18;
		r = carry_out(&s);
		assert_closed(&s);
		if (s.rig.world->fail_target == 2 && s.rig.world->fail_from == 2) {
			assert_int_equal(r, 0); /* it is loaded only once */
			close_scene(&s);
			continue;
		}
		failed++;
		assert_int_equal(r, -EIO);
		assert_true(s.result.is_rolled_back);
		assert_false(s.result.is_done || s.result.is_broken);
		assert_non_null(strstr(s.result.text, target_name(&s.rig.targets[i / 3 % 3])));
		assert_non_null(strstr(s.result.text, "failed, as it was to"));
		for (int t = 0; t < PROV_TARGETS; t++) {
			assert_string_equal(s.rig.world->programs[t].file, before.programs[t].file);
			assert_string_equal(s.rig.world->programs[t].running,
					    before.programs[t].running);
		}
		assert_int_equal(state_open(folder, false, &reader, &saved, NULL), 0);
		states_are_equal(&s.state, &saved);
		assert_int_equal(saved.n_owned, 3);
		assert_int_equal(saved.generation, 0);
		state_wipe(&saved);
		state_close(reader);
		/* and when it works again, it works */
		s.rig.world->fail_target = -1;
		assert_run(&s);
		assert_settled(&s);
		close_scene(&s);
	}
	assert_int_equal(failed, 30);
}

static void audit_says_what_went_back(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	s.rig.world->fail_op = PROV_LOAD;
	s.rig.world->fail_target = 1;
	s.rig.world->fail_from = s.rig.world->fail_count = 1;
	assert_int_equal(run(&s), -EIO);
	assert_journal(&s, PUT("botlsd") PUT("bird") PUT("bird") PUT("botlsd"));
	text = contents(audit_path);
	assert_line(text, 0, "rollback - - - done");
	assert_line(text, 1, "rollback - - - done");
	assert_non_null(strstr(text, "\"target\":\"bird\""));
	assert_non_null(strstr(text, "\"target\":\"botlsd\""));
	assert_line(text, 2, "step add " N " one not done");
	assert_line(text, 3, "apply - - - rolled back");
	assert_non_null(strstr(strstr(text, "rolled back"), "load failed, as it was to"));
	assert_non_null(strstr(text, "\"generation\":0"));
	/* a file that was not there is one without sessions */
	assert_string_equal(s.rig.world->programs[1].file, "# written by botls-provision\n");
	close_scene(&s);
}

static void program_must_know_it(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	for (int target = 0; target < 2; target++) {
		char expected[128];

		strcpy(s.rig.world->programs[target].deaf_to, N);
		assert_int_equal(run(&s), -ETIMEDOUT);
		assert_true(s.result.is_rolled_back);
		snprintf(expected, sizeof(expected), "%s: after 20 s it does not know %s",
			 target_name(&s.rig.targets[target]), N);
		assert_non_null(strstr(s.result.text, expected));
		assert_int_equal(s.rig.world->waits, 80);
		/* nobody knows what it follows */
		assert_false(s.rig.world->programs[target].was_told_before);
		s.rig.world->programs[target].deaf_to[0] = '\0';
	}
	close_scene(&s);
}

/* Or the shim would forget a neighbor that a daemon goes on with. */
static void program_must_forget_it(void **state)
{
	static const char *const daemons[] = {"bird", "frr"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct prov_program *p;
		char words[80];
		struct scene s;

		open_scene(&s);
		p = &s.rig.world->programs[1 + i / 2];
		own(&s, leaving_now(&s, N, daemons[i / 2]));
		judge(&s, N, VERDICT_GONE, NULL);
		/* one that the operator made himself may stay */
		if (i % 2)
			prov_add_foreign(&s.rig, 1 + i / 2, N);
		strcpy(p->stuck, N);
		assert_int_equal(run(&s), -ETIMEDOUT);
		snprintf(words, sizeof(words), "%s: after 20 s it still knows " N, daemons[i / 2]);
		assert_non_null(strstr(s.result.text, words));
		assert_true(has(&s, 0, N));
		assert_closed(&s);
		p->stuck[0] = '\0';
		assert_run(&s);
		assert_false(has(&s, 0, N));
		close_scene(&s);
	}
}

static void clock_ends_the_waiting_too(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	strcpy(s.rig.world->programs[0].deaf_to, N);
	s.rig.settings.verify_timeout = 1;
	assert_int_equal(run(&s), -ETIMEDOUT);
	assert_int_equal(s.rig.world->waits, 4);
	/* a program that takes its time to answer */
	s.rig.settings.verify_timeout = 20;
	s.rig.world->clock_step = 10;
	assert_int_equal(run(&s), -ETIMEDOUT);
	assert_int_equal(s.rig.world->waits, 3);
	close_scene(&s);
}

static void giving_up_goes_back(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	strcpy(s.rig.world->programs[1].deaf_to, N);
	s.rig.world->cancel_at = 3;
	assert_int_equal(run(&s), -ECANCELED);
	assert_true(s.result.is_rolled_back);
	assert_non_null(strstr(s.result.text, "bird: given up"));
	assert_false(has(&s, 0, N));
	close_scene(&s);
}

static void program_that_dies_meanwhile(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	make_plan(&s);
	s.rig.world->programs[1].is_running = false;
	assert_int_equal(carry_out(&s), -ENOTCONN);
	/* nothing can be loaded into it, so that it cannot be said what it has */
	assert_true(s.result.is_broken);
	assert_closed(&s);
	assert_non_null(strstr(s.result.text, "going back failed too: bird: bird does not run"));
	/* the shim stays on the safe side */
	assert_true(has(&s, 0, N));
	s.rig.world->programs[1].is_running = true;
	assert_run(&s);
	assert_settled(&s);
	close_scene(&s);
}

/* The shim cannot go back: then no daemon gets a session that the shim may not have. */
static void failing_twice_stays_closed(void **state)
{
	unsigned broken = 0;

	(void)state;
	for (unsigned i = 0; i < 3 * 3 * 8; i++) {
		struct scene s;
		int r;

		open_scene(&s);
		set_busy_scene(&s);
		make_plan(&s);
		s.rig.world->fail_op = (enum prov_op[]){PROV_WRITE, PROV_CHECK, PROV_LOAD}[i % 3];
		s.rig.world->fail_target = i / 3 % 3;
		s.rig.world->fail_from = 1 + i / 9 % 4;
		s.rig.world->fail_count = 9;
		s.rig.world->fails_after = i / 36;
		r = carry_out(&s);
		assert_closed(&s);
		broken += s.result.is_broken;
		assert_true(r == 0 || s.result.is_broken || s.rig.world->fail_op == PROV_WRITE);
		s.rig.world->fail_target = -1;
		assert_int_equal(s.state.is_unfinished, s.result.is_broken);
		/* what a daemon goes on with may look like somebody else's until it is loaded again
		 */
		assert_run(&s);
		assert_false(s.state.is_unfinished);
		assert_run(&s);
		assert_settled(&s);
		assert_true(!has(&s, 0, N) && has(&s, 0, M));
		close_scene(&s);
	}
	assert_true(broken >= 24);
}

static void unsaveable_state_begins_nothing(void **state)
{
	char path[128];
	struct scene s;

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	snprintf(path, sizeof(path), "%s/.state.json.new", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(run(&s) < 0);
	assert_journal(&s, "");
	assert_false(s.result.is_done || s.result.is_rolled_back || s.result.is_broken);
	assert_non_null(strstr(s.result.text, "state.json"));
	rmdir(path);
	/* and what cannot be kept at the end is as if it had not been */
	snprintf(path, sizeof(path), "%s/generations", folder);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_true(run(&s) < 0);
	assert_true(s.result.is_rolled_back);
	assert_false(has(&s, 0, N));
	assert_int_equal(s.state.n_owned, 0);
	assert_int_equal(s.state.generation, 0);
	unlink(path);
	assert_run(&s);
	close_scene(&s);
}

/* What was said last, and a state that cannot be saved any more once a server is told. */
static char last_progress[256];

static void spoil_when_telling(void *arg, const char *text)
{
	char path[128];

	(void)arg;
	snprintf(last_progress, sizeof(last_progress), "%s", text);
	snprintf(path, sizeof(path), "%s/.state.json.new", folder);
	if (strstr(text, "telling"))
		assert_int_equal(mkdir(path, 0700), 0);
}

static void told_but_not_saved(void **state)
{
	struct owned o = prov_owned(N, "one", "bird");
	char path[128];
	struct scene s;

	(void)state;
	open_scene(&s);
	o.phase = PHASE_GONE;
	o.leaving = LEAVING_OPERATOR;
	o.tell = true;
	own(&s, o);
	s.progress = spoil_when_telling;
	assert_true(run(&s) < 0);
	assert_string_equal(last_progress, "one: telling it of 1 session");
	assert_false(s.result.is_done || s.result.is_rolled_back || s.result.is_broken);
	/* as the file has it, which could not be written any more */
	assert_true(s.state.is_unfinished);
	assert_true(s.state.owned[0].tell);
	snprintf(path, sizeof(path), "%s/.state.json.new", folder);
	rmdir(path);
	s.progress = NULL;
	assert_run(&s);
	assert_false(s.state.is_unfinished || s.state.owned[0].tell);
	close_scene(&s);
}

/* Of this process. */
static int descriptor_of(const char *path)
{
	char name[64], to[256];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, to, sizeof(to) - 1);
		if (n > 0 && (to[n] = '\0', !strcmp(to, path)))
			return fd;
	}
	fail_msg("%s is not open", path);
	return -1;
}

static void full_audit_log_is_told(void **state)
{
	struct scene s;
	int full = open("/dev/full", O_WRONLY);

	(void)state;
	open_scene(&s);
	judge(&s, N, VERDICT_WANT, "bird");
	make_plan(&s);
	assert_true(dup2(full, descriptor_of(audit_path)) > 0);
	assert_int_equal(carry_out(&s), -EIO);
	assert_true(s.result.is_done);
	assert_non_null(strstr(s.result.text, "the audit log is incomplete: write"));
	assert_int_equal(s.state.n_owned, 1);
	close(full);
	close_scene(&s);
}

/* ---- files that are not as they were left ---- */

static void edited_file_is_loaded_again(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, prov_owned(N, "one", "bird"));
	judge(&s, N, VERDICT_WANT, "bird");
	strcat(s.rig.world->programs[1].file, "# by hand\n");
	assert_run(&s);
	assert_journal(&s, PUT("bird"));
	assert_settled(&s);
	/* the file is right, but the program does not follow it */
	s.rig.world->programs[1].running[0] = '\0';
	assert_run(&s);
	assert_journal(&s, "check bird\nload bird\n");
	assert_settled(&s);
	/* the shim too: no daemon has it before the shim has it again */
	s.rig.world->programs[0].running[0] = '\0';
	s.rig.world->programs[1].running[0] = '\0';
	assert_run(&s);
	assert_journal(&s, PUT("bird") "check botlsd\nload botlsd\n" PUT("bird"));
	assert_settled(&s);
	close_scene(&s);
}

/* A change of which no observation tells: the file has it already, from a run that died before it
 * was loaded. */
static void right_file_alone_is_not_enough(void **state)
{
	struct prov_program *p;
	struct judgement *j;
	struct scene s;
	char *at;

	(void)state;
	open_scene(&s);
	own(&s, prov_owned(N, "one", "bird"));
	j = judge(&s, N, VERDICT_WANT, "bird");
	assert_int_equal(jv_set_int(j->mapping, "max_prefix", 2000), 0);
	p = &s.rig.world->programs[1];
	for (int i = 0; i < 2; i++) {
		at = strstr(s.rig.world->programs[i].file, "\"max_prefix\":1000");
		assert_non_null(at);
		memcpy(at, "\"max_prefix\":2000", 17);
	}
	assert_run(&s);
	assert_journal(&s, "check bird\nload bird\ncheck botlsd\nload botlsd\n");
	assert_non_null(strstr(p->running, "\"max_prefix\":2000"));
	assert_settled(&s);
	close_scene(&s);
}

/* Files and programs agree, but the last run died: who knows what else is in the programs. */
static void unfinished_run_is_ended(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	own(&s, prov_owned(N, "one", "bird"));
	judge(&s, N, VERDICT_WANT, "bird");
	s.state.is_unfinished = true;
	s.rig.world->programs[2].is_running = false; /* has nothing, and needs nothing */
	assert_run(&s);
	prov_assert_step(&s.plan, "bird", PLAN_LOAD, "the last run did not come to its end");
	prov_assert_step(&s.plan, "botlsd", PLAN_LOAD, "the last run did not come to its end");
	assert_journal(&s, "check bird\nload bird\ncheck botlsd\nload botlsd\n");
	assert_false(s.state.is_unfinished);
	assert_settled(&s);
	/* also when the plan was made without knowing */
	s.state.is_unfinished = true;
	s.plan.n_changes = 0;
	assert_int_equal(carry_out(&s), 0);
	assert_journal(&s, "check bird\nload bird\ncheck botlsd\nload botlsd\n");
	close_files(&s);
	open_files(&s);
	assert_false(s.state.is_unfinished);
	/* one that fails stays unfinished, and so does the mark of this one */
	s.state.is_unfinished = true;
	s.rig.world->fail_op = PROV_CHECK;
	s.rig.world->fail_target = 0;
	s.rig.world->fail_from = s.rig.world->fail_count = 1;
	assert_int_equal(run(&s), -EIO);
	assert_true(s.result.is_rolled_back);
	assert_true(s.state.is_unfinished);
	close_files(&s);
	open_files(&s);
	assert_true(s.state.is_unfinished);
	close_scene(&s);
}

/* ---- everything stops ---- */

static void set_adding(struct scene *s)
{
	own(s, prov_owned("192.0.2.9", "one", "bird"));
	judge(s, "192.0.2.9", VERDICT_WANT, "bird");
	judge(s, N, VERDICT_WANT, "bird");
	judge(s, M, VERDICT_WANT, "frr");
}

static void set_removing(struct scene *s)
{
	struct owned o = prov_owned("192.0.2.9", "one", "frr");

	o.leaving = LEAVING_OPERATOR;
	own(s, leaving_now(s, N, "bird"));
	own(s, o);
	judge(s, N, VERDICT_GONE, NULL);
	judge(s, "192.0.2.9", VERDICT_WANT, "frr");
}

static void set_moving(struct scene *s)
{
	own(s, prov_owned(N, "one", "bird"));
	own(s, prov_owned(M, "one", "frr"));
	judge(s, N, VERDICT_WANT, "frr");
	judge(s, M, VERDICT_WANT, NULL);
}

static void set_repairing(struct scene *s)
{
	own(s, prov_owned(N, "one", "bird"));
	own(s, prov_owned(M, "one", "frr"));
	judge(s, N, VERDICT_WANT, "bird");
	judge(s, M, VERDICT_WANT, "frr");
	strcat(s->rig.world->programs[0].file, "# by hand\n");
	strcat(s->rig.world->programs[1].file, "# by hand\n");
	s->rig.world->programs[2].running[0] = '\0';
}

/* What the servers say in the next run. */
static void judge_again(struct scene *s, unsigned how)
{
	static const enum verdict verdicts[] = {VERDICT_WANT, VERDICT_HOLD, VERDICT_GONE};

	if (how == 0)
		return; /* the same */
	for (size_t i = 0; i < s->n_judgements; i++) {
		struct judgement *j = &s->judgements[i];
		char neighbor[ADDR_STRLEN];

		strcpy(neighbor, j->neighbor);
		judgement_done(j);
		*j = prov_judgement(&s->rig.servers[0], neighbor, verdicts[how - 1], "bird");
	}
}

/* Dies at op number `at`. false: it was done before. */
static bool die_in_apply(struct scene *s, unsigned at)
{
	int status;
	pid_t pid;

	make_plan(s);
	s->rig.world->ops = 0;
	s->rig.world->die_at = at;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(carry_out(s) < 0 ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	s->rig.world->die_at = 0;
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 9 || WEXITSTATUS(status) <= 1);
	/* what it saved is there, and nothing else */
	close_files(s);
	open_files(s);
	return WEXITSTATUS(status) == 9;
}

/* The next runs put right what is there, whatever the servers then say. */
static void assert_repaired(struct scene *s, unsigned how)
{
	assert_closed(s);
	judge_again(s, how);
	/* the servers are silent: what was half done may have to wait */
	if (how == 2) {
		run(s);
		assert_closed(s);
		judge_again(s, 1);
	}
	for (int i = 0; i < 3; i++) {
		assert_run(s);
		s->rig.world->now += 400;
	}
	assert_settled(s);
}

static void (*const scenes[])(struct scene *) = {set_adding, set_removing, set_moving,
						 set_repairing, set_busy_scene};

static void crash_at_any_moment(void **state)
{
	unsigned crashes = 0;

	(void)state;
	for (size_t which = 0; which < ARRAY_SIZE(scenes); which++) {
		for (unsigned how = 0; how < 4; how++) {
			bool died = true;

			for (unsigned at = 1; died; at++) {
				struct scene s;

				open_scene(&s);
				scenes[which](&s);
				died = die_in_apply(&s, at);
				assert_repaired(&s, how);
				crashes += died;
				close_scene(&s);
			}
		}
	}
	assert_true(crashes > 200);
}

/* Something fails, and in the middle of going back everything stops. */
static void crash_while_going_back(void **state)
{
	unsigned crashes = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(scenes) * 3 * 2; i++) {
		bool died = true;

		for (unsigned at = 1; died; at++) {
			struct scene s;

			open_scene(&s);
			scenes[i / 6](&s);
			s.rig.world->fail_op = PROV_LOAD;
			s.rig.world->fail_target = i % 3;
			s.rig.world->fail_from = 1 + i / 3 % 2;
			s.rig.world->fail_count = 1;
			s.rig.world->fails_after = at % 2;
			died = die_in_apply(&s, at);
			s.rig.world->fail_target = -1;
			assert_repaired(&s, (at + i) / 2 % 4);
			crashes += died;
			close_scene(&s);
		}
	}
	assert_true(crashes > 300);
}

/* ---- by chance ---- */

#define WORLDS	  400
#define NEIGHBORS 8

static const char *const many[NEIGHBORS] = {"192.0.2.2", "192.0.2.20", "192.0.2.3", "192.0.2.4",
					    "192.0.2.5", "192.0.2.6",  "192.0.2.7", "2001:db8::7"};
static const char *const daemon_names[] = {"bird", "frr", NULL};

static void some_owned(struct scene *s, struct prov_random *r, const char *neighbor)
{
	struct owned o = prov_owned(neighbor, s->rig.servers[prov_random(r, 3)].name,
				    daemon_names[prov_random(r, 3)]);

	o.phase = prov_random(r, 2) ? PHASE_ACTIVE : prov_random(r, 4);
	o.leaving = o.phase != PHASE_ACTIVE ? 1 + prov_random(r, 4)
		    : prov_random(r, 4)	    ? LEAVING_NOT
					    : LEAVING_OPERATOR;
	if (o.phase == PHASE_GONE)
		o.leaving = prov_random(r, 2) ? LEAVING_OPERATOR : LEAVING_NEVER_UP;
	o.tell = (o.phase == PHASE_GONE && prov_random(r, 2)) ||
		 (o.phase != PHASE_ACTIVE && o.leaving == LEAVING_OPERATOR);
	o.since = PROV_NOW - prov_random(r, prov_random(r, 2) ? 600 : 10 * 86400);
	o.created = o.since - prov_random(r, 10 * 86400);
	o.established = prov_random(r, 2) ? o.created + 1 : 0;
	o.was_asked = prov_random(r, 3);
	o.is_held = !prov_random(r, 4);
	own(s, o);
}

static void some_judgements(struct scene *s, struct prov_random *r, const char *neighbor)
{
	for (unsigned n = prov_random(r, 3); n; n--) {
		enum verdict v = prov_random(r, 2) ? VERDICT_WANT : prov_random(r, 6);
		struct judgement j = prov_judgement(&s->rig.servers[prov_random(r, 3)], neighbor, v,
						    daemon_names[prov_random(r, 3)]);

		if (!prov_random(r, 4))
			strcpy(j.record.session_id, prov_random(r, 2) ? "" : "other");
		if (j.mapping)
			assert_int_equal(
				jv_set_string(j.mapping, "session_id", j.record.session_id) |
					jv_set_int(j.mapping, "max_prefix",
						   1000 + prov_random(r, 2)),
				0);
		s->judgements[s->n_judgements++] = j;
	}
}

static void some_scene(struct scene *s, uint64_t seed)
{
	struct prov_random r = {.state = seed * 0x9e3779b97f4a7c15ULL + 1};
	struct prov_world *w;

	open_scene(s);
	w = s->rig.world;
	for (size_t i = 0; i < NEIGHBORS; i++) {
		if (prov_random(&r, 3))
			some_owned(s, &r, many[i]);
		some_judgements(s, &r, many[i]);
		prov_up(&s->rig, many[i], prov_random(&r, 2));
	}
	for (int i = 0; i < PROV_TARGETS; i++) {
		struct prov_program *p = &w->programs[i];

		if (!prov_random(&r, 4))
			strcpy(p->foreign[p->n_foreign++], many[prov_random(&r, NEIGHBORS)]);
		if (!prov_random(&r, 4))
			strcat(p->file, "# edited\n");
		if (i && !prov_random(&r, 4)) {
			p->has_file = false;
			p->file[0] = '\0';
		}
		if (i && !prov_random(&r, 4))
			p->running[0] = '\0';
	}
	s->rig.settings.max_deletions = prov_random(&r, 7);
	s->rig.settings.drain_time = prov_random(&r, 3) ? 300 : 0;
}

static void plan_of_what_was_applied_is_empty(void **state)
{
	size_t changes = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		struct scene s;
		int r;

		some_scene(&s, seed);
		r = run(&s);
		changes += s.plan.n_changes;
		if (r < 0 || !s.result.is_done || s.rig.world->violation[0])
			fail_msg("seed %lu: %s %s", (unsigned long)seed, s.result.text,
				 s.rig.world->violation);
		make_plan(&s);
		if (s.plan.n_changes) {
			show_plan(&s);
			fail_msg("seed %lu: the next plan is not empty", (unsigned long)seed);
		}
		close_scene(&s);
	}
	assert_true(changes > 3 * WORLDS);
}

/* One op fails somewhere: all or nothing, and never open. */
static void failures_by_chance(void **state)
{
	size_t went_back = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		struct prov_random r = {.state = seed * 77777 + 1};
		struct scene s;
		int result;

		some_scene(&s, seed);
		for (int i = 0; i < PROV_TARGETS; i++)
			s.rig.world->programs[i].has_file = true;
		prov_settle(&s.rig, s.state.owned, s.state.n_owned);
		make_plan(&s);
		s.rig.world->fail_op = PROV_WRITE + prov_random(&r, 3);
		s.rig.world->fail_target = prov_random(&r, 3);
		s.rig.world->fail_from = 1 + prov_random(&r, 3);
		s.rig.world->fail_count = 1;
		s.rig.world->fails_after = prov_random(&r, 2);
		result = carry_out(&s);
		went_back += s.result.is_rolled_back;
		if (s.rig.world->violation[0] || (result < 0) != s.result.is_rolled_back)
			fail_msg("seed %lu: %s %s", (unsigned long)seed, s.result.text,
				 s.rig.world->violation);
		for (int i = 0; result < 0 && i < PROV_TARGETS; i++)
			assert_string_equal(s.rig.texts[i], s.rig.world->programs[i].file);
		close_scene(&s);
	}
	assert_true(went_back > WORLDS / 4);
}

/* ---- over time ---- */

struct history {
	struct scene s;
	struct prov_random random;
	enum verdict said[NEIGHBORS];
	bool is_listed[NEIGHBORS];
	int64_t generation[NEIGHBORS]; /* counts sessions with the same neighbor */
};

/* A server changes its mind, fails, and answers strangely; programs stop, files are edited. */
static void live_on(struct history *h)
{
	struct prov_random *r = &h->random;
	struct prov_world *w = h->s.rig.world;
	size_t i = prov_random(r, NEIGHBORS);

	h->is_listed[i] = prov_random(r, 4);
	h->said[i] = prov_random(r, 3) ? VERDICT_WANT : prov_random(r, 6);
	if (!prov_random(r, 5))
		h->generation[i]++;
	prov_up(&h->s.rig, many[i], prov_random(r, 2));
	w->now += prov_random(r, 1000);
	for (int t = 0; t < PROV_TARGETS; t++) {
		w->programs[t].is_running = prov_random(r, 12);
		if (!prov_random(r, 12) && strlen(w->programs[t].file) < PROV_TEXT_MAX / 2)
			strcat(w->programs[t].file, "# edited\n");
	}
	w->refuses_tell = !prov_random(r, 3);
	w->fail_target = prov_random(r, 4) ? -1 : (int)prov_random(r, 3);
	w->fail_op = PROV_WRITE + prov_random(r, 3);
	w->fail_from = w->fail_count = 1;
	w->fail_seen = 0;
	w->fails_after = prov_random(r, 2);
}

static void judge_all(struct history *h, bool all_fail)
{
	forget_judgements(&h->s);
	for (size_t i = 0; i < NEIGHBORS; i++) {
		char id[32];
		struct judgement *j;

		if (all_fail || !h->is_listed[i])
			continue;
		j = judge(&h->s, many[i], h->said[i], daemon_names[i % 2]);
		snprintf(id, sizeof(id), "%zu-%lld", i, (long long)h->generation[i]);
		strcpy(j->record.session_id, id);
		if (j->mapping)
			assert_int_equal(jv_set_string(j->mapping, "session_id", id), 0);
	}
}

/* The operator deletes one now and then. */
static void delete_one(struct history *h)
{
	struct state *st = &h->s.state;
	struct owned *o;

	if (!st->n_owned || prov_random(&h->random, 6))
		return;
	o = &st->owned[prov_random(&h->random, st->n_owned)];
	if (o->phase == PHASE_ACTIVE)
		o->leaving = LEAVING_OPERATOR;
}

static void settle_down(struct history *h)
{
	struct prov_world *w = h->s.rig.world;

	w->fail_target = -1;
	w->refuses_tell = false;
	for (int t = 0; t < PROV_TARGETS; t++)
		w->programs[t].is_running = true;
	for (size_t i = 0; i < NEIGHBORS; i++) {
		h->is_listed[i] = true;
		h->said[i] = i % 2 ? VERDICT_WANT : VERDICT_GONE;
		h->generation[i] += 1000; /* asked for again, if it was deleted */
		prov_up(&h->s.rig, many[i], true);
	}
	h->s.rig.settings.max_deletions = NEIGHBORS;
	judge_all(h, false);
	for (int i = 0; i < 8; i++) {
		run(&h->s);
		w->now += 1000;
	}
}

static void time_ends_with_what_is_wanted(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct history h = {.random.state = seed * 0x9e3779b97f4a7c15ULL + 1};
		struct scene *s = &h.s;

		open_scene(s);
		for (int step = 0; step < 40; step++) {
			live_on(&h);
			judge_all(&h, !prov_random(&h.random, 6));
			delete_one(&h);
			run(s);
			if (s->result.is_broken || s->rig.world->violation[0])
				fail_msg("seed %lu, step %d: %s %s", (unsigned long)seed, step,
					 s->result.text, s->rig.world->violation);
		}
		settle_down(&h);
		make_plan(s);
		for (size_t i = 0; i < NEIGHBORS; i++) {
			struct owned *o = state_owned(&s->state, many[i]);
			bool is_there = o && o->phase == PHASE_ACTIVE;
			bool is_wanted = i % 2;

			if (is_there != is_wanted || s->plan.n_changes ||
			    has(s, 0, many[i]) != is_wanted ||
			    has(s, 1 + i % 2, many[i]) != is_wanted || has(s, 2 - i % 2, many[i])) {
				show_plan(s);
				fail_msg("seed %lu: %s", (unsigned long)seed, many[i]);
			}
		}
		close_scene(s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(shim_learns_first),
		cmocka_unit_test(shim_forgets_last),
		cmocka_unit_test(drain_is_the_daemons_affair),
		cmocka_unit_test(added_and_removed_at_once),
		cmocka_unit_test(session_moves_to_another_daemon),
		cmocka_unit_test(shut_down_means_down),
		cmocka_unit_test(server_is_told_when_all_is_gone),
		cmocka_unit_test(silent_server_is_told_again),
		cmocka_unit_test(nobody_is_told_of_what_drains),
		cmocka_unit_test(generations_are_kept),
		cmocka_unit_test(what_was_seen_is_saved),
		cmocka_unit_test(audit_has_every_step),
		cmocka_unit_test(stopped_program_stops_everything),
		cmocka_unit_test(nothing_is_loaded_without_the_shim),
		cmocka_unit_test(failed_write_is_looked_at),
		cmocka_unit_test(everything_goes_back),
		cmocka_unit_test(audit_says_what_went_back),
		cmocka_unit_test(program_must_know_it),
		cmocka_unit_test(program_must_forget_it),
		cmocka_unit_test(clock_ends_the_waiting_too),
		cmocka_unit_test(giving_up_goes_back),
		cmocka_unit_test(program_that_dies_meanwhile),
		cmocka_unit_test(failing_twice_stays_closed),
		cmocka_unit_test(unsaveable_state_begins_nothing),
		cmocka_unit_test(told_but_not_saved),
		cmocka_unit_test(full_audit_log_is_told),
		cmocka_unit_test(edited_file_is_loaded_again),
		cmocka_unit_test(right_file_alone_is_not_enough),
		cmocka_unit_test(unfinished_run_is_ended),
		cmocka_unit_test(crash_at_any_moment),
		cmocka_unit_test(crash_while_going_back),
		cmocka_unit_test(plan_of_what_was_applied_is_empty),
		cmocka_unit_test(failures_by_chance),
		cmocka_unit_test(time_ends_with_what_is_wanted),
	};
	int r;

	snprintf(top, sizeof(top), "%s/botls-apply-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(top))
		return 1;
	snprintf(folder, sizeof(folder), "%s/state", top);
	snprintf(audit_path, sizeof(audit_path), "%s/audit.jsonl", top);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	remove_folder();
	rmdir(top);
	return r;
}
