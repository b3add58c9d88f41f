// SPDX-License-Identifier: Apache-2.0
/*
 * The engine of configuration files, with what botlsd's own schema does not have: several kinds of
 * blocks, an option called as a kind is, and the types that only others use. The rest is in
 * test_config.c.
 */
#include "addr.h"
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

struct globals {
	unsigned keep;
};

struct shop {
	char *url;
	unsigned wait;
	char *secret;
	struct addr *addresses;
	size_t n_addresses;
	char *source, *program;
	int level;
	uint64_t opens;
};

struct guest {
	char *shop;
	unsigned wait;
	char *name;
	char **words;
	size_t n_words;
	char **tags;
	size_t n_tags;
};

#define FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)
#define COUNT(type, field) .count_offset = offsetof(type, field)
#define SHOP		   CONF_KIND(0)
#define GUEST		   CONF_KIND(1)

static const char *const levels[] = {"auto", "none", "some"};

static const struct conf_option options[] = {
	{"keep", CONF_SECONDS, CONF_GLOBAL, FIELD(struct globals, keep), .min = 1, .max = 864000,
	 .initial = "1d"},
	{"url", CONF_URL, SHOP, FIELD(struct shop, url), .max = 1023},
	{"wait", CONF_SECONDS, CONF_GLOBAL | SHOP, FIELD(struct shop, wait), .min = 1, .max = 100,
	 .initial = "10"},
	{"wait", CONF_SECONDS, CONF_GLOBAL | GUEST, FIELD(struct guest, wait), .min = 1, .max = 50,
	 .initial = "20"},
	{"secret", CONF_SECRET, CONF_GLOBAL | SHOP, FIELD(struct shop, secret), .max = 20,
	 .noun = "token"},
	{"secret-file", CONF_SECRET_FILE, CONF_GLOBAL | SHOP, FIELD(struct shop, secret),
	 .max = 1023, .noun = "token", .secret_max = 20},
	{"addresses", CONF_ADDRESSES, SHOP, FIELD(struct shop, addresses),
	 COUNT(struct shop, n_addresses), .max = 3},
	{"source", CONF_SOURCE, SHOP, FIELD(struct shop, source), .max = 1023},
	{"program", CONF_PROGRAM, SHOP, FIELD(struct shop, program), .max = 1023},
	{"level", CONF_ENUM, SHOP, FIELD(struct shop, level), .names = levels,
	 .max = ARRAY_SIZE(levels) - 1, .first = -1, .initial = "auto"},
	{"opens", CONF_TIME, SHOP, FIELD(struct shop, opens), .min = 1, .max = 4102444799},
	{"shop", CONF_NAME, GUEST, FIELD(struct guest, shop), .max = CONF_NAME_MAX},
	{"name", CONF_NAME, GUEST, FIELD(struct guest, name), .max = CONF_NAME_MAX},
	{"words", CONF_WORDS, GUEST, FIELD(struct guest, words), COUNT(struct guest, n_words),
	 .max = 4},
	{"tags", CONF_NAMES, GUEST, FIELD(struct guest, tags), COUNT(struct guest, n_tags),
	 .max = 4},
};
static const struct conf_kind kinds[] = {{.name = "shop", .max = 2}, {.name = "guest", .max = 3}};
static const struct conf_schema schema = {
	.manual = "the manual",
	.no_include = "write it here",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.kinds = kinds,
	.n_kinds = ARRAY_SIZE(kinds),
};

struct loaded {
	struct conf_problems *problems;
	struct conf_blocks blocks;
	struct globals globals;
	struct shop shop, shop_defaults;
	struct guest guest, guest_defaults;
	char *said;
	size_t len;
};

static void on_report(void *arg, const char *where, const char *text)
{
	const char *slash = strrchr(where, '/');

	fprintf(arg, "%s: %s\n", slash ? slash + 1 : where, text);
}

