/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * terminator.h - find a string in a stream that comes in any pieces.
 *
 * Knuth, Morris and Pratt: `matched` is how much of the string the stream ends with now,
 * and is all that is remembered of it from one piece to the next.  So a terminator split
 * over any number of reads, or one that overlaps itself, is no special case, and the work
 * is linear in the bytes of the stream however long the string is.  Outside of a match
 * memchr() looks for the first byte.
 */

#ifndef TERMINATOR_H
#define TERMINATOR_H

#include "private_names.h"

#include <stddef.h>

struct terminator {
	size_t len;
	size_t matched;
	size_t *fallback;	/* [i]: the longest border of the first i + 1 bytes; behind the
				 * last the string itself.  NULL if len is 0 */
};

static inline const unsigned char *terminator_bytes(const struct terminator *t)
{
	return (const unsigned char *)(t->fallback + t->len);
}

/* Make it one for these bytes (copied), or for none with len 0.  0 or -ENOMEM; then it is
 * as it was. */
int terminator_set(struct terminator *t, const void *bytes, size_t len);
void terminator_free(struct terminator *t);

/* Look for the string in the next piece of the stream.  Returns where it ends, in 1..len;
 * then nothing is matched any more.  0 if it does not end in this piece. */
size_t terminator_search(struct terminator *t, const unsigned char *data, size_t len);

#endif /* TERMINATOR_H */
