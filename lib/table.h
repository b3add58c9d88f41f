/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table on a terminal: columns as wide as their contents; the last one is cut where the terminal
 * ends, unless it holds numbers. A first column that would leave it no room stands on a line of its
 * own.
 */
#ifndef BOTLS_TABLE_H
#define BOTLS_TABLE_H

#include "text.h"

#include <stddef.h>

#define TABLE_COLUMNS 12

struct table;
/* 2 to TABLE_COLUMNS columns. NULL: out of memory. */
struct table *table_new(const char *const *titles, size_t n_columns);
void table_free(struct table *t);
/* Copies as many cells as there are columns. 0 or -ENOMEM. */
int table_add(struct table *t, const char *const *cells);
/* Numbers; their title stands to the right as well. */
void table_align_right(struct table *t, size_t column);
/* Of one cell in the row that was added last. */
void table_style(struct table *t, size_t column, enum text_style style);
/* width: of the terminal; 0: no limit. */
void table_print(const struct table *t, unsigned width);

static inline void cleanup_table(struct table **t)
{
	table_free(*t);
}
#define _cleanup_table_ __attribute__((cleanup(cleanup_table)))

#endif
