// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a configuration text safe for libconfuse 3.3, which
 * - stops at the first option that it does not know: such options are reported and taken out here;
 * - counts the line of a comment three times, and refuses comments inside of lists: comments become
 * spaces;
 * - puts the environment into "${NAME}": it is escaped;
 * - drops characters that it has no rule for ("ttl = *255" reads as 255), ends a string at \0, lets
 * a comment run to the end of the file: all reported;
 * - searches all sections for each new title, which is quadratic: each block is parsed by
 * itself. Tokens are told apart exactly as its lexer does. What is only a grammar error passes and
 * is libconfuse's to report.
 */
#include "conf_internal.h"
#include "secret.h"

#include <errno.h>

enum token { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_OTHER };

enum expect {
	EXPECT_NAME,
	EXPECT_EQUALS,
	EXPECT_VALUE,
	EXPECT_IN_LIST,
	EXPECT_TITLE, /* after the name of a kind of block, and the brace after it */
};

struct scan {
	const struct conf_schema *schema;
	const char *in, *end;
	unsigned file, line;
	struct conf_problems *problems;

	char *out;
	size_t n_out;

	/* the last token: its text in `out`, the character for TOKEN_OTHER */
	size_t begin;
	unsigned begin_line;
	char other;

	enum expect expect;
	unsigned list_depth; /* more than 1 only in what is taken out, or wrong */
	bool list_is_empty;
	const char *only_blocks;
	const struct conf_kind *kind; /* of the chunk */
	bool in_block;		      /* behind its brace */
	unsigned block_line;
	bool is_unknown;  /* this statement is to be taken out */
	size_t statement; /* where it begins in `out` */

	struct chunk *chunks;
	size_t n_chunks, chunk_begin;
	unsigned chunk_line;
	bool chunk_is_incomplete;
	int error;
};

#define complain(s, at_line, ...)                                                                  \
	do {                                                                                       \
		(s)->chunk_is_incomplete = true;                                                   \
		conf_problem((s)->problems, (struct conf_place){(s)->file, (at_line)},             \
			     __VA_ARGS__);                                                         \
	} while (0)

static void put(struct scan *s, char c)
{
	s->out[s->n_out++] = c;
}

/* Takes the rest of the input as blank up to `end`. */
static void put_blank(struct scan *s, const char *end)
{
	for (; s->in < end; s->in++) {
		if (*s->in == '\n')
			s->line++;
		put(s, *s->in == '\n' ? '\n' : ' ');
	}
}

static bool starts(const struct scan *s, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(s->end - s->in) >= n && !memcmp(s->in, text, n);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("#\"'={}()+,*", c);
}

/* NULL: no comment begins at `p`. One that does not end, ends with the text. */
static const char *comment_end(const struct scan *s, const char *p)
{
	size_t n = s->end - p;
	const char *end;

	if (*p == '#' || (n >= 2 && !memcmp(p, "//", 2))) {
		end = memchr(p, '\n', n);
		return end ? end : s->end;
	}
	if (n < 2 || memcmp(p, "/*", 2) != 0)
		return NULL;
	end = memmem(p + 2, n - 2, "*/", 2);
	return end ? end + 2 : s->end;
}

static void skip_comment(struct scan *s, const char *end)
{
	if (starts(s, "/*") && (end - s->in < 4 || memcmp(end - 2, "*/", 2) != 0))
		complain(s, s->line, "this comment has no end: '*/' is missing");
	put_blank(s, end);
}

static void skip_blanks_and_comments(struct scan *s)
{
	while (s->in < s->end) {
		const char *end = comment_end(s, s->in);

		if (end)
			skip_comment(s, end);
		else if (is_space(*s->in))
			put_blank(s, s->in + 1);
		else
			return;
	}
}

