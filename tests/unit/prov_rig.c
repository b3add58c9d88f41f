// SPDX-License-Identifier: Apache-2.0
#include "prov_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/mman.h>

/* ---- programs ---- */

static const char *const names[PROV_TARGETS] = {"botlsd", "bird", "frr"};
static const char header[] = "# written by botls-provision\n";

static struct prov_rig *rig_of(const struct target *t)
{
	return t->impl;
}

static int number_of(const struct target *t)
{
	return t - rig_of(t)->targets;
}

static struct prov_program *program_of(const struct target *t)
{
	return &rig_of(t)->world->programs[number_of(t)];
}

__attribute__((format(printf, 2, 3))) static void violate(struct prov_world *w, const char *fmt,
							  ...)
{
	va_list ap;

	if (w->violation[0])
		return;
	va_start(ap, fmt);
	vsnprintf(w->violation, sizeof(w->violation), fmt, ap);
	va_end(ap);
}

/* Calls back for each session of a text: its phase, its mode, its neighbor. */
typedef void line_fn(void *arg, const char *phase, const char *mode, const char *neighbor);
static void each_line(const char *text, line_fn *fn, void *arg)
{
	char phase[16], mode[16], neighbor[ADDR_STRLEN];

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "session %15s %15s %63s", phase, mode, neighbor) == 3)
			fn(arg, phase, mode, neighbor);
	}
}

struct search {
	const char *neighbor;
	bool is_found;
	char phase[16], mode[16];
};

static void on_search(void *arg, const char *phase, const char *mode, const char *neighbor)
{
	struct search *s = arg;

	if (strcmp(neighbor, s->neighbor))
		return;
	s->is_found = true;
	strcpy(s->phase, phase);
	strcpy(s->mode, mode);
}

static struct search search(const char *text, const char *neighbor)
{
	struct search s = {.neighbor = neighbor};

	each_line(text, on_search, &s);
	return s;
}

bool prov_mentions(const char *text, const char *neighbor)
{
	return search(text, neighbor).is_found;
}

struct covering {
	struct prov_world *world;
	const char *shim, *what;
};

static void on_cover(void *arg, const char *phase, const char *mode, const char *neighbor)
{
	struct covering *c = arg;

	(void)phase;
	(void)mode;
	if (!prov_mentions(c->shim, neighbor))
		violate(c->world, "%s has %s and the shim has not, after:\n%s", c->what, neighbor,
			c->world->journal + (strlen(c->world->journal) > 200
						     ? strlen(c->world->journal) - 200
						     : 0));
}

/* Files, and running programs: whatever a daemon has, the shim has. */
static void check_closed(struct prov_world *w)
{
	for (int i = 1; i < PROV_TARGETS; i++) {
		struct covering c = {w, w->programs[0].file, names[i]};

		each_line(w->programs[i].file, on_cover, &c);
		c.shim = w->programs[0].running;
		each_line(w->programs[i].running, on_cover, &c);
	}
}

static void count_op(struct prov_world *w)
{
	if (++w->ops == w->die_at)
		_exit(9);
}

static bool fails(struct prov_world *w, enum prov_op op, int target)
{
	if (w->fail_target != target || w->fail_op != op)
		return false;
	w->fail_seen++;
	return w->fail_seen >= w->fail_from && w->fail_seen < w->fail_from + w->fail_count;
}

static void note(struct prov_world *w, const char *what, const char *whom)
{
	size_t n = strlen(w->journal);

	snprintf(w->journal + n, sizeof(w->journal) - n, "%s %s\n", what, whom);
}

/* Begins and ends one op; `do_it` is its work. */
static int act(const struct target *t, enum prov_op op, const char *what,
	       void (*do_it)(struct prov_program *p, const char *text), const char *text,
	       struct errtext *e)
{
	struct prov_world *w = rig_of(t)->world;
	bool is_bad = fails(w, op, number_of(t));

	count_op(w);
	note(w, what, t->name);
	if (!is_bad || w->fails_after)
		do_it(program_of(t), text);
	check_closed(w);
	count_op(w);
	return is_bad ? errtext_set(e, -EIO, "%s failed, as it was to", what) : 0;
}

