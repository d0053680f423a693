/* SPDX-License-Identifier: BSD-3-Clause */

/* state.c - the attributes of a dispatcher. */

#include "channel.h"
#include "map.h"

#include <errno.h>

#define ATTRIBUTE(name, flag) \
	bool asyncore_##name(const struct asyncore_dispatcher *d) \
	{ \
		const struct asyncore_channel *c = channel_of(d); \
		return c != NULL && channel_has(c, flag); \
	} \
	int asyncore_set_##name(struct asyncore_dispatcher *d, bool value) \
	{ \
		struct asyncore_channel *c = channel_of(d); \
		if (c == NULL) \
			return -EINVAL; \
		channel_flag(c, flag, value); \
		map_touch(c);	/* predicates look at these */ \
		return 0; \
	}

ATTRIBUTE(connected, CHANNEL_CONNECTED)
ATTRIBUTE(accepting, CHANNEL_ACCEPTING)
ATTRIBUTE(connecting, CHANNEL_CONNECTING)
ATTRIBUTE(closing, CHANNEL_CLOSING)
ATTRIBUTE(debug, CHANNEL_DEBUG)

int asyncore_fileno(const struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c != NULL)
		channel_flush(c);
	return c != NULL && channel_has(c, CHANNEL_IN_MAP) ? c->fd : -1;
}

int asyncore_socket(const struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c != NULL)
		channel_flush(c);
	return c != NULL ? c->fd : -1;
}

struct asyncore_map *asyncore_map(const struct asyncore_dispatcher *d)
{
	const struct asyncore_channel *c = channel_of(d);

	return c != NULL && !c->map->freed ? c->map : NULL;
}

int asyncore_touch(struct asyncore_dispatcher *d)
{
	struct asyncore_channel *c = channel_of(d);

	if (c == NULL)
		return -EINVAL;
	map_touch(c);
	return 0;
}

/* A socket that was given to us has them in the kernel only. */
static int ask_kernel(const struct asyncore_channel *c, int *family, int *type)
{
	socklen_t len = sizeof *family;

	if (channel_has(c, CHANNEL_NO_SOCKET))
		return -EBADF;
	if (getsockopt(c->fd, SOL_SOCKET, SO_DOMAIN, family, &len) < 0)
		return -errno;
	len = sizeof *type;
	return getsockopt(c->fd, SOL_SOCKET, SO_TYPE, type, &len) < 0 ? -errno : 0;
}

int asyncore_family_and_type(const struct asyncore_dispatcher *d, int *family, int *type)
{
	struct asyncore_channel *c = channel_of(d);
	int f, t, r;

	if (c == NULL)
		return -EINVAL;
	if (c->family == 0) {
		r = ask_kernel(c, &f, &t);
		if (r < 0)
			return r;
		c->family = (uint8_t)f;
		c->type = (uint8_t)t;
	}
	if (family != NULL)
		*family = c->family;
	if (type != NULL)
		*type = c->type;
	return 0;
}
