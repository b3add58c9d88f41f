/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * steering = cgroup: programs on the cgroup v2 root that turn the daemon's connections to a
 * neighbor's port 179 towards the shim, and show the neighbor's address at both ends.
 *
 *   daemon  connect(neighbor:179) --connect4/6--> own:inner_port --> shim   getsockname() =
 * neighbor:179 shim    connect(own:179)  -----------------------------------> daemon getpeername()
 * = neighbor
 *
 * The connecting socket's storage says who is meant (the daemon's by connect4/6, the shim's by the
 * shim itself). When its SYN is about to leave, sockops writes that under the source address and
 * port; when the other end is established, sockops copies it into that socket's storage.
 * getpeername() and getsockname() look only there, so the answer lives as long as the socket that
 * it is about, and nobody has to clean up after a process that was killed.
 */
#include "neighbors.bpf.h"

#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#define AF_INET	     2
#define AF_INET6     10
#define EPERM	     1
#define ECONNREFUSED 111
#define EHOSTUNREACH 113
#define SOCK_STREAM  1

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 netns_cookie;
const volatile __u16 inner_port;
const volatile __u32 uids[BOTLS_UIDS_MAX];
const volatile __u32 n_uids;
const volatile bool has_set_retval; /* Linux 5.18; without it every refusal is EPERM */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BOTLS_CROSSINGS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct botls_crossing_key);
	__type(value, struct botls_crossing);
} crossings SEC(".maps");

static __always_inline int refuse(int err, __u32 counter)
{
	count(counter);
	if (has_set_retval)
		bpf_set_retval(-err);
	return 0;
}

static __always_inline bool uid_is_served(void)
{
	__u32 uid = bpf_get_current_uid_gid();

	for (__u32 i = 0; i < BOTLS_UIDS_MAX; i++) {
		if (i < n_uids && uids[i] == uid)
			return true;
	}
	return false;
}

static __always_inline bool addr_is_any(const union botls_addr *a)
{
	return !a->words[3] &&
	       (addr_is_mapped4(a) || (!a->words[0] && !a->words[1] && !a->words[2]));
}