/* A backslash in a string; in single quotes it stands for itself before any other character. */
static void scan_escape(struct scan *s, char quote)
{
	char next = s->in + 1 < s->end ? s->in[1] : '\0';

	if (next == '\\' || next == quote) {
		put(s, *s->in++);
		put(s, *s->in++);
		return;
	}
	if (quote == '"')
		complain(s, s->line,
			 "a backslash in double quotes stands only before '\\' or '\"'");
	else
		s->n_out += sprintf(s->out + s->n_out, "\\\\");
	s->in++;
}

static void scan_string(struct scan *s)
{
	char quote = *s->in;

	put(s, *s->in++);
	while (s->in < s->end && *s->in != quote && *s->in != '\n') {
		if (*s->in == '\\') {
			scan_escape(s, quote);
			continue;
		}
		if (quote == '"' && starts(s, "${"))
			put(s, '\\');
		if ((unsigned char)*s->in < ' ' || *s->in == 0x7f) {
			complain(s, s->line,
				 "a string holds the control character 0x%02x: remove it", *s->in);
			s->in++;
			continue;
		}
		put(s, *s->in++);
	}
	if (s->in < s->end && *s->in == quote)
		s->in++;
	else
		complain(s, s->line, "this string does not end on its line: %c is missing", quote);
	put(s, quote);
}

static enum token scan_other(struct scan *s)
{
	s->other = *s->in;
	if (starts(s, "+=")) {
		complain(s, s->line, "'+=' is not for this file: write the whole list behind '='");
		put_blank(s, s->in + 1);
		s->other = '=';
	} else if (!*s->in || !strchr("={},()", *s->in)) {
		complain(s, s->line,
			 (unsigned char)*s->in > ' ' && (unsigned char)*s->in < 0x7f
				 ? "unexpected '%c': a value that holds it needs quotes"
				 : "unexpected character 0x%02x: remove it",
			 (unsigned char)*s->in);
		put_blank(s, s->in + 1);
		return TOKEN_END;
	}
	put(s, *s->in++);
	return TOKEN_OTHER;
}

/* Replaced by something harmless, and up to its end, so that one mistake is one problem. */
static void scan_bad_in_word(struct scan *s)
{
	const char *line_end = memchr(s->in, '\n', s->end - s->in), *brace;

	if (!line_end)
		line_end = s->end;
	complain(s, s->line, "unexpected '%c': a value that holds it needs quotes", *s->in);
	brace = starts(s, "${") ? memchr(s->in, '}', line_end - s->in) : NULL;
	s->in = brace ? brace + 1 : s->in + 1;
	put(s, '_');
}

static void scan_word(struct scan *s)
{
	while (s->in < s->end) {
		if (*s->in == '$' || *s->in == '\\' || *s->in == '*' ||
		    (*s->in == '+' && !starts(s, "+=")))
			scan_bad_in_word(s);
		else if (is_word(*s->in))
			put(s, *s->in++);
		else
			return;
	}
}

static enum token next_token(struct scan *s)
{
	enum token t = TOKEN_END;

	while (t == TOKEN_END) {
		skip_blanks_and_comments(s);
		s->begin = s->n_out;
		s->begin_line = s->line;
		if (s->in == s->end)
			return TOKEN_END;
		if (*s->in == '"' || *s->in == '\'') {
			scan_string(s);
			t = TOKEN_STRING;
		} else if (is_word(*s->in)) {
			scan_word(s);
			t = TOKEN_WORD;
		} else {
			t = scan_other(s);
		}
	}
	return t;
}

/* What is to be taken out begins at `statement` and ends before `end`. */
static void end_statement(struct scan *s, size_t end)
{
	if (s->is_unknown)
		for (size_t i = s->statement; i < end; i++)
			if (s->out[i] != '\n')
				s->out[i] = ' ';
	s->is_unknown = false;
	s->expect = EXPECT_NAME;
}

