// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration: golden files (config/good: what is printed; config/bad: every problem),
 * loading from real folders, properties of print and match over random configurations, and the
 * manual against the table of options.
 */
#include "config_schema.h"
#include "files.h"
#include "plan.h"
#include "reports.h"
#include "botls/botls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#define PIN	 "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define IDENTITY "certificate = \"/c\"\nkey = \"/k\"\nca = \"/a\"\n"

static struct config *load_text(const char *text)
{
	struct reports r;
	struct config *c = NULL;
	_cleanup_free_ char *said = NULL;
	int error;

	reports_init(&r);
	error = config_load_text(text, reports_add, &r, &c);
	said = reports_done(&r);
	if (error)
		fail_msg("%s", said);
	assert_string_equal(said, "");
	return c;
}

/* The text must be refused with exactly this one problem. */
static void assert_refused(const char *text, const char *problem)
{
	struct reports r;
	struct config *c = NULL;
	_cleanup_free_ char *said = NULL, *expected = NULL;
	int error;

	reports_init(&r);
	error = config_load_text(text, reports_add, &r, &c);
	said = reports_done(&r);
	assert_true(asprintf(&expected, "%s\n", problem) > 0);
	assert_string_equal(said, expected);
	assert_int_equal(error, -EINVAL);
	assert_null(c);
}

static char *print(const struct config *c)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	config_print(c, f);
	fclose(f);
	return text;
}

/* Loads folder/botlsd.conf. *ret_said is the caller's. */
static int load_folder(const char *folder, struct config **ret, char **ret_said)
{
	struct reports r;
	char path[512];
	int error;

	snprintf(path, sizeof(path), "%s/botlsd.conf", folder);
	reports_init(&r);
	*ret = NULL;
	error = config_load(path, reports_add, &r, ret);
	*ret_said = reports_done(&r);
	return error;
}

/* Without comments: the names of the files in them depend on where the tests run. */
static char *print_bare(const struct config *c)
{
	char *text = print(c);

	text_bare(text);
	return text;
}

static void check_case(const char *path, bool is_good)
{
	_cleanup_config_ struct config *c = NULL;
	_cleanup_free_ char *said = NULL, *printed = NULL, *folder = strdup(path);
	char golden[600];
	struct reports r;
	int error;

	reports_init(&r);
	error = config_load(path, reports_add, &r, &c);
	said = reports_done(&r);
	snprintf(golden, sizeof(golden), "%.*s%s", (int)strlen(path) - 5, path,
		 is_good ? ".print" : ".errors");
	if (!is_good) {
		assert_int_equal(error, -EINVAL);
		assert_true(r.n > 0);
		text_strip(said, dirname(folder));
		golden_compare(golden, said);
		return;
	}
	if (error)
		fail_msg("%s: %s", path, said);
	printed = print_bare(c);
	golden_compare(golden, printed);
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
	setenv("BOTLS_TEST_VARIABLE", "expanded", 1);
	check_cases("config/good", true, 3);
}

static void bad_files(void **state)
{
	(void)state;
	check_cases("config/bad", false, 8);
}

static void example_is_good(void **state)
{
	char path[512];
	_cleanup_config_ struct config *c = NULL;
	_cleanup_free_ char *said = NULL;
	struct reports r;

	(void)state;
	reports_init(&r);
	if (config_load(golden_path("../../dist/botlsd.conf", path), reports_add, &r, &c) < 0)
		fail_msg("%s", r.text);
	said = reports_done(&r);
	assert_string_equal(said, "");
	assert_true(c->n_neighbors > 0);
}

static void defaults_are_those_of_the_header(void **state)
{
	_cleanup_config_ struct config *c = load_text(IDENTITY "neighbor 192.0.2.2 {}");
	const struct neighbor_config *n = c->neighbors;

	(void)state;
	assert_int_equal(c->steering, STEERING_AUTO);
	assert_int_equal(c->tls_port, BOTLS_PORT_TLS);
	assert_int_equal(c->inner_port, BOTLS_PORT_INNER);
	assert_int_equal(c->workers, 1);
	assert_string_equal(c->user, "botls");
	assert_int_equal(c->n_daemon_users, 1);
	assert_string_equal(c->daemon_users[0], "root");
	assert_string_equal(c->control_socket, BOTLS_CONTROL_PATH);
	assert_null(c->control_group);
	assert_string_equal(c->bpffs, BOTLS_BPFFS_PATH);
	assert_int_equal(c->handshakes_max, 256);
	assert_int_equal(c->handshake_rate, 10);
	assert_int_equal(c->expiry_warning_days, 30);
	assert_int_equal(c->log_level, CONFIG_LOG_INFO);

	assert_string_equal(n->name, "192.0.2.2");
	assert_string_equal(n->origin, "text:4");
	assert_null(n->description);
	assert_int_equal(n->mode, MODE_REQUIRED);
	assert_int_equal(n->role, ROLE_BOTH);
	assert_int_equal(n->local_address.family, AF_UNSPEC);
	assert_int_equal(n->tls_port, BOTLS_PORT_TLS);
	assert_string_equal(n->identity.certificate, "/c");
	assert_string_equal(n->identity.ca, "/a");
	assert_null(n->identity.crl);
	assert_true(n->identity.check_address);
	assert_true(n->identity.check_eku);
	assert_int_equal(n->min_version, TLS_MIN_1_2);
	assert_int_equal(n->remote_as, 0);
	assert_int_equal(n->ttl_security, 0);
	assert_int_equal(n->ttl, 255);
	assert_null(n->tcp_md5);
	assert_int_equal(n->handshake_timeout, 10);
	assert_int_equal(n->hold_time, 60);
	assert_int_equal(n->fallback_after, 30);
	assert_int_equal(n->user_timeout, 0);
	assert_int_equal(n->keepalive, 60);
	assert_int_equal(n->key_update_records, 1 << 23);
	assert_int_equal(n->max_sessions, 8);
}

