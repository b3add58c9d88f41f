// SPDX-License-Identifier: Apache-2.0
#include "worker_status.h"

#include "messages.h"
#include "neighbor.h"

void worker_send_json(struct ipc *ipc, uint32_t type, uint32_t id, struct jv *v)
{
	_cleanup_free_ char *line = NULL;
	size_t len;

	line = v ? jv_dump_line(v, &len) : NULL;
	jv_free(v);
	if (line)
		ipc_send(ipc, type, id, line, len, -1);
}

/* One session of `status`, as a status with nothing else to add. */
static struct jv *part_of(const struct jv *status, const struct jv *session)
{
	struct jv *o = jv_object_new(), *sessions = jv_array_new();
	int r = jv_set_string(o, "name", jv_get_string(status, "name", NULL));

	r |= jv_set_string(o, "state", jv_get_string(status, "state", NULL));
	r |= jv_set(o, "failures", jv_object_new());
	r |= jv_set(o, "counters", jv_object_new());
	r |= jv_append(sessions, jv_copy(session));
	r |= jv_set(o, "sessions", sessions);
	return r ? (jv_free(o), NULL) : o;
}

/* What belongs to a prefix can have more sessions than a message holds: then each goes by itself,
 * after all the rest, and control puts them together as it does with those of several workers. */
void worker_send_status(struct ipc *ipc, uint32_t id, struct jv *status)
{
	_cleanup_free_ char *line = status ? jv_dump_line(status, NULL) : NULL;
	_cleanup_jv_ struct jv *mine = status, *sessions = NULL;

	if (!line || strlen(line) <= IPC_PAYLOAD_MAX) {
		worker_send_json(ipc, MSG_STATUS, id, TAKE(mine));
		return;
	}
	sessions = jv_take(mine, "sessions");
	if (jv_set(mine, "sessions", jv_array_new()) < 0)
		return;
	worker_send_json(ipc, MSG_STATUS, id, jv_copy(mine));
	for (size_t i = 0; i < jv_size(sessions); i++)
		worker_send_json(ipc, MSG_STATUS, id, part_of(mine, jv_at(sessions, i)));
}

void worker_send_metrics(struct ipc *ipc, uint32_t id, struct neighbor *const *neighbors, size_t n,
			 const struct message_metrics_worker *own)
{
	static struct message_metrics_row
		rows[IPC_PAYLOAD_MAX / sizeof(struct message_metrics_row)];
	size_t have = 0;

	for (size_t i = 0; i < n; i++) {
		memset(rows[have].neighbor, 0, sizeof(rows[have].neighbor));
		strcpy(rows[have].neighbor, neighbor_name(neighbors[i]));
		neighbor_metrics(neighbors[i], rows[have].v);
		if (++have < ARRAY_SIZE(rows) && i + 1 < n)
			continue;
		ipc_send(ipc, MSG_METRICS_ROWS, id, rows, have * sizeof(*rows), -1);
		have = 0;
	}
	ipc_send(ipc, MSG_METRICS_END, id, own, sizeof(*own), -1);
}
