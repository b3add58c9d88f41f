/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * The maps that steering and guard share, and the look-up of a neighbor. Both objects take the same
 * pins.
 */
#ifndef BOTLS_NEIGHBORS_BPF_H
#define BOTLS_NEIGHBORS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "botls/botls.h"
#include "botls/bpf.h"

struct botls_neighbor_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, BOTLS_NEIGHBORS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	/* Not __type(): clang 14 leaves types that only an inner map names incomplete. */
	__uint(key_size, sizeof(struct botls_neighbor_key));
	__uint(value_size, sizeof(struct botls_neighbor));
};

/* One element: replacing it replaces the whole table in one step. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct botls_neighbor_trie);
} neighbors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BOTLS_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Sockets of ours that may speak in clear. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} bypass SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct botls_socket);
} sockets SEC(".maps");

/* Listeners of ours to which carried neighbors come, and what is accepted there. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
} carriers SEC(".maps");

const volatile bool is_closed_without_table;

static __always_inline void count(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &which);

	if (n)
		(*n)++;
}

static __always_inline void addr_set4(union botls_addr *a, __u32 ip4)
{
	a->words[0] = 0;
	a->words[1] = 0;
	a->words[2] = bpf_htonl(0xffff);
	a->words[3] = ip4;
}

static __always_inline int addr_is_linklocal6(const union botls_addr *a)
{
	return (a->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline int addr_is_mapped4(const union botls_addr *a)
{
	return !a->words[0] && !a->words[1] && a->words[2] == bpf_htonl(0xffff);
}

/* True between taking over from a version whose table cannot be read and the first table of ours:
 * who is protected is not known then, so that port 179 is closed for all. */
static __always_inline bool table_is_awaited(void)
{
	__u32 zero = 0;

	return is_closed_without_table && !bpf_map_lookup_elem(&neighbors, &zero);
}

/* `ifindex` counts for link-local addresses only. */
static __always_inline struct botls_neighbor *neighbor_find(const union botls_addr *addr,
							    __u32 ifindex)
{
	struct botls_neighbor_key key = {.prefixlen = BOTLS_NEIGHBOR_KEY_BITS, .addr = *addr};
	struct botls_neighbor *n;
	__u32 zero = 0;
	void *trie = bpf_map_lookup_elem(&neighbors, &zero);

	if (!trie)
		return NULL;
	if (!addr_is_linklocal6(addr))
		return bpf_map_lookup_elem(trie, &key);

	key.scope = ifindex;
	n = bpf_map_lookup_elem(trie, &key);
	if (n)
		return n;
	key.scope = 0;
	n = bpf_map_lookup_elem(trie, &key);
	if (!n || !(n->flags & BOTLS_NEIGHBOR_PENDING))
		return NULL;
	__builtin_memset(&key.addr, 0, sizeof(key.addr));
	key.scope = ifindex;
	return bpf_map_lookup_elem(trie, &key) ? NULL : n;
}

#endif
