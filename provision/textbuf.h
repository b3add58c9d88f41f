/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that grows, and that may hold secrets: where it moves, nothing is left behind. Errors
 * stay: append without looking, and look once at the end.
 */
#ifndef BOTLS_TEXTBUF_H
#define BOTLS_TEXTBUF_H

#include "util.h"

#include <stdbool.h>

/* {} is an empty one. */
struct textbuf {
	char *text; /* with a final 0, or NULL */
	size_t len, size;
	bool has_failed; /* out of memory */
};

void textbuf_add(struct textbuf *b, const char *text, size_t len);
void textbuf_printf(struct textbuf *b, const char *fmt, ...) PRINTF(2, 3);
/* Hands the text over, wipe_free() it; NULL when there was no memory. */
char *textbuf_take(struct textbuf *b);
void textbuf_done(struct textbuf *b);
#define _cleanup_textbuf_ __attribute__((cleanup(textbuf_done)))

#endif
