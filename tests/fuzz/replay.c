/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz harness over the files of its corpus, without libFuzzer: any compiler, every test
 * run. Each file is given in a heap block of exactly its size, so that ASan sees a read past its
 * end.
 */
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional in a harness, as with libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

#define INPUT_MAX (4 << 20)

static int replay_file(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "rb");
	_cleanup_free_ uint8_t *block = NULL, *data = NULL;
	size_t len;

	if (!f)
		return -errno;
	block = malloc(INPUT_MAX);
	if (!block)
		return -ENOMEM;
	len = fread(block, 1, INPUT_MAX, f);
	if (ferror(f))
		return -EIO;
	data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	memcpy(data, block, len);
	LLVMFuzzerTestOneInput(data, len);
	return 0;
}

static int is_input(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int replay_folder(const char *folder)
{
	struct dirent **entries;
	int n, r = 0, done = 0;

	n = scandir(folder, &entries, is_input, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		free(entries[i]);
		if (r < 0)
			continue;
		/* When the harness crashes, the last line says on which input. */
		fprintf(stderr, "%s\n", path);
		r = replay_file(path);
		done++;
	}
	free(entries);
	return r < 0 ? r : done;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
		return 2;
	}
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		int r = replay_folder(argv[i]);

		if (r <= 0) {
			fprintf(stderr, "%s: %s\n", argv[i], r ? strerror(-r) : "no inputs");
			return 1;
		}
	}
	return 0;
}
