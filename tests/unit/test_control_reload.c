// SPDX-License-Identifier: Apache-2.0
/* From one configuration to the next: whole, or not at all. */
#include "control_rig.h"

#include "log.h"
#include "sock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define RELOAD	"{\"command\":\"reload\"}"
#define DRY_RUN "{\"command\":\"reload\",\"dry_run\":true}"

#define BEFORE                                                                                     \
	"workers = 2\n"                                                                            \
	"neighbor \"127.0.0.2\" { description = \"kept\" }\n"                                      \
	"neighbor \"127.0.0.3\" { description = \"changed\" }\n"                                   \
	"neighbor \"127.0.0.4\" { }\n"                                                             \
	"neighbor \"127.0.0.5\" { mode = preferred }\n"
#define AFTER                                                                                      \
	"workers = 2\n"                                                                            \
	"handshakes-max = 77\n"                                                                    \
	"neighbor \"127.0.0.2\" { description = \"kept\" }\n"                                      \
	"neighbor \"127.0.0.3\" { description = \"changed\" ttl-security = 1 }\n"                  \
	"neighbor \"127.0.0.5\" { mode = preferred hold-time = 5 }\n"                              \
	"neighbor \"127.0.0.6\" { }\n"

/* Everything that a reload could have touched. */
struct snapshot {
	char *config;
	uint64_t generation;
	struct steering_entry entries[FAKE_NEIGHBORS_MAX];
	size_t n_entries;
	struct stat socket;
	enum log_level level;
};

static void snap(struct rig *r, struct snapshot *s)
{
	s->config = crig_config_text(r->c->now.config);
	s->generation = r->c->generation;
	memcpy(s->entries, r->steering.entries, sizeof(s->entries));
	s->n_entries = r->steering.n_entries;
	assert_int_equal(stat(r->socket, &s->socket), 0);
	s->level = log_get_level();
}

/* Nothing is other than it was: in control, in the kernel, in every worker that lives. */
static void expect_unchanged(struct rig *r, struct snapshot *s)
{
	_cleanup_free_ char *config = crig_config_text(r->c->now.config);
	struct stat socket;

	assert_null(r->c->reload);
	assert_string_equal(config, s->config);
	assert_int_equal(r->c->generation, s->generation);
	assert_int_equal(r->steering.n_entries, s->n_entries);
	assert_memory_equal(r->steering.entries, s->entries, sizeof(s->entries));
	assert_int_equal(stat(r->socket, &socket), 0);
	assert_int_equal(socket.st_gid, s->socket.st_gid);
	assert_int_equal(log_get_level(), s->level);
	for (size_t i = 0; i < r->c->n_children; i++) {
		struct fake_worker *w = &r->workers[i];

		crig_until(r, child_pid(r->c->children[i]) && w->ipc && w->n_batches && w->config);
		_cleanup_free_ char *have = crig_config_text(w->config);

		assert_string_equal(have, s->config);
		assert_int_equal(w->n_files, 3);
		assert_int_equal(w->n_tls, r->c->tls.n);
		assert_int_equal(w->n_inner, r->steering.n_listeners);
	}
	free(s->config);
}

static void expect_plan(const struct jv *answer, bool applied)
{
	static const struct {
		const char *neighbor, *action, *changed;
		bool resets;
	} items[] = {
		{"127.0.0.3", "change", "ttl-security", true},
		{"127.0.0.4", "drop", "", true},
		{"127.0.0.5", "change", "hold-time", false},
		{"127.0.0.6", "add", "", false},
	};
	const struct jv *list = jv_get(answer, "items");

	assert_true(jv_get_bool(answer, "ok", false));
	assert_int_equal(jv_get_bool(answer, "applied", !applied), applied);
	assert_int_equal(jv_get_int(answer, "keep", -1), 1);
	assert_int_equal(jv_get_int(answer, "change", -1), 2);
	assert_int_equal(jv_get_int(answer, "add", -1), 1);
	assert_int_equal(jv_get_int(answer, "drop", -1), 1);
	assert_int_equal(jv_get_int(answer, "resets", -1), 2);
	assert_string_equal(jv_get_string(answer, "globals_changed", ""), "handshakes-max");
	assert_int_equal(jv_size(list), ARRAY_SIZE(items));
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		const struct jv *o = jv_at(list, i);

		assert_string_equal(jv_get_string(o, "neighbor", ""), items[i].neighbor);
		assert_string_equal(jv_get_string(o, "action", ""), items[i].action);
		assert_string_equal(jv_get_string(o, "changed", ""), items[i].changed);
		assert_int_equal(jv_get_bool(o, "resets", !items[i].resets), items[i].resets);
	}
}

