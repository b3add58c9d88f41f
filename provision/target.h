/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target is a program that is told about sessions through one file of ours: the shim (its
 * neighbors.d file), BIRD (a file that its configuration includes), FRR (a file of commands that
 * vtysh reads). This is the interface; target_shim.c, target_bird.c, target_frr.c are behind it.
 *
 * Rendering is pure. Nothing but that one file is ever written; it is replaced atomically (a
 * temporary file beside it, fsync, rename, fsync of the folder).
 */
#ifndef BOTLS_TARGET_H
#define BOTLS_TARGET_H

#include "state.h"

struct target;
/* `s` and `d` must outlive it. -ENOENT and so on when the operator's template cannot be read, or
 * there is no such group. */
int target_new_shim(const struct settings *s, struct target **ret);
int target_new_daemon(const struct settings *s, const struct daemon_settings *d,
		      struct target **ret, struct errtext *e);
void target_free(struct target *t);

const char *target_name(const struct target *t); /* "botlsd", or the daemon block's name */
const char *target_file(const struct target *t);
bool target_is_shim(const struct target *t);

/* The whole text of the file for these sessions (those of other daemons and PHASE_GONE are left
 * out; the shim's neighbors in PHASE_SHUT stay). The same input gives the same text, whatever its
 * order. No session at all: a file with the header only. free() it: it may hold secrets. */
int target_render(const struct target *t, const struct owned *const *sessions, size_t n,
		  char **ret_text, struct errtext *e);

/* What is in the file now; *ret is NULL when there is none. A file that does not begin with our
 * header is not ours: -EEXIST with what to do. */
int target_read(const struct target *t, char **ret_text, struct errtext *e);

/* Puts the text in place. */
int target_write(struct target *t, const char *text, struct errtext *e);
/* Does the program accept its configuration with what is in the file, and does that take the file
 * in? botlsd -n, bird -p, FRR's vtysh -C (it knows words and not what they mean: what is wrong in
 * another way is found by target_load()). -EINVAL with its complaint. */
int target_check(struct target *t, struct errtext *e);
/* Makes the running program follow the file. `before` is the text that it follows now (NULL:
 * unknown or none). -ENOTCONN when the program does not run. */
int target_load(struct target *t, const char *before, const char *text, struct errtext *e);

/* What the running program says of its neighbors. */
struct observed {
	char neighbor[ADDR_STRLEN];
	bool is_ours; /* BIRD: the protocol is one of our file's; FRR: description is ours; shim:
		       * its block stands in our file */
	bool is_established; /* shim: over TLS, or in clear text where the mode allows it */
	bool is_shut;	     /* administratively down; never of the shim */
	char mode[16];	     /* shim only */
	char state[32];	     /* the program's own word */
	uint32_t remote_as;  /* 0: not told */
};
struct observation {
	bool is_running; /* false: the rest is empty, `problem` says why */
	char problem[256];
	struct observed *items;
	size_t n;
};
int target_observe(struct target *t, struct observation *ret); /* -ENOMEM */
void observation_done(struct observation *o);
const struct observed *observation_find(const struct observation *o, const char *neighbor);

#endif
