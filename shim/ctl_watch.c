// SPDX-License-Identifier: Apache-2.0
/*
 * "botlsctl watch": the neighbors again and again, with what they did in between. On a terminal one
 * page that is drawn anew; else one table, or with --json one line, after the other.
 */
#include "ctl.h"
#include "ctl_rates.h"

#include "screen.h"

#include <errno.h>
#include <inttypes.h>

#define WIDE	    100 /* columns from which on there is room for more */
#define HEAD	    3	/* lines that stay in place */
#define CHANGED_FOR 10	/* seconds for which a change is marked */

struct watch {
	struct ctl c;
	struct ctl_filter filter;
	bool is_live;
	struct jv *before, *now; /* answers */
	int64_t before_ms, now_ms;
	struct errtext problem; /* why there is no answer; "" */
	unsigned first;		/* line of the list at the top */
};

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Asks botlsd; the answer before stays for comparison. */
static enum ctl_exit look(struct watch *w)
{
	struct jv *request = ctl_request("show", "neighbor", w->filter.neighbor);
	struct jv *answer = NULL;
	enum ctl_exit code = ctl_fetch(&w->c, request, &answer, &w->problem);

	w->c.now = time(NULL);
	if (code)
		return code;
	if (!jv_get_bool(answer, "ok", false)) {
		errtext_set(&w->problem, 0, "%.120s; %.120s", jv_get_string(answer, "error", "?"),
			    jv_get_string(answer, "hint", "its log says more"));
		jv_free(answer);
		return CTL_NO;
	}
	w->problem.text[0] = '\0';
	jv_free(w->before);
	w->before = w->now;
	w->before_ms = w->now_ms;
	w->now = answer;
	w->now_ms = monotonic_ms();
	return CTL_OK;
}

static void rates_of(const struct watch *w, size_t at, const struct jv *neighbor,
		     struct ctl_rates *ret)
{
	ctl_rates_of(jv_get(w->before, "neighbors"), at, neighbor,
		     (w->now_ms - w->before_ms) / 1000.0, ret);
	if (w->c.now - jv_get_int(neighbor, "since", 0) < CHANGED_FOR)
		ret->has_changed = true;
}

/* A keepalive now and then is not nothing. */
static const char *message_rate(double n, char buf[static TEXT_COUNT_LEN])
{
	if (n >= 9.95)
		return text_count(n, buf);
	snprintf(buf, TEXT_COUNT_LEN, "%.1f", n);
	return buf;
}

static int add_row(struct watch *w, struct table *t, const struct jv_cursor *neighbor,
		   const struct ctl_rates *r)
{
	const char *name = jv_need_string(neighbor, "name");
	const char *state = jv_need_string(neighbor, "state");
	const char *bgp = jv_read_string(neighbor, "bgp", "-");
	char in[TEXT_COUNT_LEN], out[TEXT_COUNT_LEN], messages[TEXT_COUNT_LEN];
	char since[TEXT_TIME_LEN], marked[32], info[512];
	const char *cells[] = {name,
			       marked,
			       bgp,
			       ctl_ago(&w->c, jv_read_int(neighbor, "since", 0), since),
			       text_bytes(r->bytes_in, in),
			       text_bytes(r->bytes_out, out),
			       message_rate(r->messages, messages),
			       info};
	int n;

	if (!name || !state)
		return 0; /* noted in the cursor */
	snprintf(marked, sizeof(marked), "%s%s", state, r->has_changed ? " *" : "");
	ctl_info(neighbor, true, info, sizeof(info));
	n = table_add(t, cells);
	if (n < 0)
		return n;
	table_style(t, 1, r->has_changed ? TEXT_CHANGED : ctl_state_style(state));
	table_style(t, 2, ctl_bgp_style(bgp));
	return 0;
}

static struct table *new_table(const struct watch *w)
{
	static const char *const titles[] = {"Neighbor", "State",  "BGP",   "For",
					     "Rcvd/s",	 "Sent/s", "Msg/s", "Info"};
	bool is_wide = !w->c.width || w->c.width >= WIDE;
	struct table *t = table_new(titles, ARRAY_SIZE(titles) - !is_wide);

	for (size_t i = 3; t && i < 7; i++)
		table_align_right(t, i);
	return t;
}

static void print_head(struct watch *w, const struct jv_cursor *at, const struct ctl_rates *sum)
{
	char when[TEXT_TIME_LEN], in[TEXT_COUNT_LEN], out[TEXT_COUNT_LEN], n[TEXT_COUNT_LEN];
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");

	text_print_as(TEXT_HEAD, "%s", text_time_long(w->c.now, when));
	text_print("  received %s/s, sent %s/s, %s messages/s%s\n", text_bytes(sum->bytes_in, in),
		   text_bytes(sum->bytes_out, out), message_rate(sum->messages, n),
		   w->is_live ? "  (q ends)" : "");
	if (w->problem.text[0])
		text_print_as(TEXT_BAD, "OLD, asking again: %s\n", w->problem.text);
	else
		ctl_print_counts(&neighbors);
	text_print("\n");
}

/* The page, on standard output or wherever text_print() goes. */
static int print_page(struct watch *w, struct errtext *ret_problem)
{
	_cleanup_table_ struct table *t = new_table(w);
	struct jv_cursor at = jv_enter(w->now, ret_problem);
	struct jv_cursor neighbors = jv_read_array(&at, "neighbors");
	struct ctl_rates sum = {}, one;
	int r = t ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < jv_size(neighbors.value); i++) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, i);

		rates_of(w, i, neighbor.value, &one);
		ctl_rates_add(&sum, &one);
		if (ctl_filter_fits(&w->filter, &neighbor))
			r = add_row(w, t, &neighbor, &one);
	}
	if (r < 0)
		return r;
	print_head(w, &at, &sum);
	table_print(t, w->c.width);
	if (w->filter.neighbor && jv_size(neighbors.value)) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, 0);

		text_print("\n");
		ctl_print_neighbor(&w->c, &neighbor);
	}
	return 0;
}

