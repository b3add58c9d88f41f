/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option of botlsd.conf(5), declared once: name, type, range, default, where it may stand,
 * what a change of it means. Reading, printing, comparing and the manual's test walk this table.
 */
#ifndef BOTLS_CONFIG_SCHEMA_H
#define BOTLS_CONFIG_SCHEMA_H

#include "conf.h"
#include "config.h"

/* The kinds of blocks. Fields of what is of CONF_GLOBAL alone are in struct config, those of a key
 * in struct keychain_key, all others in struct neighbor_config. */
enum config_kind { KIND_NEIGHBOR, KIND_KEY };
#define SCOPE_NEIGHBOR CONF_KIND(KIND_NEIGHBOR)
#define SCOPE_KEY      CONF_KIND(KIND_KEY)

/* What a change of an option does on a reload. */
enum config_effect {
	EFFECT_LATER,	/* global: applied; neighbor: the next session uses it */
	EFFECT_RESET,	/* sessions of the neighbor end */
	EFFECT_TIGHTEN, /* they end unless the new value accepts all that the old one did */
	EFFECT_RESTART, /* a reload cannot apply it */
};

extern const struct conf_schema config_schema;

static inline const struct conf_option *config_option(const char *name)
{
	return conf_option(&config_schema, name, CONF_GLOBAL | SCOPE_NEIGHBOR | SCOPE_KEY);
}

/* True when everything that `old` accepts is accepted by `new` too. */
bool config_is_wider(const struct conf_option *o, const void *new, const void *old);

#endif
