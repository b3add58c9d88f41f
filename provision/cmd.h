/* SPDX-License-Identifier: Apache-2.0 */
/* botls-provision: what its subcommands share. botls-provision(8). */
#ifndef BOTLS_CMD_H
#define BOTLS_CMD_H

#include "gather.h"
#include "json.h"
#include "world.h"

enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1,
	CMD_CHANGES = 2,   /* plan --exit-code: something would change */
	CMD_ATTENTION = 3, /* done, and a human should look at something */
	CMD_USAGE = 64,	   /* EX_USAGE */
};

struct cmd {
	const char *config;
	bool json;
	bool is_quiet;	/* no progress */
	unsigned width; /* columns of the terminal; 0: no limit */
};

struct cmd_entry {
	const char *name, *arguments, *help;
	/* argv[0] is the subcommand's name, for getopt. */
	enum cmd_exit (*run)(const struct cmd *c, int argc, char **argv);
};

enum cmd_exit cmd_check(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_probe(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_locations(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_sessions(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_request(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_accept(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_status(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_plan(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_apply(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_watch(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_delete(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_hold(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_register(const struct cmd *c, int argc, char **argv);
enum cmd_exit cmd_template(const struct cmd *c, int argc, char **argv);

/* Says how `name` is used; CMD_USAGE. */
enum cmd_exit cmd_usage(const char *name);
/* Prints and frees it; CMD_FAILED when that fails (and when v is NULL: out of memory), else
 * `code`. */
enum cmd_exit cmd_print_json(struct jv *v, enum cmd_exit code);
/* A number 0 to max, or complains with the name of the option: -1. */
int64_t cmd_number(const char *option, const char *text, int64_t max);
/* "4 min", "2 h", "3 d": a duration in its largest unit. Returns buf. */
const char *cmd_duration(int64_t seconds, char buf[static 32]);

/* cmd_show_plan.c */
void cmd_show_plan(const struct cmd *c, const struct gathered *g, const struct plan *p);
/* {"servers": [..], "plan": {..}}; NULL: out of memory. */
struct jv *cmd_describe_plan(const struct gathered *g, const struct plan *p);
/* What a human has to look at: a failed server, an alarm, a blocked deletion. */
bool cmd_needs_attention(const struct gathered *g, const struct plan *p);

/* cmd_apply.c. One run of apply with an open world; prints unless c->json. `ret_answer` (may be
 * NULL): what --json prints. */
enum cmd_exit cmd_apply_once(const struct cmd *c, struct world *w, int64_t force,
			     struct jv **ret_answer);

#endif
