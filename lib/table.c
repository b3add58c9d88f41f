// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#define GAP	 2
#define LAST_MIN 15 /* the last column is worth printing beside the others from here on */

struct cell {
	char *text;
	enum text_style style;
};

struct table {
	size_t n_columns;
	size_t width[TABLE_COLUMNS];
	bool is_right[TABLE_COLUMNS];
	struct cell *cells; /* row after row; the first one are the titles */
	size_t n_cells, size;
};

struct table *table_new(const char *const *titles, size_t n_columns)
{
	_cleanup_table_ struct table *t = NULL;

	assert(n_columns >= 2 && n_columns <= TABLE_COLUMNS);
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->n_columns = n_columns;
	if (table_add(t, titles) < 0)
		return NULL;
	for (size_t i = 0; i < n_columns; i++)
		table_style(t, i, TEXT_HEAD);
	return TAKE(t);
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

static int make_room(struct table *t)
{
	size_t size = t->size ? 2 * t->size : 16 * t->n_columns;
	struct cell *cells;

	if (t->n_cells + t->n_columns <= t->size)
		return 0;
	cells = reallocarray(t->cells, size, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	t->cells = cells;
	t->size = size;
	return 0;
}

int table_add(struct table *t, const char *const *cells)
{
	int r = make_room(t);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->n_columns; i++) {
		size_t width = text_width(cells[i]);

		t->cells[t->n_cells] = (struct cell){.text = strdup(cells[i])};
		if (!t->cells[t->n_cells].text)
			return -ENOMEM;
		t->n_cells++;
		if (width > t->width[i])
			t->width[i] = width;
	}
	return 0;
}

void table_align_right(struct table *t, size_t column)
{
	t->is_right[column] = true;
}

void table_style(struct table *t, size_t column, enum text_style style)
{
	t->cells[t->n_cells - t->n_columns + column].style = style;
}

/* How wide the first column may be for the last one to keep LAST_MIN; never under an IPv4 address.
 */
static size_t first_column(const struct table *t, unsigned width)
{
	size_t last = t->n_columns - 1;
	size_t others = t->is_right[last] ? t->width[last] : LAST_MIN;

	for (size_t i = 1; i < t->n_columns; i++)
		others += GAP + (i + 1 < t->n_columns ? t->width[i] : 0);
	if (!width || t->width[0] + others <= width)
		return t->width[0];
	if (width < others + strlen("255.255.255.255"))
		return strlen("255.255.255.255");
	return width - others;
}

static void print_padded(const struct cell *cell, size_t width, bool is_right)
{
	size_t have = text_width(cell->text);
	int missing = have < width ? width - have : 0;

	text_print("%*s", is_right ? missing : 0, "");
	text_print_as(cell->style, "%s", cell->text);
	text_print("%*s", (is_right ? 0 : missing) + GAP, "");
}

/* The one place that prints a cell that may be cut; the room is what is left of the line. */
static void print_last(const struct cell *cell, size_t used, unsigned width)
{
	size_t room = width > used ? width - used : 0;

	if (!width || text_width(cell->text) <= room)
		text_print_as(cell->style, "%s", cell->text);
	else if (room >= 4)
		text_print_as(cell->style, "%.*s...", (int)text_prefix(cell->text, room - 3),
			      cell->text);
	text_print("\n");
}

/* True when nothing but blanks would follow. */
static bool rest_is_empty(const struct cell *cells, size_t from, size_t n)
{
	for (size_t i = from; i < n; i++)
		if (cells[i].text[0])
			return false;
	return true;
}

static void print_row(const struct table *t, const struct cell *cells, size_t first, unsigned width)
{
	static const struct cell blank = {.text = ""};
	size_t used = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		size_t column = i ? t->width[i] : first;
		bool is_last = i + 1 == t->n_columns;

		if (rest_is_empty(cells, i + 1, t->n_columns)) {
			if (t->is_right[i])
				text_print("%*s", (int)(column - text_width(cells[i].text)), "");
			print_last(&cells[i], used, is_last && !t->is_right[i] ? width : 0);
			return;
		}
		if (i == 0 && text_width(cells[0].text) > first) {
			text_print_as(cells[0].style, "%s", cells[0].text);
			text_print("\n");
			print_padded(&blank, column, false);
		} else {
			print_padded(&cells[i], column, t->is_right[i]);
		}
		used += column + GAP;
	}
}

void table_print(const struct table *t, unsigned width)
{
	size_t first = first_column(t, width);

	for (size_t i = 0; i < t->n_cells; i += t->n_columns)
		print_row(t, t->cells + i, first, width);
}
