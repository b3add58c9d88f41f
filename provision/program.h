/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program and collects what it says, bounded in time and size. No shell. Its standard
 * input is /dev/null or the given text; it inherits no other descriptor and no ignored or blocked
 * signal. It has no terminal, so that it cannot stop and ask. Of the environment it gets PATH, LANG
 * and HOME, and LC_ALL=C.
 *
 * It is done when it ends, also when processes that it leaves behind hold its output open. On a
 * time-out, or when it says too much, it and its process group are killed. What it said is wiped
 * before it is freed.
 */
#ifndef BOTLS_PROGRAM_H
#define BOTLS_PROGRAM_H

#include "util.h"

struct program {
	const char *const *argv; /* argv[0] is looked for in PATH when it has no slash */
	const char *input;	 /* NULL: none; it need not read it */
	unsigned timeout;	 /* seconds; 0: 30 */
	size_t output_max;	 /* of out and err each; more is -EFBIG. 0: 1 MiB */
};
struct program_result {
	int status;	 /* exit status; 128 + N: signal N */
	char *out, *err; /* never NULL */
	size_t out_len;
};
void program_result_done(struct program_result *r);
#define _cleanup_program_result_ __attribute__((cleanup(program_result_done)))

/* 0 with any exit status; -ENOENT, -EACCES (cannot be run), -ETIMEDOUT, -EFBIG, ... with the name
 * of the program in *e. */
int program_run(const struct program *p, struct program_result *ret, struct errtext *e);

/* The first line that says something, of err before out, for messages; "" when there is none.
 * Printable. */
const char *program_complaint(const struct program_result *r, char *buf, size_t size);

#endif
