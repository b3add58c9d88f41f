// SPDX-License-Identifier: Apache-2.0
/* Points in time: RFC 3339 in, seconds since the epoch out, and back. */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <time.h>

/* Exactly `n` digits; *s ends behind them. */
static bool take_number(const char **s, int n, int *ret)
{
	*ret = 0;
	for (; n > 0; n--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return false;
		*ret = *ret * 10 + (**s - '0');
	}
	return true;
}

static bool take(const char **s, const char *one_of)
{
	if (!**s || !strchr(one_of, **s))
		return false;
	(*s)++;
	return true;
}

/* "Z", "+01:00": east of Greenwich in seconds. */
static bool take_offset(const char **s, int *ret)
{
	int sign = **s == '-' ? -1 : 1, hours, minutes;

	*ret = 0;
	if (take(s, "Zz"))
		return true;
	if (!take(s, "+-") || !take_number(s, 2, &hours) || !take(s, ":") ||
	    !take_number(s, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* "T00:00:00Z"; seconds may be left out. Without an offset nobody knows whose clock is meant. */
static bool take_clock(const char **s, struct tm *tm, int *ret_offset)
{
	if (!take(s, "Tt ") || !take_number(s, 2, &tm->tm_hour) || !take(s, ":") ||
	    !take_number(s, 2, &tm->tm_min))
		return false;
	if (take(s, ":") && !take_number(s, 2, &tm->tm_sec))
		return false;
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60 && take_offset(s, ret_offset);
}

int conf_parse_time(const char *text, uint64_t *ret)
{
	struct tm tm = {}, same;
	const char *s = text;
	int offset = 0;
	time_t t;

	if (!take_number(&s, 4, &tm.tm_year) || !take(&s, "-") || !take_number(&s, 2, &tm.tm_mon) ||
	    !take(&s, "-") || !take_number(&s, 2, &tm.tm_mday))
		return -EINVAL;
	if (*s && !take_clock(&s, &tm, &offset))
		return -EINVAL;
	if (*s)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	same = tm;
	t = timegm(&tm);
	/* A day that the month does not have becomes one of the next. */
	if (same.tm_mon < 0 || same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday ||
	    t - offset < 0)
		return -EINVAL;
	*ret = t - offset;
	return 0;
}

const char *conf_format_time(uint64_t seconds, char buf[static CONF_TIME_LEN])
{
	time_t t = seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(buf, CONF_TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(buf, CONF_TIME_LEN, "?");
	return buf;
}
