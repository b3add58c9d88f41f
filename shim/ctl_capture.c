// SPDX-License-Identifier: Apache-2.0
/* botlsctl capture: one neighbor's decrypted BGP as pcapng, until the operator, a limit or botlsd
 * ends it. */
#include "ctl.h"

#include "ctl_packets.h"

#include <botls/botls.h>
#include <botls/capture.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define OUT_SIZE (1 << 20)
#define LAST_WORDS_MS                                                                              \
	3000 /* after the end, for what is on its way and for the workers' count of drops */
#define LOOK_MS	    500
#define MAX_SECONDS (365 * 86400)
#define MAX_COUNT   1000000000000

struct capture {
	const char *neighbor, *path; /* path NULL or "-": standard output */
	uint64_t count, seconds, bytes;
	int from, to;
	bool is_file; /* regular: what is half written can be taken back */
	uint8_t out[OUT_SIZE];
	size_t out_len;
	off_t written; /* whole blocks */
	int error;     /* -errno of the output */
	bool is_over, is_ended_by_botlsd;
	struct pcapng pcapng;
	struct packets packets;
};

static volatile sig_atomic_t n_signals;

static void on_signal(int signo)
{
	(void)signo;
	n_signals++;
}

static const char usage[] =
	"Usage: botlsctl capture [OPTIONS] ADDRESS\n\n"
	"Writes the decrypted BGP of one neighbor as pcapng, which tshark and Wireshark read:\n\n"
	"  botlsctl capture 192.0.2.2 | tshark -r - -O bgp\n"
	"  botlsctl capture -w bgp.pcapng --seconds 60 192.0.2.2\n\n"
	"  -w, --write FILE     instead of standard output ('-'); replaces the file\n"
	"  -c, --count NUMBER   end after that many packets with BGP in them\n"
	"      --seconds NUMBER end after that time\n"
	"      --bytes NUMBER   end after that many bytes of BGP\n"
	"  -h, --help           this text\n\n"
	"Ctrl-C ends it as well. Only root may capture.\n";

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- the output
 * --------------------------------------------------------------------------------------------------------
 */

/* Of the first `len` bytes in the buffer, how many are whole blocks. */
static size_t whole_blocks(const struct capture *c, size_t len)
{
	size_t at = 0;

	while (at + 8 <= len) {
		uint32_t block;

		memcpy(&block, c->out + at + 4, sizeof(block));
		if (block > len - at)
			break;
		at += block;
	}
	return at;
}

/* What is in the output then can be read as far as it goes. */
static int give_up(struct capture *c, size_t done, int error)
{
	c->error = error;
	c->written += whole_blocks(c, done);
	if (c->is_file && ftruncate(c->to, c->written) < 0)
		text_complain("%s: its end cannot be repaired: %s", c->path, strerror(errno));
	c->out_len = 0;
	return error;
}

static int flush(struct capture *c)
{
	size_t done = 0;

	if (c->error)
		return c->error;
	while (done < c->out_len) {
		ssize_t n = write(c->to, c->out + done, c->out_len - done);

		/* The first signal ends the capture, the second one the waiting for a reader. */
		if (n < 0 && errno == EINTR && n_signals < 2)
			continue;
		if (n < 0)
			return give_up(c, done, -errno);
		done += n;
	}
	c->written += c->out_len;
	c->out_len = 0;
	return 0;
}

static int on_block(void *arg, const void *block, size_t len)
{
	struct capture *c = arg;
	int r;

	if (len > sizeof(c->out) - c->out_len) {
		r = flush(c);
		if (r < 0)
			return r;
	}
	memcpy(c->out + c->out_len, block, len);
	c->out_len += len;
	return 0;
}

static bool is_terminal(int fd)
{
	if (!isatty(fd))
		return false;
	text_complain("pcapng is not for a terminal: -w FILE, or | tshark -r -");
	return true;
}

static enum ctl_exit open_output(struct capture *c)
{
	struct stat st;

	c->to = STDOUT_FILENO;
	if (!c->path)
		return CTL_OK;
	c->to = open(c->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_TRUNC, 0600);
	if (c->to < 0) {
		text_complain("cannot write %s: %s", c->path, strerror(errno));
		return CTL_NO;
	}
	c->is_file = fstat(c->to, &st) == 0 && S_ISREG(st.st_mode);
	return is_terminal(c->to) ? CTL_USAGE : CTL_OK;
}

