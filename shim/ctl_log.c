// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

enum ctl_exit ctl_log(const struct ctl *c, int argc, char **argv)
{
	static const char *const topics[] = {"level"};
	static const char *const levels[] = {"error", "warning", "info", "debug"};
	_cleanup_jv_ struct jv *answer = NULL;
	const char *level = NULL;
	struct errtext problem;
	struct jv_cursor at;
	enum ctl_exit code;

	if (argc < 1 || argc > 2)
		return ctl_usage("log");
	if (ctl_match(argv[0], topics, ARRAY_SIZE(topics), "topic of the log") < 0)
		return CTL_USAGE;
	if (argc == 2) {
		int i = ctl_match(argv[1], levels, ARRAY_SIZE(levels), "log level");

		if (i < 0)
			return CTL_USAGE;
		level = levels[i];
	}
	code = ctl_ask(c, ctl_request("log-level", "level", level), &answer);
	if (code || c->json)
		return code;
	at = jv_enter(answer, &problem);
	level = jv_need_string(&at, "level");
	if (jv_bad(&at))
		return ctl_understood(&problem);
	text_print("log level %s\n", level);
	return CTL_OK;
}
