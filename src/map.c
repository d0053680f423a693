/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * map.c - maps of channels (see map.h).
 *
 * Every array that a running loop needs is made large enough when a channel is added, so
 * that after a successful add nothing but libevent itself can run out of memory.  The
 * exception is the stack of fired channels (see map_fire()).
 */

#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct asyncore_map *default_map;

int map_reserve(struct asyncore_channel ***array, size_t *size, size_t needed)
{
	size_t larger = *size != 0 ? *size : 16;
	struct asyncore_channel **grown;

	if (needed <= *size)
		return 0;
	while (larger < needed)
		larger *= 2;
	grown = realloc(*array, larger * sizeof *grown);
	if (grown == NULL)
		return -ENOMEM;
	memset(grown + *size, 0, (larger - *size) * sizeof *grown);
	*array = grown;
	*size = larger;
	return 0;
}

/* --- making and freeing --------------------------------------------------------- */

struct asyncore_map *asyncore_map_new(struct event_base *base)
{
	struct asyncore_map *map = calloc(1, sizeof *map);
	int r;

	if (map == NULL)
		return NULL;
	map->agenda_last = &map->agenda_first;
	map->refresh = ASYNCORE_TIMEOUT;
	r = poller_init(map, base);
	if (r < 0) {
		free(map);
		errno = -r;
		return NULL;
	}
	return map;
}

struct asyncore_map *asyncore_socket_map(void)
{
	if (default_map == NULL)
		default_map = asyncore_map_new(NULL);
	return default_map;
}

struct asyncore_map *map_or_default(struct asyncore_map *map)
{
	return map != NULL ? map : asyncore_socket_map();
}

void map_unuse(struct asyncore_map *map)
{
	if (--map->users == 0 && map->freed)
		free(map);
}

static int close_anyway(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	asyncore_close(d);
	return 0;
}

int asyncore_map_free(struct asyncore_map *map)
{
	if (map == NULL && (map = default_map) == NULL)
		return 0;
	if (map->depth > 0 || map->current != NULL || map->sweeping || map->freeing)
		return -EBUSY;
	map->freeing = true;
	/* A dispose hook may add channels again, to this very map. */
	do {
		asyncore_map_foreach(map, close_anyway, NULL);
		map_clear(map);
		timers_end(map);
		calls_end(map);
		map_sweep(map);
	} while (map->size > 0 || map->norphans > 0);

	if (map == default_map)
		default_map = NULL;
	poller_free(map);
	free(map->fired);
	free(map->by_fd);
	free(map->asked);
	free(map->always);
	free(map->buffer);
	timers_free(&map->timers);
	/* Channels that somebody holds still point here: nothing is left but the head. */
	memset(map, 0, offsetof(struct asyncore_map, users));
	map->freed = true;
	map->users++;
	map_unuse(map);
	return 0;
}

/* A process that ends, or unloads the library, with nothing in the default map leaves
 * no descriptor behind. */
__attribute__((destructor)) static void free_default_map(void)
{
	if (default_map != NULL && default_map->size == 0)
		asyncore_map_free(NULL);
}

/* --- membership ----------------------------------------------------------------- */

static int reserve_for(struct asyncore_map *map, const struct asyncore_channel *c)
{
	if (map_reserve(&map->by_fd, &map->by_fd_size, (size_t)c->fd + 1) < 0)
		return -ENOMEM;
	/* With room for one that fired, passes get on without any more memory. */
	if (map_reserve(&map->fired, &map->fired_size, 1) < 0)
		return -ENOMEM;
	if (c->methods->ask_each_pass &&
	    map_reserve(&map->asked, &map->asked_size, map->nasked + 1) < 0)
		return -ENOMEM;
	if (channel_has(c, CHANNEL_ALWAYS_READY) &&
	    map_reserve(&map->always, &map->always_size, map->nalways + 1) < 0)
		return -ENOMEM;
	if (c->map != map && channel_has(c, CHANNEL_IDLE) && timers_reserve(&map->timers) < 0)
		return -ENOMEM;
	return 0;
}

void map_forget(struct asyncore_channel *c)
{
	struct asyncore_map *map = c->map;
	struct asyncore_channel **link;
	size_t i;

	for (i = 0; i < map->nfired; i++)
		if (map->fired[i] == c)
			map->fired[i] = NULL;
	if (!channel_has(c, CHANNEL_ON_AGENDA))
		return;
	for (link = &map->agenda_first; *link != c; link = &(*link)->agenda)
		;
	*link = c->agenda;
	if (map->agenda_last == &c->agenda)
		map->agenda_last = link;
	map->nagenda--;
	map->norphans--;
	c->flags &= ~CHANNEL_ON_AGENDA;
}

