// SPDX-License-Identifier: Apache-2.0
/* Tokens of an authorization server: what it is asked, what its answers mean, what is kept. */
#include "token.h"

#include "memory_scan.h"
#include "token_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>

#define NOW 1800000000

static struct token_rig rig;

static int setup(void **state)
{
	(void)state;
	token_rig_start(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	token_rig_stop(&rig);
	return 0;
}

static struct server_settings server(void)
{
	return (struct server_settings){
		.name = "example",
		.url = "https://api.example/v0",
		.auth = AUTH_CLIENT_CREDENTIALS,
		.token_url = "https://idp.example/token",
		.client_id = "client one",
		.client_secret = TOKEN_RIG_SECRET,
		.timeout = 17,
		.ca = "/etc/ca.pem",
	};
}

static void answer(const char *body)
{
	token_rig_answer(&rig, 200, body);
}

static void a_request_with_basic(void **state)
{
	struct server_settings s = server();

	(void)state;
	s.scope = "peering read";
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer abc");
	assert_int_equal(rig.n_asked, 1);
	assert_string_equal(rig.asked[0].method, "POST");
	assert_string_equal(rig.asked[0].url, "https://idp.example/token");
	assert_string_equal(rig.asked[0].content_type, "application/x-www-form-urlencoded");
	assert_string_equal(rig.asked[0].body, "grant_type=client_credentials&scope=peering+read");
	/* RFC 6749 section 2.3.1: both are form-encoded first. */
	assert_string_equal(rig.asked[0].user, "client+one");
	assert_string_equal(rig.asked[0].password, "s3%3Acr%2Bt");
	assert_string_equal(rig.asked[0].ca, "/etc/ca.pem");
	assert_int_equal(rig.asked[0].timeout, 17);
	assert_false(rig.asked[0].allow_http);
	assert_string_equal(rig.asked[0].authorization, "");
}

static void a_request_with_post(void **state)
{
	struct server_settings s = server();

	(void)state;
	s.client_auth = CLIENT_SECRET_POST;
	s.audience = "https://api.example/?a=b&c";
	s.resource = "urn:x~\u00e9";
	s.client_secret = NULL;
	answer("{\"access_token\":\"abc\",\"token_type\":\"bearer\"}");
	token_rig_get(&rig, &s, NOW, false);
	assert_string_equal(rig.asked[0].body, "grant_type=client_credentials"
					       "&audience=https%3A%2F%2Fapi.example%2F%3Fa%3Db%26c"
					       "&resource=urn%3Ax%7E%C3%A9&client_id=client+one");
	assert_string_equal(rig.asked[0].user, "");
	assert_string_equal(rig.asked[0].password, "");
	s.client_secret = TOKEN_RIG_SECRET;
	answer("{\"access_token\":\"abc\",\"token_type\":\"bearer\"}");
	token_rig_get(&rig, &s, NOW, true);
	assert_non_null(strstr(rig.asked[1].body, "&client_secret=s3%3Acr%2Bt"));
}

static void no_authentication(void **state)
{
	struct server_settings s = server();

	(void)state;
	s.auth = AUTH_NONE;
	assert_null(token_rig_get(&rig, &s, NOW, false));
	assert_int_equal(rig.n_asked, 0);
}

/* How long a token of this answer is used: the first second at which another is asked for. */
static int64_t life(const char *expires_in)
{
	struct server_settings s = server();
	int64_t low = 0, high = 200000;
	char body[128];

	snprintf(body, sizeof(body), "{\"access_token\":\"abc\",\"token_type\":\"BEARER\"%s%s}",
		 *expires_in ? ",\"expires_in\":" : "", expires_in);
	while (low < high) {
		int64_t middle = (low + high) / 2;

		token_rig_forget(&rig);
		answer(body);
		answer(body);
		token_rig_get(&rig, &s, NOW, false);
		token_rig_get(&rig, &s, NOW + middle, false);
		if (rig.n_asked == 1)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void life_of_a_token(void **state)
{
	(void)state;
	assert_int_equal(life("3600"), 3540);
	assert_int_equal(life("600"), 540);
	assert_int_equal(life("599"), 540); /* a tenth is 59 */
	assert_int_equal(life("100"), 90);
	assert_int_equal(life("5"), 5);
	assert_int_equal(life("1"), 1);
	assert_int_equal(life("\"3600\""), 3540);
	assert_int_equal(life(""), 270); /* 5 minutes when it is not told, or nonsense */
	assert_int_equal(life("null"), 270);
	assert_int_equal(life("0"), 270);
	assert_int_equal(life("-3600"), 270);
	assert_int_equal(life("\"-3600\""), 270);
	assert_int_equal(life("\"3600 s\""), 270);
	assert_int_equal(life("\"\""), 270);
	assert_int_equal(life("\"99999999999999999999999\""), 270);
	assert_int_equal(life("3600.5"), 270);
	assert_int_equal(life("[3600]"), 270);
	assert_int_equal(life("86400"), 86340);
	assert_int_equal(life("86401"), 86340);
	assert_int_equal(life("9223372036854775807"), 86340);
	assert_int_equal(life("\"999999999999999999\""), 86340);
}

static void kept_between_runs(void **state)
{
	struct server_settings s = server();
	char path[128];
	struct stat st;

	(void)state;
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	token_rig_get(&rig, &s, NOW, false);
	token_rig_again(&rig);
	assert_string_equal(token_rig_get(&rig, &s, NOW + 3539, false), "Bearer abc");
	assert_int_equal(rig.n_asked, 1);
	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(rig.folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* After its time, and when the clock has gone back behind the moment that it is from. */
	answer("{\"access_token\":\"def\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 3540, false), "Bearer def");
	answer("{\"access_token\":\"ghi\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 3539, false), "Bearer ghi");
	token_rig_again(&rig);
	answer("{\"access_token\":\"jkl\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer jkl");
	assert_int_equal(rig.n_asked, 4);
}

static void renewing(void **state)
{
	struct server_settings s = server();
	struct errtext e;
	const char *value = NULL;
	char path[128];

	(void)state;
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	token_rig_get(&rig, &s, NOW, false);
	answer("{\"access_token\":\"def\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 1, true), "Bearer def");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 2, false), "Bearer def");
	token_rig_again(&rig);
	assert_string_equal(token_rig_get(&rig, &s, NOW + 2, false), "Bearer def");
	/* What was refused is not used again, also when there is nothing new. */
	token_rig_answer(&rig, 503, "");
	assert_int_equal(token_get(rig.tokens, &s, NOW + 3, true, &value, &e), -EBUSY);
	assert_null(value);
	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	assert_int_equal(access(path, F_OK), -1);
	token_rig_answer(&rig, 503, "");
	assert_int_equal(token_get(rig.tokens, &s, NOW + 4, false, &value, &e), -EBUSY);
}

static void bound_to_the_settings(void **state)
{
	static const char good[] =
		"{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}";
	struct server_settings s = server(), others[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = s;
	others[0].name = "another";
	others[1].url = "https://api.example/v1";
	others[2].token_url = "https://idp.example/token2";
	others[3].client_id = "client two";
	others[4].scope = "other";
	others[5].audience = "a";
	others[6].resource = "a";
	others[7].scope = ""; /* not the same as none */
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		token_rig_forget(&rig);
		answer(good);
		answer(good);
		answer(good);
		token_rig_get(&rig, &s, NOW, false);
		token_rig_get(&rig, &others[i], NOW, false); /* held in memory */
		if (rig.n_asked != 2)
			fail_msg("memory, %zu", i);
		token_rig_forget(&rig);
		answer(good);
		answer(good);
		token_rig_get(&rig, &s, NOW, false);
		token_rig_again(&rig);
		token_rig_get(&rig, &others[i], NOW, false); /* held in the file */
		if (rig.n_asked != 2)
			fail_msg("file, %zu", i);
	}
	/* Neither a secret nor how it is sent makes it another token. */
	token_rig_forget(&rig);
	answer(good);
	token_rig_get(&rig, &s, NOW, false);
	s.client_secret = "new";
	s.client_auth = CLIENT_SECRET_POST;
	token_rig_get(&rig, &s, NOW, false);
	assert_int_equal(rig.n_asked, 1);
}

static void several_servers(void **state)
{
	struct server_settings a = server(), b = server();
	const char *first;

	(void)state;
	b.name = "another";
	answer("{\"access_token\":\"aaa\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	answer("{\"access_token\":\"bbb\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	first = token_rig_get(&rig, &a, NOW, false);
	assert_string_equal(token_rig_get(&rig, &b, NOW, false), "Bearer bbb");
	assert_string_equal(first, "Bearer aaa"); /* until the next call for that server */
	assert_string_equal(token_rig_get(&rig, &a, NOW, false), "Bearer aaa");
	token_rig_again(&rig);
	assert_string_equal(token_rig_get(&rig, &b, NOW, false), "Bearer bbb");
	assert_string_equal(token_rig_get(&rig, &a, NOW, false), "Bearer aaa");
	assert_int_equal(rig.n_asked, 2);
}

static void write_cache(const char *text, mode_t mode)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static char *read_cache(void)
{
	static char text[4096];
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

/* Is this file's token used? */
static bool is_used(const char *text, mode_t mode)
{
	struct server_settings s = server();
	const char *value;

	token_rig_forget(&rig);
	write_cache(text, mode);
	answer("{\"access_token\":\"fresh\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	value = token_rig_get(&rig, &s, NOW + 10, false);
	if (rig.n_asked == 0) {
		assert_string_equal(value, "Bearer abc");
		return true;
	}
	/* And it is replaced by one that is. */
	assert_string_equal(value, "Bearer fresh");
	assert_non_null(strstr(read_cache(), "fresh"));
	return false;
}

static char *changed(const char *text, const char *from, const char *to)
{
	static char buf[4096];
	const char *at = strstr(text, from);

	assert_non_null(at);
	snprintf(buf, sizeof(buf), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return buf;
}

static void files_that_are_not_used(void **state)
{
	struct server_settings s = server();
	char *good;

	(void)state;
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	token_rig_get(&rig, &s, NOW, false);
	good = strdup(read_cache());
	assert_null(strstr(good, TOKEN_RIG_SECRET));
	assert_true(is_used(good, 0600));
	assert_true(is_used(good, 0400));
	assert_false(is_used(good, 0640));
	assert_false(is_used(good, 0604));
	assert_false(is_used(good, 0620));
	assert_false(is_used("", 0600));
	assert_false(is_used("{", 0600));
	assert_false(is_used("[]", 0600));
	assert_false(is_used(changed(good, "\"abc\"", "\"a\\nb\""), 0600));
	assert_false(is_used(changed(good, "\"abc\"", "\"\""), 0600));
	assert_false(is_used(changed(good, "\"abc\"", "7"), 0600));
	assert_false(is_used(changed(good, "\"expires\":1800003600", "\"expires\":\"x\""), 0600));
	assert_false(
		is_used(changed(good, "\"expires\":1800003600", "\"expires\":1900000000"), 0600));
	assert_false(is_used(changed(good, "\"obtained\":1800000000", "\"obtained\":0"), 0600));
	assert_false(is_used(changed(good, "\"obtained\":1800000000", "\"obtained\":-1"), 0600));
	assert_false(is_used(
		changed(good, "\"obtained\":1800000000", "\"obtained\":-9223372036854775808"),
		0600));
	assert_true(
		is_used(changed(good, "\"obtained\":1800000000", "\"obtained\":1800000010"), 0600));
	assert_false(
		is_used(changed(good, "\"obtained\":1800000000", "\"obtained\":1800000011"), 0600));
	assert_false(is_used(changed(good, "api.example", "api.exampla"), 0600));
	free(good);
}

static void a_file_of_another_server(void **state)
{
	struct server_settings s = server();
	char path[128], copy[128];

	(void)state;
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	token_rig_get(&rig, &s, NOW, false);
	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	snprintf(copy, sizeof(copy), "%s/another.json", rig.folder);
	assert_int_equal(rename(path, copy), 0);
	s.name = "another";
	answer("{\"access_token\":\"def\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer def");
}

static void links_and_strangers(void **state)
{
	struct server_settings s = server();
	char path[128], real[128];

	(void)state;
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	token_rig_get(&rig, &s, NOW, false);
	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	snprintf(real, sizeof(real), "%s/real", rig.folder);
	assert_int_equal(rename(path, real), 0);
	assert_int_equal(symlink(real, path), 0);
	token_rig_again(&rig);
	answer("{\"access_token\":\"def\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer def");
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		token_rig_again(&rig);
		answer("{\"access_token\":\"ghi\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
		assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer ghi");
	}
	/* A pipe must not make anybody wait. */
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	token_rig_again(&rig);
	answer("{\"access_token\":\"jkl\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer jkl");
	/* Where nothing can be written, a token is a token all the same. */
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	token_rig_again(&rig);
	answer("{\"access_token\":\"mno\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer mno");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer mno");
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/.example.new", rig.folder);
	assert_int_equal(access(path, F_OK), -1);
}

static void leftovers(void **state)
{
	struct server_settings s = server();
	char path[128];
	FILE *f;

	(void)state;
	/* Of a run that was killed while it wrote. */
	snprintf(path, sizeof(path), "%s/.example.new", rig.folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0);
	answer("{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
	token_rig_get(&rig, &s, NOW, false);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(is_used(read_cache(), 0600));
}

static void folders(void **state)
{
	struct tokens *t = (struct tokens *)&rig;
	char path[128], below[160];

	(void)state;
	snprintf(path, sizeof(path), "%s/open", rig.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(tokens_new(rig.http, path, &t), -EPERM);
	assert_int_equal(chmod(path, 0702), 0);
	assert_int_equal(tokens_new(rig.http, path, &t), -EPERM);
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0700), 0);
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(tokens_new(rig.http, path, &t), -EPERM);
	}
	rmdir(path);
	snprintf(below, sizeof(below), "%s/missing/below", rig.folder);
	assert_int_equal(tokens_new(rig.http, below, &t), -ENOENT);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(tokens_new(rig.http, path, &t), -ENOTDIR);
	unlink(path);
	assert_ptr_equal(t, &rig); /* untouched */
}

static void write_secret(const char *before, const char *secret)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/my-token", rig.folder);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, before, strlen(before)), strlen(before));
	assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
	close(fd);
}

/* From a file, from a command, and from a file that holds none but looks like it. */
static void tokens_of_files_are_wiped(void **state)
{
	struct server_settings s = server();
	const char *value;
	struct errtext e;
	char path[128], *secret, *words[] = {"cat", path};

	(void)state;
	if (MEMORY_IS_SANITIZED) {
		print_message("skipped: the sanitizer keeps what is freed\n");
		skip();
	}
	snprintf(path, sizeof(path), "%s/my-token", rig.folder);
	s.token_file = path;
	s.token_command = words;
	s.n_token_command = 2;
	for (int i = 0; i < 3; i++) {
		token_rig_again(&rig);
		secret = memory_secret();
		write_secret(i == 2 ? "Bearer " : "", secret);
		s.auth = i == 1 ? AUTH_TOKEN_COMMAND : AUTH_TOKEN_FILE;
		if (i == 2)
			assert_int_equal(token_get(rig.tokens, &s, NOW, false, &value, &e),
					 -EPROTO);
		else
			assert_string_equal(token_rig_get(&rig, &s, NOW, false) + 7, secret);
		tokens_free(rig.tokens);
		rig.tokens = NULL;
		explicit_bzero(secret, strlen(secret));
		free(secret);
		assert_false(memory_has_secret());
	}
}

static void tokens_are_wiped(void **state)
{
	struct server_settings s = server();
	char *secret;

	(void)state;
	if (MEMORY_IS_SANITIZED) {
		print_message("skipped: the sanitizer keeps what is freed\n");
		skip();
	}
	for (int i = 0; i < 2; i++) {
		token_rig_again(&rig);
		secret = memory_secret();
		s.client_secret = secret;
		if (i == 0) { /* asked for, with that secret; the second time it is in the file */
			token_rig_answer(&rig, 200, "");
			snprintf(rig.answers[0].body, sizeof(rig.answers[0].body),
				 "{\"access_token\":\"%s\",\"token_type\":\"Bearer\"}", secret);
		}
		assert_string_equal(token_rig_get(&rig, &s, NOW, false) + 7, secret);
		assert_int_equal(rig.n_asked, 1);
		tokens_free(rig.tokens);
		rig.tokens = NULL;
		explicit_bzero(rig.answers, sizeof(rig.answers));
		explicit_bzero(rig.asked, sizeof(rig.asked));
		explicit_bzero(secret, strlen(secret));
		free(secret);
		assert_false(memory_has_secret());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_request_with_basic),
		TEST(a_request_with_post),
		TEST(no_authentication),
		TEST(life_of_a_token),
		TEST(kept_between_runs),
		TEST(renewing),
		TEST(bound_to_the_settings),
		TEST(several_servers),
		TEST(files_that_are_not_used),
		TEST(a_file_of_another_server),
		TEST(links_and_strangers),
		TEST(leftovers),
		TEST(folders),
		TEST(tokens_are_wiped),
		TEST(tokens_of_files_are_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
