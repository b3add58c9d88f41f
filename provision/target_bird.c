// SPDX-License-Identifier: Apache-2.0
/*
 * BIRD 2: a file that bird.conf includes. birdc is asked with -v, which puts a number before each
 * answer (nest/cli.h there): 0 is success, 8 and 9 are failures, "-" says that more follows.
 */
#include "target_internal.h"
#include "text.h"
#include "textbuf.h"
#include "wipe.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>

#define CHECK_TIMEOUT  60
#define CTL_TIMEOUT    60
#define DEFAULT_CONFIG "/etc/bird/bird.conf"

enum reply_code {
	REPLY_READING = 2,
	REPLY_RECONFIGURED = 3,
	REPLY_IN_PROGRESS = 4,
	REPLY_QUEUED = 5,
	REPLY_CONFIG_OK = 20,
	REPLY_PROTOCOL = 1002,
	REPLY_PROTOCOL_DETAILS = 1006,
	REPLY_FAILURE = 8000, /* this and above */
};

/* One line of an answer; a line that begins with a blank has the number of the line before it. */
struct reply {
	int code;
	const char *text;
	size_t len;
};

static bool next_reply(const char **output, struct reply *r)
{
	size_t len;
	const char *line = target_next_line(output, &len);

	if (!line)
		return false;
	if (len >= 5 && isdigit(line[0]) && isdigit(line[1]) && isdigit(line[2]) &&
	    isdigit(line[3]) && (line[4] == ' ' || line[4] == '-'))
		*r = (struct reply){atoi(line), line + 5, len - 5};
	else
		*r = (struct reply){r->code, line, len};
	return true;
}

static const char *config_of(const struct daemon_target *d)
{
	return d->daemon->config ? d->daemon->config : DEFAULT_CONFIG;
}

static int run_birdc(const struct daemon_target *d, const char *command, bool only_looks,
		     struct program_result *ret, struct errtext *e)
{
	const char *argv[8] = {d->settings->birdc, "-v"};
	const struct program p = {
		.argv = argv, .timeout = CTL_TIMEOUT, .output_max = TARGET_OUTPUT_MAX};
	char complaint[200];
	size_t n = 2;
	int r;

	if (only_looks)
		argv[n++] = "-r";
	if (d->daemon->socket) {
		argv[n++] = "-s";
		argv[n++] = d->daemon->socket;
	}
	argv[n++] = command;
	r = program_run(&p, ret, e);
	if (r < 0)
		return r;
	/* A command that BIRD refuses is 1 as well, but then it has said so in its answer. */
	if (ret->status != 0 && strncmp(ret->out, "0001", 4) != 0)
		return errtext_set(e, -ENOTCONN, "BIRD does not answer: %s",
				   program_complaint(ret, complaint, sizeof(complaint)));
	return 0;
}

static int refused(const char *command, const struct reply *r, struct errtext *e)
{
	char said[220], clean[220];

	snprintf(said, sizeof(said), "%.*s", (int)r->len, r->text);
	text_copy(clean, sizeof(clean), said);
	return errtext_set(e, -EINVAL, "BIRD refuses '%s': %s", command, clean);
}

/* Does the daemon behind the socket read the file that we check and write for? */
static int compare_config(const struct daemon_target *d, const struct reply *r, struct errtext *e)
{
	static const char prefix[] = "Reading configuration from ";
	_cleanup_free_ char *theirs = NULL, *ours = NULL;
	char path[PATH_MAX];

	if (r->len < strlen(prefix) || strncmp(r->text, prefix, strlen(prefix)) != 0)
		return 0;
	snprintf(path, sizeof(path), "%.*s", (int)(r->len - strlen(prefix)),
		 r->text + strlen(prefix));
	theirs = realpath(path, NULL);
	ours = realpath(config_of(d), NULL);
	/* One in a file system of its own cannot be compared. */
	if (!theirs || !ours || strcmp(theirs, ours) == 0)
		return 0;
	text_copy(path, sizeof(path), theirs);
	return errtext_set(e, -EINVAL,
			   "the BIRD at this socket reads %.80s, not %.80s: correct `config` or "
			   "`socket` of daemon %s",
			   path, config_of(d), d->daemon->name);
}

int bird_judge(const char *output, const char *command, const struct daemon_target *d,
	       struct errtext *e)
{
	struct reply reply = {.text = ""};
	bool is_done = false;
	int r = 0;

