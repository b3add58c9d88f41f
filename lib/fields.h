/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values by name, for a process of another version to read: numbers, texts, bytes. A reader passes
 * over names that it does not know.
 *
 * What is written may be secret: it is kept in memory for secrets (secret.h). What is read is a
 * stranger's: every length is checked, and nothing is read past the end.
 *
 * Errors add up: after the first one writing does nothing and reading returns zeros, so that one
 * look at the end is enough.
 */
#ifndef BOTLS_FIELDS_H
#define BOTLS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIELDS_NAME_MAX 48
#define FIELDS_MAX	(64u << 20) /* bytes in all */
/* That many can be read: looking one up goes through those before it. */
#define FIELDS_COUNT_MAX 1024

/* A zeroed one is empty. */
struct fields_out {
	const char *prefix; /* stands, with a dot, before each name; NULL: nothing does */
	uint8_t *data;
	size_t len, size;
	int error;
};

void fields_put(struct fields_out *o, const char *name, const void *data, size_t len);
void fields_put_number(struct fields_out *o, const char *name, uint64_t value);
void fields_put_text(struct fields_out *o, const char *name, const char *text);
/* 0, -ENOMEM, -EMSGSIZE. */
int fields_out_error(const struct fields_out *o);
void fields_out_done(struct fields_out *o);

/* Borrows the bytes. */
struct fields_in {
	const char *prefix; /* as in fields_out */
	const uint8_t *data;
	size_t len;
	int error;			 /* the first one, */
	char field[FIELDS_NAME_MAX + 1]; /* and of which field; "": of none */
};

/* 0; -EBADMSG: these are no fields; -E2BIG: too many. */
int fields_read(struct fields_in *f, const void *data, size_t len);
bool fields_has(const struct fields_in *f, const char *name);
/* The field has to be there (-ENOENT), be of its kind (-EBADMSG) and not above `max` (-ERANGE). */
uint64_t fields_number(struct fields_in *f, const char *name, uint64_t max);
/* It may be absent. */
uint64_t fields_number_or(struct fields_in *f, const char *name, uint64_t max, uint64_t otherwise);
/* At most `max` bytes; borrowed. When it is absent, NULL and 0. */
const uint8_t *fields_bytes(struct fields_in *f, const char *name, size_t max, size_t *ret_len);
/* Exactly `len` bytes. */
void fields_exact(struct fields_in *f, const char *name, void *ret, size_t len);
/* Without a NUL inside, and shorter than `size`. */
void fields_text(struct fields_in *f, const char *name, char *ret, size_t size);
/* Notes an error that the caller found. */
void fields_refuse(struct fields_in *f, const char *name, int error);
/* 0, or the first error; *ret_field (may be NULL) is then its field's name. */
int fields_error(const struct fields_in *f, const char **ret_field);

#endif
