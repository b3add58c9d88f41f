// SPDX-License-Identifier: Apache-2.0
/*
 * botls-provision status: the sessions that are configured, asked for or proposed, and what each
 * waits for. Looks at the programs on this router; asks no server.
 */
#include "cmd.h"
#include "status.h"
#include "table.h"
#include "text.h"

static bool is_wanted(const struct status_row *r, int argc, char **argv)
{
	struct addr a, b;

	for (int i = 1; i < argc; i++)
		if (addr_parse(argv[i], &a, NULL) == 0 && addr_parse(r->neighbor, &b, NULL) == 0 &&
		    addr_equal(&a, &b))
			return true;
	return argc == 1;
}

static struct jv *describe(const struct status *s, int argc, char **argv)
{
	struct jv *o = jv_object_new(), *list = jv_array_new();
	int r = 0;

	for (size_t i = 0; i < s->n; i++)
		if (is_wanted(&s->rows[i], argc, argv))
			r |= jv_append(list, status_describe(&s->rows[i]));
	r |= jv_set(o, "sessions", list);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static enum cmd_exit print(const struct cmd *c, const struct status *s, int argc, char **argv)
{
	static const char *const titles[] = {"Neighbor", "AS", "Server", "State", "Info"};
	_cleanup_table_ struct table *t = table_new(titles, ARRAY_SIZE(titles));
	size_t n = 0;

	for (size_t i = 0; t && i < s->n; i++) {
		const struct status_row *r = &s->rows[i];
		char as[16];

		if (!is_wanted(r, argc, argv))
			continue;
		snprintf(as, sizeof(as), "%u", r->asn);
		n++;
		if (table_add(t, (const char *[]){r->neighbor, as, r->server,
						  status_state_name(r->state),
						  *r->info ? r->info : "-"}) < 0)
			return CMD_FAILED;
	}
	if (!t)
		return CMD_FAILED;
	if (n)
		table_print(t, c->width);
	else
		text_print("No session is configured, asked for or proposed.\n");
	return CMD_OK;
}

enum cmd_exit cmd_status(const struct cmd *c, int argc, char **argv)
{
	__attribute__((cleanup(status_done))) struct status s = {};
	enum cmd_exit code = CMD_FAILED;
	struct errtext e;
	struct world w;

	if (argc > 1 && argv[1][0] == '-')
		return cmd_usage("status");
	if (world_open(&w, c->config, WORLD_LOOK, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	if (status_look(&w, &s, &e) < 0)
		text_complain("%s", e.text);
	else
		code = c->json ? cmd_print_json(describe(&s, argc, argv), CMD_OK)
			       : print(c, &s, argc, argv);
	world_close(&w);
	return code;
}
