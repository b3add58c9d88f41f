/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people at a terminal. Everything goes through text_print() and text_complain(): whatever
 * a peer put into a certificate or a message, no control character reaches the terminal. For
 * programs that print and end; daemons log.
 */
#ifndef BOTLS_TEXT_H
#define BOTLS_TEXT_H

#include "util.h"

#include <stdint.h>

/* The name of the program, before its complaints; kept, not copied. */
void text_init(const char *program);

void text_print(const char *fmt, ...) PRINTF(1, 2);
/* On standard error, after the program's name, with a newline. */
void text_complain(const char *fmt, ...) PRINTF(1, 2);

#define TEXT_TIME_LEN 64
/* Times in seconds since the epoch, `now` too; "-" when unknown (0). All return buf.
 * "14:03:22" today, "2025-11-20" before. */
const char *text_time_short(int64_t t, int64_t now, char buf[static TEXT_TIME_LEN]);
/* "2025-11-20 14:03:22" in local time. */
const char *text_time_long(int64_t t, char buf[static TEXT_TIME_LEN]);
/* "2026-09-21 (in 304 days)", "2025-11-01 (EXPIRED 20 days ago)". */
const char *text_time_expiry(int64_t t, int64_t now, char buf[static TEXT_TIME_LEN]);

/* Characters, not bytes, of a UTF-8 text; and the bytes that the first `max` characters take. */
size_t text_width(const char *s);
size_t text_prefix(const char *s, size_t max);

/* Length of the UTF-8 sequence at `s` that is one printable character, or 0 (RFC 3629 section 4).
 */
size_t text_printable_at(const unsigned char *s);

/* Copies a stranger's text, with every byte that is not part of a printable character as '?'; cut
 * between characters where it does not fit. `buf` may not overlap with `s`. */
void text_copy(char *buf, size_t size, const char *s);

#endif
