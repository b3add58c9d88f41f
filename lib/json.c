// SPDX-License-Identifier: Apache-2.0
/*
 * A struct jv is jansson's json_t under another name: nothing is wrapped, so nothing but jansson
 * allocates.
 */
#include "json.h"

#include "wipe.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>

static json_t *to_json(const struct jv *v)
{
	return (json_t *)v;
}

static struct jv *to_jv(json_t *j)
{
	return (struct jv *)j;
}

void jv_wipe_freed(void)
{
	json_set_alloc_funcs(malloc, wipe_free);
}

void jv_free(struct jv *v)
{
	json_decref(to_json(v));
}

struct jv *jv_object_new(void)
{
	return to_jv(json_object());
}

struct jv *jv_array_new(void)
{
	return to_jv(json_array());
}

/* The length of the UTF-8 sequence at s (RFC 3629), 0 when it is not one. */
static size_t utf8_sequence(const unsigned char *s)
{
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90)) /* overlong */
		return 0;
	if (s[0] == 0xed && s[1] > 0x9f) /* surrogates */
		return 0;
	if (s[0] == 0xf4 && s[1] > 0x8f) /* beyond U+10FFFF */
		return 0;
	return len;
}

static json_t *repaired_string(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *s = (const unsigned char *)text;
	size_t n = 0;
	_cleanup_free_ char *out = malloc(strlen(text) * (sizeof(replacement) - 1) + 1);

	if (!out)
		return NULL;
	while (*s) {
		size_t len = utf8_sequence(s);

		if (len) {
			memcpy(out + n, s, len);
			n += len;
			s += len;
		} else {
			memcpy(out + n, replacement, sizeof(replacement) - 1);
			n += sizeof(replacement) - 1;
			s++;
		}
	}
	return json_stringn_nocheck(out, n);
}

struct jv *jv_string_new(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	if (!s)
		return NULL;
	while (*s && (len = utf8_sequence(s)))
		s += len;
	return to_jv(*s ? repaired_string(text) : json_string_nocheck(text));
}

struct jv *jv_int_new(int64_t n)
{
	return to_jv(json_integer(n));
}

struct jv *jv_copy(const struct jv *v)
{
	return to_jv(json_deep_copy(to_json(v)));
}

int jv_set(struct jv *o, const char *key, struct jv *child)
{
	assert(!o || json_is_object(to_json(o)));
	/* json_object_set_new() drops the child by itself when it fails, also for a NULL object */
	return json_object_set_new(to_json(o), key, to_json(child)) < 0 ? -ENOMEM : 0;
}

int jv_set_string(struct jv *o, const char *key, const char *s)
{
	if (!s) {
		jv_delete(o, key);
		return o ? 0 : -ENOMEM;
	}
	return jv_set(o, key, jv_string_new(s));
}

int jv_set_int(struct jv *o, const char *key, int64_t n)
{
	return jv_set(o, key, jv_int_new(n));
}

