/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind target.h: one set of functions for each kind of program. */
#ifndef BOTLS_TARGET_INTERNAL_H
#define BOTLS_TARGET_INTERNAL_H

#include "program.h"
#include "target.h"

#include <sys/types.h>

/* Each is the function of that name in target.h. */
struct target_ops {
	int (*render)(const struct target *t, const struct owned *const *sessions, size_t n,
		      char **ret_text, struct errtext *e);
	int (*read)(const struct target *t, char **ret_text, struct errtext *e);
	int (*write)(struct target *t, const char *text, struct errtext *e);
	int (*check)(struct target *t, struct errtext *e);
	int (*load)(struct target *t, const char *before, const char *text, struct errtext *e);
	int (*observe)(struct target *t, struct observation *ret);
	void (*free)(struct target *t);
};

struct target {
	const struct target_ops *ops;
	const char *name;
	const char *file;
	bool is_shim;
	void *impl; /* of the kind */
};

/* How a file of ours begins; a comment in all three languages. */
#define TARGET_MARK   "# Written by botls-provision;"
#define TARGET_HEADER TARGET_MARK " do not edit: what you change here is lost with the next run.\n"
/* How the description of a neighbor of ours begins in FRR. */
#define TARGET_DESCRIPTION "botls-provision:"
#define TARGET_SHUTDOWN	   "This BGP session is being removed"
#define TARGET_FILE_MAX	   ((size_t)32 << 20)
#define TARGET_OUTPUT_MAX  ((size_t)64 << 20) /* of a program that tells of its neighbors */

/* target_file.c */

/* As target_read(); also NULL for an empty file. */
int target_file_read(const char *path, char **ret_text, struct errtext *e);
/* As target_write(). `group`: (gid_t)-1 leaves it as it is for new files. */
int target_file_write(const char *path, const char *text, mode_t mode, gid_t group,
		      struct errtext *e);
/* Any file of at most `max` bytes without a byte 0; -ENOENT and so on with *e. */
int target_file_slurp(const char *path, size_t max, char **ret_text, struct errtext *e);

/* Runs a program that should read `path` and says in *ret_read whether it did; true, too, where the
 * kernel cannot tell. */
int target_run_reader(const struct program *p, const char *path, struct program_result *ret,
		      bool *ret_read, struct errtext *e);

/* target_text.c */

struct selected {
	const struct jv *mapping;
	const char *neighbor;
	enum phase phase;
	struct addr address;
};
/* The sessions that have a place in this target's file, by address. `daemon` NULL: of all. Refuses
 * what no file could hold safely: a text with a quote, a backslash or a control character in it.
 * free() *ret. */
int target_select(const struct owned *const *sessions, size_t n, const char *daemon,
		  struct selected **ret, size_t *ret_n, struct errtext *e);

/* -EINVAL: not a single address; else *ret is to be filled in, its neighbor is there. */
int observation_add(struct observation *o, const char *neighbor, struct observed **ret);

/* Fills *ret by `ask`; whatever fails but for memory is "not running", and why. */
int target_observe_by(struct target *t,
		      int (*ask)(struct target *t, struct observation *ret, struct errtext *e),
		      struct observation *ret);

/* jv_parse() of a program's answer: -EPROTO or -ENOMEM, with a printable text. */
int target_parse_json(const char *output, size_t len, struct jv **ret, struct errtext *e);

/* The names that stand in a text (NULL: none) behind `prefix`, at the beginning of a line and up to
 * a blank, a quote or a brace. */
struct names {
	char *text; /* cut behind each name; it may hold secrets */
	const char **items;
	size_t n;
};
int names_find(const char *text, const char *prefix, struct names *ret);
bool names_have(const struct names *n, const char *name);
void names_done(struct names *n);
#define _cleanup_names_ __attribute__((cleanup(names_done)))

/* The next line of a text, without its end; NULL after the last. *text moves on. */
const char *target_next_line(const char **text, size_t *ret_len);
/* 'neighbor 192.0.2.2 password ...': of a line of configuration what cannot be a secret. */
const char *target_line_beginning(const char *line, size_t len, char *buf, size_t size);

/* target_daemon.c: what BIRD and FRR have in common */

struct daemon_target {
	struct target target;
	const struct settings *settings;
	const struct daemon_settings *daemon;
	char *template_text; /* the operator's; NULL: built in */
	gid_t group;
};
int daemon_target_new(const struct settings *s, const struct daemon_settings *d,
		      const struct target_ops *ops, const char *group, struct target **ret,
		      struct errtext *e);
const struct daemon_target *daemon_target_of(const struct target *t);
int daemon_target_render(const struct target *t, const struct owned *const *sessions, size_t n,
			 char **ret_text, struct errtext *e);
int daemon_target_read(const struct target *t, char **ret_text, struct errtext *e);
int daemon_target_write(struct target *t, const char *text, struct errtext *e);
void daemon_target_free(struct target *t);

/* What the programs print, told apart from running them. `file` is the text of our file (NULL:
 * none). -ENOMEM, or -EPROTO with *e when it is not understood. */
int shim_observe(const char *output, size_t len, const char *file, struct observation *ret,
		 struct errtext *e);
int bird_observe(const char *output, const char *file, struct observation *ret, struct errtext *e);
int frr_observe(const char *output, size_t len, struct observation *ret, struct errtext *e);
/* Has the reload of botlsctl, the configure of birdc, the vtysh -f been accepted? */
int shim_judge(const char *output, size_t len, int status, struct errtext *e);
int bird_judge(const char *output, const char *command, const struct daemon_target *d,
	       struct errtext *e);
/* `commands` is what vtysh read, `name` what it is called. */
int frr_judge(const char *out, const char *err, int status, const char *commands, const char *name,
	      struct errtext *e);

int target_new_bird(const struct settings *s, const struct daemon_settings *d, struct target **ret,
		    struct errtext *e);
int target_new_frr(const struct settings *s, const struct daemon_settings *d, struct target **ret,
		   struct errtext *e);

#endif
