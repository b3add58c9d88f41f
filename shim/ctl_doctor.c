// SPDX-License-Identifier: Apache-2.0
#include "ctl_doctor.h"

#include "botls/botls.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#define TEXT_COLUMN 24 /* where what was seen begins */

static const struct doctor_group *const groups[] = {
	&doctor_daemon, &doctor_kernel, &doctor_credentials, &doctor_neighbors, &doctor_system,
};

static const struct {
	const char *name;
	enum text_style style;
} states[DOCTOR_STATES] = {
	[DOCTOR_OK] = {"ok", TEXT_GOOD},
	[DOCTOR_WARN] = {"warn", TEXT_WAIT},
	[DOCTOR_FAIL] = {"FAIL", TEXT_BAD},
};

static void print_line(struct doctor *d, enum doctor_state state, const char *text,
		       const char *next)
{
	unsigned width = d->c->width >= TEXT_COLUMN + 20 ? d->c->width : 0;

	if (!d->has_title)
		text_print_as(TEXT_HEAD, "%s\n", d->group);
	d->has_title = true;
	text_print("  ");
	text_print_as(states[state].style, "%-4s", states[state].name);
	text_print("  %-14s  ", d->check);
	text_print_wrapped(TEXT_PLAIN, TEXT_COLUMN, width, text);
	if (!next)
		return;
	text_print("%*s", TEXT_COLUMN - 3, "");
	text_print_as(TEXT_HEAD, "-> ");
	text_print_wrapped(TEXT_PLAIN, TEXT_COLUMN, width, next);
}

static void keep(struct doctor *d, enum doctor_state state, const char *text, const char *next)
{
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "group", d->group);

	r |= jv_set_string(o, "check", d->check);
	r |= jv_set_string(o, "state", states[state].name);
	r |= jv_set_string(o, "text", text);
	r |= jv_set_string(o, "next", next);
	if (jv_append(d->results, o) < 0 || r)
		d->is_out_of_memory = true;
}

void doctor_say(struct doctor *d, enum doctor_state state, const char *next, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		d->is_out_of_memory = true;
	}
	va_end(ap);
	d->counts[state]++;
	if (!text)
		return;
	if (d->c->json)
		keep(d, state, text, next);
	else if (d->lines[state]++ < DOCTOR_LINES_MAX)
		print_line(d, state, text, next);
}

static void print_rest(struct doctor *d)
{
	for (size_t s = 0; s < DOCTOR_STATES; s++) {
		char text[64];

		if (d->lines[s] > DOCTOR_LINES_MAX) {
			snprintf(text, sizeof(text), "and %zu more ('--json' has all)",
				 d->lines[s] - DOCTOR_LINES_MAX);
			print_line(d, s, text, NULL);
		}
		d->lines[s] = 0;
	}
}

const struct jv *doctor_status(const struct doctor *d, size_t at)
{
	const struct jv *neighbors = jv_get(d->show, "neighbors");
	const char *name = d->config->neighbors[at].name;

	/* Both have one order, unless the configuration was changed since. */
	if (strcmp(jv_get_string(jv_at(neighbors, at), "name", ""), name) == 0)
		return jv_at(neighbors, at);
	for (size_t i = 0; i < jv_size(neighbors); i++)
		if (strcmp(jv_get_string(jv_at(neighbors, i), "name", ""), name) == 0)
			return jv_at(neighbors, i);
	return NULL;
}

/* --- what the checks look at --- */

/* NULL when botlsd does not answer, or refuses and `with_refusal` is not set. */
static struct jv *ask(struct doctor *d, struct jv *request, bool with_refusal)
{
	struct jv *answer = NULL;

	if (ctl_fetch(d->c, request, &answer, &d->unreachable) != CTL_OK)
		return NULL;
	if (with_refusal || jv_get_bool(answer, "ok", false))
		return answer;
	errtext_set(&d->unreachable, 0, "%.200s", jv_get_string(answer, "error", "it refused"));
	jv_free(answer);
	return NULL;
}