static int draw(struct watch *w)
{
	_cleanup_free_ char *page = NULL;
	struct errtext problem;
	unsigned rows;
	size_t len;
	FILE *to;
	int r;

	screen_size(&w->c.width, &rows);
	to = open_memstream(&page, &len);
	if (!to)
		return -errno;
	text_set_output(to);
	r = print_page(w, &problem);
	if (r == 0 && problem.text[0])
		text_print_as(TEXT_BAD, "botlsd's answer is not understood: %s\n", problem.text);
	text_set_output(NULL);
	if (fclose(to) != 0)
		return -ENOMEM;
	return r < 0 ? r : screen_draw(page, HEAD + 1, &w->first);
}

/* Until it is time to look again, or over: CTL_OK or the signal's number below 0. */
static enum screen_event pause_live(struct watch *w, int64_t until_ms)
{
	for (;;) {
		int64_t left = until_ms - monotonic_ms();
		enum screen_event e = screen_wait(left > 0 ? left : 0);

		switch (e) {
		case SCREEN_TIMEOUT:
		case SCREEN_QUIT:
		case SCREEN_GONE: return e;
		case SCREEN_RESIZED: break;
		case SCREEN_UP: w->first -= w->first > 0; break;
		case SCREEN_DOWN: w->first++; break;
		}
		if (draw(w) < 0)
			return SCREEN_GONE;
	}
}

static enum ctl_exit run_live(struct watch *w)
{
	enum screen_event e = SCREEN_TIMEOUT;
	int r = screen_open(), number;

	if (r < 0) {
		text_complain("the terminal cannot be used: %s; try 'botlsctl watch | cat'",
			      strerror(-r));
		return CTL_NO;
	}
	w->c.interrupted = screen_signal();
	for (unsigned n = 1; e == SCREEN_TIMEOUT; n++) {
		if (draw(w) < 0)
			break;
		if (n == w->c.count)
			break;
		e = pause_live(w, w->now_ms + w->c.interval_ms);
		if (e == SCREEN_TIMEOUT)
			look(w); /* what is wrong is on the page */
		if (w->problem.text[0])
			w->now_ms = monotonic_ms();
	}
	number = *screen_signal();
	screen_close();
	if (number && number != SIGINT)
		raise(number); /* as if we had never caught it */
	return CTL_OK;
}

/* Only what fits; what was done per second is added, to each neighbor. */
static enum ctl_exit print_line(struct watch *w)
{
	_cleanup_jv_ struct jv *copy = jv_copy(w->now), *all = jv_take(copy, "neighbors");
	_cleanup_free_ char *line = NULL;
	struct jv *list = jv_array_new();
	struct errtext problem;
	int r = 0;

	for (size_t i = 0; i < jv_size(all); i++) {
		struct jv_cursor at = jv_enter(jv_at(all, i), &problem);
		struct jv *o, *rates = jv_object_new();
		struct ctl_rates one;

		rates_of(w, i, at.value, &one);
		if (!ctl_filter_fits(&w->filter, &at)) {
			jv_free(rates);
			continue;
		}
		r |= jv_set_uint(rates, "bytes_in", one.bytes_in);
		r |= jv_set_uint(rates, "bytes_out", one.bytes_out);
		r |= jv_set_uint(rates, "messages", one.messages);
		o = jv_copy(at.value);
		r |= jv_set(o, "rates", rates);
		r |= jv_append(list, o);
	}
	r |= jv_set_int(copy, "time", w->c.now);
	r |= jv_set(copy, "neighbors", list);
	line = r ? NULL : jv_dump_line(copy, NULL);
	if (!line)
		return ctl_print_json(NULL);
	fputs(line, stdout);
	return CTL_OK;
}

static enum ctl_exit print_plain(struct watch *w)
{
	struct errtext problem;

	if (w->problem.text[0]) {
		text_complain("%s", w->problem.text);
		return CTL_OK;
	}
	if (w->c.json)
		return print_line(w);
	if (print_page(w, &problem) < 0)
		return ctl_print_json(NULL);
	text_print("\n");
	return ctl_understood(&problem);
}

static enum ctl_exit run_plain(struct watch *w)
{
	for (unsigned n = 1;; n++) {
		struct timespec left = {.tv_sec = w->c.interval_ms / 1000,
					.tv_nsec = w->c.interval_ms % 1000 * 1000000L};
		enum ctl_exit code = print_plain(w);

		/* main() says why when the pipe is closed. */
		if (code || fflush(stdout) == EOF || n == w->c.count)
			return code;
		while (nanosleep(&left, &left) < 0 && errno == EINTR)
			;
		look(w);
	}
}

enum ctl_exit ctl_watch(const struct ctl *c, int argc, char **argv)
{
	struct watch w = {.c = *c};
	enum ctl_exit code = ctl_filter_parse("watch", argc, argv, &w.filter);

	if (code)
		return code;
	w.is_live = !c->json && isatty(STDOUT_FILENO);
	/* Before anything is drawn: no daemon is a plain error. */
	code = look(&w);
	if (code)
		text_complain("%s", w.problem.text);
	else
		code = w.is_live ? run_live(&w) : run_plain(&w);
	jv_free(w.before);
	jv_free(w.now);
	return code;
}
