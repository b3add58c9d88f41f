// SPDX-License-Identifier: Apache-2.0
/*
 * System calls by name. What decides on a call's number alone is cheap: the kernel keeps the answer
 * in a bitmap and runs no filter. So the calls that carry sessions have no conditions.
 */
#include "sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* Argument `n` of a call is `value`; is `value` where `mask` has bits. */
#define IS(n, value)                                                                               \
	((struct scmp_arg_cmp){.arg = (n), .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)(value)})
#define MASKED(n, mask, value)                                                                     \
	((struct scmp_arg_cmp){                                                                    \
		.arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value)})

/* Names that this machine or its libseccomp does not have are passed over. */
static const char *const common[] = {
	/* sessions */
	"read", "write", "readv", "writev", "recv", "recvfrom", "recvmsg", "send", "sendto",
	"sendmsg", "splice", "tee", "accept", "accept4", "shutdown", "close", "getsockname",
	"getpeername", "getsockopt", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
	"epoll_pwait2",
	/* files in memory, which control sends */
	"pread64", "lseek", "_llseek",
	/* memory; more below */
	"brk", "munmap", "mremap", "madvise", "mlock", "mlock2", "munlock",
	/* time, chance, the process itself */
	"clock_gettime", "clock_gettime64", "gettimeofday", "time", "getrandom", "futex",
	"futex_time64", "restart_syscall", "rt_sigreturn", "sigreturn", "rt_sigprocmask", "getpid",
	"gettid", "sysinfo", "exit", "exit_group"};

static const struct conditional {
	const char *call;
	struct scmp_arg_cmp argument;
} common_if[] = {
	{"setsockopt", IS(1, SOL_SOCKET)},
	{"setsockopt", IS(1, IPPROTO_IP)},
	{"setsockopt", IS(1, IPPROTO_IPV6)},
	{"setsockopt", IS(1, IPPROTO_TCP)},
	{"setsockopt", IS(1, SOL_TLS)},
	{"ioctl", IS(1, SIOCOUTQ)},
	{"ioctl", IS(1, SIOCINQ)},
	{"ioctl", IS(1, SIOCGIFNAME)},
	{"fcntl", IS(1, F_GETFD)},
	{"fcntl", IS(1, F_SETFD)},
	{"fcntl", IS(1, F_GETFL)},
	{"fcntl", IS(1, F_SETFL)},
	{"fcntl", IS(1, F_DUPFD_CLOEXEC)},
	/* no memory becomes code */
	{"mmap", MASKED(2, PROT_EXEC, 0)},
	{"mprotect", MASKED(2, PROT_EXEC, 0)},
	{"prctl", IS(0, PR_SET_VMA)},
};

/* The C library makes one to learn an interface's name, for the address of a link-local peer. That
 * the name is missing then is no reason to end sessions. */
static const char *const refused[] = {"socket"};

#if SANDBOX_SANITIZED
static const char *const sanitizer[] = {"open",
					"openat",
					"readlink",
					"readlinkat",
					"stat",
					"fstat",
					"newfstatat",
					"statx",
					"access",
					"getdents",
					"getdents64",
					"mkdir",
					"getcwd",
					"fcntl",
					"mmap",
					"mprotect",
					"clone",
					"ptrace",
					"wait4",
					"kill",
					"prctl",
					"arch_prctl",
					"sched_yield",
					"sched_getaffinity",
					"sigaltstack",
					"rt_sigaction",
					"rt_sigtimedwait",
					"nanosleep",
					"clock_nanosleep",
					"getppid",
					"getuid",
					"geteuid",
					"getrlimit",
					"prlimit64",
					"set_robust_list",
					"uname"};
#else
/* Libraries look for files when they think of it (a zone of time, /proc/meminfo) and can do
 * without. */
static const char *const files[] = {"open",	 "openat",    "openat2", "stat",      "stat64",
				    "lstat",	 "lstat64",   "fstat",	 "fstat64",   "newfstatat",
				    "fstatat64", "statx",     "access",	 "faccessat", "faccessat2",
				    "readlink",	 "readlinkat"};
#endif

/* What administers a machine, or looks into other processes: never control's. Libraries of the name
 * service may try some of it, so that this is an error and not the end. */
static const char *const control_refused[] = {
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_getfd",
	"kcmp",
	"userfaultfd",
	"perf_event_open",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"fanotify_init",
	"open_by_handle_at",
	"lookup_dcookie",
	"add_key",
	"request_key",
	"keyctl",
	"syslog",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"swapon",
	"swapoff",
	"acct",
	"quotactl",
	"quotactl_fd",
	"mount",
	"umount",
	"umount2",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"move_mount",
	"open_tree",
	"mount_setattr",
	"pivot_root",
	"chroot",
	"unshare",
	"setns",
	"settimeofday",
	"stime",
	"clock_settime",
	"clock_settime64",
	"adjtimex",
	"clock_adjtime",
	"clock_adjtime64",
	"sethostname",
	"setdomainname",
	"iopl",
	"ioperm",
	"modify_ldt",
	"personality",
	"mknod",
	"mknodat",
	"vhangup",
	"migrate_pages",
	"move_pages",
#if !SANDBOX_SANITIZED /* workers inherit it */
	"ptrace",
#endif
};

/* New namespaces. clone3() keeps its flags where no filter sees them; refused as unknown, the C
 * library takes clone(). */
