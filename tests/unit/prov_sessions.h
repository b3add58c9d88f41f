/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings, owned sessions and judgements for tests, in a line each. */
#ifndef PROV_SESSIONS_H
#define PROV_SESSIONS_H

#include "policy.h"
#include "state.h"

#define PROV_NOW ((int64_t)1763640000) /* 2025-11-20T12:00:00Z */

/* All of mapping.h that must be there. `daemon` NULL: none. */
struct jv *prov_mapping(const char *neighbor, const char *server, const char *session_id,
			const char *daemon);
/* Their session_id is "s-" and the neighbor. */
struct owned prov_owned(const char *neighbor, const char *server, const char *daemon);
struct judgement prov_judgement(const struct server_settings *server, const char *neighbor,
				enum verdict verdict, const char *daemon);

#endif
