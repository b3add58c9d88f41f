// SPDX-License-Identifier: Apache-2.0
/* A plan, as a diff for people and as JSON. */
#include "cmd.h"
#include "text.h"

#include <inttypes.h>

static char sign_of(enum plan_action a)
{
	switch (a) {
	case PLAN_ADD: return '+';
	case PLAN_CHANGE: return '~';
	case PLAN_RESTORE: return '+';
	case PLAN_DRAIN: return '>';
	case PLAN_REMOVE: return '-';
	case PLAN_TELL:
	case PLAN_FORGET:
	case PLAN_LOAD: return '*';
	case PLAN_WAITING: return '.';
	case PLAN_HELD:
	case PLAN_REFUSED:
	case PLAN_BLOCKED: return '!';
	}
	return '?';
}

static void print_step(const struct plan_step *s)
{
	text_print("  %c %-9s%s%s%s%s\n", sign_of(s->action), plan_step_name(s->action),
		   s->neighbor, *s->server ? " (" : "", s->server, *s->server ? ")" : "");
	if (*s->text)
		text_print("      %s\n", s->text);
}

/* "2 add, 1 drain; 3 waiting" */
static void print_totals(const struct plan *p)
{
	const char *separator = "";

	for (int a = PLAN_ADD; a <= PLAN_BLOCKED; a++) {
		size_t n = 0;

		for (size_t i = 0; i < p->n_steps; i++)
			n += (int)p->steps[i].action == a;
		if (!n)
			continue;
		text_print("%s%zu %s", separator, n, plan_step_name(a));
		separator = ", ";
	}
	text_print("%s%s\n", p->n_steps ? ". " : "",
		   p->n_changes ? "" : "Nothing is to be changed.");
}

void cmd_show_plan(const struct cmd *c, const struct gathered *g, const struct plan *p)
{
	(void)c;
	for (const struct server_report *r = g->servers; r && r->server; r++)
		if (*r->alarm)
			text_print("  ! %s\n", r->alarm);
	if (*g->registry)
		text_print("  ! %s\n", g->registry);
	for (size_t i = 0; i < p->n_steps; i++)
		print_step(&p->steps[i]);
	print_totals(p);
	if (p->is_blocked)
		text_print("%zu sessions would begin to go, which is more than max-deletions "
			   "allows: none does. If that is right: apply --force %zu\n",
			   p->n_deletions, p->n_deletions);
}

static struct jv *describe_servers(const struct gathered *g)
{
	struct jv *list = jv_array_new();
	int r = 0;

	for (const struct server_report *s = g->servers; s && s->server; s++) {
		struct jv *o = jv_object_new();

		r |= jv_set_string(o, "name", s->server->name);
		r |= jv_set_bool(o, "complete", s->is_complete);
		r |= jv_set_int(o, "sessions", s->n_records);
		if (!s->is_complete)
			r |= jv_set_string(o, "failure", api_failure_name(s->error.failure));
		r |= jv_set_string(o, "alarm", *s->alarm ? s->alarm : NULL);
		r |= jv_append(list, o);
	}
	if (!r)
		return list;
	jv_free(list);
	return NULL;
}

struct jv *cmd_describe_plan(const struct gathered *g, const struct plan *p)
{
	struct jv *o = jv_object_new();
	int r = jv_set(o, "servers", describe_servers(g));

	r |= jv_set_string(o, "registry", *g->registry ? g->registry : NULL);
	r |= jv_set(o, "plan", plan_describe(p));
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

bool cmd_needs_attention(const struct gathered *g, const struct plan *p)
{
	for (const struct server_report *s = g->servers; s && s->server; s++)
		if (*s->alarm)
			return true;
	return *g->registry || p->n_alarms || p->is_blocked;
}
