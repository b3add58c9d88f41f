/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this router's clock judge a certificate? What the kernel says about it, in words.
 */
#ifndef BOTLS_CTL_DOCTOR_CLOCK_H
#define BOTLS_CTL_DOCTOR_CLOCK_H

#include <stdbool.h>
#include <sys/timex.h>
#include <time.h>

struct clock_verdict {
	bool is_wrong, is_doubtful;
	char text[160];
	const char *next; /* NULL: nothing to be done */
};

/* `state` and `t` are what adjtimex() returned and filled; `now` in seconds since the epoch. */
void doctor_clock_judge(int state, const struct timex *t, time_t now, struct clock_verdict *ret);

#endif
