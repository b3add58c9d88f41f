/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for botls: one struct tls is one connection on a non-blocking socket that somebody else owns.
 *
 * Steps return what they wait for, one function of the caller's turns that into events. Every
 * connection is fully validated: no resumption, no tickets, no early data, no renegotiation, no
 * compression. Mutual authentication always; the name is checked in SAN only, never in CN (RFC
 * 9525). Only tls*.c see OpenSSL. Nothing here logs; why something failed is in a struct errtext.
 */
#ifndef BOTLS_TLS_H
#define BOTLS_TLS_H

#include "addr.h"
#include "fields.h"
#include "util.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define TLS_PIN_LEN 32

enum tls_side { TLS_CLIENT, TLS_SERVER };

/* Contents of PEM files; the paths are only for messages. */
struct tls_blob {
	const char *path;
	const void *data;
	size_t len;
};

/* What a struct tls_ctx is made of. All of it is copied. */
struct tls_params {
	struct tls_blob certificate; /* leaf first, then intermediates */
	struct tls_blob key;
	struct tls_blob ca; /* len 0: none */
	struct tls_blob
		crl; /* len 0: no revocation check; with it the leaf and its chain are checked */
	bool allow_tls12; /* ECDHE with AEAD and extended master secret only */
	const char *alpn; /* offered and required, exactly this one */
	bool check_eku;	  /* extended and plain key usage must fit the side; needs a CA */
	const uint8_t (*pins)[TLS_PIN_LEN]; /* SHA-256 of SubjectPublicKeyInfo; any one is enough */
	size_t n_pins; /* without a CA the pin decides and no chain or EKU is looked at; dates are,
			* and names where dns_names or check_address ask for it */
	const char *const *dns_names; /* any one as dNSName SAN; no wildcards */
	size_t n_dns_names;
	bool check_address; /* iPAddress SAN must equal the peer's address given to tls_new() */
	void (*keylog)(const char *line,
		       void *arg); /* SSLKEYLOGFILE lines; NULL unless debugging was asked for */
	void *keylog_arg;
};

/* Once per process, before the first context: OpenSSL reads its configuration and seeds its
 * generator, so that it opens no file later, and takes memory for private keys that is locked, left
 * out of cores and wiped when it is freed: TLS_KEY_HEAP bytes, less where RLIMIT_MEMLOCK is below
 * SECRET_LIMIT. Returns how many are locked (0: none, it serves all the same), or -errno. */
#define TLS_KEY_HEAP (64 << 20)
int tls_start(struct errtext *e);

struct tls_ctx;
/* Parses and checks everything: key fits certificate, our own certificates are not expired. Returns
 * 0, or with the path and the reason in *e -EKEYEXPIRED (all else is right) or -EINVAL, or -ENOMEM.
 * Reference counted: connections keep it alive, so a reload may drop it at once. */
int tls_ctx_new(const struct tls_params *p, struct tls_ctx **ret, struct errtext *e);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx *c);
time_t
tls_ctx_not_after(const struct tls_ctx *c); /* the earliest end among our certificate chain */
const uint8_t *tls_ctx_pin(const struct tls_ctx *c); /* our own SPKI pin, TLS_PIN_LEN bytes */

enum tls_want { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_EOF, TLS_TRUNCATED, TLS_FAILED };

/* Why a handshake or a connection failed, for counting; the words are in the errtext. */
enum tls_reason {
	TLS_REASON_NONE,
	TLS_REASON_NOT_TLS, /* first bytes are not a TLS record; plaintext BGP is named in the text
			     */
	TLS_REASON_NO_ALPN, /* the peer offered none, or did not select ours */
	TLS_REASON_WRONG_ALPN,
	TLS_REASON_VERSION,
	TLS_REASON_NO_CIPHER,
	TLS_REASON_NO_CERTIFICATE,
	TLS_REASON_EXPIRED,
	TLS_REASON_NOT_YET_VALID,
	TLS_REASON_UNTRUSTED, /* wrong CA, self-signed, bad signature, bad chain */
	TLS_REASON_REVOKED,
	TLS_REASON_NAME, /* SAN does not match */
	TLS_REASON_PIN,
	TLS_REASON_PEER_ALERT, /* the peer refused us; the text names its alert and what that
				  usually means */
	TLS_REASON_PROTOCOL,   /* malformed handshake or record, renegotiation, ... */
	TLS_REASON_CLOSED, /* TCP ended in the handshake, or without close_notify (TLS_TRUNCATED) */
	TLS_REASON_RESET,
	TLS_REASON_IO, /* another socket error, in the text */
	TLS_REASON_MEMORY,
	/* Never of a struct tls; here so that one table counts every failed attempt. */
	TLS_REASON_UNREACHABLE, /* no TCP connection */
	TLS_REASON_TIMEOUT,	/* the handshake was not finished in time */
	TLS_REASON_REFUSED, /* by our own rules: role, mode, too many sessions, certificate of ours,
			       remote-as */
};
#define TLS_REASONS (TLS_REASON_REFUSED + 1)
const char *
tls_reason_name(enum tls_reason r); /* "no-alpn", "wrong-alpn", ... for JSON and metrics */

