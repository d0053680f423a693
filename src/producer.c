/* SPDX-License-Identifier: BSD-3-Clause */

/* producer.c - producers of the library's own. */

#include "producer.h"
#include "channel.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

int async_chat_producer_more(struct async_chat_producer *producer, const void **data,
			     size_t *len)
{
	if (producer == NULL || producer->type == NULL || producer->type->more == NULL ||
	    data == NULL || len == NULL)
		return -EINVAL;
	return producer->type->more(producer, data, len);
}

void async_chat_producer_release(struct async_chat_producer *producer)
{
	if (producer != NULL && producer->type != NULL && producer->type->release != NULL)
		producer->type->release(producer);
}

/* --- simple_producer: a byte string, in pieces -------------------------------------- */

struct simple_producer {
	struct async_chat_producer producer;
	size_t len, done, piece;
	unsigned char data[];
};

static int simple_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct simple_producer *self = (struct simple_producer *)producer;
	const size_t left = self->len - self->done;

	*data = self->data + self->done;
	*len = left < self->piece ? left : self->piece;
	self->done += *len;
	return *len > 0;
}

static void simple_release(struct async_chat_producer *producer)
{
	free(producer);
}

static const struct async_chat_producer_type simple_type = {
	.more = simple_more,
	.release = simple_release,
};

struct async_chat_producer *async_chat_simple_producer_new(const void *data, size_t len,
							   size_t buffer_size)
{
	struct simple_producer *self;

	if ((data == NULL && len > 0) || len > SIZE_MAX / 2)
		return NULL;
	self = malloc(sizeof *self + len);
	if (self == NULL)
		return NULL;
	self->producer.type = &simple_type;
	self->len = len;
	self->done = 0;
	self->piece = buffer_size > 0 ? buffer_size : 512;
	if (len > 0)
		memcpy(self->data, data, len);
	return &self->producer;
}

/* --- a file, or a part of it ---------------------------------------------------------- */

enum { FILE_PIECE = 65536 };

struct file_producer {
	struct async_chat_producer producer;
	int fd;
	off_t offset;
	long long left;			/* negative: to the end */
	unsigned char *piece;		/* made when the kernel cannot move the bytes */
};

static size_t file_wanted(const struct file_producer *self, size_t size)
{
	return self->left >= 0 && (unsigned long long)self->left < size ? (size_t)self->left : size;
}

static void file_took(struct file_producer *self, size_t n)
{
	self->offset += (off_t)n;
	if (self->left >= 0)
		self->left -= (long long)n;
}

static int file_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct file_producer *self = (struct file_producer *)producer;
	ssize_t n;

	if (self->piece == NULL && (self->piece = malloc(FILE_PIECE)) == NULL)
		return -ENOMEM;
	do {
		n = pread(self->fd, self->piece, file_wanted(self, FILE_PIECE), self->offset);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	file_took(self, (size_t)n);
	*data = self->piece;
	*len = (size_t)n;
	return 1;
}

static void file_release(struct async_chat_producer *producer)
{
	struct file_producer *self = (struct file_producer *)producer;

	close(self->fd);
	free(self->piece);
	free(self);
}

static const struct async_chat_producer_type file_type = {
	.more = file_more,
	.release = file_release,
};

bool file_producer_is(const struct async_chat_producer *producer)
{
	return producer->type == &file_type;
}

int file_producer_send(struct async_chat_producer *producer, int fd, size_t size)
{
	struct file_producer *self = (struct file_producer *)producer;
	int n = file_send(fd, self->fd, self->offset,
			  file_wanted(self, size < INT_MAX ? size : INT_MAX));

	if (n > 0)
		file_took(self, (size_t)n);
	/* Reading will tell what is wrong with the file, if that is it. */
	if (n >= 0 || n == -EAGAIN || (asyncore_disconnected(n) && n != -EBADF))
		return n;
	return -EOPNOTSUPP;
}

struct async_chat_producer *async_chat_file_producer_new(int fd, long long offset,
							 long long length)
{
	struct file_producer *self;

	if (fd < 0 || offset < 0 || length < -1)
		return NULL;
	self = malloc(sizeof *self);
	if (self == NULL)
		return NULL;
	self->producer.type = &file_type;
	self->fd = fd;
	self->offset = (off_t)offset;
	self->left = length;
	self->piece = NULL;
	return &self->producer;
}

/* --- what is in an evbuffer ------------------------------------------------------------ */

struct evbuffer_producer {
	struct async_chat_producer producer;
	struct evbuffer *buffer;
	size_t given;			/* by the last more(), and still there */
};

static int evbuffer_more(struct async_chat_producer *producer, const void **data, size_t *len)
{
	struct evbuffer_producer *self = (struct evbuffer_producer *)producer;
	struct evbuffer_iovec piece;

	evbuffer_drain(self->buffer, self->given);
	self->given = 0;
	if (evbuffer_peek(self->buffer, -1, NULL, &piece, 1) < 1)
		return 0;
	*data = piece.iov_base;
	*len = self->given = piece.iov_len;
	return *len > 0;
}

static void evbuffer_release(struct async_chat_producer *producer)
{
	struct evbuffer_producer *self = (struct evbuffer_producer *)producer;

	evbuffer_free(self->buffer);
	free(self);
}

static const struct async_chat_producer_type evbuffer_type = {
	.more = evbuffer_more,
	.release = evbuffer_release,
};

struct async_chat_producer *async_chat_evbuffer_producer_new(struct evbuffer *buffer)
{
	struct evbuffer_producer *self;

	if (buffer == NULL)
		return NULL;
	self = malloc(sizeof *self);
	if (self == NULL)
		return NULL;
	self->producer.type = &evbuffer_type;
	self->buffer = buffer;
	self->given = 0;
	return &self->producer;
}
