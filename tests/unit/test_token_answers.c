// SPDX-License-Identifier: Apache-2.0
/* What is no token, and what is said about it; metadata; tokens of a file and of a command. */
#include "token.h"

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
		.token_url = "https://idp.example:8443/token?x",
		.client_id = "client",
		.client_secret = TOKEN_RIG_SECRET,
	};
}

static void answers_that_are_no_token(void **state)
{
	static const struct {
		int status, error;
		const char *body, *part;
	} cases[] = {
		{200, -EPROTO, "", "idp.example:8443: the answer (of no type) is no JSON object"},
		{200, -EPROTO, "[]", "no JSON object"},
		{200, -EPROTO, "{\"access_token\":\"abc\"", "no JSON object"},
		{200, -EPROTO, "{}", "token_type is ''"},
		{200, -EPROTO, "{\"access_token\":\"abc\"}", "token_type is ''"},
		{200, -EPROTO, "{\"access_token\":\"abc\",\"token_type\":\"mac\"}",
		 "token_type is 'mac', not Bearer"},
		{200, -EPROTO, "{\"access_token\":\"abc\",\"token_type\":7}", "token_type is ''"},
		{200, -EPROTO,
		 "{\"access_token\":\"Bearer\",\"token_type\":\"abcdefghijklmnopqr\"}",
		 "token_type is '...'"},
		{200, -EPROTO, "{\"token_type\":\"bearer\"}", "no access_token"},
		{200, -EPROTO, "{\"access_token\":null,\"token_type\":\"bearer\"}",
		 "no access_token"},
		{200, -EPROTO, "{\"access_token\":7,\"token_type\":\"bearer\"}", "no access_token"},
		{200, -EPROTO, "{\"access_token\":\"\",\"token_type\":\"bearer\"}", "RFC 6750"},
		{200, -EPROTO, "{\"access_token\":\"a b\",\"token_type\":\"bearer\"}", "RFC 6750"},
		{200, -EPROTO, "{\"access_token\":\"a\\r\\nX: y\",\"token_type\":\"bearer\"}",
		 "RFC 6750"},
		{200, -EPROTO, "{\"access_token\":\"a\\u00e9\",\"token_type\":\"bearer\"}",
		 "RFC 6750"},
		{200, -EPROTO, "{\"access_token\":\"=\",\"token_type\":\"bearer\"}", "RFC 6750"},
		{200, -EPROTO, "{\"access_token\":\"a=b\",\"token_type\":\"bearer\"}", "RFC 6750"},
		{200, -EPROTO,
		 "{\"access_token\":\"abc\",\"token_type\":\"bearer\",\"expires_in\":"
		 "99999999999999999999}",
		 "numbers that are too large"},
		{200, -EPROTO,
		 "{\"access_token\":\"abc\",\"access_token\":\"def\",\"token_type\":\"bearer\"}",
		 "repeats a name"},
		{201, -EPROTO, "{\"access_token\":\"abc\",\"token_type\":\"bearer\"}",
		 "answers 201: is token-url right?"},
		{404, -EPROTO, "<html>", "answers 404: is token-url right?"},
		{400, -EACCES, "{\"error\":\"invalid_client\"}",
		 "refuses client client (400): invalid_client; see client-id, client-secret, "
		 "scope"},
		{401, -EACCES,
		 "{\"error\":\"invalid_client\",\"error_description\":\"No\\u001b[31m such\\n\"}",
		 "(401): invalid_client: No?[31m such?; see client-id"},
		{400, -EACCES, "{\"error\":\"invalid_scope\"}",
		 "(400): invalid_scope; see client-id, scope"},
		{401, -EACCES, "<html>", "(401): no reason told"},
		{403, -EACCES, "", "(403): no reason told"},
		{400, -EACCES, "{\"error\":{\"x\":1},\"error_description\":[]}",
		 "(400): no reason told; see"},
		{401, -EACCES, "{\"error\":\"the secret " TOKEN_RIG_SECRET " is wrong\"}",
		 "(401): <hidden: it repeats client-secret>; see"},
		{401, -EACCES,
		 "{\"error\":\"x\",\"error_description\":\"not " TOKEN_RIG_SECRET "\"}",
		 "(401): x: <hidden: it repeats client-secret>; see"},
		{429, -EBUSY, "", "answers 429: try later"},
		{500, -EBUSY, "", "answers 500: try later"},
		{503, -EBUSY, "", "answers 503: try later"},
	};
	struct server_settings s = server();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		token_rig_forget(&rig);
		token_rig_answer(&rig, cases[i].status, cases[i].body);
		token_rig_fails(&rig, &s, cases[i].error, cases[i].part);
	}
}

