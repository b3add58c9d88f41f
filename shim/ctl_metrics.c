// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include "metrics_text.h"

#include <errno.h>

static enum ctl_exit print(const struct metrics_snapshot *s, enum metrics_format format)
{
	_cleanup_free_ char *buf = malloc(4 * METRICS_PIECE_MIN);
	struct metrics_cursor at = {};
	size_t n;

	if (!buf) {
		text_complain("out of memory");
		return CTL_UNREACHABLE;
	}
	/* Nothing in it reaches a terminal as it is: labels have no control characters. */
	while ((n = metrics_print(s, format, &at, buf, 4 * METRICS_PIECE_MIN)))
		if (fwrite(buf, 1, n, stdout) != n)
			break; /* main() says so */
	return CTL_OK;
}

enum ctl_exit ctl_metrics(const struct ctl *c, int argc, char **argv)
{
	static const char *const formats[] = {
		[METRICS_OPENMETRICS] = "openmetrics", [METRICS_TEXT] = "text"};
	int format = argc ? ctl_match(argv[0], formats, ARRAY_SIZE(formats), "format")
			  : METRICS_OPENMETRICS;
	struct metrics_snapshot *s = NULL;
	_cleanup_jv_ struct jv *answer = NULL;
	_cleanup_close_ int fd = -1;
	struct errtext e = {};
	enum ctl_exit code;

	if (argc > 1)
		return ctl_usage("metrics");
	if (format < 0)
		return CTL_USAGE;
	if (c->json) {
		text_complain("metrics has no --json: 'botlsctl show' has");
		return CTL_USAGE;
	}
	code = ctl_ask_fd(c, ctl_request("metrics", NULL, NULL), &answer, &fd);
	if (code)
		return code;
	if (metrics_snapshot_read(fd, &s, &e) < 0) {
		text_complain("botlsd's answer is not understood: %s", e.text);
		return CTL_UNREACHABLE;
	}
	code = print(s, format);
	metrics_snapshot_free(s);
	return code;
}
