// SPDX-License-Identifier: Apache-2.0
#include "inner.h"
#include "secret.h"
#include "steering_internal.h"
#include "steering_table.h"
#include "botls/bpf.h"
#include "botls/botls.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/random.h>

#define BACKLOG 4096
#define HOPS	255 /* satisfies the daemon's own TTL security */

struct listener {
	struct botls_neighbor_key key;
	struct addr neighbor; /* of those with a password; else the family only */
	struct addr own;
	char *password;
	int fd;
};

struct listeners {
	struct listener *items; /* those of the families first */
	int *fds;		/* the same */
	size_t n;
};

struct inner {
	int sockhash_fd;
	struct listeners now;
	struct listeners
		staged; /* shares descriptors and passwords with `now` where nothing changes */
};

static int set_password(int fd, const struct addr *daemon, const char *password)
{
	struct tcp_md5sig sig = {};
	struct sockaddr_storage ss;
	int r = addr_to_sockaddr(daemon, 0, &ss);

	if (r < 0)
		return r;
	_Static_assert(MD5_KEY_MAX <= TCP_MD5SIG_MAXKEYLEN, "the kernel's limit");
	memcpy(&sig.tcpm_addr, &ss, sizeof(sig.tcpm_addr));
	sig.tcpm_keylen = strnlen(password, MD5_KEY_MAX);
	memcpy(sig.tcpm_key, password, sig.tcpm_keylen);
	r = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &sig, sizeof(sig)) < 0 ? -errno : 0;
	explicit_bzero(&sig, sizeof(sig));
	return r;
}

static int transparent_socket(sa_family_t family, int *ret_fd)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, hops = HOPS, r;

	if (fd < 0)
		return -errno;
	/* Accepted sockets have the neighbor's port 179, and so has their TIME-WAIT: without this a
	 * daemon that binds port 179 meanwhile is told that it is in use, and BIRD does not try
	 * again. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET) {
		r = setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on));
		if (r == 0)
			r = setsockopt(fd, IPPROTO_IP, IP_TTL, &hops, sizeof(hops));
	} else {
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof(on));
		if (r == 0)
			r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		if (r == 0)
			r = setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(hops));
	}
	if (r < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A local process that guesses the port comes to an address that is no neighbor's, and is turned
 * away for that. */
static int listener_socket(const struct listener *l, int *ret_fd)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool is_v4 = l->neighbor.family == AF_INET;
	_cleanup_close_ int fd = -1;
	int r = transparent_socket(l->neighbor.family, &fd);

	if (r < 0)
		return r;
	if (l->password) {
		r = set_password(fd, &l->own, l->password);
		if (r < 0)
			return r;
	}
	r = is_v4 ? bind(fd, (struct sockaddr *)&in, sizeof(in))
		  : bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	if (r < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int key_of(const struct addr *a, struct botls_neighbor_key *ret)
{
	struct botls_neighbor_key key = {.prefixlen = BOTLS_NEIGHBOR_KEY_BITS};

	if (a->ifname[0]) {
		key.scope = if_nametoindex(a->ifname);
		if (!key.scope)
			return -ENODEV;
	}
	botls_addr_from(a, &key.addr);
	*ret = key;
	return 0;
}

static int publish(const struct inner *in, const struct listener *l)
{
	uint64_t fd = l->fd;

	return bpf_map_update_elem(in->sockhash_fd, &l->key, &fd, BPF_ANY) < 0 ? -errno : 0;
}

static void listener_close(struct listener *l)
{
	close(l->fd);
	secret_free(l->password);
}

static bool has_fd(const struct listeners *l, int fd)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].fd == fd)
			return true;
	return false;
}

/* Frees `l` and closes those of it that `kept` does not share. */
static void listeners_drop(struct listeners *l, const struct listeners *kept)
{
	for (size_t i = 0; i < l->n; i++)
		if (!has_fd(kept, l->items[i].fd))
			listener_close(&l->items[i]);
	free(l->items);
	free(l->fds);
	memset(l, 0, sizeof(*l));
}

