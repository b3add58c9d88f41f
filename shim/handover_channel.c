// SPDX-License-Identifier: Apache-2.0
#include "handover_channel.h"

#include "secret.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PACKET_MAX 32768 /* bytes of a body in one packet */
#define BUDGET	   64	 /* packets per wake-up, of one message at most */

/* In network order, since both ends may be of different builds. */
struct packet {
	uint8_t type[4];
	uint8_t flags;
	uint8_t zero[3];
};
enum { IS_FIRST = 1, IS_LAST = 2 };

struct queued {
	struct queued *next;
	uint32_t type;
	struct fields_out body;
	size_t sent; /* bytes of the body */
	bool has_begun;
	int fds[CHANNEL_FDS_MAX];
	size_t n_fds;
};

struct channel {
	int fd;
	struct io *io;
	struct channel_callbacks cb;
	void *arg;
	bool is_gone;
	bool *freed; /* set when channel_free() was called from inside a callback */
	uint64_t work_ms, work_max_ms; /* what came has taken so long; may take */
	struct queued *head, **tail;
	unsigned n_queued;

	bool is_open; /* a message is half here: */
	uint32_t type;
	uint8_t *in;
	size_t in_len, in_size;
	uint8_t buffer[sizeof(struct packet) + PACKET_MAX];
};

static void queued_free(struct queued *q)
{
	fields_out_done(&q->body);
	close_all(q->fds, q->n_fds);
	free(q);
}

static void drop_incoming(struct channel *c)
{
	secret_free(TAKE(c->in));
	c->in_len = c->in_size = 0;
	c->is_open = false;
}

static void gone(struct channel *c, int error)
{
	if (c->is_gone)
		return;
	c->is_gone = true;
	io_set(c->io, 0);
	channel_drop(c);
	drop_incoming(c);
	c->cb.on_gone(c->arg, error);
}

/* --- what goes out */

/* One packet of the first message: 0, -EAGAIN, -EPIPE. */
static int send_packet(struct channel *c, struct queued *q)
{
	size_t left = q->body.len - q->sent, n = left < PACKET_MAX ? left : PACKET_MAX;
	bool is_last = n == left;
	struct packet p = {
		.type = {q->type >> 24, q->type >> 16, q->type >> 8, q->type},
		.flags = (q->has_begun ? 0 : IS_FIRST) | (is_last ? IS_LAST : 0),
	};
	const struct iovec parts[2] = {{&p, sizeof(p)}, {n ? q->body.data + q->sent : NULL, n}};
	ssize_t r = sock_send_fds(c->fd, parts, n ? 2 : 1, q->fds, is_last ? q->n_fds : 0);

	if (r < 0)
		return r == -EAGAIN || r == -ENOBUFS || r == -ETOOMANYREFS ? -EAGAIN : -EPIPE;
	q->has_begun = true;
	q->sent += n;
	return 0;
}

static int flush(struct channel *c)
{
	while (c->head) {
		struct queued *q = c->head;
		int r = send_packet(c, q);

		if (r == -EAGAIN)
			return io_set(c->io, IO_READ | IO_WRITE);
		if (r < 0)
			return r;
		if (q->sent < q->body.len)
			continue;
		c->head = q->next;
		if (!c->head)
			c->tail = &c->head;
		c->n_queued--;
		queued_free(q);
	}
	return io_set(c->io, IO_READ);
}

static struct queued *queued_new(uint32_t type, struct fields_out *body, const int *fds,
				 size_t n_fds)
{
	struct queued *q = calloc(1, sizeof(*q));

	if (!q) {
		if (body)
			fields_out_done(body);
		return NULL;
	}
	q->type = type;
	if (body) {
		q->body = *body;
		*body = (struct fields_out){};
	}
	for (; q->n_fds < n_fds; q->n_fds++) {
		q->fds[q->n_fds] = fcntl(fds[q->n_fds], F_DUPFD_CLOEXEC, 3);
		if (q->fds[q->n_fds] < 0) {
			queued_free(q);
			return NULL;
		}
	}
	return q;
}

int channel_send(struct channel *c, uint32_t type, struct fields_out *body, const int *fds,
		 size_t n_fds)
{
	struct queued *q = queued_new(type, body, fds, n_fds);
	int r = q ? fields_out_error(&q->body) : -ENOMEM;

	if (r == 0 && (c->is_gone || c->n_queued >= CHANNEL_QUEUE_MAX))
		r = -EPIPE;
	if (r < 0) {
		if (q)
			queued_free(q);
		return r;
	}
	*c->tail = q;
	c->tail = &q->next;
	c->n_queued++;
	/* A dead peer is told by the loop (on_gone), not from inside the caller's call; and what
	 * may have left (GO) must not be said to have failed. */
	flush(c);
	return 0;
}

