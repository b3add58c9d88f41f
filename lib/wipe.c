// SPDX-License-Identifier: Apache-2.0
#include "wipe.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void wipe_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *wipe_realloc(void *p, size_t size)
{
	size_t had = p ? malloc_usable_size(p) : 0;
	void *new = malloc(size);

	if (new &&had)
		memcpy(new, p, had < size ? had : size);
	if (new)
		wipe_free(p);
	return new;
}
