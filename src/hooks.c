/* SPDX-License-Identifier: BSD-3-Clause */

/* hooks.c - see hooks.h. */

#include "hooks.h"

#include <stdlib.h>

unsigned char *map_borrow_buffer(struct asyncore_map *map, size_t size, size_t *have)
{
	unsigned char *buffer = map->buffer;

	if (buffer != NULL && map->buffer_size >= size) {
		*have = map->buffer_size;
		map->buffer = NULL;
		return buffer;
	}
	*have = size;
	return malloc(size);
}

void map_return_buffer(struct asyncore_map *map, unsigned char *buffer, size_t have)
{
	unsigned char *smaller = map->buffer;

	/* Keep the larger one. */
	if (map->freed || (smaller != NULL && map->buffer_size >= have)) {
		free(buffer);
		return;
	}
	map->buffer = buffer;
	map->buffer_size = have;
	free(smaller);
}

void channel_send_gathered(struct asyncore_channel *c)
{
	int r = chat_flush(c->dispatcher);

	/* Nobody waits for the result here; a producer may have failed. */
	if (r < 0 && r != ASYNCORE_EXIT_NOW)
		error_handle(c, r, "initiate_send");
}
