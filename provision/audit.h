/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one JSON object a line, only ever appended, mode 0600. Members of every line: time
 * (RFC 3339, UTC), run (an id that the lines of one run share), event. Secrets are hidden by name,
 * at every depth, whatever the caller put in.
 */
#ifndef BOTLS_AUDIT_H
#define BOTLS_AUDIT_H

#include "json.h"

#include <time.h>

struct audit;
/* Makes the file when needed; one that others may write to is refused. */
int audit_open(const char *path, const char *run_id, struct audit **ret, struct errtext *e);
void audit_close(struct audit *a);
/* Takes over `members` (NULL: none). One write(2), so that lines of two processes do not mix. */
int audit_write(struct audit *a, time_t now, const char *event, struct jv *members,
		struct errtext *e);

/* 16 random bytes in the form of a UUID (RFC 9562 version 4). */
void audit_new_id(char ret[static 37]);

#endif
