/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * steering = route: a SYN to (neighbor, 179) that the policy rules have turned round at lo is
 * handed to the shim's transparent listener, so that the accepted socket natively has the
 * neighbor's address for its own.
 *
 * A neighbor's address is never local by the router's own tables, so what gets here came from this
 * machine. The uid cannot be asked for at this place: the policy rules name the daemon's users,
 * everybody else's connection takes the wire and ends at the guard.
 */
#include "neighbors.bpf.h"

#include <linux/in.h>

#define AF_INET 2

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Sockets leave it by themselves when they are closed. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, BOTLS_NEIGHBORS_MAX);
	__type(key, struct botls_neighbor_key);
	__type(value, __u64);
} listeners SEC(".maps");

/* The neighbor's own listener (it has a TCP-MD5 key), else that of its family. */
static __always_inline struct bpf_sock *listener_find(const union botls_addr *addr, __u32 scope)
{
	struct botls_neighbor_key key = {BOTLS_NEIGHBOR_KEY_BITS, scope, *addr};
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &key);

	if (sk)
		return sk;
	if (addr_is_mapped4(addr))
		addr_set4(&key.addr, 0);
	else
		__builtin_memset(&key.addr, 0, sizeof(key.addr));
	key.scope = 0;
	return bpf_map_lookup_elem(&listeners, &key);
}

/* SK_PASS without a socket is the normal look-up: for a neighbor it would find the daemon's own
 * wildcard listener. */
SEC("sk_lookup")
int botls_lookup(struct bpf_sk_lookup *ctx)
{
	union botls_addr addr;
	struct botls_neighbor *n;
	struct bpf_sock *sk;
	__u32 scope = 0;
	long r;

	if (ctx->protocol != IPPROTO_TCP || ctx->local_port != BOTLS_PORT_BGP)
		return SK_PASS;
	if (ctx->family == AF_INET) {
		addr_set4(&addr, ctx->local_ip4);
	} else {
		addr.words[0] = ctx->local_ip6[0];
		addr.words[1] = ctx->local_ip6[1];
		addr.words[2] = ctx->local_ip6[2];
		addr.words[3] = ctx->local_ip6[3];
		if (addr_is_linklocal6(&addr))
			scope = ctx->ingress_ifindex;
	}
	n = neighbor_find(&addr, scope);
	/* A prefix is not routed to us for the daemon's connections; what comes here goes to our
	 * own address in it. */
	if (!n || (n->flags & BOTLS_NEIGHBOR_DYNAMIC))
		return SK_PASS;
	if (!(n->flags & BOTLS_NEIGHBOR_MAY_CONNECT) || !(n->flags & BOTLS_NEIGHBOR_OWN_KNOWN)) {
		count(BOTLS_COUNT_REFUSED_CLOSED);
		return SK_DROP;
	}
	sk = listener_find(&addr, scope);
	if (!sk) {
		count(BOTLS_COUNT_REFUSED_CLOSED);
		return SK_DROP;
	}
	r = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (r)
		return SK_DROP;
	count(BOTLS_COUNT_STEERED);
	return SK_PASS;
}
