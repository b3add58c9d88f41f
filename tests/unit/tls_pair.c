// SPDX-License-Identifier: Apache-2.0
#include "tls_pair.h"
#include "ktls.h"
#include "tcp_pair.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <sys/socket.h>

#define ROUNDS_MAX 200

struct pki pki;
bool pair_in_kernel;

int pki_setup(void **state)
{
	(void)state;
	cert_make(&pki.ca, &(struct cert_spec){.cn = "Lab CA", .is_ca = true}, NULL);
	cert_make(&pki.other_ca, &(struct cert_spec){.cn = "Other CA", .is_ca = true}, NULL);
	cert_make(&pki.client, &(struct cert_spec){.cn = "r1", .san = "IP:" CLIENT_ADDRESS},
		  &pki.ca);
	cert_make(&pki.server, &(struct cert_spec){.cn = "r2", .san = "IP:" SERVER_ADDRESS},
		  &pki.ca);
	return 0;
}

int pki_teardown(void **state)
{
	(void)state;
	cert_done(&pki.ca);
	cert_done(&pki.other_ca);
	cert_done(&pki.client);
	cert_done(&pki.server);
	return 0;
}

struct tls_params good_params(const struct cert *own)
{
	return (struct tls_params){
		.certificate = cert_blob(own->path, own->pem),
		.key = cert_blob("own.key", own->key_pem),
		.ca = cert_blob("ca.pem", pki.ca.pem),
		.alpn = "botls",
		.check_eku = true,
		.check_address = true,
	};
}

struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

bool pair_can_be_in_kernel(void)
{
	struct ktls_support support;

	ktls_probe(&support);
	tls_ktls_set_support(&support);
	if (!support.ciphers)
		print_message("[  SKIPPED ] records in the kernel: %s\n", support.why_not);
	return support.ciphers;
}

void pair_open(struct pair *p, const struct tls_params *client, const struct tls_params *server)
{
	const struct tls_params *params[2] = {[TLS_CLIENT] = client, [TLS_SERVER] = server};
	const char *const peer[2] = {[TLS_CLIENT] = SERVER_ADDRESS, [TLS_SERVER] = CLIENT_ADDRESS};

	*p = (struct pair){.raw_alert_sent = {-1, -1}, .raw_alert_received = {-1, -1}};
	if (pair_in_kernel)
		tcp_pair(p->fd, 0);
	else
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd),
			0);
	for (int side = 0; side < 2; side++) {
		struct addr a = address(peer[side]);
		struct errtext e = {};
		struct tls_ctx *ctx;

		if (!params[side])
			continue;
		if (tls_ctx_new(params[side], &ctx, &e) < 0)
			fail_msg("tls_ctx_new: %s", e.text);
		assert_int_equal(tls_new(ctx, side, p->fd[side], &a, &p->t[side]), 0);
		tls_ctx_unref(ctx);
		if (pair_in_kernel)
			tls_want_kernel(p->t[side]);
	}
}

void pair_close(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		tls_free(p->t[side]);
		SSL_free(p->raw[side]);
		if (p->fd[side] >= 0)
			close(p->fd[side]);
	}
}

static void on_raw_message(int is_sent, int version, int type, const void *buf, size_t len,
			   SSL *ssl, void *arg)
{
	struct pair *p = arg;
	int side = SSL_is_server(ssl) ? TLS_SERVER : TLS_CLIENT;
	const uint8_t *b = buf;

	(void)version;
	if (type == SSL3_RT_ALERT && len == 2 && is_sent)
		p->raw_alert_sent[side] = b[1];
	else if (type == SSL3_RT_ALERT && len == 2)
		p->raw_alert_received[side] = b[1];
	else if (type == SSL3_RT_HANDSHAKE && len && b[0] == SSL3_MT_NEWSESSION_TICKET && !is_sent)
		p->raw_tickets[side]++;
}

