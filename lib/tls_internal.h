/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tls*.c share. Nothing else includes this: the rest of the code never sees OpenSSL.
 *
 *	tls.c		struct tls, a connection
 *	tls_failure.c	why it failed
 *	tls_info.c	what it is and has counted
 *	tls_ctx.c	struct tls_ctx, what connections have in common
 *	tls_record.c	TLS 1.3 after the handshake, without an SSL (with tls_record.h)
 *	tls_ktls.c	the same in the kernel
 *	tls_keys.c	the keys for both
 *	tls_message.c	records that are no data, for both
 *	tls_secrets.c	what it needs from the handshake for that
 *	tls_state.c	a connection as fields, and back
 *	tls_out.c	bytes on their way to the socket
 *	tls_alpn.c	the application protocol, on both sides
 *	tls_verify.c	is the peer who it should be?
 *	tls_cert.c	one certificate in words and as a pin
 *	tls_pem.c	PEM text to OpenSSL objects
 *	tls_reason.c	errors and alerts in words
 *	tls_digest.c	SHA-256, of anything
 *	tls_inspect.c	what is wrong with a file, before a connection finds out
 */
#ifndef BOTLS_TLS_INTERNAL_H
#define BOTLS_TLS_INTERNAL_H

#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define TLS_DATE_STRLEN 32

struct tls_ctx {
	unsigned refs;
	SSL_CTX *ssl;
	char *ca_path;	/* NULL: no CA, pins alone decide */
	char *crl_path; /* NULL: no revocation check */
	char *alpn;
	bool allow_tls12;
	bool check_eku;
	bool check_address;
	uint8_t (*pins)[TLS_PIN_LEN];
	size_t n_pins;
	char **dns_names;
	size_t n_dns_names;
	time_t not_after;
	uint8_t pin[TLS_PIN_LEN];
	void (*keylog)(const char *line, void *arg);
	void *keylog_arg;
};

/* What the peer's certificate says; kept also when it was refused. In one piece: a session keeps it
 * for months. */
struct tls_peer {
	const char *subject, *issuer, *san; /* in `texts` */
	uint8_t pin[TLS_PIN_LEN];
	time_t not_after;
	char texts[];
};

struct tls_out {
	uint8_t *data; /* `at` to `len` is still to be sent; NULL when there is nothing */
	size_t at, len, size;
	bool is_discarding; /* the socket takes no more */
};

#define TLS_SECRET_MAX 48 /* of SHA-384 */
enum tls_secret { TLS_SECRET_CLIENT, TLS_SECRET_SERVER, TLS_SECRET_EXPORTER };
#define TLS_SECRETS_ALL 7U
struct tls_secrets {
	uint8_t each[3][TLS_SECRET_MAX]; /* by enum tls_secret */
	unsigned seen;			 /* bit set of it */
};

struct tls_record;
struct tls {
	struct tls_ctx *ctx;
	SSL *ssl;			      /* NULL once `record` has taken over */
	struct tls_record *record;	      /* NULL before, and with TLS 1.2 */
	struct tls_secrets *secrets;	      /* during the handshake */
	const char *version, *cipher, *group; /* once it is finished; static texts */
	const char *why_user; /* records are not in the kernel; NULL: nobody asked */
	int why_user_error;   /* errno of that, or 0 */
	int fd;
	enum tls_side side;
	struct addr address;
	struct tls_peer *peer; /* NULL until its certificate was seen */

	bool wants_kernel; /* for its records, if it is TLS 1.3 and the kernel can */
	bool is_established;
	bool first_bytes_seen;
	bool has_read;	 /* application data came: the peer had accepted us */
	bool is_broken;	 /* nothing works any more */
	bool is_closing; /* close_notify is in `out` or sent */
	bool was_truncated;
	bool is_write_broken; /* reading may still bring what the peer sent before */
	int write_error;      /* errno of that */

	enum tls_reason reason;
	char *text;

	struct tls_out out;
	size_t written; /* taken from the caller, who will be told when `out` is empty */
	uint64_t key_update_records;
	uint64_t records_in, records_out;
	uint64_t records_since_update; /* sent under the present key */
	uint64_t key_updates_sent, key_updates_received;
	struct tls_counters *left; /* NULL: nobody wants them */
};

/* tls.c */
struct tls *tls_of_ssl(const SSL *ssl);

/* tls_failure.c: the first failure is the one that is kept; later calls are ignored. */
void tls_set_failure(struct tls *t, enum tls_reason reason, const char *fmt, ...) PRINTF(3, 4);
enum tls_want tls_set_closed(struct tls *t);
void tls_set_system_failure(struct tls *t, int error);
/* After a call into OpenSSL that returned `ret`; `error` is errno right after it. */
enum tls_want tls_outcome(struct tls *t, int ret, int error);
/* Before a close: on a socket with unread bytes it sends RST, which may overtake the alert that
 * says why. */
void tls_drain(struct tls *t);

/* tls_digest.c: HKDF-Expand (RFC 5869, 2.3). 0, or -EIO; `info` has at most TLS_HKDF_INFO_MAX
 * bytes, enough for any HKDF-Expand-Label (RFC 8446, 7.1). */
#define TLS_HKDF_INFO_MAX (2 + 1 + 255 + 1 + EVP_MAX_MD_SIZE)
int tls_hkdf(const EVP_MD *hash, const void *key, size_t key_len, const void *info, size_t info_len,
	     void *out, size_t len);

/* tls_secrets.c */
void tls_secrets_add(struct tls_secrets **s,
		     const char *line); /* of a key log; others are ignored */
