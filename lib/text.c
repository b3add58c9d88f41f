// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

static const char *program;
static FILE *out; /* NULL: standard output */
static bool has_color;

void text_init(const char *name)
{
	program = name;
}

/* In place: one '?' for each character that is not printable. The end of a line is. */
static void make_safe(char *s)
{
	size_t left = strlen(s);
	char *to = s;

	while (left) {
		bool is_printable;
		size_t n = text_next(s, left, &is_printable);

		if (is_printable || *s == '\n') {
			memmove(to, s, n);
			to += n;
		} else {
			*to++ = '?';
		}
		s += n;
		left -= n;
	}
	*to = '\0';
}

static void PRINTF(2, 0) print_safe(FILE *to, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	make_safe(text);
	fputs(text, to);
}

void text_set_output(FILE *to)
{
	out = to;
}

void text_set_color(bool is_on)
{
	has_color = is_on;
}

/* The sixteen colours that every terminal maps to its own theme; nothing sets a background. */
static const char *sequence(enum text_style style)
{
	switch (style) {
	case TEXT_PLAIN: break;
	case TEXT_HEAD: return "\033[1m";
	case TEXT_GOOD: return "\033[32m";
	case TEXT_WAIT: return "\033[33m";
	case TEXT_BAD: return "\033[1;31m";
	case TEXT_CHANGED: return "\033[7m";
	}
	return "";
}

void text_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_safe(out ? out : stdout, fmt, ap);
	va_end(ap);
}

void text_print_as(enum text_style style, const char *fmt, ...)
{
	const char *begin = has_color ? sequence(style) : "";
	FILE *to = out ? out : stdout;
	va_list ap;

	fputs(begin, to);
	va_start(ap, fmt);
	print_safe(to, fmt, ap);
	va_end(ap);
	if (begin[0])
		fputs("\033[0m", to);
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

const char *text_duration(int64_t seconds, char buf[static TEXT_TIME_LEN])
{
	int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (seconds < 0)
		strcpy(buf, "-");
	else if (minutes < 1)
		snprintf(buf, TEXT_TIME_LEN, "%" PRId64 "s", seconds);
	else if (hours < 1)
		snprintf(buf, TEXT_TIME_LEN, "%" PRId64 "m%02" PRId64 "s", minutes, seconds % 60);
	else if (days < 1)
		snprintf(buf, TEXT_TIME_LEN, "%" PRId64 "h%02" PRId64 "m", hours, minutes % 60);
	else if (days < 100)
		snprintf(buf, TEXT_TIME_LEN, "%" PRId64 "d%02" PRId64 "h", days, hours % 24);
	else
		snprintf(buf, TEXT_TIME_LEN, "%" PRId64 "d", days);
	return buf;
}

/* Four characters at most, three digits of which say something: 999, 1.23k, 12.3M, 123G. */
const char *text_count(double n, char buf[static TEXT_COUNT_LEN])
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;

	for (; n >= 999.5 && units[unit + 1]; unit++)
		n /= 1000;
	if (unit == 0)
		snprintf(buf, TEXT_COUNT_LEN, "%.0f", n);
	else
		snprintf(buf, TEXT_COUNT_LEN, "%.*f%c",
			 n < 9.995   ? 2
			 : n < 99.95 ? 1
				     : 0,
			 n, units[unit]);
	return buf;
}

const char *text_bytes(double n, char buf[static TEXT_COUNT_LEN])
{
	size_t len = strlen(text_count(n, buf));
	char unit = len && buf[len - 1] > '9' ? buf[len - 1] : '\0';

	if (unit)
		snprintf(buf + len - 1, TEXT_COUNT_LEN - len + 1, " %cB", unit);
	else
		snprintf(buf + len, TEXT_COUNT_LEN - len, " B");
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

/* Bytes of the next line of `s`, without the blanks that end it; at least one word. */
static size_t next_line(const char *s, size_t room)
{
	size_t max = text_prefix(s, room), at = 0, end = 0;

	if (!s[max])
		return max;
	while (s[at]) {
		size_t word = at + strspn(s + at, " ");

		word += strcspn(s + word, " ");
		if (word > max && end)
			break;
		at = end = word;
	}
	return end;
}

void text_print_wrapped(enum text_style style, unsigned indent, unsigned width, const char *text)
{
	size_t room = width > indent ? width - indent : 0;

	for (;;) {
		size_t n = room ? next_line(text, room) : strlen(text), shown = n;

		while (shown && text[shown - 1] == ' ')
			shown--;
		text_print_as(style, "%.*s", (int)shown, text);
		text_print("\n");
		text += n;
		text += strspn(text, " ");
		if (!*text)
			return;
		text_print("%*s", (int)indent, "");
	}
}

/* RFC 3629: neither overlong, nor a surrogate, nor past U+10FFFF; 0 when it is none of it. */
static size_t utf8_char(const uint8_t *p, size_t len, uint32_t *ret)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (!n || n > len)
		return 0;
	c = n == 1 ? *p : *p & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

/* Not: controls, line and paragraph separators, marks without a width and those that turn the
 * direction of writing, and what is no character. */
static bool is_printable(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e)
		return false;
	if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f))
		return false;
	return c != 0xfeff && !(c >= 0xfff0 && c <= 0xfffb) && (c & 0xfffe) != 0xfffe &&
	       !(c >= 0xe0000 && c <= 0xe0fff);
}

size_t text_next(const void *s, size_t len, bool *ret_printable)
{
	uint32_t c = 0;
	size_t n = utf8_char(s, len, &c);

	*ret_printable = n && is_printable(c);
	return n ? n : 1;
}

size_t text_printable_at(const unsigned char *s)
{
	bool printable;
	size_t n = text_next(s, strnlen((const char *)s, 4), &printable);

	return printable ? n : 0;
}

void text_copy(char *buf, size_t size, const char *s)
{
	size_t used = 0, left = strlen(s);

	while (left && used + 1 < size) {
		bool printable;
		size_t n = text_next(s, left, &printable);

		if (printable && used + n >= size)
			break;
		if (printable)
			memcpy(buf + used, s, n);
		else
			buf[used] = '?';
		used += printable ? n : 1;
		s += n;
		left -= n;
	}
	buf[used] = '\0';
}
