// SPDX-License-Identifier: Apache-2.0
/* Control is gone: sessions end, or go on until a successor has taken them over. */
#include "worker_internal.h"

#include "messages.h"

#define END_WAIT_MS 500
#define END_POLL_MS 10
#define ORPHAN_MS   100 /* how often a worker without control looks whether it is still needed */

static size_t count_sessions(const struct worker *w)
{
	size_t n = w->n_dying;

	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		n += neighbor_sessions(w->neighbors[i]);
	return n;
}

void worker_on_end(void *arg)
{
	struct worker *w = arg;

	if (count_sessions(w) && loop_now_ms() < w->end_ms &&
	    timer_set_ms(w->end, END_POLL_MS) == 0)
		return;
	loop_stop(w->loop);
}

/* The neighbors are told with a close_notify, not with a reset, as far as they take it quickly; the
 * sockets that a successor needs are free at once. */
static void end(struct worker *w)
{
	heirs_done(&w->heirs);
	worker_free_listeners(&w->tls);
	worker_free_listeners(&w->inner);
	batch_done(&w->batch);
	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_reset(w->neighbors[i], "botlsd is stopping");
	w->end_ms = loop_now_ms() + END_WAIT_MS;
	worker_on_end(w);
}

/* --- without control: sessions go on until a successor has taken them over
 * ---------------------------------------------------------------------- */

void worker_on_orphan(void *arg)
{
	struct worker *w = arg;
	size_t n = count_sessions(w);

	if (n != w->told_left)
		heirs_tell_left(&w->heirs, n);
	w->told_left = n;
	/* A successor also wants to know what was counted. */
	if ((n || !heirs_have_all(&w->heirs)) && loop_now_ms() < w->orphan_until &&
	    timer_set_ms(w->orphan, ORPHAN_MS) == 0)
		return;
	if (n)
		log_warning("the time for a restart is over: ending %zu sessions", n);
	end(w);
}

/* Nothing that needs control: no newcomers. */
static void become_orphan(struct worker *w)
{
	unsigned seconds = w->config->drain_time;

	worker_free_listeners(&w->tls);
	worker_free_listeners(&w->inner);
	batch_done(&w->batch); /* listeners of a reload that broke off */
	for (size_t i = 0; i < ARRAY_SIZE(w->captures); i++)
		capture_free(TAKE(w->captures[i]));
	w->told_left = count_sessions(w);
	if (w->told_left)
		log_info("control is gone: %zu sessions go on until a successor takes them over, "
			 "at most %u s",
			 w->told_left, seconds);
	w->orphan_until = loop_now_ms() + seconds * 1000ULL;
	heirs_begin(&w->heirs, seconds * 1000ULL);
	worker_on_orphan(w);
}

void worker_on_gone(void *arg)
{
	struct worker *w = arg;
	bool goes_on =
		!w->is_stopping && w->config && w->config->drain_time && heirs_may_come(&w->heirs);

	for (size_t i = 0; w->config && i < w->config->n_neighbors; i++)
		neighbor_end_unready(w->neighbors[i],
				     goes_on ? "botlsd is being restarted" : "botlsd is stopping");
	if (goes_on) {
		become_orphan(w);
		return;
	}
	log_info("control is gone: ending");
	end(w);
}

static void on_moved(void *host)
{
	struct worker *w = host;

	timer_set_ms(w->orphan, 0);
}

static void on_alone(void *host)
{
	struct worker *w = host;

	log_info("nobody is left who could take the sessions over: ending");
	timer_stop(w->orphan);
	end(w);
}

static struct neighbor *neighbor_at(void *host, size_t i)
{
	const struct worker *w = host;

	return w->config && i < w->config->n_neighbors ? w->neighbors[i] : NULL;
}

static struct neighbor *find_neighbor(void *host, const char *name)
{
	return worker_neighbor_named(host, name);
}

static const struct config *own_config(void *host)
{
	return ((const struct worker *)host)->config;
}

static uint64_t *last_session(void *host)
{
	return &((struct worker *)host)->last_session;
}

static void on_taken(void *host, uint32_t id, const struct take_counts *c)
{
	struct worker *w = host;
	const struct message_taken m = {.moved = c->moved,
					.stayed = c->stayed,
					.ended = c->ended,
					.left = c->left,
					.drain_ms = c->drain_ms,
					.until = c->until};

	ipc_send(w->ipc, MSG_TAKEN, id, &m, sizeof(m), -1);
}

const struct heirs_ops worker_heirs_ops = {
	.neighbor_at = neighbor_at,
	.neighbor = find_neighbor,
	.config = own_config,
	.last_session = last_session,
	.on_taken = on_taken,
	.on_moved = on_moved,
	.on_alone = on_alone,
};
