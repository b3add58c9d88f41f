// SPDX-License-Identifier: Apache-2.0
/* The one file of a target: read, told from other people's, replaced. */
#include "target_internal.h"
#include "wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static int read_all(int fd, size_t size, char **ret_text)
{
	_cleanup_wiped_ char *text = malloc(size + 1);
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	while (n < size) {
		ssize_t r = read(fd, text + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += r;
	}
	text[n] = '\0';
	if (strlen(text) != n)
		return -EBADMSG;
	*ret_text = TAKE(text);
	return 0;
}

/* O_NONBLOCK: a FIFO must not stop us. */
static int slurp(const char *path, size_t max, int flags, char **ret_text)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	if ((size_t)st.st_size > max)
		return -EFBIG;
	return read_all(fd, st.st_size, ret_text);
}

static int explain(const char *path, int error, struct errtext *e)
{
	const char *what = error == -EBADF     ? "is not a regular file"
			   : error == -EBADMSG ? "is not a text: it holds a byte 0"
					       : strerror(-error);

	return errtext_set(e, error, "%s: cannot be read: %s", path, what);
}

int target_file_slurp(const char *path, size_t max, char **ret_text, struct errtext *e)
{
	int r = slurp(path, max, 0, ret_text);

	return r < 0 ? explain(path, r, e) : 0;
}

int target_file_read(const char *path, char **ret_text, struct errtext *e)
{
	_cleanup_wiped_ char *text = NULL;
	int r;

	r = slurp(path, TARGET_FILE_MAX, O_NOFOLLOW, &text);
	if (r == -ENOENT) {
		*ret_text = NULL;
		return 0;
	}
	if (r == -ELOOP)
		return errtext_set(e, -EEXIST,
				   "%s is a symbolic link; botls-provision replaces files of its "
				   "own only: remove it",
				   path);
	if (r < 0 && r != -EBADMSG)
		return explain(path, r, e);
	if (!text || (text[0] && strncmp(text, TARGET_MARK, strlen(TARGET_MARK)) != 0))
		return errtext_set(e, -EEXIST,
				   "%s was not written by botls-provision and stays as it is: move "
				   "it away, or configure another file",
				   path);
	/* What an operator made for an include that must not fail is nobody's. */
	*ret_text = text[0] ? TAKE(text) : NULL;
	return 0;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= n;
	}
	return 0;
}

/* The file has its owner and mode before the first byte is in it. */
static int write_new(int folder, const char *name, const char *text, mode_t mode, gid_t group)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* What a run that was killed has left behind. */
	if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fchown(fd, -1, group) < 0 || fchmod(fd, mode) < 0)
		return -errno;
	r = write_all(fd, text);
	if (r < 0)
		return r;
	if (fsync(fd) < 0 || close(TAKE_FD(fd)) < 0)
		return -errno;
	return 0;
}

static int replace(int folder, const char *name, const char *text, mode_t mode, gid_t group)
{
	char new_name[NAME_MAX + 1];
	int r;

	/* A pattern such as "*.conf" does not match it: neither glob(3) nor botlsd take a dot. */
	if (snprintf(new_name, sizeof(new_name), ".%s.new", name) >= (int)sizeof(new_name))
		return -ENAMETOOLONG;
	r = write_new(folder, new_name, text, mode, group);
	if (!r && renameat(folder, new_name, folder, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(folder, new_name, 0);
	/* The rename must outlive a power cut. A file system that cannot sync folders says EINVAL.
	 */
	else if (fsync(folder) < 0 && errno != EINVAL)
		r = -errno;
	return r;
}

int target_file_write(const char *path, const char *text, mode_t mode, gid_t group,
		      struct errtext *e)
{
	_cleanup_free_ char *folder_name = strdup(path), *name = strdup(path);
	_cleanup_wiped_ char *old = NULL;
	_cleanup_close_ int folder = -1;
	int r;

	if (!folder_name || !name)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (strncmp(text, TARGET_MARK, strlen(TARGET_MARK)) != 0)
		return errtext_set(e, -EINVAL, "%s: this text does not begin as ours does", path);
	if (strlen(text) > TARGET_FILE_MAX)
		return errtext_set(e, -EFBIG, "%s: more than %zu MB", path, TARGET_FILE_MAX >> 20);
	r = target_file_read(path, &old, e);
	if (r < 0)
		return r;
	folder = open(dirname(folder_name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return errtext_set(e, -errno, "%s: its folder cannot be opened: %s", path,
				   strerror(errno));
	r = replace(folder, basename(name), text, mode, group);
	if (r < 0)
		return errtext_set(e, r, "%s: cannot be written: %s", path, strerror(-r));
	return 0;
}

int target_run_reader(const struct program *p, const char *path, struct program_result *ret,
		      bool *ret_read, struct errtext *e)
{
	_cleanup_close_ int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];
	bool is_watched = watch >= 0 && inotify_add_watch(watch, path, IN_OPEN) >= 0;
	int r;

	r = program_run(p, ret, e);
	if (r < 0)
		return r;
	*ret_read = !is_watched || read(watch, event, sizeof(event)) > 0;
	return 0;
}
