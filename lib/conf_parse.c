// SPDX-License-Identifier: Apache-2.0
/*
 * libconfuse's part: the grammar. Every option is a string to it, because it stops at the first
 * value that it does not like; what the strings mean is the schema's.
 */
#include "conf_internal.h"
#include "secret.h"

#include <confuse.h>
#include <errno.h>

struct parser {
	const struct conf_schema *schema;
	struct conf_problems *problems;
	struct conf_blocks *blocks;
	struct conf_block *block;  /* settings go here */
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
	conf_problem(parser->problems, (struct conf_place){parser->file, line_of(cfg)}, "%s", text);
}

static struct conf_setting *find(struct conf_block *b, const struct conf_option *o)
{
	for (size_t i = 0; i < b->n_settings; i++)
		if (b->settings[i].option == o)
			return &b->settings[i];
	return NULL;
}

static int add_setting(struct conf_block *b, const struct conf_option *o, unsigned line)
{
	struct conf_setting *more = reallocarray(b->settings, b->n_settings + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	b->settings = more;
	more[b->n_settings++] = (struct conf_setting){.option = o, .line = line};
	return 0;
}

static int add_value(struct conf_setting *s, const char *value)
{
	char **more = reallocarray(s->values, s->n_values + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	s->values = more;
	more[s->n_values] = s->option->type == CONF_SECRET ? secret_strdup(value) : strdup(value);
	if (!more[s->n_values])
		return -ENOMEM;
	s->n_values++;
	return 0;
}

/* Called for each value, of a list too. The line is that of the value. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct conf_block *b = parser->block;
	const struct conf_option *o =
		conf_option(parser->schema, opt->name, conf_kind_scope(parser->schema, b->kind));
	struct conf_setting *s = find(b, o);
	struct conf_place at = {parser->file, line_of(cfg)};
	bool is_first = !conf_is_list(o) || cfg_opt_size(opt) == 1;

	*(const char **)result = ""; /* what libconfuse keeps */
	if (s && is_first)
		conf_problem(parser->problems, at, "%s is set twice, first in line %u: remove one",
			     o->name, s->line);
	else if (s && s->n_values == o->max && conf_problems_are_strict(parser->problems))
		conf_problem(parser->problems, at, "%s has too many values", o->name);
	if (conf_problems_are_enough(parser->problems))
		return -1;
	if (s && is_first)
		return 0;
	if (!s) {
		parser->error = add_setting(b, o, at.line);
		s = &b->settings[b->n_settings - 1];
	}
	if (!parser->error)
		parser->error = add_value(s, value);
	return parser->error;
}

static void declare(cfg_opt_t *opts, const struct conf_schema *s, unsigned scope)
{
	for (size_t i = 0; i < s->n_options; i++) {
		const struct conf_option *o = &s->options[i];

		if (!(o->scope & scope))
			continue;
		/* libconfuse complains on standard error of two options of one name */
		if (scope == CONF_GLOBAL && conf_option(s, o->name, scope) != o)
			continue;
		if (conf_is_list(o))
			*opts++ =
				(cfg_opt_t)CFG_STR_LIST_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
		else
			*opts++ = (cfg_opt_t)CFG_STR_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
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

/* NULL: parser->error, or too many of them. */
static struct conf_block *new_block(const struct conf_kind *kind)
{
	struct conf_place at = {parser->file, parser->chunk->line};
	struct conf_blocks *b = parser->blocks;
	size_t *n = &b->n_of[kind - parser->schema->kinds];

	if (*n == kind->max) {
		conf_problem(parser->problems, at, "more than %zu %ss: remove some", kind->max,
			     kind->name);
		return NULL;
	}
	if (b->n_items % 64 == 0) {
		struct conf_block *more = reallocarray(b->items, b->n_items + 64, sizeof(*more));

		if (!more) {
			parser->error = -ENOMEM;
			return NULL;
		}
		b->items = more;
	}
	++*n;
	b->items[b->n_items] = (struct conf_block){.kind = kind, .begin = at};
	return &b->items[b->n_items++];
}

/* What libconfuse has half made when memory runs out, its cfg_free() falls over: it is left behind.
 * The lexer is reset by that of another root. */
static int abandon(void)
{
	cfg_opt_t none[] = {CFG_END()};
	cfg_t *another = cfg_init(none, CFGF_NONE);

	if (another)
		cfg_free(another);
	return parser->error = -ENOMEM;
}

/* A fresh cfg_t for each chunk: after an error the lexer goes on in the middle of what it was in,
 * and only cfg_free() of a root resets it. */
static int parse_chunk(cfg_opt_t *opts, FILE *f)
{
	struct conf_block *b = parser->block;
	size_t known = conf_problems_count(parser->problems);
	cfg_t *cfg = cfg_init(opts, CFGF_NONE), *section;
	int r;

	if (!cfg)
		return -ENOMEM;
	cfg_set_error_function(cfg, on_error);
	errno = 0;
	r = cfg_parse_fp(cfg, f);
	if (r != CFG_SUCCESS && errno == ENOMEM)
		return abandon();
	section = b->kind && cfg_size(cfg, b->kind->name) ? cfg_getsec(cfg, b->kind->name) : NULL;
	if (section && !parser->error) {
		b->title = strdup(cfg_title(section));
		if (!b->title)
			parser->error = -ENOMEM;
	}
	cfg_free(cfg);
	if (r != CFG_SUCCESS) {
		b->is_incomplete = true;
		if (!parser->error && conf_problems_count(parser->problems) == known)
			conf_problem(parser->problems, b->begin,
				     "syntax error: look for a missing =, quote, comma or brace");
	}
	return parser->error;
}

static int parse_chunks(const struct scanned *text)
{
	const struct conf_schema *s = parser->schema;

	for (size_t i = 0; i < text->n_chunks && !conf_problems_are_enough(parser->problems); i++) {
		const struct chunk *c = &text->chunks[i];
		cfg_opt_t opts[CONF_OPTIONS_MAX + 1], block[] = {CFG_END(), CFG_END()};
		_cleanup_fclose_ FILE *f = NULL;

		parser->chunk = c;
		parser->block = c->kind ? new_block(c->kind) : &parser->blocks->globals;
		if (!parser->block)
			return parser->error;
		parser->block->is_incomplete |= c->is_incomplete;
		if (is_blank(c))
			continue;
		declare(opts, s, conf_kind_scope(s, c->kind));
		if (c->kind)
			block[0] = (cfg_opt_t)CFG_SEC(c->kind->name, opts, CFGF_MULTI | CFGF_TITLE);
		f = fmemopen(c->text, c->len, "r");
		if (!f || parse_chunk(c->kind ? block : opts, f) < 0)
			return -ENOMEM;
	}
	return 0;
}

int conf_parse(const struct conf_schema *s, const char *text, size_t len, unsigned file,
	       const char *only_blocks, struct conf_problems *p, struct conf_blocks *b)
{
	struct parser mine = {.schema = s, .problems = p, .blocks = b, .file = file};
	struct scanned scanned;
	int r;

	r = conf_scan(s, text, len, file, only_blocks, p, &scanned);
	if (r < 0)
		return r;
	parser = &mine;
	r = parse_chunks(&scanned);
	parser = NULL;
	conf_scanned_done(&scanned);
	return r;
}
