// SPDX-License-Identifier: Apache-2.0
/* Where rows come from besides the API: the files that its answers are kept in, and a dump. */
#include "peeringdb_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

/* Clocks differ between two starts of a machine by this much; a file from later than that says
 * nothing about its age. */
#define CLOCK_SLACK 300

int pdb_read_file(int fd, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uintmax_t)st.st_size > max)
		return -EFBIG;
	data = malloc(st.st_size + 1);
	if (!data)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, data + len, st.st_size - len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? n : 0;
	}
	data[len] = '\0';
	*ret = TAKE(data);
	*ret_len = len;
	return 0;
}

static int cache_path(const struct peeringdb *p, enum pdb_kind kind, uint32_t key,
		      char buf[static PATH_MAX])
{
	int n = snprintf(buf, PATH_MAX, "%s/%s-%u.json", p->folder, pdb_kinds[kind].name, key);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int pdb_cache_read(const struct peeringdb *p, enum pdb_kind kind, uint32_t key, time_t now,
		   time_t max_age, struct jv **ret, time_t *ret_when)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	_cleanup_jv_ struct jv *kept = NULL;
	char path[PATH_MAX];
	time_t when;
	size_t len = 0;

	if (cache_path(p, kind, key, path) < 0)
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || pdb_read_file(fd, PEERINGDB_BODY_MAX, &text, &len) < 0 ||
	    jv_parse(text, len, &kept, NULL) < 0)
		return -ENOENT;
	when = jv_get_int(kept, "fetched", 0);
	if (strcmp(jv_get_string(kept, "source", ""), p->base) != 0 || when < 0 ||
	    when > now + CLOCK_SLACK || now - when >= max_age)
		return -ENOENT;
	*ret = TAKE(kept);
	*ret_when = when;
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
	return 0;
}

/* Not synced: a file that did not survive a crash is asked for again. */
static int replace_file(const char *path, const char *folder, const char *text, size_t len)
{
	_cleanup_close_ int fd = -1;
	char temporary[PATH_MAX];
	int r;

	if (snprintf(temporary, sizeof(temporary), "%s/.new-XXXXXX", folder) >=
	    (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, len);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

int pdb_cache_write(const struct peeringdb *p, enum pdb_kind kind, uint32_t key, time_t now,
		    const struct jv *data)
{
	_cleanup_jv_ struct jv *o = jv_object_new();
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r = 0;

	r |= jv_set_string(o, "source", p->base);
	r |= jv_set_int(o, "fetched", now);
	r |= jv_set(o, "data", jv_copy(data));
	if (!r)
		text = jv_dump_line(o, &len);
	if (!text)
		return -ENOMEM;
	r = cache_path(p, kind, key, path);
	return r < 0 ? r : replace_file(path, p->folder, text, len);
}

/* {"netixlan": {"data": [..]}}, or {"netixlan": [..]}. */
static int read_member(enum pdb_kind kind, const struct jv_cursor *root, struct pdb_table *rows)
{
	const char *name = pdb_kinds[kind].name;

	struct jv_cursor object = *root, array;

	if (!jv_is_array(jv_get(root->value, name))) {
		object = jv_read_object(root, name);
		name = "data";
	}
	array = jv_read_array(&object, name);
	return pdb_rows_read(kind, &array, rows);
}

static int parse_dump(const char *path, const char *text, size_t len, struct pdb_table *rows,
		      struct errtext *e)
{
	_cleanup_jv_ struct jv *v = NULL;
	struct errtext problem;
	struct jv_cursor root;
	int r;

	r = jv_parse(text, len, &v, &problem);
	if (r < 0)
		return errtext_set(e, r, "%s: %s", path, problem.text);
	root = jv_enter(v, &problem);
	for (enum pdb_kind kind = 0; kind < PDB_KINDS && r == 0; kind++)
		r = read_member(kind, &root, &rows[kind]);
	if (r < 0)
		return errtext_set(e, r, "%s: %s", path, strerror(-r));
	if (jv_bad(&root))
		return errtext_set(e, -EINVAL, "%s: %s", path, problem.text);
	if (!rows[PDB_NETIXLAN].n)
		return errtext_set(e, -EINVAL,
				   "%s: no address is registered in this dump: is it PeeringDB's, "
				   "with netixlan?",
				   path);
	for (size_t kind = 0; kind < PDB_KINDS; kind++)
		pdb_table_sort(&rows[kind]);
	return 0;
}

static int read_dump_text(const char *path, int fd, char **ret, size_t *ret_len, struct errtext *e)
{
	int r = pdb_read_file(fd, PEERINGDB_BODY_MAX, ret, ret_len);

	if (r == -EFBIG)
		return errtext_set(e, r,
				   "%s: a dump may have %d megabytes: keep only what is needed of "
				   "netixlan, ixpfx and net",
				   path, PEERINGDB_BODY_MAX >> 20);
	return r < 0 ? errtext_set(e, r, "%s: %s", path,
				   r == -EINVAL ? "this is not a regular file" : strerror(-r))
		     : 0;
}

int pdb_dump_read(struct peeringdb *p, struct errtext *e)
{
	const char *path = p->settings->peeringdb;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct pdb_table rows[PDB_KINDS];
	struct stat st;
	size_t len = 0;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errtext_set(e, -errno, "%s: %m", path);
	r = read_dump_text(path, fd, &text, &len, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < PDB_KINDS; i++)
		rows[i] = pdb_rows_new(i);
	r = parse_dump(path, text, len, rows, e);
	for (size_t i = 0; i < PDB_KINDS; i++) {
		pdb_table_done(r < 0 ? &rows[i] : &p->rows[i]);
		if (r == 0)
			p->rows[i] = rows[i];
	}
	if (r == 0)
		p->dump = st;
	return r;
}
