// SPDX-License-Identifier: Apache-2.0
/*
 * FRR: a file of commands that nothing includes. What it means for the running bgpd is worked out
 * against `show running-config` each time, so that a bgpd that was started again, from a
 * configuration that knows nothing of ours, gets all of it back. Nothing is written to FRR's own
 * files. Commands go to vtysh through its standard input: they may hold passwords.
 */
#include "frr_config.h"
#include "target_internal.h"
#include "text.h"
#include "wipe.h"

#include <errno.h>

#define CHECK_TIMEOUT 120
#define SHOW_TIMEOUT  60
#define LOAD_TIMEOUT  600

static int run_vtysh(const struct daemon_target *d, const char *const *words, const char *input,
		     unsigned timeout, struct program_result *ret, struct errtext *e)
{
	const char *argv[10] = {d->settings->vtysh, "-d", "bgpd"};
	const struct program p = {
		.argv = argv, .input = input, .timeout = timeout, .output_max = TARGET_OUTPUT_MAX};
	size_t n = 3;

	if (d->daemon->socket) {
		argv[n++] = "--vty_socket";
		argv[n++] = d->daemon->socket;
	}
	while (*words)
		argv[n++] = *words++;
	return program_run(&p, ret, e);
}

static bool begins(const char *line, size_t len, const char *with)
{
	return len >= strlen(with) && strncmp(line, with, strlen(with)) == 0;
}

/* "line 4: % Unknown command[25]:  neighbor ..." says the whole line; the number is enough. */
static const char *find_numbered(const char *output, unsigned *ret_number)
{
	const char *line;
	size_t len;
	int used;

	while ((line = target_next_line(&output, &len)))
		if (sscanf(line, "line %u%n", ret_number, &used) == 1 && line[used] == ':')
			return line + used + 1;
	return NULL;
}

/* What bgpd itself has said: "% Specify remote-as or peer-group commands first". */
static bool find_said(const char *output, char *buf, size_t size)
{
	char text[120];
	const char *line;
	size_t len;

	while ((line = target_next_line(&output, &len))) {
		while (len && strchr(" \t\r%", *line)) {
			line++;
			len--;
		}
		if (len && !begins(line, len, "Can't open configuration file") &&
		    !begins(line, len, "line ")) {
			snprintf(text, sizeof(text), "%.*s", (int)len, line);
			text_copy(buf, size, text);
			return true;
		}
	}
	return false;
}

static const char *line_number(const char *text, unsigned number, size_t *ret_len)
{
	const char *line = NULL;
	size_t len;

	while (number-- && (line = target_next_line(&text, &len)))
		;
	*ret_len = line ? len : 0;
	return line ? line : "";
}

/* vtysh -f: is there something wrong with a line? `commands` is what it read. */
int frr_judge(const char *out, const char *err, int status, const char *commands, const char *name,
	      struct errtext *e)
{
	char said[120] = "", line[120], what[40] = "";
	unsigned number = 0;
	const char *problem;
	size_t len;

	problem = find_numbered(err, &number);
	if (!problem)
		problem = find_numbered(out, &number);
	if (!find_said(out, said, sizeof(said)))
		find_said(err, said, sizeof(said));
	if (!problem && !said[0] && status == 0)
		return 0;
	if (strstr(said, "failed to connect"))
		return errtext_set(e, -ENOTCONN, "bgpd does not answer: %s", said);
	if (!problem)
		return errtext_set(e, -EINVAL, "FRR refuses %s: %s", name,
				   said[0] ? said : "vtysh failed without a word");
	problem += strspn(problem, " %");
	sscanf(problem, "%39[A-Za-z ]", what);
	if (!said[0])
		snprintf(said, sizeof(said), "%s", what[0] ? what : "refused");
	problem = line_number(commands, number, &len);
	return errtext_set(e, -EINVAL, "FRR refuses line %u of %s, '%s': %s", number, name,
			   target_line_beginning(problem, len, line, sizeof(line)), said);
}

