/* SPDX-License-Identifier: Apache-2.0 */
/*
 * botlsctl: what its subcommands share. A subcommand asks botlsd one question and prints the
 * answer; it returns the exit code of the program.
 */
#ifndef BOTLS_CTL_H
#define BOTLS_CTL_H

#include "json.h"
#include "table.h"
#include "text.h"
#include "util.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum ctl_exit {
	CTL_OK = 0,
	CTL_NO = 1, /* botlsd refused, or the kernel does not agree with it */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3, /* no botlsd, or nothing from it that can be understood */
};

#define CTL_ANSWER_TIMEOUT 10 /* seconds */

struct ctl {
	const char *socket;
	bool json;
	bool dry_run;
	unsigned width; /* columns of the terminal; 0: no limit */
	time_t now;
};

struct ctl_command {
	const char *name;
	const char *arguments;
	const char *help;
	bool takes_dry_run;
	/* argv[0] is the first argument. */
	enum ctl_exit (*run)(const struct ctl *c, int argc, char **argv);
};

enum ctl_exit ctl_show(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_steering(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_reload(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_reset(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_log(const struct ctl *c, int argc, char **argv);

/* botlsctl.c. The index of the name that `word` is, or is the only one to begin with; else says so
 * and returns -1. */
int ctl_match(const char *word, const char *const *names, size_t n, const char *what);
/* Says how `name` is used; CTL_USAGE. */
enum ctl_exit ctl_usage(const char *name);
/* The canonical text of an address argument (static storage), or says what is wrong with it and
 * returns NULL. */
const char *ctl_neighbor_argument(const char *text);

/* ctl_client.c. A request object with one argument (value NULL: left out; key NULL: none). NULL:
 * out of memory. */
struct jv *ctl_request(const char *command, const char *key, const char *value);
/* Sends the request (taken over) and waits. With --json the answer is printed here, and *ret_answer
 * is still set. CTL_OK: botlsd said yes. Else the reason has been printed and *ret_answer is
 * untouched. */
enum ctl_exit ctl_ask(const struct ctl *c, struct jv *request, struct jv **ret_answer);
/* After reading an answer: CTL_OK, or says what was wrong with it: CTL_UNREACHABLE. */
enum ctl_exit ctl_understood(const struct errtext *problem);

/* ctl_neighbor.c. All that is known of one neighbor. */
void ctl_print_neighbor(const struct ctl *c, const struct jv_cursor *neighbor);
/* The session that carries `bgp`, the best state; else the first one; value NULL when there is
 * none. */
struct jv_cursor ctl_best_session(const struct jv_cursor *sessions, const char *bgp);

/* ctl_advice.c. What an operator does about a failure of that reason; NULL when there is nothing to
 * say. */
const char *ctl_advice(const char *reason);

#endif