static void move_to(struct asyncore_map *map, struct asyncore_channel *c)
{
	struct asyncore_map *old = c->map;

	if (old == map)
		return;
	map_forget(c);
	map->users++;
	c->map = map;
	map_unuse(old);
	trace_adapt(c);
}

int map_add(struct asyncore_map *map, struct asyncore_channel *c)
{
	struct asyncore_map *old = c->map;
	int r;

	if (channel_has(c, CHANNEL_IN_MAP))
		return c->map == map ? 0 : -EALREADY;
	if (channel_has(c, CHANNEL_DISPOSING) || map->freed || c->map->freed)
		return -ESHUTDOWN;
	if (asyncore_map_get(map, c->fd) != NULL)
		return -EEXIST;
	if ((r = poller_check(&map->poller, c->fd)) < 0 || (r = reserve_for(map, c)) < 0)
		return r;
	/* Better to be told now than in a pass that there is no descriptor for this. */
	if (c->methods->wants_urgent && !channel_has(c, CHANNEL_FILE) &&
	    (r = poller_prepare_urgent(map)) < 0)
		return r;

	move_to(map, c);
	c->flags = (c->flags | CHANNEL_IN_MAP) & ~CHANNEL_GONE;
	c->seq = map->next_seq++;
	map->by_fd[c->fd] = c;
	map->size++;
	map->filled = true;
	map->nurgent += c->methods->wants_urgent;
	if (c->methods->ask_each_pass) {
		map->asked[map->nasked++] = c;
		c->asked = map->nasked;
	}
	if (channel_has(c, CHANNEL_ALWAYS_READY))
		map->always[map->nalways++] = c;
	if (channel_has(c, CHANNEL_ON_AGENDA))
		map->norphans--;	/* it is there as an orphan; now it is none */
	else
		map_put_on_agenda(c);
	/* Last, because releases may do anything. */
	if (channel_timers(c) != NULL)
		channel_came(c, old);
	return 0;
}

void map_remove(struct asyncore_channel *c)
{
	struct asyncore_map *map = c->map;
	size_t i;

	poller_arm(c, 0);
	c->fired = 0;
	c->flags &= ~(CHANNEL_IN_MAP | CHANNEL_URGENT_SEEN);
	map->by_fd[c->fd] = NULL;
	map->size--;
	map->nurgent -= c->methods->wants_urgent;
	if (c->asked != 0) {
		map->asked[c->asked - 1] = NULL;
		map->asked_holes++;
		c->asked = 0;
	}
	for (i = 0; channel_has(c, CHANNEL_ALWAYS_READY) && i < map->nalways; i++) {
		if (map->always[i] != c)
			continue;
		map->nalways--;
		memmove(&map->always[i], &map->always[i + 1],
			(map->nalways - i) * sizeof map->always[0]);
	}
	if (channel_has(c, CHANNEL_PAUSED)) {
		c->flags &= ~CHANNEL_PAUSED;
		map->npaused--;
	}
	if (channel_has(c, CHANNEL_ON_AGENDA))
		map->norphans++;
	if (channel_has(c, CHANNEL_IDLE))
		channel_left(c);
	/* After the last one nothing of ours may keep the application's base running. */
	if (map->size == 0 && map->depth == 0)
		poller_serve_soon(map);
	channel_orphaned(c);
}

size_t asyncore_map_size(struct asyncore_map *map)
{
	map = map_or_default(map);
	return map != NULL ? map->size : 0;
}

struct asyncore_dispatcher *asyncore_map_get(struct asyncore_map *map, int fd)
{
	map = map_or_default(map);
	if (map == NULL || fd < 0 || (size_t)fd >= map->by_fd_size || map->by_fd[fd] == NULL)
		return NULL;
	return map->by_fd[fd]->dispatcher;
}

/* --- walking -------------------------------------------------------------------- */

/* One channel as a walk remembers it: no pointer, so that nothing can dangle. */
struct place {
	uint64_t seq;
	int fd;
};

static int by_seq(const void *a, const void *b)
{
	uint64_t left = ((const struct place *)a)->seq, right = ((const struct place *)b)->seq;

	return (left > right) - (left < right);
}

/* All channels in map order; NULL if there is no memory. */
static struct place *places_of(const struct asyncore_map *map)
{
	struct place *places = malloc(map->size * sizeof *places);
	size_t fd, n = 0;

	if (places == NULL)
		return NULL;
	for (fd = 0; n < map->size; fd++) {
		if (map->by_fd[fd] == NULL)
			continue;
		places[n].seq = map->by_fd[fd]->seq;
		places[n++].fd = (int)fd;
	}
	qsort(places, n, sizeof *places, by_seq);
	return places;
}

/* The slow way, without memory: the first channel from `seq` on. */
static struct asyncore_channel *first_from(const struct asyncore_map *map, uint64_t seq)
{
	struct asyncore_channel *first = NULL, *c;
	size_t fd;

