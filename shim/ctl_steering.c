// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include <inttypes.h>

/* Adds one row per item; returns how many are not ok, or -ENOMEM. */
static int add_items(struct table *t, const struct jv_cursor *items)
{
	int wrong = 0;

	for (size_t i = 0; i < jv_size(items->value); i++) {
		struct jv_cursor item = jv_read_item(items, i);
		const char *state = jv_need_string(&item, "state");
		const char *cells[] = {jv_read_string(&item, "kind", ""),
				       jv_read_string(&item, "name", ""), state ? state : "",
				       jv_read_string(&item, "detail", "")};
		int r = table_add(t, cells);

		if (r < 0)
			return r;
		table_style(t, 2, strcmp(cells[2], "ok") == 0 ? TEXT_GOOD : TEXT_BAD);
		wrong += strcmp(cells[2], "ok") != 0;
	}
	return wrong;
}

static void print_counters(const struct jv_cursor *counters)
{
	size_t width = 0, digits = 0;

	for (struct jv_iter it = {}; jv_next(counters->value, &it);) {
		size_t n = snprintf(NULL, 0, "%" PRId64, jv_read_int(counters, it.key, 0));

		width = strlen(it.key) > width ? strlen(it.key) : width;
		digits = n > digits ? n : digits;
	}
	if (width)
		text_print("\nCounters\n");
	for (struct jv_iter it = {}; jv_next(counters->value, &it);)
		text_print("  %-*s  %*" PRId64 "\n", (int)width, it.key, (int)digits,
			   jv_read_int(counters, it.key, 0));
}

static enum ctl_exit print_steering(const struct jv_cursor *at)
{
	static const char *const titles[] = {"Kind", "Name", "State", "Detail"};
	_cleanup_table_ struct table *table = table_new(titles, ARRAY_SIZE(titles));
	struct jv_cursor items = jv_read_array(at, "items"),
			 counters = jv_read_object(at, "counters");
	bool agrees = jv_read_bool(at, "agrees", false);
	int wrong = table ? add_items(table, &items) : -1;

	if (wrong < 0) {
		text_complain("out of memory: this router is short of it");
		return CTL_UNREACHABLE;
	}
	text_print("Steering by %s\n\n", jv_read_string(at, "mechanism", "?"));
	table_print(table, 0); /* a detail says what to do: it is never cut */
	print_counters(&counters);
	if (agrees)
		text_print("\nThe kernel agrees: %zu objects.\n", jv_size(items.value));
	else
		text_print_as(TEXT_BAD,
			      "\nTHE KERNEL DOES NOT AGREE: %d of %zu objects are not as they "
			      "should be.\n"
			      "botlsd puts them back within a minute; if they stay so, its log "
			      "says why.\n",
			      wrong, jv_size(items.value));
	return agrees ? CTL_OK : CTL_NO;
}

enum ctl_exit ctl_steering(const struct ctl *c, int argc, char **argv)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct errtext problem;
	struct jv_cursor at;
	enum ctl_exit code;

	(void)argv;
	if (argc)
		return ctl_usage("steering");
	code = ctl_ask(c, ctl_request("steering", NULL, NULL), &answer);
	if (code)
		return code;
	at = jv_enter(answer, &problem);
	if (!jv_get(answer, "agrees"))
		jv_complain(&at, "agrees", "missing");
	if (c->json)
		code = jv_read_bool(&at, "agrees", false) ? CTL_OK : CTL_NO;
	else
		code = print_steering(&at);
	return jv_bad(&at) ? ctl_understood(&problem) : code;
}