static int write_head(struct capture *c, const char *version, const char *description)
{
	struct utsname host = {};
	char comment[512], name[64], text[400], os[140];
	struct pcapng_section section = {
		.os = os,
		.application = "botlsctl " BOTLS_VERSION,
		.comment = comment,
	};
	struct pcapng_interface interface = {
		.linktype = PCAPNG_LINKTYPE_RAW,
		.name = name,
		.description = text,
	};
	int r;

	uname(&host);
	snprintf(os, sizeof(os), "%s %s", host.sysname, host.release);
	snprintf(comment, sizeof(comment),
		 "BGP with %s as botlsd %s on %s decrypted it, captured by uid %u. Addresses and "
		 "ports "
		 "are those that BGP sees; IP and TCP headers are made up.",
		 c->neighbor, version, host.nodename, getuid());
	snprintf(name, sizeof(name), "botls:%s", c->neighbor);
	snprintf(text, sizeof(text), "neighbor %s%s%s", c->neighbor, description[0] ? ": " : "",
		 description);
	r = pcapng_section(&c->pcapng, &section);
	if (r == 0)
		r = pcapng_interface(&c->pcapng, &interface);
	return r < 0 ? r : flush(c);
}

/* --- the records
 * -------------------------------------------------------------------------------------------------------
 */

static void on_note(void *arg, const char *text, bool is_last)
{
	struct capture *c = arg;

	text_complain("%s", text);
	if (is_last)
		c->is_ended_by_botlsd = c->is_over = true;
}

static bool is_enough(const struct capture *c)
{
	return packets_are_enough(&c->packets) || (c->bytes && c->packets.n_bytes >= c->bytes);
}

/* All that is there. 0; -EPIPE: nobody sends any more; or another -errno. */
static int drain(struct capture *c)
{
	static uint8_t record[sizeof(struct botls_capture_record) + BOTLS_CAPTURE_DATA_MAX];

	for (;;) {
		ssize_t n = recv(c->from, record, sizeof(record), MSG_DONTWAIT | MSG_TRUNC);
		int r;

		if (n < 0 && errno == EINTR)
			return 0;
		if (n < 0 && errno == EAGAIN)
			return flush(c);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		if ((size_t)n > sizeof(record)) {
			c->packets.n_malformed++;
			continue;
		}
		r = packets_add(&c->packets, record, n);
		if (r < 0)
			return r;
		if (is_enough(c))
			return flush(c);
	}
}

/* 1 when there is something, 0 at the time `until` (0: none), or sooner: the caller looks at the
 * clock, and at signals, which may have come just before poll(). */
static int wait_for_records(struct capture *c, int64_t until)
{
	struct pollfd p = {.fd = c->from, .events = POLLIN};
	int64_t left = until ? until - now_ms() : LOOK_MS;
	int r = poll(&p, 1, left < 0 ? 0 : left < LOOK_MS ? left : LOOK_MS);

	return r < 0 && errno != EINTR ? -errno : r > 0;
}

/* 0: as the operator wanted it; -EPIPE: botlsd has gone; or what failed. */
static int run(struct capture *c)
{
	int64_t until = c->seconds ? now_ms() + (int64_t)c->seconds * 1000 : 0;
	int r = 0;

	while (r == 0 && !c->is_over && !n_signals && !is_enough(c) &&
	       (!until || now_ms() < until)) {
		r = wait_for_records(c, until);
		if (r > 0)
			r = drain(c);
	}
	return r;
}

/* Tells control that it is over, and reads on until every worker has let go: what was on its way,
 * and how many records were dropped at the end. */
static int wind_up(struct capture *c)
{
	int64_t until = now_ms() + LAST_WORDS_MS;
	int r = 0;

	shutdown(c->from, SHUT_WR);
	if (is_enough(c))
		c->packets.limit = c->packets.n_packets;
	while (r == 0 && n_signals < 2 && now_ms() < until) {
		r = wait_for_records(c, until);
		if (r > 0)
			r = drain(c);
	}
	return r == -EPIPE ? 0 : r;
}

/* --- the command
 * -------------------------------------------------------------------------------------------------------
 */

static void report(const struct capture *c)
{
	const struct packets *p = &c->packets;

	fprintf(stderr,
		"botlsctl: %" PRIu64 " packet%s, %" PRIu64 " bytes of BGP, %" PRIu64 " dropped\n",
		p->n_packets, p->n_packets == 1 ? "" : "s", p->n_bytes, p->n_dropped);
	if (p->n_dropped)
		text_complain("dropped: the output was slower than the session; where bytes are "
			      "missing the sequence numbers tell how many");
	if (p->n_malformed)
		text_complain("%" PRIu64 " records were not understood and are left out",
			      p->n_malformed);
}

