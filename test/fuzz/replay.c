/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * replay.c - run a fuzz target without libFuzzer: once for each file that is given, or that
 * is in a directory that is given.  Whatever is wrong ends the program by abort().
 */

#include "fuzz.h"

#include <dirent.h>
#include <errno.h>

static unsigned replayed;

static void fail(const char *path)
{
	fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
	exit(2);
}

static void replay_file(FILE *file, const char *path)
{
	uint8_t *data = NULL;
	size_t size = 0, n;

	/* In a block of just its size, so that AddressSanitizer sees who reads too far. */
	do {
		data = realloc(data, size + 4096);
		if (data == NULL)
			fail(path);
		n = fread(data + size, 1, 4096, file);
		size += n;
	} while (n > 0);
	if (ferror(file))
		fail(path);
	data = realloc(data, size > 0 ? size : 1);
	if (data == NULL)
		fail(path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	replayed++;
}

static void replay(const char *path)
{
	char inside[4096];
	struct dirent *entry;
	DIR *dir = opendir(path);
	FILE *file;

	if (dir == NULL) {
		file = fopen(path, "rb");
		if (file == NULL)
			fail(path);
		replay_file(file, path);
		fclose(file);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
		replay(inside);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	if (replayed == 0) {
		fprintf(stderr, "replay: no inputs\n");
		return 2;
	}
	fprintf(stderr, "replay: %u inputs\n", replayed);
	return 0;
}
