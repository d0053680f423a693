/* SPDX-License-Identifier: BSD-3-Clause */

/* virtual.c - call a method through the type table: self.handle_read() and its like. */

#include "map.h"

#include <errno.h>

/* Methods that take nothing but self. */
#define METHOD(name) \
	int asyncore_##name(struct asyncore_dispatcher *d) \
	{ \
		struct asyncore_channel *c = channel_of(d); \
		return c != NULL ? channel_call(c, c->methods->slot.name) : -EINVAL; \
	}

METHOD(readable)
METHOD(writable)
METHOD(close)

/* Handlers; after them, stable predicates are asked again. */
#define HANDLER(name) \
	int asyncore_##name(struct asyncore_dispatcher *d) \
	{ \
		struct asyncore_channel *c = channel_of(d); \
		int r; \
		if (c == NULL) \
			return -EINVAL; \
		channel_hold(c); \
		r = channel_call(c, c->methods->slot.name); \
		channel_ran(c); \
		channel_release(c); \
		return r; \
	}

HANDLER(handle_read)
HANDLER(handle_write)
HANDLER(handle_expt)
HANDLER(handle_connect)
HANDLER(handle_close)
HANDLER(handle_eof)
HANDLER(handle_timeout)
HANDLER(handle_error)
HANDLER(handle_accept)
HANDLER(handle_read_event)
HANDLER(handle_write_event)
HANDLER(handle_expt_event)
HANDLER(handle_connect_event)

int asyncore_initiate_send(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (c->methods->slot.initiate_send == NULL)
		return -ENOTSUP;
	channel_flush(c);
	return channel_call(c, c->methods->slot.initiate_send);
}

/* The rest have arguments. */
#define HELD(call) \
	int r; \
	channel_hold(c); \
	r = (call); \
	if (r < 0) \
		r = channel_noted(c, r); \
	channel_release(c); \
	return r

int asyncore_handle_accepted(struct asyncore_dispatcher *d, int fd,
			     const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	HELD(c->methods->slot.handle_accepted(d, fd, addr, addrlen));
}

/* In a handler of its own the channel is held anyway, and there what every event does costs a
 * jump. */
static bool runs_a_handler(const struct asyncore_channel *c)
{
	return c->map->current == c;
}

static COLD int send_held(struct asyncore_channel *c, const void *data, size_t len)
{
	channel_flush(c);
	HELD(c->methods->slot.send(c->dispatcher, data, len));
}

int asyncore_send(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (runs_a_handler(c) && !channel_has(c, CHANNEL_GATHERED))
		return c->methods->slot.send(d, data, len);
	return send_held(c, data, len);
}

static COLD int recv_held(struct asyncore_channel *c, void *buffer, size_t len)
{
	HELD(c->methods->slot.recv(c->dispatcher, buffer, len));
}

int asyncore_recv(struct asyncore_dispatcher *d, void *buffer, size_t len)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (runs_a_handler(c))
		return c->methods->slot.recv(d, buffer, len);
	return recv_held(c, buffer, len);
}

int asyncore_add_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	HELD(c->methods->slot.add_channel(d, map));
}

int asyncore_del_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	HELD(c->methods->slot.del_channel(d, map));
}

int asyncore_log(struct asyncore_dispatcher *d, const char *message)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL || message == NULL)
		return -EINVAL;
	HELD(c->methods->slot.log(d, message));
}

int asyncore_log_info(struct asyncore_dispatcher *d, const char *message, const char *type)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL || message == NULL)
		return -EINVAL;
	HELD(c->methods->slot.log_info(d, message, type != NULL ? type : "info"));
}

int asyncore_repr(struct asyncore_dispatcher *d, char *buffer, size_t size)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL || (buffer == NULL && size > 0))
		return -EINVAL;
	HELD(c->methods->slot.repr(d, buffer, size));
}
