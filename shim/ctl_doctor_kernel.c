// SPDX-License-Identifier: Apache-2.0
/* What this kernel can do, asked without changing anything; what it lacks matters only where the
 * configuration needs it. */
#include "ctl_doctor.h"

#include "ktls.h"
#include "tcp_ao.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#ifndef CGROUP2_SUPER_MAGIC
#define CGROUP2_SUPER_MAGIC 0x63677270
#endif
#define LANDLOCK_VERSION 1 /* LANDLOCK_CREATE_RULESET_VERSION, linux/landlock.h of 5.19 */

static void check_version(struct doctor *d)
{
	struct utsname u;

	if (uname(&u) == 0)
		doctor_say(d, DOCTOR_OK, NULL, "%s %s, %s", u.sysname, u.release, u.machine);
}

/* Where the root of cgroup v2 is mounted; false when nowhere. */
static bool find_cgroup(char *buf, size_t size)
{
	static const char *const usual[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	_cleanup_fclose_ FILE *f = NULL;
	char line[1024], where[512], type[32];
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (statfs(usual[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
			snprintf(buf, size, "%s", usual[i]);
			return true;
		}
	f = fopen("/proc/self/mounts", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %511s %31s", where, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			snprintf(buf, size, "%s", where);
			return true;
		}
	return false;
}

static void check_cgroup(struct doctor *d)
{
	bool is_needed = d->config && d->config->steering == STEERING_CGROUP;
	char where[512];

	if (find_cgroup(where, sizeof(where)))
		doctor_say(d, DOCTOR_OK, NULL, "cgroup v2 at %s", where);
	else
		doctor_say(d, is_needed ? DOCTOR_FAIL : DOCTOR_WARN,
			   "mount -t cgroup2 none /sys/fs/cgroup, or use steering = route",
			   "no cgroup v2 is mounted: steering = cgroup is not possible%s",
			   is_needed ? "" : ", auto takes route");
}

/* Loads the smallest program of a kind, which is gone with its descriptor. */
static int try_program(unsigned type, unsigned attach)
{
	static const char license[] = "GPL";
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.expected_attach_type = attach;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = ARRAY_SIZE(program);
	attr.license = (uintptr_t)license;
	fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void check_bpf(struct doctor *d)
{
	static const struct {
		const char *name, *for_what;
		unsigned type, attach;
	} kinds[] = {
		{"connect4", "steering = cgroup", BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
		 BPF_CGROUP_INET4_CONNECT},
		{"getpeername4", "steering = cgroup", BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
		 BPF_CGROUP_INET4_GETPEERNAME},
		{"sockops", "steering = cgroup", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS},
		{"sk_lookup", "steering = route", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP},
		{"sched_cls", "the guard at interfaces", BPF_PROG_TYPE_SCHED_CLS, 0},
	};
	size_t good = 0;

	if (!d->is_root) {
		doctor_say(d, DOCTOR_WARN, "run 'botlsctl doctor' as root",
			   "BPF programs were not tried: only root may load them");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int r = try_program(kinds[i].type, kinds[i].attach);

		if (r == 0)
			good++;
		else
			doctor_say(d, DOCTOR_FAIL,
				   r == -EPERM
					   ? "in a container give it CAP_BPF and CAP_NET_ADMIN; "
					     "a locked down kernel forbids BPF"
					   : "Linux 5.10 or later with CONFIG_CGROUP_BPF, "
					     "CONFIG_NET_CLS_BPF and CONFIG_BPF_SYSCALL is "
					     "needed",
				   "a %s program, for %s, cannot be loaded: %s", kinds[i].name,
				   kinds[i].for_what, strerror(-r));
	}
	if (good == ARRAY_SIZE(kinds))
		doctor_say(d, DOCTOR_OK, NULL,
			   "programs for sockets, sk_lookup and interfaces can be loaded");
}

static void check_ao(struct doctor *d)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t wanted = 0, preferred = 0;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *n = &d->config->neighbors[i];

		if (n->ao.mode == AO_OFF || n->ao.mode == AO_CAPABILITY || n->mode == MODE_OFF)
			continue;
		wanted += n->ao.policy == AO_REQUIRED;
		preferred += n->ao.policy == AO_PREFERRED;
	}
	if (fd >= 0 && tcp_ao_probe(fd) != -ENOPROTOOPT)
		doctor_say(d, DOCTOR_OK, NULL, "TCP-AO is there; %zu neighbors use it",
			   wanted + preferred);
	else if (wanted)
		doctor_say(d, DOCTOR_FAIL, "use " TCP_AO_KERNEL ", or tcp-ao = off on both sides",
			   "no TCP-AO in this kernel, and %zu neighbors need it: they are closed",
			   wanted);
	else if (preferred)
		doctor_say(d, DOCTOR_WARN, "use " TCP_AO_KERNEL,
			   "no TCP-AO in this kernel, and %zu neighbors go without it "
			   "(tcp-ao-policy = preferred)",
			   preferred);
	else
		doctor_say(d, DOCTOR_OK, NULL, "no TCP-AO in this kernel; no neighbor needs it");
}

/* Trying it loads the module, which botlsd does too as soon as a neighbor wants it. */
static void check_ktls(struct doctor *d)
{
	struct ktls_support support;
	size_t wanted = 0;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++)
		wanted += d->config->neighbors[i].ktls == KTLS_ON &&
			  neighbor_has_tls(&d->config->neighbors[i]);
	if (!wanted) {
		doctor_say(d, DOCTOR_OK, NULL, "no neighbor has ktls = on: records in user space");
		return;
	}
	ktls_probe(&support);
	if (support.ciphers)
		doctor_say(d, DOCTOR_OK, NULL, "kTLS, and it renews keys; %zu neighbors use it",
			   wanted);
	else
		doctor_say(d, DOCTOR_WARN, "use " KTLS_KERNEL ", or ktls = off",
			   "records of %zu neighbors stay in user space: %s", wanted,
			   support.why_not);
}

static void check_landlock(struct doctor *d)
{
#ifdef SYS_landlock_create_ruleset
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	if (version > 0) {
		doctor_say(d, DOCTOR_OK, NULL, "Landlock, version %ld", version);
		return;
	}
#endif
	doctor_say(d, DOCTOR_WARN,
		   "boot with lsm=landlock,... (CONFIG_SECURITY_LANDLOCK): workers then cannot "
		   "reach files even if they are taken over",
		   "no Landlock: %s", strerror(errno));
}

static void check_seccomp(struct doctor *d)
{
	unsigned action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		doctor_say(d, DOCTOR_OK, NULL, "seccomp filters are there");
	else
		doctor_say(d, DOCTOR_WARN, "use a kernel with CONFIG_SECCOMP_FILTER",
			   "no seccomp filters: %s", strerror(errno));
}

static void check_bpffs(struct doctor *d)
{
	const char *path = d->config ? d->config->bpffs : "/sys/fs/bpf";
	struct statfs fs;

	if (statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		doctor_say(d, DOCTOR_OK, NULL, "BPF file system at %s", path);
	else
		doctor_say(d, DOCTOR_FAIL,
			   "mount -t bpf bpf PATH (systemd does it for /sys/fs/bpf)",
			   "%s is no BPF file system: nothing can be pinned there", path);
}

static const struct doctor_check checks[] = {
	{"kernel", check_version},    {"cgroup", check_cgroup},	  {"bpf", check_bpf},
	{"bpffs", check_bpffs},	      {"tcp-ao", check_ao},	  {"ktls", check_ktls},
	{"landlock", check_landlock}, {"seccomp", check_seccomp},
};
const struct doctor_group doctor_kernel = {"Kernel", checks, ARRAY_SIZE(checks)};