	for (fd = 0; fd < map->by_fd_size; fd++) {
		c = map->by_fd[fd];
		if (c != NULL && c->seq >= seq && (first == NULL || c->seq < first->seq))
			first = c;
	}
	return first;
}

static int visit_places(struct asyncore_map *map, const struct place *places, size_t n,
			int (*visit)(struct asyncore_dispatcher *, void *), void *arg)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r == 0 && !map->freed; i++) {
		struct asyncore_channel *c = map->by_fd[places[i].fd];

		if (c != NULL && c->seq == places[i].seq)
			r = visit(c->dispatcher, arg);
	}
	return r;
}

static int visit_slowly(struct asyncore_map *map,
			int (*visit)(struct asyncore_dispatcher *, void *), void *arg)
{
	const uint64_t end = map->next_seq;
	struct asyncore_channel *c;
	uint64_t seq = 0;
	int r = 0;

	while (r == 0 && (c = first_from(map, seq)) != NULL && c->seq < end) {
		seq = c->seq + 1;
		r = visit(c->dispatcher, arg);
	}
	return r;
}

int asyncore_map_foreach(struct asyncore_map *map,
			 int (*visit)(struct asyncore_dispatcher *, void *), void *arg)
{
	struct place *places;
	int r;

	if (visit == NULL)
		return -EINVAL;
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	if (map->size == 0)
		return 0;
	map->users++;
	places = places_of(map);
	if (places != NULL)
		r = visit_places(map, places, map->size, visit, arg);
	else
		r = visit_slowly(map, visit, arg);
	free(places);
	map_unuse(map);
	return r;
}

void map_clear(struct asyncore_map *map)
{
	size_t fd;

	for (fd = 0; fd < map->by_fd_size && map->size > 0; fd++)
		if (map->by_fd[fd] != NULL)
			map_remove(map->by_fd[fd]);
}

/* --- the agenda ----------------------------------------------------------------- */

void map_put_on_agenda(struct asyncore_channel *c)
{
	struct asyncore_map *map = c->map;

	c->agenda = NULL;
	*map->agenda_last = c;
	map->agenda_last = &c->agenda;
	map->nagenda++;
	c->flags |= CHANNEL_ON_AGENDA;
	if (!channel_has(c, CHANNEL_IN_MAP))
		map->norphans++;
	if (map->depth == 0 && !map->freed)
		poller_serve_soon(map);
}

struct asyncore_channel *map_take_from_agenda(struct asyncore_map *map)
{
	struct asyncore_channel *c = map->agenda_first;

	map->agenda_first = c->agenda;
	if (map->agenda_first == NULL)
		map->agenda_last = &map->agenda_first;
	map->nagenda--;
	c->flags &= ~CHANNEL_ON_AGENDA;
	if (!channel_has(c, CHANNEL_IN_MAP))
		map->norphans--;
	return c;
}

/*
 * One at a time from the head, because a dispose hook may do anything to the rest of the
 * list.  A channel that is held leaves the list; its last holder puts it there again.
 */
void map_sweep(struct asyncore_map *map)
{
	size_t i;

	if (map->norphans == 0 || map->sweeping)
		return;
	/* Marks can wait outside a pass when the application runs the base. */
	for (i = 0; i < map->nfired; i++)
		if (map->fired[i] != NULL && !channel_has(map->fired[i], CHANNEL_IN_MAP))
			map->fired[i] = NULL;
	map->sweeping = true;
	while (map->norphans > 0) {
		struct asyncore_channel *c = map_take_from_agenda(map);

		if (channel_has(c, CHANNEL_IN_MAP))
			map_put_on_agenda(c);
		else if (!channel_is_held(c) && channel_has(c, CHANNEL_GONE))
			channel_dispose(c);
	}
	map->sweeping = false;
}

/* --- pausing --------------------------------------------------------------------- */

void map_pause(struct asyncore_channel *c)
{
	struct asyncore_map *map = c->map;

	if (!channel_has(c, CHANNEL_IN_MAP) || channel_has(c, CHANNEL_PAUSED))
		return;
	if (poller_resume_later(map) == 0) {
		c->flags |= CHANNEL_PAUSED;
		map->npaused++;
	}
	map_touch(c);
}

static int resume(struct asyncore_dispatcher *d, void *arg)
{
	struct asyncore_channel *c = d->channel;

	(void)arg;
	if (channel_has(c, CHANNEL_PAUSED)) {
		c->flags &= ~CHANNEL_PAUSED;
		c->map->npaused--;
		map_touch(c);
	}
	return 0;
}

void map_resume(struct asyncore_map *map)
{
	if (map->npaused > 0)
		asyncore_map_foreach(map, resume, NULL);
}
