// SPDX-License-Identifier: Apache-2.0
/* Which files a configuration consists of. */
#include "config_parse.h"
#include "botls/botls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

struct text {
	char *data;
	size_t len;
	bool is_public; /* everybody may read it */
};

static void text_done(struct text *t)
{
	if (t->data)
		explicit_bzero(t->data, t->len);
	free(t->data);
}

static int read_all(int fd, size_t size, struct text *ret)
{
	char *data = malloc(size + 1);
	size_t n = 0;

	if (!data)
		return -ENOMEM;
	while (n < size) {
		ssize_t r = read(fd, data + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			int error = -errno;

			free(data);
			return error;
		}
		if (r == 0)
			break;
		n += r;
	}
	ret->data = data;
	ret->len = n;
	return 0;
}

static int read_text(int fd, size_t room, struct text *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	if (st.st_size < 0 || (size_t)st.st_size > room)
		return -EFBIG;
	ret->is_public = st.st_mode & S_IROTH;
	return read_all(fd, st.st_size, ret);
}

/* O_NONBLOCK: a FIFO in neighbors.d must not stop us. */
static int open_text(const char *path, size_t room, struct text *ret)
{
	_cleanup_close_ int fd = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : read_text(fd, room, ret);
}

static void report_unreadable(struct problems *p, int file, int error)
{
	struct place at = {file, 0};

	if (error == -EFBIG)
		problems_add(p, at, "the configuration is longer than %d MB",
			     CONFIG_BYTES_MAX >> 20);
	else if (error == -EBADF)
		problems_add(p, at, "is not a regular file");
	else
		problems_add(p, at, "cannot be read: %s", strerror(-error));
}

static void report_public_secrets(struct problems *p, int file, const struct block *b)
{
	for (size_t i = 0; i < b->n_settings; i++)
		if (b->settings[i].option->type == OPTION_SECRET)
			problems_add(
				p, (struct place){file, b->settings[i].line},
				"%s: everybody may read this file: chmod o-r it, or use %s-file",
				b->settings[i].option->name, b->settings[i].option->name);
}

static int parse_file(const char *path, bool only_neighbors, size_t *room, struct problems *p,
		      struct blocks *b)
{
	__attribute__((cleanup(text_done))) struct text text = {};
	size_t first = b->n_neighbors;
	int file, r;

	file = problems_add_file(p, path);
	if (file < 0)
		return file;
	r = open_text(path, *room, &text);
	if (r < 0) {
		report_unreadable(p, file, r);
		return r;
	}
	*room -= text.len;
	r = config_parse(text.data, text.len, file, only_neighbors, p, b);
	if (r < 0)
		return r;
	for (size_t i = first; text.is_public && i < b->n_neighbors; i++)
		report_public_secrets(p, file, &b->neighbors[i]);
	return 0;
}

static char *join(const char *folder, const char *name)
{
	size_t len = strlen(folder) + 1 + strlen(name) + 1;
	char *path = malloc(len);

	if (path)
		snprintf(path, len, "%s/%s", folder, name);
	return path;
}

static int is_part(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && !strcmp(d->d_name + n - 5, ".conf");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int parse_folder(const char *folder, size_t room, struct problems *p, struct blocks *b)
{
	struct dirent **parts;
	int n = scandir(folder, &parts, is_part, by_name), result = 0;

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0) {
		int error = -errno, file = problems_add_file(p, folder);

		if (file >= 0)
			report_unreadable(p, file, error);
		return error;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = join(folder, parts[i]->d_name);
		int r = -ENOMEM;

		free(parts[i]);
		if (path && result != -ENOMEM)
			r = parse_file(path, true, &room, p, b);
		if (r < 0 && (!result || r == -ENOMEM))
			result = r;
	}
	free(parts);
	return result;
}

int config_parse_files(const char *path, struct problems *p, struct blocks *b)
{
	_cleanup_free_ char *copy = NULL, *folder = NULL;
	size_t room = CONFIG_BYTES_MAX;
	int r;

	r = parse_file(path, false, &room, p, b);
	if (r < 0)
		return r;
	copy = strdup(path);
	folder = copy ? join(dirname(copy), "neighbors.d") : NULL;
	if (!folder)
		return -ENOMEM;
	return parse_folder(folder, room, p, b);
}
