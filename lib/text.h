/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people at a terminal. Everything goes through text_print() and text_complain(): whatever
 * a peer put into a certificate or a message, no control character and no mark that turns or hides
 * text reaches the terminal. For programs that print and end; daemons log.
 */
#ifndef BOTLS_TEXT_H
#define BOTLS_TEXT_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

/* The name of the program, before its complaints; kept, not copied. */
void text_init(const char *name);

void text_print(const char *fmt, ...) PRINTF(1, 2);
/* Where text_print() prints; NULL: standard output. The stream stays the caller's. */
void text_set_output(FILE *to);

/* What colours say. With colours off, which is how it begins, all of them are plain: nothing may be
 * told by colour alone. */
enum text_style {
	TEXT_PLAIN,
	TEXT_HEAD,    /* a title */
	TEXT_GOOD,    /* as it should be */
	TEXT_WAIT,    /* under way, or worth a look */
	TEXT_BAD,     /* wrong, or not protected */
	TEXT_CHANGED, /* since it was shown last */
};
void text_set_color(bool is_on);
void text_print_as(enum text_style style, const char *fmt, ...) PRINTF(2, 3);

/* On standard error, after the program's name, with a newline. */
void text_complain(const char *fmt, ...) PRINTF(1, 2);

/* A text and a newline. What does not fit into `width` columns (0: no limit) goes on in the next
 * line, `indent` columns from the left, where the first line begins already. Cut at blanks; a word
 * that is too long stays whole. */
void text_print_wrapped(enum text_style style, unsigned indent, unsigned width, const char *text);

#define TEXT_TIME_LEN 64
/* Times in seconds since the epoch, `now` too; "-" when unknown (0). All return buf.
 * "14:03:22" today, "2025-11-20" before. */
const char *text_time_short(int64_t t, int64_t now, char buf[static TEXT_TIME_LEN]);
/* "2025-11-20 14:03:22" in local time. */
const char *text_time_long(int64_t t, char buf[static TEXT_TIME_LEN]);
/* "2026-09-21 (in 304 days)", "2025-11-01 (EXPIRED 20 days ago)". */
const char *text_time_expiry(int64_t t, int64_t now, char buf[static TEXT_TIME_LEN]);

/* "41s", "12m41s", "3h05m", "12d03h", "400d"; "-" when negative. */
const char *text_duration(int64_t seconds, char buf[static TEXT_TIME_LEN]);

#define TEXT_COUNT_LEN 16
/* Not negative; three digits: "999", "1.23k", "45.6M", and with " B", " kB", " MB" (of 1000). */
const char *text_count(double n, char buf[static TEXT_COUNT_LEN]);
const char *text_bytes(double n, char buf[static TEXT_COUNT_LEN]);

/* Characters, not bytes, of a UTF-8 text; and the bytes that the first `max` characters take. */
size_t text_width(const char *s);
size_t text_prefix(const char *s, size_t max);

/* The character at `s`, of `len` bytes that are left (1 or more), in UTF-8 (RFC 3629 section 4):
 * returns its length, or 1 for a byte that is not part of one. Printable is what moves on by one
 * place and nothing else: not a control, a separator of lines, a mark without width, or one that
 * turns the direction of writing. */
size_t text_next(const void *s, size_t len, bool *ret_printable);
/* The same in a text that ends with NUL: the length of a printable character, or 0. */
size_t text_printable_at(const unsigned char *s);

/* Copies a stranger's text, with one '?' for everything that is not printable; cut between
 * characters where it does not fit. `buf` may not overlap with `s`. */
void text_copy(char *buf, size_t size, const char *s);

#endif
