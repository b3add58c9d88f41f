// SPDX-License-Identifier: Apache-2.0
#include "settings_schema.h"

/* What has no meaning there may not be set by a block. */
static bool counts(const struct conf_option *o, const void *item)
{
	if (!strcmp(o->name, "client-auth"))
		return ((const struct server_settings *)item)->auth == AUTH_CLIENT_CREDENTIALS;
	return true;
}

static void print_block(unsigned i, const void *item, const char *origin, const char *title,
			FILE *out)
{
	putc('\n', out);
	conf_print_comment(origin, out);
	fprintf(out, "%s \"%s\" {\n", settings_schema.kinds[i].name, title);
	for (size_t j = 0; j < settings_schema.n_options; j++) {
		const struct conf_option *o = &settings_schema.options[j];

		if ((o->scope & CONF_KIND(i)) && counts(o, item))
			conf_print(o, item, "\t", out);
	}
	fputs("}\n", out);
}

void settings_print(const struct settings *s, FILE *out)
{
	conf_print_comment(s->path, out);
	for (size_t i = 0; i < settings_schema.n_options; i++) {
		const struct conf_option *o = &settings_schema.options[i];

		if (o->scope != CONF_GLOBAL)
			continue;
		putc('\n', out);
		conf_print_comment(o->help, out);
		conf_print(o, s, "", out);
	}
	for (size_t i = 0; i < s->n_servers; i++)
		print_block(SERVER_BLOCK, &s->servers[i], s->servers[i].origin, s->servers[i].name,
			    out);
	for (size_t i = 0; i < s->n_peers; i++) {
		char title[16];

		snprintf(title, sizeof(title), "AS%u", s->peers[i].asn);
		print_block(PEER_BLOCK, &s->peers[i], s->peers[i].origin, title, out);
	}
	for (size_t i = 0; i < s->n_daemons; i++)
		print_block(DAEMON_BLOCK, &s->daemons[i], s->daemons[i].origin, s->daemons[i].name,
			    out);
}
