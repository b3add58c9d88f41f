// SPDX-License-Identifier: Apache-2.0
/*
 * What is asked of the API, and what is taken instead while it fails.
 *
 * A request is for many keys, but answers are kept for each key alone: a network that comes or goes
 * changes nothing for the others. The form with __in is used for a single key too, since "?asn=" is
 * answered with 404 when there is no such network, as a wrong URL is.
 */
#include "peeringdb_internal.h"

#include <errno.h>

#define URL_SIZE      2000
#define KEYS_MAX      100 /* of one request: a network that is at 300 exchanges takes 100 kB */
#define ANSWER_MAX    (16 << 20)
#define KEY_SIZE      1100 /* settings take no longer one than 1023 bytes */
#define TIMEOUT	      60
#define EXCHANGES_MAX 10000 /* PeeringDB has about 1,300 */

struct loading {
	struct peeringdb *p;
	time_t now;
	enum pdb_kind kind;
	/* What is new, unsorted; merged into the tables when one kind is complete. */
	struct pdb_table rows, answers;
	struct pdb_table gone; /* keys of which nothing is known any more */

	int failure;	       /* a request has failed: no more of them are made */
	struct errtext reason; /* why */
	time_t oldest;	       /* age of the oldest answer that was used instead */
	char lost[32];	       /* a key without any; empty: there is none */
	bool is_more_lost;
};

/* Age of what is in memory, -1: nothing is, or it is from a time that has not come yet. */
static time_t age_of(const struct loading *l, uint32_t key)
{
	const struct pdb_answer *a = pdb_table_find(&l->p->answers[l->kind], key, NULL);

	return a && a->when <= l->now ? l->now - a->when : -1;
}

