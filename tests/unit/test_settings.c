// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration of botls-provision: golden files (settings/good: what is printed;
 * settings/bad: every problem), secrets in files, what print writes is read back, and the manual
 * against the table of options.
 */
#include "files.h"
#include "reports.h"
#include "settings_schema.h"
#include "botls/botls.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#define OURS "asn = 64500\naddresses = { 192.0.2.1, 2001:db8::1 }\n"

static struct settings *load_text(const char *text)
{
	struct settings *s = NULL;
	_cleanup_free_ char *said = NULL;
	struct reports r;
	int error;

	reports_init(&r);
	error = settings_load_text(text, reports_add, &r, &s);
	said = reports_done(&r);
	if (error)
		fail_msg("%s", said);
	assert_string_equal(said, "");
	return s;
}

static char *print(const struct settings *s)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	settings_print(s, f);
	fclose(f);
	return text;
}

/* Without comments: the names of the files in them depend on where the tests run. */
static char *print_bare(const struct settings *s)
{
	char *text = print(s);

	text_bare(text);
	return text;
}

/* A checkout is readable by everybody, which is not for secrets: they are read from a copy. */
static int load_private(const char *path, struct reports *r, struct settings **ret)
{
	char folder[] = "/tmp/botls-test-settings-XXXXXX", copy[600];
	_cleanup_free_ char *text = file_read(path), *base = strdup(path);
	FILE *f;
	int error;

	assert_non_null(mkdtemp(folder));
	snprintf(copy, sizeof(copy), "%s/%s", folder, basename(base));
	f = fopen(copy, "w");
	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0640), 0);
	fputs(text, f);
	fclose(f);
	error = settings_load(copy, reports_add, r, ret);
	fflush(r->out);
	text_strip(r->text, folder);
	unlink(copy);
	assert_int_equal(rmdir(folder), 0);
	return error;
}

static void check_case(const char *path, bool is_good)
{
	_cleanup_settings_ struct settings *s = NULL, *again = NULL;
	_cleanup_free_ char *said = NULL, *printed = NULL, *printed_again = NULL;
	char golden[600];
	struct reports r;
	int error;

	reports_init(&r);
	error = load_private(path, &r, &s);
	said = reports_done(&r);
	snprintf(golden, sizeof(golden), "%.*s%s", (int)strlen(path) - 5, path,
		 is_good ? ".print" : ".errors");
	if (!is_good) {
		assert_int_equal(error, -EINVAL);
		assert_true(r.n > 0);
		golden_compare(golden, said);
		return;
	}
	if (error)
		fail_msg("%s: %s", path, said);
	printed = print_bare(s);
	golden_compare(golden, printed);
	again = load_text(printed);
	printed_again = print_bare(again);
	assert_string_equal(printed, printed_again);
}

static int is_conf(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && !strcmp(d->d_name + n - 5, ".conf");
}

static void check_cases(const char *folder, bool is_good, int least)
{
	struct dirent **entries;
	char base[512];
	int n = scandir(golden_path(folder, base), &entries, is_conf, alphasort);

	assert_true(n >= least);
	for (int i = 0; i < n; i++) {
		char path[900];

		snprintf(path, sizeof(path), "%s/%s", base, entries[i]->d_name);
		free(entries[i]);
		check_case(path, is_good);
	}
	free(entries);
}

static void good_files(void **state)
{
	(void)state;
	check_cases("settings/good", true, 3);
}

static void bad_files(void **state)
{
	(void)state;
	check_cases("settings/bad", false, 10);
}

/* Else an option could be printed wrongly and nobody would see it. */
static void the_golden_file_has_every_option(void **state)
{
	char path[512];
	_cleanup_free_ char *text = file_read(golden_path("settings/good/everything.conf", path));

	(void)state;
	for (size_t i = 0; i < settings_schema.n_options; i++) {
		_cleanup_free_ char *word = NULL;
		const struct conf_option *o = &settings_schema.options[i];

		if (o->type == CONF_SECRET_FILE)
			continue;
		assert_true(asprintf(&word, "%s = ", o->name) > 0);
		if (!strstr(text, word))
			fail_msg("everything.conf lacks %s", o->name);
	}
}

static void example_is_good(void **state)
{
	_cleanup_settings_ struct settings *s = NULL;
	_cleanup_free_ char *said = NULL;
	struct reports r;
	char path[512];

	(void)state;
	reports_init(&r);
	if (settings_load(golden_path("../../dist/provision.conf", path), reports_add, &r, &s) < 0)
		fail_msg("%s", r.text);
	said = reports_done(&r);
	assert_string_equal(said, "");
	assert_int_equal(s->n_servers, 1);
	assert_int_equal(s->n_peers, 2);
	assert_int_equal(s->n_daemons, 1);
}

