// SPDX-License-Identifier: Apache-2.0
#include "config.h"
#include "config_parse.h"

#include <errno.h>
#include <libgen.h>
#include <pwd.h>

/* Debian's and the projects' own names; those that do not exist here are left out. */
static const char *const daemon_accounts[] = {"root",	"bird",	     "frr",  "gobgp",
					      "exabgp", "_openbgpd", "_bgpd"};

/* Of one neighbor at once: two that collide, and those that end or are stale. */
#define HOST_SESSIONS 8

struct loader {
	struct conf_problems *problems;
	struct conf_blocks blocks;
	struct conf_context context;
	struct neighbor_config defaults;
	struct keychain_key key_defaults;
	struct conf_block **neighbor_blocks; /* in the order of the files */
	struct config *config;
};

static void neighbor_done(struct neighbor_config *n)
{
	conf_done(&config_schema, config_schema.kinds, n);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	conf_done(&config_schema, NULL, c);
	for (size_t i = 0; i < c->n_neighbors; i++)
		neighbor_done(&c->neighbors[i]);
	free(c->neighbors);
	for (size_t i = 0; i < c->n_keys; i++)
		config_key_done(&c->keys[i]);
	free(c->keys);
	free(c->chains);
	free(c->path);
	free(c);
}

int config_compare_addresses(const struct addr *a, const struct addr *b)
{
	int r;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	r = strcmp(a->ifname, b->ifname);
	if (r == 0)
		r = memcmp(a->bytes, b->bytes, sizeof(a->bytes));
	return r ? r : a->prefixlen - b->prefixlen;
}

/* Pointers into one array that is in the order of the files: equal addresses stay in that order. */
static int compare_neighbors(const void *a, const void *b)
{
	const struct neighbor_config *x = *(const struct neighbor_config *const *)a;
	const struct neighbor_config *y = *(const struct neighbor_config *const *)b;
	int r = config_compare_addresses(&x->address, &y->address);

	return r ? r : x < y ? -1 : 1;
}

static int default_daemon_users(struct loader *l)
{
	const struct conf_option *o = config_option("daemon-users");
	char *found[ARRAY_SIZE(daemon_accounts)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(daemon_accounts); i++)
		/* cppcheck-suppress getpwnamCalled; there is one thread */
		if (i == 0 || (l->context.folder && getpwnam(daemon_accounts[i])))
			found[n++] = (char *)daemon_accounts[i];
	return conf_set(o, l->config, &l->context, found, n, NULL);
}

static int load_globals(struct loader *l)
{
	struct conf_bases to = {.globals = l->config, .kinds = {&l->defaults, &l->key_defaults}};
	struct conf_block *b = &l->blocks.globals;
	int r;

	r = conf_apply_initial(&config_schema, &to);
	if (r < 0)
		return r;
	if (!conf_has(b, "daemon-users")) {
		r = default_daemon_users(l);
		if (r < 0)
			return r;
	}
	r = conf_apply(&config_schema, b, &to, &l->context, l->problems);
	if (r < 0)
		return r;
	if (!conf_has(b, "port"))
		l->defaults.tls_port = l->config->tls_port;
	config_check_globals(l->config, b, l->problems);
	return 0;
}

static void set_initial(struct neighbor_config *n, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		conf_set_initial(config_option(names[i]), n);
}

/* A key of the block's own stands in for a chain that it inherits. With exporter the key is that
 * with which every connection begins. */
static void derive_ao(struct neighbor_config *n, const struct conf_block *b,
		      bool covers_options_is_set)
{
	static const char *const ids[] = {"tcp-ao-send-id", "tcp-ao-recv-id"};
	static const char *const how[] = {"tcp-ao-algorithm", "tcp-ao-options"};
	static const char *const policy[] = {"tcp-ao-policy"};
	static const char *const rekey[] = {"tcp-ao-rekey"};
	static const char *const code[] = {"tcp-ao-capability-code"};
	static const struct conf_context no_files;
	bool has_chain;

	if (n->ao.mode != AO_STATIC ||
	    (!conf_has(b, "tcp-ao-chain") &&
	     (conf_has(b, "tcp-ao-key") || conf_has(b, "tcp-ao-key-file"))))
		conf_clear(config_option("tcp-ao-chain"), n);
	has_chain = n->ao.chain_name;
	if (n->ao.mode != AO_STATIC)
		conf_clear(config_option("tcp-ao-key"), n);
	if (n->ao.mode == AO_OFF || n->ao.mode == AO_CAPABILITY)
		set_initial(n, policy, ARRAY_SIZE(policy));
	if (n->ao.mode != AO_EXPORTER && n->ao.mode != AO_CAPABILITY)
		set_initial(n, rekey, ARRAY_SIZE(rekey));
	if (n->ao.mode != AO_CAPABILITY)
		set_initial(n, code, ARRAY_SIZE(code));
	if (n->ao.mode != AO_STATIC || has_chain)
		set_initial(n, ids, ARRAY_SIZE(ids));
	if (n->ao.mode == AO_OFF || has_chain)
		set_initial(n, how, ARRAY_SIZE(how));
	if (n->ao.mode != AO_EXPORTER)
		return;
	conf_set(config_option("tcp-ao-key"), n, &no_files, (char *[]){(char *)AO_DEFAULT_SECRET},
		 1, NULL);
	if (!covers_options_is_set)
		n->ao.own.covers_options = false;
}

