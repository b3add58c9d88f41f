// SPDX-License-Identifier: Apache-2.0
#include "relay_splice.h"

#include "relay.h"

#include <errno.h>
#include <fcntl.h>

/* Each piece of a packet takes a page's place, however small it is. */
#define PIPE_SIZE (4 * RELAY_BUFFER)

static struct {
	bool is_there;
	int data[2], copy[2];
} pipes;

int relay_splice_start(void)
{
	if (pipes.is_there)
		return 0;
	if (pipe2(pipes.data, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(pipes.copy, O_NONBLOCK | O_CLOEXEC) < 0) {
		int r = -errno;

		close(pipes.data[0]);
		close(pipes.data[1]);
		return r;
	}
	/* A smaller one serves, too. */
	fcntl(pipes.data[0], F_SETPIPE_SZ, PIPE_SIZE);
	fcntl(pipes.copy[0], F_SETPIPE_SZ, PIPE_SIZE);
	pipes.is_there = true;
	return 0;
}

bool relay_splice_can(const struct transport *from, const struct transport *to)
{
	return pipes.is_there && from->ops->can_splice && from->ops->can_splice(from, true) &&
	       to->ops->can_splice && to->ops->can_splice(to, false);
}

static void empty(int fd)
{
	static uint8_t waste[RELAY_BUFFER];

	while (read(fd, waste, sizeof(waste)) > 0)
		;
}

static bool read_all(int fd, uint8_t *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, buf + done, len - done);

		if (n <= 0)
			return false;
		done += n;
	}
	return true;
}

size_t relay_splice_read(struct transport *from, uint8_t *buf, size_t len,
			 enum transport_result *ret_result, bool *ret_in_pipe)
{
	size_t have = 0;
	ssize_t n = 1;

	while (have < len && n > 0) {
		n = from->ops->splice_in(from, pipes.data[1], len - have);
		have += n > 0 ? n : 0;
	}
	if (n == -EAGAIN)
		*ret_result = IO_WANT_READ;
	*ret_in_pipe =
		have &&
		tee(pipes.data[0], pipes.copy[1], have, SPLICE_F_NONBLOCK) == (ssize_t)have &&
		read_all(pipes.copy[0], buf, have);
	if (!have || *ret_in_pipe)
		return have;
	/* No place for the copy (the pipes are not of one size): then it is read, not moved. */
	empty(pipes.copy[0]);
	return read_all(pipes.data[0], buf, have) ? have : 0;
}

enum transport_result relay_splice_write(struct transport *to, size_t len, size_t *ret_n)
{
	return to->ops->splice_out(to, pipes.data[0], len, ret_n);
}

void relay_splice_drop(void)
{
	if (pipes.is_there)
		empty(pipes.data[0]);
}
