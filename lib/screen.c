// SPDX-License-Identifier: Apache-2.0
#include "screen.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

/* Alternate screen, no cursor, no line that goes on in the next one; and all of it back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[0m\033[?1049l"

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
static const int crashing[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

static struct termios saved;
static bool has_keys; /* standard input is a terminal, and *saved is what it was */
static char keys[64]; /* typed, from `keys_at` on not looked at */
static size_t keys_at, keys_len;
static volatile sig_atomic_t is_open, end_signal, is_resized, is_stopping;

static int write_all(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, s, len);

		if (n < 0 && errno == EINTR && !end_signal)
			continue;
		if (n < 0)
			return -errno;
		s += n;
		len -= n;
	}
	return 0;
}

static int enter(void)
{
	struct termios raw = saved;

	is_open = true;
	raw.c_lflag &= ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (has_keys && tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return -errno;
	return write_all(ENTER, strlen(ENTER));
}

/* Also from a signal handler: all that it calls may be called there. */
static void leave(void)
{
	size_t done = 0;

	if (!is_open)
		return;
	is_open = false;
	while (done < strlen(LEAVE)) {
		ssize_t n = write(STDOUT_FILENO, &LEAVE[done], strlen(LEAVE) - done);

		if (n <= 0)
			break;
		done += n;
	}
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

static void on_end(int number)
{
	end_signal = number;
}

static void on_resize(int number)
{
	(void)number;
	is_resized = true;
}

static void on_stop(int number)
{
	(void)number;
	is_stopping = true;
}

static void on_crash(int number)
{
	leave();
	raise(number); /* SA_RESETHAND: what it always does */
}

static void handle(const int *numbers, size_t n, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	for (size_t i = 0; i < n; i++)
		sigaction(numbers[i], &action, NULL);
}

int screen_open(void)
{
	static const int resize[] = {SIGWINCH}, stop[] = {SIGTSTP};
	static bool is_registered;
	int r;

	if (!isatty(STDOUT_FILENO))
		return -ENOTTY;
	has_keys = tcgetattr(STDIN_FILENO, &saved) == 0;
	end_signal = is_resized = is_stopping = false;
	keys_at = keys_len = 0;
	if (!is_registered && atexit(leave) != 0)
		return -ENOMEM;
	is_registered = true;
	handle(ending, ARRAY_SIZE(ending), on_end, 0);
	handle(crashing, ARRAY_SIZE(crashing), on_crash, SA_RESETHAND | SA_NODEFER);
	handle(resize, 1, on_resize, 0);
	handle(stop, 1, on_stop, 0);
	r = enter();
	if (r < 0)
		screen_close();
	return r;
}

void screen_close(void)
{
	leave();
	handle(ending, ARRAY_SIZE(ending), SIG_DFL, 0);
	handle(crashing, ARRAY_SIZE(crashing), SIG_DFL, 0);
	handle((const int[]){SIGWINCH, SIGTSTP}, 2, SIG_DFL, 0);
}

void screen_size(unsigned *ret_columns, unsigned *ret_rows)
{
	struct winsize size;
	bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;

	*ret_columns = is_known ? size.ws_col : 80;
	*ret_rows = is_known ? size.ws_row : 24;
}

static const char *skip_lines(const char *s, size_t n)
{
	while (n-- && *s) {
		s += strcspn(s, "\n");
		s += *s == '\n';
	}
	return s;
}

static size_t count_lines(const char *s)
{
	size_t n = 0;

	for (; *s; s = skip_lines(s, 1))
		n++;
	return n;
}

/* At most `max` lines, each with what was to the right of it wiped; returns how many. */
static size_t put_lines(FILE *out, const char *s, size_t max)
{
	size_t n = 0;

	for (; *s && n < max; s = skip_lines(s, 1), n++)
		fprintf(out, "%s%.*s\033[0m\033[K", n ? "\r\n" : "", (int)strcspn(s, "\n"), s);
	return n;
}

int screen_draw(const char *text, unsigned head, unsigned *first)
{
	const char *body = skip_lines(text, head);
	size_t n_body = count_lines(body), len = 0, shown;
	_cleanup_free_ char *page = NULL;
	unsigned columns, rows, room;
	FILE *out;

	screen_size(&columns, &rows);
	if (head >= rows)
		head = rows - 1;
	room = rows - head;
	if (n_body > room && room > 1)
		room--; /* for the line that says so */
	if (*first + room > n_body)
		*first = n_body > room ? n_body - room : 0;
	out = open_memstream(&page, &len);
	if (!out)
		return -errno;
	fputs("\033[H", out);
	if (put_lines(out, text, head) && n_body)
		fputs("\r\n", out);
	shown = put_lines(out, skip_lines(body, *first), room);
	if (shown < n_body)
		fprintf(out, "\r\n\033[1m%u to %zu of %zu lines; up and down move\033[0m\033[K",
			*first + 1, *first + shown, n_body);
	fputs("\033[J", out);
	if (fclose(out) != 0)
		return -ENOMEM;
	return write_all(page, len);
}

/* One key, of which an arrow is three bytes; others are nothing. Returns its length. */
static size_t decode_key(const char *s, size_t len, enum screen_event *ret)
{
	*ret = SCREEN_TIMEOUT;
	if (len >= 3 && s[0] == '\033' && (s[1] == '[' || s[1] == 'O')) {
		if (s[2] == 'A')
			*ret = SCREEN_UP;
		if (s[2] == 'B')
			*ret = SCREEN_DOWN;
		return 3;
	}
	switch (*s) {
	case 'q':
	case 'Q':
	case 3: *ret = SCREEN_QUIT; break; /* Ctrl-C on a terminal that makes no signal of it */
	case 'k': *ret = SCREEN_UP; break;
	case 'j':
	case ' ': *ret = SCREEN_DOWN; break;
	}
	return 1;
}

/* The next of the keys that were typed and say something. */
static enum screen_event next_key(void)
{
	enum screen_event key = SCREEN_TIMEOUT;

	while (keys_at < keys_len && key == SCREEN_TIMEOUT)
		keys_at += decode_key(keys + keys_at, keys_len - keys_at, &key);
	return key;
}

static enum screen_event read_keys(void)
{
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		return SCREEN_GONE;
	keys_at = 0;
	keys_len = n > 0 ? n : 0;
	return next_key();
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until one of the flags is set, which cannot happen between a look at them and the wait. */
static int wait_once(int64_t left_ms)
{
	struct pollfd p = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	struct timespec wait = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
	sigset_t all, before;
	int r = -1;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(crashing); i++)
		sigdelset(&all, crashing[i]);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (!end_signal && !is_resized && !is_stopping)
		r = ppoll(&p, 1, &wait, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* Ctrl-Z: the shell gets its terminal as it was. */
static void stop(void)
{
	is_stopping = false;
	leave();
	raise(SIGSTOP);
	enter();
	is_resized = true; /* nothing of the page is left */
}

enum screen_event screen_wait(unsigned ms)
{
	int64_t deadline = now_ms() + ms;

	for (;;) {
		int64_t left = deadline - now_ms();
		enum screen_event key;

		if (end_signal)
			return end_signal == SIGINT ? SCREEN_QUIT : SCREEN_GONE;
		if (is_stopping)
			stop();
		if (is_resized) {
			is_resized = false;
			return SCREEN_RESIZED;
		}
		key = next_key();
		if (key == SCREEN_TIMEOUT && left <= 0)
			return SCREEN_TIMEOUT;
		if (key == SCREEN_TIMEOUT && wait_once(left) > 0)
			key = read_keys();
		if (key != SCREEN_TIMEOUT)
			return key;
	}
}

const volatile sig_atomic_t *screen_signal(void)
{
	return &end_signal;
}
