// SPDX-License-Identifier: Apache-2.0
#include "addr.h"
#include "conf_internal.h"
#include "spki.h"

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

static void print_list(const struct conf_option *o, const void *base, FILE *out)
{
	const void *list = *(void *const *)conf_field(o, base);
	char address[ADDR_STRLEN], pin[SPKI_PIN_STRLEN];

	fputs("{ ", out);
	for (size_t i = 0; i < conf_count(o, base); i++) {
		fputs(i ? ", " : "", out);
		if (o->type == CONF_PINS)
			print_quoted(
				spki_pin_format(((const uint8_t(*)[SPKI_PIN_LEN])list)[i], pin),
				out);
		else if (o->type == CONF_ADDRESSES)
			print_quoted(addr_format((const struct addr *)list + i, address), out);
		else
			print_quoted(((char *const *)list)[i], out);
	}
	fputs(conf_count(o, base) ? " }" : "}", out);
}

void conf_print(const struct conf_option *o, const void *base, const char *indent, FILE *out)
{
	char text[ADDR_STRLEN], time[CONF_TIME_LEN];

	if (o->type == CONF_SECRET_FILE || conf_is_unset(o, base))
		return;
	fprintf(out, "%s%s = ", indent, o->name);
	switch (o->type) {
	case CONF_BOOL: fputs(*(const bool *)conf_field(o, base) ? "true" : "false", out); break;
	case CONF_NUMBER:
	case CONF_SECONDS:
	case CONF_AS: fprintf(out, "%llu", (unsigned long long)conf_number(o, base)); break;
	case CONF_TIME: print_quoted(conf_format_time(conf_number(o, base), time), out); break;
	case CONF_ENUM: fputs(conf_name(o, base), out); break;
	case CONF_TEXT:
	case CONF_ACCOUNT:
	case CONF_NAME:
	case CONF_PATH:
	case CONF_URL:
	case CONF_SOURCE:
	case CONF_PROGRAM: print_quoted(*(char *const *)conf_field(o, base), out); break;
	case CONF_SECRET:
	case CONF_SECRET_FILE: print_quoted(CONF_HIDDEN, out); break;
	case CONF_ADDRESS: print_quoted(addr_format(conf_field(o, base), text), out); break;
	case CONF_ACCOUNTS:
	case CONF_NAMES:
	case CONF_DNS_NAMES:
	case CONF_WORDS:
	case CONF_ADDRESSES:
	case CONF_PINS: print_list(o, base, out); break;
	}
	putc('\n', out);
}

void conf_print_comment(const char *text, FILE *out)
{
	fputs("# ", out);
	for (; *text; text++)
		putc((unsigned char)*text < ' ' ? '?' : *text, out);
	putc('\n', out);
}
