// SPDX-License-Identifier: Apache-2.0
/* What is remembered: whole or not at all, for one writer, and nothing lost without a word. */
#include "state_internal.h"

#include "prov_sessions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char top[] = "/tmp/botls-state-XXXXXX", folder[64];

static char *path_of(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static void write_file(const char *name, const char *text)
{
	_cleanup_free_ char *path = path_of(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static char *read_file(const char *name)
{
	_cleanup_free_ char *path = path_of(name);
	char *text = calloc(1, 1 << 16);
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("%s is not there", path);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return text;
}

static void open_state(bool write, struct state_store **ret, struct state *ret_state)
{
	struct errtext e = {};

	if (state_open(folder, write, ret, ret_state, &e) < 0)
		fail_msg("%s", e.text);
}

static void assert_refused(bool write, int error, const char *words)
{
	struct state_store *st = NULL;
	struct state s = {};
	struct errtext e = {};

	assert_int_equal(state_open(folder, write, &st, &s, &e), error);
	assert_null(st);
	assert_int_equal(s.n_owned + s.n_asked, 0);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" is not in: %s", words, e.text);
}

static int fresh(void **state)
{
	_cleanup_free_ char *command = NULL;

	(void)state;
	assert_true(asprintf(&command, "rm -rf '%s'", folder) > 0);
	return system(command);
}

static struct record record_of(const char *theirs)
{
	struct record r = {.location = {.id = "pdb:ix:42"}, .time_window = -1};

	r.initiator = (struct record_end){.asn = 64501, .role = BGP_ROLE_PEER, .insert_asn = true};
	r.receiver = (struct record_end){.asn = 4294967295, .role = BGP_ROLE_UNKNOWN};
	assert_int_equal(addr_parse("192.0.2.1", &r.initiator.ip, NULL), 0);
	assert_int_equal(addr_parse(theirs, &r.receiver.ip, NULL), 0);
	return r;
}

static struct asked asked_of(const char *theirs, int64_t when, enum outcome_kind outcome)
{
	return (struct asked){.server = "one",
			      .request_id = "req",
			      .record = record_of(theirs),
			      .outcome = outcome,
			      .when = when};
}

/* One of everything. */
static void fill(struct state *s)
{
	struct asked a = asked_of("192.0.2.2", PROV_NOW, OUTCOME_HUMAN);
	struct owned *o;

	s->generation = 7;
	s->is_unfinished = true;
	s->owned = calloc(2, sizeof(*s->owned));
	s->owned[s->n_owned++] = prov_owned("192.0.2.2", "one", "bird");
	s->owned[s->n_owned++] = prov_owned("2001:db8::2", "one", NULL);
	o = &s->owned[1];
	o->phase = PHASE_DRAINING;
	o->leaving = LEAVING_NEVER_UP;
	o->time_window = 86400;
	o->was_asked = false;
	o->is_held = o->tell = true;
	assert_int_equal(jv_set_string(o->mapping, "md5", "hunter2"), 0);
	a.is_extra = a.is_accepted = true;
	snprintf(a.reason, sizeof(a.reason), "look at \"it\"");
	a.record.receiver.tls = (struct record_tls){.is_there = true, .port = 8179, .n_pins = 2};
	memset(a.record.receiver.tls.pins[0], 0xab, PEER_PIN_LEN);
	memset(a.record.receiver.tls.pins[1], 0x01, PEER_PIN_LEN);
	a.record.receiver.monitoring = true;
	a.record.location.type = LOCATION_PRIVATE;
	a.record.admin = ADMIN_DELETING;
	a.record.oper = OPER_DOWN;
	a.record.time_window = 60;
	snprintf(a.record.session_id, sizeof(a.record.session_id), "s1");
	snprintf(a.record.request_id, sizeof(a.record.request_id), "r1");
	snprintf(a.record.secret, sizeof(a.record.secret), "swordfish");
	snprintf(a.record.status_raw, sizeof(a.record.status_raw), "Deleting");
	snprintf(a.record.reason, sizeof(a.record.reason), "no reason");
	assert_int_equal(state_add_asked(s, &a), 0);
}

static void assert_same_state(const struct state *a, const struct state *b)
{
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->is_unfinished, b->is_unfinished);
	assert_int_equal(a->n_owned, b->n_owned);
	assert_int_equal(a->n_asked, b->n_asked);
	for (size_t i = 0; i < a->n_owned; i++) {
		struct owned x = a->owned[i], y = b->owned[i];

		assert_true(mapping_equal(x.mapping, y.mapping));
		assert_int_equal(x.phase, y.phase);
		assert_int_equal(x.leaving, y.leaving);
		assert_int_equal(x.since, y.since);
		assert_int_equal(x.created, y.created);
		assert_int_equal(x.established, y.established);
		assert_int_equal(x.time_window, y.time_window);
		assert_int_equal(x.was_asked, y.was_asked);
		assert_int_equal(x.is_held, y.is_held);
		assert_int_equal(x.tell, y.tell);
	}
	/* made with designated initialisers and memset: padding is the same */
	for (size_t i = 0; i < a->n_asked; i++) {
		const struct record *x = &a->asked[i].record, *y = &b->asked[i].record;

		assert_string_equal(a->asked[i].server, b->asked[i].server);
		assert_string_equal(a->asked[i].request_id, b->asked[i].request_id);
		assert_string_equal(a->asked[i].reason, b->asked[i].reason);
		assert_int_equal(a->asked[i].outcome, b->asked[i].outcome);
		assert_int_equal(a->asked[i].when, b->asked[i].when);
		assert_int_equal(a->asked[i].is_extra, b->asked[i].is_extra);
		assert_int_equal(a->asked[i].is_accepted, b->asked[i].is_accepted);
		assert_true(record_same_session(x, y));
		for (int side = 0; side < 2; side++) {
			const struct record_end *p = side ? &x->initiator : &x->receiver;
			const struct record_end *q = side ? &y->initiator : &y->receiver;

			assert_int_equal(p->asn, q->asn);
			assert_int_equal(p->role, q->role);
			assert_int_equal(p->insert_asn, q->insert_asn);
			assert_int_equal(p->monitoring, q->monitoring);
			assert_int_equal(p->tls.is_there, q->tls.is_there);
			assert_int_equal(p->tls.port, q->tls.port);
			assert_int_equal(p->tls.n_pins, q->tls.n_pins);
			assert_memory_equal(p->tls.pins, q->tls.pins, sizeof(p->tls.pins));
		}
		assert_int_equal(x->location.type, y->location.type);
		assert_string_equal(x->location.id, y->location.id);
		assert_string_equal(x->session_id, y->session_id);
		assert_string_equal(x->request_id, y->request_id);
		assert_string_equal(x->secret, y->secret);
		assert_string_equal(x->status_raw, y->status_raw);
		assert_string_equal(x->reason, y->reason);
		assert_int_equal(x->admin, y->admin);
		assert_int_equal(x->oper, y->oper);
		assert_int_equal(x->time_window, y->time_window);
	}
}

static void first_run_is_empty(void **state)
{
	struct state_store *st;
	struct state s;
	struct stat sb;
	_cleanup_free_ char *name = path_of("state.json");

	(void)state;
	open_state(true, &st, &s);
	assert_int_equal(s.n_owned + s.n_asked + s.generation, 0);
	assert_int_equal(stat(folder, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	assert_int_equal(access(name, F_OK), -1);
	state_wipe(&s);
	state_close(st);
	open_state(false, &st, &s);
	state_wipe(&s);
	state_close(st);
}

static void what_is_saved_comes_back(void **state)
{
	_cleanup_free_ char *name = path_of("state.json"), *text = NULL;
	struct state_store *st;
	struct state s, again;
	struct stat sb;

	(void)state;
	umask(0);
	open_state(true, &st, &s);
	fill(&s);
	assert_int_equal(state_save(st, &s, NULL), 0);
	state_close(st);
	umask(022);
	assert_int_equal(stat(name, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	open_state(true, &st, &again);
	assert_same_state(&s, &again);
	/* a second time, over the first one */
	again.owned[0].is_held = true;
	assert_int_equal(state_save(st, &again, NULL), 0);
	state_wipe(&again);
	state_close(st);
	open_state(false, &st, &again);
	assert_true(again.owned[0].is_held);
	text = read_file("state.json");
	assert_non_null(strstr(text, "\"version\":1,"));
	state_wipe(&s);
	state_wipe(&again);
	state_close(st);
}

static void one_writer_many_readers(void **state)
{
	struct state_store *st, *reader;
	struct state s, seen;
	struct errtext e = {};
	char words[32];
	int status;

	(void)state;
	open_state(true, &st, &s);
	fill(&s);
	assert_int_equal(state_save(st, &s, NULL), 0);
	snprintf(words, sizeof(words), "process %d ", (int)getpid());
	/* flock() is of the open file: another one here would do, but let it be another process */
	if (!fork()) {
		struct state_store *other;
		struct state theirs;

		if (state_open(folder, true, &other, &theirs, &e) != -EBUSY ||
		    !strstr(e.text, words) || !strstr(e.text, "/lock"))
			_exit(1);
		_exit(0);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	open_state(false, &reader, &seen);
	assert_int_equal(seen.n_owned, 2);
	assert_int_equal(state_save(reader, &seen, &e), -EPERM);
	assert_int_equal(state_keep_text(reader, 1, "botlsd", "x", &e), -EPERM);
	state_wipe(&seen);
	state_close(reader);
	state_wipe(&s);
	state_close(st);
	open_state(true, &st, &s);
	state_wipe(&s);
	state_close(st);
}

static void pid_may_be_missing(void **state)
{
	struct state_store *st;
	struct state s;

	(void)state;
	open_state(true, &st, &s);
	write_file("lock", "");
	assert_refused(true, -EBUSY, "another botls-provision");
	write_file("lock", "12\033[31m");
	assert_refused(true, -EBUSY, "process 12 is");
	state_wipe(&s);
	state_close(st);
}

/* Each of these stands for a file that is not what was written. */
static void damage_is_told(void **state)
{
	static const struct {
		const char *from, *to, *words;
	} cases[] = {
		{"\"version\":1", "\"version\":2", "version 2, but this program knows only 1"},
		{"\"version\":1,", "", "version: missing"},
		{"\"version\":1", "\"version\":\"1\"", "version: expected an integer"},
		{"\"generation\":7", "\"generation\":-1", "generation: out of range"},
		{"\"generation\":7,", "", "generation: missing"},
		{"\"generation\":7", "\"generation\":7,\"x\":1", "not known"},
		{"\"unfinished\":true,", "", "unfinished: missing"},
		{"\"owned\":[", "\"owned\":{},\"x\":[", "not known"},
		{"\"asked\":[", "\"asked\":7,\"owned2\":[", "not known"},
		{"\"asked\":[", "\"asked\":null,\"owned\":[", "not JSON"},
		{"\"phase\":\"active\"", "\"phase\":\"idle\"", "owned[0].phase: a word"},
		{"\"phase\":\"active\"", "\"phase\":\"gone\"", "owned[0].leaving: does not go"},
		{"\"phase\":\"draining\"", "\"phase\":\"active\"", "owned[1].leaving: does not go"},
		{"\"leaving\":\"never-up\"", "\"leaving\":\"not\"",
		 "owned[1].leaving: does not go"},
		{"\"since\":", "\"since\":-", "owned[0].since: out of range"},
		{"\"since\":", "\"since\":999", "owned[0].since: out of range"},
		{"\"created\":", "\"created\":-", "owned[0].created: out of range"},
		{"\"established\":", "\"established\":-", "owned[0].established: out of range"},
		{"\"time_window\":-1", "\"time_window\":-2", "owned[0].time_window: out of range"},
		{"\"was_asked\":true,", "", "owned[0].was_asked: missing"},
		{"\"is_held\":true", "\"is_held\":1", "owned[1].is_held: expected true or false"},
		{"\"tell\":true", "\"tell\":\"yes\"", "owned[1].tell: expected true or false"},
		{"\"tell\":true", "\"tell\":true,\"y\":1", "not known"},
		{"\"mapping\":", "\"mapping\":7,\"m\":", "owned[0].mapping: expected an object"},
		{"\"mapping\":{", "\"mapping\":[],\"z\":{", "owned[0].mapping: expected an object"},
		{"\"server\":\"one\"", "\"server\":7", "owned[0].mapping"},
		{"\"mapping\":{", "\"mapping\":{\"a\\u001b\":1,", "owned[0].mapping: a?: no"},
		{"\"role\":4", "\"role\":5", "asked[0].record.initiator.role: out of range"},
		{"\"asn\":64501", "\"asn\":4294967296",
		 "asked[0].record.initiator.asn: out of range"},
		{"\"ip\":\"192.0.2.1\"", "\"ip\":\"192.0.2.0/24\"", "not an address"},
		{"\"ip\":\"192.0.2.1\"", "\"ip\":\"x\"", "not an address"},
		{"\"monitoring\":true", "\"monitoring\":true,\"q\":0", "not known"},
		{"\"insert_asn\":true,", "", "insert_asn: missing"},
		{"\"port\":8179", "\"port\":65536", "tls.port: out of range"},
		{"\"port\":8179", "\"port\":8179,\"q\":0", "not known"},
		{"sha256/q", "sha256/-", "not a pin"},
		{"\"pins\":[", "\"pins\":[1,", "tls.pins[0]: expected a string"},
		{"\"pins\":[", "\"pins\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",", "too many"},
		{"\"location_type\":\"private\"", "\"location_type\":\"x\"", "a word"},
		{"\"admin\":\"deleting\"", "\"admin\":\"\"", "asked[0].record.admin: a word"},
		{"\"oper\":\"down\"", "\"oper\":\"up\"", "asked[0].record.oper: a word"},
		{"\"outcome\":\"human\"", "\"outcome\":\"x\"", "asked[0].outcome: a word"},
		{"\"status\":\"Deleting\"", "\"status\":\"a\\u001bb\"", "control character"},
		{"\"status\":\"Deleting\"", "\"status\":7", "status: expected a string"},
		{"\"reason\":\"no reason\"", "\"reason\":\"no reason\",\"created\":0", "not known"},
		{"\"session_id\":\"s1\",", "", "asked[0].record.session_id: missing"},
		{"\"secret\":\"swordfish\"",
		 "\"secret\":\"swordfishswordfishswordfishswordfishswordfishswordfishswordfish"
		 "swordfishswordfish\"",
		 "secret: too long"},
		{"\"is_accepted\":true,", "", "asked[0].is_accepted: missing"},
		{"\"record\":{", "\"record\":[],\"w\":{", "not known"},
		{"\"when\":", "\"when\":-", "asked[0].when: out of range"},
		{"\"swordfish", "\"sword\nfish", "not JSON"},
	};
	struct state_store *st;
	struct state s;
	_cleanup_free_ char *text = NULL;

	(void)state;
	open_state(true, &st, &s);
	fill(&s);
	assert_int_equal(state_save(st, &s, NULL), 0);
	state_wipe(&s);
	state_close(st);
	text = read_file("state.json");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *at = strstr(text, cases[i].from);
		_cleanup_free_ char *damaged = NULL;

		if (!at)
			fail_msg("case %zu: no %s", i, cases[i].from);
		assert_true(asprintf(&damaged, "%.*s%s%s", (int)(at - text), text, cases[i].to,
				     at + strlen(cases[i].from)) > 0);
		write_file("state.json", damaged);
		assert_refused(true, -EINVAL, cases[i].words);
		assert_refused(false, -EINVAL, "good copy");
	}
}

/* However short: cut, it is damaged and not empty. */
static void every_cut_is_damage(void **state)
{
	struct state s = {}, again = {};
	_cleanup_free_ char *text = NULL;
	size_t len;

	(void)state;
	fill(&s);
	text = state_dump(&s, &len);
	for (size_t i = 0; i + 1 < len; i++) {
		_cleanup_free_ char *cut = malloc(i + 1);
		struct errtext e = {};

		memcpy(cut, text, i);
		assert_int_equal(state_parse(cut, i, &again, &e), -EINVAL);
		assert_true(e.text[0]);
		assert_null(strstr(e.text, "sword"));
		assert_null(strstr(e.text, "hunter"));
	}
	assert_int_equal(state_parse(text, len, &again, NULL), 0);
	assert_same_state(&s, &again);
	state_wipe(&s);
	state_wipe(&again);
}

static void files_of_others_are_refused(void **state)
{
	_cleanup_free_ char *name = path_of("state.json"), *other = path_of("other");
	struct state_store *st;
	struct state s;

	(void)state;
	open_state(true, &st, &s);
	fill(&s);
	assert_int_equal(state_save(st, &s, NULL), 0);
	state_wipe(&s);
	state_close(st);
	chmod(name, 0640);
	assert_refused(false, -EPERM, "chmod 0600");
	chmod(name, 0602);
	assert_refused(false, -EPERM, "chmod 0600");
	chmod(name, 0600);
	if (!geteuid()) {
		assert_int_equal(chown(name, 65534, 65534), 0);
		assert_refused(false, -EPERM, "belongs to user 65534");
		assert_int_equal(chown(name, 0, 0), 0);
		assert_int_equal(chown(folder, 65534, 65534), 0);
		assert_refused(true, -EPERM, "belongs to user 65534");
		assert_int_equal(chown(folder, 0, 0), 0);
	}
	chmod(folder, 0770);
	assert_refused(true, -EPERM, "others may write to");
	chmod(folder, 0702);
	assert_refused(true, -EPERM, "others may write to");
	chmod(folder, 0755);
	assert_int_equal(rename(name, other), 0);
	assert_int_equal(symlink("other", name), 0);
	assert_refused(true, -ELOOP, "state.json");
	unlink(name);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_refused(true, -EINVAL, "is not a file");
	unlink(name);
	assert_int_equal(rename(other, name), 0);
	assert_int_equal(truncate(name, ((off_t)64 << 20) + 1), 0);
	assert_refused(true, -E2BIG, "longer than");
	unlink(name);
}

/* What could not be written leaves what was there. */
static void failed_save_changes_nothing(void **state)
{
	struct state_store *st;
	struct state s, again;
	struct errtext e = {};
	_cleanup_free_ char *before = NULL, *after = NULL, *blocker = path_of(".state.json.new");

	(void)state;
	open_state(true, &st, &s);
	fill(&s);
	assert_int_equal(state_save(st, &s, NULL), 0);
	before = read_file("state.json");
	s.generation++;
	assert_int_equal(mkdir(blocker, 0700), 0); /* root is stopped by nothing less */
	assert_true(state_save(st, &s, &e) < 0);
	assert_non_null(strstr(e.text, "state.json"));
	rmdir(blocker);
	after = read_file("state.json");
	assert_string_equal(before, after);
	/* left by a crash, of whatever kind it is: the next one writes over it */
	write_file(".state.json.new", "{");
	chmod(blocker, 0644);
	assert_int_equal(state_save(st, &s, NULL), 0);
	assert_int_equal(access(blocker, F_OK), -1);
	state_close(st);
	open_state(false, &st, &again);
	assert_int_equal(again.generation, 8);
	state_wipe(&again);
	state_wipe(&s);
	state_close(st);
}

static void bounds_hold(void **state)
{
	struct owned *many = calloc(STATE_OWNED_MAX + 1, sizeof(*many));
	struct state s = {.owned = many, .n_owned = STATE_OWNED_MAX + 1}, empty;
	struct asked a = asked_of("192.0.2.2", PROV_NOW, OUTCOME_PENDING);
	struct state_store *st;
	struct errtext e = {};

	(void)state;
	open_state(true, &st, &empty);
	assert_int_equal(state_save(st, &s, &e), -E2BIG);
	state_close(st);
	free(many);
	s = (struct state){.asked = calloc(STATE_ASKED_MAX, sizeof(*s.asked)),
			   .n_asked = STATE_ASKED_MAX};
	for (size_t i = 0; i < s.n_asked; i++)
		s.asked[i] = asked_of("192.0.2.3", PROV_NOW, OUTCOME_PENDING);
	/* all but the first are others */
	for (size_t i = 1; i < s.n_asked; i++)
		snprintf(s.asked[i].server, sizeof(s.asked[i].server), "two");
	assert_int_equal(state_add_asked(&s, &a), -E2BIG);
	assert_int_equal(s.n_asked, STATE_ASKED_MAX);
	a = asked_of("192.0.2.3", PROV_NOW, OUTCOME_PENDING);
	assert_int_equal(state_add_asked(&s, &a), 0);
	assert_int_equal(s.n_asked, STATE_ASKED_MAX);
	state_wipe(&s);
}

static void owned_are_found(void **state)
{
	struct state s = {};
	struct owned copy;

	(void)state;
	assert_null(state_owned(&s, "192.0.2.2"));
	fill(&s);
	assert_ptr_equal(state_owned(&s, "192.0.2.2"), &s.owned[0]);
	assert_ptr_equal(state_owned(&s, "2001:db8::2"), &s.owned[1]);
	assert_null(state_owned(&s, "192.0.2.3"));
	assert_int_equal(owned_copy(&s.owned[1], &copy), 0);
	assert_ptr_not_equal(copy.mapping, s.owned[1].mapping);
	assert_true(mapping_equal(copy.mapping, s.owned[1].mapping));
	assert_int_equal(copy.phase, PHASE_DRAINING);
	owned_done(&copy);
	assert_null(copy.mapping);
	state_wipe(&s);
}

/* However it lies in the file, it can be looked up. */
static void owned_are_sorted(void **state)
{
	struct state s = {}, again = {};
	_cleanup_free_ char *text = NULL;
	struct owned swap;
	size_t len;

	(void)state;
	fill(&s);
	swap = s.owned[0];
	s.owned[0] = s.owned[1];
	s.owned[1] = swap;
	text = state_dump(&s, &len);
	assert_int_equal(state_parse(text, len, &again, NULL), 0);
	assert_ptr_equal(state_owned(&again, "192.0.2.2"), &again.owned[0]);
	state_wipe(&s);
	state_wipe(&again);
}

static void owned_are_unique(void **state)
{
	struct state s = {}, again = {};
	_cleanup_free_ char *text = NULL;
	struct errtext e = {};
	size_t len;

	(void)state;
	fill(&s);
	owned_done(&s.owned[1]);
	s.owned[1] = prov_owned("192.0.2.2", "two", NULL);
	text = state_dump(&s, &len);
	assert_int_equal(state_parse(text, len, &again, &e), -EINVAL);
	assert_string_equal(e.text, "owned: a neighbor is there twice");
	state_wipe(&s);
}

static void newest_question_counts(void **state)
{
	struct asked a = asked_of("192.0.2.2", 200, OUTCOME_PENDING);
	struct asked b = asked_of("192.0.2.3", 300, OUTCOME_PENDING);
	struct asked c = asked_of("192.0.2.2", 250, OUTCOME_APPROVED);
	struct asked d = asked_of("192.0.2.2", 100, OUTCOME_REJECTED);
	struct state s = {};

	(void)state;
	snprintf(d.server, sizeof(d.server), "two");
	assert_int_equal(state_add_asked(&s, &a), 0);
	assert_int_equal(state_add_asked(&s, &b), 0);
	assert_int_equal(state_add_asked(&s, &c), 0);
	assert_int_equal(state_add_asked(&s, &d), 0);
	assert_int_equal(s.n_asked, 3); /* in the order of time, whatever was added when */
	assert_int_equal(s.asked[0].when, 100);
	assert_int_equal(s.asked[1].when, 250);
	assert_int_equal(s.asked[2].when, 300);
	assert_int_equal(state_asked(&s, "one", &a.record)->outcome, OUTCOME_APPROVED);
	assert_int_equal(state_asked(&s, "two", &a.record)->outcome, OUTCOME_REJECTED);
	assert_null(state_asked(&s, "two", &b.record));
	/* one of its own entries */
	assert_int_equal(state_add_asked(&s, &s.asked[1]), 0);
	assert_int_equal(s.n_asked, 3);
	assert_int_equal(s.asked[1].outcome, OUTCOME_APPROVED);
	state_wipe(&s);
}

static void stale_questions_go(void **state)
{
	static const struct {
		const char *ip;
		enum outcome_kind outcome;
		bool is_accepted;
		int64_t age;
		bool stays;
	} cases[] = {
		{"192.0.2.10", OUTCOME_REJECTED, false, STATE_ASKED_KEEP + 1, false},
		{"192.0.2.11", OUTCOME_UNKNOWN, false, STATE_ASKED_KEEP + 1, false},
		{"192.0.2.12", OUTCOME_REJECTED, false, STATE_ASKED_KEEP, true},
		{"192.0.2.13", OUTCOME_REJECTED, true, STATE_ASKED_KEEP + 1, true},
		{"192.0.2.14", OUTCOME_PENDING, false, 10 * STATE_ASKED_KEEP, true},
		{"192.0.2.15", OUTCOME_APPROVED, false, 10 * STATE_ASKED_KEEP, true},
		{"192.0.2.16", OUTCOME_HUMAN, false, 10 * STATE_ASKED_KEEP, true},
	};
	struct asked last = asked_of("192.0.2.2", PROV_NOW, OUTCOME_PENDING);
	struct state s = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct asked a = asked_of(cases[i].ip, PROV_NOW - cases[i].age, cases[i].outcome);

		a.is_accepted = cases[i].is_accepted;
		assert_int_equal(state_add_asked(&s, &a), 0);
	}
	assert_int_equal(state_add_asked(&s, &last), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record r = record_of(cases[i].ip);

		assert_int_equal(!!state_asked(&s, "one", &r), cases[i].stays);
	}
	state_wipe(&s);
}

static void assert_generations(uint64_t first, uint64_t last)
{
	for (uint64_t n = 1; n <= last + 1; n++) {
		_cleanup_free_ char *name = NULL, *path = NULL;

		assert_true(asprintf(&name, "generations/%" PRIu64 "/botlsd", n) > 0);
		path = path_of(name);
		if ((access(path, F_OK) == 0) != (n >= first && n <= last))
			fail_msg("generation %" PRIu64, n);
	}
}

static void ten_generations_are_kept(void **state)
{
	_cleanup_free_ char *text = NULL, *path = path_of("generations/25/bird.v4");
	struct state_store *st;
	struct state s;
	struct errtext e = {};
	struct stat sb;

	(void)state;
	open_state(true, &st, &s);
	for (uint64_t n = 1; n <= 25; n++) {
		char text_n[32];

		snprintf(text_n, sizeof(text_n), "text %" PRIu64 "\n", n);
		assert_int_equal(state_keep_text(st, n, "botlsd", text_n, NULL), 0);
		assert_int_equal(state_keep_text(st, n, "bird.v4", text_n, NULL), 0);
		if (n == 10)
			assert_generations(1, 10);
	}
	assert_generations(16, 25);
	text = read_file("generations/25/bird.v4");
	assert_string_equal(text, "text 25\n");
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_int_equal(state_keep_text(st, 26, "../x", "", &e), -EINVAL);
	assert_int_equal(state_keep_text(st, 26, "..", "", &e), -EINVAL);
	assert_int_equal(state_keep_text(st, 26, "", "", &e), -EINVAL);
	assert_int_equal(state_keep_text(st, 0, "x", "", &e), -EINVAL);
	state_wipe(&s);
	state_close(st);
}

static void lost_or_old_state_is_told(void **state)
{
	_cleanup_free_ char *name = path_of("state.json");
	struct state_store *st;
	struct state s;

	(void)state;
	open_state(true, &st, &s);
	s.generation = 3;
	assert_int_equal(state_save(st, &s, NULL), 0);
	for (uint64_t n = 1; n <= 4; n++) /* the last as a crash before saving leaves it */
		assert_int_equal(state_keep_text(st, n, "botlsd", "x", NULL), 0);
	state_wipe(&s);
	state_close(st);
	open_state(true, &st, &s);
	assert_int_equal(state_keep_text(st, 5, "botlsd", "x", NULL), 0);
	state_wipe(&s);
	state_close(st);
	assert_refused(true, -ESTALE, "generation 3, but generations/5 is newer");
	assert_refused(false, -ESTALE, "newest copy");
	unlink(name);
	assert_refused(true, -ENODATA, "state.json is gone although generations/");
}

static void folders_are_made(void **state)
{
	struct state_store *st = NULL;
	struct state s;
	struct stat sb;
	char deep[96];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b", folder);
	assert_int_equal(state_open(deep, true, &st, &s, NULL), 0);
	state_wipe(&s);
	state_close(st);
	assert_int_equal(stat(deep, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
}

static void names_are_told(void **state)
{
	(void)state;
	assert_string_equal(phase_name(PHASE_SHUT), "shut");
	assert_string_equal(leaving_name(LEAVING_NEVER_UP), "never-up");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(first_run_is_empty, fresh),
		cmocka_unit_test_setup(what_is_saved_comes_back, fresh),
		cmocka_unit_test_setup(one_writer_many_readers, fresh),
		cmocka_unit_test_setup(pid_may_be_missing, fresh),
		cmocka_unit_test_setup(damage_is_told, fresh),
		cmocka_unit_test(every_cut_is_damage),
		cmocka_unit_test_setup(files_of_others_are_refused, fresh),
		cmocka_unit_test_setup(failed_save_changes_nothing, fresh),
		cmocka_unit_test_setup(bounds_hold, fresh),
		cmocka_unit_test(owned_are_found),
		cmocka_unit_test(owned_are_sorted),
		cmocka_unit_test(owned_are_unique),
		cmocka_unit_test(newest_question_counts),
		cmocka_unit_test(stale_questions_go),
		cmocka_unit_test_setup(ten_generations_are_kept, fresh),
		cmocka_unit_test_setup(lost_or_old_state_is_told, fresh),
		cmocka_unit_test_setup(folders_are_made, fresh),
		cmocka_unit_test(names_are_told),
	};
	int r;

	if (!mkdtemp(top))
		return 1;
	snprintf(folder, sizeof(folder), "%s/state", top);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	fresh(NULL);
	rmdir(top);
	return r;
}
