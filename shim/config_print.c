// SPDX-License-Identifier: Apache-2.0
#include "config_schema.h"

static void print_global(const struct conf_option *o, const struct config *c, FILE *out)
{
	putc('\n', out);
	conf_print_comment(o->help, out);
	conf_print(o, c, "", out);
}

/* What config_load() set to a fixed value may not be set by a block. */
static bool counts(const struct conf_option *o, const struct neighbor_config *n)
{
	if (!strcmp(o->name, "fallback-after"))
		return n->mode == MODE_PREFERRED;
	if (!strcmp(o->name, "max-sessions"))
		return addr_is_prefix(&n->address);
	if (strncmp(o->name, "tcp-ao-", 7) != 0)
		return true;
	if (!strcmp(o->name, "tcp-ao-policy"))
		return n->ao.mode != AO_OFF && n->ao.mode != AO_CAPABILITY;
	if (!strcmp(o->name, "tcp-ao-rekey"))
		return n->ao.mode == AO_EXPORTER || n->ao.mode == AO_CAPABILITY;
	if (!strcmp(o->name, "tcp-ao-capability-code"))
		return n->ao.mode == AO_CAPABILITY;
	if (!strcmp(o->name, "tcp-ao-algorithm") || !strcmp(o->name, "tcp-ao-options"))
		return n->ao.mode != AO_OFF && !n->ao.chain_name;
	if (!strcmp(o->name, "tcp-ao-chain"))
		return n->ao.mode == AO_STATIC;
	return n->ao.mode == AO_STATIC && !n->ao.chain_name;
}

static void print_key(const struct keychain_key *k, FILE *out)
{
	putc('\n', out);
	conf_print_comment(k->origin, out);
	fprintf(out, "key \"%s\" {\n", k->name);
	for (size_t i = 0; i < config_schema.n_options; i++)
		if (config_schema.options[i].scope & SCOPE_KEY)
			conf_print(&config_schema.options[i], k, "\t", out);
	fputs("}\n", out);
}

void config_print(const struct config *c, FILE *out)
{
	conf_print_comment(c->path, out);
	for (size_t i = 0; i < config_schema.n_options; i++)
		if (config_schema.options[i].scope == CONF_GLOBAL)
			print_global(&config_schema.options[i], c, out);
	for (size_t i = 0; i < c->n_keys; i++)
		print_key(&c->keys[i], out);
	for (size_t i = 0; i < c->n_neighbors; i++) {
		const struct neighbor_config *n = &c->neighbors[i];

		putc('\n', out);
		conf_print_comment(n->origin, out);
		fprintf(out, "neighbor \"%s\" {\n", n->name);
		for (size_t j = 0; j < config_schema.n_options; j++) {
			const struct conf_option *o = &config_schema.options[j];

			if ((o->scope & SCOPE_NEIGHBOR) && counts(o, n))
				conf_print(o, n, "\t", out);
		}
		fputs("}\n", out);
	}
}
