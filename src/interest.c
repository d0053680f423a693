/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * interest.c - from predicates to what is registered with the poller.
 *
 * Only two kinds of channels are looked at before a wait: those whose predicates may
 * change at any time (asked on every pass, in map order), and those on the agenda, about
 * which something was told.  Everybody else costs nothing.
 */

#include "map.h"

#include <errno.h>

/* One predicate of a channel that is held. */
static inline int ask_one(struct asyncore_channel *c, int (*predicate)(struct asyncore_dispatcher *))
{
	int r = predicate(c->dispatcher);

	return r < 0 ? channel_noted(c, r) : r;
}

/* What the channel wants now, or what a predicate raised. */
static inline int ask(struct asyncore_channel *c, bool use_poll)
{
	const struct methods *m = c->methods;
	int readable, writable, events = 0;

	readable = ask_one(c, m->slot.readable);
	if (readable < 0 || !channel_has(c, CHANNEL_IN_MAP))
		return readable < 0 ? readable : 0;
	writable = ask_one(c, m->slot.writable);
	if (writable < 0)
		return writable;

	if (readable && !channel_has(c, CHANNEL_EOF))
		events |= EVENT_READ;
	/* Accepting sockets should not be writable. */
	if (writable && !channel_has(c, CHANNEL_ACCEPTING))
		events |= EVENT_WRITE;
	if (m->wants_urgent && !channel_has(c, CHANNEL_FILE) &&
	    (readable || (writable && !use_poll)))
		events |= EVENT_URGENT;
	return channel_has(c, CHANNEL_PAUSED) ? 0 : events;
}

/* Register what differs. */
static int change(struct asyncore_channel *c, unsigned events)
{
	const struct asyncore_map *map = c->map;
	int r;

	if (channel_has(c, CHANNEL_URGENT_SEEN)) {
		/* Edge triggered: watch anew for what is still there. */
		c->flags &= ~CHANNEL_URGENT_SEEN;
		if (c->armed & events & EVENT_URGENT)
			poller_renew_urgent(c);
	}
	if (events == c->armed)
		return 0;
	r = poller_arm(c, events);
	if (r == 0)
		return 0;
	/* It cannot be watched.  If it is still there after that was said, try again later. */
	r = error_handle(c, ASYNCORE_RAISE(c->dispatcher, r), "poll");
	if (map_holds(map, c))
		map_pause(c);
	return r;
}

/* Ask, and register what differs. */
static ALWAYS_INLINE int refresh(struct asyncore_channel *c, bool use_poll)
{
	const struct asyncore_map *map = c->map;
	int r;

	channel_hold(c);
	r = ask(c, use_poll);
	/* A predicate may have closed its channel, or put it into another map. */
	if (r >= 0)
		r = map_holds(map, c) &&
		    ((unsigned)r != c->armed || channel_has(c, CHANNEL_URGENT_SEEN))
		    ? change(c, (unsigned)r) : 0;
	channel_release(c);
	return r;
}

/* Close the holes that channels left, unless somebody is walking over them. */
static void close_holes(struct asyncore_map *map)
{
	size_t i, n = 0;

	if (map->asked_holes == 0 || map->asking > 0)
		return;
	for (i = 0; i < map->nasked; i++) {
		if (map->asked[i] == NULL)
			continue;
		map->asked[n++] = map->asked[i];
		map->asked[i]->asked = (uint32_t)n;
	}
	map->nasked = n;
	map->asked_holes = 0;
}

static int refresh_asked(struct asyncore_map *map, size_t n, bool use_poll)
{
	size_t i;
	int r = 0;

	map->asking++;
	for (i = 0; i < n && r >= 0; i++)
		if (map->asked[i] != NULL)
			r = refresh(map->asked[i], use_poll);
	map->asking--;
	return r;
}

/* The first `nasked` of the asked channels have been asked already. */
static int refresh_agenda(struct asyncore_map *map, size_t nasked, bool use_poll)
{
	/* What is put there meanwhile is for the next pass. */
	size_t n = map->nagenda;
	int r = 0;

	while (n-- > 0 && r >= 0 && map->agenda_first != NULL) {
		struct asyncore_channel *c = map_take_from_agenda(map);

		if (!channel_has(c, CHANNEL_IN_MAP)) {
			map_put_on_agenda(c);	/* not our business yet */
			continue;
		}
		if (c->asked == 0 || c->asked > nasked)
			r = refresh(c, use_poll);
		if (r < 0)
			map_touch(c);
	}
	return r;
}

/* The next pass watches for urgent data by other rules than the last one did. */
static int retouch(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	if (d->channel->methods->wants_urgent)
		map_touch(d->channel);
	return 0;
}

int interest_refresh(struct asyncore_map *map, bool use_poll)
{
	size_t n;
	int r;

	if (use_poll != map->use_poll && map->nurgent > 0)
		asyncore_map_foreach(map, retouch, NULL);
	map->use_poll = use_poll;

	close_holes(map);
	/* Those that a predicate adds are on the agenda anyway. */
	n = map->nasked;
	r = n > 0 ? refresh_asked(map, n, use_poll) : 0;
	if (r >= 0 && map->nagenda > 0)
		r = refresh_agenda(map, n, use_poll);
	return r;
}

void interest_fire_always(struct asyncore_map *map)
{
	size_t i;

	for (i = 0; i < map->nalways; i++)
		if (map->always[i]->armed != 0)
			map_fire(map->always[i], map->always[i]->armed);
}
