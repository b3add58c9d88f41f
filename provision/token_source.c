// SPDX-License-Identifier: Apache-2.0
#include "token_internal.h"

#include "program.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_MAX (64 << 10)

bool token_is_b68(const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				"-._~+/");

	return n > 0 && text[n + strspn(text + n, "=")] == '\0';
}

int token_from_text(const char *text, size_t len, const char *from, int64_t now, struct token *ret,
		    struct errtext *e)
{
	const char *end = memchr(text, '\n', len);
	_cleanup_wiped_ char *line = NULL;
	size_t n = end ? (size_t)(end - text) : len;

	while (n > 0 && strchr(" \t\r", text[n - 1]) && text[n - 1])
		n--;
	if (n == 0)
		return errtext_set(e, -EPROTO,
				   "%s: the first line is empty: a token must stand "
				   "there",
				   from);
	if (n > TOKEN_MAX)
		return errtext_set(e, -EFBIG, "%s: the first line is longer than %d bytes", from,
				   TOKEN_MAX);
	line = strndup(text, n);
	if (!line)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (strlen(line) != n || !token_is_b68(line))
		return errtext_set(e, -EPROTO,
				   "%s: the first line must be the token alone, without blanks and "
				   "without \"Bearer\" (RFC 6750)",
				   from);
	*ret = (struct token){.value = TAKE(line), .obtained = now, .expires = INT64_MAX};
	return 0;
}

static int check_file(const struct stat *st, const char *path, struct errtext *e)
{
	if (!S_ISREG(st->st_mode))
		return errtext_set(e, -EINVAL, "%s: not a regular file", path);
	if (st->st_mode & (S_IRWXO | S_IWGRP))
		return errtext_set(e, -EPERM,
				   "%s: others may read or change it: chmod o=,g-w it, and renew "
				   "the token",
				   path);
	if (st->st_size > FILE_MAX)
		return errtext_set(e, -EFBIG, "%s: larger than %d bytes", path, FILE_MAX);
	return 0;
}

int token_from_file(const struct server_settings *s, int64_t now, struct token *ret,
		    struct errtext *e)
{
	_cleanup_close_ int fd = open(s->token_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_wiped_ char *text = NULL;
	size_t len = 0;
	struct stat st = {};
	ssize_t n = 0;
	int r;

	r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (r < 0)
		return errtext_set(e, r, "%s: cannot be read: %s", s->token_file, strerror(-r));
	r = check_file(&st, s->token_file, e);
	if (r < 0)
		return r;
	text = malloc(FILE_MAX);
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	do {
		n = read(fd, text + len, FILE_MAX - len);
		r = n < 0 && errno != EINTR ? -errno : 0;
		len += n > 0 ? n : 0;
	} while (r == 0 && n != 0 && len < FILE_MAX);
	if (r < 0)
		return errtext_set(e, r, "%s: cannot be read: %s", s->token_file, strerror(-r));
	return token_from_text(text, len, s->token_file, now, ret, e);
}

int token_from_command(const struct server_settings *s, int64_t now, struct token *ret,
		       struct errtext *e)
{
	_cleanup_program_result_ struct program_result result = {};
	_cleanup_free_ const char **argv = calloc(s->n_token_command + 1, sizeof(*argv));
	struct program p = {.argv = argv, .timeout = s->timeout, .output_max = FILE_MAX};
	char text[96];
	int r;

	if (!argv || !s->n_token_command)
		return errtext_set(e, -EINVAL, "token-command is empty");
	for (size_t i = 0; i < s->n_token_command; i++)
		argv[i] = s->token_command[i];
	r = program_run(&p, &result, e);
	if (r < 0)
		return r;
	if (result.status != 0) {
		/* Only what it complained of: what it printed may be a token. */
		const struct program_result err = {.out = "", .err = result.err};

		program_complaint(&err, text, sizeof(text));
		return errtext_set(e, -EPROTO, "%s: ended with status %d: %s", argv[0],
				   result.status, *text ? text : "without a word");
	}
	return token_from_text(result.out, result.out_len, argv[0], now, ret, e);
}
