/* SPDX-License-Identifier: Apache-2.0 */
/* Between frr_config.c, which reads, and frr_config_commands.c, which compares. */
#ifndef BOTLS_FRR_CONFIG_INTERNAL_H
#define BOTLS_FRR_CONFIG_INTERNAL_H

#include "frr_config.h"

#define FRR_NAME_MAX 128

/* One command. `full` is its context, a newline, and its text with single blanks; `key` is the same
 * without the value: two lines with one key replace each other. A route-map's entry is a line of
 * its own, without a context, as is `router bgp`. */
struct frr_line {
	char *full, *key;
	const char *text; /* in full */
	size_t context_len;
	char name[FRR_NAME_MAX]; /* of the neighbor, or of the route-map that it begins or is in */
	bool is_neighbor, is_route_map;
	bool is_entry; /* begins a context */
	bool is_first; /* of its neighbor, as the text has them */
};

struct frr_config {
	struct frr_line *lines;
	size_t n;
	struct frr_line **by_full, **by_key, **by_name;
};

/* "router bgp 64501", also with an address family behind it? */
bool frr_line_is_bgp(const struct frr_line *l, uint32_t asn);
bool frr_config_has(const struct frr_config *c, const char *full);
bool frr_config_has_key(const struct frr_config *c, const char *key);
/* The first line about this neighbor of this AS, NULL: none. */
const struct frr_line *frr_config_neighbor(const struct frr_config *c, uint32_t asn,
					   const char *name);
const struct frr_line *frr_config_route_map(const struct frr_config *c, const char *name);

#endif
