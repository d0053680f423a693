/* SPDX-License-Identifier: BSD-3-Clause */

/* The timers are set; that they run is tested elsewhere. */

#include "expect.h"
#include <timers.c>

int tick(struct asyncore_map *map, void *clock)
{
	(void)map, (void)clock;
	return 0;
}

int main(void)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.handle_timeout = session_timeout,
	};
	struct asyncore_dispatcher session;
	struct asyncore_map *map = asyncore_socket_map();
	int fd[2], timer;

	make_pair(fd);
	expect(asyncore_dispatcher_init(&session, &type, fd[0], NULL) == 0);
	expect(session_start(&session) == 0);
	timer = clock_start(map, NULL);
	expect(timer > 0 && asyncore_timers(map) == 2);
	expect(asyncore_remaining(map, timer) > 5.0);
	expect(asyncore_handle_timeout(&session) == 0);
	expect(asyncore_map_size(map) == 0 && asyncore_timers(map) == 1);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
