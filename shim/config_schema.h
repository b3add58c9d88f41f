/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option of botlsd.conf(5), declared once: name, type, range, default, where it may stand,
 * what a change of it means. Reading, printing, comparing and the manual's test walk this table.
 * No libconfuse here.
 */
#ifndef BOTLS_CONFIG_SCHEMA_H
#define BOTLS_CONFIG_SCHEMA_H

#include "config.h"

enum option_type {
	OPTION_BOOL,
	OPTION_NUMBER,
	OPTION_SECONDS,
	OPTION_ENUM,
	OPTION_AS,
	OPTION_TEXT,
	OPTION_ACCOUNT, /* name of a user or a group */
	OPTION_PATH,
	OPTION_ADDRESS, /* single host */
	OPTION_SECRET,
	OPTION_SECRET_FILE, /* fills the field of the secret whose name it extends by "-file" */
	OPTION_ACCOUNTS,
	OPTION_DNS_NAMES,
	OPTION_PINS,
};

/* Where an option may stand. One of both scopes is a default for the neighbors when it stands
 * outside of their blocks; its field is in struct neighbor_config. */
enum option_scope { SCOPE_GLOBAL = 1, SCOPE_NEIGHBOR = 2, SCOPE_BOTH = 3 };

/* What a change of it does on a reload. */
enum option_effect {
	EFFECT_LATER,	/* global: applied; neighbor: the next session uses it */
	EFFECT_RESET,	/* sessions of the neighbor end */
	EFFECT_TIGHTEN, /* they end unless the new value accepts all that the old one did */
	EFFECT_RESTART, /* a reload cannot apply it */
};

struct option {
	const char *name;
	enum option_type type;
	enum option_scope scope;
	enum option_effect effect;
	size_t offset,
		size; /* of the field in struct config (SCOPE_GLOBAL) or struct neighbor_config */
	size_t count_offset;	  /* lists: of the size_t beside it */
	uint64_t min, max;	  /* numbers; text and lists: length */
	bool zero;		  /* numbers: 0 too */
	const char *const *names; /* OPTION_ENUM: in the order of the enum */
	const char *initial; /* the default as it would be written; NULL: none, or it depends (then
				`help` says on what) */
	const char *help;    /* one line, without the value */
};

extern const struct option options[];
extern const size_t n_options;
#define OPTIONS_MAX 64 /* a set of options is a uint64_t */

#define SECRET_HIDDEN "<hidden>"

/* Where relative paths begin, and what a value may do. */
struct option_context {
	const char *folder; /* absolute; NULL: paths must be absolute, and no file is read */
};

/* Length of the UTF-8 sequence at `s` that is one printable character, or 0 (RFC 3629 section 4).
 */
size_t option_printable_at(const unsigned char *s);

const struct option *option_find(const char *name);
static inline uint64_t option_bit(const struct option *o)
{
	return 1ULL << (o - options);
}
bool option_is_list(const struct option *o);
bool option_is_string(const struct option *o);

/* The field of the option, of a list: its length, of a number or an enum: its value. */
static inline const void *option_field(const struct option *o, const void *base)
{
	return (const char *)base + o->offset;
}
static inline size_t option_count(const struct option *o, const void *base)
{
	return *(const size_t *)((const char *)base + o->count_offset);
}
uint64_t option_number(const struct option *o, const void *base);

/* "0 to 600 seconds": the range or the form of its values, for messages and the manual's test.
 * Returns buf. */
const char *option_expects(const struct option *o, char buf[static 192]);

/* Puts the value written as `values` into its field in `base` and frees what was there; an error
 * leaves the field as it was. Returns 0, -ENOMEM, or -EINVAL with *e saying what is wrong with it
 * and what would be right. Secrets are not in *e. */
int option_parse(const struct option *o, void *base, const struct option_context *ctx,
		 char *const *values, size_t n, struct errtext *e);
int option_parse_initial(const struct option *o, void *base);

/* `base` is a struct config or a struct neighbor_config as the option's scope says. */
void option_clear(const struct option *o, void *base);
int option_copy(const struct option *o, void *to, const void *from); /* -ENOMEM */
bool option_equal(const struct option *o, const void *a, const void *b);
/* True when everything that `old` accepts is accepted by `new` too. */
bool option_is_wider(const struct option *o, const void *new, const void *old);

/* "name = value" and a newline, behind `indent`; nothing for an unset optional one and for
 * OPTION_SECRET_FILE. */
void option_print(const struct option *o, const void *base, const char *indent, FILE *out);

/* The option's name that `word` was probably meant to be, among those of `scope`; NULL when none is
 * near. */
const char *option_suggest(const char *word, enum option_scope scope);

#endif
