/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dispatcher_with_send.c - a dispatcher with simple buffered output.
 *
 * Python puts data into out_buffer and sends from there; here data goes straight to the
 * descriptor when nothing waits before it, and only what did not go is copied.  Python
 * also cuts the sent part off a byte string each time, which is quadratic for a slow
 * peer (FIELD.md B16).
 */

#include "buffer.h"
#include "channel.h"
#include "map.h"

#include <errno.h>
#include <limits.h>

/* The most that one write event sends. */
enum { PIECE = 65536 };

static void dispose(struct asyncore_dispatcher *d)
{
	buffer_free(&((struct asyncore_dispatcher_with_send *)d)->out_buffer);
}

const struct asyncore_dispatcher_type asyncore_dispatcher_with_send_type = {
	.base = &asyncore_dispatcher_type,
	.name = "asyncore.dispatcher_with_send",
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.writable = asyncore_dispatcher_with_send_writable,
	.handle_write = asyncore_dispatcher_with_send_handle_write,
	.send = asyncore_dispatcher_with_send_send,
	.initiate_send = asyncore_dispatcher_with_send_initiate_send,
	.dispose = dispose,
};

/* The object, if it is one of this class. */
static struct asyncore_dispatcher_with_send *self_of(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	return c != NULL && c->methods->with_send ? (struct asyncore_dispatcher_with_send *)d
						  : NULL;
}

int asyncore_dispatcher_with_send_init(struct asyncore_dispatcher_with_send *d,
				       const struct asyncore_dispatcher_type *type, int fd,
				       struct asyncore_map *map)
{
	if (d == NULL)
		return -EINVAL;
	d->out_buffer = NULL;
	return dispatcher_init(&d->dispatcher, type, &asyncore_dispatcher_with_send_type, fd,
			       map);
}

size_t asyncore_dispatcher_with_send_pending(const struct asyncore_dispatcher_with_send *d)
{
	return d != NULL ? buffer_len(d->out_buffer) : 0;
}

int asyncore_dispatcher_with_send_writable(struct asyncore_dispatcher *d)
{
	struct asyncore_dispatcher_with_send *self = self_of(d);

	if (self == NULL)
		return -EINVAL;
	return !channel_has(d->channel, CHANNEL_CONNECTED) || self->out_buffer != NULL;
}

/* What a send left unsent, `result` being a negative errno: nothing, a closed channel or
 * an error. */
static int send_failed(struct asyncore_dispatcher *d, int result)
{
	int r;

	if (result == -EAGAIN || result == -EINTR)
		return 0;
	if (!asyncore_disconnected(result))
		return ASYNCORE_RAISE(d, result);
	r = channel_handle_close(d->channel);
	return r < 0 ? r : 0;
}

int asyncore_dispatcher_with_send_initiate_send(struct asyncore_dispatcher *d)
{
	struct asyncore_dispatcher_with_send *self = self_of(d);
	size_t len;
	int n;

	if (self == NULL)
		return -EINVAL;
	len = buffer_len(self->out_buffer);
	/* Python sends even nothing; for a datagram socket that would be a message. */
	if (len == 0 || d->channel->fd < 0)
		return 0;
	n = channel_send(d->channel, buffer_bytes(self->out_buffer), len < PIECE ? len : PIECE);
	if (n < 0)
		return send_failed(d, n);
	buffer_drain(&self->out_buffer, (size_t)n);
	if (self->out_buffer != NULL)
		return 0;
	map_touch(d->channel);
	return channel_drained(d->channel);
}

int asyncore_dispatcher_with_send_handle_write(struct asyncore_dispatcher *d)
{
	return asyncore_initiate_send(d);
}

/* Queue what is left; the first bytes to wait make the channel writable. */
static int queue(struct asyncore_dispatcher_with_send *self, const char *data, size_t len)
{
	const bool was_empty = self->out_buffer == NULL;
	int r = buffer_append(&self->out_buffer, data, len);

	if (r == 0 && was_empty) {
		channel_output(self->dispatcher.channel);
		map_touch(self->dispatcher.channel);
	}
	return r;
}

/* Python's way: into the buffer, then send from there. */
static int send_buffered(struct asyncore_dispatcher_with_send *self, const void *data,
			 size_t len)
{
	int r = queue(self, data, len);

	if (r >= 0)
		r = asyncore_initiate_send(&self->dispatcher);
	return r < 0 ? r : (int)len;
}

/* send(2) returned `n`, which is not all. */
static COLD int send_rest(struct asyncore_dispatcher *d, const char *data, size_t len, ssize_t n)
{
	const int error = n < 0 ? -errno : 0;
	const size_t sent = n < 0 ? 0 : (size_t)n;
	int r = queue((struct asyncore_dispatcher_with_send *)d, data + sent, len - sent);

	if (r < 0)
		return sent > 0 ? (int)sent : ASYNCORE_RAISE(d, r);
	/* The rest is queued before a handler hears of a lost connection. */
	if (error < 0)
		r = send_failed(d, error);
	return r < 0 ? r : (int)len;
}

/* Whatever is not the plain case of asyncore_dispatcher_with_send_send(). */
static COLD int send_otherwise(struct asyncore_dispatcher *d, const void *data, size_t len)
{
	struct asyncore_dispatcher_with_send *self = self_of(d);
	int r = 0;

	if (self == NULL || (data == NULL && len > 0) || len > INT_MAX)
		return -EINVAL;
	if (d->channel->fd < 0)
		return 0;
	if (channel_has(d->channel, CHANNEL_DEBUG))
		r = channel_log_sending(d->channel, data != NULL ? data : "", len);
	return r < 0 ? r : send_buffered(self, data, len);
}

int asyncore_dispatcher_with_send_send(struct asyncore_dispatcher *d, const void *data,
				       size_t len)
{
	const unsigned otherwise = CHANNEL_NO_SOCKET | CHANNEL_OUTPUT | CHANNEL_DEBUG | CHANNEL_IDLE;
	struct asyncore_channel *c = channel_of(d);
	ssize_t n;

	if (c == NULL || data == NULL || len - 1 >= PIECE ||
	    (c->flags & (otherwise | CHANNEL_PLAIN_SEND)) != CHANNEL_PLAIN_SEND)
		return send_otherwise(d, data, len);

	/* Nothing waits: straight to the socket. */
	n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == (ssize_t)len ? (int)n : send_rest(d, data, len, n);
}