static int take(struct loading *l, uint32_t key, time_t when, const struct pdb_table *rows)
{
	struct pdb_answer answer = {key, when};
	size_t n;
	const char *items = pdb_table_find(rows, key, &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = pdb_table_append(&l->rows, items + i * rows->size);
	return r < 0 ? r : pdb_table_append(&l->answers, &answer);
}

static int read_rows(const struct loading *l, const struct jv *answer, struct pdb_table *ret,
		     struct errtext *e)
{
	struct errtext problem;
	struct jv_cursor root = jv_enter(answer, &problem);
	struct jv_cursor array = jv_read_array(&root, "data");
	struct pdb_table rows = pdb_rows_new(l->kind);
	int r;

	if (!array.value)
		jv_complain(&array, NULL, "missing");
	r = pdb_rows_read(l->kind, &array, &rows);
	if (r == 0 && jv_bad(&root))
		r = errtext_set(e, -EBADMSG, "an answer that is not PeeringDB's: %s", problem.text);
	if (r < 0) {
		pdb_table_done(&rows);
		return r;
	}
	pdb_table_sort(&rows);
	*ret = rows;
	return 0;
}

/* From a file that was kept. -ENOENT: there is none that can be used. */
static int take_kept(struct loading *l, uint32_t key, time_t max_age, time_t *ret_age)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct pdb_table rows;
	time_t when;
	int r;

	r = pdb_cache_read(l->p, l->kind, key, l->now, max_age, &answer, &when);
	if (r < 0)
		return r;
	r = read_rows(l, answer, &rows, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	/* A file with nothing about an exchange is not written by us. */
	r = l->kind == PDB_IXPFX && !rows.n ? -ENOENT : take(l, key, when, &rows);
	pdb_table_done(&rows);
	if (r == 0)
		*ret_age = when < l->now ? l->now - when : 0;
	return r;
}

static void note_lost(struct loading *l, uint32_t key)
{
	char text[sizeof(l->lost)];

	snprintf(text, sizeof(text), "%s%u", l->kind == PDB_IXPFX ? "exchange " : "AS", key);
	if (l->lost[0])
		l->is_more_lost |= strcmp(l->lost, text) != 0;
	else
		strcpy(l->lost, text);
}

/* What is taken when the API does not answer, or has nothing to say where there must be something.
 */
static int fall_back(struct loading *l, uint32_t key)
{
	struct pdb_answer none = {key, 0};
	time_t age = age_of(l, key);
	int r = 0;

	if (age < 0 || age >= PEERINGDB_STALE_MAX)
		r = take_kept(l, key, PEERINGDB_STALE_MAX, &age);
	if (r == 0) {
		if (age > l->oldest)
			l->oldest = age;
		return 0;
	}
	if (r != -ENOENT)
		return r;
	if (l->failure)
		note_lost(l, key);
	return pdb_table_append(&l->gone, &none);
}

static int check_status(const struct peeringdb *p, const struct http_response *a, struct errtext *e)
{
	if (a->status == 200)
		return 0;
	if (a->status == 429)
		return errtext_set(e, -EBUSY, "HTTP 429: too many requests%s",
				   p->settings->peeringdb_key
					   ? ""
					   : " (with peeringdb-key more of them are allowed)");
	if (a->status >= 500)
		return errtext_set(e, -EBUSY, "HTTP %d", a->status);
	if (a->status == 401 || a->status == 403)
		return errtext_set(e, -EACCES, "HTTP %d: %s", a->status,
				   p->settings->peeringdb_key ? "it does not accept peeringdb-key"
							      : "it wants a key: set "
								"peeringdb-key");
	if (a->status >= 300 && a->status < 400)
		return errtext_set(e, -EPROTO, "HTTP %d to '%.80s': set peeringdb to where it is",
				   a->status, a->location);
	return errtext_set(e, -EPROTO, "HTTP %d: is peeringdb the base URL of its API?", a->status);
}

static int perform(const struct loading *l, const char *url, struct jv **ret, struct errtext *e)
{
	const struct settings *s = l->p->settings;
	_cleanup_http_response_ struct http_response answer = {};
	char authorization[KEY_SIZE];
	struct http_request q = {.method = "GET",
				 .url = url,
				 .ca = s->peeringdb_ca,
				 .allow_http = s->peeringdb_allow_http,
				 .timeout = TIMEOUT,
				 .body_max = ANSWER_MAX};
	int r;

	if (s->peeringdb_key) {
		if (snprintf(authorization, sizeof(authorization), "Api-Key %s",
			     s->peeringdb_key) >= (int)sizeof(authorization))
			return errtext_set(e, -EINVAL, "peeringdb-key is too long");
		q.authorization = authorization;
	}
	r = http_perform(l->p->http, &q, &answer, e);
	explicit_bzero(authorization, sizeof(authorization));
	if (r == 0)
		r = check_status(l->p, &answer, e);
	if (r < 0)
		return r;
	r = jv_parse(answer.body, answer.len, ret, e);
	return r == -EINVAL ? -EBADMSG : r;
}

/* Writes the URL for as many keys as it can hold. Returns their number. */
static size_t format_url(const struct loading *l, const uint32_t *keys, size_t n,
			 char url[static URL_SIZE])
{
	const struct pdb_kind_info *info = &pdb_kinds[l->kind];
	size_t len = snprintf(url, URL_SIZE, "%s/%s?%s__in=", l->p->base, info->name, info->key);
	size_t i;

	for (i = 0; i < n && i < KEYS_MAX && len < URL_SIZE - sizeof(",4294967295"); i++)
		len += snprintf(url + len, URL_SIZE - len, "%s%u", i ? "," : "", keys[i]);
	return i;
}

static int compare_keys(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The members that are used, of the rows of each key. */
static int group_rows(const struct loading *l, const struct jv *answer, const uint32_t *keys,
		      size_t n, struct jv **groups)
{
	const struct pdb_kind_info *info = &pdb_kinds[l->kind];
	const struct jv *data = jv_get(answer, "data");

	for (size_t i = 0; i < jv_size(data); i++) {
		const struct jv *row = jv_at(data, i);
		uint32_t key = jv_get_int(row, info->key, 0);
		const uint32_t *found = bsearch(&key, keys, n, sizeof(key), compare_keys);
		struct jv *copy;
		int r = 0;

		if (!found)
			continue;
		copy = jv_object_new();
		for (size_t m = 0; m < ARRAY_SIZE(info->members) && info->members[m]; m++)
			if (jv_get(row, info->members[m]))
				r |= jv_set(copy, info->members[m],
					    jv_copy(jv_get(row, info->members[m])));
		r |= jv_append(groups[found - keys], copy);
		if (r)
			return -ENOMEM;
	}
	return 0;
}

static int keep_answers(const struct loading *l, const struct jv *answer, const uint32_t *keys,
			size_t n, const struct pdb_table *rows)
{
	struct jv *groups[KEYS_MAX] = {};
	int r = 0, problem = 0;

	for (size_t i = 0; i < n; i++)
		if (!(groups[i] = jv_array_new()))
			r = -ENOMEM;
	if (r == 0)
		r = group_rows(l, answer, keys, n, groups);
	for (size_t i = 0; i < n; i++) {
		if (r == 0 && problem == 0 &&
		    (l->kind != PDB_IXPFX || pdb_table_find(rows, keys[i], NULL)))
			problem = pdb_cache_write(l->p, l->kind, keys[i], l->now, groups[i]);
		jv_free(groups[i]);
	}
	if (problem < 0 && problem != -ENOMEM)
		errtext_set(&l->p->notice, 0, "PeeringDB: answers cannot be kept in %s: %s",
			    l->p->folder, strerror(-problem));
	return problem == -ENOMEM ? -ENOMEM : r;
}

/* One request. Its failure is noted; -ENOMEM, -ECANCELED. */
static int ask(struct loading *l, const char *url, const uint32_t *keys, size_t n)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct pdb_table rows = pdb_rows_new(l->kind);
	int r;

	r = perform(l, url, &answer, &l->reason);
	if (r == 0)
		r = read_rows(l, answer, &rows, &l->reason);
	if (r == -ENOMEM || r == -ECANCELED)
		return r;
	if (r < 0) {
		l->failure = r;
		return 0;
	}
	r = keep_answers(l, answer, keys, n, &rows);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = l->kind == PDB_IXPFX && !pdb_table_find(&rows, keys[i], NULL)
			    ? fall_back(l, keys[i])
			    : take(l, keys[i], l->now, &rows);
	pdb_table_done(&rows);
	return r;
}

static int ask_all(struct loading *l, const uint32_t *keys, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n;) {
		char url[URL_SIZE];
		size_t taken = l->failure ? 0 : format_url(l, keys + i, n - i, url);

		if (!l->failure && !taken) {
			l->failure = -ENAMETOOLONG;
			errtext_set(&l->reason, 0, "its base URL is too long");
		}
		if (!l->failure)
			r = ask(l, url, keys + i, taken);
		if (l->failure)
			for (taken = 0; r == 0 && i + taken < n; taken++)
				r = fall_back(l, keys[i + taken]);
		i += taken;
	}
	return r;
}

