// SPDX-License-Identifier: Apache-2.0
/* Options that contradict each other, or that are missing: outside of blocks, peers, daemons. */
#include "settings_check.h"
#include "botls/botls.h"

#include <ctype.h>

void settings_missing(const struct settings_checker *c, const struct conf_block *b,
		      const char *name, const char *what)
{
	/* One that was given and is wrong has been complained about where it stands. */
	if (!b->is_incomplete && !c->globals->is_incomplete && !conf_is_bad(b, c->globals, name))
		conf_problem(c->problems, b->begin, "%s is missing: set it to %s", name, what);
}

void settings_check_asn(const struct settings_checker *c, struct conf_place at, uint32_t asn)
{
	if (asn == 23456 || asn == 65535 || asn == UINT32_MAX)
		conf_problem(c->problems, at, "AS%u is reserved (%s): nobody has it", asn,
			     asn == 23456 ? "RFC 6793" : "RFC 7300");
}

void settings_check_pair(const struct settings_checker *c, const struct conf_block *b,
			 const char *name)
{
	char file[32];

	snprintf(file, sizeof(file), "%s-file", name);
	if (conf_has(b, name) && conf_has(b, file))
		conf_problem(c->problems, conf_place_of(b, file),
			     "%s and %s are both set: remove one", name, file);
}

/* What goes into a header. */
void settings_check_secret(const struct settings_checker *c, const struct conf_block *b,
			   const char *name, const char *secret)
{
	char file[32];

	snprintf(file, sizeof(file), "%s-file", name);
	for (const char *s = secret ? secret : ""; *s; s++)
		if (*s < ' ' || *s > '~') {
			conf_problem(c->problems, conf_place_of(b, conf_has(b, file) ? file : name),
				     "%s: it holds a byte that is not printable ASCII",
				     conf_has(b, file) ? file : name);
			return;
		}
}

/* http.c looks at the address that it connects to, too. */
static bool is_loopback(const char *url)
{
	const char *host = strstr(url, "://") + 3;
	char text[64];
	struct addr a;

	if (*host == '[')
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(host + 1, "]"), host + 1);
	else
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(host, ":/?"), host);
	if (!strcasecmp(text, "localhost"))
		return true;
	return addr_parse(text, &a, NULL) == 0 && addr_is_loopback(&a);
}

void settings_check_url(const struct settings_checker *c, const struct conf_block *b,
			const char *name, const char *url, const char *allow_name, bool allow)
{
	if (!url || strncasecmp(url, "http:", 5) != 0)
		return;
	if (!allow)
		conf_problem(c->problems, conf_place_of(b, name),
			     "%s: http is neither encrypted nor authentic: use https (or, to test "
			     "with a loopback address, %s = true)",
			     name, allow_name);
	else if (!is_loopback(url))
		conf_problem(c->problems, conf_place_of(b, name),
			     "%s: http is only for loopback addresses, as in "
			     "http://127.0.0.1:8080: use https",
			     name);
}

void settings_check_no_query(const struct settings_checker *c, const struct conf_block *b,
			     const char *name, const char *url)
{
	if (url && strchr(url, '?'))
		conf_problem(c->problems, conf_place_of(b, name),
			     "%s: a query cannot be part of it: remove everything from '?' on",
			     name);
}

static bool is_unicast(const struct addr *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (a->family == AF_INET)
		return (a->bytes[0] & 0xf0) != 0xe0 && memcmp(a->bytes, broadcast, 4) != 0;
	return a->bytes[0] != 0xff;
}

static void check_addresses(const struct settings_checker *c)
{
	const struct settings *s = c->settings;
	struct conf_place at = conf_place_of(c->globals, "addresses");
	char text[ADDR_STRLEN];

	if (!s->n_addresses)
		settings_missing(c, c->globals, "addresses",
				 "those that this router has at the exchanges");
	for (size_t i = 0; i < s->n_addresses; i++) {
		const struct addr *a = &s->addresses[i];

		if (!is_unicast(a) || addr_is_linklocal(a))
			conf_problem(c->problems, at,
				     "addresses: %s cannot be ours at an exchange: it is not a "
				     "global unicast address",
				     addr_format(a, text));
		for (size_t j = 0; j < i; j++)
			if (addr_equal(a, &s->addresses[j])) {
				conf_problem(c->problems, at, "addresses: %s is there twice",
					     addr_format(a, text));
				break;
			}
	}
}

