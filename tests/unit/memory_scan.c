// SPDX-License-Identifier: Apache-2.0
#include "memory_scan.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define LEAD 48

/* Each letter is another one. */
static const char hidden[] = "vdmm,iheedo,rdbsdu";

char *memory_secret(void)
{
	char *secret = malloc(LEAD + sizeof(hidden));

	assert_non_null(secret);
	memset(secret, 'x', LEAD);
	for (size_t i = 0; i < sizeof(hidden) - 1; i++)
		secret[LEAD + i] = hidden[i] ^ 1;
	secret[LEAD + sizeof(hidden) - 1] = '\0';
	return secret;
}

static bool is_hidden_in(const char *data, size_t len)
{
	for (size_t at = 0; at + sizeof(hidden) - 1 <= len; at++) {
		size_t i = 0;

		while (i < sizeof(hidden) - 1 && (data[at + i] ^ 1) == hidden[i])
			i++;
		if (i == sizeof(hidden) - 1)
			return true;
	}
	return false;
}

bool memory_has_secret(void)
{
	static char block[(1 << 20) + sizeof(hidden)];
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "r");
	_cleanup_close_ int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from, to;
	bool is_found = false;
	char line[512], mode[8];

	assert_true(maps && fd >= 0);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w')
			continue;
		for (; from < to; from += 1 << 20) {
			size_t want = to - from < sizeof(block) ? to - from : sizeof(block);
			ssize_t n = pread(fd, block, want, from);

			is_found |= n > 0 && is_hidden_in(block, n);
		}
	}
	explicit_bzero(block, sizeof(block));
	return is_found;
}

static bool is_turned_in(const uint8_t *data, size_t n, const uint8_t *turned, size_t len)
{
	const uint8_t *end = data + n, *at = data;

	while ((at = memchr(at, turned[0] ^ 0xff, end - at)) && (size_t)(end - at) >= len) {
		size_t i = 1;

		while (i < len && (at[i] ^ turned[i]) == 0xff)
			i++;
		if (i == len)
			return true;
		at++;
	}
	return false;
}

/* smaps tells the flags of a mapping after its range. */
static bool has_turned(const uint8_t *turned, size_t len, bool is_locked)
{
	static uint8_t block[(1 << 20) + 4096];
	_cleanup_fclose_ FILE *smaps = fopen("/proc/self/smaps", "r");
	_cleanup_close_ int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from = 0, to = 0, a, b;
	bool is_found = false;
	char line[512];

	assert_true(smaps && fd >= 0 && len <= 4096);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			from = a;
			to = b;
		}
		if (strncmp(line, "VmFlags:", 8) != 0 || !strstr(line, " wr") ||
		    is_locked != (strstr(line, " lo") && strstr(line, " dd")))
			continue;
		for (; from < to; from += 1 << 20) {
			size_t want = to - from < sizeof(block) ? to - from : sizeof(block);
			ssize_t n = pread(fd, block, want, from);

			is_found |= n > 0 && is_turned_in(block, n, turned, len);
		}
	}
	explicit_bzero(block, sizeof(block));
	return is_found;
}

bool memory_has_unlocked(const uint8_t *turned, size_t len)
{
	return has_turned(turned, len, false);
}

bool memory_has_locked(const uint8_t *turned, size_t len)
{
	return has_turned(turned, len, true);
}
