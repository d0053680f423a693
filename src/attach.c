/* SPDX-License-Identifier: BSD-3-Clause */

/* attach.c - what a libevent program may want to set on a map. */

#include "map.h"

#include <asyncore_event.h>
#include <errno.h>

bool asyncore_map_attached(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL && !map->poller.own_base;
}

/* Registered anew, with the priority of now, before the next wait. */
static int rearm(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	poller_arm(d->channel, 0);
	map_touch(d->channel);
	return 0;
}

int asyncore_map_set_priority(struct asyncore_map *map, int priority)
{
	int r;

	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	r = poller_set_priority(map, priority);
	if (r < 0)
		return r;
	r = asyncore_map_foreach(map, rearm, NULL);
	poller_serve_soon(map);
	return r;
}

int asyncore_map_priority(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? map->poller.priority : -ENOMEM;
}

int asyncore_map_set_timeout(struct asyncore_map *map, double seconds)
{
	if (seconds == 0 || seconds != seconds)
		return -EINVAL;
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	map->refresh = seconds;
	poller_serve_no_more(&map->poller);
	poller_serve_soon(map);
	return 0;
}

int asyncore_map_set_empty_cb(struct asyncore_map *map,
			      void (*empty)(struct asyncore_map *, void *), void *arg)
{
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	if (map->size == 0)
		map->filled = false;
	map->empty = empty;
	map->empty_arg = arg;
	return 0;
}

int asyncore_map_set_exit_cb(struct asyncore_map *map,
			     void (*left)(struct asyncore_map *, int, void *), void *arg)
{
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	map->left = left;
	map->left_arg = arg;
	return 0;
}

int asyncore_map_set_connect_cb(struct asyncore_map *map,
				int (*connect)(struct asyncore_dispatcher *, const char *, int,
					       void *),
				void *arg)
{
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	/* Whoever takes it away takes away his own only. */
	if (connect == NULL && map->connect_arg != arg)
		return 0;
	map->connect = connect;
	map->connect_arg = arg;
	return 0;
}

int asyncore_map_reinit(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? poller_reinit(map) : -ENOMEM;
}
