/* SPDX-License-Identifier: Apache-2.0 */
#include "steering_table.h"
#include "botls/botls.h"

#include <bpf/bpf.h>
#include <errno.h>

#define INTERFACES_MAX 8192
/* A link-local neighbor has two rows. */
#define ROWS_MAX    (2 * BOTLS_NEIGHBORS_MAX + INTERFACES_MAX)
#define ROWS_FIRST  16 /* of a table that is read */
#define MAPPED_BITS 96

void botls_addr_from(const struct addr *a, union botls_addr *ret)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	memset(ret, 0, sizeof(*ret));
	if (a->family == AF_INET) {
		memcpy(ret->bytes, mapped, sizeof(mapped));
		memcpy(ret->bytes + sizeof(mapped), a->bytes, 4);
	} else if (a->family == AF_INET6) {
		memcpy(ret->bytes, a->bytes, 16);
	}
}

static const char *format(const union botls_addr *a, unsigned bits, uint32_t scope,
			  char buf[static ADDR_STRLEN])
{
	struct addr out = {.family = AF_INET6, .prefixlen = bits};

	if (!a->words[0] && !a->words[1] && a->words[2] == htonl(0xffff) && bits >= MAPPED_BITS) {
		out.family = AF_INET;
		out.prefixlen = bits - MAPPED_BITS;
		memcpy(out.bytes, a->bytes + 12, 4);
	} else {
		memcpy(out.bytes, a->bytes, 16);
		if (scope)
			if_indextoname(scope, out.ifname);
	}
	return addr_format(&out, buf);
}

const char *table_row_name(const struct table_row *row, char buf[static ADDR_STRLEN])
{
	return format(&row->key.addr, row->key.prefixlen - 32, row->key.scope, buf);
}

const char *table_row_own(const struct table_row *row, char buf[static ADDR_STRLEN])
{
	return format(&row->value.own, 128, row->key.scope, buf);
}

static int row_compare(const void *a, const void *b)
{
	const struct table_row *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof(x->key));
}

/* The interfaces of now, as rows. Those beyond `max` count as unknown: closed. */
static size_t rows_from_interfaces(struct table_row *rows, size_t max)
{
	struct if_nameindex *all = if_nameindex();
	size_t n = 0;

	for (struct if_nameindex *i = all; i && i->if_index && n < max; i++) {
		rows[n] = (struct table_row){.value.flags = BOTLS_NEIGHBOR_INTERFACE};
		rows[n].key.prefixlen = BOTLS_NEIGHBOR_KEY_BITS;
		rows[n++].key.scope = i->if_index;
	}
	if_freenameindex(all);
	return n;
}

/* The rows of one neighbor; how many there are, at most two. */
static size_t rows_from_entry(struct table_row rows[2], const struct steering_entry *entry)
{
	const struct addr *a = &entry->neighbor;
	bool is_protected = entry->is_required || !entry->allow_clear;
	struct table_row *row = rows;
	size_t n = 0;

	memset(rows, 0, 2 * sizeof(*rows));
	rows[0].key.prefixlen = 32 + a->prefixlen + (a->family == AF_INET ? MAPPED_BITS : 0);
	botls_addr_from(a, &rows[0].key.addr);
	if (is_protected)
		rows[0].value.flags |= BOTLS_NEIGHBOR_PROTECTED;
	if (entry->is_carried)
		rows[0].value.flags |= BOTLS_NEIGHBOR_CARRIED;
	if (entry->is_carried && entry->may_accept)
		rows[0].value.flags |= BOTLS_NEIGHBOR_MAY_ACCEPT;
	if (addr_is_linklocal(a)) {
		/* An interface that is made anew has another index: the neighbor is closed there,
		 * too, also when nobody is alive to see it come. */
		if (is_protected) {
			rows[1] = rows[0];
			rows[0].value.flags |= BOTLS_NEIGHBOR_PENDING;
			row = &rows[1];
			n = 1;
		}
		row->key.scope = if_nametoindex(a->ifname);
		if (!row->key.scope)
			return n;
	}
	if (addr_is_prefix(a))
		row->value.flags |= BOTLS_NEIGHBOR_DYNAMIC;
	else if (entry->may_connect)
		row->value.flags |= BOTLS_NEIGHBOR_MAY_CONNECT;
	if (entry->own.family != AF_UNSPEC) {
		row->value.flags |= BOTLS_NEIGHBOR_OWN_KNOWN;
		botls_addr_from(&entry->own, &row->value.own);
	}
	row->value.min_ttl = entry->min_ttl;
	return n + 1;
}

static struct table *table_alloc(size_t n)
{
	return calloc(1, sizeof(struct table) + n * sizeof(struct table_row));
}

void steering_table_free(struct table *t)
{
	free(t);
}

int steering_table_new(const struct steering_entry *entries, size_t n, struct table **ret,
		       struct errtext *e)
{
	_cleanup_table_ struct table *t = NULL;
	bool any_linklocal = false;
	size_t out = 0;

