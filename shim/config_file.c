// SPDX-License-Identifier: Apache-2.0
/* Which files a configuration consists of. */
#include "config_parse.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>

static const char only_blocks[] =
	"files in neighbors.d hold only neighbor and key blocks: move it to the main file";

static char *join(const char *folder, const char *name)
{
	size_t len = strlen(folder) + 1 + strlen(name) + 1;
	char *path = malloc(len);

	if (path)
		snprintf(path, len, "%s/%s", folder, name);
	return path;
}

static int is_part(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && !strcmp(d->d_name + n - 5, ".conf");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int parse_folder(const char *folder, size_t room, struct conf_problems *p,
			struct conf_blocks *b)
{
	struct dirent **parts;
	int n = scandir(folder, &parts, is_part, by_name), result = 0;

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0) {
		int error = -errno, file = conf_problems_add_file(p, folder);

		if (file >= 0)
			conf_problem_unreadable(p, file, error);
		return error;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = join(folder, parts[i]->d_name);
		int r = -ENOMEM;

		free(parts[i]);
		if (path && result != -ENOMEM)
			r = conf_parse_file(&config_schema, path, only_blocks, &room, p, b);
		if (r < 0 && (!result || r == -ENOMEM))
			result = r;
	}
	free(parts);
	return result;
}

int config_parse_files(const char *path, struct conf_problems *p, struct conf_blocks *b)
{
	_cleanup_free_ char *copy = NULL, *folder = NULL;
	size_t room = CONF_BYTES_MAX;
	int r;

	r = conf_parse_file(&config_schema, path, NULL, &room, p, b);
	if (r < 0)
		return r;
	copy = strdup(path);
	folder = copy ? join(dirname(copy), "neighbors.d") : NULL;
	if (!folder)
		return -ENOMEM;
	return parse_folder(folder, room, p, b);
}
