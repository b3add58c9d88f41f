// SPDX-License-Identifier: Apache-2.0
#include "control_internal.h"

#include "ao.h"
#include "log.h"
#include "messages.h"
#include "secret.h"
#include "sock.h"

#include <errno.h>
#include <time.h>

/* --- giving a worker its configuration
 * ----------------------------------------------------------------------------------- */

static int send_config(struct child *child, const struct config *config)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f;
	int r;

	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	config_print(config, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	r = secret_fd(text, len, &fd);
	return r < 0 ? r : child_send(child, MSG_CONFIG, len, NULL, 0, fd);
}

static int send_file(void *arg, const char *path, const void *data, size_t len)
{
	_cleanup_close_ int fd = -1;
	int r = secret_fd(data, len, &fd);

	return r < 0 ? r : child_send(arg, MSG_FILE, len, path, strlen(path), fd);
}

static bool wants_ktls(const struct config *config)
{
	for (size_t i = 0; i < config->n_neighbors; i++)
		if (config->neighbors[i].ktls == KTLS_ON && neighbor_has_tls(&config->neighbors[i]))
			return true;
	return false;
}

/* Workers make no sockets, and load no module: what the kernel can is tried here, when it is first
 * wanted. */
static int send_ktls(struct control *c, struct child *child, const struct config *config)
{
	struct ktls_support before = c->ktls;

	if (!wants_ktls(config))
		return 0;
	if (!c->ktls.ciphers)
		ktls_probe(&c->ktls);
	if (!c->ktls.ciphers && strcmp(c->ktls.why_not, before.why_not) != 0)
		log_warning("ktls = on: records stay in user space: %s", c->ktls.why_not);
	return child_send(child, MSG_KTLS, 0, &c->ktls, sizeof(c->ktls), -1);
}

int control_send_batch(struct control *c, struct child *child, const struct state *s, uint32_t id)
{
	size_t n_inner;
	const int *inner = steering_listeners(c->steering, &n_inner);
	int r;

	if (c->keylog_fd >= 0)
		child_send(child, MSG_KEYLOG, 0, NULL, 0, c->keylog_fd);
	r = send_config(child, s->config);
	if (r == 0)
		r = send_ktls(c, child, s->config);
	if (r == 0)
		r = files_each(s->files, send_file, child);
	for (size_t i = 0; r == 0 && i < c->tls.n; i++)
		r = child_send(child, MSG_LISTENER_TLS, 0, NULL, 0, c->tls.fds[i]);
	for (size_t i = 0; r == 0 && i < n_inner; i++)
		r = child_send(child, MSG_LISTENER_INNER, 0, NULL, 0, inner[i]);
	if (r == 0)
		r = child_send(child, MSG_APPLY, id, NULL, 0, -1);
	return r;
}

void control_end_worker(struct child *child)
{
	/* Else it would wait for a successor of ours. */
	child_send(child, MSG_STOP, 0, NULL, 0, -1);
	child_stop(child);
}

void control_give(struct control *c, struct child *child)
{
	int r = control_send_batch(c, child, &c->now, 0);

	if (r == 0 || !child_pid(child))
		return;
	log_error("worker %u cannot be given its configuration (%s): starting another",
		  child_number(child), strerror(-r));
	control_end_worker(child);
}

/* --- what a worker asks for
 * --------------------------------------------------------------------------------------------- */

