// SPDX-License-Identifier: Apache-2.0
/*
 * The load of the benchmarks: plays the BGP daemon at both ends of a pair of proxies.
 *
 *	load sink ADDRESS PORT [BURST]		answers whatever is asked, until it is killed
 *	load source FROM TO PORT COUNT [BURST]	asks; commands on standard input, answers as JSON
 *	load flow ADDRESS PORT RATE COUNT	bytes at a steady rate, either end: flow.h
 *	load flow FROM TO PORT RATE COUNT
 *
 * The source's session i goes from address FROM + i to TO + i; with COUNT 1 all go the same way.
 * Its commands:
 *
 *	open N PARALLEL		N sessions more, until all are up
 *	stream MIN MAX BYTES	messages of MIN to MAX bytes on the first session, one write each
 *	ping COUNT		KEEPALIVE there and back on the first session
 *	burst			in both directions on every session that is up
 *	rate MS PARALLEL	sessions opened and closed again, one after the other
 *	beat MS EVERY [N]	a KEEPALIVE on each session every EVERY ms; with N, that many more
 *				sessions are opened at once after a fifth of the time
 *	close			all of them
 */
#include "flow.h"
#include "speaker.h"

#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SESSIONS_MAX 20000
#define EVENTS	     256
#define DEADLINE_NS  (120 * 1000000000ULL)
#define RETRY_NS     (200 * 1000000ULL)	 /* a daemon that was refused tries again */
#define HOLD_NS	     (3 * 1000000000ULL) /* the shortest hold time that RFC 4271 allows */
#define MS	     1000000ULL

static int epoll_fd;
static struct speaker sessions[SESSIONS_MAX];
static unsigned n_sessions; /* of these, in use: up, coming up, or waiting to try again */
static struct in_addr from, to;
static uint16_t port;
static unsigned n_addresses;

/* What the callbacks count. */
static unsigned n_up, n_opened, n_failed, n_late;
static uint64_t slowest_up_ns;
static uint32_t *delays; /* microseconds */
static size_t n_delays, room;

static struct in_addr plus(struct in_addr base, unsigned i)
{
	return (struct in_addr){.s_addr = htonl(ntohl(base.s_addr) + i % n_addresses)};
}

/* Down, and not only just now. */
static bool may_start(const struct speaker *s, uint64_t now)
{
	return s->state == SPEAKER_DOWN && (!s->failures || now >= s->began_ns + RETRY_NS);
}

static void start(struct speaker *s, unsigned address)
{
	speaker_connect(s, plus(from, address), plus(to, address), port);
}

static void note_delay(uint64_t ns)
{
	if (n_delays == room) {
		room = room ? room * 2 : 4096;
		delays = realloc(delays, room * sizeof(*delays));
		if (!delays)
			exit(1);
	}
	delays[n_delays++] = ns / 1000;
	n_late += ns > HOLD_NS;
}

static void on_up(struct speaker *s)
{
	uint64_t took = s->up_ns - s->began_ns;

	n_up++;
	n_opened++;
	if (took > slowest_up_ns)
		slowest_up_ns = took;
}

static void on_echo(struct speaker *s, uint64_t delay_ns)
{
	(void)s;
	note_delay(delay_ns);
}

static void on_down(struct speaker *s)
{
	/* began_ns of one that is down: when it failed */
	s->began_ns = now_ns();
	n_failed++;
}

static const struct speaker_callbacks callbacks = {
	.on_up = on_up,
	.on_echo = on_echo,
	.on_down = on_down,
};

static void turn(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll_fd, events, EVENTS, timeout_ms);

	for (int i = 0; i < n; i++)
		speaker_on_events(events[i].data.ptr, events[i].events);
}

static void count_up(void)
{
	n_up = 0;
	for (unsigned i = 0; i < n_sessions; i++)
		n_up += sessions[i].state == SPEAKER_UP;
}

/* Starts what is down and has waited, as long as fewer than `parallel` are on their way. */
static void start_due(unsigned first, unsigned last, unsigned parallel)
{
	uint64_t now = now_ns();
	unsigned under_way = 0;

	for (unsigned i = first; i < last; i++)
		under_way += sessions[i].state != SPEAKER_DOWN && sessions[i].state != SPEAKER_UP;
	for (unsigned i = first; i < last && under_way < parallel; i++) {
		struct speaker *s = &sessions[i];

		if (!may_start(s, now))
			continue;
		start(s, i);
		under_way++;
	}
}

static unsigned room_for(unsigned n)
{
	return n_sessions + n > SESSIONS_MAX ? SESSIONS_MAX - n_sessions : n;
}

