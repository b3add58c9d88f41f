/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FRR's configuration as lines in contexts, and the commands that lead from one to another: FRR has
 * no file that its configuration includes, and nothing that makes a running one like a text.
 *
 * Pure. Understood are `router bgp` with its address families, route-maps, and lines that stand
 * alone; everything else of a running configuration is passed over.
 */
#ifndef BOTLS_FRR_CONFIG_H
#define BOTLS_FRR_CONFIG_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

struct frr_config;

/* `is_running`: FRR's own, where what is not understood is none of our business; else it is
 * -EINVAL, "line 7: ...". */
int frr_config_parse(const char *text, bool is_running, struct frr_config **ret, struct errtext *e);
void frr_config_free(struct frr_config *c); /* wipes it: it may hold passwords */
static inline void cleanup_frr_config(struct frr_config **c)
{
	frr_config_free(*c);
}
#define _cleanup_frr_config_ __attribute__((cleanup(cleanup_frr_config)))

/* Has `router bgp` of this AS the neighbor, with a description that begins with `mark`? */
bool frr_config_is_marked(const struct frr_config *c, uint32_t asn, const char *neighbor,
			  const char *mark);

/* The commands that make `running` as `wanted` wants it: what is missing is added, and what was
 * ours is removed. Ours are neighbors whose description begins with `mark`, route-maps named
 * botls_*, and what stands in `before` (NULL: unknown). Empty when there is nothing to do; free()
 * it. -EINVAL when bgpd does not run this AS, -EEXIST when a neighbor is somebody else's, -ENOENT
 * when a route-map that is named does not exist, with *e; -ENOMEM. */
int frr_config_commands(uint32_t asn, const char *mark, const struct frr_config *running,
			const struct frr_config *before, const struct frr_config *wanted,
			char **ret_script, struct errtext *e);

#endif
