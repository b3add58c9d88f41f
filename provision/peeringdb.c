// SPDX-License-Identifier: Apache-2.0
#include "peeringdb_internal.h"

#include <errno.h>

static int prepare_folder(const char *folder, struct errtext *e)
{
	struct stat st;

	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return errtext_set(e, -errno, "%s: cannot make this folder: %m", folder);
	if (lstat(folder, &st) < 0)
		return errtext_set(e, -errno, "%s: %m", folder);
	if (!S_ISDIR(st.st_mode))
		return errtext_set(e, -ENOTDIR, "%s: this is not a folder: move it away", folder);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return errtext_set(e, -EPERM,
				   "%s: others may write to this folder: give it to user %u, with "
				   "mode 0700",
				   folder, (unsigned)geteuid());
	return 0;
}

static int prepare_api(struct peeringdb *p, const char *folder, struct errtext *e)
{
	size_t len;

	p->base = strdup(p->settings->peeringdb);
	p->folder = strdup(folder);
	if (!p->base || !p->folder)
		return -ENOMEM;
	len = strlen(p->base);
	while (len && p->base[len - 1] == '/')
		p->base[--len] = '\0';
	return prepare_folder(folder, e);
}

int peeringdb_new(const struct settings *s, struct http *h, const char *folder,
		  struct peeringdb **ret, struct errtext *e)
{
	struct peeringdb *p;
	int r;

	if (!s->peeringdb)
		return errtext_set(e, -EINVAL,
				   "%s: peeringdb is not set: where are addresses registered?",
				   s->path);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->settings = s;
	p->http = h;
	for (size_t i = 0; i < PDB_KINDS; i++) {
		p->rows[i] = pdb_rows_new(i);
		p->answers[i] = pdb_answers_new();
	}
	r = s->peeringdb[0] == '/' ? pdb_dump_read(p, e) : prepare_api(p, folder, e);
	if (r < 0) {
		peeringdb_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void peeringdb_free(struct peeringdb *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < PDB_KINDS; i++) {
		pdb_table_done(&p->rows[i]);
		pdb_table_done(&p->answers[i]);
	}
	free(p->base);
	free(p->folder);
	free(p);
}

const char *peeringdb_notice(const struct peeringdb *p)
{
	return p->notice.text;
}

/* Of a network that was not asked about nothing is known; a dump knows everybody. */
static bool is_known(const struct peeringdb *p, uint32_t asn)
{
	return !p->base || pdb_table_find(&p->answers[PDB_NETIXLAN], asn, NULL);
}

static bool is_at(const struct pdb_place *place, const struct location *location)
{
	uint32_t ix;

	if (!location || !location->id[0])
		return true;
	ix = location_ix(location);
	return ix && (place->ix == ix || place->ixlan == ix);
}

static enum registration check_prefix(const struct peeringdb *p, const struct pdb_place *place)
{
	size_t n, of_family = 0;
	const struct pdb_prefix *prefixes = pdb_table_find(&p->rows[PDB_IXPFX], place->ixlan, &n);

	for (size_t i = 0; i < n; i++) {
		if (addr_contains(&prefixes[i].net, &place->ip))
			return REGISTERED;
		of_family += prefixes[i].net.family == place->ip.family;
	}
	return of_family ? NOT_IN_PREFIX : REGISTRY_SILENT;
}

static struct location location_of(const struct pdb_place *place)
{
	struct location l = {.type = LOCATION_PUBLIC};

