// SPDX-License-Identifier: Apache-2.0
/* botls-provision locations: where a server would peer, and whether we are there too. */
#include "cmd.h"
#include "table.h"
#include "text.h"

#include <getopt.h>

/* Our first address that is registered there; "" when there is none. */
static void find_address(const struct world *w, const struct location *l,
			 char buf[static ADDR_STRLEN])
{
	buf[0] = '\0';
	for (size_t i = 0; w->registry && i < w->settings->n_addresses && !*buf; i++)
		if (peeringdb_check(w->registry, w->settings->asn, &w->settings->addresses[i], l,
				    NULL) == REGISTERED)
			addr_format(&w->settings->addresses[i], buf);
}

static struct jv *describe(const struct world *w, const struct locations *all)
{
	struct jv *o = jv_object_new(), *list = jv_array_new();
	char ours[ADDR_STRLEN];
	int r = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct jv *item = jv_object_new();

		find_address(w, &all->items[i], ours);
		r |= jv_set_string(item, "id", all->items[i].id);
		r |= jv_set_string(item, "type",
				   all->items[i].type == LOCATION_PUBLIC ? "public" : "private");
		r |= jv_set_string(item, "our_address", *ours ? ours : NULL);
		r |= jv_append(list, item);
	}
	r |= jv_set(o, "locations", list);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static enum cmd_exit print(const struct cmd *c, const struct world *w, const struct locations *all)
{
	static const char *const titles[] = {"Location", "Type", "We are there as"};
	_cleanup_table_ struct table *t = table_new(titles, ARRAY_SIZE(titles));
	char ours[ADDR_STRLEN];

	for (size_t i = 0; t && i < all->n; i++) {
		find_address(w, &all->items[i], ours);
		if (table_add(t, (const char *[]){all->items[i].id,
						  all->items[i].type == LOCATION_PUBLIC ? "public"
											: "private",
						  *ours ? ours : "-"}) < 0)
			return CMD_FAILED;
	}
	if (!t)
		return CMD_FAILED;
	table_print(t, c->width);
	return CMD_OK;
}

static enum cmd_exit run(const struct cmd *c, struct world *w, const char *name,
			 const enum location_type *type)
{
	_cleanup_locations_ struct locations all = {};
	const struct server_settings *s = world_server(w, name);
	struct errtext problem;
	struct api_error e;

	if (!s)
		return CMD_FAILED;
	if (api_locations(world_api(w, s), w->settings->asn, type, &all, &e) < 0) {
		world_progress_end(w);
		text_complain("%s", e.text);
		return CMD_FAILED;
	}
	world_progress_end(w);
	if (w->registry &&
	    peeringdb_load(w->registry, &w->settings->asn, 1, world_now(w), &problem) < 0)
		text_complain("%s", problem.text);
	return c->json ? cmd_print_json(describe(w, &all), CMD_OK) : print(c, w, &all);
}

enum cmd_exit cmd_locations(const struct cmd *c, int argc, char **argv)
{
	static const struct option options[] = {{"type", required_argument, NULL, 't'}, {}};
	enum location_type type;
	bool has_type = false;
	enum cmd_exit code;
	struct world w;
	int opt;

	while ((opt = getopt_long(argc, argv, "t:", options, NULL)) != -1) {
		if (opt != 't' || (strcmp(optarg, "public") != 0 && strcmp(optarg, "private") != 0))
			return cmd_usage("locations");
		type = strcmp(optarg, "public") == 0 ? LOCATION_PUBLIC : LOCATION_PRIVATE;
		has_type = true;
	}
	if (argc - optind != 1)
		return cmd_usage("locations");
	if (world_open(&w, c->config, WORLD_LOOK, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	code = run(c, &w, argv[optind], has_type ? &type : NULL);
	world_close(&w);
	return code;
}
