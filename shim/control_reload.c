// SPDX-License-Identifier: Apache-2.0
/*
 * A reload: read and check everything, plan, give it to the workers, then program the kernel. Whole
 * or not at all: whatever fails, the old configuration is in force again, in the workers as well.
 *
 * The workers come first, so that a connection which the kernel steers anew finds its neighbor
 * there.
 */
#include "control_internal.h"

#include "ao.h"
#include "log.h"
#include "messages.h"
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <time.h>

struct reload {
	struct control *control;
	struct ctl_request *req;
	struct state next;
	struct plan *plan;
	struct jv *errors;
	struct jv *warnings;
	size_t n_errors;
	uint32_t id;
	uint64_t waiting; /* bit per worker whose answer is due */
	struct timer *deadline;
	struct errtext failure;
	int metrics_fd; /* the listener of another metrics-listen; -1: none, or the same */
	bool moves_metrics;
};

int check_credentials(const struct config *config, const struct files *files,
		      const struct files *in_force, config_report_fn *report, void *arg)
{
	struct credentials *credentials = NULL;
	int r = credentials_new(NULL, NULL, &credentials), bad = 0;

	for (size_t i = 0; r == 0 && i < config->n_neighbors; i++) {
		const struct neighbor_config *n = &config->neighbors[i];
		struct tls_ctx *ctx;
		struct errtext e;

		if (!neighbor_has_tls(n))
			continue;
		r = credentials_get(credentials, files, n, &ctx, &e);
		if (r == 0) {
			tls_ctx_unref(ctx);
		} else if (r == -EINVAL || r == -EKEYEXPIRED) {
			report(arg, n->origin, e.text);
			bad += r == -EINVAL || !in_force ||
			       !files_equal(files, in_force, n->identity.certificate);
			r = 0;
		}
	}
	credentials_free(credentials);
	return r < 0 ? r : bad;
}

static void on_problem(void *arg, const char *where, const char *text)
{
	struct reload *r = arg;
	struct jv *o = jv_object_new();

	r->n_errors++;
	jv_set_string(o, "where", where);
	jv_set_string(o, "text", text);
	jv_append(r->errors, o);
	log_error("%s: %s", where, text);
}

static void on_warning(void *arg, const char *where, const char *text)
{
	struct reload *r = arg;
	struct jv *o = jv_object_new();

	jv_set_string(o, "where", where);
	jv_set_string(o, "text", text);
	jv_append(r->warnings, o);
}

static void reload_free(struct reload *r)
{
	if (!r)
		return;
	state_done(&r->next);
	cleanup_close(&r->metrics_fd);
	plan_free(r->plan);
	jv_free(r->errors);
	jv_free(r->warnings);
	timer_free(r->deadline);
	free(r);
}

void control_reload_free(struct control *c)
{
	if (c->reload && c->reload->req)
		ctl_request_fail(c->reload->req, "botlsd is stopping", "the next start reads it");
	reload_free(TAKE(c->reload));
}

static void fail(struct reload *r, const char *error, const char *hint)
{
	struct jv *o;

	log_error("reload refused, nothing was changed: %s", error);
	if (!r->req)
		return;
	if (!r->n_errors) {
		ctl_request_fail(TAKE(r->req), error, hint);
		return;
	}
	o = jv_object_new();
	jv_set_bool(o, "ok", false);
	jv_set_string(o, "error", error);
	jv_set_string(o, "hint", hint);
	jv_set(o, "errors", TAKE(r->errors));
	ctl_request_answer(TAKE(r->req), o);
}

static struct jv *items_json(const struct plan *p)
{
	struct jv *a = jv_array_new();

	for (size_t i = 0; i < p->n_items; i++) {
		const struct plan_item *item = &p->items[i];
		const struct neighbor_config *n = item->after ? item->after : item->before;
		struct jv *o;

		if (item->action == PLAN_KEEP)
			continue;
		o = jv_object_new();
		jv_set_string(o, "neighbor", n->name);
		jv_set_string(o, "action", plan_action_name(item->action));
		jv_set_bool(o, "resets", item->resets);
		jv_set_string(o, "changed", item->changed);
		jv_append(a, o);
	}
	return a;
}

static void succeed(struct reload *r, bool applied)
{
	const struct plan *p = r->plan;
	struct jv *o;

	if (!r->req)
		return;
	o = jv_object_new();
	jv_set_bool(o, "applied", applied);
	jv_set_uint(o, "keep", p->n_keep);
	jv_set_uint(o, "change", p->n_change);
	jv_set_uint(o, "add", p->n_add);
	jv_set_uint(o, "drop", p->n_drop);
	jv_set_uint(o, "resets", p->n_resets);
	jv_set(o, "items", items_json(p));
	jv_set_string(o, "globals_changed", p->globals_changed);
	jv_set(o, "warnings", TAKE(r->warnings));
	ctl_request_answer(TAKE(r->req), o);
}

