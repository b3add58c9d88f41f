// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char folder[] = "/tmp/botls-program-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct program_result run(const struct program *p)
{
	struct program_result r;
	struct errtext e;
	int error = program_run(p, &r, &e);

	if (error < 0)
		fail_msg("%d: %s", error, e.text);
	return r;
}

static struct program_result shell(const char *script)
{
	const char *const argv[] = {"sh", "-c", script, "sh", "two words", NULL};

	return run(&(struct program){.argv = argv, .timeout = 20});
}

static void assert_fails(const struct program *p, int error, const char *part)
{
	struct program_result r, same;
	struct errtext e = {};
	int got;

	memset(&r, 7, sizeof(r));
	same = r;
	got = program_run(p, &r, &e);
	if (got != error || !strstr(e.text, part))
		fail_msg("%d, '%s'; expected %d, '%s'", got, e.text, error, part);
	assert_memory_equal(&r, &same, sizeof(r));
}

static void output_and_status(void **state)
{
	_cleanup_program_result_ struct program_result r = {}, none = {}, killed = {};

	(void)state;
	r = shell("echo \"$1\"; echo oops >&2; printf 'a\\0b'; exit 7");
	assert_int_equal(r.status, 7);
	assert_string_equal(r.out, "two words\na");
	assert_int_equal(r.out_len, 13);
	assert_memory_equal(r.out, "two words\na\0b", 14);
	assert_string_equal(r.err, "oops\n");
	none = shell(":");
	assert_int_equal(none.status, 0);
	assert_string_equal(none.out, "");
	assert_string_equal(none.err, "");
	killed = shell("kill -TERM $$");
	assert_int_equal(killed.status, 128 + SIGTERM);
}

static void input(void **state)
{
	const char *const cat[] = {"cat", NULL}, *const head[] = {"head", "-c", "3", NULL};
	const size_t len = 700000; /* more than the pipes hold, both ways at once */
	_cleanup_program_result_ struct program_result r = {}, some = {}, none = {};
	_cleanup_free_ char *text = malloc(len + 1);
	struct sigaction before;

	(void)state;
	for (size_t i = 0; i < len; i++)
		text[i] = 'a' + i % 26;
	text[len] = '\0';
	r = run(&(struct program){.argv = cat, .input = text, .timeout = 20});
	assert_int_equal(r.out_len, len);
	assert_string_equal(r.out, text);
	/* It need not read; nobody dies of SIGPIPE, whose handling is as before. */
	some = run(&(struct program){.argv = head, .input = text, .timeout = 20});
	assert_int_equal(some.status, 0);
	assert_string_equal(some.out, "abc");
	assert_int_equal(sigaction(SIGPIPE, NULL, &before), 0);
	assert_ptr_equal(before.sa_handler, SIG_DFL);
	none = run(&(struct program){.argv = cat, .timeout = 20});
	assert_string_equal(none.out, "");
	program_result_done(&none);
	none = run(&(struct program){.argv = cat, .input = "", .timeout = 20});
	assert_string_equal(none.out, "");
}

static void bounds(void **state)
{
	const char *const exact[] = {"head", "-c", "5000", "/dev/zero", NULL};
	const char *const more[] = {"head", "-c", "5001", "/dev/zero", NULL};
	const char *const much[] = {"head", "-c", "1048577", "/dev/zero", NULL};
	const char *const err[] = {"sh", "-c", "head -c 5001 /dev/zero >&2", NULL};
	const char *const endless[] = {"cat", "/dev/zero", NULL};
	_cleanup_program_result_ struct program_result r = {};

	(void)state;
	r = run(&(struct program){.argv = exact, .timeout = 20, .output_max = 5000});
	assert_int_equal(r.out_len, 5000);
	assert_fails(&(struct program){.argv = more, .timeout = 20, .output_max = 5000}, -EFBIG,
		     "head: printed more than 5000 bytes");
	assert_fails(&(struct program){.argv = err, .timeout = 20, .output_max = 5000}, -EFBIG,
		     "sh: printed more than 5000 bytes");
	assert_fails(&(struct program){.argv = much, .timeout = 20}, -EFBIG,
		     "more than 1048576 bytes");
	assert_fails(&(struct program){.argv = endless, .timeout = 20}, -EFBIG, "cat:");
}

static bool is_alive(int pid)
{
	char path[64], after_name = 0;
	_cleanup_fclose_ FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	return f && fscanf(f, "%*d (%*[^)]) %c", &after_name) == 1 && after_name != 'Z' &&
	       after_name != 'X';
}