static void apply(struct loaded *l, const char *folder)
{
	struct conf_bases to = {&l->globals, {&l->shop_defaults, &l->guest_defaults}};
	struct conf_context ctx = {folder};
	FILE *out;

	assert_int_equal(conf_apply_initial(&schema, &to), 0);
	assert_int_equal(conf_apply(&schema, &l->blocks.globals, &to, &ctx, l->problems), 0);
	assert_int_equal(conf_inherit(&schema, &kinds[0], &l->shop, &l->shop_defaults), 0);
	assert_int_equal(conf_inherit(&schema, &kinds[1], &l->guest, &l->guest_defaults), 0);
	to = (struct conf_bases){NULL, {&l->shop, &l->guest}};
	for (size_t i = 0; i < l->blocks.n_items; i++)
		assert_int_equal(conf_apply(&schema, &l->blocks.items[i], &to, &ctx, l->problems),
				 0);
	out = open_memstream(&l->said, &l->len);
	conf_problems_report(l->problems, on_report, out);
	fclose(out);
}

/* All blocks of a kind fill one struct. */
static struct loaded *load(const char *text)
{
	struct loaded *l = calloc(1, sizeof(*l));

	assert_int_equal(conf_problems_new(&l->problems), 0);
	assert_int_equal(conf_problems_add_file(l->problems, "text"), 0);
	assert_int_equal(conf_parse(&schema, text, strlen(text), 0, NULL, l->problems, &l->blocks),
			 0);
	apply(l, NULL);
	return l;
}

static void loaded_free(struct loaded *l)
{
	conf_done(&schema, NULL, &l->globals);
	conf_done(&schema, &kinds[0], &l->shop);
	conf_done(&schema, &kinds[0], &l->shop_defaults);
	conf_done(&schema, &kinds[1], &l->guest);
	conf_done(&schema, &kinds[1], &l->guest_defaults);
	conf_blocks_done(&l->blocks);
	conf_problems_free(l->problems);
	free(l->said);
	free(l);
}

static struct loaded *load_good(const char *text)
{
	struct loaded *l = load(text);

	assert_string_equal(l->said, "");
	return l;
}

static void assert_said(const char *text, const char *said)
{
	struct loaded *l = load(text);

	assert_string_equal(l->said, said);
	loaded_free(l);
}

static void defaults_reach_each_kind(void **state)
{
	struct loaded *l = load_good("shop s {}\nguest g {}\n");

	(void)state;
	assert_int_equal(l->globals.keep, 86400);
	assert_int_equal(l->shop.wait, 10);
	assert_int_equal(l->guest.wait, 20);
	loaded_free(l);
	l = load_good("guest g { wait = 3 }\nshop s {}\nwait = 40s\n");
	assert_int_equal(l->shop.wait, 40);
	assert_int_equal(l->guest.wait, 3);
	assert_int_equal(l->blocks.n_items, 2);
	assert_ptr_equal(l->blocks.items[0].kind, &kinds[1]);
	assert_string_equal(l->blocks.items[1].title, "s");
	loaded_free(l);
	/* too much for one of the kinds, told once */
	assert_said("wait = 60", "text:1: wait: '60' is not in the range 1 to 50 seconds\n");
	assert_said("wait = 600", "text:1: wait: '600' is not in the range 1 to 100 seconds\n");
}

static void an_option_may_be_called_as_a_kind_is(void **state)
{
	struct loaded *l = load_good("guest g { shop /* = { */ = s # one\n name = x }\nshop s {}\n"
				     "guest h { name = y\nshop\n=\n\"t\" }");

	(void)state;
	assert_int_equal(l->blocks.n_items, 3);
	assert_string_equal(l->blocks.items[1].title, "s");
	assert_string_equal(l->guest.shop, "t");
	assert_string_equal(l->guest.name, "y");
	loaded_free(l);
	assert_said("guest g { name = x\nshop s {}\n",
		    "text:1: this guest block does not end: '}' is missing\n");
}

/* What is an option anywhere is not taken for the beginning of a block when it is set. */
static void an_option_at_a_wrong_place_begins_no_block(void **state)
{
	(void)state;
	assert_said("shop = s\n",
		    "text:1: 'shop' belongs to one guest: move it into a guest block\n");
	assert_said("shop s { shop = s }\n",
		    "text:1: 'shop' belongs to one guest: move it into a guest block\n");
}

