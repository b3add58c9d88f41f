// SPDX-License-Identifier: Apache-2.0
/* The audit log: whole lines, nothing secret, nobody else's file. */
#include "audit.h"

#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RUN  "00000000-0000-4000-8000-000000000001"
#define NOON 1763640000 /* 2025-11-20T12:00:00Z */

static char dir[] = "/tmp/botls-audit-XXXXXX", path[64];

static char *contents(void)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
	fclose(f);
	return text;
}

static struct audit *open_log(void)
{
	struct audit *a = NULL;
	struct errtext e = {};

	if (audit_open(path, RUN, &a, &e) < 0)
		fail_msg("%s", e.text);
	return a;
}

static struct jv *parse(const char *text)
{
	struct jv *v = NULL;

	assert_int_equal(jv_parse(text, strlen(text), &v, NULL), 0);
	return v;
}

static int fresh(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void lines_are_appended(void **state)
{
	struct audit *a = open_log();
	_cleanup_free_ char *text = NULL;
	struct stat s;

	(void)state;
	assert_int_equal(audit_write(a, NOON, "start", NULL, NULL), 0);
	audit_close(a);
	a = open_log();
	assert_int_equal(audit_write(a, NOON + 1, "step", parse("{\"n\":[1,{\"b\":true}]}"), NULL),
			 0);
	audit_close(a);
	text = contents();
	assert_string_equal(text, "{\"time\":\"2025-11-20T12:00:00Z\",\"run\":\"" RUN
				  "\",\"event\":\"start\"}\n"
				  "{\"time\":\"2025-11-20T12:00:01Z\",\"run\":\"" RUN
				  "\",\"event\":\"step\",\"n\":[1,{\"b\":true}]}\n");
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 07777, 0600);
}

/* What a caller calls its members changes nothing of what each line has. */
static void own_members_win(void **state)
{
	struct audit *a = open_log();
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_int_equal(audit_write(a, NOON, "step",
				     parse("{\"time\":\"x\",\"run\":1,\"event\":[],\"a\":\"\\n\"}"),
				     NULL),
			 0);
	audit_close(a);
	text = contents();
	assert_string_equal(text, "{\"time\":\"2025-11-20T12:00:00Z\",\"run\":\"" RUN
				  "\",\"event\":\"step\",\"a\":\"\\n\"}\n");
}

static void secrets_are_hidden(void **state)
{
	static const char *const names[] = {
		"md5",
		"ao",
		"password",
		"secret",
		"session_secret",
		"client_secret",
		"token",
		"access_token",
		"refresh_token",
		"id_token",
		"Authorization",
		"Set-Cookie",
		"peeringdb_key",
		"PEERINGDB-API-KEY",
		"api_key",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct audit *a = (fresh(NULL), open_log());
		_cleanup_free_ char *text = NULL, *members = NULL;

		assert_true(asprintf(&members,
				     "{\"%s\":\"hunter2\",\"a\":[[{\"%s\":{\"x\":\"hunter2\"}}],"
				     "{\"b\":{\"%s\":[\"hunter2\"]}}],\"z\":\"seen\"}",
				     names[i], names[i], names[i]) > 0);
		assert_int_equal(audit_write(a, NOON, "x", parse(members), NULL), 0);
		audit_close(a);
		text = contents();
		if (strstr(text, "hunter2"))
			fail_msg("%s", text);
		assert_non_null(strstr(text, "<hidden>"));
		assert_non_null(strstr(text, "\"z\":\"seen\""));
	}
}

/* Whatever a mapping keeps secret is secret here. */
static void mappings_secrets_too(void **state)
{
	static const char *const members[] = {"md5", "ao", "password", "key", "pins", "neighbor"};
	_cleanup_free_ char *text = NULL;
	struct audit *a = open_log();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct jv *o = jv_object_new();

		assert_int_equal(jv_set_string(o, members[i],
					       mapping_is_secret(members[i]) ? "hunter2" : "plain"),
				 0);
		assert_int_equal(audit_write(a, NOON, "x", o, NULL), 0);
	}
	audit_close(a);
	text = contents();
	assert_null(strstr(text, "hunter2"));
	assert_non_null(strstr(text, "\"key\":\"plain\""));
}

