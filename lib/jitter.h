/* SPDX-License-Identifier: Apache-2.0 */
/* Times that many must not keep in step. Spreads, guards nothing: not for secrets. */
#ifndef BOTLS_JITTER_H
#define BOTLS_JITTER_H

#include <stdint.h>

/* `ms`, give or take up to a quarter, so that retries of many do not march in step. */
uint64_t jitter_ms(uint64_t ms);

#endif
