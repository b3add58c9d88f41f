// SPDX-License-Identifier: Apache-2.0
#include "speaker.h"

#include "bgp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define HEADER_LEN 19
#define UPDATE_MAX 4096
#define UPDATE_MIN 23
#define SIZES	   1024 /* messages of differing sizes before they repeat */

static int epoll_fd = -1;
static const struct speaker_callbacks *callbacks;
static uint8_t incoming[1 << 18];
static uint8_t open_message[29], keepalive[HEADER_LEN], end_of_rib[UPDATE_MIN];
/* A burst, then what says that it is over: End-of-RIB of the answer, ROUTE-REFRESH of the question.
 */
static uint8_t answer[BURST_MAX + UPDATE_MIN], question[BURST_MAX + UPDATE_MIN];
static size_t burst_len;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void speaker_make_header(uint8_t *at, size_t len, uint8_t type)
{
	memset(at, 0xff, 16);
	at[16] = len >> 8;
	at[17] = len;
	at[18] = type;
}

static void make_message(uint8_t *at, size_t len, enum bgp_type type)
{
	memset(at, 0, len);
	speaker_make_header(at, len, type);
}

size_t speaker_make_open(uint8_t *at)
{
	static const uint8_t body[] = {4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, 0}; /* AS 65001 */

	make_message(at, HEADER_LEN + sizeof(body), BGP_OPEN);
	memcpy(at + HEADER_LEN, body, sizeof(body));
	return HEADER_LEN + sizeof(body);
}

void speaker_set_burst(size_t bytes)
{
	burst_len = bytes / UPDATE_MAX * UPDATE_MAX;
	if (burst_len > BURST_MAX)
		burst_len = BURST_MAX;
	for (size_t at = 0; at < burst_len; at += UPDATE_MAX)
		make_message(answer + at, UPDATE_MAX, BGP_UPDATE);
	memcpy(question, answer, burst_len);
	make_message(answer + burst_len, UPDATE_MIN, BGP_UPDATE);
	make_message(question + burst_len, UPDATE_MIN, BGP_ROUTE_REFRESH);
}

void speaker_setup(int fd, const struct speaker_callbacks *c)
{
	epoll_fd = fd;
	callbacks = c;
	speaker_make_open(open_message);
	make_message(keepalive, sizeof(keepalive), BGP_KEEPALIVE);
	make_message(end_of_rib, sizeof(end_of_rib), BGP_UPDATE);
}

static void watch(struct speaker *s, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (epoll_ctl(epoll_fd, op, s->fd, &ev) < 0) {
		perror("epoll_ctl");
		exit(1);
	}
}

void speaker_close(struct speaker *s, bool reset)
{
	const struct linger linger = {.l_onoff = 1};

	if (s->fd < 0)
		return;
	if (reset)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(s->fd);
	*s = (struct speaker){.fd = -1, .is_asking = s->is_asking, .failures = s->failures};
}

static void broken(struct speaker *s)
{
	s->failures++;
	speaker_close(s, false);
	if (callbacks && callbacks->on_down)
		callbacks->on_down(s);
}

/* False: the connection is broken, and the speaker may be gone. */
static bool flush(struct speaker *s)
{
	bool had_left = s->out_left > 0;

	while (s->out_left || s->owed) {
		ssize_t n;

		if (!s->out_left) {
			s->owed--;
			s->out = keepalive;
			s->out_left = sizeof(keepalive);
		}
		n = send(s->fd, s->out, s->out_left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return true;
		}
		if (n < 0) {
			broken(s);
			return false;
		}
		s->out += n;
		s->out_left -= n;
	}
	if (had_left)
		watch(s, EPOLL_CTL_MOD, EPOLLIN);
	return true;
}

/* `data` is static; nothing else is on its way. */
static bool say(struct speaker *s, const void *data, size_t len)
{
	ssize_t n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == (ssize_t)len)
		return true;
	if (n < 0 && errno != EAGAIN) {
		broken(s);
		return false;
	}
	s->out = (const uint8_t *)data + (n < 0 ? 0 : n);
	s->out_left = len - (n < 0 ? 0 : n);
	watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	return true;
}

static bool say_keepalive(struct speaker *s)
{
	s->owed++;
	return s->out_left ? true : flush(s);
}

static bool on_answer(struct speaker *s, uint8_t type)
{
	uint64_t delay;

	if (type == BGP_OPEN) {
		s->state = SPEAKER_CONFIRM;
		return say_keepalive(s);
	}
	if (type == BGP_KEEPALIVE && s->state == SPEAKER_CONFIRM) {
		s->state = SPEAKER_UP;
		s->up_ns = now_ns();
		if (callbacks->on_up)
			callbacks->on_up(s);
		return s->fd >= 0;
	}
	if (type == BGP_KEEPALIVE && s->asked_ns) {
		delay = now_ns() - s->asked_ns;
		s->asked_ns = 0;
		if (callbacks->on_echo)
			callbacks->on_echo(s, delay);
	}
	if (type == BGP_UPDATE && s->length == UPDATE_MIN)
		s->bursts++;
	return s->fd >= 0;
}

