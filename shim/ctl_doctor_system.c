// SPDX-License-Identifier: Apache-2.0
/* What is around botlsd: clock, BGP daemon, ports, limits, systemd. */
#include "ctl_doctor.h"

#include "botls/botls.h"
#include "ctl_doctor_clock.h"

#include <inttypes.h>
#include <pwd.h>
#include <sys/stat.h>

#define PROCESSES_MAX 16

static const char *const daemons[] = {"bird", "bird6", "bgpd", "gobgpd", "exabgp", "openbgpd"};

static void check_clock(struct doctor *d)
{
	struct timex t = {};
	int state = adjtimex(&t);
	struct clock_verdict v;

	doctor_clock_judge(state, &t, d->c->now, &v);
	doctor_say(d,
		   v.is_wrong	   ? DOCTOR_FAIL
		   : v.is_doubtful ? DOCTOR_WARN
				   : DOCTOR_OK,
		   v.next, "%s", v.text);
}

static bool is_daemon_user(const struct config *c, unsigned uid)
{
	for (size_t i = 0; i < c->n_daemon_users; i++) {
		const struct passwd *pw = getpwnam(c->daemon_users[i]);

		if (pw && pw->pw_uid == uid)
			return true;
	}
	return false;
}

/* The BGP daemon: who listens on its port, or has its name. */
static size_t find_daemon(struct doctor_process *ret)
{
	size_t n = doctor_listeners(BOTLS_PORT_BGP, ret, PROCESSES_MAX);

	return n ? n : doctor_find_processes(daemons, ARRAY_SIZE(daemons), ret, PROCESSES_MAX);
}

static void check_daemon(struct doctor *d)
{
	struct doctor_process found[PROCESSES_MAX];
	size_t n = find_daemon(found);

	if (!n)
		doctor_say(d, DOCTOR_WARN,
			   "start it; one with role = connect on all neighbors needs no port",
			   "no BGP daemon: nobody listens on port %d", BOTLS_PORT_BGP);
	for (size_t i = 0; i < n; i++) {
		const struct doctor_process *p = &found[i];
		const char *what = p->command[0] ? p->command : "somebody";

		if (!d->config || is_daemon_user(d->config, p->uid))
			doctor_say(d, DOCTOR_OK, NULL, "%s, process %d, user %s", what, p->pid,
				   p->user);
		else
			doctor_say(d, DOCTOR_FAIL,
				   "add the user to daemon-users in botlsd.conf and restart botlsd",
				   "%s, process %d, runs as %s, who is not in daemon-users: its "
				   "connections to neighbors are refused",
				   what, p->pid, p->user);
	}
}

static void check_users(struct doctor *d)
{
	for (size_t i = 0; d->config && i < d->config->n_daemon_users; i++)
		if (!getpwnam(d->config->daemon_users[i]))
			doctor_say(d, DOCTOR_WARN, "correct its name, or remove it",
				   "daemon-users: there is no user '%s'",
				   d->config->daemon_users[i]);
}

static bool is_botlsd(const struct doctor_process *p, const struct jv *show)
{
	const struct jv *workers = jv_get(show, "workers");

	if (p->pid == jv_get_int(show, "pid", -1))
		return true;
	for (size_t i = 0; i < jv_size(workers); i++)
		if (p->pid == jv_get_int(jv_at(workers, i), "pid", -1))
			return true;
	return false;
}

static void check_port(struct doctor *d, unsigned port, const char *option)
{
	struct doctor_process found[PROCESSES_MAX];
	size_t n = doctor_listeners(port, found, PROCESSES_MAX), ours = 0, unknown = 0;

	for (size_t i = 0; i < n; i++) {
		ours += is_botlsd(&found[i], d->show);
		unknown += !found[i].pid;
	}
	if (ours)
		doctor_say(d, DOCTOR_OK, NULL, "botlsd listens on %u (%s)", port, option);
	else if (unknown && !d->is_root)
		doctor_say(d, DOCTOR_OK, NULL, "somebody of user %s listens on %u (%s)",
			   found[0].user, port, option);
	else if (n)
		doctor_say(d, DOCTOR_FAIL, "stop it there, or give botlsd another port",
			   "port %u (%s) is taken by %s, process %d, user %s", port, option,
			   found[0].command, found[0].pid, found[0].user);
	else if (d->show)
		doctor_say(d, DOCTOR_FAIL, "see its log: journalctl -u botlsd",
			   "botlsd does not listen on port %u (%s) in this network namespace", port,
			   option);
	else
		doctor_say(d, DOCTOR_OK, NULL, "port %u (%s) is free", port, option);
}

static void check_ports(struct doctor *d)
{
	const char *mechanism = jv_get_string(d->show, "steering", "");

	if (!d->config)
		return;
	check_port(d, d->config->tls_port, "tls-port");
	if (strcmp(mechanism, "route") != 0)
		check_port(d, d->config->inner_port, "inner-port");
}

/* Two connections of a session, its handshake, and what is there without any. */
static void check_descriptors(struct doctor *d, int pid)
{
	uint64_t needed = 4 * (d->config ? d->config->n_neighbors : 0) + 256, limit;

	if (doctor_limit(pid, "Max open files", &limit) < 0)
		return;
	if (limit < needed)
		doctor_say(d, DOCTOR_FAIL, "LimitNOFILE=131072 in botlsd.service",
			   "%" PRIu64 " open descriptors are allowed, %" PRIu64 " may be needed",
			   limit, needed);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%" PRIu64 " open descriptors are allowed", limit);
}

