// SPDX-License-Identifier: Apache-2.0
/*
 * NAME.json, mode 0600: {"for": what it is bound to, "token": .., "obtained": .., "expires": ..}.
 * Whatever is wrong with a file, it is as if there were none.
 */
#include "token_internal.h"

#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FILE_MAX (64 << 10)
#define NAME_LEN 80

static int file_name(const char *name, const char *format, char buf[static NAME_LEN])
{
	if (!*name || strchr(name, '/') || snprintf(buf, NAME_LEN, format, name) >= NAME_LEN)
		return -EINVAL;
	return 0;
}

int token_cache_open(const char *folder, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The text, to be freed with wipe_free(); NULL: no file that may be used. */
static char *read_file(int folder, const char *name, size_t *ret_len)
{
	_cleanup_close_ int fd = -1;
	_cleanup_wiped_ char *text = NULL;
	char path[NAME_LEN];
	struct stat st;
	ssize_t n;

	if (file_name(name, "%s.json", path) < 0)
		return NULL;
	fd = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IRWXG | S_IRWXO)) || st.st_size > FILE_MAX)
		return NULL;
	text = malloc(FILE_MAX);
	n = text ? read(fd, text, FILE_MAX) : -1;
	if (n < 0)
		return NULL;
	*ret_len = n;
	return TAKE(text);
}

int token_cache_load(int folder, const char *name, const char *binding, struct token *ret)
{
	size_t len = 0;
	_cleanup_wiped_ char *text = read_file(folder, name, &len);
	_cleanup_jv_ struct jv *v = NULL;
	_cleanup_token_ struct token t = {};
	const char *value;

	if (!text || jv_parse(text, len, &v, NULL) < 0 ||
	    strcmp(jv_get_string(v, "for", ""), binding) != 0)
		return -ENOENT;
	value = jv_get_string(v, "token", "");
	t.obtained = jv_get_int(v, "obtained", 0);
	t.expires = jv_get_int(v, "expires", 0);
	if (!token_is_b68(value) || strlen(value) > TOKEN_MAX || t.obtained <= 0 ||
	    t.expires <= t.obtained || t.expires - t.obtained > TOKEN_LIFE_MAX)
		return -ENOENT;
	t.value = strdup(value);
	if (!t.value)
		return -ENOENT;
	*ret = t;
	t.value = NULL;
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= n;
		}
	}
	return 0;
}

static void replace(int folder, const char *name, const char *text, size_t len)
{
	char path[NAME_LEN], new_path[NAME_LEN];
	_cleanup_close_ int fd = -1;

	if (file_name(name, "%s.json", path) < 0 || file_name(name, ".%s.new", new_path) < 0)
		return;
	unlinkat(folder, new_path, 0); /* of a run that was killed */
	fd = openat(folder, new_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write_all(fd, text, len) < 0 || renameat(folder, new_path, folder, path) < 0)
		unlinkat(folder, new_path, 0);
}

void token_cache_save(int folder, const char *name, const char *binding, const struct token *t)
{
	_cleanup_jv_ struct jv *v = jv_object_new();
	_cleanup_wiped_ char *text = NULL;
	size_t len = 0;
	int r;

	r = jv_set_string(v, "for", binding);
	r |= jv_set_string(v, "token", t->value);
	r |= jv_set_int(v, "obtained", t->obtained);
	r |= jv_set_int(v, "expires", t->expires);
	text = r ? NULL : jv_dump_line(v, &len);
	/* Somebody else who is writing has a token that is as good. */
	if (!text || flock(folder, LOCK_EX | LOCK_NB) < 0)
		return;
	replace(folder, name, text, len);
	flock(folder, LOCK_UN);
}

void token_cache_drop(int folder, const char *name)
{
	char path[NAME_LEN];

	if (file_name(name, "%s.json", path) == 0)
		unlinkat(folder, path, 0);
}