static void defaults_of_globals(void **state)
{
	_cleanup_settings_ struct settings *s = load_text(OURS);

	(void)state;
	assert_int_equal(s->asn, 64500);
	assert_int_equal(s->n_addresses, 2);
	assert_string_equal(s->state_folder, "/var/lib/botls/provision");
	assert_null(s->audit_log);
	assert_string_equal(s->peeringdb, "https://www.peeringdb.com/api");
	assert_true(s->check_addresses);
	assert_null(s->peeringdb_key);
	assert_null(s->peeringdb_ca);
	assert_false(s->peeringdb_allow_http);
	assert_int_equal(s->peeringdb_max_age, 3600);
	assert_int_equal(s->max_prefix_headroom, 25);
	assert_int_equal(s->max_prefix_default_4, 1000);
	assert_int_equal(s->max_prefix_default_6, 500);
	assert_string_equal(s->shim_config, BOTLS_CONFIG_PATH);
	assert_string_equal(s->shim_file, "/etc/botls/neighbors.d/botls-provision.conf");
	assert_null(s->shim_socket);
	assert_string_equal(s->botlsd, "botlsd");
	assert_string_equal(s->botlsctl, "botlsctl");
	assert_string_equal(s->bird, "bird");
	assert_string_equal(s->birdc, "birdc");
	assert_string_equal(s->vtysh, "vtysh");
	assert_null(s->certificate);
	assert_int_equal(s->max_deletions, 5);
	assert_int_equal(s->time_window, 7 * 86400);
	assert_int_equal(s->drain_time, 300);
	assert_int_equal(s->verify_timeout, 20);
	assert_int_equal(s->interval, 300);
	assert_null(settings_server(s, "a"));
	assert_null(settings_peer(s, 64501));
}

static void defaults_of_servers(void **state)
{
	_cleanup_settings_ struct settings *s =
		load_text(OURS "server a { url = https://a.example/v1/ asn = 64501 }\n");
	const struct server_settings *v = settings_server(s, "a");

	(void)state;
	assert_non_null(v);
	assert_string_equal(v->name, "a");
	assert_string_equal(v->origin, "text:3");
	assert_string_equal(v->url, "https://a.example/v1");
	assert_int_equal(v->asn, 64501);
	assert_int_equal(v->era, ERA_B);
	assert_int_equal(v->perspective, LOCAL_IS_REQUESTER);
	assert_int_equal(v->side, SIDE_INITIATOR);
	assert_false(v->allow_http);
	assert_null(v->ca);
	assert_int_equal(v->auth, AUTH_NONE);
	assert_null(v->token_url);
	assert_null(v->issuer);
	assert_null(v->client_id);
	assert_null(v->client_secret);
	assert_int_equal(v->client_auth, CLIENT_SECRET_BASIC);
	assert_null(v->scope);
	assert_null(v->audience);
	assert_null(v->resource);
	assert_null(v->token_file);
	assert_int_equal(v->n_token_command, 0);
	assert_int_equal(v->batch_form, BATCH_ARRAY);
	assert_int_equal(v->secret_field, SECRET_FIELD_AUTO);
	assert_false(v->batch_delete);
	assert_false(v->tls_extension);
	assert_false(v->accept_extra);
	assert_int_equal(v->timeout, 30);
	assert_int_equal(v->max_pages, 200);
	assert_int_equal(v->page_size, 100);
	assert_int_equal(v->max_sessions, 10000);
	assert_int_equal(v->retries, 3);
}

