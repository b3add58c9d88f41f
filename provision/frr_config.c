// SPDX-License-Identifier: Apache-2.0
#include "addr.h"
#include "frr_config_internal.h"
#include "wipe.h"

#include <errno.h>

#define LINE_MAX_LEN 4000 /* vtysh cuts at 4096 */
#define WORDS_MAX    8	  /* that matter for a key */

enum place { PLACE_TOP, PLACE_BGP, PLACE_FAMILY, PLACE_ROUTE_MAP };

struct parser {
	struct frr_config *c;
	bool is_running;
	unsigned number;
	enum place place;
	char bgp[64], context[192]; /* the router's, and the whole one */
	char route_map[FRR_NAME_MAX];
	struct errtext *e;
};

/* The line with its words apart; they are cut from `copy`. */
struct words {
	char text[LINE_MAX_LEN + 1], copy[LINE_MAX_LEN + 1];
	const char *items[WORDS_MAX];
	size_t n;	  /* of items */
	const char *last; /* of all */
};

/* Blanks become single ones, as FRR does it. Returns -EINVAL when the line is too long. */
static int split(const char *line, size_t len, struct words *w)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = line[i] == '\t' || line[i] == '\r' ? ' ' : line[i];

		if (c == ' ' && (n == 0 || w->text[n - 1] == ' '))
			continue;
		if (n == LINE_MAX_LEN)
			return -EINVAL;
		w->text[n++] = c;
	}
	if (n && w->text[n - 1] == ' ')
		n--;
	w->text[n] = '\0';
	memcpy(w->copy, w->text, n + 1);
	w->n = 0;
	w->last = w->copy;
	for (char *save = NULL, *word = strtok_r(w->copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		w->last = word;
		if (w->n < WORDS_MAX)
			w->items[w->n++] = word;
	}
	return 0;
}

static bool is_word(const struct words *w, size_t i, const char *word)
{
	return i < w->n && strcmp(w->items[i], word) == 0;
}

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(word, *list) != 0)
		list++;
	return *list;
}

/* neighbor X KEYWORD, with what tells two settings of one keyword apart */
static char *neighbor_key(const char *context, const struct words *w, size_t from)
{
	static const char *const directed[] = {"route-map", "prefix-list", "filter-list",
					       "distribute-list", NULL};
	static const char *const longer[] = {"capability", "send-community", NULL};
	const char *keyword = from + 2 < w->n ? w->items[from + 2] : "";
	const char *more = from + 3 < w->n ? w->items[from + 3] : "";
	char *key = NULL;

	if (is_one_of(keyword, directed))
		more = w->last;
	else if (!is_one_of(keyword, longer) && strcmp(more, "connect") != 0)
		more = "";
	return asprintf(&key, "%s\nneighbor %s %s %s", context, w->items[from + 1], keyword, more) <
			       0
		       ? NULL
		       : key;
}

/* Inside of a route-map: call, on-match; set X; match X, or match ip X */
static char *clause_key(const char *context, const struct words *w, size_t from)
{
	bool is_match = is_word(w, from, "match"), is_set = is_word(w, from, "set");
	bool is_ip = is_match && (is_word(w, from + 1, "ip") || is_word(w, from + 1, "ipv6"));
	char *key = NULL;

	return asprintf(&key, "%s\n%s %s %s", context, w->items[from],
			(is_match || is_set) && from + 1 < w->n ? w->items[from + 1] : "",
			is_ip && from + 2 < w->n ? w->items[from + 2] : "") < 0
		       ? NULL
		       : key;
}

static struct frr_line *add(struct parser *p, const char *context, const char *text)
{
	struct frr_config *c = p->c;
	struct frr_line *l;

	if (c->n % 256 == 0) {
		struct frr_line *more = reallocarray(c->lines, c->n + 256, sizeof(*more));

		if (!more)
			return NULL;
		c->lines = more;
	}
	l = &c->lines[c->n];
	*l = (struct frr_line){.context_len = strlen(context)};
	if (asprintf(&l->full, "%s\n%s", context, text) < 0) {
		l->full = NULL;
		return NULL;
	}
	l->text = l->full + l->context_len + 1;
	c->n++;
	return l;
}

static int add_line(struct parser *p, const struct words *w)
{
	struct frr_line *l = add(p, p->context, w->text);
	size_t from = is_word(w, 0, "no") && w->n > 1;

	if (!l)
		return -ENOMEM;
	if (p->place == PLACE_ROUTE_MAP) {
		l->is_route_map = true;
		strcpy(l->name, p->route_map);
		l->key = clause_key(p->context, w, from);
	} else if (p->place != PLACE_TOP && is_word(w, from, "neighbor") && w->n > from + 1 &&
		   strlen(w->items[from + 1]) < FRR_NAME_MAX) {
		l->is_neighbor = true;
		strcpy(l->name, w->items[from + 1]);
		l->key = neighbor_key(p->context, w, from);
	} else {
		l->key = strdup(l->full);
	}
	return l->key ? 0 : -ENOMEM;
}

