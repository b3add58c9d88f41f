// SPDX-License-Identifier: Apache-2.0
#include "loop.h"
#include "loop_internal.h"
#include "util.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/epoll.h>
#include <time.h>

/* Callbacks per turn that take long: about two milliseconds of handshakes. */
#define LONG_PER_TURN 4
#define READY_MAX     4096 /* descriptors in a turn */

struct signal_handler {
	struct signal_handler *next;
	struct event ev;
	void (*cb)(void *arg, int signo);
	void *arg;
};

/*
 * Descriptors are in an epoll descriptor of ours, and that one alone is in libevent's: what
 * libevent keeps of each is 160 bytes, and sessions are many and last. Nor could it tell a hang-up:
 * its EV_CLOSED turns EPOLLERR into EV_READ and EV_WRITE, so that an event that waits for EV_CLOSED
 * only is never called, and the loop spins on the RST.
 */
struct loop {
	struct event_base *base;
	int epoll_fd;
	struct event has_ready;
	struct epoll_event ready[READY_MAX]; /* of this turn; those from `at` on are to be called */
	int at, n_ready;
	struct signal_handler *signals;

	/* What takes long: who has waited longest gets it, so that nobody who always has something
	 * to do keeps the others from it. Who is told to wait gets a ticket; the first of those who
	 * asked in a turn are called in the next. */
	struct io *asking; /* whose callback runs; NULL: another one's */
	uint64_t last_ticket;
	uint64_t called[LONG_PER_TURN], waiting[LONG_PER_TURN];
	unsigned n_called, n_waiting;
	unsigned long_left; /* in this turn, for those who were not called */
};

struct io {
	struct loop *loop;
	void (*cb)(void *arg, unsigned events);
	void *arg;
	uint64_t ticket; /* 0: none */
	int fd;
	uint8_t want;
	uint8_t armed; /* what epoll watches for: `want` without a hang-up that was told */
	bool hup_told;
};

struct timer {
	struct event ev;
	void (*cb)(void *arg);
	void *arg;
};

/* Each call may free the io, or change what it wants. */
static void call(struct loop *l, unsigned kind, unsigned events)
{
	struct io *io = l->ready[l->at].data.ptr;

	if (!io || !(io->armed & kind))
		return;
	if (kind == IO_HUP) {
		io->hup_told = true;
		io_set(io, io->want);
	}
	l->asking = io;
	io->cb(io->arg, events);
	l->asking = NULL;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)what;
	l->n_ready = epoll_wait(fd, l->ready, READY_MAX, 0);
	for (l->at = 0; l->at < l->n_ready; l->at++) {
		uint32_t events = l->ready[l->at].events;
		bool is_dead = events & (EPOLLERR | EPOLLHUP);

		if (events & EPOLLIN || is_dead)
			call(l, IO_READ, IO_READ);
		if (events & EPOLLOUT || is_dead)
			call(l, IO_WRITE, IO_WRITE);
		if (events & EPOLLRDHUP || is_dead)
			call(l, IO_HUP, IO_HUP | (events & EPOLLERR ? IO_ERROR : 0));
	}
	l->n_ready = 0;
}

/* What libevent would write to standard error is in the return value too. */
static void on_libevent_message(int severity, const char *text)
{
	(void)severity;
	(void)text;
}

static int new_base(struct event_base **ret)
{
	struct event_config *config = event_config_new();

	event_set_log_callback(on_libevent_message);
	if (!config)
		return -ENOMEM;
	/* With the cached time a timer that is set late in a long turn would fire early. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME);
	event_config_require_features(config, EV_FEATURE_O1);
	errno = ENOMEM;
	*ret = event_base_new_with_config(config);
	event_config_free(config);
	return *ret ? 0 : -errno;
}

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		r = -errno;
		free(l);
		return r;
	}
	r = new_base(&l->base);
	if (r == 0) {
		event_assign(&l->has_ready, l->base, l->epoll_fd, EV_READ | EV_PERSIST, on_ready,
			     l);
		errno = ENOMEM;
		if (event_add(&l->has_ready, NULL) < 0)
			r = -errno;
	}
	if (r < 0) {
		if (l->base)
			event_base_free(l->base);
		close(l->epoll_fd);
		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	struct signal_handler *s;

	if (!l)
		return;
	while ((s = l->signals)) {
		l->signals = s->next;
		event_del(&s->ev);
		free(s);
	}
	event_del(&l->has_ready);
	event_base_free(l->base);
	close(l->epoll_fd);
	free(l);
}

int loop_turn(struct loop *l, bool wait)
{
	/* NONBLOCK alone goes round for as long as continuations follow each other. */
	int flags = EVLOOP_NO_EXIT_ON_EMPTY | EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK);

	memcpy(l->called, l->waiting, sizeof(l->called));
	l->n_called = l->n_waiting;
	l->n_waiting = 0;
	l->long_left = LONG_PER_TURN - l->n_called;
	errno = EIO;
	return event_base_loop(l->base, flags) < 0 ? -errno : 0;
}

