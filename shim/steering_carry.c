// SPDX-License-Identifier: Apache-2.0
#include "steering_carry.h"
#include "steering_internal.h"

#include "carry.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/socket.h>

#define PIN_LINK      "carry"
#define LISTENERS_MAX 2

struct carry {
	const struct pins *pins;
	struct guard *guard;
	struct carry_bpf *bpf; /* NULL: nobody is carried */
	uint16_t own_ports_end;
	int link_fd;
	int listeners[LISTENERS_MAX]; /* borrowed */
	size_t n_listeners;
};

int carry_new(const struct pins *pins, struct guard *guard, uint16_t own_ports_end,
	      struct carry **ret, struct errtext *e)
{
	struct carry *c = calloc(1, sizeof(*c));

	if (!c)
		return errtext_set(e, -ENOMEM, "out of memory");
	c->pins = pins;
	c->guard = guard;
	c->own_ports_end = own_ports_end;
	c->link_fd = -1;
	*ret = c;
	return 0;
}

void carry_free(struct carry *c)
{
	if (!c)
		return;
	cleanup_close(&c->link_fd);
	carry_bpf__destroy(c->bpf);
	free(c);
}

static int program_fd(const struct carry *c)
{
	return bpf_program__fd(c->bpf->progs.botls_carry);
}

static int load(const struct carry *c, struct carry_bpf **ret, struct errtext *e)
{
	struct carry_bpf *bpf = carry_bpf__open();
	int r;

	if (!bpf)
		return errtext_set(e, -errno, "open the sk_lookup program: %m");
	bpf->rodata->own_ports_end = c->own_ports_end;
	r = bpf_map__reuse_fd(bpf->maps.neighbors, guard_table_fd(c->guard));
	if (r == 0)
		r = bpf_map__set_autocreate(bpf->maps.counters, false);
	if (r == 0)
		r = bpf_map__set_autocreate(bpf->maps.bypass, false);
	if (r == 0)
		r = bpf_map__set_autocreate(bpf->maps.sockets, false);
	if (r == 0)
		r = bpf_map__set_autocreate(bpf->maps.carriers, false);
	if (r == 0)
		r = carry_bpf__load(bpf);
	if (r < 0) {
		carry_bpf__destroy(bpf);
		return errtext_set(e, r,
				   "mode = tcp-ao: the kernel refuses the sk_lookup program (Linux "
				   "5.10, CAP_BPF, CAP_NET_ADMIN): %s",
				   strerror(-r));
	}
	*ret = bpf;
	return 0;
}

static int family_of(int fd, __u32 *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, ret, &len) < 0 ? -errno : 0;
}

/* First it may speak, then it hears. */
static int give_listener(const struct carry *c, int fd)
{
	__u32 family, yes = 1;
	__u64 value = fd;
	int r = family_of(fd, &family);

	if (r < 0)
		return r;
	if (bpf_map_update_elem(guard_carriers_fd(c->guard), &fd, &yes, BPF_ANY) < 0 ||
	    bpf_map_update_elem(bpf_map__fd(c->bpf->maps.carry_listeners), &family, &value,
				BPF_ANY) < 0)
		return -errno;
	return 0;
}

static int give_listeners(const struct carry *c, struct errtext *e)
{
	for (size_t i = 0; i < c->n_listeners; i++) {
		int r = give_listener(c, c->listeners[i]);

		if (r < 0)
			return errtext_set(e, r, "mode = tcp-ao: listen for its neighbors: %s",
					   strerror(-r));
	}
	return 0;
}

/* What they have accepted lives on. */
static void take_listeners(const struct carry *c)
{
	for (size_t i = 0; i < c->n_listeners; i++) {
		__u32 family;

		if (c->bpf && family_of(c->listeners[i], &family) == 0)
			bpf_map_delete_elem(bpf_map__fd(c->bpf->maps.carry_listeners), &family);
		bpf_map_delete_elem(guard_carriers_fd(c->guard), &c->listeners[i]);
	}
}

int carry_set_listeners(struct carry *c, const int *fds, size_t n, struct errtext *e)
{
	if (n > ARRAY_SIZE(c->listeners))
		return errtext_set(e, -E2BIG, "more than %zu listeners", ARRAY_SIZE(c->listeners));
	take_listeners(c);
	for (size_t i = 0; i < n; i++)
		c->listeners[i] = fds[i];
	c->n_listeners = n;
	return c->bpf ? give_listeners(c, e) : 0;
}

static int attach(struct carry *c, struct errtext *e)
{
	int fd, r = pins_attach_netns(c->pins, PIN_LINK, program_fd(c), BPF_SK_LOOKUP, &fd, e);

	if (r < 0)
		return r;
	cleanup_close(&c->link_fd);
	c->link_fd = fd;
	return 0;
}

static bool is_wanted(const struct steering_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (entries[i].is_carried)
			return true;
	return false;
}

int carry_begin(struct carry *c, const struct steering_entry *entries, size_t n, struct errtext *e)
{
	int r;

	if (c->bpf || !is_wanted(entries, n))
		return 0;
	r = load(c, &c->bpf, e);
	if (!c->bpf)
		return r;
	r = give_listeners(c, e);
	if (r == 0)
		r = attach(c, e);
	if (r < 0) {
		take_listeners(c);
		carry_bpf__destroy(TAKE(c->bpf));
	}
	return r;
}

void carry_end(struct carry *c, const struct steering_entry *entries, size_t n)
{
	if (!is_wanted(entries, n))
		carry_remove(c);
}

void carry_check(struct carry *c, struct steering_report *r)
{
	int state;

	if (!c->bpf)
		return;
	state = pins_netns_link_state(c->pins, PIN_LINK, program_fd(c));
	if (state == 0)
		steering_report(r, "link", PIN_LINK, STEERING_OK,
				"sk_lookup, %zu listeners for mode tcp-ao", c->n_listeners);
	else
		steering_report(r, "link", PIN_LINK,
				state == -ESTALE ? STEERING_DIFFERS : STEERING_MISSING, "%s",
				state == -ENOENT    ? "its pin is gone"
				: state == -ESTALE  ? "has another program"
				: state == -ENOLINK ? "detached"
						    : strerror(-state));
}

int carry_repair(struct carry *c, struct errtext *e)
{
	int r;

	if (!c->bpf)
		return 0;
	r = give_listeners(c, e);
	return r < 0 ? r : attach(c, e);
}

void carry_remove(struct carry *c)
{
	char path[PATH_MAX];
	_cleanup_close_ int pinned = bpf_obj_get(pins_path(c->pins, PIN_LINK, path));

	/* Also what a predecessor left. */
	if (pinned >= 0)
		bpf_link_detach(pinned);
	if (c->link_fd >= 0)
		bpf_link_detach(c->link_fd);
	cleanup_close(&c->link_fd);
	c->link_fd = -1;
	pins_drop(c->pins, PIN_LINK);
	take_listeners(c);
	carry_bpf__destroy(TAKE(c->bpf));
}
