// SPDX-License-Identifier: Apache-2.0
/* Tables of rows, and how a row of PeeringDB's is read. */
#include "peeringdb_internal.h"
#include "text.h"

#include <errno.h>

/* What a network's staff types into a form is not always a number of prefixes. */
#define PREFIXES_MAX 2000000

const struct pdb_kind_info pdb_kinds[PDB_KINDS] = {
	[PDB_NETIXLAN] = {"netixlan",
			  "asn",
			  {"asn", "ix_id", "ixlan_id", "ipaddr4", "ipaddr6", "operational",
			   "status"}},
	[PDB_NET] = {"net",
		     "asn",
		     {"asn", "name", "info_prefixes4", "info_prefixes6", "irr_as_set", "status"}},
	[PDB_IXPFX] = {"ixpfx", "ixlan_id", {"ixlan_id", "prefix", "status"}},
};

static int compare_keys(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int compare_addresses(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int compare_places(const void *a, const void *b)
{
	const struct pdb_place *x = a, *y = b;
	int r = compare_keys(&x->asn, &y->asn);

	r = r ? r : compare_addresses(&x->ip, &y->ip);
	r = r ? r : compare_keys(&x->ixlan, &y->ixlan);
	return r ? r : compare_keys(&x->ix, &y->ix);
}

/* Of two rows about one network always the same one is found. */
static int compare_networks(const void *a, const void *b)
{
	const struct pdb_network *x = a, *y = b;
	int r = compare_keys(&x->asn, &y->asn);

	r = r ? r : strcmp(x->info.name, y->info.name);
	r = r ? r : strcmp(x->info.as_set, y->info.as_set);
	r = r ? r : compare_keys(&x->info.prefixes_4, &y->info.prefixes_4);
	return r ? r : compare_keys(&x->info.prefixes_6, &y->info.prefixes_6);
}

static int compare_prefixes(const void *a, const void *b)
{
	const struct pdb_prefix *x = a, *y = b;
	int r = compare_keys(&x->ixlan, &y->ixlan);

	return r ? r : compare_addresses(&x->net, &y->net);
}

struct pdb_table pdb_rows_new(enum pdb_kind kind)
{
	switch (kind) {
	case PDB_NETIXLAN:
		return (struct pdb_table){.size = sizeof(struct pdb_place),
					  .compare = compare_places};
	case PDB_NET:
		return (struct pdb_table){.size = sizeof(struct pdb_network),
					  .compare = compare_networks};
	case PDB_IXPFX: break;
	}
	return (struct pdb_table){.size = sizeof(struct pdb_prefix), .compare = compare_prefixes};
}

struct pdb_table pdb_answers_new(void)
{
	return (struct pdb_table){.size = sizeof(struct pdb_answer), .compare = compare_keys};
}

int pdb_table_append(struct pdb_table *t, const void *item)
{
	/* A row of netixlan has two addresses. */
	if (t->n >= 2 * PEERINGDB_ROWS_MAX)
		return -E2BIG;
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 16;
		char *more = reallocarray(t->items, room, t->size);

		if (!more)
			return -ENOMEM;
		t->items = more;
		t->room = room;
	}
	memcpy(t->items + t->n++ * t->size, item, t->size);
	return 0;
}

void pdb_table_sort(struct pdb_table *t)
{
	if (t->n)
		qsort(t->items, t->n, t->size, t->compare);
}

/* The index of the first item whose key is not below this one. */
static size_t lower_bound(const struct pdb_table *t, uint32_t key)
{
	size_t low = 0, high = t->items ? t->n : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_keys(t->items + middle * t->size, &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const void *pdb_table_find(const struct pdb_table *t, uint32_t key, size_t *ret_n)
{
	size_t first = lower_bound(t, key);
	size_t end = key == UINT32_MAX ? t->n : lower_bound(t, key + 1);

	if (ret_n)
		*ret_n = end - first;
	return first < end ? t->items + first * t->size : NULL;
}

void pdb_table_remove(struct pdb_table *t, const struct pdb_table *keys)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		char *item = t->items + i * t->size;

		if (pdb_table_find(keys, *(uint32_t *)item, NULL))
			continue;
		if (kept != i)
			memcpy(t->items + kept * t->size, item, t->size);
		kept++;
	}
	t->n = kept;
}

void pdb_table_done(struct pdb_table *t)
{
	free(t->items);
	t->items = NULL;
	t->n = t->room = 0;
}

/* An id or a number; 0 when there is none. */
static uint32_t read_number(const struct jv_cursor *row, const char *key)
{
	int64_t n = jv_read_int(row, key, 0);

	if (n >= 0 && n <= UINT32_MAX)
		return n;
	jv_complain(row, key, "out of range");
	return 0;
}

static int read_place(const struct jv_cursor *row, struct pdb_table *rows)
{
	struct pdb_place place = {.asn = read_number(row, "asn"),
				  .ix = read_number(row, "ix_id"),
				  .ixlan = read_number(row, "ixlan_id"),
				  .is_operational = jv_read_bool(row, "operational", true)};
	const char *const texts[] = {jv_read_string(row, "ipaddr4", NULL),
				     jv_read_string(row, "ipaddr6", NULL)};
	const sa_family_t families[] = {AF_INET, AF_INET6};

	if (!place.asn || (!place.ix && !place.ixlan))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int r;

		if (!texts[i] || addr_parse(texts[i], &place.ip, NULL) < 0 ||
		    place.ip.family != families[i] || addr_is_prefix(&place.ip))
			continue;
		r = pdb_table_append(rows, &place);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_network(const struct jv_cursor *row, struct pdb_table *rows)
{
	struct pdb_network network = {.asn = read_number(row, "asn")};
	struct peeringdb_network *info = &network.info;

	text_copy(info->name, sizeof(info->name), jv_read_string(row, "name", ""));
	text_copy(info->as_set, sizeof(info->as_set), jv_read_string(row, "irr_as_set", ""));
	info->prefixes_4 = read_number(row, "info_prefixes4");
	info->prefixes_6 = read_number(row, "info_prefixes6");
	if (info->prefixes_4 > PREFIXES_MAX)
		info->prefixes_4 = 0;
	if (info->prefixes_6 > PREFIXES_MAX)
		info->prefixes_6 = 0;
	info->is_there = true;
	return network.asn ? pdb_table_append(rows, &network) : 0;
}

static int read_prefix(const struct jv_cursor *row, struct pdb_table *rows)
{
	struct pdb_prefix prefix = {.ixlan = read_number(row, "ixlan_id")};
	const char *text = jv_read_string(row, "prefix", NULL);

	if (!prefix.ixlan || !text || addr_parse(text, &prefix.net, NULL) < 0)
		return 0;
	return pdb_table_append(rows, &prefix);
}

static int read_row(enum pdb_kind kind, const struct jv_cursor *row, struct pdb_table *rows)
{
	if (strcmp(jv_read_string(row, "status", "ok"), "ok") != 0)
		return 0;
	switch (kind) {
	case PDB_NETIXLAN: return read_place(row, rows);
	case PDB_NET: return read_network(row, rows);
	case PDB_IXPFX: break;
	}
	return read_prefix(row, rows);
}

int pdb_rows_read(enum pdb_kind kind, const struct jv_cursor *array, struct pdb_table *rows)
{
	size_t n = jv_size(array->value);
	int r = 0;

	if (n > PEERINGDB_ROWS_MAX)
		jv_complain(array, NULL, "too many rows");
	for (size_t i = 0; r == 0 && i < n && !jv_bad(array); i++) {
		struct jv_cursor row = jv_read_item(array, i);

		r = read_row(kind, &row, rows);
	}
	return r;
}
