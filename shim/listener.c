// SPDX-License-Identifier: Apache-2.0
#include "listener.h"

#include "log.h"
#include "util.h"

#include <errno.h>

#define ACCEPT_BUDGET	16
#define EMFILE_PAUSE_MS 1000

struct listener {
	struct loop *loop;
	int fd;
	struct io *io;
	struct timer *pause;
	bool is_paused, is_backing_off, begins_long;
	listener_accept_fn *on_accept;
	void *arg;
};

static void update(struct listener *l)
{
	io_set(l->io, l->is_paused || l->is_backing_off ? 0 : IO_READ);
}

static void on_pause_over(void *arg)
{
	struct listener *l = arg;

	l->is_backing_off = false;
	update(l);
}

static void back_off(struct listener *l, int error)
{
	log_warning("cannot accept a connection: %s; trying again in a second (raise LimitNOFILE=)",
		    strerror(error));
	if (timer_set_ms(l->pause, jitter_ms(EMFILE_PAUSE_MS)) < 0)
		return;
	l->is_backing_off = true;
	update(l);
}

static bool accept_one(struct listener *l)
{
	struct sockaddr_storage peer_ss, own_ss;
	socklen_t len = sizeof(peer_ss);
	uint16_t peer_port, own_port;
	struct addr peer, own;
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&peer_ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			back_off(l, errno);
		/* Errors of the connection itself (ECONNABORTED, a pending network error) are not
		 * the listener's. */
		return false;
	}
	len = sizeof(own_ss);
	if (getsockname(fd, (struct sockaddr *)&own_ss, &len) < 0 ||
	    addr_from_socket(fd, &peer_ss, &peer, &peer_port) < 0 ||
	    addr_from_socket(fd, &own_ss, &own, &own_port) < 0) {
		close(fd);
		return true;
	}
	l->on_accept(l->arg, fd, &peer, peer_port, &own, own_port);
	return true;
}

static void on_io(void *arg, unsigned events)
{
	struct listener *l = arg;
	int budget = ACCEPT_BUDGET;

	if (!(events & IO_READ))
		return;
	if (l->begins_long && !loop_may_take_long(l->loop))
		return;
	if (l->begins_long && loop_is_behind(l->loop))
		budget = 1;
	/* on_accept may pause us, never free us: listeners go with a reload only. */
	for (int i = 0; i < budget && !l->is_paused && accept_one(l); i++)
		;
}

int listener_new(struct loop *loop, int fd, listener_accept_fn *on_accept, void *arg,
		 struct listener **ret)
{
	struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->loop = loop;
	l->fd = fd;
	l->on_accept = on_accept;
	l->arg = arg;
	r = timer_new(loop, on_pause_over, l, &l->pause);
	if (r == 0)
		r = io_add(loop, fd, on_io, l, &l->io);
	if (r == 0)
		r = io_set(l->io, IO_READ);
	if (r < 0) {
		listener_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	io_free(l->io);
	timer_free(l->pause);
	close(l->fd);
	free(l);
}

void listener_set_paused(struct listener *l, bool is_paused)
{
	l->is_paused = is_paused;
	update(l);
}

void listener_begins_long(struct listener *l)
{
	l->begins_long = true;
}
