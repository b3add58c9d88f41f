// SPDX-License-Identifier: Apache-2.0
#include "textbuf.h"
#include "wipe.h"

#include <stdarg.h>

static bool make_room(struct textbuf *b, size_t more)
{
	size_t size = 2 * (b->len + more) + 256;
	char *bigger;

	if (b->has_failed || b->len + more < b->size)
		return !b->has_failed;
	bigger = wipe_realloc(b->text, size);
	if (!bigger) {
		b->has_failed = true;
		return false;
	}
	b->text = bigger;
	b->size = size;
	return true;
}

void textbuf_add(struct textbuf *b, const char *text, size_t len)
{
	if (!make_room(b, len))
		return;
	memcpy(b->text + b->len, text, len);
	b->len += len;
	b->text[b->len] = '\0';
}

void textbuf_printf(struct textbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !make_room(b, n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->text + b->len, b->size - b->len, fmt, ap);
	va_end(ap);
	b->len += n;
}

char *textbuf_take(struct textbuf *b)
{
	textbuf_add(b, "", 0);
	if (b->has_failed)
		return NULL;
	b->len = b->size = 0;
	return TAKE(b->text);
}

void textbuf_done(struct textbuf *b)
{
	wipe_free(b->text);
	*b = (struct textbuf){};
}