static int add_entry(struct parser *p, const struct words *w)
{
	struct frr_line *l = add(p, "", w->text);

	if (!l)
		return -ENOMEM;
	l->is_entry = true;
	l->key = strdup(l->full);
	if (p->place == PLACE_ROUTE_MAP) {
		l->is_route_map = true;
		strcpy(l->name, p->route_map);
	}
	return l->key ? 0 : -ENOMEM;
}

static int complain(const struct parser *p, const char *problem)
{
	return errtext_set(p->e, -EINVAL, "line %u: %s", p->number, problem);
}

static int enter_bgp(struct parser *p, const struct words *w)
{
	if (strlen(w->text) >= sizeof(p->bgp))
		return p->is_running ? 0 : complain(p, "too long");
	p->place = PLACE_BGP;
	strcpy(p->bgp, w->text);
	strcpy(p->context, w->text);
	return add_entry(p, w);
}

static int enter_route_map(struct parser *p, const struct words *w)
{
	if (strlen(w->text) >= sizeof(p->context) || strlen(w->items[1]) >= FRR_NAME_MAX) {
		p->place = PLACE_TOP;
		return p->is_running ? 0 : complain(p, "this name is too long");
	}
	p->place = PLACE_ROUTE_MAP;
	strcpy(p->route_map, w->items[1]);
	strcpy(p->context, w->text);
	return add_entry(p, w);
}

/* "address-family ipv4" is short for "... unicast" */
static int enter_family(struct parser *p, const struct words *w)
{
	int n = snprintf(p->context, sizeof(p->context), "%s\n%s%s", p->bgp, w->text,
			 w->n == 2 ? " unicast" : "");

	p->place = PLACE_FAMILY;
	return n < (int)sizeof(p->context) || p->is_running ? 0 : complain(p, "too long");
}

static void leave(struct parser *p, bool all)
{
	p->place = p->place == PLACE_FAMILY && !all ? PLACE_BGP : PLACE_TOP;
	strcpy(p->context, p->place == PLACE_BGP ? p->bgp : "");
}

/* What may stand alone in a text of ours: else it could open a context that is not known here. */
static bool stands_alone(const struct words *w)
{
	static const char *const first[] = {"ip", "ipv6", "bgp", "access-list", NULL};
	static const char *const second[] = {
		"prefix-list",	     "access-list", "community-list", "large-community-list",
		"extcommunity-list", "as-path",	    "community",      NULL};
	size_t from = is_word(w, 0, "no");

	return w->n > from + 2 && is_one_of(w->items[from], first) &&
	       (is_word(w, from, "access-list") || is_one_of(w->items[from + 1], second));
}

static int parse_line(struct parser *p, const struct words *w, bool is_indented)
{
	if (!w->n || w->items[0][0] == '!' || w->items[0][0] == '#')
		return 0;
	/* Older versions do not write exit. */
	if (!is_indented && !is_word(w, 0, "exit"))
		leave(p, true);
	if (is_word(w, 0, "exit") || is_word(w, 0, "exit-address-family") || is_word(w, 0, "end")) {
		leave(p, is_word(w, 0, "end"));
		return 0;
	}
	if (is_word(w, 0, "router") && is_word(w, 1, "bgp") && w->n > 2)
		return enter_bgp(p, w);
	if (is_word(w, 0, "route-map") && w->n == 4)
		return enter_route_map(p, w);
	if (p->place != PLACE_TOP && p->place != PLACE_ROUTE_MAP && is_word(w, 0, "address-family"))
		return enter_family(p, w);
	if (p->place != PLACE_TOP)
		return add_line(p, w);
	if (p->is_running)
		return is_indented ? 0 : add_line(p, w);
	if (is_indented || !stands_alone(w))
		return complain(p, "only router bgp and route-map, with what is indented below "
				   "them, and lists of prefixes, communities and paths can stand "
				   "here");
	return add_line(p, w);
}

static int parse(struct parser *p, const char *text)
{
	_cleanup_wiped_ struct words *w = malloc(sizeof(*w));
	int r = w ? 0 : -ENOMEM;

	while (!r && *text) {
		const char *end = strchrnul(text, '\n');

		p->number++;
		if (split(text, end - text, w) == 0)
			r = parse_line(p, w, *text == ' ' || *text == '\t');
		else if (!p->is_running)
			r = complain(p, "this line is too long");
		text = *end ? end + 1 : end;
	}
	return r == -ENOMEM ? errtext_set(p->e, r, "out of memory") : r;
}