static const uint32_t control_clone_flags[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
					       CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
					       CLONE_NEWNET};
#ifdef __s390__
#define CLONE_FLAGS_AT 1
#else
#define CLONE_FLAGS_AT 0
#endif

static sandbox_violation_fn *violation_told;

/* The call was not made. seccomp_syscall_resolve_num_arch() allocates: malloc() makes no call that
 * could have brought us here. */
static void on_sigsys(int signo, siginfo_t *info, void *context)
{
	char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);

	(void)signo;
	(void)context;
	if (violation_told)
		violation_told(name ? name : "an unknown one");
	/* SIGSYS is blocked in here, so that the next one is the end, and seen as what it is. */
	syscall(SYS_execve, NULL, NULL, NULL);
	_exit(128 + SIGSYS);
}

static int catch_sigsys(sandbox_violation_fn *violation)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	violation_told = violation;
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

static int add_if(scmp_filter_ctx ctx, uint32_t action, const char *name,
		  const struct scmp_arg_cmp *argument, struct errtext *e)
{
	int call = seccomp_syscall_resolve_name(name), r;

	if (call == __NR_SCMP_ERROR)
		return 0;
	r = seccomp_rule_add_array(ctx, action, call, argument ? 1 : 0, argument);
	return r < 0 ? errtext_set(e, r, "seccomp, %s: %s", name, strerror(-r)) : 0;
}

static int add(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n,
	       struct errtext *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_if(ctx, action, names[i], NULL, e);
	return r;
}

static int add_conditional(scmp_filter_ctx ctx, struct errtext *e)
{
	/* abort() and raise(): signals to ourselves */
	const struct scmp_arg_cmp own = IS(0, (scmp_datum_t)getpid());
	int r = add_if(ctx, SCMP_ACT_ALLOW, "tgkill", &own, e);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(common_if); i++)
		r = add_if(ctx, SCMP_ACT_ALLOW, common_if[i].call, &common_if[i].argument, e);
	return r;
}

static void cleanup_filter(scmp_filter_ctx *ctx)
{
	seccomp_release(*ctx);
}
#define _cleanup_filter_ __attribute__((cleanup(cleanup_filter)))

static int new_filter(uint32_t action, scmp_filter_ctx *ret, struct errtext *e)
{
	scmp_filter_ctx ctx = seccomp_init(action);
	int r;

	if (!ctx)
		return errtext_set(e, -ENOMEM, "seccomp: out of memory");
	/* no_new_privs is set; another architecture's calls are never ours; a tree, not a list */
	if ((r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0)) < 0 ||
	    (r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) < 0 ||
	    (r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2)) < 0) {
		seccomp_release(ctx);
		return errtext_set(e, r, "seccomp: %s", strerror(-r));
	}
	*ret = ctx;
	return 0;
}

static int load(scmp_filter_ctx ctx, struct errtext *e)
{
	int r = seccomp_load(ctx);

	return r < 0 ? errtext_set(e, r, "seccomp: %s (CONFIG_SECCOMP_FILTER)", strerror(-r)) : 0;
}

static int add_files(scmp_filter_ctx ctx, struct errtext *e)
{
#if SANDBOX_SANITIZED
	return add(ctx, SCMP_ACT_ALLOW, sanitizer, ARRAY_SIZE(sanitizer), e);
#else
	return add(ctx, SCMP_ACT_ERRNO(EACCES), files, ARRAY_SIZE(files), e);
#endif
}

int sandbox_allow_calls(sandbox_violation_fn *violation, struct errtext *e)
{
	/* A sanitizer goes on without what it is refused, and writes its report. */
	uint32_t otherwise = SANDBOX_SANITIZED ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP;
	const struct scmp_arg_cmp is_tty = IS(1, TCGETS);
	_cleanup_filter_ scmp_filter_ctx ctx = NULL;
	int r = new_filter(otherwise, &ctx, e);

	if (r < 0 || (r = add(ctx, SCMP_ACT_ALLOW, common, ARRAY_SIZE(common), e)) < 0 ||
	    (r = add_conditional(ctx, e)) < 0 ||
	    (r = add(ctx, SCMP_ACT_ERRNO(EACCES), refused, ARRAY_SIZE(refused), e)) < 0 ||
	    (r = add_files(ctx, e)) < 0)
		return r;
	/* isatty() of stdio and flex: it is none */
	r = add_if(ctx, SCMP_ACT_ERRNO(ENOTTY), "ioctl", &is_tty, e);
	if (r < 0)
		return r;
	r = catch_sigsys(violation);
	return r < 0 ? errtext_set(e, r, "sigaction: %s", strerror(-r)) : load(ctx, e);
}

int sandbox_refuse_calls(struct errtext *e)
{
	_cleanup_filter_ scmp_filter_ctx ctx = NULL;
	int r = new_filter(SCMP_ACT_ALLOW, &ctx, e);

	if (r == 0)
		r = add(ctx, SCMP_ACT_ERRNO(EPERM), control_refused, ARRAY_SIZE(control_refused),
			e);
	if (r == 0)
		r = add_if(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(control_clone_flags); i++) {
		uint32_t flag = control_clone_flags[i];
		const struct scmp_arg_cmp set = MASKED(CLONE_FLAGS_AT, flag, flag);

		r = add_if(ctx, SCMP_ACT_ERRNO(EPERM), "clone", &set, e);
	}
	return r < 0 ? r : load(ctx, e);
}