int jv_set_uint(struct jv *o, const char *key, uint64_t n)
{
	return jv_set_int(o, key, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

int jv_set_bool(struct jv *o, const char *key, bool b)
{
	return jv_set(o, key, to_jv(json_boolean(b)));
}

int jv_set_null(struct jv *o, const char *key)
{
	return jv_set(o, key, to_jv(json_null()));
}

int jv_append(struct jv *a, struct jv *child)
{
	assert(!a || json_is_array(to_json(a)));
	return json_array_append_new(to_json(a), to_json(child)) < 0 ? -ENOMEM : 0;
}

int jv_append_string(struct jv *a, const char *s)
{
	return jv_append(a, jv_string_new(s));
}

int jv_add_int(struct jv *o, const char *key, int64_t n)
{
	int64_t sum;

	if (__builtin_add_overflow(jv_get_int(o, key, 0), n, &sum))
		sum = n < 0 ? INT64_MIN : INT64_MAX;
	return jv_set_int(o, key, sum);
}

int jv_add_counters(struct jv *o, const struct jv *other)
{
	int r = 0;

	for (struct jv_iter it = {}; jv_next(other, &it);) {
		if (jv_is_int(it.value)) {
			r |= jv_add_int(o, it.key, jv_int(it.value, 0));
		} else if (jv_is_object(it.value)) {
			if (!jv_is_object(jv_get(o, it.key)))
				r |= jv_set(o, it.key, jv_object_new());
			if (!r)
				r |= jv_add_counters(jv_get_mutable(o, it.key), it.value);
		}
	}
	return r;
}

int jv_extend(struct jv *a, struct jv *other)
{
	_cleanup_jv_ struct jv *mine = other;

	if (!a || !mine)
		return -ENOMEM;
	if (!json_is_array(to_json(a)) || !json_is_array(to_json(mine)))
		return -EINVAL;
	return json_array_extend(to_json(a), to_json(mine)) < 0 ? -ENOMEM : 0;
}

struct jv *jv_take(struct jv *o, const char *key)
{
	json_t *child = json_incref(json_object_get(to_json(o), key));

	if (child)
		json_object_del(to_json(o), key);
	return to_jv(child);
}

void jv_delete(struct jv *o, const char *key)
{
	json_object_del(to_json(o), key);
}

const struct jv *jv_get(const struct jv *o, const char *key)
{
	return to_jv(json_object_get(to_json(o), key));
}

struct jv *jv_get_mutable(struct jv *o, const char *key)
{
	return to_jv(json_object_get(to_json(o), key));
}

const char *jv_string(const struct jv *v, const char *fallback)
{
	return json_is_string(to_json(v)) ? json_string_value(to_json(v)) : fallback;
}

int64_t jv_int(const struct jv *v, int64_t fallback)
{
	return json_is_integer(to_json(v)) ? json_integer_value(to_json(v)) : fallback;
}

const char *jv_get_string(const struct jv *o, const char *key, const char *fallback)
{
	return jv_string(jv_get(o, key), fallback);
}

int64_t jv_get_int(const struct jv *o, const char *key, int64_t fallback)
{
	return jv_int(jv_get(o, key), fallback);
}

bool jv_get_bool(const struct jv *o, const char *key, bool fallback)
{
	const json_t *j = to_json(jv_get(o, key));

	return json_is_boolean(j) ? json_is_true(j) : fallback;
}

bool jv_is_object(const struct jv *v)
{
	return json_is_object(to_json(v));
}

bool jv_is_array(const struct jv *v)
{
	return json_is_array(to_json(v));
}

bool jv_is_null(const struct jv *v)
{
	return json_is_null(to_json(v));
}

bool jv_is_int(const struct jv *v)
{
	return json_is_integer(to_json(v));
}

size_t jv_size(const struct jv *v)
{
	return jv_is_object(v) ? json_object_size(to_json(v)) : json_array_size(to_json(v));
}

const struct jv *jv_at(const struct jv *a, size_t i)
{
	return to_jv(json_array_get(to_json(a), i));
}

struct jv *jv_at_mutable(struct jv *a, size_t i)
{
	return to_jv(json_array_get(to_json(a), i));
}

bool jv_next(const struct jv *o, struct jv_iter *it)
{
	it->position = it->position ? json_object_iter_next(to_json(o), it->position)
				    : json_object_iter(to_json(o));
	it->key = it->position ? json_object_iter_key(it->position) : NULL;
	it->value = it->position ? to_jv(json_object_iter_value(it->position)) : NULL;
	return it->position;
}

/* Brackets are counted before jansson sees the text: its own limit is 2048 levels of recursion. */
static bool too_deep(const char *text, size_t len)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JV_DEPTH_MAX)
				return true;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return false;
}

int jv_parse(const char *text, size_t len, struct jv **ret, struct errtext *e)
{
	json_error_t error = {};
	json_t *j;

	if (len > JV_TEXT_MAX)
		return errtext_set(e, -E2BIG, "more than %zu bytes of JSON", JV_TEXT_MAX);
	if (too_deep(text, len))
		return errtext_set(e, -EINVAL, "JSON nested deeper than %d levels", JV_DEPTH_MAX);
	j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!j && json_error_code(&error) == json_error_out_of_memory)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (!j)
		return errtext_set(e, -EINVAL, "not JSON at byte %d: %s", error.position,
				   error.text);
	*ret = to_jv(j);
	return 0;
}

