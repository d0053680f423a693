/* SPDX-License-Identifier: BSD-3-Clause */

/* fired.c - the stack of channels that fired (see map.h). */

#include "map.h"

#include <stdlib.h>
#include <string.h>

void map_grow_and_fire(struct asyncore_channel *c, unsigned events)
{
	struct asyncore_map *map = c->map;

	if (map_reserve(&map->fired, &map->fired_size, map->nfired + 1) == 0)
		map_fire(c, events);
}

void map_drop_fired(struct asyncore_map *map, size_t first)
{
	size_t i;

	for (i = first; i < map->nfired; i++)
		if (map->fired[i] != NULL)
			map->fired[i]->fired = 0;
	map->nfired = first;
}

/* Forgotten ones first. */
static int by_seq(const void *a, const void *b)
{
	const struct asyncore_channel *left = *(struct asyncore_channel *const *)a;
	const struct asyncore_channel *right = *(struct asyncore_channel *const *)b;

	if (left == NULL || right == NULL)
		return (left != NULL) - (right != NULL);
	return (left->seq > right->seq) - (left->seq < right->seq);
}

static inline uint64_t seq_of(const struct asyncore_channel *c)
{
	return c != NULL ? c->seq : 0;
}

/* The end of the run that is in order from `i` on. */
static size_t end_of_run(struct asyncore_channel **fired, size_t i, size_t n)
{
	uint64_t last = seq_of(fired[i]), seq;

	while (++i < n && (seq = seq_of(fired[i])) >= last)
		last = seq;
	return i;
}

/* Make one run of two, of which the second begins at `second` and ends at `n`. */
static void merge(struct asyncore_channel **fired, size_t second, size_t n,
		  struct asyncore_channel **spare)
{
	struct asyncore_channel **a = spare, **const a_end = spare + second;
	struct asyncore_channel **b = fired + second, **const b_end = fired + n;

	memcpy(spare, fired, second * sizeof *fired);
	if (seq_of(b_end[-1]) < seq_of(*a)) {
		memmove(fired, b, (n - second) * sizeof *fired);
		fired += n - second;
		b = b_end;
	}
	while (a < a_end && b < b_end)
		*fired++ = seq_of(*b) < seq_of(*a) ? *b++ : *a++;
	memcpy(fired, a, (size_t)(a_end - a) * sizeof *a);
}

/*
 * Merge runs until there is one.  epoll tells what is ready in the order of its own list, in
 * which what is busy keeps its place: mostly map order, cut once and put together
 * the other way round.
 */
static void merge_runs(struct asyncore_channel **fired, size_t n, struct asyncore_channel **spare)
{
	size_t first, second, end, runs;

	do {
		runs = 0;
		for (first = 0; first < n; first = end, runs++) {
			second = end_of_run(fired, first, n);
			end = second < n ? end_of_run(fired, second, n) : n;
			if (second < n)
				merge(fired + first, second - first, end - first, spare);
		}
	} while (runs > 1);
}

void map_sort_fired(struct asyncore_map *map, size_t first)
{
	const size_t end = map->nfired;

	/* The room behind them is spare. */
	if (map_reserve(&map->fired, &map->fired_size, 2 * end - first) == 0)
		merge_runs(map->fired + first, end - first, map->fired + end);
	else
		qsort(map->fired + first, end - first, sizeof *map->fired, by_seq);
}
