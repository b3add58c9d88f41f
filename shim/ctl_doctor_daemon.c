// SPDX-License-Identifier: Apache-2.0
/* botlsd itself: does it run, what it read, what it programmed. */
#include "ctl_doctor.h"

#include "botls/botls.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>

static void check_running(struct doctor *d)
{
	const char *version = jv_get_string(d->show, "version", "?");
	char up[TEXT_TIME_LEN];

	if (!d->show && access(d->c->socket, W_OK) < 0 && errno == EACCES) {
		doctor_say(d, DOCTOR_FAIL,
			   "run 'botlsctl doctor' as root: steering, guard and sessions were not "
			   "looked at",
			   "%s", d->unreachable.text);
		return;
	}
	if (!d->show) {
		doctor_say(d, DOCTOR_FAIL,
			   "start it ('systemctl start botlsd'); until then steering, guard and "
			   "sessions cannot be looked at, and required neighbors are unprotected "
			   "or closed",
			   "not reached: %s", d->unreachable.text);
		return;
	}
	doctor_say(d, DOCTOR_OK, NULL, "botlsd %s, process %" PRId64 ", for %s", version,
		   jv_get_int(d->show, "pid", 0),
		   ctl_ago(d->c, jv_get_int(d->show, "started", 0), up));
	if (strcmp(version, BOTLS_VERSION) != 0)
		doctor_say(d, DOCTOR_WARN, "systemctl restart botlsd",
			   "this is botlsctl " BOTLS_VERSION ": botlsd was not restarted since it "
			   "was installed");
}

static void check_workers(struct doctor *d)
{
	const struct jv *workers = jv_get(d->show, "workers");
	int64_t restarts = 0;

	if (!d->show)
		return;
	for (size_t i = 0; i < jv_size(workers); i++)
		restarts += jv_get_int(jv_at(workers, i), "restarts", 0);
	if (!jv_size(workers))
		doctor_say(d, DOCTOR_FAIL, "see the log: journalctl -u botlsd",
			   "no worker answers");
	else if (restarts)
		doctor_say(d, DOCTOR_WARN,
			   "each time its sessions were lost; the log says why: journalctl -u "
			   "botlsd",
			   "restarted %" PRId64 " times", restarts);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%zu, never restarted", jv_size(workers));
}

static void check_accounts(struct doctor *d)
{
	const struct config *config = d->config;

	if (!getpwnam(config->user))
		doctor_say(d, DOCTOR_FAIL,
			   "make it (useradd --system, or systemd-sysusers), or name another one",
			   "user: there is no user '%s' for the workers", config->user);
	if (config->control_group && !getgrnam(config->control_group))
		doctor_say(d, DOCTOR_FAIL, "make it (groupadd --system), or name another one",
			   "control-group: there is no group '%s'", config->control_group);
}

static void check_configuration(struct doctor *d)
{
	const struct jv *problems = d->problems;

	for (size_t i = 0; i < jv_size(problems); i++)
		doctor_say(d, DOCTOR_FAIL, NULL, "%s: %s",
			   jv_get_string(jv_at(problems, i), "where", "?"),
			   jv_get_string(jv_at(problems, i), "text", "?"));
	if (!d->config) {
		doctor_say(d, DOCTOR_FAIL,
			   "correct it ('botlsd -n' checks), name another one (-c FILE), or run "
			   "this as root if it is not yours to read",
			   "%s cannot be used: certificates and neighbors were not looked at",
			   d->path);
		return;
	}
	check_accounts(d);
	if (!d->config->n_neighbors)
		doctor_say(d, DOCTOR_WARN, "write neighbor blocks: botlsd.conf(5)",
			   "%s: no neighbor is configured", d->path);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%s: %zu neighbor%s", d->path,
			   d->config->n_neighbors, d->config->n_neighbors == 1 ? "" : "s");
}

