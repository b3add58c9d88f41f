// SPDX-License-Identifier: Apache-2.0
/* botls-provision sessions: what the servers list, and what becomes of each here. */
#include "cmd.h"
#include "table.h"
#include "text.h"

/* Servers named on the command line; none: all. */
static bool is_wanted(const struct judgement *j, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (j->server && strcmp(argv[i], j->server->name) == 0)
			return true;
	return argc == 1;
}

static struct jv *describe_one(const struct judgement *j)
{
	struct jv *o = jv_object_new();
	int r = 0;

	r |= jv_set_string(o, "server", j->server ? j->server->name : NULL);
	r |= jv_set_string(o, "neighbor", j->neighbor);
	r |= jv_set_string(o, "verdict", verdict_name(j->verdict));
	r |= jv_set_string(o, "reason", *j->reason ? j->reason : NULL);
	r |= jv_set_bool(o, "extra", j->is_extra);
	r |= jv_set(o, "record", record_describe(&j->record));
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static struct jv *describe(const struct gathered *g, int argc, char **argv)
{
	struct jv *o = jv_object_new(), *list = jv_array_new();
	int r = 0;

	for (size_t i = 0; i < g->n_judgements; i++)
		if (is_wanted(&g->judgements[i], argc, argv))
			r |= jv_append(list, describe_one(&g->judgements[i]));
	r |= jv_set(o, "sessions", list);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static int add_row(struct table *t, const struct judgement *j)
{
	const struct record *r = &j->record;
	uint32_t asn = j->server ? record_theirs(r, j->server->side)->asn : 0;
	char as[16];

	snprintf(as, sizeof(as), "%u", asn);
	return table_add(
		t, (const char *[]){j->neighbor, asn ? as : "-", j->server ? j->server->name : "-",
				    *r->location.id ? r->location.id : "-",
				    *r->status_raw ? r->status_raw : "-", verdict_name(j->verdict),
				    *j->reason ? j->reason : "-"});
}

static enum cmd_exit print(const struct cmd *c, const struct gathered *g, int argc, char **argv)
{
	static const char *const titles[] = {"Neighbor", "AS",	 "Server", "Where",
					     "Status",	 "Here", "Why"};
	_cleanup_table_ struct table *t = table_new(titles, ARRAY_SIZE(titles));
	enum cmd_exit code = CMD_OK;

	for (size_t i = 0; t && i < g->n_judgements; i++)
		if (is_wanted(&g->judgements[i], argc, argv) && add_row(t, &g->judgements[i]) < 0)
			return CMD_FAILED;
	if (!t)
		return CMD_FAILED;
	table_print(t, c->width);
	for (const struct server_report *r = g->servers; r && r->server; r++)
		if (*r->alarm) {
			text_print("! %s\n", r->alarm);
			code = CMD_ATTENTION;
		}
	return code;
}

enum cmd_exit cmd_sessions(const struct cmd *c, int argc, char **argv)
{
	_cleanup_gathered_ struct gathered g = {};
	enum cmd_exit code = CMD_FAILED;
	struct errtext e;
	struct world w;
	int r;

	if (world_open(&w, c->config, WORLD_LOOK, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	for (int i = 1; i < argc; i++)
		if (!world_server(&w, argv[i])) {
			world_close(&w);
			return CMD_FAILED;
		}
	r = gather(&w, &g, &e);
	world_progress_end(&w);
	if (r < 0)
		text_complain("%s", e.text);
	else
		code = c->json ? cmd_print_json(describe(&g, argc, argv), CMD_OK)
			       : print(c, &g, argc, argv);
	gathered_done(&g);
	world_close(&w);
	return code;
}
