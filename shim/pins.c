/* SPDX-License-Identifier: Apache-2.0 */
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define LOCK_FOLDER "/run/botls"
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct pins {
	uint64_t cookie;
	int lock_fd;
	char folder[PATH_MAX];
};

static int netns_cookie(uint64_t *ret)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret);

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &len) < 0)
		return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
	return 0;
}

/* A POSIX lock, not flock(): workers that outlive a killed control process inherit the descriptor,
 * but not the lock. */
static int lock_take(struct pins *p, struct errtext *e)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[sizeof(LOCK_FOLDER) + 32];

	if (mkdir(LOCK_FOLDER, 0755) < 0 && errno != EEXIST)
		return errtext_set(e, -errno, "mkdir %s: %m", LOCK_FOLDER);
	snprintf(path, sizeof(path), LOCK_FOLDER "/%" PRIu64 ".lock", p->cookie);
	p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock_fd < 0)
		return errtext_set(e, -errno, "open %s: %m", path);
	if (fcntl(p->lock_fd, F_SETLK, &lock) < 0) {
		if (errno == EACCES || errno == EAGAIN)
			return errtext_set(
				e, -EBUSY,
				"another botlsd serves this network namespace (it holds %s)", path);
		return errtext_set(e, -errno, "lock %s: %m", path);
	}
	return 0;
}