static int compare_sessions(const void *a, const void *b)
{
	return strcmp(jv_get_string((*(const struct owned *const *)a)->mapping, "neighbor", ""),
		      jv_get_string((*(const struct owned *const *)b)->mapping, "neighbor", ""));
}

static int fake_render(const struct target *t, const struct owned *const *sessions, size_t n,
		       char **ret_text, struct errtext *e)
{
	_cleanup_free_ const struct owned **sorted = calloc(n + 1, sizeof(*sorted));
	size_t len;
	FILE *f;

	if (fails(rig_of(t)->world, PROV_RENDER, number_of(t)))
		return errtext_set(e, -EINVAL, "%s: the template is wrong", t->name);
	f = open_memstream(ret_text, &len);
	for (size_t i = 0; i < n; i++)
		sorted[i] = sessions[i];
	qsort(sorted, n, sizeof(*sorted), compare_sessions);
	fputs(header, f);
	for (size_t i = 0; i < n; i++) {
		const struct owned *o = sorted[i];
		_cleanup_free_ char *line = jv_dump_line(o->mapping, NULL);

		if (o->phase == PHASE_GONE ||
		    (!t->is_shim && strcmp(jv_get_string(o->mapping, "daemon", ""), t->name)))
			continue;
		fprintf(f, "session %s %s %s %s", t->is_shim ? "-" : phase_name(o->phase),
			jv_get_string(o->mapping, "mode", ""),
			jv_get_string(o->mapping, "neighbor", ""), line);
	}
	fclose(f);
	assert_true(len < PROV_TEXT_MAX);
	return 0;
}

static int fake_read(const struct target *t, char **ret_text, struct errtext *e)
{
	(void)e;
	*ret_text = program_of(t)->has_file ? strdup(program_of(t)->file) : NULL;
	return 0;
}

static void do_write(struct prov_program *p, const char *text)
{
	p->has_file = true;
	strcpy(p->file, text);
}

static int fake_write(struct target *t, const char *text, struct errtext *e)
{
	if (strncmp(text, header, strlen(header)))
		violate(rig_of(t)->world, "%s: a text without its header", t->name);
	return act(t, PROV_WRITE, "write", do_write, text, e);
}

static void do_nothing(struct prov_program *p, const char *text)
{
	(void)p;
	(void)text;
}

static int fake_check(struct target *t, struct errtext *e)
{
	return act(t, PROV_CHECK, "check", do_nothing, NULL, e);
}

static void do_load(struct prov_program *p, const char *text)
{
	strcpy(p->running, text);
}

static int fake_load(struct target *t, const char *before, const char *text, struct errtext *e)
{
	struct prov_program *p = program_of(t);
	struct prov_world *w = rig_of(t)->world;

	if (strcmp(p->file, text))
		violate(w, "%s: loads what is not in its file", t->name);
	/* nothing, and a file without sessions, are the same */
	if (before && strcmp(before, p->running[0] ? p->running : header))
		violate(w, "%s: was told that it follows what it does not follow", t->name);
	p->was_told_before = before;
	if (!p->is_running)
		return errtext_set(e, -ENOTCONN, "%s does not run", t->name);
	return act(t, PROV_LOAD, "load", do_load, text, e);
}

struct observing {
	const struct target *target;
	struct observation *o;
};

static bool is_up(const struct prov_world *w, const char *neighbor)
{
	for (size_t i = 0; i < w->n_up; i++)
		if (!strcmp(w->up[i], neighbor))
			return true;
	return false;
}

/* As the real ones: what the file says, but FRR keeps a mark with each neighbor. */
static bool is_ours(const struct target *t, const char *neighbor)
{
	struct prov_program *p = program_of(t);

	return !strcmp(t->name, "frr") || (p->has_file && prov_mentions(p->file, neighbor));
}

