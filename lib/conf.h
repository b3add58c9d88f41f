/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: text in libconfuse's language in, values in the fields of plain structs out.
 *
 * A program declares a schema: a table of options (name, type, range, default, where it may stand,
 * the field that it fills) and the kinds of blocks. Reading has two steps: conf_parse_file() makes
 * blocks of settings that are not interpreted yet, conf_apply() puts their values into the
 * program's structs. Everything that is wrong is collected and handed over at once, in file order.
 *
 * Schemas are static. Strings and lists in fields are on the heap and belong to the struct that
 * holds them; conf_clear() frees them. Only conf_parse.c sees libconfuse, and its lexer is one
 * global object: one thread.
 */
#ifndef BOTLS_CONF_H
#define BOTLS_CONF_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

#define CONF_BYTES_MAX	  (32 << 20) /* of all files together */
#define CONF_OPTIONS_MAX  128	     /* rows of a schema */
#define CONF_KINDS_MAX	  8
#define CONF_PROBLEMS_MAX 1000 /* the rest is counted */
#define CONF_SECRET_MAX	  8192
#define CONF_NAME_MAX	  64   /* bytes of a plain name */
#define CONF_WORD_MAX	  1023 /* bytes of a word of a command */
#define CONF_EXPECTS_LEN  192
#define CONF_TIME_LEN	  32

/* ---- the schema ---- */

/* The type of the field is in brackets; a list has a size_t beside it, its count. */
enum conf_type {
	CONF_BOOL,	  /* [bool] */
	CONF_NUMBER,	  /* [unsigned of any size] */
	CONF_SECONDS,	  /* [unsigned]; 90, 90s, 2m, 1h, 1d */
	CONF_TIME,	  /* [uint64_t] seconds since the epoch, RFC 3339; 0: not set */
	CONF_ENUM,	  /* [enum] */
	CONF_AS,	  /* [uint32_t] asplain or asdot, RFC 5396; 0: not set */
	CONF_TEXT,	  /* [char *] printable UTF-8 */
	CONF_ACCOUNT,	  /* [char *] name of a user or a group */
	CONF_NAME,	  /* [char *] letters, digits, "_.:-" */
	CONF_PATH,	  /* [char *] made absolute */
	CONF_URL,	  /* [char *] http or https, RFC 3986; no user, no fragment */
	CONF_SOURCE,	  /* [char *] such a URL, or a path, made absolute */
	CONF_PROGRAM,	  /* [char *] a plain name (of PATH), or a path, made absolute */
	CONF_ADDRESS,	  /* [struct addr] single host */
	CONF_SECRET,	  /* [char *] */
	CONF_SECRET_FILE, /* fills the field of the secret whose name it extends by "-file" */
	CONF_ACCOUNTS,	  /* [char **] */
	CONF_NAMES,	  /* [char **] */
	CONF_DNS_NAMES,	  /* [char **] host names, RFC 1123 */
	CONF_WORDS,	  /* [char **] a command and its arguments */
	CONF_ADDRESSES,	  /* [struct addr *] single hosts */
	CONF_PINS,	  /* [uint8_t (*)[SPKI_PIN_LEN]] */
};

/* Where an option may stand: a set of these. One that may stand in a block and outside of all
 * blocks is a default for the blocks when it stands outside; its field is in the block's struct. */
#define CONF_GLOBAL  1U
#define CONF_KIND(i) (2U << (i)) /* in blocks of the schema's i-th kind */

struct conf_option {
	const char *name; /* several rows may have it when no block can hold two of them */
	enum conf_type type;
	unsigned scope;
	unsigned effect;	  /* what a change of it means: the program's */
	size_t offset, size;	  /* of the field: in the struct for what stands outside
				   * (CONF_GLOBAL alone), or in that of each kind in `scope` */
	size_t count_offset;	  /* lists: of the size_t */
	uint64_t min, max;	  /* numbers; strings: max length; lists: max count */
	bool zero;		  /* numbers: 0 too */
	const char *const *names; /* CONF_ENUM: in the order of the enum, `max` is the last */
	int first;		  /* CONF_ENUM: the number of the first name, 0 or -1 */
	const char *initial; /* the default as it would be written; NULL: none, or it depends (then
				`help` says on what) */
	const char *help;    /* one line, without the value */
	const char *noun;    /* secrets: what it is; NULL: "key" */
	size_t secret_max;   /* CONF_SECRET_FILE: length of the secret, up to CONF_SECRET_MAX */
};