static int check(struct target *t, struct errtext *e)
{
	const struct daemon_target *d = daemon_target_of(t);
	const char *words[] = {"-C", "-f", t->file, NULL};
	_cleanup_program_result_ struct program_result result = {};
	_cleanup_frr_config_ struct frr_config *config = NULL;
	_cleanup_wiped_ char *text = NULL;
	struct errtext problem = {};
	int r;

	r = target_read(t, &text, e);
	if (r < 0)
		return r;
	if (!text)
		return 0;
	r = frr_config_parse(text, false, &config, &problem);
	if (r < 0)
		return errtext_set(e, r, "%s: %s", t->file, problem.text);
	r = run_vtysh(d, words, NULL, CHECK_TIMEOUT, &result, e);
	return r < 0 ? r : frr_judge(result.out, result.err, result.status, text, t->file, e);
}

static int parse(const char *text, bool is_running, struct frr_config **ret, struct errtext *e)
{
	if (!text) {
		*ret = NULL;
		return 0;
	}
	return frr_config_parse(text, is_running, ret, e);
}

static int ask_running(const struct daemon_target *d, struct frr_config **ret, struct errtext *e)
{
	const char *words[] = {"-c", "show running-config", NULL};
	_cleanup_program_result_ struct program_result result = {};
	char complaint[160];
	int r;

	r = run_vtysh(d, words, NULL, SHOW_TIMEOUT, &result, e);
	if (r < 0)
		return r;
	if (result.status != 0)
		return errtext_set(e, -ENOTCONN, "bgpd does not answer: %s",
				   program_complaint(&result, complaint, sizeof(complaint)));
	/* Where it ends says that it is whole. */
	if (!strstr(result.out, "\nend\n"))
		return errtext_set(e, -EPROTO, "vtysh's running configuration has no end");
	return frr_config_parse(result.out, true, ret, e);
}

static int run_commands(const struct daemon_target *d, const char *commands, struct errtext *e)
{
	const char *words[] = {"-f", "/dev/stdin", NULL};
	_cleanup_program_result_ struct program_result result = {};
	int r;

	if (!commands[0])
		return 0;
	r = run_vtysh(d, words, commands, LOAD_TIMEOUT, &result, e);
	return r < 0 ? r
		     : frr_judge(result.out, result.err, result.status, commands, "the commands",
				 e);
}

static int load(struct target *t, const char *before, const char *text, struct errtext *e)
{
	const struct daemon_target *d = daemon_target_of(t);
	_cleanup_frr_config_ struct frr_config *running = NULL, *was = NULL, *wanted = NULL;
	_cleanup_wiped_ char *commands = NULL;
	int r;

	r = parse(text, false, &wanted, e);
	/* What FRR follows has been understood once; if it is not now, it is unknown. */
	if (!r && parse(before, false, &was, NULL) == -ENOMEM)
		r = errtext_set(e, -ENOMEM, "out of memory");
	if (!r)
		r = ask_running(d, &running, e);
	if (!r)
		r = frr_config_commands(d->settings->asn, TARGET_DESCRIPTION, running, was, wanted,
					&commands, e);
	if (!r)
		r = run_commands(d, commands, e);
	return r;
}

static struct observed *find(const struct observation *o, const char *neighbor, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(o->items[i].neighbor, neighbor) == 0)
			return &o->items[i];
	return NULL;
}

/* One of a family's peers; the same neighbor may be in several families. `n`: how many there were
 * before this family. */
