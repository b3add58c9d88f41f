// SPDX-License-Identifier: Apache-2.0
#include "settings_schema.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>

#define TITLE_MAX 63

struct loader {
	struct conf_problems *problems;
	struct conf_blocks blocks;
	struct conf_context context;
	struct server_settings server; /* defaults of the blocks */
	struct peer_settings peer;
	struct daemon_settings daemon;
	struct settings *settings;
};

static const struct conf_kind *kind(unsigned i)
{
	return &settings_schema.kinds[i];
}

void settings_free(struct settings *s)
{
	if (!s)
		return;
	conf_done(&settings_schema, NULL, s);
	for (size_t i = 0; i < s->n_servers; i++) {
		conf_done(&settings_schema, kind(SERVER_BLOCK), &s->servers[i]);
		free(s->servers[i].name);
	}
	for (size_t i = 0; i < s->n_peers; i++)
		conf_done(&settings_schema, kind(PEER_BLOCK), &s->peers[i]);
	for (size_t i = 0; i < s->n_daemons; i++) {
		conf_done(&settings_schema, kind(DAEMON_BLOCK), &s->daemons[i]);
		free(s->daemons[i].name);
	}
	free(s->servers);
	free(s->peers);
	free(s->daemons);
	free(s->path);
	free(s);
}

/* Addresses of APIs are put together with paths that begin with a slash. */
static void strip_slashes(char *url)
{
	for (size_t n = url ? strlen(url) : 0; n > 1 && url[n - 1] == '/'; n--)
		url[n - 1] = '\0';
}

