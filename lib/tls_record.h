/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the record layer share, and nobody else includes: TLS 1.3 (RFC 8446 5) once the
 * handshake is over. The kernel seals and opens records (tls_ktls.c) or EVP does (tls_record.c);
 * keys (tls_keys.c) and what to do with a record that is no data (tls_message.c) are the same.
 */
#ifndef BOTLS_TLS_RECORD_H
#define BOTLS_TLS_RECORD_H

#include "ktls.h"
#include "tls_internal.h"

#define TLS_PLAIN_MAX	   16384
#define TLS_NONCE_LEN	   12
#define TLS_HEADER_LEN	   5
#define TLS_CIPHERTEXT_MAX (TLS_PLAIN_MAX + 256) /* RFC 8446 5.2 */
#define TLS_KEY_UPDATE_LEN 5

struct tls_suite {
	uint16_t id; /* RFC 8446 B.4 */
	const char *name;
	uint8_t key_len;
	enum ktls_cipher ktls;
	const EVP_CIPHER *(*cipher)(void);
	const EVP_MD *(*hash)(void);
};

/* Of a connection whose records are sealed and opened here. */
struct tls_cipher {
	EVP_CIPHER_CTX *ctx;
	uint8_t iv[TLS_NONCE_LEN];
	uint64_t sequence;
};
struct tls_user {
	struct tls_cipher in, out;
};

struct tls_held {
	uint8_t *data; /* `at` to `len`; NULL: nothing */
	size_t at, len;
};

/* Of a connection whose records are in the kernel. The first three are needed to end it without
 * losing its tail, also by somebody who takes it over. */
struct tls_kernel {
	uint64_t position;	 /* TCP's, in bytes, when that began */
	uint64_t records, bytes; /* records_out of then; bytes given to the kernel since then */
	uint8_t alert[2];	 /* waits for room in the socket, as: */
	bool has_alert, has_key_update, key_update_is_request;
	/* The kernel looks at what follows data, and when that is a KeyUpdate poll() is silent
	 * until it was read: so there may be something that no event announces. */
	bool may_be_silent;
};

struct tls_record {
	const struct tls_suite *suite;
	struct tls_kernel *kernel; /* either this one is NULL, */
	struct tls_user *user;	   /* or this one */
	uint8_t in_secret[TLS_SECRET_MAX], out_secret[TLS_SECRET_MAX], exporter[TLS_SECRET_MAX];
	struct tls_held plain;		     /* decrypted, not read yet */
	struct tls_held raw;		     /* came, not decrypted yet */
	bool has_ended;			     /* close_notify came */
	bool is_end_untold;		     /* data came with the end, and was told first */
	bool is_drained;		     /* the socket had no more than was taken */
	uint8_t empty;			     /* records without data so far */
	uint8_t message[TLS_KEY_UPDATE_LEN]; /* the beginning of a handshake message */
	uint8_t message_len;
	uint32_t message_left; /* of a ticket, to be skipped */
};

/* One thread: what a call leaves here is of no use to the next. */
extern uint8_t tls_incoming[TLS_READ_MAX];

/* tls_keys.c. 0 or -EIO. */
const struct tls_suite *tls_suite_of(const SSL *ssl); /* NULL: none of ours */
const struct tls_suite *tls_suite_of_id(uint16_t id);
int tls_derive_keys(const struct tls_suite *s, const uint8_t *secret,
		    uint8_t key[static KTLS_KEY_MAX], uint8_t iv[static TLS_NONCE_LEN]);
int tls_next_secret(const struct tls_suite *s, uint8_t secret[static TLS_SECRET_MAX]);

/* tls_message.c */
enum tls_want tls_refuse(struct tls *t, uint8_t alert, const char *what);
enum tls_want tls_out_of_memory(struct tls *t);
/* What a record held: TLS_DONE when that is data, else what came of it. */
enum tls_want tls_on_content(struct tls *t, uint8_t type, const uint8_t *b, size_t len);
void tls_send_alert(struct tls *t, uint8_t level, uint8_t alert);

int tls_hold(struct tls_held *h, const uint8_t *data, size_t len);
void tls_drop_held(struct tls_held *h);
/* Moves up to `len` held bytes to `to`. */
size_t tls_take_held(struct tls_held *h, uint8_t *to, size_t len);

/* tls_record.c: ciphers for the secrets that are there. 0 or -ENOMEM. */
int tls_record_start(struct tls_record *r);
/* Seals, for later. 0 or -ENOMEM. */
int tls_record_queue(struct tls *t, uint8_t type, const void *message, size_t len);
int tls_record_queue_key_update(struct tls *t);
int tls_record_next_keys(struct tls_record *r, bool is_out);

/* tls_ktls.c */
/* Moves a connection whose record layer is complete into the kernel: 0; -ENOTSUP: it stays as it
 * was; another -errno: it is in the kernel by half, and of no use any more. */
int tls_ktls_begin(struct tls *t);
enum tls_want tls_ktls_read(struct tls *t, void *buf, size_t len, size_t *ret_n);
enum tls_want tls_ktls_peek(struct tls *t);
int tls_ktls_write(struct tls *t, const void *data, size_t len, size_t *ret_n);
int tls_ktls_splice_out(struct tls *t, int pipe, size_t len, size_t *ret_n);
void tls_ktls_queue_alert(struct tls *t, const uint8_t alert[static 2]);
void tls_ktls_queue_key_update(struct tls *t, bool is_request);
int tls_ktls_next_keys_in(struct tls *t);
/* Sends what is queued. 0 or -errno. */
int tls_ktls_flush(struct tls *t);
/* The kernel has sealed bytes that it could not give to TCP yet: the end of TCP would drop them. */
bool tls_ktls_has_unsent(const struct tls *t);
/* Records of the present keys. */
void tls_ktls_count(const struct tls *t, uint64_t *in, uint64_t *out);
void tls_ktls_free(struct tls_kernel *k);

#endif