/* A listener that cannot be had refuses the reload. */
static bool open_metrics(struct reload *r)
{
	const char *before = r->control->now.config->metrics_listen;
	const char *after = r->next.config->metrics_listen;
	struct errtext e = {};

	r->moves_metrics = strcmp(before ? before : "", after ? after : "") != 0;
	if (!r->moves_metrics || control_metrics_open(r->next.config, &r->metrics_fd, &e) == 0)
		return true;
	fail(r, e.text, "choose another metrics-listen");
	return false;
}

/* Reads and checks the new configuration. False: the reason has been told. */
static bool prepare(struct reload *r)
{
	struct control *c = r->control;
	const struct ao_report ao = {on_problem, on_warning, r};
	char text[320];
	struct config *config;
	int e;

	e = config_load(c->now.config->path, on_problem, r, &config);
	if (e == 0)
		e = state_init(&r->next, config);
	if (e == 0) {
		int unread = files_read(r->next.files, r->next.config, on_problem, r);

		e = unread < 0 ? unread : unread > 0 ? -EINVAL : 0;
	}
	if (e == 0) {
		int bad = check_credentials(r->next.config, r->next.files, c->now.files, on_problem,
					    r);

		e = bad < 0 ? bad : bad > 0 ? -EINVAL : 0;
	}
	if (e == 0 && ao_report(r->next.config, c->now.config, c->tls.has_ao, time(NULL), &ao))
		e = -EINVAL;
	if (e == 0)
		e = plan_make(c->now.config, r->next.config, time(NULL), &r->plan);
	if (e < 0) {
		snprintf(text, sizeof(text), "%zu problem%s in the configuration", r->n_errors,
			 r->n_errors == 1 ? "" : "s");
		fail(r, r->n_errors ? text : strerror(-e),
		     r->n_errors ? "correct them and reload again" : NULL);
		return false;
	}
	control_ao_plan(c, r->plan);
	if (r->plan->needs_restart[0]) {
		snprintf(text, sizeof(text), "a reload cannot change: %s", r->plan->needs_restart);
		fail(r, text, "restart botlsd (systemctl restart botlsd)");
		return false;
	}
	return open_metrics(r);
}

/* What is known of a neighbor now goes on being true. */
static void carry_over(struct reload *r)
{
	const struct state *old = &r->control->now;

	for (size_t i = 0; i < r->plan->n_items; i++) {
		const struct plan_item *item = &r->plan->items[i];

		const struct peer *before;
		struct peer *after;

		if (!item->before || !item->after)
			continue;
		before = &old->peers[item->before - old->config->neighbors];
		after = &r->next.peers[item->after - r->next.config->neighbors];
		if (item->after->mode == MODE_PREFERRED)
			*after = *before;
		after->ao_rest = before->ao_rest;
		after->ao_had_rest = before->ao_had_rest;
		after->ao_since = before->ao_since;
		after->ao_warned = before->ao_warned;
		after->ao_ask_after = before->ao_ask_after;
		after->ao_wrong = before->ao_wrong;
	}
	control_resolve(r->control, &r->next);
}

static void finish(struct reload *r)
{
	struct control *c = r->control;

	c->reload = NULL;
	notify_ready();
	reload_free(r);
	control_ao_follow(c);
	if (c->reload_again) {
		c->reload_again = false;
		control_reload(c, NULL, false);
	}
}

static void roll_back(struct reload *r)
{
	struct control *c = r->control;
	struct errtext e = {};

	ctlserver_set_group(c->ctl, c->now.config->control_group, NULL);
	if (tls_listeners_set_keys(&c->tls, r->next.config, c->now.config, time(NULL), &e) < 0)
		log_error("%s", e.text);
	for (size_t i = 0; i < c->n_children; i++)
		control_give(c, c->children[i]);
	fail(r, r->failure.text, NULL);
	finish(r);
}

