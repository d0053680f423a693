/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * half_close.c - the end of one direction of a connection, without loss in the other.
 *
 * The classes that have output of their own say when some waits (channel_output()) and when
 * all of it was sent (channel_drained()); whatever has to wait for that waits here.
 */

#include "channel.h"
#include "map.h"

#include <errno.h>

int channel_end_of_file(struct asyncore_channel *c)
{
	if (!(c->methods->slot.flags & ASYNCORE_HALF_CLOSE))
		return channel_handle_close(c);
	c->flags |= CHANNEL_EOF;
	map_touch(c);		/* watching it for reading would spin */
	return asyncore_handle_eof(c->dispatcher);
}

bool asyncore_at_eof(const struct asyncore_dispatcher *d)
{
	const struct asyncore_channel *c = channel_of(d);

	return c != NULL && channel_has(c, CHANNEL_EOF);
}

int asyncore_dispatcher_handle_eof(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (!channel_has(c, CHANNEL_OUTPUT))
		return channel_handle_close(c);
	c->flags |= CHANNEL_FINISHING;
	return 0;
}

/* (Linux would take the shutdown of a connect that is under way for its end.) */
static int shut_down(struct asyncore_channel *c)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (channel_has(c, CHANNEL_CONNECTING) && !channel_has(c, CHANNEL_CONNECTED))
		return -ENOTCONN;
	if (getpeername(c->fd, (struct sockaddr *)&peer, &len) < 0)
		return -errno;
	return shutdown(c->fd, SHUT_WR) < 0 ? ASYNCORE_RAISE(c->dispatcher, -errno) : 0;
}

int asyncore_shutdown_when_done(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	if (channel_has(c, CHANNEL_FILE))
		return -ENOTSOCK;
	if (!channel_has(c, CHANNEL_OUTPUT))
		return shut_down(c);
	c->flags |= CHANNEL_SHUTDOWN;
	return 0;
}

void channel_output(struct asyncore_channel *c)
{
	c->flags |= CHANNEL_OUTPUT;
}

int channel_drained(struct asyncore_channel *c)
{
	const unsigned waiting = c->flags & (CHANNEL_SHUTDOWN | CHANNEL_FINISHING);
	int r = 0;

	c->flags &= ~(CHANNEL_OUTPUT | CHANNEL_SHUTDOWN | CHANNEL_FINISHING);
	if (c->fd < 0)
		return 0;
	/* A connection that is gone tells so by itself. */
	if (waiting & CHANNEL_SHUTDOWN)
		shutdown(c->fd, SHUT_WR);
	if (waiting & CHANNEL_FINISHING)
		r = channel_handle_close(c);
	return r < 0 ? r : 0;
}
