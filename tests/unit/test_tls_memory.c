// SPDX-License-Identifier: Apache-2.0
/* Out of memory inside OpenSSL ends that connection with a reason, and nothing else. */
#include "tls_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

#define STRIDE 7 /* 1 takes a minute and has been seen to pass */

static long countdown; /* this allocation of OpenSSL's fails; 0: none */

static bool fails_now(void)
{
	return countdown && !--countdown;
}

static void *on_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails_now() ? NULL : malloc(len);
}

static void *on_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails_now() ? NULL : realloc(p, len);
}

static void on_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static struct tls_ctx *make_ctx(const struct cert *own)
{
	struct tls_params params = good_params(own);
	struct tls_ctx *ctx;

	assert_int_equal(tls_ctx_new(&params, &ctx, NULL), 0);
	return ctx;
}

static bool exchange(struct pair *p)
{
	char buf[8];
	size_t n;

	for (int side = 0; side < 2; side++) {
		p->want[side] = tls_write(p->t[side], "x", 1, &n);
		if (p->want[side] == TLS_DONE)
			p->want[!side] = tls_read(p->t[!side], buf, sizeof(buf), &n);
		if (p->want[side] != TLS_DONE || p->want[!side] != TLS_DONE)
			return false;
	}
	return true;
}

/* True when everything went well, because the allocation that was to fail never came. */
static bool connection_survives(struct tls_ctx *const ctx[2], long fail_at, int *memory_failures)
{
	struct addr peer[2] = {address(SERVER_ADDRESS), address(CLIENT_ADDRESS)};
	bool has_failed = false, ran_out;
	struct pair p = {};
	int r[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p.fd), 0);
	countdown = fail_at;
	for (int side = 0; side < 2; side++) {
		r[side] = tls_new(ctx[side], side, p.fd[side], &peer[side], &p.t[side]);
		assert_true(r[side] == 0 || r[side] == -ENOMEM);
		has_failed |= r[side] < 0;
	}
	if (!has_failed) {
		pair_handshake(&p);
		if (p.want[0] == TLS_DONE && p.want[1] == TLS_DONE)
			has_failed = !exchange(&p);
	}
	ran_out = fail_at && !countdown;
	countdown = 0;
	for (int side = 0; side < 2; side++) {
		const char *text;

		if (!p.t[side] || (p.want[side] != TLS_FAILED && p.want[side] != TLS_TRUNCATED))
			continue;
		has_failed = true;
		assert_int_not_equal(tls_failure(p.t[side], &text), TLS_REASON_NONE);
		assert_string_not_equal(text, "");
		*memory_failures += tls_failure(p.t[side], NULL) == TLS_REASON_MEMORY;
	}
	pair_close(&p);
	return !has_failed && !ran_out;
}

static void test_every_allocation(void **state)
{
	struct tls_ctx *ctx[2] = {make_ctx(&pki.client), make_ctx(&pki.server)};
	int memory_failures = 0;
	long at;

	(void)state;
	assert_true(connection_survives(ctx, 0, &memory_failures)); /* what is made only once */
	assert_int_equal(memory_failures, 0);
	for (at = 1; !connection_survives(ctx, at, &memory_failures); at += STRIDE)
		assert_true(at < 50000);
	assert_true(at > 1000);
	assert_true(memory_failures > 10);
	/* nothing is left behind that would harm the next one */
	assert_true(connection_survives(ctx, 0, &memory_failures));
	tls_ctx_unref(ctx[0]);
	tls_ctx_unref(ctx[1]);
}

static void test_context(void **state)
{
	struct tls_params params = good_params(&pki.client);
	struct tls_ctx *ctx = NULL;
	int r = -1, failures = 0;

	(void)state;
	for (long at = 1; r < 0; at += STRIDE) {
		struct errtext e = {};

		countdown = at;
		r = tls_ctx_new(&params, &ctx, &e);
		if (r == 0 && !countdown) {
			tls_ctx_unref(ctx); /* it could do without */
			r = -1;
			continue;
		}
		countdown = 0;
		assert_true(r == 0 || r == -ENOMEM || r == -EINVAL);
		if (r < 0)
			assert_string_not_equal(e.text, "");
		failures += r < 0;
	}
	assert_true(failures > 20);
	tls_ctx_unref(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation),
		cmocka_unit_test(test_context),
	};

	signal(SIGPIPE, SIG_IGN);
	if (!CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free))
		return 1;
	return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