static void begin_chunk(struct scan *s, size_t begin, unsigned line, const struct conf_kind *kind)
{
	struct chunk *c;

	if (s->n_chunks % 64 == 0) {
		struct chunk *more = reallocarray(s->chunks, s->n_chunks + 64, sizeof(*more));

		if (!more) {
			s->error = -ENOMEM;
			return;
		}
		s->chunks = more;
	}
	c = &s->chunks[s->n_chunks++];
	*c = (struct chunk){.text = s->out + s->chunk_begin,
			    .len = begin - s->chunk_begin,
			    .line = s->chunk_line,
			    .kind = s->kind,
			    .is_incomplete = s->chunk_is_incomplete};
	s->chunk_begin = begin;
	s->chunk_line = line;
	s->kind = kind;
	s->chunk_is_incomplete = false;
}

static void close_block(struct scan *s)
{
	complain(s, s->block_line, "this %s block does not end: '}' is missing", s->kind->name);
	memmove(s->out + s->begin + 1, s->out + s->begin, s->n_out - s->begin);
	s->out[s->begin++] = '}';
	s->n_out++;
	s->in_block = false;
}

static unsigned scope_of(const struct scan *s)
{
	return s->in_block ? conf_kind_scope(s->schema, s->kind) : CONF_GLOBAL;
}

/* "neighbor", "server or peer": the kinds of blocks that may hold the option. */
static const char *kinds_of(const struct scan *s, const struct conf_option *o, char buf[static 128])
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < s->schema->n_kinds && n < 128; i++)
		if (o->scope & CONF_KIND(i))
			n += snprintf(buf + n, 128 - n, "%s%s", n ? " or " : "",
				      s->schema->kinds[i].name);
	return buf;
}

static void complain_misplaced(struct scan *s, const char *name, const struct conf_option *o)
{
	char kinds[128];

	if (s->kind && o->scope == CONF_GLOBAL)
		complain(s, s->begin_line, "'%s' is a global option: move it out of the %s block",
			 name, s->kind->name);
	else
		complain(s, s->begin_line, "'%s' belongs to one %s: move it into a %s block", name,
			 kinds_of(s, o, kinds), kinds);
}

static void complain_name(struct scan *s, const char *name)
{
	const struct conf_option *o = conf_option(s->schema, name, ~0U);
	const char *near = conf_suggest(s->schema, name, scope_of(s));
	unsigned line = s->begin_line;

	if (s->only_blocks && !s->in_block)
		complain(s, line, "'%.60s': %s", name, s->only_blocks);
	else if (o)
		complain_misplaced(s, name, o);
	else if (!strcmp(name, "include"))
		complain(s, line, "there is no include: %s", s->schema->no_include);
	else if (near)
		complain(s, line, "unknown option '%.60s': is '%s' meant?", name, near);
	else
		complain(s, line, "unknown option '%.60s': %s lists all", name, s->schema->manual);
}

/* The first byte behind blanks and comments; \0 at the end. */
static char next_byte(const struct scan *s)
{
	const char *p = s->in;

	while (p < s->end) {
		const char *end = comment_end(s, p);

		if (end)
			p = end;
		else if (is_space(*p))
			p++;
		else
			return *p;
	}
	return '\0';
}

static void on_block(struct scan *s, const struct conf_kind *kind)
{
	if (s->in_block)
		close_block(s);
	begin_chunk(s, s->begin, s->begin_line, kind);
	s->block_line = s->begin_line;
	s->expect = EXPECT_TITLE;
}

static const struct conf_kind *find_kind(const struct conf_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n_kinds; i++)
		if (!strcmp(schema->kinds[i].name, name))
			return &schema->kinds[i];
	return NULL;
}

static void on_name(struct scan *s)
{
	const struct conf_option *o;
	const struct conf_kind *kind;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)(s->n_out - s->begin), s->out + s->begin);
	end_statement(s, s->begin);
	o = conf_option(s->schema, name, scope_of(s));
	kind = find_kind(s->schema, name);
	/* A name that is also an option's, somewhere, begins a block unless it is set. */
	if (kind && !(conf_option(s->schema, name, ~0U) && next_byte(s) == '=')) {
		on_block(s, kind);
		return;
	}
	s->statement = s->begin;
	s->expect = EXPECT_EQUALS;
	if (!o || (s->only_blocks && !s->in_block)) {
		complain_name(s, name);
		s->is_unknown = true;
	}
}

