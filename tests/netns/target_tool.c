// SPDX-License-Identifier: Apache-2.0
/*
 * Drives one target from a JSON file, for test_targets.py:
 *   {"asn": 1, "shim": {"config", "file", "socket"}, "sessions": [{"phase", "mapping": {..}}],
 *    "daemons": [{"name", "kind", "file", "config", "socket", "template"}]}
 * Prints one JSON object; the exit status is 1 when something failed.
 */
#include "target.h"

#include <errno.h>

struct scene {
	struct jv *json;
	struct settings settings;
	struct daemon_settings daemons[4];
	struct owned *sessions;
	const struct owned **list;
	size_t n;
};

static void die(const char *what)
{
	fprintf(stderr, "target_tool: %s\n", what);
	exit(2);
}

static char *text_of(const struct jv *o, const char *key)
{
	return (char *)jv_get_string(o, key, NULL);
}

static char *program(const char *variable, const char *usual)
{
	const char *named = getenv(variable);

	return (char *)(named ? named : usual);
}

static void read_settings(struct scene *s)
{
	const struct jv *shim = jv_get(s->json, "shim"), *daemons = jv_get(s->json, "daemons");

	s->settings = (struct settings){
		.asn = jv_get_int(s->json, "asn", 0),
		.shim_config = text_of(shim, "config"),
		.shim_file = text_of(shim, "file"),
		.shim_socket = text_of(shim, "socket"),
		.botlsd = program("BOTLSD", "build/botlsd"),
		.botlsctl = program("BOTLSCTL", "build/botlsctl"),
		.bird = "bird",
		.birdc = "birdc",
		.vtysh = program("VTYSH", "vtysh"),
		.daemons = s->daemons,
		.n_daemons = jv_size(daemons),
	};
	if (jv_size(daemons) > ARRAY_SIZE(s->daemons))
		die("too many daemons");
	for (size_t i = 0; i < jv_size(daemons); i++) {
		const struct jv *d = jv_at(daemons, i);

		s->daemons[i] = (struct daemon_settings){
			.name = text_of(d, "name"),
			.kind = strcmp(jv_get_string(d, "kind", ""), "bird") == 0 ? DAEMON_BIRD
										  : DAEMON_FRR,
			.file = text_of(d, "file"),
			.config = text_of(d, "config"),
			.socket = text_of(d, "socket"),
			.template_file = text_of(d, "template"),
		};
	}
}

static enum phase phase_of(const char *name)
{
	static const char *const names[] = {"active", "draining", "shut", "gone"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	die("unknown phase");
	return PHASE_GONE;
}

static void read_sessions(struct scene *s)
{
	const struct jv *sessions = jv_get(s->json, "sessions");

	s->n = jv_size(sessions);
	s->sessions = calloc(s->n + 1, sizeof(*s->sessions));
	s->list = calloc(s->n + 1, sizeof(*s->list));
	if (!s->sessions || !s->list)
		die("out of memory");
	for (size_t i = 0; i < s->n; i++) {
		const struct jv *o = jv_at(sessions, i);

		s->sessions[i].mapping = jv_copy(jv_get(o, "mapping"));
		s->sessions[i].phase = phase_of(jv_get_string(o, "phase", "active"));
		s->list[i] = &s->sessions[i];
	}
}

static void read_scene(const char *path, struct scene *s)
{
	static char text[32 << 20];
	struct errtext e;
	FILE *f = fopen(path, "r");
	size_t len = f ? fread(text, 1, sizeof(text), f) : 0;

	if (!f || jv_parse(text, len, &s->json, &e) < 0)
		die(f ? e.text : "cannot read the scene");
	fclose(f);
	read_settings(s);
	read_sessions(s);
}

static struct target *open_target(struct scene *s, const char *name, struct errtext *e)
{
	struct target *t = NULL;

