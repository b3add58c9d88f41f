// SPDX-License-Identifier: Apache-2.0
/* From secrets to keys: RFC 8446 7.1 to 7.3 and 7.5. */
#include "tls_record.h"

#include <errno.h>

#define MAC_MAX EVP_MAX_MD_SIZE

static const struct tls_suite suites[] = {
	{0x1301, "TLS_AES_128_GCM_SHA256", 16, KTLS_AES_128_GCM, EVP_aes_128_gcm, EVP_sha256},
	{0x1302, "TLS_AES_256_GCM_SHA384", 32, KTLS_AES_256_GCM, EVP_aes_256_gcm, EVP_sha384},
	{0x1303, "TLS_CHACHA20_POLY1305_SHA256", 32, KTLS_CHACHA20_POLY1305, EVP_chacha20_poly1305,
	 EVP_sha256},
};

const struct tls_suite *tls_suite_of_id(uint16_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

const struct tls_suite *tls_suite_of(const SSL *ssl)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

	return cipher ? tls_suite_of_id(SSL_CIPHER_get_protocol_id(cipher)) : NULL;
}

static size_t hash_len(const struct tls_suite *s)
{
	return EVP_MD_get_size(s->hash());
}

/* HKDF-Expand-Label */
static int expand(const struct tls_suite *s, const uint8_t *secret, const char *label,
		  const uint8_t *context, size_t context_len, uint8_t *out, size_t len)
{
	uint8_t info[TLS_HKDF_INFO_MAX], *end = info;
	size_t label_len = strlen("tls13 ") + strlen(label);

	if (label_len > 255 || context_len > MAC_MAX)
		return -EIO;
	*end++ = len >> 8;
	*end++ = len;
	*end++ = label_len;
	end = (uint8_t *)stpcpy(stpcpy((char *)end, "tls13 "), label);
	*end++ = context_len;
	if (context_len)
		memcpy(end, context, context_len);
	end += context_len;
	return tls_hkdf(s->hash(), secret, hash_len(s), info, end - info, out, len);
}

int tls_derive_keys(const struct tls_suite *s, const uint8_t *secret,
		    uint8_t key[static KTLS_KEY_MAX], uint8_t iv[static TLS_NONCE_LEN])
{
	int err = expand(s, secret, "key", NULL, 0, key, s->key_len);

	return err < 0 ? err : expand(s, secret, "iv", NULL, 0, iv, TLS_NONCE_LEN);
}

int tls_next_secret(const struct tls_suite *s, uint8_t secret[static TLS_SECRET_MAX])
{
	uint8_t next[TLS_SECRET_MAX] = {};
	int err = expand(s, secret, "traffic upd", NULL, 0, next, hash_len(s));

	memcpy(secret, next, sizeof(next));
	OPENSSL_cleanse(next, sizeof(next));
	return err;
}

static int digest(const struct tls_suite *s, const void *data, size_t len, uint8_t *ret)
{
	return EVP_Digest(data, len, ret, NULL, s->hash(), NULL) ? 0 : -ENOMEM;
}

int tls_record_export(struct tls_record *r, const char *label, const void *context,
		      size_t context_len, void *out, size_t len)
{
	const struct tls_suite *s = r->suite;
	uint8_t derived[MAC_MAX], hash[MAC_MAX];
	int err = digest(s, "", 0, hash);

	if (err == 0)
		err = expand(s, r->exporter, label, hash, hash_len(s), derived, hash_len(s));
	if (err == 0)
		err = digest(s, context ? context : "", context ? context_len : 0, hash);
	if (err == 0)
		err = expand(s, derived, "exporter", hash, hash_len(s), out, len);
	OPENSSL_cleanse(derived, sizeof(derived));
	return err;
}
