/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values: building them, reading them with types checked, one line of text each way.
 *
 * A struct jv is a tree owned by whoever holds its root. Functions with "takes over" in their
 * comment own that argument from then on, also when they fail. A const struct jv * is borrowed and
 * lives as long as its root. Only json.c sees jansson.
 */
#ifndef BOTLS_JSON_H
#define BOTLS_JSON_H

#include "util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JV_DEPTH_MAX 16
#define JV_TEXT_MAX  ((size_t)64 << 20)

struct jv;

void jv_free(struct jv *v);
static inline void cleanup_jv(struct jv **v)
{
	jv_free(*v);
}
#define _cleanup_jv_ __attribute__((cleanup(cleanup_jv)))

/* From now on the memory of values is wiped before it is given back: for programs whose JSON holds
 * secrets. At any time, any number of times. */
void jv_wipe_freed(void);

/* Building. NULL: out of memory. */
struct jv *jv_object_new(void);
struct jv *jv_array_new(void);
struct jv *jv_string_new(const char *text);
struct jv *jv_int_new(int64_t n);
struct jv *jv_copy(const struct jv *v); /* deep */

/*
 * All of these replace what `key` held. The only error is -ENOMEM, and a NULL `o`, `a` or child (a
 * constructor that failed) is one too: build without looking, add the results up with |= and check
 * once. Strings: NULL leaves the key out (absent means unknown); bytes that are not UTF-8 become
 * U+FFFD, so that text from a stranger's certificate cannot spoil an answer.
 */
int jv_set(struct jv *o, const char *key, struct jv *child); /* takes over child */
int jv_set_string(struct jv *o, const char *key, const char *s);
int jv_set_int(struct jv *o, const char *key, int64_t n);
int jv_set_uint(struct jv *o, const char *key, uint64_t n); /* beyond INT64_MAX: INT64_MAX */
int jv_set_bool(struct jv *o, const char *key, bool b);
int jv_set_null(struct jv *o, const char *key);
int jv_append(struct jv *a, struct jv *child); /* takes over child */
int jv_append_string(struct jv *a, const char *s);

/* Merging: what several workers answered becomes one object. */
/* Adds to what is there (absent: 0), saturating. */
int jv_add_int(struct jv *o, const char *key, int64_t n);
/* jv_add_int() for every integer of `other`; objects in it likewise. */
int jv_add_counters(struct jv *o, const struct jv *other);
/* Moves the items of the array `other` over; takes over other. */
int jv_extend(struct jv *a, struct jv *other);
/* Removes the member and hands it over; NULL when absent. */
struct jv *jv_take(struct jv *o, const char *key);
void jv_delete(struct jv *o, const char *key);

/* Looking, forgiving: absent, null and a wrong type are all the fallback. `o`, `v` may be NULL. */
const struct jv *jv_get(const struct jv *o, const char *key);
struct jv *jv_get_mutable(struct jv *o, const char *key); /* borrowed all the same */
const char *jv_get_string(const struct jv *o, const char *key, const char *fallback);
int64_t jv_get_int(const struct jv *o, const char *key, int64_t fallback);
bool jv_get_bool(const struct jv *o, const char *key, bool fallback);
bool jv_is_object(const struct jv *v);
bool jv_is_array(const struct jv *v);
bool jv_is_int(const struct jv *v);
bool jv_is_null(const struct jv *v);				 /* JSON's null; not: absent */
const char *jv_string(const struct jv *v, const char *fallback); /* the value itself */
int64_t jv_int(const struct jv *v, int64_t fallback);

/* Items of an array: for (i = 0; i < jv_size(a); i++) jv_at(a, i). Size of an object: its members.
 * Anything else: 0. */
size_t jv_size(const struct jv *v);
const struct jv *jv_at(const struct jv *a, size_t i);
struct jv *jv_at_mutable(struct jv *a, size_t i);

/* Members of an object in the order they were set: for (struct jv_iter it = {}; jv_next(o, &it);)
 * it.key, it.value. The object must not change meanwhile. */
struct jv_iter {
	const char *key;
	const struct jv *value;
	void *position;
};
bool jv_next(const struct jv *o, struct jv_iter *it);

/*
 * Reading, strict: a cursor is a value and where it is. A member that is absent or null is the
 * fallback; one of the wrong type is the fallback too, and the first such problem is noted in the
 * errtext that jv_enter() was given: "neighbors[3].since: expected an integer". Read everything,
 * then look once: jv_bad(). A cursor lives on the stack; those made from it must not outlive it.
 */
struct jv_cursor {
	const struct jv *value; /* NULL: absent; every read then gives its fallback */
	const struct jv_cursor *parent;
	const char *key; /* in an object; NULL: `index` in an array */
	size_t index;
	struct errtext *problem;
};
/* Empties *problem. The value must be an object, else that is the problem. */
struct jv_cursor jv_enter(const struct jv *v, struct errtext *problem);
bool jv_bad(const struct jv_cursor *at);
/* Notes a problem of the caller's own ("not an address") with the path of `key` (NULL: of the
 * cursor itself). */
void jv_complain(const struct jv_cursor *at, const char *key, const char *text);

const char *jv_read_string(const struct jv_cursor *at, const char *key, const char *fallback);
int64_t jv_read_int(const struct jv_cursor *at, const char *key, int64_t fallback);
bool jv_read_bool(const struct jv_cursor *at, const char *key, bool fallback);
/* The same, where absent is a problem as well: "command: missing". NULL or 0 then. */
const char *jv_need_string(const struct jv_cursor *at, const char *key);
int64_t jv_need_int(const struct jv_cursor *at, const char *key);
/* A cursor for the member; its value is NULL when absent or of the wrong type. An array has
 * jv_size(c.value) items; an item must be an object, or is read with jv_read_string_item(). */
struct jv_cursor jv_read_object(const struct jv_cursor *at, const char *key);
struct jv_cursor jv_read_array(const struct jv_cursor *at, const char *key);
struct jv_cursor jv_read_item(const struct jv_cursor *at, size_t i);
const char *jv_read_string_item(const struct jv_cursor *at, size_t i, const char *fallback);

/* One JSON value and white space, nothing after it; at most JV_TEXT_MAX bytes, JV_DEPTH_MAX levels,
 * no key twice, UTF-8, no NUL. Returns 0, or -EINVAL, -E2BIG or -ENOMEM with the reason in *e
 * (which may be NULL). */
int jv_parse(const char *text, size_t len, struct jv **ret, struct errtext *e);

/* Compact text with one newline at the end, ASCII only; free() it. NULL: out of memory. *ret_len
 * (may be NULL) counts the newline. */
char *jv_dump_line(const struct jv *v, size_t *ret_len);
char *jv_dump_pretty(const struct jv *v, size_t *ret_len);

#endif
