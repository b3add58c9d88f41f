/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS 1.3 peer whose records are sealed by the test, with whatever is in them.
 */
#ifndef BOTLS_TEST_TLS_WIRE_H
#define BOTLS_TEST_TLS_WIRE_H

#include "tls_pair.h"

#define WIRE_SECRET_LEN 32 /* SHA-256 */
#define WIRE_KEY_LEN	16

/* What seals as the raw peer would. */
struct wire {
	uint8_t secret[WIRE_SECRET_LEN], key[WIRE_KEY_LEN], iv[12];
	uint64_t sequence;
	uint8_t out[70000];
	size_t len;
};

/* Both ends have finished the handshake; the struct tls is at the other side of `raw`. */
void wire_open(struct wire *w, struct pair *p, enum tls_side raw);
/* As after a KeyUpdate. */
void wire_next_key(struct wire *w);
/* Appends a record; `text` ends with the type inside. */
void wire_seal(struct wire *w, const void *text, size_t len);
void wire_raw(struct wire *w, const void *bytes, size_t len);
void wire_send(struct wire *w, struct pair *p, int from);

#endif
