// SPDX-License-Identifier: Apache-2.0
/*
 * A worker's sessions outlive control: each worker has one end of a pair, we have the other, and
 * the service manager a copy of ours (its file descriptor store). When we are gone, for a restart
 * or killed, it passes those on to our successor, who gives each to a worker of its own; the two
 * workers then talk to each other (handover.h), and nothing of that is read here.
 *
 * The name of an end says whose it is: "worker-NUMBER-PID". "fallback" is a file in memory with the
 * names of neighbors (preferred) that may be in clear text: else a successor would begin with
 * closing them, and end sessions that the workers have kept.
 */
#include "control_internal.h"

#include "listen_fds.h"
#include "log.h"
#include "messages.h"
#include "notify.h"

#include <errno.h>
#include <sys/mman.h>

#define NAME_PREFIX   "worker-"
#define NAME_FALLBACK "fallback"
/* Sessions in clear text are taken over first, and then looked for. */
#define FALLBACK_POLL_MS 5000

/* Where a successor can ask one of our workers. */
struct heir {
	int fd; /* -1: nowhere */
	char name[64];
};

/* A worker that was there before us, and lives. */
struct predecessor {
	struct predecessor *next;
	struct control *control;
	int fd; /* -1: it has ended */
	char name[64];
	struct io *io;
	uint32_t id;
	struct message_taken taken;
	bool is_done; /* `taken` is known */
};

struct control_handover {
	struct heir *heirs; /* by number of the worker */
	size_t n_heirs;
	struct predecessor *predecessors;
	uint32_t last_id;
	bool is_told;	   /* the log has been told how it went */
	bool has_fallback; /* it is in the store */
};

/* --- our own workers */

static void heir_drop(struct heir *h)
{
	if (h->fd < 0)
		return;
	notify_unstore(h->name);
	close(TAKE_FD(h->fd));
}

/* Without a service manager that keeps it, the end would go with us. */
static void heir_make(struct heir *h, struct child *child)
{
	_cleanup_close_ int own = -1, workers = -1;
	int fds[2];

	heir_drop(h);
	if (ipc_pair(fds) < 0)
		return;
	own = fds[0];
	workers = fds[1];
	snprintf(h->name, sizeof(h->name), NAME_PREFIX "%u-%d", child_number(child),
		 child_pid(child));
	if (notify_store(h->name, own) <= 0)
		return;
	if (child_send(child, MSG_HEIR, 0, NULL, 0, workers) < 0)
		notify_unstore(h->name);
	else
		h->fd = TAKE_FD(own);
}

bool control_handover_has(const struct control *c, const struct child *child)
{
	const struct control_handover *h = c->handover;
	unsigned number = child_number(child);

	return h && number < h->n_heirs && h->heirs[number].fd >= 0 && c->now.config->drain_time;
}

/* --- those before us */

static void predecessor_free(struct predecessor *p)
{
	struct control_handover *h = p->control->handover;

	for (struct predecessor **at = &h->predecessors; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			break;
		}
	}
	io_free(p->io);
	cleanup_close(&p->fd);
	free(p);
}

/* It has ended. What it gave is still to be told by the worker that got it. */
static void on_hang_up(void *arg, unsigned events)
{
	struct predecessor *p = arg;

	(void)events;
	notify_unstore(p->name);
	io_free(TAKE(p->io));
	cleanup_close(&p->fd);
	p->fd = -1;
	if (p->control->handover->is_told)
		predecessor_free(p);
}

static int add_predecessor(struct control *c, struct listen_fd *passed)
{
	struct control_handover *h = c->handover;
	struct predecessor *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->control = c;
	p->id = ++h->last_id;
	p->fd = TAKE_FD(passed->fd);
	memcpy(p->name, passed->name, sizeof(p->name));
	p->next = h->predecessors;
	h->predecessors = p;
	r = io_add(c->loop, p->fd, on_hang_up, p, &p->io);
	/* Only the worker that it is given to reads from it. */
	return r < 0 ? r : io_set(p->io, IO_HUP);
}

static struct child *taker_of(const struct control *c, const struct predecessor *p)
{
	unsigned long number = strtoul(p->name + strlen(NAME_PREFIX), NULL, 10);

	return c->n_children ? c->children[number % c->n_children] : NULL;
}

void control_handover_died(struct control *c, struct child *child)
{
	heir_drop(&c->handover->heirs[child_number(child)]);
}

static void forget_ended(struct control_handover *h)
{
	for (struct predecessor *p = h->predecessors, *next; p; p = next) {
		next = p->next;
		if (p->fd < 0)
			predecessor_free(p);
	}
}

/* Once, when all have answered. */
static void tell(struct control_handover *h)
{
	uint64_t moved = 0, stayed = 0, ended = 0, drain_ms = 0;

	for (const struct predecessor *p = h->predecessors; p; p = p->next) {
		if (!p->is_done)
			return;
		moved += p->taken.moved;
		stayed += p->taken.stayed;
		ended += p->taken.ended;
		if (drain_ms < p->taken.drain_ms)
			drain_ms = p->taken.drain_ms;
	}
	h->is_told = true;
	if (stayed)
		log_warning("%llu sessions were taken over from the botlsd before; %llu stay with "
			    "its workers until they end, at most %llu s",
			    (unsigned long long)moved, (unsigned long long)stayed,
			    (unsigned long long)drain_ms / 1000);
	else
		log_info("%llu sessions were taken over from the botlsd before",
			 (unsigned long long)moved);
	if (ended)
		log_info("%llu of its sessions had to end: the configuration is against them now",
			 (unsigned long long)ended);
	forget_ended(h);
}

