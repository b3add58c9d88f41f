/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole control process in the test, without privileges: real configuration files, certificates,
 * loop, sockets, control socket and netlink. Steering is a record of what it was told; a worker is
 * a process that only waits for its end, while the test holds the other end of its socket and
 * answers as it likes. Any failure ends the test.
 */
#ifndef BOTLS_TEST_CONTROL_RIG_H
#define BOTLS_TEST_CONTROL_RIG_H

#include "control_internal.h"
#include "fake_steering.h"
#include "messages.h"
#include "worker_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define RIG_WORKERS 64

enum rig_answer { RIG_TAKES, RIG_REFUSES, RIG_SILENT, RIG_DIES };

/* One message that control sent, except batches and pings. */
struct rig_message {
	uint32_t type, id;
	char payload[600];
	size_t len;
	int fd; /* the rig's */
};

struct fake_worker {
	struct rig *rig;
	unsigned number;
	struct ipc *ipc; /* NULL: gone */
	int fd;		 /* its descriptor, for what no worker should say */
	pid_t pid;
	unsigned n_started, n_batches;
	enum rig_answer answer; /* to the batches of reloads; others it takes */
	bool by_hand;		/* the test answers QUERY and RESET; else: nothing to tell */
	struct batch batch;
	struct config *config; /* what it took last */
	size_t n_files, n_tls, n_inner;
	uint32_t batch_id;
	bool has_keylog;
	struct rig_message *messages;
	size_t n_messages;
};

struct rig {
	const void *parameter; /* the test's initial_state */
	struct control *c;
	struct fake_steering steering;
	struct fake_worker workers[RIG_WORKERS];
	unsigned n_answers; /* of workers to batches */
	unsigned n_started; /* workers, all together */
	int start_error;    /* -errno for the next starts of workers */
	unsigned n_start_errors;
	bool is_stubborn; /* the next processes do not end with their sockets */
	char dir[40], path[64], socket[64], group[64];
	const char *keylog;
	uint16_t tls_port;
	int client;
	int heard_fd; /* what came with the last answer that brought a descriptor; the rig's; 0 none
		       */
	char *log;
	size_t log_len, log_from;
	int log_pipe[2], real_stderr;
	int notify_fd;
	char notified[1024];
};

/* cmocka's group fixtures: certificates for all. */
int crig_group_setup(void **state);
int crig_group_teardown(void **state);
/* Per test: a folder, certificates in it, no control yet. */
int crig_setup(void **state);
int crig_teardown(void **state);

/* Writes botlsd.conf: what every test needs, then `text`. */
void crig_write(struct rig *r, const char *fmt, ...) PRINTF(2, 3);
void crig_write_file(struct rig *r, const char *name, const char *text);
/* In the folder there are own.pem with own.key, ca.pem, expired.pem with expired.key, other.key. */

/* control_new(); *e when it fails. */
int crig_try(struct rig *r, struct errtext *e);
/* control_new() with what crig_write() wrote, and every worker has its configuration. */
void crig_start(struct rig *r);
void crig_stop(struct rig *r); /* control_free() */

bool crig_turn(struct rig *r, unsigned i);
#define crig_until(r, condition)                                                                   \
	do {                                                                                       \
		for (unsigned i_ = 0; !(condition); i_++)                                          \
			if (!crig_turn(r, i_))                                                     \
				fail_msg("in vain: %s", #condition);                               \
	} while (0)
/* Everything that can happen now has happened. */
void crig_settle(struct rig *r);

/* A client of the control socket. */
int crig_dial(struct rig *r);
void crig_say(int fd, const char *fmt, ...) PRINTF(2, 3);
struct jv *crig_hear(struct rig *r, int fd); /* one answer; the caller's */
struct jv *crig_ask(struct rig *r, const char *fmt, ...) PRINTF(2, 3);
/* It says no, with these words in its "error" (and "hint" unless NULL). Frees the answer. */
void crig_expect_refusal(struct jv *answer, const char *error, const char *hint);

/* What a worker says. */
void crig_reply(struct fake_worker *w, uint32_t type, uint32_t id, const void *payload, size_t len);
void crig_reply_text(struct fake_worker *w, uint32_t type, uint32_t id, const char *text);
/* The last message of this type, or NULL; and how many there were. */
const struct rig_message *crig_last(const struct fake_worker *w, uint32_t type);
size_t crig_count(const struct fake_worker *w, uint32_t type);
/* Its process dies, and control has seen it. */
void crig_kill(struct fake_worker *w);

const struct steering_entry *crig_entry(const struct rig *r, const char *neighbor);
/* True when the log has the text since the last crig_log_forget(). */
bool crig_logged(struct rig *r, const char *text);
void crig_log_forget(struct rig *r);
/* All that was said to systemd since the last call, a space after each. */
const char *crig_notified(struct rig *r);
/* What config_print() says, without comments; free() it. */
char *crig_config_text(const struct config *c);

#endif