static void defaults_of_peers_and_daemons(void **state)
{
	_cleanup_settings_ struct settings *s =
		load_text(OURS "peer AS64501 {}\ndaemon b { kind = bird file = /x }\n");
	const struct peer_settings *p = settings_peer(s, 64501);
	const struct daemon_settings *d = s->daemons;

	(void)state;
	assert_non_null(p);
	assert_string_equal(p->origin, "text:3");
	assert_null(p->description);
	assert_int_equal(p->mode, PEER_REQUIRED);
	assert_null(p->certificate);
	assert_null(p->key);
	assert_null(p->ca);
	assert_int_equal(p->n_dns_names, 0);
	assert_int_equal(p->n_pins, 0);
	assert_false(p->pins_from_api);
	assert_int_equal(p->port, 0);
	assert_int_equal(p->ttl_security, 0);
	assert_int_equal(p->session_secret, SECRET_IGNORE);
	assert_false(p->propose_secret);
	assert_int_equal(p->n_locations, 0);
	assert_null(p->daemon);
	assert_int_equal(p->max_prefix_4, 0);
	assert_int_equal(p->max_prefix_6, 0);
	assert_null(p->import);
	assert_null(p->export);
	assert_int_equal(p->role, -1);

	assert_ptr_equal(settings_daemon(s, p), d);
	assert_string_equal(d->name, "b");
	assert_string_equal(d->origin, "text:4");
	assert_int_equal(d->kind, DAEMON_BIRD);
	assert_string_equal(d->file, "/x");
	assert_string_equal(d->config, "/etc/bird/bird.conf");
	assert_null(d->socket);
	assert_null(d->template_file);
	assert_null(d->group);
}

static void names_and_numbers_of_roles_agree(void **state)
{
	static const char *const names[] = {"provider", "rs-server", "rs-client", "customer",
					    "peer"};

	(void)state;
	for (int i = 0; i < (int)ARRAY_SIZE(names); i++) {
		_cleanup_settings_ struct settings *s = NULL;
		char text[200];

		snprintf(text, sizeof(text), OURS "peer AS64501 { role = %s }", names[i]);
		s = load_text(text);
		assert_int_equal(s->peers[0].role, i);
	}
}

static void peers_are_found_and_their_daemons(void **state)
{
	_cleanup_settings_ struct settings *s =
		load_text(OURS "daemon = d1\npeer AS64503 {}\npeer 1.1 { daemon = d2 }\n"
			       "peer AS64501 { daemon = d1 }\n"
			       "daemon d1 { kind = frr file = /1 }\n"
			       "daemon d2 { kind = frr file = /2 }\n");
	_cleanup_settings_ struct settings *none = load_text(OURS "peer AS64503 {}\n");

	(void)state;
	assert_int_equal(s->peers[0].asn, 64501);
	assert_int_equal(s->peers[1].asn, 64503);
	assert_int_equal(s->peers[2].asn, 65537);
	assert_ptr_equal(settings_peer(s, 65537), &s->peers[2]);
	assert_null(settings_peer(s, 64502));
	assert_ptr_equal(settings_daemon(s, &s->peers[0]), &s->daemons[0]);
	assert_ptr_equal(settings_daemon(s, &s->peers[1]), &s->daemons[0]);
	assert_ptr_equal(settings_daemon(s, &s->peers[2]), &s->daemons[1]);
	assert_null(settings_daemon(none, none->peers));
}

/* Loads folder/provision.conf. *ret_said is the caller's. */
static int load_folder(const char *folder, struct settings **ret, char **ret_said)
{
	struct reports r;
	char path[512];
	int error;

	snprintf(path, sizeof(path), "%s/provision.conf", folder);
	reports_init(&r);
	*ret = NULL;
	error = settings_load(path, reports_add, &r, ret);
	*ret_said = reports_done(&r);
	return error;
}

#define SERVER                                                                                     \
	"server s { url = https://a.example asn = 64501 auth = client-credentials\n"               \
	"token-url = https://auth.example/ client-id = x\n"

static void secrets_come_from_files(void **state)
{
	_cleanup_settings_ struct settings *s = NULL, *again = NULL;
	char *said, *printed, *folder = folder_make(), path[512];

	(void)state;
	file_write(folder, "provision.conf",
		   OURS "peeringdb-key-file = pdb.key\n" SERVER
			"client-secret-file = client.secret }\n",
		   0644);
	file_write(folder, "pdb.key", "k3y\nnot this\n", 0600);
	file_write(folder, "client.secret", "s3cret", 0640);
	if (load_folder(folder, &s, &said) < 0)
		fail_msg("%s", said);
	free(said);
	assert_string_equal(s->peeringdb_key, "k3y");
	assert_string_equal(s->servers[0].client_secret, "s3cret");
	printed = print(s);
	assert_null(strstr(printed, "k3y"));
	assert_null(strstr(printed, "s3cret"));
	again = load_text(printed);
	assert_string_equal(again->peeringdb_key, "<hidden>");
	assert_string_equal(again->servers[0].client_secret, "<hidden>");
	free(printed);
	settings_free(TAKE(s));

	file_write(folder, "client.secret", "s3cret\n", 0604);
	file_write(folder, "pdb.key", "k\001y\n", 0600);
	assert_int_equal(load_folder(folder, &s, &said), -EINVAL);
	snprintf(path, sizeof(path),
		 "provision.conf:3: peeringdb-key-file: it holds a byte that is not printable "
		 "ASCII\n"
		 "provision.conf:6: client-secret-file: everybody may read the secret in "
		 "%s/client.secret: chmod o-r it\n",
		 folder);
	assert_string_equal(said, path);
	free(said);
	folder_remove(folder);
}