int pins_mount(const char *path, struct errtext *e)
{
	struct statfs fs;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errtext_set(e, -errno, "mkdir %s: %m", path);
	if (statfs(path, &fs) < 0)
		return errtext_set(e, -errno, "statfs %s: %m", path);
	if ((unsigned long)fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return errtext_set(e, -errno, "mount bpffs at %s: %m", path);
	return 0;
}

static int folder_make(struct pins *p, const char *bpffs, struct errtext *e)
{
	int len;

	len = snprintf(p->folder, sizeof(p->folder), "%s/botls", bpffs);
	if (len < 0 || (size_t)len >= sizeof(p->folder) - 32)
		return errtext_set(e, -ENAMETOOLONG, "%s: path too long", bpffs);
	if (mkdir(p->folder, 0700) < 0 && errno != EEXIST)
		return errtext_set(e, -errno, "mkdir %s: %m", p->folder);
	snprintf(p->folder + len, sizeof(p->folder) - len, "/%" PRIu64, p->cookie);
	if (mkdir(p->folder, 0700) < 0 && errno != EEXIST)
		return errtext_set(e, -errno, "mkdir %s: %m", p->folder);
	return 0;
}

int pins_open(const char *bpffs, struct pins **ret, struct errtext *e)
{
	struct pins *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return errtext_set(e, -ENOMEM, "out of memory");
	p->lock_fd = -1;
	r = netns_cookie(&p->cookie);
	if (r < 0)
		errtext_set(e, r, "no network namespace cookie (Linux 5.14): %s", strerror(-r));
	if (r == 0)
		r = lock_take(p, e);
	if (r == 0)
		r = pins_mount(bpffs, e);
	if (r == 0)
		r = folder_make(p, bpffs, e);
	if (r < 0) {
		pins_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pins_free(struct pins *p)
{
	if (!p)
		return;
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	free(p);
}

uint64_t pins_cookie(const struct pins *p)
{
	return p->cookie;
}

const char *pins_folder(const struct pins *p)
{
	return p->folder;
}

const char *pins_path(const struct pins *p, const char *name, char buf[static PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%.*s/%.64s", PATH_MAX - 80, p->folder, name);
	return buf;
}

bool pins_has(const struct pins *p, const char *name)
{
	char path[PATH_MAX];

	return access(pins_path(p, name, path), F_OK) == 0;
}

void pins_drop(const struct pins *p, const char *name)
{
	char path[PATH_MAX];

	unlink(pins_path(p, name, path));
}

int pins_link_state(int link_fd, int prog_fd, int cgroup_fd)
{
	struct bpf_prog_info prog = {};
	struct bpf_link_info link = {};
	__u32 prog_len = sizeof(prog), link_len = sizeof(link);
	struct stat st;

	if (bpf_obj_get_info_by_fd(link_fd, &link, &link_len) < 0 ||
	    bpf_obj_get_info_by_fd(prog_fd, &prog, &prog_len) < 0 || fstat(cgroup_fd, &st) < 0)
		return -errno;
	/* The inode number of a cgroup is its id; 0 is that of a link that was detached. */
	if (link.type != BPF_LINK_TYPE_CGROUP || link.cgroup.cgroup_id != st.st_ino)
		return -ENOLINK;
	return link.prog_id == prog.id ? 0 : -ESTALE;
}

/* Pinned beside and renamed over, so that the old link goes only when the new one is in place. */
static int link_pin(const struct pins *p, const char *name, int fd)
{
	char path[PATH_MAX], beside[PATH_MAX], beside_name[64];

	snprintf(beside_name, sizeof(beside_name), "%s_new", name);
	pins_path(p, beside_name, beside);
	unlink(beside);
	if (bpf_obj_pin(fd, beside) < 0)
		return -errno;
	if (rename(beside, pins_path(p, name, path)) < 0) {
		int r = -errno;

		unlink(beside);
		return r;
	}
	return 0;
}

int pins_attach_cgroup(const struct pins *p, const char *name, int prog_fd, int cgroup_fd,
		       int attach_type, int *ret_link, struct errtext *e)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r;

	fd = bpf_obj_get(pins_path(p, name, path));
	if (fd >= 0) {
		r = pins_link_state(fd, prog_fd, cgroup_fd);
		if (r == -ESTALE)
			r = bpf_link_update(fd, prog_fd, NULL) < 0 ? -errno : 0;
		if (r == 0) {
			*ret_link = TAKE_FD(fd);
			return 0;
		}
		close(TAKE_FD(fd));
	}
	fd = bpf_link_create(prog_fd, cgroup_fd, attach_type, NULL);
	if (fd < 0)
		return errtext_set(e, -errno, "attach %s to the cgroup: %m", name);
	r = link_pin(p, name, fd);
	if (r < 0)
		return errtext_set(e, r, "pin %s: %s", path, strerror(-r));
	*ret_link = TAKE_FD(fd);
	return 0;
}

int pins_netns_link_state(const struct pins *p, const char *name, int prog_fd)
{
	struct bpf_prog_info prog = {};
	struct bpf_link_info link = {};
	__u32 prog_len = sizeof(prog), link_len = sizeof(link);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	fd = bpf_obj_get(pins_path(p, name, path));
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &link, &link_len) < 0 ||
	    bpf_obj_get_info_by_fd(prog_fd, &prog, &prog_len) < 0)
		return -errno;
	if (link.type != BPF_LINK_TYPE_NETNS || !link.netns.netns_ino)
		return -ENOLINK;
	return link.prog_id == prog.id ? 0 : -ESTALE;
}

int pins_attach_netns(const struct pins *p, const char *name, int prog_fd, int attach_type,
		      int *ret_link, struct errtext *e)
{
	_cleanup_close_ int fd = -1, netns = -1;
	char path[PATH_MAX];
	int r;

	fd = bpf_obj_get(pins_path(p, name, path));
	if (fd >= 0 && bpf_link_update(fd, prog_fd, NULL) == 0) {
		*ret_link = TAKE_FD(fd);
		return 0;
	}
	if (fd >= 0)
		close(TAKE_FD(fd));
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return errtext_set(e, -errno, "/proc/self/ns/net: %m");
	fd = bpf_link_create(prog_fd, netns, attach_type, NULL);
	if (fd < 0)
		return errtext_set(e, -errno, "attach %s to the network namespace: %m", name);
	r = link_pin(p, name, fd);
	if (r < 0)
		return errtext_set(e, r, "pin %s: %s", path, strerror(-r));
	*ret_link = TAKE_FD(fd);
	return 0;
}

int pins_remove(struct pins *p, struct errtext *e)
{
	DIR *dir = opendir(p->folder);
	struct dirent *d;
	char *slash;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : errtext_set(e, -errno, "open %s: %m", p->folder);
	while ((d = readdir(dir))) {
		if (d->d_name[0] != '.' && unlinkat(dirfd(dir), d->d_name, 0) < 0)
			r = errtext_set(e, -errno, "remove %s/%s: %m", p->folder, d->d_name);
	}
	closedir(dir);
	if (r < 0)
		return r;
	if (rmdir(p->folder) < 0)
		return errtext_set(e, -errno, "remove %s: %m", p->folder);
	/* <bpffs>/botls itself, when no other namespace uses it. */
	slash = strrchr(p->folder, '/');
	*slash = '\0';
	rmdir(p->folder);
	*slash = '/';
	return 0;
}

/* Field 5 of a line of mountinfo is the mount point, the word after " - " the file system. */
static bool is_cgroup2_mount(char *line, char **ret_path)
{
	char *dash = strstr(line, " - "), *field = line;

	if (!dash || strncmp(dash + 3, "cgroup2 ", 8) != 0)
		return false;
	for (int i = 0; i < 4 && field; i++) {
		field = strchr(field, ' ');
		if (field)
			field++;
	}
	if (!field)
		return false;
	field[strcspn(field, " ")] = '\0';
	*ret_path = field;
	return true;
}

int pins_cgroup_root(struct errtext *e)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	bool has_mount = false;
	size_t size = 0;

	if (!f)
		return errtext_set(e, -errno, "/proc/self/mountinfo: %m");
	while (getline(&line, &size, f) >= 0) {
		_cleanup_close_ int fd = -1;
		char *path;

		if (!is_cgroup2_mount(line, &path))
			continue;
		has_mount = true;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* Every cgroup but the real root has this file: inside a cgroup namespace the mount
		 * only looks like the root, and processes outside it would go past our programs. */
		if (fd >= 0 && faccessat(fd, "cgroup.type", F_OK, 0) < 0 && errno == ENOENT)
			return TAKE_FD(fd);
	}
	return errtext_set(
		e, -ENOENT,
		has_mount ? "only a part of the cgroup v2 tree is mounted here, not its root"
			  : "no cgroup v2 file system is mounted");
}
