// SPDX-License-Identifier: Apache-2.0
#include "tls_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <sys/socket.h>

static void on_keylog(const char *line, void *arg)
{
	struct wire *w = arg;
	const char *label =
		w->iv[0] == TLS_CLIENT ? "CLIENT_TRAFFIC_SECRET_0 " : "SERVER_TRAFFIC_SECRET_0 ";

	if (strncmp(line, label, strlen(label)) != 0)
		return;
	line = strrchr(line, ' ') + 1;
	for (size_t i = 0; i < WIRE_SECRET_LEN; i++)
		assert_int_equal(sscanf(line + 2 * i, "%2hhx", &w->secret[i]), 1);
}

static void expand(const uint8_t *secret, const char *label, uint8_t *out, size_t len)
{
	uint8_t info[64] = {0, len, strlen(label) + 6};
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret,
						  WIRE_SECRET_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info,
						  3 + 6 + strlen(label) + 1),
		OSSL_PARAM_construct_end(),
	};

	sprintf((char *)info + 3, "tls13 %s", label);
	assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void wire_rekey(struct wire *w)
{
	expand(w->secret, "key", w->key, sizeof(w->key));
	expand(w->secret, "iv", w->iv, sizeof(w->iv));
	w->sequence = 0;
}

void wire_next_key(struct wire *w)
{
	uint8_t next[WIRE_SECRET_LEN];

	expand(w->secret, "traffic upd", next, sizeof(next));
	memcpy(w->secret, next, sizeof(next));
	wire_rekey(w);
}

void wire_seal(struct wire *w, const void *text, size_t len)
{
	uint8_t *to = w->out + w->len, nonce[12];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	memcpy(nonce, w->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= w->sequence >> 8 * i;
	w->sequence++;
	memcpy(to, (uint8_t[]){23, 3, 3, (len + 16) >> 8, len + 16}, 5);
	assert_true(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, w->key, nonce));
	assert_true(EVP_EncryptUpdate(c, NULL, &n, to, 5));
	assert_true(EVP_EncryptUpdate(c, to + 5, &n, text, len));
	assert_true(EVP_EncryptFinal_ex(c, to + 5 + len, &n));
	assert_true(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, to + 5 + len));
	EVP_CIPHER_CTX_free(c);
	w->len += 5 + len + 16;
}

void wire_raw(struct wire *w, const void *bytes, size_t len)
{
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

void wire_send(struct wire *w, struct pair *p, int from)
{
	assert_int_equal(send(p->fd[from], w->out, w->len, 0), w->len);
	w->len = 0;
}

void wire_open(struct wire *w, struct pair *p, enum tls_side raw)
{
	struct tls_params params = good_params(raw == TLS_CLIENT ? &pki.server : &pki.client);
	const struct raw_options options = {
		.version = TLS1_3_VERSION,
		.alpn = ALPN_BOTLS,
		.cert = raw == TLS_CLIENT ? &pki.client : &pki.server,
		.ciphersuites = "TLS_AES_128_GCM_SHA256",
		.options = SSL_OP_NO_TICKET,
	};

	memset(w, 0, sizeof(*w));
	w->iv[0] = raw;
	params.keylog = on_keylog;
	params.keylog_arg = w;
	pair_open(p, raw == TLS_CLIENT ? NULL : &params, raw == TLS_CLIENT ? &params : NULL);
	pair_raw(p, raw, &options);
	if (raw == TLS_SERVER)
		SSL_set_num_tickets(p->raw[raw], 0);
	pair_handshake(p);
	assert_int_equal(p->want[!raw], TLS_DONE);
	wire_rekey(w);
}
