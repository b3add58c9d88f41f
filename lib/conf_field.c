// SPDX-License-Identifier: Apache-2.0
/* Fields that hold values: copied, compared, freed. */
#include "addr.h"
#include "conf_internal.h"
#include "secret.h"

#include <errno.h>

uint64_t conf_number(const struct conf_option *o, const void *base)
{
	const void *f = conf_field(o, base);

	switch (o->size) {
	case 1: return *(const uint8_t *)f;
	case 2: return *(const uint16_t *)f;
	case 4: return *(const uint32_t *)f;
	default: return *(const uint64_t *)f;
	}
}

const char *conf_name(const struct conf_option *o, const void *base)
{
	return o->names[(int)conf_number(o, base) - o->first];
}

void conf_clear(const struct conf_option *o, void *base)
{
	void *f = conf_field_of(o, base);

	if (conf_is_string(o)) {
		char *s = *(char **)f;

		if (conf_is_secret(o))
			secret_free(s);
		else
			free(s);
	} else if (conf_is_list(o)) {
		conf_free_list(o, *(void **)f, conf_count(o, base));
		*conf_count_of(o, base) = 0;
	}
	memset(f, 0, o->size);
}

int conf_copy(const struct conf_option *o, void *to, const void *from)
{
	void *copy = NULL;
	size_t n = 0;

	if (conf_is_string(o)) {
		const char *s = *(char *const *)conf_field(o, from);

		if (s && !(copy = conf_is_secret(o) ? secret_strdup(s) : strdup(s)))
			return -ENOMEM;
	} else if (conf_is_list(o)) {
		n = conf_count(o, from);
		copy = n ? conf_copy_list(o, *(void *const *)conf_field(o, from), n) : NULL;
		if (n && !copy)
			return -ENOMEM;
	} else {
		memcpy(conf_field_of(o, to), conf_field(o, from), o->size);
		return 0;
	}
	conf_clear(o, to);
	*(void **)conf_field_of(o, to) = copy;
	if (conf_is_list(o))
		*conf_count_of(o, to) = n;
	return 0;
}

static bool item_equal(const struct conf_option *o, const void *a, size_t i, const void *b,
		       size_t j)
{
	const void *x = *(void *const *)conf_field(o, a), *y = *(void *const *)conf_field(o, b);
	size_t size = conf_item_size(o);

	if (o->type == CONF_ADDRESSES)
		return addr_equal((const struct addr *)x + i, (const struct addr *)y + j);
	if (size)
		return !memcmp((const char *)x + i * size, (const char *)y + j * size, size);
	return !strcmp(((char *const *)x)[i], ((char *const *)y)[j]);
}

bool conf_equal(const struct conf_option *o, const void *a, const void *b)
{
	if (conf_is_string(o)) {
		const char *s = *(char *const *)conf_field(o, a),
			   *t = *(char *const *)conf_field(o, b);

		return s && t ? !strcmp(s, t) : s == t;
	}
	if (conf_is_list(o)) {
		if (conf_count(o, a) != conf_count(o, b))
			return false;
		for (size_t i = 0; i < conf_count(o, a); i++)
			if (!item_equal(o, a, i, b, i))
				return false;
		return true;
	}
	if (o->type == CONF_ADDRESS)
		return addr_equal(conf_field(o, a), conf_field(o, b));
	return !memcmp(conf_field(o, a), conf_field(o, b), o->size);
}

bool conf_contains_all(const struct conf_option *o, const void *a, const void *b)
{
	for (size_t i = 0; i < conf_count(o, b); i++) {
		size_t j = 0;

		while (j < conf_count(o, a) && !item_equal(o, b, i, a, j))
			j++;
		if (j == conf_count(o, a))
			return false;
	}
	return true;
}

bool conf_is_unset(const struct conf_option *o, const void *base)
{
	if (conf_is_string(o))
		return !*(char *const *)conf_field(o, base);
	if (o->type == CONF_ADDRESS)
		return ((const struct addr *)conf_field(o, base))->family == AF_UNSPEC;
	if (o->type == CONF_AS || o->type == CONF_TIME)
		return conf_number(o, base) == 0;
	return conf_is_list(o) && conf_count(o, base) == 0;
}
