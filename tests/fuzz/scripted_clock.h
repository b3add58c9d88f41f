/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monotonic clock of a whole fuzz harness, libevent's included: it stands still until the
 * script moves it. Wall clock time goes on as ever. Included by the one file of a harness: in an
 * archive clock_gettime() would become that of every program.
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

/* In the place of the C library's, which libevent asks too. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return syscall(SYS_clock_gettime, id, ret);
	*ret = (struct timespec){.tv_sec = scripted_now_ms / 1000,
				 .tv_nsec = scripted_now_ms % 1000 * 1000000};
	return 0;
}

#endif
