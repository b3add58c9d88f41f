// SPDX-License-Identifier: Apache-2.0
#include "fake_steering.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/socket.h>

static struct fake_steering *fake(const struct steering *s)
{
	return (struct fake_steering *)s;
}

static int fake_apply(struct steering *s, const struct steering_entry *entries, size_t n,
		      struct errtext *e)
{
	struct fake_steering *f = fake(s);

	assert_true(n <= FAKE_NEIGHBORS_MAX);
	if (f->apply_error)
		return errtext_set(e, f->apply_error, "the kernel does not want to");
	memcpy(f->entries, entries, n * sizeof(*entries));
	f->n_entries = n;
	f->n_applied++;
	f->n_listeners = f->n_listeners_next;
	if (f->swap_next) {
		int first = f->listeners[0];

		f->listeners[0] = f->listeners[1];
		f->listeners[1] = first;
		f->swap_next = false;
	}
	f->applied_at = *f->clock;
	return 0;
}

static const int *fake_listeners(const struct steering *s, size_t *ret_n)
{
	*ret_n = fake(s)->n_listeners;
	return fake(s)->listeners;
}

static int fake_connect_inner(struct steering *s, const struct addr *own, const struct addr *peer,
			      int *ret_fd, struct errtext *e)
{
	struct fake_steering *f = fake(s);
	int fds[2];

	f->own = *own;
	f->peer = *peer;
	if (f->inner_error)
		return errtext_set(e, f->inner_error, "nobody listens");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cleanup_close(&f->inner_peer);
	f->inner_peer = fds[0];
	*ret_fd = fds[1];
	return 0;
}

static const struct steering_ops fake_ops = {
	.name = "fake",
	.apply = fake_apply,
	.listeners = fake_listeners,
	.connect_inner = fake_connect_inner,
};

static int fake_connect_clear(struct steering *s, int fd, const struct addr *neighbor)
{
	(void)s;
	(void)fd;
	(void)neighbor;
	return -EINPROGRESS;
}

static unsigned fake_clear_count(struct steering *s, const struct addr *neighbor)
{
	(void)neighbor;
	return fake(s)->clear_count;
}

static int fake_set_carriers(struct steering *s, const int *fds, size_t n, struct errtext *e)
{
	(void)fds;
	(void)e;
	fake(s)->n_carriers = n;
	return 0;
}

static int fake_check(struct steering *s, struct steering_report *r,
		      struct steering_counters *ret_counters)
{
	struct fake_steering *f = fake(s);
	struct steering_item item = {.kind = "route", .name = "192.0.2.2", .detail = "as it was"};

	f->n_checked++;
	for (unsigned i = 0; i <= f->n_bad; i++) {
		item.state = i ? STEERING_MISSING : STEERING_OK;
		r->n_bad += i > 0;
		if (r->each)
			r->each(r->arg, &item);
	}
	item = (struct steering_item){.kind = "kernel", .name = "something", .detail = "lacks it"};
	if (r->each)
		r->each(r->arg, &item);
	if (ret_counters)
		*ret_counters = (struct steering_counters){1, 2, 3, 4, 5, 6, 7, 8, 9};
	return 0;
}

static int fake_count(struct steering *s, struct steering_counters *ret)
{
	(void)s;
	*ret = (struct steering_counters){.connects_steered = 1, .guard_out = 2};
	return 0;
}

static int fake_repair(struct steering *s, struct errtext *e)
{
	struct fake_steering *f = fake(s);

	if (f->repair_error)
		return errtext_set(e, f->repair_error, "beyond repair");
	f->n_repaired++;
	f->n_bad = 0;
	return 0;
}

static int fake_remove(struct steering *s, struct errtext *e)
{
	struct fake_steering *f = fake(s);

	f->n_removed++;
	return f->remove_error ? errtext_set(e, f->remove_error, "it stays") : 0;
}

static void fake_free(struct steering *s)
{
	fake(s)->n_freed++;
}

static const struct steering_common_ops fake_common_ops = {
	.connect_clear = fake_connect_clear,
	.clear_count = fake_clear_count,
	.set_carriers = fake_set_carriers,
	.check = fake_check,
	.count = fake_count,
	.repair = fake_repair,
	.remove = fake_remove,
	.free = fake_free,
};

void fake_steering_init(struct fake_steering *f, const unsigned *clock)
{
	*f = (struct fake_steering){.base = {.ops = &fake_ops, .common = &fake_common_ops}};
	f->clock = clock;
	f->inner_peer = -1;
	f->n_listeners = f->n_listeners_next = 1;
	for (size_t i = 0; i < FAKE_LISTENERS; i++)
		f->listeners[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

void fake_steering_done(struct fake_steering *f)
{
	cleanup_close(&f->inner_peer);
	for (size_t i = 0; i < FAKE_LISTENERS; i++)
		cleanup_close(&f->listeners[i]);
}
