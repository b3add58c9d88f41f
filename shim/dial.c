// SPDX-License-Identifier: Apache-2.0
#include "dial.h"

#include "botls/botls.h"
#include "sock.h"

#include <errno.h>

#define LISTEN_BACKLOG 4096
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
	       int *ret_fd, struct errtext *e)
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

int tls_listeners_open(uint16_t port, struct tls_listeners *ret, struct errtext *e)
{
	const struct addr any[2] = {{.family = AF_INET, .prefixlen = 32},
				    {.family = AF_INET6, .prefixlen = 128}};
	struct tls_listeners l = {};

	for (size_t i = 0; i < ARRAY_SIZE(any); i++) {
		int r = sock_listener(&any[i], port, LISTEN_BACKLOG, &l.fds[l.n]);

		if (r == -EAFNOSUPPORT && i > 0)
			continue; /* a machine without IPv6 */
		if (r == 0) {
			l.n++;
			r = sock_set_nodelay(l.fds[l.n - 1]);
		}
		if (r == 0)
			r = sock_set_ttl(l.fds[l.n - 1], 255);
		if (r == 0)
			r = sock_set_notsent_lowat(l.fds[l.n - 1], NOTSENT_LOWAT);
		if (r < 0) {
			tls_listeners_close(&l);
			return errtext_set(
				e, r, "cannot listen on port %u: %s%s", port, strerror(-r),
				r == -EADDRINUSE ? " (is another botlsd running? see tls-port)"
						 : "");
		}
	}
	*ret = l;
	return 0;
}

void tls_listeners_close(struct tls_listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		close(l->fds[i]);
	l->n = 0;
}

static const char *key_of(const struct neighbor_config *n)
{
	return n->mode == MODE_OFF ? NULL : n->tcp_md5;
}

static int set_key(struct tls_listeners *l, const struct addr *peer, const char *key)
{
	for (size_t i = 0; i < l->n; i++) {
		int domain = 0;
		socklen_t len = sizeof(domain);

		if (getsockopt(l->fds[i], SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		    domain == peer->family)
			return sock_set_tcp_md5(l->fds[i], peer, key);
	}
	return -EAFNOSUPPORT;
}

static int switch_keys(struct tls_listeners *l, const struct config *old, const struct config *new,
		       const struct neighbor_config **ret_failed)
{
	for (size_t i = 0; new &&i < new->n_neighbors; i++) {
		const struct neighbor_config *n = &new->neighbors[i];
		int r = key_of(n) ? set_key(l, &n->address, key_of(n)) : 0;

		if (r < 0) {
			*ret_failed = n;
			return r;
		}
	}
	for (size_t i = 0; old && i < old->n_neighbors; i++) {
		const struct neighbor_config *n = &old->neighbors[i];
		const struct neighbor_config *now = new ? config_neighbor(new, n->name) : NULL;

		if (key_of(n) && !(now && key_of(now)))
			set_key(l, &n->address, NULL);
	}
	return 0;
}

int tls_listeners_set_keys(struct tls_listeners *l, const struct config *old,
			   const struct config *new, struct errtext *e)
{
	const struct neighbor_config *failed;
	int r = switch_keys(l, old, new, &failed);

	if (r == 0)
		return 0;
	switch_keys(l, new, old, &(const struct neighbor_config *){NULL});
	return errtext_set(e, r, "neighbor %s: cannot set tcp-md5: %s%s", failed->name,
			   strerror(-r), r == -ENOMEM ? " (raise sysctl net.core.optmem_max)" : "");
}
