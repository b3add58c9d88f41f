/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot (botls/metrics.h) as text: OpenMetrics 1.0, or the text format 0.0.4 that Prometheus
 * had before it and textfile collectors want. Piece by piece: with thousands of neighbors the text
 * has megabytes, and nobody has to hold them. Used by botlsd's metrics process and by botlsctl.
 */
#ifndef BOTLS_METRICS_TEXT_H
#define BOTLS_METRICS_TEXT_H

#include "util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics_snapshot;

/* Reads the whole file behind `fd`, which stays the caller's, whatever its offset. -EINVAL with *e:
 * it is not a snapshot, or one of another format; or another -errno. */
int metrics_snapshot_read(int fd, struct metrics_snapshot **ret, struct errtext *e);
void metrics_snapshot_free(struct metrics_snapshot *s); /* NULL is fine */

enum metrics_format { METRICS_OPENMETRICS, METRICS_TEXT };
#define METRICS_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_TYPE_TEXT	 "text/plain; version=0.0.4; charset=utf-8"

/* How far the text has come; {} at its beginning. */
struct metrics_cursor {
	size_t family, item;
	bool has_head;
};

#define METRICS_PIECE_MIN 16384
/* Writes what comes next, whole lines, no NUL. Returns its length, 0 at the end. `size` is at least
 * METRICS_PIECE_MIN. */
size_t metrics_print(const struct metrics_snapshot *s, enum metrics_format format,
		     struct metrics_cursor *at, char *buf, size_t size);

#endif
