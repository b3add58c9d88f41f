// SPDX-License-Identifier: Apache-2.0
/*
 * Captures, as control has them: it makes the pair of sockets, gives one end to botlsctl and the
 * other to every worker, and takes no part in what goes through. Its own copy of the workers' end
 * is for workers that are started later, for a word of its own now and then, and to see botlsctl
 * end.
 */
#include "control_internal.h"

#include "log.h"
#include "messages.h"

#include <botls/botls.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

/* What may wait for botlsctl, in the kernel's memory; what comes above it is dropped. */
#define CAPTURE_BUFFER (4 << 20) /* bytes */

struct control_capture {
	struct control *control;
	unsigned slot;
	char neighbor[ADDR_STRLEN];
	int fd; /* the workers' end */
	struct io *io;
	uid_t uid;
	pid_t pid;
	uint64_t begun_ms;
	char note[160]; /* waits for room */
};

static void capture_free(struct control_capture *p)
{
	io_free(p->io);
	close(p->fd);
	free(p);
}

static void end(struct control_capture *p, const char *why)
{
	struct control *c = p->control;

	for (size_t i = 0; i < c->n_children; i++)
		child_send(c->children[i], MSG_CAPTURE_END, p->slot, NULL, 0, -1);
	log_warning("neighbor %s: the capture for uid %u (pid %d) has ended after %llu s: %s",
		    p->neighbor, p->uid, p->pid,
		    (unsigned long long)(loop_now_ms() - p->begun_ms) / 1000, why);
	c->captures[p->slot] = NULL;
	capture_free(p);
}

/* False: there was no room for it now. */
static bool say(struct control_capture *p, const char *text, bool is_last)
{
	struct timespec now;
	struct {
		struct botls_capture_record record;
		char text[sizeof(p->note)];
	} m = {};

	clock_gettime(CLOCK_REALTIME, &now);
	m.record.kind = BOTLS_CAPTURE_NOTE;
	m.record.flags = is_last ? BOTLS_CAPTURE_LAST : 0;
	m.record.time_ns = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	m.record.len = snprintf(m.text, sizeof(m.text), "%s", text);
	if (m.record.len >= sizeof(m.text))
		m.record.len = sizeof(m.text) - 1;
	return send(p->fd, &m, sizeof(m.record) + m.record.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void note(struct control_capture *p, const char *text)
{
	if (say(p, text, false))
		return;
	snprintf(p->note, sizeof(p->note), "%s", text);
	io_set(p->io, IO_HUP | IO_WRITE);
}

static void on_io(void *arg, unsigned events)
{
	struct control_capture *p = arg;

	if (events & (IO_HUP | IO_ERROR)) {
		end(p, "botlsctl has ended it");
		return;
	}
	if (!p->note[0] || say(p, p->note, false)) {
		p->note[0] = '\0';
		io_set(p->io, IO_HUP);
	}
}

/* NULL: all are taken. */
static struct control_capture **free_slot(struct control *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->captures); i++)
		if (!c->captures[i])
			return &c->captures[i];
	return NULL;
}

