// SPDX-License-Identifier: Apache-2.0
#include "ctl_doctor_clock.h"

#include <stdio.h>

/* No botlsd is older than this: 2025-01-01. */
#define EARLIEST 1735689600
/* Microseconds that a synchronised clock may be off by before somebody should look. */
#define ERROR_MAX 10000000

void doctor_clock_judge(int state, const struct timex *t, time_t now, struct clock_verdict *ret)
{
	char when[64] = "an unknown time";
	struct tm tm;

	*ret = (struct clock_verdict){};
	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%F %T UTC", &tm);
	if (now < EARLIEST) {
		ret->is_wrong = true;
		ret->next = "set it, and run chrony, ntpd or systemd-timesyncd; until then no "
			    "certificate is valid";
		snprintf(ret->text, sizeof(ret->text), "it is not %s", when);
	} else if (state < 0 || state == TIME_ERROR || t->status & STA_UNSYNC) {
		ret->is_doubtful = true;
		ret->next = "run chrony, ntpd or systemd-timesyncd: certificates are judged by "
			    "this clock";
		snprintf(ret->text, sizeof(ret->text),
			 "%s, but the kernel says that nothing keeps it in step", when);
	} else if (t->maxerror > ERROR_MAX) {
		ret->is_doubtful = true;
		ret->next = "does the time daemon still reach its servers? chronyc tracking, "
			    "timedatectl";
		snprintf(ret->text, sizeof(ret->text), "%s, give or take %ld seconds", when,
			 t->maxerror / 1000000);
	} else {
		snprintf(ret->text, sizeof(ret->text), "%s, synchronised", when);
	}
}