static void adopt_globals(const struct config *config)
{
	static const enum log_level levels[] = {
		[CONFIG_LOG_ERROR] = LOG_LEVEL_ERROR,
		[CONFIG_LOG_WARNING] = LOG_LEVEL_WARNING,
		[CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
		[CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};

	log_set_level(levels[config->log_level]);
}

/* The listeners that steering had before and has now are the same? */
static bool same_listeners(const int *before, size_t n_before, const int *now, size_t n_now)
{
	return n_before == n_now && memcmp(before, now, n_now * sizeof(*now)) == 0;
}

/* Workers have no secrets: that one of them is another, only control knows. */
static void reset_rekeyed(struct control *c, const struct plan *p)
{
	for (size_t i = 0; i < p->n_items; i++) {
		const struct plan_item *item = &p->items[i];

		for (size_t k = 0; item->rekeys && item->resets && k < c->n_children; k++)
			child_send(c->children[k], MSG_RESET, 0, item->after->name,
				   strlen(item->after->name), -1);
	}
}

static void commit(struct reload *r)
{
	struct control *c = r->control;
	struct state old = c->now;
	size_t n_before, n_now;
	const int *now = steering_listeners(c->steering, &n_before);
	_cleanup_free_ int *before = malloc((n_before + 1) * sizeof(int));
	bool same;

	if (!before) {
		errtext_set(&r->failure, 0, "out of memory");
		roll_back(r);
		return;
	}
	memcpy(before, now, n_before * sizeof(int));
	carry_over(r);
	if (control_steer(c, &r->next, &r->failure) < 0) {
		roll_back(r);
		return;
	}
	c->now = r->next;
	r->next = (struct state){};
	c->generation++;
	c->loaded = time(NULL);
	if (old.config->log_level != c->now.config->log_level)
		adopt_globals(c->now.config);
	now = steering_listeners(c->steering, &n_now);
	same = same_listeners(before, n_before, now, n_now);
	for (size_t i = 0; i < c->n_children; i++) {
		child_send(c->children[i], MSG_LOG_LEVEL, log_get_level(), NULL, 0, -1);
		if (!same)
			control_give(c, c->children[i]);
	}
	reset_rekeyed(c, r->plan);
	control_handover_fallback(c);
	log_info("reloaded: %zu kept, %zu changed, %zu added, %zu dropped, %zu reset",
		 r->plan->n_keep, r->plan->n_change, r->plan->n_add, r->plan->n_drop,
		 r->plan->n_resets);
	succeed(r, true);
	control_gathers_renew(c);
	control_captures_recheck(c);
	control_metrics_renew(c);
	if (r->moves_metrics)
		control_metrics_listen(c, TAKE_FD(r->metrics_fd));
	control_warn_expiry(c);
	control_ao_reloaded(c, r->plan);
	finish(r); /* the plan borrows from the old configuration */
	state_done(&old);
}

void control_on_applied(struct control *c, struct child *child, uint32_t id, const char *error)
{
	struct reload *r = c->reload;
	uint64_t bit = 1ULL << child_number(child);

	/* Batches of no reload (a worker that started, a roll back) have id 0. */
	if (error && id == 0 && child_pid(child)) {
		log_error("worker %u refuses its configuration, starting another: %s",
			  child_number(child), error);
		control_end_worker(child);
		return;
	}
	if (!r || (id != r->id && child_pid(child)))
		return;
	/* One that dies after its answer is started again with the old configuration: the plan is
	 * off as well. */
	if (error)
		errtext_set(&r->failure, 0, "worker %u: %s", child_number(child), error);
	r->waiting &= ~bit;
	if (r->waiting)
		return;
	if (r->failure.text[0])
		roll_back(r);
	else
		commit(r);
}

static void on_deadline(void *arg)
{
	struct reload *r = arg;

	errtext_set(&r->failure, 0, "a worker did not answer within %" PRIu64 " s",
		    r->control->apply_wait_ms / 1000);
	roll_back(r);
}

static void send_to_workers(struct reload *r)
{
	struct control *c = r->control;

	if (ctlserver_set_group(c->ctl, r->next.config->control_group, &r->failure) < 0 ||
	    tls_listeners_set_keys(&c->tls, c->now.config, r->next.config, time(NULL),
				   &r->failure) < 0) {
		ctlserver_set_group(c->ctl, c->now.config->control_group, NULL);
		fail(r, r->failure.text, NULL);
		finish(r);
		return;
	}
	if (timer_new(c->loop, on_deadline, r, &r->deadline) < 0 ||
	    timer_set_ms(r->deadline, c->apply_wait_ms) < 0)
		errtext_set(&r->failure, 0, "out of memory");
	r->id = ++c->last_id;
	for (size_t i = 0; i < c->n_children; i++) {
		/* One that is dead now gets the configuration when it starts: too late for this
		 * plan, so it is refused. */
		if (control_send_batch(c, c->children[i], &r->next, r->id) < 0)
			errtext_set(&r->failure, 0, "worker %u cannot be reached now",
				    child_number(c->children[i]));
		else
			r->waiting |= 1ULL << child_number(c->children[i]);
	}
	if (r->failure.text[0])
		roll_back(r);
}

void control_reload(struct control *c, struct ctl_request *req, bool dry_run)
{
	struct reload *r;

	if (c->reload) {
		/* A signal has nobody to tell: what it came for was written after the files were
		 * read. */
		if (req)
			ctl_request_fail(req, "a reload is in progress", "try again in a moment");
		else
			c->reload_again = true;
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		if (req)
			ctl_request_fail(req, "out of memory",
					 "this router is short of it: try again");
		return;
	}
	r->control = c;
	r->req = req;
	r->metrics_fd = -1;
	r->errors = jv_array_new();
	r->warnings = jv_array_new();
	if (!prepare(r)) {
		reload_free(r);
		return;
	}
	if (dry_run) {
		succeed(r, false);
		reload_free(r);
		return;
	}
	c->reload = r;
	notify_reloading();
	send_to_workers(r);
}
