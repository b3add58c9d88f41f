/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for a secret in all memory of this process: was it wiped? */
#ifndef BOTLS_TEST_MEMORY_SCAN_H
#define BOTLS_TEST_MEMORY_SCAN_H

#include "util.h"

#include <stdbool.h>

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

#endif