void channel_drop(struct channel *c)
{
	while (c->head) {
		struct queued *q = c->head;

		c->head = q->next;
		queued_free(q);
	}
	c->tail = &c->head;
	c->n_queued = 0;
	if (!c->is_gone)
		io_set(c->io, IO_READ);
}

/* --- what comes in */

static int append(struct channel *c, const uint8_t *data, size_t len)
{
	size_t size = c->in_size ? c->in_size : PACKET_MAX;
	size_t max = c->cb.max_of ? c->cb.max_of(c->type) : FIELDS_MAX;
	uint8_t *in;

	if (c->in_len + len > max)
		return -EMSGSIZE;
	while (size < c->in_len + len)
		size *= 2;
	if (size != c->in_size) {
		in = secret_alloc(size);
		if (!in)
			return -ENOMEM;
		if (c->in_len)
			memcpy(in, c->in, c->in_len);
		secret_free(c->in);
		c->in = in;
		c->in_size = size;
	}
	memcpy(c->in + c->in_len, data, len);
	c->in_len += len;
	return 0;
}

static int deliver(struct channel *c, int *fds, size_t n_fds)
{
	struct channel_message m = {.type = c->type, .n_fds = n_fds};
	uint8_t *body = TAKE(c->in);
	size_t len = c->in_len;
	int r;

	drop_incoming(c);
	memcpy(m.fds, fds, n_fds * sizeof(*fds));
	r = fields_read(&m.f, body, len);
	if (r == 0)
		c->cb.on_message(c->arg, &m);
	close_all(m.fds, n_fds);
	secret_free(body);
	return r;
}

/* 1: a part of a message came; 0: nothing more for now: that was the last part, or nothing is
 * there; -errno: the end. */
static int receive_packet(struct channel *c)
{
	const struct packet *p = (const struct packet *)c->buffer;
	int fds[CHANNEL_FDS_MAX];
	size_t n_fds = 0;
	ssize_t n =
		sock_receive_fds(c->fd, c->buffer, sizeof(c->buffer), fds, CHANNEL_FDS_MAX, &n_fds);
	int r = 0;

	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return n;
	/* Nobody holds the other end any more, or somebody else than we writes there. */
	if (n < (ssize_t)sizeof(*p) || (n_fds && !(p->flags & IS_LAST)))
		r = n ? -EBADMSG : -EPIPE;
	/* The rest of a message of which its sender said the beginning to somebody else. */
	if (r == 0 && !c->is_open && !(p->flags & IS_FIRST)) {
		close_all(fds, n_fds);
		return 1;
	}
	if (r == 0 && p->flags & IS_FIRST) {
		drop_incoming(c);
		c->is_open = true;
		c->type = (uint32_t)p->type[0] << 24 | p->type[1] << 16 | p->type[2] << 8 |
			  p->type[3];
	}
	if (r == 0)
		r = append(c, c->buffer + sizeof(*p), n - sizeof(*p));
	if (r < 0) {
		close_all(fds, n_fds);
		return r;
	}
	return p->flags & IS_LAST ? deliver(c, fds, n_fds) : 1;
}

static void on_io(void *arg, unsigned events)
{
	struct channel *c = arg;
	uint64_t began = loop_now_ms();
	bool freed = false;
	int r = 1;

	if (events & IO_WRITE) {
		if (flush(c) < 0)
			gone(c, -EPIPE);
		return;
	}
	if (!(events & IO_READ))
		return;
	c->freed = &freed;
	for (int i = 0; i < BUDGET && r > 0; i++)
		r = receive_packet(c);
	if (freed)
		return;
	c->freed = NULL;
	explicit_bzero(c->buffer, sizeof(c->buffer));
	c->work_ms += loop_now_ms() - began;
	if (r >= 0 && c->work_max_ms && c->work_ms > c->work_max_ms)
		r = -ETIME;
	if (r < 0)
		gone(c, r);
}

void channel_limit_work(struct channel *c, uint64_t ms)
{
	c->work_ms = 0;
	c->work_max_ms = ms;
}

int channel_new(struct loop *loop, int fd, const struct channel_callbacks *cb, void *arg,
		struct channel **ret)
{
	struct channel *c = secret_alloc(sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->cb = *cb;
	c->arg = arg;
	c->tail = &c->head;
	r = io_add(loop, fd, on_io, c, &c->io);
	if (r == 0)
		r = io_set(c->io, IO_READ);
	if (r < 0) {
		channel_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	if (c->freed)
		*c->freed = true;
	c->is_gone = true;
	channel_drop(c);
	drop_incoming(c);
	io_free(c->io);
	close(c->fd);
	secret_free(c);
}