static void what_is_misplaced_is_told_where_it_belongs(void **state)
{
	(void)state;
	assert_said("shop s {\nname = x\nkeep = 3\n}\nurl = http://a/\n",
		    "text:2: 'name' belongs to one guest: move it into a guest block\n"
		    "text:3: 'keep' is a global option: move it out of the shop block\n"
		    "text:5: 'url' belongs to one shop: move it into a shop block\n");
	assert_said("gest g { name = x }\nguest g { nam = x }\nwai = 1\ninclude a\n",
		    "text:1: unknown option 'gest': is 'guest' meant?\n"
		    "text:2: unknown option 'nam': is 'name' meant?\n"
		    "text:3: unknown option 'wai': is 'wait' meant?\n"
		    "text:4: there is no include: write it here\n");
	assert_said("shop s { frobnicate = 1 }",
		    "text:1: unknown option 'frobnicate': the manual lists all\n");
}

static void kinds_are_counted_apart(void **state)
{
	(void)state;
	assert_said("guest a {} guest b {} guest c {} shop a {} shop b {}", "");
	assert_said("shop a {} guest a {}\nshop b {}\nshop c {}",
		    "text:3: more than 2 shops: remove some\n");
}

static void durations_have_units(void **state)
{
	struct loaded *l = load_good("keep = 2d");

	(void)state;
	assert_int_equal(l->globals.keep, 172800);
	loaded_free(l);
	assert_said("keep = 11d", "text:1: keep: '11d' is not in the range 1 to 864000 seconds\n");
	assert_said("keep = 1w", "text:1: keep: '1w' is not in the range 1 to 864000 seconds\n");
	assert_said("keep = 4294967295d",
		    "text:1: keep: '4294967295d' is not in the range 1 to 864000 seconds\n");
}

static void times_are_rfc_3339(void **state)
{
	static const struct {
		const char *text;
		uint64_t t;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-12-01", 1796083200},
		{"2026-12-01T00:00:00Z", 1796083200},
		{"2026-12-01t00:00:00z", 1796083200},
		{"2026-12-01 00:00Z", 1796083200},
		{"2026-12-01T01:30:00+01:30", 1796083200},
		{"2026-11-30T19:00:00-05:00", 1796083200},
		{"2024-02-29T23:59:59Z", 1709251199},
		{"9999-12-31T23:59:59Z", 253402300799},
	};
	static const char *const bad[] = {
		"",
		"now",
		"1796083200",
		"2026-13-01",
		"2026-00-01",
		"2026-02-29",
		"2026-04-31",
		"2026-01-00",
		"2026-1-1",
		"26-12-01",
		"2026-12-01T00:00:00", /* whose clock? */
		"2026-12-01 00:00",
		"2026-12-01T",
		"2026-12-01T24:00:00Z",
		"2026-12-01T00:60:00Z",
		"2026-12-01T00:00:60Z",
		"2026-12-01T00:00:00.5Z",
		"2026-12-01T00:00:00+1",
		"2026-12-01T00:00:00+24:00",
		"2026-12-01T00:00:00ZZ",
		"2026-12-01Z",
		" 2026-12-01",
		"+026-12-01",
		"1970-01-01T00:00:00+01:00",
	};
	char buf[CONF_TIME_LEN];
	uint64_t t = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (conf_parse_time(good[i].text, &t) < 0 || t != good[i].t)
			fail_msg("%s: %llu", good[i].text, (unsigned long long)t);
		conf_format_time(t, buf);
		assert_int_equal(conf_parse_time(buf, &t), 0);
		assert_int_equal(t, good[i].t);
	}
	t = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (conf_parse_time(bad[i], &t) != -EINVAL || t != 7)
			fail_msg("'%s' is a time", bad[i]);
	assert_string_equal(conf_format_time(1796083200, buf), "2026-12-01T00:00:00Z");
}

