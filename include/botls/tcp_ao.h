/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel offers for TCP-AO (RFC 5925; Linux 6.7, CONFIG_TCP_AO): options of the level
 * IPPROTO_TCP and their structs. Debian 12's linux/tcp.h lacks them, and newer ones have them under
 * other names than these, so both can be included.
 */
#ifndef BOTLS_KERNEL_TCP_AO_H
#define BOTLS_KERNEL_TCP_AO_H

#include <stdint.h>
#include <sys/socket.h>

#define KERNEL_TCP_AO_ADD_KEY  38
#define KERNEL_TCP_AO_DEL_KEY  39
#define KERNEL_TCP_AO_INFO     40
#define KERNEL_TCP_AO_GET_KEYS 41
#define KERNEL_TCP_AO_REPAIR   42

#define KERNEL_TCP_AO_KEY_MAX 80
#define KERNEL_TCP_AO_EXCLUDE_OPT                                                                  \
	(1 << 1) /* keyflags: the MAC leaves the other TCP options out                             \
		  */

/* `addr` has port 0, and no bits behind its first `prefix` ones. */
struct kernel_tcp_ao_add {
	struct sockaddr_storage addr;
	char alg_name[64];
	int32_t ifindex;
	uint32_t set_current : 1, set_rnext : 1, reserved : 30;
	uint16_t reserved2;
	uint8_t prefix, sndid, rcvid;
	uint8_t maclen; /* 0: 12 */
	uint8_t keyflags, keylen;
	uint8_t key[KERNEL_TCP_AO_KEY_MAX];
} __attribute__((aligned(8)));

struct kernel_tcp_ao_del {
	struct sockaddr_storage addr;
	int32_t ifindex;
	uint32_t set_current : 1, set_rnext : 1, del_async : 1, reserved : 29;
	uint16_t reserved2;
	uint8_t prefix, sndid, rcvid;
	uint8_t current_key, rnext;
	uint8_t keyflags;
} __attribute__((aligned(8)));

/* Of a socket. Setting it overwrites ao_required and accept_icmps whatever else is meant. */
struct kernel_tcp_ao_info {
	uint32_t set_current : 1, set_rnext : 1, ao_required : 1, set_counters : 1,
		accept_icmps : 1, reserved : 27;
	uint16_t reserved2;
	uint8_t current_key; /* the SendID in use */
	uint8_t rnext;	     /* the RecvID that we ask for */
	uint64_t pkt_good, pkt_bad, pkt_key_not_found, pkt_ao_required, pkt_dropped_icmp;
} __attribute__((aligned(8)));

/* A key with its secret and what came with it; in: which one. */
struct kernel_tcp_ao_get {
	struct sockaddr_storage addr;
	char alg_name[64];
	uint8_t key[KERNEL_TCP_AO_KEY_MAX];
	uint32_t nkeys;
	uint16_t is_current : 1, is_rnext : 1, get_all : 1, reserved : 13;
	uint8_t sndid, rcvid, prefix, maclen, keyflags, keylen;
	int32_t ifindex;
	uint64_t pkt_good, pkt_bad;
} __attribute__((aligned(8)));

/* Of a socket in TCP_REPAIR: what the keys of its connection are derived from, and how often its
 * sequence numbers have gone round. */
struct kernel_tcp_ao_repair {
	uint32_t snt_isn, rcv_isn; /* network byte order */
	uint32_t snd_sne, rcv_sne;
} __attribute__((aligned(8)));

#endif
