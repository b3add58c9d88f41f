// SPDX-License-Identifier: Apache-2.0
/*
 * What is added comes before what is removed, and a setting that has another value is overwritten,
 * never removed first: between `no neighbor X route-map A in` and the next line everything would
 * pass. A new neighbor is shut down until all of it is there.
 */
#include "addr.h"
#include "frr_config_internal.h"
#include "text.h"
#include "textbuf.h"

#include <errno.h>

#define OUR_ROUTE_MAPS "botls_"

struct script {
	uint32_t asn;
	const char *mark;
	const struct frr_config *running, *before, *wanted;
	struct textbuf out;
	char bgp[32];
	/* the context that the commands so far end in */
	const char *context;
	size_t context_len;
	struct errtext *e;
};

static bool is_address(const char *name)
{
	struct addr a;

	return addr_parse(name, &a, NULL) == 0;
}

/* A family is entered from its router, so that leaving it is two steps. */
static void enter(struct script *s, const char *context, size_t len)
{
	if (s->context_len == len && strncmp(s->context, context, len) == 0)
		return;
	if (memchr(s->context, '\n', s->context_len))
		textbuf_printf(&s->out, "exit-address-family\n");
	if (s->context_len)
		textbuf_printf(&s->out, "exit\n");
	if (len)
		textbuf_printf(&s->out, "%.*s\n", (int)len, context);
	s->context = context;
	s->context_len = len;
}

static void say(struct script *s, const struct frr_line *l)
{
	enter(s, l->full, l->context_len);
	textbuf_printf(&s->out, "%s\n", l->text);
}

static void say_no(struct script *s, const struct frr_line *l)
{
	enter(s, l->full, l->context_len);
	if (strncmp(l->text, "no ", 3) == 0)
		textbuf_printf(&s->out, "%s\n", l->text + 3);
	else
		textbuf_printf(&s->out, "no %s\n", l->text);
}

static void say_neighbor(struct script *s, const char *no, const char *name, const char *what)
{
	enter(s, s->bgp, strlen(s->bgp));
	textbuf_printf(&s->out, "%sneighbor %s%s\n", no, name, what);
}

/* A route-map that does not exist lets nothing pass where a neighbor names it, and everything where
 * another one calls it. */
static int check_reference(const struct script *s, const struct frr_line *l)
{
	char name[FRR_NAME_MAX] = "", direction[8] = "";

	if (l->is_route_map
		    ? sscanf(l->text, "call %127s", name) != 1
		    : sscanf(l->text, "neighbor %*s route-map %127s %7s", name, direction) != 2)
		return 0;
	if (frr_config_route_map(s->running, name) || frr_config_route_map(s->wanted, name))
		return 0;
	return errtext_set(s->e, -ENOENT,
			   "FRR has no route-map %s, which %s names: define it there, or correct "
			   "import and export of the peer",
			   name, l->name);
}

/* What FRR does not say because it is its default: IPv4 is active unless `no bgp default
 * ipv4-unicast`, every other family is not. */
static bool is_default(const struct script *s, const struct frr_line *l)
{
	char activate[FRR_NAME_MAX + 32], line[128];
	bool is_ipv4, is_no = strncmp(l->text, "no ", 3) == 0;

	snprintf(activate, sizeof(activate), "neighbor %s activate", l->name);
	if (!l->is_neighbor || strcmp(l->text + (is_no ? 3 : 0), activate) != 0 ||
	    !frr_config_neighbor(s->running, s->asn, l->name) ||
	    frr_config_has_key(s->running, l->key))
		return false;
	snprintf(line, sizeof(line), "%s\naddress-family ipv4 unicast\n", s->bgp);
	is_ipv4 = strncmp(l->full, line, strlen(line)) == 0;
	snprintf(line, sizeof(line), "%s\nno bgp default ipv4-unicast", s->bgp);
	return is_no != (is_ipv4 && !frr_config_has(s->running, line));
}

static bool is_there(const struct script *s, const struct frr_line *l)
{
	return frr_config_has(s->running, l->full) || is_default(s, l);
}

