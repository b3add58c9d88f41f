// SPDX-License-Identifier: Apache-2.0
#include "apply_internal.h"
#include "wipe.h"

#include <ctype.h>
#include <errno.h>

static const char *neighbor_of(const struct owned *o)
{
	return jv_get_string(o->mapping, "neighbor", "");
}

/* ---- sets of sessions ---- */

static int list(const struct owned *owned, size_t n, struct apply_sessions *ret)
{
	ret->n = 0;
	ret->items = calloc(n + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (owned[i].phase != PHASE_GONE)
			ret->items[ret->n++] = &owned[i];
	return 0;
}

/* All of `first`, and of `second` what is not in it. */
static int join(const struct apply_sessions *first, const struct apply_sessions *second,
		struct apply_sessions *ret)
{
	size_t i = 0, j = 0;

	ret->n = 0;
	ret->items = calloc(first->n + second->n + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	while (i < first->n || j < second->n) {
		int r = i == first->n	 ? 1
			: j == second->n ? -1
					 : strcmp(neighbor_of(first->items[i]),
						  neighbor_of(second->items[j]));

		if (r <= 0)
			ret->items[ret->n++] = first->items[i++];
		if (r == 0)
			j++;
		if (r > 0)
			ret->items[ret->n++] = second->items[j++];
	}
	return 0;
}

static int compare_session(const void *key, const void *item)
{
	return strcmp(key, neighbor_of(*(const struct owned *const *)item));
}

const struct owned *apply_find(const struct apply_sessions *s, const char *neighbor)
{
	const struct owned **o =
		s->n ? bsearch(neighbor, s->items, s->n, sizeof(*s->items), compare_session) : NULL;

	return o ? *o : NULL;
}

static bool is_in(const struct target *t, const struct owned *o)
{
	return target_is_shim(t) ||
	       !strcmp(jv_get_string(o->mapping, "daemon", ""), target_name(t));
}

/* ---- which addresses are in a text? ---- */

struct words {
	char *text;	    /* with a 0 behind each word */
	const char **items; /* sorted */
	size_t n;
};

static void words_done(struct words *w)
{
	wipe_free(w->text);
	free(w->items);
}
#define _cleanup_words_ __attribute__((cleanup(words_done)))

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The zone of a link-local address is a word of its own: templates write it in their own ways. */
static bool is_part(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == ':';
}

static int words_make(const char *text, struct words *ret)
{
	bool is_inside = false;

	*ret = (struct words){.text = strdup(text)};
	ret->items = calloc(strlen(text) / 2 + 1, sizeof(*ret->items));
	if (!ret->text || !ret->items)
		return -ENOMEM;
	for (char *c = ret->text; *c; c++) {
		if (is_part(*c) && !is_inside)
			ret->items[ret->n++] = c;
		is_inside = is_part(*c);
		if (!is_inside)
			*c = '\0';
	}
	qsort(ret->items, ret->n, sizeof(*ret->items), compare_words);
	return 0;
}

static bool words_have(const struct words *w, const char *neighbor)
{
	char host[ADDR_STRLEN];
	const char *key = host;

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(neighbor, "%"), neighbor);
	return bsearch(&key, w->items, w->n, sizeof(*w->items), compare_words);
}

/* ---- texts ---- */

static int render(const struct apply_place *x, const struct apply_sessions *s, char **ret,
		  struct errtext *e)
{
	return target_render(x->target, s->items, s->n, ret, e);
}

static bool is_known(const struct plan_seen *seen, const char *neighbor)
{
	size_t n;

	plan_seen_find(seen, neighbor, &n);
	return n;
}

/*
 * A daemon that does not follow what is owned, or whose file says something else (somebody's edit,
 * a crash), may have a neighbor that the shim is about to forget. It is first cut down to what the
 * shim, file and program, has now and will have next.
 */
static int make_reset(struct apply_run *run, struct apply_place *x, struct errtext *e)
{
	_cleanup_words_ struct words shim = {}, daemon = {};
	struct apply_sessions *s = &x->texts.reset_sessions;
	int r;

	if (!x->text || x->follows)
		return 0;
	s->items = calloc(run->all.n + 1, sizeof(*s->items));
	r = s->items ? words_make(run->places[0].text ?: "", &shim) : -ENOMEM;
	if (!r)
		r = words_make(x->text, &daemon);
	if (r < 0)
		return r;
	for (size_t i = 0; i < run->all.n; i++) {
		const char *neighbor = neighbor_of(run->all.items[i]);

		if (words_have(&shim, neighbor) && words_have(&daemon, neighbor) &&
		    is_known(&run->places[0].then, neighbor))
			s->items[s->n++] = run->all.items[i];
	}
	return render(x, s, &x->texts.reset, e);
}

static int make_shut(struct apply_run *run, struct apply_place *x, struct errtext *e)
{
	_cleanup_free_ const struct owned **going = calloc(run->before.n + 1, sizeof(*going));
	struct apply_sessions s = {.items = going};
	int r;

	if (!going)
		return -ENOMEM;
	for (size_t i = 0; i < run->before.n; i++) {
		const struct owned *o = run->before.items[i];
		const struct owned *then = apply_find(&run->after, neighbor_of(o));

		if (is_in(x->target, o) && !(then && is_in(x->target, then)))
			going[s.n++] = &run->shut[i];
	}
	x->texts.n_shut = s.n;
	if (!s.n)
		return 0;
	/* one that moves to another daemon is shut here and in no other place of this text */
	r = join(&s, &run->after, &x->texts.shut_sessions);
	return r < 0 ? r : render(x, &x->texts.shut_sessions, &x->texts.shut, e);
}

/* A target that does not run is left alone as long as its file is right. */
static bool is_following(const struct apply_run *run, struct apply_place *x)
{
	const struct apply_sessions *s = &run->before;
	char differs[256];

	x->follows = true;
	if (apply_needs(x, x->texts.owned))
		return false;
	return !x->then.is_running ||
	       (!run->was_unfinished &&
		!plan_target_has_foreign(&x->then, s->items, s->n, differs, sizeof(differs)) &&
		plan_target_follows(&x->then, s->items, s->n, differs, sizeof(differs)));
}

static int make_place(struct apply_run *run, size_t i, struct errtext *e)
{
	const struct plan_target *t = &run->a->targets[i];
	struct apply_place *x = &run->places[i];
	const struct apply_sessions none = {};
	int r;

	x->target = t->target;
	x->seen = t->seen;
	x->text = t->text ? strdup(t->text) : NULL;
	if (t->text && !x->text)
		return -ENOMEM;
	r = render(x, &none, &x->texts.none, e);
	if (!r)
		r = render(x, &run->before, &x->texts.owned, e);
	if (!r)
		r = render(x, &run->after, &x->texts.after, e);
	if (!r)
		r = plan_seen_make(t, &x->then);
	if (r < 0)
		return r;
	x->follows = is_following(run, x);
	if (i == 0)
		return render(x, &run->all, &x->texts.all, e);
	r = make_reset(run, x, e);
	return r < 0 ? r : make_shut(run, x, e);
}

int apply_make_texts(struct apply_run *run, struct errtext *e)
{
	const struct state *s = run->a->state;
	int r;

	run->places = calloc(run->a->n_targets + 1, sizeof(*run->places));
	r = run->places ? list(s->owned, s->n_owned, &run->before) : -ENOMEM;
	if (!r)
		r = list(run->plan->after, run->plan->n_after, &run->after);
	if (!r)
		r = join(&run->after, &run->before, &run->all);
	run->shut = r ? NULL : calloc(run->before.n + 1, sizeof(*run->shut));
	if (!run->shut)
		return -ENOMEM;
	for (size_t i = 0; i < run->before.n; i++) {
		run->shut[i] = *run->before.items[i];
		run->shut[i].phase = PHASE_SHUT;
	}
	for (size_t i = 0; !r && i < run->a->n_targets; i++)
		r = make_place(run, i, e);
	return r;
}

void apply_texts_done(struct apply_run *run)
{
	for (size_t i = 0; run->places && i < run->a->n_targets; i++) {
		struct apply_place *x = &run->places[i];

		plan_seen_done(&x->then);
		wipe_free(x->text);
		wipe_free(x->texts.none);
		wipe_free(x->texts.owned);
		wipe_free(x->texts.reset);
		wipe_free(x->texts.all);
		wipe_free(x->texts.shut);
		wipe_free(x->texts.after);
		free(x->texts.reset_sessions.items);
		free(x->texts.shut_sessions.items);
	}
	for (size_t i = 0; i < run->n_undo; i++)
		wipe_free(run->undo[i].text);
	free(run->undo);
	free(run->places);
	free(run->shut);
	free(run->before.items);
	free(run->after.items);
	free(run->all.items);
}
