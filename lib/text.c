// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

static const char *program;

void text_init(const char *name)
{
	program = name;
}

/* C0, DEL, and C1 in its UTF-8 form: what a terminal would take for a command. */
static void make_safe(char *s)
{
	unsigned char *p = (unsigned char *)s;

	for (; *p; p++) {
		if ((*p < ' ' && *p != '\n') || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
	}
}

static void PRINTF(2, 0) print_safe(FILE *out, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	make_safe(text);
	fputs(text, out);
}

void text_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_safe(stdout, fmt, ap);
	va_end(ap);
}

void text_complain(const char *fmt, ...)
{
	va_list ap;

	if (program)
		fprintf(stderr, "%s: ", program);
	va_start(ap, fmt);
	print_safe(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static const char *format_local(int64_t t, const char *fmt, char buf[static TEXT_TIME_LEN])
{
	time_t when = t;
	struct tm tm;

	if (t <= 0 || !localtime_r(&when, &tm) || !strftime(buf, TEXT_TIME_LEN, fmt, &tm))
		strcpy(buf, "-");
	return buf;
}

const char *text_time_short(int64_t t, int64_t now, char buf[static TEXT_TIME_LEN])
{
	char day[TEXT_TIME_LEN], today[TEXT_TIME_LEN];

	format_local(t, "%F", day);
	format_local(now, "%F", today);
	return format_local(t, strcmp(day, today) == 0 ? "%T" : "%F", buf);
}

const char *text_time_long(int64_t t, char buf[static TEXT_TIME_LEN])
{
	return format_local(t, "%F %T", buf);
}

const char *text_time_expiry(int64_t t, int64_t now, char buf[static TEXT_TIME_LEN])
{
	size_t n = strlen(format_local(t, "%F", buf));
	int64_t left = t - now, days = (left < 0 ? -left : left) / 86400;
	const char *unit = days == 1 ? "day" : "days";

	if (t <= 0)
		return buf;
	if (left < 0)
		snprintf(buf + n, TEXT_TIME_LEN - n, " (EXPIRED %" PRId64 " %s ago)", days, unit);
	else
		snprintf(buf + n, TEXT_TIME_LEN - n, " (in %" PRId64 " %s)", days, unit);
	return buf;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += !is_continuation(*s);
	return n;
}

size_t text_prefix(const char *s, size_t max)
{
	size_t i = 0, n = 0;

	for (; s[i]; i++)
		if (!is_continuation(s[i]) && n++ == max)
			break;
	return i;
}

size_t text_printable_at(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0x20, 0xa0, 0x800,
					 0x10000}; /* C1 controls too are left out */
	size_t n = *s < 0x80   ? 1
		   : *s < 0xc0 ? 0
		   : *s < 0xe0 ? 2
		   : *s < 0xf0 ? 3
		   : *s < 0xf8 ? 4
			       : 0;
	uint32_t c = n == 1 ? *s : *s & (0xff >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n == 0 || c < least[n] || c == 0x7f || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

void text_copy(char *buf, size_t size, const char *s)
{
	size_t used = 0, n;

	while (*s && used + 1 < size) {
		n = text_printable_at((const unsigned char *)s);
		if (n && used + n >= size)
			break;
		if (n)
			memcpy(buf + used, s, n);
		else
			buf[used] = '?';
		used += n ? n : 1;
		s += n ? n : 1;
	}
	buf[used] = '\0';
}
