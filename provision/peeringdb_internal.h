/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of peeringdb: tables of rows, sorted, that begin with the key they are asked
 * for by (the ASN; of prefixes the ixlan).
 */
#ifndef BOTLS_PEERINGDB_INTERNAL_H
#define BOTLS_PEERINGDB_INTERNAL_H

#include "json.h"
#include "peeringdb.h"

#include <sys/stat.h>

#define PEERINGDB_BODY_MAX  (32 << 20) /* of a dump */
#define PEERINGDB_ROWS_MAX  200000     /* of one kind */
#define PEERINGDB_STALE_MAX ((time_t)7 * 24 * 3600)

enum pdb_kind { PDB_NETIXLAN, PDB_NET, PDB_IXPFX };
#define PDB_KINDS (PDB_IXPFX + 1)

struct pdb_place {
	uint32_t asn;
	uint32_t ix, ixlan;
	bool is_operational;
	struct addr ip;
};
struct pdb_network {
	uint32_t asn;
	struct peeringdb_network info;
};
struct pdb_prefix {
	uint32_t ixlan;
	struct addr net;
};
/* That something was answered about a key, be it nothing. */
struct pdb_answer {
	uint32_t key;
	time_t when;
};

struct pdb_table {
	char *items;
	size_t n, room;
	size_t size; /* of one item, which begins with its uint32_t key */
	int (*compare)(const void *a, const void *b);
};
/* -ENOMEM, -E2BIG. Sort after the last one. */
int pdb_table_append(struct pdb_table *t, const void *item);
void pdb_table_sort(struct pdb_table *t);
/* Everything with a key that is in `keys`, a sorted table. */
void pdb_table_remove(struct pdb_table *t, const struct pdb_table *keys);
void pdb_table_done(struct pdb_table *t);
/* The items with this key, NULL when there are none. Sorted tables only. */
const void *pdb_table_find(const struct pdb_table *t, uint32_t key, size_t *ret_n);

struct peeringdb {
	const struct settings *settings;
	struct http *http;
	char *base;   /* of URLs, without the last slash; NULL: a dump */
	char *folder; /* NULL: a dump */
	struct stat dump;
	struct pdb_table rows[PDB_KINDS], answers[PDB_KINDS];
	struct errtext notice;
};

extern const struct pdb_kind_info {
	const char *name;	/* of the object, as in URLs */
	const char *key;	/* the member that it is asked for by */
	const char *members[8]; /* those that are used; NULL ends them */
} pdb_kinds[PDB_KINDS];

/* An empty table for rows of this kind. */
struct pdb_table pdb_rows_new(enum pdb_kind kind);
struct pdb_table pdb_answers_new(void);
/* Appends the rows of a JSON array. Those that say that they are deleted, that lack what is needed
 * or whose address is none are left out. A wrong type and too many rows are noted in the cursor;
 * -ENOMEM. */
int pdb_rows_read(enum pdb_kind kind, const struct jv_cursor *array, struct pdb_table *rows);

/* Replaces everything by what the dump holds. */
int pdb_dump_read(struct peeringdb *p, struct errtext *e);

/* One file for each key, with its rows in the form of an answer of the API. -ENOENT when there is
 * no file of JSON that is of this base URL and younger than max_age at `now`. */
int pdb_cache_read(const struct peeringdb *p, enum pdb_kind kind, uint32_t key, time_t now,
		   time_t max_age, struct jv **ret, time_t *ret_when);
int pdb_cache_write(const struct peeringdb *p, enum pdb_kind kind, uint32_t key, time_t now,
		    const struct jv *data);

/* Reads the file whole, at most `max` bytes; -EFBIG. */
int pdb_read_file(int fd, size_t max, char **ret, size_t *ret_len);

#endif
