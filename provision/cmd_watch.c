// SPDX-License-Identifier: Apache-2.0
/*
 * botls-provision watch: follows what was asked for until all of it is established or its time is
 * over; with --apply, the resident form of apply. Every round opens everything anew, so that a
 * changed configuration and what other subcommands did in between are seen.
 */
#include "cmd.h"
#include "jitter.h"
#include "notify.h"
#include "status.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>

struct seen {
	char neighbor[ADDR_STRLEN];
	enum status_state state;
};
struct watching {
	const struct cmd *cmd;
	bool apply;
	unsigned interval; /* 0: as configured */
	struct seen *seen;
	size_t n_seen;
};

static struct seen *find_seen(struct watching *w, const char *neighbor)
{
	for (size_t i = 0; i < w->n_seen; i++)
		if (strcmp(w->seen[i].neighbor, neighbor) == 0)
			return &w->seen[i];
	return NULL;
}

static int tell_row(const struct watching *w, const struct status_row *r)
{
	char when[TEXT_TIME_LEN];
	_cleanup_free_ char *line = NULL;
	int64_t now = world_now(NULL);
	struct jv *o;

	if (!w->cmd->json) {
		text_print("%s  %-8s %s (AS%u, %s)%s%s\n", text_time_short(now, now, when),
			   status_state_name(r->state), r->neighbor, r->asn, r->server,
			   *r->info ? ": " : "", r->info);
		return 0;
	}
	o = status_describe(r);
	if (jv_set_int(o, "time", now) == 0)
		line = jv_dump_line(o, NULL);
	jv_free(o);
	if (!line)
		return -ENOMEM;
	fputs(line, stdout);
	return 0;
}

/* Says what is new since the last round. */
static int tell_changes(struct watching *w, const struct status *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct status_row *r = &s->rows[i];
		struct seen *known = find_seen(w, r->neighbor), *more;

		if (known && known->state == r->state)
			continue;
		if (!known) {
			more = reallocarray(w->seen, w->n_seen + 1, sizeof(*more));
			if (!more)
				return -ENOMEM;
			w->seen = more;
			known = &more[w->n_seen++];
			strcpy(known->neighbor, r->neighbor);
		}
		known->state = r->state;
		if (tell_row(w, r) < 0)
			return -ENOMEM;
	}
	fflush(stdout);
	return 0;
}

/* What servers decided about what is pending, when they were asked last. */
static void refresh(struct world *w)
{
	_cleanup_gathered_ struct gathered g = {};
	struct errtext e;

	if (gather(w, &g, &e) < 0) {
		world_progress_end(w);
		if (!world_is_cancelled())
			text_complain("%s", e.text);
		return;
	}
	world_progress_end(w);
	gathered_remember(w, &g);
}

static enum cmd_exit look(struct watching *watching, struct world *w, bool *ret_is_open)
{
	__attribute__((cleanup(status_done))) struct status s = {};
	enum cmd_exit code = CMD_OK;
	struct errtext e;

	*ret_is_open = false;
	if (status_look(w, &s, &e) < 0) {
		text_complain("%s", e.text);
		return CMD_FAILED;
	}
	if (tell_changes(watching, &s) < 0)
		return CMD_FAILED;
	for (size_t i = 0; i < s.n; i++) {
		*ret_is_open |= s.rows[i].is_open;
		if (s.rows[i].is_asked && s.rows[i].state != STATUS_UP)
			code = CMD_ATTENTION;
	}
	return code;
}

/* One round. *ret_seconds: until the next one. */
static enum cmd_exit turn(struct watching *watching, bool *ret_is_open, unsigned *ret_seconds)
{
	const struct cmd *c = watching->cmd;
	enum cmd_exit code = CMD_OK, looked;
	struct world w;

	*ret_is_open = true;
	if (world_open(&w, c->config, watching->apply ? WORLD_WRITE : WORLD_LOOK, true) < 0)
		return CMD_FAILED;
	*ret_seconds = watching->interval ? watching->interval : w.settings->interval;
	if (watching->apply) {
		struct cmd quiet = *c;
		struct jv *answer = NULL;

		quiet.json = true; /* the answer is not printed, the changes below are */
		code = cmd_apply_once(&quiet, &w, -1, &answer);
		jv_free(answer);
	} else {
		refresh(&w);
	}
	looked = look(watching, &w, ret_is_open);
	world_close(&w);
	return code == CMD_OK ? looked : code;
}

/* In pieces, so that the watchdog is fed. */
static int wait_for_next(unsigned seconds)
{
	uint64_t left = jitter_ms((uint64_t)seconds * 1000), watchdog = notify_watchdog_ms();

	while (left) {
		uint64_t piece = watchdog && watchdog < left ? watchdog : left;

		notify_watchdog();
		if (world_wait_ms(NULL, piece) < 0)
			return -ECANCELED;
		left -= piece;
	}
	return 0;
}

static enum cmd_exit run(struct watching *w)
{
	unsigned seconds = 60;
	bool is_open = true, is_ready = false;
	enum cmd_exit code;

	for (;;) {
		code = turn(w, &is_open, &seconds);
		if (!is_ready)
			notify_ready();
		is_ready = true;
		/* Resident: it goes on whatever happens; the next round may find the server back.
		 */
		if (world_is_cancelled())
			break;
		if (!w->apply && (code == CMD_FAILED || !is_open))
			return code;
		if (wait_for_next(seconds) < 0)
			break;
	}
	notify_stopping();
	return w->apply ? CMD_OK : code;
}

enum cmd_exit cmd_watch(const struct cmd *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"apply", no_argument, NULL, 'a'}, {"interval", required_argument, NULL, 'i'}, {}};
	struct watching w = {.cmd = c};
	enum cmd_exit code;
	int64_t n;
	int opt;

	while ((opt = getopt_long(argc, argv, "ai:", options, NULL)) != -1) {
		switch (opt) {
		case 'a': w.apply = true; break;
		case 'i':
			n = cmd_number("--interval", optarg, 86400);
			if (n < 1)
				return CMD_USAGE;
			w.interval = n;
			break;
		default: return cmd_usage("watch");
		}
	}
	if (optind != argc)
		return cmd_usage("watch");
	code = run(&w);
	free(w.seen);
	return code;
}
