/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state*.c share; fuzzing and tests come in here too.
 *
 *	state.c		the lists in memory
 *	state_json.c	the text of state.json, both ways
 *	state_store.c	the folder: lock, files, generations
 */
#ifndef BOTLS_STATE_INTERNAL_H
#define BOTLS_STATE_INTERNAL_H

#include "state.h"

#define STATE_VERSION 1

/* Takes the whole text or nothing of it. -EINVAL, -E2BIG with what is wrong where, -ENOMEM. */
int state_parse(const char *text, size_t len, struct state *ret, struct errtext *e);
/* free() it after wiping: it holds secrets. NULL: out of memory. */
char *state_dump(const struct state *s, size_t *ret_len);

/* Overwrites the secrets of a mapping. */
void state_wipe_mapping(const struct jv *m);

#endif