static void it_is_applied(void **state)
{
	struct rig *r = *state;
	struct jv *answer;

	crig_write(r, BEFORE);
	crig_start(r);
	crig_notified(r);
	crig_write(r, AFTER);
	answer = crig_ask(r, RELOAD);
	expect_plan(answer, true);
	jv_free(answer);
	assert_int_equal(r->c->generation, 2);
	assert_int_equal(r->c->now.config->handshakes_max, 77);
	assert_int_equal(r->steering.n_entries, 4);
	assert_int_equal(crig_entry(r, "127.0.0.3")->min_ttl, 255);
	assert_null(crig_entry(r, "127.0.0.4"));
	assert_non_null(crig_entry(r, "127.0.0.6"));
	/* Both workers had taken it (after the two batches of the start) when the kernel was
	 * programmed. */
	assert_int_equal(r->steering.applied_at, 4);
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *want = crig_config_text(r->c->now.config);
		_cleanup_free_ char *have = crig_config_text(r->workers[i].config);

		assert_int_equal(r->workers[i].n_batches, 2);
		assert_string_equal(have, want);
	}
	assert_non_null(strstr(crig_notified(r), "RELOADING=1\nMONOTONIC_USEC="));
	assert_non_null(strstr(r->notified, " READY=1"));
	assert_true(crig_logged(r, "reloaded: 1 kept, 2 changed, 1 added, 1 dropped, 2 reset"));
}

/* What it says is what the reload then does, and it does nothing itself. */
static void a_dry_run_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct snapshot before;
	struct jv *answer;

	crig_write(r, BEFORE);
	crig_start(r);
	snap(r, &before);
	crig_notified(r);
	crig_write(r, AFTER);
	answer = crig_ask(r, DRY_RUN);
	expect_plan(answer, false);
	jv_free(answer);
	crig_settle(r);
	assert_int_equal(r->workers[0].n_batches, 1);
	assert_int_equal(r->steering.n_applied, 1);
	assert_string_equal(crig_notified(r), "");
	expect_unchanged(r, &before);
	answer = crig_ask(r, RELOAD);
	expect_plan(answer, true);
	jv_free(answer);
}

/* --- not at all
 * -----------------------------------------------------------------------------------------------------------
 */

static void spoil_group(struct rig *r)
{
	char right[sizeof(r->group)];

	strcpy(right, r->group);
	strcpy(r->group, "no-such-group");
	crig_write(r, AFTER);
	strcpy(r->group, right);
}