static void redirects(void **state)
{
	struct server_settings s = server();

	(void)state;
	token_rig_answer(&rig, 302, "");
	strcpy(rig.answers[0].location, "https://other.example/login?token=hidden");
	token_rig_fails(&rig, &s, -EPROTO,
			"answers 302 and points to 'https://other.example/login', which");
	assert_int_equal(rig.n_asked, 1);
}

static void every_character_of_a_token(void **state)
{
	struct server_settings s = server();

	(void)state;
	token_rig_answer(&rig, 200,
			 "{\"access_token\":\"aZ09-._~+/==\",\"token_type\":\"bEARER\"}");
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer aZ09-._~+/==");
}

static void the_longest_token(void **state)
{
	struct server_settings s = server();
	char *const body = rig.answers[0].body;
	size_t start;

	(void)state;
	for (size_t n = TOKEN_MAX; n <= TOKEN_MAX + 1; n++) {
		token_rig_forget(&rig);
		token_rig_answer(&rig, 200, "");
		strcpy(body, "{\"token_type\":\"bearer\",\"access_token\":\"");
		start = strlen(body);
		memset(body + start, 'a', n);
		strcpy(body + start + n, "\"}");
		if (n == TOKEN_MAX)
			assert_int_equal(strlen(token_rig_get(&rig, &s, NOW, false)), 7 + n);
		else
			token_rig_fails(&rig, &s, -EPROTO, "longer than 16384 bytes");
	}
}

static void errors_on_the_way(void **state)
{
	static const int errors[] = {-EKEYREJECTED, -ETIMEDOUT, -ECANCELED, -ECONNREFUSED, -EFBIG};
	struct server_settings s = server();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		token_rig_forget(&rig);
		token_rig_fail(&rig, errors[i]);
		token_rig_fails(&rig, &s, errors[i], "idp.example:443: it broke");
		s.token_url = NULL;
		s.issuer = "https://idp.example";
		token_rig_fail(&rig, errors[i]);
		token_rig_fails(&rig, &s, errors[i], "idp.example:443: it broke");
		s = server();
	}
	s.token_url = "http://192.0.2.1/token";
	token_rig_fails(&rig, &s, -EACCES, "192.0.2.1:80: http:// is not allowed");
	s.token_url = "https://user:" TOKEN_RIG_SECRET "@idp.example/";
	token_rig_fails(&rig, &s, -EINVAL, "token endpoint: the URL has a user name");
	s.token_url = NULL;
	token_rig_fails(&rig, &s, -EINVAL, "neither token-url nor issuer");
}

/* ---- RFC 8414 ---- */

static void where_metadata_are(void **state)
{
	static const struct {
		const char *issuer, *url;
	} cases[] = {
		{"https://idp.example",
		 "https://idp.example/.well-known/oauth-authorization-server"},
		{"https://idp.example/",
		 "https://idp.example/.well-known/oauth-authorization-server"},
		{"https://idp.example:8443/realms/x",
		 "https://idp.example:8443/.well-known/oauth-authorization-server/realms/x"},
		{"https://[::1]/a/b/", "https://[::1]/.well-known/oauth-authorization-server/a/b"},
	};
	struct server_settings s = server();
	char body[300];

	(void)state;
	s.token_url = NULL;
	s.ca = "/etc/ca.pem";
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		token_rig_forget(&rig);
		s.issuer = (char *)cases[i].issuer;
		snprintf(body, sizeof(body),
			 "{\"issuer\":\"%s\",\"token_endpoint\":\"https://elsewhere.example/t\"}",
			 s.issuer);
		token_rig_answer(&rig, 200, body);
		token_rig_answer(&rig, 200, "{\"access_token\":\"abc\",\"token_type\":\"bearer\"}");
		assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer abc");
		assert_string_equal(rig.asked[0].url, cases[i].url);
		assert_string_equal(rig.asked[0].method, "GET");
		assert_string_equal(rig.asked[0].ca, "/etc/ca.pem");
		assert_string_equal(rig.asked[0].user, "");
		assert_string_equal(rig.asked[1].url, "https://elsewhere.example/t");
		assert_string_equal(rig.asked[1].user, "client");
	}
	s.issuer = "https://idp.example/?x";
	token_rig_fails(&rig, &s, -EINVAL, "without query and fragment");
	s.issuer = "idp.example";
	token_rig_fails(&rig, &s, -EINVAL, "the issuer is no URL");
}

