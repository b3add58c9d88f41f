/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "botlsctl doctor": a table of groups of checks, one file per group. A check looks at one thing,
 * changes nothing, ends within seconds, and says what it saw by doctor_say(), once or for each
 * thing that it looked at. It is right for it to say nothing when there is nothing to look at.
 */
#ifndef BOTLS_CTL_DOCTOR_H
#define BOTLS_CTL_DOCTOR_H

#include "ctl.h"

#include "config.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };
#define DOCTOR_STATES (DOCTOR_FAIL + 1)

/* Lines of one check and state that are printed; JSON has all. */
#define DOCTOR_LINES_MAX 12

struct doctor {
	const struct ctl *c;
	bool is_root;
	/* botlsd's answers; NULL when it gave none */
	struct jv *show, *steering, *plan;
	struct errtext unreachable; /* why `show` is NULL */
	/* what is on disk; NULL when it cannot be used */
	char *path;
	struct config *config;
	struct jv *problems; /* of it: {"where", "text"} */

	const char *group, *check; /* that run now */
	bool has_title;		   /* the group's is printed */
	struct jv *results;
	size_t counts[DOCTOR_STATES], lines[DOCTOR_STATES];
	bool is_out_of_memory;
};

struct doctor_check {
	const char *name;
	void (*run)(struct doctor *d);
};

struct doctor_group {
	const char *title;
	const struct doctor_check *checks;
	size_t n;
};

extern const struct doctor_group doctor_daemon, doctor_kernel, doctor_credentials, doctor_neighbors,
	doctor_system;

/* What was seen, and, where something is to be done, what: `next`, else NULL. */
void doctor_say(struct doctor *d, enum doctor_state state, const char *next, const char *fmt, ...)
	PRINTF(4, 5);

/* What botlsd tells about the neighbor at this place of the configuration; NULL: nothing. */
const struct jv *doctor_status(const struct doctor *d, size_t at);

/* ctl_doctor_proc.c: what /proc says. */
struct doctor_process {
	int pid; /* 0: not known (not root) */
	unsigned uid;
	char command[32]; /* "" unknown */
	char user[40];
};
/* Who listens for TCP on this port in this network namespace, each process once; at most `max`. */
size_t doctor_listeners(unsigned port, struct doctor_process *ret, size_t max);
/* Who runs a program of one of these names. */
size_t doctor_find_processes(const char *const *commands, size_t n, struct doctor_process *ret,
			     size_t max);
/* A limit of a process, as in /proc/PID/limits: UINT64_MAX when unlimited. -errno. */
int doctor_limit(int pid, const char *name, uint64_t *ret);
/* The systemd service that a process belongs to. -ENOENT: none. */
int doctor_unit_of(int pid, char *buf, size_t size);
/* Runs a program without a shell and takes the first `size` bytes of what it prints. Its exit
 * status, or -errno. */
int doctor_run(char *const argv[], char *buf, size_t size);

#endif