static void neighbors_inherit_and_override(void **state)
{
	_cleanup_config_ struct config *c = load_text(
		"hold-time = 2m\ndns-names = { a.example, b.example }\nca = /a\nport = 9000\n"
		"neighbor 192.0.2.1 {}\n"
		"neighbor 192.0.2.2 { hold-time = 0 dns-names = {} port = 9001 }\n"
		"neighbor 192.0.2.3 { ca = \"\" dns-names = {} pins = \"" PIN "\" }\n"
		"neighbor 198.51.100.0/24 { check-address = true }\n"
		/* globals count for blocks before them too */
		"certificate = /c\nkey = /k\n");
	const struct neighbor_config *n = c->neighbors;

	(void)state;
	assert_int_equal(c->n_neighbors, 4);
	assert_int_equal(n[0].hold_time, 120);
	assert_int_equal(n[0].identity.n_dns_names, 2);
	assert_string_equal(n[0].identity.dns_names[1], "b.example");
	assert_false(n[0].identity.check_address);
	assert_int_equal(n[0].tls_port, 9000);
	assert_int_equal(n[1].hold_time, 0);
	assert_int_equal(n[1].identity.n_dns_names, 0);
	assert_true(n[1].identity.check_address);
	assert_int_equal(n[1].tls_port, 9001);
	assert_null(n[2].identity.ca);
	assert_false(n[2].identity.check_address);
	assert_int_equal(n[2].identity.n_pins, 1);
	assert_true(n[3].identity.check_address);
	assert_int_equal(n[3].max_sessions, 100);
	assert_string_equal(n[3].identity.key, "/k");
}

static void values_have_their_forms(void **state)
{
	_cleanup_config_ struct config *c = load_text(
		IDENTITY
		"neighbor 192.0.2.1 { remote-as = 1.10 hold-time = 90s handshake-timeout = 2m }\n"
		"neighbor 192.0.2.2 { remote-as = 4294967295 keepalive = 0 check-eku = off }\n"
		"neighbor 192.0.2.3 { user-timeout = 1h pins = \"sha256/"
		"/+8BI0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniRI=\" }\n");
	const struct neighbor_config *n = c->neighbors;
	static const uint8_t first[] = {0xff, 0xef, 0x01, 0x23};

	(void)state;
	assert_int_equal(n[0].remote_as, 65546);
	assert_int_equal(n[0].hold_time, 90);
	assert_int_equal(n[0].handshake_timeout, 120);
	assert_int_equal(n[1].remote_as, 4294967295U);
	assert_int_equal(n[1].keepalive, 0);
	assert_false(n[1].identity.check_eku);
	assert_int_equal(n[2].user_timeout, 3600);
	assert_memory_equal(n[2].identity.pins[0], first, sizeof(first));
	assert_int_equal(n[2].identity.pins[0][31], 0x12);
}

/* Each limit of each number in the table, and one beyond. */
static void ranges_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < config_schema.n_options; i++) {
		const struct conf_option *o = &config_schema.options[i];
		struct neighbor_config n = {};
		struct config c = {};
		void *base = o->scope == CONF_GLOBAL ? (void *)&c : &n;
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
			r = conf_set(o, base, &none, values, 1, &e);
			if (r != (tries[t].fits ? 0 : -EINVAL))
				fail_msg("%s = %s: %d", o->name, text, r);
		}
	}
}

static void lengths_are_limited(void **state)
{
	char text[2000], expected[300], key[MD5_KEY_MAX + 2];
	_cleanup_config_ struct config *c = NULL;

	(void)state;
	memset(key, 'k', sizeof(key));
	key[MD5_KEY_MAX] = '\0';
	snprintf(text, sizeof(text), IDENTITY "neighbor 192.0.2.1 { tcp-md5 = %s }", key);
	c = load_text(text);
	assert_string_equal(c->neighbors[0].tcp_md5, key);
	snprintf(text, sizeof(text), IDENTITY "neighbor 192.0.2.1 { tcp-md5 = %sk }", key);
	assert_refused(text, "text:4: tcp-md5: this is not a key of 1 to 80 bytes");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-md5 = \"\" }",
		       "text:4: tcp-md5: this is not a key of 1 to 80 bytes");
	snprintf(text, sizeof(text), "control-socket = /%0107d\n", 0);
	snprintf(expected, sizeof(expected),
		 "text:1: control-socket: '/%059d...' is not a path of at most 107 bytes", 0);
	assert_refused(text, expected);
}

