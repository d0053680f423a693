/* SPDX-License-Identifier: BSD-3-Clause */

/* idle_asynchat.c - see idle.h: an async_chat with a terminator for each connection:
 * [attached], see ours.h. */

#include "bench.h"
#include "idle.h"
#include "ours.h"

#include <asynchat.h>

static struct asyncore_map *map;

static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	idle_served += (long)len;
	return 0;
}

static const struct async_chat_type connection_type = {
	.dispatcher = { .base = &async_chat_type.dispatcher, .name = "connection" },
	.collect_incoming_data = collect,
};

void idle_init(int argc, char **argv)
{
	map = ours_map(argc, argv);
}

void idle_add(int fd)
{
	struct async_chat *chat = bench_alloc(sizeof *chat);

	if (async_chat_init(chat, &connection_type, fd, map) < 0 ||
	    async_chat_set_terminator(chat, "\r\n", 2) < 0)
		bench_die("async_chat_init");
}

void idle_add_active(int fd)
{
	idle_add(fd);
}

void idle_pass(void)
{
	ours_pass(map);
}
