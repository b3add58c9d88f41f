/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * mode = tcp-ao, inbound: a SYN of such a neighbor to our port 179 is handed to a listener of ours
 * that has its keys. The daemon's own has none, and the kernel drops what it cannot check there.
 *
 * Without a listener (botlsd is down) the SYN is dropped: it never falls through to the daemon,
 * whatever becomes of the guard.
 */
#include "neighbors.bpf.h"

#include <linux/in.h>

#define AF_INET 2

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* steering = route: the shim's own connections to the daemon come from the neighbor's address and a
 * port below this. (The interface tells nothing: of what has been turned round at lo the kernel
 * names the one that our address is on.) What others send from there ends at the guard. 0: none. */
const volatile __u16 own_ports_end;

/* By address family. Sockets leave it by themselves when they are closed. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} carry_listeners SEC(".maps");

/* Both families are read before one is chosen: see ends_of() in steer.bpf.c. */
static __always_inline void ends_of(volatile struct bpf_sk_lookup *ctx, union botls_addr *remote,
				    union botls_addr *local)
{
	__u32 remote4 = ctx->remote_ip4, local4 = ctx->local_ip4;

	for (int i = 0; i < 4; i++) {
		remote->words[i] = ctx->remote_ip6[i];
		local->words[i] = ctx->local_ip6[i];
	}
	if (ctx->family == AF_INET) {
		addr_set4(remote, remote4);
		addr_set4(local, local4);
	}
}

static __always_inline bool addr_equal(const union botls_addr *a, const union botls_addr *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
	       a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

/* SK_PASS without a socket is the normal look-up. */
SEC("sk_lookup")
int botls_carry(struct bpf_sk_lookup *ctx)
{
	__u32 family = ctx->family;
	union botls_addr addr, local;
	struct botls_neighbor *n, *to;
	struct bpf_sock *sk;
	long r;

	if (ctx->protocol != IPPROTO_TCP || ctx->local_port != BOTLS_PORT_BGP ||
	    bpf_ntohs(ctx->remote_port) < own_ports_end)
		return SK_PASS;
	ends_of(ctx, &addr, &local);
	/* Our address may lie in the prefix of a dynamic neighbor. */
	if (addr_equal(&addr, &local))
		return SK_PASS;
	n = neighbor_find(&addr, ctx->ingress_ifindex);
	if (!n || !(n->flags & BOTLS_NEIGHBOR_CARRIED))
		return SK_PASS;
	/* Not to us: the daemon's, on its way to a neighbor (lookup.bpf.c), from our address in a
	 * dynamic one's prefix. */
	to = neighbor_find(&local, ctx->ingress_ifindex);
	if (to && !(to->flags & BOTLS_NEIGHBOR_DYNAMIC))
		return SK_PASS;
	if (!(n->flags & BOTLS_NEIGHBOR_MAY_ACCEPT))
		return SK_DROP;
	sk = bpf_map_lookup_elem(&carry_listeners, &family);
	if (!sk)
		return SK_DROP;
	/* This one: of a group that shares its port another one may have no keys. */
	r = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
	bpf_sk_release(sk);
	return r ? SK_DROP : SK_PASS;
}
