// SPDX-License-Identifier: Apache-2.0
#include "files.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

char *file_read(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	return text;
}

void file_write(const char *folder, const char *name, const char *text, mode_t mode)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

char *folder_make(void)
{
	char *folder = strdup("/tmp/botls-test-XXXXXX");

	assert_non_null(mkdtemp(folder));
	return folder;
}

void folder_remove(char *folder)
{
	char command[600];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
	free(folder);
}

const char *golden_path(const char *relative, char buf[static 512])
{
	char file[] = __FILE__;

	snprintf(buf, 512, "%s/%s", dirname(file), relative);
	return buf;
}

void golden_compare(const char *path, const char *seen)
{
	_cleanup_free_ char *expected = NULL;

	if (getenv("UPDATE")) {
		_cleanup_fclose_ FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(seen, f);
		return;
	}
	expected = file_read(path);
	if (strcmp(expected, seen) != 0)
		fail_msg("%s: expected\n%s\nseen\n%s", path, expected, seen);
}
