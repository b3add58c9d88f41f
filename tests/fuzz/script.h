/* SPDX-License-Identifier: Apache-2.0 */
/* An input that is read byte by byte as a script; behind its end there are zeros. */
#ifndef BOTLS_FUZZ_SCRIPT_H
#define BOTLS_FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

static const uint8_t *script;
static size_t script_left;

static inline uint8_t next(void)
{
	if (!script_left)
		return 0;
	script_left--;
	return *script++;
}

#endif