	snprintf(l.id, sizeof(l.id), "pdb:ix:%u", place->ix ? place->ix : place->ixlan);
	return l;
}

static bool is_same_host(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The first of this network's places that has the address, and how many follow that have it too. */
static const struct pdb_place *find_places(const struct peeringdb *p, uint32_t asn,
					   const struct addr *ip, size_t *ret_n)
{
	size_t n, first = 0, end;
	const struct pdb_place *places = pdb_table_find(&p->rows[PDB_NETIXLAN], asn, &n);

	for (size_t high = n; first < high;) {
		const struct addr *at = &places[first + (high - first) / 2].ip;
		int r = at->family != ip->family ? (at->family < ip->family ? -1 : 1)
						 : memcmp(at->bytes, ip->bytes, sizeof(at->bytes));

		if (r < 0)
			first += (high - first) / 2 + 1;
		else
			high = first + (high - first) / 2;
	}
	for (end = first; end < n && is_same_host(&places[end].ip, ip);)
		end++;
	*ret_n = end - first;
	return end > first ? &places[first] : NULL;
}

enum registration peeringdb_check(const struct peeringdb *p, uint32_t asn, const struct addr *ip,
				  const struct location *location, struct location *ret_location)
{
	/* Of an address that is listed twice, the better news counts. */
	static const int ranks[] = {[REGISTERED] = 4,
				    [REGISTRY_SILENT] = 3,
				    [NOT_IN_PREFIX] = 2,
				    [REGISTERED_ELSEWHERE] = 1,
				    [NOT_REGISTERED] = 0};
	enum registration best = NOT_REGISTERED;
	const struct pdb_place *places;
	size_t n;

	if (!is_known(p, asn))
		return REGISTRY_SILENT;
	places = find_places(p, asn, ip, &n);
	for (size_t i = 0; places && i < n; i++) {
		enum registration r = is_at(&places[i], location) ? check_prefix(p, &places[i])
								  : REGISTERED_ELSEWHERE;

		if (ranks[r] <= ranks[best])
			continue;
		best = r;
		if (ret_location)
			*ret_location = location_of(&places[i]);
	}
	return best;
}

const char *registration_text(enum registration r)
{
	switch (r) {
	case REGISTERED: return "is registered to the AS";
	case REGISTERED_ELSEWHERE: return "is registered to the AS at another exchange";
	case NOT_REGISTERED: return "is not registered to the AS";
	case NOT_IN_PREFIX: return "lies in no prefix of the exchange";
	case REGISTRY_SILENT: break;
	}
	return "could not be looked up";
}

struct peeringdb_network peeringdb_network(const struct peeringdb *p, uint32_t asn)
{
	const struct pdb_network *network = pdb_table_find(&p->rows[PDB_NET], asn, NULL);

	return network ? network->info : (struct peeringdb_network){};
}

/* By exchange and family, then by address. */
static int compare_meeting(const void *a, const void *b)
{
	const struct pdb_place *x = a, *y = b;

	if (x->ixlan != y->ixlan)
		return x->ixlan < y->ixlan ? -1 : 1;
	if (x->ip.family != y->ip.family)
		return x->ip.family < y->ip.family ? -1 : 1;
	return memcmp(x->ip.bytes, y->ip.bytes, sizeof(x->ip.bytes));
}

/* A copy of the network's places that are in operation, in that order. */
static struct pdb_place *meeting_places(const struct peeringdb *p, uint32_t asn, size_t *ret_n)
{
	size_t n, kept = 0;
	const struct pdb_place *places = pdb_table_find(&p->rows[PDB_NETIXLAN], asn, &n);
	struct pdb_place *copy = malloc((n ? n : 1) * sizeof(*copy));

	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (places[i].is_operational && places[i].ixlan)
			copy[kept++] = places[i];
	qsort(copy, kept, sizeof(*copy), compare_meeting);
	*ret_n = kept;
	return copy;
}

static bool is_same_group(const struct pdb_place *a, const struct pdb_place *b)
{
	return a->ixlan == b->ixlan && a->ip.family == b->ip.family;
}

int peeringdb_common(const struct peeringdb *p, uint32_t ours, uint32_t theirs,
		     peeringdb_pair_fn *fn, void *arg)
{
	size_t n_a, n_b, j = 0;
	_cleanup_free_ struct pdb_place *a = NULL, *b = NULL;

	if (!is_known(p, ours) || !is_known(p, theirs))
		return -ENODATA;
	a = meeting_places(p, ours, &n_a);
	b = meeting_places(p, theirs, &n_b);
	if (!a || !b)
		return -ENOMEM;
	for (size_t i = 0; i < n_a; i++) {
		struct location where = location_of(&a[i]);

		while (j < n_b && compare_meeting(&b[j], &a[i]) < 0 && !is_same_group(&b[j], &a[i]))
			j++;
		for (size_t k = j; k < n_b && is_same_group(&a[i], &b[k]); k++) {
			int r = fn(arg, &where, &a[i].ip, &b[k].ip);

			if (r)
				return r;
		}
	}
	return 0;
}
