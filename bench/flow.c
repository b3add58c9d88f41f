// SPDX-License-Identifier: Apache-2.0
#include "flow.h"

#include "bgp.h"
#include "speaker.h"
#include "util.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define TICK_NS	      (5 * 1000000ULL)
#define KEEPALIVE_LEN 19
#define MESSAGE_MIN   23
#define MESSAGE_MAX   600
#define OUT_MAX	      (1 << 16)

/* Messages of every length and content; who begins with the same number says the same. */
struct script {
	uint64_t chance;
	unsigned n; /* messages so far */
	size_t len, at;
	uint8_t message[MESSAGE_MAX + sizeof(uint64_t)];
};

struct flow {
	int fd;
	struct script says, hears;
	uint8_t out[OUT_MAX];
	size_t out_at, out_len;
	uint64_t began_ns, sent, received;
	uint64_t heard_ns; /* 0: nothing yet */
	bool is_full;
};

static const struct flow_options *options;
static struct flow flows[FLOWS_MAX];
static unsigned n_flows;
static int epoll_fd, timer_fd, listen_fd = -1;
static bool is_stopped;
static uint64_t pause_ns, own_ns, turn_ns;

_Noreturn static void fail(const char *what, const char *why)
{
	printf("{\"error\": \"%s: %s\"}\n", what, why);
	fflush(stdout);
	exit(1);
}

/* --- what is said */

static uint64_t draw(struct script *s)
{
	s->chance ^= s->chance << 13;
	s->chance ^= s->chance >> 7;
	s->chance ^= s->chance << 17;
	return s->chance;
}

static void script_begin(struct script *s, bool is_dialing)
{
	*s = (struct script){.chance = is_dialing ? 0x9e3779b97f4a7c15 : 0xc2b2ae3d27d4eb4f};
}

static void next_message(struct script *s)
{
	s->at = 0;
	switch (s->n++) {
	case 0: s->len = speaker_make_open(s->message); return;
	case 1:
		s->len = KEEPALIVE_LEN;
		speaker_make_header(s->message, s->len, BGP_KEEPALIVE);
		return;
	}
	s->len = MESSAGE_MIN + draw(s) % (MESSAGE_MAX - MESSAGE_MIN + 1);
	for (size_t i = 0; i < s->len; i += sizeof(uint64_t)) {
		uint64_t word = draw(s);

		memcpy(s->message + i, &word, sizeof(word));
	}
	speaker_make_header(s->message, s->len, BGP_UPDATE);
}

static bool is_as_said(struct script *s, const uint8_t *p, size_t n)
{
	while (n) {
		size_t part;

		if (s->at == s->len)
			next_message(s);
		part = n < s->len - s->at ? n : s->len - s->at;
		if (memcmp(p, s->message + s->at, part) != 0)
			return false;
		s->at += part;
		p += part;
		n -= part;
	}
	return true;
}

/* --- one session */

static void watch(int op, int fd, uint32_t events, void *who)
{
	struct epoll_event ev = {.events = events, .data.ptr = who};

	if (epoll_ctl(epoll_fd, op, fd, &ev) < 0)
		fail("epoll_ctl", strerror(errno));
}

/* Whole messages, as many as are due. */
static void fill(struct flow *f, uint64_t now)
{
	uint64_t due = (now - f->began_ns) / 1000 * options->rate / 1000000;

	f->out_at = f->out_len = 0;
	while (!is_stopped && f->sent + f->out_len < due && f->out_len + MESSAGE_MAX <= OUT_MAX) {
		next_message(&f->says);
		memcpy(f->out + f->out_len, f->says.message, f->says.len);
		f->out_len += f->says.len;
	}
}