static void files_are_read_in_name_order(void **state)
{
	_cleanup_free_ char *said = NULL;
	_cleanup_config_ struct config *c = NULL;
	char expected[512], *folder = folder_make();

	(void)state;
	file_write(folder, "botlsd.conf",
		   "certificate = own/c.pem\nkey = /k\nca = a\nneighbor 192.0.2.9 {}\n", 0644);
	snprintf(expected, sizeof(expected), "%s/neighbors.d", folder);
	assert_int_equal(mkdir(expected, 0755), 0);
	file_write(folder, "neighbors.d/20-b.conf", "\nneighbor 192.0.2.1 { key = b }\n", 0644);
	file_write(folder, "neighbors.d/10-a.conf", "neighbor 192.0.2.5 {}", 0644);
	file_write(folder, "neighbors.d/ignored.txt", "garbage", 0644);
	file_write(folder, "neighbors.d/.hidden.conf", "garbage", 0644);
	if (load_folder(folder, &c, &said) < 0)
		fail_msg("%s", said);
	assert_int_equal(c->n_neighbors, 3);
	assert_string_equal(c->neighbors[0].name, "192.0.2.1");
	snprintf(expected, sizeof(expected), "%s/neighbors.d/20-b.conf:2", folder);
	assert_string_equal(c->neighbors[0].origin, expected);
	snprintf(expected, sizeof(expected), "%s/own/c.pem", folder);
	assert_string_equal(c->neighbors[0].identity.certificate, expected);
	snprintf(expected, sizeof(expected), "%s/b", folder);
	assert_string_equal(c->neighbors[0].identity.key, expected);
	assert_string_equal(c->neighbors[2].name, "192.0.2.9");
	assert_string_equal(c->neighbors[2].identity.key, "/k");
	folder_remove(folder);
}

static void problems_come_in_file_order(void **state)
{
	_cleanup_free_ char *said = NULL, *expected = NULL;
	_cleanup_config_ struct config *c = NULL;
	char path[512], *folder = folder_make();

	(void)state;
	file_write(folder, "botlsd.conf", IDENTITY "neighbor 192.0.2.9 {}\nworkers = 0\n", 0644);
	snprintf(path, sizeof(path), "%s/neighbors.d", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	file_write(folder, "neighbors.d/b.conf",
		   "neighbor 192.0.2.9 {}\nneighbor 192.0.2.8 { role = 1 }\n", 0644);
	file_write(folder, "neighbors.d/a.conf",
		   "\n\nhold-time = 3\nneighbor 192.0.2.8 {\nuser = x }\n", 0644);
	assert_int_equal(load_folder(folder, &c, &said), -EINVAL);
	assert_true(
		asprintf(&expected,
			 "botlsd.conf:5: workers: '0' is not in the range 1 to 64\n"
			 "a.conf:3: 'hold-time': files in neighbors.d hold only neighbor and key "
			 "blocks: "
			 "move it to the "
			 "main file\n"
			 "a.conf:5: 'user' is a global option: move it out of the neighbor block\n"
			 "b.conf:1: neighbor 192.0.2.9 is there twice, also at %s/botlsd.conf:4: "
			 "remove one\n"
			 "b.conf:2: role: '1' is not both, connect or accept\n"
			 "b.conf:2: neighbor 192.0.2.8 is there twice, also at "
			 "%s/neighbors.d/a.conf:4: remove "
			 "one\n",
			 folder, folder) > 0);
	assert_string_equal(said, expected);
	folder_remove(folder);
}

static void unreadable_files_are_reported(void **state)
{
	_cleanup_free_ char *said = NULL, *said2 = NULL, *said3 = NULL;
	_cleanup_config_ struct config *c = NULL;
	char path[512], *folder = folder_make();

	(void)state;
	assert_int_equal(load_folder(folder, &c, &said), -ENOENT);
	assert_string_equal(said, "botlsd.conf: cannot be read: there is no such file: write it, "
				  "or name another one (-c FILE)\n");

	file_write(folder, "botlsd.conf", "workers = 0\n", 0644);
	snprintf(path, sizeof(path), "%s/neighbors.d", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/neighbors.d/f.conf", folder);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(load_folder(folder, &c, &said2), -EBADF);
	assert_string_equal(
		said2, "botlsd.conf:1: workers: '0' is not in the range 1 to "
		       "64\nf.conf: is not a regular file: write the configuration into one\n");

	/* a hole: nothing of it is read */
	file_write(folder, "botlsd.conf", "", 0644);
	snprintf(path, sizeof(path), "%s/botlsd.conf", folder);
	assert_int_equal(truncate(path, (32 << 20) + 1), 0);
	assert_int_equal(load_folder(folder, &c, &said3), -EFBIG);
	assert_string_equal(
		said3, "botlsd.conf: the configuration is longer than 32 MB: make it shorter\n");
	folder_remove(folder);
}

static void secrets_are_kept_from_others(void **state)
{
	_cleanup_config_ struct config *c = NULL, *again = NULL;
	char *said, *printed, *folder = folder_make();

	(void)state;
	file_write(folder, "botlsd.conf", IDENTITY "neighbor 192.0.2.1 {\ntcp-md5 = 'a\"b\\c'\n}\n",
		   0604);
	assert_int_equal(load_folder(folder, &c, &said), -EINVAL);
	assert_string_equal(
		said, "botlsd.conf:5: tcp-md5: everybody may read this file: chmod o-r it, or use "
		      "tcp-md5-file\n");
	free(said);

	file_write(folder, "botlsd.conf", IDENTITY "neighbor 192.0.2.1 {\ntcp-md5 = 'a\"b\\c'\n}\n",
		   0640);
	assert_int_equal(load_folder(folder, &c, &said), 0);
	free(said);
	assert_string_equal(c->neighbors[0].tcp_md5, "a\"b\\c");
	printed = print(c);
	assert_null(strstr(printed, "b\\c"));
	assert_non_null(strstr(printed, "tcp-md5 = \"<hidden>\"\n"));
	again = load_text(printed);
	assert_string_equal(again->neighbors[0].tcp_md5, "<hidden>");
	free(printed);
	config_free(TAKE(c));

	file_write(folder, "botlsd.conf",
		   IDENTITY "neighbor 192.0.2.1 {\ntcp-md5 = '<hidden>'\n}\n", 0640);
	assert_int_equal(load_folder(folder, &c, &said), -EINVAL);
	assert_string_equal(
		said,
		"botlsd.conf:5: tcp-md5: '<hidden>' only stands for a key: write the key itself\n");
	free(said);
	folder_remove(folder);
}

static void secrets_may_come_from_files(void **state)
{
	_cleanup_config_ struct config *c = NULL;
	char expected[512], *said, *folder = folder_make();

	(void)state;
	file_write(
		folder, "botlsd.conf",
		IDENTITY
		"neighbor 192.0.2.1 {\ntcp-md5-file = md5.key\ninner-tcp-md5-file = inner.key\n}\n",
		0644);
	file_write(folder, "md5.key", "the key\nnot this\n", 0600);
	file_write(folder, "inner.key", "inner", 0600);
	if (load_folder(folder, &c, &said) < 0)
		fail_msg("%s", said);
	free(said);
	assert_string_equal(c->neighbors[0].tcp_md5, "the key");
	assert_string_equal(c->neighbors[0].inner_tcp_md5, "inner");
	config_free(TAKE(c));

	file_write(folder, "md5.key", "the key\nnot this\n", 0604);
	file_write(folder, "inner.key", "\nnot this", 0600);
	assert_int_equal(load_folder(folder, &c, &said), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "botlsd.conf:5: tcp-md5-file: everybody may read the key in %s/md5.key: chmod o-r "
		 "it\n"
		 "botlsd.conf:6: inner-tcp-md5-file: the first line of %s/inner.key is not a key "
		 "of 1 to 80 bytes\n",
		 folder, folder);
	assert_string_equal(said, expected);
	free(said);

	file_write(folder, "botlsd.conf",
		   IDENTITY "neighbor 192.0.2.1 {\ntcp-md5-file = inner.key\ntcp-md5 = x\n}\n",
		   0600);
	file_write(folder, "inner.key", "this", 0600);
	assert_int_equal(load_folder(folder, &c, &said), -EINVAL);
	assert_string_equal(said,
			    "botlsd.conf:5: tcp-md5 and tcp-md5-file are both set: remove one\n");
	free(said);
	folder_remove(folder);

	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-md5-file = /etc/passwd }",
		       "text:4: tcp-md5-file: no files are read here");
}

