// SPDX-License-Identifier: Apache-2.0
/* botls-provision probe: what does a server speak, and does it let us in? */
#include "cmd.h"
#include "text.h"

static enum cmd_exit answer_json(const struct server_settings *s, const struct probed *p,
				 bool is_in, const struct api_error *e)
{
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "server", s->name);

	r |= jv_set_bool(o, "era_a", p->has_a);
	r |= jv_set_bool(o, "era_b", p->has_b);
	r |= jv_set_string(o, "configured", wire_era_name(s->era));
	r |= jv_set_bool(o, "needs_token", p->needs_token);
	r |= jv_set_bool(o, "paged", p->is_paged);
	r |= jv_set_string(o, "evidence", p->evidence);
	r |= jv_set_bool(o, "authorized", is_in);
	r |= jv_set_string(o, "problem", is_in ? NULL : e->text);
	if (r < 0) {
		jv_free(o);
		o = NULL;
	}
	return cmd_print_json(o, CMD_OK);
}

/* Whether our credentials are accepted: /auth where the server has it, else the listing. */
static bool is_let_in(struct world *w, struct api *a, struct api_error *e)
{
	_cleanup_records_ struct records records = {};
	struct unreadable unreadable = {};

	if (api_auth(a, e) == 0)
		return true;
	if (e->failure != API_NOT_FOUND)
		return false;
	return api_sessions(a, w->settings->asn, NULL, &records, &unreadable, e) == 0;
}

static enum cmd_exit print(const struct server_settings *s, const struct probed *p, bool is_in,
			   const struct api_error *e)
{
	bool fits = s->era == ERA_A ? p->has_a : p->has_b;

	text_print("%s (%s)\n  %s\n", s->name, s->url, p->evidence);
	text_print("  speaks: %s%s%s\n", p->has_a ? "era a " : "", p->has_b ? "era b " : "",
		   p->has_a || p->has_b ? "" : "neither era, as far as it shows");
	if (!fits && p->has_a != p->has_b)
		text_print("  the configuration says era %s: set era = %s in its block\n",
			   wire_era_name(s->era), wire_era_name(p->has_a ? ERA_A : ERA_B));
	if (is_in)
		text_print("  our credentials are accepted\n");
	else
		text_print("  not let in: %s\n", e->text);
	return fits && is_in ? CMD_OK : CMD_ATTENTION;
}

enum cmd_exit cmd_probe(const struct cmd *c, int argc, char **argv)
{
	const struct server_settings *s;
	struct probed p;
	struct api_error e;
	struct world w;
	enum cmd_exit code = CMD_FAILED;
	bool is_in;

	if (argc != 2)
		return cmd_usage("probe");
	if (world_open(&w, c->config, WORLD_LOOK, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	s = world_server(&w, argv[1]);
	if (s && api_probe(world_api(&w, s), w.settings->asn, &p, &e) < 0) {
		text_complain("%s", e.text);
	} else if (s) {
		is_in = is_let_in(&w, world_api(&w, s), &e);
		code = c->json ? answer_json(s, &p, is_in, &e) : print(s, &p, is_in, &e);
	}
	world_close(&w);
	return code;
}
