/* SPDX-License-Identifier: BSD-3-Clause */

/* A connect that is refused calls handle_expt(). */

#include "expect.h"
#include <expt.c>

static int no_error(struct asyncore_dispatcher *self)
{
	(void)self;
	expect(!"handle_error");
	return 0;
}

int main(void)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &client_type,
		.handle_error = no_error,
	};
	struct asyncore_dispatcher client;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr *addr = (struct sockaddr *)&in;
	socklen_t len = sizeof in;
	int nobody = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	expect(bind(nobody, addr, len) == 0 && getsockname(nobody, addr, &len) == 0);
	expect(asyncore_dispatcher_init(&client, &type, -1, NULL) == 0);
	expect(asyncore_create_socket(&client, AF_INET, SOCK_STREAM) == 0);
	expect(asyncore_connect_sockaddr(&client, addr, len) == 0);
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	close(nobody);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
