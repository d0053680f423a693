/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * timer_heap.h - where the timers of a map are kept: a heap by the time they are due, and a
 * table by number.
 */

#ifndef TIMER_HEAP_H
#define TIMER_HEAP_H

#include "private_names.h"

#include <asyncore_event.h>
#include <stdint.h>

struct asyncore_channel;

struct timer {
	int64_t due;
	uint64_t seq;			/* those due at once keep the order of setting */
	uint64_t made;			/* tells old from new */
	int64_t period;			/* what it was given, in ns */
	int number;
	size_t place;			/* in the heap + 1; 0: not there */
	bool repeats;
	bool running;
	bool restarted;			/* while it was running */
	bool ended;			/* while it was running */

	struct asyncore_map *map;
	struct asyncore_channel *channel;	/* whose it is, or NULL */
	struct timer *next, **link;	/* among those of the channel */
	int64_t active;			/* an idle timeout: when something happened last */

	union {
		asyncore_call_fn map;
		asyncore_channel_call_fn channel;
	} call;				/* neither: an idle timeout */
	asyncore_release_fn release;
	void *arg;
};


struct timers {
	struct timer **heap;		/* the first that is due is the first */
	size_t n;
	struct timer **table;		/* by number */
	size_t size;			/* of the table; a power of two.  The heap has half of it. */
	size_t total;			/* that have numbers: in the heap, running, or resting */
	uint32_t last_number;
	uint64_t made;			/* counts them */
	uint64_t next_seq;
};

/* Room for one more, in both; 0 or -ENOMEM. */
int timers_reserve(struct timers *ts);

/* Give a timer a number of its own, or take it back.  timers_find(): the timer of that number;
 * NULL if there is none (any more). */
void timers_number(struct timers *ts, struct timer *t);
void timers_unnumber(struct timers *ts, struct timer *t);
struct timer *timers_find(const struct timers *ts, int number);

/* Into the heap, and out of it. */
void timers_put(struct timers *ts, struct timer *t);
void timers_take(struct timers *ts, struct timer *t);

/* When the first is due, on the monotonic clock in ns; INT64_MAX for never. */
static inline int64_t timers_due(const struct timers *ts)
{
	return ts->n > 0 ? ts->heap[0]->due : INT64_MAX;
}

void timers_free(struct timers *ts);

#endif /* TIMER_HEAP_H */
