/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * The guard: no TCP to or from port 179 of a protected neighbor through any interface but lo, the
 * hop limit of what arrives at our TLS port, and nothing of the inner port outside lo. It needs no
 * other program of ours.
 *
 * The same verdict twice. At the cgroup v2 root every packet has a local socket, so all of them are
 * ours to judge; only the kernel's own answers for sockets that are not there (IPv6 resets, last
 * ACKs) pass it by: they carry no data. At an interface (tc) transit traffic passes too, and what
 * only crosses this router is none of our business: out   it is ours when it has a socket, or comes
 * from our address towards this neighbor; in    bpf_fib_lookup() says whether it would be
 * forwarded. A socket look-up cannot: the daemon's wildcard listener matches a transit packet as
 * well. And a list of our addresses would have to be kept up to date.
 */
#include "neighbors.bpf.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>

#define AF_INET	 2
#define AF_INET6 10

#define EXTENSION_HEADERS_MAX 8
#define IP_OFFSET_MASK	      0x1fff
#define IP6_OFFSET_MASK	      0xfff8

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 netns_cookie;
const volatile __u16 tls_port;
const volatile __u16 inner_port; /* 0: steering = route has none */

enum direction { OUT, IN };

/* Whose TCP header it is. UNREADABLE: hidden behind more headers than anybody needs; dropped when
 * the neighbor is protected. A later fragment passes: without the first one it is nothing. */
enum payload { PAYLOAD_TCP, PAYLOAD_OTHER, PAYLOAD_LATER_FRAGMENT, PAYLOAD_UNREADABLE };

struct packet {
	union botls_addr source;
	union botls_addr destination;
	__u16 source_port;
	__u16 destination_port;
	__u8 hop_limit;
	__u8 tos;
	bool is_ip6;
};

static __always_inline int load(struct __sk_buff *skb, __u32 offset, void *to, __u32 len)
{
	return bpf_skb_load_bytes_relative(skb, offset, to, len, BPF_HDR_START_NET);
}

static __always_inline enum payload ports_read(struct __sk_buff *skb, __u32 offset,
					       struct packet *p)
{
	__be16 ports[2];

	if (load(skb, offset, ports, sizeof(ports)))
		return PAYLOAD_UNREADABLE;
	p->source_port = bpf_ntohs(ports[0]);
	p->destination_port = bpf_ntohs(ports[1]);
	return PAYLOAD_TCP;
}

static __always_inline enum payload packet_read4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (load(skb, 0, &ip, sizeof(ip)))
		return PAYLOAD_OTHER;
	addr_set4(&p->source, ip.saddr);
	addr_set4(&p->destination, ip.daddr);
	p->hop_limit = ip.ttl;
	p->tos = ip.tos;
	if (ip.protocol != IPPROTO_TCP)
		return PAYLOAD_OTHER;
	if (ip.frag_off & bpf_htons(IP_OFFSET_MASK))
		return PAYLOAD_LATER_FRAGMENT;
	return ports_read(skb, ip.ihl * 4, p);
}

static __always_inline enum payload packet_read6(struct __sk_buff *skb, struct packet *p)
{
	struct {
		__u8 next;
		__u8 len;
		__be16 offset; /* fragment header only */
	} ext;
	__u32 offset = sizeof(struct ipv6hdr);
	struct ipv6hdr ip;
	__u8 next;

	p->is_ip6 = true;
	if (load(skb, 0, &ip, sizeof(ip)))
		return PAYLOAD_OTHER;
	__builtin_memcpy(&p->source, &ip.saddr, 16);
	__builtin_memcpy(&p->destination, &ip.daddr, 16);
	p->hop_limit = ip.hop_limit;
	next = ip.nexthdr;
#pragma unroll
	for (int i = 0; i < EXTENSION_HEADERS_MAX; i++) {
		if (next == IPPROTO_TCP)
			return ports_read(skb, offset, p);
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_AH && next != IPPROTO_MH && next != IPPROTO_FRAGMENT)
			return PAYLOAD_OTHER;
		if (load(skb, offset, &ext, sizeof(ext)))
			return PAYLOAD_UNREADABLE;
		if (next == IPPROTO_FRAGMENT) {
			if (ext.offset & bpf_htons(IP6_OFFSET_MASK))
				return PAYLOAD_LATER_FRAGMENT;
			offset += 8;
		} else if (next == IPPROTO_AH) {
			offset += (ext.len + 2) * 4;
		} else {
			offset += (ext.len + 1) * 8;
		}
		next = ext.next;
	}
	return next == IPPROTO_TCP ? ports_read(skb, offset, p) : PAYLOAD_UNREADABLE;
}