static void check_limits(struct doctor *d)
{
	int pid = jv_get_int(d->show, "pid", 0);
	uint64_t locked;

	if (pid <= 0)
		return;
	check_descriptors(d, pid);
	if (doctor_limit(pid, "Max locked memory", &locked) < 0)
		return;
	if (locked == UINT64_MAX)
		doctor_say(d, DOCTOR_OK, NULL, "memory may be locked without limit");
	else if (locked < 8 << 20)
		doctor_say(d, DOCTOR_WARN, "LimitMEMLOCK=infinity in botlsd.service",
			   "%" PRIu64 " kB of memory may be locked: kernels before 5.11 need more "
			   "for BPF, and keys may be swapped out",
			   locked >> 10);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%" PRIu64 " MB of memory may be locked",
			   locked >> 20);
}

/* One line "Name=words" of what systemctl show prints: does it have the word? */
static bool has_word(const char *shown, const char *name, const char *word)
{
	char line[64];
	const char *at, *end;
	size_t len = strlen(word);

	snprintf(line, sizeof(line), "%s=", name);
	at = strncmp(shown, line, strlen(line)) == 0 ? shown : strstr(shown, line);
	if (!at)
		return false;
	end = at + strcspn(at, "\n");
	for (at += strlen(line); at < end; at += strcspn(at, " \n") + 1)
		if (strncmp(at, word, len) == 0 && (at[len] == ' ' || at[len] == '\n'))
			return true;
	return false;
}

static int show_unit(const char *unit, char *buf, size_t size)
{
	char name[256];
	char *const argv[] = {"systemctl",  "show",
			      "--property", "After,Requires,BindsTo,UnitFileState,NeedDaemonReload",
			      "--",	    name,
			      NULL};

	snprintf(name, sizeof(name), "%s", unit);
	return doctor_run(argv, buf, size);
}

static void check_own_unit(struct doctor *d, const char *unit)
{
	char shown[16384];

	if (show_unit(unit, shown, sizeof(shown)) != 0) {
		doctor_say(d, DOCTOR_WARN, "'systemctl status' may tell why",
			   "systemctl does not tell about %s", unit);
		return;
	}
	if (has_word(shown, "NeedDaemonReload", "yes"))
		doctor_say(d, DOCTOR_WARN, "systemctl daemon-reload",
			   "%s was changed on disk since systemd read it", unit);
	if (has_word(shown, "UnitFileState", "disabled"))
		doctor_say(d, DOCTOR_FAIL, "systemctl enable botlsd",
			   "%s is not started at boot: required neighbors are then spoken to in "
			   "clear text",
			   unit);
	else
		doctor_say(d, DOCTOR_OK, NULL, "botlsd is run by %s", unit);
}

static void check_daemon_unit(struct doctor *d, const char *own, const char *unit)
{
	bool is_after, is_tied;
	char shown[16384];

	if (show_unit(unit, shown, sizeof(shown)) != 0)
		return;
	is_after = has_word(shown, "After", own);
	is_tied = has_word(shown, "Requires", own) || has_word(shown, "BindsTo", own);
	if (!is_after)
		doctor_say(d, DOCTOR_FAIL,
			   "'systemctl edit' the daemon's unit: [Unit] Requires=botlsd.service "
			   "After=botlsd.service",
			   "%s may start before %s: neighbors are then reached in clear text until "
			   "the guard stands",
			   unit, own);
	else if (!is_tied)
		doctor_say(d, DOCTOR_WARN,
			   "'systemctl edit' the daemon's unit: [Unit] Requires=botlsd.service",
			   "%s starts also when %s could not: with clear text after a reboot", unit,
			   own);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%s starts after %s, and not without it", unit, own);
}

static void check_systemd(struct doctor *d)
{
	struct doctor_process found[PROCESSES_MAX];
	int pid = jv_get_int(d->show, "pid", 0);
	char own[128], unit[128], said[128] = "";
	struct stat st;
	size_t n;

	if (stat("/run/systemd/system", &st) < 0)
		return; /* another init */
	if (pid > 0 && doctor_unit_of(pid, own, sizeof(own)) < 0) {
		doctor_say(d, DOCTOR_WARN, "systemctl enable --now botlsd",
			   "botlsd was started by hand: nobody starts it again");
		return;
	}
	if (pid <= 0)
		strcpy(own, "botlsd.service");
	check_own_unit(d, own);
	n = find_daemon(found);
	for (size_t i = 0; i < n; i++)
		if (found[i].pid && doctor_unit_of(found[i].pid, unit, sizeof(unit)) == 0 &&
		    strcmp(unit, said) != 0 && strcmp(unit, own) != 0) {
			strcpy(said, unit);
			check_daemon_unit(d, own, unit);
		}
}

static const struct doctor_check checks[] = {
	{"clock", check_clock}, {"BGP daemon", check_daemon}, {"daemon-users", check_users},
	{"ports", check_ports}, {"limits", check_limits},     {"systemd", check_systemd},
};
const struct doctor_group doctor_system = {"System", checks, ARRAY_SIZE(checks)};
