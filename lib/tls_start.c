// SPDX-License-Identifier: Apache-2.0
#include "secret.h"
#include "tls_internal.h"
#include "wipe.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/resource.h>

#define KEY_HEAP_LEAST (1 << 20)
#define KEY_HEAP_MIN   32

/* What OpenSSL makes of a private key on its way from PEM is freed with the key still in it (an
 * EC key's octets, 3.0). So while one is read, what is freed is wiped. */
static bool is_wiping;

void tls_wipe_freed(bool on)
{
	is_wiping = on;
}

static void *on_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(len);
}

static void *on_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return is_wiping ? wipe_realloc(p, len) : realloc(p, len);
}

static void on_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (is_wiping)
		wipe_free(p);
	else
		free(p);
}

/* Pages become resident as they are used, so that the size is only a bound: 20000 different RSA
 * keys of 2048 bits (896 bytes each), twice while a reload is under way, and handshakes. When it is
 * full, keys and handshakes fail. */
static int heap_size(void)
{
	struct rlimit limit;
	int size = TLS_KEY_HEAP;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur >= SECRET_LIMIT)
		return size;
	while (size > KEY_HEAP_LEAST && (rlim_t)size > limit.rlim_cur / 2)
		size /= 2;
	return size;
}

int tls_start(struct errtext *e)
{
	static int locked = -1;
	int size = heap_size();
	unsigned char byte;

	/* Refused in a process that has used OpenSSL before, as tests do. */
	CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free);
	ERR_clear_error();
	if (!OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CONFIG, NULL) ||
	    RAND_bytes(&byte, 1) != 1)
		return errtext_set(e, -EIO, "OpenSSL does not start: %s",
				   tls_error_text(ERR_peek_error()));
	if (locked >= 0)
		return locked;
	switch (CRYPTO_secure_malloc_init(size, KEY_HEAP_MIN)) {
	case 0: return errtext_set(e, -ENOMEM, "no memory for private keys");
	case 1: return locked = size;
	default: return locked = 0;
	}
}
