/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * timer.h - the timers of a map.
 *
 * The poller's one timer descriptor wakes the map when the first of them is due;
 * timers_run() runs them after the I/O of the pass.
 */

#ifndef TIMER_H
#define TIMER_H

#include "private_names.h"
#include "timer_heap.h"

#include <time.h>

/* The monotonic clock, in ns. */
static inline int64_t timer_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Run those that are due.  0 or what leaves the loop. */
int timers_run(struct asyncore_map *map);

/* Cancel all timers of the map, or all that a channel has in it. */
void timers_end(struct asyncore_map *map);
void channel_end_timers(struct asyncore_channel *c, struct asyncore_map *map);

/* The channel, which has timers, came into its map, maybe from another one: its idle timeout,
 * for which there is room, begins; what it had there ends.  And: it, which has an idle
 * timeout, left its map. */
void channel_came(struct asyncore_channel *c, struct asyncore_map *from);
void channel_left(struct asyncore_channel *c);

/* Something happened on a channel with CHANNEL_IDLE, which has an idle timeout. */
void timer_channel_active(struct asyncore_channel *c);

#endif /* TIMER_H */