static void secrets_are_kept_from_others(void **state)
{
	struct settings *s = NULL;
	char *said, *folder = folder_make();

	(void)state;
	file_write(folder, "provision.conf",
		   OURS "peeringdb-key = s3cret\n" SERVER "client-secret = s3cret }\n", 0644);
	assert_int_equal(load_folder(folder, &s, &said), -EINVAL);
	assert_string_equal(said,
			    "provision.conf:3: peeringdb-key: everybody may read this file: chmod "
			    "o-r it, or use peeringdb-key-file\n"
			    "provision.conf:6: client-secret: everybody may read this file: chmod "
			    "o-r it, or use client-secret-file\n");
	free(said);

	file_write(folder, "provision.conf",
		   OURS "peeringdb-key = s3cret\npeeringdb-key-file = x\n" SERVER
			"client-secret = '<hidden>' client-secret-file = x }\n",
		   0640);
	file_write(folder, "x", "s3cret2", 0600);
	assert_int_equal(load_folder(folder, &s, &said), -EINVAL);
	assert_string_equal(
		said, "provision.conf:4: peeringdb-key and peeringdb-key-file are both set: remove "
		      "one\n"
		      "provision.conf:7: client-secret: '<hidden>' only stands for a secret: write "
		      "the secret itself\n"
		      "provision.conf:7: client-secret and client-secret-file are both set: remove "
		      "one\n");
	free(said);
	folder_remove(folder);
}

static void relative_paths_begin_beside_the_file(void **state)
{
	_cleanup_settings_ struct settings *s = NULL;
	char *said, *folder = folder_make(), expected[512];

	(void)state;
	file_write(folder, "provision.conf",
		   OURS "shim-config = b/botlsd.conf\nbird = ./bird\npeeringdb = dump.json\n",
		   0644);
	if (load_folder(folder, &s, &said) < 0)
		fail_msg("%s", said);
	free(said);
	snprintf(expected, sizeof(expected), "%s/b/neighbors.d/botls-provision.conf", folder);
	assert_string_equal(s->shim_file, expected);
	snprintf(expected, sizeof(expected), "%s/./bird", folder);
	assert_string_equal(s->bird, expected);
	snprintf(expected, sizeof(expected), "%s/dump.json", folder);
	assert_string_equal(s->peeringdb, expected);
	folder_remove(folder);
}

static void unreadable_files_are_reported(void **state)
{
	struct settings *s = NULL;
	char *said, *folder = folder_make(), path[512];

	(void)state;
	assert_int_equal(load_folder(folder, &s, &said), -ENOENT);
	assert_string_equal(said, "provision.conf: cannot be read: there is no such file: write "
				  "it, or name another one (-c FILE)\n");
	free(said);
	snprintf(path, sizeof(path), "%s/provision.conf", folder);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(load_folder(folder, &s, &said), -EBADF);
	assert_string_equal(
		said, "provision.conf: is not a regular file: write the configuration into one\n");
	free(said);
	assert_null(s);
	folder_remove(folder);
}

/* Each limit of each number in the table, and one beyond. */
static void ranges_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < settings_schema.n_options; i++) {
		const struct conf_option *o = &settings_schema.options[i];
		union {
			struct settings globals;
			struct server_settings server;
			struct peer_settings peer;
			struct daemon_settings daemon;
		} base = {};
		struct {
			uint64_t value;
			bool fits;
		} tries[] = {
			{o->min, true},
			{o->max, true},
			{o->max + 1, false},
			{o->min - 1, o->min == 1 && o->zero},
			{0, o->min == 0 || o->zero},
			{4294967296, false},
		};

		if (o->type != CONF_NUMBER && o->type != CONF_SECONDS && o->type != CONF_AS)
			continue;
		for (size_t t = 0; t < ARRAY_SIZE(tries); t++) {
			char text[24], *values[] = {text};
			struct conf_context none = {};
			struct errtext e;
			int r;

			snprintf(text, sizeof(text), "%llu", (unsigned long long)tries[t].value);
			r = conf_set(o, &base, &none, values, 1, &e);
			if (r != (tries[t].fits ? 0 : -EINVAL))
				fail_msg("%s = %s: %d", o->name, text, r);
			if (!r)
				assert_int_equal(conf_number(o, &base), tries[t].value);
		}
	}
}