static void speak(struct flow *f, uint64_t now)
{
	bool was_full = f->is_full;
	ssize_t n = 0;

	if (f->out_at == f->out_len)
		fill(f, now);
	if (f->out_at < f->out_len)
		n = send(f->fd, f->out + f->out_at, f->out_len - f->out_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		fail("a session ended", strerror(errno));
	if (n > 0) {
		f->out_at += n;
		f->sent += n;
	}
	f->is_full = f->out_at < f->out_len;
	if (f->is_full != was_full)
		watch(EPOLL_CTL_MOD, f->fd, f->is_full ? EPOLLIN | EPOLLOUT : EPOLLIN, f);
}

static void note_pause(const struct flow *f, uint64_t now)
{
	if (f->heard_ns && now - f->heard_ns > pause_ns)
		pause_ns = now - f->heard_ns;
}

static void hear(struct flow *f)
{
	static uint8_t incoming[1 << 16];
	ssize_t n = recv(f->fd, incoming, sizeof(incoming), MSG_DONTWAIT);
	uint64_t now = now_ns();

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		fail("a session ended", n < 0 ? strerror(errno) : "the other end closed it");
	if (!is_as_said(&f->hears, incoming, n))
		fail("a session", "bytes are missing, or are others than were sent");
	note_pause(f, now);
	f->heard_ns = now;
	f->received += n;
}

static void begin(int fd)
{
	struct flow *f = &flows[n_flows++];
	int on = 1;

	f->fd = fd;
	f->began_ns = now_ns();
	script_begin(&f->says, options->is_dialing);
	script_begin(&f->hears, !options->is_dialing);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	watch(EPOLL_CTL_ADD, fd, EPOLLIN, f);
}

/* --- all of them */

static void dial(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = options->from};
	struct sockaddr_in peer = {
		.sin_family = AF_INET, .sin_addr = options->to, .sin_port = htons(options->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		fail("cannot connect", strerror(errno));
	begin(fd);
}

static void start_listening(void)
{
	struct sockaddr_in own = {
		.sin_family = AF_INET, .sin_addr = options->to, .sin_port = htons(options->port)};
	int on = 1;

	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listen_fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    listen(listen_fd, FLOWS_MAX) < 0)
		fail("cannot listen", strerror(errno));
	watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN, &listen_fd);
}

static void accept_one(void)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && n_flows < options->count)
		begin(fd);
	else if (fd >= 0)
		close(fd);
}

static void on_tick(void)
{
	uint64_t now = now_ns(), expirations;

	if (read(timer_fd, &expirations, sizeof(expirations)) < 0)
		return;
	if (now - turn_ns > own_ns)
		own_ns = now - turn_ns;
	turn_ns = now;
	for (unsigned i = 0; i < n_flows; i++)
		if (!flows[i].is_full)
			speak(&flows[i], now);
}

static void answer(void)
{
	uint64_t now = now_ns(), sent = 0, received = 0;
	unsigned heard = 0;

	for (unsigned i = 0; i < n_flows; i++) {
		const struct flow *f = &flows[i];

		note_pause(f, now);
		sent += f->sent + f->out_len - f->out_at;
		received += f->received;
		heard += f->received > 0;
	}
	printf("{\"sessions\": %u, \"sent\": %llu, \"received\": %llu, \"pause_us\": %llu, "
	       "\"own_us\": %llu}\n",
	       heard, (unsigned long long)sent, (unsigned long long)received,
	       (unsigned long long)pause_ns / 1000, (unsigned long long)own_ns / 1000);
	fflush(stdout);
	pause_ns = own_ns = 0;
}

static void on_command(void)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line));

	if (n <= 0)
		exit(0);
	is_stopped = is_stopped || (n == 5 && memcmp(line, "stop\n", 5) == 0);
	answer();
}

static void on_event(const struct epoll_event *ev)
{
	struct flow *f = ev->data.ptr;

	if (ev->data.ptr == &timer_fd) {
		on_tick();
	} else if (ev->data.ptr == &listen_fd) {
		accept_one();
	} else if (!f) {
		on_command();
	} else {
		if (ev->events & ~EPOLLOUT)
			hear(f);
		if (ev->events & EPOLLOUT)
			speak(f, now_ns());
	}
}

int flow_run(const struct flow_options *o)
{
	const struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};
	struct epoll_event events[FLOWS_MAX];

	options = o;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (epoll_fd < 0 || timerfd_settime(timer_fd, 0, &every, NULL) < 0)
		fail("cannot begin", strerror(errno));
	watch(EPOLL_CTL_ADD, timer_fd, EPOLLIN, &timer_fd);
	watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
	turn_ns = now_ns();
	if (!o->is_dialing)
		start_listening();
	for (unsigned i = 0; o->is_dialing && i < o->count; i++)
		dial();
	printf("{}\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, FLOWS_MAX, -1);

		for (int i = 0; i < n; i++)
			on_event(&events[i]);
	}
}