/* What botlsd itself says that a reload would do. */
static void check_loaded(struct doctor *d)
{
	static const char *const kinds[] = {"change", "add", "drop"};
	const struct jv *errors = jv_get(d->plan, "errors");
	const char *globals = jv_get_string(d->plan, "globals_changed", "");
	char when[TEXT_TIME_LEN];
	int64_t n = 0;

	if (!d->plan || d->c->config)
		return;
	if (!jv_get_bool(d->plan, "ok", false)) {
		for (size_t i = 0; i < jv_size(errors); i++)
			doctor_say(d, DOCTOR_FAIL, NULL, "%s: %s",
				   jv_get_string(jv_at(errors, i), "where", "?"),
				   jv_get_string(jv_at(errors, i), "text", "?"));
		doctor_say(d, DOCTOR_FAIL,
			   jv_get_string(d->plan, "hint",
					 "correct it ('botlsd -n' checks), then 'botlsctl reload'"),
			   "what is on disk would be refused: %s",
			   jv_get_string(d->plan, "error", "?"));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		n += jv_get_int(d->plan, kinds[i], 0);
	if (n || globals[0])
		doctor_say(d, DOCTOR_WARN,
			   "'botlsctl reload --dry-run' tells what, 'botlsctl reload' does it",
			   "what is on disk is not what runs: %" PRId64 " neighbor%s%s%s%s", n,
			   n == 1 ? " differs" : "s differ", globals[0] ? ", and " : "", globals,
			   jv_get_int(d->plan, "resets", 0) ? "; a reload resets sessions" : "");
	else
		doctor_say(d, DOCTOR_OK, NULL, "what is on disk is what runs, since %s",
			   text_time_long(jv_get_int(d->show, "loaded", 0), when));
}

static bool is_guard(const struct jv *item)
{
	return strncmp(jv_get_string(item, "kind", ""), "guard", 5) == 0;
}

/* Items of steering, those of the guard or all others. */
static void check_items(struct doctor *d, bool guard)
{
	const struct jv *items = jv_get(d->steering, "items");
	size_t n = 0, wrong = 0;

	if (!d->steering) {
		if (d->show)
			doctor_say(d, DOCTOR_FAIL, "see its log: journalctl -u botlsd",
				   "botlsd does not tell: %s", d->unreachable.text);
		return;
	}
	for (size_t i = 0; i < jv_size(items); i++) {
		const struct jv *item = jv_at(items, i);
		const char *state = jv_get_string(item, "state", "?");

		if (is_guard(item) != guard)
			continue;
		n++;
		if (strcmp(state, "ok") == 0)
			continue;
		wrong++;
		doctor_say(d, DOCTOR_FAIL,
			   "botlsd puts it back within a minute; if not, its log says why, and "
			   "'systemctl restart botlsd' programs all of it anew",
			   "%s %s: %s; %s", jv_get_string(item, "kind", "?"),
			   jv_get_string(item, "name", "?"), state,
			   jv_get_string(item, "detail", ""));
	}
	if (!wrong && n)
		doctor_say(d, DOCTOR_OK, NULL, "by %s: the kernel has all of %zu objects",
			   jv_get_string(d->steering, "mechanism", "?"), n);
}

static void check_steering(struct doctor *d)
{
	const struct jv *counters = jv_get(d->steering, "counters");
	int64_t refused = jv_get_int(counters, "connects_refused_uid", 0);

	check_items(d, false);
	if (refused)
		doctor_say(d, DOCTOR_WARN,
			   "if it was the BGP daemon, add its user to daemon-users; else somebody "
			   "tried to reach a neighbor's port 179",
			   "%" PRId64 " connections of users that are not in daemon-users were "
			   "refused",
			   refused);
}

static void check_guard(struct doctor *d)
{
	const struct jv *counters = jv_get(d->steering, "counters");
	int64_t out = jv_get_int(counters, "guard_out", 0);
	int64_t in = jv_get_int(counters, "guard_in", 0);

	check_items(d, true);
	if (out + in)
		doctor_say(d, DOCTOR_OK, NULL,
			   "stopped %" PRId64 " packets in clear text that wanted out, %" PRId64
			   " that wanted in",
			   out, in);
}

static const struct doctor_check checks[] = {
	{"botlsd", check_running},
	{"workers", check_workers},
	{"configuration", check_configuration},
	{"loaded", check_loaded},
	{"steering", check_steering},
	{"guard", check_guard},
};
const struct doctor_group doctor_daemon = {"botlsd", checks, ARRAY_SIZE(checks)};
