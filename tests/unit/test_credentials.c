// SPDX-License-Identifier: Apache-2.0
#include "credentials.h"

#include "certs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>

static struct cert ca, own, other;
static char dir[] = "/tmp/botls-test-XXXXXX";

static char *path_of(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = path_of(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int setup(void **state)
{
	(void)state;
	cert_make(&ca, &(struct cert_spec){.cn = "ca", .is_ca = true}, NULL);
	cert_make(&own, &(struct cert_spec){.cn = "own", .san = "IP:192.0.2.1"}, &ca);
	cert_make(&other, &(struct cert_spec){.cn = "other", .san = "IP:192.0.2.9"}, &ca);
	assert_non_null(mkdtemp(dir));
	write_file("ca.pem", ca.pem);
	write_file("own.pem", own.pem);
	write_file("own.key", own.key_pem);
	write_file("other.key", other.key_pem);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"ca.pem", "own.pem", "own.key", "other.key"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = path_of(names[i]);

		unlink(path);
	}
	rmdir(dir);
	cert_done(&ca);
	cert_done(&own);
	cert_done(&other);
	return 0;
}

static struct neighbor_config neighbor(const char *certificate, const char *key)
{
	return (struct neighbor_config){
		.origin = "test.conf:1",
		.identity = {.certificate = path_of(certificate),
			     .key = path_of(key),
			     .ca = path_of("ca.pem"),
			     .check_address = true,
			     .check_eku = true},
	};
}

static void neighbor_done(struct neighbor_config *n)
{
	free(n->identity.certificate);
	free(n->identity.key);
	free(n->identity.ca);
}

struct reports {
	unsigned n;
	char last[512];
};

static void on_report(void *arg, const char *where, const char *text)
{
	struct reports *r = arg;

	r->n++;
	snprintf(r->last, sizeof(r->last), "%s: %s", where, text);
}

static void contexts_are_shared(void **state)
{
	struct neighbor_config n[3] = {neighbor("own.pem", "own.key"),
				       neighbor("own.pem", "own.key"),
				       neighbor("own.pem", "own.key")};
	struct config config = {.neighbors = n, .n_neighbors = 3};
	struct reports reports = {};
	struct credentials *c;
	struct files *files;
	struct tls_ctx *ctx[3];
	struct errtext e;

	(void)state;
	n[2].identity.check_eku = false; /* another identity */
	assert_int_equal(files_new(&files), 0);
	assert_int_equal(files_read(files, &config, on_report, &reports), 0);
	assert_int_equal(credentials_new(NULL, NULL, &c), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(credentials_get(c, files, &n[i], &ctx[i], &e), 0);
	assert_ptr_equal(ctx[0], ctx[1]);
	assert_ptr_not_equal(ctx[0], ctx[2]);
	credentials_free(c);
	files_free(files);
	/* References outlive what they were made of. */
	assert_true(tls_ctx_not_after(ctx[0]) > 0);
	for (int i = 0; i < 3; i++) {
		tls_ctx_unref(ctx[i]);
		neighbor_done(&n[i]);
	}
}

static void unreadable_files(void **state)
{
	struct neighbor_config n[3] = {neighbor("own.pem", "missing.key"),
				       neighbor("own.pem", "missing.key"),
				       neighbor("own.pem", ".")};
	struct config config = {.neighbors = n, .n_neighbors = 3};
	struct reports reports = {};
	struct credentials *c;
	struct files *files;
	struct tls_ctx *ctx;
	struct errtext e;

	(void)state;
	assert_int_equal(files_new(&files), 0);
	assert_int_equal(files_read(files, &config, on_report, &reports), 3);
	assert_int_equal(reports.n, 3);
	assert_non_null(strstr(reports.last, "test.conf:1: cannot read"));
	assert_non_null(strstr(reports.last, "not a regular file"));
	assert_int_equal(credentials_new(NULL, NULL, &c), 0);
	assert_int_equal(credentials_get(c, files, &n[0], &ctx, &e), -EINVAL);
	assert_non_null(strstr(e.text, "missing.key"));
	credentials_free(c);
	files_free(files);
	for (int i = 0; i < 3; i++)
		neighbor_done(&n[i]);
}

static void a_key_of_another_certificate(void **state)
{
	struct neighbor_config n = neighbor("own.pem", "other.key");
	struct config config = {.neighbors = &n, .n_neighbors = 1};
	struct reports reports = {};
	struct credentials *c;
	struct files *files;
	struct tls_ctx *ctx;
	struct errtext e, again;

	(void)state;
	assert_int_equal(files_new(&files), 0);
	assert_int_equal(files_read(files, &config, on_report, &reports), 0);
	assert_int_equal(credentials_new(NULL, NULL, &c), 0);
	assert_int_equal(credentials_get(c, files, &n, &ctx, &e), -EINVAL);
	assert_non_null(strstr(e.text, "other.key"));
	assert_int_equal(credentials_get(c, files, &n, &ctx, &again), -EINVAL);
	assert_string_equal(again.text, e.text);
	credentials_free(c);
	files_free(files);
	neighbor_done(&n);
}

static int check_one(void *arg, const char *path, const void *data, size_t len)
{
	unsigned *n = arg;

	(*n)++;
	assert_non_null(strstr(path, dir));
	assert_int_equal(strlen(data), len);
	return 0;
}

static void files_are_handed_on(void **state)
{
	struct neighbor_config n = neighbor("own.pem", "own.key");
	struct config config = {.neighbors = &n, .n_neighbors = 1};
	struct reports reports = {};
	struct files *files;
	unsigned count = 0;

	(void)state;
	assert_int_equal(files_new(&files), 0);
	assert_int_equal(files_read(files, &config, on_report, &reports), 0);
	assert_int_equal(files_each(files, check_one, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(files_add(files, n.identity.key, -1, 1), -EBADF);
	files_free(files);
	neighbor_done(&n);
}

static void comparing(void **state)
{
	struct neighbor_config n = neighbor("own.pem", "own.key");
	struct config config = {.neighbors = &n, .n_neighbors = 1};
	struct reports reports = {};
	struct files *before, *after;

	(void)state;
	assert_int_equal(files_new(&before), 0);
	assert_int_equal(files_new(&after), 0);
	assert_int_equal(files_read(before, &config, on_report, &reports), 0);
	assert_false(files_equal(before, after, n.identity.certificate)); /* one lacks it */
	write_file("own.key", other.key_pem);
	assert_int_equal(files_read(after, &config, on_report, &reports), 0);
	assert_true(files_equal(before, after, n.identity.certificate));
	assert_false(files_equal(before, after, n.identity.key));
	write_file("own.key", own.key_pem);
	files_free(before);
	files_free(after);
	neighbor_done(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_are_shared),
		cmocka_unit_test(unreadable_files),
		cmocka_unit_test(a_key_of_another_certificate),
		cmocka_unit_test(files_are_handed_on),
		cmocka_unit_test(comparing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
