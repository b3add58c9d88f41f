/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A neighbor that may go without TCP-AO (tcp-ao-policy = preferred, keys that follow from TLS): how
 * it is dialled, and what a connection with it lacks.
 *
 * One that has no TCP-AO ignores the option in our SYN, and the kernel here drops its answer: all
 * that is seen is silence. So each attempt dials with what worked last, and after AO_PATIENCE_MS
 * once with the other. What worked without is only good for AO_AGAIN_MS: whoever can drop packets
 * on the way can bring it about.
 */
#ifndef BOTLS_AO_TRY_H
#define BOTLS_AO_TRY_H

#include <stdbool.h>
#include <stdint.h>

#define AO_PATIENCE_MS 3000 /* two SYN are sent in it */
#define AO_AGAIN_MS    600000

/* What is remembered of a neighbor; zeros: nothing. Times are those of loop_now_ms(). */
struct ao_habit {
	bool is_without;
	uint64_t until_ms;
};

/* Does the next attempt begin without TCP-AO? */
bool ao_habit_begins_without(const struct ao_habit *h, uint64_t now);
/* A neighbor was verified over such a connection. */
void ao_habit_worked(struct ao_habit *h, bool is_without, uint64_t now);
/* How long to wait for the connection before the other way is tried. */
uint64_t ao_patience_ms(uint64_t timeout_ms);

/* Why keys that follow from TLS do not protect a connection. */
enum ao_lack {
	AO_LACK_NONE,
	AO_LACK_KERNEL,
	AO_LACK_NO_ANSWER, /* we dialled */
	AO_LACK_NOT_OFFERED,
	AO_LACK_TLS,	   /* 1.2 */
	AO_LACK_NOT_TAKEN, /* it stays with the default key */
};
const char *ao_lack_text(enum ao_lack lack);

#endif
