// SPDX-License-Identifier: Apache-2.0
#include "worker_heirs.h"

#include "log.h"

struct taking {
	struct taking *next;
	struct heirs *heirs;
	struct take *take;
	uint32_t id;
};

static void taking_free(struct taking *t)
{
	for (struct taking **p = &t->heirs->takings; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	take_free(t->take);
	free(t);
}

/* --- to a successor */

static struct neighbor *neighbor_at(void *host, size_t i)
{
	const struct heirs *h = host;

	return h->ops->neighbor_at(h->host, i);
}

static const struct config *config_of_giver(void *host)
{
	const struct heirs *h = host;

	return h->ops->config(h->host);
}

static uint64_t last_session(void *host)
{
	const struct heirs *h = host;

	return *h->ops->last_session(h->host);
}

static void on_moved(void *host)
{
	const struct heirs *h = host;

	h->ops->on_moved(h->host);
}

static void on_alone(void *host)
{
	const struct heirs *h = host;

	h->ops->on_alone(h->host);
}

static const struct give_ops give_ops = {
	.neighbor = neighbor_at,
	.config = config_of_giver,
	.last_session = last_session,
	.on_moved = on_moved,
	.on_alone = on_alone,
};

void heirs_set_own(struct heirs *h, int fd)
{
	if (fd < 0)
		return;
	give_free(TAKE(h->give));
	if (give_new(h->loop, fd, h->worker, &give_ops, h, &h->give) < 0)
		log_error(
			"out of memory: a restart of botlsd will end the sessions of this worker");
}

bool heirs_may_come(const struct heirs *h)
{
	return h->give && !give_is_alone(h->give);
}

/* Whoever is given those ends next must be the only one who reads there. */
static void stop_taking(struct heirs *h)
{
	for (struct taking *t = h->takings, *next; t; t = next) {
		next = t->next;
		if (take_stop(t->take))
			taking_free(t);
	}
}

void heirs_begin(struct heirs *h, uint64_t drain_ms)
{
	stop_taking(h);
	give_begin(h->give, drain_ms);
}

bool heirs_have_all(const struct heirs *h)
{
	return h->give && give_has_told_all(h->give);
}

void heirs_tell_left(struct heirs *h, size_t n)
{
	if (h->give)
		give_tell_left(h->give, n);
}

/* --- from predecessors */

static struct neighbor *find_neighbor(void *host, const char *name)
{
	const struct taking *t = host;

	return t->heirs->ops->neighbor(t->heirs->host, name);
}

static const struct config *config_of_taker(void *host)
{
	const struct taking *t = host;

	return t->heirs->ops->config(t->heirs->host);
}

static uint64_t *own_last_session(void *host)
{
	const struct taking *t = host;

	return t->heirs->ops->last_session(t->heirs->host);
}

static void on_counts(void *host, const struct take_counts *c)
{
	const struct taking *t = host;

	t->heirs->ops->on_taken(t->heirs->host, t->id, c);
}

static void on_gone(void *host)
{
	taking_free(host);
}

static const struct take_ops take_ops = {
	.neighbor = find_neighbor,
	.config = config_of_taker,
	.last_session = own_last_session,
	.on_counts = on_counts,
	.on_gone = on_gone,
};

void heirs_take(struct heirs *h, uint32_t id, int fd)
{
	struct taking *t = fd < 0 ? NULL : calloc(1, sizeof(*t));

	if (!t) {
		cleanup_close(&fd);
		return;
	}
	t->heirs = h;
	t->id = id;
	if (take_new(h->loop, fd, &take_ops, t, &t->take) < 0) {
		log_error("sessions of the botlsd before cannot be taken over: out of memory");
		free(t);
		return;
	}
	t->next = h->takings;
	h->takings = t;
}

void heirs_renew(struct heirs *h)
{
	for (struct taking *t = h->takings; t; t = t->next)
		take_renew(t->take);
}

size_t heirs_reset(struct heirs *h, const char *neighbor)
{
	size_t n = 0;

	for (struct taking *t = h->takings; t; t = t->next)
		n += take_reset(t->take, neighbor);
	return n;
}

int heirs_add_status(const struct heirs *h, struct jv *status)
{
	int r = 0;

	for (const struct taking *t = h->takings; t && r == 0; t = t->next)
		r = take_add_status(t->take, status);
	return r;
}

/* --- life */

void heirs_init(struct heirs *h, struct loop *loop, unsigned worker, const struct heirs_ops *ops,
		void *host)
{
	*h = (struct heirs){.loop = loop, .ops = ops, .host = host, .worker = worker};
}

void heirs_done(struct heirs *h)
{
	give_free(TAKE(h->give));
	while (h->takings)
		taking_free(h->takings);
}
