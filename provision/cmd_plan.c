// SPDX-License-Identifier: Apache-2.0
/* botls-provision plan: what apply would do. Changes nothing. */
#include "cmd.h"
#include "text.h"

#include <getopt.h>

static enum cmd_exit run(const struct cmd *c, struct world *w, int64_t force, bool exit_code)
{
	_cleanup_gathered_ struct gathered g = {};
	_cleanup_plan_ struct plan p = {};
	enum cmd_exit code = CMD_OK;
	struct errtext e;

	if (gather(w, &g, &e) < 0 || gathered_plan(w, &g, force, &p, &e) < 0) {
		world_progress_end(w);
		text_complain("%s", e.text);
		return CMD_FAILED;
	}
	world_progress_end(w);
	if (cmd_needs_attention(&g, &p))
		code = CMD_ATTENTION;
	if (exit_code && p.n_changes)
		code = CMD_CHANGES;
	if (c->json)
		return cmd_print_json(cmd_describe_plan(&g, &p), code);
	cmd_show_plan(c, &g, &p);
	return code;
}

enum cmd_exit cmd_plan(const struct cmd *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"exit-code", no_argument, NULL, 'e'}, {"force", required_argument, NULL, 'f'}, {}};
	bool exit_code = false;
	int64_t force = -1;
	enum cmd_exit code;
	struct world w;
	int opt;

	while ((opt = getopt_long(argc, argv, "ef:", options, NULL)) != -1) {
		switch (opt) {
		case 'e': exit_code = true; break;
		case 'f':
			force = cmd_number("--force", optarg, STATE_OWNED_MAX);
			if (force < 0)
				return CMD_USAGE;
			break;
		default: return cmd_usage("plan");
		}
	}
	if (optind != argc)
		return cmd_usage("plan");
	if (world_open(&w, c->config, WORLD_LOOK, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	code = run(c, &w, force, exit_code);
	world_close(&w);
	return code;
}
