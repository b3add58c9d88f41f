// SPDX-License-Identifier: Apache-2.0
/* What is asked for; ctl_list.c, ctl_neighbor.c and ctl_session.c print it. */
#include "ctl.h"

static enum ctl_exit print_one(const struct ctl *c, const struct jv_cursor *at, const char *name)
{
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	struct jv_cursor neighbor = jv_read_item(&neighbors, 0);

	if (jv_bad(at))
		return CTL_OK; /* the caller looks */
	if (!neighbor.value) {
		text_complain("no neighbor %s; 'botlsctl show' lists them", name);
		return CTL_NO;
	}
	ctl_print_neighbor(c, &neighbor);
	return CTL_OK;
}

static bool is_wanted(const struct ctl_filter *f, const struct jv *session)
{
	return f->session < 0 || jv_get_int(session, "id", -1) == f->session;
}

/* {"ok": true, "sessions": [...]}, each with its "neighbor"; or NULL: out of memory. */
static struct jv *sessions_only(const struct jv_cursor *at, const struct ctl_filter *f)
{
	_cleanup_jv_ struct jv *o = jv_object_new();
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	struct jv *list = jv_array_new();
	int r = jv_set_bool(o, "ok", true);

	for (size_t i = 0; i < jv_size(neighbors.value); i++) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, i);
		const struct jv *sessions = jv_get(neighbor.value, "sessions");

		for (size_t k = 0; ctl_filter_fits(f, &neighbor) && k < jv_size(sessions); k++) {
			struct jv *session = jv_copy(jv_at(sessions, k));

			if (!is_wanted(f, session)) {
				jv_free(session);
				continue;
			}
			r |= jv_set_string(session, "neighbor",
					   jv_get_string(neighbor.value, "name", NULL));
			r |= jv_append(list, session);
		}
	}
	r |= jv_set(o, "sessions", list);
	return r ? NULL : TAKE(o);
}

/* The answer without the neighbors that do not fit. */
static int keep_fitting(struct jv *answer, const struct jv_cursor *at, const struct ctl_filter *f)
{
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	struct jv *list = jv_array_new();
	int r = 0;

	for (size_t i = 0; i < jv_size(neighbors.value); i++) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, i);

		if (ctl_filter_fits(f, &neighbor))
			r |= jv_append(list, jv_copy(neighbor.value));
	}
	if (r) {
		jv_free(list);
		return r;
	}
	return jv_set(answer, "neighbors", list);
}

static enum ctl_exit print_json(struct jv *answer, const struct jv_cursor *at,
				const struct ctl_filter *f)
{
	_cleanup_jv_ struct jv *sessions = NULL;

	if (f->wants_sessions) {
		enum ctl_exit code;

		sessions = sessions_only(at, f);
		code = ctl_print_json(sessions);
		if (code == CTL_OK && f->session >= 0 && !jv_size(jv_get(sessions, "sessions")))
			code = CTL_NO;
		return code;
	}
	if ((f->state || f->mode) && keep_fitting(answer, at, f) < 0)
		return ctl_print_json(NULL);
	return ctl_print_json(answer);
}

enum ctl_exit ctl_show(const struct ctl *c, int argc, char **argv)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct errtext problem;
	struct ctl_filter f;
	struct jv_cursor at;
	enum ctl_exit code;

	code = ctl_filter_parse("show", argc, argv, &f);
	if (code)
		return code;
	code = ctl_get(c, ctl_request("show", "neighbor", f.neighbor), &answer);
	if (code)
		return code;
	at = jv_enter(answer, &problem);
	if (c->json)
		return print_json(answer, &at, &f);
	if (f.wants_sessions)
		code = ctl_print_sessions(c, &at, &f);
	else if (f.neighbor && !f.state && !f.mode)
		code = print_one(c, &at, f.neighbor);
	else
		code = ctl_print_list(c, &at, &f);
	return jv_bad(&at) ? ctl_understood(&problem) : code;
}
