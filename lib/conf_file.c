// SPDX-License-Identifier: Apache-2.0
#include "conf.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct text {
	char *data;
	size_t len;
	bool is_public; /* everybody may read it */
};

static void text_done(struct text *t)
{
	secret_free(t->data);
}

static int read_all(int fd, size_t size, struct text *ret)
{
	char *data = secret_alloc(size + 1);
	size_t n = 0;

	if (!data)
		return -ENOMEM;
	while (n < size) {
		ssize_t r = read(fd, data + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			int error = -errno;

			secret_free(data);
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

/* O_NONBLOCK: a FIFO must not stop us. */
static int open_text(const char *path, size_t room, struct text *ret)
{
	_cleanup_close_ int fd = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : read_text(fd, room, ret);
}

static void report_public_secrets(struct conf_problems *p, unsigned file,
				  const struct conf_block *b, size_t first)
{
	for (size_t i = first; i < b->n_settings; i++) {
		const char *name = b->settings[i].option->name;

		if (b->settings[i].option->type == CONF_SECRET)
			conf_problem(
				p, (struct conf_place){file, b->settings[i].line},
				"%s: everybody may read this file: chmod o-r it, or use %s-file",
				name, name);
	}
}

int conf_parse_file(const struct conf_schema *s, const char *path, const char *only_blocks,
		    size_t *room, struct conf_problems *p, struct conf_blocks *b)
{
	__attribute__((cleanup(text_done))) struct text text = {};
	size_t first = b->n_items, first_global = b->globals.n_settings;
	int file, r;

	file = conf_problems_add_file(p, path);
	if (file < 0)
		return file;
	r = open_text(path, *room, &text);
	if (r < 0) {
		conf_problem_unreadable(p, file, r);
		return r;
	}
	*room -= text.len;
	r = conf_parse(s, text.data, text.len, file, only_blocks, p, b);
	if (r < 0)
		return r;
	if (text.is_public) {
		report_public_secrets(p, file, &b->globals, first_global);
		for (size_t i = first; i < b->n_items; i++)
			report_public_secrets(p, file, &b->items[i], 0);
	}
	return 0;
}
