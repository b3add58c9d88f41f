/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot in memory: shared by metrics_text_read.c (reading) and metrics_text.c (printing), and
 * by nobody else. */
#ifndef BOTLS_METRICS_TEXT_INTERNAL_H
#define BOTLS_METRICS_TEXT_INTERNAL_H

#include "metrics_text.h"

#include "botls/metrics.h"

struct metrics_snapshot {
	struct botls_metrics_head head;
	const struct botls_metrics_worker *workers;
	const struct botls_metrics_neighbor *neighbors;
	const struct botls_metrics_row *rows;
	size_t *first_row; /* of each neighbor; one more at the end */
	uint64_t (*worker_sums)[BM_VALUES];
	char *data;
};

#endif
