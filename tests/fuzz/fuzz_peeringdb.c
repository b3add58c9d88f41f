// SPDX-License-Identifier: Apache-2.0
/*
 * What PeeringDB answers, or what somebody calls a dump of it. The first byte says how the rest is
 * given: 'd' as a dump, anything else as the body of every answer of the API. Whatever was
 * understood can be looked up, is printable, and is the same when it comes from the files in which
 * it was kept.
 */
#include "peeringdb.h"

#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static const uint32_t asns[] = {64500, 64502};
static const char *const addresses[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"};

static char folder[] = "/tmp/botls-fuzz-pdb-XXXXXX";

struct answer {
	const uint8_t *data;
	size_t size;
	bool is_down;
};

static int perform(void *arg, const struct http_request *q, struct http_response *ret,
		   struct errtext *e)
{
	struct answer *a = arg;
	char *body;

	if (a->is_down)
		return errtext_set(e, -ECONNREFUSED, "down");
	MUST(q->url && strlen(q->url) < 2000);
	body = malloc(a->size + 1);
	MUST(body);
	memcpy(body, a->data, a->size);
	body[a->size] = '\0';
	*ret = (struct http_response){
		.status = 200, .body = body, .len = a->size, .retry_after = -1};
	return 0;
}

static void must_be_printable(const char *s)
{
	for (size_t n; *s; s += n) {
		n = text_printable_at((const unsigned char *)s);
		MUST(n);
	}
}

struct seen {
	enum registration r[2][4];
	struct location where[2][4];
	struct peeringdb_network networks[2];
	int common;
	size_t n_pairs;
};

static int on_pair(void *arg, const struct location *where, const struct addr *ours,
		   const struct addr *theirs)
{
	struct seen *seen = arg;

	MUST(location_ix(where));
	MUST(ours->family == theirs->family && !addr_is_prefix(ours) && !addr_is_prefix(theirs));
	return ++seen->n_pairs == 1000 ? -ECANCELED : 0;
}

static struct seen look(const struct peeringdb *p)
{
	struct seen seen = {};

	for (size_t i = 0; i < ARRAY_SIZE(asns); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(addresses); k++) {
			struct location *where = &seen.where[i][k];
			struct addr a;

			MUST(addr_parse(addresses[k], &a, NULL) == 0);
			seen.r[i][k] = peeringdb_check(p, asns[i], &a, NULL, where);
			MUST(seen.r[i][k] != REGISTERED_ELSEWHERE);
			if (seen.r[i][k] == REGISTERED)
				MUST(peeringdb_check(p, asns[i], &a, where, NULL) == REGISTERED);
			MUST(registration_text(seen.r[i][k]));
		}
		seen.networks[i] = peeringdb_network(p, asns[i]);
		must_be_printable(seen.networks[i].name);
		must_be_printable(seen.networks[i].as_set);
		MUST(seen.networks[i].prefixes_4 <= 2000000);
	}
	seen.common = peeringdb_common(p, asns[0], asns[1], on_pair, &seen);
	return seen;
}

static void must_be_equal(const struct seen *a, const struct seen *b)
{
	MUST(memcmp(a->r, b->r, sizeof(a->r)) == 0);
	MUST(memcmp(a->where, b->where, sizeof(a->where)) == 0);
	MUST(a->n_pairs == b->n_pairs && a->common == b->common);
	for (size_t i = 0; i < ARRAY_SIZE(asns); i++) {
		MUST(strcmp(a->networks[i].name, b->networks[i].name) == 0);
		MUST(a->networks[i].prefixes_4 == b->networks[i].prefixes_4);
		MUST(a->networks[i].is_there == b->networks[i].is_there);
	}
}

static void give_as_dump(const uint8_t *data, size_t size)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	char path[32];
	struct settings s = {.path = "fuzz", .peeringdb = path};
	struct peeringdb *p;
	struct errtext e = {};

	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (peeringdb_new(&s, NULL, NULL, &p, &e) == 0) {
		look(p);
		MUST(peeringdb_load(p, asns, ARRAY_SIZE(asns), 1, &e) == 0);
		peeringdb_free(p);
	} else {
		MUST(e.text[0]);
	}
	close(fd);
}

static void give_as_answer(const uint8_t *data, size_t size)
{
	static time_t now = 1800000000; /* what earlier inputs left in the files is too old */
	struct answer answer = {data, size, false};
	struct settings s = {
		.path = "fuzz", .peeringdb = "https://pdb.example/api", .peeringdb_max_age = 60};
	struct http *http;
	struct peeringdb *p, *again;
	struct errtext e = {};
	struct seen before, after;
	int r;

	now += 30 * 24 * 3600;
	MUST(http_new_answered(perform, &answer, &http) == 0);
	MUST(peeringdb_new(&s, http, folder, &p, &e) == 0);
	r = peeringdb_load(p, asns, ARRAY_SIZE(asns), now, &e);
	MUST(r == 0 || e.text[0]);
	before = look(p);
	if (r == 0) {
		answer.is_down = true;
		MUST(peeringdb_new(&s, http, folder, &again, &e) == 0);
		peeringdb_load(again, asns, ARRAY_SIZE(asns), now + 120, &e);
		after = look(again);
		must_be_equal(&before, &after);
		peeringdb_free(again);
	}
	peeringdb_free(p);
	http_free(http);
}

static void clean_up(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	MUST(system(command) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	MUST(mkdtemp(folder));
	atexit(clean_up);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == 'd')
		give_as_dump(data + 1, size - 1);
	else if (size)
		give_as_answer(data + 1, size - 1);
	return 0;
}