struct conf_kind {
	const char *name; /* "neighbor": the word before the title; an option may have it too */
	size_t max;	  /* blocks */
};

struct conf_schema {
	const char *manual;	/* "botlsd.conf(5)" */
	const char *no_include; /* what to do instead of include */
	const struct conf_option *options;
	size_t n_options;
	const struct conf_kind *kinds;
	size_t n_kinds;
};

static inline unsigned conf_kind_scope(const struct conf_schema *s, const struct conf_kind *k)
{
	return k ? CONF_KIND(k - s->kinds) : CONF_GLOBAL;
}

/* The row called `name` that may stand in one of `scope`, or NULL. */
const struct conf_option *conf_option(const struct conf_schema *s, const char *name,
				      unsigned scope);
bool conf_is_list(const struct conf_option *o);
bool conf_is_string(const struct conf_option *o);
bool conf_is_secret(const struct conf_option *o);

/* "0 to 600 seconds": the range or the form of its values, for messages and the manual's test.
 * Returns buf. */
const char *conf_expects(const struct conf_option *o, char buf[static CONF_EXPECTS_LEN]);

/* What `word` was probably meant to be, among the options of `scope` (and the kinds of blocks, if
 * that has CONF_GLOBAL); NULL when none is near. */
const char *conf_suggest(const struct conf_schema *s, const char *word, unsigned scope);

/* ---- values ---- */

/* Stands for a secret in what is printed. */
#define CONF_HIDDEN "<hidden>"

/* Where relative paths begin, and what a value may do. */
struct conf_context {
	const char *folder; /* absolute; NULL: paths must be absolute, no file is read, a secret
			       may be CONF_HIDDEN */
};

/* The field of the option; of a list: its length; of a number or an enum: its value. */
static inline const void *conf_field(const struct conf_option *o, const void *base)
{
	return (const char *)base + o->offset;
}
static inline size_t conf_count(const struct conf_option *o, const void *base)
{
	return *(const size_t *)((const char *)base + o->count_offset);
}
uint64_t conf_number(const struct conf_option *o, const void *base);
/* CONF_ENUM: the name of the value. */
const char *conf_name(const struct conf_option *o, const void *base);

/* Puts the value written as `values` into its field in `base` and frees what was there; an error
 * leaves the field as it was. Returns 0, -ENOMEM, or -EINVAL with *e saying what is wrong with it
 * and what would be right. Secrets are not in *e. */
int conf_set(const struct conf_option *o, void *base, const struct conf_context *ctx,
	     char *const *values, size_t n, struct errtext *e);
int conf_set_initial(const struct conf_option *o, void *base);

/* An AS number in asplain or asdot (RFC 5396), 0 too; -EINVAL. */
int conf_parse_as(const char *text, uint32_t *ret);

/* Seconds since the epoch of 2026-12-01, 2026-12-01T00:00Z, 2026-12-01T01:00:00+01:00 (RFC 3339;
 * a date alone is its beginning in UTC, a time needs its offset); -EINVAL. And back, always in UTC
 * and whole; returns buf. */
int conf_parse_time(const char *text, uint64_t *ret);
const char *conf_format_time(uint64_t seconds, char buf[static CONF_TIME_LEN]);

void conf_clear(const struct conf_option *o, void *base);
int conf_copy(const struct conf_option *o, void *to, const void *from); /* -ENOMEM */
bool conf_equal(const struct conf_option *o, const void *a, const void *b);
/* Lists: everything in that of `b` is in that of `a` too. */
bool conf_contains_all(const struct conf_option *o, const void *a, const void *b);
/* Nothing to print: an optional value that is not there. */
bool conf_is_unset(const struct conf_option *o, const void *base);

/* "name = value" and a newline, behind `indent`; nothing for an unset one and for CONF_SECRET_FILE.
 */
void conf_print(const struct conf_option *o, const void *base, const char *indent, FILE *out);
/* "# text"; a line break in it does not end the comment. */
void conf_print_comment(const char *text, FILE *out);

/* ---- problems ---- */

/* `where` is "file:line". */
typedef void conf_report_fn(void *arg, const char *where, const char *text);

/* Where something stands. `file` numbers the files in the order of reading; line 0: the file as
 * such. */
struct conf_place {
	unsigned file, line;
};