int loop_run(struct loop *l)
{
	int r;

	do
		r = loop_turn(l, true);
	while (r == 0 && !event_base_got_break(l->base));
	return r;
}

static bool has(const uint64_t *tickets, unsigned n, uint64_t ticket)
{
	for (unsigned i = 0; i < n; i++)
		if (tickets[i] == ticket)
			return true;
	return false;
}

/* Keeps the lowest tickets. */
static void note_waiting(struct loop *l, uint64_t ticket)
{
	unsigned last = 0;

	if (has(l->waiting, l->n_waiting, ticket))
		return;
	if (l->n_waiting < LONG_PER_TURN) {
		l->waiting[l->n_waiting++] = ticket;
		return;
	}
	for (unsigned i = 1; i < LONG_PER_TURN; i++)
		if (l->waiting[i] > l->waiting[last])
			last = i;
	if (ticket < l->waiting[last])
		l->waiting[last] = ticket;
}

bool loop_may_take_long(struct loop *l)
{
	struct io *io = l->asking;

	if (io && io->ticket && has(l->called, l->n_called, io->ticket)) {
		io->ticket = 0;
		return true;
	}
	if (l->long_left) {
		l->long_left--;
		if (io)
			io->ticket = 0;
		return true;
	}
	if (io && !io->ticket)
		io->ticket = ++l->last_ticket;
	if (io)
		note_waiting(l, io->ticket);
	return false;
}

bool loop_is_behind(const struct loop *l)
{
	return l->n_called || l->n_waiting;
}

void loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}

uint64_t loop_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int io_add(struct loop *l, int fd, void (*cb)(void *arg, unsigned events), void *arg,
	   struct io **ret)
{
	struct io *io = calloc(1, sizeof(*io));

	if (!io)
		return -ENOMEM;
	io->loop = l;
	io->fd = fd;
	io->cb = cb;
	io->arg = arg;
	*ret = io;
	return 0;
}

int io_set(struct io *io, unsigned want)
{
	unsigned arm = io->hup_told ? want & ~IO_HUP : want;
	struct epoll_event ev = {.data.ptr = io};
	/* epoll tells the death of whatever it has, also when nothing is asked for. */
	int op = !arm ? EPOLL_CTL_DEL : io->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	ev.events = (arm & IO_READ ? EPOLLIN : 0) | (arm & IO_WRITE ? EPOLLOUT : 0) |
		    (arm & IO_HUP ? EPOLLRDHUP : 0);
	if (arm != io->armed && epoll_ctl(io->loop->epoll_fd, op, io->fd, &ev) < 0 && arm)
		return -errno;
	io->armed = arm;
	io->want = want;
	return 0;
}

unsigned io_wanted(const struct io *io)
{
	return io->want;
}

void io_free(struct io *io)
{
	struct loop *l;

	if (!io)
		return;
	l = io->loop;
	io_set(io, 0);
	for (int i = l->at; i < l->n_ready; i++)
		if (l->ready[i].data.ptr == io)
			l->ready[i].data.ptr = NULL;
	free(io);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->cb(t->arg);
}

int timer_new(struct loop *l, void (*cb)(void *arg), void *arg, struct timer **ret)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->cb = cb;
	t->arg = arg;
	evtimer_assign(&t->ev, l->base, on_timeout, t);
	*ret = t;
	return 0;
}

int timer_set_ms(struct timer *t, uint64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	return event_add(&t->ev, &tv) < 0 ? -ENOMEM : 0;
}

void timer_stop(struct timer *t)
{
	if (t)
		event_del(&t->ev);
}

bool timer_is_set(const struct timer *t)
{
	return t && event_pending(&t->ev, EV_TIMEOUT, NULL);
}

void timer_free(struct timer *t)
{
	if (!t)
		return;
	event_del(&t->ev);
	free(t);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct signal_handler *s = arg;

	(void)what;
	s->cb(s->arg, signo);
}

int loop_on_signal(struct loop *l, int signo, void (*cb)(void *arg, int signo), void *arg)
{
	struct signal_handler *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->cb = cb;
	s->arg = arg;
	evsignal_assign(&s->ev, l->base, signo, on_signal, s);
	errno = ENOMEM;
	if (event_add(&s->ev, NULL) < 0) {
		int r = -errno;

		free(s);
		return r;
	}
	s->next = l->signals;
	l->signals = s;
	return 0;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}
