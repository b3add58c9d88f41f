/* SPDX-License-Identifier: Apache-2.0 */
#include "guard_tc.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

static int attach_one(int ifindex, enum bpf_tc_attach_point where, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = where);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_TC_HANDLE, .priority = GUARD_TC_PRIORITY,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &opts);
}

int guard_tc_attach(int ifindex, const struct guard_tc_programs *programs)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int r;

	r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return r;
	r = attach_one(ifindex, BPF_TC_EGRESS, programs->out_fd);
	return r < 0 ? r : attach_one(ifindex, BPF_TC_INGRESS, programs->in_fd);
}

static uint32_t prog_at(int ifindex, enum bpf_tc_attach_point where)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = where);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_TC_HANDLE, .priority = GUARD_TC_PRIORITY);

	return bpf_tc_query(&hook, &opts) < 0 ? 0 : opts.prog_id;
}

static uint32_t prog_id(int prog_fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &len) < 0 ? 0 : info.id;
}

bool guard_tc_is_attached(int ifindex, const struct guard_tc_programs *programs)
{
	uint32_t in = prog_at(ifindex, BPF_TC_INGRESS), out = prog_at(ifindex, BPF_TC_EGRESS);

	return in && out && in == prog_id(programs->in_fd) && out == prog_id(programs->out_fd);
}

static int detach_one(int ifindex, enum bpf_tc_attach_point where)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = where);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_TC_HANDLE, .priority = GUARD_TC_PRIORITY);

	if (!prog_at(ifindex, where))
		return 0;
	return bpf_tc_detach(&hook, &opts);
}

int guard_tc_detach(int ifindex)
{
	int out = detach_one(ifindex, BPF_TC_EGRESS);
	int in = detach_one(ifindex, BPF_TC_INGRESS);

	return out < 0 ? out : in;
}
