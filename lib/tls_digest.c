// SPDX-License-Identifier: Apache-2.0
#include "tls_internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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

int tls_hkdf(const EVP_MD *hash, const void *key, size_t key_len, const void *info, size_t info_len,
	     void *out, size_t len)
{
	/* T(n - 1), the information, and n */
	uint8_t block[EVP_MAX_MD_SIZE + TLS_HKDF_INFO_MAX + 1], mac[EVP_MAX_MD_SIZE];
	size_t mac_len = EVP_MD_get_size(hash), before = 0;
	uint8_t *from = block + mac_len, *to = out;
	int r = 0;

	if (info_len > TLS_HKDF_INFO_MAX || len > 255 * mac_len)
		return -EIO;
	memcpy(from, info, info_len);
	for (uint8_t i = 1; len; i++) {
		size_t part = len < mac_len ? len : mac_len;

		from[info_len] = i;
		if (!HMAC(hash, key, key_len, from - before, before + info_len + 1, mac, NULL)) {
			ERR_clear_error();
			r = -EIO;
			break;
		}
		memcpy(to, mac, part);
		memcpy(block, mac, mac_len);
		before = mac_len;
		to += part;
		len -= part;
	}
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(mac, sizeof(mac));
	return r;
}

int tls_hkdf_expand(const void *key, size_t key_len, const void *info, size_t info_len, void *out,
		    size_t len)
{
	return tls_hkdf(EVP_sha256(), key, key_len, info, info_len, out, len);
}
