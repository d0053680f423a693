/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dispatcher.c - the base class: its type table and the bodies that events go through.
 *
 * The bodies call their siblings through the table (asyncore_handle_read() and not
 * asyncore_dispatcher_handle_read()), so that overriding one method changes what the
 * others do, as in Python.
 */

#include "channel.h"
#include "map.h"

#include <errno.h>
#include <unistd.h>

static const char *const ignored_log_types[] = { "warning", NULL };

const struct asyncore_dispatcher_type asyncore_dispatcher_type = {
	.name = "asyncore.dispatcher",
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.readable = asyncore_dispatcher_readable,
	.writable = asyncore_dispatcher_writable,
	.handle_read = asyncore_dispatcher_handle_read,
	.handle_write = asyncore_dispatcher_handle_write,
	.handle_expt = asyncore_dispatcher_handle_expt,
	.handle_connect = asyncore_dispatcher_handle_connect,
	.handle_close = asyncore_dispatcher_handle_close,
	.handle_eof = asyncore_dispatcher_handle_eof,
	.handle_timeout = asyncore_dispatcher_handle_timeout,
	.handle_error = asyncore_dispatcher_handle_error,
	.handle_accept = asyncore_dispatcher_handle_accept,
	.handle_accepted = asyncore_dispatcher_handle_accepted,
	.handle_read_event = asyncore_dispatcher_handle_read_event,
	.handle_write_event = asyncore_dispatcher_handle_write_event,
	.handle_expt_event = asyncore_dispatcher_handle_expt_event,
	.handle_connect_event = asyncore_dispatcher_handle_connect_event,
	.send = asyncore_dispatcher_send,
	.recv = asyncore_dispatcher_recv,
	.close = asyncore_dispatcher_close,
	.add_channel = asyncore_dispatcher_add_channel,
	.del_channel = asyncore_dispatcher_del_channel,
	.log = asyncore_dispatcher_log,
	.log_info = asyncore_dispatcher_log_info,
	.repr = asyncore_dispatcher_repr,
	.ignore_log_types = ignored_log_types,
	.ac_in_buffer_size = 4096,
	.ac_out_buffer_size = 4096,
};

/* The largest burst of one read event with ASYNCORE_ACCEPT_BATCH. */
enum { ACCEPT_BATCH = 64 };

/* --- membership ----------------------------------------------------------------- */

int asyncore_dispatcher_add_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (c->fd < 0)
		return -EBADF;
	return map_add(map != NULL ? map : c->map, c);
}

int asyncore_dispatcher_del_channel(struct asyncore_dispatcher *d, struct asyncore_map *map)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	if (!map_holds(map != NULL ? map : c->map, c))
		return 0;
	channel_flush(c);
	if (map_holds(map != NULL ? map : c->map, c))
		map_remove(c);
	return 0;
}

int asyncore_dispatcher_close(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	int fd, r;

	if (c == NULL)
		return -EINVAL;
	channel_hold(c);
	channel_flush(c);
	c->flags &= ~(CHANNEL_CONNECTED | CHANNEL_ACCEPTING | CHANNEL_CONNECTING);
	c->flags |= CHANNEL_CLOSED;
	c->fired = 0;

	r = asyncore_del_channel(d, NULL);
	/* An override may have forgotten to call up; a closed descriptor must not stay. */
	if (channel_has(c, CHANNEL_IN_MAP))
		map_remove(c);
	/* What they release may be an event on the descriptor. */
	if (channel_timers(c) != NULL)
		channel_end_timers(c, c->map);
	fd = channel_unopen(c);
	if (fd >= 0 && close(fd) < 0 && errno != EBADF && errno != ENOTCONN &&
	    errno != EINTR && r >= 0)
		r = ASYNCORE_RAISE(d, -errno);
	c->flags |= CHANNEL_GONE;
	channel_release(c);
	return r < 0 ? r : 0;
}

/* --- events --------------------------------------------------------------------- */

static int accept_event(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = d->channel;
	const uint16_t opens = c->opens;
	int n, r = 0;

	if (!(c->methods->slot.flags & ASYNCORE_ACCEPT_BATCH))
		return asyncore_handle_accept(d);
	channel_hold(c);
	for (n = 0; n < ACCEPT_BATCH && r >= 0; n++) {
		c->flags &= ~CHANNEL_NOTHING_NOW;
		r = asyncore_handle_accept(d);
		if (channel_has(c, CHANNEL_NOTHING_NOW) || c->opens != opens ||
		    !channel_has(c, CHANNEL_ACCEPTING))
			break;
	}
	channel_release(c);
	return r;
}

/* A connect is under way: has it ended?  1 to go on with the event, 0 when the channel
 * was closed meanwhile (Python goes on even then), or negative. */
static int connect_event(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = d->channel;
	const uint16_t opens = c->opens;
	int r;

	channel_hold(c);
	r = asyncore_handle_connect_event(d);
	/* Nor after a failed connect that went to handle_expt(). */
	if (r >= 0)
		r = c->opens == opens && !channel_has(c, CHANNEL_CLOSED) &&
		    !(c->connect_error != 0 && channel_has(c, CHANNEL_CONNECTING));
	channel_release(c);
	return r;
}

