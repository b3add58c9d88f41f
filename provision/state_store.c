// SPDX-License-Identifier: Apache-2.0
/*
 * The folder: state.json, lock, generations/N/TARGET. All files are replaced by rename, so that
 * somebody who reads meanwhile sees the old or the new one.
 */
#include "state_internal.h"

#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#define STATE_FILE  "state.json"
#define LOCK_FILE   "lock"
#define GENERATIONS "generations"
#define BACK_UP	    "put a good copy in its place (FILES in botls-provision(8))"

struct state_store {
	int dir_fd;
	int lock_fd; /* -1: only for reading */
	char folder[PATH_MAX];
};

/* ---- the folder and the lock ---- */

/* Folders above it are others' too and get the usual mode. */
static int make_folder(const char *folder)
{
	char path[PATH_MAX];

	if (!mkdir(folder, 0700) || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	snprintf(path, sizeof(path), "%s", folder);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_folder(struct state_store *st, struct errtext *e)
{
	struct stat s;
	int r = make_folder(st->folder);

	if (r < 0) {
		errno = -r;
		return errtext_set(e, r, "mkdir %s: %m", st->folder);
	}
	st->dir_fd = open(st->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (st->dir_fd < 0 || fstat(st->dir_fd, &s) < 0)
		return errtext_set(e, -errno, "open %s: %m", st->folder);
	if (s.st_uid != geteuid())
		return errtext_set(e, -EPERM, "%s belongs to user %u: run this as that user",
				   st->folder, (unsigned)s.st_uid);
	if (s.st_mode & 022)
		return errtext_set(e, -EPERM, "others may write to %s: chmod 0700 %s", st->folder,
				   st->folder);
	return 0;
}

static int complain_locked(struct state_store *st, struct errtext *e)
{
	char pid[16] = {};
	ssize_t n = pread(st->lock_fd, pid, sizeof(pid) - 1, 0);
	size_t digits = n > 0 ? strspn(pid, "0123456789") : 0;

	if (!digits)
		return errtext_set(e, -EBUSY, "another botls-provision is at work (it holds %s/%s)",
				   st->folder, LOCK_FILE);
	return errtext_set(e, -EBUSY, "process %.*s is at work (it holds %s/%s)", (int)digits, pid,
			   st->folder, LOCK_FILE);
}

static int take_lock(struct state_store *st, struct errtext *e)
{
	char pid[16];
	int n;

	st->lock_fd =
		openat(st->dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (st->lock_fd < 0)
		return errtext_set(e, -errno, "open %s/%s: %m", st->folder, LOCK_FILE);
	if (flock(st->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return complain_locked(st, e);
		return errtext_set(e, -errno, "lock %s/%s: %m", st->folder, LOCK_FILE);
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(st->lock_fd, 0) < 0 || pwrite(st->lock_fd, pid, n, 0) != n)
		return errtext_set(e, -EIO, "cannot write %s/%s", st->folder, LOCK_FILE);
	return 0;
}

/* ---- files ---- */

static int write_all(int fd, const char *text, size_t len)
{
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

/* On failure the old file is there as it was. */
static int replace_file(int dir_fd, const char *name, const char *text, size_t len)
{
	char temporary[NAME_MAX + 1];
	int fd, r;

	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, len);
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir_fd, temporary, 0);
	else if (fsync(dir_fd) < 0)
		r = -errno;
	return r;
}

static int check_file(const struct state_store *st, const struct stat *s, struct errtext *e)
{
	if (!S_ISREG(s->st_mode))
		return errtext_set(e, -EINVAL, "%s/%s is not a file: %s", st->folder, STATE_FILE,
				   BACK_UP);
	if (s->st_uid != geteuid())
		return errtext_set(e, -EPERM, "%s/%s belongs to user %u: chown it, if you trust it",
				   st->folder, STATE_FILE, (unsigned)s->st_uid);
	if (s->st_mode & 077)
		return errtext_set(e, -EPERM,
				   "others may read or write %s/%s, which holds secrets: "
				   "chmod 0600, if you trust what is in it",
				   st->folder, STATE_FILE);
	if (s->st_size > (off_t)JV_TEXT_MAX)
		return errtext_set(e, -E2BIG, "%s/%s is longer than %zu bytes: %s", st->folder,
				   STATE_FILE, JV_TEXT_MAX, BACK_UP);
	return 0;
}

/* A damaged file may hold anything. */
static void make_printable(char *text)
{
	while (*text) {
		size_t n = text_printable_at((unsigned char *)text);

		if (!n)
			*text = '?';
		text += n ?: 1;
	}
}

static int read_text(const struct state_store *st, int fd, size_t size, struct state *ret,
		     struct errtext *e)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct errtext why = {};
	size_t len = 0;
	ssize_t n = 1;
	int r;

	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	while (len < size && n > 0) {
		n = read(fd, text + len, size - len);
		if (n < 0)
			return errtext_set(e, -errno, "read %s/%s: %m", st->folder, STATE_FILE);
		len += n;
	}
	r = state_parse(text, len, ret, &why);
	explicit_bzero(text, size + 1);
	if (r == -ENOMEM)
		return errtext_set(e, r, "out of memory");
	make_printable(why.text);
	if (r < 0)
		return errtext_set(e, r, "%s/%s cannot be used: %s: %s", st->folder, STATE_FILE,
				   why.text, BACK_UP);
	return 0;
}

/* *ret_found is false when there is none. */
static int read_state(const struct state_store *st, struct state *ret, bool *ret_found,
		      struct errtext *e)
{
	/* not to hang on a FIFO */
	_cleanup_close_ int fd =
		openat(st->dir_fd, STATE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat s;
	int r;

	*ret_found = fd >= 0 || errno != ENOENT;
	if (!*ret_found)
		return 0;
	if (fd < 0 || fstat(fd, &s) < 0)
		return errtext_set(e, -errno, "open %s/%s: %m", st->folder, STATE_FILE);
	r = check_file(st, &s, e);
	return r < 0 ? r : read_text(st, fd, s.st_size, ret, e);
}

/* ---- generations ---- */

/* Calls back for each generation that there is. */
static int each_generation(int dir_fd, void (*fn)(void *arg, int fd, uint64_t n), void *arg)
{
	int fd = openat(dir_fd, GENERATIONS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	char *end;

	if (!dir) {
		int r = errno == ENOENT ? 0 : -errno;

		if (fd >= 0)
			close(fd);
		return r;
	}
	while ((d = readdir(dir))) {
		uint64_t n =
			isdigit((unsigned char)d->d_name[0]) ? strtoull(d->d_name, &end, 10) : 0;

		if (n && !*end)
			fn(arg, fd, n);
	}
	closedir(dir);
	return 0;
}

static void on_newest(void *arg, int fd, uint64_t n)
{
	uint64_t *newest = arg;

	(void)fd;
	if (n > *newest)
		*newest = n;
}

/* A lost or old file would make sessions that are configured look as if nobody knew them. Texts are
 * kept before the state is saved, so one generation more is what a crash leaves. */
static int check_generation(const struct state_store *st, bool is_found, uint64_t generation,
			    struct errtext *e)
{
	uint64_t newest = 0;
	int r = each_generation(st->dir_fd, on_newest, &newest);

	if (r < 0) {
		errno = -r;
		return errtext_set(e, r, "open %s/%s: %m", st->folder, GENERATIONS);
	}
	if (!is_found && newest)
		return errtext_set(e, -ENODATA,
				   "%s/%s is gone although %s/ is there: %s, or move the folder "
				   "away to begin from nothing",
				   st->folder, STATE_FILE, GENERATIONS, BACK_UP);
	if (newest > generation + 1)
		return errtext_set(e, -ESTALE,
				   "%s/%s is of generation %" PRIu64 ", but %s/%" PRIu64
				   " is newer: put the newest copy in its place, or move the newer "
				   "generations away",
				   st->folder, STATE_FILE, generation, GENERATIONS, newest);
	return 0;
}

static void remove_generation(int generations_fd, uint64_t n)
{
	char name[24];
	struct dirent *d;
	DIR *dir;
	int fd;

	snprintf(name, sizeof(name), "%" PRIu64, n);
	fd = openat(generations_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((d = readdir(dir)))
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
			unlinkat(fd, d->d_name, 0);
	closedir(dir);
	unlinkat(generations_fd, name, AT_REMOVEDIR);
}

/* What cannot be removed is tried again with the next generation. */
static void on_prune(void *arg, int fd, uint64_t n)
{
	const uint64_t *newest = arg;

	if (n + STATE_KEPT <= *newest)
		remove_generation(fd, n);
}

static int open_generation(const struct state_store *st, uint64_t generation, int *ret_fd)
{
	char path[sizeof(GENERATIONS) + 24];
	int fd;

	snprintf(path, sizeof(path), "%s/%" PRIu64, GENERATIONS, generation);
	if ((mkdirat(st->dir_fd, GENERATIONS, 0700) < 0 && errno != EEXIST) ||
	    (mkdirat(st->dir_fd, path, 0700) < 0 && errno != EEXIST))
		return -errno;
	fd = openat(st->dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int state_keep_text(struct state_store *st, uint64_t generation, const char *target,
		    const char *text, struct errtext *e)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (st->lock_fd < 0)
		return errtext_set(e, -EPERM, "%s was opened for reading", st->folder);
	if (!generation || !*target || *target == '.' || strchr(target, '/') ||
	    strlen(target) > NAME_MAX - 5)
		return errtext_set(e, -EINVAL, "no name of a file: %s", target);
	r = open_generation(st, generation, &fd);
	if (!r)
		r = replace_file(fd, target, text, strlen(text));
	if (!r)
		r = each_generation(st->dir_fd, on_prune, &generation);
	if (r < 0) {
		errno = -r;
		errtext_set(e, r, "write %s/%s/%" PRIu64 "/%s: %m", st->folder, GENERATIONS,
			    generation, target);
	}
	return r;
}

/* ---- the whole ---- */

int state_open(const char *folder, bool write, struct state_store **ret, struct state *ret_state,
	       struct errtext *e)
{
	struct state_store *st = calloc(1, sizeof(*st));
	struct state s = {};
	bool is_found = false;
	int r;

	if (!st)
		return errtext_set(e, -ENOMEM, "out of memory");
	st->dir_fd = st->lock_fd = -1;
	r = snprintf(st->folder, sizeof(st->folder), "%s", folder) < (int)sizeof(st->folder)
		    ? open_folder(st, e)
		    : errtext_set(e, -ENAMETOOLONG, "the name of the state's folder is too long");
	if (!r && write)
		r = take_lock(st, e);
	if (!r)
		r = read_state(st, &s, &is_found, e);
	if (!r)
		r = check_generation(st, is_found, s.generation, e);
	if (r < 0) {
		state_wipe(&s);
		state_close(st);
		return r;
	}
	*ret = st;
	*ret_state = s;
	return 0;
}

int state_save(struct state_store *st, const struct state *s, struct errtext *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (st->lock_fd < 0)
		return errtext_set(e, -EPERM, "%s was opened for reading", st->folder);
	if (s->n_owned > STATE_OWNED_MAX || s->n_asked > STATE_ASKED_MAX)
		return errtext_set(e, -E2BIG, "more than %d sessions", STATE_OWNED_MAX);
	text = state_dump(s, &len);
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = len > JV_TEXT_MAX ? -E2BIG : replace_file(st->dir_fd, STATE_FILE, text, len);
	explicit_bzero(text, len);
	if (r < 0) {
		errno = -r;
		errtext_set(e, r, "write %s/%s: %m", st->folder, STATE_FILE);
	}
	return r;
}

/* The lock goes with its descriptor. The file stays: another process may be waiting to take it. */
void state_close(struct state_store *st)
{
	if (!st)
		return;
	if (st->dir_fd >= 0)
		close(st->dir_fd);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	free(st);
}
