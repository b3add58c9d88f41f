// SPDX-License-Identifier: Apache-2.0
/*
 * A template is cut into tokens, one for each tag and for each line of text, and checked as a whole
 * before anything is written: a mistake is found whatever the values are.
 */
#include "template.h"
#include "textbuf.h"

#include <errno.h>
#include <inttypes.h>

#define TEMPLATE_MAX ((size_t)1 << 20)
#define OUTPUT_MAX   ((size_t)32 << 20)
#define STEPS_MAX    50000000u /* tokens in all: a section in itself, in itself ... writes nothing */
#define DEPTH_MAX    16
#define NAME_MAX_LEN 63

enum token_kind { TOKEN_TEXT, TOKEN_VALUE, TOKEN_SECTION, TOKEN_INVERTED, TOKEN_CLOSE };

struct token {
	enum token_kind kind;
	unsigned line;
	const char *text; /* of TOKEN_TEXT; else the name */
	size_t len;
	size_t partner; /* of a section: its end; of an end: its section */
};

struct parser {
	const char *name; /* of the template, for messages */
	const char *in, *end;
	unsigned line;

	struct token *tokens;
	size_t n;

	/* of the line that is being read */
	size_t first_of_line;
	bool line_has_content, line_has_silent_tag;

	size_t open[DEPTH_MAX]; /* sections */
	size_t n_open;
	struct errtext *e;
};

static int complain(const struct parser *p, unsigned line, const char *problem,
		    const struct token *t)
{
	return errtext_set(p->e, -EINVAL, "%s:%u: %s%.*s%s", p->name, line, problem,
			   t ? (int)t->len : 0, t ? t->text : "", t ? "'" : "");
}

static struct token *add(struct parser *p, enum token_kind kind, const char *text, size_t len)
{
	struct token *t;

	if (p->n % 256 == 0) {
		struct token *more = reallocarray(p->tokens, p->n + 256, sizeof(*more));

		if (!more)
			return NULL;
		p->tokens = more;
	}
	t = &p->tokens[p->n++];
	*t = (struct token){.kind = kind, .line = p->line, .text = text, .len = len};
	return t;
}

