/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that holds secrets: what malloc(3) gave is wiped before it goes back, so that no secret
 * stands in a core dump, or in memory that is used again.
 */
#ifndef BOTLS_WIPE_H
#define BOTLS_WIPE_H

#include <stddef.h>

void wipe_free(void *p);
/* Like realloc(3), which leaves a copy behind when it moves. On failure `p` is as it was. */
void *wipe_realloc(void *p, size_t size);

static inline void cleanup_wiped(void *p)
{
	wipe_free(*(void **)p);
}
#define _cleanup_wiped_ __attribute__((cleanup(cleanup_wiped)))

#endif
