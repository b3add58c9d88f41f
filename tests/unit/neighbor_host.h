/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOTLS_TEST_NEIGHBOR_HOST_H
#define BOTLS_TEST_NEIGHBOR_HOST_H

#include "neighbor.h"

/* A worker that lets every handshake begin and otherwise does nothing: no socket can be had. A test
 * takes a copy, and puts in what it looks at. */
extern const struct neighbor_host_ops idle_neighbor_host;

#endif
