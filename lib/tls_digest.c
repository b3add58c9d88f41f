// SPDX-License-Identifier: Apache-2.0
#include "tls_internal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

int tls_sha256(const void *data, size_t len, uint8_t ret[static TLS_SHA256_LEN])
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	ERR_clear_error();
	if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1) {
		ERR_clear_error();
		return -EIO;
	}
	memcpy(ret, digest, TLS_SHA256_LEN);
	return 0;
}

int tls_sha256_hex(const void *data, size_t len, char ret[static TLS_SHA256_HEX_LEN])
{
	uint8_t digest[TLS_SHA256_LEN];
	int r = tls_sha256(data, len, digest);

	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

int tls_hkdf_expand(const void *key, size_t key_len, const void *info, size_t info_len, void *out,
		    size_t len)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_len),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_len),
		OSSL_PARAM_END,
	};
	EVP_KDF *kdf;
	EVP_KDF_CTX *ctx;
	int ok;

	ERR_clear_error();
	kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	ctx = EVP_KDF_CTX_new(kdf);
	ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	return ok ? 0 : -EIO;
}
