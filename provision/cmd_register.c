// SPDX-License-Identifier: Apache-2.0
/* botls-provision register: makes our identity provider known to a server, which gives us a client
 * id for it (draft-ietf-grow-peering-api-01, RPKI Attested OAuth). */
#include "cmd.h"
#include "text.h"

enum cmd_exit cmd_register(const struct cmd *c, int argc, char **argv)
{
	const struct server_settings *s;
	enum cmd_exit code = CMD_FAILED;
	char id[RECORD_ID_MAX];
	struct api_error e;
	struct world w;
	struct jv *o;

	if (argc != 3 || strncmp(argv[2], "https://", 8) != 0)
		return cmd_usage("register");
	if (world_open(&w, c->config, WORLD_WRITE, c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	s = world_server(&w, argv[1]);
	if (s && api_register(world_api(&w, s), argv[2], id, &e) < 0) {
		text_complain("%s", e.text);
	} else if (s && c->json) {
		o = jv_object_new();
		if (jv_set_string(o, "client_id", id) < 0) {
			jv_free(o);
			o = NULL;
		}
		code = cmd_print_json(o, CMD_OK);
	} else if (s) {
		text_print("%s knows us now. In its block:\n    client-id = \"%s\"\n", s->name, id);
		code = CMD_OK;
	}
	world_close(&w);
	return code;
}
