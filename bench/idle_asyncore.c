/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * idle_asyncore.c - see idle.h: a dispatcher for each connection.
 *
 *	idle_asyncore IDLE ACTIVE PASSES [attached] [asked] [with_send]
 *
 * asked: the idle ones override both predicates, so that they are asked on every pass.
 * with_send: they are dispatchers with send.  attached: see ours.h.
 */

#include "bench.h"
#include "idle.h"
#include "ours.h"

static struct asyncore_map *map;
static bool asked, with_send;

static int on_read(struct asyncore_dispatcher *self)
{
	char byte;
	int n = asyncore_recv(self, &byte, 1);

	if (n == 1)
		idle_served++;
	return n;
}

static int never(struct asyncore_dispatcher *self)
{
	(void)self;
	return 0;
}

static int always(struct asyncore_dispatcher *self)
{
	(void)self;
	return 1;
}

static const struct asyncore_dispatcher_type connection_type = {
	.base = &asyncore_dispatcher_type,
	.name = "connection",
	.flags = ASYNCORE_PREDICATES_TOUCHED,
	.handle_read = on_read,
	.writable = never,
};

static const struct asyncore_dispatcher_type asked_type = {
	.base = &connection_type,
	.name = "asked",
	.readable = always,
	.writable = never,
};

static const struct asyncore_dispatcher_type with_send_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "with send",
	.handle_read = on_read,
};

void idle_init(int argc, char **argv)
{
	map = ours_map(argc, argv);
	asked = bench_given(argc, argv, "asked");
	with_send = bench_given(argc, argv, "with_send");
}

static void add(const struct asyncore_dispatcher_type *type, int fd)
{
	struct asyncore_dispatcher *d = bench_alloc(sizeof *d);

	if (asyncore_dispatcher_init(d, type, fd, map) < 0)
		bench_die("asyncore_dispatcher_init");
}

static void add_with_send(int fd)
{
	struct asyncore_dispatcher_with_send *d = bench_alloc(sizeof *d);

	if (asyncore_dispatcher_with_send_init(d, &with_send_type, fd, map) < 0)
		bench_die("asyncore_dispatcher_with_send_init");
}

void idle_add(int fd)
{
	if (with_send)
		add_with_send(fd);
	else
		add(asked ? &asked_type : &connection_type, fd);
}

void idle_add_active(int fd)
{
	add(&connection_type, fd);
}

void idle_pass(void)
{
	ours_pass(map);
}
