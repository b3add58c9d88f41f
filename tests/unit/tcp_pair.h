/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOTLS_TEST_TCP_PAIR_H
#define BOTLS_TEST_TCP_PAIR_H

/* Two ends of a TCP connection over loopback: [0] connected, [1] was accepted; non-blocking, no
 * Nagle. `buffers` is for all four; 0: as the system has it. */
void tcp_pair(int ret[2], int buffers);

#endif