static int observe_peer(const char *name, const struct jv *peer, size_t n, struct observation *ret)
{
	const char *state = jv_get_string(peer, "state", "");
	struct observed *o = find(ret, name, n);
	int r;

	if (!o) {
		r = observation_add(ret, name, &o);
		if (r == -EINVAL) /* unnumbered ones, by interface */
			return 0;
		if (r < 0)
			return r;
	}
	o->is_ours = strncmp(jv_get_string(peer, "desc", ""), TARGET_DESCRIPTION,
			     strlen(TARGET_DESCRIPTION)) == 0;
	o->is_established |= strcmp(state, "Established") == 0;
	o->is_shut = strcmp(state, "Idle (Admin)") == 0;
	o->remote_as = jv_get_int(peer, "remoteAs", 0);
	text_copy(o->state, sizeof(o->state), state);
	return 0;
}

int frr_observe(const char *output, size_t len, struct observation *ret, struct errtext *e)
{
	_cleanup_jv_ struct jv *answer = NULL;
	int r;

	r = target_parse_json(output, len, &answer, e);
	if (r < 0)
		return r;
	if (!jv_is_object(answer))
		return errtext_set(e, -EPROTO, "vtysh's answer is no object");
	for (struct jv_iter family = {}; !r && jv_next(answer, &family);) {
		const struct jv *peers = jv_get(family.value, "peers");
		size_t n = ret->n;

		for (struct jv_iter it = {}; jv_is_object(peers) && !r && jv_next(peers, &it);)
			r = observe_peer(it.key, it.value, n, ret);
	}
	return r;
}

static int ask(struct target *t, struct observation *ret, struct errtext *e)
{
	const char *words[] = {"-c", "show bgp summary json", NULL};
	_cleanup_program_result_ struct program_result result = {};
	char complaint[160];
	int r;

	r = run_vtysh(daemon_target_of(t), words, NULL, SHOW_TIMEOUT, &result, e);
	if (r < 0)
		return r;
	if (result.status != 0)
		return errtext_set(e, -ENOTCONN, "bgpd does not answer: %s",
				   program_complaint(&result, complaint, sizeof(complaint)));
	return frr_observe(result.out, result.out_len, ret, e);
}

static int observe(struct target *t, struct observation *ret)
{
	return target_observe_by(t, ask, ret);
}

/* A template of the operator's must keep what sessions are recognized by. */
static int render(const struct target *t, const struct owned *const *sessions, size_t n,
		  char **ret_text, struct errtext *e)
{
	const struct daemon_target *d = daemon_target_of(t);
	const char *name = d->daemon->template_file ? d->daemon->template_file : "frr.tmpl";
	_cleanup_frr_config_ struct frr_config *config = NULL;
	_cleanup_wiped_ char *text = NULL;
	struct errtext problem = {};
	int r;

	r = daemon_target_render(t, sessions, n, &text, e);
	if (r < 0)
		return r;
	r = frr_config_parse(text, false, &config, &problem);
	if (r < 0)
		return errtext_set(e, r, "%s: the text that it gives: %s", name, problem.text);
	for (size_t i = 0; i < n; i++) {
		const struct jv *m = sessions[i]->mapping;
		const char *neighbor = jv_get_string(m, "neighbor", "");

		if (sessions[i]->phase != PHASE_GONE &&
		    strcmp(jv_get_string(m, "daemon", ""), t->name) == 0 &&
		    !frr_config_is_marked(config, d->settings->asn, neighbor, TARGET_DESCRIPTION))
			return errtext_set(e, -EINVAL,
					   "%s: neighbor %s gets no description in router bgp %u "
					   "that begins with '%s'",
					   name, neighbor, d->settings->asn, TARGET_DESCRIPTION);
	}
	*ret_text = TAKE(text);
	return 0;
}

static const struct target_ops ops = {
	.render = render,
	.read = daemon_target_read,
	.write = daemon_target_write,
	.check = check,
	.load = load,
	.observe = observe,
	.free = daemon_target_free,
};

int target_new_frr(const struct settings *s, const struct daemon_settings *d, struct target **ret,
		   struct errtext *e)
{
	return daemon_target_new(s, d, &ops, "frr", ret, e);
}
