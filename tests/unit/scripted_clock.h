/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monotonic clock of a whole test program, libevent's included: it stands still until the test
 * moves it. A program that uses either symbol has it; wall clock time goes on as ever.
 */
#ifndef BOTLS_TEST_SCRIPTED_CLOCK_H
#define BOTLS_TEST_SCRIPTED_CLOCK_H

#include <stdint.h>

extern uint64_t scripted_now_ms;
void scripted_clock_forward(uint64_t ms);

#endif
