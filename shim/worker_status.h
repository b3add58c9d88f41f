/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker tells control when it is asked: JSON, and rows of metrics, in messages of a limited
 * size.
 */
#ifndef BOTLS_WORKER_STATUS_H
#define BOTLS_WORKER_STATUS_H

#include "ipc.h"
#include "json.h"

/* Both take the value over; NULL (out of memory): nothing is sent. */
void worker_send_json(struct ipc *ipc, uint32_t type, uint32_t id, struct jv *v);
/* MSG_STATUS for one neighbor; in several messages when it does not fit into one. */
void worker_send_status(struct ipc *ipc, uint32_t id, struct jv *status);

struct neighbor;
struct message_metrics_worker;
/* METRICS_ROWS with a row for each neighbor, and METRICS_END. */
void worker_send_metrics(struct ipc *ipc, uint32_t id, struct neighbor *const *neighbors, size_t n,
			 const struct message_metrics_worker *own);

#endif
