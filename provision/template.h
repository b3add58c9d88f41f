/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts with holes: the part of Mustache that configuration files need.
 *
 *   {{name}}                    a string or a number; an absent one is an error, not a blank
 *   {{#name}} ... {{/name}}     once for each item of a list, once when it is true, or is a string
 * or a number; inside, names are looked for in the item first ({{.}} is the item itself)
 *   {{^name}} ... {{/name}}     when it is absent, false or an empty list
 *   {{! remark }}
 *
 * A line that holds nothing but a section's tag or a remark leaves no empty line behind. Nothing is
 * escaped: what goes in has been validated (mapping.h).
 */
#ifndef BOTLS_TEMPLATE_H
#define BOTLS_TEMPLATE_H

#include "json.h"

/* free() *ret_text. -EINVAL with `name` and the line in *e, -EFBIG, -ENOMEM. */
int template_fill(const char *name, const char *text, const struct jv *values, char **ret_text,
		  struct errtext *e);

/* The built-in ones: "bird", "frr"; NULL: no such. */
const char *template_builtin(const char *name);

#endif