static int derive_shim_file(struct settings *s)
{
	int folder = strrchr(s->shim_config, '/') + 1 - s->shim_config;

	if (s->shim_file)
		return 0;
	if (asprintf(&s->shim_file, "%.*sneighbors.d/botls-provision.conf", folder,
		     s->shim_config) < 0) {
		s->shim_file = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int load_globals(struct loader *l)
{
	struct conf_bases to = {l->settings, {&l->server, &l->peer, &l->daemon}};
	int r;

	r = conf_apply_initial(&settings_schema, &to);
	if (r == 0)
		r = conf_apply(&settings_schema, &l->blocks.globals, &to, &l->context, l->problems);
	if (r < 0)
		return r;
	strip_slashes(l->settings->peeringdb);
	return derive_shim_file(l->settings);
}

/* Also the name of a file. */
static bool is_title(const char *s)
{
	if (!*s || *s == '.' || strlen(s) > TITLE_MAX)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	return true;
}

static int load_name(struct loader *l, const struct conf_block *b, char **ret)
{
	if (b->title && !is_title(b->title))
		conf_problem(l->problems, b->begin,
			     "%s: '%.60s' is not a name of letters, digits, '_', '-' and '.' (but "
			     "not in front) of at most %d bytes",
			     b->kind->name, b->title, TITLE_MAX);
	*ret = strdup(b->title ? b->title : "");
	return *ret ? 0 : -ENOMEM;
}

/* Everything but the title. */
static int load_block(struct loader *l, struct conf_block *b, void *item, const void *defaults,
		      char origin[static 128])
{
	struct conf_bases to = {};
	int r;

	snprintf(origin, 128, "%.100s:%u", conf_problems_file(l->problems, b->begin.file),
		 b->begin.line);
	to.kinds[b->kind - settings_schema.kinds] = item;
	r = conf_inherit(&settings_schema, b->kind, item, defaults);
	if (r == 0)
		r = conf_apply(&settings_schema, b, &to, &l->context, l->problems);
	return r;
}

static int load_server(struct loader *l, struct conf_block *b)
{
	struct server_settings *s = &l->settings->servers[l->settings->n_servers++];
	int r = load_block(l, b, s, &l->server, s->origin);

	if (r < 0)
		return r;
	strip_slashes(s->url);
	return load_name(l, b, &s->name);
}

static int load_peer(struct loader *l, struct conf_block *b)
{
	struct peer_settings *p = &l->settings->peers[l->settings->n_peers++];
	const char *title = b->title ? b->title : "";

	if (!strncasecmp(title, "AS", 2))
		title += 2;
	if (b->title && (conf_parse_as(title, &p->asn) < 0 || !p->asn))
		conf_problem(l->problems, b->begin,
			     "peer: '%.60s' is not an AS number, as in AS64500 or 64500", b->title);
	return load_block(l, b, p, &l->peer, p->origin);
}

static int load_daemon(struct loader *l, struct conf_block *b)
{
	struct daemon_settings *d = &l->settings->daemons[l->settings->n_daemons++];
	int r = load_block(l, b, d, &l->daemon, d->origin);

	if (r < 0)
		return r;
	if (d->kind == DAEMON_BIRD && !d->config) {
		d->config = strdup("/etc/bird/bird.conf");
		if (!d->config)
			return -ENOMEM;
	}
	return load_name(l, b, &d->name);
}

/* Blocks of a kind stay in the order of the file; settings[i] is of the i-th block of its kind. */
static int load_blocks(struct loader *l)
{
	static int (*const load_one[N_BLOCKS])(struct loader *, struct conf_block *) = {
		[SERVER_BLOCK] = load_server,
		[PEER_BLOCK] = load_peer,
		[DAEMON_BLOCK] = load_daemon,
	};
	const size_t *n = l->blocks.n_of;
	struct settings *s = l->settings;

	s->servers = calloc(n[SERVER_BLOCK] + 1, sizeof(*s->servers));
	s->peers = calloc(n[PEER_BLOCK] + 1, sizeof(*s->peers));
	s->daemons = calloc(n[DAEMON_BLOCK] + 1, sizeof(*s->daemons));
	if (!s->servers || !s->peers || !s->daemons)
		return -ENOMEM;
	for (size_t i = 0; i < l->blocks.n_items; i++) {
		struct conf_block *b = &l->blocks.items[i];
		int r = load_one[b->kind - settings_schema.kinds](l, b);

		if (r < 0)
			return r;
	}
	return 0;
}

static void check(const struct loader *l)
{
	const struct settings *s = l->settings;
	struct settings_checker c = {s, &l->peer, &l->blocks.globals, l->problems};
	size_t n_servers = 0, n_peers = 0, n_daemons = 0;

	settings_check_globals(&c);
	for (size_t i = 0; i < l->blocks.n_items; i++) {
		const struct conf_block *b = &l->blocks.items[i];

		if (b->kind == kind(SERVER_BLOCK))
			settings_check_server(&c, &s->servers[n_servers++], b);
		else if (b->kind == kind(PEER_BLOCK))
			settings_check_peer(&c, &s->peers[n_peers++], b);
		else
			settings_check_daemon(&c, &s->daemons[n_daemons++], b);
	}
}

static int compare_peers(const void *a, const void *b)
{
	const struct peer_settings *x = a, *y = b;

	return x->asn < y->asn ? -1 : x->asn > y->asn;
}

/* Pointers into one array that is in the order of the file: equal ones stay in that order. */
static int compare_pointers(const void *a, const void *b)
{
	const struct peer_settings *x = *(const struct peer_settings *const *)a;
	const struct peer_settings *y = *(const struct peer_settings *const *)b;
	int r = compare_peers(x, y);

	return r ? r : x < y ? -1 : x > y;
}

static void report_twice(struct loader *l, const struct peer_settings *first,
			 const struct peer_settings *second)
{
	size_t n = second - l->settings->peers;

	for (size_t i = 0; i < l->blocks.n_items; i++)
		if (l->blocks.items[i].kind == kind(PEER_BLOCK) && n-- == 0)
			conf_problem(l->problems, l->blocks.items[i].begin,
				     "peer AS%u is there twice, also at %s: remove one",
				     second->asn, first->origin);
}

static int sort_peers(struct loader *l)
{
	struct settings *s = l->settings;
	_cleanup_free_ struct peer_settings **order = calloc(s->n_peers + 1, sizeof(*order));
	struct peer_settings *sorted = calloc(s->n_peers + 1, sizeof(*sorted));
	size_t n_twice = 0;

	if (!order || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->n_peers; i++)
		order[i] = &s->peers[i];
	qsort(order, s->n_peers, sizeof(*order), compare_pointers);
	/* each report looks for its block; more of them than are shown need none */
	for (size_t i = 1; i < s->n_peers && n_twice < CONF_PROBLEMS_MAX; i++)
		if (order[i]->asn && order[i]->asn == order[i - 1]->asn) {
			report_twice(l, order[i - 1], order[i]);
			n_twice++;
		}
	for (size_t i = 0; i < s->n_peers; i++)
		sorted[i] = *order[i];
	free(s->peers);
	s->peers = sorted;
	return 0;
}

static int load(struct loader *l, const char *path)
{
	int r;

	l->settings = calloc(1, sizeof(*l->settings));
	if (!l->settings)
		return -ENOMEM;
	l->settings->path = strdup(path);
	if (!l->settings->path)
		return -ENOMEM;
	r = load_globals(l);
	if (r == 0)
		r = load_blocks(l);
	if (r < 0)
		return r;
	check(l);
	r = sort_peers(l);
	if (r == 0 && conf_problems_count(l->problems))
		r = -EINVAL;
	return r;
}

static void loader_done(struct loader *l)
{
	settings_free(l->settings);
	conf_done(&settings_schema, kind(SERVER_BLOCK), &l->server);
	conf_done(&settings_schema, kind(PEER_BLOCK), &l->peer);
	conf_done(&settings_schema, kind(DAEMON_BLOCK), &l->daemon);
	conf_blocks_done(&l->blocks);
	conf_problems_free(l->problems);
	free((char *)l->context.folder);
}

/* Ends a load: hands the settings over, or the problems. */
static int finish(struct loader *l, int r, const char *path, settings_report_fn *report, void *arg,
		  struct settings **ret)
{
	if (l->problems)
		conf_problems_report(l->problems, report, arg);
	if (r == -ENOMEM)
		report(arg, path, "out of memory");
	if (r == 0)
		*ret = TAKE(l->settings);
	return r;
}

static int find_folder(struct loader *l, const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	l->context.folder = realpath(dirname(copy), NULL);
	if (!l->context.folder)
		conf_problem(l->problems, (struct conf_place){}, "its folder cannot be found: %s",
			     strerror(errno));
	return l->context.folder ? 0 : -EINVAL;
}

int settings_load(const char *path, settings_report_fn *report, void *arg, struct settings **ret)
{
	__attribute__((cleanup(loader_done))) struct loader l = {};
	size_t room = CONF_BYTES_MAX;
	int r;

	r = conf_problems_new(&l.problems);
	if (r == 0)
		r = conf_parse_file(&settings_schema, path, NULL, &room, l.problems, &l.blocks);
	if (r == 0)
		r = find_folder(&l, path);
	if (r == 0)
		r = load(&l, path);
	return finish(&l, r, path, report, arg, ret);
}

int settings_load_text(const char *text, settings_report_fn *report, void *arg,
		       struct settings **ret)
{
	__attribute__((cleanup(loader_done))) struct loader l = {};
	int r;

	r = conf_problems_new(&l.problems);
	if (r == 0)
		r = conf_problems_add_file(l.problems, "text");
	if (r >= 0)
		r = conf_parse(&settings_schema, text, strlen(text), r, NULL, l.problems,
			       &l.blocks);
	if (r == 0)
		r = load(&l, "text");
	return finish(&l, r, "text", report, arg, ret);
}

const struct server_settings *settings_server(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->n_servers; i++)
		if (!strcmp(s->servers[i].name, name))
			return &s->servers[i];
	return NULL;
}

const struct peer_settings *settings_peer(const struct settings *s, uint32_t asn)
{
	struct peer_settings key = {.asn = asn};

	return bsearch(&key, s->peers, s->n_peers, sizeof(key), compare_peers);
}

const struct daemon_settings *settings_daemon(const struct settings *s,
					      const struct peer_settings *p)
{
	if (!p->daemon)
		return s->n_daemons == 1 ? &s->daemons[0] : NULL;
	for (size_t i = 0; i < s->n_daemons; i++)
		if (!strcmp(s->daemons[i].name, p->daemon))
			return &s->daemons[i];
	return NULL;
}