void tls_secrets_free(struct tls_secrets *s);

/* tls_record.c: as the tls_*() functions of the same names. What it answers is left in t->out. */
/* After the handshake. 0; -ENOTSUP: OpenSSL's record layer must stay; -ENOMEM. */
int tls_record_new(struct tls *t);
void tls_record_free(struct tls_record *r);
enum tls_want tls_record_read(struct tls *t, void *buf, size_t len, size_t *ret_n);
enum tls_want tls_record_peek(struct tls *t);
bool tls_record_has_pending(const struct tls_record *r);
bool tls_record_may_have_more(const struct tls_record *r);
/* Seals and sends; what the socket does not take is in t->out. 0 or -errno. */
int tls_record_write(struct tls *t, const uint8_t *data, size_t len, size_t *ret_n);
void tls_record_close_notify(struct tls *t);

/* tls_keys.c */
int tls_record_export(struct tls_record *r, const char *label, const void *context,
		      size_t context_len, void *out, size_t len);

/* tls_out.c */
BIO *tls_out_bio(struct tls_out *o); /* writes into `o`; NULL when out of memory */
int tls_out_append(struct tls_out *o, const void *data, size_t len); /* 0 or -ENOMEM */
/* Sends what can be sent now and keeps the rest: 0, -ENOMEM, or another -errno of send(). */
int tls_out_send(struct tls_out *o, int fd, const uint8_t *data, size_t len);
int tls_out_flush(struct tls_out *o, int fd); /* 0 when all is sent, -EAGAIN, or another -errno */
size_t tls_out_pending(const struct tls_out *o);
void tls_out_discard(struct tls_out *o); /* all that is there and all that will come */
void tls_out_done(struct tls_out *o);

/* tls_alpn.c */
int tls_alpn_init(struct tls_ctx *c);
bool tls_alpn_is_selected(struct tls *t); /* false: the failure is set */

/* tls_verify.c: for SSL_CTX_set_cert_verify_callback(). */
int tls_verify_peer(X509_STORE_CTX *store, void *arg);

/* tls_cert.c */
void tls_name_print(const X509_NAME *name, char *buf, size_t len);
void tls_san_print(X509 *x, char *buf, size_t len);
const char *tls_date_print(const ASN1_TIME *at, char buf[static TLS_DATE_STRLEN]);
/* Copies `text` with everything unprintable as '?'; cut with "..." where it does not fit. */
void tls_text_print(const void *text, size_t text_len, char *buf, size_t len);
int tls_time(const ASN1_TIME *at, time_t *ret);
int tls_pin_of_key(const EVP_PKEY *key, uint8_t ret[static TLS_PIN_LEN]);
int tls_pin_of_cert(X509 *x, uint8_t ret[static TLS_PIN_LEN]);
void tls_pin_print(const uint8_t pin[static TLS_PIN_LEN], char buf[static 48]);
/* NULL when out of memory. */
struct tls_peer *tls_peer_new(X509 *x);
struct tls_peer *tls_peer_make(const char *subject, const char *issuer, const char *san);
void tls_peer_free(struct tls_peer *p);

/* tls_start.c: while a key is read */
void tls_wipe_freed(bool on);

/* tls_pem.c: every one refuses an empty, truncated or damaged file with its path in *e. */
int tls_pem_certificates(const struct tls_blob *b, STACK_OF(X509) * *ret, struct errtext *e);
int tls_pem_crls(const struct tls_blob *b, STACK_OF(X509_CRL) * *ret, struct errtext *e);
int tls_pem_key(const struct tls_blob *b, EVP_PKEY **ret, struct errtext *e);

/* tls_reason.c */
/* `function` is where OpenSSL raised it, as ERR_peek_error_func() says. */
enum tls_reason tls_reason_of_error(unsigned long code, const char *function);
/* The number of the peer's fatal alert that this error stands for, or -1. */
int tls_alert_of_error(unsigned long code);
void tls_alert_print(int alert, bool is_established, char *buf, size_t len);
/* Text for an error of the queue; never NULL. */
const char *tls_error_text(unsigned long code);

#define TLS_DEFINE_CLEANUP(name, type, free_fn)                                                    \
	static inline void cleanup_##name(type *p)                                                 \
	{                                                                                          \
		if (*p)                                                                            \
			free_fn(*p);                                                               \
	}
static inline void tls_certs_free(STACK_OF(X509) * certs)
{
	sk_X509_pop_free(certs, X509_free);
}
static inline void tls_crls_free(STACK_OF(X509_CRL) * crls)
{
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
}
TLS_DEFINE_CLEANUP(bio, BIO *, BIO_free)
TLS_DEFINE_CLEANUP(key, EVP_PKEY *, EVP_PKEY_free)
TLS_DEFINE_CLEANUP(certs, STACK_OF(X509) *, tls_certs_free)
TLS_DEFINE_CLEANUP(crls, STACK_OF(X509_CRL) *, tls_crls_free)
TLS_DEFINE_CLEANUP(names, GENERAL_NAMES *, GENERAL_NAMES_free)
#define _cleanup_bio_	__attribute__((cleanup(cleanup_bio)))
#define _cleanup_key_	__attribute__((cleanup(cleanup_key)))
#define _cleanup_certs_ __attribute__((cleanup(cleanup_certs)))
#define _cleanup_crls_	__attribute__((cleanup(cleanup_crls)))
#define _cleanup_names_ __attribute__((cleanup(cleanup_names)))

#endif
