// SPDX-License-Identifier: Apache-2.0
/* What control has sent becomes the configuration in force: all of it or none. */
#include "worker_internal.h"

#include "ao.h"
#include "plan.h"

#include <errno.h>
#include <sys/uio.h>
#include <time.h>

static void on_keylog(const char *line, void *arg)
{
	struct worker *w = arg;

	struct iovec parts[2] = {{(void *)line, strlen(line)}, {"\n", 1}};

	/* One write per line, as of several workers they come. What is lost is only for debugging.
	 */
	if (w->keylog_fd >= 0 && writev(w->keylog_fd, parts, ARRAY_SIZE(parts)) < 0)
		return;
}

struct identity {
	struct tls_ctx *ctx; /* NULL: error says why */
	struct errtext error;
};

static int make_identities(struct worker *w, const struct batch *b, struct identity *ids)
{
	struct credentials *credentials = NULL;
	int r = credentials_new(w->keylog_fd >= 0 ? on_keylog : NULL, w, &credentials);
	bool has_ao = b->n_tls && tcp_ao_probe(b->tls_fds[0]) == 0;

	for (size_t i = 0; r == 0 && i < b->config->n_neighbors; i++) {
		const char *refusal = ao_refusal(&b->config->neighbors[i], has_ao);

		if (b->config->neighbors[i].mode == MODE_OFF)
			continue;
		if (refusal) {
			errtext_set(&ids[i].error, 0, "%s", refusal);
			continue;
		}
		if (!neighbor_has_tls(&b->config->neighbors[i]))
			continue;
		/* A bad certificate is the neighbor's trouble, not the batch's: control has judged
		 * it already. */
		r = credentials_get(credentials, b->files, &b->config->neighbors[i], &ids[i].ctx,
				    &ids[i].error);
		if (r == -EINVAL || r == -EKEYEXPIRED)
			r = 0;
	}
	credentials_free(credentials);
	return r;
}

static const char *identity_error(const struct identity *id)
{
	return !id->ctx && id->error.text[0] ? id->error.text : NULL;
}

/* Makes the neighbors that are new. Nothing of the running ones is touched. */
static int make_added(struct worker *w, const struct plan *plan, const struct config *config,
		      const struct identity *ids, struct neighbor **neighbors)
{
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];
		size_t at = item->after ? (size_t)(item->after - config->neighbors) : 0;
		int r;

		if (item->action != PLAN_ADD)
			continue;
		r = neighbor_new(w->loop, &worker_neighbor_ops, w, item->after, ids[at].ctx,
				 identity_error(&ids[at]), &neighbors[at]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* From here on nothing can fail. */
static void switch_over(struct worker *w, const struct plan *plan, struct config *config,
			const struct identity *ids, struct neighbor **neighbors)
{
	struct config *old = w->config;
	struct neighbor **old_neighbors = w->neighbors;

	w->config = config;
	w->neighbors = neighbors;
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];
		struct neighbor *n =
			item->before ? old_neighbors[item->before - old->neighbors] : NULL;
		size_t at = item->after ? (size_t)(item->after - config->neighbors) : 0;

		switch (item->action) {
		case PLAN_KEEP:
		case PLAN_CHANGE:
			neighbors[at] = n;
			neighbor_set_config(n, item->after, ids[at].ctx, identity_error(&ids[at]),
					    item->resets && !item->replaces_key);
			break;
		case PLAN_DROP:
			w->n_dying++;
			neighbor_drop(n);
			break;
		case PLAN_ADD: break;
		}
	}
	config_free(old);
	free(old_neighbors);
}

static int apply(struct worker *w, struct batch *b)
{
	_cleanup_free_ struct identity *ids = NULL;
	struct listeners tls = {}, inner = {};
	struct neighbor **neighbors;
	struct plan *plan = NULL;
	size_t n = b->config->n_neighbors;
	int r;

	ids = calloc(n + 1, sizeof(*ids));
	neighbors = calloc(n + 1, sizeof(*neighbors));
	r = ids && neighbors ? make_identities(w, b, ids) : -ENOMEM;
	if (r == 0)
		r = plan_make(w->config, b->config, time(NULL), &plan);
	if (r == 0)
		r = worker_make_listeners(w, b->tls_fds, b->n_tls, worker_on_tls_accept, &tls);
	if (r == 0)
		r = worker_make_listeners(w, b->inner_fds, b->n_inner, worker_on_inner_accept,
					  &inner);
	if (r == 0)
		r = make_added(w, plan, b->config, ids, neighbors);
	if (r == 0) {
		switch_over(w, plan, TAKE(b->config), ids, neighbors);
		worker_free_listeners(&w->tls);
		worker_free_listeners(&w->inner);
		for (size_t i = 0; i < tls.n; i++)
			listener_begins_long(tls.all[i]);
		w->tls = tls;
		w->inner = inner;
		worker_on_handshakes(w, SESSION_IN, 0);
		heirs_renew(&w->heirs);
	} else {
		for (size_t i = 0; neighbors && i < n; i++)
			neighbor_free(neighbors[i]);
		free(neighbors);
		worker_free_listeners(&tls);
		worker_free_listeners(&inner);
	}
	for (size_t i = 0; ids && i < n; i++)
		if (ids[i].ctx)
			tls_ctx_unref(ids[i].ctx);
	plan_free(plan);
	return r;
}

void worker_on_apply(struct worker *w, uint32_t id)
{
	struct batch *b = &w->batch;
	int r;

	if (!b->config && !b->has_error) {
		errtext_set(&b->error, 0, "no configuration was sent");
		b->has_error = true;
	}
	r = b->has_error ? 0 : apply(w, b);
	if (r < 0) {
		errtext_set(&b->error, 0, "%s", strerror(-r));
		b->has_error = true;
	}
	ipc_send(w->ipc, MSG_APPLIED, id, b->error.text, b->has_error ? strlen(b->error.text) : 0,
		 -1);
	batch_done(b);
}
