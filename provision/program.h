/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program and collects what it says, bounded in time and size. No shell. Its standard
 * input is /dev/null or the given text, it inherits no descriptor, and on a time-out it and its
 * process group are killed.
 */
#ifndef BOTLS_PROGRAM_H
#define BOTLS_PROGRAM_H

#include "util.h"

struct program {
	const char *const *argv; /* argv[0] is looked for in PATH when it has no slash */
	const char *input;	 /* NULL: none */
	unsigned timeout;	 /* seconds */
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

/* The first line that says something, for messages; "" when there is none. Printable. */
const char *program_complaint(const struct program_result *r, char *buf, size_t size);

#endif
