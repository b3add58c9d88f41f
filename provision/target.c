// SPDX-License-Identifier: Apache-2.0
/* The interface: hands every call to the kind of program that the target is. */
#include "target_internal.h"

void target_free(struct target *t)
{
	if (t)
		t->ops->free(t);
}

const char *target_name(const struct target *t)
{
	return t->name;
}

const char *target_file(const struct target *t)
{
	return t->file;
}

bool target_is_shim(const struct target *t)
{
	return t->is_shim;
}

int target_render(const struct target *t, const struct owned *const *sessions, size_t n,
		  char **ret_text, struct errtext *e)
{
	return t->ops->render(t, sessions, n, ret_text, e);
}

int target_read(const struct target *t, char **ret_text, struct errtext *e)
{
	return t->ops->read(t, ret_text, e);
}

int target_write(struct target *t, const char *text, struct errtext *e)
{
	return t->ops->write(t, text, e);
}

int target_check(struct target *t, struct errtext *e)
{
	return t->ops->check(t, e);
}

int target_load(struct target *t, const char *before, const char *text, struct errtext *e)
{
	return t->ops->load(t, before, text, e);
}

int target_observe(struct target *t, struct observation *ret)
{
	return t->ops->observe(t, ret);
}

void observation_done(struct observation *o)
{
	free(o->items);
	*o = (struct observation){};
}

const struct observed *observation_find(const struct observation *o, const char *neighbor)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->items[i].neighbor, neighbor) == 0)
			return &o->items[i];
	return NULL;
}