/* A name is in one row for what may stand in one place. */
static void rows_of_one_name_do_not_overlap(void **state)
{
	(void)state;
	for (size_t i = 0; i < settings_schema.n_options; i++)
		for (size_t j = 0; j < i; j++) {
			const struct conf_option *a = &settings_schema.options[i];
			const struct conf_option *b = &settings_schema.options[j];

			if (!strcmp(a->name, b->name) && (a->scope & b->scope))
				fail_msg("%s", a->name);
		}
}

/* Many peers that inherit: no step may take the square of their number. */
static void many_peers_load(void **state)
{
	_cleanup_settings_ struct settings *s = NULL;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	fputs(OURS "certificate = /c\nkey = /k\ndaemon d { kind = frr file = /f }\n", f);
	for (unsigned i = 0; i < BOTLS_NEIGHBORS_MAX; i++)
		fprintf(f, "peer %u { import = x }\n", 100000 + BOTLS_NEIGHBORS_MAX - i);
	fclose(f);
	s = load_text(text);
	assert_int_equal(s->n_peers, BOTLS_NEIGHBORS_MAX);
	for (unsigned i = 0; i < BOTLS_NEIGHBORS_MAX; i++)
		assert_int_equal(s->peers[i].asn, 100001 + i);
	free(text);
}

/* The part of the manual for one place, from its heading to the next one. */
static char *manual_section(const char *manual, unsigned scope)
{
	const char *title = scope & SCOPE_SERVER   ? "\n.Sh SERVERS\n"
			    : scope & SCOPE_PEER   ? "\n.Sh PEERS\n"
			    : scope & SCOPE_DAEMON ? "\n.Sh DAEMONS\n"
						   : "\n.Sh GLOBAL OPTIONS\n";
	const char *begin = strstr(manual, title), *end;

	if (!begin)
		fail_msg("the manual lacks %s", title);
	begin += strlen(title) - 1;
	end = strstr(begin, "\n.Sh ");
	return strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
}

/* The item of an option: from ".It Ic NAME" to the next item, line breaks taken away. */
static char *manual_item(const char *section, const char *name)
{
	_cleanup_free_ char *head = NULL;
	const char *begin, *end;
	char *item;

	assert_true(asprintf(&head, "\n.It Ic %s ", name) > 0);
	begin = strstr(section, head);
	if (!begin)
		fail_msg("botls-provision.conf.5 lacks '%s'", head + 1);
	begin += strlen(head);
	end = strstr(begin, "\n.It Ic ");
	item = strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
	for (char *p = item; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return item;
}

static void assert_says(const struct conf_option *o, const char *item, const char *text)
{
	if (!strstr(item, text))
		fail_msg("%s: the manual does not say '%s': %s", o->name, text, item);
}

static void check_item(const struct conf_option *o, const char *item)
{
	char text[300];

	snprintf(text, sizeof(text), "default is .Cm %s ", o->initial);
	if (o->initial)
		assert_says(o, item, text);
	else if (!strstr(item, "default is ") && !strstr(item, "no default"))
		fail_msg("%s: the manual says nothing of a default", o->name);
	if (o->type == CONF_NUMBER || o->type == CONF_SECONDS)
		assert_says(o, item, conf_expects(o, text));
	for (size_t j = 0; o->type == CONF_ENUM && j <= o->max; j++) {
		snprintf(text, sizeof(text), " %s ", o->names[j]);
		assert_says(o, item, text);
	}
	if (conf_is_list(o) && o->type != CONF_WORDS) {
		snprintf(text, sizeof(text), "at most %llu", (unsigned long long)o->max);
		assert_says(o, item, text);
	}
}

static void manual_has_every_option(void **state)
{
	char path[512];
	_cleanup_free_ char *manual =
		file_read(golden_path("../../docs/man/botls-provision.conf.5", path));

	(void)state;
	for (size_t i = 0; i < settings_schema.n_options; i++) {
		const struct conf_option *o = &settings_schema.options[i];
		_cleanup_free_ char *section = manual_section(manual, o->scope);
		_cleanup_free_ char *item = manual_item(section, o->name);

		check_item(o, item);
	}
}

/* The other way round: no item of the manual is without an option. */
static void manual_has_no_other_option(void **state)
{
	static const unsigned scopes[] = {CONF_GLOBAL, SCOPE_SERVER, SCOPE_PEER, SCOPE_DAEMON};
	char path[512];
	_cleanup_free_ char *manual =
		file_read(golden_path("../../docs/man/botls-provision.conf.5", path));
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		_cleanup_free_ char *section = manual_section(manual, scopes[i]);

		for (const char *p = section; (p = strstr(p, "\n.It Ic ")); p++, n++) {
			char name[40];

			assert_int_equal(sscanf(p, "\n.It Ic %39s", name), 1);
			if (!conf_option(&settings_schema, name, scopes[i]))
				fail_msg("botls-provision.conf.5 has '%s' where it is no option",
					 name);
		}
	}
	assert_int_equal(n, settings_schema.n_options);
}

