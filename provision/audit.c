// SPDX-License-Identifier: Apache-2.0
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>

struct audit {
	int fd;
	char run[37];
	char path[PATH_MAX];
};

/* A line that was cut short, by a full disk or a crash, must not swallow the next one. */
static int end_last_line(int fd, off_t size)
{
	char last;

	if (!size || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
		return 0;
	return write(fd, "\n", 1) == 1 ? 0 : -EIO;
}

static int check_log(int fd, const char *path, struct errtext *e)
{
	struct stat s;

	if (fstat(fd, &s) < 0)
		return errtext_set(e, -errno, "open %s: %m", path);
	if (!S_ISREG(s.st_mode))
		return errtext_set(e, -EINVAL, "%s is not a file: name another audit log", path);
	if (s.st_uid != geteuid())
		return errtext_set(e, -EPERM, "%s belongs to user %u: name another audit log", path,
				   (unsigned)s.st_uid);
	if (s.st_mode & 022)
		return errtext_set(e, -EPERM, "others may write to %s: chmod 0600 %s", path, path);
	if (end_last_line(fd, s.st_size) < 0)
		return errtext_set(e, -EIO, "cannot write to %s", path);
	return 0;
}

int audit_open(const char *path, const char *run_id, struct audit **ret, struct errtext *e)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return errtext_set(e, -ENOMEM, "out of memory");
	snprintf(a->run, sizeof(a->run), "%s", run_id);
	snprintf(a->path, sizeof(a->path), "%s", path);
	a->fd = open(path,
		     O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		     0600);
	r = a->fd < 0 ? errtext_set(e, -errno, "open %s: %m", path) : check_log(a->fd, path, e);
	if (r < 0) {
		audit_close(a);
		return r;
	}
	*ret = a;
	return 0;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

/* By name and generously: a hidden word too many costs nothing. */
static bool is_secret(const char *name)
{
	static const char *const parts[] = {"secret", "password",      "passwd", "token", "bearer",
					    "cookie", "authorization", "_key",	 "-key"};
	static const char *const names[] = {"md5", "ao"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcasestr(name, parts[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(name, names[i]))
			return true;
	return false;
}

static struct jv *copy_hidden(const struct jv *v);

static struct jv *copy_members(const struct jv *v)
{
	struct jv *copy = jv_object_new();
	int r = 0;

	for (struct jv_iter it = {}; jv_next(v, &it);)
		r |= is_secret(it.key) ? jv_set_string(copy, it.key, "<hidden>")
				       : jv_set(copy, it.key, copy_hidden(it.value));
	if (!r)
		return copy;
	jv_free(copy);
	return NULL;
}

static struct jv *copy_hidden(const struct jv *v)
{
	struct jv *copy;
	int r = 0;

	if (jv_is_object(v))
		return copy_members(v);
	if (!jv_is_array(v))
		return jv_copy(v);
	copy = jv_array_new();
	for (size_t i = 0; i < jv_size(v); i++)
		r |= jv_append(copy, copy_hidden(jv_at(v, i)));
	if (!r)
		return copy;
	jv_free(copy);
	return NULL;
}

static int format_time(time_t now, char *buf, size_t size)
{
	struct tm tm;

	if (!gmtime_r(&now, &tm) || !strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return -EINVAL;
	return 0;
}

static struct jv *build(const struct audit *a, time_t now, const char *event,
			const struct jv *members)
{
	_cleanup_jv_ struct jv *hidden = members ? copy_hidden(members) : NULL;
	struct jv *line = jv_object_new();
	char when[32];
	int r;

	r = format_time(now, when, sizeof(when));
	r |= jv_set_string(line, "time", when);
	r |= jv_set_string(line, "run", a->run);
	r |= jv_set_string(line, "event", event);
	for (struct jv_iter it = {}; jv_next(hidden, &it);)
		if (!jv_get(line, it.key))
			r |= jv_set(line, it.key, jv_copy(it.value));
	if (members && !hidden)
		r = -ENOMEM;
	if (!r)
		return line;
	jv_free(line);
	return NULL;
}

int audit_write(struct audit *a, time_t now, const char *event, struct jv *members,
		struct errtext *e)
{
	_cleanup_jv_ struct jv *mine = members, *line = build(a, now, event, mine);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	ssize_t n;

	text = line ? jv_dump_line(line, &len) : NULL;
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	n = write(a->fd, text, len);
	if (n < 0)
		return errtext_set(e, -errno, "write %s: %m", a->path);
	if ((size_t)n < len) {
		/* the disk is full; end the line if there is room for that */
		if (write(a->fd, "\n", 1) < 0)
			return errtext_set(e, -ENOSPC, "write %s: %m", a->path);
		return errtext_set(e, -ENOSPC, "%s: a line was cut short", a->path);
	}
	return 0;
}

void audit_new_id(char ret[static 37])
{
	uint8_t b[16];
	size_t n = 0;

	/* blocks until the kernel has randomness, which is before any of this can run; never fails
	 * for so few bytes */
	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		abort();
	b[6] = (b[6] & 0x0f) | 0x40; /* version */
	b[8] = (b[8] & 0x3f) | 0x80; /* variant */
	for (size_t i = 0; i < sizeof(b); i++) {
		n += snprintf(ret + n, 37 - n, "%02x", b[i]);
		if (i == 3 || i == 5 || i == 7 || i == 9)
			ret[n++] = '-';
	}
}
