// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include "botls/capture.h"
#include "util.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

/* How long the end of a capture waits for room to tell of what was dropped last. */
#define LAST_WORD_MS 2000

struct capture {
	struct capture *next, **list; /* list NULL: nothing is captured any more */
	struct capture **owner;	      /* set when it is ending */
	int fd;
	unsigned slot, worker;
	struct io *io;
	struct timer *deadline;
	uint32_t dropped; /* not told yet */
	bool is_dead;	  /* nobody reads any more; control will say so */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* True when the record has left whole. */
static bool send_record(struct capture *c, struct botls_capture_record *r, const void *data)
{
	struct iovec iov[2] = {{r, sizeof(*r)}, {(void *)data, r->len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = r->len ? 2 : 1};

	if (c->is_dead)
		return false;
	r->worker = c->worker;
	r->dropped = c->dropped;
	if (sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		c->dropped = 0;
		return true;
	}
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		c->is_dead = true;
	return false;
}

static void drop(struct capture *c)
{
	if (c->is_dead)
		return;
	if (c->dropped < UINT32_MAX)
		c->dropped++;
	/* Without room for this it is told with the next record. */
	io_set(c->io, IO_WRITE);
}

static void tell_dropped(struct capture *c)
{
	struct botls_capture_record r = {.kind = BOTLS_CAPTURE_DROPPED, .time_ns = now_ns()};

	if (!c->dropped || send_record(c, &r, NULL) || c->is_dead)
		io_set(c->io, 0);
	else
		io_set(c->io, IO_WRITE);
}

static void finish_if_told(struct capture *c)
{
	if (!c->owner || (c->dropped && !c->is_dead))
		return;
	*c->owner = NULL;
	capture_free(c);
}

static void on_writable(void *arg, unsigned events)
{
	struct capture *c = arg;

	(void)events;
	tell_dropped(c);
	finish_if_told(c);
}

static void on_deadline(void *arg)
{
	struct capture *c = arg;

	c->is_dead = true;
	finish_if_told(c);
}

int capture_new(struct loop *loop, int fd, unsigned slot, unsigned worker, struct capture **list,
		struct capture **ret)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->slot = slot;
	c->worker = worker;
	if (io_add(loop, fd, on_writable, c, &c->io) < 0 ||
	    timer_new(loop, on_deadline, c, &c->deadline) < 0) {
		capture_free(c);
		return -ENOMEM;
	}
	c->list = list;
	c->next = *list;
	*list = c;
	*ret = c;
	return 0;
}

static void detach(struct capture *c)
{
	struct capture **p = c->list;

	c->list = NULL;
	while (p && *p && *p != c)
		p = &(*p)->next;
	if (p && *p)
		*p = c->next;
}

void capture_stop(struct capture *c, struct capture **owner)
{
	detach(c);
	c->owner = owner;
	tell_dropped(c);
	if (c->dropped && timer_set_ms(c->deadline, LAST_WORD_MS) < 0)
		c->is_dead = true;
	finish_if_told(c);
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	detach(c);
	io_free(c->io);
	timer_free(c->deadline);
	close(c->fd);
	free(c);
}

void capture_detach_all(struct capture **list)
{
	while (*list)
		detach(*list);
}

unsigned capture_slot(const struct capture *c)
{
	return c->slot;
}

static struct botls_capture_record record_of(const struct capture_flow *f, uint8_t kind)
{
	struct botls_capture_record r = {
		.kind = kind,
		.flags = f->daemon_connected ? BOTLS_CAPTURE_DAEMON_CONNECTED : 0,
		.family = f->neighbor->family == AF_INET6 ? 6 : 4,
		.time_ns = now_ns(),
		.session = f->session,
		.from_neighbor = f->in->bytes,
		.from_daemon = f->out->bytes,
		.neighbor_port = f->neighbor_port,
		.daemon_port = f->daemon_port,
	};

	memcpy(r.neighbor, f->neighbor->bytes, sizeof(r.neighbor));
	memcpy(r.daemon, f->daemon->bytes, sizeof(r.daemon));
	return r;
}

/* All of it in records, or up to the one that has no room. */
static bool send_bytes(struct capture *c, const struct capture_flow *f, bool inbound,
		       const uint8_t *data, size_t from, size_t to)
{
	struct botls_capture_record r = record_of(f, BOTLS_CAPTURE_DATA);
	uint64_t *at = inbound ? &r.from_neighbor : &r.from_daemon;
	uint64_t begin = *at;

	r.flags |= inbound ? BOTLS_CAPTURE_FROM_NEIGHBOR : 0;
	for (; from < to; from += r.len) {
		r.len = to - from < BOTLS_CAPTURE_DATA_MAX ? to - from : BOTLS_CAPTURE_DATA_MAX;
		*at = begin + from;
		if (!send_record(c, &r, data + from))
			return false;
	}
	return true;
}

static void capture_bytes(struct capture *c, const struct capture_flow *f, bool inbound,
			  const uint8_t *data, size_t len)
{
	uint8_t bit = 1U << c->slot;
	size_t skip = 0;

	if (!(f->in_step[inbound] & bit)) {
		skip = bgp_until_message(inbound ? f->in : f->out, data, len);
		if (skip == len)
			return;
		f->in_step[inbound] |= bit;
	}
	if (send_bytes(c, f, inbound, data, skip, len))
		return;
	f->in_step[inbound] &= ~bit;
	drop(c);
}

void captures_bytes(struct capture *list, const struct capture_flow *f, bool inbound,
		    const void *data, size_t len)
{
	for (struct capture *c = list; c; c = c->next)
		capture_bytes(c, f, inbound, data, len);
}

void captures_begin(struct capture *list, const struct capture_flow *f)
{
	for (struct capture *c = list; c; c = c->next) {
		struct botls_capture_record r = record_of(f, BOTLS_CAPTURE_BEGIN);

		if (!send_record(c, &r, NULL))
			drop(c);
	}
}

void captures_end(struct capture *list, const struct capture_flow *f, bool by_neighbor, bool reset,
		  const char *why)
{
	for (struct capture *c = list; c; c = c->next) {
		struct botls_capture_record r = record_of(f, BOTLS_CAPTURE_END);

		r.flags |= (by_neighbor ? BOTLS_CAPTURE_FROM_NEIGHBOR : 0) |
			   (reset ? BOTLS_CAPTURE_RESET : 0);
		r.len = strlen(why);
		if (!send_record(c, &r, why))
			drop(c);
	}
}