static __always_inline bool addr_equal(const union botls_addr *a, const union botls_addr *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
	       a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

/* Decides on a connect() to `to`:179. 1: go on, to ret_own:inner_port when *ret_steer; 0: refused.
 */
static __always_inline int connect_decide(struct bpf_sock_addr *ctx, const union botls_addr *to,
					  const union botls_addr *bound, __u32 ifindex,
					  union botls_addr *ret_own, bool *ret_steer)
{
	struct botls_socket state = {
		.role = BOTLS_SOCKET_STEERED, .to_port = inner_port, .port = BOTLS_PORT_BGP};
	struct botls_socket *stored;
	struct botls_neighbor *n;

	if (bpf_sk_storage_get(&bypass, ctx->sk, NULL, 0))
		return 1;
	/* The shim's own way to the daemon: our address may lie in the prefix of a dynamic
	 * neighbor. */
	stored = bpf_sk_storage_get(&sockets, ctx->sk, NULL, 0);
	if (stored && stored->role == BOTLS_SOCKET_INNER)
		return 1;
	n = neighbor_find(to, ifindex);
	if (!n) {
		if (stored) /* the socket of an earlier connect() that failed */
			bpf_sk_storage_delete(&sockets, ctx->sk);
		return table_is_awaited() ? refuse(ECONNREFUSED, BOTLS_COUNT_REFUSED_CLOSED) : 1;
	}
	if (!uid_is_served())
		return refuse(EPERM, BOTLS_COUNT_REFUSED_UID);
	if (!(n->flags & BOTLS_NEIGHBOR_MAY_CONNECT) || ctx->protocol != IPPROTO_TCP)
		return refuse(ECONNREFUSED, BOTLS_COUNT_REFUSED_CLOSED);
	if (!(n->flags & BOTLS_NEIGHBOR_OWN_KNOWN))
		return refuse(EHOSTUNREACH, BOTLS_COUNT_REFUSED_CLOSED);

	state.to = addr_is_any(bound) ? n->own : *bound;
	state.addr = *to;
	stored = bpf_sk_storage_get(&sockets, ctx->sk, &state, BPF_SK_STORAGE_GET_F_CREATE);
	if (!stored)
		return refuse(ECONNREFUSED, BOTLS_COUNT_REFUSED_CLOSED);
	*stored = state;
	*ret_own = state.to;
	*ret_steer = true;
	count(BOTLS_COUNT_STEERED);
	return 1;
}

SEC("cgroup/connect4")
int botls_connect4(struct bpf_sock_addr *ctx)
{
	union botls_addr to, bound, own;
	bool steer = false;

	if (ctx->user_port != bpf_htons(BOTLS_PORT_BGP) || ctx->type != SOCK_STREAM ||
	    bpf_get_netns_cookie(ctx) != netns_cookie)
		return 1;
	addr_set4(&to, ctx->user_ip4);
	addr_set4(&bound, ctx->sk->src_ip4);
	if (!connect_decide(ctx, &to, &bound, 0, &own, &steer))
		return 0;
	if (steer) {
		ctx->user_ip4 = own.words[3];
		ctx->user_port = bpf_htons(inner_port);
	}
	return 1;
}

static __always_inline void user_ip6_get(struct bpf_sock_addr *ctx, union botls_addr *a)
{
	a->words[0] = ctx->user_ip6[0];
	a->words[1] = ctx->user_ip6[1];
	a->words[2] = ctx->user_ip6[2];
	a->words[3] = ctx->user_ip6[3];
}

static __always_inline void user_ip6_set(struct bpf_sock_addr *ctx, const union botls_addr *a)
{
	ctx->user_ip6[0] = a->words[0];
	ctx->user_ip6[1] = a->words[1];
	ctx->user_ip6[2] = a->words[2];
	ctx->user_ip6[3] = a->words[3];
}

/* The scope of connect()'s address is not in the context, and the socket is not bound to it yet. It
 * is read from the kernel's copy of the sockaddr, to which the kernel's context (struct
 * bpf_sock_addr_kern) points in its second word since Linux 4.17; that this is it is checked by
 * comparing what the context does tell. 0: not found. */
static __always_inline __u32 user_scope(struct bpf_sock_addr *ctx, const union botls_addr *addr)
{
	struct sockaddr_in6 sin6 = {};
	union botls_addr copy;
	void *uaddr = NULL;

	if (bpf_probe_read_kernel(&uaddr, sizeof(uaddr), (void *)ctx + sizeof(void *)) ||
	    bpf_probe_read_kernel(&sin6, sizeof(sin6), uaddr))
		return 0;
	__builtin_memcpy(&copy, &sin6.sin6_addr, sizeof(copy));
	if (sin6.sin6_family != AF_INET6 || sin6.sin6_port != ctx->user_port ||
	    !addr_equal(&copy, addr))
		return 0;
	return sin6.sin6_scope_id;
}

SEC("cgroup/connect6")
int botls_connect6(struct bpf_sock_addr *ctx)
{
	union botls_addr to, bound, own;
	bool steer = false;
	__u32 scope = 0;

	if (ctx->user_port != bpf_htons(BOTLS_PORT_BGP) || ctx->type != SOCK_STREAM ||
	    bpf_get_netns_cookie(ctx) != netns_cookie)
		return 1;
	user_ip6_get(ctx, &to);
	if (addr_is_linklocal6(&to)) {
		scope = user_scope(ctx, &to);
		if (!scope)
			scope = ctx->sk->bound_dev_if;
		/* Without either the kernel says EINVAL; were it only us who cannot see it, this
		 * stays closed. */
		if (!scope)
			return refuse(EHOSTUNREACH, BOTLS_COUNT_REFUSED_CLOSED);
	}
	bound.words[0] = ctx->sk->src_ip6[0];
	bound.words[1] = ctx->sk->src_ip6[1];
	bound.words[2] = ctx->sk->src_ip6[2];
	bound.words[3] = ctx->sk->src_ip6[3];
	if (!connect_decide(ctx, &to, &bound, scope, &own, &steer))
		return 0;
	if (steer) {
		user_ip6_set(ctx, &own);
		ctx->user_port = bpf_htons(inner_port);
	}
	return 1;
}

struct ends {
	union botls_addr local;
	union botls_addr remote;
	__u16 local_port;
	__u16 remote_port;
};

/* Both families are read before one is chosen: out of two branches the compiler makes one load
 * through a computed context pointer, which the verifier refuses. */
static __always_inline void ends_of(volatile struct bpf_sock_ops *ops, struct ends *e)
{
	__u32 local4 = ops->local_ip4, remote4 = ops->remote_ip4;

	e->local.words[0] = ops->local_ip6[0];
	e->local.words[1] = ops->local_ip6[1];
	e->local.words[2] = ops->local_ip6[2];
	e->local.words[3] = ops->local_ip6[3];
	e->remote.words[0] = ops->remote_ip6[0];
	e->remote.words[1] = ops->remote_ip6[1];
	e->remote.words[2] = ops->remote_ip6[2];
	e->remote.words[3] = ops->remote_ip6[3];
	if (ops->family == AF_INET) {
		addr_set4(&e->local, local4);
		addr_set4(&e->remote, remote4);
	}
	e->local_port = ops->local_port;
	e->remote_port = bpf_ntohl(ops->remote_port);
}

static __always_inline void crossing_key(struct botls_crossing_key *key,
					 const union botls_addr *addr, __u16 port, __u16 to_port,
					 __u32 ifindex)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->addr = *addr;
	key->scope = addr_is_linklocal6(addr) ? ifindex : 0;
	key->port = port;
	key->to_port = to_port;
}

