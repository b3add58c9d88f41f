// SPDX-License-Identifier: Apache-2.0
/* Any text: no crash, no leak, and what loads prints as text that loads again as the same. */
#include "config.h"
#include "plan.h"

static void on_report(void *arg, const char *where, const char *text)
{
	/* read what is handed over */
	*(size_t *)arg += strlen(where) + strlen(text);
}

static void check_plan(const struct config *a, const struct config *b)
{
	struct plan *p;

	if (plan_make(a, b, 0, &p) < 0)
		return;
	for (size_t i = 0; i < p->n_items; i++)
		/* keys are printed as "<hidden>" */
		if (p->items[i].action != PLAN_KEEP && !strstr(p->items[i].changed, "tcp-md5") &&
		    !strstr(p->items[i].changed, "tcp-ao"))
			abort();
	if (p->globals_changed[0] || p->needs_restart[0])
		abort();
	plan_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_config_ struct config *c = NULL, *again = NULL;
	_cleanup_free_ char *text = malloc(size + 1), *printed = NULL;
	size_t printed_len, reported = 0;
	FILE *f;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (config_load_text(text, on_report, &reported, &c) < 0) {
		if (!reported)
			abort();
		return 0;
	}
	f = open_memstream(&printed, &printed_len);
	if (!f)
		return 0;
	config_print(c, f);
	fclose(f);
	if (config_load_printed(printed, printed_len, &again) < 0)
		abort();
	check_plan(c, again);
	return 0;
}