static void daemon_users_are_those_that_exist(void **state)
{
	_cleanup_config_ struct config *c = NULL;
	_cleanup_free_ char *said = NULL;
	char *folder = folder_make();

	(void)state;
	file_write(folder, "botlsd.conf", "", 0644);
	assert_int_equal(load_folder(folder, &c, &said), 0);
	folder_remove(folder);
	assert_true(c->n_daemon_users >= 1);
	assert_string_equal(c->daemon_users[0], "root");
	for (size_t i = 0; i < c->n_daemon_users; i++) {
		char command[80];

		snprintf(command, sizeof(command), "getent passwd %s >/dev/null",
			 c->daemon_users[i]);
		assert_int_equal(system(command), 0);
	}
}

static void nothing_is_printed_by_the_library(void **state)
{
	int saved = dup(STDERR_FILENO), p[2];
	char c;

	(void)state;
	assert_int_equal(pipe2(p, O_NONBLOCK), 0);
	dup2(p[1], STDERR_FILENO);
	for (const char *const *t =
		     (const char *const[]){"mode required", "}", "neighbor", "dns-names = { a b }",
					   "neighbor a b {}", "mode = ", "mode = {", "= = =", NULL};
	     *t; t++) {
		struct reports r;
		struct config *config = NULL;

		reports_init(&r);
		assert_int_equal(config_load_text(*t, reports_add, &r, &config), -EINVAL);
		free(reports_done(&r));
		assert_true(r.n > 0);
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 0);
	close(p[0]);
}

static void problems_are_bounded(void **state)
{
	_cleanup_free_ char *text = malloc(5001), *said = NULL;
	struct config *c = NULL;
	struct reports r;

	(void)state;
	memset(text, '*', 5000);
	text[5000] = '\0';
	reports_init(&r);
	assert_int_equal(config_load_text(text, reports_add, &r, &c), -EINVAL);
	said = reports_done(&r);
	assert_int_equal(r.n, 1001);
	assert_non_null(strstr(said, "text: 4000 more problems are not shown\n"));
}

