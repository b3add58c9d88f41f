/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOTLS_TEST_NEEDS_AO_H
#define BOTLS_TEST_NEEDS_AO_H

#include "tcp_ao.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static inline bool has_ao(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = tcp_ao_probe(fd);

	close(fd);
	assert_true(r == 0 || r == -ENOPROTOOPT);
	return r == 0;
}

/* Every test that needs TCP-AO begins with it. */
#define NEEDS_AO()                                                                                 \
	do {                                                                                       \
		if (!has_ao()) {                                                                   \
			print_message("skipped: this kernel has no TCP-AO (make check-vm)\n");     \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#endif
