// SPDX-License-Identifier: Apache-2.0
#include "worker_batch.h"

#include "messages.h"
#include "secret.h"

#include <errno.h>

void batch_init(struct batch *b)
{
	memset(b, 0, sizeof(*b));
}

static void drop_fds(int *fds, size_t n)
{
	close_all(fds, n);
	free(fds);
}

void batch_done(struct batch *b)
{
	config_free(b->config);
	files_free(b->files);
	drop_fds(b->tls_fds, b->n_tls);
	drop_fds(b->inner_fds, b->n_inner);
	batch_init(b);
}

static void fail(struct batch *b, const char *what, const char *why)
{
	if (!b->has_error)
		errtext_set(&b->error, 0, "%s: %s", what, why);
	b->has_error = true;
}

static void on_config_problem(void *arg, const char *where, const char *text)
{
	fail(arg, where, text);
}

static void add_config(struct batch *b, int fd, size_t len)
{
	_cleanup_secret_ char *text = NULL;
	const void *sent;

	if (secret_map(fd, len, &sent) == 0) {
		text = secret_strndup(sent, len);
		secret_unmap(sent, len);
	}
	if (!text) {
		fail(b, "configuration", "it did not arrive whole");
		return;
	}
	config_free(TAKE(b->config));
	if (config_load_text(text, on_config_problem, b, &b->config) < 0)
		fail(b, "configuration", "it cannot be read back");
}

static void add_file(struct batch *b, const char *path, int fd, size_t len)
{
	int r = b->files ? 0 : files_new(&b->files);

	if (r == 0)
		r = files_add(b->files, path, fd, len);
	if (r < 0)
		fail(b, path, strerror(-r));
}

static void add_listener(struct batch *b, int **fds, size_t *n, struct ipc_message *m)
{
	int *grown = *n < BATCH_LISTENERS_MAX ? reallocarray(*fds, *n + 1, sizeof(int)) : NULL;

	if (!grown) {
		fail(b, "listener", "out of memory");
		return;
	}
	*fds = grown;
	grown[(*n)++] = TAKE_FD(m->fd);
}

bool batch_add(struct batch *b, struct ipc_message *m)
{
	switch (m->type) {
	case MSG_CONFIG:
		batch_done(b); /* one that broke off before its APPLY */
		add_config(b, m->fd, m->id);
		return true;
	case MSG_FILE: add_file(b, m->payload, m->fd, m->id); return true;
	case MSG_LISTENER_TLS: add_listener(b, &b->tls_fds, &b->n_tls, m); return true;
	case MSG_LISTENER_INNER: add_listener(b, &b->inner_fds, &b->n_inner, m); return true;
	default: return false;
	}
}
