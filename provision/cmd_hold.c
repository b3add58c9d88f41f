// SPDX-License-Identifier: Apache-2.0
/* botls-provision hold: sessions that do not come up are kept all the same, or not any more. */
#include "cmd.h"
#include "text.h"

#include <getopt.h>

static int hold(struct world *w, const char *text, bool on)
{
	char neighbor[ADDR_STRLEN];
	struct jv *line;
	struct errtext e;
	struct owned *o;
	struct addr a;
	int r;

	if (addr_parse(text, &a, &e) < 0) {
		text_complain("%s", e.text);
		return -1;
	}
	o = state_owned(&w->state, addr_format(&a, neighbor));
	if (!o) {
		text_complain("%s is not configured by us ('status' lists what is)", neighbor);
		return -1;
	}
	o->is_held = on;
	line = jv_object_new();
	r = jv_set_string(line, "neighbor", neighbor);
	r |= jv_set_bool(line, "held", on);
	if (r < 0) {
		jv_free(line);
		return r;
	}
	return world_audit(w, "hold", line);
}

static enum cmd_exit run(const struct cmd *c, struct world *w, bool on, int n, char **neighbors)
{
	struct jv *o;

	/* All or none: nothing is saved after an error. */
	for (int i = 0; i < n; i++)
		if (hold(w, neighbors[i], on) < 0)
			return CMD_FAILED;
	if (world_save(w) < 0)
		return CMD_FAILED;
	if (!c->json) {
		text_print("%d %s.\n", n, on ? "held" : "held no more");
		return CMD_OK;
	}
	o = jv_object_new();
	if ((jv_set_int(o, "sessions", n) | jv_set_bool(o, "held", on)) < 0) {
		jv_free(o);
		o = NULL;
	}
	return cmd_print_json(o, CMD_OK);
}

enum cmd_exit cmd_hold(const struct cmd *c, int argc, char **argv)
{
	static const struct option options[] = {{"off", no_argument, NULL, 'o'}, {}};
	enum cmd_exit code;
	bool on = true;
	struct world w;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'o')
			return cmd_usage("hold");
		on = false;
	}
	if (optind == argc)
		return cmd_usage("hold");
	if (world_open(&w, c->config, WORLD_WRITE, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	code = run(c, &w, on, argc - optind, argv + optind);
	world_close(&w);
	return code;
}
