/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table on a terminal: columns as wide as their contents; the last one is cut where the terminal
 * ends. A first column that would leave it no room stands on a line of its own.
 */
#ifndef BOTLS_TABLE_H
#define BOTLS_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS 8

struct table;
/* 2 to TABLE_COLUMNS columns. NULL: out of memory. */
struct table *table_new(const char *const *titles, size_t n_columns);
void table_free(struct table *t);
/* Copies as many cells as there are columns. 0 or -ENOMEM. */
int table_add(struct table *t, const char *const *cells);
/* width: of the terminal; 0: no limit. */
void table_print(const struct table *t, unsigned width);

static inline void cleanup_table(struct table **t)
{
	table_free(*t);
}
#define _cleanup_table_ __attribute__((cleanup(cleanup_table)))

#endif
