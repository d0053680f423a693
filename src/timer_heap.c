/* SPDX-License-Identifier: BSD-3-Clause */

/* timer_heap.c - where the timers of a map are kept (see timer_heap.h). */

#include "timer_heap.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* More timers than anybody has; of the table's size. */
static const size_t MOST = (size_t)1 << 26;

/* --- the heap ------------------------------------------------------------------------ */

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void put(struct timers *ts, struct timer *t, size_t i)
{
	ts->heap[i] = t;
	t->place = i + 1;
}

static void sift_up(struct timers *ts, struct timer *t, size_t i)
{
	for (; i > 0 && before(t, ts->heap[(i - 1) / 2]); i = (i - 1) / 2)
		put(ts, ts->heap[(i - 1) / 2], i);
	put(ts, t, i);
}

static void sift_down(struct timers *ts, struct timer *t, size_t i)
{
	size_t child;

	for (; (child = 2 * i + 1) < ts->n; i = child) {
		if (child + 1 < ts->n && before(ts->heap[child + 1], ts->heap[child]))
			child++;
		if (!before(ts->heap[child], t))
			break;
		put(ts, ts->heap[child], i);
	}
	put(ts, t, i);
}

void timers_take(struct timers *ts, struct timer *t)
{
	size_t i = t->place - 1;
	struct timer *last = ts->heap[--ts->n];

	t->place = 0;
	if (last == t)
		return;
	if (i > 0 && before(last, ts->heap[(i - 1) / 2]))
		sift_up(ts, last, i);
	else
		sift_down(ts, last, i);
}

void timers_put(struct timers *ts, struct timer *t)
{
	t->seq = ts->next_seq++;
	sift_up(ts, t, ts->n++);
}

/* --- numbers ------------------------------------------------------------------------- */

/*
 * The table has a place for every number: what its lowest bits say.  A new timer gets the
 * next number whose place is free, and no more than half of them are taken.  When the table
 * grows, numbers that had places of their own still have.
 */
static struct timer **place_of(const struct timers *ts, int number)
{
	return &ts->table[(size_t)number & (ts->size - 1)];
}

static int grow(struct timers *ts)
{
	struct timers larger = { .size = ts->size > 0 ? 2 * ts->size : 16 };
	size_t i;

	larger.heap = realloc(ts->heap, larger.size / 2 * sizeof *larger.heap);
	if (larger.heap == NULL)
		return -ENOMEM;
	ts->heap = larger.heap;
	larger.table = calloc(larger.size, sizeof *larger.table);
	if (larger.table == NULL)
		return -ENOMEM;
	for (i = 0; i < ts->size; i++)
		if (ts->table[i] != NULL)
			*place_of(&larger, ts->table[i]->number) = ts->table[i];
	free(ts->table);
	ts->table = larger.table;
	ts->size = larger.size;
	return 0;
}

int timers_reserve(struct timers *ts)
{
	if (ts->total < ts->size / 2)
		return 0;
	return ts->size < MOST ? grow(ts) : -ENOMEM;
}

void timers_number(struct timers *ts, struct timer *t)
{
	do {
		ts->last_number = (ts->last_number + 1) & INT_MAX;
	} while (ts->last_number == 0 || *place_of(ts, (int)ts->last_number) != NULL);
	t->number = (int)ts->last_number;
	*place_of(ts, t->number) = t;
	ts->total++;
}

void timers_unnumber(struct timers *ts, struct timer *t)
{
	*place_of(ts, t->number) = NULL;
	ts->total--;
}

struct timer *timers_find(const struct timers *ts, int number)
{
	struct timer *t;

	if (number <= 0 || ts->total == 0)
		return NULL;
	t = *place_of(ts, number);
	return t != NULL && t->number == number ? t : NULL;
}

void timers_free(struct timers *ts)
{
	free(ts->heap);
	free(ts->table);
}