static int on_raw_verify(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

static int on_raw_select(SSL *ssl, const uint8_t **ret, uint8_t *ret_len, const uint8_t *offer,
			 unsigned offer_len, void *arg)
{
	(void)ssl;
	(void)offer_len;
	*ret = arg ? arg : offer + 1;
	*ret_len = arg ? strlen(arg) : offer[0];
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *raw_ctx(enum tls_side side, const struct raw_options *o)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, o->version);
	SSL_CTX_set_max_proto_version(ctx, o->version);
	SSL_CTX_set_options(ctx, o->options);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_raw_verify, NULL);
	assert_true(!o->ciphers || SSL_CTX_set_cipher_list(ctx, o->ciphers));
	assert_true(!o->ciphersuites || SSL_CTX_set_ciphersuites(ctx, o->ciphersuites));
	assert_true(!o->groups || SSL_CTX_set1_groups_list(ctx, o->groups));
	if (o->cert) {
		assert_true(SSL_CTX_use_certificate(ctx, o->cert->x509));
		assert_true(SSL_CTX_use_PrivateKey(ctx, o->cert->key));
	}
	if (o->alpn && side == TLS_CLIENT)
		SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)o->alpn, strlen(o->alpn));
	else if (o->alpn)
		SSL_CTX_set_alpn_select_cb(ctx, on_raw_select,
					   o->select_other_alpn ? "other" : NULL);
	SSL_CTX_set_post_handshake_auth(ctx, o->post_handshake_auth);
	return ctx;
}

void pair_raw(struct pair *p, enum tls_side side, const struct raw_options *o)
{
	SSL_CTX *ctx = raw_ctx(side, o);
	SSL *ssl = SSL_new(ctx);

	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, p->fd[side]);
	SSL_set_msg_callback(ssl, on_raw_message);
	SSL_set_msg_callback_arg(ssl, p);
	if (o->session)
		SSL_set_session(ssl, o->session);
	if (side == TLS_CLIENT)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	p->raw[side] = ssl;
}

static enum tls_want raw_want(struct pair *p, int side, int r)
{
	if (r == 1)
		return TLS_DONE;
	switch (SSL_get_error(p->raw[side], r)) {
	case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN: return TLS_EOF;
	}
	p->raw_error[side] = ERR_GET_REASON(ERR_peek_error());
	return TLS_FAILED;
}

static enum tls_want step(struct pair *p, int side)
{
	if (p->t[side])
		return tls_handshake(p->t[side]);
	if (!p->raw[side])
		return TLS_WANT_READ;
	ERR_clear_error();
	return raw_want(p, side, SSL_do_handshake(p->raw[side]));
}

static enum tls_want read_once(struct pair *p, int side)
{
	char buf[16];
	size_t n;

	if (p->t[side])
		return tls_read(p->t[side], buf, sizeof(buf), &n);
	if (!p->raw[side])
		return TLS_WANT_READ;
	ERR_clear_error();
	return raw_want(p, side, SSL_read_ex(p->raw[side], buf, sizeof(buf), &n));
}

void pair_handshake(struct pair *p)
{
	int round;

	p->want[0] = p->want[1] = TLS_WANT_READ;
	for (round = 0; round < ROUNDS_MAX; round++) {
		for (int side = 0; side < 2; side++) {
			if (p->want[side] == TLS_WANT_READ || p->want[side] == TLS_WANT_WRITE)
				p->want[side] = step(p, side);
			if (p->want[side] == TLS_FAILED && p->fd[side] >= 0) {
				close(p->fd[side]);
				p->fd[side] = -1;
			}
		}
		if (p->want[0] == TLS_DONE && p->want[1] == TLS_DONE)
			return;
		for (int side = 0; side < 2; side++)
			if (p->want[side] == TLS_DONE && p->want[!side] == TLS_FAILED)
				p->want[side] = read_once(p, side);
	}
}

void assert_failure_at(struct pair *p, enum tls_side side, enum tls_reason reason, const char *part,
		       const char *file, int line)
{
	const char *text = "";
	enum tls_reason seen = p->t[side] ? tls_failure(p->t[side], &text) : TLS_REASON_NONE;

	if (seen == reason && strstr(text, part) && p->want[side] != TLS_DONE)
		return;
	print_error("expected %s: ...%s...\nbut got  %s: %s (step %d)\n", tls_reason_name(reason),
		    part, tls_reason_name(seen), text, p->want[side]);
	_fail(file, line);
}