static bool is_name(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* The neighbor that a worker means, if it may have such a socket. */
static const struct neighbor_config *wanted_neighbor(struct control *c, const struct ipc_message *m)
{
	const struct message_want *want = m->payload;
	const struct neighbor_config *n;

	if (m->len != sizeof(*want) || !is_name(want->neighbor, sizeof(want->neighbor)) ||
	    !is_name(want->own.ifname, IFNAMSIZ) || !is_name(want->peer.ifname, IFNAMSIZ))
		return NULL;
	n = config_neighbor(c->now.config, want->neighbor);
	if (!n || n->mode == MODE_OFF || !addr_contains(&n->address, &want->peer) ||
	    want->own.family != want->peer.family || addr_is_prefix(&want->peer))
		return NULL;
	if (want->without_ao && !ao_is_opportunistic(n))
		return NULL;
	if (n->mode == MODE_TCP_AO && m->type == MSG_WANT_OUTER)
		return want->clear ? n : NULL;
	if (want->clear && !c->now.peers[n - c->now.config->neighbors].allow_clear)
		return NULL;
	return n;
}

static void on_want(struct control *c, struct child *child, const struct ipc_message *m)
{
	const struct neighbor_config *n = wanted_neighbor(c, m);
	_cleanup_close_ int fd = -1;
	struct message_want want;
	struct message_socket answer = {};
	struct errtext e = {};

	if (!n) {
		/* Right after a reload this is ordinary: the worker has not seen it yet. */
		answer.error = -EPERM;
		snprintf(answer.text, sizeof(answer.text), "not configured");
	} else {
		memcpy(&want, m->payload, sizeof(want));
		answer.error = m->type == MSG_WANT_OUTER
				       ? dial_outer(c->steering, n, &want, time(NULL), &fd, &e)
				       : steering_connect_inner(c->steering, &want.own, &want.peer,
								&fd, &e);
		memcpy(answer.text, e.text, sizeof(answer.text));
	}
	child_send(child, MSG_SOCKET, m->id, &answer, sizeof(answer), fd);
}

static void on_fallback(struct control *c, struct child *child, const struct ipc_message *m)
{
	const struct message_fallback *f = m->payload;
	const struct neighbor_config *n;
	uint64_t bit = 1ULL << child_number(child), all;
	struct errtext e = {};
	struct peer *p;
	bool allow;

	if (m->len != sizeof(*f) || !is_name(f->neighbor, sizeof(f->neighbor)))
		return;
	n = config_neighbor(c->now.config, f->neighbor);
	if (!n || n->mode != MODE_PREFERRED)
		return;
	p = &c->now.peers[n - c->now.config->neighbors];
	p->clear_votes = f->allow_clear ? p->clear_votes | bit : p->clear_votes & ~bit;
	all = c->n_children == 64 ? UINT64_MAX : (1ULL << c->n_children) - 1;
	allow = p->clear_votes == all;
	if (allow == p->allow_clear)
		return;
	p->allow_clear = allow;
	p->clear_since = 0;
	if (control_steer(c, &c->now, &e) < 0) {
		control_steer_later(c);
		log_error("neighbor %s: cannot change the guard, trying again: %s", n->name,
			  e.text);
	}
	control_handover_fallback(c);
	if (allow)
		timer_set_ms(c->poll_clear, 1000);
}

void control_clear_ended(struct control *c, const char *name)
{
	for (size_t i = 0; i < c->n_children; i++)
		child_send(c->children[i], MSG_FALLBACK_END, 0, name, strlen(name), -1);
}

static void on_started(void *arg, struct child *child)
{
	struct control *c = arg;

	child_send(child, MSG_LOG_LEVEL, log_get_level(), NULL, 0, -1);
	control_give(c, child);
	/* What its predecessor had said of fallback stands until it says otherwise: sessions in
	 * clear live on. */
	for (size_t i = 0; i < c->now.config->n_neighbors; i++) {
		const char *name = c->now.config->neighbors[i].name;

		if (c->now.peers[i].clear_votes & (1ULL << child_number(child)))
			child_send(child, MSG_FALLBACK_BEGIN, 0, name, strlen(name), -1);
	}
	control_captures_resume(c, child);
	control_handover_started(c, child);
}

static void on_message(void *arg, struct child *child, struct ipc_message *m)
{
	struct control *c = arg;

	/* It is closed after this, and we never wait. */
	if (m->fd >= 0)
		sock_set_no_wait_on_close(m->fd);
	switch (m->type) {
	case MSG_WANT_OUTER:
	case MSG_WANT_INNER: on_want(c, child, m); break;
	case MSG_FALLBACK: on_fallback(c, child, m); break;
	case MSG_WANT_AO: control_on_want_ao(c, child, m); break;
	case MSG_AO_CONNECTION: control_on_ao_connection(c, m); break;
	case MSG_TAKEN: control_handover_on_taken(c, child, m); break;
	case MSG_APPLIED: control_on_applied(c, child, m->id, m->len ? m->payload : NULL); break;
	case MSG_METRICS_ROWS:
	case MSG_METRICS_END: control_metrics_on_message(c, child, m); break;
	case MSG_STATUS:
	case MSG_STATUS_END:
	case MSG_RESET_DONE: control_on_status(c, child, m); break;
	default:
		log_error("worker %u sent an unknown message (%u)", child_number(child), m->type);
		break;
	}
}

static void on_died(void *arg, struct child *child)
{
	control_on_applied(arg, child, 0, "it died");
	control_on_child_silent(arg, child);
	control_captures_tell_death(arg, child);
	control_metrics_on_death(arg, child);
	control_handover_died(arg, child);
}

const struct child_callbacks control_child_callbacks = {
	.on_started = on_started,
	.on_message = on_message,
	.on_died = on_died,
};
