// SPDX-License-Identifier: Apache-2.0
/* botls-provision template: prints a built-in template, as a beginning for one's own. */
#include "cmd.h"
#include "template.h"
#include "text.h"

enum cmd_exit cmd_template(const struct cmd *c, int argc, char **argv)
{
	const char *text = argc == 2 ? template_builtin(argv[1]) : NULL;
	struct jv *o;

	if (!text)
		return cmd_usage("template");
	if (!c->json) {
		fputs(text, stdout);
		return CMD_OK;
	}
	o = jv_object_new();
	if (jv_set_string(o, "template", text) < 0) {
		jv_free(o);
		o = NULL;
	}
	return cmd_print_json(o, CMD_OK);
}
