// SPDX-License-Identifier: Apache-2.0
/* Which sessions a file holds, what was observed, and lines of text. */
#include "target_internal.h"
#include "text.h"
#include "wipe.h"

#include <errno.h>

static bool is_safe(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '"' || *s == '\\')
			return false;
	return true;
}

static bool is_safe_value(const struct jv *v)
{
	for (size_t i = 0; jv_is_array(v) && i < jv_size(v); i++)
		if (!is_safe(jv_string(jv_at(v, i), "")))
			return false;
	return is_safe(jv_string(v, ""));
}

static int check(const struct owned *o, struct selected *ret, struct errtext *e)
{
	struct errtext problem = {};

	*ret = (struct selected){.mapping = o->mapping,
				 .neighbor = jv_get_string(o->mapping, "neighbor", NULL),
				 .phase = o->phase};
	if (!ret->neighbor)
		return errtext_set(e, -EINVAL, "a mapping without a neighbor");
	if (addr_parse(ret->neighbor, &ret->address, &problem) < 0)
		return errtext_set(e, -EINVAL, "neighbor %.60s: %s", ret->neighbor, problem.text);
	for (struct jv_iter it = {}; jv_next(o->mapping, &it);)
		if (!is_safe_value(it.value))
			return errtext_set(e, -EINVAL,
					   "neighbor %s: %s holds a quote, a backslash or a "
					   "control character, which no file can hold",
					   ret->neighbor, it.key);
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct selected *x = a, *y = b;

	if (x->address.family != y->address.family)
		return x->address.family == AF_INET ? -1 : 1;
	return memcmp(x->address.bytes, y->address.bytes, sizeof(x->address.bytes));
}

int target_select(const struct owned *const *sessions, size_t n, const char *daemon,
		  struct selected **ret, size_t *ret_n, struct errtext *e)
{
	_cleanup_free_ struct selected *items = calloc(n ? n : 1, sizeof(*items));
	size_t m = 0;
	int r;

	if (!items)
		return errtext_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const char *of = jv_get_string(sessions[i]->mapping, "daemon", "");

		if (sessions[i]->phase == PHASE_GONE || (daemon && strcmp(of, daemon) != 0))
			continue;
		r = check(sessions[i], &items[m++], e);
		if (r < 0)
			return r;
	}
	qsort(items, m, sizeof(*items), by_address);
	for (size_t i = 1; i < m; i++)
		if (by_address(&items[i - 1], &items[i]) == 0)
			return errtext_set(e, -EINVAL, "neighbor %s: there are two mappings",
					   items[i].neighbor);
	*ret = TAKE(items);
	*ret_n = m;
	return 0;
}

int observation_add(struct observation *o, const char *neighbor, struct observed **ret)
{
	struct addr address;
	struct observed *item;

	if (addr_parse(neighbor, &address, NULL) < 0 || addr_is_prefix(&address))
		return -EINVAL;
	if ((o->n & (o->n - 1)) == 0) {
		size_t room = o->n ? 2 * o->n : 1;
		struct observed *more = reallocarray(o->items, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		o->items = more;
	}
	item = &o->items[o->n++];
	*item = (struct observed){};
	addr_format(&address, item->neighbor);
	*ret = item;
	return 0;
}

int target_observe_by(struct target *t,
		      int (*ask)(struct target *t, struct observation *ret, struct errtext *e),
		      struct observation *ret)
{
	struct observation seen = {.is_running = true};
	struct errtext e = {};
	int r;

	r = ask(t, &seen, &e);
	if (r < 0)
		observation_done(&seen);
	if (r == -ENOMEM)
		return r;
	text_copy(seen.problem, sizeof(seen.problem), e.text);
	*ret = seen;
	return 0;
}

int target_parse_json(const char *output, size_t len, struct jv **ret, struct errtext *e)
{
	struct errtext problem;
	int r;

	r = jv_parse(output, len, ret, &problem);
	if (r < 0)
		text_copy(e->text, sizeof(e->text), problem.text);
	return r == 0 || r == -ENOMEM ? r : -EPROTO;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_name(struct names *n, char *name)
{
	if (n->n % 64 == 0) {
		const char **more = reallocarray(n->items, n->n + 64, sizeof(*more));

		if (!more)
			return -ENOMEM;
		n->items = more;
	}
	name[strcspn(name, " \t\"{\n")] = '\0';
	if (name[0])
		n->items[n->n++] = name;
	return 0;
}

int names_find(const char *text, const char *prefix, struct names *ret)
{
	_cleanup_names_ struct names found = {.text = strdup(text ? text : "")};
	int r = found.text ? 0 : -ENOMEM;
	for (char *line = found.text, *next; !r && line; line = next) {
		/* before the name is cut off where it ends */
		next = strchr(line, '\n');
		next = next ? next + 1 : NULL;
		if (strncmp(line, prefix, strlen(prefix)) == 0)
			r = add_name(&found, line + strlen(prefix));
	}
	if (r < 0)
		return r;
	if (found.n)
		qsort(found.items, found.n, sizeof(*found.items), by_name);
	*ret = found;
	found = (struct names){};
	return 0;
}

bool names_have(const struct names *n, const char *name)
{
	return n->n && bsearch(&name, n->items, n->n, sizeof(*n->items), by_name);
}

void names_done(struct names *n)
{
	wipe_free(n->text);
	free(n->items);
	*n = (struct names){};
}

const char *target_next_line(const char **text, size_t *ret_len)
{
	const char *line = *text, *end;

	if (!*line)
		return NULL;
	end = strchrnul(line, '\n');
	*text = *end ? end + 1 : end;
	*ret_len = end - line;
	return line;
}

const char *target_line_beginning(const char *line, size_t len, char *buf, size_t size)
{
	const char *from = line, *end = line + len;
	char words[160] = "";

	for (int n = 0; n < 4; n++) {
		const char *word;
		size_t used = strlen(words);

		while (from < end && strchr(" \t\r", *from))
			from++;
		word = from;
		while (from < end && !strchr(" \t\r", *from))
			from++;
		if (word == from)
			break;
		snprintf(words + used, sizeof(words) - used, "%s%.*s", n ? " " : "",
			 n < 3 ? (int)(from - word) : 3, n < 3 ? word : "...");
	}
	text_copy(buf, size, words);
	return buf;
}