/* Settings that follow from others; what does not count is set to one value, so that it makes no
 * difference either. */
static bool is_set(const struct conf_block *b, const struct conf_block *globals, const char *option)
{
	return conf_has(b, option) || conf_has(globals, option);
}

static void derive(struct neighbor_config *n, const struct conf_block *b,
		   const struct conf_block *globals)
{
	struct identity_config *id = &n->identity;

	if (!is_set(b, globals, "check-address"))
		id->check_address = id->ca && !id->n_dns_names && !id->n_pins;
	if (n->mode != MODE_PREFERRED)
		conf_set_initial(config_option("fallback-after"), n);
	if (!addr_is_prefix(&n->address))
		n->max_sessions = HOST_SESSIONS;
	derive_ao(n, b, is_set(b, globals, "tcp-ao-options"));
}

static int load_neighbor(struct loader *l, struct conf_block *b, struct neighbor_config *n)
{
	const struct conf_block *globals = &l->blocks.globals;
	struct conf_bases to = {.kinds = {n}};
	struct errtext e;
	int r;

	r = conf_inherit(&config_schema, config_schema.kinds, n, &l->defaults);
	if (r < 0)
		return r;
	snprintf(n->origin, sizeof(n->origin), "%.100s:%u",
		 conf_problems_file(l->problems, b->begin.file), b->begin.line);
	if (b->title && addr_parse(b->title, &n->address, &e) < 0)
		conf_problem(l->problems, b->begin, "neighbor: %s", e.text);
	addr_format(&n->address, n->name);
	r = conf_apply(&config_schema, b, &to, &l->context, l->problems);
	if (r < 0)
		return r;
	derive(n, b, globals);
	if (n->ao.chain_name)
		n->ao.chain = config_chain(l->config, n->ao.chain_name);
	config_check_neighbor(n, b, globals, l->problems);
	return 0;
}

static void report_duplicates(struct loader *l, struct neighbor_config *const *sorted, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct neighbor_config *first = sorted[i - 1], *second = sorted[i];

		if (first->address.family == AF_UNSPEC ||
		    config_compare_addresses(&first->address, &second->address) != 0)
			continue;
		conf_problem(l->problems, l->neighbor_blocks[second - l->config->neighbors]->begin,
			     "neighbor %s is there twice, also at %s: remove one", second->name,
			     first->origin);
	}
}

/* The kernel demands TCP-AO of everybody for whom it has a key. */
static void report_shared_ao_keys(struct loader *l, struct neighbor_config *const *sorted, size_t n)
{
	const struct neighbor_config *const *list = (const void *)sorted;

	for (size_t i = 0; i < n; i++) {
		const struct conf_block *b = l->neighbor_blocks[sorted[i] - l->config->neighbors];
		const struct neighbor_config *other;

		/* With capability there is none but on the connection itself. */
		if (sorted[i]->ao.mode == AO_OFF || sorted[i]->ao.mode == AO_CAPABILITY ||
		    sorted[i]->mode == MODE_OFF)
			continue;
		other = config_find_covered(list, n, i);
		/* The same address twice has been complained about. */
		if (other && !addr_equal(&other->address, &sorted[i]->address))
			conf_problem(
				l->problems, conf_place_of(b, "tcp-ao"),
				"neighbor %s: the kernel would demand its TCP-AO key of "
				"neighbor %s, too: give it an address of its own, or set tcp-ao "
				"= off",
				sorted[i]->name, other->name);
	}
}

