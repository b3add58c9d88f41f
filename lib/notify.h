/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd_notify(3) without libsystemd: the protocol is one datagram. Nothing happens, and 0 is
 * returned, when NOTIFY_SOCKET is not set (no service manager); otherwise -errno.
 */
#ifndef BOTLS_NOTIFY_H
#define BOTLS_NOTIFY_H

#include <stdint.h>

/* Sends the state as it is ("WATCHDOG=1"), several separated by newlines. A path or an abstract
 * socket. */
int notify_send(const char *state);
int notify_ready(void);
int notify_reloading(
	void); /* with MONOTONIC_USEC, which Type=notify-reload asks for; notify_ready() ends it */
int notify_stopping(void);
int notify_watchdog(void);
/* The manager keeps a copy of `fd` and passes it to the next process of this service, or until the
 * other end hangs up (FDSTORE=1). `name` has no colon. 1: it was asked to, which it does not
 * answer; 0: there is no manager. */
int notify_store(const char *name, int fd);
int notify_unstore(const char *name); /* every one of this name */
int notify_status(const char *text);  /* one line; shown by systemctl status */

/* Half of WATCHDOG_USEC in milliseconds, 0 when there is no watchdog for this process. */
uint64_t notify_watchdog_ms(void);

#endif