/* Of the process whose number stands in that file. */
static void wait_for_end(const char *path)
{
	const struct timespec step = {.tv_nsec = 10 * 1000 * 1000};
	_cleanup_fclose_ FILE *f = fopen(path, "r");
	int pid = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	for (int i = 0; is_alive(pid); i++) {
		assert_true(i < 1000);
		nanosleep(&step, NULL);
	}
}

static void time_out(void **state)
{
	char script[256], path[64];
	const char *const argv[] = {"sh", "-c", script, NULL};

	(void)state;
	snprintf(path, sizeof(path), "%s/grandchild", folder);
	/* All of it goes, whatever it does against that. */
	snprintf(script, sizeof(script), "trap '' TERM INT HUP; sleep 1000 & echo $! > %s; wait",
		 path);
	assert_fails(&(struct program){.argv = argv, .timeout = 1}, -ETIMEDOUT,
		     "sh: did not end within 1 s");
	wait_for_end(path);
	strcpy(script, "exec >&- 2>&-; sleep 1000");
	assert_fails(&(struct program){.argv = argv, .timeout = 1}, -ETIMEDOUT, "sh: did not end");
	strcpy(script, "while :; do echo x; sleep 0.1; done");
	assert_fails(&(struct program){.argv = argv, .timeout = 1}, -ETIMEDOUT, "sh: did not end");
}

static void what_it_leaves_behind(void **state)
{
	_cleanup_program_result_ struct program_result r = {};

	(void)state;
	/* The sleeper holds our pipes open; its parent's end is what counts. */
	r = shell("sleep 1000 & echo $!; echo done");
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "\ndone\n"));
	assert_int_equal(kill(atoi(r.out), SIGKILL), 0);
}

static void not_to_be_run(void **state)
{
	char path[64], there[64];
	const char *const missing[] = {"botls-no-such-program", NULL};
	const char *const missing_path[] = {"/nonexistent/program", NULL};
	const char *const plain[] = {path, NULL}, *const script[] = {there, NULL};
	FILE *f;

	(void)state;
	assert_fails(&(struct program){.argv = missing}, -ENOENT,
		     "botls-no-such-program: no such program in PATH");
	assert_fails(&(struct program){.argv = missing_path}, -ENOENT,
		     "/nonexistent/program: no such program");
	snprintf(path, sizeof(path), "%s/plain", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_fails(&(struct program){.argv = plain}, -EACCES, "plain: may not be run");
	snprintf(there, sizeof(there), "%s/garbage", folder);
	f = fopen(there, "w");
	assert_non_null(f);
	fputs("echo this is not run by a shell\n", f);
	fclose(f);
	assert_int_equal(chmod(there, 0755), 0);
	assert_fails(&(struct program){.argv = script}, -ENOEXEC, "garbage: cannot be run");
}

static void environment(void **state)
{
	_cleanup_program_result_ struct program_result r = {};
	const char *const env[] = {"env", NULL};

	(void)state;
	setenv("BOTLS_TEST_SECRET", "x", 1);
	setenv("LC_ALL", "tlh", 1);
	setenv("LANG", "de_DE.UTF-8", 1);
	setenv("HOME", "/root/home", 1);
	r = run(&(struct program){.argv = env, .timeout = 20});
	assert_null(strstr(r.out, "BOTLS_TEST_SECRET"));
	assert_non_null(strstr(r.out, "LC_ALL=C\n"));
	assert_non_null(strstr(r.out, "LANG=de_DE.UTF-8\n"));
	assert_non_null(strstr(r.out, "HOME=/root/home\n"));
	assert_non_null(strstr(r.out, "PATH=/"));
	unsetenv("BOTLS_TEST_SECRET");
	unsetenv("LC_ALL");
	unsetenv("LANG");
}

static void path_lookup(void **state)
{
	char path[64], program[64], *before = strdup(getenv("PATH"));
	const char *const argv[] = {"botls-test-tool", NULL};
	_cleanup_program_result_ struct program_result r = {};
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "/nonexistent:%s", folder);
	snprintf(program, sizeof(program), "%s/botls-test-tool", folder);
	f = fopen(program, "w");
	assert_non_null(f);
	fputs("#!/bin/sh\necho found $PATH\n", f);
	fclose(f);
	assert_int_equal(chmod(program, 0755), 0);
	setenv("PATH", path, 1);
	r = run(&(struct program){.argv = argv, .timeout = 20});
	assert_int_equal(strncmp(r.out, "found /nonexistent:", 19), 0);
	setenv("PATH", before, 1);
	free(before);
}

