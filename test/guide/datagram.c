/* SPDX-License-Identifier: BSD-3-Clause */

/* Every peer gets its own back, an empty datagram too. */

#include "expect.h"
#include <datagram.c>

static int never(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

int main(void)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.writable = never,
		.handle_read = datagram_read,
	};
	struct asyncore_dispatcher service;
	struct sockaddr_in in;
	socklen_t len = sizeof in;
	int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
	char data;

	expect(asyncore_dispatcher_init(&service, &type, -1, NULL) == 0);
	expect(asyncore_create_socket(&service, AF_INET, SOCK_DGRAM) == 0);
	expect(asyncore_bind(&service, "127.0.0.1", 0) == 0);
	expect(getsockname(asyncore_socket(&service), (struct sockaddr *)&in, &len) == 0);
	expect(connect(one, (struct sockaddr *)&in, len) == 0);
	expect(connect(two, (struct sockaddr *)&in, len) == 0);
	say(one, "one");
	say(two, "two");
	expect(asyncore_poll(1.0, NULL) == 0 && asyncore_poll(1.0, NULL) == 0);
	hear(one, "one");
	hear(two, "two");
	expect(send(one, "", 0, 0) == 0);
	expect(asyncore_poll(1.0, NULL) == 0);
	expect(recv(one, &data, 1, MSG_DONTWAIT) == 0);
	expect(asyncore_map_size(NULL) == 1);
	close(one);
	close(two);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