static char *dump(const struct jv *v, size_t flags, size_t *ret_len)
{
	_cleanup_free_ char *text =
		json_dumps(to_json(v), flags | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	size_t len;
	char *line;

	if (!text)
		return NULL;
	len = strlen(text);
	line = malloc(len + 2);
	if (line) {
		memcpy(line, text, len);
		memcpy(line + len, "\n", 2);
	}
	explicit_bzero(text, len); /* realloc() would leave a copy behind */
	if (!line)
		return NULL;
	if (ret_len)
		*ret_len = len + 1;
	return line;
}

char *jv_dump_line(const struct jv *v, size_t *ret_len)
{
	return dump(v, JSON_COMPACT, ret_len);
}

char *jv_dump_pretty(const struct jv *v, size_t *ret_len)
{
	return dump(v, JSON_INDENT(2), ret_len);
}

/* Writes "neighbors[3].sessions" for a cursor; returns the length that it has, as snprintf() does.
 */
static size_t format_path(const struct jv_cursor *at, char *buf, size_t size)
{
	size_t n, used;

	if (!at->parent) {
		buf[0] = '\0';
		return 0;
	}
	n = format_path(at->parent, buf, size);
	used = n < size ? n : size - 1;
	if (at->key)
		return n + snprintf(buf + used, size - used, "%s%s", n ? "." : "", at->key);
	return n + snprintf(buf + used, size - used, "[%zu]", at->index);
}

void jv_complain(const struct jv_cursor *at, const char *key, const char *text)
{
	struct jv_cursor member = {.parent = at, .key = key};
	char path[160];
	size_t n;

	if (jv_bad(at))
		return;
	n = format_path(key ? &member : at, path, sizeof(path));
	errtext_set(at->problem, 0, "%s%s%s", path, n ? ": " : "", text);
}

struct jv_cursor jv_enter(const struct jv *v, struct errtext *problem)
{
	struct jv_cursor at = {.value = v, .problem = problem};

	problem->text[0] = '\0';
	if (!jv_is_object(v)) {
		jv_complain(&at, NULL, "expected an object");
		at.value = NULL;
	}
	return at;
}

bool jv_bad(const struct jv_cursor *at)
{
	return at->problem->text[0];
}

/* The member, or NULL when it is absent or null. */
static const struct jv *present(const struct jv_cursor *at, const char *key)
{
	const struct jv *v = jv_get(at->value, key);

	return json_is_null(to_json(v)) ? NULL : v;
}

const char *jv_read_string(const struct jv_cursor *at, const char *key, const char *fallback)
{
	const struct jv *v = present(at, key);

	if (v && !json_is_string(to_json(v)))
		jv_complain(at, key, "expected a string");
	return jv_string(v, fallback);
}

int64_t jv_read_int(const struct jv_cursor *at, const char *key, int64_t fallback)
{
	const struct jv *v = present(at, key);

	if (v && !jv_is_int(v))
		jv_complain(at, key, "expected an integer");
	return jv_int(v, fallback);
}

bool jv_read_bool(const struct jv_cursor *at, const char *key, bool fallback)
{
	const struct jv *v = present(at, key);

	if (v && !json_is_boolean(to_json(v)))
		jv_complain(at, key, "expected true or false");
	return jv_get_bool(at->value, key, fallback);
}

const char *jv_need_string(const struct jv_cursor *at, const char *key)
{
	if (!present(at, key))
		jv_complain(at, key, "missing");
	return jv_read_string(at, key, NULL);
}

int64_t jv_need_int(const struct jv_cursor *at, const char *key)
{
	if (!present(at, key))
		jv_complain(at, key, "missing");
	return jv_read_int(at, key, 0);
}

struct jv_cursor jv_read_object(const struct jv_cursor *at, const char *key)
{
	const struct jv *v = present(at, key);
	struct jv_cursor c = {.parent = at, .key = key, .problem = at->problem};

	if (jv_is_object(v))
		c.value = v;
	else if (v)
		jv_complain(&c, NULL, "expected an object");
	return c;
}

struct jv_cursor jv_read_array(const struct jv_cursor *at, const char *key)
{
	const struct jv *v = present(at, key);
	struct jv_cursor c = {.parent = at, .key = key, .problem = at->problem};

	if (jv_is_array(v))
		c.value = v;
	else if (v)
		jv_complain(&c, NULL, "expected an array");
	return c;
}

struct jv_cursor jv_read_item(const struct jv_cursor *at, size_t i)
{
	const struct jv *v = jv_at(at->value, i);
	struct jv_cursor c = {.parent = at, .index = i, .problem = at->problem};

	if (jv_is_object(v))
		c.value = v;
	else if (v)
		jv_complain(&c, NULL, "expected an object");
	return c;
}

const char *jv_read_string_item(const struct jv_cursor *at, size_t i, const char *fallback)
{
	const struct jv *v = jv_at(at->value, i);
	struct jv_cursor c = {.parent = at, .index = i, .problem = at->problem};

	if (v && !json_is_string(to_json(v)))
		jv_complain(&c, NULL, "expected a string");
	return jv_string(v, fallback);
}
