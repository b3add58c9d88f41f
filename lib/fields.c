// SPDX-License-Identifier: Apache-2.0
/*
 * One after the other: an octet with the length of the name, the name, four octets with the length
 * of the value, the value. Numbers are eight octets. All in network order.
 */
#include "fields.h"

#include "secret.h"
#include "util.h"

#include <errno.h>

#define LENGTH_OCTETS 4
#define NUMBER_OCTETS 8
#define SIZE_FIRST    1024

static void put_big_endian(uint8_t *to, uint64_t value, size_t octets)
{
	for (size_t i = 0; i < octets; i++)
		to[i] = value >> 8 * (octets - 1 - i);
}

static uint64_t get_big_endian(const uint8_t *from, size_t octets)
{
	uint64_t value = 0;

	for (size_t i = 0; i < octets; i++)
		value = value << 8 | from[i];
	return value;
}

/* The name as it is written. False: it is too long, or empty. */
static bool whole_name(const char *prefix, const char *name, char ret[static FIELDS_NAME_MAX + 1])
{
	int n = prefix ? snprintf(ret, FIELDS_NAME_MAX + 1, "%s.%s", prefix, name)
		       : snprintf(ret, FIELDS_NAME_MAX + 1, "%s", name);

	return n > 0 && n <= FIELDS_NAME_MAX;
}

/* --- writing */

static int reserve(struct fields_out *o, size_t more)
{
	size_t size = o->size ? o->size : SIZE_FIRST;
	uint8_t *data;

	if (more > FIELDS_MAX - o->len)
		return -EMSGSIZE;
	while (size < o->len + more)
		size *= 2;
	if (size == o->size)
		return 0;
	data = secret_alloc(size);
	if (!data)
		return -ENOMEM;
	if (o->len)
		memcpy(data, o->data, o->len);
	secret_free(o->data);
	o->data = data;
	o->size = size;
	return 0;
}

void fields_put(struct fields_out *o, const char *name, const void *data, size_t len)
{
	char whole[FIELDS_NAME_MAX + 1];
	size_t name_len;
	uint8_t *to;

	if (o->error)
		return;
	if (!whole_name(o->prefix, name, whole) || len > FIELDS_MAX) {
		o->error = -EMSGSIZE;
		return;
	}
	name_len = strlen(whole);
	o->error = reserve(o, 1 + name_len + LENGTH_OCTETS + len);
	if (o->error)
		return;
	to = o->data + o->len;
	*to++ = name_len;
	memcpy(to, whole, name_len);
	to += name_len;
	put_big_endian(to, len, LENGTH_OCTETS);
	to += LENGTH_OCTETS;
	if (len)
		memcpy(to, data, len);
	o->len = to + len - o->data;
}

void fields_put_number(struct fields_out *o, const char *name, uint64_t value)
{
	uint8_t octets[NUMBER_OCTETS];

	put_big_endian(octets, value, sizeof(octets));
	fields_put(o, name, octets, sizeof(octets));
	explicit_bzero(octets, sizeof(octets));
}

void fields_put_text(struct fields_out *o, const char *name, const char *text)
{
	fields_put(o, name, text, strlen(text));
}

int fields_out_error(const struct fields_out *o)
{
	return o->error;
}

void fields_out_done(struct fields_out *o)
{
	secret_free(o->data);
	*o = (struct fields_out){};
}

/* --- reading */

struct field {
	const char *name;
	size_t name_len;
	const uint8_t *value;
	size_t len;
};

/* The field at *at, which is moved behind it; false when it is not whole. */
static bool next_field(const uint8_t *data, size_t len, size_t *at, struct field *ret)
{
	size_t left = len - *at;
	const uint8_t *p = data + *at;
	struct field f;

	if (left < 1 || !p[0] || p[0] > FIELDS_NAME_MAX || left - 1 < p[0] + (size_t)LENGTH_OCTETS)
		return false;
	f.name_len = p[0];
	f.name = (const char *)p + 1;
	f.len = get_big_endian(p + 1 + f.name_len, LENGTH_OCTETS);
	f.value = p + 1 + f.name_len + LENGTH_OCTETS;
	left -= 1 + f.name_len + LENGTH_OCTETS;
	if (f.len > left)
		return false;
	*at += 1 + f.name_len + LENGTH_OCTETS + f.len;
	*ret = f;
	return true;
}

