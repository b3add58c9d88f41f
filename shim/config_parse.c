// SPDX-License-Identifier: Apache-2.0
/*
 * libconfuse's part: the grammar. Every option is a string to it, because it stops at the first
 * value that it does not like; what the strings mean is the schema's.
 */
#include "config_parse.h"
#include "botls/botls.h"

#include <confuse.h>
#include <errno.h>

struct parser {
	struct problems *problems;
	struct blocks *blocks;
	struct block *block;	   /* settings go here */
	const struct chunk *chunk; /* its lines are counted from 1 */
	unsigned file;
	int error;
};

/* libconfuse's callbacks carry no argument, and its lexer is one global object anyway. */
static struct parser *parser;

static unsigned line_of(const cfg_t *cfg)
{
	return parser->chunk->line + (cfg->line > 0 ? cfg->line - 1 : 0);
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	problems_add(parser->problems, (struct place){parser->file, line_of(cfg)}, "%s", text);
}

static struct setting *find_setting(struct block *b, const struct option *o)
{
	for (size_t i = 0; i < b->n_settings; i++)
		if (b->settings[i].option == o)
			return &b->settings[i];
	return NULL;
}

static int add_setting(struct block *b, const struct option *o, unsigned line)
{
	struct setting *more = reallocarray(b->settings, b->n_settings + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	b->settings = more;
	more[b->n_settings++] = (struct setting){.option = o, .line = line};
	b->set |= option_bit(o);
	return 0;
}

static int add_value(struct setting *s, const char *value)
{
	char **more = reallocarray(s->values, s->n_values + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	s->values = more;
	more[s->n_values] = strdup(value);
	if (!more[s->n_values])
		return -ENOMEM;
	s->n_values++;
	return 0;
}

/* Called for each value, of a list too. The line is that of the value. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct option *o = option_find(opt->name);
	struct block *b = parser->block;
	struct setting *s = find_setting(b, o);
	bool is_first = !option_is_list(o) || cfg_opt_size(opt) == 1;

	*(const char **)result = ""; /* what libconfuse keeps */
	if (s && is_first) {
		problems_add(parser->problems, (struct place){parser->file, line_of(cfg)},
			     "%s is set twice, first in line %u: remove one", o->name, s->line);
		return 0;
	}
	if (!s) {
		parser->error = add_setting(b, o, line_of(cfg));
		s = &b->settings[b->n_settings - 1];
	}
	if (!parser->error)
		parser->error = add_value(s, value);
	return parser->error;
}

static void declare(cfg_opt_t *opts, enum option_scope scope)
{
	for (size_t i = 0; i < n_options; i++) {
		const char *name = options[i].name;

		if (!(options[i].scope & scope))
			continue;
		if (option_is_list(&options[i]))
			*opts++ = (cfg_opt_t)CFG_STR_LIST_CB(name, NULL, CFGF_NODEFAULT, on_value);
		else
			*opts++ = (cfg_opt_t)CFG_STR_CB(name, NULL, CFGF_NODEFAULT, on_value);
	}
	*opts = (cfg_opt_t)CFG_END();
}

static bool is_blank(const struct chunk *c)
{
	for (size_t i = 0; i < c->len; i++)
		if (!strchr(" \n", c->text[i]))
			return false;
	return true;
}

static struct block *new_neighbor(void)
{
	struct blocks *b = parser->blocks;

	if (b->n_neighbors == BOTLS_NEIGHBORS_MAX) {
		problems_add(parser->problems, (struct place){parser->file, parser->chunk->line},
			     "more than %d neighbors: remove some", BOTLS_NEIGHBORS_MAX);
		return NULL;
	}
	if (b->n_neighbors % 64 == 0) {
		struct block *more = reallocarray(b->neighbors, b->n_neighbors + 64, sizeof(*more));

		if (!more) {
			parser->error = -ENOMEM;
			return NULL;
		}
		b->neighbors = more;
	}
	b->neighbors[b->n_neighbors] = (struct block){.begin = {parser->file, parser->chunk->line}};
	return &b->neighbors[b->n_neighbors++];
}

/* A fresh cfg_t for each chunk: after an error the lexer goes on in the middle of what it was in,
 * and only cfg_free() of a root resets it. */
static int parse_chunk(cfg_opt_t *opts, FILE *f)
{
	struct block *b = parser->block;
	size_t known = problems_count(parser->problems);
	cfg_t *cfg = cfg_init(opts, CFGF_NONE), *section;
	int r;

	if (!cfg)
		return -ENOMEM;
	cfg_set_error_function(cfg, on_error);
	r = cfg_parse_fp(cfg, f);
	section = parser->chunk->is_neighbor && cfg_size(cfg, "neighbor")
			  ? cfg_getsec(cfg, "neighbor")
			  : NULL;
	if (section && !parser->error) {
		b->title = strdup(cfg_title(section));
		if (!b->title)
			parser->error = -ENOMEM;
	}
	cfg_free(cfg);
	if (r != CFG_SUCCESS) {
		b->is_incomplete = true;
		if (!parser->error && problems_count(parser->problems) == known)
			problems_add(parser->problems, b->begin, "syntax error");
	}
	return parser->error;
}

static int parse_chunks(const struct scanned *text)
{
	cfg_opt_t globals[OPTIONS_MAX + 1], in_neighbor[OPTIONS_MAX + 1];
	cfg_opt_t neighbor[] = {CFG_SEC("neighbor", in_neighbor, CFGF_MULTI | CFGF_TITLE),
				CFG_END()};

	declare(globals, SCOPE_GLOBAL);
	declare(in_neighbor, SCOPE_NEIGHBOR);
	for (size_t i = 0; i < text->n_chunks; i++) {
		const struct chunk *c = &text->chunks[i];
		_cleanup_fclose_ FILE *f = NULL;

		parser->chunk = c;
		parser->block = &parser->blocks->globals;
		if (c->is_neighbor)
			parser->block = new_neighbor();
		if (!parser->block)
			return parser->error;
		parser->block->is_incomplete |= c->is_incomplete;
		if (is_blank(c))
			continue;
		f = fmemopen(c->text, c->len, "r");
		if (!f || parse_chunk(c->is_neighbor ? neighbor : globals, f) < 0)
			return -ENOMEM;
	}
	return 0;
}

int config_parse(const char *text, size_t len, unsigned file, bool only_neighbors,
		 struct problems *p, struct blocks *b)
{
	struct parser mine = {.problems = p, .blocks = b, .file = file};
	struct scanned scanned;
	int r;

	r = config_scan(text, len, file, only_neighbors, p, &scanned);
	if (r < 0)
		return r;
	parser = &mine;
	r = parse_chunks(&scanned);
	parser = NULL;
	scanned_done(&scanned);
	return r;
}

static void block_done(struct block *b)
{
	for (size_t i = 0; i < b->n_settings; i++) {
		struct setting *s = &b->settings[i];

		for (size_t j = 0; j < s->n_values; j++) {
			if (s->option->type == OPTION_SECRET)
				explicit_bzero(s->values[j], strlen(s->values[j]));
			free(s->values[j]);
		}
		free(s->values);
	}
	free(b->settings);
	free(b->title);
}

void blocks_done(struct blocks *b)
{
	block_done(&b->globals);
	for (size_t i = 0; i < b->n_neighbors; i++)
		block_done(&b->neighbors[i]);
	free(b->neighbors);
}
