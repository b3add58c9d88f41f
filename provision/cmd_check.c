// SPDX-License-Identifier: Apache-2.0
/* botls-provision check: the configuration, read and checked. */
#include "cmd.h"
#include "text.h"

#include <getopt.h>

static int add_problem(struct jv *list, const char *where, const char *text)
{
	struct jv *o = jv_object_new();
	int r = 0;

	r |= jv_set_string(o, "where", where);
	r |= jv_set_string(o, "text", text);
	return r | jv_append(list, o);
}

/* Problems go to a list for --json, else to standard error at once. */
static void on_problem(void *arg, const char *where, const char *text)
{
	struct jv *list = arg;

	if (!list)
		text_complain("%s: %s", where, text);
	else
		(void)add_problem(list, where, text);
}

static enum cmd_exit answer_json(const struct settings *s, struct jv *problems)
{
	struct jv *o = jv_object_new();
	int r = jv_set_bool(o, "ok", s != NULL);

	r |= jv_set(o, "problems", problems);
	if (s) {
		r |= jv_set_int(o, "asn", s->asn);
		r |= jv_set_int(o, "servers", s->n_servers);
		r |= jv_set_int(o, "peers", s->n_peers);
		r |= jv_set_int(o, "daemons", s->n_daemons);
	}
	if (r < 0) {
		jv_free(o);
		o = NULL;
	}
	return cmd_print_json(o, s ? CMD_OK : CMD_FAILED);
}

enum cmd_exit cmd_check(const struct cmd *c, int argc, char **argv)
{
	static const struct option options[] = {{"print", no_argument, NULL, 'p'}, {}};
	_cleanup_settings_ struct settings *s = NULL;
	struct jv *problems = c->json ? jv_array_new() : NULL;
	bool print = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "p", options, NULL)) != -1) {
		if (opt != 'p')
			return cmd_usage("check");
		print = true;
	}
	if (optind != argc)
		return cmd_usage("check");
	settings_load(c->config, on_problem, problems, &s);
	if (c->json)
		return answer_json(s, problems);
	if (!s)
		return CMD_FAILED;
	if (print)
		settings_print(s, stdout);
	else
		text_print("%s is right: AS %u, %zu servers, %zu peers, %zu daemons\n", c->config,
			   s->asn, s->n_servers, s->n_peers, s->n_daemons);
	return CMD_OK;
}