int fields_read(struct fields_in *f, const void *data, size_t len)
{
	struct field field;
	unsigned n = 0;

	*f = (struct fields_in){};
	for (size_t at = 0; at < len && !f->error; n++) {
		if (n == FIELDS_COUNT_MAX)
			f->error = -E2BIG;
		else if (!next_field(data, len, &at, &field))
			f->error = -EBADMSG;
	}
	if (f->error)
		return f->error;
	f->data = data;
	f->len = len;
	return 0;
}

static bool find(const struct fields_in *f, const char *name, struct field *ret)
{
	char whole[FIELDS_NAME_MAX + 1];
	size_t name_len;

	if (!whole_name(f->prefix, name, whole))
		return false;
	name_len = strlen(whole);
	for (size_t at = 0; at < f->len && next_field(f->data, f->len, &at, ret);)
		if (ret->name_len == name_len && memcmp(ret->name, whole, name_len) == 0)
			return true;
	return false;
}

void fields_refuse(struct fields_in *f, const char *name, int error)
{
	if (f->error)
		return;
	f->error = error;
	whole_name(f->prefix, name, f->field);
}

bool fields_has(const struct fields_in *f, const char *name)
{
	struct field field;

	return find(f, name, &field);
}

static uint64_t number_of(struct fields_in *f, const char *name, uint64_t max,
			  const struct field *field)
{
	uint64_t value;

	if (field->len != NUMBER_OCTETS) {
		fields_refuse(f, name, -EBADMSG);
		return 0;
	}
	value = get_big_endian(field->value, NUMBER_OCTETS);
	if (value <= max)
		return value;
	fields_refuse(f, name, -ERANGE);
	return 0;
}

uint64_t fields_number(struct fields_in *f, const char *name, uint64_t max)
{
	struct field field;

	if (f->error)
		return 0;
	if (find(f, name, &field))
		return number_of(f, name, max, &field);
	fields_refuse(f, name, -ENOENT);
	return 0;
}

uint64_t fields_number_or(struct fields_in *f, const char *name, uint64_t max, uint64_t otherwise)
{
	struct field field;

	if (f->error)
		return 0;
	return find(f, name, &field) ? number_of(f, name, max, &field) : otherwise;
}

const uint8_t *fields_bytes(struct fields_in *f, const char *name, size_t max, size_t *ret_len)
{
	struct field field;

	*ret_len = 0;
	if (f->error || !find(f, name, &field))
		return NULL;
	if (field.len > max) {
		fields_refuse(f, name, -ERANGE);
		return NULL;
	}
	*ret_len = field.len;
	return field.value;
}

void fields_exact(struct fields_in *f, const char *name, void *ret, size_t len)
{
	struct field field;

	memset(ret, 0, len);
	if (f->error)
		return;
	if (!find(f, name, &field))
		fields_refuse(f, name, -ENOENT);
	else if (field.len != len)
		fields_refuse(f, name, -EBADMSG);
	else if (len)
		memcpy(ret, field.value, len);
}

void fields_text(struct fields_in *f, const char *name, char *ret, size_t size)
{
	struct field field;

	ret[0] = '\0';
	if (f->error)
		return;
	if (!find(f, name, &field)) {
		fields_refuse(f, name, -ENOENT);
	} else if (field.len >= size) {
		fields_refuse(f, name, -ERANGE);
	} else if (memchr(field.value, '\0', field.len)) {
		fields_refuse(f, name, -EBADMSG);
	} else {
		memcpy(ret, field.value, field.len);
		ret[field.len] = '\0';
	}
}

int fields_error(const struct fields_in *f, const char **ret_field)
{
	if (f->error && ret_field)
		*ret_field = f->field[0] ? f->field : "all of it";
	return f->error;
}
