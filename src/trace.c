/* SPDX-License-Identifier: BSD-3-Clause */

/* trace.c - see trace.h. */

#include "trace.h"
#include "channel.h"
#include "map.h"

#include <errno.h>

/* --- one call ---------------------------------------------------------------------- */

void trace_begin(struct traced_call *call, struct asyncore_map *map, struct asyncore_channel *c)
{
	call->map = is_watched(&map->watchers) ? map : NULL;
	if (call->map == NULL)
		return;
	call->channel = c;
	/* Both are to be there when the call has returned. */
	map->users++;
	if (c != NULL)
		channel_hold(c);
	map->watchers.depth++;
	call->start = timer_clock();
}

int trace_end(struct traced_call *call, const char *name, int result)
{
	struct asyncore_map *map = call->map;
	struct watchers *w;
	struct asyncore_trace trace;

	if (map == NULL)
		return result;
	w = &map->watchers;
	trace.channel = call->channel != NULL ? call->channel->dispatcher : NULL;
	trace.name = name;
	trace.result = result;
	trace.depth = --w->depth;
	trace.seconds = (double)(timer_clock() - call->start) / 1e9;
	if (w->trace != NULL)
		w->trace(map, &trace, w->trace_arg);
	if (w->slow != NULL && trace.depth == 0 && trace.seconds > w->limit)
		w->slow(map, &trace, w->slow_arg);
	if (call->channel != NULL)
		channel_release(call->channel);
	map_unuse(map);
	return result;
}

/* --- the handlers of a channel ------------------------------------------------------- */

#define TRACED(name) \
	static int traced_##name(struct asyncore_dispatcher *d) \
	{ \
		struct asyncore_channel *c = d->channel; \
		struct traced_call call; \
		trace_begin(&call, c->map, c); \
		return trace_end(&call, #name, c->methods->plain->slot.name(d)); \
	}

TRACED(handle_read)
TRACED(handle_write)
TRACED(handle_expt)
TRACED(handle_connect)
TRACED(handle_close)
TRACED(handle_eof)
TRACED(handle_timeout)
TRACED(handle_error)
TRACED(handle_accept)
TRACED(handle_read_event)
TRACED(handle_write_event)
TRACED(handle_expt_event)
TRACED(handle_connect_event)

static int traced_handle_accepted(struct asyncore_dispatcher *d, int fd,
				  const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_channel *c = d->channel;
	struct traced_call call;

	trace_begin(&call, c->map, c);
	return trace_end(&call, "handle_accepted",
			 c->methods->plain->slot.handle_accepted(d, fd, addr, addrlen));
}

void trace_slots(struct asyncore_dispatcher_type *slot)
{
	slot->handle_read = traced_handle_read;
	slot->handle_write = traced_handle_write;
	slot->handle_expt = traced_handle_expt;
	slot->handle_connect = traced_handle_connect;
	slot->handle_close = traced_handle_close;
	slot->handle_eof = traced_handle_eof;
	slot->handle_timeout = traced_handle_timeout;
	slot->handle_error = traced_handle_error;
	slot->handle_accept = traced_handle_accept;
	slot->handle_accepted = traced_handle_accepted;
	slot->handle_read_event = traced_handle_read_event;
	slot->handle_write_event = traced_handle_write_event;
	slot->handle_expt_event = traced_handle_expt_event;
	slot->handle_connect_event = traced_handle_connect_event;
}

void trace_adapt(struct asyncore_channel *c)
{
	const struct methods *plain = c->methods->plain;
	const bool watched = is_watched(&c->map->watchers);

	c->methods = watched ? plain->traced : plain;
	channel_flag(c, CHANNEL_PLAIN_READ, c->methods->plain_read_event);
	channel_flag(c, CHANNEL_PLAIN_SEND, c->methods->plain_initiate_send);
}

/* --- the public functions ------------------------------------------------------------ */

static int adapt(struct asyncore_dispatcher *d, void *arg)
{
	(void)arg;
	trace_adapt(d->channel);
	return 0;
}

static int changed(struct asyncore_map *map)
{
	map->watchers.any = map->watchers.trace != NULL || map->watchers.slow != NULL;
	return asyncore_map_foreach(map, adapt, NULL);
}

int asyncore_map_set_trace_cb(struct asyncore_map *map,
			      void (*trace)(struct asyncore_map *, const struct asyncore_trace *,
					    void *),
			      void *arg)
{
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	map->watchers.trace = trace;
	map->watchers.trace_arg = arg;
	return changed(map);
}

int asyncore_map_set_slow_cb(struct asyncore_map *map, double limit,
			     void (*slow)(struct asyncore_map *, const struct asyncore_trace *,
					  void *),
			     void *arg)
{
	if (!(limit >= 0))
		return -EINVAL;
	map = map_or_default(map);
	if (map == NULL)
		return -ENOMEM;
	map->watchers.slow = slow;
	map->watchers.slow_arg = arg;
	map->watchers.limit = limit;
	return changed(map);
}
