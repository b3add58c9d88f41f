/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of config_load(): which files there are, and what their options say together. */
#ifndef BOTLS_CONFIG_PARSE_H
#define BOTLS_CONFIG_PARSE_H

#include "config_schema.h"

/* Reads and parses `path` and its neighbors.d. 0, -ENOMEM, or -errno of the first file that cannot
 * be read (also in `p`). */
int config_parse_files(const char *path, struct conf_problems *p, struct conf_blocks *b);

/* Reads the key blocks into c->keys and c->chains. 0 or -ENOMEM. */
int config_load_keys(struct config *c, struct conf_blocks *b, const struct keychain_key *defaults,
		     const struct conf_context *ctx, struct conf_problems *p);
void config_key_done(struct keychain_key *k);
/* NULL: no key belongs to it. */
const struct keychain *config_chain(const struct config *c, const char *name);

/* What one option alone does not show. */
void config_check_globals(const struct config *c, const struct conf_block *globals,
			  struct conf_problems *p);
/* `n` is complete; `globals` is what it inherits from. */
void config_check_neighbor(const struct neighbor_config *n, const struct conf_block *block,
			   const struct conf_block *globals, struct conf_problems *p);

/* A neighbor that is not off and whose address a kernel's key for the one at `at` would stand for,
 * too; NULL: none. `sorted` is in the order of config_compare_addresses(). */
const struct neighbor_config *config_find_covered(const struct neighbor_config *const *sorted,
						  size_t n, size_t at);

#endif
