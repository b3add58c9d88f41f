// SPDX-License-Identifier: Apache-2.0
#include "jitter.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* splitmix64 */
static uint64_t next_random(void)
{
	static uint64_t state;
	uint64_t z;

	if (!state && getrandom(&state, sizeof(state), GRND_NONBLOCK) != sizeof(state))
		state = (uint64_t)time(NULL) ^ ((uint64_t)getpid() << 32);
	z = (state += 0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t jitter_ms(uint64_t ms)
{
	uint64_t quarter = ms / 4;

	return ms - quarter + next_random() % (2 * quarter + 1);
}
