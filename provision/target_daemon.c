// SPDX-License-Identifier: Apache-2.0
/* What BIRD and FRR have in common: a file that is filled from a template. */
#include "target_internal.h"
#include "template.h"
#include "textbuf.h"
#include "wipe.h"

#include <errno.h>
#include <grp.h>

/* Who may read a file that may hold passwords: the daemon's own group. */
static int find_group(const struct daemon_settings *d, const char *usual, gid_t *ret,
		      struct errtext *e)
{
	const struct group *found = getgrnam(d->group ? d->group : usual);

	if (!found && d->group)
		return errtext_set(e, -ENOENT, "%s: there is no group '%s'", d->origin, d->group);
	*ret = found ? found->gr_gid : (gid_t)-1;
	return 0;
}

int daemon_target_new(const struct settings *s, const struct daemon_settings *d,
		      const struct target_ops *ops, const char *group, struct target **ret,
		      struct errtext *e)
{
	struct daemon_target *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return errtext_set(e, -ENOMEM, "out of memory");
	*t = (struct daemon_target){
		.target = {.ops = ops, .name = d->name, .file = d->file, .impl = t},
		.settings = s,
		.daemon = d,
	};
	r = find_group(d, group, &t->group, e);
	if (!r && d->template_file)
		r = target_file_slurp(d->template_file, TARGET_FILE_MAX, &t->template_text, e);
	if (r < 0) {
		free(t);
		return r;
	}
	*ret = &t->target;
	return 0;
}

const struct daemon_target *daemon_target_of(const struct target *t)
{
	return t->impl;
}

int daemon_target_read(const struct target *t, char **ret_text, struct errtext *e)
{
	return target_file_read(t->file, ret_text, e);
}

int daemon_target_write(struct target *t, const char *text, struct errtext *e)
{
	return target_file_write(t->file, text, 0640, daemon_target_of(t)->group, e);
}

void daemon_target_free(struct target *t)
{
	struct daemon_target *d = t->impl;

	free(d->template_text);
	free(d);
}

/* BIRD writes rs_client where FRR and we write rs-client. */
static int set_bird_role(struct jv *o)
{
	char role[32];

	snprintf(role, sizeof(role), "%s", jv_get_string(o, "role", "peer"));
	for (char *c = role; *c; c++)
		if (*c == '-')
			*c = '_';
	return jv_set_string(o, "bird_role", role);
}

/* One direction of a session, as route-maps have it. */
struct direction {
	const char *named; /* the operator's; NULL: nothing passes */
	bool is_in, drains, collects;
};

static bool is_wrapped(const struct direction *d)
{
	return d->named && (d->drains || d->collects);
}

/* The operator's, the one of ours that calls it, or the one that lets nothing pass. Sessions share
 * those of ours: each route-map makes FRR slower at changing any of them. */
static const char *route_map_name(const struct direction *d, char *buf, size_t size)
{
	if (!d->named)
		snprintf(buf, size, "botls_none");
	else if (!is_wrapped(d))
		snprintf(buf, size, "%s", d->named);
	else
		snprintf(buf, size, "botls%s%s_%s_%s", d->drains ? "_drain" : "",
			 d->collects ? "_collect" : "", d->is_in ? "in" : "out", d->named);
	return buf;
}

static int add_route_map(struct jv *list, const struct direction *d)
{
	struct jv *o;
	char name[160];
	int r;

	if (!is_wrapped(d))
		return 0;
	route_map_name(d, name, sizeof(name));
	for (size_t i = 0; i < jv_size(list); i++)
		if (strcmp(jv_get_string(jv_at(list, i), "name", ""), name) == 0)
			return 0;
	o = jv_object_new();
	r = jv_set_string(o, "name", name);
	r |= jv_set_string(o, "calls", d->named);
	r |= jv_set_bool(o, "last_choice", d->is_in && d->drains);
	r |= jv_set_bool(o, "no_advertise", d->is_in && d->collects);
	r |= jv_set_bool(o, "graceful_shutdown", !d->is_in && d->drains);
	return r | jv_append(list, o);
}

