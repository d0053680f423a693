/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * timer.h - the timers of a map: a heap by the time they are due.
 *
 * The poller's one timer descriptor wakes the map when the first of them is due;
 * timers_run() runs them after the I/O of the pass.
 */

#ifndef TIMER_H
#define TIMER_H

#include "private_names.h"

#include <asyncore_event.h>
#include <stdint.h>

struct asyncore_channel;
struct timer;

struct timers {
	struct timer **heap;		/* the first that is due is the first */
	size_t n;
	struct timer_slot *slots;	/* where the numbers of timers lead to */
	size_t size;			/* of both arrays */
	size_t nslots;			/* used ever */
	size_t free_slot;		/* + 1; 0: none */
	size_t total;			/* in the heap or running */
	uint64_t generation;		/* of numbers */
	uint64_t next_seq;
};

/* The monotonic clock, in ns. */
int64_t timer_clock(void);

/* When the first is due, on that clock; INT64_MAX for never. */
int64_t timers_due(const struct timers *timers);

/* Run those that are due.  0 or what leaves the loop. */
int timers_run(struct asyncore_map *map);

/* Cancel all timers of the map, or all that a channel has in it. */
void timers_end(struct asyncore_map *map);
void channel_end_timers(struct asyncore_channel *c, struct asyncore_map *map);

/* Something happened on a channel with CHANNEL_IDLE, which has an idle timeout. */
void timer_channel_active(struct asyncore_channel *c);

void timers_free(struct timers *timers);

#endif /* TIMER_H */
