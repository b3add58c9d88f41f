// SPDX-License-Identifier: Apache-2.0
/* Values that are lists: of strings, or of items of one size. */
#include "addr.h"
#include "conf_internal.h"
#include "spki.h"

#include <errno.h>

size_t conf_item_size(const struct conf_option *o)
{
	return o->type == CONF_PINS	   ? SPKI_PIN_LEN
	       : o->type == CONF_ADDRESSES ? sizeof(struct addr)
					   : 0;
}

static void free_strings(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static char **copy_strings(char *const *list, size_t n)
{
	char **copy = calloc(n, sizeof(*copy));

	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			free_strings(copy, i);
			return NULL;
		}
	}
	return copy;
}

void conf_free_list(const struct conf_option *o, void *list, size_t n)
{
	if (conf_item_size(o))
		free(list);
	else
		free_strings(list, n);
}

void *conf_copy_list(const struct conf_option *o, const void *list, size_t n)
{
	size_t size = conf_item_size(o);
	void *copy;

	if (!size)
		return copy_strings(list, n);
	copy = calloc(n, size);
	if (copy)
		memcpy(copy, list, n * size);
	return copy;
}

static bool is_string_of(const struct conf_option *o, const char *value, size_t i)
{
	switch (o->type) {
	case CONF_ACCOUNTS: return conf_is_account(value);
	case CONF_NAMES: return conf_is_name(value);
	case CONF_DNS_NAMES: return conf_is_host_name(value);
	case CONF_WORDS: /* the first is the command */
		return (i > 0 || *value) && strlen(value) <= CONF_WORD_MAX &&
		       conf_is_printable(value);
	case CONF_BOOL:
	case CONF_NUMBER:
	case CONF_SECONDS:
	case CONF_TIME:
	case CONF_ENUM:
	case CONF_AS:
	case CONF_TEXT:
	case CONF_ACCOUNT:
	case CONF_NAME:
	case CONF_PATH:
	case CONF_URL:
	case CONF_SOURCE:
	case CONF_PROGRAM:
	case CONF_ADDRESS:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
	case CONF_ADDRESSES:
	case CONF_PINS: break;
	}
	return false;
}

static int make_strings(const struct conf_option *o, char *const *values, size_t n, void **ret,
			struct errtext *e)
{
	for (size_t i = 0; i < n; i++)
		if (!is_string_of(o, values[i], i))
			return conf_refuse(o, values[i], e);
	*ret = copy_strings(values, n);
	return *ret ? 0 : errtext_set(e, -ENOMEM, "out of memory");
}

static int make_items(const struct conf_option *o, char *const *values, size_t n, void **ret,
		      struct errtext *e)
{
	size_t size = conf_item_size(o);
	_cleanup_free_ char *items = calloc(n, size);

	if (!items)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		void *item = items + i * size;
		int r = 0;

		if (o->type == CONF_ADDRESSES)
			r = conf_set_address(o, values[i], item, e);
		else if (spki_pin_parse(values[i], item) < 0)
			r = conf_refuse(o, values[i], e);
		if (r < 0)
			return r;
	}
	*ret = TAKE(items);
	return 0;
}

/* One empty string is an empty list. */
int conf_set_list(const struct conf_option *o, void *base, char *const *values, size_t n,
		  struct errtext *e)
{
	void *list = NULL;
	int r = 0;

	if (n == 1 && !*values[0])
		n = 0;
	if (n > o->max)
		return errtext_set(e, -EINVAL, "%s: %zu values are too many: at most %llu", o->name,
				   n, (unsigned long long)o->max);
	if (n)
		r = conf_item_size(o) ? make_items(o, values, n, &list, e)
				      : make_strings(o, values, n, &list, e);
	if (r < 0)
		return r;
	conf_clear(o, base);
	*(void **)conf_field_of(o, base) = list;
	*conf_count_of(o, base) = n;
	return 0;
}