/* The SYN is about to leave; source address and port are chosen. */
static __always_inline void on_connect(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct botls_socket *s = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	struct botls_crossing_key key;
	struct botls_crossing crossing = {};
	struct ends e;

	if (!s || (s->role != BOTLS_SOCKET_STEERED && s->role != BOTLS_SOCKET_INNER))
		return;
	ends_of(ops, &e);
	/* The socket was connected before, or failed to, and now goes elsewhere. */
	if (e.remote_port != s->to_port || !addr_equal(&e.remote, &s->to)) {
		bpf_sk_storage_delete(&sockets, sk);
		return;
	}
	crossing_key(&key, &e.local, e.local_port, e.remote_port, sk->bound_dev_if);
	crossing.addr = s->addr;
	crossing.port = s->role == BOTLS_SOCKET_STEERED ? s->port : e.local_port;
	bpf_map_update_elem(&crossings, &key, &crossing, BPF_ANY);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void on_accept(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct botls_crossing_key key;
	struct botls_crossing *crossing;
	struct botls_neighbor *n;
	struct botls_socket s = {};
	struct ends e;

	if (ops->local_port != BOTLS_PORT_BGP && ops->local_port != inner_port)
		return;
	ends_of(ops, &e);
	crossing_key(&key, &e.remote, e.remote_port, e.local_port, sk->bound_dev_if);
	crossing = bpf_map_lookup_elem(&crossings, &key);
	if (!crossing) {
		if (bpf_sk_storage_get(&carriers, sk, NULL, 0))
			return;
		n = e.local_port == BOTLS_PORT_BGP ? neighbor_find(&e.remote, sk->bound_dev_if)
						   : NULL;
		if (n && (n->flags & BOTLS_NEIGHBOR_PROTECTED))
			count(BOTLS_COUNT_HIDDEN);
		return;
	}
	s.role = e.local_port == BOTLS_PORT_BGP ? BOTLS_SOCKET_ACCEPTED : BOTLS_SOCKET_CAUGHT;
	s.addr = crossing->addr;
	s.port = crossing->port;
	if (bpf_sk_storage_get(&sockets, sk, &s, BPF_SK_STORAGE_GET_F_CREATE) &&
	    s.role == BOTLS_SOCKET_ACCEPTED)
		count(BOTLS_COUNT_MAPPED);
}

static __always_inline void on_close(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct botls_crossing_key key;
	struct ends e;

	ends_of(ops, &e);
	crossing_key(&key, &e.local, e.local_port, e.remote_port, sk->bound_dev_if);
	bpf_map_delete_elem(&crossings, &key);
}

SEC("sockops")
int botls_sockops(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk;

	if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB &&
	    ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && ops->op != BPF_SOCK_OPS_STATE_CB)
		return 1;
	if (bpf_get_netns_cookie(ops) != netns_cookie)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		on_connect(ops, sk);
	else if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		on_accept(ops, sk);
	else if (ops->args[1] == BPF_TCP_CLOSE)
		on_close(ops, sk);
	return 1;
}