static int listeners_alloc(struct listeners *l, size_t n)
{
	l->items = calloc(n + 1, sizeof(*l->items));
	l->fds = calloc(n + 1, sizeof(*l->fds));
	return l->items && l->fds ? 0 : -ENOMEM;
}

static void append(struct listeners *l, const struct listener *item)
{
	l->items[l->n] = *item;
	l->fds[l->n++] = item->fd;
}

int inner_new(int sockhash_fd, struct inner **ret, struct errtext *e)
{
	static const sa_family_t families[] = {AF_INET, AF_INET6};
	struct inner *in = calloc(1, sizeof(*in));
	int r = in ? listeners_alloc(&in->now, ARRAY_SIZE(families)) : -ENOMEM;

	if (in)
		in->sockhash_fd = sockhash_fd;
	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		struct listener l = {.neighbor.family = families[i]};

		key_of(&l.neighbor, &l.key);
		r = listener_socket(&l, &l.fd);
		if (r == -EAFNOSUPPORT &&
		    families[i] == AF_INET6) { /* then there are no such neighbors */
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		append(&in->now, &l);
		r = publish(in, &l);
	}
	if (r < 0) {
		inner_free(in);
		return errtext_set(e, r, "listener for the daemon: %s", strerror(-r));
	}
	*ret = in;
	return 0;
}

void inner_free(struct inner *in)
{
	static const struct listeners none;

	if (!in)
		return;
	listeners_drop(&in->staged, &in->now);
	listeners_drop(&in->now, &none);
	free(in);
}

static bool wants_listener(const struct steering_entry *entry)
{
	return entry->inner_tcp_md5 && entry->may_connect && entry->own.family != AF_UNSPEC &&
	       !addr_is_prefix(&entry->neighbor);
}

static const struct listener *find_same(const struct listeners *l,
					const struct botls_neighbor_key *key,
					const struct steering_entry *entry)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct listener *item = &l->items[i];

		if (item->password && memcmp(&item->key, key, sizeof(*key)) == 0 &&
		    addr_equal(&item->own, &entry->own) &&
		    strcmp(item->password, entry->inner_tcp_md5) == 0)
			return item;
	}
	return NULL;
}

static int stage_one(struct inner *in, const struct steering_entry *entry)
{
	struct listener l = {.neighbor = entry->neighbor, .own = entry->own};
	const struct listener *same;
	int r = key_of(&entry->neighbor, &l.key);

	if (r < 0)
		return r;
	same = find_same(&in->now, &l.key, entry);
	if (same) {
		append(&in->staged, same);
		return 0;
	}
	l.password = secret_strdup(entry->inner_tcp_md5);
	r = l.password ? listener_socket(&l, &l.fd) : -ENOMEM;
	if (r < 0) {
		secret_free(l.password);
		return r;
	}
	append(&in->staged, &l);
	return publish(in, &l);
}

int inner_stage(struct inner *in, const struct steering_entry *entries, size_t n, struct errtext *e)
{
	char name[ADDR_STRLEN];
	size_t n_wanted = in->now.n;
	int r;

	inner_unstage(in);
	for (size_t i = 0; i < n; i++)
		n_wanted += wants_listener(&entries[i]);
	r = listeners_alloc(&in->staged, n_wanted);
	if (r < 0) {
		inner_unstage(in);
		return errtext_set(e, r, "out of memory");
	}
	for (size_t i = 0; i < in->now.n; i++)
		if (!in->now.items[i].password)
			append(&in->staged, &in->now.items[i]);
	for (size_t i = 0; i < n; i++) {
		if (!wants_listener(&entries[i]))
			continue;
		r = stage_one(in, &entries[i]);
		if (r == 0 || r == -ENODEV) /* no interface now, so no connection either */
			continue;
		inner_unstage(in);
		return errtext_set(e, r, "listener for the daemon's connections to %s: %s",
				   addr_format(&entries[i].neighbor, name), strerror(-r));
	}
	return 0;
}

