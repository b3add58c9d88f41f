/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, botlsd's end: docs/control-protocol.md.
 *
 * A client's requests are taken one after the other: the next line is looked at when the answer to
 * the one before has left. So a client costs at most one request, one answer and
 * BOTLS_CONTROL_REQUEST_MAX bytes.
 */
#ifndef BOTLS_CTLSERVER_H
#define BOTLS_CTLSERVER_H

#include "json.h"
#include "loop.h"
#include "util.h"

#include <stdint.h>
#include <sys/types.h>

struct ctlserver;
struct ctl_request;

struct ctlserver_params {
	struct loop *loop;
	const char *path;  /* copied; its directory is made (0755) when it is missing */
	const char *group; /* its members may use the socket too; NULL: root only */
	/* An object with a "command" string, borrowed for the call. The request is answered exactly
	 * once, from inside the call or at any later time, whether its client is still there or
	 * not. */
	void (*on_request)(void *arg, struct ctl_request *req, const struct jv *request);
	void *arg;
	/* Milliseconds; 0: 60000 for the next request of a client, 30000 for it to read an answer.
	 */
	uint64_t idle_ms, read_ms;
};

/* A socket file that nobody answers is replaced. -EADDRINUSE: somebody answers; -EEXIST: the path
 * is something else than a socket; -EINVAL: no such group; -ENAMETOOLONG; or another -errno; always
 * with *e. */
int ctlserver_new(const struct ctlserver_params *p, struct ctlserver **ret, struct errtext *e);
/* Disconnects everybody and removes the socket file, if it is still ours.
 * Requests that are not answered yet stay valid; their answers go nowhere. NULL is fine. */
void ctlserver_free(struct ctlserver *s);

/* Another group from now on (reload); nothing is changed on failure. */
int ctlserver_set_group(struct ctlserver *s, const char *group, struct errtext *e);

/* All free the request. The answer (an object, taken over; NULL: out of memory) gets "ok": true
 * unless it has "ok" already. `hint` may be NULL. */
void ctl_request_answer(struct ctl_request *req, struct jv *answer);
void ctl_request_fail(struct ctl_request *req, const char *error, const char *hint);
/* The same with a descriptor (SCM_RIGHTS, with the first byte of the line); taken over. */
void ctl_request_answer_fd(struct ctl_request *req, struct jv *answer, int fd);

/* Who asked, for the log. */
uid_t ctl_request_uid(const struct ctl_request *req);
pid_t ctl_request_pid(const struct ctl_request *req);

/* One line without its newline. -EINVAL with the reason, or -ENOMEM. */
int ctlserver_parse(const char *line, size_t len, struct jv **ret, struct errtext *e);

#endif