static void times_are_options(void **state)
{
	struct loaded *l = load_good("shop s { opens = \"2026-12-01 00:00+00:00\" }");
	const struct conf_option *o = conf_option(&schema, "opens", SHOP);
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_int_equal(l->shop.opens, 1796083200);
	assert_false(conf_is_unset(o, &l->shop));
	assert_true(conf_is_unset(o, &l->shop_defaults));
	conf_print(o, &l->shop, "", f);
	conf_print(o, &l->shop_defaults, "", f);
	fclose(f);
	assert_string_equal(text, "opens = \"2026-12-01T00:00:00Z\"\n");
	free(text);
	loaded_free(l);
	assert_said(
		"shop s { opens = soon }",
		"text:1: opens: 'soon' is not a date, or a date and time with its offset, as in "
		"2026-12-01 or 2026-12-01T00:00:00Z\n");
	assert_said(
		"shop s { opens = 2100-01-01 }",
		"text:1: opens: '2100-01-01' is not a date, or a date and time with its offset, "
		"as in 2026-12-01 or 2026-12-01T00:00:00Z\n");
}

static void urls_have_a_host_and_nothing_secret(void **state)
{
	static const char *const good[] = {
		"http://a",
		"https://api.example.net/v1/peering?x=%20y",
		"HTTPS://192.0.2.1:8443/",
		"https://[2001:db8::1]/",
		"https://[2001:db8::1]:65535",
		"http://a?b@c",
		"http://a/@",
	};
	static const char *const bad[] = {
		"ftp://a/",
		"a",
		"https:/a/",
		"https://",
		"https:///path",
		"https://:443/",
		"https://a:/",
		"https://a:0/",
		"https://a:65536/",
		"https://a:4x3/",
		"https://user@a/",
		"https://user:password@a/",
		"https://a/#part",
		"https://a/b c",
		"https://a/\xc3\xa4",
		"https://a/%2",
		"https://a/{x}",
		"https://[2001:db8::1",
		"https://[2001:db8::1]8443/",
		"https://[192.0.2.1]/",
		"https://[fe80::1%25eth0]/",
		"https://-a/",
		"https://a..b/",
		" https://a/",
	};
	const struct conf_option *o = conf_option(&schema, "url", SHOP);
	struct conf_context ctx = {};
	struct shop s = {};
	char text[1100];
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char *values[] = {(char *)good[i]};

		if (conf_set(o, &s, &ctx, values, 1, &e) < 0)
			fail_msg("%s", e.text);
		assert_string_equal(s.url, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *values[] = {(char *)bad[i]};

		if (conf_set(o, &s, &ctx, values, 1, &e) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		assert_string_equal(s.url, good[ARRAY_SIZE(good) - 1]);
	}
	assert_int_equal(snprintf(text, sizeof(text), "https://a/%01013d", 0), 1023);
	assert_int_equal(conf_set(o, &s, &ctx, (char *[]){text}, 1, &e), 0);
	strcat(text, "0");
	assert_int_equal(conf_set(o, &s, &ctx, (char *[]){text}, 1, &e), -EINVAL);
	snprintf(text, sizeof(text), "https://%0300d/", 0);
	assert_int_equal(conf_set(o, &s, &ctx, (char *[]){text}, 1, &e), -EINVAL);
	conf_clear(o, &s);
}

static void lists_have_their_forms(void **state)
{
	char text[1200];
	struct loaded *l =
		load_good("shop s { addresses = { 192.0.2.1, \"2001:DB8::1\", 'fe80::1%eth0' } }\n"
			  "guest g { words = { /bin/x, \"a b\", \"\" } tags = { a.b:c-d_E9, x } }");

	(void)state;
	assert_int_equal(l->shop.n_addresses, 3);
	assert_int_equal(l->shop.addresses[1].family, AF_INET6);
	assert_string_equal(l->shop.addresses[2].ifname, "eth0");
	assert_int_equal(l->guest.n_words, 3);
	assert_string_equal(l->guest.words[1], "a b");
	assert_string_equal(l->guest.words[2], "");
	assert_string_equal(l->guest.tags[0], "a.b:c-d_E9");
	loaded_free(l);

	assert_said("shop s { addresses = { 192.0.2.0/24 } }",
		    "text:1: addresses: '192.0.2.0/24' is not a single IPv4 or IPv6 address\n");
	assert_said("shop s { addresses = { 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 } }",
		    "text:1: addresses: 4 values are too many: at most 3\n");
	assert_said("guest g { tags = { \"a b\" } }",
		    "text:1: tags: 'a b' is not a name of letters, digits, '_', '.', ':' and '-' "
		    "of at most 64 bytes\n");
	assert_said("guest g { words = { \"\", x } }",
		    "text:1: words: '' is not a command and its arguments, each printable UTF-8 of "
		    "at most 1023 bytes\n");
	snprintf(text, sizeof(text), "guest g { words = { %01023d } }", 0);
	assert_said(text, "");
	snprintf(text, sizeof(text), "guest g { name = %065d }", 0);
	assert_said(text,
		    "text:1: name: "
		    "'000000000000000000000000000000000000000000000000000000000000...' is not "
		    "a name of letters, digits, '_', '.', ':' and '-' of at most 64 bytes\n");
}

static void print_kind(const struct loaded *l, FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].scope & SHOP)
			conf_print(&options[i], &l->shop, "", out);
		else if (options[i].scope & GUEST)
			conf_print(&options[i], &l->guest, "", out);
}

