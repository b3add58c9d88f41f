/* SPDX-License-Identifier: Apache-2.0 */
#include "sockdiag.h"
#include "rtnl.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>

/* Every state of a connection; not LISTEN, CLOSE and TIME_WAIT, which carry nothing. */
#define STATES                                                                                     \
	(1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT | 1U << TCP_SYN_RECV | 1U << TCP_FIN_WAIT1 |   \
	 1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT | 1U << TCP_LAST_ACK | 1U << TCP_CLOSING)

struct list {
	uint16_t port;
	struct sockdiag_socket *sockets;
	size_t n, size;
};

static void end_set(uint8_t family, const __be32 words[4], uint32_t ifindex, struct addr *ret)
{
	struct sockaddr_storage ss = {.ss_family = family};

	if (family == AF_INET) {
		memcpy(&((struct sockaddr_in *)&ss)->sin_addr, words, 4);
	} else {
		memcpy(&((struct sockaddr_in6 *)&ss)->sin6_addr, words, 16);
		((struct sockaddr_in6 *)&ss)->sin6_scope_id = ifindex;
	}
	addr_from_sockaddr(&ss, ret, NULL);
}

static int on_socket(void *arg, struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = nlmsg_data(h);
	struct list *list = arg;
	struct sockdiag_socket *s;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EPROTO;
	if (ntohs(m->id.idiag_sport) != list->port && ntohs(m->id.idiag_dport) != list->port)
		return 0;
	if (list->n == list->size) {
		size_t size = list->size ? 2 * list->size : 64;

		s = reallocarray(list->sockets, size, sizeof(*s));
		if (!s)
			return -ENOMEM;
		list->sockets = s;
		list->size = size;
	}
	s = &list->sockets[list->n++];
	memset(s, 0, sizeof(*s));
	s->family = m->idiag_family;
	s->state = m->idiag_state;
	s->id = m->id;
	s->local_port = ntohs(m->id.idiag_sport);
	s->remote_port = ntohs(m->id.idiag_dport);
	end_set(s->family, m->id.idiag_src, m->id.idiag_if, &s->local);
	end_set(s->family, m->id.idiag_dst, m->id.idiag_if, &s->remote);
	return 0;
}

static int diag_open(struct nl_sock **ret)
{
	struct nl_sock *sk = nl_socket_alloc();
	int r;

	if (!sk)
		return -ENOMEM;
	if (nl_connect(sk, NETLINK_SOCK_DIAG) < 0) {
		r = errno ? -errno : -EIO;
		nl_socket_free(sk);
		return r;
	}
	*ret = sk;
	return 0;
}

static int diag_request(struct nl_sock *sk, int type, int flags, const struct inet_diag_req_v2 *req,
			struct list *list)
{
	_cleanup_nl_msg_ struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (!msg || nlmsg_append(msg, (void *)req, sizeof(*req), NLMSG_ALIGNTO) < 0)
		return -ENOMEM;
	return rtnl_request(sk, msg, list ? on_socket : NULL, list);
}

static int ends_compare(const struct addr *a, uint16_t a_port, const struct addr *b,
			uint16_t b_port)
{
	int r = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

	if (r == 0)
		r = (int)a->family - (int)b->family;
	if (r == 0)
		r = strcmp(a->ifname, b->ifname);
	return r ? r : (int)a_port - (int)b_port;
}

static int socket_compare(const void *a, const void *b)
{
	const struct sockdiag_socket *x = a, *y = b;
	int r = ends_compare(&x->local, x->local_port, &y->local, y->local_port);

	return r ? r : ends_compare(&x->remote, x->remote_port, &y->remote, y->remote_port);
}

static bool has_mirror(const struct list *list, const struct sockdiag_socket *s)
{
	struct sockdiag_socket mirror = *s;

	mirror.local = s->remote;
	mirror.local_port = s->remote_port;
	mirror.remote = s->local;
	mirror.remote_port = s->local_port;
	return bsearch(&mirror, list->sockets, list->n, sizeof(*s), socket_compare);
}

/* Those whose other end was not seen in this namespace, in the order of socket_compare(). */
static int dump_on_wire(uint16_t port, struct sockdiag_socket **ret, size_t *ret_n,
			struct errtext *e)
{
	_cleanup_nl_sock_ struct nl_sock *sk = NULL;
	_cleanup_free_ struct sockdiag_socket *out = NULL;
	struct list list = {.port = port};
	size_t n = 0;
	int r;

	r = diag_open(&sk);
	for (int i = 0; r == 0 && i < 2; i++) {
		struct inet_diag_req_v2 req = {
			.sdiag_family = i == 0 ? AF_INET : AF_INET6,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = STATES,
		};

		/* An interrupted dump of sockets lacks at most some that began or ended meanwhile.
		 */
		r = diag_request(sk, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, &list);
		if (r == -EAGAIN || (i == 1 && r == -ENOENT))
			r = 0;
	}
	if (r < 0) {
		free(list.sockets);
		return errtext_set(e, r, "list TCP connections: %s", strerror(-r));
	}
	if (list.n > 1)
		qsort(list.sockets, list.n, sizeof(*out), socket_compare);
	out = calloc(list.n + 1, sizeof(*out));
	for (size_t i = 0; out && i < list.n; i++) {
		const struct sockdiag_socket *s = &list.sockets[i];

		if (!addr_equal(&s->local, &s->remote) && !has_mirror(&list, s))
			out[n++] = *s;
	}
	free(list.sockets);
	if (!out)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret = TAKE(out);
	*ret_n = n;
	return 0;
}

/* A dump is no snapshot: the two ends of a local connection that is being set up may fall before
 * and behind it. Only what is seen alone twice is on the wire. */
int sockdiag_on_wire(uint16_t port, struct sockdiag_socket **ret, size_t *ret_n, struct errtext *e)
{
	_cleanup_free_ struct sockdiag_socket *first = NULL, *second = NULL;
	size_t n_first = 0, n_second = 0, n = 0;
	int r;

	r = dump_on_wire(port, &first, &n_first, e);
	if (r == 0 && n_first)
		r = dump_on_wire(port, &second, &n_second, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_first; i++) {
		if (n_second &&
		    bsearch(&first[i], second, n_second, sizeof(*second), socket_compare))
			first[n++] = first[i];
	}
	*ret = TAKE(first);
	*ret_n = n;
	return 0;
}

int sockdiag_end(const struct sockdiag_socket *s)
{
	_cleanup_nl_sock_ struct nl_sock *sk = NULL;
	struct inet_diag_req_v2 req = {
		.sdiag_family = s->family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = STATES,
		.id = s->id,
	};
	int r = diag_open(&sk);

	if (r == 0)
		r = diag_request(sk, SOCK_DESTROY, 0, &req, NULL);
	return r == -ENOENT ? 0 : r;
}

bool sockdiag_can_end(void)
{
	struct sockdiag_socket nobody = {.family = AF_INET};

	/* Ports 0: no socket can be meant. The kernel says ENOENT when it has looked, EOPNOTSUPP
	 * when it cannot. */
	return sockdiag_end(&nobody) == 0;
}
