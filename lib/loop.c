// SPDX-License-Identifier: Apache-2.0
#include "loop.h"
#include "loop_internal.h"
#include "util.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/epoll.h>
#include <time.h>

/* Hang-ups told per turn, before other descriptors get theirs. */
#define HANGUPS_PER_TURN 64
/* Callbacks per turn that take long: about two milliseconds of handshakes. */
#define LONG_PER_TURN 4

struct signal_handler {
	struct signal_handler *next;
	struct event ev;
	void (*cb)(void *arg, int signo);
	void *arg;
};

/*
 * Hang-ups have an epoll descriptor of their own. libevent's EV_CLOSED turns EPOLLERR into EV_READ
 * and EV_WRITE: an event that waits for EV_CLOSED only is then never called, and the loop spins on
 * the RST.
 */
struct loop {
	struct event_base *base;
	int hangup_fd;
	struct event hangup;
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
	int fd;
	unsigned want;
	bool hup_told;
	uint64_t ticket; /* 0: none */
	struct event read;
	struct event *write; /* only while it is wanted, which is seldom and short */
	void (*cb)(void *arg, unsigned events);
	void *arg;
};

struct timer {
	struct event ev;
	void (*cb)(void *arg);
	void *arg;
};

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct epoll_event ev;

	(void)what;
	(void)arg;
	/* One at a time: the callback may free the io that would be next in a longer list. */
	for (int i = 0; i < HANGUPS_PER_TURN && epoll_wait(fd, &ev, 1, 0) == 1; i++) {
		struct io *io = ev.data.ptr;

		io->hup_told = true;
		io->cb(io->arg, IO_HUP | (ev.events & EPOLLERR ? IO_ERROR : 0));
	}
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
	l->hangup_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->hangup_fd < 0) {
		r = -errno;
		free(l);
		return r;
	}
	r = new_base(&l->base);
	if (r == 0) {
		event_assign(&l->hangup, l->base, l->hangup_fd, EV_READ | EV_PERSIST, on_hangup, l);
		errno = ENOMEM;
		if (event_add(&l->hangup, NULL) < 0)
			r = -errno;
	}
	if (r < 0) {
		if (l->base)
			event_base_free(l->base);
		close(l->hangup_fd);
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
	event_del(&l->hangup);
	event_base_free(l->base);
	close(l->hangup_fd);
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

static void call(struct io *io, unsigned events)
{
	struct loop *l = io->loop;

	l->asking = io;
	io->cb(io->arg, events); /* may free it */
	l->asking = NULL;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	call(arg, IO_READ);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	call(arg, IO_WRITE);
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
	event_assign(&io->read, l->base, fd, EV_READ | EV_PERSIST, on_readable, io);
	*ret = io;
	return 0;
}

static int set_event(struct event *ev, bool on)
{
	errno = ENOMEM;
	return (on ? event_add(ev, NULL) : event_del(ev)) < 0 ? -errno : 0;
}

static int set_write(struct io *io, bool on)
{
	int r;

	if (on)
		io->write = calloc(1, sizeof(*io->write));
	if (!io->write)
		return -ENOMEM;
	if (on)
		event_assign(io->write, io->loop->base, io->fd, EV_WRITE | EV_PERSIST, on_writable,
			     io);
	r = set_event(io->write, on);
	if (!on || r < 0)
		free(TAKE(io->write));
	return r;
}

static int set_hangup(struct io *io, bool on)
{
	struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = io};

	if (io->hup_told && on)
		return 0;
	if (epoll_ctl(io->loop->hangup_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, io->fd, &ev) < 0)
		return on ? -errno : 0;
	return 0;
}

int io_set(struct io *io, unsigned want)
{
	static const unsigned kinds[] = {IO_READ, IO_WRITE, IO_HUP};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool on = want & kinds[i];
		int r;

		if (on == !!(io->want & kinds[i]))
			continue;
		if (kinds[i] == IO_HUP)
			r = set_hangup(io, on);
		else if (kinds[i] == IO_WRITE)
			r = set_write(io, on);
		else
			r = set_event(&io->read, on);
		if (r < 0)
			return r;
		io->want ^= kinds[i];
	}
	return 0;
}

unsigned io_wanted(const struct io *io)
{
	return io->want;
}

void io_free(struct io *io)
{
	if (!io)
		return;
	io_set(io, 0);
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
	return event_pending(&t->ev, EV_TIMEOUT, NULL);
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