/* A listener that takes no key. */
static void spoil_keys(struct rig *r)
{
	crig_write(r, AFTER "neighbor \"127.0.0.9\" { tcp-md5 = \"secret\" }\n");
	close(r->c->tls.fds[0]);
	r->c->tls.fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* No file can be written, so no worker can be given one. */
static void spoil_memory(struct rig *r)
{
	const struct rlimit limit = {.rlim_max = RLIM_INFINITY};

	(void)r;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* Dead already, and not started again yet. */
static void spoil_dead_worker(struct rig *r)
{
	r->start_error = -EAGAIN;
	crig_kill(&r->workers[0]);
}

static void spoil_refusal(struct rig *r)
{
	r->workers[1].answer = RIG_REFUSES;
}

static void spoil_death(struct rig *r)
{
	r->workers[1].answer = RIG_DIES;
}

/* The one that takes it answers last, or first. */
static void spoil_both(struct rig *r)
{
	r->workers[0].answer = RIG_DIES;
	r->workers[1].answer = RIG_REFUSES;
}

static void spoil_silence(struct rig *r)
{
	r->workers[1].answer = RIG_SILENT;
	r->c->apply_wait_ms = 50;
}

static void spoil_kernel(struct rig *r)
{
	r->steering.apply_error = -ENOMEM;
}

static void mend(struct rig *r)
{
	const struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_DFL);
	r->steering.apply_error = r->start_error = 0;
	r->workers[0].answer = r->workers[1].answer = RIG_TAKES;
	r->c->apply_wait_ms = 10000;
}

/* One thing is wrong with the configuration, or goes wrong on the way. */
static const struct failure {
	const char *name, *after;
	void (*spoil)(struct rig *r);
	const char *error, *hint;
	const char *problem; /* the last of "errors" */
} failures[] = {
	{"an unknown option", AFTER "neighbour \"127.0.0.9\" { }\n", NULL,
	 "1 problem in the configuration", "reload again", "'neighbour'"},
	{"no file", AFTER "neighbor \"127.0.0.9\" { certificate = \"none.pem\" }\n", NULL,
	 "1 problem in the configuration", "reload again", "none.pem"},
	{"a wrong key", AFTER "neighbor \"127.0.0.9\" { key = \"other.key\" }\n", NULL,
	 "1 problem in the configuration", "reload again", "other.key"},
	{"expired",
	 AFTER "neighbor \"127.0.0.9\" { certificate = \"expired.pem\" key = \"expired.key\" }\n",
	 NULL, "1 problem in the configuration", "reload again", "expired.pem"},
	{"two problems",
	 AFTER "neighbor \"127.0.0.8\" { key = \"other.key\" }\n"
	       "neighbor \"127.0.0.9\" { key = \"expired.key\" }\n",
	 NULL, "2 problems in the configuration", "reload again", "expired.key"},
	{"needs a restart", AFTER "inner-port = 980\nbpffs = \"/elsewhere\"\n", NULL,
	 "a reload cannot change: inner-port, bpffs", "systemctl restart botlsd", NULL},
	{"no group", AFTER, spoil_group, "no group 'no-such-group'", NULL, NULL},
	{"no TCP-MD5", AFTER, spoil_keys, "neighbor 127.0.0.9: cannot set tcp-md5", NULL, NULL},
	{"out of space", AFTER, spoil_memory, "worker 1 cannot be reached now", NULL, NULL},
	{"a dead worker", AFTER, spoil_dead_worker, "worker 0 cannot be reached now", NULL, NULL},
	{"a worker refuses", AFTER, spoil_refusal, "worker 1: I would rather not", NULL, NULL},
	{"a worker dies", AFTER, spoil_death, "worker 1: it died", NULL, NULL},
	{"one refuses, one dies", AFTER, spoil_both, "worker ", NULL, NULL},
	{"a worker is silent", AFTER, spoil_silence, "a worker did not answer within 0 s", NULL,
	 NULL},
	{"the kernel refuses", AFTER, spoil_kernel, "the kernel does not want to", NULL, NULL},
};

static void expect_problem(struct rig *r, const struct jv *answer, const char *text)
{
	const struct jv *errors = jv_get(answer, "errors");
	const struct jv *last = jv_at(errors, jv_size(errors) - 1);

	assert_true(jv_size(errors) > 0);
	assert_non_null(strstr(jv_get_string(last, "where", ""), "/botlsd.conf:"));
	assert_non_null(strstr(jv_get_string(last, "text", ""), text));
	assert_true(crig_logged(r, text));
}

static void nothing_is_changed(void **state)
{
	struct rig *r = *state;
	const struct failure *f = r->parameter;
	char right[sizeof(r->group)];
	struct snapshot before;
	struct jv *answer;

	strcpy(right, r->group);
	crig_write(r, BEFORE);
	crig_start(r);
	snap(r, &before);
	/* What was done of it has to be undone: another group, for those who may choose one. */
	if (geteuid() == 0)
		strcpy(r->group, "daemon");
	crig_write(r, "%s", f->after);
	if (f->spoil)
		f->spoil(r);
	crig_notified(r);
	answer = crig_ask(r, RELOAD);
	if (f->problem)
		expect_problem(r, answer, f->problem);
	else
		assert_null(jv_get(answer, "errors"));
	crig_expect_refusal(answer, f->error, f->hint);
	assert_true(crig_logged(r, "reload refused, nothing was changed: "));
	if (strstr(crig_notified(r), "RELOADING"))
		assert_non_null(strstr(r->notified, " READY=1"));
	/* Of a dead worker nobody expects to take the old one back. */
	assert_int_equal(crig_logged(r, "cannot be given its configuration"),
			 f->spoil == spoil_memory);
	mend(r);
	/* Both were given up; until they are started again control has nobody to ask. */
	if (f->spoil == spoil_memory)
		crig_until(r, r->workers[0].n_started > 1 && r->workers[1].n_started > 1);
	crig_settle(r);
	strcpy(r->group, right);
	expect_unchanged(r, &before);
	assert_int_equal(r->steering.n_applied, 1);
	/* And the next one is taken. */
	crig_write(r, AFTER);
	answer = crig_ask(r, RELOAD);
	expect_plan(answer, true);
	jv_free(answer);
}

/* A connection to the TLS port from 127.0.0.2, signed with this key, is answered. */
static void expect_key(struct rig *r, const char *key)
{
	struct addr own, server;
	struct sockaddr_storage ss;
	int fd, error = -1, len;
	socklen_t error_len = sizeof(error);
	struct pollfd p;

	assert_int_equal(addr_parse("127.0.0.2", &own, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.1", &server, NULL), 0);
	assert_int_equal(sock_bound(&own, 0, &fd), 0);
	assert_int_equal(sock_set_tcp_md5(fd, &server, key), 0);
	len = addr_to_sockaddr(&server, r->tls_port, &ss);
	assert_true(len > 0);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	p = (struct pollfd){.fd = fd, .events = POLLOUT};
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len), 0);
	assert_int_equal(error, 0);
	close(fd);
}

static void keys_follow(void **state)
{
	struct rig *r = *state;
	struct jv *answer;

	crig_write(r, "neighbor \"127.0.0.2\" { tcp-md5 = \"one\" }\n"
		      "neighbor \"127.0.0.3\" { tcp-md5 = \"one\" }\n");
	crig_start(r);
	expect_key(r, "one");
	crig_write(r, "neighbor \"127.0.0.2\" { tcp-md5 = \"two\" }\n"
		      "neighbor \"127.0.0.3\" { tcp-md5 = \"one\" }\n");
	r->workers[0].answer = RIG_REFUSES;
	crig_expect_refusal(crig_ask(r, RELOAD), "worker 0", NULL);
	expect_key(r, "one");
	r->workers[0].answer = RIG_TAKES;
	crig_settle(r);
	assert_null(crig_last(&r->workers[0], MSG_RESET));
	answer = crig_ask(r, RELOAD);
	assert_int_equal(jv_get_int(answer, "resets", -1), 1);
	jv_free(answer);
	assert_int_equal(r->c->generation, 2);
	expect_key(r, "two");
	/* What a worker does not know, it is told. */
	crig_until(r, crig_count(&r->workers[0], MSG_RESET) == 1);
	assert_string_equal(crig_last(&r->workers[0], MSG_RESET)->payload, "127.0.0.2");
	/* No worker has it, no log shows it. */
	assert_string_equal(r->workers[0].config->neighbors[0].tcp_md5, "<hidden>");
	assert_false(crig_logged(r, "two"));
}

/* What expired while it was in force is said, and does not stand in the way of changes elsewhere.
 */
static void an_old_certificate_in_force(void **state)
{
	struct rig *r = *state;
	struct jv *answer;

#define OLD "neighbor \"127.0.0.2\" { certificate = \"expired.pem\" key = \"expired.key\" }\n"
	crig_write(r, OLD);
	crig_start(r);
	crig_log_forget(r);
	crig_write(r, OLD "neighbor \"127.0.0.3\" { }\n");
	answer = crig_ask(r, RELOAD);
	assert_true(jv_get_bool(answer, "applied", false));
	jv_free(answer);
	assert_true(crig_logged(r, "expired.pem"));
	assert_non_null(crig_entry(r, "127.0.0.3"));
	/* Where it is new, it does. */
	crig_write(r,
		   OLD "neighbor \"127.0.0.3\" { certificate = \"own.pem\" ca = \"none.pem\" }\n");
	crig_expect_refusal(crig_ask(r, RELOAD), "1 problem", NULL);
}

/* --- what is carried over
 * ---------------------------------------------------------------------------------------------------
 */

static void vote(struct rig *r, unsigned worker, const char *neighbor, bool allow)
{
	struct message_fallback m = {.allow_clear = allow};

	strcpy(m.neighbor, neighbor);
	crig_reply(&r->workers[worker], MSG_FALLBACK, 0, &m, sizeof(m));
	crig_settle(r);
}

static void votes_are_carried_over(void **state)
{
	struct rig *r = *state;

	crig_write(r, "workers = 2\n"
		      "neighbor \"127.0.0.4\" { mode = preferred }\n"
		      "neighbor \"127.0.0.5\" { mode = preferred }\n"
		      "neighbor \"127.0.0.6\" { mode = preferred }\n");
	crig_start(r);
	for (unsigned i = 0; i < 2; i++) {
		vote(r, i, "127.0.0.4", true);
		vote(r, i, "127.0.0.5", true);
	}
	vote(r, 0, "127.0.0.6", true);
	assert_true(crig_entry(r, "127.0.0.4")->allow_clear);
	/* One more in front, one dropped, one required from now on. */
	crig_write(r, "workers = 2\n"
		      "neighbor \"127.0.0.3\" { mode = preferred }\n"
		      "neighbor \"127.0.0.4\" { mode = required }\n"
		      "neighbor \"127.0.0.5\" { mode = preferred }\n"
		      "neighbor \"127.0.0.6\" { mode = preferred }\n");
	jv_free(crig_ask(r, RELOAD));
	assert_false(crig_entry(r, "127.0.0.3")->allow_clear);
	assert_false(crig_entry(r, "127.0.0.4")->allow_clear);
	assert_true(crig_entry(r, "127.0.0.4")->is_required);
	assert_true(crig_entry(r, "127.0.0.5")->allow_clear);
	assert_false(crig_entry(r, "127.0.0.6")->allow_clear);
	assert_string_equal(addr_format(&crig_entry(r, "127.0.0.3")->own, (char[ADDR_STRLEN]){}),
			    "127.0.0.1");
	vote(r, 1, "127.0.0.6", true);
	assert_true(crig_entry(r, "127.0.0.6")->allow_clear);
	/* What was required meanwhile begins anew. */
	crig_write(r, "workers = 2\nneighbor \"127.0.0.4\" { mode = preferred }\n");
	jv_free(crig_ask(r, RELOAD));
	assert_false(crig_entry(r, "127.0.0.4")->allow_clear);
	vote(r, 1, "127.0.0.4", true);
	assert_false(crig_entry(r, "127.0.0.4")->allow_clear);
}

static void the_log_level(void **state)
{
	struct rig *r = *state;

	crig_write(r, "log-level = info\n");
	crig_start(r);
	jv_free(crig_ask(r, "{\"command\":\"log-level\",\"level\":\"debug\"}"));
	/* What botlsctl set stays while the file does not change its mind. */
	crig_write(r, "log-level = info\nneighbor \"127.0.0.2\" { }\n");
	jv_free(crig_ask(r, RELOAD));
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
	crig_write(r, "log-level = error\n");
	jv_free(crig_ask(r, RELOAD));
	assert_int_equal(log_get_level(), LOG_LEVEL_ERROR);
	crig_settle(r);
	assert_int_equal(crig_last(&r->workers[0], MSG_LOG_LEVEL)->id, LOG_LEVEL_ERROR);
}

/* steering = route has a listener more for each neighbor with a password. */
static void other_listeners(void **state)
{
	struct rig *r = *state;

	crig_write(r, "workers = 2\n");
	crig_start(r);
	r->steering.n_listeners_next = 3;
	jv_free(crig_ask(r, RELOAD));
	crig_until(r, r->workers[0].n_batches == 3 && r->workers[1].n_batches == 3);
	assert_int_equal(r->workers[1].n_inner, 3);
	assert_int_equal(r->workers[1].batch_id, 0);
	jv_free(crig_ask(r, RELOAD));
	crig_settle(r);
	assert_int_equal(r->workers[1].n_batches, 4);
	/* As many, but others. */
	r->steering.swap_next = true;
	jv_free(crig_ask(r, RELOAD));
	crig_until(r, r->workers[1].n_batches == 6);
}

/* --- answers, and who asks
 * --------------------------------------------------------------------------------------------------
 */

static void begin(struct rig *r, enum rig_answer second)
{
	crig_write(r, BEFORE);
	crig_start(r);
	crig_write(r, AFTER);
	r->workers[1].answer = second;
}

static void answers_that_nobody_waits_for(void **state)
{
	struct rig *r = *state;
	uint32_t late;
	int fd;

	begin(r, RIG_SILENT);
	r->c->apply_wait_ms = 50;
	crig_expect_refusal(crig_ask(r, RELOAD), "did not answer", NULL);
	late = r->c->last_id;
	crig_reply_text(&r->workers[1], MSG_APPLIED, late, "");
	crig_reply_text(&r->workers[1], MSG_APPLIED, late, "late and bad");
	crig_settle(r);
	assert_int_equal(r->c->generation, 1);
	/* The next one waits for its own answer. */
	r->c->apply_wait_ms = 10000;
	fd = crig_dial(r);
	crig_say(fd, RELOAD);
	crig_until(r, r->workers[1].batch_id == late + 1);
	crig_reply_text(&r->workers[1], MSG_APPLIED, late, "");
	crig_reply_text(&r->workers[1], MSG_APPLIED, late, "late and bad");
	/* Said twice by one is not said by two. */
	crig_reply_text(&r->workers[0], MSG_APPLIED, late + 1, "");
	crig_settle(r);
	assert_int_equal(r->c->generation, 1);
	crig_reply_text(&r->workers[1], MSG_APPLIED, late + 1, "");
	jv_free(crig_hear(r, fd));
	assert_int_equal(r->c->generation, 2);
	close(fd);
}

/* It took the new one, but starts again with the old one while the other thinks. */
static void a_worker_dies_after_its_answer(void **state)
{
	struct rig *r = *state;
	struct snapshot before;
	int fd;

	begin(r, RIG_SILENT);
	snap(r, &before);
	fd = crig_dial(r);
	crig_say(fd, RELOAD);
	crig_until(r, r->workers[1].n_batches == 2 && r->workers[0].n_batches == 2);
	crig_settle(r);
	crig_kill(&r->workers[0]);
	crig_until(r, r->workers[0].n_started == 2 && r->workers[0].n_batches == 1);
	crig_settle(r);
	assert_non_null(r->c->reload);
	crig_reply_text(&r->workers[1], MSG_APPLIED, r->c->last_id, "");
	crig_expect_refusal(crig_hear(r, fd), "worker 0: it died", NULL);
	crig_settle(r);
	expect_unchanged(r, &before);
	close(fd);
}

static void two_at_once(void **state)
{
	struct rig *r = *state;
	struct jv *answer;
	int fd;

	begin(r, RIG_SILENT);
	fd = crig_dial(r);
	crig_say(fd, RELOAD);
	crig_until(r, r->workers[1].n_batches == 2);
	crig_expect_refusal(crig_ask(r, RELOAD), "a reload is in progress", "try again");
	crig_expect_refusal(crig_ask(r, DRY_RUN), "a reload is in progress", "try again");
	crig_reply_text(&r->workers[1], MSG_APPLIED, r->c->last_id, "");
	answer = crig_hear(r, fd);
	expect_plan(answer, true);
	jv_free(answer);
	close(fd);
}

/* Whoever sends SIGHUP cannot be told to come back: what it is about is read afterwards. */
static void a_signal_in_a_reload(void **state)
{
	struct rig *r = *state;

	begin(r, RIG_SILENT);
	raise(SIGHUP);
	crig_until(r, r->workers[1].n_batches == 2);
	crig_write(r, AFTER "neighbor \"127.0.0.9\" { }\n");
	raise(SIGHUP);
	raise(SIGHUP);
	crig_settle(r);
	assert_int_equal(r->workers[1].n_batches, 2);
	r->workers[1].answer = RIG_TAKES;
	crig_reply_text(&r->workers[1], MSG_APPLIED, r->c->last_id, "");
	crig_until(r, r->c->generation == 3);
	assert_non_null(crig_entry(r, "127.0.0.9"));
	crig_settle(r);
	assert_int_equal(r->c->generation, 3);
}

static void a_signal_that_fails(void **state)
{
	struct rig *r = *state;

	crig_write(r, BEFORE);
	crig_start(r);
	crig_write(r, "nonsense = 5\n");
	raise(SIGHUP);
	crig_until(r, crig_logged(r, "reload refused, nothing was changed: 1 problem"));
	assert_true(crig_logged(r, "nonsense"));
	crig_write(r, AFTER);
	raise(SIGHUP);
	crig_until(r, r->c->generation == 2);
}

static void a_client_that_hangs_up(void **state)
{
	struct rig *r = *state;
	int fd;

	begin(r, RIG_SILENT);
	fd = crig_dial(r);
	crig_say(fd, RELOAD);
	crig_until(r, r->workers[1].n_batches == 2);
	close(fd);
	crig_settle(r);
	crig_reply_text(&r->workers[1], MSG_APPLIED, r->c->last_id, "");
	crig_until(r, r->c->generation == 2);
}

static void a_stop_in_a_reload(void **state)
{
	struct rig *r = *state;
	char line[256] = "";
	int fd;

	begin(r, RIG_SILENT);
	fd = crig_dial(r);
	crig_say(fd, RELOAD);
	crig_until(r, r->workers[1].n_batches == 2);
	crig_stop(r);
	assert_true(recv(fd, line, sizeof(line) - 1, 0) > 0);
	assert_non_null(strstr(line, "botlsd is stopping"));
	close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, crig_setup, crig_teardown)
	const struct CMUnitTest tests[] = {
		T(it_is_applied),
		T(a_dry_run_changes_nothing),
		T(keys_follow),
		T(an_old_certificate_in_force),
		T(votes_are_carried_over),
		T(the_log_level),
		T(other_listeners),
		T(answers_that_nobody_waits_for),
		T(a_worker_dies_after_its_answer),
		T(two_at_once),
		T(a_signal_in_a_reload),
		T(a_signal_that_fails),
		T(a_client_that_hangs_up),
		T(a_stop_in_a_reload),
	};
	struct CMUnitTest each[ARRAY_SIZE(failures)];
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		each[i] = (struct CMUnitTest){failures[i].name, nothing_is_changed, crig_setup,
					      crig_teardown, (void *)&failures[i]};
	failed = cmocka_run_group_tests(tests, crig_group_setup, crig_group_teardown);
	return failed + cmocka_run_group_tests(each, crig_group_setup, crig_group_teardown);
}