static int sort_neighbors(struct loader *l)
{
	struct config *c = l->config;
	_cleanup_free_ struct neighbor_config **order = calloc(c->n_neighbors + 1, sizeof(*order));
	struct neighbor_config *sorted = calloc(c->n_neighbors + 1, sizeof(*sorted));

	if (!order || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < c->n_neighbors; i++)
		order[i] = &c->neighbors[i];
	qsort(order, c->n_neighbors, sizeof(*order), compare_neighbors);
	report_duplicates(l, order, c->n_neighbors);
	report_shared_ao_keys(l, order, c->n_neighbors);
	for (size_t i = 0; i < c->n_neighbors; i++)
		sorted[i] = *order[i];
	free(c->neighbors);
	c->neighbors = sorted;
	return 0;
}

static int load_neighbors(struct loader *l)
{
	size_t n = l->blocks.n_of[KIND_NEIGHBOR], at = 0;
	int r;

	if (!n)
		return 0;
	l->neighbor_blocks = calloc(n, sizeof(*l->neighbor_blocks));
	l->config->neighbors = calloc(n, sizeof(*l->config->neighbors));
	if (!l->config->neighbors || !l->neighbor_blocks)
		return -ENOMEM;
	for (size_t i = 0; i < l->blocks.n_items; i++)
		if (l->blocks.items[i].kind == &config_schema.kinds[KIND_NEIGHBOR])
			l->neighbor_blocks[at++] = &l->blocks.items[i];
	l->config->n_neighbors = at;
	for (size_t i = 0; i < at; i++) {
		r = load_neighbor(l, l->neighbor_blocks[i], &l->config->neighbors[i]);
		if (r < 0)
			return r;
	}
	return sort_neighbors(l);
}

static int load(struct loader *l, const char *path)
{
	int r;

	l->config = calloc(1, sizeof(*l->config));
	if (!l->config)
		return -ENOMEM;
	l->config->path = strdup(path);
	if (!l->config->path)
		return -ENOMEM;
	r = load_globals(l);
	if (r == 0)
		r = config_load_keys(l->config, &l->blocks, &l->key_defaults, &l->context,
				     l->problems);
	if (r == 0)
		r = load_neighbors(l);
	if (r == 0 && conf_problems_count(l->problems))
		r = -EINVAL;
	return r;
}

static void loader_done(struct loader *l)
{
	config_free(l->config);
	neighbor_done(&l->defaults);
	config_key_done(&l->key_defaults);
	free(l->neighbor_blocks);
	conf_blocks_done(&l->blocks);
	conf_problems_free(l->problems);
	free((char *)l->context.folder);
}

/* Ends a load: hands the configuration over, or the problems. */
static int finish(struct loader *l, int r, const char *path, config_report_fn *report, void *arg,
		  struct config **ret)
{
	if (l->problems)
		conf_problems_report(l->problems, report, arg);
	if (r == -ENOMEM)
		report(arg, path, "out of memory");
	if (r == 0)
		*ret = TAKE(l->config);
	return r;
}

static int find_folder(struct loader *l, const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	l->context.folder = realpath(dirname(copy), NULL);
	/* Of a file that is not there this was said already. */
	if (!l->context.folder && !conf_problems_count(l->problems))
		conf_problem(l->problems, (struct conf_place){}, "its folder cannot be found: %s",
			     strerror(errno));
	return l->context.folder ? 0 : -EINVAL;
}

int config_load(const char *path, config_report_fn *report, void *arg, struct config **ret_config)
{
	__attribute__((cleanup(loader_done))) struct loader l = {};
	int r, unreadable = 0;

	r = conf_problems_new(&l.problems);
	if (r == 0)
		r = config_parse_files(path, l.problems, &l.blocks);
	if (r < 0 && r != -ENOMEM) {
		unreadable = r; /* the problems of what could be read are reported too */
		r = 0;
	}
	if (r == 0)
		r = find_folder(&l, path);
	if (r == 0)
		r = load(&l, path);
	if (unreadable && r != -ENOMEM)
		r = unreadable;
	return finish(&l, r, path, report, arg, ret_config);
}

int config_load_text(const char *text, config_report_fn *report, void *arg,
		     struct config **ret_config)
{
	__attribute__((cleanup(loader_done))) struct loader l = {};
	int r;

