// SPDX-License-Identifier: Apache-2.0
/* botlsd -n: what the start would find, without starting anything. */
#include "control_internal.h"

#include "ao.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <time.h>

struct reporter {
	config_report_fn *report;
	void *arg;
};

static void report_problem(void *arg, const char *where, const char *text)
{
	const struct reporter *to = arg;

	to->report(to->arg, where, text);
}

static void report_warning(void *arg, const char *where, const char *text)
{
	const struct reporter *to = arg;
	char line[440];

	snprintf(line, sizeof(line), "warning: %s", text);
	to->report(to->arg, where, line);
}

int control_check(const struct config *config, config_report_fn *report, void *arg)
{
	struct reporter to = {report, arg};
	const struct ao_report ao = {report_problem, report_warning, &to};
	struct files *files = NULL;
	char text[128];
	int bad = 0, r;

	if (!getpwnam(config->user)) {
		snprintf(text, sizeof(text), "user: there is no user '%s' (useradd --system %s)",
			 config->user, config->user);
		report(arg, config->path, text);
		bad++;
	}
	if (config->control_group && !getgrnam(config->control_group)) {
		snprintf(text, sizeof(text),
			 "control-group: there is no group '%s' (groupadd --system %s)",
			 config->control_group, config->control_group);
		report(arg, config->path, text);
		bad++;
	}
	r = files_new(&files);
	if (r == 0) {
		r = files_read(files, config, report, arg);
		if (r == 0)
			r = check_credentials(config, files, NULL, report, arg);
		bad += r > 0 ? r : 0;
	}
	bad += ao_report(config, NULL, ao_probe(), time(NULL), &ao);
	files_free(files);
	return r < 0 ? r : bad ? -EINVAL : 0;
}
