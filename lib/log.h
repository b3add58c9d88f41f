/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: lines on standard error, with the <N> priority prefix of sd-daemon(3) when it is the
 * journal, else with a time stamp. lib/ itself never logs; only the function that decides does,
 * once. Secrets never come here.
 */
#ifndef BOTLS_LOG_H
#define BOTLS_LOG_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

/* The numbers are those of syslog(3). */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* `name` ("control", "worker 0") goes before every line; it must outlive the log. */
void log_init(const char *name);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
const char *log_level_name(enum log_level level);
int log_level_parse(const char *name, enum log_level *ret); /* 0 or -EINVAL */

void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_error(...)	 log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A token bucket for lines that a stranger can cause: `burst` lines at once, then one per
 * `interval_ms`. What was held back is counted and said with the next line that passes.
 * Zero-initialised is full. */
struct log_limit {
	uint64_t filled_ms;
	uint32_t used;
	uint32_t held_back;
};
#define LOG_LIMIT_BURST	   10
#define LOG_LIMIT_INTERVAL 1000

/* True when a line may be logged at `now_ms` (monotonic); *ret_held_back: lines held back since the
 * last one. */
bool log_limit_pass(struct log_limit *l, uint64_t now_ms, uint32_t *ret_held_back);

#endif
