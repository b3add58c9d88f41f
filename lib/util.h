/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every file uses: ownership by cleanup attribute, with an explicit TAKE.
 */
#ifndef BOTLS_UTIL_H
#define BOTLS_UTIL_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	  (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Hand a pointer or a descriptor over to somebody else: the cleanup attribute then does nothing. */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cleanup_close(&fds[i]);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_	 __attribute__((cleanup(cleanup_free)))
#define _cleanup_close_	 __attribute__((cleanup(cleanup_close)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose)))

/* An error said in words, for the one who decides whether to log, show or drop it. */
struct errtext {
	char text[256];
};

/* Writes the text and returns `code`, so that a function ends with `return errtext_set(...)`. */
static inline int errtext_set(struct errtext *e, int code, const char *fmt, ...) PRINTF(3, 4);
static inline int errtext_set(struct errtext *e, int code, const char *fmt, ...)
{
	__builtin_va_list ap;

	if (e) {
		__builtin_va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		__builtin_va_end(ap);
	}
	return code;
}

#endif
