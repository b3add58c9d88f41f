/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends of a connection in one thread: two struct tls, or one of them against plain OpenSSL
 * that behaves as the test wants. Certificates are made once by pki_setup().
 */
#ifndef BOTLS_TEST_TLS_PAIR_H
#define BOTLS_TEST_TLS_PAIR_H

#include "certs.h"

struct pki {
	struct cert ca, other_ca;
	struct cert client, server; /* IP:192.0.2.1 and IP:192.0.2.2, signed by ca */
};
extern struct pki pki;
int pki_setup(void **state);
int pki_teardown(void **state);

#define CLIENT_ADDRESS "192.0.2.1"
#define SERVER_ADDRESS "192.0.2.2"

/* Parameters of a good end: `own` of pki.ca, checking the peer's address, TLS 1.3 only. */
struct tls_params good_params(const struct cert *own);
struct addr address(const char *text);

/* Ends that are a struct tls and have TLS 1.3 have their records in the kernel, over TCP. */
extern bool pair_in_kernel;
/* Tries it; false when this kernel cannot, which is then said. */
bool pair_can_be_in_kernel(void);

struct pair {
	int fd[2]; /* by enum tls_side; non-blocking */
	struct tls *t[2];
	SSL *raw[2]; /* where there is no struct tls */
	enum tls_want want[2];
	int raw_error[2]; /* reason code of the raw end's failure */
	int raw_alert_sent[2], raw_alert_received[2];
	int raw_tickets[2]; /* NewSessionTicket messages that came in */
};

/* NULL parameters leave that end to pair_raw(). */
void pair_open(struct pair *p, const struct tls_params *client, const struct tls_params *server);
void pair_close(struct pair *p);

struct raw_options {
	int version;		/* highest and lowest; 0: what OpenSSL has */
	const char *alpn;	/* wire format; NULL: none */
	bool select_other_alpn; /* as server: answers "other" whatever was offered */
	const struct cert *cert;
	const char *ciphers, *ciphersuites, *groups;
	uint64_t options;
	SSL_SESSION *session;
	bool post_handshake_auth;
};
#define ALPN_BOTLS "\5botls"
void pair_raw(struct pair *p, enum tls_side side, const struct raw_options *o);

/* Both ends, until neither moves. An end that failed closes its descriptor, as a program would, and
 * a finished one then reads once: in TLS 1.3 that is how a client learns that it was refused. */
void pair_handshake(struct pair *p);

/* The failure of the struct tls at `side`: its reason and a piece of its text. */
#define assert_failure(p, side, reason, part)                                                      \
	assert_failure_at(p, side, reason, part, __FILE__, __LINE__)
void assert_failure_at(struct pair *p, enum tls_side side, enum tls_reason reason, const char *part,
		       const char *file, int line);

#endif