void control_handover_started(struct control *c, struct child *child)
{
	struct control_handover *h = c->handover;

	heir_make(&h->heirs[child_number(child)], child);
	for (struct predecessor *p = h->predecessors; p; p = p->next) {
		if (taker_of(c, p) != child)
			continue;
		if (p->fd >= 0)
			child_send(child, MSG_TAKE_OVER, p->id, NULL, 0, p->fd);
		else
			p->is_done = true; /* whoever knew what it gave has died, too */
	}
	if (h->predecessors && !h->is_told)
		tell(h);
}

void control_handover_on_taken(struct control *c, struct child *child, const struct ipc_message *m)
{
	struct control_handover *h = c->handover;

	if (m->len != sizeof(struct message_taken))
		return;
	for (struct predecessor *p = h->predecessors; p; p = p->next) {
		if (p->id != m->id || taker_of(c, p) != child)
			continue;
		memcpy(&p->taken, m->payload, sizeof(p->taken));
		p->is_done = true;
		if (!h->is_told)
			tell(h);
		return;
	}
}

int control_handover_status(const struct control *c, struct jv *o)
{
	struct jv *list = jv_array_new();
	int r = 0;

	for (const struct predecessor *p = c->handover->predecessors; p; p = p->next) {
		struct jv *item;

		if (p->fd < 0 || !p->is_done || !p->taken.left)
			continue;
		item = jv_object_new();
		r |= jv_set_string(item, "worker", p->name + strlen(NAME_PREFIX));
		r |= jv_set_uint(item, "sessions", p->taken.left);
		if (p->taken.until)
			r |= jv_set_int(item, "until", p->taken.until);
		r |= jv_append(list, item);
	}
	r |= jv_set(o, "draining", list);
	return r ? -ENOMEM : 0;
}

/* --- neighbors in clear text */

static void write_fallback(struct control *c)
{
	_cleanup_close_ int fd = memfd_create(NAME_FALLBACK, MFD_CLOEXEC);
	bool is_there = false;

	for (size_t i = 0; i < c->now.config->n_neighbors; i++) {
		if (!c->now.peers[i].allow_clear)
			continue;
		if (fd < 0 || dprintf(fd, "%s\n", c->now.config->neighbors[i].name) < 0)
			return;
		is_there = true;
	}
	c->handover->has_fallback = is_there && notify_store(NAME_FALLBACK, fd) > 0;
}

void control_handover_fallback(struct control *c)
{
	/* Not known, a neighbor is closed: the old file goes first. */
	if (c->handover->has_fallback)
		notify_unstore(NAME_FALLBACK);
	c->handover->has_fallback = false;
	write_fallback(c);
}

/* All workers are of one mind, as those before were. */
static void allow_clear(struct control *c, const char *name)
{
	const struct neighbor_config *n = config_neighbor(c->now.config, name);
	unsigned workers = c->now.config->workers;
	struct peer *p;

	if (!n || n->mode != MODE_PREFERRED)
		return;
	p = &c->now.peers[n - c->now.config->neighbors];
	p->allow_clear = true;
	p->clear_votes = workers == 64 ? UINT64_MAX : (1ULL << workers) - 1;
	timer_set_ms(c->poll_clear, FALLBACK_POLL_MS);
}

static void read_fallback(struct control *c, int fd)
{
	_cleanup_fclose_ FILE *f = fdopen(fd, "r");
	char name[ADDR_STRLEN + 1];

	c->handover->has_fallback = true;
	if (!f) {
		close(fd);
		return;
	}
	rewind(f);
	while (fgets(name, sizeof(name), f)) {
		name[strcspn(name, "\n")] = '\0';
		allow_clear(c, name);
	}
}

/* --- life */

int control_handover_new(struct control *c)
{
	struct control_handover *h = calloc(1, sizeof(*h));
	struct listen_fd *passed = NULL;
	int n, r = 0;

	c->handover = h;
	if (!h)
		return -ENOMEM;
	h->heirs = calloc(c->now.config->workers, sizeof(*h->heirs));
	if (!h->heirs)
		return -ENOMEM;
	h->n_heirs = c->now.config->workers;
	for (size_t i = 0; i < h->n_heirs; i++)
		h->heirs[i].fd = -1;
	n = listen_fds_take(&passed);
	for (int i = 0; i < n; i++) {
		if (r == 0 && strncmp(passed[i].name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0)
			r = add_predecessor(c, &passed[i]);
		else if (strcmp(passed[i].name, NAME_FALLBACK) == 0)
			read_fallback(c, TAKE_FD(passed[i].fd));
		cleanup_close(&passed[i].fd);
	}
	free(passed);
	return n < 0 ? n : r;
}

void control_handover_stop(struct control *c)
{
	struct control_handover *h = c->handover;

	for (size_t i = 0; i < c->n_children; i++)
		child_send(c->children[i], MSG_STOP, 0, NULL, 0, -1);
	for (size_t i = 0; i < h->n_heirs; i++)
		heir_drop(&h->heirs[i]);
	for (const struct predecessor *p = h->predecessors; p; p = p->next)
		notify_unstore(p->name);
	if (h->has_fallback)
		notify_unstore(NAME_FALLBACK);
	while (h->predecessors)
		predecessor_free(h->predecessors);
}

void control_handover_free(struct control *c)
{
	struct control_handover *h = c->handover;

	if (!h)
		return;
	while (h->predecessors)
		predecessor_free(h->predecessors);
	for (size_t i = 0; i < h->n_heirs; i++)
		cleanup_close(&h->heirs[i].fd);
	free(h->heirs);
	free(TAKE(c->handover));
}
