// SPDX-License-Identifier: Apache-2.0
#include "ao_try.h"

bool ao_habit_begins_without(const struct ao_habit *h, uint64_t now)
{
	return h->is_without && now < h->until_ms;
}

void ao_habit_worked(struct ao_habit *h, bool is_without, uint64_t now)
{
	if (is_without && !ao_habit_begins_without(h, now))
		h->until_ms = now + AO_AGAIN_MS;
	h->is_without = is_without;
}

uint64_t ao_patience_ms(uint64_t timeout_ms)
{
	return timeout_ms / 2 < AO_PATIENCE_MS ? timeout_ms / 2 : AO_PATIENCE_MS;
}

const char *ao_lack_text(enum ao_lack lack)
{
	switch (lack) {
	case AO_LACK_NONE: return "";
	case AO_LACK_KERNEL: return "this kernel has no TCP-AO";
	case AO_LACK_NO_ANSWER: return "the neighbor does not answer a SYN with TCP-AO";
	case AO_LACK_NOT_OFFERED: return "the neighbor's SYN carried no TCP-AO";
	case AO_LACK_TLS:
		return "the default key stays, which everybody knows: no key follows from TLS 1.2";
	case AO_LACK_NOT_TAKEN:
		return "the default key stays, which everybody knows: the neighbor does not take "
		       "the one that follows from TLS";
	}
	return "";
}
