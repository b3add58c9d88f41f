// SPDX-License-Identifier: Apache-2.0
#include "tls_internal.h"

#include <errno.h>
#include <openssl/evp.h>

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
