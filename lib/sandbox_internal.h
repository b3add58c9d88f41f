/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of sandbox_enter() and sandbox_control(). */
#ifndef BOTLS_SANDBOX_INTERNAL_H
#define BOTLS_SANDBOX_INTERNAL_H

#include "sandbox.h"

/* A sanitizer's runtime reads /proc, writes its reports to files, and looks for leaks from a second
 * process. Such a build is for tests: Landlock leaves it the files, and seccomp what that takes. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
	__has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* sandbox_landlock.c: everything that this kernel's Landlock can take. The version of its
 * interface, 0: there is none; or -errno. */
int sandbox_landlock(struct errtext *e);

/* sandbox_seccomp.c: an allow list; a list of what is refused. no_new_privs must be set. */
int sandbox_allow_calls(sandbox_violation_fn *violation, struct errtext *e);
int sandbox_refuse_calls(struct errtext *e);

#endif