static void ask_botlsd(struct doctor *d)
{
	struct jv *dry_run;

	d->show = ask(d, ctl_request("show", NULL, NULL), false);
	if (!d->show)
		return;
	d->steering = ask(d, ctl_request("steering", NULL, NULL), false);
	dry_run = ctl_request("reload", NULL, NULL);
	if (jv_set_bool(dry_run, "dry_run", true) == 0)
		d->plan = ask(d, dry_run, true);
	else
		jv_free(dry_run);
}

static void on_problem(void *arg, const char *where, const char *text)
{
	struct doctor *d = arg;
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "where", where);

	r |= jv_set_string(o, "text", text);
	if (jv_append(d->problems, o) < 0 || r)
		d->is_out_of_memory = true;
}

/* That of the running botlsd, unless another one is named. */
static int load_configuration(struct doctor *d)
{
	const char *path = d->c->config;

	if (!path)
		path = jv_get_string(d->show, "configuration", BOTLS_CONFIG_PATH);
	if (path[0] == '/' || d->c->config) {
		d->path = strdup(path);
	} else if (asprintf(&d->path, "/proc/%" PRId64 "/cwd/%s", jv_get_int(d->show, "pid", 0),
			    path) < 0) {
		d->path = NULL;
	}
	if (!d->path)
		return -ENOMEM;
	if (config_load(d->path, on_problem, d, &d->config) < 0)
		d->config = NULL;
	return 0;
}

/* --- the run --- */

static void run_group(struct doctor *d, const struct doctor_group *g)
{
	d->group = g->title;
	d->has_title = false;
	for (size_t i = 0; i < g->n; i++) {
		d->check = g->checks[i].name;
		g->checks[i].run(d);
		print_rest(d);
	}
	if (d->has_title)
		text_print("\n");
	fflush(stdout);
}

static int print_json(struct doctor *d)
{
	_cleanup_jv_ struct jv *o = jv_object_new();
	int r = jv_set_bool(o, "ok", d->counts[DOCTOR_FAIL] == 0);

	r |= jv_set_uint(o, "passed", d->counts[DOCTOR_OK]);
	r |= jv_set_uint(o, "warnings", d->counts[DOCTOR_WARN]);
	r |= jv_set_uint(o, "failures", d->counts[DOCTOR_FAIL]);
	r |= jv_set(o, "results", TAKE(d->results));
	return ctl_print_json(r ? NULL : o);
}

static void print_summary(const struct doctor *d)
{
	size_t fails = d->counts[DOCTOR_FAIL], warnings = d->counts[DOCTOR_WARN];

	text_print_as(fails	 ? TEXT_BAD
		      : warnings ? TEXT_WAIT
				 : TEXT_GOOD,
		      "%zu failure%s, %zu warning%s", fails, fails == 1 ? "" : "s", warnings,
		      warnings == 1 ? "" : "s");
	text_print(", %zu ok\n", d->counts[DOCTOR_OK]);
}

static void done(struct doctor *d)
{
	jv_free(d->show);
	jv_free(d->steering);
	jv_free(d->plan);
	jv_free(d->problems);
	jv_free(d->results);
	config_free(d->config);
	free(d->path);
}

enum ctl_exit ctl_doctor(const struct ctl *c, int argc, char **argv)
{
	struct doctor d = {.c = c, .is_root = geteuid() == 0};
	enum ctl_exit code;

	(void)argv;
	if (argc)
		return ctl_usage("doctor");
	d.problems = jv_array_new();
	d.results = jv_array_new();
	ask_botlsd(&d);
	if (!d.problems || !d.results || load_configuration(&d) < 0)
		d.is_out_of_memory = true;
	for (size_t i = 0; !d.is_out_of_memory && i < ARRAY_SIZE(groups); i++)
		run_group(&d, groups[i]);
	code = d.counts[DOCTOR_FAIL] ? CTL_NO : CTL_OK;
	if (d.is_out_of_memory) {
		ctl_print_json(NULL); /* says so */
		code = CTL_NO;
	} else if (c->json) {
		if (print_json(&d))
			code = CTL_NO;
	} else {
		print_summary(&d);
	}
	done(&d);
	return code;
}