static int by_full(const void *a, const void *b)
{
	return strcmp((*(struct frr_line *const *)a)->full, (*(struct frr_line *const *)b)->full);
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(struct frr_line *const *)a)->key, (*(struct frr_line *const *)b)->key);
}

static int by_name(const void *a, const void *b)
{
	const struct frr_line *x = *(struct frr_line *const *)a, *y = *(struct frr_line *const *)b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->full, y->full);
}

static struct frr_line **sorted(struct frr_config *c, int (*compare)(const void *, const void *))
{
	struct frr_line **list = calloc(c->n ? c->n : 1, sizeof(struct frr_line *));

	for (size_t i = 0; list && i < c->n; i++)
		list[i] = &c->lines[i];
	if (list)
		qsort(list, c->n, sizeof(struct frr_line *), compare);
	return list;
}

static void mark_first(struct frr_config *c)
{
	struct frr_line *first = NULL;

	for (size_t i = 0; i < c->n; i++) {
		struct frr_line *l = c->by_name[i];
		bool is_new = !first || strcmp(first->name, l->name) != 0;

		if (first && is_new)
			first->is_first = true;
		if (is_new)
			first = NULL;
		if (l->is_neighbor && (!first || l < first))
			first = l;
	}
	if (first)
		first->is_first = true;
}

int frr_config_parse(const char *text, bool is_running, struct frr_config **ret, struct errtext *e)
{
	_cleanup_frr_config_ struct frr_config *c = calloc(1, sizeof(*c));
	struct parser p = {.c = c, .is_running = is_running, .e = e};
	int r;

	if (!c)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = parse(&p, text);
	if (r < 0)
		return r;
	c->by_full = sorted(c, by_full);
	c->by_key = sorted(c, by_key);
	c->by_name = sorted(c, by_name);
	if (!c->by_full || !c->by_key || !c->by_name)
		return errtext_set(e, -ENOMEM, "out of memory");
	mark_first(c);
	*ret = TAKE(c);
	return 0;
}

void frr_config_free(struct frr_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++) {
		wipe_free(c->lines[i].full);
		wipe_free(c->lines[i].key);
	}
	free(c->lines);
	free(c->by_full);
	free(c->by_key);
	free(c->by_name);
	free(c);
}

bool frr_line_is_bgp(const struct frr_line *l, uint32_t asn)
{
	char context[32];
	size_t len = snprintf(context, sizeof(context), "router bgp %u", asn);

	return l->context_len >= len && strncmp(l->full, context, len) == 0 && l->full[len] == '\n';
}

bool frr_config_has(const struct frr_config *c, const char *full)
{
	struct frr_line like = {.full = (char *)full}, *key = &like;

	return bsearch(&key, c->by_full, c->n, sizeof(key), by_full);
}

bool frr_config_has_key(const struct frr_config *c, const char *wanted)
{
	struct frr_line like = {.key = (char *)wanted}, *key = &like;

	return bsearch(&key, c->by_key, c->n, sizeof(key), by_key);
}

/* The first of by_name that is not before `name`. */
static size_t find_name(const struct frr_config *c, const char *name)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->by_name[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct frr_line *frr_config_neighbor(const struct frr_config *c, uint32_t asn,
					   const char *name)
{
	for (size_t i = find_name(c, name); i < c->n; i++) {
		const struct frr_line *l = c->by_name[i];

		if (strcmp(l->name, name) != 0)
			return NULL;
		if (l->is_neighbor && frr_line_is_bgp(l, asn))
			return l;
	}
	return NULL;
}

const struct frr_line *frr_config_route_map(const struct frr_config *c, const char *name)
{
	for (size_t i = find_name(c, name); i < c->n; i++) {
		const struct frr_line *l = c->by_name[i];

		if (strcmp(l->name, name) != 0)
			return NULL;
		if (l->is_route_map && l->is_entry)
			return l;
	}
	return NULL;
}

bool frr_config_is_marked(const struct frr_config *c, uint32_t asn, const char *name,
			  const char *mark)
{
	char begin[FRR_NAME_MAX + 80];

	snprintf(begin, sizeof(begin), "neighbor %s description %s", name, mark);
	for (size_t i = find_name(c, name); i < c->n && strcmp(c->by_name[i]->name, name) == 0;
	     i++) {
		const struct frr_line *l = c->by_name[i];

		if (l->is_neighbor && frr_line_is_bgp(l, asn) &&
		    strncmp(l->text, begin, strlen(begin)) == 0)
			return true;
	}
	return false;
}