static void cmd_open(unsigned n, unsigned parallel)
{
	unsigned first = n_sessions, last = n_sessions + room_for(n);
	uint64_t began = now_ns(), now = began;

	n_failed = 0;
	slowest_up_ns = 0;
	count_up();
	n_sessions = last;
	while (n_up < last && now < began + DEADLINE_NS) {
		start_due(first, last, parallel);
		turn(10);
		count_up();
		now = now_ns();
	}
	printf("{\"up\": %u, \"asked\": %u, \"failed\": %u, \"seconds\": %.6f}\n", n_up, last,
	       n_failed, (now - began) / 1e9);
}

static void cmd_stream(size_t min, size_t max, uint64_t bytes)
{
	uint64_t began = now_ns();
	bool ok = n_sessions && speaker_stream(&sessions[0], min, max, bytes);

	printf("{\"ok\": %s, \"bytes\": %llu, \"seconds\": %.6f}\n", ok ? "true" : "false",
	       (unsigned long long)bytes, (now_ns() - began) / 1e9);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_delays(void)
{
	if (n_delays)
		qsort(delays, n_delays, sizeof(*delays), by_value);
	printf("\"count\": %zu, \"median_us\": %u, \"p99_us\": %u, \"max_us\": %u", n_delays,
	       n_delays ? delays[n_delays / 2] : 0, n_delays ? delays[n_delays * 99 / 100] : 0,
	       n_delays ? delays[n_delays - 1] : 0);
}

static void cmd_ping(unsigned count)
{
	n_delays = 0;
	for (unsigned i = 0; i < count && n_sessions; i++) {
		uint64_t took = speaker_ping(&sessions[0]);

		if (!took)
			break;
		if (i >= count / 10) /* the first ones warm up */
			note_delay(took);
	}
	printf("{");
	print_delays();
	printf("}\n");
}

static void cmd_burst(void)
{
	uint64_t deadline = now_ns() + DEADLINE_NS;
	unsigned done = 0, asked = 0;

	for (unsigned i = 0; i < n_sessions; i++)
		if (sessions[i].state == SPEAKER_UP) {
			speaker_ask_burst(&sessions[i]);
			asked++;
		}
	while (done < asked && now_ns() < deadline) {
		turn(100);
		done = 0;
		for (unsigned i = 0; i < n_sessions; i++)
			done += sessions[i].bursts > 0;
	}
	printf("{\"asked\": %u, \"done\": %u}\n", asked, done);
}

static void cmd_rate(unsigned ms, unsigned parallel)
{
	uint64_t began = now_ns(), until = began + ms * MS, now = began;
	unsigned next = 0;

	n_opened = n_failed = 0;
	if (parallel > SESSIONS_MAX - n_sessions)
		parallel = SESSIONS_MAX - n_sessions;
	while (now < until) {
		for (unsigned i = n_sessions; i < n_sessions + parallel; i++) {
			struct speaker *s = &sessions[i];

			if (s->state == SPEAKER_UP)
				speaker_close(s, false);
			if (may_start(s, now))
				start(s, next++);
		}
		turn(10);
		now = now_ns();
	}
	printf("{\"sessions\": %u, \"failed\": %u, \"seconds\": %.6f}\n", n_opened, n_failed,
	       (now - began) / 1e9);
	for (unsigned i = n_sessions; i < n_sessions + parallel; i++)
		speaker_close(&sessions[i], false);
}

/* Asks on every session whose turn has come; they are spread evenly over `every_ns`. */
static unsigned ask_due(unsigned n, uint64_t began, uint64_t every_ns, uint64_t *asked)
{
	uint64_t due = (now_ns() - began) * n / every_ns;
	unsigned skipped = 0;

	for (; *asked < due; ++*asked) {
		struct speaker *s = &sessions[*asked % n];

		if (s->state == SPEAKER_UP && !s->asked_ns)
			speaker_ask(s);
		else
			skipped++; /* unanswered since the last time: that delay counts */
	}
	return skipped;
}

static void wait_for_answers(unsigned n)
{
	uint64_t deadline = now_ns() + HOLD_NS;
	unsigned open = n;

	while (open && now_ns() < deadline) {
		turn(10);
		open = 0;
		for (unsigned i = 0; i < n; i++)
			open += sessions[i].asked_ns != 0;
	}
	for (unsigned i = 0; i < n; i++)
		if (sessions[i].asked_ns)
			note_delay(now_ns() - sessions[i].asked_ns);
}

static void cmd_beat(unsigned ms, unsigned every_ms, unsigned more)
{
	uint64_t began = now_ns(), until = began + ms * MS, storm = began + ms * MS / 5;
	unsigned first = n_sessions, last = n_sessions + room_for(more), skipped = 0, n_lost = 0;
	uint64_t asked = 0, now = began, storm_over = 0;
	bool is_storm = more > 0;

	n_failed = n_late = 0;
	n_delays = 0;
	slowest_up_ns = 0;
	n_up = 0;
	while (first && (now < until || is_storm) && now < began + DEADLINE_NS) {
		skipped += ask_due(first, began, every_ms * MS, &asked);
		if (is_storm && now >= storm) {
			n_sessions = last;
			start_due(first, last, more);
		}
		turn(1);
		now = now_ns();
		if (is_storm && now >= storm && n_up >= last - first) {
			is_storm = false;
			storm_over = now;
		}
	}
	wait_for_answers(first);
	for (unsigned i = 0; i < first; i++)
		n_lost += sessions[i].state != SPEAKER_UP;
	printf("{\"sessions\": %u, \"lost\": %u, \"late\": %u, \"skipped\": %u, \"seconds\": "
	       "%.6f, ",
	       first, n_lost, n_late, skipped, (now - began) / 1e9);
	printf("\"opened\": %u, \"failed\": %u, \"open_seconds\": %.6f, \"slowest_up\": %.6f, ",
	       n_up, n_failed, storm_over ? (storm_over - storm) / 1e9 : 0, slowest_up_ns / 1e9);
	print_delays();
	printf("}\n");
}

static void cmd_close(void)
{
	for (unsigned i = 0; i < n_sessions; i++)
		speaker_close(&sessions[i], false);
	n_sessions = 0;
	printf("{}\n");
}

static void command(const char *line)
{
	unsigned long long a = 0, b = 0, c = 0;
	char name[16] = "";

	sscanf(line, "%15s %llu %llu %llu", name, &a, &b, &c);
	if (!strcmp(name, "open"))
		cmd_open(a, b ? b : 1);
	else if (!strcmp(name, "stream"))
		cmd_stream(a, b, c);
	else if (!strcmp(name, "ping"))
		cmd_ping(a);
	else if (!strcmp(name, "burst"))
		cmd_burst();
	else if (!strcmp(name, "rate"))
		cmd_rate(a, b ? b : 1);
	else if (!strcmp(name, "beat"))
		cmd_beat(a, b ? b : 1000, c);
	else if (!strcmp(name, "close"))
		cmd_close();
	else
		printf("{\"error\": \"no such command\"}\n");
	fflush(stdout);
}

static int source(void)
{
	char line[128];

	while (fgets(line, sizeof(line), stdin))
		command(line);
	return 0;
}

static struct speaker *free_speaker(void)
{
	static unsigned next;

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		struct speaker *s = &sessions[next++ % SESSIONS_MAX];

		if (s->fd < 0)
			return s;
	}
	return NULL;
}