static void values_are_printed_as_they_are_read(void **state)
{
	struct loaded *l =
		load_good("shop s { url = 'http://a/?b' addresses = { 192.0.2.1, 2001:DB8::1 }\n"
			  "secret = '<hidden>' source = /a/b program = /c/d level = some }\nguest "
			  "g { words = { x, 'a \"b\\c' } tags = { t } name = n "
			  "}");
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	print_kind(l, out);
	fclose(out);
	assert_string_equal(text, "url = \"http://a/?b\"\nwait = 10\nwait = 20\nsecret = "
				  "\"<hidden>\"\naddresses = { \"192.0.2.1\", \"2001:db8::1\" }\n"
				  "source = \"/a/b\"\nprogram = \"/c/d\"\nlevel = some\n"
				  "name = \"n\"\nwords = { \"x\", \"a \\\"b\\\\c\" }\n"
				  "tags = { \"t\" }\n");
	free(text);
	loaded_free(l);
}

static void sources_and_programs_may_be_paths(void **state)
{
	struct loaded *l = load_good("shop s { source = https://a/b program = x-y level = none }");

	(void)state;
	assert_string_equal(l->shop.source, "https://a/b");
	assert_string_equal(l->shop.program, "x-y");
	assert_int_equal(l->shop.level, 0);
	loaded_free(l);
	l = load_good("shop s { source = /a://b }");
	assert_string_equal(l->shop.source, "/a://b");
	assert_int_equal(l->shop.level, -1);
	loaded_free(l);
	assert_said("shop s { source = https://u:p@a/b }",
		    "text:1: source: this is not an http or https URL without user, password and "
		    "fragment, or a path, of at most 1023 bytes\n");
	assert_said("shop s { source = a/b }", "text:1: source: 'a/b' must be an absolute path\n");
	assert_said("shop s { program = a/b }",
		    "text:1: program: 'a/b' must be an absolute path\n");
	assert_said("shop s { program = 'a b' }",
		    "text:1: program: 'a b' is not the name of a program, or a path of at most "
		    "1023 bytes\n");
	assert_said("shop s { level = 1 }", "text:1: level: '1' is not auto, none or some\n");
}