	while (next_reply(&output, &reply)) {
		if (reply.code >= REPLY_FAILURE)
			return refused(command, &reply, e);
		if (reply.code == REPLY_READING)
			r = compare_config(d, &reply, e);
		if (r < 0)
			return r;
		if (reply.code == REPLY_RECONFIGURED || reply.code == REPLY_IN_PROGRESS ||
		    reply.code == REPLY_QUEUED || reply.code == REPLY_CONFIG_OK)
			is_done = true;
	}
	return is_done ? 0 : refused(command, &reply, e);
}

static int configure(const struct daemon_target *d, const char *command, struct errtext *e)
{
	_cleanup_program_result_ struct program_result result = {};
	int r;

	r = run_birdc(d, command, false, &result, e);
	return r < 0 ? r : bird_judge(result.out, command, d, e);
}

static int check(struct target *t, struct errtext *e)
{
	const struct daemon_target *d = daemon_target_of(t);
	const char *argv[] = {d->settings->bird, "-p", "-c", config_of(d), NULL};
	const struct program p = {.argv = argv, .timeout = CHECK_TIMEOUT};
	_cleanup_program_result_ struct program_result result = {};
	char complaint[200];
	bool is_read;
	int r;

	r = target_run_reader(&p, t->file, &result, &is_read, e);
	if (r < 0)
		return r;
	if (result.status != 0)
		return errtext_set(e, -EINVAL, "BIRD refuses its configuration: %s",
				   program_complaint(&result, complaint, sizeof(complaint)));
	if (!is_read)
		return errtext_set(e, -EINVAL,
				   "%s does not include %s: add the line  include \"%s\";  behind "
				   "the functions that it calls",
				   config_of(d), t->file, t->file);
	return 0;
}

/* The protocols of a text that are disabled. */
static int find_disabled(const char *text, struct names *ret)
{
	_cleanup_textbuf_ struct textbuf found = {};
	const char *name = NULL, *line;
	size_t len, name_len = 0;

	while (text && (line = target_next_line(&text, &len))) {
		if (len > 13 && strncmp(line, "protocol bgp ", 13) == 0) {
			name = line + 13;
			name_len = len - 13;
		} else if (name && memmem(line, len, "disabled yes;", 13)) {
			textbuf_printf(&found, "%.*s\n", (int)name_len, name);
		}
	}
	return found.has_failed ? -ENOMEM : names_find(found.text, "", ret);
}

static void disable(const struct daemon_target *d, const char *name, bool is_disabled)
{
	_cleanup_program_result_ struct program_result result = {};
	char command[200];
	struct errtext e;

	if (is_disabled)
		snprintf(command, sizeof(command), "disable %s \"" TARGET_SHUTDOWN "\"", name);
	else
		snprintf(command, sizeof(command), "enable %s", name);
	/* Only for the message: without it the neighbor is shut down all the same. */
	run_birdc(d, command, false, &result, &e);
}

/* A configuration cannot hold the message of RFC 9003 that tells the neighbor why: protocols that
 * become disabled are disabled by hand first. */
static int load(struct target *t, const char *before, const char *text, struct errtext *e)
{
	const struct daemon_target *d = daemon_target_of(t);
	_cleanup_names_ struct names was = {}, there = {}, is = {};
	int r;

	r = find_disabled(before, &was);
	r = r < 0 ? r : find_disabled(text, &is);
	r = r < 0 ? r : names_find(before, "protocol bgp ", &there);
	if (r < 0)
		return errtext_set(e, r, "out of memory");
	r = configure(d, "configure check", e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < is.n; i++)
		if (names_have(&there, is.items[i]) && !names_have(&was, is.items[i]))
			disable(d, is.items[i], true);
	r = configure(d, "configure", e);
	for (size_t i = 0; r < 0 && i < is.n; i++)
		if (names_have(&there, is.items[i]) && !names_have(&was, is.items[i]))
			disable(d, is.items[i], false);
	return r;
}

/* What `show protocols all` has said so far of one protocol. */
struct seen {
	char name[64], state[16];
	bool is_bgp, is_over_limit;
	char neighbor[ADDR_STRLEN], bgp_state[24];
	uint32_t remote_as;
};

