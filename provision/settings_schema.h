/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option of botls-provision.conf(5), declared once: name, type, range, default, where it may
 * stand. Reading, printing and the manual's test walk this table. And the steps of settings_load().
 */
#ifndef BOTLS_SETTINGS_SCHEMA_H
#define BOTLS_SETTINGS_SCHEMA_H

#include "conf.h"
#include "settings.h"

enum { SERVER_BLOCK, PEER_BLOCK, DAEMON_BLOCK, N_BLOCKS };
#define SCOPE_SERVER CONF_KIND(SERVER_BLOCK)
#define SCOPE_PEER   CONF_KIND(PEER_BLOCK)
#define SCOPE_DAEMON CONF_KIND(DAEMON_BLOCK)

extern const struct conf_schema settings_schema;

/* settings_check.c. What one option alone does not show. `globals` is what stands outside of the
 * blocks; the structs are complete, but for what was refused. */
struct settings_checker {
	const struct settings *settings;
	const struct peer_settings *peer_defaults;
	const struct conf_block *globals;
	struct conf_problems *problems;
};
void settings_check_globals(const struct settings_checker *c); /* and defaults of peers */
void settings_check_server(const struct settings_checker *c, const struct server_settings *s,
			   const struct conf_block *block);
void settings_check_peer(const struct settings_checker *c, const struct peer_settings *p,
			 const struct conf_block *block);
/* After all daemons are there. */
void settings_check_daemon(const struct settings_checker *c, const struct daemon_settings *d,
			   const struct conf_block *block);

#endif
