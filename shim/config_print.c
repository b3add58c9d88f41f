// SPDX-License-Identifier: Apache-2.0
#include "config_schema.h"

static void print_quoted(const char *s, FILE *out)
{
	putc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', out);
		putc(*s, out);
	}
	putc('"', out);
}

static void print_pin(const uint8_t *pin, FILE *out)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	fputs("\"sha256/", out);
	for (int bit = 0; bit < 258; bit += 6) {
		unsigned two =
			pin[bit / 8] << 8 | (bit / 8 + 1 < SPKI_PIN_LEN ? pin[bit / 8 + 1] : 0);

		putc(alphabet[two >> (10 - bit % 8) & 0x3f], out);
	}
	fputs("=\"", out);
}

static void print_list(const struct option *o, const void *base, FILE *out)
{
	const void *list = *(void *const *)option_field(o, base);

	fputs("{ ", out);
	for (size_t i = 0; i < option_count(o, base); i++) {
		fputs(i ? ", " : "", out);
		if (o->type == OPTION_PINS)
			print_pin(((const uint8_t(*)[SPKI_PIN_LEN])list)[i], out);
		else
			print_quoted(((char *const *)list)[i], out);
	}
	fputs(option_count(o, base) ? " }" : "}", out);
}

static bool is_unset(const struct option *o, const void *base)
{
	if (option_is_string(o))
		return !*(char *const *)option_field(o, base);
	if (o->type == OPTION_ADDRESS)
		return ((const struct addr *)option_field(o, base))->family == AF_UNSPEC;
	if (o->type == OPTION_AS)
		return option_number(o, base) == 0;
	return option_is_list(o) && option_count(o, base) == 0;
}

void option_print(const struct option *o, const void *base, const char *indent, FILE *out)
{
	char text[ADDR_STRLEN];

	if (o->type == OPTION_SECRET_FILE || is_unset(o, base))
		return;
	fprintf(out, "%s%s = ", indent, o->name);
	switch (o->type) {
	case OPTION_BOOL:
		fputs(*(const bool *)option_field(o, base) ? "true" : "false", out);
		break;
	case OPTION_NUMBER:
	case OPTION_SECONDS:
	case OPTION_AS: fprintf(out, "%llu", (unsigned long long)option_number(o, base)); break;
	case OPTION_ENUM: fputs(o->names[option_number(o, base)], out); break;
	case OPTION_TEXT:
	case OPTION_ACCOUNT:
	case OPTION_PATH: print_quoted(*(char *const *)option_field(o, base), out); break;
	case OPTION_SECRET:
	case OPTION_SECRET_FILE: print_quoted(SECRET_HIDDEN, out); break;
	case OPTION_ADDRESS: print_quoted(addr_format(option_field(o, base), text), out); break;
	case OPTION_ACCOUNTS:
	case OPTION_DNS_NAMES:
	case OPTION_PINS: print_list(o, base, out); break;
	}
	putc('\n', out);
}

/* A line break in the name of a file must not end the comment. */
static void print_comment(const char *text, FILE *out)
{
	fputs("# ", out);
	for (; *text; text++)
		putc((unsigned char)*text < ' ' ? '?' : *text, out);
	putc('\n', out);
}

static void print_global(const struct option *o, const struct config *c, FILE *out)
{
	putc('\n', out);
	print_comment(o->help, out);
	option_print(o, c, "", out);
}

/* What config_load() set to a fixed value may not be set by a block. */
static bool counts(const struct option *o, const struct neighbor_config *n)
{
	if (!strcmp(o->name, "fallback-after"))
		return n->mode == MODE_PREFERRED;
	if (!strcmp(o->name, "max-sessions"))
		return addr_is_prefix(&n->address);
	return true;
}

void config_print(const struct config *c, FILE *out)
{
	print_comment(c->path, out);
	for (size_t i = 0; i < n_options; i++)
		if (options[i].scope == SCOPE_GLOBAL)
			print_global(&options[i], c, out);
	for (size_t i = 0; i < c->n_neighbors; i++) {
		const struct neighbor_config *n = &c->neighbors[i];

		putc('\n', out);
		print_comment(n->origin, out);
		fprintf(out, "neighbor \"%s\" {\n", n->name);
		for (size_t j = 0; j < n_options; j++)
			if (options[j].scope != SCOPE_GLOBAL && counts(&options[j], n))
				option_print(&options[j], n, "\t", out);
		fputs("}\n", out);
	}
}