/* Route-maps and lists come first: what refers to them must find them. */
static int add_lists(struct script *s)
{
	const struct frr_config *w = s->wanted;
	int r = 0;

	for (size_t i = 0; !r && i < w->n; i++) {
		const struct frr_line *l = &w->lines[i];

		if (frr_line_is_bgp(l, s->asn) || is_there(s, l))
			continue;
		if (l->is_entry && !l->is_route_map)
			continue;
		r = check_reference(s, l);
		if (!r && l->is_entry)
			enter(s, l->text, strlen(l->text));
		else if (!r)
			say(s, l);
	}
	return r;
}

static int add_neighbors(struct script *s)
{
	const struct frr_config *w = s->wanted;
	int r = 0;

	for (size_t i = 0; !r && i < w->n; i++) {
		const struct frr_line *l = &w->lines[i];

		if (!frr_line_is_bgp(l, s->asn) || is_there(s, l))
			continue;
		r = check_reference(s, l);
		if (r < 0)
			return r;
		say(s, l);
		if (l->is_first && is_address(l->name) &&
		    !frr_config_neighbor(s->running, s->asn, l->name))
			say_neighbor(s, "", l->name, " shutdown");
	}
	return r;
}

static bool wants_shutdown(const struct script *s, const char *name)
{
	char key[FRR_NAME_MAX + 80];

	snprintf(key, sizeof(key), "%s\nneighbor %s shutdown ", s->bgp, name);
	return frr_config_has_key(s->wanted, key);
}

/* by_name, so that each is met once. */
static void start_new_neighbors(struct script *s)
{
	const char *last = "";

	for (size_t i = 0; i < s->wanted->n; i++) {
		const struct frr_line *l = s->wanted->by_name[i];

		if (!l->is_neighbor || strcmp(l->name, last) == 0)
			continue;
		last = l->name;
		if (is_address(last) && !frr_config_neighbor(s->running, s->asn, last) &&
		    !wants_shutdown(s, last))
			say_neighbor(s, "no ", last, " shutdown");
	}
}

/* Settings that the built-in template makes: when it is not known what was ours, these are. */
static bool is_managed(const struct frr_line *l)
{
	static const char *const keywords[] = {"shutdown",	   "password",	    "local-role",
					       "enforce-first-as", "update-source", "ttl-security",
					       "maximum-prefix",   "route-map"};
	char keyword[32] = "";

	if (sscanf(l->text, "neighbor %*s %31s", keyword) != 1)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (strcmp(keyword, keywords[i]) == 0)
			return true;
	return false;
}

/* Settings of neighbors that stay; other lines of `router bgp` when they stood in our text. */
static void remove_settings(struct script *s)
{
	const struct frr_config *c = s->before ? s->before : s->running;

	for (size_t i = 0; i < c->n; i++) {
		const struct frr_line *l = &c->lines[i];

		if (!frr_line_is_bgp(l, s->asn) || frr_config_has_key(s->wanted, l->key) ||
		    !frr_config_has_key(s->running, l->key))
			continue;
		if (!s->before &&
		    (!is_managed(l) || !frr_config_neighbor(s->wanted, s->asn, l->name)))
			continue;
		/* of neighbors that go altogether */
		if (l->is_neighbor && is_address(l->name) &&
		    !frr_config_neighbor(s->wanted, s->asn, l->name))
			continue;
		say_no(s, l);
	}
}

static void remove_neighbors(struct script *s)
{
	const char *last = "";

	for (size_t i = 0; i < s->running->n; i++) {
		const struct frr_line *l = s->running->by_name[i];

		if (!l->is_neighbor || !frr_line_is_bgp(l, s->asn) || strcmp(l->name, last) == 0)
			continue;
		last = l->name;
		if (is_address(last) && frr_config_is_marked(s->running, s->asn, last, s->mark) &&
		    !frr_config_neighbor(s->wanted, s->asn, last))
			say_neighbor(s, "no ", last, "");
	}
}

