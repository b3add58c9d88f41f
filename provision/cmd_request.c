// SPDX-License-Identifier: Apache-2.0
/* botls-provision request: asks a server for sessions and says what it answered. */
#include "cmd.h"
#include "request.h"
#include "text.h"

#include <getopt.h>

struct options {
	struct request_wish wish;
	struct addr *peers;
	struct addr local;
	struct location location;
	bool dry_run;
};

struct answers {
	const struct cmd *cmd;
	struct jv *list; /* --json */
	int error;
	bool needs_attention;
	enum our_side side;
};

static void print_session(char sign, const struct record *r, const char *what, const char *why)
{
	char local[ADDR_STRLEN], neighbor[ADDR_STRLEN];

	text_print("  %c %-9s%s (AS%u), %s, from %s\n", sign, what,
		   addr_format(&r->receiver.ip, neighbor), r->receiver.asn,
		   *r->location.id ? r->location.id : "location not told",
		   addr_format(&r->initiator.ip, local));
	if (*why)
		text_print("      %s\n", why);
}

static int describe(struct jv *list, const struct record *r, const char *what, const char *why)
{
	struct jv *o = jv_object_new();
	int bad = jv_set_string(o, "outcome", what);

	bad |= jv_set_string(o, "reason", *why ? why : NULL);
	bad |= jv_set(o, "session", record_describe(r));
	return bad | jv_append(list, o);
}

static char sign_of(enum outcome_kind k)
{
	switch (k) {
	case OUTCOME_APPROVED: return '+';
	case OUTCOME_PENDING: return '.';
	case OUTCOME_REJECTED: return '-';
	case OUTCOME_HUMAN:
	case OUTCOME_UNKNOWN: return '!';
	}
	return '?';
}

static void on_outcome(void *arg, const struct outcome *o, bool is_extra)
{
	struct answers *a = arg;
	const char *what = is_extra ? "proposed" : outcome_name(o->kind);

	a->needs_attention |= o->kind == OUTCOME_HUMAN || o->kind == OUTCOME_UNKNOWN || is_extra;
	if (a->list)
		a->error |= describe(a->list, &o->record, what, o->reason);
	else
		print_session(is_extra ? '*' : sign_of(o->kind), &o->record, what, o->reason);
}

static int describe_skipped(const struct request *r, struct jv *list)
{
	int bad = 0;

	for (size_t i = 0; i < r->n_skipped; i++) {
		struct jv *o = jv_object_new();

		bad |= jv_set_string(o, "neighbor", r->skipped[i].neighbor);
		bad |= jv_set_string(o, "reason", r->skipped[i].reason);
		bad |= jv_append(list, o);
	}
	return bad;
}

static void print_skipped(const struct request *r)
{
	for (size_t i = 0; i < r->n_skipped; i++)
		text_print("    not asked %s: %s\n", r->skipped[i].neighbor, r->skipped[i].reason);
}

static enum cmd_exit finish(const struct cmd *c, struct answers *a, const struct request *r,
			    enum cmd_exit code, const char *problem)
{
	struct jv *o, *skipped;
	int bad;

	if (!c->json) {
		if (*problem)
			text_complain("%s", problem);
		return code;
	}
	o = jv_object_new();
	skipped = jv_array_new();
	bad = a->error | describe_skipped(r, skipped);
	bad |= jv_set(o, "sessions", TAKE(a->list));
	bad |= jv_set(o, "skipped", skipped);
	bad |= jv_set_string(o, "problem", *problem ? problem : NULL);
	if (bad) {
		jv_free(o);
		o = NULL;
	}
	return cmd_print_json(o, code);
}

static enum cmd_exit show_only(const struct cmd *c, struct answers *a, const struct request *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (a->list)
			a->error |= describe(a->list, &r->sessions[i], "would be asked", "");
		else
			print_session('?', &r->sessions[i], "to ask", "");
	}
	return finish(c, a, r, CMD_OK, "");
}

static enum cmd_exit run(const struct cmd *c, struct world *w, const struct options *o)
{
	__attribute__((cleanup(request_done))) struct request r = {};
	struct answers a = {.cmd = c};
	struct api_error e = {};
	struct errtext problem;
	int result = request_prepare(w, &o->wish, &r, &problem);

	world_progress_end(w);
	if (result < 0) {
		text_complain("%s", problem.text);
		return CMD_FAILED;
	}
	a.list = c->json ? jv_array_new() : NULL;
	if (!c->json)
		print_skipped(&r);
	if (o->dry_run)
		return show_only(c, &a, &r);
	if (!r.n && !c->json)
		text_print("There is nothing to ask for.\n");
	result = request_send(w, o->wish.server, &r, on_outcome, &a, &e);
	world_progress_end(w);
	if (result < 0)
		return finish(c, &a, &r, CMD_FAILED, e.text);
	return finish(c, &a, &r, a.needs_attention ? CMD_ATTENTION : CMD_OK, "");
}

/* SERVER and the peers' addresses. */
static int parse_arguments(struct world *w, struct options *o, int argc, char **argv)
{
	struct errtext e;

	o->wish.server = world_server(w, argv[0]);
	o->peers = calloc(argc, sizeof(*o->peers));
	if (!o->wish.server || !o->peers)
		return -1;
	for (int i = 1; i < argc; i++) {
		if (addr_parse(argv[i], &o->peers[i - 1], &e) < 0) {
			text_complain("%s", e.text);
			return -1;
		}
		o->wish.n_peers++;
	}
	o->wish.peers = o->peers;
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"common", no_argument, NULL, 'c'},	    {"again", no_argument, NULL, 'a'},
		{"dry-run", no_argument, NULL, 'n'},	    {"local", required_argument, NULL, 'l'},
		{"location", required_argument, NULL, 'w'}, {}};
	struct errtext e;
	int opt;

	while ((opt = getopt_long(argc, argv, "canl:w:", options, NULL)) != -1) {
		int r = 0;

		switch (opt) {
		case 'c': o->wish.is_common = true; break;
		case 'a': o->wish.is_again = true; break;
		case 'n': o->dry_run = true; break;
		case 'l':
			r = addr_parse(optarg, &o->local, &e);
			o->wish.local = &o->local;
			break;
		case 'w':
			r = location_parse(optarg, &o->location, &e);
			o->wish.location = &o->location;
			break;
		default: return -1;
		}
		if (r < 0) {
			text_complain("%s", e.text);
			return -1;
		}
	}
	return 0;
}

enum cmd_exit cmd_request(const struct cmd *c, int argc, char **argv)
{
	struct options o = {};
	enum cmd_exit code = CMD_FAILED;
	struct world w;

	if (parse_options(argc, argv, &o) < 0 || argc - optind < 1 ||
	    (argc - optind == 1) != o.wish.is_common)
		return cmd_usage("request");
	if (world_open(&w, c->config, o.dry_run ? WORLD_LOOK : WORLD_WRITE,
		       c->is_quiet || c->json) < 0)
		return CMD_FAILED;
	if (parse_arguments(&w, &o, argc - optind, argv + optind) == 0)
		code = run(c, &w, &o);
	free(o.peers);
	world_close(&w);
	return code;
}