static bool on_question(struct speaker *s, uint8_t type)
{
	switch (type) {
	case BGP_KEEPALIVE: return say_keepalive(s);
	case BGP_UPDATE: return s->length == UPDATE_MIN ? say_keepalive(s) : true;
	case BGP_ROUTE_REFRESH: return say(s, answer, burst_len + UPDATE_MIN);
	}
	return true;
}

/* False: the connection is broken. */
static bool take(struct speaker *s, const uint8_t *p, size_t n)
{
	while (n) {
		size_t until = s->have < HEADER_LEN ? HEADER_LEN : s->length;
		size_t part = n < until - s->have ? n : until - s->have;

		if (s->have < HEADER_LEN)
			memcpy(s->header + s->have, p, part);
		s->have += part;
		p += part;
		n -= part;
		if (s->have == HEADER_LEN)
			s->length = s->header[16] << 8 | s->header[17];
		if (s->have < HEADER_LEN || s->have < s->length)
			continue;
		s->have = 0;
		if (!(s->is_asking ? on_answer : on_question)(s, s->header[18]))
			return false;
	}
	return true;
}

static void on_readable(struct speaker *s)
{
	ssize_t n = recv(s->fd, incoming, sizeof(incoming), MSG_DONTWAIT);

	if (n > 0)
		take(s, incoming, n);
	else if (n == 0 || errno != EAGAIN)
		broken(s);
}

static void on_connected(struct speaker *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		broken(s);
		return;
	}
	s->state = SPEAKER_OPENSENT;
	watch(s, EPOLL_CTL_MOD, EPOLLIN);
	say(s, open_message, sizeof(open_message));
}

void speaker_on_events(struct speaker *s, uint32_t events)
{
	if (s->state == SPEAKER_CONNECTING) {
		on_connected(s);
		return;
	}
	if (events & EPOLLOUT && !flush(s))
		return;
	if (events & ~EPOLLOUT)
		on_readable(s);
}

static void begin(struct speaker *s, int fd, enum speaker_state state, uint32_t events)
{
	int on = 1;

	s->fd = fd;
	s->state = state;
	s->have = 0;
	s->began_ns = now_ns();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	watch(s, EPOLL_CTL_ADD, events);
}

void speaker_connect(struct speaker *s, struct in_addr from, struct in_addr to, uint16_t port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = from};
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = to, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	s->is_asking = true;
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
		perror("load: cannot make a socket");
		exit(1);
	}
	begin(s, fd, SPEAKER_CONNECTING, EPOLLOUT);
	if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0 && errno != EINPROGRESS)
		broken(s);
}

void speaker_accept(struct speaker *s, int fd)
{
	begin(s, fd, SPEAKER_UP, EPOLLIN);
	say(s, open_message, sizeof(open_message));
}

void speaker_ask(struct speaker *s)
{
	s->asked_ns = now_ns();
	say_keepalive(s);
}

void speaker_ask_burst(struct speaker *s)
{
	s->bursts = 0;
	say(s, question, burst_len + UPDATE_MIN);
}

static bool set_blocking(struct speaker *s, bool is_blocking)
{
	return fcntl(s->fd, F_SETFL, is_blocking ? 0 : O_NONBLOCK) == 0;
}

static bool await_keepalive(struct speaker *s)
{
	uint8_t in[HEADER_LEN];

	return recv(s->fd, in, sizeof(in), MSG_WAITALL) == sizeof(in);
}

/* Messages of sizes between the two, one after the other in `at`; their sizes in `sizes`. */
static size_t make_messages(uint8_t *at, uint16_t *sizes, size_t min, size_t max)
{
	size_t count = min == max ? 1 : SIZES;
	unsigned seed = 1;

	for (size_t i = 0; i < count; at += sizes[i++]) {
		sizes[i] = min + rand_r(&seed) % (max - min + 1);
		make_message(at, sizes[i], BGP_UPDATE);
	}
	return count;
}

bool speaker_stream(struct speaker *s, size_t min, size_t max, uint64_t bytes)
{
	static uint8_t messages[SIZES * UPDATE_MAX];
	static uint16_t sizes[SIZES];
	size_t count = make_messages(messages, sizes, min, max), i = 0;
	const uint8_t *at = messages;
	bool ok = set_blocking(s, true);

	while (ok && bytes > 0) {
		ok = send(s->fd, at, sizes[i], MSG_NOSIGNAL) == sizes[i];
		bytes -= bytes < sizes[i] ? bytes : sizes[i];
		at += sizes[i++];
		if (i == count) {
			at = messages;
			i = 0;
		}
	}
	ok = ok && send(s->fd, end_of_rib, sizeof(end_of_rib), MSG_NOSIGNAL) > 0 &&
	     await_keepalive(s);
	return set_blocking(s, false) && ok;
}

uint64_t speaker_ping(struct speaker *s)
{
	uint64_t began, took;
	bool ok = set_blocking(s, true);

	began = now_ns();
	ok = ok && send(s->fd, keepalive, sizeof(keepalive), MSG_NOSIGNAL) == sizeof(keepalive) &&
	     await_keepalive(s);
	took = now_ns() - began;
	return set_blocking(s, false) && ok ? took : 0;
}
