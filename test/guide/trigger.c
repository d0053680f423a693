/* SPDX-License-Identifier: BSD-3-Clause */

/* A signal ends a loop that would go on for ever. */

#include "expect.h"
#include <trigger.c>

static int raise_sigterm(struct asyncore_map *map, void *arg)
{
	(void)map, (void)arg;
	return raise(SIGTERM);
}

int main(void)
{
	struct asyncore_dispatcher channel;
	int fd[2];

	make_pair(fd);
	expect(asyncore_dispatcher_init(&channel, &asyncore_dispatcher_type, -1, NULL) == 0);
	expect(asyncore_set_socket(&channel, fd[0], NULL) == 0);
	expect(catch_sigterm(asyncore_socket_map(), NULL) == 0);
	expect(asyncore_call_later(NULL, 0.0, raise_sigterm, NULL, NULL) > 0);
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	expect(trigger == NULL && asyncore_map_size(NULL) == 0);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