struct tls;
/* `fd` stays the caller's and must outlive the struct tls. `peer` is what the iPAddress SAN is
 * compared with (and nothing else). Returns 0 or -ENOMEM. */
int tls_new(struct tls_ctx *ctx, enum tls_side side, int fd, const struct addr *peer,
	    struct tls **ret);
void tls_free(struct tls *t); /* sends nothing, closes nothing */

/* Before the handshake: records of TLS 1.3 shall be the kernel's (lib/ktls.h), from the first one
 * on, if it can. If not they stay in user space, and struct tls_info says why. */
void tls_want_kernel(struct tls *t);
struct ktls_support;
/* What the kernel can, for all connections of this process whose handshake is not over. */
void tls_ktls_set_support(const struct ktls_support *s);

/* TLS_DONE when the handshake is finished and the peer is verified, ALPN included; only then the
 * calls below make sense. In TLS 1.3 a client is done before the server has judged it: the refusal
 * comes with tls_read(). */
enum tls_want tls_handshake(struct tls *t);

/* Reads up to len decrypted bytes, as many as are there. TLS_DONE with *ret_n > 0; TLS_EOF after
 * close_notify; TLS_TRUNCATED when TCP ended without one. */
enum tls_want tls_read(struct tls *t, void *buf, size_t len, size_t *ret_n);
/* TLS_DONE when decrypted bytes are there to be read, without taking them (or a peer's alert, EOF,
 * as tls_read()): how a TLS 1.3 client learns the server's verdict on its certificate (RFC 8446
 * section 4.4.2.4). */
enum tls_want tls_peek(struct tls *t);
/* Bytes already taken from the socket, that no event of it will announce. */
bool tls_has_pending(const struct tls *t);
/* False when the last tls_read() is known to have left nothing, so that another one can wait for an
 * event. */
bool tls_may_have_more(const struct tls *t);

/* What one call reads from and writes to the socket at most: two full records. With more of them
 * at once the data leaves the processor's caches between two steps. */
#define TLS_READ_MAX  (2 * (16384 + 22))
#define TLS_WRITE_MAX (2 * 16384)

/* Writes up to len (at most TLS_WRITE_MAX); TLS_DONE with *ret_n > 0. After a WANT the
 * same bytes must be offered again (the buffer may have moved). Sends a KeyUpdate by itself when
 * the limit is reached (TLS 1.3). */
enum tls_want tls_write(struct tls *t, const void *buf, size_t len, size_t *ret_n);

/* A connection in the kernel: its keys' sequence numbers are there too, the socket works on without
 * a struct tls, and what is said below of splice(2) holds. */
bool tls_is_in_kernel(const struct tls *t);
/* Data, and nothing that has to be told before it, is what the socket has next. */
bool tls_can_splice(const struct tls *t);
/* Data to a pipe, at most a record; only when tls_can_splice(). -EAGAIN: nothing is there. Anything
 * else below 1: tls_read() will say what it is. */
ssize_t tls_splice_in(struct tls *t, int pipe, size_t len);
/* As tls_write(), of `len` bytes that are in the pipe. Only in the kernel. */
enum tls_want tls_splice_out(struct tls *t, int pipe, size_t len, size_t *ret_n);
/* The kernel holds sealed bytes that TCP was not given yet; an end of TCP would drop them.
 * tls_close_notify() waits for this by itself. */
bool tls_has_unsent(const struct tls *t);

/* Sends close_notify; reading goes on being possible. TLS_DONE when it has been handed to the
 * socket. A write that waits to be repeated goes out first. */