static void accept_all(int fd)
{
	int new;

	while ((new = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct speaker *s = free_speaker();

		if (s)
			speaker_accept(s, new);
		else
			close(new);
	}
}

static int sink(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = to, .sin_port = htons(port)};
	struct epoll_event ev = {.events = EPOLLIN};
	struct epoll_event events[EVENTS];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || listen(fd, SESSIONS_MAX) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		perror("load: cannot listen");
		return 1;
	}
	printf("{}\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				speaker_on_events(events[i].data.ptr, events[i].events);
			else
				accept_all(fd);
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: load sink ADDRESS PORT [BURST]\n"
			"       load source FROM TO PORT COUNT [BURST]\n"
			"       load flow [FROM] ADDRESS PORT RATE COUNT\n");
	return 2;
}

static int flow(int argc, char **argv)
{
	struct flow_options o = {.is_dialing = argc == 5};

	if (argc < 4 || argc > 5 || (o.is_dialing && !inet_aton(*argv++, &o.from)) ||
	    !inet_aton(argv[0], &o.to))
		return usage();
	o.port = atoi(argv[1]);
	o.rate = atoi(argv[2]);
	o.count = atoi(argv[3]);
	return o.rate && o.count && o.count <= FLOWS_MAX ? flow_run(&o) : usage();
}

int main(int argc, char **argv)
{
	struct rlimit files = {SESSIONS_MAX + 100, SESSIONS_MAX + 100};
	bool is_source = argc > 1 && !strcmp(argv[1], "source");
	int rest = is_source ? 6 : 4;

	if (argc > 1 && !strcmp(argv[1], "flow"))
		return flow(argc - 2, argv + 2);
	if (argc < rest || argc > rest + 1 || !inet_aton(argv[is_source ? 3 : 2], &to) ||
	    (is_source && !inet_aton(argv[2], &from)))
		return usage();
	port = atoi(argv[is_source ? 4 : 3]);
	n_addresses = is_source && atoi(argv[5]) > 0 ? atoi(argv[5]) : 1;
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0) {
		perror("load");
		return 1;
	}
	speaker_setup(epoll_fd, is_source ? &callbacks : NULL);
	speaker_set_burst(argc > rest ? strtoul(argv[rest], NULL, 10) : 0);
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		sessions[i].fd = -1;
	return is_source ? source() : sink();
}
