// SPDX-License-Identifier: Apache-2.0
#include "scripted_clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t scripted_now_ms = 1000000;

void scripted_clock_forward(uint64_t ms)
{
	scripted_now_ms += ms;
}

/* In the place of the C library's, which libevent asks too. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return syscall(SYS_clock_gettime, id, ret);
	*ret = (struct timespec){scripted_now_ms / 1000, scripted_now_ms % 1000 * 1000000};
	return 0;
}
