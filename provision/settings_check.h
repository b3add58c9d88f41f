/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of settings_check.c and settings_server.c share. */
#ifndef BOTLS_SETTINGS_CHECK_H
#define BOTLS_SETTINGS_CHECK_H

#include "settings_schema.h"

/* "NAME is missing: set it to WHAT", unless it was given and refused. */
void settings_missing(const struct settings_checker *c, const struct conf_block *b,
		      const char *name, const char *what);
void settings_check_asn(const struct settings_checker *c, struct conf_place at, uint32_t asn);
/* An option and the one that names a file with the same. */
void settings_check_pair(const struct settings_checker *c, const struct conf_block *b,
			 const char *name);
void settings_check_secret(const struct settings_checker *c, const struct conf_block *b,
			   const char *name, const char *secret);
/* https, or http to a loopback address where that is allowed. */
void settings_check_url(const struct settings_checker *c, const struct conf_block *b,
			const char *name, const char *url, const char *allow_name, bool allow);
void settings_check_no_query(const struct settings_checker *c, const struct conf_block *b,
			     const char *name, const char *url);

#endif
