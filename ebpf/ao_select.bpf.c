/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Which listener of the TLS port a connection comes to: the kernel demands the keys of a listener
 * from everybody whose address they cover, and drops TCP-AO where there is none, so that a neighbor
 * that may come with or without it needs one of each.
 *
 * Asked for each segment that belongs to no connection: SYN, and the ACK that brings a SYN cookie
 * back. TCP's options have been pulled into the linear part before the look-up.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <stdbool.h>

#include "botls/botls.h"
#include "botls/bpf.h"

#define TCP_AO	    29
#define TCP_HEADER  20
#define OPTIONS_MAX 40
#define AT_SOURCE4  12 /* in the IP header */
#define AT_SOURCE6  8
#define AT_OFFSET   12 /* in TCP's: the byte with the length of the header */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Sockets leave it by themselves when they are closed. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 2 * BOTLS_AO_LISTENERS);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, BOTLS_NEIGHBORS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct botls_neighbor_key);
	__type(value, struct botls_ao_neighbor);
} neighbors SEC(".maps");

static __always_inline bool has_ao(struct sk_reuseport_md *ctx)
{
	__u8 options[64] = {}, offset;
	__u32 len, at = 0;

	if (bpf_skb_load_bytes(ctx, AT_OFFSET, &offset, 1))
		return false;
	len = (offset >> 4) * 4;
	if (len <= TCP_HEADER)
		return false;
	len -= TCP_HEADER;
	if (len > OPTIONS_MAX || bpf_skb_load_bytes(ctx, TCP_HEADER, options, len))
		return false;
	for (int i = 0; i < OPTIONS_MAX && at < len && at < OPTIONS_MAX; i++) {
		__u8 kind = options[at], size = options[at + 1];

		if (kind == TCP_AO)
			return true;
		if (!kind)
			return false;
		if (kind != 1 && size < 2)
			return false;
		at += kind == 1 ? 1 : size;
	}
	return false;
}

static __always_inline bool get_source(struct sk_reuseport_md *ctx, union botls_addr *ret)
{
	__u32 ip4;

	if (ctx->eth_protocol != bpf_htons(ETH_P_IP))
		return !bpf_skb_load_bytes_relative(ctx, AT_SOURCE6, ret, sizeof(*ret),
						    BPF_HDR_START_NET);
	if (bpf_skb_load_bytes_relative(ctx, AT_SOURCE4, &ip4, sizeof(ip4), BPF_HDR_START_NET))
		return false;
	ret->words[0] = 0;
	ret->words[1] = 0;
	ret->words[2] = bpf_htonl(0xffff);
	ret->words[3] = ip4;
	return true;
}

/* Never SK_PASS without a listener: any one of the group would be taken then. */
SEC("sk_reuseport")
int botls_ao_select(struct sk_reuseport_md *ctx)
{
	__u32 at = ctx->eth_protocol == bpf_htons(ETH_P_IP) ? 0 : BOTLS_AO_LISTENERS;
	struct botls_neighbor_key key = {.prefixlen = BOTLS_NEIGHBOR_KEY_BITS};
	struct botls_ao_neighbor *n;

	if (!get_source(ctx, &key.addr))
		return SK_DROP;
	n = bpf_map_lookup_elem(&neighbors, &key);
	/* One that must have it and has not is left to the key, which drops and counts it. */
	if (n && (!n->may_go_without || has_ao(ctx)))
		at += n->listener;
	return bpf_sk_select_reuseport(ctx, &listeners, &at, 0) ? SK_DROP : SK_PASS;
}