/* True when the kernel would forward it. Before this is asked the packet is known to be one that we
 * would drop. */
static __always_inline bool is_transit(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_fib_lookup fib = {.ifindex = skb->ifindex, .l4_protocol = IPPROTO_TCP};
	long r;

	/* A bridge port or the parent of a macvlan sees frames for other machines, too. */
	if (skb->pkt_type == 3 /* PACKET_OTHERHOST */)
		return true;
	if (addr_is_linklocal6(&p->destination))
		return false;
	fib.sport = bpf_htons(p->source_port);
	fib.dport = bpf_htons(p->destination_port);
	if (p->is_ip6) {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &p->source, 16);
		__builtin_memcpy(fib.ipv6_dst, &p->destination, 16);
	} else {
		fib.family = AF_INET;
		fib.tos = p->tos;
		fib.ipv4_src = p->source.words[3];
		fib.ipv4_dst = p->destination.words[3];
	}
	r = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	/* Not forwarded: it is local. A host that does not forward at all gets only what is its
	 * own. */
	return r != BPF_FIB_LKUP_RET_NOT_FWDED && r != BPF_FIB_LKUP_RET_FWD_DISABLED && r >= 0;
}

static __always_inline bool is_ours(struct __sk_buff *skb, enum direction d, const struct packet *p,
				    const struct botls_neighbor *n)
{
	if (d == IN)
		return !is_transit(skb, p);
	if (skb->sk)
		return true;
	return n && n->own.words[3] == p->source.words[3] &&
	       n->own.words[2] == p->source.words[2] && n->own.words[1] == p->source.words[1] &&
	       n->own.words[0] == p->source.words[0];
}

static __always_inline bool is_passed(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&bypass, sk, NULL, 0) ||
	       bpf_sk_storage_get(&carriers, sk, NULL, 0);
}

/* What arrives at an interface has no socket yet. */
static __always_inline bool receiver_may_pass(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 len = sizeof(t.ipv4);
	bool may;

	if (p->is_ip6) {
		__builtin_memcpy(t.ipv6.saddr, &p->source, 16);
		__builtin_memcpy(t.ipv6.daddr, &p->destination, 16);
		t.ipv6.sport = bpf_htons(p->source_port);
		t.ipv6.dport = bpf_htons(p->destination_port);
		len = sizeof(t.ipv6);
	} else {
		t.ipv4.saddr = p->source.words[3];
		t.ipv4.daddr = p->destination.words[3];
		t.ipv4.sport = bpf_htons(p->source_port);
		t.ipv4.dport = bpf_htons(p->destination_port);
	}
	sk = bpf_sk_lookup_tcp(skb, &t, len, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	may = is_passed(sk);
	bpf_sk_release(sk);
	return may;
}

static __always_inline bool socket_may_pass(struct __sk_buff *skb, enum direction d,
					    const struct packet *p, const struct botls_neighbor *n,
					    bool at_interface)
{
	struct bpf_sock *sk = skb->sk, *full;

	if (at_interface && d == IN)
		return (n->flags & BOTLS_NEIGHBOR_CARRIED) && receiver_may_pass(skb, p);
	if (!sk)
		return false;
	full = bpf_sk_fullsock(sk);
	if (full)
		return is_passed(full);
	/* The answer to a SYN is its listener's. */
	sk = bpf_get_listener_sock(sk);
	return sk && is_passed(sk);
}

/* The local leg of a session, from either of its ends, may only ever leave through lo: when our
 * address has moved away, its new holder would otherwise be sent BGP in clear. The ports come
 * first: few packets need the look-up. */
static __always_inline bool leaves_local_leg(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = skb->sk;
	struct botls_neighbor *n;

	if (p->source_port != BOTLS_PORT_BGP && p->destination_port != BOTLS_PORT_BGP &&
	    (!inner_port || p->destination_port != inner_port))
		return false;
	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk)
		return false;
	if (bpf_sk_storage_get(&sockets, sk, NULL, 0))
		return true;
	/* Without the steering programs (route) the shim's end speaks from the neighbor's own
	 * address, and what is carried from ours, which may be in a dynamic neighbor's prefix. */
	if (is_passed(sk))
		return false;
	n = neighbor_find(&p->source, skb->ifindex);
	return n && (n->flags & BOTLS_NEIGHBOR_PROTECTED) && !inner_port;
}

