// SPDX-License-Identifier: Apache-2.0
/* botls-provision apply: makes what is configured what should be. */
#include "apply.h"
#include "cmd.h"
#include "text.h"

#include <getopt.h>

/* Tells one by one what could not be told in one call. */
static void tell_each(struct world *w, const struct server_settings *s,
		      const char *const *session_ids, size_t n, bool *ret_confirmed)
{
	struct api_error e;

	for (size_t i = 0; i < n; i++) {
		ret_confirmed[i] = api_delete(world_api(w, s), session_ids[i], &e) == 0;
		if (ret_confirmed[i])
			continue;
		world_progress_end(w);
		/* There is nothing to be asked again: a human tells the other network. */
		if (e.failure == API_UNSUPPORTED) {
			text_complain("%s speaks era a, which has no delete: tell AS %u that "
				      "session %s is gone",
				      s->name, s->asn, session_ids[i]);
			ret_confirmed[i] = true;
		} else {
			text_complain("%s", e.text);
		}
	}
}

static void on_tell(void *arg, const char *server, const char *const *session_ids, size_t n,
		    bool *ret_confirmed)
{
	struct world *w = arg;
	const struct server_settings *s = settings_server(w->settings, server);
	struct api_error e;

	for (size_t i = 0; i < n; i++)
		ret_confirmed[i] = false;
	if (!s)
		return;
	if (n > 1 && s->batch_delete &&
	    api_delete_batch(world_api(w, s), session_ids, n, ret_confirmed, &e) == 0)
		return;
	tell_each(w, s, session_ids, n, ret_confirmed);
}

static enum cmd_exit carry_out(struct world *w, const struct gathered *g, const struct plan *p,
			       struct apply_result *ret)
{
	struct apply a = {.settings = w->settings,
			  .store = w->store,
			  .state = &w->state,
			  .targets = g->targets,
			  .n_targets = g->n_targets,
			  .audit = w->audit,
			  .tell = on_tell,
			  .progress = world_progress,
			  .wait_ms = world_wait_ms,
			  .now = world_now,
			  .arg = w};
	int r = apply_plan(&a, p, ret);

	world_progress_end(w);
	if (r < 0)
		return CMD_FAILED;
	return cmd_needs_attention(g, p) ? CMD_ATTENTION : CMD_OK;
}

static struct jv *describe(const struct gathered *g, const struct plan *p,
			   const struct apply_result *result)
{
	struct jv *o = cmd_describe_plan(g, p), *r = jv_object_new();
	int bad = jv_set_bool(r, "done", result->is_done);

	bad |= jv_set_bool(r, "rolled_back", result->is_rolled_back);
	bad |= jv_set_bool(r, "broken", result->is_broken);
	bad |= jv_set_string(r, "text", *result->text ? result->text : NULL);
	bad |= jv_set(o, "result", r);
	if (!bad)
		return o;
	jv_free(o);
	return NULL;
}

enum cmd_exit cmd_apply_once(const struct cmd *c, struct world *w, int64_t force,
			     struct jv **ret_answer)
{
	_cleanup_gathered_ struct gathered g = {};
	_cleanup_plan_ struct plan p = {};
	struct apply_result result = {};
	struct errtext e;
	enum cmd_exit code;

	if (gather(w, &g, &e) < 0 || gathered_plan(w, &g, force, &p, &e) < 0) {
		world_progress_end(w);
		text_complain("%s", e.text);
		return CMD_FAILED;
	}
	world_progress_end(w);
	if (gathered_remember(w, &g) && world_save(w) < 0)
		return CMD_FAILED;
	if (!c->json)
		cmd_show_plan(c, &g, &p);
	code = carry_out(w, &g, &p, &result);
	if (code == CMD_FAILED)
		text_complain("%s%s", result.text,
			      result.is_broken	      ? ""
			      : result.is_rolled_back ? "; everything is as it was before"
						      : "; nothing was changed");
	else if (!c->json && p.n_changes)
		text_print("Applied.\n");
	if (ret_answer)
		*ret_answer = describe(&g, &p, &result);
	return code;
}

enum cmd_exit cmd_apply(const struct cmd *c, int argc, char **argv)
{
	static const struct option options[] = {{"force", required_argument, NULL, 'f'}, {}};
	struct jv *answer = NULL;
	int64_t force = -1;
	enum cmd_exit code;
	struct world w;
	int opt;

	while ((opt = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		if (opt != 'f')
			return cmd_usage("apply");
		force = cmd_number("--force", optarg, STATE_OWNED_MAX);
		if (force < 0)
			return CMD_USAGE;
	}
	if (optind != argc)
		return cmd_usage("apply");
	if (world_open(&w, c->config, WORLD_WRITE, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	code = cmd_apply_once(c, &w, force, c->json ? &answer : NULL);
	world_close(&w);
	return c->json && answer ? cmd_print_json(answer, code) : code;
}
