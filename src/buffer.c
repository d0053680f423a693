/* SPDX-License-Identifier: BSD-3-Clause */

/* buffer.c - see buffer.h. */

#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* So that with its head a small one is a round number of bytes for malloc. */
enum { SMALLEST = 4096 - sizeof(struct asyncore_buffer) - 2 * sizeof(size_t) };

/* See to it that `more` bytes fit behind what is there. */
static int make_room(struct asyncore_buffer **buffer, size_t more)
{
	struct asyncore_buffer *b = *buffer;
	size_t size;

	if (b->size - b->start - b->len >= more)
		return 0;
	if (b->start >= b->len && b->size - b->len >= more) {
		memcpy(b->bytes, b->bytes + b->start, b->len);
		b->start = 0;
		return 0;
	}
	if (more > SIZE_MAX / 4 - b->start - b->len)
		return -ENOMEM;
	for (size = b->size * 2; size < b->start + b->len + more; size *= 2)
		;
	b = realloc(b, sizeof *b + size);
	if (b == NULL)
		return -ENOMEM;
	b->size = size;
	*buffer = b;
	return 0;
}

static int make_buffer(struct asyncore_buffer **buffer, size_t len)
{
	size_t size = len > SMALLEST ? len : SMALLEST;

	if (len > SIZE_MAX / 4)
		return -ENOMEM;
	*buffer = malloc(sizeof **buffer + size);
	if (*buffer == NULL)
		return -ENOMEM;
	(*buffer)->start = (*buffer)->len = 0;
	(*buffer)->size = size;
	return 0;
}

int buffer_append(struct asyncore_buffer **buffer, const void *data, size_t len)
{
	int r;

	if (len == 0)
		return 0;
	r = *buffer == NULL ? make_buffer(buffer, len) : make_room(buffer, len);
	if (r < 0)
		return r;
	memcpy((*buffer)->bytes + (*buffer)->start + (*buffer)->len, data, len);
	(*buffer)->len += len;
	return 0;
}

void buffer_drain(struct asyncore_buffer **buffer, size_t len)
{
	struct asyncore_buffer *b = *buffer;

	if (b == NULL)
		return;
	if (len >= b->len) {
		buffer_free(buffer);
		return;
	}
	b->start += len;
	b->len -= len;
}

void *buffer_take(struct asyncore_buffer **buffer)
{
	void *bytes = (*buffer)->bytes + (*buffer)->start;

	(*buffer)->start = (*buffer)->len = 0;
	return bytes;
}

void buffer_free(struct asyncore_buffer **buffer)
{
	free(*buffer);
	*buffer = NULL;
}
