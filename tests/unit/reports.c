// SPDX-License-Identifier: Apache-2.0
#include "reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

void reports_init(struct reports *r)
{
	*r = (struct reports){};
	r->out = open_memstream(&r->text, &r->len);
	assert_non_null(r->out);
}

void reports_add(void *arg, const char *where, const char *text)
{
	struct reports *r = arg;
	const char *slash = strrchr(where, '/');

	fprintf(r->out, "%s: %s\n", slash ? slash + 1 : where, text);
	r->n++;
}

char *reports_done(struct reports *r)
{
	fclose(r->out);
	return r->text;
}

void text_strip(char *text, const char *base)
{
	size_t n = strlen(base) + 1;

	while ((text = strstr(text, base)))
		memmove(text, text + n, strlen(text + n) + 1);
}

void text_bare(char *text)
{
	char *to = text;

	for (char *line = text, *end; *line; line = end) {
		end = strchr(line, '\n') + 1;
		if (*line == '#' || *line == '\n')
			continue;
		memmove(to, line, end - line);
		to += end - line;
	}
	*to = '\0';
}