static void what_it_inherits(void **state)
{
	const char *const grep[] = {"grep", "-E", "SigBlk|SigIgn", "/proc/self/status", NULL};
	int leaked = open("/dev/null", O_RDONLY); /* not close-on-exec */
	_cleanup_program_result_ struct program_result r = {}, signals = {};
	unsigned long blocked, ignored;
	sigset_t usr1, before;

	(void)state;
	assert_true(leaked > 2);
	assert_int_equal(fcntl(leaked, F_DUPFD, 200), 200);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &before);
	signal(SIGUSR2, SIG_IGN);
	r = shell("cd /proc/self/fd && echo *");
	/* 3 is what the shell has open to list the folder. */
	if (strncmp(r.out, "0 1 2\n", 6) != 0 && strncmp(r.out, "0 1 2 3\n", 8) != 0)
		fail_msg("%s", r.out);
	signals =
		run(&(struct program){.argv = grep, .timeout = 20}); /* a shell has its own ways */
	assert_int_equal(sscanf(signals.out, "SigBlk: %lx SigIgn: %lx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & ~(3UL << 31), 0); /* 32 and 33 are the C library's own */
	close(200);
	close(leaked);
	signal(SIGUSR2, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void no_terminal(void **state)
{
	_cleanup_program_result_ struct program_result r = {};
	int sid = 0, pgid = 0, pid = 0;

	(void)state;
	r = shell("set -- $(cat /proc/$$/stat); echo $6 $5 $$");
	assert_int_equal(sscanf(r.out, "%d %d %d", &sid, &pgid, &pid), 3);
	assert_int_equal(sid, pid);
	assert_int_equal(pgid, pid);
}

/* A parent without standard descriptors: the pipes get their numbers. */
static int without_descriptors(unsigned closed, const char *input)
{
	const char *const argv[] = {"sh", "-c", "cat; echo err >&2", NULL};
	const struct program p = {.argv = argv, .input = input, .timeout = 20};
	struct program_result r;
	struct errtext e;

	for (int fd = 0; fd < 3; fd++)
		if (closed >> fd & 1)
			close(fd);
	if (program_run(&p, &r, &e) < 0)
		return 1;
	return strcmp(r.out, input ? input : "") != 0 || strcmp(r.err, "err\n") != 0;
}

static void low_descriptors(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		int status;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(without_descriptors(i & 7, i & 8 ? "in\n" : NULL));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status)
			fail_msg("%u: %d", i, status);
	}
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void nothing_is_left_open(void **state)
{
	const char *const missing[] = {"botls-no-such-program", NULL};
	unsigned before = open_descriptors();

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct program_result r = shell("echo x");

		program_result_done(&r);
		assert_fails(&(struct program){.argv = missing, .input = "x"}, -ENOENT, "");
	}
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void complaints(void **state)
{
	static const struct {
		const char *out, *err, *complaint;
	} cases[] = {
		{"", "", ""},
		{" \n\t\n", "\n", ""},
		{"out\n", "err\nmore\n", "err"},
		{"out", "\n  \n", "out"},
		{"\n\n  % Unknown\tcommand: x  \r\nnext\n", "", "% Unknown command: x"},
		{"", "a\x1b[31mb\xff\n", "a?[31mb?"},
		{"", "caf\u00e9", "caf\u00e9"},
	};
	char buf[64], small[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct program_result r = {.out = (char *)cases[i].out,
					   .err = (char *)cases[i].err};

		assert_string_equal(program_complaint(&r, buf, sizeof(buf)), cases[i].complaint);
	}
	assert_string_equal(program_complaint(&(struct program_result){.out = "", .err = "abcdefg"},
					      small, sizeof(small)),
			    "abcde");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_status),
		cmocka_unit_test(input),
		cmocka_unit_test(bounds),
		cmocka_unit_test(time_out),
		cmocka_unit_test(what_it_leaves_behind),
		cmocka_unit_test(not_to_be_run),
		cmocka_unit_test(environment),
		cmocka_unit_test(path_lookup),
		cmocka_unit_test(what_it_inherits),
		cmocka_unit_test(no_terminal),
		cmocka_unit_test(low_descriptors),
		cmocka_unit_test(nothing_is_left_open),
		cmocka_unit_test(complaints),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