	if (strcmp(name, "botlsd") == 0) {
		if (target_new_shim(&s->settings, &t) < 0)
			die("out of memory");
		return t;
	}
	for (size_t i = 0; i < s->settings.n_daemons; i++)
		if (strcmp(s->daemons[i].name, name) == 0)
			return target_new_daemon(&s->settings, &s->daemons[i], &t, e) < 0 ? NULL
											  : t;
	die("no such target");
	return NULL;
}

/* As an apply does it: what was refused goes away again. */
static int apply(struct target *t, const struct scene *s, struct jv *out, struct errtext *e)
{
	_cleanup_free_ char *before = NULL, *text = NULL;
	struct errtext ignored;
	const char *step;
	int r;

	r = target_read(t, &before, e);
	step = "read";
	if (!r) {
		step = "render";
		r = target_render(t, s->list, s->n, &text, e);
	}
	if (!r) {
		step = "write";
		r = target_write(t, text, e);
	}
	if (!r) {
		step = "check";
		r = target_check(t, e);
	}
	if (!r) {
		step = "load";
		r = target_load(t, before, text, e);
	}
	if (r < 0 && text && before && target_write(t, before, &ignored) == 0 &&
	    strcmp(step, "load") == 0)
		target_load(t, text, before, &ignored);
	if (r < 0)
		jv_set_string(out, "step", step);
	return r;
}

static int load(struct target *t, struct errtext *e)
{
	_cleanup_free_ char *text = NULL;
	int r = target_read(t, &text, e);

	return r < 0 ? r : target_load(t, NULL, text ? text : "", e);
}

static int render(struct target *t, const struct scene *s, struct jv *out, struct errtext *e)
{
	_cleanup_free_ char *text = NULL;
	int r = target_render(t, s->list, s->n, &text, e);

	return r < 0 ? r : jv_set_string(out, "text", text);
}

static int observe(struct target *t, struct jv *out)
{
	struct observation seen;
	struct jv *list = jv_object_new();
	int r = target_observe(t, &seen);

	if (r < 0)
		return r;
	for (size_t i = 0; i < seen.n; i++) {
		const struct observed *o = &seen.items[i];
		struct jv *item = jv_object_new();

		r |= jv_set_bool(item, "ours", o->is_ours);
		r |= jv_set_bool(item, "established", o->is_established);
		r |= jv_set_bool(item, "shut", o->is_shut);
		r |= jv_set_string(item, "state", o->state);
		r |= jv_set_string(item, "mode", o->mode);
		r |= jv_set_int(item, "remote_as", o->remote_as);
		r |= jv_set(list, o->neighbor, item);
	}
	r |= jv_set_bool(out, "running", seen.is_running);
	r |= jv_set_string(out, "problem", seen.problem);
	r |= jv_set(out, "neighbors", list);
	observation_done(&seen);
	return r;
}

static int act(const char *command, struct target *t, const struct scene *s, struct jv *out,
	       struct errtext *e)
{
	if (strcmp(command, "apply") == 0)
		return apply(t, s, out, e);
	if (strcmp(command, "check") == 0)
		return target_check(t, e);
	if (strcmp(command, "load") == 0)
		return load(t, e);
	if (strcmp(command, "render") == 0)
		return render(t, s, out, e);
	if (strcmp(command, "observe") == 0)
		return observe(t, out);
	die("unknown command");
	return 0;
}

static void clean_up(struct scene *s)
{
	for (size_t i = 0; i < s->n; i++)
		jv_free(s->sessions[i].mapping);
	free(s->sessions);
	free(s->list);
	jv_free(s->json);
}

int main(int argc, char **argv)
{
	_cleanup_jv_ struct jv *out = jv_object_new();
	struct scene scene = {};
	struct errtext e = {};
	struct target *t;
	char *line;
	int r;

	if (argc != 4)
		die("usage: target_tool SCENE COMMAND TARGET");
	read_scene(argv[1], &scene);
	t = open_target(&scene, argv[3], &e);
	r = t ? act(argv[2], t, &scene, out, &e) : -EINVAL;
	target_free(t);
	if (r < 0) {
		jv_set_string(out, "error", e.text);
		jv_set_string(out, "code", strerrorname_np(-r));
	}
	line = jv_dump_line(out, NULL);
	fputs(line ? line : "{}\n", stdout);
	free(line);
	clean_up(&scene);
	return r < 0;
}
