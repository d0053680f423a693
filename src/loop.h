/* SPDX-License-Identifier: BSD-3-Clause */

/* loop.h - what the poller wants of the loop. */

#ifndef LOOP_H
#define LOOP_H

#include "private_names.h"

#include <asyncore_event.h>

struct asyncore_channel;

/* The application runs the base and channels of this map fired, or there is other work:
 * call the handlers and ask the predicates.  Returns what leaves a loop, or 0. */
int loop_serve(struct asyncore_map *map);

/* Call something other than an event's handler, in a pass: on a channel, or on the map.  Returns
 * what leaves the loop, or 0. */
int loop_call(struct asyncore_map *map, struct asyncore_channel *c,
	      int (*method)(struct asyncore_dispatcher *), const char *name);
int loop_call_map(struct asyncore_map *map, asyncore_call_fn call, void *arg,
		  const char *name);

/* No channel is left since somebody was last told: tell.  False if the map was freed. */
bool loop_tell_empty(struct asyncore_map *map);

#endif /* LOOP_H */