static void neighbors_are_bounded(void **state)
{
	char *text, expected[100];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	fputs("mode = off\n", f);
	for (unsigned i = 0; i <= BOTLS_NEIGHBORS_MAX; i++)
		fprintf(f, "neighbor 10.%u.%u.1 {}\n", i >> 8, i & 255);
	fclose(f);
	snprintf(expected, sizeof(expected), "text:%d: more than %d neighbors: remove some",
		 BOTLS_NEIGHBORS_MAX + 2, BOTLS_NEIGHBORS_MAX);
	assert_refused(text, expected);
	free(text);
}

/* Twice the neighbors must take about twice the time; a quadratic step would show as four times. */
static double seconds_to_load(unsigned n)
{
	_cleanup_config_ struct config *c = NULL;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	clock_t begin;

	fputs(IDENTITY, f);
	for (unsigned i = n; i--;)
		fprintf(f,
			"neighbor 10.%u.%u.1 {\n\tdescription = \"peer %u\" # x\n\tremote-as = "
			"%u\n\tpins = { \"" PIN
			"\" }\n\tmin-version = 1.3\n\tttl-security = 1\n}\n",
			i >> 8, i & 255, i, i + 1);
	fclose(f);
	begin = clock();
	c = load_text(text);
	free(text);
	assert_int_equal(c->n_neighbors, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(c->neighbors[i].remote_as, i + 1);
		assert_ptr_equal(config_match(c, &c->neighbors[i].address), &c->neighbors[i]);
	}
	return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

static void many_neighbors_load_fast(void **state)
{
	double some = seconds_to_load(5000), many = seconds_to_load(20000);

	(void)state;
	print_message("5000 neighbors %.2f s, 20000 neighbors %.2f s\n", some, many);
	assert_true(many < 8 * some + 0.1);
}

static uint32_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void random_string(FILE *f)
{
	static const char *const parts[] = {"a", "Z", "9", "\\\"", "\\\\", "${HOME}",
					    "$", "ä", "#", "//",   "/*",   "}",
					    "'", " ", "=", "中",   "*",	   "+"};

	for (unsigned n = 1 + pick(12); n; n--)
		fputs(parts[pick(ARRAY_SIZE(parts))], f);
}

static void random_list(const struct conf_option *o, FILE *f)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	fputs("{ ", f);
	for (unsigned i = 0, n = pick(4) + (o->type == CONF_ACCOUNTS); i < n; i++) {
		fputs(i ? ", \"" : "\"", f);
		if (o->type == CONF_PINS) {
			fputs("sha256/", f);
			for (int j = 0; j < 42; j++)
				putc(base64[pick(64)], f);
			fprintf(f, "%c=", base64[4 * pick(16)]);
		} else {
			fprintf(f, "%c%u.x-y", 'a' + pick(26), pick(1000));
		}
		putc('"', f);
	}
	fputs(" }", f);
}

static void random_value(const struct conf_option *o, FILE *f)
{
	switch (o->type) {
	case CONF_BOOL: fputs(pick(2) ? "true" : "no", f); break;
	case CONF_NUMBER:
	case CONF_SECONDS:
	case CONF_TIME:
	case CONF_AS:
		fprintf(f, "%llu",
			(unsigned long long)(o->min + pick(o->max - o->min < 65535
								   ? o->max - o->min + 1
								   : 65535)));
		break;
	case CONF_ENUM: fputs(o->names[pick(o->max + 1)], f); break;
	case CONF_SECRET: fputs("'" CONF_HIDDEN "'", f); break;
	case CONF_ACCOUNT: fprintf(f, "\"user%u\"", pick(100)); break;
	case CONF_PATH:
		fputs("\"/", f);
		random_string(f);
		fputs("\"", f);
		break;
	case CONF_TEXT:
		fputs("\"", f);
		random_string(f);
		fputs("\"", f);
		break;
	case CONF_ADDRESS: fprintf(f, "192.0.2.%u", 1 + pick(250)); break;
	case CONF_ACCOUNTS:
	case CONF_DNS_NAMES:
	case CONF_PINS: random_list(o, f); break;
	case CONF_NAME: fputs(pick(2) ? "x" : "y.2", f); break;
	case CONF_SECRET_FILE:
	case CONF_URL:
	case CONF_SOURCE:
	case CONF_PROGRAM:
	case CONF_NAMES:
	case CONF_WORDS:
	case CONF_ADDRESSES: break; /* not botlsd's */
	}
}