static enum ctl_exit finish(struct capture *c, int r)
{
	bool is_gone = r == -EPIPE && !c->error;

	if (r == 0)
		r = wind_up(c);
	if (!c->error && (r == 0 || is_gone)) {
		r = packets_finish(&c->packets, now_ns());
		if (r == 0)
			r = flush(c);
	}
	if (c->path && close(c->to) < 0 && !c->error)
		c->error = r = -errno;
	report(c);
	if (c->error) {
		text_complain("cannot write %s: %s%s", c->path ? c->path : "the output",
			      strerror(-c->error),
			      c->is_file ? "; what is in the file can be read" : "");
		return CTL_NO;
	}
	if (r < 0) {
		text_complain("the capture failed: %s", strerror(-r));
		return CTL_NO;
	}
	if (c->is_ended_by_botlsd)
		return CTL_NO;
	if (is_gone) {
		text_complain("botlsd has gone: the capture is over");
		return CTL_UNREACHABLE;
	}
	return CTL_OK;
}

static enum ctl_exit begin(const struct ctl *ctl, struct capture *c)
{
	_cleanup_jv_ struct jv *answer = NULL;
	const char *description, *version;
	struct errtext problem;
	struct jv_cursor at;
	enum ctl_exit code;
	int64_t format;

	code = ctl_ask_fd(ctl, ctl_request("capture", "neighbor", c->neighbor), &answer, &c->from);
	if (code)
		return code;
	at = jv_enter(answer, &problem);
	format = jv_need_int(&at, "format");
	version = jv_need_string(&at, "version");
	description = jv_read_string(&at, "description", "");
	if (jv_bad(&at))
		return ctl_understood(&problem);
	if (format != BOTLS_CAPTURE_FORMAT) {
		text_complain("botlsd %s captures in another format than botlsctl " BOTLS_VERSION
			      ": restart botlsd, or use its own botlsctl",
			      version);
		return CTL_UNREACHABLE;
	}
	code = open_output(c);
	if (code)
		return code;
	c->packets.limit = c->count;
	c->packets.on_note = on_note;
	c->packets.arg = c;
	c->packets.out = &c->pcapng;
	if (write_head(c, version, description) < 0)
		return finish(c, c->error);
	return finish(c, run(c));
}

/* Not restarted: a write that waits for its reader must notice. */
static void catch_signals(void)
{
	const struct sigaction sa = {.sa_handler = on_signal};

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static bool parse_number(const char *what, const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n < 1 || n > max) {
		text_complain("%s: '%s' is not a number from 1 to %" PRIu64, what, text, max);
		return false;
	}
	*ret = n;
	return true;
}

static enum ctl_exit parse(struct capture *c, int argc, char **argv, bool *ret_help)
{
	static const struct option options[] = {
		{"write", required_argument, NULL, 'w'},   {"count", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'}, {"bytes", required_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},	   {},
	};
	bool ok = true;
	int opt;

	optind = 0;
	while (ok && (opt = getopt_long(argc, argv, "w:c:h", options, NULL)) != -1) {
		switch (opt) {
		case 'w': c->path = strcmp(optarg, "-") == 0 ? NULL : optarg; break;
		case 'c': ok = parse_number("--count", optarg, MAX_COUNT, &c->count); break;
		case 's': ok = parse_number("--seconds", optarg, MAX_SECONDS, &c->seconds); break;
		case 'b': ok = parse_number("--bytes", optarg, MAX_COUNT, &c->bytes); break;
		case 'h': *ret_help = true; return CTL_OK;
		default: return CTL_USAGE; /* getopt has said why */
		}
	}
	if (!ok)
		return CTL_USAGE;
	if (optind != argc - 1)
		return ctl_usage("capture");
	c->neighbor = ctl_neighbor_argument(argv[optind]);
	return c->neighbor ? CTL_OK : CTL_USAGE;
}

enum ctl_exit ctl_capture(const struct ctl *ctl, int argc, char **argv)
{
	static struct capture c = {.from = -1, .to = -1};
	bool is_help = false;
	enum ctl_exit code = parse(&c, argc, argv, &is_help);

	if (is_help) {
		fputs(usage, stdout);
		return CTL_OK;
	}
	if (!code && ctl->json) {
		text_complain("capture has no --json");
		code = CTL_USAGE;
	}
	if (code)
		return code;
	c.pcapng = (struct pcapng){.write = on_block, .arg = &c};
	if (!c.path && is_terminal(STDOUT_FILENO))
		return CTL_USAGE;
	catch_signals();
	code = begin(ctl, &c);
	cleanup_close(&c.from);
	return code;
}