/* Rows before answers: when memory ends in between, what has no answer counts as not known. */
static int merge(struct loading *l)
{
	struct pdb_table *rows = &l->p->rows[l->kind], *answers = &l->p->answers[l->kind];
	const struct pdb_table *const changed[] = {&l->answers, &l->gone};
	int r = 0;

	pdb_table_sort(&l->answers);
	pdb_table_sort(&l->gone);
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		pdb_table_remove(rows, changed[i]);
		pdb_table_remove(answers, changed[i]);
	}
	for (size_t i = 0; r == 0 && i < l->rows.n; i++)
		r = pdb_table_append(rows, l->rows.items + i * l->rows.size);
	for (size_t i = 0; r == 0 && i < l->answers.n; i++)
		r = pdb_table_append(answers, l->answers.items + i * l->answers.size);
	pdb_table_sort(rows);
	pdb_table_sort(answers);
	return r;
}

/* `keys`: sorted, none twice. */
static int load_kind(struct loading *l, enum pdb_kind kind, const uint32_t *keys, size_t n)
{
	_cleanup_free_ uint32_t *missing = malloc((n ? n : 1) * sizeof(*missing));
	time_t max_age = l->p->settings->peeringdb_max_age, age;
	size_t m = 0;
	int r = 0;

	if (!missing)
		return -ENOMEM;
	l->kind = kind;
	l->rows = pdb_rows_new(kind);
	l->answers = pdb_answers_new();
	l->gone = pdb_answers_new();
	for (size_t i = 0; i < n && (r == 0 || r == -ENOENT); i++) {
		age = age_of(l, keys[i]);
		if (age >= 0 && age < max_age)
			continue;
		r = take_kept(l, keys[i], max_age, &age);
		if (r == -ENOENT)
			missing[m++] = keys[i];
	}
	r = r == 0 || r == -ENOENT ? ask_all(l, missing, m) : r;
	if (r == 0)
		r = merge(l);
	pdb_table_done(&l->rows);
	pdb_table_done(&l->answers);
	pdb_table_done(&l->gone);
	return r;
}

