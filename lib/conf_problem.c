// SPDX-License-Identifier: Apache-2.0
#include "conf.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>

struct problem {
	struct conf_place at;
	size_t number;
	char *text;
};

struct conf_problems {
	char **files;
	unsigned n_files;
	struct problem *items;
	size_t n, n_left_out;
	bool is_strict;
};

int conf_problems_new(struct conf_problems **ret)
{
	struct conf_problems *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

void conf_problems_free(struct conf_problems *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n_files; i++)
		free(p->files[i]);
	for (size_t i = 0; i < p->n; i++)
		free(p->items[i].text);
	free(p->files);
	free(p->items);
	free(p);
}

int conf_problems_add_file(struct conf_problems *p, const char *name)
{
	char **files = reallocarray(p->files, p->n_files + 1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	p->files = files;
	files[p->n_files] = strdup(name);
	return files[p->n_files] ? (int)p->n_files++ : -ENOMEM;
}

const char *conf_problems_file(const struct conf_problems *p, unsigned file)
{
	return p->files[file];
}

/* Values in it come from files that may hold anything; the text goes to terminals and into JSON. */
static void make_printable(char *text)
{
	for (size_t n; *text; text += n) {
		n = text_printable_at((unsigned char *)text);
		if (!n) {
			*text = '?';
			n = 1;
		}
	}
}

void conf_problem(struct conf_problems *p, struct conf_place at, const char *fmt, ...)
{
	struct problem *items = NULL;
	char *text = NULL;
	va_list ap;

	if (p->n < CONF_PROBLEMS_MAX)
		items = reallocarray(p->items, p->n + 1, sizeof(*items));
	if (items) {
		p->items = items;
		va_start(ap, fmt);
		if (vasprintf(&text, fmt, ap) < 0)
			text = NULL;
		va_end(ap);
	}
	if (!text) {
		p->n_left_out++;
		return;
	}
	make_printable(text);
	items[p->n] = (struct problem){.at = at, .number = p->n, .text = text};
	p->n++;
}

void conf_problem_unreadable(struct conf_problems *p, unsigned file, int error)
{
	struct conf_place at = {file, 0};

	if (error == -EFBIG)
		conf_problem(p, at, "the configuration is longer than %d MB: make it shorter",
			     CONF_BYTES_MAX >> 20);
	else if (error == -EBADF)
		conf_problem(p, at, "is not a regular file: write the configuration into one");
	else if (error == -ENOENT)
		conf_problem(p, at,
			     "cannot be read: there is no such file: write it, or name "
			     "another one (-c FILE)");
	else if (error == -EACCES)
		conf_problem(p, at, "cannot be read: it is not for everybody: be root");
	else
		conf_problem(p, at, "cannot be read: %s", strerror(-error));
}

void conf_problems_be_strict(struct conf_problems *p)
{
	p->is_strict = true;
}

bool conf_problems_are_enough(const struct conf_problems *p)
{
	return p->is_strict && conf_problems_count(p);
}

bool conf_problems_are_strict(const struct conf_problems *p)
{
	return p->is_strict;
}

size_t conf_problems_count(const struct conf_problems *p)
{
	return p->n + p->n_left_out;
}

static int compare(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;

	if (x->at.file != y->at.file)
		return x->at.file < y->at.file ? -1 : 1;
	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

void conf_problems_report(struct conf_problems *p, conf_report_fn *report, void *arg)
{
	if (p->n)
		qsort(p->items, p->n, sizeof(*p->items), compare);
	for (size_t i = 0; i < p->n; i++) {
		const struct problem *item = &p->items[i];
		char where[1200];

		if (item->at.line)
			snprintf(where, sizeof(where), "%.1100s:%u", p->files[item->at.file],
				 item->at.line);
		else
			snprintf(where, sizeof(where), "%.1100s", p->files[item->at.file]);
		make_printable(where);
		report(arg, where, item->text);
	}
	if (p->n_left_out) {
		char text[80];

		snprintf(text, sizeof(text), "%zu more problems are not shown", p->n_left_out);
		report(arg, p->n_files ? p->files[0] : "", text);
	}
}