/* True when the packet must not pass. */
static __always_inline bool judge(struct __sk_buff *skb, enum direction d, bool at_interface)
{
	struct packet p = {};
	struct botls_neighbor *n;
	enum payload payload;
	__u16 local, remote;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		payload = packet_read4(skb, &p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		payload = packet_read6(skb, &p);
	else
		return false;
	if (payload == PAYLOAD_OTHER || payload == PAYLOAD_LATER_FRAGMENT)
		return false;
	local = d == OUT ? p.source_port : p.destination_port;
	remote = d == OUT ? p.destination_port : p.source_port;

	if (payload == PAYLOAD_TCP &&
	    ((inner_port && local == inner_port && (!at_interface || is_ours(skb, d, &p, NULL))) ||
	     (d == OUT && leaves_local_leg(skb, &p)))) {
		count(BOTLS_COUNT_GUARD_INNER);
		return true;
	}

	if (payload == PAYLOAD_TCP && local != BOTLS_PORT_BGP && remote != BOTLS_PORT_BGP &&
	    (d == OUT || local != tls_port))
		return false;
	n = neighbor_find(d == OUT ? &p.destination : &p.source, skb->ifindex);
	if (!n)
		return table_is_awaited() &&
		       (local == BOTLS_PORT_BGP || remote == BOTLS_PORT_BGP) &&
		       (!at_interface || is_ours(skb, d, &p, NULL));

	if (payload == PAYLOAD_UNREADABLE || local == BOTLS_PORT_BGP || remote == BOTLS_PORT_BGP) {
		if ((n->flags & BOTLS_NEIGHBOR_PROTECTED) &&
		    !(n->flags & BOTLS_NEIGHBOR_SETTLING) &&
		    (!at_interface || is_ours(skb, d, &p, n)) &&
		    !socket_may_pass(skb, d, &p, n, at_interface)) {
			count(d == OUT ? BOTLS_COUNT_GUARD_OUT : BOTLS_COUNT_GUARD_IN);
			return true;
		}
	}
	if (d == IN && p.hop_limit < n->min_ttl &&
	    (local == tls_port ||
	     (local == BOTLS_PORT_BGP && (n->flags & BOTLS_NEIGHBOR_CARRIED))) &&
	    (!at_interface || is_ours(skb, d, &p, n))) {
		count(BOTLS_COUNT_GUARD_TTL);
		return true;
	}
	return false;
}

/* 1 passes, 0 drops. */
SEC("cgroup_skb/egress")
int botls_guard_out(struct __sk_buff *skb)
{
	if (skb->ifindex == BOTLS_LOOPBACK_INDEX || bpf_get_netns_cookie(skb) != netns_cookie)
		return 1;
	return !judge(skb, OUT, false);
}

SEC("cgroup_skb/ingress")
int botls_guard_in(struct __sk_buff *skb)
{
	if (skb->ifindex == BOTLS_LOOPBACK_INDEX || bpf_get_netns_cookie(skb) != netns_cookie)
		return 1;
	return !judge(skb, IN, false);
}

/* TC_ACT_UNSPEC leaves it to the operator's own filters. */
SEC("tc")
int botls_tc_out(struct __sk_buff *skb)
{
	if (skb->ifindex == BOTLS_LOOPBACK_INDEX)
		return TC_ACT_UNSPEC;
	return judge(skb, OUT, true) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int botls_tc_in(struct __sk_buff *skb)
{
	/* Still with its VLAN tag: it comes by again at the VLAN's own interface. One with a
	 * priority only does not. */
	if (skb->ifindex == BOTLS_LOOPBACK_INDEX || (skb->vlan_present && (skb->vlan_tci & 0xfff)))
		return TC_ACT_UNSPEC;
	return judge(skb, IN, true) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
