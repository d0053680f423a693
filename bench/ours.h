/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ours.h - what the programs on libasyncore share: one source serves in both loops.
 *
 * Without an argument asyncore_loop() drives a map on a base of its own.  "attached": the map
 * is on a base of the application's, which runs it with event_base_dispatch().
 */

#ifndef OURS_H
#define OURS_H

#include <asyncore.h>

struct asyncore_map *ours_map(int argc, char **argv);

/* A listening channel of this class. */
void ours_listen(struct asyncore_dispatcher *server,
		 const struct asyncore_dispatcher_type *type, struct asyncore_map *map);

/* Run the loop that ours_map() chose, for ever. */
_Noreturn void ours_run(struct asyncore_map *map);

/* One pass of it, which waits for an event. */
void ours_pass(struct asyncore_map *map);

#endif /* OURS_H */
