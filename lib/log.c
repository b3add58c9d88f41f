// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <strings.h>
#include <time.h>

static const char *log_name = "botls";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool is_journal;

void log_init(const char *name)
{
	log_name = name;
	is_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
	log_max = level;
}

enum log_level log_get_level(void)
{
	return log_max;
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR: return "error";
	case LOG_LEVEL_WARNING: return "warning";
	case LOG_LEVEL_INFO: return "info";
	case LOG_LEVEL_DEBUG: return "debug";
	}
	return "?";
}

int log_level_parse(const char *name, enum log_level *ret)
{
	static const enum log_level all[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
					     LOG_LEVEL_DEBUG};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (strcasecmp(name, log_level_name(all[i])) == 0) {
			*ret = all[i];
			return 0;
		}
	}
	return -EINVAL;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	int n = 0, left;
	va_list ap;

	if (level > log_max)
		return;
	if (is_journal) {
		n = snprintf(line, sizeof(line), "<%d>%s: ", level, log_name);
	} else {
		struct timespec ts;
		struct tm tm;

		clock_gettime(CLOCK_REALTIME, &ts);
		localtime_r(&ts.tv_sec, &tm);
		n = strftime(line, sizeof(line), "%F %T", &tm);
		n += snprintf(line + n, sizeof(line) - n, ".%03ld %s: %s: ", ts.tv_nsec / 1000000,
			      log_name, log_level_name(level));
	}
	left = sizeof(line) - n - 1;
	va_start(ap, fmt);
	n += vsnprintf(line + n, left, fmt, ap) < left ? (int)strlen(line + n) : left - 1;
	va_end(ap);

	/* What a peer wrote (a NOTIFICATION's text, a certificate's name) must not forge a log
	 * line. */
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	/* One write per line: lines of several processes do not mix. A full pipe loses the line,
	 * not the session. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

bool log_limit_pass(struct log_limit *l, uint64_t now_ms, uint32_t *ret_held_back)
{
	uint64_t refill = (now_ms - l->filled_ms) / LOG_LIMIT_INTERVAL;

	if (refill > 0) {
		l->used = refill >= l->used ? 0 : l->used - refill;
		l->filled_ms = l->used ? l->filled_ms + refill * LOG_LIMIT_INTERVAL : now_ms;
	}
	if (l->used >= LOG_LIMIT_BURST) {
		l->held_back++;
		return false;
	}
	l->used++;
	*ret_held_back = l->held_back;
	l->held_back = 0;
	return true;
}