static void metadata_that_are_refused(void **state)
{
#define ISSUER	 "\"issuer\":\"https://idp.example/r\""
#define ENDPOINT "\"token_endpoint\":\"https://idp.example/t\""
#define METHODS	 "\"token_endpoint_auth_methods_supported\":"
	static const struct {
		int status, error;
		const char *body, *part;
	} cases[] = {
		{404, -EPROTO, "",
		 "idp.example: answers 404: is issuer (or name the endpoint with"},
		{503, -EBUSY, "", "answers 503"},
		{200, -EPROTO, "<html>", "no JSON object"},
		{200, -EPROTO, "{" ENDPOINT "}", "those of the issuer ''"},
		{200, -EPROTO, "{\"issuer\":\"https://idp.example/r/\"," ENDPOINT "}",
		 "those of the issuer 'https://idp.example/r/', not of the one configured"},
		{200, -EPROTO, "{\"issuer\":\"https://IDP.example/r\"," ENDPOINT "}",
		 "those of the issuer 'https://IDP.example/r'"},
		{200, -EPROTO, "{\"issuer\":\"" TOKEN_RIG_SECRET "\"," ENDPOINT "}", "<hidden"},
		{200, -EINVAL, "{" ISSUER ",\"token_endpoint\":\"https://" TOKEN_RIG_SECRET "/\"}",
		 "token endpoint: the URL"},
		{200, -EPROTO, "{" ISSUER "}", "no token_endpoint that is https://"},
		{200, -EPROTO, "{" ISSUER ",\"token_endpoint\":7}", "no token_endpoint"},
		{200, -EPROTO, "{" ISSUER ",\"token_endpoint\":\"http://127.0.0.1/t\"}",
		 "no token_endpoint that is https://"},
		{200, -EPROTO, "{" ISSUER ",\"token_endpoint\":\"file:///etc/x\"}",
		 "no token_endpoint that is https://"},
		{200, -EINVAL, "{" ISSUER ",\"token_endpoint\":\"https://a@b/\"}",
		 "token endpoint: the URL has a user name"},
		{200, -EINVAL, "{" ISSUER ",\"token_endpoint\":\"https://a/\\r\\nX: y\"}",
		 "token endpoint: the URL"},
		{200, -EPROTO,
		 "{" ISSUER "," ENDPOINT "," METHODS
		 "[\"client_secret_post\",\"private_key_jwt\"]}",
		 "do not offer client_secret_basic, which client-auth asks for, but: "
		 "client_secret_post, private_key_jwt"},
		{200, -EPROTO, "{" ISSUER "," ENDPOINT "," METHODS "[]}", "but: nothing"},
		{200, -EPROTO, "{" ISSUER "," ENDPOINT "," METHODS "\"client_secret_basic\"}",
		 "but: nothing"},
		{200, -EPROTO, "{" ISSUER "," ENDPOINT "," METHODS "[7,{},\"x\"]}", "but: ?, ?, x"},
	};
	struct server_settings s = server();

	(void)state;
	s.token_url = NULL;
	s.issuer = "https://idp.example/r";
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		token_rig_forget(&rig);
		token_rig_answer(&rig, cases[i].status, cases[i].body);
		token_rig_fails(&rig, &s, cases[i].error, cases[i].part);
		assert_int_equal(rig.n_asked, 1); /* no secret went anywhere */
	}
}

