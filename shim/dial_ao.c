// SPDX-License-Identifier: Apache-2.0
/*
 * The listeners for neighbors whose TCP-AO keys follow from TLS. All of them begin with the same
 * key, so that one key on one listener, for everybody, serves any number of them: a key each would
 * be 200 bytes of the socket's option memory, which is full with some 650. Everybody includes those
 * that have keys of their own, or none: those have the other listener, and a BPF program tells whom
 * a segment is from and whether it carries TCP-AO (ao_select.h).
 *
 * Where the algorithm or the covered options differ, the key is another one under the same KeyID,
 * which no socket can have beside the first: each kind has a listener of its own.
 */
#include "dial_internal.h"

#include "ao.h"
#include "sock.h"

#include <errno.h>
#include <sys/socket.h>

unsigned dial_ao_kind(const struct neighbor_config *n)
{
	bool is_sha1 = n->ao.own.algorithm == TCP_AO_HMAC_SHA1_96;

	if (!ao_is_wanted(n) || n->ao.mode != AO_EXPORTER)
		return 0;
	return 1 + 2 * is_sha1 + n->ao.own.covers_options;
}

static int port_of(int fd, uint16_t *ret)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr ignored;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sockaddr(&ss, &ignored, ret);
}

/* The listener for the neighbor's kind of key; it gets no connection before it is known to the
 * program. */
static int open_listener(struct tls_listeners *l, const struct neighbor_config *n)
{
	struct addr any = {.family = n->address.family,
			   .prefixlen = n->address.family == AF_INET ? 32 : 128};
	struct addr everybody = ao_listener_peer(n);
	struct keychain chain = ao_chain(n);
	struct tcp_ao_key key = keychain_tcp_key(&chain.keys[0]);
	int first = dial_listener(l, n->address.family, 0), r;
	_cleanup_close_ int fd = -1;
	uint16_t port = 0;

	if (first < 0)
		return -EAFNOSUPPORT;
	if ((r = port_of(first, &port)) < 0 || (r = sock_bound_beside(&any, port, &fd)) < 0 ||
	    (r = dial_prepare_listener(fd)) < 0 || (r = tcp_ao_add_key(fd, &everybody, &key)) < 0)
		return r;
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	r = ao_select_add(l->select, n->address.family, dial_ao_kind(n), fd);
	return r < 0 ? r : dial_add_listener(l, TAKE_FD(fd), n->address.family, dial_ao_kind(n));
}

static int start_select(struct tls_listeners *l, struct errtext *e)
{
	int r = ao_select_new(&l->select, e);

	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = ao_select_attach(l->select, l->what[i].family, l->fds[i]);
	if (r < 0)
		ao_select_free(TAKE(l->select));
	return r;
}

static int send_there(struct tls_listeners *l, const struct config *config)
{
	size_t max = config ? config->n_neighbors : 0, n = 0;
	_cleanup_free_ struct ao_select_entry *entries = calloc(max + 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < max; i++) {
		const struct neighbor_config *c = &config->neighbors[i];

		if (dial_ao_kind(c))
			entries[n++] = (struct ao_select_entry){
				.source = &c->address,
				.listener = dial_ao_kind(c),
				.may_go_without = ao_is_opportunistic(c),
			};
	}
	return ao_select_set(l->select, entries, n);
}

int dial_ao_open(struct tls_listeners *l, const struct config *config,
		 const struct neighbor_config **ret_failed, struct errtext *e)
{
	int r = 0;

	if (!l->has_ao)
		return 0;
	for (size_t i = 0; config && r == 0 && i < config->n_neighbors; i++) {
		const struct neighbor_config *n = &config->neighbors[i];

		if (!dial_ao_kind(n) || dial_listener(l, n->address.family, dial_ao_kind(n)) >= 0)
			continue;
		*ret_failed = n;
		if (!l->select)
			r = start_select(l, e);
		if (r == 0)
			r = open_listener(l, n);
	}
	if (r == 0 && l->select) {
		*ret_failed = NULL;
		r = send_there(l, config);
	}
	return r;
}

static bool is_needed(const struct config *config, const struct tls_listener *what)
{
	for (size_t i = 0; config && i < config->n_neighbors; i++)
		if (config->neighbors[i].address.family == what->family &&
		    dial_ao_kind(&config->neighbors[i]) == what->kind)
			return true;
	return false;
}

void dial_ao_close(struct tls_listeners *l, const struct config *config)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->what[i].kind && !is_needed(config, &l->what[i])) {
			close(l->fds[i]);
			continue;
		}
		l->fds[n] = l->fds[i];
		l->what[n++] = l->what[i];
	}
	l->n = n;
}