/* Any value of any option; what contradicts is refused by the load and counts for nothing. */
static char *random_config(void)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	unsigned every = 2 + pick(30);

	for (unsigned i = 0; i <= config_schema.n_options; i++)
		if (i < config_schema.n_options && (config_schema.options[i].scope & CONF_GLOBAL) &&
		    pick(every) == 0 && config_schema.options[i].scope == CONF_GLOBAL) {
			fprintf(f, "%s = ", config_schema.options[i].name);
			random_value(&config_schema.options[i], f);
			putc('\n', f);
		}
	if (pick(4))
		fprintf(f,
			"key b%u { chain = x secret = '<hidden>' send-id = 1 recv-id = 1 send-from "
			"= "
			"2026-0%u-01 } key a { chain = x secret = '<hidden>' } key c { chain = y.2 "
			"secret = '<hidden>' accept-until = \"2027-01-01T00:00Z\" }\n",
			pick(10), 1 + pick(9));
	for (unsigned n = pick(4); n; n--) {
		if (pick(3))
			fprintf(f, "neighbor 10.%u.0.0/16 {", n);
		else
			fprintf(f, "neighbor \"2001:db8:%x::1\" {", n);
		if (pick(4))
			fputs("certificate = '/c' key = '/k' ca = '/a' ", f);
		for (unsigned i = 0; i < config_schema.n_options; i++)
			if ((config_schema.options[i].scope & SCOPE_NEIGHBOR) &&
			    config_schema.options[i].type != CONF_SECRET_FILE && pick(every) == 0 &&
			    !strstr("certificate key ca", config_schema.options[i].name)) {
				fprintf(f, "%s = ", config_schema.options[i].name);
				random_value(&config_schema.options[i], f);
				putc(pick(2) ? '\n' : ' ', f);
			}
		fputs("}\n", f);
	}
	fclose(f);
	return text;
}

static void on_any_report(void *arg, const char *where, const char *text)
{
	(void)arg;
	(void)where;
	(void)text;
}

static void assert_same(const struct config *a, const struct config *b, const char *text)
{
	struct plan *p;

	assert_int_equal(plan_make(a, b, 0, &p), 0);
	if (p->n_keep != p->n_items || p->globals_changed[0] || p->needs_restart[0])
		fail_msg("%s\nitem 0: %s, globals: %s%s", text,
			 p->n_items ? p->items[0].changed : "", p->globals_changed,
			 p->needs_restart);
	plan_free(p);
}

static void print_reads_back_equal(void **state)
{
	unsigned n_loaded = 0, n_neighbors = 0;

	(void)state;
	seed = 4271;
	for (int i = 0; i < 2000; i++) {
		_cleanup_config_ struct config *first = NULL, *second = NULL;
		_cleanup_free_ char *text = random_config(), *printed = NULL, *again = NULL;

		if (config_load_text(text, on_any_report, NULL, &first) < 0)
			continue;
		n_loaded++;
		n_neighbors += first->n_neighbors;
		printed = print(first);
		second = load_text(printed);
		assert_same(first, second, text);
		again = print_bare(second);
		free(printed);
		printed = print_bare(first);
		assert_string_equal(printed, again);
	}
	/* else the property was hardly tried */
	assert_true(n_loaded > 500);
	assert_true(n_neighbors > 300);
}

/* --- text that another process says config_print() wrote */

static int load_printed(const char *text, size_t len)
{
	struct config *c = NULL;
	int r = config_load_printed(text, len, &c);

	assert_int_equal(c != NULL, r == 0);
	config_free(c);
	return r;
}

static void printed_text_is_read(void **state)
{
	static const char text[] = "log-level = debug\n" IDENTITY "neighbor 192.0.2.1 {\n}\n";
	struct config *c = load_text(text), *back = NULL;
	_cleanup_free_ char *printed = print(c);

	(void)state;
	assert_int_equal(config_load_printed(printed, strlen(printed), &back), 0);
	assert_same(c, back, printed);
	config_free(c);
	config_free(back);
	/* As an operator writes it: what stands outside is for all. */
	assert_int_equal(load_printed(text, strlen(text)), -EINVAL);
	assert_int_equal(load_printed("no-such = 1\n", 12), -EINVAL);
	assert_int_equal(load_printed("ttl\0", 4), -EINVAL);
	assert_int_equal(load_printed("", 0), 0);
}

/* `part` again and again, between two others. */
static int load_repeated(const char *begin, const char *part, size_t n, const char *end)
{
	size_t room = strlen(begin) + n * strlen(part) + strlen(end);
	_cleanup_free_ char *text = malloc(room + 1);
	char *at = text;

	assert_non_null(text);
	at = stpcpy(at, begin);
	while (n--)
		at = stpcpy(at, part);
	at = stpcpy(at, end);
	return load_printed(text, at - text);
}

/* In how many mistakes does a text end that many could be found in? */
static size_t count_problems(const char *text, bool is_strict)
{
	_cleanup_conf_problems_ struct conf_problems *p = NULL;
	struct conf_blocks b = {};

	assert_int_equal(conf_problems_new(&p), 0);
	assert_int_equal(conf_problems_add_file(p, "text"), 0);
	if (is_strict)
		conf_problems_be_strict(p);
	assert_int_equal(conf_parse(&config_schema, text, strlen(text), 0, NULL, p, &b), 0);
	conf_blocks_done(&b);
	return conf_problems_count(p);
}

/* Mistakes cost more than what is right, here up to the square of the length. */
static void printed_text_ends_at_the_first_problem(void **state)
{
	static const char *const texts[] = {"}a }a }a", "ca = ${${${${${",
					    "workers = 1\nworkers = 1\nworkers = 1\n",
					    "a = 1\na = 1\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_true(count_problems(texts[i], false) > 1);
		assert_int_equal(count_problems(texts[i], true), 1);
	}
}