static void on_observe(void *arg, const char *phase, const char *mode, const char *neighbor)
{
	struct observing *x = arg;
	struct prov_program *p = program_of(x->target);
	struct observed *item = &x->o->items[x->o->n];
	bool is_shut = !strcmp(phase, "shut") && !p->stays_up;

	if (!strcmp(neighbor, p->deaf_to))
		return;
	x->o->n++;
	*item = (struct observed){.is_ours = is_ours(x->target, neighbor), .is_shut = is_shut};
	strcpy(item->neighbor, neighbor);
	snprintf(item->mode, sizeof(item->mode), "%s", x->target->is_shim ? mode : "");
	/* up is who answers and is configured at both ends of the wire here */
	item->is_established = !is_shut && is_up(rig_of(x->target)->world, neighbor);
	strcpy(item->state, item->is_established ? "Established" : "Idle");
}

static int fake_observe(struct target *t, struct observation *ret)
{
	struct observing x = {t, ret};
	struct prov_program *p = program_of(t);

	*ret = (struct observation){.is_running = p->is_running};
	if (!p->is_running) {
		snprintf(ret->problem, sizeof(ret->problem), "no %s here", t->name);
		return 0;
	}
	ret->items = calloc(4 * PROV_LIST_MAX, sizeof(*ret->items));
	each_line(p->running, on_observe, &x);
	if (p->stuck[0] && !prov_mentions(p->running, p->stuck)) {
		ret->items[ret->n] = (struct observed){.is_ours = is_ours(t, p->stuck)};
		strcpy(ret->items[ret->n++].neighbor, p->stuck);
	}
	for (size_t i = 0; i < p->n_foreign; i++) {
		ret->items[ret->n] = (struct observed){.state = "Active"};
		strcpy(ret->items[ret->n++].neighbor, p->foreign[i]);
	}
	return 0;
}

static void fake_free(struct target *t)
{
	(void)t;
}

static const struct target_ops ops = {
	.render = fake_render,
	.read = fake_read,
	.write = fake_write,
	.check = fake_check,
	.load = fake_load,
	.observe = fake_observe,
	.free = fake_free,
};

/* ---- the rig ---- */

