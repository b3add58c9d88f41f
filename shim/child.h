/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker process as control has it, or the metrics process: started, given its configuration,
 * asked, watched, started again.
 *
 * A crash ends only its own sessions. It is started again at once, and more slowly when it keeps
 * crashing.
 */
#ifndef BOTLS_CHILD_H
#define BOTLS_CHILD_H

#include "ipc.h"
#include "loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct child;

enum child_kind { CHILD_WORKER, CHILD_METRICS };

struct child_callbacks {
	enum child_kind kind;
	/* A fresh process is there, with nothing: send it its configuration. */
	void (*on_started)(void *arg, struct child *c);
	void (*on_message)(void *arg, struct child *c, struct ipc_message *m);
	/* The process is dead; everything that waits for an answer from it waits in vain. */
	void (*on_died)(void *arg, struct child *c);
	/* Starts a process that talks on `fd`, which stays the caller's. Its pid, or -errno. NULL:
	 * our own binary again, as `user` (worker.h). */
	pid_t (*start_process)(void *arg, struct child *c, int fd);
};

/* Starts the process. */
int child_new(struct loop *loop, unsigned number, const char *user,
	      const struct child_callbacks *cb, void *arg, struct child **ret);
void child_stop(struct child *c); /* closes the socket to it, on which it ends; for several: first
				     all of them, then free */
/* Frees it and lets the process live on: it knows what to do without us. */
void child_leave(struct child *c);
void child_free(struct child *c); /* stops it, waits for it, and kills it after a second */

/* Tell it every SIGCHLD's pid; true when it was this one. */
bool child_reaped(struct child *c, pid_t pid, int status);

int child_send(struct child *c, uint32_t type, uint32_t id, const void *payload, size_t len,
	       int fd);

enum child_kind child_kind(const struct child *c);
unsigned child_number(const struct child *c);
pid_t child_pid(const struct child *c);	      /* 0 while it is not running */
int64_t child_started(const struct child *c); /* seconds since the epoch */
unsigned child_restarts(const struct child *c);

#endif
