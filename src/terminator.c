/* SPDX-License-Identifier: BSD-3-Clause */

/* terminator.c - see terminator.h; and find_prefix_at_end(), which is the same search. */

#include "terminator.h"

#include <asynchat.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void find_borders(const unsigned char *bytes, size_t len, size_t *fallback)
{
	size_t i, border = 0;

	fallback[0] = 0;
	for (i = 1; i < len; i++) {
		while (border > 0 && bytes[i] != bytes[border])
			border = fallback[border - 1];
		if (bytes[i] == bytes[border])
			border++;
		fallback[i] = border;
	}
}

int terminator_set(struct terminator *t, const void *bytes, size_t len)
{
	struct terminator new = { len, 0, NULL };

	if (len > 0) {
		if (len > SIZE_MAX / (sizeof *new.fallback + 1))
			return -ENOMEM;
		new.fallback = malloc(len * (sizeof *new.fallback + 1));
		if (new.fallback == NULL)
			return -ENOMEM;
		memcpy(new.fallback + len, bytes, len);
		find_borders(terminator_bytes(&new), len, new.fallback);
	}
	free(t->fallback);
	*t = new;
	return 0;
}

void terminator_free(struct terminator *t)
{
	terminator_set(t, NULL, 0);
}

size_t terminator_search(struct terminator *t, const unsigned char *data, size_t len)
{
	const unsigned char *bytes = terminator_bytes(t);
	size_t matched = t->matched, i = 0;

	while (i < len) {
		if (matched == 0) {
			const unsigned char *first = memchr(data + i, bytes[0], len - i);

			if (first == NULL)
				break;
			i = (size_t)(first - data) + 1;
			matched = 1;
		} else if (data[i] == bytes[matched]) {
			i++;
			matched++;
		} else {
			matched = t->fallback[matched - 1];
			continue;
		}
		if (matched == t->len) {
			t->matched = 0;
			return i;
		}
	}
	t->matched = matched;
	return 0;
}

size_t asynchat_find_prefix_at_end(const void *haystack, size_t haystack_len,
				   const void *needle, size_t needle_len)
{
	const unsigned char *end = haystack;
	struct terminator t = { 0, 0, NULL };
	size_t len = needle_len > 0 ? needle_len - 1 : 0, found;

	if (haystack == NULL || needle == NULL)
		return 0;
	if (len > haystack_len)
		len = haystack_len;
	if (len == 0)
		return 0;
	end += haystack_len - len;
	if (terminator_set(&t, needle, needle_len) < 0) {
		/* Without memory for the table: the slow way, as Python's. */
		while (len > 0 && memcmp((const unsigned char *)haystack + haystack_len - len,
					 needle, len) != 0)
			len--;
		return len;
	}
	terminator_search(&t, end, len);
	found = t.matched;
	terminator_free(&t);
	return found;
}