static size_t sort_keys(uint32_t *keys, size_t n)
{
	size_t kept = 0;

	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < n; i++)
		if (!kept || keys[kept - 1] != keys[i])
			keys[kept++] = keys[i];
	return kept;
}

/* The prefixes of the exchanges at which these networks are. */
static int load_prefixes(struct loading *l, const uint32_t *asns, size_t n)
{
	const struct pdb_table *places = &l->p->rows[PDB_NETIXLAN];
	_cleanup_free_ uint32_t *ids = malloc((places->n + 1) * sizeof(*ids));
	size_t n_ids = 0;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t m;
		const struct pdb_place *place = pdb_table_find(places, asns[i], &m);

		for (size_t k = 0; k < m; k++)
			if (place[k].ixlan)
				ids[n_ids++] = place[k].ixlan;
	}
	n_ids = sort_keys(ids, n_ids);
	return n_ids > EXCHANGES_MAX ? -E2BIG : load_kind(l, PDB_IXPFX, ids, n_ids);
}

static int load_all(struct loading *l, uint32_t *asns, size_t n)
{
	int r;

	n = sort_keys(asns, n);
	r = load_kind(l, PDB_NETIXLAN, asns, n);
	if (r == 0)
		r = load_kind(l, PDB_NET, asns, n);
	return r < 0 ? r : load_prefixes(l, asns, n);
}

static const char *format_age(time_t age, char buf[static 32])
{
	if (age < 2 * 3600)
		snprintf(buf, 32, "%ld minutes", (long)age / 60);
	else
		snprintf(buf, 32, "%ld hours", (long)age / 3600);
	return buf;
}

/* How a load ended, in words. */
static int conclude(const struct loading *l, int r, struct errtext *e)
{
	char age[32];

	if (r == -ECANCELED)
		return errtext_set(e, r, "PeeringDB: cancelled");
	if (r == -E2BIG)
		return errtext_set(e, r, "PeeringDB: its answers are larger than they can be");
	if (r < 0)
		return errtext_set(e, r, "PeeringDB: %s", strerror(-r));
	if (l->lost[0])
		return errtext_set(e, l->failure,
				   "PeeringDB: %.140s; nothing that it said in the last 7 days is "
				   "kept of %s%s",
				   l->reason.text, l->lost, l->is_more_lost ? " and others" : "");
	if (l->failure)
		errtext_set(&l->p->notice, 0, "PeeringDB: %.180s: answers up to %s old are used",
			    l->reason.text, format_age(l->oldest, age));
	return 0;
}

static int reload_dump(struct peeringdb *p, struct errtext *e)
{
	const char *path = p->settings->peeringdb;
	struct stat st;

	if (stat(path, &st) < 0)
		return errtext_set(e, -errno, "%s: %m", path);
	if (st.st_ino == p->dump.st_ino && st.st_dev == p->dump.st_dev &&
	    st.st_size == p->dump.st_size && st.st_mtim.tv_sec == p->dump.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == p->dump.st_mtim.tv_nsec)
		return 0;
	return pdb_dump_read(p, e);
}

int peeringdb_load(struct peeringdb *p, const uint32_t *asns, size_t n, time_t now,
		   struct errtext *e)
{
	_cleanup_free_ uint32_t *copy = NULL;
	struct loading l = {.p = p, .now = now};

	p->notice.text[0] = '\0';
	if (!p->base)
		return reload_dump(p, e);
	copy = malloc((n + 1) * sizeof(*copy));
	if (!copy)
		return errtext_set(e, -ENOMEM, "PeeringDB: %s", strerror(ENOMEM));
	if (n)
		memcpy(copy, asns, n * sizeof(*copy));
	return conclude(&l, load_all(&l, copy, n), e);
}
