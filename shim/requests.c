// SPDX-License-Identifier: Apache-2.0
#include "requests.h"

#include <search.h>

struct request {
	uint32_t id;
	struct session *session;
};

static int by_id(const void *a, const void *b)
{
	uint32_t ia = ((const struct request *)a)->id, ib = ((const struct request *)b)->id;

	return (ia > ib) - (ia < ib);
}

struct session *requests_take(struct requests *r, uint32_t id)
{
	const struct request key = {.id = id};
	struct request **found = tfind(&key, &r->by_id, by_id), *request;
	struct session *session;

	if (!found)
		return NULL;
	request = *found;
	session = request->session;
	tdelete(&key, &r->by_id, by_id);
	free(request);
	return session;
}

static uint32_t send_request(struct requests *r, struct ipc *ipc, uint32_t type,
			     const void *payload, size_t len, int fd, struct session *session)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return 0;
	if (++r->last == 0)
		r->last = 1;
	request->id = r->last;
	request->session = session;
	if (!tsearch(request, &r->by_id, by_id)) {
		free(request);
		return 0;
	}
	if (ipc_send(ipc, type, r->last, payload, len, fd) < 0) {
		requests_take(r, r->last);
		return 0;
	}
	return r->last;
}

uint32_t requests_send(struct requests *r, struct ipc *ipc, uint32_t type,
		       const struct message_want *want, struct session *session)
{
	return send_request(r, ipc, type, want, sizeof(*want), -1, session);
}

uint32_t requests_send_ao(struct requests *r, struct ipc *ipc, const struct message_want_ao *want,
			  int fd, struct session *session)
{
	return send_request(r, ipc, MSG_WANT_AO, want, sizeof(*want), fd, session);
}