	if (n > BOTLS_NEIGHBORS_MAX)
		return errtext_set(e, -E2BIG, "%zu neighbors are more than %d", n,
				   BOTLS_NEIGHBORS_MAX);
	t = table_alloc(2 * n + INTERFACES_MAX);
	if (!t)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct addr *a = &entries[i].neighbor;

		if ((a->family != AF_INET && a->family != AF_INET6) ||
		    (entries[i].own.family != AF_UNSPEC && entries[i].own.family != a->family))
			return errtext_set(e, -EINVAL,
					   "neighbor and own address are not of one family");
		any_linklocal |= addr_is_linklocal(a);
		t->n += rows_from_entry(&t->rows[t->n], &entries[i]);
	}
	if (any_linklocal)
		t->n += rows_from_interfaces(&t->rows[t->n], INTERFACES_MAX);
	qsort(t->rows, t->n, sizeof(t->rows[0]), row_compare);
	/* Only two pending ones can have the same key: the same link-local address on two
	 * interfaces. */
	for (size_t i = 0; i < t->n; i++) {
		if (out == 0 || row_compare(&t->rows[out - 1], &t->rows[i]) != 0)
			t->rows[out++] = t->rows[i];
	}
	t->n = out;
	*ret = TAKE(t);
	return 0;
}

/* By what is there, not by what could be: it is read every minute, and malloc() keeps a hole of the
 * largest size ever freed. */
static int make_room(struct table **t, size_t *room)
{
	size_t n = *t ? (*t)->n : 0, more = *room ? 2 * *room : ROWS_FIRST;
	struct table *bigger;

	if (n < *room)
		return 0;
	bigger = realloc(*t, sizeof(struct table) + more * sizeof(struct table_row));
	if (!bigger)
		return -ENOMEM;
	bigger->n = n;
	*t = bigger;
	*room = more;
	return 0;
}

int table_read(int trie_fd, struct table **ret, struct errtext *e)
{
	_cleanup_table_ struct table *t = NULL;
	struct botls_neighbor_key key, previous;
	bool is_first = true;
	size_t room = 0;

	do {
		if (make_room(&t, &room) < 0)
			return errtext_set(e, -ENOMEM, "out of memory");
		if (bpf_map_get_next_key(trie_fd, is_first ? NULL : &previous, &key) < 0) {
			if (errno == ENOENT)
				break;
			return errtext_set(e, -errno, "read the neighbor table: %m");
		}
		t->rows[t->n].key = key;
		if (bpf_map_lookup_elem(trie_fd, &key, &t->rows[t->n].value) == 0)
			t->n++;
		previous = key;
		is_first = false;
	} while (t->n < ROWS_MAX);
	qsort(t->rows, t->n, sizeof(t->rows[0]), row_compare);
	*ret = TAKE(t);
	return 0;
}

int table_write(const struct table *t, bool (*settle)(void *arg, const struct table_row *row),
		void *arg, int *ret_fd, struct errtext *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	_cleanup_close_ int fd = -1;

	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "botls_neighbors",
			    sizeof(struct botls_neighbor_key), sizeof(struct botls_neighbor),
			    ROWS_MAX, &opts);
	if (fd < 0)
		return errtext_set(e, -errno, "make a neighbor table: %m");
	for (size_t i = 0; i < t->n; i++) {
		struct botls_neighbor value = t->rows[i].value;

		if (settle && settle(arg, &t->rows[i]))
			value.flags |= BOTLS_NEIGHBOR_SETTLING;
		if (bpf_map_update_elem(fd, &t->rows[i].key, &value, BPF_ANY) < 0)
			return errtext_set(e, -errno, "fill the neighbor table: %m");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool key_covers(const struct botls_neighbor_key *key, const struct botls_neighbor_key *host)
{
	unsigned bits = key->prefixlen - 32;
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = 0xff << (8 - rest);

	if (key->scope != host->scope || memcmp(key->addr.bytes, host->addr.bytes, whole) != 0)
		return false;
	return !rest || (key->addr.bytes[whole] & mask) == (host->addr.bytes[whole] & mask);
}

const struct table_row *table_match(const struct table *t, const struct addr *host)
{
	const struct table_row *best = NULL;
	struct botls_neighbor_key key = {};

	botls_addr_from(host, &key.addr);
	if (addr_is_linklocal(host))
		key.scope = if_nametoindex(host->ifname);
	for (size_t i = 0; i < t->n; i++) {
		if (key_covers(&t->rows[i].key, &key) &&
		    (!best || best->key.prefixlen < t->rows[i].key.prefixlen))
			best = &t->rows[i];
	}
	return best;
}

void table_compare(const struct table *want, const struct table *have,
		   void (*each)(void *arg, const struct table_row *want,
				const struct table_row *have),
		   void *arg)
{
	size_t i = 0, j = 0;

	while (i < want->n || j < have->n) {
		int order = i == want->n   ? 1
			    : j == have->n ? -1
					   : row_compare(&want->rows[i], &have->rows[j]);

		each(arg, order <= 0 ? &want->rows[i] : NULL, order >= 0 ? &have->rows[j] : NULL);
		i += order <= 0;
		j += order >= 0;
	}
}
