/* SPDX-License-Identifier: BSD-3-Clause */

/* file_dispatcher.c - a dispatcher for pipes, ttys and other files. */

#include "channel.h"

#include <errno.h>
#include <fcntl.h>

const struct asyncore_dispatcher_type asyncore_file_dispatcher_type = {
	.base = &asyncore_dispatcher_type,
	.name = "asyncore.file_dispatcher",
};

int asyncore_file_dispatcher_init(struct asyncore_file_dispatcher *d,
				  const struct asyncore_dispatcher_type *type, int fd,
				  struct asyncore_map *map)
{
	bool blocks;
	int flags, r;

	if (d == NULL)
		return -EINVAL;
	d->dispatcher.channel = NULL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	blocks = !(flags & O_NONBLOCK);
	r = dispatcher_init(&d->dispatcher, type, &asyncore_file_dispatcher_type, -1, map);
	if (r < 0)
		return r;
	if (blocks && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		r = -errno;
		channel_free(d->dispatcher.channel);
		return r;
	}
	asyncore_set_connected(&d->dispatcher, true);
	r = asyncore_set_file(&d->dispatcher, fd);
	if (r < 0) {
		if (blocks)
			fcntl(fd, F_SETFL, flags);
		channel_free(d->dispatcher.channel);
	}
	return r;
}