static void lists_are_copied_and_compared(void **state)
{
	struct loaded *a = load_good("shop s { addresses = { 10.0.0.1, 10.0.0.2 } }\n"
				     "guest g { words = { a, b } }");
	struct loaded *b = load_good("shop s { addresses = { 10.0.0.2 } }\n"
				     "guest g { words = { a, c } }");
	const struct conf_option *addresses = conf_option(&schema, "addresses", SHOP);
	const struct conf_option *words = conf_option(&schema, "words", GUEST);

	(void)state;
	assert_false(conf_equal(addresses, &a->shop, &b->shop));
	assert_true(conf_contains_all(addresses, &a->shop, &b->shop));
	assert_false(conf_contains_all(addresses, &b->shop, &a->shop));
	assert_false(conf_equal(words, &a->guest, &b->guest));
	assert_int_equal(conf_copy(addresses, &b->shop, &a->shop), 0);
	assert_int_equal(conf_copy(words, &b->guest, &a->guest), 0);
	assert_true(conf_equal(addresses, &a->shop, &b->shop));
	assert_true(conf_equal(words, &a->guest, &b->guest));
	assert_ptr_not_equal(a->shop.addresses, b->shop.addresses);
	loaded_free(a);
	loaded_free(b);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static struct loaded *load_file(const char *folder)
{
	struct loaded *l = calloc(1, sizeof(*l));
	size_t room = CONF_BYTES_MAX;
	char path[128];

	snprintf(path, sizeof(path), "%s/file", folder);
	assert_int_equal(conf_problems_new(&l->problems), 0);
	assert_int_equal(conf_parse_file(&schema, path, NULL, &room, l->problems, &l->blocks), 0);
	assert_true(room < CONF_BYTES_MAX);
	apply(l, folder);
	return l;
}

static void secrets_outside_of_blocks_are_kept_too(void **state)
{
	char folder[] = "/tmp/botls-test-conf-XXXXXX", file[64], token[64], said[200];
	struct loaded *l;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/file", folder);
	snprintf(token, sizeof(token), "%s/token", folder);
	write_file(file, "\nsecret = x\nshop s {}\n", 0644);
	l = load_file(folder);
	assert_string_equal(l->said, "file:2: secret: everybody may read this file: chmod o-r it, "
				     "or use secret-file\n");
	loaded_free(l);

	write_file(file, "secret-file = token\nshop s {}\n", 0644);
	write_file(token, "12345678901234567890\n", 0600);
	l = load_file(folder);
	assert_string_equal(l->said, "");
	assert_string_equal(l->shop.secret, "12345678901234567890");
	loaded_free(l);

	write_file(token, "123456789012345678901\n", 0600);
	l = load_file(folder);
	snprintf(said, sizeof(said),
		 "file:1: secret-file: the first line of %s is not a token of 1 to 20 bytes\n",
		 token);
	assert_string_equal(l->said, said);
	loaded_free(l);

	write_file(token, "1\n", 0644);
	l = load_file(folder);
	snprintf(said, sizeof(said),
		 "file:1: secret-file: everybody may read the token in %s: chmod o-r it\n", token);
	assert_string_equal(l->said, said);
	loaded_free(l);

	write_file(file, "shop s { secret = '<hidden>' }\n", 0600);
	l = load_file(folder);
	assert_string_equal(l->said, "file:1: secret: '<hidden>' only stands for a token: write "
				     "the token itself\n");
	loaded_free(l);
	write_file(file, "secret = 123456789012345678901\n", 0600);
	l = load_file(folder);
	assert_string_equal(l->said, "file:1: secret: this is not a token of 1 to 20 bytes\n");
	loaded_free(l);
	unlink(file);
	unlink(token);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_reach_each_kind),
		cmocka_unit_test(an_option_may_be_called_as_a_kind_is),
		cmocka_unit_test(an_option_at_a_wrong_place_begins_no_block),
		cmocka_unit_test(what_is_misplaced_is_told_where_it_belongs),
		cmocka_unit_test(kinds_are_counted_apart),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(times_are_options),
		cmocka_unit_test(urls_have_a_host_and_nothing_secret),
		cmocka_unit_test(lists_have_their_forms),
		cmocka_unit_test(values_are_printed_as_they_are_read),
		cmocka_unit_test(sources_and_programs_may_be_paths),
		cmocka_unit_test(lists_are_copied_and_compared),
		cmocka_unit_test(secrets_outside_of_blocks_are_kept_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
