/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold whatever comes in; else the input is a find. */
#ifndef BOTLS_FUZZ_CHECK_H
#define BOTLS_FUZZ_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
