// SPDX-License-Identifier: Apache-2.0
#include "dial_internal.h"

#include "ao.h"
#include "botls/botls.h"
#include "sock.h"

#include <errno.h>

/* Enough for the bandwidth-delay product of an intercontinental path at the rate BGP is digested;
 * what is written but not yet sent stays small, so that a stuck neighbor is felt by our daemon
 * soon. */
#define NOTSENT_LOWAT (128 * 1024)

static int set_options(int fd, const struct neighbor_config *n, const struct addr *peer)
{
	int r;

	if ((r = sock_set_nodelay(fd)) < 0 || (r = sock_set_ttl(fd, n->ttl)) < 0 ||
	    (r = sock_set_notsent_lowat(fd, NOTSENT_LOWAT)) < 0)
		return r;
	if (n->ttl_security && (r = sock_set_min_ttl(fd, 256 - n->ttl_security)) < 0)
		return r;
	if (n->tcp_md5 && (r = sock_set_tcp_md5(fd, peer, n->tcp_md5)) < 0)
		return r;
	return 0;
}

int dial_outer(struct steering *s, const struct neighbor_config *n, const struct message_want *want,
	       uint64_t now, int *ret_fd, struct errtext *e)
{
	uint16_t port = want->clear ? BOTLS_PORT_BGP : n->tls_port;
	_cleanup_close_ int fd = -1;
	struct sockaddr_storage ss;
	char own[ADDR_STRLEN];
	int r, len;

	r = sock_bound(&want->own, 0, &fd);
	if (r < 0)
		return errtext_set(e, r, "cannot use our address %s: %s",
				   addr_format(&want->own, own), strerror(-r));
	r = set_options(fd, n, &want->peer);
	if (r < 0)
		return errtext_set(e, r, "cannot set the TCP options: %s", strerror(-r));
	r = want->without_ao ? 0 : ao_set_keys(fd, n, &want->peer, now, e);
	if (r < 0)
		return r;
	len = addr_to_sockaddr(&want->peer, port, &ss);
	if (len < 0)
		return errtext_set(e, len, "interface %s does not exist", want->peer.ifname);
	if (want->clear)
		r = steering_connect_clear(s, fd, &want->peer);
	else
		r = connect(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	if (r < 0 && r != -EINPROGRESS)
		return errtext_set(e, r, "TCP connection to port %u failed: %s", port,
				   strerror(-r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int dial_prepare_listener(int fd)
{
	int r = sock_set_nodelay(fd);

	if (r == 0)
		r = sock_set_ttl(fd, 255);
	if (r == 0)
		r = sock_set_notsent_lowat(fd, NOTSENT_LOWAT);
	return r;
}

int dial_add_listener(struct tls_listeners *l, int fd, sa_family_t family, unsigned kind)
{
	if (l->n == ARRAY_SIZE(l->fds)) {
		close(fd);
		return -ENOSPC;
	}
	l->fds[l->n] = fd;
	l->what[l->n++] = (struct tls_listener){family, kind};
	return 0;
}

/* It gets the port for itself before it shares it: another botlsd must not come in between. */
static int open_listener(const struct addr *any, uint16_t port, struct tls_listeners *l)
{
	_cleanup_close_ int fd = -1;
	int r = sock_bound(any, port, &fd);

	if (r < 0 || (r = sock_set_shared(fd)) < 0 || (r = dial_prepare_listener(fd)) < 0)
		return r;
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return dial_add_listener(l, TAKE_FD(fd), any->family, 0);
}

int tls_listeners_open(uint16_t port, struct tls_listeners *ret, struct errtext *e)
{
	const struct addr any[2] = {{.family = AF_INET, .prefixlen = 32},
				    {.family = AF_INET6, .prefixlen = 128}};
	struct tls_listeners l = {};

	for (size_t i = 0; i < ARRAY_SIZE(any); i++) {
		int r = open_listener(&any[i], port, &l);

		if (r == -EAFNOSUPPORT && i > 0)
			continue; /* a machine without IPv6 */
		if (r < 0) {
			tls_listeners_close(&l);
			return errtext_set(
				e, r, "cannot listen on port %u: %s%s", port, strerror(-r),
				r == -EADDRINUSE ? " (is another botlsd running? see tls-port)"
						 : "");
		}
	}
	l.has_ao = tcp_ao_probe(l.fds[0]) == 0;
	*ret = l;
	return 0;
}

void tls_listeners_close(struct tls_listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		close(l->fds[i]);
	l->n = 0;
	ao_select_free(TAKE(l->select));
}

int dial_listener(const struct tls_listeners *l, sa_family_t family, unsigned kind)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->what[i].family == family && l->what[i].kind == kind)
			return l->fds[i];
	return -1;
}

/* The listener with the keys that are the peer's own, or -1. */
static int listener_of(const struct tls_listeners *l, const struct addr *peer)
{
	return dial_listener(l, peer->family, 0);
}

static const char *md5_of(const struct neighbor_config *n)
{
	return n && n->mode != MODE_OFF ? n->tcp_md5 : NULL;
}

/* A neighbor's own TCP-AO keys at a moment; none of a neighbor that is not there. */
struct ao_keys {
	struct keychain chain;
	uint64_t at;
};

static struct ao_keys ao_keys(const struct neighbor_config *n, uint64_t at)
{
	struct ao_keys k = {.at = at};

	if (n && ao_is_wanted(n) && !dial_ao_kind(n))
		k.chain = ao_chain(n);
	return k;
}

static bool has_key(const struct ao_keys *keys, const struct keychain_key *k)
{
	for (size_t i = 0; i < keys->chain.n; i++)
		if (keychain_same_key(&keys->chain.keys[i], k) &&
		    keychain_is_accepted(&keys->chain.keys[i], keys->at))
			return true;
	return false;
}

/* Takes away what `now` (may be NULL) does not have. A TCP-AO key cannot be changed in its place,
 * and never stands beside a TCP-MD5 key. */
static void drop_keys(struct tls_listeners *l, const struct neighbor_config *before, uint64_t then,
		      const struct neighbor_config *now, uint64_t at)
{
	struct ao_keys old = ao_keys(before, then), new = ao_keys(now, at);
	int fd = listener_of(l, &before->address);

	if (md5_of(before) && !md5_of(now))
		sock_set_tcp_md5(fd, &before->address, NULL);
	for (size_t i = 0; l->has_ao && i < old.chain.n; i++) {
		const struct keychain_key *k = &old.chain.keys[i];
		struct tcp_ao_key key = keychain_tcp_key(k);

		if (keychain_is_accepted(k, then) && !has_key(&new, k))
			tcp_ao_delete_key(fd, &before->address, &key);
	}
}

static int add_keys(struct tls_listeners *l, const struct neighbor_config *before, uint64_t then,
		    const struct neighbor_config *now, uint64_t at)
{
	struct ao_keys old = ao_keys(before, then), new = ao_keys(now, at);
	int fd = listener_of(l, &now->address), r = 0;

	if (!md5_of(now) && !new.chain.n)
		return 0;
	if (fd < 0)
		return -EAFNOSUPPORT;
	if (md5_of(now))
		r = sock_set_tcp_md5(fd, &now->address, md5_of(now));
	for (size_t i = 0; l->has_ao && r == 0 && i < new.chain.n; i++) {
		const struct keychain_key *k = &new.chain.keys[i];
		struct tcp_ao_key key = keychain_tcp_key(k);

		if (keychain_is_accepted(k, at) && !has_key(&old, k))
			r = tcp_ao_add_key(fd, &now->address, &key);
	}
	return r;
}

/* Between the two steps a neighbor of which every TCP-AO key changes has none: what it sends
 * without one is caught by ao_check(). */
static int switch_keys(struct tls_listeners *l, const struct config *old, uint64_t then,
		       const struct config *new, uint64_t at,
		       const struct neighbor_config **ret_failed)
{
	for (size_t i = 0; old && i < old->n_neighbors; i++)
		drop_keys(l, &old->neighbors[i], then,
			  new ? config_neighbor(new, old->neighbors[i].name) : NULL, at);
	for (size_t i = 0; new &&i < new->n_neighbors; i++) {
		const struct neighbor_config *n = &new->neighbors[i];
		int r = add_keys(l, old ? config_neighbor(old, n->name) : NULL, then, n, at);

		if (r < 0) {
			*ret_failed = n;
			return r;
		}
	}
	return 0;
}

int tls_listeners_set_keys(struct tls_listeners *l, const struct config *old,
			   const struct config *new, uint64_t now, struct errtext *e)
{
	const struct neighbor_config *failed = NULL, *ignored;
	struct errtext more = {}, unused;
	const char *why = NULL;
	int r = switch_keys(l, old, l->keys_at, new, now, &failed);

	if (r == 0)
		r = dial_ao_open(l, new, &failed, &more);
	if (r == 0) {
		dial_ao_close(l, new);
		l->keys_at = now;
		return 0;
	}
	switch_keys(l, new, now, old, l->keys_at, &ignored);
	dial_ao_open(l, old, &ignored, &unused);
	dial_ao_close(l, old);
	if (more.text[0])
		why = more.text;
	else if (r == -ENOMEM)
		why = "out of memory (raise sysctl net.core.optmem_max)";
	else if (r == -ENOENT)
		why = "the kernel lacks the algorithm";
	if (!why)
		why = strerror(-r);
	if (!failed)
		return errtext_set(
			e, r, "tcp-ao: cannot tell the neighbors at the TLS port apart: %s", why);
	return errtext_set(e, r, "neighbor %s: cannot set %s: %s", failed->name,
			   ao_is_wanted(failed) ? "tcp-ao" : "tcp-md5", why);
}

int tls_listeners_get_ao(const struct tls_listeners *l, const struct neighbor_config *n,
			 struct tcp_ao_status *ret)
{
	struct keychain chain = ao_is_wanted(n) ? ao_chain(n) : (struct keychain){};
	int fd = dial_listener(l, n->address.family, dial_ao_kind(n)), r;
	struct addr peer = ao_listener_peer(n);
	struct tcp_ao_status status;
	bool any = false;

	if (!l->has_ao || !chain.n || fd < 0)
		return -ENOENT;
	r = tcp_ao_get_status(fd, &status);
	if (r < 0)
		return r;
	status.good = status.bad = 0;
	for (size_t i = 0; i < chain.n; i++) {
		struct tcp_ao_key key = keychain_tcp_key(&chain.keys[i]);
		uint64_t good, bad;

		if (tcp_ao_get_counts(fd, &peer, &key, &good, &bad) < 0)
			continue;
		status.good += good;
		status.bad += bad;
		any = true;
	}
	if (!any)
		return -ENOENT;
	*ret = status;
	return 0;
}
