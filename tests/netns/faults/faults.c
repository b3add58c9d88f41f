// SPDX-License-Identifier: Apache-2.0
/*
 * Loaded into botlsd by LD_PRELOAD (tests/netns/harness/faults.py): memory that runs out, a wall
 * clock that jumps, TCP_REPAIR that takes its time, acknowledgments that do not come, when the test
 * says so in a page that it shares with us ($BOTLS_FAULTS); and, with $BOTLS_TLS12, an OpenSSL that
 * knows no later TLS. Mapped before the process confines itself; afterwards no system call is made
 * that botlsd would not.
 */
#include <dlfcn.h>
#include <linux/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* tcpi_bytes_acked, which glibc's struct tcp_info may lack, in words of 64 bits. */
#define BYTES_ACKED 15

struct faults {
	int64_t pid;	   /* whose memory */
	int64_t countdown; /* this allocation fails; 0: none */
	int64_t count;	   /* allocations of `pid` so far */
	int64_t failed;
	int64_t clock_offset; /* seconds, of everybody */
	int64_t repair_delay; /* milliseconds before TCP_REPAIR begins */
	int64_t hold_acks;    /* what is sent does not look acknowledged */
};

static struct faults none, *faults = &none;
static int64_t own_pid;
static uint64_t actually_acked;
static int (*real_clock_gettime)(clockid_t id, struct timespec *ret);

/* glibc's own names: dlsym() itself allocates. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("BOTLS_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	own_pid = getpid();
	real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		faults = page;
}

static int fails_now(void)
{
	if (faults->pid != own_pid)
		return 0;
	__atomic_add_fetch(&faults->count, 1, __ATOMIC_RELAXED);
	if (faults->countdown <= 0 || __atomic_sub_fetch(&faults->countdown, 1, __ATOMIC_RELAXED))
		return 0;
	faults->failed++;
	errno = ENOMEM;
	return 1;
}

EXPORT void *malloc(size_t size)
{
	return fails_now() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return size && fails_now() ? NULL : __libc_realloc(p, size);
}

EXPORT int clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = real_clock_gettime ? real_clock_gettime(id, ret) : -1;

	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ret->tv_sec += faults->clock_offset;
	return r;
}

EXPORT time_t time(time_t *ret)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

EXPORT int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec ts = {};

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*ret = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
	return 0;
}

/* The two ends of a connection turn TCP-AO on at different times. */
EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	static int (*real)(int fd, int level, int name, const void *value, socklen_t len);

	if (!real)
		real = dlsym(RTLD_NEXT, "setsockopt");
	if (level == IPPROTO_TCP && name == TCP_REPAIR && *(const int *)value == TCP_REPAIR_ON)
		usleep(faults->repair_delay * 1000);
	return real(fd, level, name, value, len);
}

/* What is sent is still outstanding; acknowledged and outstanding bytes together stay right. */
EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
	static int (*real)(int fd, int level, int name, void *value, socklen_t *len);
	uint64_t *acked = (uint64_t *)value + BYTES_ACKED;
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "getsockopt");
	r = real(fd, level, name, value, len);
	if (level != IPPROTO_TCP || name != TCP_INFO || r < 0 ||
	    *len < (BYTES_ACKED + 1) * sizeof(*acked))
		return r;
	actually_acked = *acked;
	if (faults->hold_acks && *acked)
		*acked = 1;
	return r;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int fd, unsigned long request, void *argument);
	uint64_t info[BYTES_ACKED + 1] = {};
	socklen_t len = sizeof(info);
	void *argument;
	va_list ap;
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "ioctl");
	va_start(ap, request);
	argument = va_arg(ap, void *);
	va_end(ap);
	r = real(fd, request, argument);
	if (r == 0 && request == SIOCOUTQ && faults->hold_acks &&
	    getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0)
		*(int *)argument += actually_acked - info[BYTES_ACKED];
	return r;
}

/* SSL_CTX_set_max_proto_version() */
EXPORT long SSL_CTX_ctrl(void *ctx, int command, long argument, void *pointer)
{
	static long (*real)(void *ctx, int command, long argument, void *pointer);
	const int set_max = 124;

	if (!real)
		real = dlsym(RTLD_NEXT, "SSL_CTX_ctrl");
	if (command == set_max && getenv("BOTLS_TLS12"))
		argument = 0x0303;
	return real(ctx, command, argument, pointer);
}
