// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include <inttypes.h>
#include <stdarg.h>

#define LABEL	  18 /* columns of a line's label, indentation included */
#define VALUE	  (LABEL + 2)
#define VALUE_MIN 20 /* a narrower terminal gets whole lines */

static void PRINTF(5, 0) print(const struct ctl *c, enum text_style style, int indent,
			       const char *label, const char *fmt, va_list ap)
{
	_cleanup_free_ char *value = NULL;

	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	text_print("%*s%-*s  ", indent, "", LABEL - indent, label);
	text_print_wrapped(style, VALUE, c->width >= VALUE + VALUE_MIN ? c->width : 0,
			   value ? value : "");
}

void ctl_field(const struct ctl *c, int indent, const char *label, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(c, TEXT_PLAIN, indent, label, fmt, ap);
	va_end(ap);
}

void ctl_field_as(const struct ctl *c, enum text_style style, int indent, const char *label,
		  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(c, style, indent, label, fmt, ap);
	va_end(ap);
}

void ctl_field_string(const struct ctl *c, const struct jv_cursor *at, const char *key, int indent,
		      const char *label)
{
	const char *s = jv_read_string(at, key, NULL);

	if (s && s[0])
		ctl_field(c, indent, label, "%s", s);
}

void ctl_field_int(const struct ctl *c, const struct jv_cursor *at, const char *key, int indent,
		   const char *label)
{
	int64_t n = jv_read_int(at, key, -1);

	if (n >= 0)
		ctl_field(c, indent, label, "%" PRId64, n);
}

void ctl_join_counts(const struct jv_cursor *counts, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (struct jv_iter it = {}; jv_next(counts->value, &it);) {
		int64_t count = jv_read_int(counts, it.key, 0);

		if (count && n < size)
			n += snprintf(buf + n, size - n, "%s%s %" PRId64, n ? ", " : "", it.key,
				      count);
	}
}

const char *ctl_ago(const struct ctl *c, int64_t then, char buf[static TEXT_TIME_LEN])
{
	int64_t ago = c->now - then;

	/* botlsd's clock is ours, but its second may have begun before our first. */
	return text_duration(then <= 0 ? -1 : ago < 0 ? 0 : ago, buf);
}