/* The lists of what may (servers) and may not (peers) stand outside. */
static void manual_says_what_may_stand_outside(void **state)
{
	char path[512];
	_cleanup_free_ char *manual =
		file_read(golden_path("../../docs/man/botls-provision.conf.5", path));

	(void)state;
	for (size_t i = 0; i < settings_schema.n_options; i++) {
		const struct conf_option *o = &settings_schema.options[i];
		bool is_default = o->scope & CONF_GLOBAL, is_listed;
		_cleanup_free_ char *section = NULL, *word = NULL;
		char *begin, *end;

		if (!(o->scope & (SCOPE_SERVER | SCOPE_PEER)))
			continue;
		section = manual_section(manual, o->scope);
		begin = strstr(section, "\nOf the options below");
		end = begin ? strstr(begin, "\nmay also be set outside") : NULL;
		assert_non_null(end);
		end[1] = '\0';
		for (char *p = begin; *p; p++)
			if (*p == '\n')
				*p = ' ';
		assert_true(asprintf(&word, " %s ", o->name) > 0);
		is_listed = strstr(begin, word);
		if (is_listed != (o->scope & SCOPE_SERVER ? is_default : !is_default))
			fail_msg("%s: the manual is wrong on whether it may stand outside",
				 o->name);
	}
}

/* What the manual shows loads, with files for its secrets. */
static void example_of_the_manual_is_good(void **state)
{
	_cleanup_settings_ struct settings *s = NULL;
	char path[512], *said, *folder = folder_make(), *begin, *end, *to;
	_cleanup_free_ char *manual =
		file_read(golden_path("../../docs/man/botls-provision.conf.5", path));

	(void)state;
	begin = strstr(manual, "\n.Sh EXAMPLES\n");
	assert_non_null(begin);
	begin = strstr(begin, "\n.Bd -literal -offset indent\n");
	assert_non_null(begin);
	begin += strlen("\n.Bd -literal -offset indent\n");
	end = strstr(begin, "\n.Ed\n");
	assert_non_null(end);
	*end = '\0';
	to = begin;
	for (const char *from = begin; *from; from++)
		if (strncmp(from, "\\&", 2) != 0)
			*to++ = *from;
		else
			from++;
	*to = '\0';
	file_write(folder, "provision.conf", begin, 0644);
	file_write(folder, "peeringdb.key", "x", 0600);
	file_write(folder, "example-net.secret", "y", 0600);
	if (load_folder(folder, &s, &said) < 0)
		fail_msg("%s", said);
	free(said);
	assert_int_equal(s->n_peers, 3);
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(the_golden_file_has_every_option),
		cmocka_unit_test(example_is_good),
		cmocka_unit_test(defaults_of_globals),
		cmocka_unit_test(defaults_of_servers),
		cmocka_unit_test(defaults_of_peers_and_daemons),
		cmocka_unit_test(names_and_numbers_of_roles_agree),
		cmocka_unit_test(peers_are_found_and_their_daemons),
		cmocka_unit_test(secrets_come_from_files),
		cmocka_unit_test(secrets_are_kept_from_others),
		cmocka_unit_test(relative_paths_begin_beside_the_file),
		cmocka_unit_test(unreadable_files_are_reported),
		cmocka_unit_test(ranges_hold),
		cmocka_unit_test(rows_of_one_name_do_not_overlap),
		cmocka_unit_test(many_peers_load),
		cmocka_unit_test(manual_has_every_option),
		cmocka_unit_test(manual_has_no_other_option),
		cmocka_unit_test(manual_says_what_may_stand_outside),
		cmocka_unit_test(example_of_the_manual_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
