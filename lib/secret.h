/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for passwords, keys and what they are read from: locked, left out of cores, and wiped when
 * it is freed. Where the limit of locked memory (RLIMIT_MEMLOCK) is too low it serves all the same,
 * not locked.
 *
 * A build with the address sanitizer takes it from malloc(3), so that mistakes with it are found.
 */
#ifndef BOTLS_SECRET_H
#define BOTLS_SECRET_H

#include <stddef.h>

/* What a process that keeps keys may lock: OpenSSL's heap (tls_start()), what comes from here, and
 * one file of another process at a time. */
#define SECRET_LIMIT ((size_t)128 << 20)

/* Raises RLIMIT_MEMLOCK to that, where this process may. To be called before privileges go. */
void secret_raise_limit(void);

/* All zeros. NULL: out of memory. */
void *secret_alloc(size_t size);
char *secret_strndup(const char *text, size_t len);
char *secret_strdup(const char *text);
/* For what came from here, and for nothing else. */
void secret_free(void *p);

/* A descriptor of a file in memory that holds `data`, for another process to read: memfd_secret(2),
 * which is never swapped and cleared by the kernel, or where that cannot be had memfd_create(2). */
int secret_fd(const void *data, size_t len, int *ret_fd);
/* What such a descriptor holds, to be read; `len` is the size that it was made with. One at a time:
 * it counts as locked. */
int secret_map(int fd, size_t len, const void **ret);
void secret_unmap(const void *p, size_t len);

static inline void cleanup_secret(void *p)
{
	secret_free(*(void **)p);
}
#define _cleanup_secret_ __attribute__((cleanup(cleanup_secret)))

#endif
