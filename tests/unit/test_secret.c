// SPDX-License-Identifier: Apache-2.0
/*
 * Where secrets stand in memory: in what is locked and left out of cores, and nowhere once they are
 * freed. Private keys are made by another process, so that this one knows them with their bits
 * turned over only.
 */
#include "secret.h"

#include "certs.h"
#include "memory_scan.h"
#include "tls.h"
#include "tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PIECE 24 /* bytes of a secret that are looked for */

static uint8_t turned_text[PIECE];

/* A text of `len` letters whose last bytes are those of turned_text. */
static char *make_text(size_t len)
{
	char *text = secret_alloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	for (size_t i = 0; i < PIECE; i++) {
		turned_text[i] = (uint8_t) ~('A' + i);
		text[len - PIECE + i] = (char)~turned_text[i];
	}
	return text;
}

static bool is_text_unlocked(void)
{
	return memory_has_unlocked(turned_text, PIECE);
}

static bool is_text_locked(void)
{
	return memory_has_locked(turned_text, PIECE);
}

static void pieces_of_every_size(void **state)
{
	static const size_t sizes[] = {PIECE, 31, 32, 33, 1000, 8191, 8192, 65536, 1 << 20};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *text = make_text(sizes[i]), *copy;

		assert_false(is_text_unlocked());
		assert_true(is_text_locked());
		copy = secret_strdup(text);
		assert_string_equal(copy, text);
		assert_false(is_text_unlocked());
		secret_free(text);
		assert_true(is_text_locked());
		secret_free(copy);
		assert_false(is_text_locked());
		assert_false(is_text_unlocked());
	}
	secret_free(NULL);
}

static void pieces_do_not_touch(void **state)
{
	enum { N = 5000 };
	static char *all[N];

	(void)state;
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			size_t size = 1 + (i * 37 + round) % 300;

			all[i] = secret_alloc(size);
			assert_non_null(all[i]);
			for (size_t k = 0; k < size; k++)
				assert_int_equal(all[i][k], 0);
			memset(all[i], (int)(i % 127) + 1, size);
		}
		for (size_t i = 0; i < N; i++) {
			size_t size = 1 + (i * 37 + round) % 300;

			for (size_t k = 0; k < size; k++)
				assert_int_equal(all[i][k], i % 127 + 1);
			secret_free(all[i]);
		}
	}
}

static void to_another_process(void **state)
{
	char *text = make_text(100000);
	const void *map;
	int fd = -1;

	(void)state;
	assert_int_equal(secret_fd(text, 100000, &fd), 0);
	secret_free(text);
	assert_false(is_text_locked());
	assert_int_equal(secret_map(fd, 100000, &map), 0);
	assert_int_equal(((const char *)map)[0], 'x');
	assert_int_equal((uint8_t) ~((const uint8_t *)map)[100000 - PIECE], turned_text[0]);
	secret_unmap(map, 100000);
	close(fd);
	assert_int_equal(secret_fd("", 0, &fd), 0);
	assert_int_equal(secret_map(fd, 0, &map), 0);
	secret_unmap(map, 0);
	close(fd);
}

/* --- private keys */

enum { FORMS_MAX = 8 };

/* What the other process tells: the texts, and how the key looks in memory. */
struct made {
	char certificate[4096];
	char key[4096]; /* mapped where it is locked */
	uint8_t forms[FORMS_MAX][PIECE];
	unsigned n_forms;
};

static void add_form(struct made *m, const uint8_t *bytes)
{
	for (size_t i = 0; i < PIECE; i++)
		m->forms[m->n_forms][i] = (uint8_t)~bytes[i];
	m->n_forms++;
}

/* A number as OpenSSL keeps it and as it stands in DER. */
static void add_number(struct made *m, EVP_PKEY *key, const char *name)
{
	uint8_t bytes[512], limbs[512];
	BIGNUM *n = NULL;
	int len;

	if (!EVP_PKEY_get_bn_param(key, name, &n))
		return;
	len = BN_num_bytes(n);
	BN_bn2binpad(n, bytes, len);
	BN_bn2lebinpad(n, limbs, len);
	add_form(m, bytes + 4);
	add_form(m, limbs + 4);
	BN_clear_free(n);
}