static int finish(const struct seen *s, const struct names *ours, struct observation *ret)
{
	struct observed *o;
	int r;

	if (!s->is_bgp)
		return 0;
	r = observation_add(ret, s->neighbor, &o);
	if (r == -EINVAL) /* dynamic ones have a range */
		return 0;
	if (r < 0)
		return r;
	o->is_ours = names_have(ours, s->name);
	o->is_established = strcmp(s->bgp_state, "Established") == 0;
	/* BIRD, too, disables a protocol; that is nobody's decision. */
	o->is_shut = strcmp(s->state, "down") == 0 && !s->is_over_limit;
	o->remote_as = s->remote_as;
	snprintf(o->state, sizeof(o->state), "%s%s", s->bgp_state,
		 s->is_over_limit ? ": over limit" : "");
	return 0;
}

static void begin(const struct reply *r, struct seen *s)
{
	char line[256], kind[16] = "";

	*s = (struct seen){};
	snprintf(line, sizeof(line), "%.*s", (int)r->len, r->text);
	if (sscanf(line, "%63s %15s %*s %15s", s->name, kind, s->state) == 3)
		s->is_bgp = strcmp(kind, "BGP") == 0;
}

static bool take(const char *line, const char *key, char *buf, size_t size)
{
	while (*line == ' ' || *line == '\t')
		line++;
	if (strncmp(line, key, strlen(key)) != 0)
		return false;
	line += strlen(key);
	while (*line == ' ' || *line == '\t')
		line++;
	text_copy(buf, size, line);
	return true;
}

static void add_detail(const struct reply *r, struct seen *s)
{
	char line[256], value[64];

	snprintf(line, sizeof(line), "%.*s", (int)r->len, r->text);
	if (take(line, "BGP state:", s->bgp_state, sizeof(s->bgp_state)) ||
	    take(line, "Neighbor address:", s->neighbor, sizeof(s->neighbor)))
		return;
	if (take(line, "Neighbor AS:", value, sizeof(value)))
		s->remote_as = strtoul(value, NULL, 10);
	else if (take(line, "Last error:", value, sizeof(value)))
		s->is_over_limit = strstr(value, "Route limit exceeded");
}

int bird_observe(const char *output, const char *file, struct observation *ret, struct errtext *e)
{
	_cleanup_names_ struct names ours = {};
	struct reply reply = {};
	struct seen seen = {};
	int r;

	r = names_find(file, "protocol bgp ", &ours);
	while (!r && next_reply(&output, &reply)) {
		if (reply.code >= REPLY_FAILURE) {
			refused("show protocols all", &reply, e);
			return -EPROTO;
		}
		if (reply.code == REPLY_PROTOCOL) {
			r = finish(&seen, &ours, ret);
			begin(&reply, &seen);
		} else if (reply.code == REPLY_PROTOCOL_DETAILS) {
			add_detail(&reply, &seen);
		}
	}
	return r ? r : finish(&seen, &ours, ret);
}

static int ask(struct target *t, struct observation *ret, struct errtext *e)
{
	_cleanup_program_result_ struct program_result result = {};
	_cleanup_wiped_ char *file = NULL;
	int r;

	r = target_read(t, &file, e);
	if (r < 0 && r != -EEXIST)
		return r;
	r = run_birdc(daemon_target_of(t), "show protocols all", true, &result, e);
	return r < 0 ? r : bird_observe(result.out, file, ret, e);
}

static int observe(struct target *t, struct observation *ret)
{
	return target_observe_by(t, ask, ret);
}

/* A template of the operator's must keep what sessions are recognized by. */
static int render(const struct target *t, const struct owned *const *sessions, size_t n,
		  char **ret_text, struct errtext *e)
{
	_cleanup_names_ struct names names = {};
	_cleanup_wiped_ char *text = NULL;
	int r;

	r = daemon_target_render(t, sessions, n, &text, e);
	if (r < 0)
		return r;
	r = names_find(text, "protocol bgp ", &names);
	for (size_t i = 0; !r && i < n; i++) {
		const struct jv *m = sessions[i]->mapping;
		const char *name = jv_get_string(m, "name", "");

		if (sessions[i]->phase != PHASE_GONE &&
		    strcmp(jv_get_string(m, "daemon", ""), t->name) == 0 &&
		    !names_have(&names, name))
			return errtext_set(e, -EINVAL, "%s: no line begins with 'protocol bgp %s'",
					   daemon_target_of(t)->daemon->template_file, name);
	}
	if (r < 0)
		return errtext_set(e, r, "out of memory");
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

int target_new_bird(const struct settings *s, const struct daemon_settings *d, struct target **ret,
		    struct errtext *e)
{
	return daemon_target_new(s, d, &ops, "bird", ret, e);
}