static void cut_line_is_ended(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct audit *a;
	FILE *f = fopen(path, "w");

	(void)state;
	fputs("{\"time\":\"2025", f);
	fclose(f);
	chmod(path, 0600);
	a = open_log();
	assert_int_equal(audit_write(a, NOON, "x", NULL, NULL), 0);
	audit_close(a);
	text = contents();
	assert_non_null(strstr(text, "{\"time\":\"2025\n{\"time\":\"2025-11-20T12:00:00Z\""));
}

static void assert_refused(int error, const char *words)
{
	struct audit *a = NULL;
	struct errtext e = {};

	assert_int_equal(audit_open(path, RUN, &a, &e), error);
	assert_null(a);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" is not in: %s", words, e.text);
}

static void other_peoples_files_are_refused(void **state)
{
	char target[80];

	(void)state;
	close(open(path, O_CREAT | O_WRONLY, 0600));
	chmod(path, 0620);
	assert_refused(-EPERM, "others may write");
	chmod(path, 0602);
	assert_refused(-EPERM, "others may write");
	chmod(path, 0644); /* an operator may let others read */
	audit_close(open_log());
	if (!geteuid()) {
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_refused(-EPERM, "belongs to user 65534");
	}
	unlink(path);
	snprintf(target, sizeof(target), "%s/elsewhere", dir);
	assert_int_equal(symlink(target, path), 0);
	assert_refused(-ELOOP, path);
	assert_int_equal(access(target, F_OK), -1);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(-EINVAL, "is not a file");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(-EISDIR, path);
	rmdir(path);
}

static void full_disk_is_told(void **state)
{
	char name[64], to[256] = "";
	struct audit *a = open_log();
	struct errtext e = {};
	int full = open("/dev/full", O_WRONLY), fd = 2;

	(void)state;
	assert_true(full >= 0);
	/* whichever descriptor of this process it is */
	while (strcmp(to, path) && fd < 256) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", ++fd);
		to[0] = '\0';
		if (readlink(name, to, sizeof(to) - 1) > 0)
			to[strlen(path)] = '\0';
	}
	assert_int_equal(dup2(full, fd), fd);
	assert_int_equal(audit_write(a, NOON, "x", NULL, &e), -ENOSPC);
	assert_non_null(strstr(e.text, path));
	audit_close(a);
	close(full);
}

/* Two processes write at the same time: every line is whole. */
static void lines_do_not_mix(void **state)
{
	_cleanup_free_ char *text = NULL, *filler = calloc(1, 3001);
	size_t lines = 0;
	int status;

	(void)state;
	memset(filler, 'x', 3000);
	for (int child = 0; child < 2; child++) {
		struct audit *a = open_log();

		if (fork()) {
			audit_close(a);
			continue;
		}
		for (int i = 0; i < 100; i++) {
			struct jv *o = jv_object_new();

			if (jv_set_string(o, "filler", filler) ||
			    audit_write(a, NOON, "x", o, NULL))
				_exit(1);
		}
		_exit(0);
	}
	for (int child = 0; child < 2; child++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	text = contents();
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++)
		jv_free(parse(line));
	assert_int_equal(lines, 200);
}

static void ids_are_random(void **state)
{
	char a[37], b[37];

	(void)state;
	audit_new_id(a);
	audit_new_id(b);
	assert_int_equal(strlen(a), 36);
	assert_string_not_equal(a, b);
	for (size_t i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			assert_int_equal(a[i], '-');
		else
			assert_non_null(strchr("0123456789abcdef", a[i]));
	}
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_are_appended, fresh),
		cmocka_unit_test_setup(own_members_win, fresh),
		cmocka_unit_test_setup(secrets_are_hidden, fresh),
		cmocka_unit_test_setup(mappings_secrets_too, fresh),
		cmocka_unit_test_setup(cut_line_is_ended, fresh),
		cmocka_unit_test_setup(other_peoples_files_are_refused, fresh),
		cmocka_unit_test_setup(full_disk_is_told, fresh),
		cmocka_unit_test_setup(lines_do_not_mix, fresh),
		cmocka_unit_test(ids_are_random),
	};
	int r;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return r;
}
