/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP-AO (RFC 5925, RFC 5926) on sockets: keys, which of them is in use, counters. All functions
 * return 0 or -errno, and own neither descriptors nor secrets. -ENOPROTOOPT: this kernel has none.
 *
 * A key belongs to a peer, a host or a prefix. On a listening socket it makes TCP-AO mandatory for
 * that peer: the kernel drops its other segments in silence, and those of a wrong secret, too. Keys
 * can be given to a socket that is not connected, or whose connection has TCP-AO already.
 */
#ifndef BOTLS_TCP_AO_H
#define BOTLS_TCP_AO_H

#include "addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_AO_SECRET_MAX 80 /* bytes */

/* The master key, with KeyID 0, that everybody knows (draft-piraux-tcp-ao-tls-04). */
#define AO_DEFAULT_SECRET "\x1c\xeb\xb1\xff"

/* For an operator who has to look for another kernel. */
#define TCP_AO_KERNEL "Linux 6.7 or later with CONFIG_TCP_AO"

/* MAC and, of the same name, key derivation function (RFC 5926, 3.1.1 and 3.2). The last one is not
 * in RFC 5926. All MACs have 96 bits. Processes of other versions read the numbers: they stay. */
enum tcp_ao_algorithm { TCP_AO_AES_128_CMAC_96, TCP_AO_HMAC_SHA1_96, TCP_AO_HMAC_SHA256_96 };

/* A master key tuple (RFC 5925, 3.1). */
struct tcp_ao_key {
	uint8_t send_id, recv_id;
	enum tcp_ao_algorithm algorithm;
	bool covers_options; /* the MAC covers the other TCP options too */
	const char *secret;  /* 1 to 80 bytes, of any value */
	size_t secret_len;
};

/* Of any TCP socket: does this kernel have it? -ENOPROTOOPT: no. */
int tcp_ao_probe(int fd);

/* -EINVAL: the secret is empty or too long, or it is not a key for this socket's peer; -EEXIST: the
 * socket has a key with one of these ids for an address in common; -EKEYREJECTED: it has a TCP-MD5
 * key for it; -ENOENT: the kernel lacks the algorithm; -ENOMEM: sysctl net.core.optmem_max. */
int tcp_ao_add_key(int fd, const struct addr *peer, const struct tcp_ao_key *key);
/* The same for a connection in TCP_REPAIR that has none: in use at once, since the kernel (7.2)
 * reads a null pointer when it sends on a connection that has keys, none of which is in use. */
int tcp_ao_add_first_key(int fd, const struct addr *peer, const struct tcp_ao_key *key);
/* Asks the peer to sign with the key of this RecvID (RNextKeyID). It does, when it has the key; and
 * what we sign with is for the peer to ask. -ENOENT: there is no such key. */
int tcp_ao_set_rnext(int fd, uint8_t recv_id);
/* The same with a key, and `at_once` we send with it, too: for a socket that is not connected, and
 * to go back from a key that the peer does not know. */
int tcp_ao_prefer_key(int fd, const struct tcp_ao_key *key, bool at_once);
/* The one with these ids. -ENOENT: there is none; -EBUSY: it is in use, or the last one. */
int tcp_ao_delete_key(int fd, const struct addr *peer, const struct tcp_ao_key *key);

/* A connection that began without TCP-AO goes on with it (TCP_REPAIR; needs CAP_NET_ADMIN). Whoever
 * else has the descriptor leaves it alone meanwhile. The key is the first one, sent at once. Its
 * traffic keys are derived from `send_isn` and `recv_isn` in the place of the initial sequence
 * numbers: any two numbers that the ends agree upon, one's are the other's exchanged. The ends may
 * do this at different times: what the other end cannot judge yet it drops, and TCP sends it again.
 *
 * 0, or what tcp_ao_add_key() says, -EPERM, -EAGAIN, and nothing has changed; -ENOTRECOVERABLE: the
 * connection is lost. */
int tcp_ao_turn_on(int fd, const struct addr *peer, const struct tcp_ao_key *key, uint32_t send_isn,
		   uint32_t recv_isn);
/* Would it, as far as can be told without doing it? */
int tcp_ao_may_turn_on(int fd, const struct addr *peer, const struct tcp_ao_key *key);

struct tcp_ao_status {
	uint8_t send_id, recv_id; /* the key we send with, the one we ask the peer for; 0 on a
				     listening socket */
	/* Segments received: the MAC was right or wrong, no key had their KeyID, they carried no
	 * TCP-AO. Those that led to an accepted connection count on the listening socket. */
	uint64_t good, bad, key_not_found, required;
};
/* -ENOENT: the socket, or its connection, has no TCP-AO. */
int tcp_ao_get_status(int fd, struct tcp_ao_status *ret);

/* A key as a socket has it; no secret. */
struct tcp_ao_installed {
	uint8_t send_id, recv_id;
	bool is_current, is_rnext; /* we send with it, we ask the peer for it */
	uint64_t good, bad;	   /* segments that came with it, and with a wrong MAC */
};
/* The first `max` keys of a socket. Returns how many it has, which may be more. */
int tcp_ao_list_keys(int fd, struct tcp_ao_installed *ret, size_t max);
/* 1: the socket has this very key; 0: another one with its ids; -ENOENT: none with them. */
int tcp_ao_has_key(int fd, const struct addr *peer, const struct tcp_ao_key *key);

/* Segments that came for the key with these ids. -ENOENT: there is none. */
int tcp_ao_get_counts(int fd, const struct addr *peer, const struct tcp_ao_key *key,
		      uint64_t *ret_good, uint64_t *ret_bad);

#endif