	r = conf_problems_new(&l.problems);
	if (r == 0)
		r = conf_problems_add_file(l.problems, "text");
	if (r >= 0)
		r = conf_parse(&config_schema, text, strlen(text), r, NULL, l.problems, &l.blocks);
	if (r == 0)
		r = load(&l, "text");
	return finish(&l, r, "text", report, arg, ret_config);
}

/* What is longer is no line of ours. The lexers' time is quadratic in the length of a word. */
#define PRINTED_LINE_MAX (64 << 10)

static bool has_long_line(const char *text, size_t len)
{
	for (const char *end = text + len, *next; text < end; text = next + 1) {
		next = memchr(text, '\n', end - text);
		if (!next)
			next = end;
		if (next - text > PRINTED_LINE_MAX)
			return true;
	}
	return false;
}

/* Each neighbor is written with all that counts for it. What stands outside would be copied to all
 * of them. */
static bool has_defaults(const struct conf_block *globals)
{
	for (size_t i = 0; i < globals->n_settings; i++)
		if (globals->settings[i].option->scope != CONF_GLOBAL)
			return true;
	return false;
}

int config_load_printed(const char *text, size_t len, struct config **ret_config)
{
	__attribute__((cleanup(loader_done))) struct loader l = {};
	int r = has_long_line(text, len) ? -EINVAL : conf_problems_new(&l.problems);

	if (r == 0)
		r = conf_problems_add_file(l.problems, "text");
	if (r < 0)
		return r;
	conf_problems_be_strict(l.problems);
	r = conf_parse(&config_schema, text, len, r, NULL, l.problems, &l.blocks);
	if (r == 0 && (conf_problems_count(l.problems) || has_defaults(&l.blocks.globals)))
		r = -EINVAL;
	if (r == 0)
		r = load(&l, "text");
	if (r == 0)
		*ret_config = TAKE(l.config);
	return r;
}

/* How many neighbors sort at or before `key`. */
static size_t count_until(const struct config *c, const struct addr *key)
{
	size_t low = 0, high = c->n_neighbors;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (config_compare_addresses(&c->neighbors[middle].address, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct neighbor_config *config_neighbor(const struct config *c, const char *name)
{
	struct addr a;
	size_t n;

	if (addr_parse(name, &a, NULL) < 0)
		return NULL;
	n = count_until(c, &a);
	return n && config_compare_addresses(&c->neighbors[n - 1].address, &a) == 0
		       ? &c->neighbors[n - 1]
		       : NULL;
}

static unsigned common_bits(const struct addr *a, const struct addr *b)
{
	unsigned i = 0;

	while (i < 15 && a->bytes[i] == b->bytes[i])
		i++;
	return 8 * i +
	       (a->bytes[i] == b->bytes[i] ? 8 : __builtin_clz(a->bytes[i] ^ b->bytes[i]) - 24);
}

static struct addr shorten(const struct addr *a, unsigned prefixlen)
{
	struct addr net = *a;

	net.prefixlen = prefixlen;
	for (unsigned i = 0; i < sizeof(net.bytes); i++) {
		unsigned keep = prefixlen > 8 * i ? prefixlen - 8 * i : 0;

		if (keep < 8)
			net.bytes[i] &= 0xff00 >> keep;
	}
	return net;
}

/* In sorted order the last entry at or before an address is the longest prefix that holds it, or it
 * lies beside it; then every prefix that holds both is no longer than what they have in common, and
 * that is looked up next. Each step shortens the key; few steps are usual. */
const struct neighbor_config *config_match(const struct config *c, const struct addr *host)
{
	struct addr key = *host;

	for (;;) {
		size_t n = count_until(c, &key);
		const struct addr *a;

		if (!n)
			return NULL;
		a = &c->neighbors[n - 1].address;
		if (a->family != key.family || strcmp(a->ifname, key.ifname) != 0)
			return NULL;
		if (addr_contains(a, host))
			return &c->neighbors[n - 1];
		key = shorten(&key, common_bits(a, &key));
	}
}

bool neighbor_config_equal(const struct neighbor_config *a, const struct neighbor_config *b)
{
	if (!addr_equal(&a->address, &b->address) ||
	    (a->ao.chain && b->ao.chain && !keychain_equal(a->ao.chain, b->ao.chain)))
		return false;
	for (size_t i = 0; i < config_schema.n_options; i++) {
		const struct conf_option *o = &config_schema.options[i];

		if ((o->scope & SCOPE_NEIGHBOR) && o->type != CONF_TEXT && !conf_equal(o, a, b))
			return false;
	}
	return true;
}
