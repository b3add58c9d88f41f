/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics process: answers HTTP at metrics-listen, so that control never reads a byte from the
 * network. It has nothing but its listener and the socket to control, from which a snapshot comes
 * when one is wanted, and it keeps that for a second for whoever else asks.
 */
#ifndef BOTLS_EXPORTER_H
#define BOTLS_EXPORTER_H

/* Returns the exit status of the process. */
int exporter_main(int fd, const char *user);

#endif
