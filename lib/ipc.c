// SPDX-License-Identifier: Apache-2.0
#include "ipc.h"
#include "loop.h"
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Messages handled per wake-up, so that one busy peer does not hold up the rest of the loop. */
#define IPC_BUDGET 64

struct ipc_header {
	uint32_t type;
	uint32_t id;
};

struct queued {
	struct queued *next;
	struct ipc_header header;
	int fd;
	size_t len;
	char payload[];
};

struct ipc {
	int fd;
	struct io *io;
	struct ipc_callbacks cb;
	void *arg;
	bool is_gone;
	bool *freed; /* set when ipc_free() was called from inside a callback */
	struct queued *head, **tail;
	size_t queued_bytes;
	char buffer[sizeof(struct ipc_header) + IPC_PAYLOAD_MAX + 1];
};

int ipc_pair(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0
		       ? -errno
		       : 0;
}

/* There may be a key in it. */
static void free_queued(struct queued *q)
{
	cleanup_close(&q->fd);
	explicit_bzero(q->payload, q->len);
	free(q);
}

static void drop_queue(struct ipc *c)
{
	while (c->head) {
		struct queued *q = c->head;

		c->head = q->next;
		free_queued(q);
	}
	c->tail = &c->head;
	c->queued_bytes = 0;
}

static void gone(struct ipc *c)
{
	if (c->is_gone)
		return;
	c->is_gone = true;
	io_set(c->io, 0);
	drop_queue(c);
	c->cb.on_gone(c->arg);
}

static int send_one(struct ipc *c, const struct ipc_header *header, const void *payload, size_t len,
		    int fd)
{
	const struct iovec parts[2] = {{(void *)header, sizeof(*header)}, {(void *)payload, len}};
	ssize_t n = sock_send_fds(c->fd, parts, len ? 2 : 1, &fd, fd >= 0);

	if (n >= 0)
		return 0;
	/* ETOOMANYREFS: descriptors in flight are limited; the reader will make room. */
	return n == -EAGAIN || n == -ENOBUFS || n == -ETOOMANYREFS ? -EAGAIN : -EPIPE;
}

static int enqueue(struct ipc *c, const struct ipc_header *header, const void *payload, size_t len,
		   int fd)
{
	struct queued *q;

	if (c->queued_bytes + len > IPC_QUEUE_MAX)
		return -EPIPE;
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	q->header = *header;
	q->len = len;
	if (len)
		memcpy(q->payload, payload, len);
	q->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && q->fd < 0) {
		free_queued(q);
		return -ENOMEM;
	}
	*c->tail = q;
	c->tail = &q->next;
	c->queued_bytes += len;
	return io_set(c->io, IO_READ | IO_WRITE);
}

int ipc_send(struct ipc *c, uint32_t type, uint32_t id, const void *payload, size_t len, int fd)
{
	const struct ipc_header header = {type, id};
	int r = -EAGAIN;

	if (c->is_gone)
		return -EPIPE;
	if (len > IPC_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!c->head)
		r = send_one(c, &header, payload, len, fd);
	/* A dead peer is told by the loop (on_gone), not from inside the caller's call. */
	return r == -EAGAIN ? enqueue(c, &header, payload, len, fd) : r;
}

static void flush_queue(struct ipc *c)
{
	while (c->head) {
		struct queued *q = c->head;
		int r = send_one(c, &q->header, q->payload, q->len, q->fd);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			gone(c);
			return;
		}
		c->head = q->next;
		if (!c->head)
			c->tail = &c->head;
		c->queued_bytes -= q->len;
		free_queued(q);
	}
	io_set(c->io, IO_READ);
}

/* 1: one message was handled; 0: nothing there; -errno: the peer is gone or broke the protocol. */
static int receive_one(struct ipc *c, const bool *freed)
{
	struct ipc_header header;
	struct ipc_message m = {.fd = -1};
	size_t n_fds = 0;
	ssize_t n = sock_receive_fds(c->fd, c->buffer, sizeof(c->buffer) - 1, &m.fd, 1, &n_fds);

	if (n < 0)
		return n == -EAGAIN ? 0 : n;
	if (n < (ssize_t)sizeof(header)) {
		cleanup_close(&m.fd);
		return -EPIPE;
	}
	memcpy(&header, c->buffer, sizeof(header));
	c->buffer[n] = '\0';
	m.type = header.type;
	m.id = header.id;
	m.payload = c->buffer + sizeof(header);
	m.len = n - sizeof(header);
	c->cb.on_message(c->arg, &m);
	cleanup_close(&m.fd);
	if (!*freed)
		explicit_bzero(c->buffer, n);
	return 1;
}

static void on_io(void *arg, unsigned events)
{
	struct ipc *c = arg;
	bool freed = false;

	if (events & IO_WRITE) {
		flush_queue(c);
		return;
	}
	if (!(events & IO_READ))
		return;
	c->freed = &freed;
	for (int i = 0; i < IPC_BUDGET; i++) {
		int r = receive_one(c, &freed);

		if (freed)
			return;
		if (r == 0)
			break;
		if (r < 0) {
			c->freed = NULL;
			gone(c);
			return;
		}
	}
	c->freed = NULL;
}

int ipc_new(struct loop *loop, int fd, const struct ipc_callbacks *cb, void *arg, struct ipc **ret)
{
	struct ipc *c = calloc(1, sizeof(*c));
	int size = 1 << 20;
	int r;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->cb = *cb;
	c->arg = arg;
	c->tail = &c->head;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r = io_add(loop, fd, on_io, c, &c->io);
	if (r == 0)
		r = io_set(c->io, IO_READ);
	if (r < 0) {
		ipc_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void ipc_free(struct ipc *c)
{
	if (!c)
		return;
	if (c->freed)
		*c->freed = true;
	io_free(c->io);
	drop_queue(c);
	close(c->fd);
	explicit_bzero(c->buffer, sizeof(c->buffer));
	free(c);
}
