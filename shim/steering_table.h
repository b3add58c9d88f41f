/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neighbor table as the BPF programs want it: made from entries, written to a map, read back,
 * compared.
 */
#ifndef BOTLS_STEERING_TABLE_H
#define BOTLS_STEERING_TABLE_H

#include "botls/bpf.h"
#include "steering.h"

struct table_row {
	struct botls_neighbor_key key;
	struct botls_neighbor value;
};

struct table {
	size_t n;
	struct table_row rows[]; /* sorted by key */
};

void botls_addr_from(const struct addr *a, union botls_addr *ret);

/* A protected link-local neighbor is also closed on the interfaces that are still to come: its own
 * may be made anew. */
int steering_table_new(const struct steering_entry *entries, size_t n, struct table **ret,
		       struct errtext *e);
/* What a map holds. */
int table_read(int trie_fd, struct table **ret, struct errtext *e);
void steering_table_free(struct table *t);
static inline void cleanup_table(struct table **t)
{
	steering_table_free(*t);
}
#define _cleanup_table_ __attribute__((cleanup(cleanup_table)))

/* A new map with the rows of `t`. Rows of which `settle` (may be NULL) says so get
 * BOTLS_NEIGHBOR_SETTLING. */
int table_write(const struct table *t, bool (*settle)(void *arg, const struct table_row *row),
		void *arg, int *ret_fd, struct errtext *e);

/* The row that a packet from `host` would meet, or NULL. */
const struct table_row *table_match(const struct table *t, const struct addr *host);

/* Calls `each` for all rows of both, in order; one of them is NULL where the other table lacks the
 * key. */
void table_compare(const struct table *want, const struct table *have,
		   void (*each)(void *arg, const struct table_row *want,
				const struct table_row *have),
		   void *arg);

/* "192.0.2.2", "fe80::2%eth0", "192.0.2.0/24". Returns buf. */
const char *table_row_name(const struct table_row *row, char buf[static ADDR_STRLEN]);
/* Our address towards it, when BOTLS_NEIGHBOR_OWN_KNOWN. */
const char *table_row_own(const struct table_row *row, char buf[static ADDR_STRLEN]);

#endif