static void on_close(struct scan *s)
{
	end_statement(s, s->begin);
	s->in_block = false;
	begin_chunk(s, s->n_out, s->line, NULL);
}

static void begin_list(struct scan *s)
{
	s->expect = EXPECT_IN_LIST;
	s->list_depth = 1;
	s->list_is_empty = true;
}

/* An empty list calls nobody back: libconfuse gets one empty string, which means the same. */
static void end_list(struct scan *s)
{
	if (s->list_is_empty) {
		s->n_out = s->begin;
		put(s, '"');
		put(s, '"');
		s->begin = s->n_out;
		put(s, '}');
	}
	s->expect = EXPECT_NAME;
}

static void on_list_token(struct scan *s, char c)
{
	s->list_depth += c == '{';
	s->list_depth -= c == '}';
	if (!s->list_depth)
		end_list(s);
	s->list_is_empty = false;
}

static void on_token(struct scan *s, enum token t)
{
	char c = t == TOKEN_OTHER ? s->other : '\0';

	switch (s->expect) {
	case EXPECT_NAME:
		if (t == TOKEN_WORD) {
			on_name(s);
		} else if (t == TOKEN_STRING) {
			end_statement(s, s->begin);
			complain(s, s->begin_line,
				 "a string where the name of an option should be");
			s->statement = s->begin;
			s->is_unknown = true;
			s->expect = EXPECT_EQUALS;
		} else if (c == '}') {
			on_close(s);
		}
		return;
	case EXPECT_EQUALS:
		if (c == '=')
			s->expect = EXPECT_VALUE;
		else if (c == '{')
			begin_list(s);
		else if (c == '}')
			on_close(s);
		else if (c == ')' || (t != TOKEN_OTHER && !s->is_unknown))
			s->expect = EXPECT_NAME;
		return;
	case EXPECT_VALUE:
		if (c == '}')
			on_close(s);
		else
			s->expect = EXPECT_NAME;
		if (c == '{')
			begin_list(s);
		return;
	case EXPECT_IN_LIST: on_list_token(s, c); return;
	case EXPECT_TITLE:
		if (c == '{') {
			s->in_block = true;
			s->expect = EXPECT_NAME;
		} else if (c) {
			s->expect = EXPECT_NAME;
		}
		return;
	}
}

int conf_scan(const struct conf_schema *schema, const char *text, size_t len, unsigned file,
	      const char *only_blocks, struct conf_problems *p, struct scanned *ret)
{
	struct scan s = {.schema = schema,
			 .in = text,
			 .end = text + len,
			 .file = file,
			 .line = 1,
			 .problems = p,
			 .only_blocks = only_blocks,
			 .chunk_line = 1};
	enum token t;

	/* Each two bytes "${" grow by one, each closing quote or brace that is put in stands for a
	 * byte that is missing. */
	s.out = secret_alloc(2 * len + 8);
	if (!s.out)
		return -ENOMEM;
	while (!conf_problems_are_enough(p) && !s.error && (t = next_token(&s)) != TOKEN_END)
		on_token(&s, t);
	end_statement(&s, s.n_out);
	if (s.in_block)
		close_block(&s);
	begin_chunk(&s, s.n_out, s.line, NULL);
	if (s.error) {
		free(s.chunks);
		secret_free(s.out);
		return s.error;
	}
	*ret = (struct scanned){.text = s.out, .chunks = s.chunks, .n_chunks = s.n_chunks};
	return 0;
}

void conf_scanned_done(struct scanned *s)
{
	free(s->chunks);
	secret_free(s->text);
}