/* Of a line that holds only silent tags, the blanks and the newline go too. */
static void end_line(struct parser *p)
{
	if (p->line_has_silent_tag && !p->line_has_content)
		for (size_t i = p->first_of_line; i < p->n; i++)
			if (p->tokens[i].kind == TOKEN_TEXT)
				p->tokens[i].len = 0;
	p->first_of_line = p->n;
	p->line_has_content = p->line_has_silent_tag = false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Up to the end of the line or the next tag. */
static int parse_text(struct parser *p)
{
	const char *from = p->in;

	while (p->in < p->end) {
		if (p->end - p->in >= 2 && memcmp(p->in, "{{", 2) == 0)
			break;
		if (!is_blank(*p->in))
			p->line_has_content = true;
		if (*p->in++ == '\n')
			break;
	}
	if (!add(p, TOKEN_TEXT, from, p->in - from))
		return -ENOMEM;
	if (p->in[-1] == '\n') {
		end_line(p);
		p->line++;
	}
	return 0;
}

static bool is_name(const struct token *t)
{
	if (!t->len || t->len > NAME_MAX_LEN)
		return false;
	if (t->len == 1 && t->text[0] == '.')
		return true;
	for (size_t i = 0; i < t->len; i++) {
		char c = t->text[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '-')
			return false;
	}
	return true;
}

static bool same_name(const struct token *a, const struct token *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static int open_section(struct parser *p, const struct token *t)
{
	if (p->n_open == DEPTH_MAX)
		return complain(p, t->line, "sections are nested too deeply at '", t);
	p->open[p->n_open++] = t - p->tokens;
	return 0;
}

static int close_section(struct parser *p, struct token *t)
{
	struct token *section;

	if (!p->n_open)
		return complain(p, t->line, "there is no section to end: '", t);
	section = &p->tokens[p->open[--p->n_open]];
	if (!same_name(section, t)) {
		char problem[NAME_MAX_LEN + 64];

		snprintf(problem, sizeof(problem),
			 "the section '%.*s' of line %u is still open here, not '",
			 (int)section->len, section->text, section->line);
		return complain(p, t->line, problem, t);
	}
	section->partner = t - p->tokens;
	t->partner = section - p->tokens;
	return 0;
}

static void skip_remark(struct parser *p, const char *end)
{
	for (; p->in < end; p->in++)
		if (*p->in == '\n')
			p->line++;
	p->line_has_silent_tag = true;
}

/* p->in is behind the "{{". */
static int parse_tag(struct parser *p)
{
	const char *end = memmem(p->in, p->end - p->in, "}}", 2);
	const char *newline = memchr(p->in, '\n', p->end - p->in);
	enum token_kind kind = TOKEN_VALUE;
	struct token *t;

	if (!end || (*p->in != '!' && newline && newline < end))
		return complain(p, p->line, "this tag does not end: '}}' is missing", NULL);
	switch (*p->in) {
	case '!': skip_remark(p, end + 2); return 0;
	case '#': kind = TOKEN_SECTION; break;
	case '^': kind = TOKEN_INVERTED; break;
	case '/': kind = TOKEN_CLOSE; break;
	}
	p->in += kind != TOKEN_VALUE;
	while (p->in < end && is_blank(*p->in))
		p->in++;
	t = add(p, kind, p->in, end - p->in);
	if (!t)
		return -ENOMEM;
	while (t->len && is_blank(t->text[t->len - 1]))
		t->len--;
	p->in = end + 2;
	if (!is_name(t))
		return complain(p, t->line, "not the name of a value: '", t);
	if (kind == TOKEN_VALUE)
		p->line_has_content = true;
	else
		p->line_has_silent_tag = true;
	if (kind == TOKEN_CLOSE)
		return close_section(p, t);
	return kind == TOKEN_VALUE ? 0 : open_section(p, t);
}

static int parse(struct parser *p)
{
	int r = 0;

	while (!r && p->in < p->end) {
		if (p->end - p->in >= 2 && memcmp(p->in, "{{", 2) == 0) {
			p->in += 2;
			r = parse_tag(p);
		} else {
			r = parse_text(p);
		}
	}
	if (r < 0)
		return r == -ENOMEM ? errtext_set(p->e, r, "out of memory") : r;
	end_line(p);
	if (p->n_open) {
		const struct token *t = &p->tokens[p->open[p->n_open - 1]];

		return complain(p, t->line, "this section does not end: '", t);
	}
	return 0;
}

/* Where a name is looked for: an item, then what is around it. */
struct scope {
	const struct jv *item;
	const struct scope *outer;
};

enum value_kind {
	VALUE_NONE,
	VALUE_FALSE,
	VALUE_TRUE,
	VALUE_TEXT,
	VALUE_NUMBER,
	VALUE_LIST,
	VALUE_OBJECT
};

struct value {
	enum value_kind kind;
	const struct jv *v;
};

struct output {
	const struct parser *parsed;
	struct textbuf text;
	unsigned steps;
};

static enum value_kind kind_of(const struct jv *v)
{
	if (jv_string(v, NULL))
		return VALUE_TEXT;
	if (jv_is_int(v))
		return VALUE_NUMBER;
	if (jv_is_array(v))
		return VALUE_LIST;
	return jv_is_object(v) ? VALUE_OBJECT : VALUE_NONE;
}

static struct value find(const struct token *t, const struct scope *s)
{
	char name[NAME_MAX_LEN + 1];

	if (t->len == 1 && t->text[0] == '.')
		return (struct value){kind_of(s->item), s->item};
	snprintf(name, sizeof(name), "%.*s", (int)t->len, t->text);
	for (; s; s = s->outer) {
		const struct jv *v = jv_is_object(s->item) ? jv_get(s->item, name) : NULL;

		if (!v)
			continue;
		if (jv_get_bool(s->item, name, false))
			return (struct value){VALUE_TRUE, v};
		if (!jv_get_bool(s->item, name, true))
			return (struct value){VALUE_FALSE, v};
		return (struct value){kind_of(v), v};
	}
	return (struct value){VALUE_NONE, NULL};
}

static int write_text(struct output *o, const char *text, size_t len)
{
	if (len > OUTPUT_MAX - o->text.len)
		return errtext_set(o->parsed->e, -EFBIG, "%s: gives more than %zu MB of text",
				   o->parsed->name, OUTPUT_MAX >> 20);
	textbuf_add(&o->text, text, len);
	return o->text.has_failed ? errtext_set(o->parsed->e, -ENOMEM, "out of memory") : 0;
}

static int write_value(struct output *o, const struct token *t, const struct scope *s)
{
	struct value found = find(t, s);
	char number[32];

	switch (found.kind) {
	case VALUE_NONE: return complain(o->parsed, t->line, "there is no value '", t);
	case VALUE_FALSE:
	case VALUE_TRUE:
	case VALUE_LIST:
	case VALUE_OBJECT: return complain(o->parsed, t->line, "neither text nor a number: '", t);
	case VALUE_TEXT: break;
	case VALUE_NUMBER:
		snprintf(number, sizeof(number), "%" PRId64, jv_int(found.v, 0));
		return write_text(o, number, strlen(number));
	}
	return write_text(o, jv_string(found.v, ""), strlen(jv_string(found.v, "")));
}

static int write_tokens(struct output *o, size_t from, size_t to, const struct scope *s);

static int write_inside(struct output *o, const struct token *section, const struct jv *item,
			const struct scope *outer)
{
	struct scope inner = {.item = item, .outer = outer};

	return write_tokens(o, section - o->parsed->tokens + 1, section->partner,
			    item ? &inner : outer);
}

static int write_section(struct output *o, const struct token *t, const struct scope *s)
{
	struct value found = find(t, s);
	int r = 0;

	switch (found.kind) {
	case VALUE_NONE:
	case VALUE_FALSE: return 0;
	case VALUE_TRUE: return write_inside(o, t, NULL, s);
	case VALUE_TEXT:
	case VALUE_NUMBER:
	case VALUE_OBJECT: return write_inside(o, t, found.v, s);
	case VALUE_LIST: break;
	}
	for (size_t i = 0; !r && i < jv_size(found.v); i++)
		r = write_inside(o, t, jv_at(found.v, i), s);
	return r;
}

static int write_inverted(struct output *o, const struct token *t, const struct scope *s)
{
	struct value found = find(t, s);

	if (found.kind == VALUE_NONE || found.kind == VALUE_FALSE ||
	    (found.kind == VALUE_LIST && !jv_size(found.v)))
		return write_inside(o, t, NULL, s);
	return 0;
}

static int write_tokens(struct output *o, size_t from, size_t to, const struct scope *s)
{
	int r = 0;

	/* counted also when there is nothing inside */
	o->steps += to - from + 1;
	if (o->steps > STEPS_MAX)
		return errtext_set(o->parsed->e, -EFBIG,
				   "%s:%u: the sections repeat each other without end",
				   o->parsed->name, o->parsed->tokens[from].line);
	for (size_t i = from; !r && i < to; i++) {
		const struct token *t = &o->parsed->tokens[i];

		switch (t->kind) {
		case TOKEN_TEXT: r = write_text(o, t->text, t->len); break;
		case TOKEN_VALUE: r = write_value(o, t, s); break;
		case TOKEN_SECTION: r = write_section(o, t, s); break;
		case TOKEN_INVERTED: r = write_inverted(o, t, s); break;
		case TOKEN_CLOSE: break;
		}
		if (t->kind == TOKEN_SECTION || t->kind == TOKEN_INVERTED)
			i = t->partner;
	}
	return r;
}

static int fill(struct parser *p, const struct jv *values, struct output *o)
{
	struct scope top = {.item = values};
	int r;

	r = parse(p);
	if (r < 0)
		return r;
	o->parsed = p;
	return write_tokens(o, 0, p->n, &top);
}

int template_fill(const char *name, const char *text, const struct jv *values, char **ret_text,
		  struct errtext *e)
{
	struct parser p = {.name = name, .in = text, .end = text + strlen(text), .line = 1, .e = e};
	struct output o = {};
	char *result = NULL;
	int r;

	if (strlen(text) > TEMPLATE_MAX)
		return errtext_set(e, -EFBIG, "%s: has more than %zu bytes", name, TEMPLATE_MAX);
	r = fill(&p, values, &o);
	free(p.tokens);
	if (!r)
		result = textbuf_take(&o.text);
	textbuf_done(&o.text);
	if (r < 0)
		return r;
	if (!result)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret_text = result;
	return 0;
}
