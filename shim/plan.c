// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include "ao.h"
#include "config_schema.h"

#include <errno.h>

/* Appends ", name"; what does not fit becomes "...". */
static void add_name(char *list, size_t size, const char *name)
{
	size_t n = strlen(list), room = size - n;
	static const char more[] = ", ...";

	if (n >= sizeof(more) && !strcmp(list + n - sizeof(more) + 1, more))
		return;
	if (strlen(name) + 2 + sizeof(more) <= room)
		snprintf(list + n, room, "%s%s", n ? ", " : "", name);
	else
		snprintf(list + n, room, "%s", more);
}

/* A key and its file fill one field: the name of the key stands for both. */
static bool differs(const struct conf_option *o, const void *before, const void *after)
{
	return o->type != CONF_SECRET_FILE && !conf_equal(o, before, after);
}

static bool resets(const struct conf_option *o, const void *before, const void *after)
{
	switch ((enum config_effect)o->effect) {
	case EFFECT_RESET: return true;
	case EFFECT_TIGHTEN: return !config_is_wider(o, after, before);
	case EFFECT_LATER:
	case EFFECT_RESTART: break;
	}
	return false;
}

static void compare_globals(struct plan *p, const struct config *old, const struct config *new)
{
	for (size_t i = 0; i < config_schema.n_options; i++) {
		const struct conf_option *o = &config_schema.options[i];

		if (o->scope != CONF_GLOBAL || !differs(o, old, new))
			continue;
		if (o->effect == EFFECT_RESTART)
			add_name(p->needs_restart, sizeof(p->needs_restart), o->name);
		else
			add_name(p->globals_changed, sizeof(p->globals_changed), o->name);
	}
}

/* Keys come and go under a session; another one in the place of that which it uses cannot. */
static void compare_ao(struct plan_item *item, uint64_t now)
{
	struct keychain before = ao_chain(item->before), after = ao_chain(item->after);

	if (!ao_is_wanted(item->before) || !ao_is_wanted(item->after))
		return;
	/* They may have gone without until now. */
	item->resets |= ao_is_opportunistic(item->before) && !ao_is_opportunistic(item->after);
	if (before.name && after.name && !strcmp(before.name, after.name) &&
	    !keychain_equal(&before, &after)) {
		item->action = PLAN_CHANGE;
		add_name(item->changed, sizeof(item->changed), "tcp-ao-chain");
	}
	if (!keychain_breaks(&before, &after, now))
		return;
	item->replaces_key = !item->resets;
	item->resets = item->rekeys = true;
}

static void compare_neighbor(struct plan_item *item, uint64_t now)
{
	const struct neighbor_config *before = item->before, *after = item->after;

	item->action = PLAN_KEEP;
	for (size_t i = 0; i < config_schema.n_options; i++) {
		const struct conf_option *o = &config_schema.options[i];

		if (!(o->scope & SCOPE_NEIGHBOR) || !differs(o, before, after))
			continue;
		item->action = PLAN_CHANGE;
		item->resets |= resets(o, before, after);
		item->rekeys |= conf_is_secret(o);
		add_name(item->changed, sizeof(item->changed), o->name);
	}
	compare_ao(item, now);
	if (before->mode == MODE_OFF && after->mode == MODE_OFF)
		item->resets = false;
}

static void add_item(struct plan *p, const struct neighbor_config *before,
		     const struct neighbor_config *after, uint64_t now)
{
	struct plan_item *item = &p->items[p->n_items++];

	item->before = before;
	item->after = after;
	if (!before) {
		item->action = PLAN_ADD;
	} else if (!after) {
		item->action = PLAN_DROP;
		item->resets = before->mode != MODE_OFF;
	} else {
		compare_neighbor(item, now);
	}
	switch (item->action) {
	case PLAN_KEEP: p->n_keep++; break;
	case PLAN_CHANGE: p->n_change++; break;
	case PLAN_ADD: p->n_add++; break;
	case PLAN_DROP: p->n_drop++; break;
	}
	p->n_resets += item->resets;
}

int plan_make(const struct config *old, const struct config *new, uint64_t now,
	      struct plan **ret_plan)
{
	size_t n_old = old ? old->n_neighbors : 0, n_new = new->n_neighbors;
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->items = calloc(n_old + n_new + 1, sizeof(*p->items));
	if (!p->items) {
		free(p);
		return -ENOMEM;
	}
	for (size_t i = 0, j = 0; i < n_old || j < n_new;) {
		const struct neighbor_config *before = i < n_old ? &old->neighbors[i] : NULL;
		const struct neighbor_config *after = j < n_new ? &new->neighbors[j] : NULL;
		int r = !before	 ? 1
			: !after ? -1
				 : config_compare_addresses(&before->address, &after->address);

		add_item(p, r <= 0 ? before : NULL, r >= 0 ? after : NULL, now);
		i += r <= 0;
		j += r >= 0;
	}
	if (old)
		compare_globals(p, old, new);
	*ret_plan = p;
	return 0;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->items);
	free(p);
}

const char *plan_action_name(enum plan_action a)
{
	switch (a) {
	case PLAN_KEEP: return "keep";
	case PLAN_CHANGE: return "change";
	case PLAN_ADD: return "add";
	case PLAN_DROP: return "drop";
	}
	return "?";
}
