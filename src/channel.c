/* SPDX-License-Identifier: BSD-3-Clause */

/* channel.c - the private half of a dispatcher: making, holding, disposing of it. */

#include "channel.h"
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int channel_new(struct asyncore_dispatcher *d, const struct methods *methods,
		struct asyncore_map *map)
{
	struct asyncore_channel *c = calloc(1, sizeof *c + poller_event_size());

	if (c == NULL)
		return -ENOMEM;
	c->dispatcher = d;
	c->methods = methods;
	c->map = map;
	c->fd = -1;
	c->flags = CHANNEL_NO_SOCKET | (methods->ask_after ? CHANNEL_ASK_AFTER : 0);
	map->users++;
	d->type = methods->slot.base;
	d->channel = c;
	trace_adapt(c);
	return 0;
}

struct channel_extra *channel_extra(struct asyncore_channel *c)
{
	if (c->extra == NULL)
		c->extra = calloc(1, sizeof *c->extra);
	return c->extra;
}

void channel_free(struct asyncore_channel *c)
{
	struct asyncore_map *map = c->map;

	map_forget(c);
	c->dispatcher->channel = NULL;
	channel_set_addr(c, NULL, 0);
	free(c->extra);
	free(c);
	map_unuse(map);
}

void channel_dispose(struct asyncore_channel *c)
{
	struct asyncore_dispatcher *d = c->dispatcher;
	const struct asyncore_dispatcher_type *level = d->type;
	void (*dealloc)(struct asyncore_dispatcher *) = c->methods->slot.dealloc;

	/* From here on it enters no map, and holding it does not save it. */
	c->flags |= CHANNEL_DISPOSING;
	for (; level != NULL; level = level->base)
		if (level->dispose != NULL)
			level->dispose(d);
	/* Only an idle timeout does not hold it. */
	channel_end_timers(c, c->map);
	/* A channel that was only taken out of its map still has a descriptor. */
	if (c->fd >= 0)
		close(channel_unopen(c));
	channel_free(c);
	if (dealloc != NULL)
		dealloc(d);
}

void channel_orphaned(struct asyncore_channel *c)
{
	c->flags |= CHANNEL_GONE;
	if (channel_has(c, CHANNEL_DISPOSING | CHANNEL_ON_AGENDA) || channel_is_held(c))
		return;
	if (c->map->freed)
		channel_dispose(c);
	else
		map_put_on_agenda(c);
}

int channel_noted(struct asyncore_channel *c, int result)
{
	if (result == ASYNCORE_EXIT_NOW) {
		c->map->exit_now = true;
		c->map->attention = true;
	}
	return result;
}

/*
 * Python may call handle_close() twice for one event: out of recv() and again because of
 * the hang-up, or because the handler failed on the closed connection.  Programs do not
 * expect that (FIELD.md B3).
 */
int channel_handle_close(struct asyncore_channel *c)
{
	struct asyncore_map *map = c->map;

	if (map->current == c) {
		if (channel_has(c, CHANNEL_CLOSE_CALLED))
			return 0;
		c->flags |= CHANNEL_CLOSE_CALLED;
		map->attention = true;
	}
	return asyncore_handle_close(c->dispatcher);
}

void channel_open(struct asyncore_channel *c, int fd, unsigned flags)
{
	const unsigned old = CHANNEL_CLOSED | CHANNEL_FILE | CHANNEL_ALWAYS_READY |
			     CHANNEL_PAUSE_SAID | CHANNEL_NO_SOCKET | CHANNEL_EOF |
			     CHANNEL_FINISHING | CHANNEL_SHUTDOWN;

	c->fd = fd;
	c->opens++;
	c->connect_error = 0;
	c->flags = (c->flags & ~old) | flags;
	if (flags & CHANNEL_FILE)
		c->flags |= CHANNEL_NO_SOCKET;
}

int channel_unopen(struct asyncore_channel *c)
{
	int fd = c->fd;

	c->fd = -1;
	c->flags |= CHANNEL_NO_SOCKET;
	return fd;
}

int asyncore_ref(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (c->refs == UINT16_MAX)
		return -EOVERFLOW;
	c->refs++;
	return 0;
}

int asyncore_unref(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL || c->refs == 0)
		return -EINVAL;
	c->refs--;
	if (channel_has(c, CHANNEL_GONE))
		channel_orphaned(c);
	return 0;
}

void asyncore_dealloc_free(struct asyncore_dispatcher *d)
{
	free(d);
}
