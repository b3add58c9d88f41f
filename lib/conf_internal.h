/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of conf.h share. */
#ifndef BOTLS_CONF_INTERNAL_H
#define BOTLS_CONF_INTERNAL_H

#include "conf.h"

/* A part of a scanned text that libconfuse parses by itself, so that an error spoils only this
 * part. */
struct chunk {
	char *text; /* in the scanned text, not terminated */
	size_t len;
	unsigned line;		      /* of its first byte */
	const struct conf_kind *kind; /* NULL: outside of all blocks */
	bool is_incomplete;
};
struct scanned {
	char *text;
	struct chunk *chunks;
	size_t n_chunks;
};

/* conf_scan.c. Reports what libconfuse would swallow, and takes it out. 0 or -ENOMEM. */
int conf_scan(const struct conf_schema *schema, const char *text, size_t len, unsigned file,
	      const char *only_blocks, struct conf_problems *p, struct scanned *ret);
void conf_scanned_done(struct scanned *s);

/* conf_value.c. Everything that is not right about a value ends here, so that all messages have one
 * form. -EINVAL. */
int conf_refuse(const struct conf_option *o, const char *value, struct errtext *e);
int conf_set_address(const struct conf_option *o, const char *value, void *ret, struct errtext *e);

/* conf_list.c. */
int conf_set_list(const struct conf_option *o, void *base, char *const *values, size_t n,
		  struct errtext *e);
/* Of the items of a list that are no strings; 0: they are. */
size_t conf_item_size(const struct conf_option *o);
void *conf_copy_list(const struct conf_option *o, const void *list, size_t n);
void conf_free_list(const struct conf_option *o, void *list, size_t n);

/* conf_form.c. What a value must look like, whatever its length. */
bool conf_is_printable(const char *s);
bool conf_is_account(const char *s);
bool conf_is_name(const char *s);
bool conf_is_host_name(const char *s);
bool conf_is_url(const char *s);

static inline void *conf_field_of(const struct conf_option *o, void *base)
{
	return (char *)base + o->offset;
}
static inline size_t *conf_count_of(const struct conf_option *o, void *base)
{
	return (size_t *)((char *)base + o->count_offset);
}

#endif