/* botlsd reads neighbors.d/ *.conf beside its configuration, but for hidden files. */
static void check_shim_file(const struct settings_checker *c)
{
	const char *config = c->settings->shim_config, *file = c->settings->shim_file;
	size_t folder = strrchr(config, '/') + 1 - config, n;
	static const char parts[] = "neighbors.d/";
	const char *name = "";

	if (!strncmp(file, config, folder) && !strncmp(file + folder, parts, strlen(parts)))
		name = file + folder + strlen(parts);
	n = strlen(name);
	if (n < 6 || strcmp(name + n - 5, ".conf") != 0 || *name == '.' || strchr(name, '/'))
		conf_problem(c->problems, conf_place_of(c->globals, "shim-file"),
			     "shim-file: botlsd reads only %.*sneighbors.d/*.conf: put it there",
			     (int)folder, config);
}

/* "pdb:ix:42", "pdb:fac:17", in one spelling. */
static bool is_location(const char *s)
{
	size_t n;

	if (!strncmp(s, "pdb:ix:", 7))
		s += 7;
	else if (!strncmp(s, "pdb:fac:", 8))
		s += 8;
	else
		return false;
	n = strspn(s, "0123456789");
	return n >= 1 && n <= 9 && !s[n] && *s != '0';
}

static bool is_identifier(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

/* These go into files of botlsd and of the daemon, which have other rules for quotes. */
static void check_text(const struct settings_checker *c, const struct conf_block *b,
		       const char *name, const char *text)
{
	if (conf_has(b, name) && text && strpbrk(text, "\"\\"))
		conf_problem(c->problems, conf_place_of(b, name),
			     "%s: a double quote or a backslash cannot be passed on: remove it",
			     name);
}

/* What `b` itself says: a peer's block, or the defaults outside, so that these are complained about
 * once. */
static void check_peer_values(const struct settings_checker *c, const struct peer_settings *p,
			      const struct conf_block *b)
{
	check_text(c, b, "description", p->description);
	check_text(c, b, "certificate", p->certificate);
	check_text(c, b, "key", p->key);
	check_text(c, b, "ca", p->ca);
	for (size_t i = 0; conf_has(b, "locations") && i < p->n_locations; i++)
		if (!is_location(p->locations[i]))
			conf_problem(c->problems, conf_place_of(b, "locations"),
				     "locations: '%s' is neither \"pdb:ix:NUMBER\" nor "
				     "\"pdb:fac:NUMBER\"",
				     p->locations[i]);
	if (conf_has(b, "port") && p->port == BOTLS_PORT_BGP)
		conf_problem(c->problems, conf_place_of(b, "port"),
			     "port: botlsd lets nothing pass to port %d of a neighbor: choose "
			     "another port",
			     BOTLS_PORT_BGP);
	if (conf_has(b, "daemon") && p->daemon && !settings_daemon(c->settings, p))
		conf_problem(c->problems, conf_place_of(b, "daemon"),
			     "daemon: there is no block of that name: daemon \"%s\" { ... }",
			     p->daemon);
}

static void check_filter(const struct settings_checker *c, const struct peer_settings *p,
			 const struct conf_block *b, const char *name, const char *filter)
{
	const struct daemon_settings *d = settings_daemon(c->settings, p);

	if (!filter || !d)
		return;
	if (d->kind == DAEMON_BIRD ? !is_identifier(filter) : !!strchr(filter, ':'))
		conf_problem(c->problems, conf_place_of(b, name),
			     "peer AS%u: %s: '%s' is not the name of a %s", p->asn, name, filter,
			     d->kind == DAEMON_BIRD ? "filter of BIRD: letters, digits and '_'"
						    : "route-map of FRR: remove ':'");
}

static void check_peer_relations(const struct settings_checker *c, const struct peer_settings *p,
				 const struct conf_block *b)
{
	if (!p->certificate != !p->key && !conf_is_bad(b, c->globals, "certificate") &&
	    !conf_is_bad(b, c->globals, "key"))
		conf_problem(c->problems, conf_place_of(b, p->key ? "key" : "certificate"),
			     "peer AS%u: %s without %s: set both, or none for those of %s", p->asn,
			     p->key ? "key" : "certificate", p->key ? "certificate" : "key",
			     c->settings->shim_config);
	if (p->propose_secret && p->session_secret == SECRET_IGNORE &&
	    !conf_is_bad(b, c->globals, "session-secret"))
		conf_problem(c->problems, conf_place_of(b, "propose-secret"),
			     "peer AS%u: propose-secret without a use for it: set session-secret",
			     p->asn);
	if (!p->daemon && c->settings->n_daemons > 1 && !conf_is_bad(b, c->globals, "daemon"))
		conf_problem(c->problems, b->begin,
			     "peer AS%u: there are several daemons: set daemon to one of them",
			     p->asn);
	check_filter(c, p, b, "import", p->import);
	check_filter(c, p, b, "export", p->export);
}

void settings_check_peer(const struct settings_checker *c, const struct peer_settings *p,
			 const struct conf_block *b)
{
	settings_check_asn(c, b->begin, p->asn);
	if (p->asn && p->asn == c->settings->asn)
		conf_problem(c->problems, b->begin, "peer AS%u: that is our own AS", p->asn);
	check_peer_values(c, p, b);
	check_peer_relations(c, p, b);
}

static void check_daemon_twice(const struct settings_checker *c, const struct daemon_settings *d,
			       const struct conf_block *b)
{
	for (const struct daemon_settings *o = c->settings->daemons; o < d; o++) {
		if (*d->name && !strcmp(o->name, d->name))
			conf_problem(c->problems, b->begin,
				     "daemon %s is there twice, also at %s: remove one", d->name,
				     o->origin);
		if (d->file && o->file && !strcmp(o->file, d->file))
			conf_problem(c->problems, conf_place_of(b, "file"),
				     "file: daemon %s at %s has the same: each needs its own",
				     o->name, o->origin);
	}
	if (d->file && !strcmp(d->file, c->settings->shim_file))
		conf_problem(c->problems, conf_place_of(b, "file"),
			     "file: this is the one for botlsd: choose another");
}

void settings_check_daemon(const struct settings_checker *c, const struct daemon_settings *d,
			   const struct conf_block *b)
{
	if (!conf_has(b, "kind"))
		settings_missing(c, b, "kind", "bird or frr");
	if (!d->file)
		settings_missing(c, b, "file", "the one that is to be written for the daemon");
	else if (d->config && !strcmp(d->file, d->config))
		conf_problem(c->problems, conf_place_of(b, "file"),
			     "file: this is the daemon's own configuration, which would be "
			     "replaced: choose another");
	if (!strcmp(d->name, "botlsd"))
		conf_problem(c->problems, b->begin,
			     "daemon botlsd: that is the name of the shim: choose another");
	check_daemon_twice(c, d, b);
}

void settings_check_globals(const struct settings_checker *c)
{
	const struct settings *s = c->settings;
	const struct conf_block *b = c->globals;

	if (!s->asn)
		settings_missing(c, b, "asn", "the number of our AS");
	settings_check_asn(c, conf_place_of(b, "asn"), s->asn);
	check_addresses(c);
	settings_check_pair(c, b, "peeringdb-key");
	settings_check_secret(c, b, "peeringdb-key", s->peeringdb_key);
	settings_check_url(c, b, "peeringdb", s->peeringdb, "peeringdb-allow-http",
			   s->peeringdb_allow_http);
	if (*s->peeringdb != '/')
		settings_check_no_query(c, b, "peeringdb", s->peeringdb);
	check_shim_file(c);
	check_peer_values(c, c->peer_defaults, b);
}
