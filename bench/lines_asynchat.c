/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lines_asynchat.c - lines split by libasyncore's async_chat, with buffers of 64 KiB.
 *
 *	lines_asynchat count|answer [once] [attached]
 *
 * once: with ASYNC_CHAT_SEND_AT_ONCE, a send for each line.  attached: see ours.h.
 */

#include "bench.h"
#include "lines.h"
#include "ours.h"

#include <asynchat.h>

static bool answering;
static unsigned long lines, bytes;	/* bytes: without the line ends */
static const struct async_chat_type *connection_type;

static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	bytes += len;
	return 0;
}

static int found(struct async_chat *self)
{
	lines++;
	return answering ? async_chat_push(self, OK, ANSWER) : 0;
}

static const struct async_chat_type line_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "line",
		.ac_in_buffer_size = BENCH_BUFFER,
		.ac_out_buffer_size = BENCH_BUFFER,
		.dealloc = asyncore_dealloc_free,
	},
	.collect_incoming_data = collect,
	.found_terminator = found,
};

static const struct async_chat_type once_type = {
	.dispatcher = {
		.base = &line_type.dispatcher,
		.name = "once",
		.flags = ASYNC_CHAT_SEND_AT_ONCE,
	},
};

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct async_chat *chat = bench_alloc(sizeof *chat);
	int r = async_chat_init(chat, connection_type, fd, asyncore_map(self));

	(void)addr, (void)addrlen;
	return r < 0 ? r : async_chat_set_terminator(chat, "\r\n", 2);
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

	answering = bench_given(argc, argv, "answer");
	connection_type = bench_given(argc, argv, "once") ? &once_type : &line_type;
	ours_listen(&server, &server_type, map);
	ours_run(map);
}