void prov_init(struct prov_rig *r)
{
	*r = (struct prov_rig){};
	r->world = mmap(NULL, sizeof(*r->world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_true(r->world != MAP_FAILED);
	r->world->now = PROV_NOW;
	r->world->fail_target = -1;
	for (int i = 0; i < PROV_TARGETS; i++) {
		r->targets[i] = (struct target){.ops = &ops,
						.name = names[i],
						.file = names[i],
						.is_shim = i == 0,
						.impl = r};
		r->world->programs[i].is_running = true;
	}
	r->servers[0] = (struct server_settings){.name = "one", .era = ERA_B};
	r->servers[1] = (struct server_settings){.name = "two", .era = ERA_B};
	r->servers[2] = (struct server_settings){.name = "old", .era = ERA_A};
	r->daemons[0] = (struct daemon_settings){.name = "bird", .kind = DAEMON_BIRD};
	r->daemons[1] = (struct daemon_settings){.name = "frr", .kind = DAEMON_FRR};
	r->settings = (struct settings){.asn = 64501,
					.max_deletions = 5,
					.time_window = 7 * 86400,
					.drain_time = 300,
					.verify_timeout = 20,
					.servers = r->servers,
					.n_servers = ARRAY_SIZE(r->servers),
					.daemons = r->daemons,
					.n_daemons = ARRAY_SIZE(r->daemons)};
}

static void forget_look(struct prov_rig *r)
{
	for (int i = 0; i < PROV_TARGETS; i++) {
		observation_done(&r->seen[i]);
		free(r->texts[i]);
		r->texts[i] = NULL;
	}
}

void prov_done(struct prov_rig *r)
{
	forget_look(r);
	munmap(r->world, sizeof(*r->world));
}

void prov_look(struct prov_rig *r)
{
	forget_look(r);
	for (int i = 0; i < PROV_TARGETS; i++) {
		assert_int_equal(target_observe(&r->targets[i], &r->seen[i]), 0);
		assert_int_equal(target_read(&r->targets[i], &r->texts[i], NULL), 0);
		r->plan_targets[i] = (struct plan_target){
			.target = &r->targets[i], .text = r->texts[i], .seen = &r->seen[i]};
	}
}

void prov_up(struct prov_rig *r, const char *neighbor, bool up)
{
	struct prov_world *w = r->world;

	for (size_t i = 0; i < w->n_up; i++)
		if (!strcmp(w->up[i], neighbor)) {
			if (!up)
				memmove(w->up[i], w->up[--w->n_up], sizeof(w->up[i]));
			return;
		}
	if (up) {
		assert_true(w->n_up < PROV_LIST_MAX);
		strcpy(w->up[w->n_up++], neighbor);
	}
}

void prov_settle(struct prov_rig *r, const struct owned *owned, size_t n)
{
	const struct owned **list = calloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++)
		list[i] = &owned[i];
	for (int i = 0; i < PROV_TARGETS; i++) {
		struct prov_program *p = &r->world->programs[i];
		_cleanup_free_ char *text = NULL;

		assert_int_equal(target_render(&r->targets[i], list, n, &text, NULL), 0);
		do_write(p, text);
		do_load(p, text);
	}
	free(list);
}

struct plan_input prov_input(struct prov_rig *r, const struct owned *owned, size_t n_owned,
			     const struct judgement *judgements, size_t n_judgements)
{
	return (struct plan_input){.settings = &r->settings,
				   .now = r->world->now,
				   .owned = owned,
				   .n_owned = n_owned,
				   .judgements = judgements,
				   .n_judgements = n_judgements,
				   .targets = r->plan_targets,
				   .n_targets = PROV_TARGETS,
				   .allowed_deletions = r->settings.max_deletions};
}

void prov_add_foreign(struct prov_rig *r, int target, const char *neighbor)
{
	struct prov_program *p = &r->world->programs[target];

	strcpy(p->foreign[p->n_foreign++], neighbor);
}

struct plan prov_plan(const struct plan_input *in)
{
	struct errtext e = {};
	struct plan p;

	if (plan_prepare(in, &p, &e) < 0)
		fail_msg("%s", e.text);
	return p;
}

void prov_show(const struct plan *p)
{
	for (size_t i = 0; i < p->n_steps; i++)
		print_message("  %s %s [%s]%s: %s\n", plan_step_name(p->steps[i].action),
			      p->steps[i].neighbor, p->steps[i].server,
			      p->steps[i].is_alarm ? " !" : "", p->steps[i].text);
}

const struct plan_step *prov_step(const struct plan *p, const char *neighbor,
				  enum plan_action action)
{
	for (size_t i = 0; i < p->n_steps; i++)
		if (!strcmp(p->steps[i].neighbor, neighbor) && p->steps[i].action == action)
			return &p->steps[i];
	return NULL;
}

const struct plan_step *prov_assert_step(const struct plan *p, const char *neighbor,
					 enum plan_action action, const char *words)
{
	const struct plan_step *s = prov_step(p, neighbor, action);

	if (!s || !strstr(s->text, words)) {
		prov_show(p);
		fail_msg("no %s of %s with \"%s\"", plan_step_name(action), neighbor, words);
	}
	return s;
}

const struct owned *prov_after(const struct plan *p, const char *neighbor)
{
	for (size_t i = 0; i < p->n_after; i++)
		if (!strcmp(jv_get_string(p->after[i].mapping, "neighbor", ""), neighbor))
			return &p->after[i];
	return NULL;
}

void prov_tell(void *arg, const char *server, const char *const *ids, size_t n, bool *ret_confirmed)
{
	struct prov_world *w = ((struct prov_rig *)arg)->world;

	count_op(w);
	for (size_t i = 0; i < n; i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s %s", server, ids[i]);
		note(w, "tell", text);
		ret_confirmed[i] = !w->refuses_tell;
	}
	count_op(w);
}

int prov_wait_ms(void *arg, uint64_t ms)
{
	struct prov_world *w = ((struct prov_rig *)arg)->world;

	(void)ms;
	w->now += w->clock_step;
	return ++w->waits == w->cancel_at ? -ECANCELED : 0;
}

int64_t prov_now(void *arg)
{
	return ((struct prov_rig *)arg)->world->now;
}

unsigned prov_random(struct prov_random *r, unsigned below)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (r->state * 0x2545f4914f6cdd1dULL >> 33) % below;
}
