// SPDX-License-Identifier: Apache-2.0
/*
 * Slabs of pieces of one size, a power of two; what is larger has a mapping of its own. Every slab
 * begins at a multiple of SLAB, so that a piece finds its slab.
 */
#include "secret.h"

#include "sandbox_internal.h"
#include "wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#define SLAB	  (64UL << 10)
#define PIECE_MIN 32UL
#define PIECE_MAX 8192UL
#define LOCK_MAX  (32UL << 20) /* of SECRET_LIMIT */
#define MAP_MAX	  (16UL << 20) /* the same */

struct piece {
	struct piece *next;
};

struct slab {
	struct slab *next;
	struct piece *free;
	size_t piece;  /* size of each; larger than PIECE_MAX: there is one */
	size_t mapped; /* bytes, this struct included */
	bool is_locked;
} __attribute__((aligned(64)));

static struct slab *slabs;
static size_t locked;

void secret_raise_limit(void)
{
	struct rlimit limit = {.rlim_cur = SECRET_LIMIT, .rlim_max = SECRET_LIMIT}, now;

	if (getrlimit(RLIMIT_MEMLOCK, &now) < 0 || now.rlim_cur >= SECRET_LIMIT)
		return;
	if (now.rlim_max > SECRET_LIMIT)
		limit.rlim_max = now.rlim_max;
	/* Where it may not, secrets are kept all the same. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
}

static bool has_limit(void)
{
	struct rlimit now;

	return getrlimit(RLIMIT_MEMLOCK, &now) == 0 && now.rlim_cur >= SECRET_LIMIT;
}

static struct slab *slab_of(const void *p)
{
	return (struct slab *)((uintptr_t)p & ~(SLAB - 1));
}

/* `size` is a multiple of SLAB; so is the address. */
static void *map_aligned(size_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *p, *begin;

	/* -1 is what MAP_ANONYMOUS wants: */
	/* cppcheck-suppress invalidFunctionArg */
	p = mmap(NULL, size + SLAB, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	begin = p + (-(uintptr_t)p & (SLAB - 1));
	if (begin > p)
		munmap(p, begin - p);
	munmap(begin + size, p + SLAB - begin);
	return begin;
}

static struct slab *slab_new(size_t piece)
{
	size_t size =
		piece > PIECE_MAX ? (sizeof(struct slab) + piece + SLAB - 1) & ~(SLAB - 1) : SLAB;
	struct slab *s = map_aligned(size);

	if (!s)
		return NULL;
	madvise(s, size, MADV_DONTDUMP);
	s->is_locked = size <= LOCK_MAX - locked && mlock(s, size) == 0;
	locked += s->is_locked ? size : 0;
	s->piece = piece;
	s->mapped = size;
	return s;
}

static struct slab *slab_with_room(size_t piece)
{
	struct slab *s;

	for (s = slabs; s; s = s->next)
		if (s->piece == piece && s->free)
			return s;
	s = slab_new(piece);
	if (!s)
		return NULL;
	for (size_t at = sizeof(*s); at + piece <= s->mapped; at += piece) {
		struct piece *p = (struct piece *)((char *)s + at);

		p->next = s->free;
		s->free = p;
	}
	s->next = slabs;
	slabs = s;
	return s;
}

void *secret_alloc(size_t size)
{
	size_t piece = PIECE_MIN;
	struct piece *p;
	struct slab *s;

	if (SANDBOX_SANITIZED)
		return calloc(1, size ? size : 1);
	if (size > PIECE_MAX) {
		s = size < SIZE_MAX / 2 ? slab_new(size) : NULL;
		return s ? s + 1 : NULL;
	}
	while (piece < size)
		piece *= 2;
	s = slab_with_room(piece);
	if (!s)
		return NULL;
	p = s->free;
	s->free = p->next;
	p->next = NULL;
	return p;
}

void secret_free(void *p)
{
	struct slab *s = slab_of(p);
	struct piece *freed = p;

	if (!p)
		return;
	if (SANDBOX_SANITIZED) {
		wipe_free(p);
		return;
	}
	explicit_bzero(p, s->piece);
	if (s->piece > PIECE_MAX) {
		locked -= s->is_locked ? s->mapped : 0;
		munmap(s, s->mapped);
		return;
	}
	freed->next = s->free;
	s->free = freed;
}

char *secret_strndup(const char *text, size_t len)
{
	char *copy;

	len = strnlen(text, len);
	copy = secret_alloc(len + 1);
	if (copy)
		memcpy(copy, text, len);
	return copy;
}

char *secret_strdup(const char *text)
{
	return secret_strndup(text, strlen(text));
}

static int filled(int fd, const void *data, size_t len)
{
	void *p;

	if (ftruncate(fd, len) < 0)
		return -errno;
	if (!len)
		return 0;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	memcpy(p, data, len);
	munmap(p, len);
	return 0;
}

int secret_fd(const void *data, size_t len, int *ret_fd)
{
	_cleanup_close_ int secret = -1;
	_cleanup_close_ int plain = -1;
	int r;

	/* Mapped it counts as locked, in the reader too, whose limit is ours. */
	if (len <= MAP_MAX && has_limit())
		secret = syscall(SYS_memfd_secret, O_CLOEXEC);
	if (secret >= 0 && filled(secret, data, len) == 0) {
		*ret_fd = TAKE_FD(secret);
		return 0;
	}
	/* Not in this kernel, or switched off. */
	plain = memfd_create("botls", MFD_CLOEXEC);
	r = plain < 0 ? -errno : filled(plain, data, len);
	if (r == 0)
		*ret_fd = TAKE_FD(plain);
	return r;
}

int secret_map(int fd, size_t len, const void **ret)
{
	void *p = len ? mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0) : "";

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

void secret_unmap(const void *p, size_t len)
{
	if (len)
		munmap((void *)p, len);
}
