/* SPDX-License-Identifier: BSD-3-Clause */

/* loop.h - what the poller wants of the loop. */

#ifndef LOOP_H
#define LOOP_H

#include "private_names.h"

struct asyncore_map;

/* The application runs the base and channels of this map fired, or there is other work:
 * call the handlers and ask the predicates.  Returns what leaves a loop, or 0. */
int loop_serve(struct asyncore_map *map);

#endif /* LOOP_H */
