// SPDX-License-Identifier: Apache-2.0
/* The templates in provision/templates/, inside of the program; the Makefile knows of them. */
#include "template.h"

/* In parentheses it would be no name. NOLINTBEGIN(bugprone-macro-parentheses) */
#define EMBED(name, path)                                                                          \
	__asm__(".pushsection .rodata\n"                                                           \
		".hidden " #name "\n"                                                              \
		".globl " #name "\n" #name ":\n"                                                   \
		".incbin \"" path "\"\n"                                                           \
		".byte 0\n"                                                                        \
		".popsection\n");                                                                  \
	extern const char name[] __attribute__((visibility("hidden")))
/* NOLINTEND(bugprone-macro-parentheses) */

EMBED(template_text_bird, "provision/templates/bird.tmpl");
EMBED(template_text_frr, "provision/templates/frr.tmpl");

const char *template_builtin(const char *name)
{
	if (strcmp(name, "bird") == 0)
		return template_text_bird;
	if (strcmp(name, "frr") == 0)
		return template_text_frr;
	return NULL;
}
