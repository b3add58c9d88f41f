// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include <inttypes.h>

enum ctl_exit ctl_reset(const struct ctl *c, int argc, char **argv)
{
	_cleanup_jv_ struct jv *answer = NULL;
	struct errtext problem;
	struct jv_cursor at;
	const char *name;
	enum ctl_exit code;
	int64_t n;

	if (argc != 1)
		return ctl_usage("reset");
	name = ctl_neighbor_argument(argv[0]);
	if (!name)
		return CTL_USAGE;
	code = ctl_ask(c, ctl_request("reset", "neighbor", name), &answer);
	if (code || c->json)
		return code;
	at = jv_enter(answer, &problem);
	n = jv_need_int(&at, "sessions");
	if (jv_bad(&at))
		return ctl_understood(&problem);
	if (n)
		text_print("%" PRId64 " session%s of %s ended\n", n, n == 1 ? "" : "s", name);
	else
		text_print("%s has no session\n", name);
	return CTL_OK;
}
