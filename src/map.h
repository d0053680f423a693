/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * map.h - a map of channels, and what a loop over it needs.
 *
 * Channels by descriptor are an array; map order is the order of their `seq`.
 *
 * The agenda is one list of the channels that something is to be done about: those in
 * the map have predicates to be asked (loop: before the wait), those out of it wait to be
 * disposed of (map_sweep(): after an outermost pass).
 *
 * The asked channels are those whose class overrides a predicate that may change at any
 * time; they stand in an array of their own, in map order, because they are walked on
 * every pass.
 *
 * The fired channels are a stack: every pass, nested ones too, pushes what fired during
 * its own wait and pops it at its end.  A channel may stand there twice; its marks say
 * what is still to be delivered.
 */

#ifndef MAP_H
#define MAP_H

#include "private_names.h"
#include "call_soon.h"
#include "channel.h"
#include "error.h"
#include "poller.h"
#include "timer.h"
#include "trace.h"

struct asyncore_map {
	struct poller poller;

	/* The pass. */
	struct asyncore_channel **fired;
	size_t nfired, fired_size;
	unsigned fired_events;		/* of the running pass, all together */
	bool fired_disorder;		/* they are not in map order */
	uint64_t fired_seq;		/* of the last */
	unsigned depth;			/* passes that are running, nested ones in others */
	struct asyncore_channel *current;	/* whose handler is running */
	bool attention;			/* something below is set: look after the handler */
	bool exit_now;			/* a handler raised ASYNCORE_EXIT_NOW */
	bool use_poll;			/* how the last pass watched for urgent data */

	/* Membership. */
	struct asyncore_channel **by_fd;
	size_t by_fd_size;
	size_t size;
	uint64_t next_seq;

	struct asyncore_channel *agenda_first, **agenda_last;
	size_t nagenda;
	size_t norphans;		/* those that are out of the map */
	bool sweeping;

	struct asyncore_channel **asked;	/* NULL where one has left */
	size_t nasked, asked_size, asked_holes;
	unsigned asking;		/* walks over `asked` that are running */

	/* Channels whose descriptor the poller does not take: always ready. */
	struct asyncore_channel **always;
	size_t nalways, always_size;
	size_t nalways_wanted;		/* those that want an event now */

	unsigned char *buffer;		/* to receive into; NULL while it is borrowed */
	size_t buffer_size;

	size_t nurgent;			/* channels whose class wants urgent data */
	size_t npaused;			/* channels that wait for descriptors or memory */

	/* Beyond Python (asyncore_event.h). */
	struct timers timers;
	struct timer *running;		/* the one whose call is running */
	struct calls calls;
	struct watchers watchers;
	double refresh;			/* how often the application's loop asks predicates, s */
	bool filled;			/* it was not empty since that was last told */
	void (*empty)(struct asyncore_map *map, void *arg);
	void *empty_arg;
	void (*left)(struct asyncore_map *map, int result, void *arg);
	void *left_arg;
	int (*connect)(struct asyncore_dispatcher *d, const char *host, int port, void *arg);
	void *connect_arg;

	struct error_record error;	/* what was raised last */

	size_t users;			/* channels, in it or not, that point here */
	bool freeing, freed;		/* asyncore_map_free() runs, is done */
};

/* Is there anything a loop could wait for? */
static inline bool map_is_busy(const struct asyncore_map *map)
{
	return map->size > 0 || map->timers.n > 0 ||
	       (map->calls.poster != NULL && calls_expected(map));
}

/* Must poller_settle() look at it?  Not if it has nothing beside channels that are not asked. */
static inline bool map_is_unsettled(const struct asyncore_map *map)
{
	const struct poller *p = &map->poller;

	return map->size == 0 || (map->timers.n | map->nasked) != 0 || p->calls != NULL ||
	       p->timer_watched || p->ask_set;
}

/* The map that is meant: NULL stands for the default map.  NULL if there is none. */
struct asyncore_map *map_or_default(struct asyncore_map *map);

/* Put a channel that has a descriptor into the map, or take it out. */
int map_add(struct asyncore_map *map, struct asyncore_channel *c);
void map_remove(struct asyncore_channel *c);

/* Take every channel out. */
void map_clear(struct asyncore_map *map);

/* A channel that is not in its map leaves it for another one, or is freed: nothing of the
 * map may point to it any more. */
void map_forget(struct asyncore_channel *c);

/* Is the channel of this map in it? */
static inline bool map_holds(const struct asyncore_map *map, const struct asyncore_channel *c)
{
	return c->map == map && channel_has(c, CHANNEL_IN_MAP);
}

/* Something is to be done about it (see above). */
void map_put_on_agenda(struct asyncore_channel *c);

/* Its predicates may have changed. */
static inline void map_touch(struct asyncore_channel *c)
{
	if (!channel_has(c, CHANNEL_ON_AGENDA) && channel_has(c, CHANNEL_IN_MAP))
		map_put_on_agenda(c);
}

/* One of its handlers ran: stable predicates may have changed. */
static inline void channel_ran(struct asyncore_channel *c)
{
	if (channel_has(c, CHANNEL_ASK_AFTER))
		map_touch(c);
}

/* Is there a channel in the map whose predicates are to be asked? */
static inline bool map_has_touched(const struct asyncore_map *map)
{
	return map->nagenda > map->norphans;
}

/* The same when the stack of fired channels is full.  Without memory for a larger one the mark
 * is dropped; the event, being level triggered, comes again. */
COLD void map_grow_and_fire(struct asyncore_channel *c, unsigned events);

/* Put those from `first` on in map order; or forget them: level triggers bring them back. */
void map_sort_fired(struct asyncore_map *map, size_t first);
COLD void map_drop_fired(struct asyncore_map *map, size_t first);

/* Something happened to a channel: mark it for the pass. */
static inline void map_fire(struct asyncore_channel *c, unsigned events)
{
	struct asyncore_map *map = c->map;

	if (map->nfired == map->fired_size) {
		map_grow_and_fire(c, events);
		return;
	}
	c->fired |= (uint8_t)events;
	map->fired_events |= events;
	if (c->seq < map->fired_seq)
		map->fired_disorder = true;
	map->fired_seq = c->seq;
	map->fired[map->nfired++] = c;
}

/* Outside any pass: dispose of what nobody refers to. */
void map_sweep(struct asyncore_map *map);

/* The head of the agenda, taken off it. */
struct asyncore_channel *map_take_from_agenda(struct asyncore_map *map);

/* One user less; the last one frees a map that asyncore_map_free() gave up. */
void map_unuse(struct asyncore_map *map);

/* Room for `needed` entries in an array of pointers; 0 or -ENOMEM. */
int map_reserve(struct asyncore_channel ***array, size_t *size, size_t needed);

/* There is no descriptor or no memory for what the channel needs: leave it alone for a
 * moment. */
void map_pause(struct asyncore_channel *c);

/* After that moment: let all paused channels go on. */
void map_resume(struct asyncore_map *map);

/* interest.c: what the map's channels wait for, into the poller.  Returns 0 or what a
 * predicate raised. */
static inline bool interest_is_stale(const struct asyncore_map *map, bool use_poll)
{
	return (map->nasked | map->nagenda) != 0 || map->use_poll != use_poll;
}
int interest_refresh(struct asyncore_map *map, bool use_poll);

/* Mark the channels that are always ready. */
void interest_fire_always(struct asyncore_map *map);

#endif /* MAP_H */
