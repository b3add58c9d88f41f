/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for a secret in all memory of this process: was it wiped? */
#ifndef BOTLS_TEST_MEMORY_SCAN_H
#define BOTLS_TEST_MEMORY_SCAN_H

#include "util.h"

#include <stdbool.h>
#include <stdint.h>

/* Built with the address sanitizer, which keeps what is freed and reserves more than any limit. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_IS_SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_SANITIZED true
#endif
#ifndef MEMORY_IS_SANITIZED
#define MEMORY_IS_SANITIZED false
#endif

/* A text that stands nowhere until this is called; wipe and free it. Looked for is its end, since
 * free(3) writes over the first bytes. */
char *memory_secret(void);
bool memory_has_secret(void);

/* The same for bytes of the test's own, which it keeps with each bit turned over so that they are
 * not found themselves: true when they stand anywhere that is not locked and left out of cores. */
bool memory_has_unlocked(const uint8_t *turned, size_t len);
/* Where they may be. */
bool memory_has_locked(const uint8_t *turned, size_t len);

#endif
