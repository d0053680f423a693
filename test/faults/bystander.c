/* SPDX-License-Identifier: BSD-3-Clause */

/* bystander.c - see bystander.h. */

#include "bystander.h"

#include <sys/socket.h>
#include <unistd.h>

static int bystander_read(struct asyncore_dispatcher *self)
{
	char byte;
	int n = asyncore_recv(self, &byte, 1);

	return n > 0 ? asyncore_send(self, &byte, 1) : n;
}

static int bystander_failed(struct asyncore_dispatcher *self)
{
	((struct bystander *)self)->broken = true;
	return 0;
}

static int bystander_writable(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static int no_log(struct asyncore_dispatcher *self, const char *message, const char *type)
{
	(void)self, (void)message, (void)type;
	return 0;
}

const struct asyncore_dispatcher_type bystander_type = {
	.base = &asyncore_dispatcher_type,
	.name = "bystander",
	.flags = ASYNCORE_PREDICATES_STABLE,
	.handle_read = bystander_read,
	.handle_close = bystander_failed,
	.handle_error = bystander_failed,
	.writable = bystander_writable,
	.log_info = no_log,
};

bool bystander_open(struct bystander *b, const struct asyncore_dispatcher_type *type,
		    struct asyncore_map *map)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0 ||
	    asyncore_dispatcher_init(&b->dispatcher, type, fd[0], map) < 0)
		return false;
	b->peer = fd[1];
	b->broken = false;
	return true;
}

bool bystander_answers(struct bystander *b, void (*turn)(void *arg), void *arg)
{
	char byte = 0;
	int i;

	if (write(b->peer, "x", 1) != 1)
		return false;
	for (i = 0; i < 100 && read(b->peer, &byte, 1) != 1; i++)
		turn(arg);
	return byte == 'x' && !b->broken;
}
