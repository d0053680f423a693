/* SPDX-License-Identifier: BSD-3-Clause */

/* At the cap a server does not accept; below it, it does again. */

#include "expect.h"
#include <cap.c>

int main(void)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.readable = capped_readable,
	};
	struct asyncore_dispatcher server, channels[MOST];
	int i;

	expect(asyncore_dispatcher_init(&server, &type, -1, NULL) == 0);
	expect(asyncore_create_socket(&server, AF_INET, SOCK_STREAM) == 0);
	expect(asyncore_readable(&server) == 0);
	expect(asyncore_bind(&server, "127.0.0.1", 0) == 0);
	expect(asyncore_listen(&server, 5) == 0);
	for (i = 0; i < MOST; i++) {
		expect(asyncore_readable(&server) == 1);
		expect(asyncore_dispatcher_init(&channels[i], &asyncore_dispatcher_type, -1,
						NULL) == 0);
		expect(asyncore_create_socket(&channels[i], AF_INET, SOCK_STREAM) == 0);
	}
	expect(asyncore_readable(&server) == 0);
	asyncore_close(&channels[7]);
	expect(asyncore_readable(&server) == 1);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
