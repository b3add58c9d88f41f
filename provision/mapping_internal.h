/* SPDX-License-Identifier: Apache-2.0 */
/* Between mapping.c, which makes mappings, and mapping_check.c, which looks at them. */
#ifndef BOTLS_MAPPING_INTERNAL_H
#define BOTLS_MAPPING_INTERNAL_H

#include "mapping.h"

#define MAPPING_NAME_MAX 64 /* with the final 0; BIRD's symbols have 64 characters at most */
#define MAPPING_TEXT_MAX 255
#define MAPPING_LIST_MAX 64 /* items; botlsd.conf(5) takes no more */

/* "as64502_192_0_2_2" */
void mapping_name(uint32_t asn, const struct addr *neighbor, char buf[static MAPPING_NAME_MAX]);

/* Whether all programs that it may be given to understand this secret in the same way. The reason
 * does not tell it. */
int mapping_check_secret(const char *secret, struct errtext *e);

#endif
