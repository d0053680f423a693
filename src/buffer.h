/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * buffer.h - bytes in a row: appended at the end, taken from the front.
 *
 * Flat, so that one send can take as much as there is.  The free room at the front is
 * used again only when it is at least as large as what must be moved, and the memory grows
 * by doubling: the work is linear in the bytes, however they come and go.
 */

#ifndef BUFFER_H
#define BUFFER_H

#include "private_names.h"

#include <stddef.h>

struct asyncore_buffer {
	size_t start, len, size;
	unsigned char bytes[];
};

/* Append to *buffer, which may be NULL for an empty one and may move.  0 or -ENOMEM; then
 * nothing is changed. */
int buffer_append(struct asyncore_buffer **buffer, const void *data, size_t len);

/* Take bytes from the front; an empty buffer is freed and becomes NULL. */
void buffer_drain(struct asyncore_buffer **buffer, size_t len);

/* All the bytes; the buffer is empty then, but they stay until the next append. */
void *buffer_take(struct asyncore_buffer **buffer);

void buffer_free(struct asyncore_buffer **buffer);

static inline size_t buffer_len(const struct asyncore_buffer *buffer)
{
	return buffer != NULL ? buffer->len : 0;
}

static inline const void *buffer_bytes(const struct asyncore_buffer *buffer)
{
	return buffer->bytes + buffer->start;
}

#endif /* BUFFER_H */
