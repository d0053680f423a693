/* SPDX-License-Identifier: BSD-3-Clause */

#include "ours.h"

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

static bool attached;

struct asyncore_map *ours_map(int argc, char **argv)
{
	struct asyncore_map *map;

	attached = bench_given(argc, argv, "attached");
	map = asyncore_map_new(attached ? event_base_new() : NULL);
	if (map == NULL)
		bench_die("asyncore_map_new");
	return map;
}

void ours_listen(struct asyncore_dispatcher *server,
		 const struct asyncore_dispatcher_type *type, struct asyncore_map *map)
{
	if (asyncore_dispatcher_init(server, type, bench_listen(), map) < 0 ||
	    asyncore_set_accepting(server, true) < 0)
		bench_die("asyncore_dispatcher_init");
}

_Noreturn void ours_run(struct asyncore_map *map)
{
	int r = attached ? event_base_dispatch(asyncore_map_base(map))
			 : asyncore_loop(ASYNCORE_TIMEOUT, false, map, -1);

	fprintf(stderr, "the loop ended: %d\n", r);
	exit(1);
}

void ours_pass(struct asyncore_map *map)
{
	if (attached)
		event_base_loop(asyncore_map_base(map), EVLOOP_ONCE);
	else
		asyncore_poll(-1.0, map);
}
