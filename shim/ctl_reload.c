// SPDX-License-Identifier: Apache-2.0
/* The plan of a reload, as a diff. */
#include "ctl.h"

#include <inttypes.h>

static char action_sign(const struct jv_cursor *item)
{
	const char *action = jv_need_string(item, "action");

	if (!action)
		return '?';
	if (strcmp(action, "add") == 0)
		return '+';
	if (strcmp(action, "drop") == 0)
		return '-';
	if (strcmp(action, "change") == 0)
		return '~';
	if (strcmp(action, "keep") != 0)
		jv_complain(item, "action", "unknown");
	return ' ';
}

static void print_item(const struct jv_cursor *item)
{
	const char *name = jv_need_string(item, "neighbor");
	const char *changed = jv_read_string(item, "changed", "");
	bool resets = jv_read_bool(item, "resets", false);
	char sign = action_sign(item);

	if (jv_bad(item))
		return;
	text_print("  %c %s%s%s", sign, name, changed[0] ? ": " : "", changed);
	if (resets)
		text_print_as(TEXT_BAD, "  ** RESETS THE SESSION **");
	text_print("\n");
}

static void print_totals(const struct ctl *c, const struct jv_cursor *at)
{
	int64_t add = jv_need_int(at, "add"), drop = jv_need_int(at, "drop");
	int64_t change = jv_need_int(at, "change"), keep = jv_need_int(at, "keep");
	int64_t resets = jv_need_int(at, "resets");

	if (jv_bad(at))
		return;
	text_print("%" PRId64 " added, %" PRId64 " dropped, %" PRId64 " changed, %" PRId64
		   " kept; ",
		   add, drop, change, keep);
	if (resets)
		text_print("sessions of %" PRId64 " neighbor%s %s reset\n", resets,
			   resets == 1 ? "" : "s", c->dry_run ? "would be" : "are");
	else
		text_print("no session %s reset\n", c->dry_run ? "would be" : "is");
	text_print("%s\n",
		   jv_read_bool(at, "applied", false) ? "Applied." : "Nothing was changed.");
}

static void print_plan(const struct ctl *c, const struct jv_cursor *at)
{
	struct jv_cursor items = jv_read_array(at, "items"),
			 warnings = jv_read_array(at, "warnings");
	const char *globals = jv_read_string(at, "globals_changed", "");

	for (size_t i = 0; i < jv_size(items.value); i++) {
		struct jv_cursor item = jv_read_item(&items, i);

		print_item(&item);
	}
	if (globals[0])
		text_print("  ~ global: %s\n", globals);
	for (size_t i = 0; i < jv_size(warnings.value); i++) {
		struct jv_cursor w = jv_read_item(&warnings, i);

		text_print("  ! %s: %s\n", jv_read_string(&w, "where", "?"),
			   jv_read_string(&w, "text", "?"));
	}
	print_totals(c, at);
}

enum ctl_exit ctl_reload(const struct ctl *c, int argc, char **argv)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct errtext problem;
	struct jv_cursor at;
	struct jv *request;
	enum ctl_exit code;

	(void)argv;
	if (argc)
		return ctl_usage("reload");
	request = ctl_request("reload", NULL, NULL);
	if (jv_set_bool(request, "dry_run", c->dry_run) < 0) {
		jv_free(request);
		request = NULL;
	}
	code = ctl_ask(c, request, &answer);
	if (code || c->json)
		return code;
	at = jv_enter(answer, &problem);
	print_plan(c, &at);
	return ctl_understood(&problem);
}
