/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * call_soon.h - calls posted to a map by other threads and by signal handlers.
 *
 * A poster is a stack without locks, which anybody may push a node onto, and an eventfd that
 * wakes the map.  Only the push onto an empty stack writes to the eventfd; the map
 * takes the whole stack at once and turns it round.  A node that is pushed needs no memory
 * and no lock, so a signal handler can do it.
 */

#ifndef CALL_SOON_H
#define CALL_SOON_H

#include "private_names.h"

#include <asyncore_event.h>
#include <stdint.h>

struct posted;

/* The map's side. */
struct calls {
	struct asyncore_poster *poster;	/* made with the first one that is asked for */
	struct posted *first, **last;	/* taken off the stack, to be run */
	uint64_t next_seq;
};

/* Run what was posted before now.  0 or what leaves the loop. */
int calls_run(struct asyncore_map *map);

/* May a call come from somewhere, or does one wait? */
bool calls_expected(const struct asyncore_map *map);

/* The map is freed: release what waits, and refuse what comes. */
void calls_end(struct asyncore_map *map);

/* In a child process, for a map with a poster: an eventfd of its own, which is not watched
 * meanwhile.  0 or a negative errno. */
int calls_renew(struct asyncore_map *map);

#endif /* CALL_SOON_H */