/* A mapping, and what a template cannot find out by itself. */
static struct jv *session_values(const struct selected *s, struct jv *route_maps)
{
	_cleanup_jv_ struct jv *o = jv_copy(s->mapping);
	bool is_active = s->phase == PHASE_ACTIVE;
	bool collects = jv_get_bool(o, "monitoring", false);
	struct direction in = {jv_get_string(o, "import", NULL), true, !is_active, collects};
	struct direction out = {collects ? NULL : jv_get_string(o, "export", NULL), false,
				!is_active, false};
	char name[160];
	int r;

	r = jv_set_bool(o, "active", is_active);
	r |= jv_set_bool(o, "draining", s->phase == PHASE_DRAINING);
	r |= jv_set_bool(o, "shut", s->phase == PHASE_SHUT);
	r |= jv_set_bool(o, "exports", out.named);
	r |= jv_set_bool(o, "wrap_in", is_wrapped(&in));
	r |= jv_set_bool(o, "wrap_out", is_wrapped(&out));
	r |= set_bird_role(o);
	r |= jv_set_string(o, "route_map_in", route_map_name(&in, name, sizeof(name)));
	r |= jv_set_string(o, "route_map_out", route_map_name(&out, name, sizeof(name)));
	r |= add_route_map(route_maps, &in);
	r |= add_route_map(route_maps, &out);
	return r < 0 ? NULL : TAKE(o);
}

static struct jv *values_of(const struct daemon_target *d, const struct selected *items, size_t n)
{
	_cleanup_jv_ struct jv *o = jv_object_new(), *sessions = jv_array_new(),
			       *route_maps = jv_array_new();
	int r = 0;

	for (size_t i = 0; i < n; i++)
		r |= jv_append(sessions, session_values(&items[i], route_maps));
	r |= jv_set_int(o, "asn", d->settings->asn);
	r |= jv_set_string(o, "daemon", d->daemon->name);
	r |= jv_set_string(o, "marker", TARGET_DESCRIPTION);
	r |= jv_set_string(o, "shutdown_message", TARGET_SHUTDOWN);
	r |= jv_set(o, "route_maps", TAKE(route_maps));
	r |= jv_set(o, "sessions", TAKE(sessions));
	return r < 0 ? NULL : TAKE(o);
}

static int fill(const struct daemon_target *d, const struct selected *items, size_t n,
		char **ret_text, struct errtext *e)
{
	_cleanup_jv_ struct jv *values = values_of(d, items, n);
	const char *builtin = d->daemon->kind == DAEMON_BIRD ? "bird" : "frr";

	if (!values)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (d->template_text)
		return template_fill(d->daemon->template_file, d->template_text, values, ret_text,
				     e);
	return template_fill(builtin, template_builtin(builtin), values, ret_text, e);
}

int daemon_target_render(const struct target *t, const struct owned *const *sessions, size_t n,
			 char **ret_text, struct errtext *e)
{
	_cleanup_free_ struct selected *items = NULL;
	_cleanup_textbuf_ struct textbuf whole = {};
	_cleanup_wiped_ char *text = NULL;
	char *result;
	size_t m;
	int r;

	r = target_select(sessions, n, t->name, &items, &m, e);
	if (!r && m)
		r = fill(daemon_target_of(t), items, m, &text, e);
	if (r < 0)
		return r;
	textbuf_printf(&whole, "%s%s", TARGET_HEADER, text ? text : "");
	result = textbuf_take(&whole);
	if (!result)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret_text = result;
	return 0;
}

int target_new_daemon(const struct settings *s, const struct daemon_settings *d,
		      struct target **ret, struct errtext *e)
{
	switch (d->kind) {
	case DAEMON_BIRD: return target_new_bird(s, d, ret, e);
	case DAEMON_FRR: return target_new_frr(s, d, ret, e);
	}
	return -EINVAL;
}