#define NEIGHBOR "neighbor 192.0.2.1 {\nmode = off\n" IDENTITY
#define EIGHT	 "a, a, a, a, a, a, a, a, "
#define MANY	 EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT

static void printed_text_has_limits(void **state)
{
	const size_t max = config_option("dns-names")->max - 1;

	(void)state;
	assert_int_equal(load_repeated(NEIGHBOR "dns-names = { a", ", a", max, " }\n}\n"), 0);
	assert_int_equal(load_repeated(NEIGHBOR "dns-names = { a", ", a", max + 1, " }\n}\n"),
			 -EINVAL);
	/* More are not even kept. */
	assert_int_equal(count_problems(NEIGHBOR "dns-names = { " MANY " a }\n}\n", false), 0);
	assert_int_equal(count_problems(NEIGHBOR "dns-names = { " MANY " a }\n}\n", true), 1);
	assert_int_equal(load_repeated("# ", "a", 1000, "\n"), 0);
	assert_int_equal(load_repeated("# ", "a", 70000, "\n"), -EINVAL);
	assert_int_equal(load_repeated("# ", "a", 70000, ""), -EINVAL);
	assert_int_equal(load_repeated("", "}a ", CONF_BYTES_MAX / 8, ""), -EINVAL);
}

/* The longest prefix by trying all of them. */
static const struct neighbor_config *match_slowly(const struct config *c, const struct addr *host)
{
	const struct neighbor_config *best = NULL;

	for (size_t i = 0; i < c->n_neighbors; i++)
		if (addr_contains(&c->neighbors[i].address, host) &&
		    (!best || c->neighbors[i].address.prefixlen > best->address.prefixlen))
			best = &c->neighbors[i];
	return best;
}

static struct addr random_host(void)
{
	struct addr a = {.family = pick(2) ? AF_INET : AF_INET6};

	a.prefixlen = a.family == AF_INET ? 32 : 128;
	for (unsigned i = 0; i < a.prefixlen / 8U; i++)
		a.bytes[i] = i < 2 || i == a.prefixlen / 8U - 1 ? pick(3) << 6 : 0;
	if (a.family == AF_INET6) {
		bool is_local = pick(2);

		a.bytes[0] = is_local ? 0xfe : 0x20;
		a.bytes[1] = 0x80;
		if (is_local)
			strcpy(a.ifname, pick(2) ? "eth0" : "eth1");
	}
	return a;
}

static void match_finds_the_longest(void **state)
{
	unsigned n_found = 0;

	(void)state;
	seed = 1519;
	for (int round = 0; round < 200; round++) {
		_cleanup_config_ struct config *c = NULL;
		char *text, name[ADDR_STRLEN];
		size_t len;
		FILE *f = open_memstream(&text, &len);

		fputs("mode = off\n", f);
		for (unsigned i = pick(40); i; i--) {
			struct addr a = random_host();

			if (pick(4)) {
				a.prefixlen = pick(a.prefixlen + 1);
				if (addr_is_linklocal(&a) && a.prefixlen < 10)
					a.prefixlen = 10;
				for (unsigned bit = a.prefixlen; bit < 128; bit++)
					a.bytes[bit / 8] &= ~(0x80 >> bit % 8);
			}
			fprintf(f, "neighbor '%s' {}\n", addr_format(&a, name));
		}
		fclose(f);
		/* duplicates make some of the texts unusable */
		if (config_load_text(text, on_any_report, NULL, &c) < 0) {
			free(text);
			continue;
		}
		free(text);
		for (int i = 0; i < 200; i++) {
			struct addr host = random_host();
			const struct neighbor_config *n = config_match(c, &host);

			assert_ptr_equal(n, match_slowly(c, &host));
			n_found += !!n;
		}
		for (size_t i = 0; i < c->n_neighbors; i++)
			assert_ptr_equal(config_neighbor(c, c->neighbors[i].name),
					 &c->neighbors[i]);
	}
	assert_true(n_found > 1000);
}

static void names_find_neighbors(void **state)
{
	_cleanup_config_ struct config *c =
		load_text("mode = off neighbor '2001:DB8:0::1' {} neighbor 10.0.0.0/8 {}");

	(void)state;
	assert_string_equal(config_neighbor(c, "2001:db8::1")->name, "2001:db8::1");
	assert_string_equal(config_neighbor(c, "10.0.0.0/8")->name, "10.0.0.0/8");
	assert_null(config_neighbor(c, "10.0.0.0"));
	assert_null(config_neighbor(c, "10.0.0.1"));
	assert_null(config_neighbor(c, ""));
	assert_null(config_neighbor(c, "nonsense"));
}