int asyncore_dispatcher_handle_read_event(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	int r;

	if (c == NULL)
		return -EINVAL;
	if (channel_has(c, CHANNEL_ACCEPTING))
		return accept_event(d);
	if (channel_has(c, CHANNEL_CONNECTING) && !channel_has(c, CHANNEL_CONNECTED)) {
		r = connect_event(d);
		if (r <= 0)
			return r;
	}
	return channel_call(c, c->methods->slot.handle_read);
}

int asyncore_dispatcher_handle_write_event(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	int r;

	if (c == NULL)
		return -EINVAL;
	if (channel_has(c, CHANNEL_ACCEPTING))
		return 0;
	if (channel_has(c, CHANNEL_CONNECTING) && !channel_has(c, CHANNEL_CONNECTED)) {
		r = connect_event(d);
		if (r <= 0)
			return r;
	}
	return channel_call(c, c->methods->slot.handle_write);
}

/* The error that waits on the descriptor: 0, a positive errno, or a negative one when
 * it cannot be asked. */
static int pending_error(const struct asyncore_channel *c)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (channel_has(c, CHANNEL_FILE))
		return 0;
	if (c->fd < 0)
		return -EBADF;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return error;
}

int asyncore_dispatcher_handle_expt_event(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	int error;

	if (c == NULL)
		return -EINVAL;
	error = pending_error(c);
	if (error < 0)
		return ASYNCORE_RAISE(d, error);
	return error > 0 ? channel_handle_close(c) : asyncore_handle_expt(d);
}

/*
 * Why is a connect that the kernel calls finished not to be believed?  SO_ERROR is
 * cleared by the first who reads it, and never set by an AF_UNIX connect that failed at
 * once; Python then reports a connection that does not exist.
 */
static int connect_result(struct asyncore_channel *c)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	int error = pending_error(c);

	if (error != 0) {
		if (error > 0)
			c->connect_error = (uint8_t)error;
		return error > 0 ? -error : error;
	}
	if (channel_has(c, CHANNEL_FILE) ||
	    getpeername(c->fd, (struct sockaddr *)&peer, &len) == 0 || errno != ENOTCONN)
		return 0;
	if (c->connect_error == 0)
		c->connect_error = ENOTCONN;
	return -c->connect_error;
}

int asyncore_dispatcher_handle_connect_event(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);
	uint16_t opens;
	int r;

	if (c == NULL)
		return -EINVAL;
	r = connect_result(c);
	if (r < 0) {
		r = ASYNCORE_RAISE(d, r);
		if (c->methods->slot.flags & ASYNCORE_CONNECT_EXPT)
			return asyncore_handle_expt(d);
		return r;
	}
	opens = c->opens;
	channel_hold(c);
	r = asyncore_handle_connect(d);
	if (r == -EAGAIN)
		r = 0;		/* no error, whoever says it */
	/* Closed, or closed and opened again, by the handler: no longer this connection. */
	if (r >= 0 && c->opens == opens && !channel_has(c, CHANNEL_CLOSED)) {
		c->flags = (c->flags | CHANNEL_CONNECTED) & ~CHANNEL_CONNECTING;
		map_touch(c);
	}
	channel_release(c);
	return r;
}

/* --- handlers that a program is expected to override ----------------------------- */

int asyncore_dispatcher_readable(struct asyncore_dispatcher *d)
{
	(void)d;
	return 1;
}

int asyncore_dispatcher_writable(struct asyncore_dispatcher *d)
{
	(void)d;
	return 1;
}

int asyncore_dispatcher_handle_read(struct asyncore_dispatcher *d)
{
	return asyncore_log_info(d, "unhandled read event", "warning");
}

int asyncore_dispatcher_handle_write(struct asyncore_dispatcher *d)
{
	return asyncore_log_info(d, "unhandled write event", "warning");
}

int asyncore_dispatcher_handle_expt(struct asyncore_dispatcher *d)
{
	return asyncore_log_info(d, "unhandled incoming priority event", "warning");
}

int asyncore_dispatcher_handle_connect(struct asyncore_dispatcher *d)
{
	return asyncore_log_info(d, "unhandled connect event", "warning");
}

int asyncore_dispatcher_handle_close(struct asyncore_dispatcher *d)
{
	int r = asyncore_log_info(d, "unhandled close event", "warning");

	return r < 0 ? r : asyncore_close(d);
}

int asyncore_dispatcher_handle_timeout(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	return c != NULL ? channel_handle_close(c) : -EINVAL;
}

int asyncore_dispatcher_handle_accept(struct asyncore_dispatcher *d)
{
	struct sockaddr_storage addr;
	socklen_t addrlen = sizeof addr;
	int fd = asyncore_accept(d, (struct sockaddr *)&addr, &addrlen);

	if (fd < 0)
		return fd;
	return asyncore_handle_accepted(d, fd, (struct sockaddr *)&addr, addrlen);
}

int asyncore_dispatcher_handle_accepted(struct asyncore_dispatcher *d, int fd,
					const struct sockaddr *addr, socklen_t addrlen)
{
	(void)addr, (void)addrlen;
	if (fd >= 0)
		close(fd);
	return asyncore_log_info(d, "unhandled accepted event", "warning");
}