static void metadata_that_are_good(void **state)
{
	static const char *const bodies[] = {
		"{" ISSUER "," ENDPOINT "," METHODS "[\"x\",\"client_secret_basic\"]}",
		"{" ISSUER "," ENDPOINT "," METHODS "null,\"grant_types_supported\":[7]}",
		"{" ISSUER ",\"token_endpoint\":\"HTTPS://idp.example/t\",\"x\":{\"y\":[]}}",
	};
	struct server_settings s = server();

	(void)state;
	s.token_url = NULL;
	s.issuer = "https://idp.example/r";
	/* Not so good: a host that is our secret. */
	s.client_secret = "evil.example";
	token_rig_answer(&rig, 200, "{" ISSUER ",\"token_endpoint\":\"https://evil.example/t\"}");
	token_rig_answer(&rig, 404, "");
	token_rig_fails(&rig, &s, -EPROTO, "the reason repeats client-secret, and is not shown");
	s.client_secret = TOKEN_RIG_SECRET;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		token_rig_forget(&rig);
		token_rig_answer(&rig, 200, bodies[i]);
		token_rig_answer(&rig, 200, "{\"access_token\":\"abc\",\"token_type\":\"bearer\"}");
		token_rig_get(&rig, &s, NOW, false);
	}
	token_rig_forget(&rig);
	s.client_auth = CLIENT_SECRET_POST;
	token_rig_answer(&rig, 200,
			 "{" ISSUER "," ENDPOINT "," METHODS "[\"client_secret_basic\"]}");
	token_rig_fails(&rig, &s, -EPROTO, "do not offer client_secret_post");
	/* Plain http where that is allowed; whether it is loopback is seen when connecting. */
	token_rig_forget(&rig);
	s.allow_http = true;
	token_rig_answer(&rig, 200, "{" ISSUER ",\"token_endpoint\":\"http://127.0.0.1:8080/t\"}");
	token_rig_answer(&rig, 200, "{\"access_token\":\"abc\",\"token_type\":\"bearer\"}");
	token_rig_get(&rig, &s, NOW, false);
	assert_true(rig.asked[0].allow_http && rig.asked[1].allow_http);
}

/* ---- a file ---- */

static void write_token(const char *path, const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void token_files(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0: strlen() */
		mode_t mode;
		int error;
		const char *result;
	} cases[] = {
		{"abc", 0, 0600, 0, "Bearer abc"},
		{"abc\n", 0, 0400, 0, "Bearer abc"},
		{"abc \t\r\nmore\n", 0, 0640, 0, "Bearer abc"},
		{"", 0, 0600, -EPROTO, "the first line is empty"},
		{" \t\r\nabc", 0, 0600, -EPROTO, "the first line is empty"},
		{"Bearer abc\n", 0, 0600, -EPROTO, "without \"Bearer\""},
		{" abc\n", 0, 0600, -EPROTO, "must be the token alone"},
		{"a\0c\n", 4, 0600, -EPROTO, "must be the token alone"},
		{"abc\0\n", 5, 0600, -EPROTO, "must be the token alone"},
		{"a\xff\n", 0, 0600, -EPROTO, "must be the token alone"},
		{"abc\n", 0, 0644, -EPERM, "others may read or change it"},
		{"abc\n", 0, 0604, -EPERM, "others may read or change it"},
		{"abc\n", 0, 0602, -EPERM, "others may read or change it"},
		{"abc\n", 0, 0620, -EPERM, "others may read or change it"},
	};
	struct server_settings s = server();
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/my-token", rig.folder);
	s.auth = AUTH_TOKEN_FILE;
	s.token_file = path;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);

		unlink(path);
		write_token(path, cases[i].text, len, cases[i].mode);
		if (cases[i].error == 0)
			assert_string_equal(token_rig_get(&rig, &s, NOW, false), cases[i].result);
		else
			token_rig_fails(&rig, &s, cases[i].error, cases[i].result);
	}
	unlink(path);
	token_rig_fails(&rig, &s, -ENOENT, "my-token: cannot be read: No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	token_rig_fails(&rig, &s, -EINVAL, "my-token: not a regular file");
	unlink(path);
	s.token_file = rig.folder;
	token_rig_fails(&rig, &s, -EINVAL, "not a regular file");
	assert_int_equal(rig.n_asked, 0);
}

