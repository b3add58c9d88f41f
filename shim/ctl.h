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

#include <signal.h>
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
	const char *config; /* doctor: NULL unless said */
	bool json;
	bool dry_run;
	unsigned width; /* columns of the terminal; 0: no limit */
	unsigned interval_ms;
	unsigned count; /* watch: how often; 0: without end */
	time_t now;
	const volatile sig_atomic_t *interrupted; /* ends the wait for an answer; may be NULL */
};

/* The options that not every command takes. */
enum ctl_takes {
	CTL_DRY_RUN = 1 << 0,
	CTL_INTERVAL = 1 << 1, /* and a count */
	CTL_CONFIG = 1 << 2,
	CTL_OPTIONS = 1 << 3, /* of its own: all that follows its name is left to it, for getopt(3),
				 with the name as argv[0] */
};

struct ctl_command {
	const char *name;
	/* Keywords in lower case, what stands for a value in capitals: completion reads it too. */
	const char *arguments;
	const char *help;
	unsigned takes; /* enum ctl_takes */
	/* argv[0] is the first argument. */
	enum ctl_exit (*run)(const struct ctl *c, int argc, char **argv);
};

enum ctl_exit ctl_show(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_steering(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_reload(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_reset(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_log(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_watch(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_doctor(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_complete(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_capture(const struct ctl *c, int argc, char **argv);
enum ctl_exit ctl_metrics(const struct ctl *c, int argc, char **argv);

/* botlsctl.c. The index of the name that `word` is, or is the only one to begin with; else says so
 * and returns -1. */
int ctl_match(const char *word, const char *const *names, size_t n, const char *what);
/* Says how `name` is used; CTL_USAGE. */
enum ctl_exit ctl_usage(const char *name);
/* The canonical text of an address argument (static storage), or says what is wrong with it and
 * returns NULL. */
const char *ctl_neighbor_argument(const char *text);

/* All commands. */
const struct ctl_command *ctl_commands(size_t *ret_n);

/* ctl_client.c. A request object with one argument (value NULL: left out; key NULL: none). NULL:
 * out of memory. */
struct jv *ctl_request(const char *command, const char *key, const char *value);
/* Sends the request (taken over) and waits. CTL_OK: an answer came that says whether it is "ok".
 * Else *e has the reason, and nothing was printed. */
enum ctl_exit ctl_fetch(const struct ctl *c, struct jv *request, struct jv **ret_answer,
			struct errtext *e);
/* The same where CTL_OK means that botlsd said yes; else the reason has been printed, as JSON when
 * that was asked for and botlsd gave it. */
enum ctl_exit ctl_get(const struct ctl *c, struct jv *request, struct jv **ret_answer);
/* The same; with --json the answer is printed here. */
enum ctl_exit ctl_ask(const struct ctl *c, struct jv *request, struct jv **ret_answer);
/* NULL: out of memory. */
enum ctl_exit ctl_print_json(const struct jv *answer);
/* The same for an answer that comes with a descriptor, which is the caller's. */
enum ctl_exit ctl_ask_fd(const struct ctl *c, struct jv *request, struct jv **ret_answer,
			 int *ret_fd);
/* After reading an answer: CTL_OK, or says what was wrong with it: CTL_UNREACHABLE. */
enum ctl_exit ctl_understood(const struct errtext *problem);

/* ctl_filter.c. Which neighbors: "neighbor ADDRESS", "state STATE", "mode MODE", "session ...". */
struct ctl_filter {
	const char *neighbor; /* NULL: all */
	const char *state;    /* one of botlsd's, or "not-up": neither up nor off; NULL: all */
	const char *mode;
	bool wants_sessions;
	int64_t session; /* its id; -1: all */
};
/* `command` is for the complaint. CTL_OK or CTL_USAGE. The strings are static or of argv. */
enum ctl_exit ctl_filter_parse(const char *command, int argc, char **argv, struct ctl_filter *ret);
bool ctl_filter_fits(const struct ctl_filter *f, const struct jv_cursor *neighbor);
/* The states of a neighbor, and "not-up" after them. */
extern const char *const ctl_states[10];

/* ctl_fields.c. A line of a label and a value; what is longer than the terminal goes on below. */
void ctl_field(const struct ctl *c, int indent, const char *label, const char *fmt, ...)
	PRINTF(4, 5);
void ctl_field_as(const struct ctl *c, enum text_style style, int indent, const char *label,
		  const char *fmt, ...) PRINTF(5, 6);
void ctl_field_string(const struct ctl *c, const struct jv_cursor *at, const char *key, int indent,
		      const char *label);
void ctl_field_int(const struct ctl *c, const struct jv_cursor *at, const char *key, int indent,
		   const char *label);
/* Counters of TCP-AO; `others` before those that are not of this key. Nothing when there are none.
 */
void ctl_field_ao(const struct ctl *c, const struct jv_cursor *ao, int indent, const char *label,
		  const char *others);
/* "untrusted 3, expired 1": the members that are not 0; *buf is empty when there are none. */
void ctl_join_counts(const struct jv_cursor *counts, char *buf, size_t size);
/* How long ago: "3h05m", "-" when `then` is 0. */
const char *ctl_ago(const struct ctl *c, int64_t then, char buf[static TEXT_TIME_LEN]);

/* ctl_list.c. Of a state, and of a session's or neighbor's "bgp". */
enum text_style ctl_state_style(const char *state);
enum text_style ctl_bgp_style(const char *bgp);
/* Who the neighbor is, or what went wrong with it; with or without its AS number. */
void ctl_info(const struct jv_cursor *neighbor, bool with_as, char *buf, size_t size);
/* The AS number of its OPEN, or the configured one; 0 unknown. */
int64_t ctl_as(const struct jv_cursor *neighbor);
/* The session that carries the neighbor's best BGP state, else the first one; value NULL when there
 * is none. Valid as long as *sessions, which is set, and the neighbor. */
struct jv_cursor ctl_best_session(const struct jv_cursor *neighbor, struct jv_cursor *sessions);
enum ctl_exit ctl_print_list(const struct ctl *c, const struct jv_cursor *at,
			     const struct ctl_filter *f);
/* "5 neighbors: 3 up, 1 clear, 1 off" and a newline. */
void ctl_print_counts(const struct jv_cursor *neighbors);
/* Two lines about the daemon itself. */
void ctl_print_daemon(const struct ctl *c, const struct jv_cursor *at);

/* ctl_neighbor.c. All that is known of one neighbor. */
void ctl_print_neighbor(const struct ctl *c, const struct jv_cursor *neighbor);

/* ctl_session.c. All that is known of one session. */
void ctl_print_session(const struct ctl *c, const struct jv_cursor *session, const char *neighbor);
/* One line for each session; with an id or a neighbor: everything about those that fit. */
enum ctl_exit ctl_print_sessions(const struct ctl *c, const struct jv_cursor *at,
				 const struct ctl_filter *f);

/* ctl_advice.c. What an operator does about a failure of that reason; NULL when there is nothing to
 * say. */
const char *ctl_advice(const char *reason);

#endif