/* What getpeername() and accept() tell: true when *ret_addr and *ret_port are to be shown instead
 * of `addr` and `port`. */
static __always_inline bool peer_shown(struct bpf_sock_addr *ctx, const union botls_addr *addr,
				       __u16 port, union botls_addr *ret_addr, __u16 *ret_port)
{
	struct botls_socket *s = bpf_sk_storage_get(&sockets, ctx->sk, NULL, 0);
	struct botls_neighbor *n;

	if (s &&
	    ((s->role == BOTLS_SOCKET_STEERED && port == s->to_port && addr_equal(addr, &s->to)) ||
	     s->role == BOTLS_SOCKET_ACCEPTED)) {
		*ret_addr = s->addr;
		*ret_port = s->port;
		return true;
	}
	if (ctx->sk->src_port != BOTLS_PORT_BGP || bpf_sk_storage_get(&carriers, ctx->sk, NULL, 0))
		return false;
	/* The wire's, claiming a neighbor that only the shim may speak for: nobody the daemon
	 * knows. */
	n = neighbor_find(addr, ctx->sk->bound_dev_if);
	if (!n || !(n->flags & BOTLS_NEIGHBOR_PROTECTED))
		return false;
	*ret_addr = *addr;
	if (!addr_is_mapped4(addr))
		ret_addr->words[0] = ret_addr->words[1] = ret_addr->words[2] = 0;
	ret_addr->words[3] = 0;
	*ret_port = port;
	return true;
}

SEC("cgroup/getpeername4")
int botls_getpeername4(struct bpf_sock_addr *ctx)
{
	union botls_addr addr, shown;
	__u16 port;

	if (bpf_get_netns_cookie(ctx) != netns_cookie || ctx->type != SOCK_STREAM)
		return 1;
	addr_set4(&addr, ctx->user_ip4);
	if (peer_shown(ctx, &addr, bpf_ntohs(ctx->user_port), &shown, &port)) {
		ctx->user_ip4 = shown.words[3];
		ctx->user_port = bpf_htons(port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int botls_getpeername6(struct bpf_sock_addr *ctx)
{
	union botls_addr addr, shown;
	__u16 port;

	if (bpf_get_netns_cookie(ctx) != netns_cookie || ctx->type != SOCK_STREAM)
		return 1;
	user_ip6_get(ctx, &addr);
	if (peer_shown(ctx, &addr, bpf_ntohs(ctx->user_port), &shown, &port)) {
		user_ip6_set(ctx, &shown);
		ctx->user_port = bpf_htons(port);
	}
	return 1;
}

/* On a connection that the shim accepted: where the daemon wanted to go. */
static __always_inline struct botls_socket *caught(struct bpf_sock_addr *ctx)
{
	struct botls_socket *s;

	if (bpf_get_netns_cookie(ctx) != netns_cookie || ctx->type != SOCK_STREAM ||
	    ctx->user_port != bpf_htons(inner_port))
		return NULL;
	s = bpf_sk_storage_get(&sockets, ctx->sk, NULL, 0);
	return s && s->role == BOTLS_SOCKET_CAUGHT ? s : NULL;
}

SEC("cgroup/getsockname4")
int botls_getsockname4(struct bpf_sock_addr *ctx)
{
	struct botls_socket *s = caught(ctx);

	if (s) {
		ctx->user_ip4 = s->addr.words[3];
		ctx->user_port = bpf_htons(s->port);
	}
	return 1;
}

SEC("cgroup/getsockname6")
int botls_getsockname6(struct bpf_sock_addr *ctx)
{
	struct botls_socket *s = caught(ctx);

	if (s) {
		user_ip6_set(ctx, &s->addr);
		ctx->user_port = bpf_htons(s->port);
	}
	return 1;
}