static bool was_ours(const struct script *s, const struct frr_line *l)
{
	if (l->is_route_map && strncmp(l->name, OUR_ROUTE_MAPS, strlen(OUR_ROUTE_MAPS)) == 0)
		return true;
	return s->before && frr_config_has(s->before, l->full);
}

/* Clauses of entries that stay, entries, and lists. */
static void remove_lists(struct script *s)
{
	for (size_t i = 0; i < s->running->n; i++) {
		const struct frr_line *l = &s->running->lines[i];
		char entry[256];

		if (strncmp(l->full, "router bgp ", 11) == 0 || !was_ours(s, l) ||
		    (l->is_entry && !l->is_route_map))
			continue;
		if (!l->context_len) {
			if (!frr_config_has(s->wanted, l->full))
				say_no(s, l);
			continue;
		}
		snprintf(entry, sizeof(entry), "\n%.*s", (int)l->context_len, l->full);
		if (frr_config_has(s->wanted, entry) && !frr_config_has_key(s->wanted, l->key))
			say_no(s, l);
	}
}

/* -EINVAL unless bgpd runs our AS and the text is for it. */
static int check_asn(const struct script *s)
{
	char entry[40];
	unsigned other;

	for (size_t i = 0; i < s->wanted->n; i++) {
		const struct frr_line *l = &s->wanted->lines[i];

		if (l->is_entry && !l->is_route_map && strcmp(l->text, s->bgp) != 0)
			return errtext_set(s->e, -EINVAL, "the text has '%.60s', not '%s'", l->text,
					   s->bgp);
	}
	snprintf(entry, sizeof(entry), "\n%s", s->bgp);
	if (frr_config_has(s->running, entry) || !frr_config_has(s->wanted, entry))
		return 0;
	for (size_t i = 0; i < s->running->n; i++)
		if (s->running->lines[i].is_entry &&
		    sscanf(s->running->lines[i].text, "router bgp %u", &other) == 1)
			return errtext_set(s->e, -EINVAL,
					   "FRR has '%.60s', and our AS is %u: correct one of them",
					   s->running->lines[i].text, s->asn);
	return errtext_set(s->e, -EINVAL, "FRR has no '%s': configure it there first", s->bgp);
}

static int check_owners(const struct script *s)
{
	for (size_t i = 0; i < s->wanted->n; i++) {
		const struct frr_line *l = &s->wanted->lines[i];

		if (l->is_neighbor && is_address(l->name) &&
		    frr_config_neighbor(s->running, s->asn, l->name) &&
		    !frr_config_is_marked(s->running, s->asn, l->name, s->mark))
			return errtext_set(
				s->e, -EEXIST,
				"FRR has neighbor %s already, and not from botls-provision (its "
				"description does not begin with '%s'): remove it there first",
				l->name, s->mark);
	}
	return 0;
}

static int write_script(struct script *s)
{
	int r;

	r = check_asn(s);
	if (!r)
		r = check_owners(s);
	if (!r)
		r = add_lists(s);
	if (!r)
		r = add_neighbors(s);
	if (r < 0)
		return r;
	start_new_neighbors(s);
	remove_settings(s);
	remove_neighbors(s);
	remove_lists(s);
	enter(s, "", 0);
	return 0;
}

int frr_config_commands(uint32_t asn, const char *mark, const struct frr_config *running,
			const struct frr_config *before, const struct frr_config *wanted,
			char **ret_script, struct errtext *e)
{
	struct script s = {.asn = asn,
			   .mark = mark,
			   .running = running,
			   .before = before,
			   .wanted = wanted,
			   .context = "",
			   .e = e};
	char *text = NULL;
	int r;

	snprintf(s.bgp, sizeof(s.bgp), "router bgp %u", asn);
	r = write_script(&s);
	if (!r)
		text = textbuf_take(&s.out);
	textbuf_done(&s.out);
	if (r < 0 && e) {
		struct errtext said = *e;

		text_copy(e->text, sizeof(e->text), said.text);
	}
	if (r < 0)
		return r;
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret_script = text;
	return 0;
}