void inner_commit(struct inner *in)
{
	struct listeners old = in->now;

	in->now = in->staged;
	memset(&in->staged, 0, sizeof(in->staged));
	listeners_drop(&old, &in->now);
}

void inner_unstage(struct inner *in)
{
	/* A new listener may have taken the place of one with another password. */
	for (size_t i = 0; i < in->staged.n; i++)
		if (!has_fd(&in->now, in->staged.items[i].fd))
			bpf_map_delete_elem(in->sockhash_fd, &in->staged.items[i].key);
	listeners_drop(&in->staged, &in->now);
	inner_repair(in, NULL);
}

const int *inner_listeners(const struct inner *in, size_t *ret_n)
{
	*ret_n = in->now.n;
	return in->now.fds;
}

/* -EADDRINUSE, -EADDRNOTAVAIL: this port is taken for this pair of addresses; another may do. */
static int connect_from(const struct addr *own, const struct addr *peer, uint16_t port,
			const char *password, int *ret_fd)
{
	struct sockaddr_storage from, to;
	_cleanup_close_ int fd = -1;
	int from_len = addr_to_sockaddr(peer, port, &from),
	    to_len = addr_to_sockaddr(own, BOTLS_PORT_BGP, &to);
	int r;

	if (from_len < 0 || to_len < 0)
		return -ENODEV;
	r = transparent_socket(peer->family, &fd);
	if (r == 0 && password)
		r = set_password(fd, own, password);
	if (r < 0)
		return r;
	if (bind(fd, (struct sockaddr *)&from, from_len) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, to_len) < 0 && errno != EINPROGRESS)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int inner_connect(const struct addr *own, const struct addr *peer, const char *password,
		  int *ret_fd, struct errtext *e)
{
	char from[ADDR_STRLEN], to[ADDR_STRLEN];
	unsigned n = INNER_PORT_MAX - INNER_PORT_MIN + 1, first = 0;
	int r = -EADDRINUSE;

	if (own->family != peer->family)
		return errtext_set(e, -EAFNOSUPPORT, "addresses of different families");
	if (getrandom(&first, sizeof(first), 0) < 0)
		first = 0;
	for (unsigned i = 0; i < n && (r == -EADDRINUSE || r == -EADDRNOTAVAIL); i++)
		r = connect_from(own, peer, INNER_PORT_MIN + (first + i) % n, password, ret_fd);
	if (r < 0)
		return errtext_set(e, r, "connection to the daemon at %s as %s: %s",
				   addr_format(own, to), addr_format(peer, from), strerror(-r));
	return 0;
}

/* The sockhash tells a socket by its cookie. */
static bool is_published(const struct inner *in, const struct listener *l)
{
	uint64_t in_map = 0, cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(l->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 &&
	       bpf_map_lookup_elem(in->sockhash_fd, &l->key, &in_map) == 0 && in_map == cookie;
}

void inner_check(struct inner *in, struct steering_report *report)
{
	char name[ADDR_STRLEN];

	for (size_t i = 0; i < in->now.n; i++) {
		const struct listener *l = &in->now.items[i];
		const char *what = l->password			   ? addr_format(&l->neighbor, name)
				   : l->neighbor.family == AF_INET ? "IPv4"
								   : "IPv6";

		if (is_published(in, l))
			steering_report(report, "listener", what, STEERING_OK, "%s",
					l->password ? "with the daemon's password"
						    : "for all neighbors");
		else
			steering_report(report, "listener", what, STEERING_MISSING,
					"not in the sockhash");
	}
}

int inner_repair(struct inner *in, struct errtext *e)
{
	for (size_t i = 0; i < in->now.n; i++) {
		int r = is_published(in, &in->now.items[i]) ? 0 : publish(in, &in->now.items[i]);

		if (r < 0)
			return errtext_set(e, r, "listener for the daemon, sockhash: %s",
					   strerror(-r));
	}
	return 0;
}