struct conf_problems;
int conf_problems_new(struct conf_problems **ret); /* -ENOMEM */
void conf_problems_free(struct conf_problems *p);
/* Names the next file; returns its number, or -ENOMEM. */
int conf_problems_add_file(struct conf_problems *p, const char *name);
const char *conf_problems_file(const struct conf_problems *p, unsigned file);
void conf_problem(struct conf_problems *p, struct conf_place at, const char *fmt, ...) PRINTF(3, 4);
/* That the file could not be read: -errno of it. */
void conf_problem_unreadable(struct conf_problems *p, unsigned file, int error);
/* Zero when nothing is wrong. */
size_t conf_problems_count(const struct conf_problems *p);
/* For a text that a stranger may have written, and where what is wrong is of no interest: one is
 * enough, and of a list no more is kept than it may have. Costs then follow the length. */
void conf_problems_be_strict(struct conf_problems *p);
bool conf_problems_are_strict(const struct conf_problems *p);
bool conf_problems_are_enough(const struct conf_problems *p);
/* Hands all of them over by file and line; those of one line in the order in which they were found.
 */
void conf_problems_report(struct conf_problems *p, conf_report_fn *report, void *arg);

static inline void cleanup_conf_problems(struct conf_problems **p)
{
	conf_problems_free(*p);
}
#define _cleanup_conf_problems_ __attribute__((cleanup(cleanup_conf_problems)))

/* ---- blocks ---- */

/* An option as it was written. */
struct conf_setting {
	const struct conf_option *option;
	char **values;
	size_t n_values;
	unsigned line;
	bool is_bad; /* its value was refused */
};

/* A block, or what stands outside of all of them. */
struct conf_block {
	const struct conf_kind *kind; /* NULL: outside */
	struct conf_place begin;
	char *title; /* NULL: could not be read */
	struct conf_setting *settings;
	size_t n_settings;
	bool is_incomplete; /* something in it was not understood: what is missing is not to be
			       complained about */
};

struct conf_blocks {
	struct conf_block globals;
	struct conf_block *items; /* of all kinds, in the order of the files */
	size_t n_items;
	size_t n_of[CONF_KINDS_MAX]; /* by kind */
};
void conf_blocks_done(struct conf_blocks *b);

/* NULL: the block does not set it. */
const struct conf_setting *conf_setting(const struct conf_block *b, const char *name);
static inline bool conf_has(const struct conf_block *b, const char *name)
{
	return conf_setting(b, name) != NULL;
}
/* Where the block sets the option, else where it begins. */
struct conf_place conf_place_of(const struct conf_block *b, const char *name);
/* True when the value that counts in the block, its own or else that of `globals`, was refused. */
bool conf_is_bad(const struct conf_block *b, const struct conf_block *globals, const char *name);

/* Adds what the text says to `b`. Everything that is wrong goes to `p`. 0 or -ENOMEM.
 * only_blocks: NULL, or why nothing may stand outside of the blocks of this file. */
int conf_parse(const struct conf_schema *s, const char *text, size_t len, unsigned file,
	       const char *only_blocks, struct conf_problems *p, struct conf_blocks *b);

/* The same from a file, of at most *room bytes, which become less. -ENOMEM, or the -errno of a file
 * that cannot be read, also in `p`; -EFBIG: too long, -EBADF: not a regular file. A secret in a
 * file that everybody may read is a problem too. */
int conf_parse_file(const struct conf_schema *s, const char *path, const char *only_blocks,
		    size_t *room, struct conf_problems *p, struct conf_blocks *b);

/* The structs that hold the fields: for what stands outside, and for each kind of block. */
struct conf_bases {
	void *globals;
	void *kinds[CONF_KINDS_MAX];
};

/* Defaults of all options. 0 or -ENOMEM. */
int conf_apply_initial(const struct conf_schema *s, const struct conf_bases *to);
/* The block's settings; those of a value that is refused are marked and go to `p`. What stands
 * outside goes to bases->globals, or as a default to each kind that may have it; a block's goes to
 * the struct of its kind. 0 or -ENOMEM. */
int conf_apply(const struct conf_schema *s, struct conf_block *b, const struct conf_bases *to,
	       const struct conf_context *ctx, struct conf_problems *p);
/* Copies all that may stand in blocks of that kind, or frees it. */
int conf_inherit(const struct conf_schema *s, const struct conf_kind *k, void *to,
		 const void *from); /* -ENOMEM */
void conf_done(const struct conf_schema *s, const struct conf_kind *k, void *base);

#endif
