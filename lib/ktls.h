/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of TLS 1.3 in the kernel (kTLS): keys on a connected socket, records that are not data,
 * what this kernel can. Nothing here knows a handshake, or owns a descriptor.
 *
 * From ktls_set_key() on, what is written to the socket in that direction leaves as records, and
 * there is no way back. ktls_attach() alone changes nothing: bytes pass as they are.
 */
#ifndef BOTLS_KTLS_H
#define BOTLS_KTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* For an operator who has to look for another kernel. */
#define KTLS_KERNEL "Linux 6.14 or later with CONFIG_TLS"

enum ktls_cipher { KTLS_AES_128_GCM, KTLS_AES_256_GCM, KTLS_CHACHA20_POLY1305 };
#define KTLS_CIPHERS (KTLS_CHACHA20_POLY1305 + 1)

#define KTLS_KEY_MAX  32
#define KTLS_IV_LEN   12
#define KTLS_OVERHEAD 22 /* of a record: header, type, tag */

enum ktls_direction { KTLS_OUT, KTLS_IN };

struct ktls_key {
	enum ktls_cipher cipher;
	uint8_t key[KTLS_KEY_MAX]; /* 16 bytes for AES-128 */
	uint8_t iv[KTLS_IV_LEN];
	uint64_t sequence; /* of the next record */
};

/* All return 0 or -errno. -ENOENT: this kernel has no kTLS, or the module is not loaded and we may
 * not load it; -ENOTCONN: the connection is not established (any more). */
int ktls_attach(int fd);
/* The first key, or with ciphers and version as before the next one. -EBUSY: this kernel takes only
 * one per direction (before 6.14). */
int ktls_set_key(int fd, enum ktls_direction d, const struct ktls_key *key);
/* How many records have passed under the present key (those of the handshake's other keys not). */
int ktls_get_sequence(int fd, enum ktls_direction d, uint64_t *ret);

/* One record of this type. Never waits: -EAGAIN. */
int ktls_send(int fd, uint8_t type, const void *data, size_t len);
/* Data of one or more records, or one record of another type; *ret_type is 0 at the end of TCP.
 * `len` is above 16384: what does not fit of another type could not be told from the next record.
 * Never waits. Besides those of recv(): -EBADMSG, -EMSGSIZE, -EINVAL: not the record that was
 * sealed, too long, of another version; -EKEYEXPIRED: a KeyUpdate was read and ktls_set_key() has
 * not followed. */
ssize_t ktls_recv(int fd, void *buf, size_t len, uint8_t *ret_type);

/* What this kernel can, told from process to process as it is. */
struct ktls_support {
	uint8_t ciphers;   /* bit set of enum ktls_cipher; 0: records stay in user space */
	char why_not[119]; /* when there are none of them */
};
/* Tries it with connections to ourselves, over 127.0.0.1. Loads the module where the kernel has it
 * and the caller CAP_NET_ADMIN. May take a second where somebody filters the loopback. */
void ktls_probe(struct ktls_support *ret);

#endif
