// SPDX-License-Identifier: Apache-2.0
#include "tls_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

/* Pages become resident as they are used, so that the size is only a bound: 20000 different RSA
 * keys of 4096 bits, and the handshakes that are under way. When it is full, keys and handshakes
 * fail. */
#define KEY_HEAP     (64 << 20)
#define KEY_HEAP_MIN 32

int tls_start(struct errtext *e)
{
	static int locked = -1;
	unsigned char byte;

	ERR_clear_error();
	if (!OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CONFIG, NULL) ||
	    RAND_bytes(&byte, 1) != 1)
		return errtext_set(e, -EIO, "OpenSSL does not start: %s",
				   tls_error_text(ERR_peek_error()));
	if (locked >= 0)
		return locked;
	switch (CRYPTO_secure_malloc_init(KEY_HEAP, KEY_HEAP_MIN)) {
	case 0: return errtext_set(e, -ENOMEM, "no memory for private keys");
	case 1: return locked = 1;
	default: return locked = 0; /* it serves, but is not locked */
	}
}