static void large_token_files(void **state)
{
	static char text[70000], expected[TOKEN_MAX + 16] = "Bearer ";
	struct server_settings s = server();
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/my-token", rig.folder);
	s.auth = AUTH_TOKEN_FILE;
	s.token_file = path;
	memset(text, 'a', sizeof(text));
	memset(expected + 7, 'a', TOKEN_MAX);
	write_token(path, text, TOKEN_MAX, 0600);
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), expected);
	write_token(path, text, TOKEN_MAX + 1, 0600);
	token_rig_fails(&rig, &s, -EFBIG, "the first line is longer than 16384 bytes");
	text[3] = '\n';
	write_token(path, text, 65536, 0600);
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer aaa");
	write_token(path, text, 65537, 0600);
	token_rig_fails(&rig, &s, -EFBIG, "larger than 65536 bytes");
}

static void a_token_file_is_read_each_time(void **state)
{
	struct server_settings s = server();
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/my-token", rig.folder);
	s.auth = AUTH_TOKEN_FILE;
	s.token_file = path;
	write_token(path, "abc", 3, 0600);
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer abc");
	write_token(path, "def", 3, 0600);
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer def");
	assert_string_equal(token_rig_get(&rig, &s, NOW, true), "Bearer def");
	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	assert_int_equal(access(path, F_OK), -1); /* no copy of it */
}

/* ---- a command ---- */

static void use_script(struct server_settings *s, char **words, char *script)
{
	s->auth = AUTH_TOKEN_COMMAND;
	words[0] = "/bin/sh";
	words[1] = "-c";
	words[2] = script;
	s->token_command = words;
	s->n_token_command = 3;
	s->timeout = 20;
}

static void token_commands(void **state)
{
	static const struct {
		const char *script;
		int error;
		const char *result;
	} cases[] = {
		{"echo abc; echo more; echo why >&2", 0, "Bearer abc"},
		{"printf 'abc  '", 0, "Bearer abc"},
		{":", -EPROTO, "/bin/sh: the first line is empty"},
		{"echo; echo abc", -EPROTO, "/bin/sh: the first line is empty"},
		{"echo two words", -EPROTO, "/bin/sh: the first line must be the token alone"},
		{"echo abc; exit 3", -EPROTO, "/bin/sh: ended with status 3: without a word"},
		{"echo abc; echo 'log in first' >&2; exit 1", -EPROTO,
		 "/bin/sh: ended with status 1: log in first"},
		{"kill -KILL $$", -EPROTO, "ended with status 137"},
		{"head -c 65537 /dev/zero", -EFBIG, "/bin/sh: printed more than 65536 bytes"},
	};
	struct server_settings s = server();
	char *words[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		use_script(&s, words, (char *)cases[i].script);
		if (cases[i].error == 0)
			assert_string_equal(token_rig_get(&rig, &s, NOW, false), cases[i].result);
		else
			token_rig_fails(&rig, &s, cases[i].error, cases[i].result);
	}
	words[0] = "/nonexistent/login";
	token_rig_fails(&rig, &s, -ENOENT, "/nonexistent/login: no such program");
	use_script(&s, words, "sleep 100");
	s.timeout = 1;
	token_rig_fails(&rig, &s, -ETIMEDOUT, "/bin/sh: did not end within 1 s");
	s.n_token_command = 0;
	token_rig_fails(&rig, &s, -EINVAL, "token-command is empty");
}

static void a_command_is_asked_once(void **state)
{
	struct server_settings s = server();
	char script[256], path[128], *words[3];

	(void)state;
	snprintf(script, sizeof(script), "echo x >> %s/count; wc -l < %s/count", rig.folder,
		 rig.folder);
	use_script(&s, words, script);
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer 1");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 1000000, false), "Bearer 1");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 1000000, true), "Bearer 2");
	assert_string_equal(token_rig_get(&rig, &s, NOW + 1000001, false), "Bearer 2");
	token_rig_again(&rig); /* in memory only */
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer 3");
	snprintf(path, sizeof(path), "%s/example.json", rig.folder);
	assert_int_equal(access(path, F_OK), -1);
	strcat(script, "; true"); /* another command */
	assert_string_equal(token_rig_get(&rig, &s, NOW, false), "Bearer 4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(answers_that_are_no_token),
		TEST(redirects),
		TEST(every_character_of_a_token),
		TEST(the_longest_token),
		TEST(errors_on_the_way),
		TEST(where_metadata_are),
		TEST(metadata_that_are_refused),
		TEST(metadata_that_are_good),
		TEST(token_files),
		TEST(large_token_files),
		TEST(a_token_file_is_read_each_time),
		TEST(token_commands),
		TEST(a_command_is_asked_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