static void make_elsewhere(struct made *m, const char *type)
{
	const struct cert_spec spec = {.cn = "own", .san = "IP:192.0.2.1", .key = type};
	uint8_t raw[64];
	size_t raw_len = sizeof(raw);
	struct cert cert;

	cert_make(&cert, &spec, NULL);
	strcpy(m->certificate, cert.pem);
	strcpy(m->key, cert.key_pem);
	add_form(m, (uint8_t *)cert.key_pem + 70); /* base64, from the second line on */
	if (type && strcmp(type, "ED25519") == 0) {
		assert_true(EVP_PKEY_get_raw_private_key(cert.key, raw, &raw_len));
		add_form(m, raw + 4);
	} else {
		add_number(m, cert.key, OSSL_PKEY_PARAM_PRIV_KEY);
		add_number(m, cert.key, OSSL_PKEY_PARAM_RSA_D);
		add_number(m, cert.key, OSSL_PKEY_PARAM_RSA_FACTOR1);
	}
}

static struct made *make_key(const char *type)
{
	struct made *m =
		mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_true(m != MAP_FAILED);
	assert_int_equal(mlock(m, sizeof(*m)), 0);
	assert_int_equal(madvise(m, sizeof(*m), MADV_DONTDUMP), 0);
	pid = fork();
	if (pid == 0) {
		make_elsewhere(m, type);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_true(m->n_forms >= 2);
	return m;
}

static void assert_kept(const struct made *m, const char *when)
{
	for (unsigned i = 0; i < m->n_forms; i++)
		if (memory_has_unlocked(m->forms[i], PIECE))
			fail_msg("%s: form %u of the key stands where it may be swapped", when, i);
}

static void use(const struct tls_params *own)
{
	struct tls_params other = good_params(&pki.server);
	struct pair p;

	other.ca = own->certificate; /* it has signed itself */
	pair_open(&p, own, &other);
	pair_handshake(&p);
	assert_int_equal(p.want[TLS_CLIENT], TLS_DONE);
	assert_int_equal(p.want[TLS_SERVER], TLS_DONE);
	pair_close(&p);
}

static void a_private_key(const char *type)
{
	struct made *m = make_key(type);
	struct tls_params params = good_params(&pki.client);
	struct tls_ctx *ctx;
	unsigned locked = 0;
	struct errtext e;

	params.certificate = cert_blob("own.pem", m->certificate);
	params.key = cert_blob("own.key", m->key);
	if (tls_ctx_new(&params, &ctx, &e) < 0)
		fail_msg("%s", e.text);
	assert_kept(m, "loaded");
	/* the text and, in one form or another, the numbers */
	for (unsigned i = 0; i < m->n_forms; i++)
		locked += memory_has_locked(m->forms[i], PIECE);
	assert_true(locked >= 2);
	use(&params);
	assert_kept(m, "used");
	tls_ctx_unref(ctx);
	explicit_bzero(m->key, sizeof(m->key));
	assert_kept(m, "freed");
	locked = 0;
	for (unsigned i = 0; i < m->n_forms; i++)
		locked += memory_has_locked(m->forms[i], PIECE);
	assert_int_equal(locked, 0);
	munmap(m, sizeof(*m));
}

static void a_private_key_ec(void **state)
{
	(void)state;
	a_private_key(NULL);
}

static void a_private_key_rsa(void **state)
{
	(void)state;
	a_private_key("RSA2048");
}

static void a_private_key_ed25519(void **state)
{
	(void)state;
	a_private_key("ED25519");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_of_every_size), cmocka_unit_test(pieces_do_not_touch),
		cmocka_unit_test(to_another_process),	cmocka_unit_test(a_private_key_ec),
		cmocka_unit_test(a_private_key_rsa),	cmocka_unit_test(a_private_key_ed25519),
	};
	struct errtext e;

	if (MEMORY_IS_SANITIZED) {
		print_message("the sanitizer keeps what is freed: skipped\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	secret_raise_limit();
	if (tls_start(&e) <= 0) {
		print_message("memory cannot be locked (ulimit -l): skipped\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
