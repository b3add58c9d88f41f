// SPDX-License-Identifier: Apache-2.0
/*
 * botls-provision delete: sessions are to go. Those that are configured are drained, shut down and
 * removed by the next runs of apply, and then the server is told; one that was only asked for is
 * deleted at the server at once.
 */
#include "cmd.h"
#include "text.h"

enum deletion { DELETION_BEGINS, DELETION_DONE, DELETION_LEAVING };

struct result {
	char neighbor[ADDR_STRLEN];
	enum deletion what;
};

static const char *what_text(enum deletion d)
{
	switch (d) {
	case DELETION_BEGINS: return "goes with the next runs of apply";
	case DELETION_DONE: return "was not configured; deleted at the server";
	case DELETION_LEAVING: return "is going already";
	}
	return "";
}

static struct asked *find_asked(struct world *w, const struct addr *a)
{
	for (size_t i = w->state.n_asked; i-- > 0;) {
		struct asked *p = &w->state.asked[i];

		if (addr_equal(&p->record.receiver.ip, a) && *p->record.session_id &&
		    p->outcome != OUTCOME_REJECTED)
			return p;
	}
	return NULL;
}

static int audit(struct world *w, const char *neighbor, const char *server, const char *id)
{
	struct jv *line = jv_object_new();
	int r = jv_set_string(line, "neighbor", neighbor);

	r |= jv_set_string(line, "server", server);
	r |= jv_set_string(line, "session_id", id);
	if (r < 0) {
		jv_free(line);
		return r;
	}
	return world_audit(w, "delete", line);
}

static int begin(struct world *w, struct owned *o, const char *neighbor, enum deletion *ret)
{
	*ret = o->leaving == LEAVING_OPERATOR ? DELETION_LEAVING : DELETION_BEGINS;
	o->leaving = LEAVING_OPERATOR;
	o->tell = true;
	return audit(w, neighbor, jv_get_string(o->mapping, "server", ""),
		     jv_get_string(o->mapping, "session_id", ""));
}

static int delete_asked(struct world *w, struct asked *p, const char *neighbor)
{
	const struct server_settings *s = world_server(w, p->server);
	struct api_error e;

	if (!s)
		return -1;
	if (audit(w, neighbor, p->server, p->record.session_id) < 0)
		return -1;
	if (api_delete(world_api(w, s), p->record.session_id, &e) < 0) {
		world_progress_end(w);
		text_complain("%s", e.text);
		return -1;
	}
	p->outcome = OUTCOME_REJECTED;
	snprintf(p->reason, sizeof(p->reason), "deleted by us");
	return 0;
}

static int delete_one(struct world *w, const char *text, struct result *ret)
{
	struct owned *o;
	struct asked *p;
	struct errtext e;
	struct addr a;

	if (addr_parse(text, &a, &e) < 0) {
		text_complain("%s", e.text);
		return -1;
	}
	addr_format(&a, ret->neighbor);
	o = state_owned(&w->state, ret->neighbor);
	if (o && o->phase != PHASE_GONE)
		return begin(w, o, ret->neighbor, &ret->what);
	p = find_asked(w, &a);
	if (!p) {
		text_complain("%s is no session of ours ('status' lists them)", ret->neighbor);
		return -1;
	}
	ret->what = DELETION_DONE;
	return delete_asked(w, p, ret->neighbor);
}

static struct jv *describe(const struct result *results, size_t n)
{
	struct jv *o = jv_object_new(), *list = jv_array_new();
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		struct jv *item = jv_object_new();

		r |= jv_set_string(item, "neighbor", results[i].neighbor);
		r |= jv_set_string(item, "result", what_text(results[i].what));
		r |= jv_append(list, item);
	}
	r |= jv_set(o, "sessions", list);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

/* What was done before a failure stays done, and is saved. */
static enum cmd_exit run(const struct cmd *c, struct world *w, int argc, char **argv)
{
	_cleanup_free_ struct result *results = calloc(argc, sizeof(*results));
	enum cmd_exit code = CMD_OK;
	size_t n = 0;

	if (!results)
		return CMD_FAILED;
	for (int i = 1; i < argc; i++) {
		if (delete_one(w, argv[i], &results[n]) == 0)
			n++;
		else
			code = CMD_FAILED;
	}
	if (n && world_save(w) < 0)
		return CMD_FAILED;
	if (c->json)
		return cmd_print_json(describe(results, n), code);
	for (size_t i = 0; i < n; i++)
		text_print("  - %s: %s\n", results[i].neighbor, what_text(results[i].what));
	return code;
}

enum cmd_exit cmd_delete(const struct cmd *c, int argc, char **argv)
{
	enum cmd_exit code;
	struct world w;

	if (argc < 2 || argv[1][0] == '-')
		return cmd_usage("delete");
	if (world_open(&w, c->config, WORLD_WRITE, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	code = run(c, &w, argc, argv);
	world_close(&w);
	return code;
}
