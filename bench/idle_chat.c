/* SPDX-License-Identifier: BSD-3-Clause */

/* idle_chat.c - heap bytes for each idle async_chat channel that has a terminator. */

#include <asynchat.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { CHANNELS = 10000 };

static void release(struct asyncore_dispatcher *self)
{
	free(self);
}

static const struct async_chat_type idle_type = {
	.dispatcher = {
		.base = &async_chat_type.dispatcher,
		.name = "idle",
		.dealloc = release,
	},
	.collect_incoming_data = async_chat_collect_default,
};

static void add(void)
{
	struct async_chat *chat = malloc(sizeof *chat);
	int r = chat != NULL ? async_chat_init(chat, &idle_type, -1, NULL) : -1;

	if (r == 0)
		r = asyncore_create_socket(&chat->dispatcher, AF_INET, SOCK_DGRAM);
	if (r == 0)
		r = async_chat_set_terminator(chat, "\r\n", 2);
	if (r < 0) {
		fprintf(stderr, "no more channels: %d\n", r);
		exit(1);
	}
	/* Then writable() is false until something is to be sent. */
	asyncore_set_connected(&chat->dispatcher, true);
}

int main(void)
{
	struct rlimit limit;
	size_t before, heap;
	int i;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	add();
	asyncore_poll(0.0, NULL);
	before = mallinfo2().uordblks;
	for (i = 0; i < CHANNELS; i++)
		add();
	asyncore_poll(0.0, NULL);
	heap = mallinfo2().uordblks - before;
	printf("%8s %12s\n%8d %12.0f\n", "idle", "heap bytes", i, (double)heap / i);
	asyncore_close_all(NULL, true);
	return 0;
}
