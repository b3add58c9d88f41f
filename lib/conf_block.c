// SPDX-License-Identifier: Apache-2.0
/* Blocks of settings, and their way into the fields. */
#include "conf.h"
#include "secret.h"

#include <errno.h>

static void block_done(struct conf_block *b)
{
	for (size_t i = 0; i < b->n_settings; i++) {
		struct conf_setting *s = &b->settings[i];

		for (size_t j = 0; j < s->n_values; j++) {
			if (s->option->type == CONF_SECRET)
				secret_free(s->values[j]);
			else
				free(s->values[j]);
		}
		free(s->values);
	}
	free(b->settings);
	free(b->title);
}

void conf_blocks_done(struct conf_blocks *b)
{
	block_done(&b->globals);
	for (size_t i = 0; i < b->n_items; i++)
		block_done(&b->items[i]);
	free(b->items);
}

const struct conf_setting *conf_setting(const struct conf_block *b, const char *name)
{
	for (size_t i = 0; i < b->n_settings; i++)
		if (!strcmp(b->settings[i].option->name, name))
			return &b->settings[i];
	return NULL;
}

struct conf_place conf_place_of(const struct conf_block *b, const char *name)
{
	const struct conf_setting *s = conf_setting(b, name);

	return s ? (struct conf_place){b->begin.file, s->line} : b->begin;
}

bool conf_is_bad(const struct conf_block *b, const struct conf_block *globals, const char *name)
{
	const struct conf_setting *s = conf_setting(b, name);

	if (!s)
		s = conf_setting(globals, name);
	return s && s->is_bad;
}

/* What stands in `place` (the kind of the block, or NULL) fills the struct of `kind` (NULL: that
 * for what stands outside). */
static bool fills(const struct conf_schema *s, const struct conf_option *o,
		  const struct conf_kind *place, const struct conf_kind *kind)
{
	if (!kind)
		return o->scope == CONF_GLOBAL;
	if (place)
		return place == kind && (o->scope & conf_kind_scope(s, kind));
	return (o->scope & CONF_GLOBAL) && (o->scope & conf_kind_scope(s, kind));
}

static int apply_to(const struct conf_schema *s, struct conf_block *b, const struct conf_kind *kind,
		    void *base, const struct conf_context *ctx, struct conf_problems *p)
{
	for (size_t i = 0; i < b->n_settings; i++) {
		struct conf_setting *set = &b->settings[i];
		struct conf_place at = {b->begin.file, set->line};
		const struct conf_option *o = set->option;
		struct errtext e;
		int r;

		/* Rows of one name can each be a default, of another kind. */
		if (kind && !b->kind)
			o = conf_option(s, o->name, conf_kind_scope(s, kind));
		if (!o || !fills(s, o, b->kind, kind) || set->is_bad)
			continue;
		r = conf_set(o, base, ctx, set->values, set->n_values, &e);
		if (r == -ENOMEM)
			return r;
		if (r < 0) {
			set->is_bad = true;
			conf_problem(p, at, "%s", e.text);
		}
	}
	return 0;
}

int conf_apply(const struct conf_schema *s, struct conf_block *b, const struct conf_bases *to,
	       const struct conf_context *ctx, struct conf_problems *p)
{
	int r = 0;

	if (!b->kind)
		r = apply_to(s, b, NULL, to->globals, ctx, p);
	for (size_t i = 0; i < s->n_kinds && r == 0; i++)
		if (to->kinds[i] && (!b->kind || b->kind == &s->kinds[i]))
			r = apply_to(s, b, &s->kinds[i], to->kinds[i], ctx, p);
	return r;
}

int conf_apply_initial(const struct conf_schema *s, const struct conf_bases *to)
{
	for (size_t i = 0; i < s->n_options; i++) {
		const struct conf_option *o = &s->options[i];
		int r = 0;

		if (o->scope == CONF_GLOBAL)
			r = conf_set_initial(o, to->globals);
		for (size_t k = 0; k < s->n_kinds && r == 0; k++)
			if (o->scope & CONF_KIND(k))
				r = conf_set_initial(o, to->kinds[k]);
		if (r < 0)
			return r;
	}
	return 0;
}

int conf_inherit(const struct conf_schema *s, const struct conf_kind *k, void *to, const void *from)
{
	for (size_t i = 0; i < s->n_options; i++) {
		const struct conf_option *o = &s->options[i];
		int r;

		/* it fills the field of the secret */
		if (!(o->scope & conf_kind_scope(s, k)) || o->type == CONF_SECRET_FILE)
			continue;
		r = conf_copy(o, to, from);
		if (r < 0)
			return r;
	}
	return 0;
}

void conf_done(const struct conf_schema *s, const struct conf_kind *k, void *base)
{
	for (size_t i = 0; i < s->n_options; i++) {
		const struct conf_option *o = &s->options[i];

		if (k ? o->scope & conf_kind_scope(s, k) : o->scope == CONF_GLOBAL)
			conf_clear(o, base);
	}
}
