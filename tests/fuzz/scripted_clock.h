/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monotonic clock of a whole program, libevent's included: it stands still until the script
 * moves it. Wall clock time goes on as ever. Defines the function that it replaces, so one file of
 * a program includes this; it is no object of an archive, where a linker would find it for all
 * others.
 */
#ifndef BOTLS_FUZZ_SCRIPTED_CLOCK_H
#define BOTLS_FUZZ_SCRIPTED_CLOCK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t scripted_now_ms = 1000000;

static inline void scripted_clock_forward(uint64_t ms)
{
	scripted_now_ms += ms;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return syscall(SYS_clock_gettime, id, ret);
	*ret = (struct timespec){scripted_now_ms / 1000, scripted_now_ms % 1000 * 1000000};
	return 0;
}

#endif
