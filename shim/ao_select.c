// SPDX-License-Identifier: Apache-2.0
#include "ao_select.h"
#include "botls/botls.h"
#include "botls/bpf.h"
#include "steering_table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/socket.h>

#include "ao_select.skel.h"

struct ao_select {
	struct ao_select_bpf *bpf;
	uint32_t generation; /* of the table */
};

int ao_select_new(struct ao_select **ret, struct errtext *e)
{
	struct ao_select *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return errtext_set(e, -ENOMEM, "out of memory");
	s->bpf = ao_select_bpf__open_and_load();
	if (!s->bpf) {
		r = -errno;
		free(s);
		return errtext_set(e, r, "the kernel refuses an sk_reuseport program: %s",
				   strerror(-r));
	}
	*ret = s;
	return 0;
}

void ao_select_free(struct ao_select *s)
{
	if (!s)
		return;
	ao_select_bpf__destroy(s->bpf);
	free(s);
}

static uint32_t index_of(sa_family_t family, unsigned listener)
{
	return (family == AF_INET ? 0 : BOTLS_AO_LISTENERS) + listener;
}

int ao_select_add(struct ao_select *s, sa_family_t family, unsigned listener, int fd)
{
	uint32_t at = index_of(family, listener);
	uint64_t value = fd;

	return bpf_map_update_elem(bpf_map__fd(s->bpf->maps.listeners), &at, &value, BPF_ANY) < 0
		       ? -errno
		       : 0;
}

int ao_select_attach(struct ao_select *s, sa_family_t family, int fd)
{
	int program = bpf_program__fd(s->bpf->progs.botls_ao_select);
	int r = ao_select_add(s, family, 0, fd);

	if (r < 0)
		return r;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

static struct botls_neighbor_key key_of(const struct addr *source)
{
	struct botls_neighbor_key key = {.prefixlen = BOTLS_NEIGHBOR_KEY_BITS};
	unsigned host = source->family == AF_INET ? 32 : 128;

	key.prefixlen -= host - source->prefixlen;
	botls_addr_from(source, &key.addr);
	return key;
}

static int drop_others(const struct ao_select *s, int map)
{
	struct botls_neighbor_key key, next;
	struct botls_ao_neighbor value;
	int more = bpf_map_get_next_key(map, NULL, &key);

	while (more == 0) {
		more = bpf_map_get_next_key(map, &key, &next);
		if (bpf_map_lookup_elem(map, &key, &value) == 0 &&
		    value.generation != s->generation && bpf_map_delete_elem(map, &key) < 0)
			return -errno;
		key = next;
	}
	return 0;
}

int ao_select_set(struct ao_select *s, const struct ao_select_entry *entries, size_t n)
{
	int map = bpf_map__fd(s->bpf->maps.neighbors);

	s->generation++;
	for (size_t i = 0; i < n; i++) {
		struct botls_neighbor_key key = key_of(entries[i].source);
		const struct botls_ao_neighbor value = {
			.listener = entries[i].listener,
			.may_go_without = entries[i].may_go_without,
			.generation = s->generation,
		};

		if (bpf_map_update_elem(map, &key, &value, BPF_ANY) < 0)
			return -errno;
	}
	return drop_others(s, map);
}
