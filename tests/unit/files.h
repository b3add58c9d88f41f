/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOTLS_TEST_FILES_H
#define BOTLS_TEST_FILES_H

/* Texts in files, folders that are gone afterwards, and golden files. What cannot be done fails the
 * test. */

#include <sys/types.h>

/* The whole text, the caller's; "" of an empty file. */
char *file_read(const char *path);
/* folder/name with exactly this mode, in place of what was there. */
void file_write(const char *folder, const char *name, const char *text, mode_t mode);

/* Below /tmp; folder_remove() removes what is in it, too, and frees the name. */
char *folder_make(void);
void folder_remove(char *folder);

/* The path of what stands beside the tests' sources. */
const char *golden_path(const char *relative, char buf[static 512]);
/* The file's text is `seen`. UPDATE=1 in the environment writes what is seen now: read the diff
 * before it is kept. */
void golden_compare(const char *path, const char *seen);

#endif
