// SPDX-License-Identifier: Apache-2.0
/*
 * What a stranger can send to a TLS port, as server and as client, in one piece and byte by byte;
 * and the same bytes as the certificate that a peer shows.
 */
#include "certs.h"
#include "tls_internal.h"

#include <openssl/rand.h>
#include <signal.h>
#include <sys/socket.h>

#define INPUT_MAX   65536
#define DRIBBLE_MAX 600
#define STEPS_MAX   2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct tls_ctx *ctx;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct cert ca = {}, own = {};
	struct errtext e;

	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	cert_make(&ca, &(struct cert_spec){.cn = "ca", .is_ca = true}, NULL);
	cert_make(&own, &(struct cert_spec){.cn = "own", .san = "IP:192.0.2.2"}, &ca);
	if (tls_ctx_new(&(struct tls_params){.certificate = cert_blob("own.pem", own.pem),
					     .key = cert_blob("own.key", own.key_pem),
					     .ca = cert_blob("ca.pem", ca.pem),
					     .allow_tls12 = true,
					     .alpn = "botls",
					     .check_eku = true,
					     .check_address = true},
			&ctx, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	cert_done(&ca);
	cert_done(&own);
	return 0;
}

/* What was said must be there and printable, whatever came in. */
static void check_failure(const struct tls *t)
{
	const char *text;

	if (tls_failure(t, &text) == TLS_REASON_NONE || !*text)
		abort();
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			abort();
}

static void converse(enum tls_side side, const uint8_t *data, size_t size, size_t piece)
{
	struct addr peer = {.family = AF_INET, .prefixlen = 32, .bytes = {192, 0, 2, 1}};
	enum tls_want want = TLS_WANT_READ;
	char answer[4096];
	size_t sent = 0;
	struct tls *t;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0 ||
	    tls_new(ctx, side, fd[0], &peer, &t) < 0)
		abort();
	for (int step = 0; step < STEPS_MAX && want != TLS_FAILED; step++) {
		size_t len = piece < size - sent ? piece : size - sent;

		if (len)
			sent += send(fd[1], data + sent, len, 0) > 0 ? len : 0;
		else
			shutdown(fd[1], SHUT_WR);
		want = tls_handshake(t);
		/* nobody can finish a handshake by heart */
		if (want == TLS_DONE || want == TLS_EOF || want == TLS_TRUNCATED)
			abort();
		while (recv(fd[1], answer, sizeof(answer), 0) > 0)
			;
	}
	if (want != TLS_FAILED)
		abort();
	check_failure(t);
	tls_free(t);
	close(fd[0]);
	close(fd[1]);
}

static void describe(const uint8_t *data, size_t size)
{
	X509 *x = d2i_X509(NULL, &data, size);
	struct tls_peer *p;

	ERR_clear_error();
	if (!x)
		return;
	p = tls_peer_new(x);
	if (p && (strlen(p->subject) > 127 || strlen(p->issuer) > 127 || strlen(p->san) > 255))
		abort();
	tls_peer_free(p);
	X509_free(x);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	converse(TLS_SERVER, data, size, INPUT_MAX);
	converse(TLS_CLIENT, data, size, INPUT_MAX);
	if (size <= DRIBBLE_MAX)
		converse(TLS_SERVER, data, size, 1);
	describe(data, size);
	return 0;
}
