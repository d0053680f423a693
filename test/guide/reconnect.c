/* SPDX-License-Identifier: BSD-3-Clause */

/* A client that lost its server comes back, with what it had to say. */

#include "expect.h"
#include <reconnect.c>

static int disposed;

static int pass(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static void count_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	disposed++;
}

int main(void)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &async_chat_type.dispatcher,
			.handle_connect = pass,
			.handle_close = client_handle_close,
			.dispose = count_dispose,
		},
	};
	struct client client = { .address_len = sizeof client.address };
	struct asyncore_dispatcher *self = &client.chat.dispatcher;
	struct sockaddr *addr = (struct sockaddr *)&client.address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), peer;

	client.address.ss_family = AF_INET;
	client.address_len = sizeof(struct sockaddr_in);
	expect(bind(listener, addr, client.address_len) == 0 && listen(listener, 5) == 0);
	expect(getsockname(listener, addr, &client.address_len) == 0);
	expect(async_chat_init(&client.chat, &type, -1, NULL) == 0);
	expect(client_connect(self, NULL) == 0);
	peer = accept(listener, NULL, NULL);
	run_until(asyncore_connected(self));
	close(peer);
	run_until(asyncore_socket(self) < 0);
	expect(async_chat_push(&client.chat, "again", 5) == 0);
	expect(asyncore_timers(NULL) == 1 && disposed == 0);
	run_until(asyncore_connected(self));
	peer = accept(listener, NULL, NULL);
	run_until(async_chat_output_entries(&client.chat) == 0);
	hear(peer, "again");
	expect(disposed == 0);
	close(peer);
	close(listener);
	expect(asyncore_map_free(NULL) == 0);
	expect(disposed == 1);
	return 0;
}
