/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOTLS_TEST_REPORTS_H
#define BOTLS_TEST_REPORTS_H

/* What the loading of a configuration reports, as the text that a user would see; and that text,
 * and what is printed of a configuration, without what depends on where the tests run. */

#include <stdio.h>

struct reports {
	FILE *out;
	char *text;
	size_t len;
	unsigned n;
};

void reports_init(struct reports *r);
/* conf_report_fn; arg: the reports. Of a path the file's name is kept. */
void reports_add(void *arg, const char *where, const char *text);
/* Closes the text; the caller frees it. */
char *reports_done(struct reports *r);

/* Takes `base` and the slash behind it away wherever it is. */
void text_strip(char *text, const char *base);
/* Takes empty lines and comments away: they name files. */
void text_bare(char *text);

#endif
