// SPDX-License-Identifier: Apache-2.0
/* botls-provision accept: sessions that a server proposed are wanted here too. */
#include "cmd.h"
#include "text.h"

/* The newest proposal for that address; NULL after saying that there is none. */
static struct asked *find(struct world *w, const struct server_settings *s, const char *text)
{
	struct addr a;
	struct errtext e;

	if (addr_parse(text, &a, &e) < 0) {
		text_complain("%s", e.text);
		return NULL;
	}
	for (size_t i = w->state.n_asked; i-- > 0;) {
		struct asked *p = &w->state.asked[i];

		if (strcmp(p->server, s->name) == 0 && p->is_extra &&
		    addr_equal(&record_theirs(&p->record, s->side)->ip, &a))
			return p;
	}
	text_complain("%s has proposed no session with %s ('status' lists them)", s->name, text);
	return NULL;
}

static int accept_one(struct world *w, const struct server_settings *s, struct asked *p)
{
	struct jv *line = jv_object_new();
	int r = jv_set_string(line, "server", s->name);

	p->is_accepted = true;
	r |= jv_set(line, "session", record_describe(&p->record));
	if (r < 0) {
		jv_free(line);
		return r;
	}
	return world_audit(w, "accepted", line);
}

static enum cmd_exit run(const struct cmd *c, struct world *w, int argc, char **argv)
{
	const struct server_settings *s = world_server(w, argv[1]);
	struct jv *o;

	if (!s)
		return CMD_FAILED;
	/* All or none. */
	for (int i = 2; i < argc; i++)
		if (!find(w, s, argv[i]))
			return CMD_FAILED;
	for (int i = 2; i < argc; i++) {
		struct asked *p = find(w, s, argv[i]);

		if (!p || accept_one(w, s, p) < 0)
			return CMD_FAILED;
	}
	if (world_save(w) < 0)
		return CMD_FAILED;
	if (!c->json) {
		text_print("%d accepted; apply configures them.\n", argc - 2);
		return CMD_OK;
	}
	o = jv_object_new();
	if (jv_set_int(o, "accepted", argc - 2) < 0) {
		jv_free(o);
		o = NULL;
	}
	return cmd_print_json(o, CMD_OK);
}

enum cmd_exit cmd_accept(const struct cmd *c, int argc, char **argv)
{
	enum cmd_exit code;
	struct world w;

	if (argc < 3)
		return cmd_usage("accept");
	if (world_open(&w, c->config, WORLD_WRITE, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	code = run(c, &w, argc, argv);
	world_close(&w);
	return code;
}
