/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * download_asynchat.c - 100 MiB for who connects, by a producer of libasyncore's async_chat.
 *
 *	download_asynchat [file] [attached]
 *
 * A producer of 64 KiB pieces of memory; file: the file producer.  attached: see ours.h.
 */

#include "bench.h"
#include "ours.h"

#include <asynchat.h>

#include <stdlib.h>
#include <unistd.h>

struct pieces {
	struct async_chat_producer producer;
	size_t left;
};

static char block[BENCH_BUFFER];
static int file = -1;

static int pieces_more(struct async_chat_producer *self, const void **data, size_t *len)
{
	struct pieces *p = (struct pieces *)self;

	if (p->left == 0)
		return 0;
	*data = block;
	*len = p->left < sizeof block ? p->left : sizeof block;
	p->left -= *len;
	return 1;
}

static void pieces_release(struct async_chat_producer *self)
{
	free(self);
}

static const struct async_chat_producer_type pieces_type = {
	.more = pieces_more,
	.release = pieces_release,
};

static struct async_chat_producer *new_producer(void)
{
	struct pieces *p;

	if (file >= 0)
		return async_chat_file_producer_new(dup(file), 0, BENCH_DOWNLOAD);
	p = bench_alloc(sizeof *p);
	*p = (struct pieces){ .producer = { &pieces_type }, .left = BENCH_DOWNLOAD };
	return &p->producer;
}

/* The client says nothing before it hangs up. */
static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data, (void)len;
	return 0;
}

static const struct async_chat_type download_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "download",
		.ac_out_buffer_size = BENCH_BUFFER,
		.dealloc = asyncore_dealloc_free,
	},
	.collect_incoming_data = collect,
};

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct async_chat *chat = bench_alloc(sizeof *chat);
	int r = async_chat_init(chat, &download_type, fd, asyncore_map(self));

	(void)addr, (void)addrlen;
	if (r == 0)
		r = async_chat_push_with_producer(chat, new_producer());
	if (r == 0)
		r = async_chat_close_when_done(chat);
	return r;
}

static const struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
};

int main(int argc, char **argv)
{
	struct asyncore_dispatcher server;
	struct asyncore_map *map = ours_map(argc, argv);

	if (bench_given(argc, argv, "file"))
		file = bench_file();
	ours_listen(&server, &server_type, map);
	ours_run(map);
}