static void order_is_by_family_interface_address_length(void **state)
{
	static const char *const expected[] = {"10.0.0.0/8",  "10.0.0.0/16",  "192.0.2.1",
					       "2001:db8::1", "fe80::9%eth0", "fe80::1%eth1"};
	_cleanup_config_ struct config *c =
		load_text("mode = off neighbor 192.0.2.1 {} neighbor 'fe80::1%eth1' {}"
			  "neighbor 10.0.0.0/16 {} neighbor 2001:db8::1 {}"
			  "neighbor 'fe80::9%eth0' {} neighbor 10.0.0.0/8 {}");

	(void)state;
	assert_int_equal(c->n_neighbors, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(c->neighbors[i].name, expected[i]);
}

static void equal_ignores_description_and_origin_only(void **state)
{
	_cleanup_config_ struct config *a =
		load_text("mode = off neighbor 192.0.2.1 { description = a }");
	_cleanup_config_ struct config *b =
		load_text("mode = off\nneighbor 192.0.2.1 { description = b }");
	_cleanup_config_ struct config *c =
		load_text("mode = off neighbor 192.0.2.2 { description = a }");
	_cleanup_config_ struct config *d =
		load_text("mode = off neighbor 192.0.2.1 { keepalive = 61 }");

	(void)state;
	assert_true(neighbor_config_equal(a->neighbors, b->neighbors));
	assert_false(neighbor_config_equal(a->neighbors, c->neighbors));
	assert_false(neighbor_config_equal(a->neighbors, d->neighbors));
}

/* The item of an option in the manual: from ".It Ic NAME" to the next item or section, macros taken
 * away. */
static char *manual_item(const char *manual, const char *name)
{
	_cleanup_free_ char *head = NULL;
	const char *begin, *end;
	char *item, *to;

	assert_true(asprintf(&head, "\n.It Ic %s ", name) > 0);
	begin = strstr(manual, head);
	if (!begin)
		fail_msg("botlsd.conf.5 lacks '%s'", head + 1);
	begin += strlen(head);
	end = strstr(begin, "\n.It Ic ");
	item = strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
	to = item;
	for (const char *from = item; *from; from++)
		*to++ = *from == '\n' ? ' ' : *from;
	*to = '\0';
	return item;
}

static void manual_has_every_option(void **state)
{
	char path[512], expects[192];
	_cleanup_free_ char *manual = file_read(golden_path("../../docs/man/botlsd.conf.5", path));

	(void)state;
	for (size_t i = 0; i < config_schema.n_options; i++) {
		const struct conf_option *o = &config_schema.options[i];
		_cleanup_free_ char *item = manual_item(manual, o->name), *initial = NULL,
				    *range = NULL;

		assert_true(asprintf(&initial, "default is .Cm %s ", o->initial) > 0);
		if (o->initial && !strstr(item, initial))
			fail_msg("%s: the manual does not say '%s': %s", o->name, initial, item);
		if (!o->initial && !strstr(item, "default is ") && !strstr(item, "no default"))
			fail_msg("%s: the manual says nothing of a default", o->name);
		if (o->type == CONF_NUMBER || o->type == CONF_SECONDS) {
			assert_true(asprintf(&range, "%s", conf_expects(o, expects)) > 0);
			if (!strstr(item, range))
				fail_msg("%s: the manual does not say '%s'", o->name, range);
		}
		for (size_t j = 0; o->type == CONF_ENUM && j <= o->max; j++) {
			_cleanup_free_ char *name = NULL;

			assert_true(asprintf(&name, " %s ", o->names[j]) > 0);
			if (!strstr(item, name))
				fail_msg("%s: the manual does not say '%s'", o->name, name);
		}
	}
}

/* The other way round: no item of the manual is without an option. */
static void manual_has_no_other_option(void **state)
{
	char path[512];
	_cleanup_free_ char *manual = file_read(golden_path("../../docs/man/botlsd.conf.5", path));
	size_t n = 0;

	(void)state;
	for (const char *p = manual; (p = strstr(p, "\n.It Ic ")); p++, n++) {
		char name[40];

		assert_int_equal(sscanf(p, "\n.It Ic %39s", name), 1);
		if (!config_option(name))
			fail_msg("botlsd.conf.5 has '%s', which is no option", name);
	}
	assert_int_equal(n, config_schema.n_options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(example_is_good),
		cmocka_unit_test(defaults_are_those_of_the_header),
		cmocka_unit_test(neighbors_inherit_and_override),
		cmocka_unit_test(values_have_their_forms),
		cmocka_unit_test(ranges_hold),
		cmocka_unit_test(lengths_are_limited),
		cmocka_unit_test(files_are_read_in_name_order),
		cmocka_unit_test(problems_come_in_file_order),
		cmocka_unit_test(unreadable_files_are_reported),
		cmocka_unit_test(secrets_are_kept_from_others),
		cmocka_unit_test(secrets_may_come_from_files),
		cmocka_unit_test(daemon_users_are_those_that_exist),
		cmocka_unit_test(nothing_is_printed_by_the_library),
		cmocka_unit_test(problems_are_bounded),
		cmocka_unit_test(neighbors_are_bounded),
		cmocka_unit_test(many_neighbors_load_fast),
		cmocka_unit_test(print_reads_back_equal),
		cmocka_unit_test(printed_text_is_read),
		cmocka_unit_test(printed_text_ends_at_the_first_problem),
		cmocka_unit_test(printed_text_has_limits),
		cmocka_unit_test(match_finds_the_longest),
		cmocka_unit_test(names_find_neighbors),
		cmocka_unit_test(order_is_by_family_interface_address_length),
		cmocka_unit_test(equal_ignores_description_and_origin_only),
		cmocka_unit_test(manual_has_every_option),
		cmocka_unit_test(manual_has_no_other_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
