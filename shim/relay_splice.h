/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from one transport to another inside of the kernel: a relay's splice(2), through one pipe
 * for all relays of a process. A copy of them comes to user space (tee), where BGP is read.
 *
 * The pipe is empty before relay_splice_read() and after relay_splice_drop() or a write of all:
 * what a side does not take, the relay holds in memory, from that copy. So between two callbacks
 * nothing of a session is in it.
 */
#ifndef BOTLS_RELAY_SPLICE_H
#define BOTLS_RELAY_SPLICE_H

#include "transport.h"

#include <stdint.h>

/* Makes the pipes; once, before a sandbox closes that. 0 or -errno; without them nothing is
 * spliced. */
int relay_splice_start(void);

bool relay_splice_can(const struct transport *from, const struct transport *to);

/* Moves up to `len` bytes into the pipe (unless *ret_in_pipe is false afterwards) and a copy to
 * `buf`. Returns how many; 0: read() has to say what there is instead. *ret_result is IO_WANT_READ
 * when nothing more is there, else it stays. */
size_t relay_splice_read(struct transport *from, uint8_t *buf, size_t len,
			 enum transport_result *ret_result, bool *ret_in_pipe);
/* `len` bytes that are in the pipe; as write(). */
enum transport_result relay_splice_write(struct transport *to, size_t len, size_t *ret_n);
void relay_splice_drop(void);

#endif