enum tls_want tls_close_notify(struct tls *t);

/* After TLS_FAILED or TLS_TRUNCATED; the first failure is the one that stays. The text lives as
 * long as `t`. */
enum tls_reason tls_failure(const struct tls *t, const char **ret_text);

void tls_set_key_update_records(struct tls *t, uint64_t records); /* 0: never */

/* What the status shows. Strings live as long as the struct tls. */
struct tls_info {
	const char *version;	/* "TLSv1.3" */
	const char *cipher;	/* "TLS_AES_128_GCM_SHA256" */
	const char *group;	/* "X25519", "" when unknown */
	char peer_subject[128]; /* printable only */
	char peer_issuer[128];
	char peer_san[256]; /* "IP:192.0.2.2, DNS:r1.example" */
	char peer_pin[48];  /* base64 of the peer's SPKI SHA-256 */
	time_t peer_not_after;
	bool is_in_kernel;  /* its records are */
	char why_user[160]; /* why they are not, "" unless tls_want_kernel() was called */
	uint64_t records_in, records_out; /* since the beginning, handshake included */
	uint64_t key_updates_sent, key_updates_received;
	/* TLS 1.2 only, which has no KeyUpdate: more records than tls_set_key_update_records() says
	 * have passed under one key. Nothing ends because of it; the operator should reset the
	 * session. */
	bool is_past_key_limit;
};
void tls_get_info(const struct tls *t, struct tls_info *ret);

/* What is counted, without the rest. */
struct tls_counters {
	uint64_t records_in, records_out; /* handshake included */
	uint64_t key_updates_sent, key_updates_received;
};
/* Adds those of `t` to what is there. */
void tls_add_counters(const struct tls *t, struct tls_counters *sum);
/* Where tls_free() adds them, so that nothing is lost at the end; outlives `t`. */
void tls_leave_counters(struct tls *t, struct tls_counters *where);
/* The end of the peer's certificate, 0: unknown; and tls_info's is_past_key_limit. */
time_t tls_peer_not_after(const struct tls *t);
bool tls_is_past_key_limit(const struct tls *t);

/* RFC 5705 / RFC 8446 7.5 exporter. -ENOTCONN unless the handshake is finished (so TLS 1.2 always
 * has the extended master secret that RFC 7627 wants for this), -EIO. */
int tls_export(struct tls *t, const char *label, const void *context, size_t context_len, void *out,
	       size_t len);

/* A connection that goes on in another process: all that is needed but its socket, secrets
 * included. Nothing of `t` changes, and whoever goes on with it must be the only one: two that send
 * under the same keys would give them away.
 *
 * -ENOTSUP: it cannot move (TLS 1.2, whose keys are in an SSL; an end that was sent or received; a
 * failure). What went wrong with the fields themselves is in `o`. */
int tls_export_state(const struct tls *t, struct fields_out *o);
/* The connection of which `f` tells, on `fd`, which stays the caller's. `ctx` may be NULL.
 * Everything in `f` is checked. 0, -ENOMEM, or what is wrong with `f`, which then says with which
 * field: -ENOENT, -EBADMSG, -ERANGE, -ENOTSUP (a cipher or a kind of record layer that is not known
 * here).
 */
int tls_import_state(struct fields_in *f, struct tls_ctx *ctx, int fd, struct tls **ret);

/* base64 of the pin of the first certificate in PEM text (for tools); -EINVAL with *e. */
int tls_pin_of_pem(const struct tls_blob *pem, char ret[48], struct errtext *e);

#define TLS_SHA256_LEN	   32
#define TLS_SHA256_HEX_LEN 65 /* lower case digits and the final 0 */
/* 0, or -EIO when the library refuses. */
int tls_sha256(const void *data, size_t len, uint8_t ret[static TLS_SHA256_LEN]);
int tls_sha256_hex(const void *data, size_t len, char ret[static TLS_SHA256_HEX_LEN]);

/* HKDF-Expand with SHA-256 (RFC 5869, 2.3): `len` bytes, 1 to 8160, to `out`, which may be `key`
 * when `len` is at most 32. 0, or -EIO: the library refuses, or `info` is longer than 323 bytes. */
int tls_hkdf_expand(const void *key, size_t key_len, const void *info, size_t info_len, void *out,
		    size_t len);

#endif
