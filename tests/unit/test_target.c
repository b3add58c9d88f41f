// SPDX-License-Identifier: Apache-2.0
/*
 * Targets: what is written for each kind of session (target/NAME.json, golden files beside it),
 * that botlsd, BIRD and FRR accept it, what happens to the file, and how the programs' answers are
 * read. test_targets.py has the running programs.
 */
#include "certs.h"
#include "files.h"
#include "target_internal.h"
#include "template.h"
#include "wipe.h"

#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

static const char *const scenes[] = {"phases", "roles", "filters", "secrets", "ao", "identity"};

static char folder[64];

static char *path_of(const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static void write_text(const char *name, const char *text)
{
	file_write(folder, name, text, 0644);
}

/* In the repository, where the tests run. */
static char *source(const char *name, const char *suffix)
{
	char relative[100], path[512];

	snprintf(relative, sizeof(relative), "target/%s.%s", name, suffix);
	return strdup(golden_path(relative, path));
}

static void compare_golden(const char *name, const char *kind, const char *seen)
{
	_cleanup_free_ char *suffix = NULL, *path = NULL;

	assert_true(asprintf(&suffix, "%s.expected", kind) > 0);
	path = source(name, suffix);
	golden_compare(path, seen);
}

/* Programs and files of all three kinds in the folder. */
struct world {
	struct settings settings;
	struct daemon_settings bird, frr;
	char *paths[8];
	size_t n_paths;
};

static char *keep(struct world *w, char *path)
{
	return w->paths[w->n_paths++] = path;
}

static char *build(const char *program)
{
	char *path = NULL;
	const char *folder_name = getenv("BUILD");

	assert_true(asprintf(&path, "%s/%s", folder_name ? folder_name : "build", program) > 0);
	return path;
}

static void world_init(struct world *w)
{
	*w = (struct world){};
	w->settings = (struct settings){
		.asn = 64501,
		.shim_config = keep(w, path_of("botlsd.conf")),
		.shim_file = keep(w, path_of("neighbors.d/botls-provision.conf")),
		.botlsd = keep(w, build("botlsd")),
		.botlsctl = keep(w, build("botlsctl")),
		.bird = "bird",
		.birdc = "birdc",
		.vtysh = "vtysh",
	};
	w->bird = (struct daemon_settings){.name = "it",
					   .kind = DAEMON_BIRD,
					   .file = keep(w, path_of("botls.bird")),
					   .config = keep(w, path_of("bird.conf"))};
	w->frr = (struct daemon_settings){
		.name = "it", .kind = DAEMON_FRR, .file = keep(w, path_of("botls.frr"))};
}

static void world_done(struct world *w)
{
	for (size_t i = 0; i < w->n_paths; i++)
		free(w->paths[i]);
}

enum kind { SHIM, BIRD, FRR, KINDS };
static const char *const kinds[] = {"botlsd", "bird", "frr"};

static struct target *open_target(struct world *w, enum kind kind)
{
	struct target *t = NULL;
	struct errtext e = {};
	int r = -EINVAL;

	switch (kind) {
	case SHIM: r = target_new_shim(&w->settings, &t); break;
	case BIRD: r = target_new_daemon(&w->settings, &w->bird, &t, &e); break;
	case FRR: r = target_new_daemon(&w->settings, &w->frr, &t, &e); break;
	case KINDS: break;
	}
	if (r < 0)
		fail_msg("%s: %s", kinds[kind], e.text);
	return t;
}

struct sessions {
	struct owned items[16];
	const struct owned *list[16];
	size_t n;
};

static void set_name(struct jv *m, const char *neighbor)
{
	char name[100];

	snprintf(name, sizeof(name), "as%lld_%s", (long long)jv_get_int(m, "remote_as", 0),
		 neighbor);
	for (char *c = name; *c; c++)
		if (*c == '.' || *c == ':')
			*c = '_';
	jv_set_string(m, "name", name);
}

/* A whole mapping of what a test says of it; null takes a member away. */
static struct jv *mapping(const struct jv *some)
{
	const char *neighbor = jv_get_string(some, "neighbor", "");
	bool v6 = strchr(neighbor, ':');
	struct jv *m = jv_object_new();

	jv_set_string(m, "neighbor", neighbor);
	jv_set_string(m, "local", v6 ? "2001:db8::1" : "192.0.2.1");
	jv_set_int(m, "family", v6 ? 6 : 4);
	jv_set_bool(m, "ipv4", !v6);
	jv_set_bool(m, "ipv6", v6);
	jv_set_int(m, "remote_as", jv_get_int(some, "remote_as", 0));
	set_name(m, neighbor);
	jv_set_int(m, "local_as", 64501);
	jv_set_string(m, "server", "ix");
	jv_set_string(m, "session_id", "1");
	jv_set_string(m, "description", "Example Net, pdb:ix:42");
	jv_set_string(m, "mode", "required");
	jv_set_string(m, "daemon", "it");
	jv_set_int(m, "max_prefix", 1000);
	jv_set_string(m, "import", "peers_in");
	jv_set_string(m, "export", "peers_out");
	jv_set_string(m, "role", "peer");
	for (struct jv_iter it = {}; jv_next(some, &it);) {
		if (jv_is_null(it.value))
			jv_delete(m, it.key);
		else if (strcmp(it.key, "phase") != 0)
			jv_set(m, it.key, jv_copy(it.value));
	}
	return m;
}

static enum phase phase_of(const char *name)
{
	static const char *const names[] = {"active", "draining", "shut", "gone"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return i;
	fail_msg("phase %s", name);
	return PHASE_GONE;
}

static void sessions_parse(struct sessions *s, const char *text)
{
	_cleanup_jv_ struct jv *list = NULL;
	struct errtext e;

	if (jv_parse(text, strlen(text), &list, &e) < 0)
		fail_msg("%s", e.text);
	*s = (struct sessions){.n = jv_size(list)};
	assert_true(s->n <= ARRAY_SIZE(s->items));
	for (size_t i = 0; i < s->n; i++) {
		const struct jv *some = jv_at(list, i);

		s->items[i].phase = phase_of(jv_get_string(some, "phase", "active"));
		s->items[i].mapping = mapping(some);
		s->list[i] = &s->items[i];
	}
}

static void sessions_read(struct sessions *s, const char *scene)
{
	_cleanup_free_ char *path = source(scene, "json"), *text = file_read(path);

	sessions_parse(s, text);
}

static void sessions_done(struct sessions *s)
{
	for (size_t i = 0; i < s->n; i++)
		jv_free(s->items[i].mapping);
}

static char *render(struct target *t, const struct sessions *s)
{
	struct errtext e = {};
	char *text = NULL;

	if (target_render(t, s->list, s->n, &text, &e) < 0)
		fail_msg("%s: %s", target_name(t), e.text);
	return text;
}

static void assert_render_fails(enum kind kind, const char *some, const char *problem)
{
	char *text = (char *)"untouched";
	struct errtext e = {};
	struct sessions s;
	struct target *t;
	struct world w;

	world_init(&w);
	sessions_parse(&s, some);
	t = open_target(&w, kind);
	assert_int_equal(target_render(t, s.list, s.n, &text, &e), -EINVAL);
	assert_string_equal(e.text, problem);
	assert_string_equal(text, "untouched");
	target_free(t);
	sessions_done(&s);
	world_done(&w);
}

static void test_golden(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		struct sessions s;

		sessions_read(&s, scenes[i]);
		for (enum kind k = SHIM; k < KINDS; k++) {
			struct target *t = open_target(&w, k);
			_cleanup_free_ char *text = render(t, &s);

			compare_golden(scenes[i], kinds[k], text);
			target_free(t);
		}
		sessions_done(&s);
	}
	world_done(&w);
}

/* The same sessions in another order are the same text. */
static void test_order(void **state)
{
	struct sessions s;
	struct world w;

	(void)state;
	world_init(&w);
	sessions_read(&s, "phases");
	for (enum kind k = SHIM; k < KINDS; k++) {
		struct target *t = open_target(&w, k);
		_cleanup_free_ char *text = render(t, &s);

		for (int round = 0; round < 20; round++) {
			_cleanup_free_ char *again = NULL;

			for (size_t i = s.n - 1; i; i--) {
				size_t j = random() % (i + 1);
				const struct owned *o = s.list[i];

				s.list[i] = s.list[j];
				s.list[j] = o;
			}
			again = render(t, &s);
			assert_string_equal(again, text);
		}
		target_free(t);
	}
	sessions_done(&s);
	world_done(&w);
}

/* Nothing that would be for this target: a file with our header, for the shim all sessions. */
static void test_selection(void **state)
{
	struct sessions s;
	struct world w;

	(void)state;
	world_init(&w);
	sessions_parse(&s, "[{\"neighbor\":\"192.0.2.2\",\"remote_as\":64502,\"daemon\":\"other\"},"
			   "{\"neighbor\":\"192.0.2.3\",\"remote_as\":64503,\"daemon\":null},"
			   "{\"neighbor\":\"192.0.2.4\",\"remote_as\":64504,\"phase\":\"gone\"}]");
	for (enum kind k = SHIM; k < KINDS; k++) {
		struct target *t = open_target(&w, k);
		_cleanup_free_ char *text = render(t, &s), *none = NULL;
		struct sessions empty = {};

		assert_int_equal(!!strstr(text, "192.0.2.2"), k == SHIM);
		assert_int_equal(!!strstr(text, "192.0.2.3"), k == SHIM);
		assert_null(strstr(text, "192.0.2.4"));
		none = render(t, &empty);
		assert_string_equal(none, TARGET_HEADER);
		if (k != SHIM)
			assert_string_equal(text, TARGET_HEADER);
		assert_int_equal(target_is_shim(t), k == SHIM);
		assert_string_equal(target_name(t), k == SHIM ? "botlsd" : "it");
		target_free(t);
	}
	sessions_done(&s);
	world_done(&w);
}

static void test_what_no_file_can_hold(void **state)
{
	(void)state;
	for (enum kind k = SHIM; k < KINDS; k++) {
		assert_render_fails(k,
				    "[{\"neighbor\":\"192.0.2.2\",\"remote_as\":64502,"
				    "\"description\":\"a\\\" ; evil\"}]",
				    "neighbor 192.0.2.2: description holds a quote, a backslash or "
				    "a control character, which no file can hold");
		assert_render_fails(k,
				    "[{\"neighbor\":\"192.0.2.2\",\"remote_as\":64502,"
				    "\"dns_names\":[\"a\",\"b\\n}\"]}]",
				    "neighbor 192.0.2.2: dns_names holds a quote, a backslash or "
				    "a control character, which no file can hold");
		assert_render_fails(k,
				    "[{\"neighbor\":\"192.0.2.2\",\"remote_as\":64502},"
				    "{\"neighbor\":\"192.0.2.2\",\"remote_as\":64502}]",
				    "neighbor 192.0.2.2: there are two mappings");
		assert_render_fails(k, "[{\"neighbor\":\"nobody\",\"remote_as\":64502}]",
				    "neighbor nobody: 'nobody' is not an IPv4 or IPv6 address");
	}
}

static void test_templates(void **state)
{
	_cleanup_free_ char *template = path_of("own.tmpl");
	static const char one[] = "[{\"neighbor\":\"192.0.2.2\",\"remote_as\":64502}]";
	struct errtext e = {};
	struct target *t = NULL;
	struct sessions s;
	struct world w;

	(void)state;
	world_init(&w);
	sessions_parse(&s, one);
	w.bird.template_file = w.frr.template_file = template;
	assert_int_equal(target_new_daemon(&w.settings, &w.bird, &t, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/own.tmpl: cannot be read: No such file or directory"));
	assert_null(t);

	write_text("own.tmpl", "{{#sessions}}\nprotocol bgp {{name}} from x {\n{{daemon}} {{asn}}"
			       " {{phase}}{{/sessions}}");
	t = open_target(&w, BIRD);
	assert_int_equal(target_render(t, s.list, s.n, &(char *){NULL}, &e), -EINVAL);
	assert_non_null(strstr(e.text, "/own.tmpl:3: there is no value 'phase'"));
	target_free(t);

	write_text("own.tmpl", "{{#sessions}}\nprotocol bgp {{name}}{}\n{{daemon}} {{asn}}\n"
			       "{{/sessions}}");
	t = open_target(&w, BIRD);
	{
		_cleanup_free_ char *text = render(t, &s);

		assert_string_equal(text, TARGET_HEADER "protocol bgp as64502_192_0_2_2{}\n"
							"it 64501\n");
	}
	target_free(t);
	write_text("own.tmpl", "# protocol bgp as64502_192_0_2_2\n");
	t = open_target(&w, BIRD);
	assert_int_equal(target_render(t, s.list, s.n, &(char *){NULL}, &e), -EINVAL);
	assert_non_null(
		strstr(e.text, "/own.tmpl: no line begins with 'protocol bgp as64502_192_0_2_2'"));
	target_free(t);

	write_text("own.tmpl",
		   "router bgp {{asn}}\n neighbor 192.0.2.2 remote-as 1\nrouter ospf\n");
	t = open_target(&w, FRR);
	assert_int_equal(target_render(t, s.list, s.n, &(char *){NULL}, &e), -EINVAL);
	assert_non_null(
		strstr(e.text, "/own.tmpl: the text that it gives: line 4: only router bgp and"));
	target_free(t);
	sessions_done(&s);
	world_done(&w);
}

static void test_groups(void **state)
{
	struct errtext e = {};
	struct target *t = NULL;
	struct world w;

	(void)state;
	world_init(&w);
	snprintf(w.bird.origin, sizeof(w.bird.origin), "p.conf:7");
	w.bird.group = "no-such-group";
	assert_int_equal(target_new_daemon(&w.settings, &w.bird, &t, &e), -ENOENT);
	assert_string_equal(e.text, "p.conf:7: there is no group 'no-such-group'");
	assert_null(t);
	world_done(&w);
}

/* ---- the file ---- */

static void assert_file(struct target *t, mode_t mode, gid_t group)
{
	struct stat st;

	assert_int_equal(lstat(target_file(t), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | mode);
	assert_int_equal(st.st_gid, group);
	assert_int_equal(st.st_uid, geteuid());
}

static void test_file_is_written(void **state)
{
	static const char text[] = TARGET_HEADER "one\n";
	_cleanup_free_ char *left = path_of(".botls.bird.new"), *victim = path_of("victim");
	const struct group *bird = getgrnam("bird");
	gid_t group = bird ? bird->gr_gid : getegid();
	struct errtext e = {};
	struct target *t;
	struct world w;

	(void)state;
	world_init(&w);
	/* what a killed run, or somebody else, has left under the name of the temporary file */
	write_text("victim", "precious\n");
	assert_int_equal(symlink(victim, left), 0);
	umask(0);
	for (enum kind k = SHIM; k < KINDS; k++) {
		_cleanup_free_ char *seen = (char *)"", *again = NULL;

		t = open_target(&w, k);
		assert_int_equal(target_read(t, &seen, &e), 0);
		assert_null(seen);
		assert_int_equal(target_write(t, text, &e), 0);
		assert_int_equal(target_read(t, &seen, &e), 0);
		assert_string_equal(seen, text);
		assert_int_equal(target_write(t, TARGET_HEADER, &e), 0);
		assert_int_equal(target_read(t, &again, &e), 0);
		assert_string_equal(again, TARGET_HEADER);
		if (k == SHIM)
			assert_file(t, 0600, getegid());
		if (k == BIRD)
			assert_file(t, 0640, group);
		target_free(t);
	}
	umask(022);
	assert_int_equal(access(left, F_OK), -1);
	{
		_cleanup_free_ char *precious = file_read(victim);

		assert_string_equal(precious, "precious\n");
	}
	world_done(&w);
}

static void assert_foreign(struct target *t, const char *problem)
{
	char *text = (char *)"untouched";
	struct errtext e = {};

	assert_int_equal(target_read(t, &text, &e), -EEXIST);
	assert_string_equal(text, "untouched");
	if (!strstr(e.text, problem))
		fail_msg("%s", e.text);
	assert_int_equal(target_write(t, TARGET_HEADER, &e), -EEXIST);
}

static void test_foreign_files(void **state)
{
	_cleanup_free_ char *real = path_of("real");
	struct errtext e = {};
	struct target *t;
	struct world w;
	char *text = (char *)"";

	(void)state;
	world_init(&w);
	t = open_target(&w, BIRD);
	write_text("botls.bird", "protocol device {}\n");
	assert_foreign(t, "was not written by botls-provision and stays as it is");
	write_text("botls.bird", "# Written by botls-provisio");
	assert_foreign(t, "was not written by botls-provision");
	assert_int_equal(truncate(w.bird.file, 100), 0); /* with bytes 0 */
	assert_foreign(t, "was not written by botls-provision");
	/* made by an operator so that the include does not fail */
	write_text("botls.bird", "");
	assert_int_equal(target_read(t, &text, &e), 0);
	assert_null(text);
	assert_int_equal(target_write(t, TARGET_HEADER, &e), 0);

	assert_int_equal(rename(w.bird.file, real), 0);
	assert_int_equal(symlink(real, w.bird.file), 0);
	assert_foreign(t, "is a symbolic link");
	assert_int_equal(unlink(w.bird.file), 0);

	assert_int_equal(mkfifo(w.bird.file, 0600), 0);
	assert_int_equal(target_read(t, &text, &e), -EBADF);
	assert_int_equal(target_write(t, TARGET_HEADER, &e), -EBADF);
	assert_int_equal(unlink(w.bird.file), 0);
	assert_int_equal(target_write(t, "not ours\n", &e), -EINVAL);
	assert_int_equal(access(w.bird.file, F_OK), -1);
	target_free(t);

	w.bird.file = (char *)"/nonexistent/botls.bird";
	t = open_target(&w, BIRD);
	assert_int_equal(target_read(t, &text, &e), 0);
	assert_int_equal(target_write(t, TARGET_HEADER, &e), -ENOENT);
	assert_non_null(strstr(e.text, "its folder cannot be opened"));
	target_free(t);
	world_done(&w);
}

/* When the new file cannot be completed, the old one stays and nothing is left beside it. */
static void test_file_that_cannot_be_written(void **state)
{
	_cleanup_free_ char *obstacle = path_of(".botls.bird.new"), *seen = NULL;
	struct errtext e = {};
	struct target *t;
	struct world w;

	(void)state;
	world_init(&w);
	t = open_target(&w, BIRD);
	assert_int_equal(target_write(t, TARGET_HEADER "old\n", &e), 0);
	assert_int_equal(mkdir(obstacle, 0700), 0);
	assert_true(target_write(t, TARGET_HEADER "new\n", &e) < 0);
	assert_non_null(strstr(e.text, "/botls.bird: cannot be written: "));
	assert_int_equal(target_read(t, &seen, &e), 0);
	assert_string_equal(seen, TARGET_HEADER "old\n");
	assert_int_equal(rmdir(obstacle), 0);
	target_free(t);
	world_done(&w);
}

/* ---- do the programs accept it? ---- */

static void write_programs_files(void)
{
	struct cert cert;
	struct cert_spec spec = {.cn = "r1", .san = "IP:192.0.2.1", .is_ca = true};
	_cleanup_free_ char *bird = NULL;

	cert_make(&cert, &spec, NULL);
	write_text("own.pem", cert.pem);
	write_text("own.key", cert.key_pem);
	cert_done(&cert);
	write_text("botlsd.conf",
		   "user = nobody\ncertificate = own.pem\nkey = own.key\nca = own.pem\n");
	assert_true(asprintf(&bird,
			     "router id 10.0.0.1;\nprotocol device {}\n"
			     "function peers_in() { return true; }\n"
			     "function peers_out() { return true; }\n"
			     "function other_in() { return true; }\n"
			     "function other_out() { return true; }\n"
			     "include \"%s/botls.bird\";\n",
			     folder) > 0);
	write_text("bird.conf", bird);
}

static bool is_there(const struct world *w, enum kind k)
{
	switch (k) {
	case SHIM: return access(w->settings.botlsd, X_OK) == 0;
	case BIRD: return access("/usr/sbin/bird", X_OK) == 0;
	case FRR: return access("/usr/bin/vtysh", X_OK) == 0;
	case KINDS: break;
	}
	return false;
}

static void assert_accepted(struct world *w, enum kind k, const char *scene)
{
	struct target *t = open_target(w, k);
	struct errtext e = {};
	struct sessions s;

	sessions_read(&s, scene);
	{
		_cleanup_free_ char *text = render(t, &s);

		assert_int_equal(target_write(t, text, &e), 0);
		if (target_check(t, &e) < 0 && !strstr(e.text, "this kernel has no TCP-AO"))
			fail_msg("%s, %s: %s\n%s", kinds[k], scene, e.text, text);
	}
	sessions_done(&s);
	target_free(t);
}

static void check_kind(enum kind k)
{
	struct world w;

	world_init(&w);
	write_programs_files();
	if (!is_there(&w, k)) {
		world_done(&w);
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		assert_accepted(&w, k, scenes[i]);
	world_done(&w);
}

static void test_botlsd_accepts(void **state)
{
	(void)state;
	check_kind(SHIM);
}

static void test_bird_accepts(void **state)
{
	(void)state;
	check_kind(BIRD);
}

static void test_frr_accepts(void **state)
{
	(void)state;
	check_kind(FRR);
}

/* ---- what the programs say ---- */

static char *seen_text(const char *kind)
{
	_cleanup_free_ char *path = source("seen", kind);

	return file_read(path);
}

static void assert_observed(const struct observation *o, const char *neighbor, const char *expected)
{
	const struct observed *i = observation_find(o, neighbor);
	char seen[200];

	if (!i)
		fail_msg("%s is not there", neighbor);
	snprintf(seen, sizeof(seen), "%s%s%s%s/%s/%u", i->is_ours ? "ours " : "",
		 i->is_established ? "established " : "", i->is_shut ? "shut " : "", i->mode,
		 i->state, i->remote_as);
	assert_string_equal(seen, expected);
}

static void test_observe_bird(void **state)
{
	_cleanup_free_ char *output = seen_text("bird");
	struct observation o = {};
	struct errtext e = {};

	(void)state;
	assert_int_equal(bird_observe(output,
				      TARGET_HEADER "\nprotocol bgp as64502_192_0_2_2 {\n}\n"
						    "protocol bgp as64503_192_0_2_3\n{\n}\n"
						    "protocol bgp as64502_2001_db8_0_2__2{\n}\n",
				      &o, &e),
			 0);
	assert_int_equal(o.n, 4);
	assert_observed(&o, "192.0.2.2", "ours established /Established/64502");
	assert_observed(&o, "192.0.2.3", "ours shut /Down/64503");
	assert_observed(&o, "2001:db8:0:2::2", "ours /Active/64502");
	assert_observed(&o, "192.0.2.9", "/Active/64509");
	assert_null(observation_find(&o, "192.0.2.1"));
	observation_done(&o);
}

static void test_observe_bird_limits(void **state)
{
	struct observation o = {};
	struct errtext e = {};

	(void)state;
	assert_int_equal(
		bird_observe("0001 BIRD 2.0.12 ready.\n2002-Name Proto\n"
			     "1002-dyn BGP --- start 12:00:00 Passive\n"
			     "1006-  BGP state: Passive\n     Neighbor range: 192.0.2.0/24\n"
			     "1002-x BGP --- down 2026-11-27 12:00:00 Error\n"
			     "1006-  BGP state:          Down\n"
			     "         Neighbor address: 2001:DB8:0::5\n"
			     "         Neighbor AS: 4294967295\n"
			     "         Last error:       Automatic: Route limit exceeded\n"
			     "\n0000 \n",
			     NULL, &o, &e),
		0);
	assert_int_equal(o.n, 1);
	assert_observed(&o, "2001:db8::5", "/Down: over limit/4294967295");
	observation_done(&o);
	assert_int_equal(bird_observe("0001 BIRD\n8007 Access denied\n", NULL, &o, &e), -EPROTO);
	assert_string_equal(e.text, "BIRD refuses 'show protocols all': Access denied");
	observation_done(&o);
	assert_int_equal(bird_observe("", NULL, &o, &e), 0);
	assert_int_equal(o.n, 0);
}

static void test_observe_frr(void **state)
{
	static const char both[] =
		"{\"ipv4Unicast\":{\"peers\":{\"192.0.2.2\":{\"state\":\"Established\"},"
		"\"eth0\":{\"state\":\"Idle\"}}},"
		"\"ipv6Unicast\":{\"peers\":{\"192.0.2.2\":{\"state\":\"Established\","
		"\"desc\":\"botls-provision\"},\"2001:db8::1\":{\"state\":\"Idle (PfxCt)\","
		"\"remoteAs\":1,\"desc\":\"botls-provision: x\"}}}}";
	_cleanup_free_ char *output = seen_text("frr");
	struct observation o = {};
	struct errtext e = {};

	(void)state;
	assert_int_equal(frr_observe(output, strlen(output), &o, &e), 0);
	assert_int_equal(o.n, 4);
	assert_observed(&o, "192.0.2.2", "ours established /Established/64502");
	assert_observed(&o, "192.0.2.3", "ours shut /Idle (Admin)/64503");
	assert_observed(&o, "2001:db8:0:2::2", "ours /Connect/64502");
	observation_done(&o);
	assert_int_equal(frr_observe(both, strlen(both), &o, &e), 0);
	assert_int_equal(o.n, 2);
	assert_observed(&o, "192.0.2.2", "established /Established/0");
	assert_observed(&o, "2001:db8::1", "ours /Idle (PfxCt)/1");
	observation_done(&o);
	assert_int_equal(frr_observe("{}\n", 3, &o, &e), 0);
	assert_int_equal(frr_observe("[]\n", 3, &o, &e), -EPROTO);
	assert_int_equal(frr_observe("% BGP instance", 14, &o, &e), -EPROTO);
	assert_int_equal(o.n, 0);
}

static void test_observe_botlsd(void **state)
{
	static const char file[] = TARGET_HEADER "\nneighbor \"192.0.2.1\" {\n}\n";
	static const char clear[] =
		"{\"neighbors\":[{\"name\":\"192.0.2.2\",\"state\":\"clear\",\"bgp\":"
		"\"established\",\"mode\":\"preferred\"},{\"name\":\"192.0.2.3\",\"state\":"
		"\"held\",\"bgp\":\"established\",\"remote_as\":7},{\"name\":\"192.0.2.4\","
		"\"state\":\"draining\",\"bgp\":\"established\",\"mode\":\"required\"},7,{}]}";
	_cleanup_free_ char *output = seen_text("botlsd");
	struct observation o = {};
	struct errtext e = {};

	(void)state;
	assert_int_equal(shim_observe(output, strlen(output), file, &o, &e), 0);
	assert_int_equal(o.n, 2); /* the third one is a prefix */
	assert_observed(&o, "192.0.2.1", "ours established required/up/0");
	assert_observed(&o, "2001:db8:0:2::1", "off/off/0");
	observation_done(&o);
	assert_int_equal(shim_observe(clear, strlen(clear), NULL, &o, &e), 0);
	assert_observed(&o, "192.0.2.2", "established preferred/clear/0");
	assert_observed(&o, "192.0.2.3", "/held/7");
	assert_observed(&o, "192.0.2.4", "established required/draining/0");
	observation_done(&o);
	assert_int_equal(shim_observe("{}", 2, NULL, &o, &e), -EPROTO);
	assert_int_equal(shim_observe("{", 1, NULL, &o, &e), -EPROTO);
	assert_int_equal(o.n, 0);
}

static void test_judge_frr(void **state)
{
	static const struct {
		const char *out, *err, *expected;
		int status, error;
	} cases[] = {
		{"", "", "", 0, 0},
		{"", "% Can't open configuration file /etc/frr/vtysh.conf due to 'x'.\n", "", 0, 0},
		{"", "line 2: % Unknown command[25]:  neighbor x password secret\n",
		 "FRR refuses line 2 of F, 'neighbor x password ...': Unknown command", 2, -EINVAL},
		{"% Specify remote-as first\n",
		 "line 2: Failure to communicate[13] to bgpd, line:  neighbor x password "
		 "secret\n\n",
		 "FRR refuses line 2 of F, 'neighbor x password ...': Specify remote-as first", 2,
		 -EINVAL},
		/* also when the exit status says that all is well */
		{"% Specify remote-as first\n", "", "FRR refuses F: Specify remote-as first", 0,
		 -EINVAL},
		{"", "line 2", "FRR refuses F: vtysh failed without a word", 2, -EINVAL},
		{"", "line 7: oh\n", "FRR refuses line 7 of F, '': oh", 0, -EINVAL},
		{"", "", "FRR refuses F: vtysh failed without a word", 1, -EINVAL},
		{"", "Exiting: failed to connect to any daemons.\n",
		 "bgpd does not answer: Exiting: failed to connect to any daemons.", 1, -ENOTCONN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errtext e = {};

		assert_int_equal(frr_judge(cases[i].out, cases[i].err, cases[i].status,
					   "router bgp 1\n neighbor x password secret\n", "F", &e),
				 cases[i].error);
		assert_string_equal(e.text, cases[i].expected);
	}
}

static void test_judge_bird(void **state)
{
	static const struct {
		const char *output, *expected;
		int error;
	} cases[] = {
		{"0001 BIRD\n0002-Reading configuration from /nonexistent\n0003 Reconfigured\n", "",
		 0},
		{"0001 BIRD\n0004 Reconfiguration in progress\n", "", 0},
		{"0001 BIRD\n0005 Reconfiguration already in progress, queueing new config\n", "",
		 0},
		{"0001 BIRD\n0020 Configuration OK\n", "", 0},
		{"0001 BIRD\n8002 /etc/bird.conf:3:1 syntax error\n",
		 "BIRD refuses 'configure': /etc/bird.conf:3:1 syntax error", -EINVAL},
		{"0001 BIRD\n0006 Reconfiguration ignored, shutting down\n",
		 "BIRD refuses 'configure': Reconfiguration ignored, shutting down", -EINVAL},
		{"0001 BIRD\n0002-Reading configuration from /tmp\n0003 Reconfigured\n",
		 "the BIRD at this socket reads /tmp, not /: correct `config` or `socket` of "
		 "daemon d",
		 -EINVAL},
		{"", "BIRD refuses 'configure': ", -EINVAL},
	};
	static const struct daemon_settings settings = {.name = (char *)"d", .config = (char *)"/"};
	const struct daemon_target d = {.daemon = &settings};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errtext e = {};

		assert_int_equal(bird_judge(cases[i].output, "configure", &d, &e), cases[i].error);
		assert_string_equal(e.text, cases[i].expected);
	}
}

static void test_judge_botlsd(void **state)
{
	static const struct {
		const char *output, *expected;
		int status, error;
	} cases[] = {
		{"{\"ok\":true,\"applied\":true}", "", 0, 0},
		{"{\"ok\":true,\"applied\":false}", "botlsd refuses the reload: no reason was told",
		 0, -EINVAL},
		{"{\"ok\":false,\"error\":\"busy\",\"hint\":\"wait\"}",
		 "botlsd refuses the reload: busy; wait", 1, -EINVAL},
		{"{\"ok\":false,\"error\":\"x\",\"errors\":[{\"where\":\"/c:7\",\"text\":"
		 "\"bad \\u001b\"}]}",
		 "botlsd refuses the reload: /c:7: bad ?", 1, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errtext e = {};

		assert_int_equal(
			shim_judge(cases[i].output, strlen(cases[i].output), cases[i].status, &e),
			cases[i].error);
		assert_string_equal(e.text, cases[i].expected);
	}
}

/* Programs that are not there, or that run no daemon. */
static void test_nobody_answers(void **state)
{
	struct observation o;
	struct errtext e;
	struct world w;

	(void)state;
	world_init(&w);
	w.settings.shim_socket = w.bird.socket = w.frr.socket = folder;
	for (enum kind k = SHIM; k < KINDS; k++) {
		struct target *t;

		if (!is_there(&w, k))
			continue;
		t = open_target(&w, k);
		assert_int_equal(target_observe(t, &o), 0);
		assert_false(o.is_running);
		assert_int_equal(o.n, 0);
		assert_true(strlen(o.problem) > 10);
		observation_done(&o);
		assert_int_equal(target_load(t, NULL, TARGET_HEADER, &e), -ENOTCONN);
		target_free(t);
	}
	w.settings.botlsctl = w.settings.birdc = w.settings.vtysh = "/nonexistent/program";
	for (enum kind k = SHIM; k < KINDS; k++) {
		struct target *t = open_target(&w, k);

		assert_int_equal(target_observe(t, &o), 0);
		assert_false(o.is_running);
		assert_non_null(strstr(o.problem, "/nonexistent/program"));
		observation_done(&o);
		assert_int_equal(target_load(t, NULL, TARGET_HEADER, &e), -ENOENT);
		target_free(t);
	}
	world_done(&w);
}

static void test_line_beginning(void **state)
{
	static const struct {
		const char *line, *expected;
	} cases[] = {
		{"", ""},
		{"  exit", "exit"},
		{" neighbor  192.0.2.2\tpassword secret", "neighbor 192.0.2.2 password ..."},
		{"a b c", "a b c"},
		{"a b \x1b[1m", "a b ?[1m"},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(target_line_beginning(cases[i].line, strlen(cases[i].line), buf,
							  sizeof(buf)),
				    cases[i].expected);
}

static int make_folder(void **state)
{
	char path[100];

	(void)state;
	strcpy(folder, "/tmp/botls-test-target-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/neighbors.d", folder);
	return mkdir(path, 0755);
}

static int remove_folder(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_golden),
		IN_FOLDER(test_order),
		IN_FOLDER(test_selection),
		IN_FOLDER(test_what_no_file_can_hold),
		IN_FOLDER(test_templates),
		IN_FOLDER(test_groups),
		IN_FOLDER(test_file_is_written),
		IN_FOLDER(test_foreign_files),
		IN_FOLDER(test_file_that_cannot_be_written),
		IN_FOLDER(test_botlsd_accepts),
		IN_FOLDER(test_bird_accepts),
		IN_FOLDER(test_frr_accepts),
		IN_FOLDER(test_observe_bird),
		IN_FOLDER(test_observe_bird_limits),
		IN_FOLDER(test_observe_frr),
		IN_FOLDER(test_observe_botlsd),
		IN_FOLDER(test_judge_frr),
		IN_FOLDER(test_judge_bird),
		IN_FOLDER(test_judge_botlsd),
		IN_FOLDER(test_nobody_answers),
		IN_FOLDER(test_line_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
