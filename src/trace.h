/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * trace.h - report calls to who watches a map.
 *
 * A map that is watched has its channels use another table of methods, whose handlers
 * report and call the real ones.  So a map that nobody watches pays nothing.
 */

#ifndef TRACE_H
#define TRACE_H

#include "private_names.h"

#include <asyncore_event.h>
#include <stdint.h>

struct asyncore_channel;

/* Who watches a map. */
struct watchers {
	bool any;
	void (*trace)(struct asyncore_map *, const struct asyncore_trace *, void *);
	void *trace_arg;
	void (*slow)(struct asyncore_map *, const struct asyncore_trace *, void *);
	void *slow_arg;
	double limit;
	unsigned depth;		/* calls that are running */
};

/* A call that is watched, from its beginning to its end. */
struct traced_call {
	struct asyncore_map *map;	/* NULL: nobody watches */
	struct asyncore_channel *channel;
	int64_t start;
};

void trace_begin(struct traced_call *call, struct asyncore_map *map,
		 struct asyncore_channel *c);
int trace_end(struct traced_call *call, const char *name, int result);

/* Put the reporting handlers into a table of methods. */
void trace_slots(struct asyncore_dispatcher_type *slot);

/* Have the channel use the methods that are right for its map. */
void trace_adapt(struct asyncore_channel *c);

static inline bool is_watched(const struct watchers *watchers)
{
	return watchers->any;
}

#endif /* TRACE_H */