/* *ret_fd is botlsctl's end. */
static int begin(struct control *c, struct control_capture **slot, struct ctl_request *req,
		 const struct neighbor_config *n, int *ret_fd)
{
	int fds[2] = {-1, -1}, size = CAPTURE_BUFFER / 2, r; /* the kernel doubles it */
	struct control_capture *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->control = c;
	p->slot = slot - c->captures;
	strcpy(p->neighbor, n->name);
	p->uid = ctl_request_uid(req);
	p->pid = ctl_request_pid(req);
	p->begun_ms = loop_now_ms();
	r = ipc_pair(fds);
	if (r < 0) {
		free(p);
		return r;
	}
	p->fd = fds[0];
	/* The buffer is that of the sending side, common to all who hold it. */
	if (setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r = io_add(c->loop, p->fd, on_io, p, &p->io);
	if (r == 0)
		r = io_set(p->io, IO_HUP);
	if (r < 0) {
		capture_free(p);
		close(fds[1]);
		return r;
	}
	*slot = p;
	*ret_fd = fds[1];
	return 0;
}

/* Why nobody, or not this client, may capture now; NULL: it may. */
static const char *refusal(struct control *c, struct ctl_request *req,
			   const struct neighbor_config *n, const char **ret_hint)
{
	*ret_hint = NULL;
	if (c->now.config->capture == CAPTURE_OFF) {
		*ret_hint = "set capture = root in botlsd.conf, and reload";
		return "captures are forbidden by the configuration";
	}
	if (ctl_request_uid(req) != 0) {
		*ret_hint = "members of the control-group may not see what the neighbors say";
		return "only root may capture";
	}
	if (n->mode == MODE_OFF) {
		*ret_hint = "its BGP is not botlsd's: tcpdump shows it";
		return "the neighbor's mode is off";
	}
	if (!free_slot(c)) {
		*ret_hint = "end another one first";
		return "too many captures at once";
	}
	return NULL;
}

static struct jv *answer(const struct control_capture *p, const struct neighbor_config *n)
{
	struct jv *o = jv_object_new();

	jv_set_int(o, "format", BOTLS_CAPTURE_FORMAT);
	jv_set_string(o, "neighbor", p->neighbor);
	jv_set_string(o, "description", n->description);
	jv_set_string(o, "version", BOTLS_VERSION);
	jv_set_int(o, "buffer", CAPTURE_BUFFER);
	return o;
}

void control_capture(struct control *c, struct ctl_request *req, const struct neighbor_config *n)
{
	const char *hint, *why = refusal(c, req, n, &hint);
	struct control_capture **slot = free_slot(c);
	int fd, r;

	if (why) {
		log_warning("neighbor %s: capture refused to uid %u (pid %d): %s", n->name,
			    ctl_request_uid(req), ctl_request_pid(req), why);
		ctl_request_fail(req, why, hint);
		return;
	}
	r = slot ? begin(c, slot, req, n, &fd) : -ENOSPC;
	if (r < 0) {
		ctl_request_fail(req, strerror(-r), NULL);
		return;
	}
	log_warning("neighbor %s: decrypted BGP is captured from now on for uid %u (pid %d)",
		    n->name, (*slot)->uid, (*slot)->pid);
	for (size_t i = 0; i < c->n_children; i++)
		child_send(c->children[i], MSG_CAPTURE, (*slot)->slot, n->name, strlen(n->name),
			   (*slot)->fd);
	ctl_request_answer_fd(req, answer(*slot, n), fd);
}

void control_captures_resume(struct control *c, struct child *child)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->captures); i++) {
		struct control_capture *p = c->captures[i];

		if (p)
			child_send(child, MSG_CAPTURE, p->slot, p->neighbor, strlen(p->neighbor),
				   p->fd);
	}
}

void control_captures_tell_death(struct control *c, struct child *child)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "worker %u died: its sessions are lost without a packet that says so; the capture "
		 "goes on",
		 child_number(child));
	for (size_t i = 0; i < ARRAY_SIZE(c->captures); i++)
		if (c->captures[i])
			note(c->captures[i], text);
}

static void forbid(struct control_capture *p, const char *why)
{
	say(p, why, true);
	end(p, why);
}

void control_captures_recheck(struct control *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->captures); i++) {
		struct control_capture *p = c->captures[i];
		const struct neighbor_config *n =
			p ? config_neighbor(c->now.config, p->neighbor) : NULL;

		if (!p)
			continue;
		if (c->now.config->capture == CAPTURE_OFF)
			forbid(p, "captures are forbidden by the configuration now");
		else if (!n)
			forbid(p, "the neighbor is no longer configured");
		else if (n->mode == MODE_OFF)
			forbid(p, "the neighbor's mode is off now");
	}
}

void control_captures_free(struct control *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->captures); i++)
		if (c->captures[i])
			forbid(c->captures[i], "botlsd is stopping");
}
